//! When to do what: follows the slots, resolves each epoch's duties and announces every duty when its time has come.
//!
//! Guarantees: a slot is announced at most once, whatever the clock does; slots slept through are skipped and counted;
//! a definition, once set for a duty and validator, is never replaced.
//! Not here: how duties are done. What follows an announcement is decided in `wire`.

mod duties;
mod metrics;
mod ticker;

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::future::BoxFuture;
use trireme_eth2::{Epoch, ValidatorIndex};

pub use self::{
    duties::{DutyTable, NotResolved},
    metrics::SchedulerMetrics,
    ticker::{SlotTick, SlotTicker},
};
use crate::{
    backoff,
    cluster::Cluster,
    cx::CxSource,
    definitions::{DutyDefinition, DutyDefinitionSet},
    duty::{Duty, DutyType},
    event::Event,
    ids::PubKey,
    life::Life,
    metrics::DutyLabel,
    ports::{BeaconError, BeaconNode, Clock, Entropy},
    time::SlotTiming,
    validators::ValidatorCache,
};

/// Time after the start of its slot at which a duty begins (core.md 9.3).
#[must_use]
pub fn start_offset(kind: DutyType, t: &SlotTiming) -> Duration {
    let third = |n: u32| t.slot_duration.saturating_mul(n).checked_div(3).unwrap_or_default();
    match kind {
        DutyType::Attester => third(1),
        DutyType::Aggregator | DutyType::SyncContribution => third(2),
        DutyType::Proposer
        | DutyType::Signature
        | DutyType::Exit
        | DutyType::BuilderProposer
        | DutyType::BuilderRegistration
        | DutyType::Randao
        | DutyType::PrepareAggregator
        | DutyType::SyncMessage
        | DutyType::PrepareSyncContribution
        | DutyType::InfoSync => Duration::ZERO,
    }
}

type SlotCall = Arc<dyn Fn(SlotTick) -> BoxFuture<'static, ()> + Send + Sync>;

/// What the scheduler is made of.
pub struct SchedulerParts {
    /// Where duties come from.
    pub beacon: Arc<dyn BeaconNode>,
    /// The cluster's validators on chain.
    pub validators: Arc<ValidatorCache>,
    /// The cluster.
    pub cluster: Arc<Cluster>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The chain's clockwork.
    pub timing: SlotTiming,
    /// Jitter of waits.
    pub entropy: Arc<dyn Entropy>,
    /// Where the tasks of slots and duties run.
    pub life: Life,
    /// Makes the duties' contexts.
    pub cx: CxSource,
    /// Metrics.
    pub metrics: SchedulerMetrics,
}

/// See the module's description.
pub struct Scheduler {
    /// A duty's time has come.
    pub on_duty: Event<DutyDefinitionSet>,
    on_slot: Mutex<Vec<(&'static str, SlotCall)>>,
    parts: SchedulerParts,
    table: DutyTable,
    resolving: tokio::sync::Mutex<()>,
}

impl Scheduler {
    /// A scheduler that does nothing before [`Scheduler::run`].
    #[must_use]
    pub fn new(parts: SchedulerParts) -> Self {
        Self {
            on_duty: Event::new(),
            on_slot: Mutex::default(),
            table: DutyTable::default(),
            resolving: tokio::sync::Mutex::default(),
            parts,
        }
    }

    /// Calls `call` in a task of its own with every slot. For caches, proposal preparation and slow protocols; duties
    /// do not depend on it.
    pub fn on_slot<F>(&self, name: &'static str, call: F)
    where
        F: Fn(SlotTick) -> BoxFuture<'static, ()> + Send + Sync + 'static,
    {
        self.on_slot
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((name, Arc::new(call)));
    }

    /// Waits for the chain's start and for the beacon node to be synced, then follows the slots for ever. An essential
    /// task.
    pub async fn run(self: Arc<Self>) {
        let SchedulerParts { clock, timing, .. } = &self.parts;
        if clock.now() < timing.genesis {
            tracing::info!(genesis = timing.genesis.secs(), "waiting for the chain to start");
            clock.sleep_until(timing.genesis).await;
        }
        self.wait_for_sync().await;
        let mut ticker = SlotTicker::new(Arc::clone(clock), *timing);
        loop {
            let (tick, skipped) = ticker.next().await;
            if skipped > 0 {
                tracing::warn!(
                    slot = tick.slot.0,
                    skipped,
                    "slots were skipped; was the machine asleep or very busy?"
                );
                self.parts.metrics.skipped_slots.inc();
            }
            let scheduler = Arc::clone(&self);
            self.parts
                .life
                .task("scheduler.slot", async move { scheduler.slot(tick).await });
        }
    }

    async fn wait_for_sync(&self) {
        let (mut failed, mut syncing) = (0_u32, 0_u32);
        loop {
            let noise = backoff::noise(self.parts.entropy.as_ref());
            let wait = match self.parts.beacon.syncing().await {
                Ok(status) if !status.is_syncing => return,
                Ok(status) => {
                    tracing::info!(
                        distance = status.sync_distance,
                        "waiting for the beacon node to be synced"
                    );
                    syncing = syncing.saturating_add(1);
                    backoff::DEFAULT.wait(syncing.saturating_sub(1), noise)
                }
                Err(error) => {
                    tracing::warn!(%error, "beacon node's sync state is unknown; no duties until it answers");
                    failed = failed.saturating_add(1);
                    backoff::FAST.wait(failed.saturating_sub(1), noise)
                }
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// All work of one slot.
    async fn slot(self: Arc<Self>, tick: SlotTick) {
        let SchedulerParts { metrics, life, .. } = &self.parts;
        metrics.current_slot.set(i64::try_from(tick.slot.0).unwrap_or(i64::MAX));
        metrics
            .current_epoch
            .set(i64::try_from(tick.epoch.0).unwrap_or(i64::MAX));
        for (name, call) in self.on_slot.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            life.task(name, call(tick));
        }
        self.resolve(tick.epoch).await;
        for kind in DutyType::ALL {
            let duty = Duty::new(tick.slot, kind);
            if let Some(set) = self.table.take_for_announcement(duty) {
                let scheduler = Arc::clone(&self);
                life.task("scheduler.duty", async move { scheduler.announce(duty, set).await });
            }
        }
        if tick.last_in_epoch {
            self.resolve(Epoch(tick.epoch.0.saturating_add(1))).await;
        }
    }

    async fn announce(&self, duty: Duty, set: DutyDefinitionSet) {
        let SchedulerParts {
            clock,
            timing,
            metrics,
            cx,
            ..
        } = &self.parts;
        clock
            .sleep_until(timing.start(duty.slot).after(start_offset(duty.kind, timing)))
            .await;
        let n = u64::try_from(set.0.len()).unwrap_or(u64::MAX);
        metrics.duties.get_or_create(&DutyLabel::from(duty.kind)).inc_by(n);
        if let Err(error) = self.on_duty.emit(&cx.cx(duty), Arc::new(set)).await {
            tracing::warn!(%duty, %error, "duty could not be started");
        }
    }

    /// Resolves `epoch` unless that is done. A part that fails is logged and tried again with the next slot; what
    /// succeeded counts already now. Slots that are over are resolved, too: they are not announced any more, but after a
    /// restart there may be questions about them.
    async fn resolve(&self, epoch: Epoch) {
        let _one_at_a_time = self.resolving.lock().await;
        if self.table.is_resolved(epoch) {
            return;
        }
        self.table.begin(epoch);
        let done = self.try_resolve(epoch).await;
        self.table.end(epoch, done.is_ok());
        if let Err(error) = done {
            tracing::warn!(epoch = epoch.0, %error, "duties of the epoch are not all known; next try with the next slot");
        }
    }

    async fn try_resolve(&self, epoch: Epoch) -> Result<(), BeaconError> {
        let SchedulerParts {
            beacon,
            validators,
            metrics,
            cluster,
            ..
        } = &self.parts;
        let set = validators.get().await?;
        let ours: BTreeMap<_, _> = set.active(epoch).collect();
        metrics.validators(cluster, &set, ours.len());
        if ours.is_empty() {
            tracing::info!(epoch = epoch.0, "no active validators in the epoch");
            return Ok(());
        }
        let indices: Vec<_> = ours.keys().copied().collect();
        let (attesters, proposers) =
            futures::join!(beacon.attester_duties(epoch, &indices), beacon.proposer_duties(epoch));

        let attesters = attesters.map(|answer| {
            let mut missing = ours.clone();
            for duty in answer.duties {
                missing.remove(&duty.validator_index);
                let Some(key) = own_key(&ours, duty.validator_index, duty.pubkey.0) else {
                    continue;
                };
                for kind in [DutyType::Attester, DutyType::Aggregator] {
                    self.table
                        .set(Duty::new(duty.slot, kind), key, DutyDefinition::Attester(duty));
                }
            }
            if let Some((index, key)) = missing.first_key_value() {
                tracing::warn!(epoch = epoch.0, n = missing.len(), index = index.0, validator = %key.short(),
                    "active validators without an attester duty");
            }
        });
        let proposers = proposers.map(|answer| {
            for duty in answer
                .duties
                .into_iter()
                .filter(|d| ours.contains_key(&d.validator_index))
            {
                let Some(key) = own_key(&ours, duty.validator_index, duty.pubkey.0) else {
                    continue;
                };
                self.table.set(
                    Duty::new(duty.slot, DutyType::Proposer),
                    key,
                    DutyDefinition::Proposer(duty),
                );
            }
        });
        attesters.and(proposers)
    }

    /// The definitions of a duty (core.md 9.4); waits while its epoch is being resolved. `None`: nobody has that duty.
    pub async fn definitions(&self, duty: Duty) -> Result<Option<DutyDefinitionSet>, NotResolved> {
        self.table.get(duty, self.parts.timing.epoch(duty.slot)).await
    }
}

/// The key of one of our validators. A beacon node that names another key for the index is not to be believed.
fn own_key(ours: &BTreeMap<ValidatorIndex, PubKey>, index: ValidatorIndex, named: [u8; 48]) -> Option<PubKey> {
    match ours.get(&index) {
        Some(key) if key.0 == named => Some(*key),
        Some(key) => {
            tracing::error!(index = index.0, validator = %key.short(), named = %PubKey(named).short(),
                "beacon node names another key for a validator of ours; its duty is left out");
            None
        }
        None => {
            tracing::warn!(
                index = index.0,
                "beacon node sent a duty of a validator that it was not asked for"
            );
            None
        }
    }
}

/// Makes a slot subscriber of a method.
pub fn each_slot<C, F, Fut>(
    target: &Arc<C>,
    method: F,
) -> impl Fn(SlotTick) -> BoxFuture<'static, ()> + Send + Sync + use<C, F, Fut>
where
    C: Send + Sync + 'static,
    F: Fn(Arc<C>, SlotTick) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let target = Arc::clone(target);
    move |tick| Box::pin(method(Arc::clone(&target), tick))
}
