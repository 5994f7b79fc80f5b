//! What happens to every request before and after its handler: routing, limits, content type, metrics, deadline, log.
//!
//! Guarantees: every request gets an answer within the deadline, or 408 with a sentence that says what was awaited; no
//! more requests run at once than the limit says; a submission goes on when its client hangs up; a stopping node says so.
//! Not here: connections (`listener`), what each endpoint does (`handlers`).

use std::{
    convert::Infallible,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header, request::Parts};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_http::cors::CorsLayer;
use trireme_core::{
    life::Life,
    validatorapi::{Awaited, ValidatorApi},
};

use crate::{
    accept::{Encoding, body_encoding, prefers_ssz},
    allow::allowed,
    asked::Asked,
    behind::Behind,
    bodies::{Bodies, Read},
    clients::Clients,
    config::Config,
    error::{ApiError, empty, plain},
    handlers, limits,
    metrics::Metrics,
    proxy::{Passed, Proxy},
    route::{Endpoint, Kind, Route, route},
    shared::Shared,
    tls::Tls,
};

/// Label of requests that are passed on.
const PROXY: &str = "proxy";
/// Label of errors of the event stream.
const EVENTS: &str = "events";

/// The validator API behind HTTP.
pub struct Server {
    behind: Arc<Behind>,
    shared: Shared,
    cors: CorsLayer,
    bodies: Bodies,
    metrics: Metrics,
    seen: Arc<AtomicU64>,
    life: Life,
    stopping: CancellationToken,
    requests: Arc<Semaphore>,
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
        let shared = Shared::new(api.events(), api.slot_duration(), metrics.unverified_heads());
        let cors = config.origins.layer();
        Self {
            behind: Arc::new(Behind {
                api,
                proxy: Arc::new(proxy),
                config,
                clients: Clients::default(),
            }),
            shared,
            cors,
            bodies: Bodies::default(),
            metrics,
            seen,
            life,
            stopping: CancellationToken::new(),
            requests: Arc::new(Semaphore::new(limits::MAX_REQUESTS)),
            streams: Arc::new(Semaphore::new(limits::MAX_EVENT_STREAMS)),
        }
    }

    /// The certificate, if connections are to be encrypted.
    pub(crate) fn tls(&self) -> Option<Tls> {
        self.behind.config.tls.clone()
    }

    /// From now on everything that waits, and every new request, is answered 503.
    pub fn stop(&self) {
        self.stopping.cancel();
    }

    /// Answers one request.
    pub async fn handle(self: &Arc<Self>, request: Request<Body>) -> Response {
        self.seen.fetch_add(1, Ordering::Relaxed);
        if !request.headers().contains_key(header::ORIGIN) {
            return self.admitted(request).await;
        }
        // A browser, which also asks whether it may ask, and then brings no token.
        let server = Arc::clone(self);
        let admitted = service_fn(move |request| {
            let server = Arc::clone(&server);
            async move { Ok::<_, Infallible>(server.admitted(request).await) }
        });
        let Ok(answer) = self.cors.layer(admitted).oneshot(request).await;
        answer
    }

    /// Answers a request that brings the token, if one is asked for.
    async fn admitted(self: &Arc<Self>, request: Request<Body>) -> Response {
        let (mut parts, body) = request.into_parts();
        if let Some(token) = &self.behind.config.token {
            if !token.is_in(&parts.headers) {
                let e = ApiError::new(StatusCode::UNAUTHORIZED, "missing or wrong bearer token");
                return self.failed(PROXY, &e, Instant::now());
            }
            // It is for us; the beacon node has credentials of its own.
            parts.headers.remove(header::AUTHORIZATION);
        }
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
            Route::Here(endpoint, params) => match Arc::clone(&self.requests).try_acquire_owned() {
                // On the heap: the futures of all handlers together are large.
                Ok(permit) => Box::pin(self.here(endpoint, params, parts, body, permit)).await,
                Err(_) => busy(),
            },
            Route::Proxy if self.behind.config.allow_list && !allowed(&parts.method, parts.uri.path()) => {
                self.failed(PROXY, &ApiError::not_found(), Instant::now())
            }
            Route::Proxy => match Arc::clone(&self.requests).try_acquire_owned() {
                Ok(permit) => self.proxied(parts, body, permit).await,
                Err(_) => busy(),
            },
            Route::Events => match Arc::clone(&self.streams).try_acquire_owned() {
                Ok(permit) => self.events(parts, permit).await,
                Err(_) => busy(),
            },
        }
    }

    async fn here(
        self: &Arc<Self>,
        endpoint: Endpoint,
        params: Vec<String>,
        parts: &Parts,
        body: Body,
        permit: OwnedSemaphorePermit,
    ) -> Response {
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
                self.behind.clients.agent(agent.as_bytes());
            }
            let Read { bytes: body, room } = self.bodies.read(body, max_body(endpoint)).await?;
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
                prefers_ssz: !self.behind.config.json_only && prefers_ssz(&parts.headers),
                body,
                until: began + limits::HANDLER_DEADLINE,
            };
            self.run(asked, Arc::clone(&awaited), (permit, room)).await
        };
        let result = match tokio::time::timeout(limit(endpoint), pin!(run)).await {
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

    /// Runs the handler. A submission is a task of its own: the client may hang up as soon as it has sent it. `held` is
    /// what it holds of the common limits.
    async fn run<H: Send + 'static>(
        self: &Arc<Self>,
        asked: Asked,
        awaited: Arc<Awaited>,
        held: H,
    ) -> Result<Response, ApiError> {
        if !asked.endpoint.submits() {
            let answer = handlers::answer(&self.behind, asked, &awaited).await;
            drop(held);
            return answer;
        }
        let (tx, rx) = oneshot::channel();
        let behind = Arc::clone(&self.behind);
        let limit = limit(asked.endpoint);
        self.life.task("vapi.submission", async move {
            let result = tokio::time::timeout(limit, handlers::answer(&behind, asked, &awaited)).await;
            drop(held);
            // The client may be gone; what it submitted is not.
            if let Ok(answer) = result {
                let _ = tx.send(answer);
            }
        });
        rx.await
            .map_err(|_| ApiError::internal("the submission was given up"))?
    }

    async fn proxied(&self, parts: &Parts, body: Body, permit: OwnedSemaphorePermit) -> Response {
        let began = Instant::now();
        let run = async {
            let Read { bytes, room } = self.bodies.read(body, limits::MAX_PROXY_BODY).await?;
            let (passed, proxy) = (passed(parts, bytes), &self.behind.proxy);
            let answer = if passed.subscribes() && proxy.standing().subscribes_all() {
                proxy.subscribe(passed, &self.life, (permit, room)).await
            } else {
                let answer = match self.shared.answer(&self.behind, &passed).await {
                    Some(answer) => answer,
                    None => proxy.pass(&passed).await,
                };
                drop((permit, room));
                answer
            };
            answer.map_err(|e| ApiError::internal(e.to_string()))
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
        match self.behind.proxy.events(&passed(parts, Bytes::new())).await {
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
    /// Whether the request brings signatures that the cluster waits for: a block is asked for with a randao reveal.
    pub(crate) const fn submits(self) -> bool {
        matches!(
            self,
            Self::ProposeBlockV3
                | Self::SubmitAttestationsV2
                | Self::SubmitProposalV1
                | Self::SubmitProposalV2
                | Self::SubmitBlindedBlockV1
                | Self::SubmitBlindedBlockV2
                | Self::AggregateBeaconCommitteeSelections
                | Self::AggregateSyncCommitteeSelections
                | Self::SubmitAggregateAndProofsV2
                | Self::SubmitSyncCommitteeMessages
                | Self::SubmitContributionAndProofs
                | Self::SubmitVoluntaryExit
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

/// How long the request may take.
fn limit(endpoint: Endpoint) -> Duration {
    match endpoint {
        Endpoint::AggregateBeaconCommitteeSelections | Endpoint::AggregateSyncCommitteeSelections => {
            limits::HANDLER_DEADLINE.saturating_add(limits::LAST_WORD)
        }
        _ => limits::HANDLER_DEADLINE,
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
