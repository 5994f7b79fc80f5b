//! Collects what an event emits, for a test to look at.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use trireme_core::{Duty, cx::DutyCx, step::StepError};

/// A subscriber that keeps everything: `event.to(step, &captured, Captured::take)`.
#[derive(Debug)]
pub struct Captured<T> {
    seen: Mutex<Vec<(Duty, Arc<T>)>>,
    more: Notify,
}

impl<T> Default for Captured<T> {
    fn default() -> Self {
        Self {
            seen: Mutex::default(),
            more: Notify::new(),
        }
    }
}

impl<T: Send + Sync + 'static> Captured<T> {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Keeps one value.
    ///
    /// # Errors
    ///
    /// Never.
    pub async fn take(self: Arc<Self>, cx: DutyCx, value: Arc<T>) -> Result<(), StepError> {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((cx.duty, value));
        self.more.notify_waiters();
        Ok(())
    }

    /// Everything so far, in the order of arrival.
    #[must_use]
    pub fn all(&self) -> Vec<(Duty, Arc<T>)> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The values without their duties.
    #[must_use]
    pub fn values(&self) -> Vec<Arc<T>> {
        self.all().into_iter().map(|(_, value)| value).collect()
    }

    /// Waits until there are at least `count`. In a paused runtime this ends by the test's own time limit only.
    pub async fn at_least(&self, count: usize) -> Vec<(Duty, Arc<T>)> {
        loop {
            // Asked for before looking, so that nothing is missed in between.
            let more = self.more.notified();
            let seen = self.all();
            if seen.len() >= count {
                return seen;
            }
            more.await;
        }
    }
}
