use std::{
    io::Read as _,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use base64::Engine as _;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::broadcast::error::RecvError;
use trireme_core::{
    PubKey,
    clock::SystemClock,
    ports::{BeaconError, BeaconNode, ProduceBlock},
    time::{SlotTiming, UnixTime},
};
use trireme_eth2::{
    BlsSignature, ChainEvent, Epoch, Root, SingleAttestation, Slot, ValidatorIndex, ValidatorInfo,
    VersionedSignedProposal,
};
use trireme_testutil::judge;

use super::replay::{Replay, client};

/// One exchange of a node with a beacon node.
#[derive(Debug, Deserialize)]
struct Exchange {
    #[serde(default)]
    seq: u64,
    #[serde(default)]
    t: f64,
    method: String,
    path: String,
    #[serde(default)]
    query: Option<String>,
    template: String,
    #[serde(default)]
    req_headers: serde_json::Map<String, Value>,
    req_body: Option<String>,
    req_body_enc: Option<String>,
    #[serde(default)]
    req_truncated: bool,
    #[serde(default)]
    status: u16,
    #[serde(default)]
    resp_headers: serde_json::Map<String, Value>,
    resp_body: Option<String>,
    resp_body_enc: Option<String>,
    #[serde(default)]
    resp_truncated: bool,
    #[serde(default)]
    client_gone: bool,
    event: Option<String>,
}

fn decoded(body: Option<&String>, encoding: Option<&String>) -> Vec<u8> {
    let body = body.map(String::as_str).unwrap_or_default();
    match encoding.map(String::as_str) {
        Some("base64") => base64::engine::general_purpose::STANDARD.decode(body).unwrap(),
        _ => body.as_bytes().to_vec(),
    }
}

fn header<'a>(headers: &'a serde_json::Map<String, Value>, name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|(n, _)| n.eq_ignore_ascii_case(name))
        .and_then(|(_, v)| v.as_str())
}

impl Exchange {
    fn answer(&self) -> Vec<u8> {
        let raw = decoded(self.resp_body.as_ref(), self.resp_body_enc.as_ref());
        if header(&self.resp_headers, "content-encoding") != Some("gzip") || raw.is_empty() {
            return raw;
        }
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(raw.as_slice())
            .read_to_end(&mut plain)
            .unwrap();
        plain
    }

    fn query(&self, name: &str) -> Option<String> {
        let query = self.query.as_deref().unwrap_or_default();
        url::form_urlencoded::parse(query.as_bytes())
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.into_owned())
    }

    fn last(&self) -> u64 {
        self.path.rsplit('/').next().unwrap().parse().unwrap()
    }
}

fn bytes<const N: usize>(text: &str) -> [u8; N] {
    hex::decode(text.trim_start_matches("0x")).unwrap().try_into().unwrap()
}

/// Whether the answer of the recorded beacon node means the same to our client.
async fn read_answer(server: &Replay, e: &Exchange) -> Option<Result<(), BeaconError>> {
    let client = client(server);
    let request = decoded(e.req_body.as_ref(), e.req_body_enc.as_ref());
    Some(match (e.method.as_str(), e.template.as_str()) {
        ("GET", "/eth/v1/node/syncing") => client.syncing().await.map(drop),
        ("GET", "/eth/v1/node/version") => client.node_version().await.map(drop),
        ("POST", "/eth/v1/beacon/states/{x}/validators") => {
            let ids: Value = serde_json::from_slice(&request).unwrap();
            let keys: Vec<PubKey> = ids["ids"]
                .as_array()
                .unwrap()
                .iter()
                .map(|id| PubKey(bytes(id.as_str().unwrap())))
                .collect();
            client
                .validators("head", &keys)
                .await
                .map(|found| assert!(!found.is_empty() && found.len() <= keys.len()))
        }
        ("POST", "/eth/v1/validator/duties/attester/{x}") => {
            let indices: Vec<ValidatorIndex> = serde_json::from_slice(&request).unwrap();
            client
                .attester_duties(Epoch(e.last()), &indices)
                .await
                .map(|d| assert!(!d.duties.is_empty()))
        }
        ("GET", "/eth/v1/validator/duties/proposer/{x}") => client
            .proposer_duties(Epoch(e.last()))
            .await
            .map(|d| assert!(!d.duties.is_empty())),
        ("GET", "/eth/v1/validator/attestation_data") => {
            let number = |name| e.query(name).unwrap().parse().unwrap();
            client
                .attestation_data(Slot(number("slot")), number("committee_index"))
                .await
                .map(drop)
        }
        ("GET", "/eth/v3/validator/blocks/{x}") => {
            let ask = ProduceBlock {
                slot: Slot(e.last()),
                randao_reveal: BlsSignature(bytes(&e.query("randao_reveal").unwrap())),
                graffiti: Root(bytes(&e.query("graffiti").unwrap())),
                builder_boost_factor: e.query("builder_boost_factor").unwrap().parse().unwrap(),
            };
            client.produce_block(ask.clone()).await.map(|got| {
                assert_eq!(got.proposal.slot(), ask.slot);
                assert_eq!(got.proposal.randao_reveal(), ask.randao_reveal);
            })
        }
        ("GET", "/eth/v1/beacon/blocks/{x}/root" | "/eth/v1/beacon/blocks/head/root") => {
            client.block_root(Slot(1)).await.map(|root| assert!(root.is_some()))
        }
        ("POST", "/eth/v1/validator/prepare_beacon_proposer") => client.prepare_proposers(Vec::new()).await,
        ("POST", "/eth/v2/beacon/pool/attestations") => {
            let votes: Vec<SingleAttestation> = serde_json::from_slice(&request).unwrap();
            assert!(!votes.is_empty());
            client.submit_attestations(Vec::new()).await
        }
        ("POST", "/eth/v2/beacon/blocks") => {
            let fork = header(&e.req_headers, "eth-consensus-version")
                .unwrap()
                .parse()
                .unwrap();
            let block = VersionedSignedProposal::decode_ssz(fork, false, &request).unwrap();
            assert_eq!(block.to_ssz(), request);
            client.submit_proposal(std::sync::Arc::new(block)).await
        }
        _ => return None,
    })
}

/// Answers of calls that this client does not make yet still have to be the JSON or SSZ that they say they are.
fn read_raw(e: &Exchange, body: &[u8]) {
    let kind = header(&e.resp_headers, "content-type").unwrap_or_default();
    if kind.starts_with("application/json") && !body.is_empty() {
        let value: Value = serde_json::from_slice(body).unwrap();
        assert!(value.get("data").is_some() || value.get("message").is_some(), "{value}");
    }
}

async fn replay(exchanges: &[Exchange]) {
    let server = Replay::start().await;
    let mut called = 0;
    for e in exchanges {
        let artefact = e.client_gone || e.status == 502;
        if e.resp_truncated || e.req_truncated || artefact || e.event.is_some() {
            continue;
        }
        let body = e.answer();
        read_raw(e, &body);
        let answered: Vec<(&str, &str)> = e
            .resp_headers
            .iter()
            .filter(|(n, _)| {
                let n = n.to_ascii_lowercase();
                n == "content-type" || n.starts_with("eth-")
            })
            .filter_map(|(n, v)| Some((n.as_str(), v.as_str()?)))
            .collect();
        server.plan(e.status, &answered, body.clone());
        if e.template == "/eth/v1/beacon/genesis" {
            let spec = exchanges.iter().find(|x| x.template == "/eth/v1/config/spec").unwrap();
            server.json(&String::from_utf8(spec.answer()).unwrap());
            client(&server).chain().await.unwrap();
            called += 1;
        } else if let Some(result) = read_answer(&server, e).await {
            called += 1;
            match result {
                Ok(()) => assert!(e.status < 300, "exchange {} was taken for a success", e.seq),
                Err(BeaconError::Status { status, message, .. }) => {
                    let theirs: Value = serde_json::from_slice(&body).unwrap();
                    assert_eq!(status, e.status);
                    assert_eq!(message, theirs["message"].as_str().unwrap().trim());
                }
                Err(other) => panic!("exchange {} ({} {}): {other}", e.seq, e.method, e.path),
            }
        }
        // Calls that send nothing, or that we do not make, leave their answer behind.
        server.forget();
    }
    assert!(called > 0);
}

/// Feeds a recorded event stream to the client and counts the heads.
async fn replay_events(e: &Exchange) {
    let server = Replay::start().await;
    let body = e.answer();
    let expected = String::from_utf8_lossy(&body).matches("event: head\n").count()
        + String::from_utf8_lossy(&body).matches("event: head\r\n").count()
        + String::from_utf8_lossy(&body).matches("event:head\n").count();
    server.plan(200, &[("content-type", "text/event-stream")], body);
    let client = client(&server);
    let mut events = client.events();
    let timing = SlotTiming {
        genesis: UnixTime::from_secs(1),
        slot_duration: Duration::from_secs(6),
        slots_per_epoch: 8,
    };
    // The last event of a cut stream may be cut itself.
    let expected = u64::try_from(expected)
        .unwrap()
        .saturating_sub(u64::from(e.resp_truncated));
    let read = async {
        let mut read = 0;
        while read < expected {
            match events.recv().await {
                Ok(ChainEvent::Head(_)) => read += 1,
                Ok(ChainEvent::Reorg(_) | ChainEvent::Block(_)) => {}
                Err(RecvError::Lagged(missed)) => read += missed,
                Err(RecvError::Closed) => panic!("the client is still there"),
            }
        }
    };
    tokio::select! { biased;
        () = read => {}
        () = client.follow_events(&SystemClock, timing) => {}
    }
}

/// A judge with the chain of the session: its timing, and as many validators as it asks about.
async fn judge_of(exchanges: &[Exchange]) -> (judge::Server, Arc<AtomicU64>) {
    let answer = |template: &str| -> Value {
        let found = exchanges
            .iter()
            .find(|e| e.template == template && e.status == 200)
            .unwrap();
        serde_json::from_slice::<Value>(&found.answer()).unwrap()["data"].clone()
    };
    let number = |value: &Value| value.as_str().unwrap().parse::<u64>().unwrap();
    let (genesis, spec) = (answer("/eth/v1/beacon/genesis"), answer("/eth/v1/config/spec"));
    let known: Vec<ValidatorInfo> = serde_json::from_value(answer("/eth/v1/beacon/states/{x}/validators")).unwrap();
    let mut keys: Vec<_> = known.into_iter().map(|v| (v.index, v.validator.pubkey)).collect();
    keys.sort();
    let versions = std::array::from_fn(|n| [u8::try_from(n).unwrap(), 0, 0, 0x38]);
    let start = Duration::from_secs(number(&genesis["genesis_time"]));
    let keys = keys.into_iter().map(|(_, key)| key).collect();
    let mut chain = judge::ChainConfig::new(start, trireme_eth2::Fork::Fulu, versions, keys);
    chain.seconds_per_slot = number(&spec["SECONDS_PER_SLOT"]);
    chain.slots_per_epoch = number(&spec["SLOTS_PER_EPOCH"]);
    let now = Arc::new(AtomicU64::new(0));
    let clock = Arc::clone(&now);
    let clock = Arc::new(move || Duration::from_millis(clock.load(Ordering::Relaxed)));
    (
        judge::Server::start(judge::Judge::new(chain), clock).await.unwrap(),
        now,
    )
}

/// Sends every request of the session to the judge. It may refuse what it says, but must be able to read it.
async fn requests_are_read_by_the_judge(exchanges: &[Exchange]) {
    let (server, now) = judge_of(exchanges).await;
    let client = reqwest_client();
    let mut sent = 0;
    for e in exchanges {
        // What the judge does not build yet, and streams, which do not end.
        let built = !e.template.contains("sync_committee")
            && !e.template.contains("aggregate")
            && !e.template.contains("contribution")
            && e.event.is_none()
            && e.template != "/eth/v1/events";
        if !built || e.req_truncated {
            continue;
        }
        let millis = Duration::from_secs_f64(e.t).as_millis();
        now.store(u64::try_from(millis).unwrap(), Ordering::Relaxed);
        let query = e
            .query
            .as_deref()
            .filter(|q| !q.is_empty())
            .map(|q| format!("?{q}"))
            .unwrap_or_default();
        let method = e.method.parse().unwrap();
        let mut request = client.request(method, format!("{}{}{query}", server.url(), e.path));
        for (name, value) in &e.req_headers {
            let name = name.to_ascii_lowercase();
            if name == "content-type" || name == "accept" || name == "eth-consensus-version" {
                request = request.header(name, value.as_str().unwrap());
            }
        }
        let body = decoded(e.req_body.as_ref(), e.req_body_enc.as_ref());
        let status = request.body(body).send().await.unwrap().status().as_u16();
        assert!(
            !matches!(status, 405 | 413 | 415 | 500..),
            "exchange {} ({} {}): {status}",
            e.seq,
            e.method,
            e.path
        );
        let unread = server.with(|judge| judge.refusals().iter().find(|r| r.duty.is_none()).cloned());
        assert!(
            unread.is_none(),
            "exchange {} ({} {}): {unread:?}",
            e.seq,
            e.method,
            e.path
        );
        let asks = e.method == "POST" && (e.path.contains("/duties/") || e.path.ends_with("/validators"));
        let fine = status == 200 || status == e.status;
        assert!(!asks || fine, "exchange {} ({} {}): {status}", e.seq, e.method, e.path);
        sent += 1;
    }
    assert!(sent > 0);
}

fn reqwest_client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

#[test]
fn recorded_bn_session() {
    trireme_vectors::each("validatorapi", "recorded-bn-session", |e| {
        let exchanges: Vec<Exchange> = e.lines();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(replay(&exchanges));
        runtime.block_on(requests_are_read_by_the_judge(&exchanges));
        for stream in exchanges.iter().filter(|e| e.event.is_some() && e.resp_body.is_some()) {
            runtime.block_on(replay_events(stream));
        }
    });
}

#[test]
fn beaconmock_static() {
    trireme_vectors::each("validatorapi", "beaconmock-static", |e| {
        let answers: serde_json::Map<String, Value> = e.parse();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let server = Replay::start().await;
            server.json(&answers["/eth/v1/beacon/genesis"].to_string());
            server.json(&answers["/eth/v1/config/spec"].to_string());
            let chain = client(&server).chain().await.unwrap();
            let spec = &answers["/eth/v1/config/spec"]["data"];
            assert_eq!(chain.slots_per_epoch.to_string(), spec["SLOTS_PER_EPOCH"]);
            assert_eq!((chain.slot_duration_ms / 1000).to_string(), spec["SECONDS_PER_SLOT"]);
            for fork in trireme_eth2::Fork::ALL.into_iter().skip(1) {
                let key = format!("{}_FORK_VERSION", fork.name().to_ascii_uppercase());
                if let Some(version) = spec.get(&key) {
                    assert_eq!(chain.forks.version_of(fork).unwrap().to_string(), *version);
                }
            }
            // The schedule of the list is that of the configuration, as far as both go.
            let list = &answers["/eth/v1/config/fork_schedule"]["data"];
            let list: Vec<trireme_eth2::ForkInfo> = serde_json::from_value(list.clone()).unwrap();
            let listed = trireme_eth2::ForkSchedule::from_list(&list).unwrap();
            for scheduled in listed.iter() {
                let same = chain.forks.iter().find(|f| f.version == scheduled.version).unwrap();
                assert_eq!(same.epoch, scheduled.epoch);
            }
            server.json(&answers["/eth/v1/node/version"].to_string());
            let version = client(&server).node_version().await.unwrap();
            assert_eq!(answers["/eth/v1/node/version"]["data"]["version"], version);
            for (path, answer) in &answers {
                assert!(
                    answer.get("data").is_some() || answer.get("message").is_some(),
                    "{path}"
                );
            }
        });
    });
}
