//! How long a round lasts: the three round timers as pure functions (consensus.md 10).
//!
//! Guarantees: all nodes with the same features compute the same deadlines; an absolute timer looks only at the duty
//! and the chain's clockwork.
//! Not here: waiting (`runner`), what a fired timer does (`trireme_qbft`).

use std::{collections::BTreeMap, time::Duration};

use trireme_qbft::Round;

use crate::{
    duty::{Duty, DutyType},
    time::{SlotTiming, UnixTime},
};

/// Which timer the cluster's features choose for a duty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimerKind {
    /// Grows by a quarter of a second per round, from the moment of the (re)start.
    Increasing,
    /// Absolute deadlines from the start of the duty, doubled in a round that has a proposal. The default.
    EagerDoubleLinear,
    /// Short rounds after a first one of a second.
    Linear,
}

/// The features that choose timers. They must be the same on all nodes of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimerFeatures {
    /// `linear`: proposer duties use the linear timer.
    pub linear: bool,
    /// `eager_double_linear`: other duties (and proposers without `linear`) use absolute deadlines.
    pub eager_double_linear: bool,
    /// `proposal_timeout`: longer rounds for proposer duties.
    pub proposal_timeout: bool,
}

impl Default for TimerFeatures {
    fn default() -> Self {
        Self { linear: false, eager_double_linear: true, proposal_timeout: true }
    }
}

impl TimerKind {
    /// The timer for `duty`.
    #[must_use]
    pub const fn choose(kind: DutyType, features: TimerFeatures) -> Self {
        if features.linear && matches!(kind, DutyType::Proposer) {
            Self::Linear
        } else if features.eager_double_linear {
            Self::EagerDoubleLinear
        } else {
            Self::Increasing
        }
    }

    /// The label in metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Increasing => "inc",
            Self::EagerDoubleLinear => "eager_dlinear",
            Self::Linear => "linear",
        }
    }
}

/// When the duty's data is expected, from the start of its slot: consensus begins then.
#[must_use]
pub fn start_offset(kind: DutyType, slot_duration: Duration) -> Duration {
    match kind {
        DutyType::Attester => slot_duration / 3,
        DutyType::Aggregator | DutyType::SyncContribution => slot_duration * 2 / 3,
        DutyType::Proposer
        | DutyType::Signature
        | DutyType::Exit
        | DutyType::BuilderProposer
        | DutyType::BuilderRegistration
        | DutyType::Randao
        | DutyType::PrepareAggregator
        | DutyType::SyncMessage
        | DutyType::PrepareSyncContribution
        | DutyType::InfoSync => Duration::ZERO,
    }
}

/// The length of `round` for the relative timers, and T(r) of the absolute one.
#[must_use]
pub fn round_length(timer: TimerKind, kind: DutyType, round: Round, proposal_timeout: bool) -> Duration {
    const MS: u64 = 1;
    let longer = proposal_timeout && kind == DutyType::Proposer;
    let r = round.0;
    let first_proposal = longer && round == Round::FIRST;
    let ms = match timer {
        TimerKind::EagerDoubleLinear => {
            r.saturating_mul(1_000 * MS).saturating_add(if longer { 500 * MS } else { 0 })
        }
        TimerKind::Increasing | TimerKind::Linear if first_proposal => 1_500 * MS,
        TimerKind::Increasing => r.saturating_mul(250).saturating_add(750),
        TimerKind::Linear if round == Round::FIRST => 1_000 * MS,
        TimerKind::Linear => r.saturating_sub(1).saturating_mul(200).saturating_add(200),
    };
    Duration::from_millis(ms)
}

/// The timer of one instance: remembers which rounds it has timed already.
#[derive(Debug, Clone)]
pub struct RoundTimer {
    timer: TimerKind,
    kind: DutyType,
    proposal_timeout: bool,
    duty_start: UnixTime,
    first_expiry: BTreeMap<Round, UnixTime>,
}

impl RoundTimer {
    /// The timer of `duty` on a chain with this clockwork.
    #[must_use]
    pub fn new(duty: Duty, timing: &SlotTiming, features: TimerFeatures) -> Self {
        Self {
            timer: TimerKind::choose(duty.kind, features),
            kind: duty.kind,
            proposal_timeout: features.proposal_timeout,
            duty_start: timing.start(duty.slot).after(start_offset(duty.kind, timing.slot_duration)),
            first_expiry: BTreeMap::new(),
        }
    }

    /// Which timer this is.
    #[must_use]
    pub const fn kind(&self) -> TimerKind {
        self.timer
    }

    /// (Re)starts the timer of `round` at `now`: the time at which it fires, which may be past.
    ///
    /// The absolute timer fires at the start of the duty plus T(r); any further start of the same round, that is on a
    /// justified PRE-PREPARE, adds T(r) once more to the first expiry, however often it happens.
    pub fn start(&mut self, round: Round, now: UnixTime) -> UnixTime {
        let length = round_length(self.timer, self.kind, round, self.proposal_timeout);
        match self.timer {
            TimerKind::Increasing | TimerKind::Linear => now.after(length),
            TimerKind::EagerDoubleLinear => {
                // Only the current round is ever restarted, so older rounds need not be remembered.
                self.first_expiry.retain(|known, _| *known >= round);
                if let Some(first) = self.first_expiry.get(&round) {
                    return first.after(length);
                }
                let first = self.duty_start.after(length);
                self.first_expiry.insert(round, first);
                first
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::duty::Slot;

    const TIMING: SlotTiming =
        SlotTiming { genesis: UnixTime::from_secs(0), slot_duration: Duration::from_secs(12), slots_per_epoch: 32 };

    #[test]
    fn a_round_with_a_proposal_lasts_twice_as_long_once() {
        let mut timer =
            RoundTimer::new(Duty::new(Slot(1), DutyType::Attester), &TIMING, TimerFeatures::default());
        let begin = UnixTime::from_secs(16);
        assert_eq!(timer.start(Round(1), begin), UnixTime::from_secs(17));
        assert_eq!(timer.start(Round(1), begin), UnixTime::from_secs(18));
        assert_eq!(timer.start(Round(1), begin), UnixTime::from_secs(18));
        assert_eq!(timer.start(Round(2), begin), UnixTime::from_secs(18));
    }

    #[test]
    fn proposals_get_half_a_second_more() {
        let mut timer =
            RoundTimer::new(Duty::new(Slot(0), DutyType::Proposer), &TIMING, TimerFeatures::default());
        assert_eq!(timer.start(Round(1), UnixTime(0)), UnixTime(1_500_000_000));
        assert_eq!(timer.start(Round(2), UnixTime(0)), UnixTime(2_500_000_000));
    }
}
