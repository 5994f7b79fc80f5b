//! What went wrong between real validator clients and the node that they knew, one test per case and named after it.
//! Each fails on that node's behaviour. Figures of load and start-up are measured elsewhere; times that come from the
//! chain's spec and the checking of large sets are tested where they live, in the workflow.

use axum::body::Body;
use http::Request;
use serde_json::json;
use tracing::Level;
use trireme_core::{Duty, DutyType, ShareIdx, ports::BeaconError};
use trireme_eth2::{
    ContributionAndProof, DomainType, ProposerDuty, Root, SignedContributionAndProof, Slot, ValidatorStatus,
    hash_tree_root,
};
use trireme_testutil::sim::Lines;

use crate::{
    fixture::config,
    requests::{Keyed, SLOT, info, keyed, keyed_on, keyed_with},
    upstream::{FakeBeacon, response},
};

const SELECTIONS: &str = "/eth/v1/validator/beacon_committee_selections";

#[tokio::test]
async fn row_01_the_status_filter_is_applied() {
    // A client that asks for slashed validators and gets its active ones stops itself.
    let k = keyed();
    k.active();
    let body = json!({ "ids": [k.share(0), k.share(1)], "statuses": ["active_slashed", "exited_slashed"] });
    let got = k.bench.post("/eth/v1/beacon/states/head/validators", &[], &body).await;
    assert_eq!(got.json()["data"], json!([]));
}

#[tokio::test]
async fn row_02_duties_asked_for_too_early_are_asked_for_again_and_never_doubled() {
    let k = keyed_on(|plan| plan.cached = true);
    let path = "/eth/v1/validator/duties/proposer/0";
    // Before genesis the beacon node has none.
    assert_eq!(k.bench.get(path).await.json()["data"], json!([]));
    k.bench
        .post("/eth/v1/validator/duties/attester/0", &[], &json!([]))
        .await
        .error(500);
    // At genesis it has, and says it twice.
    k.active();
    let duty = ProposerDuty {
        pubkey: trireme_eth2::BlsPubkey(k.groups[0].0),
        slot: Slot(3),
        validator_index: trireme_eth2::ValidatorIndex(100),
    };
    k.bench.know(|known| {
        known.proposers = vec![duty, duty];
        known.attesters = vec![k.duty(0, 3), k.duty(0, 3)];
    });
    assert_eq!(k.bench.get(path).await.json()["data"].as_array().unwrap().len(), 1);
    for asked_again in [true, false] {
        k.bench.asked();
        let got = k
            .bench
            .post("/eth/v1/validator/duties/attester/0", &[], &json!([]))
            .await;
        assert_eq!(got.json()["data"].as_array().unwrap().len(), 1);
        // By now it is a good answer, and kept.
        assert_eq!(
            k.bench.asked().iter().any(|asked| asked.starts_with("attester_duties")),
            asked_again
        );
    }
}

#[tokio::test(start_paused = true)]
async fn row_03_selections_below_the_threshold_end_with_a_sentence_that_says_who_is_missing() {
    let k = keyed();
    k.active();
    k.bench.know(|known| {
        let key = (Duty::new(SLOT, DutyType::PrepareAggregator), k.groups[0]);
        known.partials.insert(key, vec![ShareIdx(2), ShareIdx(4)]);
    });
    let body = json!([k.selection(0, &k.own[0])]);
    let message = k.bench.post(SELECTIONS, &[], &body).await.error(408);
    for part in [
        "validator 100",
        "slot 70",
        "3 of 4 operators",
        "those of 1, 3 only",
        "operators 0, 2 sent none",
    ] {
        assert!(message.contains(part), "{part} is not in: {message}");
    }
}

#[tokio::test(start_paused = true)]
async fn row_03_operators_whose_clients_never_send_selections_are_named_once_an_epoch() {
    let k = keyed();
    k.active();
    let body = json!([k.selection(0, &k.own[0])]);
    k.selected(0);
    k.bench.know(|known| {
        let key = (Duty::new(SLOT, DutyType::PrepareAggregator), k.groups[0]);
        known.partials.insert(key, vec![ShareIdx(1), ShareIdx(2), ShareIdx(4)]);
    });
    let lines = Lines::here();
    k.bench.post(SELECTIONS, &[], &body).await.json();
    assert!(lines.take(Level::WARN).is_empty(), "too early to tell");
    // An epoch later.
    k.bench
        .know(|known| known.now = known.now.after(known.slot_duration * 32));
    for told in [1, 0] {
        k.bench.post(SELECTIONS, &[], &body).await.json();
        let said = lines.take(Level::WARN);
        assert_eq!(said.len(), told, "{said:?}");
        assert!(
            said.iter()
                .all(|line| line.contains("sent no selection proofs") && line.contains("operators=\"2\"")),
            "{said:?}"
        );
    }
}

#[tokio::test]
async fn row_03_a_client_that_selects_by_itself_is_told_the_flag_and_costs_nothing_else() {
    let k = keyed();
    k.active();
    let message = ContributionAndProof {
        aggregator_index: trireme_eth2::ValidatorIndex(100),
        contribution: trireme_eth2::SyncCommitteeContribution {
            slot: SLOT,
            subcommittee_index: 1,
            ..Default::default()
        },
        selection_proof: k.sync_selection(0, 1, &k.own[0]).selection_proof,
    };
    let signature = k.sign(&k.own[0], hash_tree_root(&message), DomainType::ContributionAndProof);
    let body = json!([SignedContributionAndProof { message, signature }]);
    let lines = Lines::here();
    for told in [1, 0] {
        let agent = [("user-agent", "Lighthouse/v8.0.0")];
        let got = k
            .bench
            .post("/eth/v1/validator/contribution_and_proofs", &agent, &body)
            .await;
        assert!(got.error(400).contains("flag for distributed validators"));
        let said = lines.take(Level::WARN);
        assert_eq!(said.len(), told, "{said:?}");
        assert!(said.iter().all(|line| line.contains("--distributed")), "{said:?}");
    }
    assert!(k.bench.submitted().is_empty());
    // Its other duties go on.
    let sync = json!([k.message(0, 3, &k.own[0])]);
    assert_eq!(
        k.bench
            .post("/eth/v1/beacon/pool/sync_committees", &[], &sync)
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn row_03_a_client_that_never_asks_for_selections_is_told_the_flag_after_two_epochs() {
    let k = keyed();
    k.decided();
    let lines = Lines::here();
    k.attest(&[k.single(0, 3)]).await;
    assert!(lines.take(Level::WARN).is_empty());
    // The same validator two epochs later.
    let mut later = k.single(0, 3);
    later.data.slot = Slot(70 + 64);
    later.data.target.epoch = trireme_eth2::Epoch(4);
    let root = k.chain.signing_root(
        hash_tree_root(&later.data),
        DomainType::BeaconAttester,
        later.data.target.epoch,
    );
    later.signature = trireme_eth2::BlsSignature(k.own[0].sign(&root.0).to_bytes());
    k.bench.know(|known| {
        let key = (later.data.slot, later.committee_index, later.attester_index);
        known.pubkeys.insert(key, k.groups[0]);
    });
    assert_eq!(k.attest(&[later]).await.status, 200);
    assert_eq!(k.attest(&[later]).await.status, 200);
    let said = lines.take(Level::WARN);
    assert!(
        matches!(&said[..], [line] if line.contains("does not run in distributed mode")),
        "{said:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn row_04_a_time_out_says_what_was_awaited() {
    let k = keyed();
    k.decided();
    k.proposes();
    k.bench.know(|known| {
        known.attestation_data.clear();
        known.proposals.clear();
    });
    let root = Root([3; 32]);
    let block = format!("/eth/v3/validator/blocks/70?randao_reveal={}", k.randao());
    let aggregate =
        format!("/eth/v2/validator/aggregate_attestation?slot=70&committee_index=3&attestation_data_root={root}");
    for (path, awaited) in [
        (
            "/eth/v1/validator/attestation_data?slot=70&committee_index=3",
            "attestation data of slot 70",
        ),
        (&*block, "a block for slot 70"),
        (&*aggregate, "an aggregate of slot 70"),
    ] {
        let message = k.bench.get(path).await.error(408);
        assert!(message.starts_with("timed out after 10 s waiting for"), "{message}");
        assert!(message.contains(awaited), "{message}");
        assert!(!message.contains("client cancelled"), "{message}");
    }
}

#[tokio::test(start_paused = true)]
async fn row_05_questions_for_slots_without_a_duty_are_never_held() {
    let k = keyed();
    k.decided();
    k.bench.know(|known| known.beacon_data = Some(crate::requests::data()));
    let root = Root([3; 32]);
    let aggregate = |slot: u64, committee: u64| {
        format!(
            "/eth/v2/validator/aggregate_attestation?slot={slot}&committee_index={committee}&attestation_data_root={root}"
        )
    };
    let contribution =
        format!("/eth/v1/validator/sync_committee_contribution?slot=70&subcommittee_index=2&beacon_block_root={root}");
    let began = tokio::time::Instant::now();
    // The beacon node's own, at once.
    let got = k
        .bench
        .get("/eth/v1/validator/attestation_data?slot=71&committee_index=0")
        .await;
    assert_eq!(got.status, 200);
    k.bench
        .get("/eth/v1/validator/attestation_data?slot=70&committee_index=9")
        .await
        .error(400);
    k.bench.get(&aggregate(71, 3)).await.error(404);
    k.bench.get(&aggregate(70, 9)).await.error(400);
    k.bench.get(&contribution).await.error(404);
    // An epoch that nobody can know anything of.
    k.bench.know(|known| {
        known.now = trireme_core::UnixTime(0);
        known.unresolved.extend([Slot(u64::MAX), Slot(1 << 40)]);
    });
    for slot in [u64::MAX, 1 << 40] {
        let path = format!("/eth/v1/validator/attestation_data?slot={slot}&committee_index=0");
        let message = k.bench.get(&path).await.error(400);
        assert!(message.contains("too far ahead"), "{message}");
        k.bench.get(&aggregate(slot, 0)).await.error(400);
    }
    assert!(began.elapsed().as_secs() < 1, "{:?}", began.elapsed());
}

#[tokio::test]
async fn row_06_refusals_of_the_beacon_node_keep_status_and_message() {
    let k = keyed();
    k.active();
    let text = "epoch 9 is more than one epoch past the current one";
    k.bench.know(|known| {
        known.refusal = Some(BeaconError::Status {
            endpoint: "x",
            status: 400,
            message: text.to_owned(),
        });
    });
    for epoch in ["9", "18446744073709551615"] {
        for path in [
            format!("/eth/v1/validator/duties/attester/{epoch}"),
            format!("/eth/v1/validator/duties/sync/{epoch}"),
        ] {
            assert_eq!(k.bench.post(&path, &[], &json!(["100"])).await.error(400), text);
        }
        let path = format!("/eth/v1/validator/duties/proposer/{epoch}");
        assert_eq!(k.bench.get(&path).await.error(400), text);
    }
    // Other duties go on.
    k.bench.know(|known| known.refusal = None);
    let sync = json!([k.message(0, 3, &k.own[0])]);
    assert_eq!(
        k.bench
            .post("/eth/v1/beacon/pool/sync_committees", &[], &sync)
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn row_07_a_clients_polls_within_a_slot_are_one_question_to_the_beacon_node() {
    let k = keyed();
    k.active();
    for _ in 0..8 {
        let body = json!({ "ids": [k.share(0)] });
        k.bench
            .post("/eth/v1/beacon/states/head/validators", &[], &body)
            .await
            .json();
        k.bench
            .get(&format!("/eth/v1/beacon/states/head/validators/{}", k.share(1)))
            .await
            .json();
        let sync = json!([k.message(0, 3, &k.own[0])]);
        assert_eq!(
            k.bench
                .post("/eth/v1/beacon/pool/sync_committees", &[], &sync)
                .await
                .status,
            200
        );
    }
    assert_eq!(k.bench.asked().len(), 1);
    // In the next slot once more, for what a block has changed.
    k.bench
        .know(|known| known.validators[1] = info(k.groups[1], 101, ValidatorStatus::ActiveExiting));
    let body = json!({ "ids": [k.share(1)] });
    let got = k
        .bench
        .post("/eth/v1/beacon/states/head/validators", &[], &body)
        .await
        .json();
    assert_eq!(got["data"][0]["status"], json!("active_exiting"));
    assert_eq!(k.bench.asked().len(), 1);
}

#[tokio::test]
async fn row_08_blocks_in_ssz_and_json_and_parameters_that_differ_per_client_do_not_matter() {
    let k = keyed();
    let signed = k.signed(&k.proposes());
    let randao = k.randao();
    let mut answers = Vec::new();
    for more in [
        "",
        "&graffiti=0x00",
        "&builder_boost_factor=0",
        "&builder_boost_factor=nonsense&skip_randao_verification",
        "&skip_randao_verification=&graffiti=",
    ] {
        // A content type on a GET means nothing.
        let headers = [("content-type", "application/json"), ("accept-encoding", "gzip")];
        let path = format!("/eth/v3/validator/blocks/70?randao_reveal={randao}{more}");
        let got = k.bench.ask("GET", &path, &headers, Body::empty()).await;
        assert_eq!(got.status, 200, "{more}");
        answers.push(got.json());
    }
    assert!(answers.iter().all(|a| *a == answers[0]));
    let version = ("eth-consensus-version", "fulu");
    let mut in_json = Vec::new();
    signed
        .serialize_data(&mut serde_json::Serializer::new(&mut in_json))
        .unwrap();
    for (kind, body) in [
        ("application/octet-stream", signed.to_ssz()),
        ("application/json", in_json),
    ] {
        let headers = [("content-type", kind), version];
        let got = k.bench.ask("POST", "/eth/v2/beacon/blocks", &headers, body).await;
        assert_eq!(got.status, 200, "{kind}");
    }
    // Single attestations as JSON.
    k.decided();
    assert_eq!(k.attest(&[k.single(0, 3)]).await.status, 200);
}

#[tokio::test]
async fn row_08_json_only_answers_json_to_everybody() {
    let mut settings = config();
    settings.json_only = true;
    let k = keyed_with(settings, &[]);
    k.proposes();
    let path = format!("/eth/v3/validator/blocks/70?randao_reveal={}", k.randao());
    let accept = [("accept", "application/octet-stream")];
    let got = k.bench.ask("GET", &path, &accept, Body::empty()).await;
    assert_eq!(got.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn row_09_an_unknown_event_topic_does_not_kill_the_stream() {
    let bn = FakeBeacon::start(|sent| {
        let known = ["head", "block", "chain_reorg", "attester_slashing", "proposer_slashing"];
        let query = sent.path_and_query.split_once('?').unwrap().1;
        let topics = query
            .split('&')
            .flat_map(|pair| pair.trim_start_matches("topics=").split(','));
        if topics.into_iter().all(|topic| known.contains(&topic)) {
            response(200, &[("content-type", "text/event-stream")], "event: head\n\n")
        } else {
            response(400, &[], "unknown topic")
        }
    })
    .await;
    let bench = bn.bench();
    for topics in [
        "topics=head,execution_payload_available",
        "topics=block&topics=head",
        "topics=head&topics=chain_reorg&topics=attester_slashing&topics=proposer_slashing",
    ] {
        let got = bench.get(&format!("/eth/v1/events?{topics}")).await;
        assert_eq!(
            (got.status.as_u16(), &got.body[..]),
            (200, &b"event: head\n\n"[..]),
            "{topics}"
        );
    }
}

#[tokio::test]
async fn row_10_a_stopping_node_answers_503_in_plain_words() {
    let k: Keyed = keyed();
    k.decided();
    k.bench.know(|known| known.attestation_data.clear());
    let request = Request::get("/eth/v1/validator/attestation_data?slot=70&committee_index=3")
        .body(Body::empty())
        .unwrap();
    let (waiting, ()) = tokio::join!(k.bench.server.handle(request), async {
        tokio::task::yield_now().await;
        k.bench.server.stop();
    });
    assert_eq!(waiting.status(), 503);
    let got = k.bench.get("/eth/v1/node/version").await;
    assert_eq!(
        (got.status.as_u16(), got.header("content-type"), &got.body[..]),
        (503, Some("text/plain; charset=utf-8"), &b"the node is stopping"[..])
    );
}
