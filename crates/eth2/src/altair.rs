//! What Altair added: sync committees.

use serde::{Deserialize, Serialize};
use ssz_derive::{Decode, Encode};
use ssz_types::{
    BitVector, VariableList,
    typenum::{U2, U16, U128, U512},
};
use tree_hash_derive::TreeHash;

use crate::{
    BlsSignature, Root, Slot, ValidatorIndex, container,
    phase0::{Attestation, AttesterSlashing, Deposit, Eth1Data, ProposerSlashing, SignedVoluntaryExit},
    quoted,
};

/// A sync committee member's vote for a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct SyncCommitteeMessage {
    /// The slot.
    pub slot: Slot,
    /// The block; this root itself is signed.
    pub beacon_block_root: Root,
    /// The member.
    pub validator_index: ValidatorIndex,
    /// Its signature.
    pub signature: BlsSignature,
}

/// Votes of one subcommittee for one block.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct SyncCommitteeContribution {
    /// The slot.
    pub slot: Slot,
    /// The block.
    pub beacon_block_root: Root,
    /// Which of the four subcommittees.
    #[serde(with = "quoted")]
    pub subcommittee_index: u64,
    /// Who of it voted.
    pub aggregation_bits: BitVector<U128>,
    /// Their aggregated signature.
    pub signature: BlsSignature,
}

/// A contribution with the proof that its sender may aggregate.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct ContributionAndProof {
    /// Who aggregates.
    pub aggregator_index: ValidatorIndex,
    /// The contribution.
    pub contribution: SyncCommitteeContribution,
    /// Signature of the [`SyncAggregatorSelectionData`].
    pub selection_proof: BlsSignature,
}

/// A [`ContributionAndProof`] with the aggregator's signature.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct SignedContributionAndProof {
    /// What is signed.
    pub message: ContributionAndProof,
    /// The aggregator's signature.
    pub signature: BlsSignature,
}

/// What a sync committee member signs to learn whether it aggregates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct SyncAggregatorSelectionData {
    /// The slot.
    pub slot: Slot,
    /// Which of the four subcommittees.
    #[serde(with = "quoted")]
    pub subcommittee_index: u64,
}

/// The whole committee's votes, in a block.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Encode, Decode, TreeHash, Serialize, Deserialize)]
pub struct SyncAggregate {
    /// Who voted.
    pub sync_committee_bits: BitVector<U512>,
    /// Their aggregated signature.
    pub sync_committee_signature: BlsSignature,
}

/// Content of a block: adds `sync_aggregate`.
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
    /// The sync committee's votes.
    pub sync_aggregate: SyncAggregate,
}

/// A block.
pub type BeaconBlock = container::BeaconBlock<BeaconBlockBody>;
/// A signed block.
pub type SignedBeaconBlock = container::SignedBeaconBlock<BeaconBlockBody>;
