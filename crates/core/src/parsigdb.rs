//! Partial signatures per duty and validator, until enough of them agree.
//!
//! Guarantees: the first partial of a share stays, another one of the same share is refused; `threshold` fires once per
//! validator and message root, with exactly `threshold` partials over that root; memory is bounded by the duties that
//! the gate admits and, for duties without an end, by [`EXEMPT_CAP`] per share and validator.
//! Not here: verification (peers' partials are verified in `parsigex`, ours in `validatorapi`).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use prometheus_client::{
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};
use trireme_eth2::Root;

use crate::{
    cx::{CxSource, DutyCx},
    data::{ParSignedData, ParSignedDataSet, SignedData},
    deadline::{Admission, Deadliner},
    duty::{Duty, DutyType, Slot},
    event::Event,
    ids::{PubKey, ShareIdx},
    journal::Journal,
    metrics::{BUCKETS_B, DutyPeerIdxLabel, ShortKeyLabel},
    ports::{Batch, Clock, Durability, Flow, StoreError, Table},
    scheduler::start_offset,
    step::{ErrorKind, Fault, StepError},
    time::SlotTiming,
};

/// Partials of a share for a validator that are kept over all duties of a type that never ends.
pub const EXEMPT_CAP: usize = 10;

/// The positions of the partials to be combined, if one group of equal message roots has exactly `threshold` members.
#[must_use]
pub fn matching<R: Ord>(roots: &[R], threshold: usize) -> Option<Vec<usize>> {
    let mut groups: BTreeMap<&R, Vec<usize>> = BTreeMap::new();
    for (i, root) in roots.iter().enumerate() {
        groups.entry(root).or_default().push(i);
    }
    groups
        .into_values()
        .find(|group| group.len() == threshold && threshold > 0)
}

/// For each validator exactly as many partials over one root as make a whole signature.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ThresholdSet(pub BTreeMap<PubKey, Vec<ParSignedData>>);

/// Why partials were not stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParSigDbError {
    /// The share has signed something else for this duty before.
    #[error("share {share} signed different data for validator {} in duty {duty}; its first signature stays", .validator.short())]
    Equivocation {
        /// The duty.
        duty: Duty,
        /// The validator.
        validator: PubKey,
        /// The share.
        share: ShareIdx,
    },
    /// The store did not take our own partials.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Fault for ParSigDbError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Equivocation { .. } => ErrorKind::Permanent,
            Self::Store(error) => error.kind(),
        }
    }
}

/// Metrics, named as Charon's.
#[derive(Debug, Clone)]
pub struct ParSigDbMetrics {
    exits: Family<ShortKeyLabel, Counter>,
    stored: Family<DutyPeerIdxLabel, Histogram, fn() -> Histogram>,
}

impl ParSigDbMetrics {
    /// Registers `core_parsigdb_*`.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let exits = Family::default();
        let stored: Family<_, _, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(BUCKETS_B.iter().copied()));
        registry.register("core_parsigdb_exit", "Partial exits stored", exits.clone());
        registry.register(
            "core_parsigdb_store",
            "Seconds after its time that a partial was stored",
            stored.clone(),
        );
        Self { exits, stored }
    }

    /// Makes a series of each metric with labels, so that a list of them shows labels and buckets.
    pub fn touch(&self) {
        crate::metrics::touch(&self.exits);
        crate::metrics::touch(&self.stored);
    }
}

/// Duty, validator, and subcommittee for the two duties that a validator may have several times in a slot.
type Key = (Duty, PubKey, u64);

#[derive(Default)]
struct State {
    partials: BTreeMap<Key, Vec<(ParSignedData, Root)>>,
    fired: BTreeSet<(Key, Root)>,
}

/// What became of a set.
#[derive(Default)]
struct Inserted {
    ready: ThresholdSet,
    refused: BTreeMap<PubKey, ParSigDbError>,
}

/// The set without the partials that were refused.
fn without(set: Arc<ParSignedDataSet>, refused: &BTreeMap<PubKey, ParSigDbError>) -> Arc<ParSignedDataSet> {
    if refused.is_empty() {
        return set;
    }
    let good = set.0.iter().filter(|(validator, _)| !refused.contains_key(validator));
    Arc::new(ParSignedDataSet(good.map(|(v, p)| (*v, p.clone())).collect()))
}

/// What the database is made of.
pub struct ParSigDbParts {
    /// Partials that make a whole signature.
    pub threshold: usize,
    /// Our own share.
    pub share: ShareIdx,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The chain's clockwork.
    pub timing: SlotTiming,
    /// Keeps our own partials, so that they can be sent again.
    pub journal: Arc<Journal>,
    /// Makes the contexts of duties that are open when the node starts.
    pub cx: CxSource,
    /// Metrics.
    pub metrics: ParSigDbMetrics,
}

/// See the module's description.
pub struct ParSigDb {
    /// Our own partials are stored; peers are to get them.
    pub stored_own: Event<ParSignedDataSet>,
    /// Validators of a duty have enough partials over one root.
    pub threshold: Event<ThresholdSet>,
    parts: ParSigDbParts,
    deadliner: Deadliner,
    state: Mutex<State>,
}

impl ParSigDb {
    /// An empty database.
    #[must_use]
    pub fn new(parts: ParSigDbParts) -> Self {
        let deadliner = Deadliner::new(Arc::clone(&parts.clock), parts.timing);
        Self {
            stored_own: Event::new(),
            threshold: Event::new(),
            parts,
            deadliner,
            state: Mutex::default(),
        }
    }

    /// Stores our own partials and announces them to peers, then goes on as with anybody's. A partial that contradicts an
    /// earlier one is neither written nor sent, and is the error; the others of its set go their way all the same.
    pub async fn store_internal(self: Arc<Self>, cx: DutyCx, set: Arc<ParSignedDataSet>) -> Result<(), StepError> {
        let Some(Inserted { ready, refused }) = self.insert(cx.duty, &set) else {
            return Ok(());
        };
        let set = without(set, &refused);
        let writes = set
            .0
            .iter()
            .map(|(validator, p)| (Table::Partial, key_of(cx.duty, validator, p), Some(p.data.encode())));
        let batch = Batch {
            writes: writes.collect(),
        };
        self.parts
            .journal
            .commit(batch, Durability::Buffered)
            .await
            .map_err(ParSigDbError::from)?;
        self.publish_own(&cx, set, ready).await?;
        refused.into_values().next().map_or(Ok(()), |error| Err(error.into()))
    }

    /// Peers first: they wait for ours while we combine.
    async fn publish_own(&self, cx: &DutyCx, set: Arc<ParSignedDataSet>, ready: ThresholdSet) -> Result<(), StepError> {
        if !set.0.is_empty() {
            self.stored_own.emit(cx, set).await?;
        }
        self.announce(cx, ready).await
    }

    /// Stores partials of a peer, which must have been verified.
    pub async fn store_external(self: Arc<Self>, cx: DutyCx, set: Arc<ParSignedDataSet>) -> Result<(), StepError> {
        let Some(Inserted { ready, refused }) = self.insert(cx.duty, &set) else {
            return Ok(());
        };
        let refused = refused.into_values().next();
        if ready.0.is_empty() {
            return refused.map_or(Ok(()), |error| Err(error.into()));
        }
        if let Some(error) = refused {
            tracing::warn!(duty = %cx.duty, %error, "a partial signature was refused");
        }
        self.announce(&cx, ready).await
    }

    async fn announce(&self, cx: &DutyCx, ready: ThresholdSet) -> Result<(), StepError> {
        if ready.0.is_empty() {
            Ok(())
        } else {
            self.threshold.emit(cx, Arc::new(ready)).await
        }
    }

    /// Stores what contradicts nothing; says whom to combine and whose partial was refused. `None` if the duty is over.
    fn insert(&self, duty: Duty, set: &ParSignedDataSet) -> Option<Inserted> {
        let admission = self.deadliner.add(duty);
        if admission == Admission::Expired {
            tracing::warn!(%duty, "partial signatures came after the end of their duty and are dropped");
            return None;
        }
        let mut inserted = Inserted::default();
        let mut state = self.lock();
        for (validator, partial) in &set.0 {
            let key = (duty, *validator, subcommittee(partial));
            match self.insert_one(&mut state, key, partial) {
                Ok(Some(group)) => {
                    inserted.ready.0.insert(*validator, group);
                }
                Ok(None) => {}
                // Others of the set may be fine; a liar must not be able to hold them up.
                Err(error) => {
                    inserted.refused.insert(*validator, error);
                }
            }
            if admission == Admission::Exempt {
                cap(&mut state, duty.kind, *validator, partial.share);
            }
        }
        Some(inserted)
    }

    fn insert_one(
        &self,
        state: &mut State,
        key: Key,
        partial: &ParSignedData,
    ) -> Result<Option<Vec<ParSignedData>>, ParSigDbError> {
        let (duty, validator, _) = key;
        let stored = state.partials.entry(key).or_default();
        if let Some((known, _)) = stored.iter().find(|(p, _)| p.share == partial.share) {
            let (share, same) = (partial.share, known == partial);
            return if same {
                Ok(None)
            } else {
                Err(ParSigDbError::Equivocation { duty, validator, share })
            };
        }
        // Bare signatures name no message; all of a duty count as being over the same.
        let root = partial.data.message_root().unwrap_or(Root::ZERO);
        stored.push((partial.clone(), root));
        self.measure(duty, &validator, partial.share);
        let roots: Vec<_> = stored.iter().map(|(_, root)| *root).collect();
        let group = matching(&roots, self.parts.threshold).filter(|group| {
            // Only the group that just became complete: a later partial with another root fires nothing again.
            group.first().and_then(|i| roots.get(*i)) == Some(&root)
        });
        let chosen = group.map(|group| {
            let mut chosen: Vec<ParSignedData> = group.iter().filter_map(|i| Some(stored.get(*i)?.0.clone())).collect();
            // What is not signed (blobs, committee bits) comes from the first: ours, as a peer's may be wrong.
            chosen.sort_by_key(|p| p.share != self.parts.share);
            chosen
        });
        Ok(chosen.filter(|_| state.fired.insert((key, root))))
    }

    fn measure(&self, duty: Duty, validator: &PubKey, share: ShareIdx) {
        let metrics = &self.parts.metrics;
        if duty.kind == DutyType::Exit {
            metrics
                .exits
                .get_or_create(&ShortKeyLabel {
                    pubkey: validator.short(),
                })
                .inc();
            return;
        }
        let Some(peer) = share.peer() else { return };
        let from = self
            .parts
            .timing
            .start(duty.slot)
            .after(start_offset(duty.kind, &self.parts.timing));
        let label = DutyPeerIdxLabel {
            duty: duty.kind.name(),
            peer_idx: peer.to_string(),
        };
        metrics
            .stored
            .get_or_create(&label)
            .observe(self.parts.clock.now().since(from).as_secs_f64());
    }

    /// Forgets duties as they end, for ever.
    pub async fn run(self: Arc<Self>) {
        loop {
            let duty = self.deadliner.next().await;
            let own: Vec<_> = {
                let mut state = self.lock();
                let keys: Vec<Key> = state.partials.keys().filter(|k| k.0 == duty).copied().collect();
                let own = keys.iter().filter_map(|key| {
                    let partials = state.partials.get(key)?;
                    let (mine, _) = partials.iter().find(|(p, _)| p.share == self.parts.share)?;
                    Some((Table::Partial, key_of(duty, &key.1, mine), None))
                });
                let own = own.collect();
                state.partials.retain(|key, _| key.0 != duty);
                state.fired.retain(|(key, _)| key.0 != duty);
                own
            };
            if let Err(error) = self
                .parts
                .journal
                .commit(Batch { writes: own }, Durability::Buffered)
                .await
            {
                tracing::warn!(%duty, %error, "partial signatures of an ended duty stay in the store");
            }
        }
    }

    /// After a restart: takes up our own partials of duties that are still open and announces them again. To be called
    /// once, after `wire`.
    pub async fn resume(self: Arc<Self>) -> Result<(), StepError> {
        let mut open: BTreeMap<Duty, Vec<ParSignedDataSet>> = BTreeMap::new();
        let mut over = Batch::default();
        let mut broken = None;
        self.parts
            .journal
            .store()
            .scan(Table::Partial, &[], &mut |key, value| match read(key, value) {
                Ok((duty, _, _)) if self.deadliner.expired(duty) => {
                    over.writes.push((Table::Partial, key.to_vec(), None));
                    Flow::Continue
                }
                Ok((duty, validator, partial)) => {
                    // Several subcommittees of one validator need several sets.
                    let sets = open.entry(duty).or_default();
                    match sets.iter_mut().find(|set| !set.0.contains_key(&validator)) {
                        Some(set) => {
                            set.0.insert(validator, partial);
                        }
                        None => sets.push(ParSignedDataSet([(validator, partial)].into())),
                    }
                    Flow::Continue
                }
                Err(reason) => {
                    broken = Some(StoreError::Corrupt {
                        table: Table::Partial.name(),
                        reason,
                    });
                    Flow::Stop
                }
            })
            .map_err(ParSigDbError::from)?;
        if let Some(error) = broken {
            return Err(ParSigDbError::from(error).into());
        }
        self.parts
            .journal
            .commit(over, Durability::Buffered)
            .await
            .map_err(ParSigDbError::from)?;
        for (duty, set) in open
            .into_iter()
            .flat_map(|(duty, sets)| sets.into_iter().map(move |set| (duty, set)))
        {
            tracing::info!(%duty, validators = set.0.len(), "sending partial signatures again after the restart");
            let cx = self.parts.cx.cx(duty);
            if let Some(Inserted { ready, refused }) = self.insert(duty, &set) {
                let set = without(Arc::new(set), &refused);
                self.publish_own(&cx, set, ready).await?;
            }
        }
        Ok(())
    }

    /// The shares that have signed for a duty, validator and, where there are several, subcommittee; ascending.
    #[must_use]
    pub fn shares(&self, duty: Duty, validator: PubKey, subcommittee: u64) -> Vec<ShareIdx> {
        let state = self.lock();
        let held = state.partials.get(&(duty, validator, subcommittee));
        let mut shares: Vec<_> = held.into_iter().flatten().map(|(p, _)| p.share).collect();
        shares.sort_unstable();
        shares
    }

    /// Partials that are stored; for tests and for the leak check of simulations.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().partials.values().map(Vec::len).sum()
    }

    /// Whether nothing is stored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn subcommittee(partial: &ParSignedData) -> u64 {
    partial.data.subcommittee().unwrap_or_default()
}

/// Drops the oldest partials of a share for a validator beyond the cap, over all duties of the type.
fn cap(state: &mut State, kind: DutyType, validator: PubKey, share: ShareIdx) {
    let holders: Vec<Key> = state
        .partials
        .iter()
        .filter(|((duty, v, _), list)| {
            duty.kind == kind && *v == validator && list.iter().any(|(p, _)| p.share == share)
        })
        .map(|(key, _)| *key)
        .collect();
    for key in holders.iter().take(holders.len().saturating_sub(EXEMPT_CAP)) {
        tracing::warn!(duty = %key.0, validator = %validator.short(), %share, "a share sent many partials; its oldest is dropped");
        if let Some(list) = state.partials.get_mut(key) {
            list.retain(|(p, _)| p.share != share);
            if list.is_empty() {
                state.partials.remove(key);
                state.fired.retain(|(k, _)| k != key);
            }
        }
    }
}

/// Type, slot, validator, share, subcommittee.
fn key_of(duty: Duty, validator: &PubKey, partial: &ParSignedData) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + 8 + 48 + 1 + 8);
    key.push(duty.kind.number());
    key.extend(duty.slot.0.to_be_bytes());
    key.extend(validator.0);
    key.push(partial.share.0);
    key.extend(subcommittee(partial).to_be_bytes());
    key
}

fn read(key: &[u8], value: &[u8]) -> Result<(Duty, PubKey, ParSignedData), String> {
    let shape = || "its key has another shape".to_owned();
    let (kind, rest) = key.split_first().ok_or_else(shape)?;
    let (slot, rest) = rest.split_first_chunk::<8>().ok_or_else(shape)?;
    let (validator, rest) = rest.split_first_chunk::<48>().ok_or_else(shape)?;
    let share = ShareIdx(*rest.first().ok_or_else(shape)?);
    let kind = DutyType::try_from(i64::from(*kind)).map_err(|e| e.to_string())?;
    let duty = Duty::new(Slot(u64::from_be_bytes(*slot)), kind);
    let data = SignedData::decode(kind, value).map_err(|e| e.to_string())?;
    Ok((duty, PubKey(*validator), ParSignedData { data, share }))
}
