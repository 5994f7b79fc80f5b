//! The duties of the last epochs, as resolved.
//!
//! Guarantees: a duty is handed out for announcement once, and what was handed out stays; a question about an epoch that
//! is being resolved waits for the result; memory is bounded to a few epochs.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;
use trireme_eth2::{Epoch, HeadEvent, Root, ValidatorIndex};

use crate::{
    definitions::DutyDefinitionSet,
    duty::{Duty, DutyType},
};

/// Epochs after which duties are forgotten.
const KEPT: u64 = 3;

/// Views of other beacon nodes on an epoch's past that are remembered, so that each makes us ask again only once.
const VIEWS: usize = 8;

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

/// What the resolution of an epoch rests on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Basis {
    /// The block that the attesters' duties depend on; zero if the beacon node does not tell.
    pub attesters: Root,
    /// The block that the proposers' duties depend on; zero if the beacon node does not tell.
    pub proposers: Root,
    /// The validators that were active.
    pub active: Vec<ValidatorIndex>,
}

struct Resolved {
    basis: Basis,
    /// To be resolved again; what is known counts until then.
    outdated: bool,
    /// Dependent roots of heads that did not fit and were looked into.
    looked_into: BTreeSet<(Root, Root)>,
}

#[derive(Default)]
struct State {
    sets: BTreeMap<Duty, (Epoch, DutyDefinitionSet)>,
    announced: BTreeSet<Duty>,
    /// Announced with definitions that a later resolution has not confirmed.
    disputed: BTreeSet<Duty>,
    resolved: BTreeMap<Epoch, Resolved>,
    /// Epochs that are being resolved, and whether something has changed since that began.
    resolving: BTreeMap<Epoch, bool>,
}

impl State {
    fn outdate(&mut self, epoch: Epoch) {
        if let Some(resolved) = self.resolved.get_mut(&epoch) {
            resolved.outdated = true;
        }
        if let Some(changed) = self.resolving.get_mut(&epoch) {
            *changed = true;
        }
    }
}

/// See the module's description.
pub struct DutyTable {
    state: Mutex<State>,
    /// Counts what was learned and resolutions that ended, to wake whoever waits for either.
    changes: watch::Sender<u64>,
}

impl Default for DutyTable {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            changes: watch::Sender::new(0),
        }
    }
}

impl DutyTable {
    /// Whether all duties of `epoch` are known, and nothing has changed since.
    #[must_use]
    pub fn is_resolved(&self, epoch: Epoch) -> bool {
        self.lock().resolved.get(&epoch).is_some_and(|r| !r.outdated)
    }

    /// Whether the epoch's duties were known and something has changed since.
    #[must_use]
    pub fn is_outdated(&self, epoch: Epoch) -> bool {
        self.lock().resolved.get(&epoch).is_some_and(|r| r.outdated)
    }

    /// Told of everything that is learned from now on, and of every resolution that ends.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Resolution of `epoch` begins; questions about it wait unless it was resolved before. Several epochs may be
    /// resolved at a time, each by one.
    pub fn begin(&self, epoch: Epoch) {
        self.lock().resolving.insert(epoch, false);
    }

    /// Resolution of `epoch` ends. With a basis it is complete, and old epochs are forgotten. What changed meanwhile may
    /// not be in it, so that it is outdated at once.
    pub fn end(&self, epoch: Epoch, complete: Option<Basis>) {
        let mut guard = self.lock();
        let state = &mut *guard;
        let outdated = state.resolving.remove(&epoch).unwrap_or_default();
        if let Some(basis) = complete {
            let before = state.resolved.remove(&epoch);
            let resolved = Resolved {
                basis,
                outdated,
                looked_into: before.map(|r| r.looked_into).unwrap_or_default(),
            };
            state.resolved.insert(epoch, resolved);
            if let Some(oldest) = epoch.0.checked_sub(KEPT - 1).map(Epoch) {
                state.resolved.retain(|e, _| *e >= oldest);
                state.sets.retain(|_, (e, _)| *e >= oldest);
                let first = state.sets.keys().next().map(|d| d.slot);
                state.announced.retain(|duty| first.is_some_and(|f| duty.slot >= f));
                state.disputed.retain(|duty| first.is_some_and(|f| duty.slot >= f));
            }
        }
        drop(guard);
        self.changes.send_modify(|n| *n = n.wrapping_add(1));
    }

    /// Replaces the definitions of all duties of these kinds in an epoch that is being resolved. Duties that were
    /// announced keep theirs. Call between [`DutyTable::begin`] and [`DutyTable::end`].
    pub fn replace(&self, epoch: Epoch, kinds: &[DutyType], new: BTreeMap<Duty, DutyDefinitionSet>) {
        let mut guard = self.lock();
        let state = &mut *guard;
        let (announced, disputed) = (&state.announced, &mut state.disputed);
        state.sets.retain(|duty, (e, set)| {
            if *e != epoch || !kinds.contains(&duty.kind) {
                return true;
            }
            let keep = announced.contains(duty);
            if keep && new.get(duty) != Some(set) {
                disputed.insert(*duty);
            } else {
                disputed.remove(duty);
            }
            keep
        });
        for (duty, set) in new {
            state.sets.entry(duty).or_insert((epoch, set));
        }
        drop(guard);
        self.changes.send_modify(|n| *n = n.wrapping_add(1));
    }

    /// The definitions of `duty`, which lies in `epoch`, empty if nobody of ours has it; `None` unless the epoch is
    /// resolved, nothing has changed since, and the definitions are those of that resolution.
    #[must_use]
    pub fn known(&self, duty: Duty, epoch: Epoch) -> Option<DutyDefinitionSet> {
        let state = self.lock();
        let certain = state.resolved.get(&epoch).is_some_and(|r| !r.outdated)
            && !state.resolving.contains_key(&epoch)
            && !state.disputed.contains(&duty);
        certain.then(|| state.sets.get(&duty).map(|(_, set)| set.clone()).unwrap_or_default())
    }

    /// A head in epoch `now` tells on which blocks the duties of it and of the next epoch depend: the attesters' of the
    /// two on one each, the proposers', by fork, on either. Epochs that rest on other blocks are outdated; says whether
    /// there are any.
    pub fn heard(&self, head: &HeadEvent, now: Epoch) -> bool {
        let (previous, current) = (head.previous_duty_dependent_root, head.current_duty_dependent_root);
        if previous == Root::ZERO || current == Root::ZERO {
            return false;
        }
        let next = Epoch(now.0.saturating_add(1));
        let mut state = self.lock();
        let mut any = false;
        for (epoch, attesters) in [(now, previous), (next, current)] {
            let Some(resolved) = state.resolved.get_mut(&epoch) else {
                continue;
            };
            let differs = |known: Root, fits: bool| known != Root::ZERO && !fits;
            let basis = &resolved.basis;
            let outdated = differs(basis.attesters, basis.attesters == attesters)
                || differs(basis.proposers, [previous, current].contains(&basis.proposers));
            if outdated && resolved.looked_into.len() < VIEWS && resolved.looked_into.insert((previous, current)) {
                state.outdate(epoch);
                any = true;
            }
        }
        any
    }

    /// The chain was reorganised from `epoch` on: later ones are outdated. Says whether there are any.
    pub fn reorganised(&self, epoch: Epoch) -> bool {
        let mut state = self.lock();
        let later: BTreeSet<_> = state.resolved.keys().chain(state.resolving.keys()).copied().collect();
        let mut any = false;
        for later in later.into_iter().filter(|e| *e > epoch) {
            state.outdate(later);
            any = true;
        }
        any
    }

    /// An epoch that was resolved for other validators than these is outdated.
    pub fn has_active(&self, epoch: Epoch, active: &[ValidatorIndex]) {
        let mut state = self.lock();
        if state.resolved.get(&epoch).is_some_and(|r| r.basis.active != active) {
            state.outdate(epoch);
        }
    }

    /// Epochs that are outdated, ascending.
    #[must_use]
    pub fn outdated(&self) -> Vec<Epoch> {
        let state = self.lock();
        state
            .resolved
            .iter()
            .filter(|(_, r)| r.outdated)
            .map(|(e, _)| *e)
            .collect()
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
        let mut changes = self.changes();
        loop {
            {
                let state = self.lock();
                if let Some((_, set)) = state.sets.get(&duty) {
                    return Ok(Some(set.clone()));
                }
                if state.resolved.contains_key(&epoch) {
                    return Ok(None);
                }
                if !state.resolving.contains_key(&epoch) {
                    let trimmed = state.resolved.keys().next().is_some_and(|oldest| epoch < *oldest);
                    return Err(if trimmed {
                        NotResolved::Trimmed(epoch)
                    } else {
                        NotResolved::NotYet(epoch)
                    });
                }
            }
            if changes.changed().await.is_err() {
                return Err(NotResolved::NotYet(epoch));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
