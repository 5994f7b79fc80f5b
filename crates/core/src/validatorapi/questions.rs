//! The questions that the validator API asks other components, each as narrow as its use.
//!
//! Every waiting question ends with the value, with its expiry, or by being dropped; the caller sets no time limit of
//! its own inside, so that the HTTP layer's limit is the only one.

use std::sync::Arc;

use futures::future::BoxFuture;
use trireme_eth2::{AttestationData, AttesterDuty, CommitteeIndex, ProposerDuty, Slot, ValidatorIndex, VersionedProposal};

use crate::ids::PubKey;

/// Why a waiting question ended without a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// The duty's time is over; the value will not come.
    #[error("the duty has expired")]
    Expired,
    /// The node is stopping.
    #[error("the node is stopping")]
    Stopped,
}

/// Waits for values that the cluster has agreed on (answered by `DutyDb`).
pub trait AwaitUnsigned: Send + Sync {
    /// The attestation data agreed for a slot and committee. From Electra on committee 0 stands for all.
    fn attestation_data(
        &self,
        slot: Slot,
        committee: CommitteeIndex,
    ) -> BoxFuture<'_, Result<Arc<AttestationData>, NoAnswer>>;
    /// The block agreed for a slot.
    fn proposal(&self, slot: Slot) -> BoxFuture<'_, Result<Arc<VersionedProposal>, NoAnswer>>;
}

/// Finds the validator behind an attestation (answered by `DutyDb`); never waits.
pub trait PubKeyByAttestation: Send + Sync {
    /// The validator with this index that attests in this slot and committee, if its duty has been decided.
    fn pubkey_by_attestation(&self, slot: Slot, committee: CommitteeIndex, validator: ValidatorIndex)
    -> Option<PubKey>;
}

/// Why the scheduler does not know the duties of a slot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoDefinitions {
    /// The epoch has not been resolved yet, and is not being resolved now.
    #[error("the duties of epoch {0} are not resolved yet")]
    NotYet(u64),
    /// The epoch is so old that its duties have been forgotten.
    #[error("the duties of epoch {0} have been forgotten")]
    Trimmed(u64),
    /// The node is stopping.
    #[error("the node is stopping")]
    Stopped,
}

/// The cluster's duties of one slot, as the scheduler resolved them. Waits while the epoch is being resolved.
pub trait DutyDefinitions: Send + Sync {
    /// Attester duties of the cluster in `slot`; empty if there are none.
    fn attesters(&self, slot: Slot) -> BoxFuture<'_, Result<Vec<AttesterDuty>, NoDefinitions>>;
    /// Proposer duties of the cluster in `slot`; empty if there are none.
    fn proposers(&self, slot: Slot) -> BoxFuture<'_, Result<Vec<ProposerDuty>, NoDefinitions>>;
}
