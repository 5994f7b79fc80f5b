//! A store that forgets everything when the process ends.
//!
//! Guarantees: the order and atomicity of [`KeyValue`]. Not here: any durability. For tests and simulations.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use crate::ports::{Batch, Durability, Flow, KeyValue, StoreError, Table};

/// By table and key.
type Entries = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

/// See the module's description.
#[derive(Debug, Default)]
pub struct MemoryStore {
    tables: Mutex<Entries>,
}

impl KeyValue for MemoryStore {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(tables.get(&(table, key.to_vec())).cloned())
    }

    fn scan(&self, table: Table, prefix: &[u8], each: &mut dyn FnMut(&[u8], &[u8]) -> Flow) -> Result<(), StoreError> {
        let found: Vec<_> = self
            .tables
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .range((table, prefix.to_vec())..)
            .take_while(|((t, key), _)| *t == table && key.starts_with(prefix))
            .map(|((_, key), value)| (key.clone(), value.clone()))
            .collect();
        for (key, value) in found {
            if each(&key, &value) == Flow::Stop {
                break;
            }
        }
        Ok(())
    }

    fn commit(&self, batch: Batch, _: Durability) -> Result<(), StoreError> {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        for (table, key, value) in batch.writes {
            match value {
                Some(value) => tables.insert((table, key), value),
                None => tables.remove(&(table, key)),
            };
        }
        Ok(())
    }
}
