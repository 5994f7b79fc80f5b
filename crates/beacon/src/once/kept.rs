//! Answers that are kept, per epoch.
//!
//! Guarantees: bounded: the newest epochs, and a number of validators each; an answer that was under way when its epoch
//! was forgotten is returned and not kept.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::OnceCell;
use trireme_core::ports::{BeaconError, Duties};
use trireme_eth2::{Epoch, Root, ValidatorIndex};

/// Epochs that are kept: some behind, the present one, the next one, and one to spare.
const EPOCHS: usize = 6;
/// Validators of an epoch that are kept. A cluster has thousands at most.
const VALIDATORS: usize = 1 << 17;

fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes room for one more epoch.
fn trim<T>(all: &mut BTreeMap<Epoch, T>) {
    while all.len() > EPOCHS {
        all.pop_first();
    }
}

/// What is known of an epoch: for each validator asked about its duties, possibly none.
struct Known<T> {
    dependent_root: Root,
    execution_optimistic: bool,
    of: BTreeMap<ValidatorIndex, Vec<T>>,
}

struct Entry<T> {
    known: Mutex<Option<Known<T>>>,
    asking: tokio::sync::Mutex<()>,
}

impl<T> Default for Entry<T> {
    fn default() -> Self {
        Self {
            known: Mutex::new(None),
            asking: tokio::sync::Mutex::default(),
        }
    }
}

/// Duties of single validators.
pub(super) struct ByValidator<T> {
    epochs: Mutex<BTreeMap<Epoch, Arc<Entry<T>>>>,
    whose: fn(&T) -> ValidatorIndex,
    nobody: Nobody,
}

/// What it means that nobody asked about has a duty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nobody {
    /// It is as good an answer as any.
    Usual,
    /// Nobody was active yet, or the beacon node lacks blocks: it is not kept.
    TooEarly,
}

impl<T: Clone> ByValidator<T> {
    pub(super) const fn new(whose: fn(&T) -> ValidatorIndex, nobody: Nobody) -> Self {
        Self {
            epochs: Mutex::new(BTreeMap::new()),
            whose,
            nobody,
        }
    }

    /// Keeps the epochs for which `keep` says so, given the dependent root of what is known of them.
    pub(super) fn retain(&self, keep: impl Fn(Epoch, Option<Root>) -> bool) {
        lock(&self.epochs).retain(|epoch, entry| {
            let root = lock(&entry.known).as_ref().map(|k| k.dependent_root);
            keep(*epoch, root)
        });
    }

    /// The duties of these validators; asks only about those that are not known. Drop-safe.
    pub(super) async fn get<F>(
        &self,
        epoch: Epoch,
        indices: &[ValidatorIndex],
        ask: impl Fn(Vec<ValidatorIndex>) -> F,
        count: impl Fn(bool),
    ) -> Result<Duties<T>, BeaconError>
    where
        F: Future<Output = Result<Duties<T>, BeaconError>>,
    {
        let asked: BTreeSet<ValidatorIndex> = indices.iter().copied().collect();
        let entry = self.entry(epoch);
        if let Some(kept) = entry.look_up(&asked) {
            count(true);
            return Ok(kept);
        }
        count(false);
        let _one_at_a_time = entry.asking.lock().await;
        if let Some(kept) = entry.look_up(&asked) {
            return Ok(kept);
        }
        let result = self.fill(&entry, &asked, ask).await;
        if entry.root().is_none() {
            // A question about a far epoch takes no place from the near ones.
            lock(&self.epochs).retain(|_, other| !Arc::ptr_eq(other, &entry));
        }
        result
    }

    async fn fill<F>(
        &self,
        entry: &Entry<T>,
        asked: &BTreeSet<ValidatorIndex>,
        ask: impl Fn(Vec<ValidatorIndex>) -> F,
    ) -> Result<Duties<T>, BeaconError>
    where
        F: Future<Output = Result<Duties<T>, BeaconError>>,
    {
        let missing = entry.missing(asked);
        let part = missing.len() < asked.len();
        let mut about = missing;
        let mut answer = ask(about.clone()).await?;
        if part && entry.root() != Some(answer.dependent_root) {
            // The chain has gone another way since the others were asked for.
            *lock(&entry.known) = None;
            about = asked.iter().copied().collect();
            answer = ask(about.clone()).await?;
        }
        self.keep(entry, &about, &answer);
        // Too many to be kept: the answer is all there is, and all that was asked for.
        Ok(entry.look_up(asked).unwrap_or(answer))
    }

    fn entry(&self, epoch: Epoch) -> Arc<Entry<T>> {
        let mut epochs = lock(&self.epochs);
        let entry = Arc::clone(epochs.entry(epoch).or_default());
        trim(&mut epochs);
        entry
    }

    fn keep(&self, entry: &Entry<T>, about: &[ValidatorIndex], answer: &Duties<T>) {
        if answer.duties.is_empty() && self.nobody == Nobody::TooEarly {
            return;
        }
        let mut known = lock(&entry.known);
        let known = known.get_or_insert_with(|| Known {
            dependent_root: answer.dependent_root,
            execution_optimistic: answer.execution_optimistic,
            of: BTreeMap::new(),
        });
        if known.of.len().saturating_add(about.len()) > VALIDATORS {
            known.of.clear();
            if about.len() > VALIDATORS {
                return;
            }
        }
        known.dependent_root = answer.dependent_root;
        known.execution_optimistic = answer.execution_optimistic;
        for index in about {
            known.of.entry(*index).or_default().clear();
        }
        for duty in &answer.duties {
            if let Some(of) = known.of.get_mut(&(self.whose)(duty)) {
                of.push(duty.clone());
            }
        }
    }
}

impl<T: Clone> Entry<T> {
    fn root(&self) -> Option<Root> {
        lock(&self.known).as_ref().map(|k| k.dependent_root)
    }

    fn look_up(&self, asked: &BTreeSet<ValidatorIndex>) -> Option<Duties<T>> {
        let known = lock(&self.known);
        let known = known.as_ref()?;
        let mut duties = Vec::new();
        for index in asked {
            duties.extend(known.of.get(index)?.iter().cloned());
        }
        Some(Duties {
            dependent_root: known.dependent_root,
            execution_optimistic: known.execution_optimistic,
            duties,
        })
    }

    fn missing(&self, asked: &BTreeSet<ValidatorIndex>) -> Vec<ValidatorIndex> {
        let known = lock(&self.known);
        let has = |index: &ValidatorIndex| known.as_ref().is_some_and(|k| k.of.contains_key(index));
        asked.iter().copied().filter(|index| !has(index)).collect()
    }
}

#[cfg(test)]
impl<T> ByValidator<T> {
    pub(super) fn epochs(&self) -> usize {
        lock(&self.epochs).len()
    }
}

#[cfg(test)]
impl<T> OfEpoch<T> {
    pub(super) fn epochs(&self) -> usize {
        lock(&self.0).len()
    }
}

/// Duties of everybody.
pub(super) struct OfEpoch<T>(Mutex<BTreeMap<Epoch, Arc<OnceCell<Duties<T>>>>>);

impl<T> Default for OfEpoch<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> OfEpoch<T> {
    /// As [`ByValidator::retain`].
    pub(super) fn retain(&self, keep: impl Fn(Epoch, Option<Root>) -> bool) {
        lock(&self.0).retain(|epoch, cell| keep(*epoch, cell.get().map(|d| d.dependent_root)));
    }

    /// The duties; asks if they are not known. Drop-safe.
    pub(super) async fn get<F>(
        &self,
        epoch: Epoch,
        ask: impl FnOnce() -> F,
        count: impl Fn(bool),
    ) -> Result<Duties<T>, BeaconError>
    where
        F: Future<Output = Result<Duties<T>, BeaconError>>,
    {
        let cell = {
            let mut epochs = lock(&self.0);
            let cell = Arc::clone(epochs.entry(epoch).or_default());
            trim(&mut epochs);
            cell
        };
        count(cell.initialized());
        let result = cell.get_or_try_init(ask).await.cloned();
        // Every epoch has proposers: an answer without any was made too early, before genesis for example.
        let worthless = result.as_ref().is_ok_and(|answer| answer.duties.is_empty());
        if worthless || (result.is_err() && !cell.initialized()) {
            lock(&self.0).retain(|_, other| !Arc::ptr_eq(other, &cell));
        }
        result
    }
}
