//! The beat of slots.
//!
//! Guarantees: no slot comes twice, whatever is done to the clock; a slot that began while nobody listened is skipped,
//! except the current one; a clock set back is noticed within a slot and told, and slots that have not been before, for
//! example because the clock had been ahead, come when their time is there.
//! Not here: what a node owes for slots that it believed to be past (`consensus` abstains, `dutydb` keeps its floor).

use std::{collections::BTreeMap, sync::Arc};

use trireme_eth2::Slot;

use crate::{
    ports::Clock,
    time::{SlotTick, SlotTiming, UnixTime},
};

/// Ranges of slots that are remembered apart. One more comes with each jump of the clock to where it has not been.
const RANGES: usize = 16;

/// Slots, as ranges from first to last.
#[derive(Default)]
struct Slots(BTreeMap<u64, u64>);

impl Slots {
    /// The last slot of the range that the slot is in.
    fn end_of(&self, slot: Slot) -> Option<Slot> {
        let (_, last) = self.0.range(..=slot.0).next_back()?;
        (slot.0 <= *last).then_some(Slot(*last))
    }

    fn add(&mut self, slot: Slot) {
        let last = self.0.remove(&slot.0.saturating_add(1)).unwrap_or(slot.0);
        match self.0.range_mut(..slot.0).next_back() {
            Some((_, end)) if end.saturating_add(1) == slot.0 => *end = last,
            Some(_) | None => {
                self.0.insert(slot.0, last);
            }
        }
        if self.0.len() > RANGES
            && let Some((first, _)) = self.0.pop_first()
            && let Some((_, last)) = self.0.pop_first()
        {
            // What lies between counts as having been: rather a slot too few than one twice.
            self.0.insert(first, last);
        }
    }

    /// How many slots between the two, themselves excluded, are not there.
    fn missing(&self, after: Slot, before: Slot) -> u64 {
        let (first, last) = (after.0.saturating_add(1), before.0.saturating_sub(1));
        let there = self.0.iter().map(|(from, to)| {
            let (from, to) = ((*from).max(first), (*to).min(last));
            to.saturating_add(1).saturating_sub(from)
        });
        last.saturating_add(1)
            .saturating_sub(first)
            .saturating_sub(there.fold(0, u64::saturating_add))
    }
}

/// What there is to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beat {
    /// A slot has begun; so many were skipped before it.
    Slot(SlotTick, u64),
    /// The clock was set back by more than a slot.
    SetBack {
        /// The slot in which it was.
        from: Slot,
        /// The slot in which it is now.
        to: Slot,
        /// The first slot from then on that has not been.
        resumes: Slot,
    },
}

/// See the module's description.
pub struct SlotTicker {
    clock: Arc<dyn Clock>,
    timing: SlotTiming,
    /// Slots that have been.
    been: Slots,
    /// The last of them to come.
    last: Option<Slot>,
    /// Where the clock was when it was looked at.
    seen: Slot,
}

impl SlotTicker {
    /// Begins with the current slot, or with slot 0 before genesis.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, timing: SlotTiming) -> Self {
        Self {
            clock,
            timing,
            been: Slots::default(),
            last: None,
            seen: Slot(0),
        }
    }

    /// Waits for the next slot; also says how many were skipped before it. Drop-safe.
    pub async fn next(&mut self) -> (SlotTick, u64) {
        loop {
            match self.beat().await {
                Beat::Slot(tick, skipped) => return (tick, skipped),
                Beat::SetBack { .. } => {}
            }
        }
    }

    /// As [`SlotTicker::next`], and also tells of a clock that was set back. Drop-safe.
    pub async fn beat(&mut self) -> Beat {
        loop {
            let Some(now) = self.timing.slot_at(self.clock.now()) else {
                self.wait(self.timing.start(Slot(0))).await;
                continue;
            };
            let from = self.seen;
            // A correction by moments may lead back over the boundary of two slots.
            if now.0.saturating_add(1) < from.0 {
                self.seen = now;
                let resumes = self.been.end_of(now).map_or(now, |end| Slot(end.0.saturating_add(1)));
                return Beat::SetBack { from, to: now, resumes };
            }
            self.seen = from.max(now);
            if self.been.end_of(now).is_some() {
                self.wait(self.timing.start(Slot(now.0.saturating_add(1)))).await;
                continue;
            }
            let skipped = self.last.map_or(0, |last| self.been.missing(last, now));
            let tick = self.tick(now, self.last.is_none());
            self.been.add(now);
            self.last = Some(now);
            return Beat::Slot(tick, skipped);
        }
    }

    /// Waits for a moment that is at most a slot away, and no longer than that takes: whoever only waited for the clock to
    /// come there would not notice that it was set back.
    async fn wait(&self, until: UnixTime) {
        tokio::select! { biased;
            () = self.clock.sleep_until(until) => {}
            () = tokio::time::sleep(self.timing.slot_duration) => {}
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
        clock.now.store(72, Ordering::Relaxed);
        let mut ticker = SlotTicker::new(Arc::clone(&clock) as _, TIMING);
        for slot in 6..=8 {
            assert_eq!(ticker.next().await.0.slot, Slot(slot));
        }
        clock.now.store(73, Ordering::Relaxed);
        clock.slept_to.lock().unwrap().clear();
        assert_eq!(
            ticker.beat().await,
            Beat::SetBack {
                from: Slot(8),
                to: Slot(6),
                resumes: Slot(9)
            }
        );
        assert_eq!(ticker.next().await.0.slot, Slot(9));
        assert_eq!(*clock.slept_to.lock().unwrap(), [84, 96, 108], "told once");
    }

    #[tokio::test]
    async fn after_a_clock_that_was_ahead_the_slots_come_that_have_not_been() {
        let clock = Arc::new(Dial::default());
        let mut ticker = SlotTicker::new(Arc::clone(&clock) as _, TIMING);
        assert_eq!(ticker.next().await.0.slot, Slot(0));
        clock.now.store(60, Ordering::Relaxed);
        let (tick, skipped) = ticker.next().await;
        assert_eq!((tick.slot, skipped), (Slot(5), 4));
        clock.now.store(25, Ordering::Relaxed);
        let Beat::SetBack { from, to, resumes } = ticker.beat().await else {
            panic!("not told")
        };
        assert_eq!((from, to, resumes), (Slot(5), Slot(2), Slot(2)));
        // Slot 5 has been.
        for slot in [2, 3, 4, 6, 7] {
            let (tick, skipped) = ticker.next().await;
            assert_eq!((tick.slot, skipped, tick.first_seen), (Slot(slot), 0, false));
        }
        clock.now.store(0, Ordering::Relaxed);
        assert_eq!(ticker.next().await.0.slot, Slot(1), "and nothing but what has not been");
        assert_eq!(ticker.next().await.0.slot, Slot(8));
    }

    #[tokio::test]
    async fn a_correction_by_moments_is_not_told() {
        let clock = Arc::new(Dial::default());
        clock.now.store(96, Ordering::Relaxed);
        let mut ticker = SlotTicker::new(Arc::clone(&clock) as _, TIMING);
        assert_eq!(ticker.next().await.0.slot, Slot(8));
        clock.now.store(95, Ordering::Relaxed);
        // The slot before has not been; it is over but for the moment.
        let Beat::Slot(tick, 0) = ticker.beat().await else {
            panic!("told")
        };
        assert_eq!(tick.slot, Slot(7));
        assert_eq!(ticker.next().await.0.slot, Slot(9));
    }

    /// A clock that can be set back while somebody sleeps by it.
    struct Moved {
        clock: PausedClock,
        back: AtomicU64,
    }

    impl Clock for Moved {
        fn now(&self) -> UnixTime {
            self.clock
                .now()
                .before(Duration::from_secs(self.back.load(Ordering::Relaxed)))
        }
        fn sleep_until(&self, t: UnixTime) -> BoxFuture<'_, ()> {
            Box::pin(async move {
                while self.now() < t {
                    tokio::time::sleep(t.since(self.now())).await;
                }
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_set_back_by_an_hour_while_we_wait_is_noticed_within_a_slot() {
        let clock = Arc::new(Moved {
            clock: PausedClock::starting_at(UnixTime::from_secs(7_200)),
            back: AtomicU64::new(0),
        });
        let mut ticker = SlotTicker::new(Arc::clone(&clock) as _, TIMING);
        assert_eq!(ticker.next().await.0.slot, Slot(600));
        let began = tokio::time::Instant::now();
        let set_back = async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            clock.back.store(3_600, Ordering::Relaxed);
            std::future::pending::<()>().await;
        };
        let told = tokio::select! {
            told = ticker.beat() => told,
            () = set_back => unreachable!("it never ends"),
        };
        assert!(matches!(told, Beat::SetBack { from: Slot(600), .. }), "{told:?}");
        let (tick, _) = ticker.next().await;
        assert_eq!(Some(tick.slot), TIMING.slot_at(clock.now()));
        assert!(began.elapsed() <= TIMING.slot_duration, "{:?}", began.elapsed());
    }

    #[test]
    fn memory_of_slots_is_bounded_and_errs_to_what_has_been() {
        let mut slots = Slots::default();
        let n = u64::try_from(RANGES).unwrap();
        for slot in 0..=n {
            slots.add(Slot(slot * 10));
        }
        assert_eq!(slots.0.len(), RANGES);
        assert!(slots.end_of(Slot(5)).is_some() && slots.end_of(Slot(15)).is_none());
        assert_eq!(slots.missing(Slot(0), Slot(20)), 9);
        for slot in 11..20 {
            slots.add(Slot(slot));
        }
        assert_eq!(slots.end_of(Slot(0)), Some(Slot(20)));
    }
}
