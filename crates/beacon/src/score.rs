//! How good a beacon node is: what its answers were worth lately, and how long they took.
//!
//! Guarantees: pure but for the time of a sample; old samples are forgotten, so that a beacon node that was slow gets
//! another chance; memory is bounded.
//! Not here: whether it may be asked at all (`status`).

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::calls::Call;

/// Samples kept per kind of request.
const SAMPLES: usize = 32;
/// A sample older than this says nothing.
const OLDEST: Duration = Duration::from_secs(10 * 60);
/// With fewer samples nothing is known.
const ENOUGH: usize = 4;
/// Another beacon node is not asked earlier than this after the first one.
const SHORTEST_PATIENCE: Duration = Duration::from_millis(10);
/// Nor later.
const LONGEST_PATIENCE: Duration = Duration::from_secs(2);
/// How long a beacon node may take of which nothing is known.
const UNKNOWN_PATIENCE: Duration = Duration::from_millis(250);
/// The same for a block, which takes beacon nodes a second when builders are asked.
const UNKNOWN_PATIENCE_BLOCK: Duration = Duration::from_secs(1);
/// A beacon node is slow if it takes more than this longer than the quickest, and more than four times as long.
const SLOW_BY: Duration = Duration::from_millis(50);
const SLOW_TIMES: u32 = 4;

/// The smaller, the better; compared among beacon nodes that may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Score {
    /// Its execution client does not answer.
    pub(crate) el_offline: bool,
    /// How far its head is behind the best one, in steps.
    pub(crate) behind: Behind,
    /// Its head has not been verified.
    pub(crate) optimistic: bool,
    /// Much slower than another.
    pub(crate) slow: bool,
}

/// How far a head is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum Behind {
    /// At most one slot: a block may be under way.
    #[default]
    NotAtAll,
    /// At most eight slots.
    AFew,
    /// More.
    Far,
}

impl Behind {
    pub(crate) const fn of(slots: u64) -> Self {
        match slots {
            0 | 1 => Self::NotAtAll,
            2..=8 => Self::AFew,
            _ => Self::Far,
        }
    }
}

/// Durations of the latest requests of each kind to one beacon node.
#[derive(Debug, Default)]
pub(crate) struct Latencies(Mutex<BTreeMap<Call, VecDeque<(Instant, Duration)>>>);

impl Latencies {
    /// A request took this long, or at least this long if it was given up.
    pub(crate) fn note(&self, call: Call, took: Duration) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ring = all.entry(call).or_default();
        if ring.len() >= SAMPLES {
            ring.pop_front();
        }
        ring.push_back((Instant::now(), took));
    }

    /// The time within which 95 of 100 answers arrived; `None` if too little is known.
    pub(crate) fn p95(&self, call: Call) -> Option<Duration> {
        let now = Instant::now();
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = all.get(&call)?.iter();
        let fresh = fresh.filter(|(at, _)| now.saturating_duration_since(*at) < OLDEST);
        let mut sorted: Vec<Duration> = fresh.map(|(_, took)| *took).collect();
        drop(all);
        if sorted.len() < ENOUGH {
            return None;
        }
        sorted.sort_unstable();
        let at = sorted.len().saturating_mul(95).div_ceil(100).saturating_sub(1);
        sorted.get(at).copied()
    }

    /// How long to wait for this beacon node before another one is asked too.
    pub(crate) fn patience(&self, call: Call) -> Duration {
        let unknown = if call == Call::ProduceBlock {
            UNKNOWN_PATIENCE_BLOCK
        } else {
            UNKNOWN_PATIENCE
        };
        self.p95(call)
            .map_or(unknown, |p95| p95.clamp(SHORTEST_PATIENCE, LONGEST_PATIENCE))
    }
}

/// Whether this p95 is slow when the quickest beacon node has that one. What is not known is not slow.
pub(crate) fn is_slow(p95: Option<Duration>, quickest: Option<Duration>) -> bool {
    let (Some(p95), Some(quickest)) = (p95, quickest) else {
        return false;
    };
    p95 > quickest.saturating_add(SLOW_BY) && p95 > quickest.saturating_mul(SLOW_TIMES)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[tokio::test(start_paused = true)]
    async fn p95_is_known_from_the_fourth_answer_on_and_forgotten_after_ten_minutes() {
        let latencies = Latencies::default();
        for took in [100, 20, 30] {
            latencies.note(Call::Syncing, ms(took));
        }
        assert_eq!(latencies.p95(Call::Syncing), None);
        assert_eq!(latencies.patience(Call::Syncing), UNKNOWN_PATIENCE);
        assert_eq!(latencies.patience(Call::ProduceBlock), UNKNOWN_PATIENCE_BLOCK);
        latencies.note(Call::Syncing, ms(10));
        assert_eq!(latencies.p95(Call::Syncing), Some(ms(100)));
        assert_eq!(latencies.p95(Call::Spec), None);
        tokio::time::advance(OLDEST).await;
        assert_eq!(latencies.p95(Call::Syncing), None);
    }

    #[tokio::test(start_paused = true)]
    async fn one_slow_answer_in_thirty_two_does_not_make_the_p95() {
        let latencies = Latencies::default();
        latencies.note(Call::Syncing, ms(9_000));
        for _ in 0..31 {
            latencies.note(Call::Syncing, ms(40));
        }
        assert_eq!(latencies.patience(Call::Syncing), ms(40));
        latencies.note(Call::Syncing, ms(1));
        assert_eq!(latencies.0.lock().unwrap()[&Call::Syncing].len(), SAMPLES);
    }

    #[test]
    fn slow_is_much_slower_than_another() {
        assert!(!is_slow(Some(ms(40)), Some(ms(5))), "no difference that matters");
        assert!(!is_slow(Some(ms(600)), Some(ms(200))));
        assert!(is_slow(Some(ms(900)), Some(ms(200))));
        assert!(!is_slow(None, Some(ms(5))) && !is_slow(Some(ms(900)), None));
    }

    #[test]
    fn head_that_is_behind_is_worse_than_an_unverified_one_and_that_worse_than_a_slow_one() {
        let good = Score::default();
        let slow = Score { slow: true, ..good };
        let optimistic = Score {
            optimistic: true,
            ..good
        };
        let behind = Score {
            behind: Behind::of(2),
            ..good
        };
        let far = Score {
            behind: Behind::of(9),
            ..good
        };
        let headless = Score {
            el_offline: true,
            ..good
        };
        let mut all = [headless, far, behind, optimistic, slow, good];
        all.sort_unstable();
        assert_eq!(all, [good, slow, optimistic, behind, far, headless]);
    }
}
