//! The system's clock, the one place where wall time is read.
//!
//! Guarantees: a sleep looks at wall time at least once a second, so that a corrected clock or a suspended machine is
//! noticed; it never ends before wall time has reached its goal. All sleeps look at the same moments, so that an idle
//! process wakes once a second however many wait.
//! Not here: slots (`time`, `scheduler`). A clock set back is the business of the scheduler, which never repeats a slot.

use std::{
    sync::OnceLock,
    time::{Duration, SystemTime},
};

use futures::future::BoxFuture;
use tokio::time::Instant;

use crate::{ports::Clock, time::UnixTime};

/// Longest time without a look at the wall clock.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The next moment at which all sleeps look at the wall clock.
fn next_look() -> Instant {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    let first = *FIRST.get_or_init(Instant::now);
    let whole = u32::try_from(first.elapsed().as_secs() / LOOK_AGAIN.as_secs()).unwrap_or(u32::MAX);
    first + LOOK_AGAIN * whole.saturating_add(1)
}

/// Wall time of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> UnixTime {
        #[expect(clippy::disallowed_methods, reason = "this is the clock")]
        let since = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        UnixTime(0).after(since)
    }

    fn sleep_until(&self, t: UnixTime) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            loop {
                let left = t.since(self.now());
                if left.is_zero() {
                    return;
                }
                let goal = Instant::now().checked_add(left);
                let look = next_look();
                tokio::time::sleep_until(goal.map_or(look, |goal| goal.min(look))).await;
            }
        })
    }
}

/// Time of a paused runtime, for this crate's unit tests.
#[cfg(test)]
#[derive(Debug, Clone)]
pub(crate) struct PausedClock {
    start: UnixTime,
    at: tokio::time::Instant,
}

#[cfg(test)]
impl PausedClock {
    pub(crate) fn starting_at(start: UnixTime) -> Self {
        Self {
            start,
            at: tokio::time::Instant::now(),
        }
    }
}

#[cfg(test)]
impl Clock for PausedClock {
    fn now(&self) -> UnixTime {
        self.start.after(self.at.elapsed())
    }

    fn sleep_until(&self, t: UnixTime) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            // Tokio's timer counts in milliseconds and rounds up; the loop covers what is left.
            while self.now() < t {
                tokio::time::sleep(t.since(self.now())).await;
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_sleeps_look_at_the_clock_at_the_same_moments_within_a_second() {
        let (a, b) = (next_look(), next_look());
        let left = a.duration_since(Instant::now());
        assert!(left <= LOOK_AGAIN, "{left:?}");
        let apart = b.duration_since(a);
        assert!(apart.is_zero() || apart == LOOK_AGAIN, "{apart:?}");
    }

    #[tokio::test]
    async fn sleeping_until_the_past_ends_at_once() {
        SystemClock.sleep_until(UnixTime(1)).await;
        assert!(SystemClock.now() > UnixTime::from_secs(1_600_000_000));
    }
}
