//! How long rounds last (consensus.md 10). All nodes of a cluster must choose alike.
//!
//! Guarantees: pure functions of time; no clock is read.

use std::{collections::BTreeMap, time::Duration};

use trireme_qbft::Round;

use crate::{
    duty::{Duty, DutyType},
    time::{SlotTiming, UnixTime},
};

/// The switches that choose the timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimerFeatures {
    /// Feature `eager_double_linear`, on by default.
    pub eager_double_linear: bool,
    /// Feature `linear`, off by default.
    pub linear: bool,
    /// Feature `proposal_timeout`, on by default.
    pub proposal_timeout: bool,
}

impl Default for TimerFeatures {
    fn default() -> Self {
        Self {
            eager_double_linear: true,
            linear: false,
            proposal_timeout: true,
        }
    }
}

/// A way to time rounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimerKind {
    /// Absolute deadlines from the duty's start, doubled once a proposal is there.
    EagerDoubleLinear,
    /// 750 ms and 250 ms more each round.
    Increasing,
    /// One second, then 200 ms per round.
    Linear,
}

impl TimerKind {
    /// The timer of a duty.
    #[must_use]
    pub const fn choose(features: TimerFeatures, duty: DutyType) -> Self {
        match (
            features.linear,
            features.eager_double_linear,
            matches!(duty, DutyType::Proposer),
        ) {
            (true, _, true) => Self::Linear,
            (true | false, true, _) => Self::EagerDoubleLinear,
            (true | false, false, _) => Self::Increasing,
        }
    }

    /// The label in metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EagerDoubleLinear => "eager_dlinear",
            Self::Increasing => "inc",
            Self::Linear => "linear",
        }
    }

    /// How long `round` lasts.
    #[must_use]
    pub fn length(self, round: Round, long_proposal: bool) -> Duration {
        let times = |millis: u64, n: u64| Duration::from_millis(millis.saturating_mul(n));
        let long_first = long_proposal && round == Round::FIRST;
        match self {
            Self::EagerDoubleLinear => {
                let extra = if long_proposal { 500 } else { 0 };
                times(1_000, round.0).saturating_add(Duration::from_millis(extra))
            }
            Self::Increasing | Self::Linear if long_first => Duration::from_millis(1_500),
            Self::Increasing => times(250, round.0).saturating_add(Duration::from_millis(750)),
            Self::Linear if round == Round::FIRST => Duration::from_secs(1),
            Self::Linear => times(200, round.0),
        }
    }
}

/// When the data of a duty is due: the offset at which consensus begins.
#[must_use]
pub fn duty_start(duty: Duty, timing: &SlotTiming) -> UnixTime {
    let thirds = match duty.kind {
        DutyType::Attester => 1,
        DutyType::Aggregator | DutyType::SyncContribution => 2,
        DutyType::Proposer
        | DutyType::Signature
        | DutyType::Exit
        | DutyType::BuilderProposer
        | DutyType::BuilderRegistration
        | DutyType::Randao
        | DutyType::PrepareAggregator
        | DutyType::SyncMessage
        | DutyType::PrepareSyncContribution
        | DutyType::InfoSync => 0,
    };
    let offset = timing
        .slot_duration
        .saturating_mul(thirds)
        .checked_div(3)
        .unwrap_or_default();
    timing.start(duty.slot).after(offset)
}

/// The timer of one instance.
#[derive(Debug, Clone)]
pub struct RoundTimer {
    kind: TimerKind,
    long_proposal: bool,
    /// Where absolute deadlines count from; without it they count from the first request of each round.
    start: Option<UnixTime>,
    /// First deadlines of rounds that were begun.
    first: BTreeMap<Round, UnixTime>,
}

impl RoundTimer {
    /// A timer of the given kind. `long_proposal`: a proposer duty with feature `proposal_timeout`.
    #[must_use]
    pub const fn new(kind: TimerKind, long_proposal: bool, start: Option<UnixTime>) -> Self {
        Self {
            kind,
            long_proposal,
            start,
            first: BTreeMap::new(),
        }
    }

    /// The timer of `duty`.
    #[must_use]
    pub fn of(duty: Duty, features: TimerFeatures, timing: &SlotTiming) -> Self {
        let long_proposal = features.proposal_timeout && duty.kind == DutyType::Proposer;
        Self::new(
            TimerKind::choose(features, duty.kind),
            long_proposal,
            Some(duty_start(duty, timing)),
        )
    }

    /// The kind of timer.
    #[must_use]
    pub const fn kind(&self) -> TimerKind {
        self.kind
    }

    /// When `round` ends if its timer is set at `now`. Setting it again means that a proposal was accepted.
    pub fn set(&mut self, round: Round, now: UnixTime) -> UnixTime {
        let length = self.kind.length(round, self.long_proposal);
        match self.kind {
            TimerKind::Increasing | TimerKind::Linear => now.after(length),
            TimerKind::EagerDoubleLinear => {
                if let Some(first) = self.first.get(&round) {
                    return first.after(length);
                }
                let at = self.start.unwrap_or(now).after(length);
                // Rounds only go up, so older ones are not asked for again.
                self.first.clear();
                self.first.insert(round, at);
                at
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::duty::Slot;

    #[test]
    fn the_switches_choose_the_timer_as_in_the_table() {
        let of = |linear, eager, duty| {
            let features = TimerFeatures {
                linear,
                eager_double_linear: eager,
                proposal_timeout: true,
            };
            TimerKind::choose(features, duty).name()
        };
        for (linear, eager, proposer, other) in [
            (false, true, "eager_dlinear", "eager_dlinear"),
            (false, false, "inc", "inc"),
            (true, true, "linear", "eager_dlinear"),
            (true, false, "linear", "inc"),
        ] {
            assert_eq!(of(linear, eager, DutyType::Proposer), proposer);
            assert_eq!(of(linear, eager, DutyType::Attester), other);
        }
    }

    #[test]
    fn an_attester_round_ends_in_seconds_after_a_third_of_the_slot() {
        let timing = SlotTiming {
            genesis: UnixTime::from_secs(100),
            slot_duration: Duration::from_secs(12),
            slots_per_epoch: 32,
        };
        let mut timer = RoundTimer::of(
            Duty::new(Slot(1), DutyType::Attester),
            TimerFeatures::default(),
            &timing,
        );
        let late = UnixTime::from_secs(117);
        assert_eq!(timer.set(Round(1), late), UnixTime::from_secs(117));
        assert_eq!(timer.set(Round(1), late), UnixTime::from_secs(118));
        assert_eq!(timer.set(Round(1), late), UnixTime::from_secs(118), "however often");
        assert_eq!(
            timer.set(Round(2), late),
            UnixTime::from_secs(118),
            "due at once after a proposal that came to nothing"
        );
    }
}
