//! What the cluster knows of its validators, whatever states the beacon node answers for.

use std::sync::Arc;

use trireme_core::{time::SlotTick, validators::ValidatorCache};
use trireme_eth2::{Epoch, Slot, ValidatorIndex};

use super::SPE;
use crate::fakes::{beacon::FakeBeacon, cluster};

struct Bench {
    cache: Arc<ValidatorCache>,
    beacon: Arc<FakeBeacon>,
}

fn bench() -> Bench {
    let beacon = FakeBeacon::new(3, SPE, 0);
    let cache = ValidatorCache::new(Arc::clone(&beacon) as _, &cluster(0, 3), Default::default());
    Bench {
        cache: Arc::new(cache),
        beacon,
    }
}

impl Bench {
    /// The validators that are known after a slot.
    async fn slot(&self, slot: u64) -> Vec<u64> {
        let tick = SlotTick {
            slot: Slot(slot),
            epoch: Epoch(slot / SPE),
            first_in_epoch: slot.is_multiple_of(SPE),
            last_in_epoch: slot % SPE == SPE - 1,
            first_seen: false,
        };
        Arc::clone(&self.cache).on_slot(tick).await;
        let known = self.cache.known().unwrap_or_default();
        known.by_index.keys().map(|index| index.0).collect()
    }

    fn hide(&self, validators: impl IntoIterator<Item = u64>) {
        *self.beacon.unseen.lock().unwrap() = validators.into_iter().map(ValidatorIndex).collect();
    }
}

#[tokio::test]
async fn a_state_that_lacks_validators_of_ours_changes_nothing_and_the_next_slot_asks_again() {
    let b = bench();
    b.hide([3]);
    assert_eq!(b.slot(0).await, [1, 2]);
    for hidden in [vec![1, 2, 3], vec![2]] {
        b.hide(hidden);
        assert_eq!(b.slot(4).await, [1, 2]);
    }
    b.hide([]);
    assert_eq!(b.slot(5).await, [1, 2, 3]);
}

#[tokio::test]
async fn while_the_chain_has_none_of_our_validators_every_slot_asks() {
    let b = bench();
    b.hide([1, 2, 3]);
    assert_eq!(b.slot(0).await, [0; 0]);
    assert_eq!(b.slot(1).await, [0; 0]);
    b.hide([3]);
    assert_eq!(b.slot(2).await, [1, 2]);
    // What is known then is asked for once per epoch.
    b.hide([]);
    assert_eq!(b.slot(3).await, [1, 2]);
    assert_eq!(b.slot(4).await, [1, 2, 3]);
}
