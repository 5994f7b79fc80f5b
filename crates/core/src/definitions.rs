//! What an epoch's resolution says about the cluster's duties: who has to do what, when.
//!
//! Guarantees: a set is about one duty and has one definition per validator.
//! Not here: how duties are resolved and triggered (`scheduler`); definitions are never sent to peers.

use std::collections::BTreeMap;

use trireme_eth2::{AttesterDuty, ProposerDuty, SyncDuty, ValidatorIndex};

use crate::{
    duty::Duty,
    ids::PubKey,
    step::{Subject, Subjects},
};

/// One validator's part in a duty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DutyDefinition {
    /// For attester and aggregator duties.
    Attester(AttesterDuty),
    /// For proposer duties.
    Proposer(ProposerDuty),
    /// For sync contribution duties.
    Sync(SyncDuty),
}

impl DutyDefinition {
    /// The validator's index on chain.
    #[must_use]
    pub const fn validator_index(&self) -> ValidatorIndex {
        match self {
            Self::Attester(duty) => duty.validator_index,
            Self::Proposer(duty) => duty.validator_index,
            Self::Sync(duty) => duty.validator_index,
        }
    }
}

/// The cluster's part in one duty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DutyDefinitionSet(pub BTreeMap<PubKey, DutyDefinition>);

impl Subjects for DutyDefinitionSet {
    fn subjects(&self) -> Vec<Subject> {
        self.0.keys().copied().map(Subject::of).collect()
    }
}

/// What is known of the cluster's duties at this moment, without waiting (answered by `Scheduler`).
pub trait KnownDuties: Send + Sync {
    /// The definitions of a duty, empty if nobody of the cluster has it; `None` while that is not certain: its epoch is
    /// not resolved, is being resolved, or rests on another chain than the one that a beacon node tells of.
    fn known(&self, duty: Duty) -> Option<DutyDefinitionSet>;
}
