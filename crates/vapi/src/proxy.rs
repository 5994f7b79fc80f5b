//! Everything that this node does not answer itself goes to the beacon nodes and comes back as it is.
//!
//! Guarantees: the first beacon node that answers wins; one that fails (5xx) gives the others a second to do better.
//! Fallbacks are asked only when no primary one has an answer. Subscriptions go to all primary ones. Answers are
//! streamed. Neither hop-by-hop headers nor the credentials for the beacon nodes pass through.
//! Not here: which paths are passed on (`route`), time limits (`server`).

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use tokio::time::Instant;
use url::Url;

use crate::limits;

/// One beacon node.
#[derive(Clone)]
pub struct Upstream {
    /// Base address; user info becomes basic authorisation.
    pub url: Url,
    /// Sent with every request; they replace headers of the client.
    pub headers: HeaderMap,
}

impl std::fmt::Debug for Upstream {
    /// Without credentials.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.address())
    }
}

impl Upstream {
    /// Scheme, host and port: what may be logged.
    #[must_use]
    pub fn address(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        match self.url.port() {
            Some(port) => format!("{}://{host}:{port}", self.url.scheme()),
            None => format!("{}://{host}", self.url.scheme()),
        }
    }

    fn target(&self, path_and_query: &str) -> Url {
        let mut url = self.url.clone();
        let (path, query) = path_and_query
            .split_once('?')
            .map_or((path_and_query, None), |(p, q)| (p, Some(q)));
        url.set_path(&format!("{}{path}", self.url.path().trim_end_matches('/')));
        url.set_query(query);
        // The client turns user info into a header by itself only for some schemes; it is done in `headers_for`.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url
    }

    fn headers_for(&self, client: &HeaderMap) -> HeaderMap {
        let mut headers = passed_on(client);
        headers.remove(header::HOST);
        headers.remove(header::CONTENT_LENGTH);
        // What the client says about itself is not for the beacon node, and would be mistaken for our word.
        headers.remove(header::FORWARDED);
        for name in ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"] {
            headers.remove(name);
        }
        if let Some(basic) = basic_authorisation(&self.url) {
            headers.insert(header::AUTHORIZATION, basic);
        }
        for (name, value) in &self.headers {
            headers.insert(name, value.clone());
        }
        headers
    }
}

fn basic_authorisation(url: &Url) -> Option<HeaderValue> {
    use base64::Engine as _;
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let plain = |text: &str| percent_decoded(text);
    let pair = [
        &plain(url.username())[..],
        b":",
        &plain(url.password().unwrap_or_default()),
    ]
    .concat();
    let mut value = HeaderValue::from_str(&format!(
        "Basic {}",
        base64::engine::general_purpose::STANDARD.encode(pair)
    ))
    .ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn percent_decoded(text: &str) -> Vec<u8> {
    // A form decoder also turns plus signs into spaces, which a password may contain.
    let text = text.replace('+', "%2B");
    url::form_urlencoded::parse(format!("k={}", text.replace('&', "%26").replace('=', "%3D")).as_bytes())
        .next()
        .map(|(_, v)| v.into_owned().into_bytes())
        .unwrap_or_default()
}

/// Headers that concern one connection only (RFC 9110 7.6.1).
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The headers without those of one connection, and without those that `Connection` names.
fn passed_on(headers: &HeaderMap) -> HeaderMap {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    let mut out = headers.clone();
    for name in HOP_BY_HOP {
        out.remove(name);
    }
    for name in named {
        out.remove(name);
    }
    out
}

/// What of a beacon node's answer concerns only the two of us.
fn for_client(headers: &HeaderMap) -> HeaderMap {
    let mut out = passed_on(headers);
    for name in [header::SET_COOKIE, header::WWW_AUTHENTICATE] {
        out.remove(name);
    }
    let location = out
        .get(header::LOCATION)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| Url::parse(v).ok());
    if location.is_some_and(|url| !url.username().is_empty() || url.password().is_some()) {
        out.remove(header::LOCATION);
    }
    out
}

/// A request that is passed on; its body has been read, because every beacon node gets its own copy.
#[derive(Debug, Clone)]
pub(crate) struct Passed {
    pub(crate) method: Method,
    pub(crate) path_and_query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// No beacon node answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no beacon node answered: {0}")]
pub(crate) struct NoneAnswered(String);

impl NoneAnswered {
    /// One reason per beacon node that was asked.
    pub(crate) fn of(reasons: Vec<String>) -> Self {
        Self(if reasons.is_empty() {
            "none is configured".to_owned()
        } else {
            reasons.join("; ")
        })
    }
}

/// Which primary beacon node is best for a stream; given by whoever measures them.
pub type Best = Arc<dyn Fn() -> Option<usize> + Send + Sync>;

/// The beacon nodes as seen by the proxy.
pub struct Proxy {
    client: reqwest::Client,
    primaries: Vec<Upstream>,
    fallbacks: Vec<Upstream>,
    best: Best,
    winner: AtomicUsize,
}

/// The proxy's HTTP client could not be made.
#[derive(Debug, thiserror::Error)]
pub enum NoClient {
    /// The TLS library.
    #[error("no HTTP client for the proxy: {0}")]
    Client(#[from] reqwest::Error),
    /// A file of certificates.
    #[error("the certificates in {path} cannot be used: {reason}")]
    Certificates {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
}

fn read(files: &[PathBuf]) -> Result<Vec<reqwest::Certificate>, NoClient> {
    let mut all = Vec::new();
    for file in files {
        let bad = |reason: String| NoClient::Certificates {
            path: file.display().to_string(),
            reason,
        };
        let pem = std::fs::read(file).map_err(|e| bad(e.to_string()))?;
        let some = reqwest::Certificate::from_pem_bundle(&pem).map_err(|e| bad(e.to_string()))?;
        if some.is_empty() {
            return Err(bad("there is none in PEM form".to_owned()));
        }
        all.extend(some);
    }
    Ok(all)
}

impl Proxy {
    /// A proxy to these beacon nodes. `best` names a primary one by position; `None` leaves the choice to the proxy, which takes
    /// the one that answered last. The authorities in `certificates`, PEM files, are trusted besides the system's.
    ///
    /// # Errors
    /// If the TLS library finds no certificates, or a file has none.
    pub fn new(
        primaries: Vec<Upstream>,
        fallbacks: Vec<Upstream>,
        best: Option<Best>,
        certificates: &[PathBuf],
    ) -> Result<Self, NoClient> {
        // Some other part of the process may have done this; either way there is a provider afterwards.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .no_gzip()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(5))
            .tls_certs_merge(read(certificates)?)
            .build()?;
        Ok(Self {
            client,
            primaries,
            fallbacks,
            best: best.unwrap_or_else(|| Arc::new(|| None)),
            winner: AtomicUsize::new(0),
        })
    }

    /// Sends the request to all primary beacon nodes at once; the first that answers wins.
    pub(crate) async fn pass(&self, request: &Passed) -> Result<Response, NoneAnswered> {
        let to_all = request.method == Method::POST && request.path_and_query.ends_with("_committee_subscriptions");
        let first = if to_all {
            self.broadcast(request).await
        } else {
            self.race(&self.primaries, request).await.map(|(at, answer)| {
                self.winner.store(at, Ordering::Relaxed);
                answer
            })
        };
        let answer = match first {
            Ok(answer) if !is_down(&answer) || self.fallbacks.is_empty() => answer,
            Err(why) if self.fallbacks.is_empty() => return Err(why),
            Ok(answer) => match self.race(&self.fallbacks, request).await {
                Ok((_, better)) if !better.status().is_server_error() => better,
                Ok(_) | Err(_) => answer,
            },
            Err(_) => self.race(&self.fallbacks, request).await?.1,
        };
        Ok(streamed(answer, Some(limits::PROXY_IDLE)))
    }

    /// Every beacon node: the best primary one, the other primary ones, the fallbacks.
    pub(crate) fn best_first(&self) -> Vec<&Upstream> {
        let best = (self.best)().unwrap_or_else(|| self.winner.load(Ordering::Relaxed));
        let first = self.primaries.get(best);
        let others = self
            .primaries
            .iter()
            .enumerate()
            .filter(|(at, _)| *at != best)
            .map(|(_, u)| u);
        first.into_iter().chain(others).chain(&self.fallbacks).collect()
    }

    async fn race(&self, upstreams: &[Upstream], request: &Passed) -> Result<(usize, reqwest::Response), NoneAnswered> {
        let mut running: FuturesUnordered<BoxFuture<'_, (usize, Result<reqwest::Response, String>)>> = upstreams
            .iter()
            .enumerate()
            .map(|(at, upstream)| -> BoxFuture<'_, _> {
                Box::pin(async move { (at, self.send(upstream, request).await) })
            })
            .collect();
        let (mut reasons, mut failed, mut patience) = (Vec::new(), None, None);
        loop {
            let next = match patience {
                None => running.next().await,
                Some(until) => match tokio::time::timeout_at(until, running.next()).await {
                    Ok(next) => next,
                    Err(_) => break,
                },
            };
            match next {
                Some((at, Ok(answer))) if !answer.status().is_server_error() => return Ok((at, answer)),
                Some((at, Ok(answer))) => {
                    failed.get_or_insert((at, answer));
                    patience.get_or_insert_with(|| Instant::now() + limits::OTHERS);
                }
                Some((_, Err(reason))) => reasons.push(reason),
                None => break,
            }
        }
        failed.ok_or_else(|| NoneAnswered::of(reasons))
    }

    /// Subscriptions are worth having at every beacon node: asks all, and answers with the first success once the others
    /// have had a second more.
    async fn broadcast(&self, request: &Passed) -> Result<reqwest::Response, NoneAnswered> {
        let mut running: FuturesUnordered<_> = self
            .primaries
            .iter()
            .map(|upstream| async move { (upstream, self.send(upstream, request).await) })
            .collect();
        let (mut taken, mut refusal, mut reasons, mut patience) = (None, None, Vec::new(), None);
        loop {
            let next = match patience {
                None => running.next().await,
                Some(until) => match tokio::time::timeout_at(until, running.next()).await {
                    Ok(next) => next,
                    Err(_) => {
                        tracing::warn!(
                            topic = "vapi",
                            "a beacon node did not take a committee subscription in time"
                        );
                        break;
                    }
                },
            };
            match next {
                Some((_, Ok(answer))) if answer.status().is_success() => {
                    taken.get_or_insert(answer);
                    patience.get_or_insert_with(|| Instant::now() + limits::OTHERS);
                }
                Some((upstream, Ok(answer))) => {
                    tracing::warn!(topic = "vapi", beacon_node = %upstream.address(), status = answer.status().as_u16(),
                        "beacon node refused a committee subscription");
                    refusal.get_or_insert(answer);
                }
                Some((_, Err(reason))) => reasons.push(reason),
                None => break,
            }
        }
        taken.or(refusal).ok_or_else(|| NoneAnswered::of(reasons))
    }

    /// The error says no more than address and kind: the library's own text would show the whole URL.
    pub(crate) async fn send(&self, upstream: &Upstream, request: &Passed) -> Result<reqwest::Response, String> {
        let mut builder = self
            .client
            .request(request.method.clone(), upstream.target(&request.path_and_query))
            .headers(upstream.headers_for(&request.headers));
        if !request.body.is_empty() || request.method == Method::POST {
            builder = builder.body(request.body.clone());
        }
        builder.send().await.map_err(|e| {
            let what = if e.is_connect() {
                "no connection"
            } else if e.is_timeout() {
                "no answer in time"
            } else {
                "the exchange broke off"
            };
            format!("{}: {what}", upstream.address())
        })
    }
}

/// Whether the beacon node, or what stands in front of it, is not there, rather than not able to answer this question.
fn is_down(answer: &reqwest::Response) -> bool {
    matches!(
        answer.status(),
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
    )
}

/// The answer with its body as it arrives; `idle` limits the silence within it.
pub(crate) fn streamed(answer: reqwest::Response, idle: Option<Duration>) -> Response {
    let status = answer.status();
    let headers = for_client(answer.headers());
    let length = answer.content_length();
    let chunks = answer
        .bytes_stream()
        .map_err(|_| std::io::Error::other("the beacon node's answer broke off"));
    let body = match idle {
        _ if length == Some(0) => Body::empty(),
        Some(limit) => Body::from_stream(futures::stream::try_unfold(
            Box::pin(chunks),
            move |mut chunks| async move {
                match tokio::time::timeout(limit, chunks.try_next()).await {
                    Ok(Ok(Some(chunk))) => Ok(Some((chunk, chunks))),
                    Ok(Ok(None)) => Ok(None),
                    Ok(Err(e)) => Err(e),
                    Err(_) => Err(std::io::Error::other("the beacon node's answer stopped half-way")),
                }
            },
        )),
        None => Body::from_stream(chunks),
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status.as_u16()).unwrap_or(StatusCode::BAD_GATEWAY);
    *response.headers_mut() = headers;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream(url: &str) -> Upstream {
        Upstream {
            url: url.parse().unwrap(),
            headers: HeaderMap::new(),
        }
    }

    #[test]
    fn the_target_keeps_base_path_and_query_and_loses_the_credentials() {
        let u = upstream("https://us%65r:p%2Bss@bn.example:9000/key/");
        assert_eq!(
            u.target("/eth/v1/x?a=1&b=%20").as_str(),
            "https://bn.example:9000/key/eth/v1/x?a=1&b=%20"
        );
        assert_eq!(format!("{u:?}"), "https://bn.example:9000");
        assert_eq!(
            u.headers_for(&HeaderMap::new())[header::AUTHORIZATION],
            "Basic dXNlcjpwK3Nz"
        );
    }

    #[test]
    fn headers_of_one_connection_stay_behind() {
        let mut client = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, x-private"),
            ("x-private", "1"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("host", "127.0.0.1:3600"),
            ("accept", "application/json"),
            ("x-forwarded-for", "10.0.0.1"),
        ] {
            client.insert(name, HeaderValue::from_static(value));
        }
        let sent = upstream("http://bn").headers_for(&client);
        assert_eq!(sent.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["accept"]);
    }

    #[test]
    fn configured_headers_replace_those_of_the_client() {
        let mut u = upstream("http://bn");
        u.headers.insert("x-key", HeaderValue::from_static("ours"));
        let mut client = HeaderMap::new();
        client.insert("x-key", HeaderValue::from_static("theirs"));
        client.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer theirs"));
        let sent = u.headers_for(&client);
        assert_eq!(sent["x-key"], "ours");
        assert_eq!(sent[header::AUTHORIZATION], "Bearer theirs");
    }

    #[test]
    fn answers_lose_cookies_challenges_and_locations_with_credentials() {
        let mut bn = HeaderMap::new();
        for (name, value) in [
            ("set-cookie", "session=1"),
            ("www-authenticate", "Basic realm=bn"),
            ("transfer-encoding", "chunked"),
            ("location", "http://user:secret@bn/x"),
            ("eth-consensus-version", "fulu"),
        ] {
            bn.insert(name, HeaderValue::from_static(value));
        }
        assert_eq!(
            for_client(&bn).keys().map(HeaderName::as_str).collect::<Vec<_>>(),
            ["eth-consensus-version"]
        );
    }
}
