//! What is passed on goes to the beacon nodes that the node knows to be good: the pool and the proxy together, over sockets.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::response::Response;
use http::HeaderMap;
use serde_json::{Value, json};
use tracing::Level;
use trireme_beacon::{Broadcast, Clients, GivenTimeouts, Metrics, Pool, PoolConfig};
use trireme_core::{SlotTiming, UnixTime, life::Life};
use trireme_eth2::{Epoch, ForkVersion};
use trireme_testutil::sim::{Lines, SimClock};
use trireme_vapi::Upstream;

use crate::{
    fixture::{Bench, Plan},
    upstream::{FakeBeacon, Sent, nobody, response, silent},
};

const HEAD: &str = "/eth/v1/beacon/blocks/head/root";
const SPEC: &str = "/eth/v1/config/spec";
const SYNCING: &str = "/eth/v1/node/syncing";
const SUBSCRIBE: [&str; 2] = [
    "/eth/v1/validator/beacon_committee_subscriptions",
    "/eth/v1/validator/sync_committee_subscriptions",
];
const GENESIS_TIME: u64 = 1_000_000;
const VERSION: ForkVersion = ForkVersion([0x10, 0, 9, 0x10]);

/// What one of the beacon nodes thinks.
#[derive(Clone)]
struct Mind {
    /// Its byte is in its head's root.
    name: u8,
    version: &'static str,
    behind: u64,
    optimistic: Value,
    /// Answers everything but looks with this.
    fails: Option<u16>,
}

fn mind(name: u8) -> Mind {
    Mind {
        name,
        version: "0x10000910",
        behind: 0,
        optimistic: json!(false),
        fails: None,
    }
}

fn root(byte: u8) -> String {
    format!("0x{}", hex::encode([byte; 32]))
}

/// What every look asks for.
const LOOKS: [&str; 4] = ["/eth/v1/node/version", SPEC, SYNCING, "/eth/v1/beacon/genesis"];

impl Mind {
    fn answer(&self, sent: &Sent) -> Response {
        let path = sent.path_and_query.as_str();
        if let Some(status) = self.fails.filter(|_| !LOOKS.contains(&path)) {
            return response(status, &[], "no");
        }
        let said = match path {
            "/eth/v1/node/version" => json!({"data": {"version": "Fake/v1"}}),
            SPEC => json!({"data": {"SECONDS_PER_SLOT": "12", "SLOTS_PER_EPOCH": "32", "PRESET_BASE": "mainnet",
                "GENESIS_FORK_VERSION": self.version}}),
            SYNCING => json!({"data": {"head_slot": (100 - self.behind).to_string(),
                "sync_distance": self.behind.to_string(), "is_syncing": self.behind > 0,
                "is_optimistic": false, "el_offline": false}}),
            "/eth/v1/beacon/genesis" => json!({"data": {"genesis_time": GENESIS_TIME.to_string(),
                "genesis_validators_root": root(9), "genesis_fork_version": self.version}}),
            HEAD => json!({"execution_optimistic": self.optimistic, "finalized": false,
                "data": {"root": root(self.name)}}),
            "/eth/v1/events?topics=head" => return response(200, &[], format!("event: {}\n\n", self.name)),
            path if path.starts_with("/eth/v1/events") => return response(404, &[], ""),
            _ => json!({ "from": self.name }),
        };
        response(200, &[("content-type", "application/json")], said.to_string())
    }
}

struct Fleet {
    bns: Vec<FakeBeacon>,
    minds: Vec<Arc<Mutex<Mind>>>,
    pool: Arc<Pool>,
    bench: Bench,
    life: Life,
}

/// Beacon nodes of these minds, the last `fallbacks` of which are fallbacks; `more` are addresses beside them.
async fn fleet(minds: Vec<Mind>, fallbacks: usize, more: &[String]) -> Fleet {
    let life = Life::new();
    let minds: Vec<_> = minds.into_iter().map(|m| Arc::new(Mutex::new(m))).collect();
    let mut bns = Vec::new();
    for mind in &minds {
        let mind = Arc::clone(mind);
        bns.push(FakeBeacon::start(move |sent| mind.lock().unwrap().answer(sent)).await);
    }
    let mut endpoints: Vec<url::Url> = more.iter().map(|url| url.parse().unwrap()).collect();
    endpoints.extend(bns.iter().map(|bn| bn.url.parse::<url::Url>().unwrap()));
    let fallbacks = endpoints.split_off(endpoints.len() - fallbacks);
    let clients = Clients::new(
        &PoolConfig {
            endpoints: endpoints.clone(),
            fallbacks: fallbacks.clone(),
            headers: Vec::new(),
            certificates: Vec::new(),
            timeouts: GivenTimeouts::default(),
            broadcast: Broadcast::default(),
            best_head: false,
            refuse_optimistic: true,
        },
        Metrics::default(),
    )
    .unwrap();
    let timing = SlotTiming {
        genesis: UnixTime::from_secs(GENESIS_TIME),
        slot_duration: Duration::from_secs(12),
        slots_per_epoch: 32,
    };
    let clock = Arc::new(SimClock::starting_at(UnixTime::from_secs(GENESIS_TIME + 1200)));
    let chain = Arc::new(clients.wait_for_chain(VERSION).await.unwrap());
    let pool = Arc::new(Pool::start(&clients, chain, timing, clock, &life).await);
    let upstream = |url: url::Url| Upstream {
        url,
        headers: HeaderMap::new(),
    };
    let bench = Bench::new(Plan {
        upstreams: endpoints.into_iter().map(upstream).collect(),
        fallbacks: fallbacks.into_iter().map(upstream).collect(),
        pool: Some(Arc::clone(&pool)),
        ..Plan::synthetic(&[])
    });
    let fleet = Fleet {
        bns,
        minds,
        pool,
        bench,
        life,
    };
    fleet.forget();
    fleet
}

impl Fleet {
    fn forget(&self) {
        for bn in &self.bns {
            bn.sent();
        }
    }

    fn mind(&self, at: usize) -> std::sync::MutexGuard<'_, Mind> {
        self.minds[at].lock().unwrap()
    }

    /// Paths that each was asked for, without events, which the pool asks for by itself.
    fn asked(&self) -> Vec<Vec<String>> {
        let paths = |bn: &FakeBeacon| {
            let all = bn.sent().into_iter().map(|s| s.path_and_query);
            all.filter(|path| !path.starts_with("/eth/v1/events?topics=head&"))
                .collect()
        };
        self.bns.iter().map(paths).collect()
    }

    async fn root(&self) -> Value {
        self.bench.get(HEAD).await.json()
    }
}

#[tokio::test]
async fn vc_07_beacon_node_of_another_chain_answers_no_client() {
    let other = Mind {
        version: "0x00000001",
        ..mind(1)
    };
    let f = fleet(vec![other, mind(2)], 0, &[]).await;
    for path in ["/eth/v1/beacon/genesis", SPEC] {
        let text = f.bench.get(path).await.json().to_string();
        assert!(text.contains("0x10000910"), "{text}");
    }
    assert_eq!(f.bench.get("/eth/v1/some/path").await.json()["from"], 2);
    assert_eq!(f.root().await["data"]["root"], root(2));
    let events = f.bench.get("/eth/v1/events?topics=head").await;
    assert_eq!(&events.body[..], b"event: 2\n\n");
    for path in SUBSCRIBE {
        assert_eq!(f.bench.post(path, &[], &json!([])).await.status.as_u16(), 200);
    }
    // Not even when nobody else answers well.
    f.mind(1).fails = Some(500);
    assert_eq!(f.bench.get("/eth/v1/some/path").await.status.as_u16(), 500);
    assert_eq!(f.asked()[0], Vec::<String>::new());
    f.life.stop().await;
}

#[tokio::test]
async fn vc_02_beacon_node_that_lacks_blocks_answers_clients_only_when_no_synced_one_does() {
    let unsynced = Mind { behind: 60, ..mind(1) };
    let f = fleet(vec![unsynced, mind(2), mind(3)], 1, &[]).await;
    for _ in 0..3 {
        assert_eq!(f.bench.get("/eth/v1/some/path").await.json()["from"], 2);
    }
    let said = f.bench.get(SYNCING).await.json();
    assert_eq!(
        said["data"]["is_syncing"], false,
        "a client that reads true stops working"
    );
    assert_eq!(f.root().await["data"]["root"], root(2));
    let asked = f.asked();
    assert!(asked[0].is_empty() && asked[2].is_empty(), "{asked:?}");
    f.mind(1).fails = Some(503);
    assert_eq!(
        f.bench.get("/eth/v1/some/path").await.json()["from"],
        3,
        "the fallback is synced"
    );
    f.mind(2).fails = Some(503);
    assert_eq!(f.bench.get("/eth/v1/some/path").await.json()["from"], 1);
    f.life.stop().await;
}

#[tokio::test]
async fn vc_06_beacon_node_that_was_left_out_is_looked_at_when_nobody_else_answers() {
    let f = fleet(vec![mind(1)], 0, &[]).await;
    f.mind(0).fails = Some(500);
    trireme_core::ports::BeaconNode::proposer_duties(f.pool.as_ref(), Epoch(3))
        .await
        .unwrap_err();
    assert_eq!(f.pool.groups(), Vec::<Vec<usize>>::new(), "it was left out");
    f.mind(0).fails = None;
    f.asked();
    assert_eq!(f.bench.get("/eth/v1/some/path").await.json()["from"], 1);
    let asked = f.asked().remove(0);
    assert_eq!(asked.last().map(String::as_str), Some("/eth/v1/some/path"));
    assert!(
        asked.iter().any(|path| path == SPEC),
        "it may be of another chain by now"
    );
    f.life.stop().await;
}

#[tokio::test]
async fn vc_61_clients_get_the_root_of_a_head_that_a_beacon_node_has_verified() {
    let f = fleet(vec![mind(1), mind(2)], 0, &[]).await;
    for word in [json!(true), json!(null)] {
        f.mind(0).optimistic = word;
        f.bench.neighbours.new_head();
        let said = f.root().await;
        assert_eq!(
            (&said["execution_optimistic"], &said["data"]["root"]),
            (&json!(false), &json!(root(2)))
        );
        // A client that says what it accepts gets no other answer.
        let ssz = [("accept", "application/octet-stream;q=1,application/json;q=0.9")];
        let got = f.bench.ask("GET", HEAD, &ssz, axum::body::Body::empty()).await;
        assert_eq!(got.json()["data"]["root"], root(2));
    }
    f.life.stop().await;
}

#[tokio::test]
async fn vc_61_flag_of_heads_that_nobody_has_verified_is_handed_on_counted_and_told_once() {
    let f = fleet(vec![mind(1), mind(2)], 0, &[]).await;
    f.mind(0).optimistic = json!(true);
    f.mind(1).optimistic = json!(true);
    let lines = Lines::here();
    for count in [1, 2] {
        f.bench.neighbours.new_head();
        assert_eq!(f.root().await["execution_optimistic"], true);
        let counted = format!("core_validatorapi_unverified_head_total {count}");
        assert!(f.bench.metrics().contains(&counted), "{}", f.bench.metrics());
        assert_eq!(f.root().await["execution_optimistic"], true, "shared, and counted once");
    }
    let said = lines.take(Level::WARN);
    assert_eq!(
        said.iter().filter(|l| l.contains("head is verified")).count(),
        1,
        "{said:?}"
    );
    f.mind(1).optimistic = json!(false);
    f.bench.neighbours.new_head();
    assert_eq!(f.root().await["execution_optimistic"], false);
    f.life.stop().await;
}

#[tokio::test]
async fn vc_01_subscriptions_of_the_client_reach_every_beacon_node_and_each_failure_is_one_warning() {
    let gone = nobody().await;
    let f = fleet(vec![mind(1), mind(2), mind(3)], 1, std::slice::from_ref(&gone)).await;
    // One that answers looks and refuses what it is told, and one that was there a moment ago.
    f.mind(0).fails = Some(500);
    let lines = Lines::here();
    for path in SUBSCRIBE {
        assert_eq!(
            f.bench.post(path, &[], &json!([{"slot": "1"}])).await.status.as_u16(),
            200
        );
        for bn in &f.bns {
            let told = bn.sent();
            let told: Vec<_> = told.iter().filter(|s| s.path_and_query == path).collect();
            assert!(
                matches!(&told[..], [one] if &one.body[..] == b"[{\"slot\":\"1\"}]"),
                "{told:?}"
            );
        }
        let said = lines.take(Level::WARN);
        let said: Vec<_> = said.iter().filter(|l| l.contains("did not take")).collect();
        assert!(matches!(&said[..], [line] if line.contains(&f.bns[0].url)), "{said:?}");
    }
    f.life.stop().await;
}

#[tokio::test]
async fn vc_01_beacon_node_that_was_left_out_is_told_once_it_is_there_and_one_that_refuses_connections_is_named() {
    let f = fleet(vec![mind(1), mind(2)], 0, &[]).await;
    for at in [0, 1] {
        f.mind(at).fails = Some(500);
    }
    trireme_core::ports::BeaconNode::proposer_duties(f.pool.as_ref(), Epoch(3))
        .await
        .unwrap_err();
    for at in [0, 1] {
        f.mind(at).fails = None;
    }
    f.asked();
    assert_eq!(f.bench.post(SUBSCRIBE[0], &[], &json!([])).await.status.as_u16(), 200);
    for asked in f.asked() {
        assert_eq!(
            asked.iter().filter(|path| *path == SUBSCRIBE[0]).count(),
            1,
            "{asked:?}"
        );
    }
    f.life.stop().await;

    // Without knowledge of who is there.
    let gone = nobody().await;
    let good = FakeBeacon::start(|_| response(200, &[], "")).await;
    let bench = Bench::new(Plan::synthetic(&[]).upstream(&gone).upstream(&good.url));
    let lines = Lines::here();
    assert_eq!(bench.post(SUBSCRIBE[0], &[], &json!([])).await.status.as_u16(), 200);
    let said = lines.take(Level::WARN);
    assert!(matches!(&said[..], [line] if line.contains(&gone)), "{said:?}");
}

#[tokio::test]
async fn vc_01_beacon_node_that_hangs_is_told_to_the_end_holds_up_nobody_and_is_named() {
    let (silent, _listens) = silent().await;
    let good = FakeBeacon::start(|_| response(200, &[], "")).await;
    let bench = Bench::new(Plan::synthetic(&[]).upstream(&silent).upstream(&good.url));
    let lines = Lines::here();
    let began = tokio::time::Instant::now();
    assert_eq!(bench.post(SUBSCRIBE[0], &[], &json!([])).await.status.as_u16(), 200);
    assert!(began.elapsed() < Duration::from_secs(5));
    assert!(lines.take(Level::WARN).is_empty(), "it may still take it");
    tokio::time::pause();
    tokio::time::sleep(Duration::from_secs(10)).await;
    let said = lines.take(Level::WARN);
    assert!(
        matches!(&said[..], [line] if line.contains(&silent) && line.contains("10 s")),
        "{said:?}"
    );
}
