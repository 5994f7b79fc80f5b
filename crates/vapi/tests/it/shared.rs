//! Answers that many requests share.

use axum::body::Body;
use serde_json::json;
use trireme_eth2::{ChainEvent, HeadEvent, Root, Slot};

use crate::{
    fixture::Bench,
    upstream::{FakeBeacon, response},
};

const HEAD: &str = "/eth/v1/beacon/blocks/head/root";

async fn bench() -> (FakeBeacon, Bench) {
    let bn = FakeBeacon::start(|_| {
        response(
            200,
            &[("content-type", "application/json"), ("x-own", "1")],
            "{\"data\":{}}",
        )
    })
    .await;
    let bench = bn.bench();
    (bn, bench)
}

#[tokio::test]
async fn many_who_ask_for_the_head_at_once_are_one_question() {
    let (bn, bench) = bench().await;
    let answers = futures::future::join_all((0..20).map(|_| bench.get(HEAD))).await;
    for got in &answers {
        assert_eq!((got.status.as_u16(), &got.body[..]), (200, &b"{\"data\":{}}"[..]));
        assert_eq!(
            (got.header("content-type"), got.header("x-own")),
            (Some("application/json"), Some("1"))
        );
    }
    assert_eq!(bn.sent().len(), 1);
}

#[tokio::test]
async fn a_new_head_makes_the_old_answer_worthless_at_once() {
    let (bn, bench) = bench().await;
    for heads in 1..4 {
        bench.get(HEAD).await;
        bench.get(HEAD).await;
        assert_eq!(bn.sent().len(), 1, "after {heads} heads");
        let head = HeadEvent {
            slot: Slot(heads),
            block: Root([1; 32]),
            ..serde_json::from_value(json!({
                "slot": "1", "block": Root([1; 32]), "state": Root([2; 32]), "epoch_transition": false,
                "previous_duty_dependent_root": Root([3; 32]), "current_duty_dependent_root": Root([3; 32]),
                "execution_optimistic": false,
            }))
            .unwrap()
        };
        bench.neighbours.events.send(ChainEvent::Head(head)).unwrap();
    }
    // What does not depend on the head is not asked for again.
    bench.get("/eth/v1/config/spec").await;
    bench.get("/eth/v1/config/spec").await;
    assert_eq!(bn.sent().len(), 1);
}

#[tokio::test]
async fn failures_and_questions_of_other_kinds_are_not_shared() {
    let bn = FakeBeacon::start(|_| response(503, &[], "syncing")).await;
    let failing = bn.bench();
    for _ in 0..3 {
        assert_eq!(failing.get("/eth/v1/node/health").await.status.as_u16(), 503);
    }
    assert_eq!(bn.sent().len(), 3);
    let (bn, bench) = bench().await;
    let ssz = [("accept", "application/octet-stream")];
    for _ in 0..2 {
        bench.get(&format!("{HEAD}?x=1")).await;
        bench
            .ask("GET", "/eth/v1/beacon/headers/head", &ssz, Body::empty())
            .await;
        bench.ask("HEAD", HEAD, &[], Body::empty()).await;
    }
    assert_eq!(bn.sent().len(), 6);
}

#[tokio::test]
async fn an_answer_for_many_is_asked_for_without_the_credentials_of_one() {
    let (bn, bench) = bench().await;
    let headers = [
        ("authorization", "Bearer mine"),
        ("cookie", "a=b"),
        ("accept-encoding", "gzip"),
    ];
    bench.ask("GET", HEAD, &headers, Body::empty()).await;
    let [sent] = bn.sent().try_into().unwrap();
    for (name, _) in headers {
        assert!(!sent.headers.contains_key(name), "{name}");
    }
}
