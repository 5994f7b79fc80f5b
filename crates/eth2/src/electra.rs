//! What Electra changed: attestations span committees, the execution layer makes requests.

use serde::{Deserialize, Serialize};
use ssz_derive::{Decode, Encode};
use ssz_types::{
    BitList, BitVector, VariableList,
    typenum::{U1, U2, U8, U16, U64, U8192, U131072},
};
use tree_hash_derive::TreeHash;

use crate::{
    BlsPubkey, BlsSignature, CommitteeIndex, ExecutionAddress, Gwei, KzgCommitment, Mainnet, MaxBlobs, Root,
    ValidatorIndex,
    altair::SyncAggregate,
    capella::SignedBlsToExecutionChange,
    container,
    phase0::{AttestationData, Deposit, Eth1Data, ProposerSlashing, SignedVoluntaryExit, quoted_u64_list},
    quoted,
};

pub use crate::deneb::{ExecutionPayload, ExecutionPayloadHeader};

/// Most voters of one attestation: every committee of a slot.
pub type MaxVoters = U131072;

/// Votes of several committees for the same data.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct Attestation {
    /// Who of the committees voted, committee after committee.
    pub aggregation_bits: BitList<MaxVoters>,
    /// What they voted for.
    pub data: AttestationData,
    /// The votes' aggregated signature.
    pub signature: BlsSignature,
    /// Which committees are meant.
    pub committee_bits: BitVector<U64>,
}

/// One validator's vote, as it travels since Electra.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct SingleAttestation {
    /// The voter's committee.
    pub committee_index: CommitteeIndex,
    /// The voter.
    pub attester_index: ValidatorIndex,
    /// What it votes for.
    pub data: AttestationData,
    /// Its signature.
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
    pub attesting_indices: VariableList<u64, MaxVoters>,
    /// What they voted for.
    pub data: AttestationData,
    /// Their aggregated signature.
    pub signature: BlsSignature,
}

/// Proof that somebody voted twice.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct AttesterSlashing {
    /// One vote.
    pub attestation_1: IndexedAttestation,
    /// A vote that contradicts it.
    pub attestation_2: IndexedAttestation,
}

/// A deposit, told by the execution layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct DepositRequest {
    /// The validator's key.
    pub pubkey: BlsPubkey,
    /// Who may withdraw.
    pub withdrawal_credentials: Root,
    /// How much.
    pub amount: Gwei,
    /// Signature of the deposit message.
    pub signature: BlsSignature,
    /// Running number of deposits.
    #[serde(with = "quoted")]
    pub index: u64,
}

/// A withdrawal or exit, asked for on the execution layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct WithdrawalRequest {
    /// Who asks.
    pub source_address: ExecutionAddress,
    /// Whose balance.
    pub validator_pubkey: BlsPubkey,
    /// How much; 0 means exit.
    pub amount: Gwei,
}

/// A merger of validators, asked for on the execution layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct ConsolidationRequest {
    /// Who asks.
    pub source_address: ExecutionAddress,
    /// Whose balance goes.
    pub source_pubkey: BlsPubkey,
    /// Where it goes.
    pub target_pubkey: BlsPubkey,
}

/// Everything that the execution layer asks for in one block.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct ExecutionRequests {
    /// Deposits.
    pub deposits: VariableList<DepositRequest, U8192>,
    /// Withdrawals and exits.
    pub withdrawals: VariableList<WithdrawalRequest, U16>,
    /// Mergers.
    pub consolidations: VariableList<ConsolidationRequest, U2>,
}

container::block_body! {
    /// Content of a block: new attestation kinds, adds `execution_requests`.
    pub struct BeaconBlockBody<P> {
        /// Signature of the epoch.
        pub randao_reveal: BlsSignature,
        /// Vote on the deposit contract.
        pub eth1_data: Eth1Data,
        /// Free text.
        pub graffiti: Root,
        /// Double proposals.
        pub proposer_slashings: VariableList<ProposerSlashing, U16>,
        /// Double votes.
        pub attester_slashings: VariableList<AttesterSlashing, U1>,
        /// Votes.
        pub attestations: VariableList<Attestation, U8>,
        /// New deposits.
        pub deposits: VariableList<Deposit, U16>,
        /// Exits.
        pub voluntary_exits: VariableList<SignedVoluntaryExit, U16>,
        /// The sync committee's votes.
        pub sync_aggregate: SyncAggregate,
        /// The execution layer's block, or its header.
        #[serde(alias = "execution_payload_header")]
        pub execution_payload: P,
        /// New withdrawal credentials.
        pub bls_to_execution_changes: VariableList<SignedBlsToExecutionChange, U16>,
        /// Commitments to the blobs.
        pub blob_kzg_commitments: VariableList<KzgCommitment, MaxBlobs>,
        /// Requests from the execution layer.
        pub execution_requests: ExecutionRequests,
    }
}

/// A block, with the limits of the preset `P`.
pub type BeaconBlock<P = Mainnet> = container::BeaconBlock<BeaconBlockBody<ExecutionPayload<P>>>;
/// A signed block, with the limits of the preset `P`.
pub type SignedBeaconBlock<P = Mainnet> = container::SignedBeaconBlock<BeaconBlockBody<ExecutionPayload<P>>>;
/// A block with the payload's header.
pub type BlindedBeaconBlock = container::BeaconBlock<BeaconBlockBody<ExecutionPayloadHeader>>;
/// A signed block with the payload's header.
pub type SignedBlindedBeaconBlock = container::SignedBeaconBlock<BeaconBlockBody<ExecutionPayloadHeader>>;
/// A block with its blobs, as produced.
pub type BlockContents<P = Mainnet> = container::BlockContents<BeaconBlockBody<ExecutionPayload<P>>, MaxBlobs>;
/// A signed block with its blobs, as published.
pub type SignedBlockContents<P = Mainnet> =
    container::SignedBlockContents<BeaconBlockBody<ExecutionPayload<P>>, MaxBlobs>;
