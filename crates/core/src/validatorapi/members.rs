//! The cluster's validators at the head of the chain, asked for once per slot however many ask.
//!
//! Guarantees: one request at a time; an answer without validators or from before the chain's start is never kept, nor is
//! an error; an index once learnt stays known, so that taking in signatures needs no beacon node.
//! Not here: which of them have duties (`scheduler`), other states than the head.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use trireme_eth2::{Slot, ValidatorIndex, ValidatorInfo};

use super::{Awaited, Refused, ValidatorApi};
use crate::{
    ids::PubKey,
    ports::{BeaconError, BeaconNode},
};

/// What is being waited for, for all questions of this module.
const HEAD: &str = "the beacon node's state of the cluster's validators";

#[derive(Default)]
struct State {
    head: Option<(Slot, Arc<Vec<ValidatorInfo>>)>,
    by_index: BTreeMap<ValidatorIndex, PubKey>,
    /// Finished requests, and what the last one said if it failed: those who waited for it need not fail one by one.
    asked: u64,
    failure: Option<BeaconError>,
}

/// See the module's description.
#[derive(Default)]
pub(super) struct Members {
    state: Mutex<State>,
    asking: tokio::sync::Mutex<()>,
}

impl Members {
    async fn head(
        &self,
        now: Slot,
        beacon: &dyn BeaconNode,
        keys: &[PubKey],
    ) -> Result<Arc<Vec<ValidatorInfo>>, BeaconError> {
        let before = {
            let state = self.lock();
            if let Some(known) = state.of(now) {
                return Ok(known);
            }
            state.asked
        };
        let _one_at_a_time = self.asking.lock().await;
        {
            let state = self.lock();
            if let Some(known) = state.of(now) {
                return Ok(known);
            }
            if state.asked != before
                && let Some(error) = &state.failure
            {
                return Err(error.clone());
            }
        }
        let answer = beacon.validators("head", keys).await;
        let mut state = self.lock();
        state.asked = state.asked.wrapping_add(1);
        match answer {
            Ok(found) => {
                state.failure = None;
                Ok(state.learn(now, found, keys))
            }
            Err(error) => {
                state.failure = Some(error.clone());
                Err(error)
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn of(&self, now: Slot) -> Option<Arc<Vec<ValidatorInfo>>> {
        let (slot, known) = self.head.as_ref()?;
        (*slot == now).then(|| Arc::clone(known))
    }

    fn learn(&mut self, now: Slot, found: Vec<ValidatorInfo>, keys: &[PubKey]) -> Arc<Vec<ValidatorInfo>> {
        let found = Arc::new(found);
        if found.is_empty() {
            return found;
        }
        for v in found.iter() {
            let key = PubKey(v.validator.pubkey.0);
            if self.by_index.get(&v.index) != Some(&key) {
                // A validator has one index; only a beacon node of another chain says otherwise.
                self.by_index.retain(|_, known| *known != key);
                if self.by_index.len() < keys.len() {
                    self.by_index.insert(v.index, key);
                }
            }
        }
        // Slot 0 is also the time before the chain's start, when everything may still change.
        if now > Slot(0) {
            self.head = Some((now, Arc::clone(&found)));
        }
        found
    }
}

impl ValidatorApi {
    /// The cluster's validators that the chain knows, as of this slot.
    pub(super) async fn members_at_head(&self, awaited: &Awaited) -> Result<Arc<Vec<ValidatorInfo>>, Refused> {
        awaited.set(HEAD);
        let keys = self.cluster.keys();
        Ok(self.members.head(self.gate.now(), self.beacon.as_ref(), &keys).await?)
    }

    /// The validators behind indices, in order. An exited one is found, too: it may still owe sync committee duties.
    pub(super) async fn keys_of(
        &self,
        indices: impl Iterator<Item = ValidatorIndex> + Clone,
        awaited: &Awaited,
    ) -> Result<Vec<PubKey>, Refused> {
        let look_up = || {
            let state = self.members.lock();
            let found = indices.clone().map(|index| {
                let key = state.by_index.get(&index).copied();
                key.ok_or(Refused::UnknownValidator(index))
            });
            found.collect::<Result<Vec<_>, _>>()
        };
        match look_up() {
            Ok(keys) => Ok(keys),
            Err(_) => {
                self.members_at_head(awaited).await?;
                look_up()
            }
        }
    }

    /// Whether the validator with this index is one of the cluster.
    pub async fn is_member(&self, index: ValidatorIndex, awaited: &Awaited) -> Result<bool, Refused> {
        match self.keys_of(std::iter::once(index), awaited).await {
            Ok(_) => Ok(true),
            Err(Refused::UnknownValidator(_)) => Ok(false),
            Err(why) => Err(why),
        }
    }
}
