//! A map whose keys are written once and may be awaited before they are written.
//!
//! Guarantees: no lost wake-up (looking up and subscribing happen under one lock); a written value never changes; a
//! waiter that goes away leaves nothing behind; removing a key wakes its waiters.
//! Not here: deadlines. Whoever waits for a duty's value also watches the duty's deadline.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

/// The key holds another value. This is the anti-slashing check of everything that sits on a board.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("another value is already stored")]
pub struct Conflict;

/// The key was removed, or is too old, before it had a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expired before there was a value")]
pub struct Expired;

type Cell<V> = watch::Sender<Option<Arc<V>>>;

/// See the module's description.
#[derive(Debug)]
pub struct Board<K: Ord, V> {
    cells: Mutex<BTreeMap<K, Cell<V>>>,
}

impl<K: Ord, V> Default for Board<K, V> {
    fn default() -> Self {
        Self {
            cells: Mutex::default(),
        }
    }
}

/// Removes the empty cell of a key when its last waiter goes away.
struct Waiting<'a, K: Ord, V> {
    board: &'a Board<K, V>,
    key: Option<K>,
    rx: Option<watch::Receiver<Option<Arc<V>>>>,
}

impl<K: Ord, V> Drop for Waiting<'_, K, V> {
    fn drop(&mut self) {
        let mut cells = self.board.lock();
        drop(self.rx.take());
        let Some(key) = self.key.take() else { return };
        if cells
            .get(&key)
            .is_some_and(|cell| cell.receiver_count() == 0 && cell.borrow().is_none())
        {
            cells.remove(&key);
        }
    }
}

impl<K: Ord + Clone, V> Board<K, V> {
    /// Writes `value` and wakes the key's waiters. Writing an equal value again is fine, another one is a [`Conflict`].
    pub fn publish(&self, key: K, value: Arc<V>) -> Result<(), Conflict>
    where
        V: PartialEq,
    {
        self.publish_if(key, value, |old, new| old == new)
    }

    /// As [`Board::publish`], with `same` deciding whether a present value (first argument) admits the new one. The
    /// first value stays.
    pub fn publish_if(&self, key: K, value: Arc<V>, same: impl FnOnce(&V, &V) -> bool) -> Result<(), Conflict> {
        let mut cells = self.lock();
        let cell = cells.entry(key).or_insert_with(|| watch::Sender::new(None));
        let known = cell.borrow().clone();
        match known {
            Some(old) if same(&old, &value) => Ok(()),
            Some(_) => Err(Conflict),
            None => {
                cell.send_replace(Some(value));
                Ok(())
            }
        }
    }

    /// The value, if it is there.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<Arc<V>> {
        self.lock().get(key)?.borrow().clone()
    }

    /// Waits for the key's value; ends with [`Expired`] when the key is removed. Drop-safe.
    pub async fn wait(&self, key: K) -> Result<Arc<V>, Expired> {
        let rx = self
            .lock()
            .entry(key.clone())
            .or_insert_with(|| watch::Sender::new(None))
            .subscribe();
        let mut waiting = Waiting {
            board: self,
            key: Some(key),
            rx: Some(rx),
        };
        let Some(rx) = waiting.rx.as_mut() else {
            return Err(Expired);
        };
        let value = rx.wait_for(Option::is_some).await.map_err(|_| Expired)?.clone();
        value.ok_or(Expired)
    }

    /// Removes keys and wakes their waiters.
    pub fn expire(&self, keys: impl IntoIterator<Item = K>) {
        let mut cells = self.lock();
        for key in keys {
            cells.remove(&key);
        }
    }

    /// Removes all keys that `over` says and wakes their waiters.
    pub fn expire_if(&self, mut over: impl FnMut(&K) -> bool) {
        self.lock().retain(|key, _| !over(key));
    }

    /// Keys with a value or a waiter.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether there is neither a value nor a waiter.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<K: Ord, V> Board<K, V> {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<K, Cell<V>>> {
        self.cells.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_second_equal_value_is_fine_and_another_is_a_conflict() {
        let board = Board::default();
        assert_eq!(board.publish(1, Arc::new("a")), Ok(()));
        assert_eq!(board.publish(1, Arc::new("a")), Ok(()));
        assert_eq!(board.publish(1, Arc::new("b")), Err(Conflict));
        assert_eq!(board.get(&1).as_deref(), Some(&"a"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiter_gets_the_value_whether_it_comes_before_or_after() {
        let board = Board::default();
        let (early, ()) = tokio::join!(board.wait(1), async {
            tokio::task::yield_now().await;
            board.publish(1, Arc::new(7)).unwrap();
        });
        assert_eq!(early.as_deref(), Ok(&7));
        assert_eq!(board.wait(1).await.as_deref(), Ok(&7));
    }

    #[tokio::test(start_paused = true)]
    async fn removing_a_key_ends_its_waiters_and_no_others() {
        let board = Board::<u8, u8>::default();
        let (gone, other, ()) = tokio::join!(
            board.wait(1),
            tokio::time::timeout(Duration::from_secs(1), board.wait(2)),
            async {
                tokio::task::yield_now().await;
                board.expire([1]);
            }
        );
        assert_eq!(gone, Err(Expired));
        assert!(other.is_err(), "the waiter for another key went on waiting");
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiter_that_goes_away_leaves_nothing_behind() {
        let board = Board::<u8, u8>::default();
        let one = board.wait(1);
        assert!(tokio::time::timeout(Duration::from_secs(1), one).await.is_err());
        assert!(board.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiter_that_goes_away_does_not_disturb_the_ones_that_stay() {
        let board = Board::default();
        let (stays, goes, ()) = tokio::join!(
            board.wait(1),
            tokio::time::timeout(Duration::from_millis(1), board.wait(1)),
            async {
                tokio::time::sleep(Duration::from_millis(5)).await;
                board.publish(1, Arc::new(3)).unwrap();
            }
        );
        assert!(goes.is_err());
        assert_eq!(stays.as_deref(), Ok(&3));
    }

    #[test]
    fn no_wake_up_is_lost_between_threads() {
        // Writers, waiters and cancelled waiters race on the same keys; every waiter that stays must end with a value.
        let board = Arc::new(Board::<u32, u32>::default());
        let rt = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(4)
            .enable_time()
            .build()
            .unwrap();
        for round in 0..300_u32 {
            let spawn = |wait: bool| {
                let board = Arc::clone(&board);
                rt.spawn(async move {
                    if wait {
                        board.wait(round).await.map(|v| *v)
                    } else {
                        // Polled once and dropped: the clean-up path races with the others.
                        let _ = futures::FutureExt::now_or_never(board.wait(round));
                        Ok(round)
                    }
                })
            };
            let tasks: Vec<_> = (0..8).map(|i| spawn(i % 2 == 0)).collect();
            board.publish(round, Arc::new(round)).unwrap();
            for task in tasks {
                let got = rt.block_on(async { tokio::time::timeout(Duration::from_secs(10), task).await });
                assert_eq!(got.expect("a wake-up was lost").unwrap(), Ok(round));
            }
        }
        assert_eq!(board.len(), 300);
    }
}
