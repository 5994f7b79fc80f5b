//! Slot arithmetic and wall time as plain values.
//!
//! Guarantees: no reading of any clock (that is the [`crate::ports::Clock`] port); overflow saturates at the end of
//! time, about the year 2554, never wraps.

use std::time::Duration;

use trireme_eth2::{Epoch, Slot};

/// Nanoseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixTime(pub u64);

impl UnixTime {
    /// The time `secs` seconds after 1970.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000_000_000))
    }

    /// The time `d` later.
    #[must_use]
    pub fn after(self, d: Duration) -> Self {
        Self(self.0.saturating_add(nanos(d)))
    }

    /// The time `d` earlier, at least 1970.
    #[must_use]
    pub fn before(self, d: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(d)))
    }

    /// How long after `earlier` this is; zero if it is not.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// Whole seconds since 1970.
    #[must_use]
    pub const fn secs(self) -> u64 {
        self.0 / 1_000_000_000
    }
}

fn nanos(d: Duration) -> u64 {
    u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)
}

/// The chain's clockwork, all from the beacon node's genesis and spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotTiming {
    /// Start of slot 0.
    pub genesis: UnixTime,
    /// Length of a slot; never zero.
    pub slot_duration: Duration,
    /// Slots in an epoch; never zero.
    pub slots_per_epoch: u64,
}

impl SlotTiming {
    /// Start of `slot`.
    #[must_use]
    pub fn start(&self, slot: Slot) -> UnixTime {
        UnixTime(
            self.genesis
                .0
                .saturating_add(nanos(self.slot_duration).saturating_mul(slot.0)),
        )
    }

    /// The slot at `now`; `None` before genesis.
    #[must_use]
    pub fn slot_at(&self, now: UnixTime) -> Option<Slot> {
        Some(Slot(
            now.0
                .checked_sub(self.genesis.0)?
                .checked_div(nanos(self.slot_duration))?,
        ))
    }

    /// The epoch of `slot`.
    #[must_use]
    pub fn epoch(&self, slot: Slot) -> Epoch {
        Epoch(slot.0.checked_div(self.slots_per_epoch).unwrap_or_default())
    }

    /// The first slot of `epoch`.
    #[must_use]
    pub fn first_slot(&self, epoch: Epoch) -> Slot {
        Slot(epoch.0.saturating_mul(self.slots_per_epoch))
    }

    /// Length of an epoch.
    #[must_use]
    pub fn epoch_duration(&self) -> Duration {
        self.slot_duration
            .saturating_mul(u32::try_from(self.slots_per_epoch).unwrap_or(u32::MAX))
    }
}

/// A slot has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotTick {
    /// The slot.
    pub slot: Slot,
    /// Its epoch.
    pub epoch: Epoch,
    /// It is the first slot of its epoch.
    pub first_in_epoch: bool,
    /// It is the last slot of its epoch.
    pub last_in_epoch: bool,
    /// It is the first slot since the start of the node.
    pub first_seen: bool,
}
