//! What the stores read back at start: entries that are not ours are an error or passed over, never a panic.
#![no_main]
use std::sync::Arc;

use futures::{executor::block_on, future::BoxFuture};
use libfuzzer_sys::fuzz_target;
use trireme_core::{
    SlotTiming, UnixTime,
    aggsigdb::AggSigDb,
    dutydb::DutyDb,
    journal::Journal,
    memory::MemoryStore,
    ports::{Batch, Clock, Durability, KeyValue, Table},
};

struct Still;

impl Clock for Still {
    fn now(&self) -> UnixTime {
        UnixTime::from_secs(100)
    }

    fn sleep_until(&self, _: UnixTime) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }
}

fuzz_target!(|bytes: &[u8]| {
    let [table, split, rest @ ..] = bytes else { return };
    let table = Table::ALL[usize::from(*table) % Table::ALL.len()];
    let (key, value) = rest.split_at(usize::from(*split).min(rest.len()));
    let store = Arc::new(MemoryStore::default());
    let batch = Batch {
        writes: vec![(table, key.to_vec(), Some(value.to_vec()))],
    };
    store.commit(batch, Durability::Durable).expect("memory takes everything");
    let timing = SlotTiming {
        genesis: UnixTime::from_secs(0),
        slot_duration: std::time::Duration::from_secs(12),
        slots_per_epoch: 32,
    };
    let journal = Arc::new(Journal::inline(store as Arc<dyn KeyValue>));
    let _ = block_on(DutyDb::open(Arc::clone(&journal), Arc::new(Still), timing));
    let _ = block_on(AggSigDb::open(journal, Arc::new(Still), timing));
});
