//! Spans as a collector receives them.

use std::convert::Infallible;

use axum::body::Bytes;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::{
    HeaderMap, Request, Response,
    body::{Frame, Incoming},
    header::{HeaderName, HeaderValue},
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::{collector::trace::v1::ExportTraceServiceRequest, common::v1::any_value};
use prost::Message as _;
use tokio::{net::TcpListener, sync::mpsc, task::JoinSet};
use tracing_subscriber::layer::SubscriberExt as _;
use trireme_telemetry::{TraceConfig, Traces};

type Received = (HeaderMap, ExportTraceServiceRequest);

/// A collector that takes everything.
async fn collector() -> (String, mpsc::Receiver<Received>, JoinSet<()>) {
    let (tx, rx) = mpsc::channel(16);
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let tx = tx.clone();
            let service = service_fn(move |request| take(request, tx.clone()));
            connections.spawn(async move {
                let server = http2::Builder::new(TokioExecutor::new());
                server.serve_connection(TokioIo::new(stream), service).await
            });
        }
    });
    (address, rx, tasks)
}

type Frames = futures::stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>;
type Answer = Response<StreamBody<Frames>>;

/// One call of the collector's only method: a message behind its five-byte head, answered by an empty one.
async fn take(request: Request<Incoming>, tx: mpsc::Sender<Received>) -> Result<Answer, Infallible> {
    assert_eq!(
        request.uri().path(),
        "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
    );
    let (head, body) = request.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let message = ExportTraceServiceRequest::decode(&bytes[5..]).unwrap();
    tx.send((head.headers, message)).await.unwrap();
    let ok = (HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"));
    let frames = vec![
        Ok(Frame::data(Bytes::from_static(&[0; 5]))),
        Ok(Frame::trailers(HeaderMap::from_iter([ok]))),
    ];
    let answer = Response::builder().header("content-type", "application/grpc");
    let body = StreamBody::new(futures::stream::iter(frames));
    Ok(answer.body(body).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_receives_a_duty_with_the_clusters_name_and_the_headers() {
    const TRACE: &str = "22641bd2cffb591dab359335495d6d42";
    let (address, mut received, _tasks) = collector().await;
    let traces = Traces::new(TraceConfig {
        address,
        headers: vec![("Authorization".into(), "Basic abc".into())],
        insecure: true,
        service_name: "charon".into(),
    });
    traces.start("abcdef0").unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(traces.layer()), || {
        drop(tracing::info_span!("duty", duty = "123/attester", trace_id = TRACE));
    });
    let stopping = traces.clone();
    tokio::task::spawn_blocking(move || stopping.stop()).await.unwrap();

    let (headers, request) = received.recv().await.unwrap();
    assert_eq!(headers["authorization"], "Basic abc");
    let [spans] = &request.resource_spans[..] else {
        panic!("{request:?}")
    };
    let [name] = &spans.resource.as_ref().unwrap().attributes[..] else {
        panic!("{request:?}")
    };
    assert_eq!(name.key, "service.name");
    let value = name.value.clone().unwrap().value.unwrap();
    assert_eq!(value, any_value::Value::StringValue("abcdef0/charon".into()));
    let span = &spans.scope_spans[0].spans[0];
    assert_eq!(span.name, "core/duty.attester");
    let trace: String = span.trace_id.iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(trace, TRACE);
    assert!(span.parent_span_id.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_down_costs_spans_and_nothing_else() {
    // A port that nobody listens on any more.
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let traces = Traces::new(TraceConfig {
        address,
        headers: Vec::new(),
        insecure: true,
        service_name: "charon".into(),
    });
    traces.start("abcdef0").unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(traces.layer()), || {
        for _ in 0..20_000 {
            drop(tracing::info_span!("x"));
        }
    });
    tokio::task::spawn_blocking(move || traces.stop()).await.unwrap();
}
