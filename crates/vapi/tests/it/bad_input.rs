//! What a broken or hostile validator client sends: an error that says what is wrong, never a panic.

use axum::body::Body;
use bytes::Bytes;
use http::StatusCode;
use trireme_vapi::{limits, table};

use crate::fixture::{Bench, Plan};

fn bench() -> Bench {
    Bench::new(Plan::synthetic(&[([0xa1; 48], [0xc3; 48])]))
}

const DUTIES: &str = "/eth/v1/validator/duties/attester/1";
const BLOCKS: &str = "/eth/v2/beacon/blocks";
const POOL: &str = "/eth/v2/beacon/pool/attestations";

#[tokio::test]
async fn an_oversized_body_is_refused_without_reading_it_all() {
    let b = bench();
    let endless = Body::from_stream(futures::stream::repeat_with(|| {
        Ok::<_, std::io::Error>(Bytes::from(vec![b' '; 65_536]))
    }));
    let message = b.ask("POST", DUTIES, &[], endless).await.error(413);
    assert!(message.contains(&limits::MAX_BODY.to_string()), "{message}");
    let endless = Body::from_stream(futures::stream::repeat_with(|| {
        Ok::<_, std::io::Error>(Bytes::from(vec![b' '; 65_536]))
    }));
    b.ask("POST", "/eth/v1/anything", &[], endless).await.error(413);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_ends_is_given_up_with_the_reason() {
    let silent = Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
    let message = bench().ask("POST", DUTIES, &[], silent).await.error(408);
    assert_eq!(message, "timed out after 10 s waiting for the request's body");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_a_bad_request() {
    let broken = Body::from_stream(futures::stream::once(async {
        Err::<Bytes, _>(std::io::Error::other("gone"))
    }));
    assert_eq!(
        bench().ask("POST", DUTIES, &[], broken).await.error(400),
        "the request's body broke off"
    );
}

#[tokio::test]
async fn malformed_bodies_of_every_kind_are_errors() {
    let b = bench();
    let ssz = [
        ("content-type", "application/octet-stream"),
        ("eth-consensus-version", "fulu"),
    ];
    let old = [
        ("content-type", "application/octet-stream"),
        ("eth-consensus-version", "capella"),
    ];
    let bodies: [&[u8]; 7] = [
        b"",
        b"\0",
        &[0xff; 300],
        b"{}",
        b"[",
        b"[[[[[[[[",
        &[0x0c, 0, 0, 0, 0xff, 0xff, 0xff, 0xff],
    ];
    for body in bodies {
        for path in [
            BLOCKS,
            "/eth/v1/beacon/blocks",
            "/eth/v2/beacon/blinded_blocks",
            "/eth/v1/beacon/blinded_blocks",
        ] {
            for headers in [&ssz, &old] {
                b.ask("POST", path, headers, body).await.error(500);
            }
            b.ask("POST", path, &[("eth-consensus-version", "electra")], body)
                .await
                .error(500);
        }
        if !body.is_empty() {
            b.ask("POST", POOL, &ssz, body).await.error(500);
            b.ask("POST", POOL, &old, body).await.error(500);
        }
        b.ask("POST", POOL, &[("eth-consensus-version", "electra")], body)
            .await
            .error(500);
        b.ask("POST", POOL, &[("eth-consensus-version", "deneb")], body)
            .await
            .error(500);
        b.ask("POST", DUTIES, &[], body).await.error(400);
    }
    b.ask("POST", "/eth/v1/beacon/states/head/validators", &[], "{\"ids\":")
        .await
        .error(500);
    assert!(b.submitted().is_empty());
    assert!(b.asked().is_empty());
}

#[tokio::test]
async fn deeply_nested_json_does_not_exhaust_the_stack() {
    let b = bench();
    let deep = "[".repeat(500_000);
    b.ask("POST", DUTIES, &[], deep.clone()).await.error(400);
    b.ask("POST", POOL, &[("eth-consensus-version", "deneb")], deep.clone())
        .await
        .error(500);
    b.ask("POST", BLOCKS, &[("eth-consensus-version", "fulu")], deep)
        .await
        .error(500);
}

#[tokio::test(start_paused = true)]
async fn content_types_are_checked_on_every_served_route_and_before_the_body() {
    let b = bench();
    // A body that never comes: whoever waits for it says so after ten seconds.
    let silent = || Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
    for (method, path, endpoint) in table() {
        let path = format!("/{}", path.replace("{}", "7"));
        let ask = |kind: &'static str| {
            let (b, path) = (&b, &path);
            async move { b.ask(method.as_str(), path, &[("content-type", kind)], silent()).await }
        };
        for kind in ["text/plain", "text/html; charset=utf-8", "application/xml"] {
            assert_eq!(
                ask(kind).await.error(415),
                format!("unsupported media type {kind}"),
                "{method} {path}"
            );
        }
        let ssz = ask("application/octet-stream").await;
        if endpoint.takes_ssz() {
            assert_eq!(
                ssz.error(408),
                "timed out after 10 s waiting for the request's body",
                "{path}"
            );
        } else {
            assert_eq!(
                ssz.error(415),
                "Cannot read the supplied content type.",
                "{method} {path}"
            );
        }
        // Whatever is said beside it, and nothing at all, is JSON.
        for headers in [
            &[("content-type", "application/json; charset=utf-8")][..],
            &[("content-type", "")],
            &[],
        ] {
            let got = b.ask(method.as_str(), &path, headers, silent()).await;
            assert_eq!(
                got.error(408),
                "timed out after 10 s waiting for the request's body",
                "{path}"
            );
        }
    }
    // A client that sends JSON's type on a GET means nothing by it.
    let got = b
        .ask(
            "GET",
            "/eth/v1/node/version",
            &[("content-type", "application/json")],
            Body::empty(),
        )
        .await;
    assert_eq!(got.status, StatusCode::OK);
}

#[tokio::test]
async fn an_unknown_status_is_a_bad_request() {
    let message = bench()
        .get("/eth/v1/beacon/states/head/validators?status=asleep")
        .await
        .error(400);
    assert_eq!(message, "invalid validator status asleep");
}

#[tokio::test]
async fn too_many_requests_at_once_get_503() {
    let b = bench();
    b.know(|k| k.unresolved.push(trireme_eth2::Slot(9)));
    let path = "/eth/v1/validator/attestation_data?slot=9&committee_index=0";
    let mut waiting: futures::stream::FuturesUnordered<_> = (0..limits::MAX_REQUESTS).map(|_| b.get(path)).collect();
    // Each is polled once, takes its place and waits.
    assert!(futures::FutureExt::now_or_never(futures::StreamExt::next(&mut waiting)).is_none());
    let got = b.get("/eth/v1/node/version").await;
    assert_eq!(
        (got.status.as_u16(), got.header("content-type")),
        (503, Some("text/plain; charset=utf-8"))
    );
    drop(waiting);
    assert_eq!(b.get("/eth/v1/node/version").await.status, StatusCode::OK);
}
