//! Everything beside votes and blocks over HTTP: asked and submitted as nodes and validator clients do.

use futures::StreamExt as _;
use serde_json::{Value, json};
use trireme_eth2::{SyncAggregatorSelectionData, ssz::Encode as _};
use trireme_testutil::judge::Reorg;

use super::{
    http::{Bench, data},
    *,
};

/// A block is published, then everybody votes and the sync committee sends its messages; answers with the vote's data.
async fn a_slot(bench: &mut Bench, slot: u64) -> AttestationData {
    bench.set_slot(slot);
    let (at, randao) = (bench.court.at(slot), bench.court.randao(slot));
    let made = bench
        .server
        .with(|judge| judge.produce(0, at, Slot(slot), (randao, true), Root::ZERO, 0));
    let block = bench.court.sign_proposal(made.unwrap().proposal());
    assert_eq!(bench.publish(&block).await.0, 200);
    bench.court.publish(slot, block.clone()).unwrap();
    let fork = bench.court.judge.chain().fork(Slot(slot));
    let epoch = bench.court.judge.chain().epoch(Slot(slot)).0;
    let attested = bench.court.data(slot);
    let vote = bench.court.vote(slot, attested);
    let votes = if fork >= Fork::Electra {
        json!([vote])
    } else {
        json!([{"aggregation_bits": "0x03", "data": attested, "signature": vote.signature}])
    };
    assert_eq!(
        bench.post("/eth/v2/beacon/pool/attestations", fork, &votes).await,
        (200, Value::Null)
    );
    let root = block.block_root();
    let messages: Vec<Value> = bench
        .court
        .judge
        .sync_committee(Epoch(epoch))
        .into_keys()
        .map(|member| {
            let signature = bench.court.sign(member.0, root, Purpose::Sync, epoch);
            json!({"slot": slot.to_string(), "beacon_block_root": root, "validator_index": member, "signature": signature})
        })
        .collect();
    let (status, answer) = bench
        .post("/eth/v1/beacon/pool/sync_committees", fork, &json!(messages))
        .await;
    assert_eq!(status, 200, "{answer}");
    attested
}

#[tokio::test]
async fn an_aggregate_is_given_and_taken_in_the_form_of_its_fork() {
    for fork in [Fork::Deneb, Fork::Fulu] {
        let mut bench = Bench::with(everything(chain(fork, 16)), 1).await;
        let attested = a_slot(&mut bench, 5).await;
        bench.set(bench.court.late_in(5));
        let query = format!("attestation_data_root={}&slot=5", hash_tree_root(&attested));
        let path = format!("/eth/v2/validator/aggregate_attestation?{query}&committee_index=0");
        let answer = bench.get(&path).await;
        assert_eq!(answer["version"], json!(fork.name()));
        assert_eq!(answer["data"]["data"], json!(attested));
        let (validator, _) = bench.court.attester(5);
        let proof = bench
            .court
            .sign(validator, hash_tree_root(&Slot(5)), Purpose::Selection, 0);
        let message = json!({
            "aggregator_index": validator.to_string(), "aggregate": answer["data"], "selection_proof": proof,
        });
        let root = if fork >= Fork::Electra {
            let message: trireme_eth2::electra::AggregateAndProof = serde_json::from_value(message.clone()).unwrap();
            hash_tree_root(&message)
        } else {
            let message: trireme_eth2::phase0::AggregateAndProof = serde_json::from_value(message.clone()).unwrap();
            hash_tree_root(&message)
        };
        let signature = bench.court.sign(validator, root, Purpose::Aggregate, 0);
        let body = json!([{"message": message, "signature": signature}]);
        let path = "/eth/v2/validator/aggregate_and_proofs";
        assert_eq!(bench.post(path, fork, &body).await.0, 200);
        let spoilt = json!([{"message": message, "signature": proof}]);
        let (status, answer) = bench.post(path, fork, &spoilt).await;
        let why = answer["failures"][0]["message"].as_str().unwrap();
        assert!(status == 400 && why.contains("does not verify"), "{answer}");
        assert_eq!(bench.report(5..6).duties[&DutyKind::Aggregator].completed, 1);

        let (old, status) = (
            format!("/eth/v1/validator/aggregate_attestation?{query}"),
            if fork == Fork::Deneb { 200 } else { 400 },
        );
        assert_eq!(bench.status(&old).await.0, status, "{fork}");
        let v1 = bench
            .post("/eth/v1/validator/aggregate_and_proofs", fork, &body)
            .await
            .0;
        assert_eq!(v1, status, "{fork}");
        let nothing = "/eth/v2/validator/aggregate_attestation?slot=5&committee_index=0&attestation_data_root=";
        assert_eq!(bench.status(&format!("{nothing}{}", Root([1; 32]))).await.0, 404);
    }
}

#[tokio::test]
async fn a_contribution_is_given_and_taken() {
    let mut bench = Bench::with(everything(chain(Fork::Fulu, 16)), 1).await;
    // The first member from slot 5 on that is selected.
    let place = (5..15).find_map(|slot| {
        let committee = bench.court.judge.sync_committee(Epoch(0));
        committee.into_iter().find_map(|(validator, seat)| {
            let subcommittee_index = seat / 128;
            let selection = SyncAggregatorSelectionData {
                slot: Slot(slot),
                subcommittee_index,
            };
            let proof = bench
                .court
                .sign(validator.0, hash_tree_root(&selection), Purpose::SyncSelection, 0);
            let hash = <sha2::Sha256 as sha2::Digest>::digest(proof.0);
            let selected = u64::from_le_bytes(*hash.first_chunk().unwrap()).is_multiple_of(8);
            selected.then_some((slot, validator, subcommittee_index, proof))
        })
    });
    let (slot, validator, subcommittee, proof) = place.unwrap();
    let attested = a_slot(&mut bench, slot).await;
    bench.set(bench.court.late_in(slot));
    let root = attested.beacon_block_root;
    let path = format!(
        "/eth/v1/validator/sync_committee_contribution?slot={slot}&subcommittee_index={subcommittee}&beacon_block_root={root}"
    );
    let answer = bench.get(&path).await;
    let message = json!({"aggregator_index": validator, "contribution": answer["data"], "selection_proof": proof});
    let read: trireme_eth2::ContributionAndProof = serde_json::from_value(message.clone()).unwrap();
    let signature = bench
        .court
        .sign(validator.0, hash_tree_root(&read), Purpose::Contribution, 0);
    let body = json!([{"message": message, "signature": signature}]);
    let path = "/eth/v1/validator/contribution_and_proofs";
    assert_eq!(bench.post(path, Fork::Fulu, &body).await, (200, Value::Null));
    let counted = bench.report(slot..slot + 1);
    assert_eq!(counted.duties[&DutyKind::SyncContribution].completed, 1);
    assert_eq!(counted.duties[&DutyKind::SyncMessage].completed, 4);
    assert_eq!(counted.heads.right, 5);
    let (status, answer) = bench
        .post(path, Fork::Fulu, &json!([{"message": message, "signature": proof}]))
        .await;
    assert_eq!((status, &answer["failures"][0]["index"]), (400, &json!(0)));
}

#[tokio::test]
async fn votes_are_read_back_from_the_block_that_holds_them() {
    for (fork, v1) in [(Fork::Deneb, 200), (Fork::Fulu, 400)] {
        let mut bench = Bench::with(everything(chain(fork, 16)), 1).await;
        let attested = a_slot(&mut bench, 5).await;
        a_slot(&mut bench, 6).await;
        let whole = bench.get("/eth/v2/beacon/blocks/6").await;
        let votes = &whole["data"]["message"]["body"]["attestations"];
        assert_eq!(
            (votes.as_array().unwrap().len(), &votes[0]["data"]),
            (1, &json!(attested))
        );
        let alone = bench.get("/eth/v2/beacon/blocks/6/attestations").await;
        assert_eq!((&alone["version"], &alone["data"]), (&json!(fork.name()), votes));
        assert_eq!(
            bench.status("/eth/v1/beacon/blocks/6/attestations").await.0,
            v1,
            "{fork}"
        );
        let root = bench.get("/eth/v1/beacon/blocks/6/root").await["data"]["root"].clone();
        let by_root = bench
            .get(&format!("/eth/v2/beacon/blocks/{}", root.as_str().unwrap()))
            .await;
        assert_eq!(by_root, whole);
        let parent = bench.get("/eth/v1/beacon/blocks/5/root").await["data"]["root"].clone();
        let children = bench
            .get(&format!(
                "/eth/v1/beacon/headers?parent_root={}",
                parent.as_str().unwrap()
            ))
            .await;
        assert_eq!(
            (&children["data"][0]["root"], &children["data"][0]["canonical"]),
            (&root, &json!(true))
        );
        assert_eq!(bench.status("/eth/v2/beacon/blocks/4").await.0, 404, "an empty slot");
    }
}

#[tokio::test]
async fn liveness_tells_who_signed_anything_in_an_epoch() {
    let mut bench = Bench::with(everything(chain(Fork::Fulu, 16)), 1).await;
    a_slot(&mut bench, 5).await;
    let (voter, _) = bench.court.attester(5);
    let path = "/eth/v1/validator/liveness/0";
    let committee = bench.court.judge.sync_committee(Epoch(0));
    let (_, answer) = bench
        .post(
            path,
            Fork::Fulu,
            &json!((0..17).map(|n| n.to_string()).collect::<Vec<_>>()),
        )
        .await;
    let list = answer["data"].as_array().unwrap();
    assert_eq!(list.len(), 16, "there is no validator 16");
    for (n, entry) in (0..16).zip(list) {
        let proposer = bench.court.judge.chain().proposer(Slot(5)).0 == n;
        let alive = n == voter || proposer || committee.contains_key(&ValidatorIndex(n));
        assert_eq!(
            (&entry["index"], &entry["is_live"]),
            (&json!(n.to_string()), &json!(alive))
        );
    }
    assert_eq!(
        bench
            .post("/eth/v1/validator/liveness/2", Fork::Fulu, &json!(["0"]))
            .await
            .0,
        400
    );
}

#[tokio::test]
async fn subscriptions_are_read_and_exits_and_registrations_taken() {
    let bench = Bench::with(
        JudgeConfig {
            builder: true,
            ..everything(chain(Fork::Fulu, 16))
        },
        1,
    )
    .await;
    let path = "/eth/v1/validator/beacon_committee_subscriptions";
    let subscription = json!([{"validator_index": "1", "committee_index": "0", "committees_at_slot": "1", "slot": "6", "is_aggregator": true}]);
    assert_eq!(bench.post(path, Fork::Fulu, &subscription).await.0, 200);
    assert_eq!(bench.post(path, Fork::Fulu, &json!([{"slot": "6"}])).await.0, 400);
    let path = "/eth/v1/validator/sync_committee_subscriptions";
    let subscription = json!([{"validator_index": "1", "sync_committee_indices": ["5"], "until_epoch": "256"}]);
    assert_eq!(bench.post(path, Fork::Fulu, &subscription).await.0, 200);

    let message = trireme_eth2::VoluntaryExit {
        epoch: Epoch(0),
        validator_index: ValidatorIndex(3),
    };
    let signature = bench.court.sign(3, hash_tree_root(&message), Purpose::Exit, 0);
    let path = "/eth/v1/beacon/pool/voluntary_exits";
    bench.server.with(|judge| judge.expect_exit(ValidatorIndex(3), Slot(5)));
    assert_eq!(
        bench
            .post(path, Fork::Fulu, &json!({"message": message, "signature": signature}))
            .await
            .0,
        200
    );
    let wrong = bench.court.sign(4, hash_tree_root(&message), Purpose::Exit, 0);
    assert_eq!(
        bench
            .post(path, Fork::Fulu, &json!({"message": message, "signature": wrong}))
            .await
            .0,
        400
    );
    assert_eq!(bench.report(5..6).duties[&DutyKind::Exit].completed, 1);

    // Registrations as SSZ, one after the other.
    let signed: Vec<_> = (0..16).map(|n| bench.court.good_registration(n)).collect();
    let path = "/eth/v1/validator/register_validator";
    let request = bench.client.post(bench.url(path)).body(signed.as_ssz_bytes());
    let answer = request
        .header("Content-Type", "application/octet-stream")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    let counted = bench.report(0..1);
    assert_eq!(counted.duties[&DutyKind::BuilderRegistration].completed, 16);
}

#[tokio::test]
async fn a_blinded_block_is_produced_and_published_in_both_forms() {
    for ssz in [false, true] {
        let bench = Bench::with(
            JudgeConfig {
                builder: true,
                ..everything(chain(Fork::Fulu, 16))
            },
            1,
        )
        .await;
        let signed: Vec<_> = (0..16).map(|n| bench.court.good_registration(n)).collect();
        assert_eq!(
            bench
                .post("/eth/v1/validator/register_validator", Fork::Fulu, &json!(signed))
                .await
                .0,
            200
        );
        let path = format!(
            "/eth/v3/validator/blocks/5?randao_reveal={}&builder_boost_factor=18446744073709551615",
            bench.court.randao(5)
        );
        let accept = if ssz {
            "application/octet-stream"
        } else {
            "application/json"
        };
        let answer = bench
            .client
            .get(bench.url(&path))
            .header("Accept", accept)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.headers()["eth-execution-payload-blinded"], "true");
        let body = answer.bytes().await.unwrap();
        let proposal = if ssz {
            VersionedProposal::decode_ssz(Fork::Fulu, true, &body).unwrap()
        } else {
            serde_json::from_slice::<trireme_eth2::ProposalResponse>(&body)
                .unwrap()
                .proposal
        };
        let block = bench.court.sign_proposal(proposal);
        let request = bench.client.post(bench.url("/eth/v2/beacon/blinded_blocks"));
        let request = request
            .header("Eth-Consensus-Version", "fulu")
            .header("Content-Type", accept);
        let body = if ssz {
            block.to_ssz()
        } else {
            serde_json::to_value(&block).unwrap()["data"].to_string().into_bytes()
        };
        let answer = request.body(body).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200);
        let whole = bench.get("/eth/v2/beacon/blocks/head").await;
        let transactions = &whole["data"]["message"]["body"]["execution_payload"]["transactions"];
        assert!(
            !transactions.as_array().unwrap().is_empty(),
            "the chain has the payload"
        );
    }
}

#[tokio::test]
async fn a_reorganisation_is_told_as_events_even_if_nobody_asks_for_anything() {
    let mut bench = Bench::with(
        JudgeConfig {
            reorgs: vec![Reorg { slot: 8, depth: 1 }],
            ..everything(chain(Fork::Fulu, 16))
        },
        1,
    )
    .await;
    for slot in [5, 6] {
        bench.set_slot(slot);
        let block = bench.court.block(slot, 1);
        assert_eq!(bench.publish(&block).await.0, 200);
        bench.court.publish(slot, block).unwrap();
    }
    let path = "/eth/v1/events?topics=head&topics=chain_reorg&topics=block_gossip";
    let stream = bench.client.get(bench.url(path)).send().await.unwrap();
    let mut chunks = stream.bytes_stream();
    bench.set_slot(8);
    let mut text = String::new();
    while !(text.contains("event: chain_reorg") && text.contains("event: head") && text.ends_with("\n\n")) {
        text.push_str(std::str::from_utf8(&chunks.next().await.unwrap().unwrap()).unwrap());
    }
    assert!(text.contains("event: block_gossip"), "{text}");
    let line = text
        .split("event: chain_reorg\n")
        .nth(1)
        .unwrap()
        .lines()
        .next()
        .unwrap();
    let reorg: Value = serde_json::from_str(line.strip_prefix("data: ").unwrap()).unwrap();
    assert_eq!((&reorg["slot"], &reorg["depth"]), (&json!("7"), &json!("2")));
    let old: Root = data(&json!({"data": reorg["old_head_block"]}));
    assert_eq!(old, bench.court.judge.head().root);
}
