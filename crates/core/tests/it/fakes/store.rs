//! A store that can lose its power: durable batches stay, of the buffered ones a prefix.

use std::sync::Mutex;

use trireme_core::{
    memory::MemoryStore,
    ports::{Batch, Durability, Flow, KeyValue, StoreError, Table},
};

#[derive(Default)]
struct State {
    /// What reads see.
    seen: MemoryStore,
    /// What is on disk.
    disk: MemoryStore,
    /// What is not, in order.
    pending: Vec<Batch>,
    flushes: usize,
    broken: bool,
}

#[derive(Default)]
pub(crate) struct CrashStore(Mutex<State>);

impl CrashStore {
    /// The power goes and comes back; of the writes that were not flushed the first `kept` survive.
    pub(crate) fn crash(&self, kept: usize) {
        let mut state = self.0.lock().unwrap();
        for batch in std::mem::take(&mut state.pending).into_iter().take(kept) {
            state.disk.commit(batch, Durability::Durable).unwrap();
        }
        let fresh = MemoryStore::default();
        for table in Table::ALL {
            let mut writes = Vec::new();
            state
                .disk
                .scan(table, &[], &mut |key, value| {
                    writes.push((table, key.to_vec(), Some(value.to_vec())));
                    Flow::Continue
                })
                .unwrap();
            fresh.commit(Batch { writes }, Durability::Durable).unwrap();
        }
        state.seen = fresh;
    }

    /// From now on every write fails, as on a full or dying disk.
    pub(crate) fn break_down(&self) {
        self.0.lock().unwrap().broken = true;
    }

    pub(crate) fn flushes(&self) -> usize {
        self.0.lock().unwrap().flushes
    }
}

impl KeyValue for CrashStore {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.lock().unwrap().seen.get(table, key)
    }

    fn scan(&self, table: Table, prefix: &[u8], each: &mut dyn FnMut(&[u8], &[u8]) -> Flow) -> Result<(), StoreError> {
        self.0.lock().unwrap().seen.scan(table, prefix, each)
    }

    fn commit(&self, batch: Batch, how: Durability) -> Result<(), StoreError> {
        let mut state = self.0.lock().unwrap();
        if state.broken {
            return Err(StoreError::Io {
                path: "fake".to_owned(),
                reason: "broken on purpose".to_owned(),
            });
        }
        state.seen.commit(batch.clone(), how)?;
        state.pending.push(batch);
        if how == Durability::Durable {
            state.flushes += 1;
            for batch in std::mem::take(&mut state.pending) {
                state.disk.commit(batch, how)?;
            }
        }
        Ok(())
    }
}
