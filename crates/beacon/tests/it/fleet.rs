//! Several beacon nodes on one chain that answer as they are told, and the pool in front of them, in virtual time.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{Request, Response},
};
use futures::StreamExt as _;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::broadcast, task::JoinSet};
use trireme_beacon::{Broadcast, Clients, GivenTimeouts, Metrics, Pool, PoolConfig};
use trireme_core::{
    life::Life,
    ports::Clock as _,
    time::{SlotTiming, UnixTime},
};
use trireme_eth2::ForkVersion;
use trireme_testutil::sim::SimClock;
use url::Url;

/// How a path is answered.
#[derive(Debug, Clone)]
pub(crate) enum Manner {
    /// Never.
    Hang,
    /// With this status and body.
    Refuse(u16, String),
    /// With this body.
    Say(Value),
    /// With the answer that it would have otherwise, later.
    Late(Duration),
}

/// A beacon node's mind.
pub(crate) struct Mind {
    /// By the beginning of the path; the longest that fits counts.
    pub(crate) manners: BTreeMap<String, Manner>,
    pub(crate) spec: Value,
    pub(crate) syncing: Value,
    /// What attestation data vote for.
    pub(crate) head: String,
    /// Flag of answers that have one.
    pub(crate) optimistic: Value,
    seen: Vec<(Duration, String, String, Bytes)>,
}

/// A beacon node.
pub(crate) struct Bn {
    pub(crate) url: Url,
    mind: Arc<Mutex<Mind>>,
    events: broadcast::Sender<String>,
    _tasks: JoinSet<()>,
}

pub(crate) const GENESIS_TIME: u64 = 1_000_000;
pub(crate) const VERSION: ForkVersion = ForkVersion([0x10, 0, 9, 0x10]);

pub(crate) fn root(byte: u8) -> String {
    format!("0x{}", hex::encode([byte; 32]))
}

fn good_spec() -> Value {
    json!({"SECONDS_PER_SLOT": "12", "SLOTS_PER_EPOCH": "32", "PRESET_BASE": "mainnet",
        "GENESIS_FORK_VERSION": "0x10000910",
        "ALTAIR_FORK_EPOCH": "0", "ALTAIR_FORK_VERSION": "0x20000910",
        "BELLATRIX_FORK_EPOCH": "0", "BELLATRIX_FORK_VERSION": "0x30000910"})
}

fn good_syncing() -> Value {
    json!({"head_slot": "100", "sync_distance": "0", "is_syncing": false, "is_optimistic": false, "el_offline": false})
}

impl Mind {
    fn new() -> Self {
        Self {
            manners: BTreeMap::new(),
            spec: good_spec(),
            syncing: good_syncing(),
            head: root(1),
            optimistic: json!(false),
            seen: Vec::new(),
        }
    }

    fn manner(&self, path: &str) -> Option<Manner> {
        let fits = self
            .manners
            .iter()
            .filter(|(start, _)| path.starts_with(start.as_str()));
        fits.max_by_key(|(start, _)| start.len()).map(|(_, m)| m.clone())
    }

    /// The good answer.
    fn answer(&self, path: &str) -> Value {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let asked = |name: &str| {
            let found = query.split('&').filter_map(|p| p.split_once('='));
            found.filter(|(n, _)| *n == name).map(|(_, v)| v.to_owned()).next()
        };
        match path {
            "/eth/v1/node/version" => json!({"data": {"version": "Fake/v1.0.0"}}),
            "/eth/v1/config/spec" => json!({"data": self.spec}),
            "/eth/v1/node/syncing" => json!({"data": self.syncing}),
            "/eth/v1/node/peer_count" => json!({"data": {"connected": "7"}}),
            "/eth/v1/beacon/genesis" => json!({"data": {"genesis_time": GENESIS_TIME.to_string(),
                "genesis_validators_root": root(9), "genesis_fork_version": "0x10000910"}}),
            "/eth/v1/validator/attestation_data" => {
                let slot = asked("slot").unwrap_or_default();
                let epoch = slot.parse::<u64>().unwrap_or_default() / 32;
                json!({"execution_optimistic": self.optimistic, "data": {
                    "slot": slot, "index": asked("committee_index").unwrap_or_default(),
                    "beacon_block_root": self.head,
                    "source": {"epoch": epoch.saturating_sub(1).to_string(), "root": root(3)},
                    "target": {"epoch": epoch.to_string(), "root": root(4)}}})
            }
            "/eth/v1/beacon/blocks/head/root" => {
                json!({"execution_optimistic": self.optimistic, "data": {"root": self.head}})
            }
            _ if path.starts_with("/eth/v1/beacon/blocks/") => json!({"data": {"root": self.head}}),
            _ if path.starts_with("/eth/v1/validator/duties/") => {
                json!({"dependent_root": root(5), "execution_optimistic": false, "data": []})
            }
            _ => json!({}),
        }
    }
}

type Server = (Arc<Mutex<Mind>>, broadcast::Sender<String>, tokio::time::Instant);

async fn serve(State((mind, events, begun)): State<Server>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let path = parts.uri.to_string();
    let manner = {
        let mut mind = mind.lock().unwrap();
        mind.seen
            .push((begun.elapsed(), parts.method.to_string(), path.clone(), body));
        mind.manner(&path)
    };
    let json = |status: u16, body: String| {
        let builder = Response::builder()
            .status(status)
            .header("content-type", "application/json");
        builder.body(Body::from(body)).unwrap()
    };
    match manner {
        Some(Manner::Hang) => std::future::pending().await,
        Some(Manner::Refuse(status, body)) => json(status, body),
        Some(Manner::Say(value)) => json(200, value.to_string()),
        late => {
            if let Some(Manner::Late(by)) = late {
                tokio::time::sleep(by).await;
            }
            if path.starts_with("/eth/v1/events") {
                let stream = stream_of(events.subscribe());
                let builder = Response::builder().header("content-type", "text/event-stream");
                return builder.body(Body::from_stream(stream)).unwrap();
            }
            let answer = mind.lock().unwrap().answer(&path);
            json(200, answer.to_string())
        }
    }
}

fn stream_of(
    events: broadcast::Receiver<String>,
) -> impl futures::Stream<Item = Result<String, std::io::Error>> + Send {
    futures::stream::unfold(events, |mut events| async move {
        let event = events.recv().await.ok()?;
        Some((Ok(event), events))
    })
    .boxed()
}

impl Bn {
    pub(crate) async fn start() -> Self {
        Self::at("127.0.0.1:0").await
    }

    pub(crate) async fn at(address: &str) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
        let mind = Arc::new(Mutex::new(Mind::new()));
        let events = broadcast::channel(16).0;
        let state = (Arc::clone(&mind), events.clone(), tokio::time::Instant::now());
        let app = Router::new().fallback(serve).with_state(state);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self {
            url,
            mind,
            events,
            _tasks: tasks,
        }
    }

    pub(crate) fn mind(&self) -> std::sync::MutexGuard<'_, Mind> {
        self.mind.lock().unwrap()
    }

    /// Answers paths with this beginning so from now on.
    pub(crate) fn set(&self, path: &str, manner: Manner) {
        self.mind().manners.insert(path.to_owned(), manner);
    }

    pub(crate) fn good(&self) {
        self.mind().manners.clear();
    }

    pub(crate) fn fail(&self, path: &str) {
        self.set(path, Manner::Refuse(500, r#"{"code":500,"message":"oops"}"#.to_owned()));
    }

    /// Paths asked for since the last call that begin so, without queries.
    pub(crate) fn asked(&self, start: &str) -> usize {
        let seen = std::mem::take(&mut self.mind().seen);
        seen.iter().filter(|(_, _, path, _)| path.starts_with(start)).count()
    }

    /// Bodies sent to paths that begin so.
    pub(crate) fn bodies(&self, start: &str) -> Vec<Bytes> {
        let mind = self.mind();
        let seen = mind.seen.iter().filter(|(_, _, path, _)| path.starts_with(start));
        seen.map(|(_, _, _, body)| body.clone()).collect()
    }

    /// When paths that begin so were asked for.
    pub(crate) fn times(&self, start: &str) -> Vec<Duration> {
        let mind = self.mind();
        let seen = mind.seen.iter().filter(|(_, _, path, _)| path.starts_with(start));
        seen.map(|(at, _, _, _)| *at).collect()
    }

    pub(crate) fn forget(&self) {
        self.mind().seen.clear();
    }

    pub(crate) fn tell_head(&self, slot: u64, block: &str) {
        let data = json!({"slot": slot.to_string(), "block": block, "state": root(8), "epoch_transition": false});
        self.tell(&format!("event: head\ndata: {data}\n\n"));
    }

    /// Waits until somebody listens to its events; what it tells before is lost. Some tests' beacon nodes have no
    /// listeners, so it gives up after many looks.
    async fn listened_to(&self) {
        for _ in 0..100_000 {
            if self.events.receiver_count() > 0 {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Sends this on every event stream.
    pub(crate) fn tell(&self, text: &str) {
        let _ = self.events.send(text.to_owned());
    }
}

pub(crate) fn pool_config(endpoints: Vec<Url>) -> PoolConfig {
    PoolConfig {
        endpoints,
        fallbacks: Vec::new(),
        headers: Vec::new(),
        certificates: Vec::new(),
        timeouts: GivenTimeouts::default(),
        broadcast: Broadcast::default(),
        best_head: false,
        refuse_optimistic: true,
    }
}

/// Beacon nodes and the pool in front of them; the clock shows the beginning of slot 100.
pub(crate) struct Fleet {
    pub(crate) bns: Vec<Bn>,
    pub(crate) pool: Pool,
    pub(crate) clock: SimClock,
    pub(crate) timing: SlotTiming,
    registry: prometheus_client::registry::Registry,
    _pulse: JoinSet<()>,
}

/// A paused runtime lets time pass whenever it has nothing to do but wait for a socket, however ready that is. This keeps
/// it looking at its sockets many times before five milliseconds pass: on a busy machine the system takes its time to
/// carry bytes from one socket to the next.
async fn pulse() {
    loop {
        for _ in 0..500 {
            tokio::task::yield_now().await;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

impl Fleet {
    pub(crate) async fn of(n: usize) -> Self {
        Self::with(n, |_, _| {}).await
    }

    /// `change` sees the beacon nodes and the settings before the pool starts. The settings have all as primaries.
    pub(crate) async fn with(n: usize, change: impl FnOnce(&[Bn], &mut PoolConfig)) -> Self {
        let mut bns = Vec::new();
        for _ in 0..n {
            bns.push(Bn::start().await);
        }
        let mut config = pool_config(bns.iter().map(|bn| bn.url.clone()).collect());
        change(&bns, &mut config);
        Self::over(bns, &config).await
    }

    pub(crate) async fn over(bns: Vec<Bn>, config: &PoolConfig) -> Self {
        let timing = SlotTiming {
            genesis: UnixTime::from_secs(GENESIS_TIME),
            slot_duration: Duration::from_secs(12),
            slots_per_epoch: 32,
        };
        let mut pulses = JoinSet::new();
        pulses.spawn(pulse());
        let clock = SimClock::starting_at(UnixTime::from_secs(GENESIS_TIME + 1200));
        let life = Life::new();
        let mut registry = prometheus_client::registry::Registry::default();
        let metrics = Metrics::new(&mut registry);
        let clients = Clients::new(config, metrics.clone()).unwrap();
        let chain = Arc::new(clients.wait_for_chain(VERSION).await.unwrap());
        let pool = Pool::start(&clients, chain, timing, Arc::new(clock.clone()), &life).await;
        for bn in &bns {
            bn.forget();
        }
        for bn in &bns {
            bn.listened_to().await;
        }
        Self {
            bns,
            pool,
            clock,
            timing,
            registry,
            _pulse: pulses,
        }
    }

    /// Waits until so much of the present slot is over.
    pub(crate) async fn until(&self, slot: u64, into: Duration) {
        let at = self.timing.start(trireme_eth2::Slot(slot)).after(into);
        self.clock.sleep_until(at).await;
    }

    /// The metrics as text.
    pub(crate) fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }

    /// The value of a metric with this beginning of its line.
    pub(crate) fn metric(&self, start: &str) -> Option<f64> {
        let text = self.metrics();
        let line = text.lines().find(|l| l.starts_with(start))?;
        line.rsplit_once(' ')?.1.parse().ok()
    }
}
