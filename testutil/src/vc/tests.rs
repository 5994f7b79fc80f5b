//! The client before a node of one operator who holds whole keys: its requests go on to the judge, and only the proofs of
//! selection are answered here, with what was handed in. The clock is a number that the test sets; it stands late in the
//! slot, so that nothing waits.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State as Of,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse as _, Response},
};
use serde_json::{Value, json};
use trireme_eth2::{Fork, SignedVoluntaryExit};

use super::{slot::Slotwork, *};
use crate::judge::{ChainConfig, DutyKind, HOODI, Judge, JudgeConfig, Report, Server, report};

const GENESIS: Duration = Duration::from_secs(1_700_000_000);
const SELECTIONS: &str = "/eth/v1/validator/beacon_committee_selections";
const EXITS: &str = "/eth/v1/beacon/pool/voluntary_exits";

/// What the node in front of the judge does, and what it has been asked.
struct Front {
    judge: String,
    client: reqwest::Client,
    asked: Mutex<Vec<(String, Bytes)>>,
    /// Paths that it has a fault on.
    broken: Mutex<BTreeSet<&'static str>>,
}

async fn answer(Of(front): Of<Arc<Front>>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let path = uri.path().to_owned();
    front.asked.lock().unwrap().push((path.clone(), body.clone()));
    if front.broken.lock().unwrap().contains(path.as_str()) {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    if path.ends_with("_selections") {
        let partial: Value = serde_json::from_slice(&body).unwrap();
        return json!({"data": partial}).to_string().into_response();
    }
    let request = front.client.request(method, format!("{}{uri}", front.judge));
    let answer = request.headers(headers).body(body).send().await.unwrap();
    let mut response = Response::builder().status(answer.status());
    *response.headers_mut().unwrap() = answer.headers().clone();
    response.body(Body::from(answer.bytes().await.unwrap())).unwrap()
}

/// A client, its node, and the judge behind.
struct Bench {
    server: Server,
    front: Arc<Front>,
    shared: Arc<Shared>,
    chain: Arc<chain::Chain>,
    time: Arc<AtomicU64>,
    _node: JoinSet<()>,
}

impl Bench {
    async fn new(fork: Fork, change: impl FnOnce(&mut JudgeConfig, &mut VcConfig)) -> Self {
        let keys: Vec<SecretKey> = (1..=6).map(|n| SecretKey::from_bytes(&[n; 32]).unwrap()).collect();
        let pubkeys = keys.iter().map(|k| BlsPubkey(k.public_key().to_bytes())).collect();
        let mut chain = ChainConfig::new(GENESIS, fork, HOODI, pubkeys);
        chain.slots_per_epoch = 6;
        let secrets = (0..).map(ValidatorIndex).zip(keys.iter().cloned().map(Arc::new));
        let mut judge = JudgeConfig {
            counted: DutyKind::ALL.into(),
            secrets: secrets.collect(),
            ..JudgeConfig::new(chain)
        };

        let time = Arc::new(AtomicU64::new(0));
        let clock = Arc::clone(&time);
        let now: Now = Arc::new(move || Duration::from_millis(clock.load(Ordering::SeqCst)));
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut config = VcConfig::new(url, keys, Arc::clone(&now));
        change(&mut judge, &mut config);

        let server = Server::start(Judge::with(judge), now).await.unwrap();
        let shared = Arc::new(Shared::new(config));
        let front = Arc::new(Front {
            judge: server.url(),
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            asked: Mutex::default(),
            broken: Mutex::default(),
        });
        let app = Router::new().fallback(answer).with_state(Arc::clone(&front));
        let mut node = JoinSet::new();
        node.spawn(async move { axum::serve(listener, app).await.unwrap() });
        let chain = Arc::new(chain::Chain::new(shared.api.chain().await.unwrap()));
        Self {
            server,
            front,
            shared,
            chain,
            time,
            _node: node,
        }
    }

    /// The work of a slot, at nine tenths of it.
    fn slot(&self, slot: u64) -> Slotwork {
        let now = self.chain.start(Slot(slot)) + self.chain.spec.slot_duration() * 9 / 10;
        self.time
            .store(u64::try_from(now.as_millis()).unwrap(), Ordering::SeqCst);
        Slotwork {
            shared: Arc::clone(&self.shared),
            chain: Arc::clone(&self.chain),
            slot: Slot(slot),
        }
    }

    /// Everything of a slot, one after the other: there is no time in between that would bring it into its order.
    async fn perform(&self, slot: u64) {
        let (work, heads) = (self.slot(slot), watch::channel(None).1);
        work.look_up_validators().await.unwrap();
        work.chores().await;
        work.propose().await.unwrap();
        let duties = work.attester_duties(&work.indices()).await.unwrap();
        work.vote(&duties, heads.clone()).await.unwrap();
        work.aggregate(&duties).await.unwrap();
        work.serve_sync_committee(heads).await.unwrap();
    }

    fn asked(&self, path: &str) -> Vec<Bytes> {
        let asked = self.front.asked.lock().unwrap();
        let bodies = asked.iter().filter(|(p, _)| p == path).map(|(_, body)| body.clone());
        bodies.collect()
    }

    fn report(&self, slots: std::ops::Range<u64>) -> Report {
        self.server.with(|judge| {
            assert_eq!(judge.refusals(), []);
            report(judge, slots)
        })
    }

    fn activity(&self) -> Activity {
        self.shared.activity().clone()
    }
}

/// Expected and completed by kind.
fn done(report: &Report) -> BTreeMap<&'static str, (u64, u64)> {
    let each = report.duties.iter();
    each.map(|(kind, duty)| (kind.name(), (duty.expected, duty.completed)))
        .collect()
}

#[tokio::test]
async fn a_client_performs_every_duty_of_an_epoch_and_nothing_of_it_is_refused() {
    for fork in [Fork::Fulu, Fork::Deneb] {
        let bench = Bench::new(fork, |_, config| config.keep = true).await;
        let leaving = ValidatorIndex(5);
        bench.shared.state().exit = Some(ExitOrder {
            slot: Slot(14),
            validator: leaving,
        });
        bench.server.with(|judge| judge.expect_exit(leaving, Slot(14)));
        for slot in 12..18 {
            bench.perform(slot).await;
        }
        let report = bench.report(12..18);
        let done = done(&report);
        let expected = [
            ("attester", 6),
            ("aggregator", 6),
            ("proposer", 6),
            ("exit", 1),
            ("sync_message", 24),
        ];
        for (kind, count) in expected {
            assert_eq!(done[kind], (count, count), "{fork}: {done:?}");
        }
        let (expected, completed) = done["sync_contribution"];
        assert!(expected > 0 && completed == expected, "{fork}: {done:?}");
        let activity = bench.activity();
        assert_eq!(
            (activity.attested, activity.proposed, activity.exits),
            (6, 6, 1),
            "{fork}"
        );
        assert_eq!(activity.live.map(|(epoch, _)| epoch), Some(Epoch(1)));
        assert_eq!(activity.failures, BTreeMap::new(), "{fork}");
        let kept = |is: fn(&ServedKind) -> bool| activity.served.iter().filter(|s| is(&s.kind)).count();
        assert_eq!(kept(|k| matches!(k, ServedKind::Block)), 6);
        assert_eq!(kept(|k| matches!(k, ServedKind::AttestationData { .. })), 6);
        assert_eq!(kept(|k| matches!(k, ServedKind::Aggregate { .. })), 6);
        assert!(kept(|k| matches!(k, ServedKind::Contribution { .. })) > 0);
    }
}

#[tokio::test]
async fn a_client_that_would_have_builders_publishes_blinded_blocks_and_registers_every_epoch() {
    let bench = Bench::new(Fork::Fulu, |judge, config| {
        judge.builder = true;
        config.builder = true;
    })
    .await;
    for slot in 12..24 {
        bench.perform(slot).await;
    }
    let done = done(&bench.report(12..24));
    assert_eq!(done["builder_registration"], (12, 12), "{done:?}");
    assert_eq!(done["proposer"], (12, 12), "{done:?}");
    assert_eq!((bench.activity().proposed, bench.activity().blinded), (12, 12));
}

#[tokio::test]
async fn duties_that_are_asked_for_again_are_performed_once() {
    let bench = Bench::new(Fork::Fulu, |_, _| {}).await;
    for _ in 0..3 {
        bench.perform(12).await;
    }
    for path in [
        "/eth/v2/beacon/blocks",
        "/eth/v2/beacon/pool/attestations",
        "/eth/v2/validator/aggregate_and_proofs",
        "/eth/v1/beacon/pool/sync_committees",
    ] {
        assert_eq!(bench.asked(path).len(), 1, "{path}");
    }
    assert_eq!(bench.asked("/eth/v1/validator/duties/attester/2").len(), 3);
    assert_eq!(bench.activity().attested, 1);
}

#[tokio::test]
async fn proofs_are_asked_for_by_epoch_by_slot_or_never_as_the_client_is_made() {
    for (selections, entries) in [
        (Selections::Epoch, vec![6]),
        (Selections::Slot, vec![1; 6]),
        (Selections::Never, vec![]),
    ] {
        let bench = Bench::new(Fork::Fulu, |_, config| config.selections = selections).await;
        for slot in 12..18 {
            bench.perform(slot).await;
        }
        let list = |body: &Bytes| serde_json::from_slice::<Vec<Value>>(body).unwrap().len();
        let asked: Vec<usize> = bench.asked(SELECTIONS).iter().map(list).collect();
        assert_eq!(asked, entries, "{selections:?}");
        let aggregated = bench.activity().aggregated;
        assert_eq!(aggregated > 0, selections != Selections::Never, "{selections:?}");
    }
}

#[tokio::test]
async fn proofs_that_could_not_be_had_are_asked_for_again_for_what_is_left_of_the_epoch() {
    let bench = Bench::new(Fork::Fulu, |_, _| {}).await;
    bench.front.broken.lock().unwrap().insert(SELECTIONS);
    bench.perform(12).await;
    bench.perform(13).await;
    bench.front.broken.lock().unwrap().clear();
    bench.perform(14).await;
    bench.perform(15).await;
    let slots = |body: &Bytes| {
        let list: Vec<Value> = serde_json::from_slice(body).unwrap();
        let slots: BTreeSet<u64> = list
            .iter()
            .map(|s| s["slot"].as_str().unwrap().parse().unwrap())
            .collect();
        slots.first().copied()
    };
    let first: Vec<_> = bench.asked(SELECTIONS).iter().map(slots).collect();
    assert_eq!(first, [Some(12), Some(13), Some(14)]);
    assert_eq!(bench.activity().aggregated, 2);
    assert_eq!(bench.activity().failures.values().sum::<u64>(), 2);
}

#[tokio::test]
async fn an_exit_that_was_not_taken_is_signed_for_the_same_epoch_in_the_next_slot() {
    let bench = Bench::new(Fork::Fulu, |_, _| {}).await;
    let validator = ValidatorIndex(2);
    bench.shared.state().exit = Some(ExitOrder {
        slot: Slot(17),
        validator,
    });
    bench.server.with(|judge| judge.expect_exit(validator, Slot(17)));
    bench.front.broken.lock().unwrap().insert(EXITS);
    bench.perform(16).await;
    bench.perform(17).await;
    bench.front.broken.lock().unwrap().clear();
    bench.perform(18).await;
    bench.perform(19).await;
    let exits: Vec<SignedVoluntaryExit> = bench
        .asked(EXITS)
        .iter()
        .map(|body| serde_json::from_slice(body).unwrap())
        .collect();
    assert_eq!(exits.len(), 2);
    assert_eq!(exits[0], exits[1]);
    assert_eq!(
        (exits[0].message.epoch, exits[0].message.validator_index),
        (Epoch(2), validator)
    );
    assert_eq!(done(&bench.report(17..18))["exit"], (1, 1));
}
