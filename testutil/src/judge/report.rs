//! What came of the duties of some slots.
//!
//! Guarantees: what is expected follows from the chain's assignment; each expected duty is either completed in time or
//! missed for a reason. Not here: why a node was slow (its own logs say that).

use std::{collections::BTreeMap, ops::Range, time::Duration};

use serde::Serialize;
use trireme_eth2::{Slot, ValidatorIndex};

use super::{
    chain::number,
    reads::PathReads,
    selection::Role,
    state::{DutyKind, DutyOf, Judge, Refusal},
};

/// Everything about a range of slots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// By kind of duty.
    pub duties: BTreeMap<DutyKind, DutyReport>,
    /// What was read from the beacon nodes, by method and path.
    pub reads: BTreeMap<String, PathReads>,
    /// Which block the votes of attesters and of the sync committee were for.
    pub heads: Heads,
}

/// Votes by their head: right if it is what the chain now has as its newest block at the vote's slot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Heads {
    /// For the head.
    pub right: u64,
    /// For another block.
    pub wrong: u64,
}

/// The duties of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DutyReport {
    /// How many the chain gave out.
    pub expected: u64,
    /// How many came in time.
    pub completed: u64,
    /// The others.
    pub missed: Vec<Missed>,
    /// When the completed ones came, in milliseconds from the start of the slot.
    pub offset_ms: Offsets,
}

/// A duty that was not completed in time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Missed {
    /// Its slot.
    pub slot: u64,
    /// Whose it was, and why it is missed.
    pub reason: String,
}

/// Distribution of arrivals.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Offsets {
    /// Half came before.
    pub p50: u64,
    /// Nine in ten came before.
    pub p90: u64,
    /// 99 in 100 came before.
    pub p99: u64,
    /// The last.
    pub max: u64,
}

impl Offsets {
    /// The distribution of the given offsets; all zero if there are none.
    #[must_use]
    pub fn of(mut offsets: Vec<u64>) -> Self {
        offsets.sort_unstable();
        // The smallest value that at least so many percent do not exceed.
        let rank = |percent: usize| {
            let nth = offsets.len().saturating_mul(percent).div_ceil(100).max(1);
            offsets.get(nth.saturating_sub(1)).copied().unwrap_or_default()
        };
        Self {
            p50: rank(50),
            p90: rank(90),
            p99: rank(99),
            max: rank(100),
        }
    }
}

/// Until when a duty counts as completed: a block and everything of the sync committee until its slot ends, since then
/// the next block may be built without it; an attestation and an aggregate until the next slot ends, since a block may
/// still include it with every part but the head's paid; a registration until its epoch ends, since the next has its own;
/// an exit for two slots, which is our own measure.
#[must_use]
pub fn due(judge: &Judge, kind: DutyKind, slot: Slot) -> Duration {
    let slots = match kind {
        DutyKind::Proposer | DutyKind::SyncMessage | DutyKind::SyncContribution => 1,
        DutyKind::Attester | DutyKind::Aggregator | DutyKind::Exit => 2,
        DutyKind::BuilderRegistration => judge.chain().slots_per_epoch,
    };
    judge.chain().start(Slot(slot.0.saturating_add(slots)))
}

/// Counts the duties of `slots`. Ask after the last slot's attestations are due.
pub fn report(judge: &mut Judge, slots: Range<u64>) -> Report {
    let mut refused: BTreeMap<DutyOf, Refusal> = BTreeMap::new();
    for refusal in judge.refusals() {
        if let Some(duty) = refusal.duty {
            refused.insert(duty, refusal.clone());
        }
    }
    let mut duties: BTreeMap<DutyKind, (DutyReport, Vec<u64>)> = BTreeMap::new();
    let (reads, heads) = (judge.reads.of(slots.clone()), heads(judge, slots.clone()));
    for slot in slots.map(Slot) {
        for duty in duties_of(judge, slot) {
            let (report, offsets) = duties.entry(duty.kind).or_default();
            report.expected = report.expected.saturating_add(1);
            let (start, due) = (judge.chain().start(slot), due(judge, duty.kind, slot));
            let offset = judge.arrival(duty).map(|at| (at, at.saturating_sub(start).as_millis()));
            let reason = match (offset, refused.get(&duty)) {
                (Some((at, ms)), _) if at < due => {
                    report.completed = report.completed.saturating_add(1);
                    offsets.push(u64::try_from(ms).unwrap_or(u64::MAX));
                    continue;
                }
                (Some((_, ms)), _) => format!("late: it came {ms} ms after the start of its slot"),
                (None, Some(refusal)) => format!("refused: {}", refusal.reason),
                (None, None) => "nothing arrived".to_owned(),
            };
            report.missed.push(Missed {
                slot: slot.0,
                reason: format!("validator {}: {reason}", duty.validator.0),
            });
        }
    }
    let finish = |(kind, (report, offsets))| {
        (
            kind,
            DutyReport {
                offset_ms: Offsets::of(offsets),
                ..report
            },
        )
    };
    Report {
        duties: duties.into_iter().map(finish).collect(),
        reads,
        heads,
    }
}

/// All duties of a slot that are counted.
fn duties_of(judge: &mut Judge, slot: Slot) -> Vec<DutyOf> {
    if judge.chain().validators.is_empty() {
        return Vec::new();
    }
    let counted = judge.config().counted.clone();
    let mut duties = Vec::new();
    for kind in DutyKind::ALL.into_iter().filter(|kind| counted.contains(kind)) {
        let whose = who(judge, kind, slot);
        duties.extend(whose.into_iter().map(|validator| DutyOf { kind, slot, validator }));
    }
    duties
}

/// Who has a duty of this kind in a slot.
fn who(judge: &mut Judge, kind: DutyKind, slot: Slot) -> Vec<ValidatorIndex> {
    let epoch = judge.chain().epoch(slot);
    match kind {
        DutyKind::Proposer if judge.is_strangers(slot) => Vec::new(),
        DutyKind::Proposer => vec![judge.proposer(slot)],
        DutyKind::Attester => judge.committees(epoch).attesters(slot).collect(),
        DutyKind::SyncMessage => judge.sync_members(slot).into_keys().collect(),
        DutyKind::Aggregator => selected(judge, slot, |role| role == Role::Votes),
        DutyKind::SyncContribution => selected(judge, slot, |role| role != Role::Votes),
        DutyKind::BuilderRegistration => {
            let begins = judge.config().builder && judge.chain().first_slot(epoch) == slot;
            let everyone = (0..judge.chain().validators.len()).map(|n| ValidatorIndex(number(n)));
            everyone.filter(|_| begins).collect()
        }
        DutyKind::Exit => judge.announced(slot),
    }
}

fn selected(judge: &mut Judge, slot: Slot, of: impl Fn(Role) -> bool) -> Vec<ValidatorIndex> {
    let candidates = judge.candidates(slot).into_iter().filter(|(_, role, _)| of(*role));
    let candidates: Vec<_> = candidates.collect();
    let is_selected =
        |(validator, role, members): &(_, _, _)| judge.is_selected(slot, *validator, *role, *members) == Some(true);
    candidates
        .into_iter()
        .filter(is_selected)
        .map(|(validator, ..)| validator)
        .collect()
}

fn heads(judge: &Judge, slots: Range<u64>) -> Heads {
    let mut heads = Heads::default();
    for (duty, root) in &judge.voted_heads {
        if !slots.contains(&duty.slot.0) {
            continue;
        }
        if judge.root_until(duty.slot) == *root {
            heads.right = heads.right.saturating_add(1);
        } else {
            heads.wrong = heads.wrong.saturating_add(1);
        }
    }
    heads
}

#[cfg(test)]
mod tests {
    use super::Offsets;

    #[test]
    fn percentiles_are_the_smallest_value_that_so_many_do_not_exceed() {
        let hundred = Offsets::of((1..=100).rev().collect());
        assert_eq!(
            hundred,
            Offsets {
                p50: 50,
                p90: 90,
                p99: 99,
                max: 100
            }
        );
        assert_eq!(
            Offsets::of(vec![7]),
            Offsets {
                p50: 7,
                p90: 7,
                p99: 7,
                max: 7
            }
        );
        assert_eq!(Offsets::of(vec![]), Offsets::default());
        assert_eq!(
            Offsets::of(vec![3, 1]),
            Offsets {
                p50: 1,
                p90: 3,
                p99: 3,
                max: 3
            }
        );
    }
}
