//! The cluster's validators as the chain knows them, asked for once per epoch.
//!
//! Guarantees: one request at a time; after an answer for another state than asked for, or one without any validator of
//! ours, the next slot asks again; an answer that could not be had leaves the last one in place, and so does one that
//! lacks validators that the chain has had: it is of an older state, or of another chain.
//! Not here: duties (`scheduler`).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use trireme_eth2::{Epoch, ValidatorIndex, ValidatorInfo, ValidatorStatus};

use crate::{
    cluster::Cluster,
    ids::PubKey,
    metrics::CacheMetrics,
    ports::{BeaconError, BeaconNode},
    time::SlotTick,
};

/// Label of the cache's metrics.
const ENDPOINT: &str = "validators";

/// The answer of one request.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ValidatorSet {
    /// By index on chain.
    pub by_index: BTreeMap<ValidatorIndex, ValidatorInfo>,
}

impl ValidatorSet {
    /// Validators that have duties in `epoch`: active now and not leaving before it, or to be activated with it.
    pub fn active(&self, epoch: Epoch) -> impl Iterator<Item = (ValidatorIndex, PubKey)> {
        self.by_index
            .iter()
            .filter(move |(_, v)| {
                let stays = v.validator.exit_epoch > epoch || v.status == ValidatorStatus::ActiveOngoing;
                v.status.is_active() && stays || v.validator.activation_epoch == epoch
            })
            .map(|(index, v)| (*index, PubKey(v.validator.pubkey.0)))
    }

    /// Validators that may be in the sync committee of `epoch`: the active ones, and those that have exited, as they stay
    /// members until the end of the periods that they were chosen for.
    pub fn sync_members(&self, epoch: Epoch) -> impl Iterator<Item = (ValidatorIndex, PubKey)> {
        self.by_index
            .iter()
            .filter(move |(_, v)| !v.status.is_pending() || v.validator.activation_epoch == epoch)
            .map(|(index, v)| (*index, PubKey(v.validator.pubkey.0)))
    }
}

#[derive(Default)]
struct State {
    known: Option<Arc<ValidatorSet>>,
    /// The last refresh had to ask for another state than the slot's.
    fell_back: bool,
}

/// See the module's description.
pub struct ValidatorCache {
    beacon: Arc<dyn BeaconNode>,
    keys: Vec<PubKey>,
    state: Mutex<State>,
    asking: tokio::sync::Mutex<()>,
    metrics: CacheMetrics,
}

impl ValidatorCache {
    /// An empty cache.
    #[must_use]
    pub fn new(beacon: Arc<dyn BeaconNode>, cluster: &Cluster, metrics: CacheMetrics) -> Self {
        Self {
            beacon,
            keys: cluster.keys(),
            state: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
            metrics,
        }
    }

    /// The last answer that counts; asks for the head state if there is none yet.
    pub async fn get(&self) -> Result<Arc<ValidatorSet>, BeaconError> {
        if let Some(known) = self.known() {
            self.metrics.hit(ENDPOINT);
            return Ok(known);
        }
        let _one_at_a_time = self.asking.lock().await;
        if let Some(known) = self.known() {
            return Ok(known);
        }
        self.metrics.miss(ENDPOINT);
        self.ask("head", true).await
    }

    /// To be called with every slot: asks again at the first slot, at the first of each epoch, and after a fall-back.
    pub async fn on_slot(self: Arc<Self>, tick: SlotTick) {
        if !(tick.first_seen || tick.first_in_epoch || self.lock().fell_back) {
            return;
        }
        let _one_at_a_time = self.asking.lock().await;
        if self.ask(&tick.slot.0.to_string(), false).await.is_ok() {
            return;
        }
        if let Err(error) = self.ask("head", true).await {
            self.lock().fell_back = true;
            tracing::warn!(%error, "validators could not be refreshed; duties are resolved with the last known ones");
        }
    }

    async fn ask(&self, state: &str, fell_back: bool) -> Result<Arc<ValidatorSet>, BeaconError> {
        let found = self.beacon.validators(state, &self.keys).await?;
        let new = Arc::new(ValidatorSet {
            by_index: found.into_iter().map(|v| (v.index, v)).collect(),
        });
        if let Some(known) = self.known() {
            lacks_none(&new, &known)?;
        }
        *self.lock() = State {
            fell_back: fell_back || new.by_index.is_empty(),
            known: Some(Arc::clone(&new)),
        };
        Ok(new)
    }

    /// The index of a validator, if it is known already. Never asks.
    #[must_use]
    pub fn index(&self, key: &PubKey) -> Option<ValidatorIndex> {
        let known = self.known()?;
        let mut all = known.by_index.iter();
        all.find(|(_, v)| v.validator.pubkey.0 == key.0)
            .map(|(index, _)| *index)
    }

    /// The last answer that counts, if there is one. Never asks.
    #[must_use]
    pub fn known(&self) -> Option<Arc<ValidatorSet>> {
        self.lock().known.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// No validator ever leaves the chain's list, not even long after its exit.
fn lacks_none(new: &ValidatorSet, known: &ValidatorSet) -> Result<(), BeaconError> {
    let there: BTreeSet<_> = new.by_index.values().map(|v| v.validator.pubkey.0).collect();
    let known = known.by_index.values().map(|v| v.validator.pubkey.0);
    let lacking: Vec<_> = known.filter(|key| !there.contains(key)).collect();
    match lacking.first() {
        Some(first) => Err(BeaconError::Malformed {
            endpoint: "/eth/v1/beacon/states/{state_id}/validators",
            reason: format!(
                "{} validators that the chain has had are missing, {} among them; is the beacon node on an old state?",
                lacking.len(),
                PubKey(*first).short()
            ),
        }),
        None => Ok(()),
    }
}
