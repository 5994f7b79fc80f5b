//! The judge over HTTP, asked as a node asks it. Its clock is a number that the test sets.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU64, Ordering},
};

use futures::StreamExt as _;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use trireme_eth2::{AttesterDuty, ChainSpec, DomainType, ProposalResponse, ProposerDuty, SyncDuty, ValidatorInfo};
use trireme_testutil::judge::{Report, Server};

use super::*;

/// A listening judge whose time the test sets.
pub(super) struct Bench {
    pub(super) court: Court,
    pub(super) server: Server,
    time: Arc<AtomicU64>,
    pub(super) client: Client,
}

impl Bench {
    pub(super) async fn new(fork: Fork) -> Self {
        Self::of(chain(fork, 16)).await
    }

    async fn of(chain: ChainConfig) -> Self {
        Self::with(JudgeConfig::new(chain), 1).await
    }

    pub(super) async fn with(config: JudgeConfig, askers: usize) -> Self {
        // The court makes what is submitted, on a chain of its own that is the same.
        let court = Court::with(config.clone());
        let time = Arc::new(AtomicU64::new(0));
        let clock = Arc::clone(&time);
        let now = Arc::new(move || Duration::from_millis(clock.load(Ordering::SeqCst)));
        let _ = rustls::crypto::ring::default_provider().install_default();
        let server = Server::start_for(Judge::with(config), now, askers).await.unwrap();
        let bench = Self {
            court,
            server,
            time,
            client: Client::builder().no_proxy().build().unwrap(),
        };
        bench.set_slot(5);
        bench
    }

    pub(super) fn set(&self, time: Duration) {
        self.time
            .store(u64::try_from(time.as_millis()).unwrap(), Ordering::SeqCst);
    }

    /// Half a second into a slot.
    pub(super) fn set_slot(&self, slot: u64) {
        self.set(self.court.at(slot));
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server.url())
    }

    pub(super) async fn get(&self, path: &str) -> Value {
        let answer = self.client.get(self.url(path)).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    }

    pub(super) async fn status(&self, path: &str) -> (u16, Value) {
        let answer = self.client.get(self.url(path)).send().await.unwrap();
        (
            answer.status().as_u16(),
            serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default(),
        )
    }

    pub(super) async fn post(&self, path: &str, fork: Fork, body: &Value) -> (u16, Value) {
        let request = self
            .client
            .post(self.url(path))
            .json(body)
            .header("Eth-Consensus-Version", fork.name());
        let answer = request.send().await.unwrap();
        (
            answer.status().as_u16(),
            serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default(),
        )
    }

    pub(super) async fn publish(&self, block: &VersionedSignedProposal) -> (u16, Value) {
        let request = self.client.post(self.url("/eth/v2/beacon/blocks")).body(block.to_ssz());
        let request = request.header("Content-Type", "application/octet-stream");
        let answer = request
            .header("Eth-Consensus-Version", block.fork().name())
            .send()
            .await
            .unwrap();
        (
            answer.status().as_u16(),
            serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default(),
        )
    }

    pub(super) fn report(&self, slots: std::ops::Range<u64>) -> Report {
        self.server.with(|judge| report(judge, slots))
    }
}

pub(super) fn data<T: serde::de::DeserializeOwned>(answer: &Value) -> T {
    serde_json::from_value(answer["data"].clone()).unwrap()
}

#[tokio::test]
async fn genesis_and_spec_give_the_domains_that_the_judge_verifies_under() {
    let bench = Bench::of(
        chain(Fork::Fulu, 16)
            .with_fork_at(Fork::Electra, Epoch(2))
            .with_fork_at(Fork::Fulu, Epoch(4)),
    )
    .await;
    let genesis = data(&bench.get("/eth/v1/beacon/genesis").await);
    let spec: serde_json::Map<String, Value> = data(&bench.get("/eth/v1/config/spec").await);
    let spec = ChainSpec::read(&spec, genesis).unwrap();
    for epoch in (0..6).map(Epoch) {
        let ours = |purpose| domain(bench.court.judge.chain(), purpose, epoch);
        assert_eq!(spec.domain(DomainType::BeaconProposer, epoch), ours(Purpose::Proposer));
        assert_eq!(spec.domain(DomainType::BeaconAttester, epoch), ours(Purpose::Attester));
        assert_eq!(spec.domain(DomainType::Randao, epoch), ours(Purpose::Randao));
        let slot = spec.first_slot(epoch);
        assert_eq!(spec.fork_at(slot), Some(bench.court.judge.chain().fork(slot)));
    }
    let schedule: Vec<trireme_eth2::ForkInfo> = data(&bench.get("/eth/v1/config/fork_schedule").await);
    assert_eq!(schedule.last().unwrap().epoch, Epoch(4));
    assert!(
        schedule.iter().any(|f| f.current_version.0 == HOODI[0]),
        "the lock's network is recognised"
    );
    assert_eq!(
        bench.status("/eth/v1/beacon/states/32/fork").await.0,
        404,
        "slot 5 is the newest"
    );
    bench.set_slot(32);
    let fork: trireme_eth2::ForkInfo = data(&bench.get("/eth/v1/beacon/states/32/fork").await);
    assert_eq!(
        (fork.current_version.0, fork.previous_version.0, fork.epoch),
        (HOODI[5], HOODI[4], Epoch(2))
    );
}

#[tokio::test]
async fn validators_are_found_by_key_and_index_and_filtered_by_status() {
    let bench = Bench::new(Fork::Fulu).await;
    let path = "/eth/v1/beacon/states/head/validators";
    let all: Vec<ValidatorInfo> = data(&bench.get(path).await);
    assert_eq!(all.len(), 16);
    let key = all[3].validator.pubkey;
    let found: Vec<ValidatorInfo> = data(&bench.get(&format!("{path}?id={key}&id=5,6,99")).await);
    assert_eq!(found.iter().map(|v| v.index.0).collect::<Vec<_>>(), [3, 5, 6]);
    let slashed = json!({"ids": [key], "statuses": ["active_slashed", "exited_slashed"]});
    assert_eq!(
        bench.post(path, Fork::Fulu, &slashed).await,
        (
            200,
            json!({"execution_optimistic": false, "finalized": false, "data": []})
        )
    );
    let active = json!({"ids": [key], "statuses": ["active_ongoing"]});
    let (_, answer) = bench.post(path, Fork::Fulu, &active).await;
    assert_eq!(data::<Vec<ValidatorInfo>>(&answer)[0].index, ValidatorIndex(3));
    let one: ValidatorInfo = data(&bench.get(&format!("{path}/{key}")).await);
    assert_eq!(one.index, ValidatorIndex(3));
    assert_eq!(bench.status(&format!("{path}/99")).await.0, 404);
    assert_eq!(bench.status(&format!("{path}/zzz")).await.0, 400);
    assert_eq!(bench.status("/eth/v1/beacon/states/700/validators").await.0, 404);
}

#[tokio::test]
async fn duties_are_those_of_the_assignment() {
    let bench = Bench::new(Fork::Fulu).await;
    let asked: Vec<String> = (0..16).map(|n| n.to_string()).collect();
    let (_, answer) = bench
        .post("/eth/v1/validator/duties/attester/1", Fork::Fulu, &json!(asked))
        .await;
    let duties: Vec<AttesterDuty> = data(&answer);
    assert_eq!(duties.len(), 16);
    let committees = bench.server.with(|j| j.committees(Epoch(1)));
    for duty in &duties {
        let seat = committees.seat(duty.validator_index).unwrap();
        assert_eq!((duty.slot, duty.committee_index), (seat.slot, seat.committee));
        assert_eq!(usize::try_from(duty.validator_committee_index).unwrap(), seat.position);
    }
    let proposers: Vec<ProposerDuty> = data(&bench.get("/eth/v1/validator/duties/proposer/0").await);
    assert_eq!(proposers.len(), 16);
    assert!(
        proposers
            .iter()
            .all(|d| bench.court.judge.chain().proposer(d.slot) == d.validator_index)
    );
    assert_eq!(bench.status("/eth/v1/validator/duties/proposer/2").await.0, 400);
    let (status, answer) = bench
        .post("/eth/v1/validator/duties/sync/0", Fork::Fulu, &json!(asked))
        .await;
    assert_eq!(status, 200);
    let members: Vec<SyncDuty> = data(&answer);
    let seats: Vec<u64> = members
        .iter()
        .flat_map(|d| d.validator_sync_committee_indices.clone())
        .collect();
    let subcommittees: BTreeSet<u64> = seats.iter().map(|seat| seat / 128).collect();
    assert_eq!((seats.len(), subcommittees), (4, (0..4).collect()));
    let committee = bench.server.with(|j| j.sync_committee(Epoch(0)));
    assert!(
        members
            .iter()
            .all(|d| committee.get(&d.validator_index) == d.validator_sync_committee_indices.first())
    );
}

#[tokio::test]
async fn a_slot_is_lived_over_http_in_ssz_and_json() {
    for (fork, ssz) in [
        (Fork::Phase0, false),
        (Fork::Capella, true),
        (Fork::Deneb, true),
        (Fork::Fulu, false),
        (Fork::Fulu, true),
    ] {
        let mut bench = Bench::new(fork).await;
        let randao = bench.court.randao(5);
        let accept = if ssz {
            "application/octet-stream;q=1,application/json;q=0.9"
        } else {
            "application/json"
        };
        let path = format!(
            "/eth/v3/validator/blocks/5?randao_reveal={randao}&graffiti={}",
            Root([1; 32])
        );
        let answer = bench
            .client
            .get(bench.url(&path))
            .header("Accept", accept)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{fork:?}");
        assert_eq!(answer.headers()["eth-consensus-version"], fork.name());
        let body = answer.bytes().await.unwrap();
        let proposal = if ssz {
            VersionedProposal::decode_ssz(fork, false, &body).unwrap()
        } else {
            serde_json::from_slice::<ProposalResponse>(&body).unwrap().proposal
        };
        let signature = bench
            .court
            .sign(proposal.proposer_index().0, proposal.block_root(), Purpose::Proposer, 0);
        let block = proposal.sign(signature);
        assert_eq!(
            block,
            bench.court.block(5, 1),
            "the same ingredients make the same block"
        );
        let taken = if ssz {
            bench.publish(&block).await
        } else {
            let tagged = serde_json::to_value(&block).unwrap();
            bench.post("/eth/v2/beacon/blocks", fork, &tagged["data"]).await
        };
        assert_eq!(taken.0, 200, "{fork:?}: {}", taken.1);
        bench.court.publish(5, block.clone()).unwrap();

        let root = &bench.get("/eth/v1/beacon/blocks/head/root").await["data"]["root"];
        assert_eq!(*root, json!(block.block_root()));
        let header = bench.get("/eth/v1/beacon/headers/5").await;
        assert_eq!(header["data"]["header"]["message"], json!(block.header()));
        let whole = bench.get("/eth/v2/beacon/blocks/5").await;
        assert_eq!(whole["data"]["message"]["body"]["graffiti"], json!(Root([1; 32])));
        assert_eq!(bench.status("/eth/v1/beacon/blocks/4/root").await.0, 404);

        let (_, committee) = bench.court.attester(5);
        let path = format!("/eth/v1/validator/attestation_data?slot=5&committee_index={committee}");
        let attestation_data: AttestationData = data(&bench.get(&path).await);
        assert_eq!(attestation_data, bench.court.data(5));
        assert_eq!(
            bench.report(5..6).duties[&trireme_testutil::judge::DutyKind::Proposer].completed,
            1
        );
    }
}

#[tokio::test]
async fn a_refusal_is_400_with_the_reason_of_each_item_and_a_repetition_is_200() {
    let mut bench = Bench::new(Fork::Fulu).await;
    let data = bench.court.data(5);
    let good = bench.court.vote(5, data);
    let bad = SingleAttestation {
        signature: BlsSignature::default(),
        ..good
    };
    let path = "/eth/v2/beacon/pool/attestations";
    let (status, answer) = bench.post(path, Fork::Fulu, &json!([good, bad])).await;
    assert_eq!(
        (status, &answer["code"], &answer["failures"][0]["index"]),
        (400, &json!(400), &json!(1))
    );
    assert!(
        answer["failures"][0]["message"]
            .as_str()
            .unwrap()
            .contains("does not verify"),
        "{answer}"
    );
    assert_eq!(bench.post(path, Fork::Fulu, &json!([good])).await.0, 200);
    let (status, answer) = bench.post(path, Fork::Fulu, &json!({"not": "a list"})).await;
    assert!(
        status == 400 && answer["message"].as_str().unwrap().contains("cannot be read"),
        "{answer}"
    );
    let block = bench.court.block(5, 1);
    let mut spoilt = block.clone();
    *spoilt.signature_mut() = BlsSignature([9; 96]);
    let (status, answer) = bench.publish(&spoilt).await;
    assert!(
        status == 400 && answer["message"].as_str().unwrap().contains("does not verify"),
        "{answer}"
    );
    assert_eq!(bench.publish(&block).await.0, 200);
    assert_eq!(bench.publish(&block).await.0, 200);
    let reasons = bench.server.with(|j| j.refusals().len());
    assert_eq!(reasons, 3);
    let counted = bench.report(5..6);
    assert!(
        counted.duties.values().all(|d| d.completed == 1 && d.missed.is_empty()),
        "{counted:?}"
    );
}

#[tokio::test]
async fn a_block_makes_a_head_event_and_unknown_topics_are_ignored() {
    let mut bench = Bench::new(Fork::Fulu).await;
    let path = "/eth/v1/events?topics=head,execution_payload_available&topics=block";
    let stream = bench.client.get(bench.url(path)).send().await.unwrap();
    assert_eq!(stream.status(), StatusCode::OK);
    let mut chunks = stream.bytes_stream();
    let block = bench.court.block(5, 1);
    assert_eq!(bench.publish(&block).await.0, 200);
    let mut text = String::new();
    while !(text.contains("event: head") && text.contains("event: block") && text.ends_with("\n\n")) {
        text.push_str(std::str::from_utf8(&chunks.next().await.unwrap().unwrap()).unwrap());
    }
    let line = text.split("event: head\n").nth(1).unwrap().lines().next().unwrap();
    let head: trireme_eth2::HeadEvent = serde_json::from_str(line.strip_prefix("data: ").unwrap()).unwrap();
    assert_eq!(
        (head.slot, head.block, head.state),
        (Slot(5), block.block_root(), block.header().state_root)
    );
}

#[tokio::test]
async fn what_is_not_built_is_404_and_remembered() {
    let bench = Bench::new(Fork::Fulu).await;
    let (status, answer) = bench.status("/eth/v4/validator/blocks/1?slot=1").await;
    assert_eq!((status, &answer["code"]), (404, &json!(404)));
    let unknown = bench.server.unknown_requests();
    assert_eq!(unknown.get("GET /eth/v4/validator/blocks/1"), Some(&1));
    assert_eq!(
        bench.get("/eth/v1/node/syncing").await["data"]["is_syncing"],
        json!(false)
    );
    assert_eq!(bench.status("/eth/v1/node/health").await.0, 200);
}

#[tokio::test]
async fn registrations_are_verified_and_preparations_decide_the_fee_recipient() {
    let bench = Bench::new(Fork::Bellatrix).await;
    let message = trireme_eth2::ValidatorRegistrationV1 {
        fee_recipient: trireme_eth2::ExecutionAddress([1; 20]),
        gas_limit: 60_000_000,
        timestamp: 1,
        pubkey: bench.court.judge.chain().validators[2],
    };
    let signature = bench.court.sign(2, hash_tree_root(&message), Purpose::Builder, 0);
    let path = "/eth/v1/validator/register_validator";
    assert_eq!(
        bench
            .post(path, Fork::Fulu, &json!([{"message": message, "signature": signature}]))
            .await
            .0,
        200
    );
    let wrong = bench.court.sign(3, hash_tree_root(&message), Purpose::Builder, 0);
    assert_eq!(
        bench
            .post(path, Fork::Fulu, &json!([{"message": message, "signature": wrong}]))
            .await
            .0,
        400
    );

    let proposer = bench.court.judge.chain().proposer(Slot(5));
    let prepared = json!([{"validator_index": proposer, "fee_recipient": format!("0x{}", "ab".repeat(20))}]);
    assert_eq!(
        bench
            .post("/eth/v1/validator/prepare_beacon_proposer", Fork::Fulu, &prepared)
            .await
            .0,
        200
    );
    let answer = bench
        .get(&format!(
            "/eth/v3/validator/blocks/5?randao_reveal={}",
            bench.court.randao(5)
        ))
        .await;
    let recipient = &answer["data"]["body"]["execution_payload"]["fee_recipient"];
    assert_eq!(recipient.as_str().unwrap().to_lowercase(), prepared[0]["fee_recipient"]);
}
