//! Writes to the store, merged: all that wait go into one commit and one flush.
//!
//! Guarantees: a durable write is on disk when its call returns; writes reach the store in the order of their calls; a
//! buffered write never keeps its caller waiting for the disk.
//! Not here: what is written, and the store itself (`ports::KeyValue`).

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};

use crate::ports::{Batch, Durability, KeyValue, StoreError};

/// Batches that may wait; further callers wait themselves.
pub const CAPACITY: usize = 1_024;

struct Order {
    batch: Batch,
    how: Durability,
    done: Option<oneshot::Sender<Result<(), StoreError>>>,
}

enum Mode {
    Inline,
    Thread {
        orders: Mutex<Option<mpsc::Sender<Order>>>,
        thread: Mutex<Option<std::thread::JoinHandle<()>>>,
    },
}

/// The way of async callers to the store.
pub struct Journal {
    store: Arc<dyn KeyValue>,
    mode: Mode,
}

impl Journal {
    /// Writes on the calling thread; for simulations.
    #[must_use]
    pub fn inline(store: Arc<dyn KeyValue>) -> Self {
        Self {
            store,
            mode: Mode::Inline,
        }
    }

    /// Starts the thread that writes. Fails when the system gives none.
    pub fn start(store: Arc<dyn KeyValue>) -> std::io::Result<Self> {
        let (tx, rx) = mpsc::channel(CAPACITY);
        let writer = Arc::clone(&store);
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || write(&*writer, rx))?;
        let mode = Mode::Thread {
            orders: Mutex::new(Some(tx)),
            thread: Mutex::new(Some(thread)),
        };
        Ok(Self { store, mode })
    }

    /// The store itself, for reading.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn KeyValue> {
        &self.store
    }

    /// Writes `batch`. With [`Durability::Durable`] it is on disk when this returns; with [`Durability::Buffered`] this
    /// returns as soon as the batch is queued, and an error is only logged. Dropping the call may leave it written.
    pub async fn commit(&self, batch: Batch, how: Durability) -> Result<(), StoreError> {
        let orders = match &self.mode {
            Mode::Inline => return self.store.commit(batch, how),
            Mode::Thread { orders, .. } => orders.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        };
        let orders = orders.ok_or(StoreError::Closed)?;
        match how {
            Durability::Durable => {
                let (tx, rx) = oneshot::channel();
                orders
                    .send(Order {
                        batch,
                        how,
                        done: Some(tx),
                    })
                    .await
                    .map_err(|_| StoreError::Closed)?;
                rx.await.unwrap_or(Err(StoreError::Closed))
            }
            Durability::Buffered => orders
                .send(Order { batch, how, done: None })
                .await
                .map_err(|_| StoreError::Closed),
        }
    }

    /// Writes what waits, flushes, and ends the thread. Blocks; later writes are refused.
    pub fn close(&self) {
        match &self.mode {
            Mode::Inline => {
                if let Err(error) = self.store.commit(Batch::default(), Durability::Durable) {
                    tracing::warn!(%error, "the store was not flushed at the end");
                }
            }
            Mode::Thread { orders, thread } => {
                drop(orders.lock().unwrap_or_else(PoisonError::into_inner).take());
                let thread = thread.lock().unwrap_or_else(PoisonError::into_inner).take();
                if thread.is_some_and(|t| t.join().is_err()) {
                    tracing::error!("the journal's thread panicked; this is a bug");
                }
            }
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.close();
    }
}

/// The thread: takes all that waits, commits it as one, answers everybody.
fn write(store: &dyn KeyValue, mut orders: mpsc::Receiver<Order>) {
    while let Some(first) = orders.blocking_recv() {
        let (mut batch, mut how) = (first.batch, first.how);
        let mut waiting: Vec<_> = first.done.into_iter().collect();
        for _ in 1..CAPACITY {
            let Ok(order) = orders.try_recv() else { break };
            batch.writes.extend(order.batch.writes);
            if order.how == Durability::Durable {
                how = Durability::Durable;
            }
            waiting.extend(order.done);
        }
        let result = store.commit(batch, how);
        if let (Err(error), true) = (&result, waiting.is_empty()) {
            tracing::warn!(%error, "a buffered write was lost; after a restart duties may have to be signed again");
        }
        for done in waiting {
            let _ = done.send(result.clone());
        }
    }
    if let Err(error) = store.commit(Batch::default(), Durability::Durable) {
        tracing::warn!(%error, "the store was not flushed at the end");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        memory::MemoryStore,
        ports::{Flow, Table},
    };

    fn put(key: u8, value: u8) -> Batch {
        Batch {
            writes: vec![(Table::Duty, vec![key], Some(vec![value]))],
        }
    }

    /// Counts commits and holds them back until told.
    struct Slow {
        inner: MemoryStore,
        commits: Mutex<Vec<Durability>>,
        go: Mutex<std::sync::mpsc::Receiver<()>>,
    }

    impl KeyValue for Slow {
        fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
            self.inner.get(table, key)
        }
        fn scan(&self, t: Table, p: &[u8], each: &mut dyn FnMut(&[u8], &[u8]) -> Flow) -> Result<(), StoreError> {
            self.inner.scan(t, p, each)
        }
        fn commit(&self, batch: Batch, how: Durability) -> Result<(), StoreError> {
            let _ = self.go.lock().unwrap().recv();
            self.commits.lock().unwrap().push(how);
            self.inner.commit(batch, how)
        }
    }

    #[tokio::test]
    async fn writes_that_wait_share_one_flush() {
        let (go, gate) = std::sync::mpsc::channel();
        let slow = Arc::new(Slow {
            inner: MemoryStore::default(),
            commits: Mutex::default(),
            go: Mutex::new(gate),
        });
        let journal = Journal::start(Arc::clone(&slow) as Arc<dyn KeyValue>).unwrap();
        let first = journal.commit(put(1, 1), Durability::Durable);
        let rest = futures::future::join_all((2..40).map(|k| journal.commit(put(k, k), Durability::Durable)));
        let release = async {
            tokio::task::yield_now().await;
            drop(go);
        };
        let (first, rest, ()) = tokio::join!(first, rest, release);
        assert!(first.is_ok() && rest.iter().all(Result::is_ok));
        let n = slow.commits.lock().unwrap().len();
        assert!(n <= 3, "39 writes took {n} flushes");
        assert_eq!(slow.get(Table::Duty, &[39]).unwrap(), Some(vec![39]));
    }

    #[tokio::test]
    async fn a_later_write_of_a_key_wins_and_closing_keeps_all_of_them() {
        let store = Arc::new(MemoryStore::default());
        let journal = Journal::start(Arc::clone(&store) as Arc<dyn KeyValue>).unwrap();
        for v in 0..100 {
            journal.commit(put(1, v), Durability::Buffered).await.unwrap();
        }
        journal.close();
        assert_eq!(store.get(Table::Duty, &[1]).unwrap(), Some(vec![99]));
        assert_eq!(
            journal.commit(put(1, 1), Durability::Durable).await,
            Err(StoreError::Closed)
        );
    }

    #[test]
    fn a_scan_visits_the_prefix_in_key_order() {
        let store = MemoryStore::default();
        for k in [[2, 1], [1, 9], [2, 0], [3, 0]] {
            store
                .commit(
                    Batch {
                        writes: vec![(Table::Partial, k.to_vec(), Some(vec![]))],
                    },
                    Durability::Buffered,
                )
                .unwrap();
        }
        let mut seen = BTreeMap::new();
        store
            .scan(Table::Partial, &[2], &mut |k, _| {
                seen.insert(k.to_vec(), seen.len());
                Flow::Continue
            })
            .unwrap();
        assert_eq!(seen, BTreeMap::from([(vec![2, 0], 0), (vec![2, 1], 1)]));
    }
}
