//! A beacon node of a few lines behind a real socket, and the proxy in front of it.

use std::sync::{Arc, Mutex};

use axum::{Router, body::Body, extract::State, response::Response};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use serde_json::json;
use tokio::{net::TcpListener, task::JoinSet};
use tracing::Level;
use trireme_testutil::sim::Lines;

use crate::fixture::{Bench, Plan};

/// What the beacon node was sent.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) method: Method,
    pub(crate) path_and_query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

type Answer = Arc<dyn Fn(&Sent) -> Response + Send + Sync>;

/// A beacon node that answers as told.
pub(crate) struct FakeBeacon {
    pub(crate) url: String,
    sent: Arc<Mutex<Vec<Sent>>>,
    _serves: JoinSet<()>,
}

impl FakeBeacon {
    /// Listens on a free port until it is dropped.
    pub(crate) async fn start(answer: impl Fn(&Sent) -> Response + Send + Sync + 'static) -> Self {
        let sent = Arc::new(Mutex::new(Vec::new()));
        let state: (Answer, Arc<Mutex<Vec<Sent>>>) = (Arc::new(answer), Arc::clone(&sent));
        let app = Router::new().fallback(serve).with_state(state);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut serves = JoinSet::new();
        serves.spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self {
            url,
            sent,
            _serves: serves,
        }
    }

    /// A validator API without validators in front of it.
    pub(crate) fn bench(&self) -> Bench {
        Bench::new(Plan::synthetic(&[]).upstream(&self.url))
    }

    pub(crate) fn sent(&self) -> Vec<Sent> {
        std::mem::take(&mut self.sent.lock().unwrap())
    }
}

async fn serve(State((answer, sent)): State<(Answer, Arc<Mutex<Vec<Sent>>>)>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let one = Sent {
        method: parts.method,
        path_and_query: parts.uri.path_and_query().unwrap().to_string(),
        headers: parts.headers,
        body: axum::body::to_bytes(body, usize::MAX).await.unwrap(),
    };
    let response = answer(&one);
    sent.lock().unwrap().push(one);
    response
}

/// An answer of the fake.
pub(crate) fn response(status: u16, headers: &[(&str, &str)], body: impl Into<Body>) -> Response {
    let mut out = Response::builder().status(status);
    for (name, value) in headers {
        out = out.header(*name, *value);
    }
    out.body(body.into()).unwrap()
}

/// An address where nobody listens.
pub(crate) async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// An address where connections are taken and nothing is said, as long as the second value is kept.
pub(crate) async fn silent() -> (String, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    (format!("http://{}", listener.local_addr().unwrap()), listener)
}

#[tokio::test]
async fn what_is_not_served_here_goes_to_the_beacon_node_and_comes_back_as_it_is() {
    let bn = FakeBeacon::start(|_| {
        response(
            206,
            &[
                ("content-type", "application/json"),
                ("x-own", "1"),
                ("set-cookie", "a=b"),
            ],
            "{\"data\": 1}",
        )
    })
    .await;
    let url = bn.url.replace("http://", "http://user:pass@");
    let bench = Bench::new(Plan::synthetic(&[]).upstream(&url));
    let headers = [
        ("accept", "application/json"),
        ("connection", "keep-alive, x-hop"),
        ("x-hop", "1"),
        ("host", "vc"),
    ];
    let got = bench.ask("POST", "/eth/v1/foo?a=1,2&b=%20", &headers, "body").await;
    assert_eq!((got.status.as_u16(), &got.body[..]), (206, &b"{\"data\": 1}"[..]));
    assert_eq!((got.header("x-own"), got.header("set-cookie")), (Some("1"), None));
    let [sent] = bn.sent().try_into().unwrap();
    assert_eq!(
        (sent.method, &*sent.path_and_query),
        (Method::POST, "/eth/v1/foo?a=1,2&b=%20")
    );
    assert_eq!(&sent.body[..], b"body");
    assert_eq!(sent.headers["authorization"], "Basic dXNlcjpwYXNz");
    assert_eq!(sent.headers["accept"], "application/json");
    assert_eq!(
        sent.headers["host"].to_str().unwrap(),
        bn.url.trim_start_matches("http://")
    );
    assert!(!sent.headers.contains_key("x-hop"));
    let metrics = bench.metrics();
    for part in [
        r#"core_validatorapi_request_error_total{endpoint="proxy",status_code="206"}"#,
        r#"core_validatorapi_proxy_request_latency_seconds_count{path="eth_v1_foo"} 1"#,
        r#"core_validatorapi_request_latency_seconds_count{endpoint="proxy"} 1"#,
    ] {
        // 206 is a success as far as HTTP goes.
        assert_eq!(metrics.contains(part), !part.contains("206"), "{part}\n{metrics}");
    }
}

#[tokio::test]
async fn a_refusal_of_the_beacon_node_is_an_answer_and_is_counted() {
    let bn = FakeBeacon::start(|_| response(404, &[], "")).await;
    let bench = bn.bench();
    let got = bench.get("/eth/v1/validator/duties/attester/7").await;
    assert_eq!((got.status, got.body.len()), (StatusCode::NOT_FOUND, 0));
    assert!(
        bench
            .metrics()
            .contains(r#"core_validatorapi_request_error_total{endpoint="proxy",status_code="404"} 1"#)
    );
}

#[tokio::test]
async fn an_unreachable_beacon_node_is_passed_over_and_fallbacks_come_last() {
    let good = FakeBeacon::start(|_| response(200, &[], "good")).await;
    let spare = FakeBeacon::start(|_| response(200, &[], "spare")).await;
    let gone = || async { Plan::synthetic(&[]).upstream(&nobody().await).fallback(&spare.url) };
    let plan = gone().await.upstream(&good.url);
    assert_eq!(&Bench::new(plan).get("/x").await.body[..], b"good");
    assert!(spare.sent().is_empty());
    let plan = gone().await;
    assert_eq!(&Bench::new(plan).get("/x").await.body[..], b"spare");
    let secret = nobody().await.replace("http://", "http://user:secret@");
    let got = Bench::new(Plan::synthetic(&[]).upstream(&secret)).get("/x").await;
    assert_eq!(got.error(500), "Internal server error");
}

#[tokio::test(start_paused = true)]
async fn a_beacon_node_that_never_answers_costs_ten_seconds_and_is_named() {
    let (url, _listens) = silent().await;
    let bench = Bench::new(Plan::synthetic(&[]).upstream(&url));
    let began = tokio::time::Instant::now();
    let message = bench.get("/eth/v1/node/peers").await.error(408);
    assert_eq!(message, "timed out after 10 s waiting for a beacon node");
    assert_eq!(began.elapsed().as_secs(), 10);
    // What the node answers by itself goes on.
    assert_eq!(bench.get("/eth/v1/node/version").await.status, StatusCode::OK);
}

#[tokio::test]
async fn an_answer_without_end_is_passed_on_piece_by_piece_and_never_read_whole() {
    let endless = || {
        let chunk = Bytes::from(vec![b'['; 65_536]);
        Body::from_stream(futures::stream::repeat_with(move || {
            Ok::<_, std::io::Error>(chunk.clone())
        }))
    };
    let bn = FakeBeacon::start(move |_| response(200, &[], endless())).await;
    let bench = bn.bench();
    // Passed on: the head is there although the body never ends.
    let request = Request::get("/eth/v1/anything").body(Body::empty()).unwrap();
    let answer = bench.server.handle(request).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let mut chunks = answer.into_body().into_data_stream();
    assert!(futures::StreamExt::next(&mut chunks).await.unwrap().is_ok());
    drop(chunks);
    // Read here: cut off at the limit, and the log says whose answer it was.
    let lines = Lines::here();
    bench.know(|k| k.validators.clear());
    bench
        .post("/eth/v1/validator/liveness/3", &[], &json!(["5"]))
        .await
        .error(500);
    let said = lines.take(Level::ERROR);
    assert!(
        matches!(&said[..], [line] if line.contains("the beacon node's liveness of epoch 3")),
        "{said:?}"
    );
}

#[tokio::test]
async fn garbage_of_the_beacon_node_is_an_error_that_says_so_in_the_log() {
    let bn = FakeBeacon::start(|_| response(200, &[], "<html>\0")).await;
    let bench = bn.bench();
    let lines = Lines::here();
    bench
        .post("/eth/v1/validator/liveness/3", &[], &json!(["5"]))
        .await
        .error(500);
    let said = lines.take(Level::ERROR);
    assert!(
        matches!(&said[..], [line] if line.contains("the beacon node's liveness of epoch 3: (200 OK)")),
        "{said:?}"
    );
}

#[tokio::test]
async fn paths_that_are_not_for_validator_clients_never_reach_the_beacon_node() {
    let bn = FakeBeacon::start(|_| response(200, &[], "secret")).await;
    let bench = bn.bench();
    for path in [
        "/eth/v2/debug/beacon/states/head",
        "/eth/v1/keystores",
        "/eth/v1/d%65bug/fork_choice",
        "/x/admin/y",
    ] {
        assert_eq!(bench.get(path).await.error(404), "NotFound");
    }
    let got = bench.get("/eth/v1//debug/../node/health?x=1").await;
    assert_eq!(
        (got.status.as_u16(), got.header("location")),
        (301, Some("/eth/v1/node/health?x=1"))
    );
    assert!(bn.sent().is_empty());
}

#[tokio::test]
async fn events_are_passed_on_as_they_arrive_and_from_a_beacon_node_that_is_there() {
    let bn = FakeBeacon::start(|_| {
        let first = futures::stream::once(async { Ok::<_, std::io::Error>("event: head\ndata: {}\n\n") });
        let then_silence = futures::StreamExt::chain(first, futures::stream::pending());
        response(
            200,
            &[("content-type", "text/event-stream")],
            Body::from_stream(then_silence),
        )
    })
    .await;
    let bench = Bench::new(Plan::synthetic(&[]).upstream(&nobody().await).upstream(&bn.url));
    let request = Request::get("/eth/v1/events?topics=block&topics=head")
        .body(Body::empty())
        .unwrap();
    let answer = bench.server.handle(request).await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["content-type"]),
        (200, &"text/event-stream".parse().unwrap())
    );
    let mut body = answer.into_body().into_data_stream();
    let first = futures::StreamExt::next(&mut body).await.unwrap().unwrap();
    assert!(first.starts_with(b"event: head"));
    assert_eq!(bn.sent()[0].path_and_query, "/eth/v1/events?topics=block&topics=head");
    // The stream ends when the node stops.
    bench.server.stop();
    assert!(futures::StreamExt::next(&mut body).await.is_none());
}

#[tokio::test]
async fn a_topic_that_the_beacon_node_does_not_know_does_not_cost_the_others() {
    let bn = FakeBeacon::start(|sent| {
        if sent.path_and_query.contains("execution_payload_available") {
            return response(400, &[], "unknown topic");
        }
        response(200, &[("content-type", "text/event-stream")], "event: head\n\n")
    })
    .await;
    let bench = bn.bench();
    let got = bench
        .get("/eth/v1/events?topics=head,execution_payload_available")
        .await;
    assert_eq!((got.status.as_u16(), &got.body[..]), (200, &b"event: head\n\n"[..]));
    let got = bench.get("/eth/v1/events?topics=execution_payload_available").await;
    assert_eq!((got.status.as_u16(), &got.body[..]), (400, &b"unknown topic"[..]));
}

#[tokio::test]
async fn a_beacon_node_that_fails_does_not_win_over_one_that_answers() {
    let failing = FakeBeacon::start(|_| response(500, &[], "I fail quickly")).await;
    let (silent, _listens) = silent().await;
    let good = FakeBeacon::start(|_| response(200, &[], "good")).await;
    let bench = Bench::new(
        Plan::synthetic(&[])
            .upstream(&failing.url)
            .upstream(&silent)
            .upstream(&good.url),
    );
    for _ in 0..5 {
        assert_eq!(&bench.get("/eth/v1/some/path").await.body[..], b"good");
        let path = "/eth/v1/validator/beacon_committee_subscriptions";
        assert_eq!(bench.post(path, &[], &json!([])).await.status, StatusCode::OK);
    }
    // A refusal is an answer; a failure of all is one, too, if that is all there is.
    let bench = Bench::new(Plan::synthetic(&[]).upstream(&failing.url).upstream(&silent));
    let got = bench.get("/eth/v1/some/path").await;
    assert_eq!((got.status.as_u16(), &got.body[..]), (500, &b"I fail quickly"[..]));
}

#[tokio::test]
async fn fallbacks_are_asked_when_what_stands_before_the_beacon_node_says_that_it_is_down() {
    let down = FakeBeacon::start(|_| response(503, &[], "down")).await;
    let spare = FakeBeacon::start(|_| response(200, &[], "spare")).await;
    let plan = Plan::synthetic(&[]).upstream(&down.url).fallback(&spare.url);
    assert_eq!(&Bench::new(plan).get("/x").await.body[..], b"spare");
}

#[tokio::test]
async fn a_beacon_node_that_says_nothing_does_not_cost_a_client_its_events() {
    let (silent, _listens) = silent().await;
    let failing = FakeBeacon::start(|_| response(500, &[], "")).await;
    let good = FakeBeacon::start(|_| response(200, &[("content-type", "text/event-stream")], "event: head\n\n")).await;
    let bench = Bench::new(
        Plan::synthetic(&[])
            .upstream(&silent)
            .upstream(&failing.url)
            .upstream(&good.url),
    );
    let got = bench.get("/eth/v1/events?topics=head").await;
    assert_eq!((got.status.as_u16(), &got.body[..]), (200, &b"event: head\n\n"[..]));
}

#[tokio::test]
async fn with_the_allow_list_only_what_stock_clients_ask_for_is_passed_on() {
    let bn = FakeBeacon::start(|_| response(200, &[], "{}")).await;
    let mut plan = Plan::synthetic(&[]).upstream(&bn.url);
    plan.config.allow_list = true;
    let bench = Bench::new(plan);
    for path in ["/eth/v1/node/identity", "/metrics", "/eth/v1/node/health/", "/"] {
        assert_eq!(bench.get(path).await.error(404), "NotFound", "{path}");
    }
    assert!(bn.sent().is_empty());
    for path in [
        "/eth/v1/beacon/genesis",
        "/eth/v1/beacon/headers/0xab",
        "/eth/v1/events?topics=head",
    ] {
        assert_eq!(bench.get(path).await.status, StatusCode::OK, "{path}");
    }
    let path = "/eth/v1/validator/sync_committee_subscriptions";
    assert_eq!(bench.post(path, &[], &json!([])).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_body_of_a_later_fork_passes_untouched() {
    let bn = FakeBeacon::start(|_| response(202, &[], "")).await;
    let bench = bn.bench();
    let body: Vec<u8> = (0..20_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let headers = [
        ("content-type", "application/octet-stream"),
        ("eth-consensus-version", "gloas"),
    ];
    let path = "/eth/v1/beacon/execution_payload_envelope";
    assert_eq!(
        bench.ask("POST", path, &headers, body.clone()).await.status.as_u16(),
        202
    );
    let [sent] = bn.sent().try_into().unwrap();
    assert!(sent.body == body && sent.headers["eth-consensus-version"] == "gloas");
}

#[tokio::test]
async fn without_the_token_nothing_is_answered_and_with_it_the_beacon_node_never_sees_it() {
    let bn = FakeBeacon::start(|_| response(200, &[], "{}")).await;
    let mut plan = Plan::synthetic(&[]).upstream(&bn.url);
    plan.config.token = Some(trireme_vapi::Token::new("0123456789abcdef").unwrap());
    let bench = Bench::new(plan);
    for wrong in [None, Some("Bearer 0123456789abcdee"), Some("Basic 0123456789abcdef")] {
        let headers: Vec<_> = wrong.iter().map(|value| ("authorization", *value)).collect();
        for path in ["/eth/v1/node/version", "/eth/v1/x", "/eth/v1/events?topics=head"] {
            let got = bench.ask("GET", path, &headers, Body::empty()).await;
            assert_eq!(got.header("www-authenticate"), Some("Bearer"));
            assert_eq!(got.error(401), "missing or wrong bearer token");
        }
    }
    assert!(bn.sent().is_empty());
    let right = [("authorization", "Bearer 0123456789abcdef")];
    assert_eq!(
        bench.ask("GET", "/eth/v1/x", &right, Body::empty()).await.status,
        StatusCode::OK
    );
    let [sent] = bn.sent().try_into().unwrap();
    assert!(!sent.headers.contains_key("authorization"));
}
