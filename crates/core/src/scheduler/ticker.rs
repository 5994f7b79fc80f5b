//! The beat of slots.
//!
//! Guarantees: slots rise strictly; a slot that began while nobody listened is skipped, except the current one; a clock
//! set back makes the ticker wait, never repeat.

use std::sync::Arc;

use trireme_eth2::Slot;

use crate::{
    ports::Clock,
    time::{SlotTick, SlotTiming},
};

/// See the module's description.
pub struct SlotTicker {
    clock: Arc<dyn Clock>,
    timing: SlotTiming,
    last: Option<Slot>,
}

impl SlotTicker {
    /// Begins with the current slot, or with slot 0 before genesis.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, timing: SlotTiming) -> Self {
        Self {
            clock,
            timing,
            last: None,
        }
    }

    /// Waits for the next slot; also says how many were skipped before it. Drop-safe.
    pub async fn next(&mut self) -> (SlotTick, u64) {
        loop {
            let due = match self.last {
                Some(last) => Slot(last.0.saturating_add(1)),
                None => self.timing.slot_at(self.clock.now()).unwrap_or(Slot(0)),
            };
            let now = self.clock.now();
            if now < self.timing.start(due) {
                self.clock.sleep_until(self.timing.start(due)).await;
                continue;
            }
            let current = self.timing.slot_at(now).unwrap_or(due);
            let skipped = current.0.saturating_sub(due.0);
            let tick = self.tick(current, self.last.is_none());
            self.last = Some(current);
            return (tick, skipped);
        }
    }

    fn tick(&self, slot: Slot, first_seen: bool) -> SlotTick {
        let epoch = self.timing.epoch(slot);
        let next = self.timing.epoch(Slot(slot.0.saturating_add(1)));
        SlotTick {
            slot,
            epoch,
            first_in_epoch: self.timing.first_slot(epoch) == slot,
            last_in_epoch: next != epoch,
            first_seen,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Mutex,
            atomic::{AtomicU64, Ordering},
        },
        time::Duration,
    };

    use futures::future::BoxFuture;

    use super::*;
    use crate::{clock::PausedClock, time::UnixTime};

    const TIMING: SlotTiming = SlotTiming {
        genesis: UnixTime(0),
        slot_duration: Duration::from_secs(12),
        slots_per_epoch: 4,
    };

    /// A clock that tests set by hand; sleeping jumps to the goal.
    #[derive(Default)]
    struct Dial {
        now: AtomicU64,
        slept_to: Mutex<Vec<u64>>,
    }

    impl Clock for Dial {
        fn now(&self) -> UnixTime {
            UnixTime::from_secs(self.now.load(Ordering::Relaxed))
        }
        fn sleep_until(&self, t: UnixTime) -> BoxFuture<'_, ()> {
            self.slept_to.lock().unwrap().push(t.secs());
            self.now.store(t.secs(), Ordering::Relaxed);
            Box::pin(async {})
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_current_slot_comes_at_once_and_each_next_one_at_its_start() {
        let clock = Arc::new(PausedClock::starting_at(UnixTime::from_secs(30)));
        let mut ticker = SlotTicker::new(Arc::clone(&clock) as _, TIMING);
        let mut seen = Vec::new();
        for _ in 0..3 {
            let (tick, skipped) = ticker.next().await;
            seen.push((
                clock.now().secs(),
                tick.slot.0,
                tick.first_in_epoch,
                tick.last_in_epoch,
                skipped,
            ));
        }
        assert_eq!(
            seen,
            [
                (30, 2, false, false, 0),
                (36, 3, false, true, 0),
                (48, 4, true, false, 0)
            ]
        );
    }

    #[tokio::test]
    async fn slots_slept_through_are_skipped() {
        let clock = Arc::new(Dial::default());
        let mut ticker = SlotTicker::new(Arc::clone(&clock) as _, TIMING);
        assert_eq!(ticker.next().await.0.slot, Slot(0));
        clock.now.store(61, Ordering::Relaxed);
        let (tick, skipped) = ticker.next().await;
        assert_eq!((tick.slot, skipped), (Slot(5), 4));
    }

    #[tokio::test]
    async fn a_clock_set_back_never_repeats_a_slot() {
        let clock = Arc::new(Dial::default());
        clock.now.store(100, Ordering::Relaxed);
        let mut ticker = SlotTicker::new(Arc::clone(&clock) as _, TIMING);
        assert_eq!(ticker.next().await.0.slot, Slot(8));
        clock.now.store(50, Ordering::Relaxed);
        assert_eq!(ticker.next().await.0.slot, Slot(9));
        assert_eq!(*clock.slept_to.lock().unwrap(), [108]);
    }
}
