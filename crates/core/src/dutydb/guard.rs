//! The rules that keep two different values from being handed out for one duty, as a pure structure.
//!
//! Guarantees: a set is admitted as a whole or not at all; what was admitted once stays until its duty is trimmed, and
//! nothing at or below a trimmed slot is ever admitted again.
//! Not here: the disk, and who may see a value when (`dutydb`).

use std::collections::{BTreeMap, BTreeSet};

use trireme_eth2::{AttestationData, CommitteeIndex, Root, Slot, SyncCommitteeContribution, ValidatorIndex};

use crate::{
    data::{UnsignedData, UnsignedDataSet},
    duty::{Duty, DutyType},
    ids::PubKey,
    time::SlotTiming,
};

/// Why a decided set is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The duty, or this kind of duty in a later slot, has been trimmed.
    #[error("duty {duty} is not after slot {floor}, up to which such duties are closed")]
    Closed {
        /// The duty.
        duty: Duty,
        /// The highest closed slot.
        floor: Slot,
    },
    /// Other data are stored for the key.
    #[error("other {what} is already stored for duty {duty}, validator {}", .validator.short())]
    Conflict {
        /// The duty.
        duty: Duty,
        /// The validator.
        validator: PubKey,
        /// What differs.
        what: &'static str,
    },
    /// A proposer set with several validators.
    #[error("duty {duty} has {n} blocks, there can be only one")]
    SeveralBlocks {
        /// The duty.
        duty: Duty,
        /// How many there are.
        n: usize,
    },
    /// Data of another slot or epoch than the duty's: whoever proposed them lies, and they could be slashable.
    #[error("duty {duty} was decided with {what}, which does not belong to it")]
    OtherTime {
        /// The duty.
        duty: Duty,
        /// What does not fit.
        what: String,
    },
    /// An aggregate that does not say of which committee.
    #[error("duty {duty} was decided with an aggregate of validator {} that is not of exactly one committee", .validator.short())]
    NoCommittee {
        /// The duty.
        duty: Duty,
        /// The validator.
        validator: PubKey,
    },
    /// Data of another kind than the duty's.
    #[error("duty {duty} cannot be stored with {what}")]
    Kind {
        /// The duty.
        duty: Duty,
        /// What came.
        what: &'static str,
    },
}

/// Whether all data of a set are of the duty's slot and vote for the target of its epoch. The leader chooses the value,
/// so a set that everybody has agreed on may still be about another slot, for which the validator signs something else.
pub(crate) fn of_its_time(duty: Duty, set: &UnsignedDataSet, timing: &SlotTiming) -> Result<(), Refused> {
    let refused = |what| Err(Refused::OtherTime { duty, what });
    for value in set.0.values() {
        match value {
            UnsignedData::Attestation(att) => {
                let (data, epoch) = (&att.data, timing.epoch(duty.slot));
                if data.slot != duty.slot {
                    return refused(format!("attestation data of slot {}", data.slot));
                }
                if data.target.epoch != epoch || data.source.epoch > epoch {
                    let (source, target) = (data.source.epoch.0, data.target.epoch.0);
                    return refused(format!("a vote from source epoch {source} to target epoch {target}"));
                }
            }
            UnsignedData::Proposal(block) => {
                if block.slot() != duty.slot {
                    return refused(format!("a block of slot {}", block.slot()));
                }
            }
            UnsignedData::Aggregate(aggregate) => {
                let data = aggregate.data();
                if data.slot != duty.slot {
                    return refused(format!("an aggregate of slot {}", data.slot));
                }
            }
            UnsignedData::Contribution(one) => {
                if one.slot != duty.slot {
                    return refused(format!("a contribution of slot {}", one.slot));
                }
            }
            UnsignedData::Contributions(list) => {
                if let Some(other) = list.iter().find(|one| one.slot != duty.slot) {
                    return refused(format!("a contribution of slot {}", other.slot));
                }
            }
            // The guard admits none.
            UnsignedData::UnversionedAggregate(_) => {}
        }
    }
    Ok(())
}

/// Slot, subcommittee, block.
type Subcommittee = (Slot, u64, Root);

#[derive(Debug, Clone)]
struct Entry {
    value: UnsignedData,
    durable: bool,
}

/// See the module's description.
#[derive(Debug, Default)]
pub struct Guard {
    values: BTreeMap<(DutyType, Slot, PubKey), Entry>,
    data: BTreeMap<(Slot, CommitteeIndex), AttestationData>,
    validators: BTreeMap<(Slot, CommitteeIndex, ValidatorIndex), PubKey>,
    contributions: BTreeMap<Subcommittee, SyncCommitteeContribution>,
    floors: BTreeMap<DutyType, Slot>,
}

impl Guard {
    /// Checks the whole set and, if nothing conflicts, takes it up. Returns the validators whose value is not yet
    /// durable, new ones and those of an earlier write that was not finished.
    pub fn admit(&mut self, duty: Duty, set: &UnsignedDataSet) -> Result<Vec<PubKey>, Refused> {
        if let Some(floor) = self.floors.get(&duty.kind).filter(|floor| duty.slot <= **floor) {
            return Err(Refused::Closed { duty, floor: *floor });
        }
        if duty.kind == DutyType::Proposer && set.0.len() > 1 {
            return Err(Refused::SeveralBlocks { duty, n: set.0.len() });
        }
        let mut batch = Batch::default();
        for (validator, value) in &set.0 {
            self.check(duty, *validator, value, &mut batch)?;
        }
        self.data.extend(batch.data);
        self.validators.extend(batch.validators);
        self.contributions.extend(batch.contributions);
        let mut open = Vec::new();
        for (validator, value) in &set.0 {
            let key = (duty.kind, duty.slot, *validator);
            let entry = self.values.entry(key).or_insert_with(|| Entry {
                value: value.clone(),
                durable: false,
            });
            if !entry.durable {
                open.push(*validator);
            }
        }
        Ok(open)
    }

    fn check(&self, duty: Duty, validator: PubKey, value: &UnsignedData, batch: &mut Batch) -> Result<(), Refused> {
        let conflict = |what| Refused::Conflict { duty, validator, what };
        match (duty.kind, value) {
            (DutyType::Proposer, UnsignedData::Proposal(block)) => {
                // One block per slot, whoever its validator is.
                let stored = self.of(duty).map(|(_, v)| v).next();
                if let Some(UnsignedData::Proposal(known)) = stored
                    && known.block_root() != block.block_root()
                {
                    return Err(conflict("block"));
                }
            }
            (DutyType::Attester, UnsignedData::Attestation(att)) => {
                if let Some(UnsignedData::Attestation(known)) = self.value(duty, &validator)
                    && known != att
                {
                    return Err(conflict("attestation"));
                }
                let (slot, committee) = (att.data.slot, att.duty.committee_index);
                let key = (slot, committee);
                if self
                    .data
                    .get(&key)
                    .or_else(|| batch.data.get(&key))
                    .is_some_and(|known| *known != att.data)
                {
                    return Err(conflict("attestation data of the committee"));
                }
                // Whatever the committee, all of a slot vote for the same checkpoints.
                let any = self
                    .data
                    .range((slot, CommitteeIndex(0))..=(slot, CommitteeIndex(u64::MAX)))
                    .next();
                let any = any.or_else(|| {
                    batch
                        .data
                        .range((slot, CommitteeIndex(0))..=(slot, CommitteeIndex(u64::MAX)))
                        .next()
                });
                if any.is_some_and(|(_, known)| (known.source, known.target) != (att.data.source, att.data.target)) {
                    return Err(conflict("source or target checkpoint of the slot"));
                }
                batch.data.insert(key, att.data);
                for committee in BTreeSet::from([committee, CommitteeIndex(0)]) {
                    let key = (slot, committee, att.duty.validator_index);
                    let known = self.validators.get(&key).or_else(|| batch.validators.get(&key));
                    if known.is_some_and(|known| *known != validator) {
                        return Err(conflict("validator key of the index"));
                    }
                    batch.validators.insert(key, validator);
                }
            }
            // Aggregates of the same votes may differ; none of them is slashable, and the first one stays.
            (DutyType::Aggregator, UnsignedData::Aggregate(aggregate)) => {
                if aggregate.committee().is_none() {
                    return Err(Refused::NoCommittee { duty, validator });
                }
            }
            (DutyType::SyncContribution, UnsignedData::Contribution(one)) => {
                if !self.fits(one, batch) {
                    return Err(conflict("contribution of the subcommittee"));
                }
            }
            (DutyType::SyncContribution, UnsignedData::Contributions(list)) => {
                for one in list {
                    if !self.fits(one, batch) {
                        return Err(conflict("contribution of the subcommittee"));
                    }
                }
            }
            (_, other) => {
                return Err(Refused::Kind {
                    duty,
                    what: name(other),
                });
            }
        }
        Ok(())
    }

    /// Notes the contribution unless another one of its subcommittee and block is known.
    fn fits(&self, one: &SyncCommitteeContribution, batch: &mut Batch) -> bool {
        let key = (one.slot, one.subcommittee_index, one.beacon_block_root);
        let known = self.contributions.get(&key).or_else(|| batch.contributions.get(&key));
        let fits = known.is_none_or(|known| known == one);
        if fits {
            batch.contributions.insert(key, one.clone());
        }
        fits
    }

    /// Marks values as being on disk.
    pub fn durable(&mut self, duty: Duty, validators: &[PubKey]) {
        for validator in validators {
            if let Some(entry) = self.values.get_mut(&(duty.kind, duty.slot, *validator)) {
                entry.durable = true;
            }
        }
    }

    /// A stored value.
    #[must_use]
    pub fn value(&self, duty: Duty, validator: &PubKey) -> Option<&UnsignedData> {
        self.values.get(&(duty.kind, duty.slot, *validator)).map(|e| &e.value)
    }

    /// All values of a duty.
    pub fn of(&self, duty: Duty) -> impl Iterator<Item = (PubKey, &UnsignedData)> {
        let (lowest, highest) = (PubKey([0; 48]), PubKey([0xff; 48]));
        self.values
            .range((duty.kind, duty.slot, lowest)..=(duty.kind, duty.slot, highest))
            .map(|((_, _, validator), entry)| (*validator, &entry.value))
    }

    /// The validator behind an attester's index.
    #[must_use]
    pub fn validator(&self, slot: Slot, committee: CommitteeIndex, index: ValidatorIndex) -> Option<PubKey> {
        self.validators.get(&(slot, committee, index)).copied()
    }

    /// Closes all slots of the type up to `slot` and forgets their values; returns what was forgotten.
    pub fn close(&mut self, kind: DutyType, slot: Slot) -> Vec<(Slot, PubKey)> {
        let floor = self.floors.entry(kind).or_insert(slot);
        *floor = (*floor).max(slot);
        let mut gone = Vec::new();
        self.values.retain(|(k, s, validator), _| {
            let stays = *k != kind || *s > slot;
            if !stays {
                gone.push((*s, *validator));
            }
            stays
        });
        if kind == DutyType::Attester {
            self.data.retain(|(s, _), _| *s > slot);
            self.validators.retain(|(s, _, _), _| *s > slot);
        } else if kind == DutyType::SyncContribution {
            self.contributions.retain(|(s, _, _), _| *s > slot);
        }
        gone
    }

    /// The highest closed slot of a type.
    #[must_use]
    pub fn floor(&self, kind: DutyType) -> Option<Slot> {
        self.floors.get(&kind).copied()
    }

    /// Number of stored values.
    #[must_use]
    pub fn stored(&self) -> usize {
        self.values.len()
    }
}

#[derive(Default)]
struct Batch {
    data: BTreeMap<(Slot, CommitteeIndex), AttestationData>,
    validators: BTreeMap<(Slot, CommitteeIndex, ValidatorIndex), PubKey>,
    contributions: BTreeMap<Subcommittee, SyncCommitteeContribution>,
}

const fn name(value: &UnsignedData) -> &'static str {
    match value {
        UnsignedData::Attestation(_) => "attestation data",
        UnsignedData::Proposal(_) => "a block",
        UnsignedData::Aggregate(_) | UnsignedData::UnversionedAggregate(_) => "an aggregate",
        UnsignedData::Contribution(_) | UnsignedData::Contributions(_) => "a contribution",
    }
}
