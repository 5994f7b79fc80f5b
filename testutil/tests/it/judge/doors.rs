//! Faces over HTTP: a port for each face and asker, faults that need no answer, flags in answers, and what is read.

use serde_json::json;
use trireme_eth2::SyncingStatus;
use trireme_testutil::judge::{Door, Fault, FaultKind};

use super::{
    http::{Bench, data},
    *,
};

/// Three faces for two askers; the second has a fault in slots 5 and 6.
async fn bench(kind: FaultKind) -> Bench {
    let fault = Fault {
        face: 1,
        kind,
        slots: 5..7,
    };
    Bench::with(
        JudgeConfig {
            faces: 3,
            faults: vec![fault],
            ..everything(chain(Fork::Fulu, 16))
        },
        2,
    )
    .await
}

fn url(bench: &Bench, face: usize, asker: usize, path: &str) -> String {
    format!("{}{path}", bench.server.url_of(Door { face, asker }).unwrap())
}

async fn ask(bench: &Bench, face: usize, path: &str) -> (u16, serde_json::Value) {
    let answer = bench.client.get(url(bench, face, 0, path)).send().await.unwrap();
    let status = answer.status().as_u16();
    (
        status,
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default(),
    )
}

const SYNCING: &str = "/eth/v1/node/syncing";

#[tokio::test]
async fn every_face_and_asker_has_a_port_of_its_own() {
    let bench = bench(FaultKind::Optimistic).await;
    let doors = (0..3).flat_map(|face| (0..2).map(move |asker| Door { face, asker }));
    let urls: std::collections::BTreeSet<_> = doors.map(|door| bench.server.url_of(door).unwrap()).collect();
    assert_eq!(urls.len(), 6);
    assert_eq!(bench.server.url_of(Door { face: 3, asker: 0 }), None);
    assert!(urls.contains(&bench.server.url()));
}

#[tokio::test]
async fn a_face_with_errors_answers_500_and_takes_nothing_until_its_fault_ends() {
    let mut bench = bench(FaultKind::Error).await;
    assert_eq!(ask(&bench, 1, SYNCING).await.0, 500);
    assert_eq!(ask(&bench, 0, SYNCING).await.0, 200);
    let data = bench.court.data(5);
    let vote = bench.court.vote(5, data);
    let request = bench.client.post(url(&bench, 1, 0, "/eth/v2/beacon/pool/attestations"));
    let request = request.json(&json!([vote])).header("Eth-Consensus-Version", "fulu");
    assert_eq!(request.send().await.unwrap().status().as_u16(), 500);
    assert_eq!(bench.report(5..6).duties[&DutyKind::Attester].completed, 0);
    bench.set_slot(7);
    assert_eq!(ask(&bench, 1, SYNCING).await.0, 200);
}

#[tokio::test]
async fn a_face_that_hangs_answers_nobody_and_holds_up_no_other() {
    let bench = bench(FaultKind::Hang).await;
    let asked = bench.client.get(url(&bench, 1, 0, SYNCING)).send();
    tokio::pin!(asked);
    for _ in 0..3 {
        tokio::select! { biased;
            answer = &mut asked => panic!("it answered: {answer:?}"),
            other = ask(&bench, 0, SYNCING) => assert_eq!(other.0, 200),
        }
    }
    assert_eq!(ask(&bench, 2, SYNCING).await.0, 200);
}

#[tokio::test]
async fn a_slow_face_answers_late() {
    let bench = bench(FaultKind::Slow).await;
    let slow = bench.client.get(url(&bench, 1, 0, SYNCING)).send();
    tokio::pin!(slow);
    tokio::select! { biased;
        answer = &mut slow => panic!("it answered at once: {answer:?}"),
        other = ask(&bench, 0, SYNCING) => assert_eq!(other.0, 200),
    }
    // A quarter of a slot of this chain is a second; the clock of the test's runtime is what waits.
    assert_eq!(
        bench.server.with(|j| j.manner(1, bench.court.at(5))),
        trireme_testutil::judge::Manner::After(Duration::from_secs(1))
    );
}

#[tokio::test]
async fn an_optimistic_face_flags_its_answers_and_gives_no_block() {
    let bench = bench(FaultKind::Optimistic).await;
    for path in [
        "/eth/v1/beacon/blocks/head/root",
        "/eth/v1/beacon/headers/head",
        "/eth/v1/validator/duties/proposer/0",
        "/eth/v1/beacon/states/head/validators",
    ] {
        for (face, flag) in [(0, false), (1, true), (2, false)] {
            assert_eq!(
                ask(&bench, face, path).await.1["execution_optimistic"],
                json!(flag),
                "{path}"
            );
        }
    }
    let path = format!("/eth/v3/validator/blocks/5?randao_reveal={}", bench.court.randao(5));
    assert_eq!(
        (ask(&bench, 1, &path).await.0, ask(&bench, 0, &path).await.0),
        (503, 200)
    );
}

#[tokio::test]
async fn a_face_that_is_behind_or_elsewhere_shows_it() {
    let bench = bench(FaultKind::Behind).await;
    bench.server.with(|judge| {
        let fault = "2:wrong-chain@5..7".parse::<Fault>().unwrap();
        judge.inject(fault);
        judge.inject("0:other-fork-epoch@6..7".parse().unwrap());
    });
    let syncing: SyncingStatus = data(&ask(&bench, 1, SYNCING).await.1);
    assert_eq!((syncing.is_syncing, syncing.sync_distance), (true, 8));
    assert_eq!(ask(&bench, 1, "/eth/v1/node/health").await.0, 206);
    let genesis = "/eth/v1/beacon/genesis";
    assert_ne!(ask(&bench, 2, genesis).await.1, ask(&bench, 0, genesis).await.1);
    let validators = ask(&bench, 2, "/eth/v1/beacon/states/head/validators").await.1;
    assert_eq!(validators["data"], json!([]));
    let spec = "/eth/v1/config/spec";
    assert_eq!(ask(&bench, 0, spec).await.1["data"]["FULU_FORK_EPOCH"], json!("0"));
    bench.set_slot(6);
    assert_eq!(ask(&bench, 0, spec).await.1["data"]["FULU_FORK_EPOCH"], json!("1"));
}

#[tokio::test]
async fn reads_are_counted_by_slot_and_door_and_submissions_are_not() {
    let bench = bench(FaultKind::Error).await;
    let path = "/eth/v1/validator/duties/proposer/0";
    for (face, asker, times) in [(0, 0, 3), (0, 1, 1), (2, 0, 2)] {
        for _ in 0..times {
            bench.client.get(url(&bench, face, asker, path)).send().await.unwrap();
        }
    }
    bench.set_slot(6);
    bench
        .client
        .get(url(&bench, 0, 0, "/eth/v1/validator/duties/proposer/1"))
        .send()
        .await
        .unwrap();
    bench
        .post("/eth/v1/validator/duties/attester/0", Fork::Fulu, &json!(["1"]))
        .await;
    bench
        .post("/eth/v1/validator/prepare_beacon_proposer", Fork::Fulu, &json!([]))
        .await;
    let reads = bench.report(5..7).reads;
    let counted = &reads["GET /eth/v1/validator/duties/proposer/{n}"];
    assert_eq!((counted.total, counted.max, counted.above_two), (7, 3, 1));
    assert_eq!(reads["POST /eth/v1/validator/duties/attester/{n}"].total, 1);
    assert_eq!(reads.len(), 2, "{reads:?}");
}
