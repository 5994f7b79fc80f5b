//! A store that can crash: it keeps durable batches and any prefix of the buffered ones.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha20Rng;
use trireme_core::ports::{Batch, Durability, Flow, KeyValue, StoreError, Table};

type Content = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

/// See the module. Batches reach the disk in the order of their commits, so a durable one takes all earlier ones with
/// it.
#[derive(Debug, Default)]
pub struct CrashStore(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    durable: Content,
    buffered: Vec<Batch>,
    closed: bool,
}

fn apply(content: &mut Content, batch: &Batch) {
    for (table, key, value) in &batch.writes {
        match value {
            Some(value) => content.insert((*table, key.clone()), value.clone()),
            None => content.remove(&(*table, key.clone())),
        };
    }
}

impl Inner {
    /// What a reader sees.
    fn visible(&self) -> Content {
        let mut content = self.durable.clone();
        self.buffered.iter().for_each(|batch| apply(&mut content, batch));
        content
    }
}

impl CrashStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The power goes: this handle is closed, and what the disk holds comes back as a new store. The seed chooses how
    /// many of the buffered batches made it.
    #[must_use]
    pub fn crash(&self, seed: u64) -> Self {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.closed = true;
        let mut durable = std::mem::take(&mut inner.durable);
        let buffered = std::mem::take(&mut inner.buffered);
        let most = u64::try_from(buffered.len()).unwrap_or(u64::MAX).saturating_add(1);
        let draw = ChaCha20Rng::seed_from_u64(seed).next_u64();
        let kept = usize::try_from(draw.checked_rem(most).unwrap_or_default()).unwrap_or_default();
        buffered.iter().take(kept).for_each(|batch| apply(&mut durable, batch));
        Self(Mutex::new(Inner {
            durable,
            buffered: Vec::new(),
            closed: false,
        }))
    }

    fn open(&self) -> Result<std::sync::MutexGuard<'_, Inner>, StoreError> {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.closed {
            Err(StoreError::Closed)
        } else {
            Ok(inner)
        }
    }
}

impl KeyValue for CrashStore {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.open()?.visible().get(&(table, key.to_vec())).cloned())
    }

    fn scan(&self, table: Table, prefix: &[u8], each: &mut dyn FnMut(&[u8], &[u8]) -> Flow) -> Result<(), StoreError> {
        // The visitor may use the store.
        let content = self.open()?.visible();
        let from = content.range((table, prefix.to_vec())..);
        for ((_, key), value) in from.take_while(|((t, key), _)| *t == table && key.starts_with(prefix)) {
            if each(key, value) == Flow::Stop {
                break;
            }
        }
        Ok(())
    }

    fn commit(&self, batch: Batch, how: Durability) -> Result<(), StoreError> {
        let mut inner = self.open()?;
        inner.buffered.push(batch);
        match how {
            Durability::Buffered => {}
            Durability::Durable => {
                let Inner { durable, buffered, .. } = &mut *inner;
                buffered.drain(..).for_each(|batch| apply(durable, &batch));
            }
        }
        Ok(())
    }
}
