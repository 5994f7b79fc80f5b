//! The duty workflow of one node, built from ports: leaves first, then `wire`, then the tasks.
//!
//! Everything outside comes in through [`Ports`], so that a simulation builds exactly this with its own.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;
use trireme_core::{
    aggsigdb::AggSigDb,
    bcast::{BroadcastMetrics, Broadcaster},
    cluster::Cluster,
    consensus::{ClusterValues, Consensus, ConsensusConfig, ConsensusMetrics, ConsensusParts},
    cx::CxSource,
    dutydb::DutyDb,
    features::{Feature, FeatureSet},
    fees::FeeCheck,
    fetcher::{Fetcher, FetcherMetrics, FetcherParts, Graffiti},
    gate::DutyGate,
    heads::SharedHeads,
    infosync::{InfoSync, InfoSyncMetrics, Wishes},
    journal::Journal,
    life::Life,
    metrics::CacheMetrics,
    parsigdb::{ParSigDb, ParSigDbMetrics, ParSigDbParts},
    parsigex::{ParSigEx, ParSigExMetrics, ParSigExParts, Verifier},
    ports::{BeaconNode, Clock, Compute, Entropy, PeerNet, ServeGuard},
    prepare::ProposalPreparation,
    priority::{Priority, PriorityParts},
    registrations::{RegistrationMetrics, RegistrationSender, Registrations},
    scheduler::{Scheduler, SchedulerMetrics, SchedulerParts},
    scheme::Scheme,
    sigagg::{SigAgg, SigAggMetrics},
    step::{Policy, RECORDS, StepMetrics, StepName},
    time::{SlotTiming, UnixTime},
    tracker::{BeaconChain, Inclusion, InclusionParts, Tracker, TrackerMetrics},
    validatorapi::{self, ValidatorApi},
    validators::ValidatorCache,
    wire::{Components, wire, wire_info_sync},
};
use trireme_eth2::ChainSpec;
use trireme_keys::IdentityKey;

use crate::NodeError;

/// Slots for which a peer that sent something wrong is verified alone.
const SUSPICION_SLOTS: u32 = 32;

/// What a workflow needs from outside.
pub struct Ports {
    /// The beacon node.
    pub beacon: Arc<dyn BeaconNode>,
    /// The other operators.
    pub net: Arc<dyn PeerNet>,
    /// The way to the store.
    pub journal: Arc<Journal>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Where long computations run.
    pub compute: Arc<dyn Compute>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Signatures.
    pub scheme: Arc<dyn Scheme>,
    /// Hits and misses of the caches.
    pub caches: CacheMetrics,
}

/// What a workflow is told.
pub struct Settings {
    /// The cluster.
    pub cluster: Arc<Cluster>,
    /// The chain.
    pub chain: Arc<ChainSpec>,
    /// What is written into blocks.
    pub graffiti: Graffiti,
    /// Whether blocks of builders are asked for.
    pub builder: bool,
    /// The cluster's registrations with builders, which also say who gets the fees.
    pub registrations: Arc<Registrations>,
    /// Signs our consensus messages.
    pub identity: Arc<IdentityKey>,
    /// Switches of consensus.
    pub consensus: ConsensusConfig,
    /// Features that are on.
    pub features: FeatureSet,
    /// What we want the cluster to agree on about itself.
    pub wishes: Wishes,
}

/// The parts of life that a workflow's tasks belong to, in the order in which they stop.
#[derive(Clone)]
pub struct Lives {
    /// Begins duties.
    pub scheduling: Life,
    /// Everything else.
    pub duties: Life,
    /// Cancelled when unfinished duties are to give up.
    pub duties_stop: CancellationToken,
}

/// A running workflow.
pub struct Workflow {
    /// For the validator API's HTTP face.
    pub vapi: Arc<ValidatorApi>,
    /// For the debug address.
    pub consensus: Arc<Consensus>,
    /// Keep the protocols served.
    _serving: Vec<ServeGuard>,
}

/// The chain's clockwork.
#[must_use]
pub fn timing(chain: &ChainSpec) -> SlotTiming {
    SlotTiming {
        genesis: UnixTime::from_secs(chain.genesis.genesis_time),
        slot_duration: chain.slot_duration(),
        slots_per_epoch: chain.slots_per_epoch,
    }
}

impl Workflow {
    /// Builds the components, connects them, takes up what was open before a restart and starts the tasks.
    ///
    /// # Errors
    ///
    /// If the store cannot be read.
    pub async fn start(
        ports: Ports,
        settings: Settings,
        lives: &Lives,
        registry: &Mutex<Registry>,
    ) -> Result<Self, NodeError> {
        let Ports {
            beacon,
            net,
            journal,
            clock,
            compute,
            entropy,
            scheme,
            caches,
        } = ports;
        let Settings {
            cluster,
            chain,
            graffiti,
            builder,
            registrations,
            identity,
            consensus,
            features,
            wishes,
        } = settings;
        let timing = timing(&chain);
        let cx = CxSource::new(timing, lives.duties_stop.clone(), cluster.hash);
        let gate = DutyGate::new(Arc::clone(&clock), timing);
        let metrics = Metrics::register(&mut registry.lock().unwrap_or_else(PoisonError::into_inner));
        let names = net.peers().iter().map(|p| p.name.clone()).collect();

        // Watching.
        let (records, recorded) = tokio::sync::mpsc::channel(RECORDS);
        let votes = features.enabled(Feature::AttestationInclusion);
        let inclusion = Arc::new(Inclusion::new(InclusionParts {
            chain: Arc::new(BeaconChain(Arc::clone(&beacon))),
            clock: Arc::clone(&clock),
            timing,
            preset: chain.preset,
            votes,
            records: records.clone(),
            metrics: metrics.tracker.clone(),
        }));
        let tracker = Tracker::new(recorded, Arc::clone(&clock), timing, names, votes, metrics.tracker);
        let policy = Policy::new(
            lives.duties.clone(),
            Arc::clone(&clock),
            timing,
            Arc::clone(&entropy),
            Some(records),
            metrics.steps,
        );

        // Components, leaves first.
        let dutydb = Arc::new(DutyDb::open(Arc::clone(&journal), Arc::clone(&clock), timing).await?);
        let aggsigdb = Arc::new(AggSigDb::open(Arc::clone(&journal), Arc::clone(&clock), timing).await?);
        let sigagg = Arc::new(SigAgg::new(
            Arc::clone(&scheme),
            Arc::clone(&chain),
            Arc::clone(&compute),
            Arc::clone(&entropy),
            Arc::clone(&clock),
            metrics.sigagg,
        ));
        let validators = Arc::new(ValidatorCache::new(Arc::clone(&beacon), &cluster, caches));
        let bcast = Arc::new(Broadcaster::new(
            Arc::clone(&beacon),
            Arc::clone(&validators),
            Arc::clone(&clock),
            timing,
            metrics.bcast,
        ));
        let heads = Arc::new(SharedHeads::default());
        let scheduler = Arc::new(Scheduler::new(SchedulerParts {
            beacon: Arc::clone(&beacon),
            validators: Arc::clone(&validators),
            cluster: Arc::clone(&cluster),
            clock: Arc::clone(&clock),
            timing,
            entropy: Arc::clone(&entropy),
            life: lives.scheduling.clone(),
            cx: cx.clone(),
            heads: Arc::clone(&heads),
            features: features.clone(),
            metrics: metrics.scheduler,
        }));
        let parsigdb = Arc::new(ParSigDb::new(ParSigDbParts {
            threshold: cluster.threshold,
            share: cluster.share(),
            clock: Arc::clone(&clock),
            timing,
            journal,
            cx: cx.clone(),
            metrics: metrics.parsigdb,
        }));
        let parsigex = Arc::new(ParSigEx::new(ParSigExParts {
            net: Arc::clone(&net),
            gate: gate.clone(),
            cluster: Arc::clone(&cluster),
            chain: Arc::clone(&chain),
            verifier: Verifier::new(
                Arc::clone(&scheme),
                Arc::clone(&compute),
                Arc::clone(&entropy),
                Arc::clone(&clock),
                timing.slot_duration.saturating_mul(SUSPICION_SLOTS),
            ),
            clock: Arc::clone(&clock),
            cx: cx.clone(),
            metrics: metrics.parsigex,
        }));
        let vapi = Arc::new(ValidatorApi::new(validatorapi::Parts {
            cluster: Arc::clone(&cluster),
            chain: Arc::clone(&chain),
            beacon: Arc::clone(&beacon),
            unsigned: Arc::clone(&dutydb) as _,
            aggregates: Arc::clone(&dutydb) as _,
            selections: Arc::clone(&aggsigdb) as _,
            partials: Arc::clone(&parsigdb) as _,
            gate: gate.clone(),
            pubkeys: Arc::clone(&dutydb) as _,
            definitions: Arc::clone(&scheduler) as _,
            scheme,
            compute: Arc::clone(&compute),
            entropy,
            cx: cx.clone(),
        }));

        let priority = Arc::new(Priority::new(PriorityParts {
            net: Arc::clone(&net),
            key: Arc::clone(&identity),
            threshold: cluster.threshold,
            gate: gate.clone(),
            clock: Arc::clone(&clock),
            timing,
            compute: Arc::clone(&compute),
            life: lives.duties.clone(),
            cx: cx.clone(),
        }));
        let infosync = Arc::new(InfoSync::new(wishes, Arc::clone(&priority), metrics.infosync));
        let gates = Arc::clone(&infosync);
        let fees = FeeCheck::new(Arc::clone(&registrations), metrics.fetcher.fee_mismatches());
        let fetcher = Arc::new(Fetcher::new(FetcherParts {
            beacon: Arc::clone(&beacon),
            aggregated: Arc::clone(&aggsigdb) as _,
            unsigned: Arc::clone(&dutydb) as _,
            clock: Arc::clone(&clock),
            timing,
            chain: Arc::clone(&chain),
            registrations: Arc::clone(&registrations),
            graffiti,
            builder,
            contribution_gate: Arc::new(move |slot| gates.plural_contributions(slot)),
            features,
            metrics: metrics.fetcher,
        }));
        let consensus = Consensus::new(ConsensusParts {
            net: Arc::clone(&net),
            key: identity,
            keys: net.peers().iter().map(|p| p.id.public_key()).collect(),
            gate,
            clock: Arc::clone(&clock),
            timing,
            compute: Arc::clone(&compute),
            life: lives.duties.clone(),
            config: consensus,
            metrics: metrics.consensus,
        })?;
        let consensus = Arc::new(consensus.checking(Arc::new(ClusterValues {
            cluster: Arc::clone(&cluster),
            chain,
            timing,
            validators: Arc::clone(&validators),
            duties: Arc::clone(&scheduler) as _,
            fees,
            heads,
        })));

        let components = Components {
            scheduler: Arc::clone(&scheduler),
            fetcher: Arc::clone(&fetcher),
            consensus: Arc::clone(&consensus),
            dutydb: Arc::clone(&dutydb),
            vapi: Arc::clone(&vapi),
            parsigdb: Arc::clone(&parsigdb),
            parsigex: Arc::clone(&parsigex),
            sigagg,
            aggsigdb: Arc::clone(&aggsigdb),
            bcast,
        };
        wire(&components, &policy);
        let learn = || policy.inline(StepName::InclusionLearn);
        scheduler.on_duty.to(learn(), &inclusion, Inclusion::scheduled);
        components
            .sigagg
            .aggregated
            .to(learn(), &inclusion, Inclusion::submitted);
        wire_info_sync(&priority, &consensus, &infosync, &policy);

        // Tasks. Whoever remembers is there before whoever brings.
        lives.duties.standing("tracker", tracker.run());
        lives.duties.standing("inclusion", inclusion.run());
        lives.duties.standing("dutydb", Arc::clone(&dutydb).run());
        lives.duties.standing("aggsigdb", Arc::clone(&aggsigdb).run());
        lives.duties.standing("parsigdb", Arc::clone(&parsigdb).run());
        lives
            .scheduling
            .standing("scheduler.chain", Arc::clone(&scheduler).follow());
        let definitions = Arc::clone(&scheduler);
        lives
            .scheduling
            .standing("fetcher.early", Arc::clone(&fetcher).fetch_early(definitions));
        scheduler.on_slot("graffiti", move |tick| Box::pin(Arc::clone(&fetcher).on_slot(tick)));
        let serving = vec![consensus.serve(), parsigex.serve(), priority.serve()];
        parsigdb.resume().await?;
        let refreshed = Arc::clone(&validators);
        scheduler.on_slot("validators", move |tick| Box::pin(Arc::clone(&refreshed).on_slot(tick)));
        let preparation = Arc::new(ProposalPreparation::new(
            Arc::clone(&beacon),
            validators,
            Arc::clone(&registrations),
        ));
        scheduler.on_slot("preparation", move |tick| {
            Box::pin(Arc::clone(&preparation).on_slot(tick))
        });
        if builder {
            let sender = Arc::new(RegistrationSender::new(
                beacon,
                clock,
                timing,
                registrations,
                metrics.registrations,
            ));
            scheduler.on_slot("registrations", move |tick| Box::pin(Arc::clone(&sender).on_slot(tick)));
        }
        scheduler.on_slot("infosync", move |tick| {
            infosync.on_slot(tick);
            Box::pin(std::future::ready(()))
        });
        lives.scheduling.essential("scheduler", async move {
            scheduler.run().await;
            Ok::<(), std::convert::Infallible>(())
        });
        Ok(Self {
            vapi,
            consensus,
            _serving: serving,
        })
    }
}

/// The metrics of all components.
struct Metrics {
    steps: StepMetrics,
    consensus: ConsensusMetrics,
    tracker: TrackerMetrics,
    scheduler: SchedulerMetrics,
    fetcher: FetcherMetrics,
    registrations: RegistrationMetrics,
    parsigdb: ParSigDbMetrics,
    parsigex: ParSigExMetrics,
    sigagg: SigAggMetrics,
    bcast: BroadcastMetrics,
    infosync: InfoSyncMetrics,
}

impl Metrics {
    fn register(registry: &mut Registry) -> Self {
        Self {
            steps: StepMetrics::register(registry),
            consensus: ConsensusMetrics::register(registry),
            tracker: TrackerMetrics::register(registry),
            scheduler: SchedulerMetrics::register(registry),
            fetcher: FetcherMetrics::register(registry),
            registrations: RegistrationMetrics::register(registry),
            parsigdb: ParSigDbMetrics::register(registry),
            parsigex: ParSigExMetrics::register(registry),
            sigagg: SigAggMetrics::register(registry),
            bcast: BroadcastMetrics::register(registry),
            infosync: InfoSyncMetrics::register(registry),
        }
    }
}
