//! What browsers are told about pages of other origins (VC-111).

use axum::{body::Body, http::header, response::Response};
use trireme_vapi::{Origins, Token};

use crate::{
    fixture::{Bench, Got, Plan},
    upstream::FakeBeacon,
};

const VERSION: &str = "/eth/v1/node/version";
const ALLOWED: &str = "access-control-allow-origin";

fn bench(origins: Origins) -> Bench {
    let mut plan = Plan::synthetic(&[]);
    plan.config.origins = origins;
    plan.config.token = Some(Token::new("0123456789abcdef").unwrap());
    Bench::new(plan)
}

async fn preflight(bench: &Bench, origin: &str) -> Got {
    let headers = [
        ("origin", origin),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization,content-type"),
    ];
    bench.ask("OPTIONS", VERSION, &headers, Body::empty()).await
}

#[tokio::test]
async fn vc_111_preflight_of_a_named_origin_is_allowed_without_a_token_and_of_another_is_not() {
    let named = Origins::parse(&["http://[::1]:5062", "https://pages.example"]).unwrap();
    let bench = bench(named);
    for origin in ["http://[::1]:5062", "https://pages.example"] {
        let got = preflight(&bench, origin).await;
        assert_eq!(got.status, 200);
        assert_eq!(got.header(ALLOWED), Some(origin));
        let methods = got.header("access-control-allow-methods").unwrap();
        assert!(methods.contains("GET") && methods.contains("POST"), "{methods}");
        let headers = got.header("access-control-allow-headers").unwrap();
        assert!(
            headers.contains("authorization") && headers.contains("eth-consensus-version"),
            "{headers}"
        );
    }
    for origin in ["http://pages.example", "https://pages.example:8443", "null"] {
        let got = preflight(&bench, origin).await;
        assert_eq!(got.header(ALLOWED), None, "{origin}");
    }
    bench.life.stop().await;
}

#[tokio::test]
async fn vc_111_answer_is_for_named_pages_and_the_token_is_needed_all_the_same() {
    let bench = bench(Origins::default().at("[::1]:3600".parse().unwrap(), false));
    let ask = async |origin: &str, token: &str| {
        let headers = [("origin", origin), ("authorization", token)];
        bench.ask("GET", VERSION, &headers, Body::empty()).await
    };
    let got = ask("http://[::1]:3600", "Bearer 0123456789abcdef").await;
    assert_eq!(
        (got.status.as_u16(), got.header(ALLOWED)),
        (200, Some("http://[::1]:3600"))
    );
    let got = ask("http://[::1]:3600", "Bearer wrong").await;
    assert_eq!(got.status, 401);
    let got = ask("http://elsewhere", "Bearer 0123456789abcdef").await;
    assert_eq!((got.status.as_u16(), got.header(ALLOWED)), (200, None));
    bench.life.stop().await;
}

#[tokio::test]
async fn vc_111_star_allows_every_page() {
    let bench = bench(Origins::parse(&["*"]).unwrap());
    let got = preflight(&bench, "https://anywhere").await;
    assert_eq!(got.header(ALLOWED), Some("*"));
    bench.life.stop().await;
}

#[tokio::test]
async fn vc_111_request_without_an_origin_is_as_before_and_the_beacon_nodes_permission_does_not_count() {
    let bn = FakeBeacon::start(|_| {
        let mut answer = Response::new(Body::from("{}"));
        answer.headers_mut().insert(
            header::ACCESS_CONTROL_ALLOW_ORIGIN,
            header::HeaderValue::from_static("*"),
        );
        answer
    })
    .await;
    let bench = bn.bench();
    let path = "/eth/v1/beacon/blinded_blocks/7";
    let plain = bench.get(path).await;
    assert_eq!((plain.header(ALLOWED), plain.header("vary")), (None, None));
    let page = bench
        .ask("GET", path, &[("origin", "http://pages")], Body::empty())
        .await;
    assert_eq!((page.status.as_u16(), page.header(ALLOWED)), (200, None));
    bench.life.stop().await;
}
