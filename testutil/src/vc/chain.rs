//! The chain as the node describes it: clockwork, forks and what signatures cover.
//!
//! Guarantees: a function of genesis and spec as served; nothing is taken from the judge, so that the two are held
//! against each other. Not here: validators and duties.

use std::time::Duration;

use trireme_eth2::{BlsSignature, ChainSpec, DomainType, Epoch, Fork, Root, Slot};
use trireme_tbls::SecretKey;

/// See the module. All times are durations since 1970.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) spec: ChainSpec,
}

impl Chain {
    pub(super) const fn new(spec: ChainSpec) -> Self {
        Self { spec }
    }

    /// Start of a slot.
    pub(super) fn start(&self, slot: Slot) -> Duration {
        let genesis = Duration::from_secs(self.spec.genesis.genesis_time);
        let since = Duration::from_millis(self.spec.slot_duration_ms.saturating_mul(slot.0));
        genesis.saturating_add(since)
    }

    /// So many thirds of a slot after its start.
    pub(super) fn third(&self, slot: Slot, thirds: u32) -> Duration {
        let offset = self.spec.slot_duration().saturating_mul(thirds) / 3;
        self.start(slot).saturating_add(offset)
    }

    /// The slot at a time; 0 before genesis.
    pub(super) fn slot_at(&self, now: Duration) -> Slot {
        let since = now.saturating_sub(Duration::from_secs(self.spec.genesis.genesis_time));
        let slots = since.as_millis().checked_div(u128::from(self.spec.slot_duration_ms));
        Slot(slots.and_then(|n| u64::try_from(n).ok()).unwrap_or_default())
    }

    /// The epoch of a slot.
    pub(super) fn epoch(&self, slot: Slot) -> Epoch {
        self.spec.epoch(slot)
    }

    /// Whether an epoch begins with this slot.
    pub(super) fn begins_epoch(&self, slot: Slot) -> bool {
        self.spec.first_slot(self.epoch(slot)) == slot
    }

    /// The fork of a slot; the newest that we know if the chain is further.
    pub(super) fn fork(&self, slot: Slot) -> Fork {
        self.spec.fork_at(slot).unwrap_or(Fork::Fulu)
    }

    /// Signs an object's root.
    pub(super) fn sign(&self, key: &SecretKey, object: Root, purpose: DomainType, epoch: Epoch) -> BlsSignature {
        let root = self.spec.signing_root(object, purpose, epoch);
        BlsSignature(key.sign(root.as_slice()).to_bytes())
    }
}
