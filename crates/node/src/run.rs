//! One node from its start to its end.
//!
//! The statements of `start` are the start order, those of `stop::Parts::stop` the stop order. Until the beacon node has
//! told its chain the node is there for its peers and says at the validator API who it is; duties begin afterwards.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
    time::Duration,
};

use prometheus_client::registry::Registry;
use tokio::{net::TcpListener, sync::Notify, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use trireme_beacon::DutiesOnce;
use trireme_core::{
    clock::SystemClock,
    compute::Pool,
    consensus::{ConsensusConfig, timer::TimerFeatures},
    entropy::OsEntropy,
    features::{Feature, FeatureSet},
    fetcher::Graffiti,
    infosync::Wishes,
    journal::Journal,
    life::{Life, StopReason},
    metrics::CacheMetrics,
    ports::{BeaconNode, Clock, Entropy, StoreError},
    registrations::Registrations,
    scheme::{Bls, Scheme},
    synthetic::SyntheticProposals,
};
use trireme_store::{Owner, SledStore};
use trireme_telemetry::{Monitoring, health::HealthMetrics, metrics as telemetry};

use crate::{
    NodeConfig, NodeError, about, chain,
    cluster::{self, Loaded},
    keylock::{KeyLock, TimestampLock},
    limits, listen, network,
    overrides::Overrides,
    ready::{BeaconPeers, Check, Ready},
    stop::{Parts, Shutdown},
    telling,
    updates::Updates,
    vapi,
    workflow::{Lives, Ports, Settings, Workflow, timing},
};

/// Where the store lies in the data folder.
const STORE: &str = "store";
/// How long requests from before the start may take to end.
const EARLY_GRACE: Duration = Duration::from_secs(1);
const VALIDATOR_API_FLAG: &str = "--validator-api-address";
const MONITORING_FLAG: &str = "--monitoring-address";

/// Runs a node until it is asked to stop or cannot go on. The store is flushed in every case.
///
/// # Errors
///
/// [`NodeError`]: a sentence that says what stopped the node and what to do.
pub async fn run(config: NodeConfig, shutdown: Shutdown) -> Result<(), NodeError> {
    let life = Life::new();
    shutdown.watch(&life);
    let mut held = Held::default();
    let result = run_in(&config, &shutdown, &life, &mut held).await;
    for part in &held.parts {
        part.stop().await;
    }
    life.stop().await;
    if let Some(opening) = held.opening.take() {
        // Stopped in the middle of the start: the store's folder is free only when it is closed again.
        drop(opening.await);
    }
    if let Some(journal) = held.journal.take() {
        blocking(move || journal.close()).await;
    }
    drop(held);
    {
        let config = config.clone();
        blocking(move || telling::close_outlets(&config)).await;
    }
    result
}

/// What is given back only when every task has ended.
#[derive(Default)]
struct Held {
    /// Parts of the life that were begun.
    parts: Vec<Life>,
    opening: Option<JoinHandle<Result<SledStore, StoreError>>>,
    journal: Option<Arc<Journal>>,
    key_lock: Option<KeyLock>,
}

impl Held {
    /// A part of `life` whose tasks have ended before anything is given back.
    fn part(&mut self, life: &Life) -> Life {
        let part = life.child();
        self.parts.push(part.clone());
        part
    }

    /// Opens the store on a thread of its own. Drop-safe: what is being opened is kept until the node ends.
    async fn open_store(&mut self, path: PathBuf, owner: Owner) -> Result<SledStore, StoreError> {
        let opening = self
            .opening
            .insert(tokio::task::spawn_blocking(move || SledStore::open(&path, &owner)));
        let opened = opening.await;
        self.opening = None;
        opened.unwrap_or_else(|e| std::panic::resume_unwind(e.into_panic()))
    }
}

async fn run_in(config: &NodeConfig, shutdown: &Shutdown, life: &Life, held: &mut Held) -> Result<(), NodeError> {
    let started = tokio::select! { biased;
        reason = life.stop_asked() => return outcome(reason, Vec::new()),
        started = Box::pin(start(config, life, held)) => started?,
    };
    let reason = life.stop_asked().await;
    if let StopReason::Ended { .. } | StopReason::Panicked { .. } = &reason {
        tracing::error!(topic = "app-stop", %reason, "The node cannot go on");
    }
    let late = tokio::select! { biased;
        () = shutdown.at_once() => Vec::new(),
        late = started.stop() => late,
    };
    tracing::info!(topic = "app-stop", "Shutting down gracefully");
    outcome(reason, late)
}

fn outcome(reason: StopReason, late: Vec<&'static str>) -> Result<(), NodeError> {
    if !late.is_empty() {
        tracing::warn!(
            topic = "app-stop",
            tasks = late.join(", "),
            "These parts did not end in time and were dropped"
        );
    }
    match reason {
        StopReason::Asked(_) => Ok(()),
        StopReason::Ended { task, why } => Err(NodeError::Essential {
            task: task.to_owned(),
            reason: why,
        }),
        StopReason::Panicked { task, message } => Err(NodeError::Essential {
            task: task.to_owned(),
            reason: format!("it panicked: {message}"),
        }),
    }
}

/// The start order.
async fn start(config: &NodeConfig, life: &Life, held: &mut Held) -> Result<Parts, NodeError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let entropy: Arc<dyn Entropy> = Arc::new(OsEntropy);
    tracing::info!(
        version = config.version.text,
        git_commit_hash = config.version.git_hash,
        git_commit_time = config.version.git_time,
        "Trireme starting"
    );
    limits::raise_open_files();

    // What we are, and that nobody else is it.
    let identity = cluster::identity(&config.private_key_file)?;
    held.key_lock = Some(KeyLock::take(&config.private_key_file)?);
    let loaded = {
        let config = config.clone();
        Arc::new(blocking(move || cluster::load(&config, identity)).await?)
    };
    if config.private_key_file_lock {
        let hash = format!("0x{}", hex::encode(loaded.cluster.hash));
        let file = TimestampLock::take(&config.private_key_file, hash, clock.now())?;
        let clock = Arc::clone(&clock);
        life.task("private key lock", async move { file.keep(clock.as_ref()).await });
    }
    log_lock(config, &loaded);
    telling::open_outlets(config, &loaded, life)?;
    let graffiti = graffiti(config, &loaded)?;

    let mut vapi_settings = vapi::settings(config)?;

    // Places to listen: before anything is written or sent.
    let vapi_listener = listen::bind(VALIDATOR_API_FLAG, &config.validator_api.address).await?;
    let (vapi_listener, early_listener) = listen::share(vapi_listener).map_err(|e| NodeError::Listen {
        flag: VALIDATOR_API_FLAG,
        address: config.validator_api.address.clone(),
        reason: e.to_string(),
    })?;
    vapi::listens_at(&mut vapi_settings, &vapi_listener);
    let monitoring_listener = match &config.monitoring_address {
        Some(address) => Some(listen::bind(MONITORING_FLAG, address).await?),
        None => None,
    };
    let debug_listener = telling::bind_debug(config).await?;
    let early_stop = CancellationToken::new();
    let early_end = vapi::serve_early(life, early_listener, &vapi_settings, early_stop.clone());

    // Metrics and readiness.
    let registry = Arc::new(Mutex::new(telemetry::registry(&about::labels(config, &loaded))));
    let (ready, health) = register(&registry, config, &loaded, life, clock.as_ref());
    telling::watch_health(&registry, health, config, &loaded, life);
    telling::push_figures(&registry, config, life);
    if let Some(listener) = monitoring_listener {
        serve_monitoring(life, listener, &registry, &ready);
    }

    // The store.
    let owner = Owner {
        cluster: loaded.cluster.hash,
        share: loaded.cluster.share(),
    };
    let path = config.data_dir.join(STORE);
    let store = held.open_store(path, owner).await?;
    let journal = Arc::new(Journal::start(Arc::new(store)).map_err(no_threads)?);
    held.journal = Some(Arc::clone(&journal));

    // The other operators.
    let (net, host) = network::start_network(config, life, &loaded, &registry, &clock, &entropy).await?;

    // The keys' points, while the beacon node is asked.
    let pool = Arc::new(Pool::for_this_machine(limits::step_back).map_err(no_threads)?);
    let scheme = {
        let loaded = Arc::clone(&loaded);
        blocking(move || Bls::new(&loaded.cluster))
            .await
            .map_err(|e| NodeError::Lock {
                path: config.lock_file.clone(),
                reason: e.to_string(),
            })?
    };

    // The chain. Beacon nodes that are down are waited for.
    let clients = chain::beacon_clients(&config.beacon, &registry)?;
    let chain = Arc::new(chain::wait_for_chain(&clients, &loaded).await?);
    let timing = timing(&chain);
    let beacons = trireme_beacon::Pool::start(&clients, Arc::clone(&chain), timing, Arc::clone(&clock), life).await;
    let beacons = Arc::new(beacons);
    beacons.check_clocks().await;
    let beacon_peers = BeaconPeers::default();
    life.task("beacon node's peers", beacon_peers.clone().count(Arc::clone(&beacons)));
    let caches = CacheMetrics::register(&mut registry.lock().unwrap_or_else(PoisonError::into_inner));
    let every_time = config.features.enabled(Feature::DisableDutiesCache);
    let beacon: Arc<dyn BeaconNode> = if every_time {
        Arc::clone(&beacons) as _
    } else {
        let asked = Arc::clone(&beacons) as _;
        Arc::new(DutiesOnce::new(asked, chain.slots_per_epoch, caches.clone()))
    };

    // The workflow.
    let lives = Lives {
        scheduling: held.part(life),
        duties: held.part(life),
        duties_stop: CancellationToken::new(),
    };
    let cluster = Arc::new(loaded.cluster.clone());
    let registrations = Arc::new(Registrations::new(Arc::clone(&cluster), loaded.registrations.clone()));
    let scheme: Arc<dyn Scheme> = Arc::new(scheme);
    let updates = config.proposals.updates.as_ref();
    let overrides = Overrides {
        path: config.proposals.overrides_file.clone(),
        updates: updates.map(|from| Updates::new(from, &cluster.hash)).transpose()?,
        registrations: Arc::clone(&registrations),
        cluster: Arc::clone(&cluster),
        chain: Arc::clone(&chain),
        scheme: Arc::clone(&scheme),
        entropy: Arc::clone(&entropy),
        fetched: Mutex::default(),
        changed: Notify::new(),
    };
    let seen = overrides.load()?;
    life.task("registrations", overrides.watch(Arc::clone(&clock), seen));
    let beacon: Arc<dyn BeaconNode> = if config.proposals.synthetic {
        tracing::warn!(
            "Synthetic proposals are on: every active validator proposes, mostly blocks that are never sent"
        );
        let (keys, slots) = (cluster.keys(), chain.slots_per_epoch);
        Arc::new(SyntheticProposals::new(beacon, Arc::clone(&registrations), keys, slots))
    } else {
        beacon
    };
    let workflow = Workflow::start(
        Ports {
            beacon: Arc::clone(&beacon),
            net,
            journal,
            clock: Arc::clone(&clock),
            compute: pool,
            entropy,
            scheme,
            caches,
        },
        Settings {
            cluster,
            chain,
            graffiti,
            builder: config.proposals.builder_api,
            registrations,
            identity: Arc::new(loaded.identity.clone()),
            consensus: consensus_config(&config.features),
            features: config.features.clone(),
            wishes: wishes(config, &loaded),
        },
        &lives,
        &registry,
    )
    .await?;

    if let Some(listener) = debug_listener {
        telling::serve_debug(listener, Arc::clone(&workflow.consensus), config, life);
    }

    // The validator client may come.
    early_stop.cancel();
    if tokio::time::timeout(EARLY_GRACE, early_end.cancelled()).await.is_err() {
        tracing::debug!("A connection from before the start is still open");
    }
    let requests = Arc::new(AtomicU64::new(0));
    let vapi = held.part(life);
    let vapi_stop = CancellationToken::new();
    let server = vapi::server(
        config,
        vapi_settings,
        &workflow,
        beacons,
        Arc::clone(&requests),
        &vapi,
        &registry,
    )?;
    vapi::serve(&vapi, vapi_listener, server, workflow, vapi_stop.clone());
    let connected = host.connected();
    let me = loaded.cluster.me;
    let check = Check {
        ready,
        beacon,
        beacon_peers,
        clock,
        timing,
        threshold: loaded.cluster.threshold,
        connected: Box::new(move || connected.borrow().iter().filter(|p| **p != me).count()),
        requests,
    };
    life.task("readiness", check.run());
    Ok(Parts {
        scheduling: lives.scheduling,
        vapi_stop,
        vapi,
        duties_stop: lives.duties_stop,
        duties: lives.duties,
        host,
    })
}

/// Runs something that takes long on a thread of its own.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        // A panic there is a panic here; a cancelled runtime has nobody to tell.
        Err(e) => std::panic::resume_unwind(e.into_panic()),
    }
}

fn no_threads(e: std::io::Error) -> NodeError {
    NodeError::Essential {
        task: "start".to_owned(),
        reason: format!("the system gives no thread: {e}"),
    }
}

fn log_lock(config: &NodeConfig, loaded: &Loaded) {
    let peers: Vec<&str> = loaded.peers.iter().map(|p| p.name.as_str()).collect();
    tracing::info!(
        peer_name = loaded.my_name(),
        nickname = config.nickname,
        peer_index = loaded.cluster.me.0,
        cluster_name = loaded.name,
        cluster_hash = loaded.short_hash(),
        cluster_hash_full = hex::encode(loaded.cluster.hash),
        enr = loaded.enr,
        peers = peers.join(","),
        "Lock file loaded"
    );
}

fn register(
    registry: &Mutex<Registry>,
    config: &NodeConfig,
    loaded: &Loaded,
    life: &Life,
    clock: &dyn Clock,
) -> (Ready, HealthMetrics) {
    let mut registry = registry.lock().unwrap_or_else(PoisonError::into_inner);
    about::register(&mut registry, config, loaded, clock.now());
    trireme_telemetry::logs::log_counters().register(&mut registry);
    let life = life.clone();
    telemetry::ProcessMetrics::new(move || life.running().values().sum()).register(&mut registry);
    if let Some(proc) = &config.proc_directory {
        telemetry::StackMetrics::new(proc).register(&mut registry);
    }
    (Ready::new(&mut registry), HealthMetrics::register(&mut registry))
}

fn serve_monitoring(life: &Life, listener: TcpListener, registry: &Arc<Mutex<Registry>>, ready: &Ready) {
    let ready = ready.clone();
    let monitoring = Monitoring {
        registry: Arc::clone(registry),
        readiness: Arc::new(move || ready.get()),
    };
    let stop = life.token();
    life.essential("monitoring", monitoring.serve(listener, stop.cancelled_owned()));
}

fn graffiti(config: &NodeConfig, loaded: &Loaded) -> Result<Graffiti, NodeError> {
    let append = !config.proposals.graffiti_disable_client_append;
    Graffiti::new(
        &config.proposals.graffiti,
        &about::default_graffiti(&config.version),
        append,
        &loaded.cluster,
    )
    .map_err(|e| NodeError::Setting {
        flag: "--graffiti",
        reason: e.to_string(),
    })
}

/// What we want the cluster to agree on about itself.
fn wishes(config: &NodeConfig, loaded: &Loaded) -> Wishes {
    let versions = about::CHARON_LEVEL
        .parse()
        .map(|own| trireme_p2p::version::supported_minors(&own))
        .unwrap_or_default();
    let preferred: Vec<String> = std::iter::once(loaded.consensus_protocol.clone())
        .chain(config.consensus_protocol.clone())
        .filter(|name| !name.is_empty())
        .collect();
    Wishes::new(
        versions.iter().map(ToString::to_string).collect(),
        &preferred,
        config.proposals.builder_api,
        config.proposals.synthetic,
        &config.features,
    )
}

/// The switches of consensus.
fn consensus_config(features: &FeatureSet) -> ConsensusConfig {
    ConsensusConfig {
        timers: TimerFeatures {
            eager_double_linear: features.enabled(Feature::EagerDoubleLinear),
            linear: features.enabled(Feature::Linear),
            proposal_timeout: features.enabled(Feature::ProposalTimeout),
        },
        participate: features.enabled(Feature::ConsensusParticipate),
        chain_split_halt: features.enabled(Feature::ChainSplitHalt),
    }
}
