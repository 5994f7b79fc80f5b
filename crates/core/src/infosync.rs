//! What the nodes of a cluster agree on about themselves once per epoch: versions, protocols, kinds of proposals.
//!
//! Guarantees: a question about a slot is answered from the latest result at or before it, so all nodes that have the
//! result answer alike; without a result every answer is the one that older releases expect. Duties never wait for it.
//! Not here: how it is agreed on (`priority`, `consensus`).

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use prometheus_client::{metrics::counter::Counter, registry::Registry};
use trireme_eth2::Slot;

use crate::{
    consensus,
    cx::DutyCx,
    duty::{Duty, DutyType},
    features::{Feature, FeatureSet},
    parsigex,
    priority::{PRIORITY, Priority, Topic, result::PriorityResult},
    scheduler::SlotTick,
    step::StepError,
};

/// Results that are kept.
const KEPT: usize = 100;

const VERSION: &str = "version";
const PROTOCOL: &str = "protocol";
const PROPOSAL: &str = "proposal";

/// What the identifiers of all consensus protocols begin with.
const CONSENSUS: &str = "/charon/consensus/";

/// Major and minor from which on all sync contributions of a validator go into one set.
const PLURAL_CONTRIBUTIONS: (u64, u64) = (1, 11);

/// A kind of proposal (core.md 1.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProposalType {
    /// A block of a builder.
    Builder,
    /// A fake one, for tests.
    Synthetic,
    /// A block of the beacon node.
    Full,
}

impl ProposalType {
    /// The text on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Builder => "builder",
            Self::Synthetic => "synthetic",
            Self::Full => "full",
        }
    }
}

/// What this node wants, best first (p2p.md 9).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wishes {
    /// Minor versions, newest first.
    pub versions: Vec<String>,
    /// Names of protocols.
    pub protocols: Vec<String>,
    /// Kinds of proposals.
    pub proposals: Vec<ProposalType>,
}

impl Wishes {
    /// The wishes of a node that supports `versions`. `preferred` are short names of consensus protocols, the most wanted
    /// last: that of the lock, then that of the flag.
    #[must_use]
    pub fn new(
        versions: Vec<String>,
        preferred: &[String],
        builder: bool,
        synthetic: bool,
        features: &FeatureSet,
    ) -> Self {
        let peerinfo = "/charon/peerinfo/2.0.0";
        let mut protocols: Vec<String> = [
            consensus::PROTOCOL.name,
            parsigex::PARSIGEX.name,
            peerinfo,
            PRIORITY.name,
        ]
        .map(str::to_owned)
        .into();
        if features.enabled(Feature::MockAlpha) {
            protocols.push("/charon/mock_alpha/1.0.0".to_owned());
        }
        for name in preferred {
            prefer(&mut protocols, name);
        }
        let proposals = [
            (builder, ProposalType::Builder),
            (synthetic, ProposalType::Synthetic),
            (true, ProposalType::Full),
        ];
        Self {
            versions,
            protocols,
            proposals: proposals
                .into_iter()
                .filter_map(|(on, kind)| on.then_some(kind))
                .collect(),
        }
    }

    fn topics(&self) -> [Topic; 3] {
        let topic = |name: &str, priorities| Topic {
            name: name.to_owned(),
            priorities,
        };
        let proposals = self.proposals.iter().map(|p| p.name().to_owned()).collect();
        [
            topic(VERSION, self.versions.clone()),
            topic(PROTOCOL, self.protocols.clone()),
            topic(PROPOSAL, proposals),
        ]
    }
}

/// Moves the consensus protocols called `name` to the front; their order among themselves stays.
fn prefer(protocols: &mut [String], name: &str) {
    let start = format!("{CONSENSUS}{}/", name.to_lowercase());
    protocols.sort_by_key(|p| !p.starts_with(&start));
}

/// One result.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Agreed {
    versions: Vec<String>,
    protocols: Vec<String>,
}

/// Metrics; not Charon's, which has none for this.
#[derive(Debug, Clone, Default)]
pub struct InfoSyncMetrics {
    results: Counter,
}

impl InfoSyncMetrics {
    /// Registers `core_infosync_results_total`.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let m = Self::default();
        registry.register(
            "core_infosync_results",
            "Results that were agreed on and taken over",
            m.results.clone(),
        );
        m
    }
}

/// See the module's description.
pub struct InfoSync {
    wishes: Wishes,
    priority: Arc<Priority>,
    metrics: InfoSyncMetrics,
    results: Mutex<BTreeMap<Slot, Agreed>>,
}

impl InfoSync {
    /// Without results. [`InfoSync::on_slot`] starts the agreement, [`InfoSync::store`] hears the result.
    #[must_use]
    pub fn new(wishes: Wishes, priority: Arc<Priority>, metrics: InfoSyncMetrics) -> Self {
        Self {
            wishes,
            priority,
            metrics,
            results: Mutex::default(),
        }
    }

    /// Begins the exchange in the last slot of an epoch.
    pub fn on_slot(&self, tick: SlotTick) {
        if tick.last_in_epoch {
            let duty = Duty::new(tick.slot, DutyType::InfoSync);
            self.priority.begin(duty, &self.wishes.topics());
        }
    }

    /// Takes over what was agreed on.
    pub async fn store(self: Arc<Self>, cx: DutyCx, result: Arc<PriorityResult>) -> Result<(), StepError> {
        let duty = cx.duty;
        let mut topics = match result.texts() {
            Ok(topics) => topics,
            Err(error) => {
                tracing::warn!(%duty, %error, "the cluster agreed on priorities that cannot be read; the former ones stay");
                return Ok(());
            }
        };
        let mut take = |topic| topics.remove(topic).unwrap_or_default();
        let (versions, protocols, proposals) = (take(VERSION), take(PROTOCOL), take(PROPOSAL));
        choose_consensus(duty, &protocols);
        if versions.is_empty() {
            tracing::info!(%duty, "Too few nodes told of a version in common; what was agreed on before stays");
            return Ok(());
        }
        tracing::info!(%duty, version = versions.first(), protocols = protocols.len(), proposals = proposals.join(","),
            "Cluster agreed on versions and protocols");
        self.metrics.results.inc();
        let mut results = self.results();
        results.insert(duty.slot, Agreed { versions, protocols });
        while results.len() > KEPT {
            results.pop_first();
        }
        Ok(())
    }

    /// Whether the nodes agree to send all sync contributions of a validator as one set (core.md 10.5).
    #[must_use]
    pub fn plural_contributions(&self, slot: Slot) -> bool {
        self.at(slot, |agreed| enough_for_plural(&agreed.versions))
            .unwrap_or(false)
    }

    /// The protocols that the nodes agree on; our own before any result.
    #[must_use]
    pub fn protocols(&self, slot: Slot) -> Vec<String> {
        self.at(slot, |agreed| agreed.protocols.clone())
            .unwrap_or_else(|| self.wishes.protocols.clone())
    }

    /// The slot of the latest result.
    #[must_use]
    pub fn latest(&self) -> Option<Slot> {
        self.results().last_key_value().map(|(slot, _)| *slot)
    }

    fn at<T>(&self, slot: Slot, read: impl FnOnce(&Agreed) -> T) -> Option<T> {
        self.results()
            .range(..=slot)
            .next_back()
            .map(|(_, agreed)| read(agreed))
    }

    fn results(&self) -> MutexGuard<'_, BTreeMap<Slot, Agreed>> {
        self.results.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The consensus protocol of later duties. There is one, which every release must support; another cannot be chosen.
fn choose_consensus(duty: Duty, protocols: &[String]) {
    match protocols.iter().find(|p| p.starts_with(CONSENSUS)) {
        Some(chosen) if chosen != consensus::PROTOCOL.name => {
            tracing::error!(%duty, chosen, stays = consensus::PROTOCOL.name,
                "the cluster prefers a consensus protocol that this version does not know");
        }
        Some(_) | None => {
            tracing::debug!(%duty, protocol = consensus::PROTOCOL.name, "consensus protocol for later duties");
        }
    }
}

/// Whether one of the agreed versions sends sync contributions as one set. Labels and patches do not count.
#[must_use]
pub fn enough_for_plural(versions: &[String]) -> bool {
    let mut minors = versions.iter().filter_map(|v| minor(v));
    minors.any(|version| version >= PLURAL_CONTRIBUTIONS)
}

/// Major and minor of `v1.11`, `v1.11.2`, `v1.12-rc1`.
fn minor(text: &str) -> Option<(u64, u64)> {
    let numbers = text.strip_prefix('v')?;
    let numbers = numbers.split_once('-').map_or(numbers, |(numbers, _)| numbers);
    let mut parts = numbers.split('.').map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}
