//! Whether a leader's value may be voted for: it is decoded and looked at before it gets our PREPARE.
//!
//! Guarantees: refuses only what can never be right (no data of the duty, another slot, epoch or fork, validators that
//! are not the cluster's or whose duty is another one), so that nodes with another implementation, which may look at
//! less, are never held up by a good value. Anything else is a matter of taste and is voted for. A decided block of a
//! peer that pays somebody else is told and counted, not refused (`fees` says why).
//! Not here: the same checks on what was decided (`dutydb`), values of the priority protocol.

use std::sync::Arc;

use trireme_eth2::{
    AttesterDuty, ChainSpec, Fork, Root, Slot, SyncCommitteeContribution, ValidatorIndex, Versioned as _,
};

use super::wire::Carried;
use crate::{
    cluster::Cluster,
    data::{UnsignedData, UnsignedDataSet},
    definitions::{DutyDefinition, KnownDuties},
    duty::Duty,
    dutydb,
    fees::{BlockSource, FeeCheck},
    heads::SharedHeads,
    ids::PubKey,
    time::SlotTiming,
    validators::ValidatorCache,
};

/// Looks at the values that leaders propose.
pub trait ValueCheck: Send + Sync {
    /// Whether the set may be voted for.
    ///
    /// # Errors
    ///
    /// What is wrong with it, for the log.
    fn check(&self, duty: Duty, set: &UnsignedDataSet) -> Result<(), String>;

    /// Told, once per duty, that the set was decided on the proposal of a peer.
    fn decided(&self, duty: Duty, set: &UnsignedDataSet, leader: &str);
}

/// The rules of a cluster on its chain.
pub struct ClusterValues {
    /// Whose validators are ours.
    pub cluster: Arc<Cluster>,
    /// Forks.
    pub chain: Arc<ChainSpec>,
    /// Epochs.
    pub timing: SlotTiming,
    /// Indices on chain, as far as they are known.
    pub validators: Arc<ValidatorCache>,
    /// Who has which duty, as far as our own beacon node has told.
    pub duties: Arc<dyn KnownDuties>,
    /// Who is to be paid.
    pub fees: FeeCheck,
    /// What our own beacon nodes have announced.
    pub heads: Arc<SharedHeads>,
}

impl ValueCheck for ClusterValues {
    fn check(&self, duty: Duty, set: &UnsignedDataSet) -> Result<(), String> {
        dutydb::of_its_time(duty, set, &self.timing).map_err(|e| e.to_string())?;
        if let Some(stranger) = set.0.keys().find(|key| self.cluster.position(key).is_none()) {
            return Err(format!("validator {} is not of this cluster", stranger.short()));
        }
        let n = set.0.len();
        set.0.iter().try_for_each(|(validator, data)| match data {
            UnsignedData::Proposal(block) => {
                if n > 1 {
                    return Err(format!("{n} blocks for one slot"));
                }
                self.of_its_fork(duty.slot, block.fork())?;
                self.of_its_validator(validator, block.proposer_index())?;
                self.of_the_proposer(duty, validator)?;
                self.on_the_chain(block.parent_root())
            }
            UnsignedData::Attestation(att) => {
                if att.duty.slot != duty.slot {
                    return Err(format!("an attester's duty of slot {}", att.duty.slot.0));
                }
                if att.duty.pubkey.0 != validator.0 {
                    return Err(format!("the duty of another validator than {}", validator.short()));
                }
                self.of_its_validator(validator, att.duty.validator_index)?;
                self.of_its_place(duty, validator, &att.duty)
            }
            UnsignedData::Aggregate(aggregate) => {
                self.of_its_fork(duty.slot, aggregate.attestation.fork())?;
                if aggregate.committee().is_none() {
                    return Err("an aggregate that is not of exactly one committee".to_owned());
                }
                Ok(())
            }
            UnsignedData::UnversionedAggregate(_) => Err("an aggregate without version".to_owned()),
            UnsignedData::Contribution(one) => self.of_a_subcommittee(one),
            UnsignedData::Contributions(list) if list.is_empty() => Err("an empty list of contributions".to_owned()),
            UnsignedData::Contributions(list) => list.iter().try_for_each(|one| self.of_a_subcommittee(one)),
        })
    }

    fn decided(&self, duty: Duty, set: &UnsignedDataSet, leader: &str) {
        for (validator, data) in &set.0 {
            match data {
                UnsignedData::Proposal(block) => {
                    let _ = self.fees.look_at(duty, validator, block, BlockSource::Peer(leader));
                }
                UnsignedData::Attestation(_)
                | UnsignedData::Aggregate(_)
                | UnsignedData::UnversionedAggregate(_)
                | UnsignedData::Contribution(_)
                | UnsignedData::Contributions(_) => {}
            }
        }
    }
}

impl ClusterValues {
    fn of_its_fork(&self, slot: Slot, fork: Fork) -> Result<(), String> {
        match self.chain.fork_at(slot) {
            Some(expected) if expected != fork => {
                Err(format!("the form of {} in a slot of {}", fork.name(), expected.name()))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// A validator that is not known yet may have any index.
    fn of_its_validator(&self, validator: &PubKey, index: ValidatorIndex) -> Result<(), String> {
        match self.validators.index(validator) {
            Some(known) if known != index => Err(format!(
                "validator index {} where {} has {}",
                index.0,
                validator.short(),
                known.0
            )),
            Some(_) | None => Ok(()),
        }
    }

    /// Where a validator of ours is known to propose in the slot, the block of another one would be signed by nobody and
    /// the slot be lost: it is refused, so that the next leader has a turn.
    ///
    /// Whether honest peers can be held up by that: who proposes depends on the chain before the epoch (by fork, before
    /// the one before). After a reorganisation that reaches so far, a node whose beacon node has not followed yet refuses
    /// what the others agree on; that costs its own vote until the next head, as a node that is away would, and no more.
    /// A slot in which nobody of ours is known to propose is left alone for the same reason: our validator client asks
    /// for no block there, so that nothing can be lost by voting, while the peers may know better.
    fn of_the_proposer(&self, duty: Duty, validator: &PubKey) -> Result<(), String> {
        let Some(known) = self.duties.known(duty) else {
            return Ok(());
        };
        match known.0.keys().next() {
            Some(proposer) if !known.0.contains_key(validator) => Err(format!(
                "a block of validator {} where {} proposes",
                validator.short(),
                proposer.short()
            )),
            Some(_) | None => Ok(()),
        }
    }

    /// A leader whose beacon node is behind, but answers, would have the cluster sign a block that the chain takes no more:
    /// it gets no vote, so that the next leader has a turn. Only a parent counts that was our head too, several heads ago:
    /// late blocks that are passed over, other branches and what we have not seen ourselves are voted for.
    fn on_the_chain(&self, parent: Root) -> Result<(), String> {
        if self.heads.is_outdated(parent) {
            return Err(format!(
                "a block on {parent}, after which several heads have come: the leader's beacon node is behind"
            ));
        }
        Ok(())
    }

    /// A validator whose committee is known must have it in the leader's duty too: our validator client asks for, and
    /// signs, what belongs to its own place. As with blocks, what is not certain is not held against the leader.
    fn of_its_place(&self, duty: Duty, validator: &PubKey, claimed: &AttesterDuty) -> Result<(), String> {
        let place = |d: &AttesterDuty| (d.committee_index, d.committee_length, d.validator_committee_index);
        let known = self.duties.known(duty);
        match known.as_ref().and_then(|known| known.0.get(validator)) {
            Some(DutyDefinition::Attester(own)) if place(own) != place(claimed) => Err(format!(
                "committee {}, place {} of {}, where validator {} has committee {}, place {} of {}",
                claimed.committee_index.0,
                claimed.validator_committee_index,
                claimed.committee_length,
                validator.short(),
                own.committee_index.0,
                own.validator_committee_index,
                own.committee_length,
            )),
            Some(DutyDefinition::Attester(_) | DutyDefinition::Proposer(_) | DutyDefinition::Sync(_)) | None => Ok(()),
        }
    }

    fn of_a_subcommittee(&self, one: &SyncCommitteeContribution) -> Result<(), String> {
        if one.subcommittee_index < self.chain.sync_committee_subnet_count {
            Ok(())
        } else {
            Err(format!("a contribution of subcommittee {}", one.subcommittee_index))
        }
    }
}

/// Decodes a leader's value and looks at it.
pub(super) fn acceptable(duty: Duty, value: &Carried, check: &dyn ValueCheck) -> Result<(), String> {
    let set = value.set().map_err(|e| e.to_string())?;
    let set = UnsignedDataSet::from_proto(duty.kind, &set).map_err(|e| e.to_string())?;
    check.check(duty, &set)
}
