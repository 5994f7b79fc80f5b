//! The questions that the validator API asks other components, each as narrow as its use.
//!
//! Every waiting question ends with the value, with its expiry, or by being dropped; the caller sets no time limit of
//! its own inside, so that the HTTP layer's limit is the only one.

use std::sync::Arc;

use futures::future::BoxFuture;
use trireme_eth2::{
    AttestationData, CommitteeIndex, Root, Slot, SyncCommitteeContribution, ValidatorIndex, VersionedAttestation,
    VersionedProposal,
};

use crate::{
    answers::NoAnswer,
    definitions::DutyDefinitionSet,
    duty::Duty,
    dutydb::DutyDb,
    ids::{PubKey, ShareIdx},
    parsigdb::ParSigDb,
    scheduler::{NotResolved, Scheduler},
};

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

impl AwaitUnsigned for DutyDb {
    fn attestation_data(
        &self,
        slot: Slot,
        committee: CommitteeIndex,
    ) -> BoxFuture<'_, Result<Arc<AttestationData>, NoAnswer>> {
        Box::pin(self.await_attestation(slot, committee))
    }

    fn proposal(&self, slot: Slot) -> BoxFuture<'_, Result<Arc<VersionedProposal>, NoAnswer>> {
        Box::pin(self.await_proposal(slot))
    }
}

/// Waits for what aggregators are to sign (answered by `DutyDb`).
pub trait AwaitAggregates: Send + Sync {
    /// The aggregate agreed for a slot, root of the attestation data and committee.
    fn aggregate(
        &self,
        slot: Slot,
        data_root: Root,
        committee: CommitteeIndex,
    ) -> BoxFuture<'_, Result<Arc<VersionedAttestation>, NoAnswer>>;
    /// The contribution agreed for a slot, subcommittee and block.
    fn contribution(
        &self,
        slot: Slot,
        subcommittee: u64,
        block: Root,
    ) -> BoxFuture<'_, Result<Arc<SyncCommitteeContribution>, NoAnswer>>;
    /// Ends when the cluster has agreed on all of such a duty: what is not there then will never be.
    fn decided(&self, duty: Duty) -> BoxFuture<'_, ()>;
}

impl AwaitAggregates for DutyDb {
    fn aggregate(
        &self,
        slot: Slot,
        data_root: Root,
        committee: CommitteeIndex,
    ) -> BoxFuture<'_, Result<Arc<VersionedAttestation>, NoAnswer>> {
        Box::pin(self.await_aggregate(slot, data_root, committee))
    }

    fn contribution(
        &self,
        slot: Slot,
        subcommittee: u64,
        block: Root,
    ) -> BoxFuture<'_, Result<Arc<SyncCommitteeContribution>, NoAnswer>> {
        Box::pin(self.await_contribution(slot, subcommittee, block))
    }

    fn decided(&self, duty: Duty) -> BoxFuture<'_, ()> {
        Box::pin(self.await_decided(duty))
    }
}

/// Tells whose partial signatures are there (answered by `ParSigDb`); never waits.
pub trait PartialsHeld: Send + Sync {
    /// The shares that have signed for a duty, validator and, where there are several, subcommittee; ascending.
    fn shares(&self, duty: Duty, validator: PubKey, subcommittee: u64) -> Vec<ShareIdx>;
}

impl PartialsHeld for ParSigDb {
    fn shares(&self, duty: Duty, validator: PubKey, subcommittee: u64) -> Vec<ShareIdx> {
        Self::shares(self, duty, validator, subcommittee)
    }
}

/// Finds the validator behind an attestation (answered by `DutyDb`); never waits.
pub trait PubKeyByAttestation: Send + Sync {
    /// The validator with this index that attests in this slot and committee, if its duty has been decided.
    fn pubkey_by_attestation(&self, slot: Slot, committee: CommitteeIndex, validator: ValidatorIndex)
    -> Option<PubKey>;
}

impl PubKeyByAttestation for DutyDb {
    fn pubkey_by_attestation(&self, slot: Slot, committee: CommitteeIndex, index: ValidatorIndex) -> Option<PubKey> {
        Self::pubkey_by_attestation(self, slot, committee, index)
    }
}

/// The cluster's part in duties, as the scheduler resolved it.
pub trait DutyDefinitions: Send + Sync {
    /// The definitions of a duty; `None` if nobody of the cluster has it. Waits while its epoch is being resolved.
    fn definitions(&self, duty: Duty) -> BoxFuture<'_, Result<Option<DutyDefinitionSet>, NotResolved>>;
}

impl DutyDefinitions for Scheduler {
    fn definitions(&self, duty: Duty) -> BoxFuture<'_, Result<Option<DutyDefinitionSet>, NotResolved>> {
        Box::pin(Self::definitions(self, duty))
    }
}
