//! Requests of a well-behaved validator client, with real signatures.

use std::{collections::BTreeMap, sync::Arc};

use axum::body::Body;
use http::{Request, StatusCode};
use serde_json::{Value, json};
use ssz::Encode as _;
use trireme_core::{
    Duty, DutyType, PeerIdx, PubKey, ShareIdx,
    cluster::{Cluster, Validator},
    data::SignedData,
    ports::BeaconError,
    validatorapi::NoAnswer,
};
use trireme_eth2::{
    AttestationData, AttesterDuty, BlsPubkey, BlsSignature, ChainSpec, CommitteeIndex, DomainType, Epoch, ForkedBlock,
    Gwei, ProposerDuty, Root, SingleAttestation, Slot, ValidatorIndex, ValidatorInfo, ValidatorRecord, ValidatorStatus,
    VersionedProposal, electra, fulu, hash_tree_root,
};
use trireme_tbls::{SecretKey, split};

use crate::fixture::{Bench, Got, NODE_VERSION, Plan, chain};

/// Two validators with indices 100 and 101; this node is the second of four.
struct Keyed {
    bench: Bench,
    chain: ChainSpec,
    groups: Vec<PubKey>,
    own: Vec<SecretKey>,
}

const SLOT: Slot = Slot(70);

fn secret(n: u8) -> SecretKey {
    SecretKey::from_randomness([n; 64]).unwrap()
}

fn keyed() -> Keyed {
    let (mut groups, mut own, mut validators) = (Vec::new(), Vec::new(), Vec::new());
    for n in [1, 2] {
        let group = secret(n);
        let shares = split(&group, 3, 4, &mut |out: &mut [u8; 64]| out.fill(n + 10)).unwrap();
        groups.push(PubKey(group.public_key().to_bytes()));
        own.push(shares[&2].clone());
        validators.push(Validator {
            key: PubKey(group.public_key().to_bytes()),
            shares: shares.values().map(|s| s.public_key().to_bytes()).collect(),
            fee_recipient: [0; 20],
        });
    }
    let chain = chain(&json!({}), Root([9; 32]));
    let bench = Bench::new(Plan {
        cluster: Cluster::new([7; 32], 4, 3, PeerIdx(1), validators),
        chain: chain.clone(),
        bls: true,
        upstreams: Vec::new(),
        fallbacks: Vec::new(),
    });
    Keyed {
        bench,
        chain,
        groups,
        own,
    }
}

fn info(key: PubKey, index: u64, status: ValidatorStatus) -> ValidatorInfo {
    ValidatorInfo {
        index: ValidatorIndex(index),
        balance: Gwei(32_000_000_000),
        status,
        validator: ValidatorRecord {
            pubkey: BlsPubkey(key.0),
            withdrawal_credentials: Root([1; 32]),
            effective_balance: Gwei(32_000_000_000),
            slashed: false,
            activation_eligibility_epoch: Epoch(0),
            activation_epoch: Epoch(0),
            exit_epoch: Epoch(u64::MAX),
            withdrawable_epoch: Epoch(u64::MAX),
        },
    }
}

fn data() -> AttestationData {
    let mut data = AttestationData {
        slot: SLOT,
        beacon_block_root: Root([3; 32]),
        ..AttestationData::default()
    };
    data.target.epoch = Epoch(2);
    data
}

impl Keyed {
    fn share(&self, n: usize) -> String {
        format!("0x{}", hex::encode(self.own[n].public_key().to_bytes()))
    }

    fn duty(&self, n: usize, committee: u64) -> AttesterDuty {
        AttesterDuty {
            pubkey: BlsPubkey(self.groups[n].0),
            slot: SLOT,
            validator_index: ValidatorIndex(100 + n as u64),
            committee_index: CommitteeIndex(committee),
            committee_length: 10,
            committees_at_slot: 4,
            validator_committee_index: n as u64,
        }
    }

    /// Both attest in `SLOT`, the first in committee 3, the second in 1, and it has been decided.
    fn decided(&self) {
        self.bench.know(|k| {
            k.attesters = vec![self.duty(0, 3), self.duty(1, 1)];
            for (n, committee) in [(0, 3), (1, 1)] {
                for c in [committee, 0] {
                    k.attestation_data.insert((SLOT, CommitteeIndex(c)), data());
                    k.pubkeys.insert(
                        (SLOT, CommitteeIndex(c), ValidatorIndex(100 + n as u64)),
                        self.groups[n],
                    );
                }
            }
        });
    }

    fn single(&self, n: usize, committee: u64) -> SingleAttestation {
        let root = self
            .chain
            .signing_root(hash_tree_root(&data()), DomainType::BeaconAttester, Epoch(2));
        SingleAttestation {
            committee_index: CommitteeIndex(committee),
            attester_index: ValidatorIndex(100 + n as u64),
            data: data(),
            signature: BlsSignature(self.own[n].sign(&root.0).to_bytes()),
        }
    }

    async fn attest(&self, list: &[SingleAttestation]) -> Got {
        let path = "/eth/v2/beacon/pool/attestations";
        self.bench
            .post(path, &[("eth-consensus-version", "fulu")], &json!(list))
            .await
    }

    /// The second validator proposes in `SLOT`, and the block has been decided.
    fn proposes(&self) -> Arc<VersionedProposal> {
        let mut contents = fulu::BlockContents::default();
        contents.block.slot = SLOT;
        contents.block.proposer_index = ValidatorIndex(101);
        let block = Arc::new(VersionedProposal::Full(ForkedBlock::Fulu(contents)));
        self.bench.know(|k| {
            k.proposers = vec![ProposerDuty {
                pubkey: BlsPubkey(self.groups[1].0),
                slot: SLOT,
                validator_index: ValidatorIndex(101),
            }];
            k.proposals.insert(SLOT, Arc::clone(&block));
        });
        block
    }

    fn randao(&self) -> BlsSignature {
        let root = self
            .chain
            .signing_root(hash_tree_root(&Epoch(2)), DomainType::Randao, Epoch(2));
        BlsSignature(self.own[1].sign(&root.0).to_bytes())
    }

    fn signed(&self, block: &VersionedProposal) -> trireme_eth2::VersionedSignedProposal {
        let root = self
            .chain
            .signing_root(block.block_root(), DomainType::BeaconProposer, Epoch(2));
        block.clone().sign(BlsSignature(self.own[1].sign(&root.0).to_bytes()))
    }
}

// === Validators and duties

#[tokio::test]
async fn validators_are_asked_for_and_named_by_our_shares() {
    let k = keyed();
    k.bench.know(|known| {
        known.validators = vec![
            info(k.groups[0], 100, ValidatorStatus::ActiveOngoing),
            info(k.groups[1], 101, ValidatorStatus::PendingQueued),
        ];
    });
    let path = format!("/eth/v1/beacon/states/head/validators?id={},{}", k.share(0), k.share(1));
    let got = k.bench.get(&path).await.json();
    assert_eq!(
        (&got["execution_optimistic"], &got["finalized"]),
        (&json!(false), &json!(false))
    );
    assert_eq!(got["data"][0]["validator"]["pubkey"], json!(k.share(0)));
    assert_eq!(got["data"][1]["status"], json!("pending_queued"));
    let asked = k.bench.asked();
    assert!(
        asked[0].contains(&k.groups[0].to_string()) && !asked[0].contains(&k.share(0)),
        "{asked:?}"
    );
    // By index, in a body, in another state.
    let got = k
        .bench
        .post(
            "/eth/v1/beacon/states/64/validators",
            &[],
            &json!({ "ids": ["101", "999"] }),
        )
        .await
        .json();
    assert_eq!(got["data"].as_array().unwrap().len(), 1);
    assert_eq!(got["data"][0]["validator"]["pubkey"], json!(k.share(1)));
    assert!(k.bench.asked()[0].starts_with("validators 64 "));
    // One alone; one that the chain does not know.
    let one = k
        .bench
        .get(&format!("/eth/v1/beacon/states/head/validators/{}", k.share(1)))
        .await
        .json();
    assert_eq!(one["data"]["index"], json!("101"));
    assert_eq!(
        k.bench
            .get("/eth/v1/beacon/states/head/validators/102")
            .await
            .error(404),
        "NotFound"
    );
}

#[tokio::test]
async fn the_status_filter_filters() {
    let k = keyed();
    k.bench.know(|known| {
        known.validators = vec![
            info(k.groups[0], 100, ValidatorStatus::ActiveOngoing),
            info(k.groups[1], 101, ValidatorStatus::ExitedSlashed),
        ];
    });
    let path = "/eth/v1/beacon/states/head/validators";
    let indices = |got: &Value| -> Vec<String> {
        got["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v["index"].as_str().unwrap().to_owned())
            .collect()
    };
    let ids = json!([k.share(0), k.share(1)]);
    for (statuses, wanted) in [
        (json!(["active_slashed", "exited_slashed"]), vec!["101"]),
        (json!(["active_slashed"]), vec![]),
        (json!(["active"]), vec!["100"]),
        (json!([]), vec!["100", "101"]),
        (json!(null), vec!["100", "101"]),
    ] {
        let got = k
            .bench
            .post(path, &[], &json!({ "ids": ids, "statuses": statuses }))
            .await
            .json();
        assert_eq!(indices(&got), wanted, "{statuses}");
    }
    let got = k
        .bench
        .get(&format!(
            "{path}?id={}&status=exited_slashed&status=pending",
            k.share(1)
        ))
        .await
        .json();
    assert_eq!(indices(&got), ["101"]);
}

#[tokio::test]
async fn duties_are_the_beacon_nodes_each_time_anew_and_none_twice() {
    let k = keyed();
    let path = "/eth/v1/validator/duties/attester/2";
    k.bench.know(|known| known.dependent_root = Root([5; 32]));
    // Before the beacon node knows anything of the validators, nothing can be said about them.
    assert_eq!(
        k.bench.post(path, &[], &json!([])).await.error(500),
        "Internal server error"
    );
    // Known, but not active yet: the beacon node decides.
    k.bench
        .know(|known| known.validators = vec![info(k.groups[0], 100, ValidatorStatus::PendingQueued)]);
    let got = k.bench.post(path, &[], &json!([])).await.json();
    assert_eq!(
        got,
        json!({ "dependent_root": Root([5; 32]), "data": [], "execution_optimistic": false })
    );
    assert_eq!(
        k.bench.asked().last().unwrap(),
        "attester_duties 2 [ValidatorIndex(100)]"
    );
    // Active now, and the beacon node names a duty twice.
    k.bench.know(|known| {
        known.validators = vec![
            info(k.groups[0], 100, ValidatorStatus::ActiveOngoing),
            info(k.groups[1], 101, ValidatorStatus::ExitedUnslashed),
        ];
        known.attesters = vec![k.duty(0, 3), k.duty(0, 3)];
    });
    for body in [json!([]), json!(["100"]), json!([100])] {
        let got = k.bench.post(path, &[], &body).await.json();
        assert_eq!(got["data"].as_array().unwrap().len(), 1, "{got}");
        assert_eq!(got["data"][0]["pubkey"], json!(k.share(0)));
        assert_eq!(
            k.bench.asked().last().unwrap(),
            "attester_duties 2 [ValidatorIndex(100)]"
        );
    }
}

#[tokio::test]
async fn proposer_duties_are_those_of_the_cluster_on_both_paths() {
    let k = keyed();
    let foreign = ProposerDuty {
        pubkey: BlsPubkey([0xee; 48]),
        slot: Slot(71),
        validator_index: ValidatorIndex(9),
    };
    k.proposes();
    k.bench.know(|known| known.proposers.push(foreign));
    for path in [
        "/eth/v1/validator/duties/proposer/2",
        "/eth/v2/validator/duties/proposer/2",
    ] {
        let got = k.bench.get(path).await.json();
        assert_eq!(
            got["data"],
            json!([{ "pubkey": k.share(1), "slot": "70", "validator_index": "101" }])
        );
    }
}

#[tokio::test]
async fn a_refusal_of_the_beacon_node_keeps_its_status_and_message_and_its_failure_is_internal() {
    let k = keyed();
    let status = |status, message: &str| BeaconError::Status {
        endpoint: "x",
        status,
        message: message.to_owned(),
    };
    k.bench
        .know(|known| known.refusal = Some(status(400, "epoch 9 is more than one epoch past the current one")));
    let got = k.bench.get("/eth/v1/validator/duties/proposer/9").await;
    assert_eq!(got.error(400), "epoch 9 is more than one epoch past the current one");
    k.bench.know(|known| known.refusal = Some(status(503, "syncing")));
    assert_eq!(
        k.bench.get("/eth/v1/validator/duties/proposer/9").await.error(500),
        "Internal server error"
    );
}

// === Attestations

#[tokio::test]
async fn attestation_data_is_what_was_agreed_for_the_real_committee_and_for_zero() {
    let k = keyed();
    k.decided();
    for committee in [3, 1, 0] {
        let got = k
            .bench
            .get(&format!(
                "/eth/v1/validator/attestation_data?slot=70&committee_index={committee}"
            ))
            .await;
        assert_eq!(got.json(), json!({ "data": data() }));
    }
    let foreign = k
        .bench
        .get("/eth/v1/validator/attestation_data?slot=70&committee_index=2")
        .await;
    assert!(foreign.error(400).contains("committee 2 of slot 70"));
    assert_eq!(k.bench.asked(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_slot_without_a_duty_of_the_cluster_is_answered_by_the_beacon_node_at_once() {
    let k = keyed();
    k.bench.know(|known| known.beacon_data = Some(data()));
    let got = k
        .bench
        .get("/eth/v1/validator/attestation_data?slot=71&committee_index=2")
        .await;
    assert_eq!(got.json(), json!({ "data": data() }));
    assert_eq!(k.bench.asked(), ["attestation_data 71 2"]);
}

#[tokio::test(start_paused = true)]
async fn waiting_in_vain_ends_after_ten_seconds_and_says_what_for() {
    let k = keyed();
    k.bench.know(|known| known.attesters = vec![k.duty(0, 3)]);
    let began = tokio::time::Instant::now();
    let got = k
        .bench
        .get("/eth/v1/validator/attestation_data?slot=70&committee_index=3")
        .await;
    assert_eq!(
        got.error(408),
        "timed out after 10 s waiting for the cluster's agreement on attestation data of slot 70, committee 3"
    );
    assert_eq!(began.elapsed().as_secs(), 10);
    // A latency is not recorded for it, an error is.
    let metrics = k.bench.metrics();
    assert!(metrics.contains(r#"request_error_total{endpoint="attestation_data",status_code="408"} 1"#));
    assert!(!metrics.contains(r#"request_latency_seconds_count{endpoint="attestation_data"}"#));
    // Once the duty's time is over there is no point in waiting.
    k.bench.know(|known| known.no_answer = Some(NoAnswer::Expired));
    let got = k
        .bench
        .get("/eth/v1/validator/attestation_data?slot=70&committee_index=3")
        .await;
    assert!(got.error(408).contains("attestation data of slot 70"));
    assert_eq!(began.elapsed().as_secs(), 10);
    k.bench.know(|known| known.no_answer = Some(NoAnswer::Stopped));
    let got = k
        .bench
        .get("/eth/v1/validator/attestation_data?slot=70&committee_index=3")
        .await;
    assert_eq!(
        (got.status.as_u16(), got.header("content-type")),
        (503, Some("text/plain; charset=utf-8"))
    );
}

#[tokio::test]
async fn attestations_are_verified_and_announced_as_one_set_with_our_share() {
    let k = keyed();
    k.decided();
    let got = k.attest(&[k.single(0, 3), k.single(1, 1)]).await;
    assert_eq!(
        (got.status, got.body.len(), got.header("content-type")),
        (StatusCode::OK, 0, None)
    );
    let [(duty, set)] = k.bench.submitted().try_into().unwrap();
    assert_eq!(duty, Duty::new(SLOT, DutyType::Attester));
    let found: BTreeMap<_, _> = set.0.iter().map(|(key, p)| (*key, p.share)).collect();
    assert_eq!(found, k.groups.iter().map(|g| (*g, ShareIdx(2))).collect());
    let SignedData::Attestation(a) = &set.0[&k.groups[0]].data else {
        panic!("not an attestation")
    };
    assert_eq!(a.to_single(), Some(k.single(0, 3)));
    // The same in SSZ, and with the constant committee index.
    let ssz = vec![k.single(0, 0), k.single(1, 0)].as_ssz_bytes();
    let headers = [
        ("content-type", "application/octet-stream"),
        ("eth-consensus-version", "electra"),
    ];
    let got = k
        .bench
        .ask("POST", "/eth/v2/beacon/pool/attestations", &headers, ssz)
        .await;
    assert_eq!(got.status, StatusCode::OK);
    assert_eq!(k.bench.submitted()[0].1.0.len(), 2);
}

#[tokio::test]
async fn one_bad_attestation_keeps_the_whole_request_from_being_announced() {
    let k = keyed();
    k.decided();
    let good = k.single(0, 3);
    let mut wrong = k.single(1, 1);
    wrong.signature = good.signature;
    let mut unsigned = k.single(1, 1);
    unsigned.signature = BlsSignature([0; 96]);
    let mut no_point = k.single(1, 1);
    no_point.signature = BlsSignature([0x12; 96]);
    let mut other_data = k.single(1, 1);
    other_data.data.beacon_block_root = Root([4; 32]);
    let mut unknown = k.single(1, 1);
    unknown.attester_index = ValidatorIndex(999);
    let mut no_committee = k.single(1, 1);
    no_committee.committee_index = CommitteeIndex(64);
    for bad in [wrong, unsigned, no_point, other_data, unknown, no_committee] {
        assert_eq!(k.attest(&[good, bad]).await.error(500), "Internal server error");
    }
    assert!(k.bench.submitted().is_empty());
}

#[tokio::test]
async fn an_attestation_sent_twice_counts_once_and_two_different_ones_are_refused() {
    let k = keyed();
    k.decided();
    let one = k.single(0, 3);
    assert_eq!(k.attest(&[one, one]).await.status, StatusCode::OK);
    assert_eq!(k.bench.submitted()[0].1.0.len(), 1);
    let mut other = one;
    other.data.beacon_block_root = Root([4; 32]);
    k.attest(&[one, other]).await.error(500);
    assert!(k.bench.submitted().is_empty());
    assert_eq!(k.attest(&[]).await.status, StatusCode::OK);
}

#[tokio::test]
async fn attestations_from_before_electra_find_their_validator_by_their_bit() {
    let k = keyed();
    k.decided();
    let mut d = data();
    d.index = CommitteeIndex(1);
    let root = k
        .chain
        .signing_root(hash_tree_root(&d), DomainType::BeaconAttester, Epoch(2));
    let signature = BlsSignature(k.own[1].sign(&root.0).to_bytes());
    // Bit 1 of 10; the last byte's highest bit marks the length.
    let attestation = |bits: &str| json!([{ "aggregation_bits": bits, "data": d, "signature": signature }]);
    let path = "/eth/v2/beacon/pool/attestations";
    let headers = [("eth-consensus-version", "deneb")];
    let got = k.bench.post(path, &headers, &attestation("0x0204")).await;
    assert_eq!(got.status, StatusCode::OK, "{got:?}");
    assert!(k.bench.submitted()[0].1.0.contains_key(&k.groups[1]));
    for bits in ["0x0004", "0x0304", "0x0404"] {
        k.bench.post(path, &headers, &attestation(bits)).await.error(500);
    }
    assert!(k.bench.submitted().is_empty());
}

#[tokio::test]
async fn a_submission_goes_on_when_the_client_hangs_up() {
    let k = keyed();
    k.decided();
    let request = Request::post("/eth/v2/beacon/pool/attestations")
        .header("eth-consensus-version", "fulu")
        .body(Body::from(json!([k.single(0, 3)]).to_string()))
        .unwrap();
    {
        let mut asked = Box::pin(k.bench.server.handle(request));
        assert!(futures::FutureExt::now_or_never(&mut asked).is_none());
    }
    k.bench.life.finish(crate::fixture::PATIENCE).await;
    assert_eq!(k.bench.submitted().len(), 1);
}

// === Blocks

#[tokio::test]
async fn a_block_comes_as_json_or_ssz_as_the_client_prefers_and_its_randao_is_announced() {
    let k = keyed();
    let block = k.proposes();
    let path = format!("/eth/v3/validator/blocks/70?randao_reveal={}", k.randao());
    let got = k.bench.get(&path).await;
    let body = got.json();
    assert_eq!(body["version"], json!("fulu"));
    assert_eq!(body["execution_payload_blinded"], json!(false));
    assert_eq!(
        (&body["execution_payload_value"], &body["consensus_block_value"]),
        (&json!("1"), &json!("1"))
    );
    assert_eq!(body["data"]["block"]["slot"], json!("70"));
    let [(duty, set)] = k.bench.submitted().try_into().unwrap();
    assert_eq!(duty, Duty::new(SLOT, DutyType::Randao));
    let SignedData::Randao(randao) = &set.0[&k.groups[1]].data else {
        panic!("not a randao reveal")
    };
    assert_eq!((randao.epoch, randao.signature), (Epoch(2), k.randao()));
    // Whatever else is in the query does not matter.
    let path = format!("{path}&graffiti=0x00&builder_boost_factor=7&skip_randao_verification=");
    let accept = [("accept", "application/octet-stream;q=1,application/json;q=0.9")];
    let ssz = k.bench.ask("GET", &path, &accept, Body::empty()).await;
    assert_eq!(ssz.header("content-type"), Some("application/octet-stream"));
    assert_eq!(ssz.body, block.to_ssz());
    for answer in [&got, &ssz] {
        assert_eq!(answer.header("eth-consensus-version"), Some("fulu"));
        assert_eq!(answer.header("eth-execution-payload-blinded"), Some("false"));
        assert_eq!(answer.header("eth-execution-payload-value"), Some("1"));
        assert_eq!(answer.header("eth-consensus-block-value"), Some("1"));
    }
}

#[tokio::test]
async fn no_block_without_a_good_randao_reveal_and_a_proposer_of_ours() {
    let k = keyed();
    k.proposes();
    let other = k.signed(&k.proposes()).signature();
    k.bench
        .get(&format!("/eth/v3/validator/blocks/70?randao_reveal={other}"))
        .await
        .error(500);
    k.bench
        .get(&format!("/eth/v3/validator/blocks/71?randao_reveal={}", k.randao()))
        .await
        .error(500);
    assert!(k.bench.submitted().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_block_that_is_never_agreed_on_is_given_up_with_the_reason() {
    let k = keyed();
    k.proposes();
    k.bench.know(|known| known.proposals.clear());
    let message = k
        .bench
        .get(&format!("/eth/v3/validator/blocks/70?randao_reveal={}", k.randao()))
        .await
        .error(408);
    assert!(
        message.contains("slot 70") && message.contains("3 of 4 operators"),
        "{message}"
    );
    assert_eq!(k.bench.submitted().len(), 1);
}

#[tokio::test]
async fn the_agreed_block_is_taken_signed_in_ssz_and_in_json_on_both_paths() {
    let k = keyed();
    let signed = k.signed(&k.proposes());
    let (ssz, version) = (
        ("content-type", "application/octet-stream"),
        ("eth-consensus-version", "fulu"),
    );
    for path in [
        "/eth/v1/beacon/blocks",
        "/eth/v2/beacon/blocks?broadcast_validation=gossip",
    ] {
        let got = k.bench.ask("POST", path, &[ssz, version], signed.to_ssz()).await;
        assert_eq!((got.status, got.body.len()), (StatusCode::OK, 0), "{got:?}");
        let mut out = Vec::new();
        signed
            .serialize_data(&mut serde_json::Serializer::new(&mut out))
            .unwrap();
        let got = k.bench.ask("POST", path, &[version], out).await;
        assert_eq!(got.status, StatusCode::OK, "{got:?}");
        let all = k.bench.submitted();
        assert_eq!(all.len(), 2);
        for (duty, set) in all {
            assert_eq!(duty, Duty::new(SLOT, DutyType::Proposer));
            let SignedData::Proposal(block) = &set.0[&k.groups[1]].data else {
                panic!("not a block")
            };
            assert_eq!(**block, signed);
        }
    }
}

#[tokio::test]
async fn another_block_than_the_agreed_one_is_refused() {
    let k = keyed();
    let agreed = k.proposes();
    let (ssz, version) = (
        ("content-type", "application/octet-stream"),
        ("eth-consensus-version", "fulu"),
    );
    let VersionedProposal::Full(ForkedBlock::Fulu(contents)) = &*agreed else {
        panic!("not that block")
    };
    let mut other_root = contents.clone();
    other_root.block.state_root = Root([8; 32]);
    let mut other_proposer = contents.clone();
    other_proposer.block.proposer_index = ValidatorIndex(100);
    for other in [other_root, other_proposer] {
        let signed = k.signed(&VersionedProposal::Full(ForkedBlock::Fulu(other)));
        k.bench
            .ask("POST", "/eth/v2/beacon/blocks", &[ssz, version], signed.to_ssz())
            .await
            .error(500);
    }
    // Another fork: Electra's contents have the same form.
    let electra = electra::BlockContents {
        block: contents.block.clone(),
        ..electra::BlockContents::default()
    };
    let signed = k.signed(&VersionedProposal::Full(ForkedBlock::Electra(electra)));
    let headers = [ssz, ("eth-consensus-version", "electra")];
    k.bench
        .ask("POST", "/eth/v2/beacon/blocks", &headers, signed.to_ssz())
        .await
        .error(500);
    // Blinded instead of full.
    let mut blinded = electra::BlindedBeaconBlock::default();
    (blinded.slot, blinded.proposer_index) = (SLOT, ValidatorIndex(101));
    let blinded = VersionedProposal::Blinded(trireme_eth2::ForkedBlindedBlock::Fulu(blinded));
    let signed = k.signed(&blinded);
    k.bench
        .ask(
            "POST",
            "/eth/v2/beacon/blinded_blocks",
            &[ssz, version],
            signed.to_ssz(),
        )
        .await
        .error(500);
    assert!(k.bench.submitted().is_empty());
    // Agreed on, it is taken.
    k.bench
        .know(|known| drop(known.proposals.insert(SLOT, Arc::new(blinded))));
    let got = k
        .bench
        .ask(
            "POST",
            "/eth/v1/beacon/blinded_blocks",
            &[ssz, version],
            signed.to_ssz(),
        )
        .await;
    assert_eq!(got.status, StatusCode::OK);
    assert_eq!(k.bench.submitted().len(), 1);
    // With a wrong signature it is not.
    let wrong = k.signed(&agreed).signature();
    let mut forged = signed;
    *forged.signature_mut() = wrong;
    k.bench
        .ask(
            "POST",
            "/eth/v1/beacon/blinded_blocks",
            &[ssz, version],
            forged.to_ssz(),
        )
        .await
        .error(500);
    assert!(k.bench.submitted().is_empty());
}

// === The rest

#[tokio::test]
async fn registrations_and_preparations_are_accepted_unread_and_retired_routes_are_not_found() {
    let k = keyed();
    for path in [
        "/eth/v1/validator/register_validator",
        "/eth/v1/validator/prepare_beacon_proposer",
    ] {
        let got = k.bench.ask("POST", path, &[], "not even json").await;
        assert_eq!(
            (got.status, got.body.len(), got.header("content-type")),
            (StatusCode::OK, 0, None)
        );
    }
    for (method, path) in [
        ("GET", "/teku_proposer_config"),
        ("POST", "/eth/v1/beacon/pool/attestations"),
    ] {
        assert_eq!(
            k.bench.ask(method, path, &[], Body::empty()).await.error(404),
            "NotFound"
        );
    }
}

#[tokio::test]
async fn the_node_version_is_the_configured_text_and_the_client_is_remembered() {
    let k = keyed();
    let got = k
        .bench
        .ask(
            "GET",
            "/eth/v1/node/version",
            &[("user-agent", "Vouch/1.13.1")],
            Body::empty(),
        )
        .await;
    assert_eq!(got.json(), json!({ "data": { "version": NODE_VERSION } }));
    let metrics = k.bench.metrics();
    for part in [
        r#"core_validatorapi_vc_user_agent{user_agent="Vouch/1.13.1"} 1"#,
        r#"core_validatorapi_request_total{endpoint="node_version",content_type="application/json"} 1"#,
        r#"core_validatorapi_request_latency_seconds_count{endpoint="node_version"} 1"#,
    ] {
        assert!(metrics.contains(part), "{part}\n{metrics}");
    }
}
