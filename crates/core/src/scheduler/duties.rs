//! The duties of the last epochs, as resolved.
//!
//! Guarantees: a definition once set stays; a duty is handed out for announcement once; a question about an epoch that
//! is being resolved waits for the result; memory is bounded to a few epochs.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;
use trireme_eth2::Epoch;

use crate::{
    definitions::{DutyDefinition, DutyDefinitionSet},
    duty::Duty,
    ids::PubKey,
};

/// Epochs after which duties are forgotten.
const KEPT: u64 = 3;

/// Why the definitions of a duty are not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotResolved {
    /// The epoch has not been resolved and is not being resolved now.
    #[error("the duties of epoch {} are not resolved yet", .0.0)]
    NotYet(Epoch),
    /// The epoch is so old that its duties are forgotten.
    #[error("the duties of epoch {} are trimmed already", .0.0)]
    Trimmed(Epoch),
}

#[derive(Default)]
struct State {
    sets: BTreeMap<Duty, (Epoch, DutyDefinitionSet)>,
    announced: BTreeSet<Duty>,
    resolved: BTreeSet<Epoch>,
    resolving: Option<Epoch>,
}

/// See the module's description.
pub struct DutyTable {
    state: Mutex<State>,
    /// Counts ended resolutions, to wake questions.
    ended: watch::Sender<u64>,
}

impl Default for DutyTable {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            ended: watch::Sender::new(0),
        }
    }
}

impl DutyTable {
    /// Whether all duties of `epoch` are known.
    #[must_use]
    pub fn is_resolved(&self, epoch: Epoch) -> bool {
        self.lock().resolved.contains(&epoch)
    }

    /// Resolution of `epoch` begins; questions about it wait.
    pub fn begin(&self, epoch: Epoch) {
        self.lock().resolving = Some(epoch);
    }

    /// Resolution of `epoch` ends; with `complete`, old epochs are forgotten.
    pub fn end(&self, epoch: Epoch, complete: bool) {
        let mut state = self.lock();
        state.resolving = None;
        if complete {
            state.resolved.insert(epoch);
            if let Some(oldest) = epoch.0.checked_sub(KEPT - 1).map(Epoch) {
                state.resolved.retain(|e| *e >= oldest);
                state.sets.retain(|_, (e, _)| *e >= oldest);
                let first = state.sets.keys().next().map(|d| d.slot);
                state.announced.retain(|duty| first.is_some_and(|f| duty.slot >= f));
            }
        }
        drop(state);
        self.ended.send_modify(|n| *n = n.wrapping_add(1));
    }

    /// Sets a validator's definition unless there is one. Call between [`DutyTable::begin`] and [`DutyTable::end`].
    pub fn set(&self, duty: Duty, validator: PubKey, definition: DutyDefinition) {
        let mut state = self.lock();
        let Some(epoch) = state.resolving else { return };
        let (_, set) = state
            .sets
            .entry(duty)
            .or_insert_with(|| (epoch, DutyDefinitionSet::default()));
        set.0.entry(validator).or_insert(definition);
    }

    /// The duty's definitions, the first time that they are asked for.
    #[must_use]
    pub fn take_for_announcement(&self, duty: Duty) -> Option<DutyDefinitionSet> {
        let mut state = self.lock();
        let set = state.sets.get(&duty)?.1.clone();
        state.announced.insert(duty).then_some(set)
    }

    /// The definitions of `duty`, which lies in `epoch`; `None` if nobody of ours has it.
    pub async fn get(&self, duty: Duty, epoch: Epoch) -> Result<Option<DutyDefinitionSet>, NotResolved> {
        let mut ended = self.ended.subscribe();
        loop {
            {
                let state = self.lock();
                if let Some((_, set)) = state.sets.get(&duty) {
                    return Ok(Some(set.clone()));
                }
                if state.resolved.contains(&epoch) {
                    return Ok(None);
                }
                if state.resolving != Some(epoch) {
                    let trimmed = state.resolved.first().is_some_and(|oldest| epoch < *oldest);
                    return Err(if trimmed {
                        NotResolved::Trimmed(epoch)
                    } else {
                        NotResolved::NotYet(epoch)
                    });
                }
            }
            if ended.changed().await.is_err() {
                return Err(NotResolved::NotYet(epoch));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
