//! When to do what: follows the slots, resolves each epoch's duties and announces every duty when its time has come.
//!
//! Guarantees: a duty is announced at most once, whatever the clock and the chain do, and keeps the definitions that it
//! was announced with; others follow the chain: what a reorganisation or a change of the validators made wrong is
//! resolved again, and what is known begins in time meanwhile; slots slept through are skipped and counted, and so is a
//! clock that was set back.
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
use tokio::sync::{Notify, broadcast::error::RecvError, watch};
use trireme_eth2::{ChainEvent, Epoch, ReorgEvent, Root, Slot, ValidatorIndex};

pub use self::{
    duties::{Basis, DutyTable, NotResolved},
    metrics::SchedulerMetrics,
    ticker::{Beat, SlotTicker},
};
pub use crate::time::SlotTick;
use crate::{
    backoff,
    cluster::Cluster,
    cx::CxSource,
    definitions::{DutyDefinition, DutyDefinitionSet, KnownDuties},
    duty::{Duty, DutyType},
    event::Event,
    features::{Feature, FeatureSet},
    heads::SharedHeads,
    ids::PubKey,
    life::Life,
    metrics::DutyLabel,
    ports::{BeaconError, BeaconNode, Clock, Entropy},
    spans::{self, TRACE},
    step::StepError,
    time::SlotTiming,
    validators::ValidatorCache,
};

/// The kinds of duties that begin by the clock, in the order of their start.
const BY_THE_CLOCK: [DutyType; 4] = [
    DutyType::Proposer,
    DutyType::Attester,
    DutyType::Aggregator,
    DutyType::SyncContribution,
];

/// How much later attestations begin with the feature `fetch_att_on_block_with_delay`.
const EARLY_FETCH_DELAY: Duration = Duration::from_millis(300);

/// The part of a slot for which a duty waits for its changed epoch to be resolved again: a quarter of a second of
/// mainnet's. What is known then begins, as waiting on would cost a duty that has probably not changed.
const MOMENT: u32 = 48;

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

/// Validators of ours by index.
type Validators = BTreeMap<ValidatorIndex, PubKey>;

/// Definitions of several duties.
type Definitions = BTreeMap<Duty, DutyDefinitionSet>;

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
    /// Where heads are noted.
    pub heads: Arc<SharedHeads>,
    /// `fetch_att_on_block_with_delay`.
    pub features: FeatureSet,
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
    /// Each epoch is resolved by one at a time.
    turns: Mutex<BTreeMap<Epoch, Arc<tokio::sync::Mutex<()>>>>,
}

impl Scheduler {
    /// A scheduler that does nothing before [`Scheduler::run`].
    #[must_use]
    pub fn new(parts: SchedulerParts) -> Self {
        Self {
            on_duty: Event::new(),
            on_slot: Mutex::default(),
            table: DutyTable::default(),
            turns: Mutex::default(),
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
            let (tick, skipped) = match ticker.beat().await {
                Beat::Slot(tick, skipped) => (tick, skipped),
                Beat::SetBack { from, to, resumes } => {
                    tracing::warn!(
                        from = from.0,
                        to = to.0,
                        resumes = resumes.0,
                        "the clock was set back; no duty of a slot that has begun before is done again, the next ones begin \
                         with the slot at which they resume"
                    );
                    self.parts.metrics.clock_set_back.inc();
                    continue;
                }
            };
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
        self.look_at_validators(tick.epoch);
        // A beacon node that is slow with what has changed does not hold up what is known.
        let (attempt, attempted) = watch::channel(());
        for kind in BY_THE_CLOCK {
            let (scheduler, duty) = (Arc::clone(&self), Duty::new(tick.slot, kind));
            let attempted = attempted.clone();
            life.task(
                "scheduler.duty",
                async move { scheduler.announce(duty, attempted).await },
            );
        }
        self.resolve(tick.epoch).await;
        drop(attempt);
        if tick.last_in_epoch {
            self.resolve(Epoch(tick.epoch.0.saturating_add(1))).await;
        }
    }

    /// Validators that were activated, or left, since the epoch was resolved make it outdated.
    fn look_at_validators(&self, epoch: Epoch) {
        if let Some(set) = self.parts.validators.known() {
            let active: Vec<_> = set.active(epoch).map(|(index, _)| index).collect();
            self.table.has_active(epoch, &active);
        }
    }

    /// Follows what the beacon node tells of its chain, for ever: what a reorganisation made wrong is resolved again at
    /// once. To be run as a task.
    pub async fn follow(self: Arc<Self>) {
        let changed = Notify::new();
        // Whoever listens never waits for an answer, so that nothing of what is told is missed meanwhile.
        let resolve = async {
            loop {
                changed.notified().await;
                let outdated = self.table.outdated();
                if outdated.is_empty() {
                    continue;
                }
                tracing::info!(epochs = ?outdated.iter().map(|e| e.0).collect::<Vec<_>>(),
                    "the chain has changed, duties of these epochs are resolved again");
                futures::future::join_all(outdated.into_iter().map(|epoch| self.resolve(epoch))).await;
            }
        };
        tokio::select! { biased;
            () = self.listen(&changed) => {}
            () = resolve => {}
        }
    }

    async fn listen(&self, changed: &Notify) {
        let mut events = self.parts.beacon.events();
        let mut last = None;
        loop {
            let outdated = match events.recv().await {
                Ok(ChainEvent::Head(head)) => {
                    self.parts.heads.note(head.slot, head.block);
                    self.table.heard(&head, self.parts.timing.epoch(head.slot))
                }
                Ok(ChainEvent::Reorg(reorg)) => {
                    // Every beacon node tells of it.
                    let again =
                        last.replace((reorg.slot, reorg.new_head_block)) == Some((reorg.slot, reorg.new_head_block));
                    !again && self.reorganised(&reorg)
                }
                Ok(ChainEvent::Block(_)) | Err(RecvError::Lagged(_)) => false,
                Err(RecvError::Closed) => return,
            };
            if outdated {
                changed.notify_one();
            }
        }
    }

    fn reorganised(&self, reorg: &ReorgEvent) -> bool {
        let timing = &self.parts.timing;
        let fork = Slot(reorg.slot.0.saturating_sub(reorg.depth));
        self.table.reorganised(timing.epoch(fork))
    }

    /// Announces the duty when its time has come, with what is known of it then. `attempted` closes when the slot's
    /// attempt to resolve its epoch has ended.
    async fn announce(&self, duty: Duty, attempted: watch::Receiver<()>) {
        let SchedulerParts {
            clock,
            timing,
            metrics,
            cx,
            ..
        } = &self.parts;
        let mut offset = start_offset(duty.kind, timing);
        if duty.kind == DutyType::Attester && self.parts.features.enabled(Feature::FetchAttOnBlockWithDelay) {
            offset = offset.saturating_add(EARLY_FETCH_DELAY);
        }
        clock.sleep_until(timing.start(duty.slot).after(offset)).await;
        let Some(set) = self.take(duty, attempted).await else {
            return;
        };
        let n = u64::try_from(set.0.len()).unwrap_or(u64::MAX);
        metrics.duties.get_or_create(&DutyLabel::from(duty.kind)).inc_by(n);
        let cx = cx.cx(duty);
        let span = tracing::debug_span!(target: TRACE, parent: &cx.span, "core/scheduler.scheduleSlot");
        let started = spans::within(span, |e: &StepError| e.kind, self.on_duty.emit(&cx, Arc::new(set)));
        if let Err(error) = started.await {
            tracing::warn!(%duty, %error, "duty could not be started");
        }
    }

    /// The definitions of a duty whose time has come. An epoch that has changed gets a moment to be resolved again; what
    /// is not known at all is waited for as long as the slot's attempt goes on.
    async fn take(&self, duty: Duty, mut attempted: watch::Receiver<()>) -> Option<DutyDefinitionSet> {
        let SchedulerParts { clock, timing, .. } = &self.parts;
        let mut changes = self.table.changes();
        // Nothing is ever sent: an error says that the sender is gone.
        let ended = async { while attempted.changed().await.is_ok() {} };
        tokio::pin!(ended);
        if self.table.is_outdated(timing.epoch(duty.slot)) {
            let moment = timing.slot_duration.checked_div(MOMENT).unwrap_or_default();
            tokio::select! { biased;
                () = &mut ended => return self.table.take_for_announcement(duty),
                () = clock.sleep_until(clock.now().after(moment)) => {}
            }
        }
        loop {
            if let Some(set) = self.table.take_for_announcement(duty) {
                return Some(set);
            }
            tokio::select! { biased;
                () = &mut ended => return self.table.take_for_announcement(duty),
                told = changes.changed() => if told.is_err() { return None },
            }
        }
    }

    /// Who is resolving an epoch holds its lock.
    fn turn(&self, epoch: Epoch) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(turns.entry(epoch).or_default())
    }

    /// Resolves `epoch` unless that is done. A part that fails is logged and tried again with the next slot; what
    /// succeeded counts already now. Slots that are over are resolved, too: they are not announced any more, but after a
    /// restart there may be questions about them.
    async fn resolve(&self, epoch: Epoch) {
        let turn = self.turn(epoch);
        let _one_at_a_time = turn.lock().await;
        if self.table.is_resolved(epoch) {
            return;
        }
        self.table.begin(epoch);
        let done = self.try_resolve(epoch).await;
        let failed = done.as_ref().err().cloned();
        self.table.end(epoch, done.ok());
        if let Some(error) = failed {
            tracing::warn!(epoch = epoch.0, %error, "duties of the epoch are not all known; next try with the next slot");
        }
    }

    async fn try_resolve(&self, epoch: Epoch) -> Result<Basis, BeaconError> {
        let SchedulerParts {
            validators,
            metrics,
            cluster,
            ..
        } = &self.parts;
        let set = validators.get().await?;
        let active: Validators = set.active(epoch).collect();
        metrics.validators(cluster, &set, active.len());
        if active.is_empty() {
            tracing::info!(epoch = epoch.0, "no active validators in the epoch");
        }
        let members: Validators = set.sync_members(epoch).collect();
        let (attesters, proposers, members) = futures::join!(
            self.resolve_attesters(epoch, &active),
            self.resolve_proposers(epoch, &active),
            self.resolve_members(epoch, &members),
        );
        members?;
        Ok(Basis {
            attesters: attesters?,
            proposers: proposers?,
            active: active.into_keys().collect(),
        })
    }

    async fn resolve_attesters(&self, epoch: Epoch, ours: &Validators) -> Result<Root, BeaconError> {
        let kinds = [DutyType::Attester, DutyType::Aggregator];
        if ours.is_empty() {
            self.table.replace(epoch, &kinds, BTreeMap::new());
            return Ok(Root::ZERO);
        }
        let indices: Vec<_> = ours.keys().copied().collect();
        let answer = self.parts.beacon.attester_duties(epoch, &indices).await?;
        let (mut missing, mut new) = (ours.clone(), Definitions::new());
        for duty in answer.duties {
            missing.remove(&duty.validator_index);
            let key = own_key(ours, duty.validator_index, duty.pubkey.0);
            if let Some(key) = key.filter(|_| self.is_in(epoch, duty.slot)) {
                for kind in kinds {
                    let set = new.entry(Duty::new(duty.slot, kind)).or_default();
                    set.0.entry(key).or_insert(DutyDefinition::Attester(duty));
                }
            }
        }
        if let Some((index, key)) = missing.first_key_value() {
            tracing::warn!(epoch = epoch.0, n = missing.len(), index = index.0, validator = %key.short(),
                "active validators without an attester duty");
        }
        self.table.replace(epoch, &kinds, new);
        Ok(answer.dependent_root)
    }

    async fn resolve_proposers(&self, epoch: Epoch, ours: &Validators) -> Result<Root, BeaconError> {
        let kinds = [DutyType::Proposer];
        if ours.is_empty() {
            self.table.replace(epoch, &kinds, BTreeMap::new());
            return Ok(Root::ZERO);
        }
        let answer = self.parts.beacon.proposer_duties(epoch).await?;
        let mut new = Definitions::new();
        let all = answer.duties.into_iter();
        for duty in all.filter(|d| ours.contains_key(&d.validator_index)) {
            let key = own_key(ours, duty.validator_index, duty.pubkey.0);
            if let Some(key) = key.filter(|_| self.is_in(epoch, duty.slot)) {
                let set = new.entry(Duty::new(duty.slot, DutyType::Proposer)).or_default();
                set.0.entry(key).or_insert(DutyDefinition::Proposer(duty));
            }
        }
        self.table.replace(epoch, &kinds, new);
        Ok(answer.dependent_root)
    }

    /// A member of the sync committee has a duty in every slot.
    async fn resolve_members(&self, epoch: Epoch, ours: &Validators) -> Result<(), BeaconError> {
        let kinds = [DutyType::SyncContribution];
        if ours.is_empty() {
            self.table.replace(epoch, &kinds, BTreeMap::new());
            return Ok(());
        }
        let indices: Vec<_> = ours.keys().copied().collect();
        let answer = self.parts.beacon.sync_duties(epoch, &indices).await?;
        let mut members = DutyDefinitionSet::default();
        for duty in answer.duties {
            if let Some(key) = own_key(ours, duty.validator_index, duty.pubkey.0) {
                members.0.entry(key).or_insert(DutyDefinition::Sync(duty));
            }
        }
        let mut new = Definitions::new();
        if !members.0.is_empty() {
            let timing = &self.parts.timing;
            let (first, end) = (
                timing.first_slot(epoch),
                timing.first_slot(Epoch(epoch.0.saturating_add(1))),
            );
            for slot in first.0..end.0 {
                new.insert(Duty::new(Slot(slot), DutyType::SyncContribution), members.clone());
            }
        }
        self.table.replace(epoch, &kinds, new);
        Ok(())
    }

    /// Whether the slot lies in the epoch that was asked about.
    fn is_in(&self, epoch: Epoch, slot: Slot) -> bool {
        let fits = self.parts.timing.epoch(slot) == epoch;
        if !fits {
            tracing::error!(
                epoch = epoch.0,
                slot = slot.0,
                "beacon node sent a duty of another epoch; it is left out"
            );
        }
        fits
    }

    /// The definitions of a duty (core.md 9.4); waits while its epoch is being resolved. `None`: nobody has that duty, as
    /// is the case for all duties that do not begin by the clock, the deprecated one among them.
    pub async fn definitions(&self, duty: Duty) -> Result<Option<DutyDefinitionSet>, NotResolved> {
        self.table.get(duty, self.parts.timing.epoch(duty.slot)).await
    }
}

impl KnownDuties for Scheduler {
    fn known(&self, duty: Duty) -> Option<DutyDefinitionSet> {
        self.table.known(duty, self.parts.timing.epoch(duty.slot))
    }
}

/// The key of one of our validators. A beacon node that names another key for the index is not to be believed.
fn own_key(ours: &Validators, index: ValidatorIndex, named: [u8; 48]) -> Option<PubKey> {
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
