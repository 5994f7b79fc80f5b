//! Virtual time: that of a paused runtime, with an offset per node.

use std::time::Duration;

use futures::future::BoxFuture;
use trireme_core::{ports::Clock, time::UnixTime};

/// A clock that begins at a given time and runs with the runtime's. Clones show the same time.
#[derive(Debug, Clone)]
pub struct SimClock {
    start: UnixTime,
    begun: tokio::time::Instant,
}

impl SimClock {
    /// A clock that shows `start` now. Call it inside the runtime.
    #[must_use]
    pub fn starting_at(start: UnixTime) -> Self {
        Self {
            start,
            begun: tokio::time::Instant::now(),
        }
    }

    /// The same clock, `by` ahead.
    #[must_use]
    pub fn ahead(&self, by: Duration) -> Self {
        Self {
            start: self.start.after(by),
            begun: self.begun,
        }
    }

    /// The same clock, `by` behind.
    #[must_use]
    pub fn behind(&self, by: Duration) -> Self {
        Self {
            start: self.start.before(by),
            begun: self.begun,
        }
    }
}

impl Clock for SimClock {
    fn now(&self) -> UnixTime {
        self.start.after(self.begun.elapsed())
    }

    fn sleep_until(&self, t: UnixTime) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            // The runtime's timer counts in milliseconds and rounds up; the loop covers what is left.
            while self.now() < t {
                tokio::time::sleep(t.since(self.now())).await;
            }
        })
    }
}
