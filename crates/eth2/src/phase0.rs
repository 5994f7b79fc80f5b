//! Containers of the first fork.

use serde::{Deserialize, Serialize};
use ssz_derive::{Decode, Encode};
use ssz_types::{
    BitList, FixedVector, VariableList,
    typenum::{U2, U16, U33, U128, U2048},
};
use tree_hash_derive::TreeHash;

use crate::{
    BlsPubkey, BlsSignature, CommitteeIndex, Epoch, ForkVersion, Gwei, Root, Slot, ValidatorIndex, container, quoted,
    quoted_list,
};

/// `MAX_VALIDATORS_PER_COMMITTEE`.
pub type MaxCommittee = U2048;

/// An epoch and the root of its first block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The epoch.
    pub epoch: Epoch,
    /// Root of the block at or before the epoch's first slot.
    pub root: Root,
}

/// What an attester signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct AttestationData {
    /// The slot attested for.
    pub slot: Slot,
    /// The committee; always 0 from Electra on.
    pub index: CommitteeIndex,
    /// Head of the chain.
    pub beacon_block_root: Root,
    /// Last justified checkpoint.
    pub source: Checkpoint,
    /// The current epoch's checkpoint.
    pub target: Checkpoint,
}

/// One or several validators' votes for the same data.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct Attestation {
    /// Who of the committee voted.
    pub aggregation_bits: BitList<MaxCommittee>,
    /// What they voted for.
    pub data: AttestationData,
    /// The votes' aggregated signature.
    pub signature: BlsSignature,
}

/// An aggregate with the proof that its sender may aggregate.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct AggregateAndProof {
    /// Who aggregates.
    pub aggregator_index: ValidatorIndex,
    /// The aggregate.
    pub aggregate: Attestation,
    /// Signature of the slot.
    pub selection_proof: BlsSignature,
}

/// An [`AggregateAndProof`] with the aggregator's signature.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct SignedAggregateAndProof {
    /// What is signed.
    pub message: AggregateAndProof,
    /// The aggregator's signature.
    pub signature: BlsSignature,
}

/// Votes with the voters named by index.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct IndexedAttestation {
    /// The voters, ascending.
    #[serde(with = "quoted_u64_list")]
    pub attesting_indices: VariableList<u64, MaxCommittee>,
    /// What they voted for.
    pub data: AttestationData,
    /// Their aggregated signature.
    pub signature: BlsSignature,
}

/// JSON of a list of indices with a limit.
pub(crate) mod quoted_u64_list {
    use serde::{Deserializer, Serializer, de::Error as _};
    use ssz_types::{VariableList, typenum::Unsigned};

    use super::quoted_list;

    pub(crate) fn serialize<S: Serializer, N: Unsigned>(list: &VariableList<u64, N>, s: S) -> Result<S::Ok, S::Error> {
        quoted_list::serialize(list, s)
    }

    pub(crate) fn deserialize<'de, D, N>(d: D) -> Result<VariableList<u64, N>, D::Error>
    where
        D: Deserializer<'de>,
        N: Unsigned,
    {
        let list = quoted_list::deserialize(d)?;
        VariableList::new(list).map_err(|e| D::Error::custom(format!("too many indices: {e}")))
    }
}

/// Proof that somebody voted twice.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct AttesterSlashing {
    /// One vote.
    pub attestation_1: IndexedAttestation,
    /// A vote that contradicts it.
    pub attestation_2: IndexedAttestation,
}

/// A block with its body replaced by the body's root; the block has the same root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct BeaconBlockHeader {
    /// The slot that the block is for.
    pub slot: Slot,
    /// Who proposes it.
    pub proposer_index: ValidatorIndex,
    /// Root of the block before.
    pub parent_root: Root,
    /// Root of the state after it.
    pub state_root: Root,
    /// Root of the body.
    pub body_root: Root,
}

/// A header with the proposer's signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct SignedBeaconBlockHeader {
    /// The header.
    pub message: BeaconBlockHeader,
    /// The proposer's signature.
    pub signature: BlsSignature,
}

/// Proof that somebody proposed twice.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct ProposerSlashing {
    /// One block.
    pub signed_header_1: SignedBeaconBlockHeader,
    /// Another for the same slot.
    pub signed_header_2: SignedBeaconBlockHeader,
}

/// A vote on the state of the deposit contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct Eth1Data {
    /// Root of the deposit tree.
    pub deposit_root: Root,
    /// How many deposits there are.
    #[serde(with = "quoted")]
    pub deposit_count: u64,
    /// The execution block.
    pub block_hash: Root,
}

/// What a depositor signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct DepositMessage {
    /// The validator's key.
    pub pubkey: BlsPubkey,
    /// Who may withdraw.
    pub withdrawal_credentials: Root,
    /// How much.
    pub amount: Gwei,
}

/// A [`DepositMessage`] with the validator's signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct DepositData {
    /// The validator's key.
    pub pubkey: BlsPubkey,
    /// Who may withdraw.
    pub withdrawal_credentials: Root,
    /// How much.
    pub amount: Gwei,
    /// Signature of the [`DepositMessage`].
    pub signature: BlsSignature,
}

impl DepositData {
    /// What the signature covers.
    #[must_use]
    pub const fn message(&self) -> DepositMessage {
        DepositMessage {
            pubkey: self.pubkey,
            withdrawal_credentials: self.withdrawal_credentials,
            amount: self.amount,
        }
    }
}

/// A deposit with the proof that the contract holds it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct Deposit {
    /// Merkle branch.
    pub proof: FixedVector<Root, U33>,
    /// The deposit.
    pub data: DepositData,
}

/// A wish to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct VoluntaryExit {
    /// The first epoch in which it may be carried out.
    pub epoch: Epoch,
    /// Who leaves.
    pub validator_index: ValidatorIndex,
}

/// A [`VoluntaryExit`] with the validator's signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct SignedVoluntaryExit {
    /// What is signed.
    pub message: VoluntaryExit,
    /// The validator's signature.
    pub signature: BlsSignature,
}

/// The versions around an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct ForkInfo {
    /// Version before `epoch`.
    pub previous_version: ForkVersion,
    /// Version from `epoch` on.
    pub current_version: ForkVersion,
    /// When it changed.
    pub epoch: Epoch,
}

/// Its root tells chains and forks apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct ForkData {
    /// The fork's version.
    pub current_version: ForkVersion,
    /// The chain.
    pub genesis_validators_root: Root,
}

/// Its root is what a signature covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct SigningData {
    /// Root of the object.
    pub object_root: Root,
    /// The domain.
    pub domain: crate::Domain,
}

/// Content of a block.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct BeaconBlockBody {
    /// Signature of the epoch.
    pub randao_reveal: BlsSignature,
    /// Vote on the deposit contract.
    pub eth1_data: Eth1Data,
    /// Free text.
    pub graffiti: Root,
    /// Double proposals.
    pub proposer_slashings: VariableList<ProposerSlashing, U16>,
    /// Double votes.
    pub attester_slashings: VariableList<AttesterSlashing, U2>,
    /// Votes.
    pub attestations: VariableList<Attestation, U128>,
    /// New deposits.
    pub deposits: VariableList<Deposit, U16>,
    /// Exits.
    pub voluntary_exits: VariableList<SignedVoluntaryExit, U16>,
}

/// A block.
pub type BeaconBlock = container::BeaconBlock<BeaconBlockBody>;
/// A signed block.
pub type SignedBeaconBlock = container::SignedBeaconBlock<BeaconBlockBody>;
