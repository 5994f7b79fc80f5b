//! Which duties of peers are let in: known types, not too far in the future (core.md 7.4).
//!
//! Guarantees: bounds the memory that a peer can claim ahead of time.
//! Not here: the past, which deadlines cut off.

use std::{sync::Arc, time::Duration};

use crate::{
    duty::{Duty, DutyType, Slot},
    ports::Clock,
    time::SlotTiming,
};

/// Epochs after the current one that are still let in.
pub const FUTURE_EPOCHS: u64 = 2;

/// Whether a duty of slot `slot` and type number `kind` is let in at `current` slot; the duty if so.
#[must_use]
pub fn admit(slot: Slot, kind: i64, current: Slot, slots_per_epoch: u64) -> Option<Duty> {
    let kind = DutyType::try_from(kind).ok()?;
    let last = current.0.checked_div(slots_per_epoch)?.saturating_add(FUTURE_EPOCHS);
    (slot.0.checked_div(slots_per_epoch)? <= last).then_some(Duty::new(slot, kind))
}

/// The gate of a running node.
#[derive(Clone)]
pub struct DutyGate {
    clock: Arc<dyn Clock>,
    timing: SlotTiming,
}

impl DutyGate {
    /// A gate that reads `clock`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, timing: SlotTiming) -> Self {
        Self { clock, timing }
    }

    /// The duty named by a peer, if it is let in now. Before genesis the current slot is 0.
    #[must_use]
    pub fn admit(&self, slot: u64, kind: i64) -> Option<Duty> {
        admit(Slot(slot), kind, self.now(), self.timing.slots_per_epoch)
    }

    /// The current slot; 0 before genesis.
    #[must_use]
    pub fn now(&self) -> Slot {
        self.timing.slot_at(self.clock.now()).unwrap_or(Slot(0))
    }

    /// Ends when the slot is all but over, with a twelfth of it left; at once if it is over.
    pub async fn last_call(&self, slot: Slot) {
        let kept = self.timing.slot_duration.checked_div(12).unwrap_or(Duration::ZERO);
        let end = self.timing.start(slot).after(self.timing.slot_duration);
        self.clock.sleep_until(end.before(kept)).await;
    }

    /// Whether the duty is let in now.
    #[must_use]
    pub fn allows(&self, duty: Duty) -> bool {
        self.admit(duty.slot.0, i64::from(duty.kind.number())).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::PausedClock, time::UnixTime};

    #[tokio::test(start_paused = true)]
    async fn the_last_call_comes_before_the_slot_ends_and_at_once_for_slots_that_are_over() {
        let clock = Arc::new(PausedClock::starting_at(UnixTime(0)));
        let timing = SlotTiming {
            genesis: UnixTime(0),
            slot_duration: Duration::from_secs(12),
            slots_per_epoch: 32,
        };
        let gate = DutyGate::new(Arc::clone(&clock) as _, timing);
        gate.last_call(Slot(1)).await;
        assert_eq!(clock.now().secs(), 23);
        gate.last_call(Slot(0)).await;
        assert_eq!(clock.now().secs(), 23);
    }
}
