//! Objects of the beacon API that are not containers of the specification: duties, validators, status, events.
//!
//! Guarantees: reading ignores unknown keys. Source: the Ethereum beacon API, v1 paths.

use serde::{Deserialize, Serialize};

use crate::{
    BlsPubkey, BlsSignature, CommitteeIndex, Epoch, ExecutionAddress, ForkVersion, Gwei, Root, Slot, ValidatorIndex,
    primitives::{quoted, quoted_list},
};

/// An attester's duty in one epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AttesterDuty {
    /// The validator.
    pub pubkey: BlsPubkey,
    /// When it attests.
    pub slot: Slot,
    /// Its index.
    pub validator_index: ValidatorIndex,
    /// Its committee.
    pub committee_index: CommitteeIndex,
    /// Members of that committee.
    #[serde(with = "quoted")]
    pub committee_length: u64,
    /// Committees in that slot.
    #[serde(with = "quoted")]
    pub committees_at_slot: u64,
    /// The validator's position in the committee.
    #[serde(with = "quoted")]
    pub validator_committee_index: u64,
}

/// A proposer's duty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProposerDuty {
    /// The validator.
    pub pubkey: BlsPubkey,
    /// When it proposes.
    pub slot: Slot,
    /// Its index.
    pub validator_index: ValidatorIndex,
}

/// A sync committee member's duty in one period.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SyncDuty {
    /// The validator.
    pub pubkey: BlsPubkey,
    /// Its index.
    pub validator_index: ValidatorIndex,
    /// Its positions in the committee.
    #[serde(with = "quoted_list")]
    pub validator_sync_committee_indices: Vec<u64>,
}

/// Where a validator stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValidatorStatus {
    /// Deposited, not yet queued.
    PendingInitialized,
    /// Waiting for its activation.
    PendingQueued,
    /// At work.
    ActiveOngoing,
    /// At work, leaving.
    ActiveExiting,
    /// At work, leaving as a punishment.
    ActiveSlashed,
    /// Gone.
    ExitedUnslashed,
    /// Gone as a punishment.
    ExitedSlashed,
    /// Balance may be withdrawn.
    WithdrawalPossible,
    /// Balance has been withdrawn.
    WithdrawalDone,
}

impl ValidatorStatus {
    /// The name in the beacon API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PendingInitialized => "pending_initialized",
            Self::PendingQueued => "pending_queued",
            Self::ActiveOngoing => "active_ongoing",
            Self::ActiveExiting => "active_exiting",
            Self::ActiveSlashed => "active_slashed",
            Self::ExitedUnslashed => "exited_unslashed",
            Self::ExitedSlashed => "exited_slashed",
            Self::WithdrawalPossible => "withdrawal_possible",
            Self::WithdrawalDone => "withdrawal_done",
        }
    }

    /// Whether its life on chain has not begun.
    #[must_use]
    pub const fn is_pending(self) -> bool {
        match self {
            Self::PendingInitialized | Self::PendingQueued => true,
            Self::ActiveOngoing
            | Self::ActiveExiting
            | Self::ActiveSlashed
            | Self::ExitedUnslashed
            | Self::ExitedSlashed
            | Self::WithdrawalPossible
            | Self::WithdrawalDone => false,
        }
    }

    /// Whether it has attestation duties.
    #[must_use]
    pub const fn is_active(self) -> bool {
        match self {
            Self::ActiveOngoing | Self::ActiveExiting | Self::ActiveSlashed => true,
            Self::PendingInitialized
            | Self::PendingQueued
            | Self::ExitedUnslashed
            | Self::ExitedSlashed
            | Self::WithdrawalPossible
            | Self::WithdrawalDone => false,
        }
    }
}

impl std::fmt::Display for ValidatorStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// A validator in a state.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ValidatorInfo {
    /// Its index.
    pub index: ValidatorIndex,
    /// Its balance.
    pub balance: Gwei,
    /// Where it stands.
    pub status: ValidatorStatus,
    /// Its record.
    pub validator: ValidatorRecord,
}

/// A validator's record in the state.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ValidatorRecord {
    /// Its key.
    pub pubkey: BlsPubkey,
    /// Who may withdraw.
    pub withdrawal_credentials: Root,
    /// The balance that counts.
    pub effective_balance: Gwei,
    /// Whether it was slashed.
    pub slashed: bool,
    /// When it could be activated.
    pub activation_eligibility_epoch: Epoch,
    /// When it begins.
    pub activation_epoch: Epoch,
    /// When it ends.
    pub exit_epoch: Epoch,
    /// When its balance is free.
    pub withdrawable_epoch: Epoch,
}

/// How far a beacon node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SyncingStatus {
    /// Its head.
    pub head_slot: Slot,
    /// Slots that it lacks.
    #[serde(with = "quoted")]
    pub sync_distance: u64,
    /// Whether it is catching up.
    pub is_syncing: bool,
    /// Whether its head has not been verified by an execution client.
    #[serde(default)]
    pub is_optimistic: bool,
    /// Whether its execution client does not answer.
    #[serde(default)]
    pub el_offline: bool,
}

/// An event of the topic `head`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HeadEvent {
    /// The head's slot.
    pub slot: Slot,
    /// The head.
    pub block: Root,
    /// Its state.
    pub state: Root,
    /// Whether it begins an epoch.
    pub epoch_transition: bool,
    /// What the duties of the current epoch depend on.
    #[serde(default)]
    pub previous_duty_dependent_root: Root,
    /// What the duties of the next epoch depend on.
    #[serde(default)]
    pub current_duty_dependent_root: Root,
    /// Whether the head has not been verified by an execution client.
    #[serde(default)]
    pub execution_optimistic: bool,
}

/// An event of the topic `chain_reorg`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ReorgEvent {
    /// The new head's slot.
    pub slot: Slot,
    /// How many slots before it the chains part.
    #[serde(with = "quoted")]
    pub depth: u64,
    /// The head that was.
    #[serde(default)]
    pub old_head_block: Root,
    /// The head that is.
    #[serde(default)]
    pub new_head_block: Root,
}

/// An event of the topic `block`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BlockEvent {
    /// The block's slot.
    pub slot: Slot,
    /// The block.
    pub block: Root,
    /// Whether it has not been verified by an execution client.
    #[serde(default)]
    pub execution_optimistic: bool,
}

/// What a beacon node tells of its chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChainEvent {
    /// Another head.
    Head(HeadEvent),
    /// A head that does not build on the one before.
    Reorg(ReorgEvent),
    /// A block was taken in; it may become the head.
    Block(BlockEvent),
}

/// Who attests together in a slot.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BeaconCommittee {
    /// Its number in the slot.
    pub index: CommitteeIndex,
    /// The slot.
    pub slot: Slot,
    /// Its members, in the order of the aggregation bits.
    pub validators: Vec<ValidatorIndex>,
}

/// How the chain began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Genesis {
    /// Unix seconds of slot 0.
    #[serde(with = "quoted")]
    pub genesis_time: u64,
    /// Names the chain.
    pub genesis_validators_root: Root,
    /// The first fork's version.
    pub genesis_fork_version: ForkVersion,
}

/// A validator's wishes for blocks from builders.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Default,
    ssz_derive::Encode,
    ssz_derive::Decode,
    tree_hash_derive::TreeHash,
    Serialize,
    Deserialize,
)]
pub struct ValidatorRegistrationV1 {
    /// Who gets the fees.
    pub fee_recipient: ExecutionAddress,
    /// Wished gas limit.
    #[serde(with = "quoted")]
    pub gas_limit: u64,
    /// Unix seconds; a later registration replaces an earlier one.
    #[serde(with = "quoted")]
    pub timestamp: u64,
    /// The validator.
    pub pubkey: BlsPubkey,
}

/// A [`ValidatorRegistrationV1`] with the validator's signature.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Default,
    ssz_derive::Encode,
    ssz_derive::Decode,
    tree_hash_derive::TreeHash,
    Serialize,
    Deserialize,
)]
pub struct SignedValidatorRegistrationV1 {
    /// What is signed.
    pub message: ValidatorRegistrationV1,
    /// The validator's signature.
    pub signature: BlsSignature,
}

/// A validator's proof of selection for aggregating attestations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct BeaconCommitteeSelection {
    /// The validator.
    pub validator_index: ValidatorIndex,
    /// The slot, which is signed.
    pub slot: Slot,
    /// The signature.
    pub selection_proof: BlsSignature,
}

/// A validator's proof of selection for aggregating sync committee messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct SyncCommitteeSelection {
    /// The validator.
    pub validator_index: ValidatorIndex,
    /// The slot.
    pub slot: Slot,
    /// Which of the four subcommittees.
    #[serde(with = "quoted")]
    pub subcommittee_index: u64,
    /// The signature of slot and subcommittee.
    pub selection_proof: BlsSignature,
}
