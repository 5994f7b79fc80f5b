//! What happens to every request before and after its handler: routing, limits, content type, metrics, deadline, log.
//!
//! Guarantees: every request gets an answer within the deadline, or 408 with a sentence that says what was awaited; no
//! more requests run at once than the limit says; a submission goes on when its client hangs up; a stopping node says so.
//! Not here: connections (`listener`), what each endpoint does (`handlers`).

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header, request::Parts};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::{
    sync::{Semaphore, oneshot},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use trireme_core::{
    life::Life,
    validatorapi::{Awaited, ValidatorApi},
};

use crate::{
    accept::{Encoding, body_encoding, prefers_ssz},
    error::{ApiError, empty, plain},
    handlers::{self, Asked},
    limits,
    metrics::Metrics,
    proxy::{Passed, Proxy},
    route::{Endpoint, Kind, Route, route},
};

/// Label of requests that are passed on.
const PROXY: &str = "proxy";
/// Label of errors of the event stream.
const EVENTS: &str = "events";

/// Settings of the server.
#[derive(Debug, Clone)]
pub struct Config {
    /// What `GET /eth/v1/node/version` answers, for example `obolnetwork/charon/v1.11.0-abcdef0/amd64-linux`. It must
    /// contain `charon`: some validator clients then skip a comparison that cannot hold behind a middleware.
    pub node_version: String,
}

/// The validator API behind HTTP.
pub struct Server {
    pub(crate) api: Arc<ValidatorApi>,
    pub(crate) proxy: Proxy,
    pub(crate) config: Config,
    metrics: Metrics,
    seen: Arc<AtomicU64>,
    life: Life,
    stopping: CancellationToken,
    requests: Semaphore,
    streams: Arc<Semaphore>,
}

impl Server {
    /// Builds the server. `seen` grows with every request, whatever its path: the readiness check wants to know whether
    /// a validator client is there. Submissions run as tasks of `life`.
    #[must_use]
    pub fn new(
        api: Arc<ValidatorApi>,
        proxy: Proxy,
        config: Config,
        metrics: Metrics,
        seen: Arc<AtomicU64>,
        life: Life,
    ) -> Self {
        Self {
            api,
            proxy,
            config,
            metrics,
            seen,
            life,
            stopping: CancellationToken::new(),
            requests: Semaphore::new(limits::MAX_REQUESTS),
            streams: Arc::new(Semaphore::new(limits::MAX_EVENT_STREAMS)),
        }
    }

    /// From now on everything that waits, and every new request, is answered 503.
    pub fn stop(&self) {
        self.stopping.cancel();
    }

    /// Answers one request.
    pub async fn handle(self: &Arc<Self>, request: Request<Body>) -> Response {
        self.seen.fetch_add(1, Ordering::Relaxed);
        let (parts, body) = request.into_parts();
        let answer = self.routed(&parts, body);
        tokio::select! { biased;
            () = self.stopping.cancelled() => plain(StatusCode::SERVICE_UNAVAILABLE, "the node is stopping"),
            answer = answer => answer,
        }
    }

    async fn routed(self: &Arc<Self>, parts: &Parts, body: Body) -> Response {
        let busy = || plain(StatusCode::SERVICE_UNAVAILABLE, "too many requests at once");
        match route(&parts.method, parts.uri.path()) {
            Route::Redirect(to) => redirect(&to, parts.uri.query()),
            Route::Denied => self.failed(PROXY, &ApiError::not_found(), Instant::now()),
            Route::Here(endpoint, params) => match self.requests.try_acquire() {
                Ok(_permit) => self.here(endpoint, params, parts, body).await,
                Err(_) => busy(),
            },
            Route::Proxy => match self.requests.try_acquire() {
                Ok(_permit) => self.proxied(parts, body).await,
                Err(_) => busy(),
            },
            Route::Events => match Arc::clone(&self.streams).try_acquire_owned() {
                Ok(permit) => self.events(parts, permit).await,
                Err(_) => busy(),
            },
        }
    }

    async fn here(self: &Arc<Self>, endpoint: Endpoint, params: Vec<String>, parts: &Parts, body: Body) -> Response {
        let began = Instant::now();
        let label = endpoint.label();
        let awaited = Arc::new(Awaited::new("the request's body"));
        let run = async {
            let encoding = body_encoding(&parts.headers).map_err(|foreign| {
                ApiError::new(
                    StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    format!("unsupported media type {foreign}"),
                )
            })?;
            self.metrics.request(label, encoding);
            if encoding == Encoding::Ssz && !endpoint.takes_ssz() {
                return Err(ApiError::new(
                    StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    "Cannot read the supplied content type.",
                ));
            }
            if let Some(agent) = parts.headers.get(header::USER_AGENT) {
                self.metrics.user_agent(agent.as_bytes());
            }
            let body = read(body, max_body(endpoint)).await?;
            match endpoint.kind() {
                Kind::Swallowed => return Ok(empty()),
                Kind::Retired => {
                    tracing::warn!(
                        topic = "vapi",
                        endpoint = label,
                        "validator client uses a retired endpoint"
                    );
                    return Err(ApiError::not_found());
                }
                Kind::Served => {}
            }
            let asked = Asked {
                endpoint,
                params,
                query: parts.uri.query().unwrap_or_default().to_owned(),
                version: parts.headers.get("eth-consensus-version").cloned(),
                encoding,
                prefers_ssz: prefers_ssz(&parts.headers),
                body,
            };
            self.run(asked, Arc::clone(&awaited)).await
        };
        let result = match tokio::time::timeout(limits::HANDLER_DEADLINE, pin!(run)).await {
            Ok(result) => {
                self.metrics.latency(label, began.elapsed());
                result
            }
            Err(_) => Err(ApiError::new(
                StatusCode::REQUEST_TIMEOUT,
                format!(
                    "timed out after {} s waiting for {}",
                    limits::HANDLER_DEADLINE.as_secs(),
                    awaited.get()
                ),
            )),
        };
        result.unwrap_or_else(|e| self.failed(label, &e, began))
    }

    /// Runs the handler. A submission is a task of its own: the client may hang up as soon as it has sent it.
    async fn run(self: &Arc<Self>, asked: Asked, awaited: Arc<Awaited>) -> Result<Response, ApiError> {
        if !asked.endpoint.submits() {
            return handlers::answer(self, asked, &awaited).await;
        }
        let (tx, rx) = oneshot::channel();
        let server = Arc::clone(self);
        self.life.task("vapi.submission", async move {
            let limit = limits::HANDLER_DEADLINE;
            let Ok(result) = tokio::time::timeout(limit, handlers::answer(&server, asked, &awaited)).await else {
                return;
            };
            // The client may be gone; what it submitted is not.
            let _ = tx.send(result);
        });
        rx.await
            .map_err(|_| ApiError::internal("the submission was given up"))?
    }

    async fn proxied(&self, parts: &Parts, body: Body) -> Response {
        let began = Instant::now();
        let run = async {
            let body = read(body, limits::MAX_PROXY_BODY).await?;
            let passed = passed(parts, body);
            self.proxy
                .pass(&passed)
                .await
                .map_err(|e| ApiError::internal(e.to_string()))
        };
        match tokio::time::timeout(limits::HANDLER_DEADLINE, pin!(run)).await {
            Ok(result) => {
                let took = began.elapsed();
                self.metrics.proxy_latency(parts.uri.path(), took);
                self.metrics.latency(PROXY, took);
                match result {
                    Ok(answer) => {
                        self.count_refusal(&answer);
                        answer
                    }
                    Err(e) => self.failed(PROXY, &e, began),
                }
            }
            Err(_) => {
                let text = format!(
                    "timed out after {} s waiting for a beacon node",
                    limits::HANDLER_DEADLINE.as_secs()
                );
                self.failed(PROXY, &ApiError::new(StatusCode::REQUEST_TIMEOUT, text), began)
            }
        }
    }

    async fn events(&self, parts: &Parts, permit: tokio::sync::OwnedSemaphorePermit) -> Response {
        let began = Instant::now();
        match self.proxy.events(&passed(parts, Bytes::new())).await {
            Ok(answer) => {
                self.count_refusal(&answer);
                let stop = self.stopping.clone();
                answer.map(|body| {
                    let chunks = futures::StreamExt::take_until(body.into_data_stream(), async move {
                        stop.cancelled().await;
                    });
                    // The permit lives as long as the stream.
                    Body::from_stream(futures::StreamExt::inspect(chunks, move |_| {
                        let _held = &permit;
                    }))
                })
            }
            Err(e) => self.failed(EVENTS, &ApiError::internal(e.to_string()), began),
        }
    }

    fn count_refusal(&self, answer: &Response) {
        if !answer.status().is_success() {
            self.metrics.error(PROXY, answer.status());
        }
    }

    fn failed(&self, label: &'static str, e: &ApiError, began: Instant) -> Response {
        self.metrics.error(label, e.status);
        let duration = began.elapsed().as_secs_f64();
        let status_code = e.status.as_u16();
        if e.status.is_client_error() {
            tracing::debug!(
                topic = "vapi",
                vapi_endpoint = label,
                status_code,
                message = e.message,
                duration,
                "Validator api 4xx response"
            );
        } else {
            tracing::error!(
                topic = "vapi",
                vapi_endpoint = label,
                status_code,
                message = e.message,
                error = e.cause,
                duration,
                "Validator api 5xx response"
            );
        }
        e.response()
    }
}

impl Endpoint {
    /// Whether the request brings signatures that the cluster waits for.
    pub(crate) const fn submits(self) -> bool {
        matches!(
            self,
            Self::SubmitAttestationsV2
                | Self::SubmitProposalV1
                | Self::SubmitProposalV2
                | Self::SubmitBlindedBlockV1
                | Self::SubmitBlindedBlockV2
        )
    }
}

const fn max_body(endpoint: Endpoint) -> usize {
    match endpoint {
        Endpoint::SubmitProposalV1
        | Endpoint::SubmitProposalV2
        | Endpoint::SubmitBlindedBlockV1
        | Endpoint::SubmitBlindedBlockV2 => limits::MAX_BLOCK_BODY,
        _ => limits::MAX_BODY,
    }
}

/// Reads a body of at most `limit` bytes; nothing is reserved on the word of `Content-Length`.
async fn read(body: Body, limit: usize) -> Result<Bytes, ApiError> {
    match Limited::new(body, limit).collect().await {
        Ok(all) => Ok(all.to_bytes()),
        Err(e) if e.is::<LengthLimitError>() => Err(ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the request's body is larger than {limit} bytes"),
        )),
        Err(_) => Err(ApiError::bad("the request's body broke off")),
    }
}

fn passed(parts: &Parts, body: Bytes) -> Passed {
    Passed {
        method: parts.method.clone(),
        path_and_query: parts
            .uri
            .path_and_query()
            .map_or_else(|| "/".to_owned(), ToString::to_string),
        headers: parts.headers.clone(),
        body,
    }
}

fn redirect(path: &str, query: Option<&str>) -> Response {
    let to = query.map_or_else(|| path.to_owned(), |q| format!("{path}?{q}"));
    let mut response = empty();
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    // The path is percent-encoded, the query came in a request line: both are header text.
    if let Ok(to) = HeaderValue::from_str(&to) {
        response.headers_mut().insert(header::LOCATION, to);
    }
    response
}

/// The version header of a request, as text.
pub(crate) fn header_text(value: Option<&HeaderValue>) -> Option<&str> {
    value.and_then(|v| v.to_str().ok())
}
