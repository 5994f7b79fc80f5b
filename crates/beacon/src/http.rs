//! One beacon node over HTTP: bytes out, bytes in, every limit in one place.
//!
//! Guarantees: each request ends within its time limit, body included; no body is read beyond its size limit; user info
//! of the address is sent as basic authentication; user info, path and query of the address, which may hold a key, are
//! sent with every request and shown nowhere, and nobody but the configured host gets them; TLS names its provider (ring).
//! Not here: what the paths and bodies mean (`client`).

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use reqwest::{
    Method, StatusCode,
    header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};
use rustls::pki_types::CertificateDer;
use serde::Deserialize;
use trireme_core::ports::BeaconError;
use url::Url;

use crate::{calls::Call, known::says_known};

/// Largest body of an error answer that is read; its message is cut at [`MESSAGE_CHARS`].
const ERROR_LIMIT: usize = 64 * 1024;
const MESSAGE_CHARS: usize = 600;
/// A beacon node that does not accept a connection in this time is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Requests slower than this are worth a line (cli.md 6.7).
const SLOW: Duration = Duration::from_secs(1);
const REDIRECTS: usize = 3;

pub(crate) const JSON: &str = "application/json";
pub(crate) const SSZ: &str = "application/octet-stream";
pub(crate) const SSZ_PREFERRED: &str = "application/octet-stream;q=1,application/json;q=0.9";

/// An address or a header that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not HTTP.
    #[error("beacon node address {0} must begin with http:// or https://")]
    Scheme(String),
    /// A header that HTTP does not allow.
    #[error("beacon node header {0:?} is not a header of HTTP")]
    Header(String),
    /// The TLS library refuses.
    #[error("the HTTP client for beacon node {address} cannot be made: {reason}")]
    Client {
        /// Address without credentials.
        address: String,
        /// What it says.
        reason: String,
    },
}

/// When a request that broke on the way is sent once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    /// If the answer did not arrive: asking twice changes nothing.
    Always,
    /// Only if no connection was made, hence nothing was received.
    Unsent,
}

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) call: Call,
    pub(crate) method: Method,
    /// Path without a slash at its beginning.
    pub(crate) path: String,
    pub(crate) query: Vec<(&'static str, String)>,
    pub(crate) body: Option<(&'static str, Bytes)>,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) accept: &'static str,
    /// Largest body of a good answer in bytes.
    pub(crate) limit: usize,
    /// For the whole exchange.
    pub(crate) time: Duration,
    pub(crate) again: Again,
}

/// A good answer (2xx).
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(crate) fn is_ssz(&self) -> bool {
        self.header("content-type").is_some_and(|kind| kind.starts_with(SSZ))
    }
}

/// The form of errors in the beacon API.
#[derive(Deserialize)]
struct ErrorBody {
    message: String,
    #[serde(default)]
    failures: Vec<Failure>,
}

#[derive(Deserialize)]
struct Failure {
    message: String,
}

pub(crate) struct Http {
    client: reqwest::Client,
    /// With a slash at the end of its path and without user info; its query goes with every request.
    base: Url,
    user: Option<(String, Option<String>)>,
    /// For people.
    address: String,
}

impl Http {
    pub(crate) fn new(
        base: &Url,
        headers: &[(String, String)],
        certificates: &[CertificateDer<'static>],
    ) -> Result<Self, AddressError> {
        let (base, user, address) = take_apart(base)?;
        let mut all = HeaderMap::new();
        for (name, value) in headers {
            let bad = || AddressError::Header(name.clone());
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
            let mut value = HeaderValue::from_str(value).map_err(|_| bad())?;
            value.set_sensitive(true);
            all.append(name, value);
        }
        let refuse = |reason: String| AddressError::Client {
            address: address.clone(),
            reason,
        };
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls(certificates).map_err(|e| refuse(e.to_string()))?)
            .default_headers(all)
            .user_agent(concat!("trireme/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_max_idle_per_host(64)
            .tcp_nodelay(true)
            .no_proxy()
            .redirect(redirects())
            .build()
            .map_err(|e| refuse(e.to_string()))?;
        Ok(Self {
            client,
            base,
            user,
            address,
        })
    }

    /// Address without credentials.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Sends the request, once more if that is harmless, and reads the answer.
    pub(crate) async fn ask(&self, ask: Ask) -> Result<Answer, BeaconError> {
        let began = tokio::time::Instant::now();
        let result = match tokio::time::timeout(ask.time, self.attempts(&ask)).await {
            Ok(result) => result,
            Err(_) => Err(BeaconError::Timeout {
                endpoint: ask.call.endpoint(),
                after: ask.time,
            }),
        };
        let took = began.elapsed();
        // A beacon node that does not answer at all is told of once by whoever asks, not for every look at it.
        if took > SLOW && !matches!(result, Err(BeaconError::Timeout { .. })) {
            let endpoint = ask.call.label();
            tracing::warn!(endpoint, address = self.address, rtt = ?took, "Beacon node call took longer than expected");
        }
        result
    }

    /// Opens a stream; the caller limits what it reads.
    pub(crate) async fn stream(&self, path: &str, query: &[(&str, &str)]) -> Result<reqwest::Response, BeaconError> {
        const ENDPOINT: &str = "/eth/v1/events";
        let url = self.url(path, query.iter().copied());
        let request = self
            .authorised(self.client.get(url))
            .header(ACCEPT, "text/event-stream");
        let response = match tokio::time::timeout(CONNECT_TIMEOUT.saturating_mul(2), request.send()).await {
            Ok(sent) => sent.map_err(|e| self.transport(ENDPOINT, &e))?,
            Err(_) => {
                return Err(BeaconError::Timeout {
                    endpoint: ENDPOINT,
                    after: CONNECT_TIMEOUT.saturating_mul(2),
                });
            }
        };
        if response.status().is_success() {
            Ok(response)
        } else {
            Err(self.refusal(ENDPOINT, response).await)
        }
    }

    async fn attempts(&self, ask: &Ask) -> Result<Answer, BeaconError> {
        match self.attempt(ask).await {
            Ok(answer) => answer,
            Err(broken) => {
                let harmless = match ask.again {
                    Again::Always => true,
                    Again::Unsent => broken.is_connect(),
                };
                if !harmless {
                    return Err(self.transport(ask.call.endpoint(), &broken));
                }
                self.attempt(ask)
                    .await
                    .unwrap_or_else(|e| Err(self.transport(ask.call.endpoint(), &e)))
            }
        }
    }

    /// The outer error is one of transport: the answer did not arrive whole.
    async fn attempt(&self, ask: &Ask) -> Result<Result<Answer, BeaconError>, reqwest::Error> {
        let url = self.url(&ask.path, ask.query.iter().map(|(k, v)| (*k, v.as_str())));
        let mut request = self
            .authorised(self.client.request(ask.method.clone(), url))
            .header(ACCEPT, ask.accept);
        for (name, value) in &ask.headers {
            request = request.header(*name, value);
        }
        if let Some((kind, body)) = &ask.body {
            request = request.header(CONTENT_TYPE, *kind).body(body.clone());
        }
        let response = request.send().await?;
        if !response.status().is_success() {
            return Ok(Err(self.refusal(ask.call.endpoint(), response).await));
        }
        let (status, headers) = (response.status(), response.headers().clone());
        let body = match read(response, ask.limit).await? {
            Body::Whole(body) => body,
            Body::TooLong => {
                let reason = format!("it is longer than {} bytes", ask.limit);
                return Ok(Err(BeaconError::Malformed {
                    endpoint: ask.call.endpoint(),
                    reason,
                }));
            }
        };
        Ok(Ok(Answer { status, headers, body }))
    }

    fn url<'a>(&self, path: &str, query: impl Iterator<Item = (&'a str, &'a str)>) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path()));
        let mut pairs = query.peekable();
        if pairs.peek().is_some() {
            url.query_pairs_mut().extend_pairs(pairs);
        }
        url
    }

    fn authorised(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match &self.user {
            Some((user, password)) => request.basic_auth(user, password.as_ref()),
            None => request,
        }
    }

    fn transport(&self, endpoint: &'static str, e: &reqwest::Error) -> BeaconError {
        if e.is_decode() {
            return BeaconError::Malformed {
                endpoint,
                reason: innermost(e),
            };
        }
        BeaconError::Unreachable {
            address: self.address.clone(),
            reason: innermost(e),
        }
    }

    async fn refusal(&self, endpoint: &'static str, response: reqwest::Response) -> BeaconError {
        let status = response.status();
        if status.is_redirection() {
            return BeaconError::Status {
                endpoint,
                status: status.as_u16(),
                message: "it redirects to another host, which would get its credentials; give that address instead"
                    .to_owned(),
            };
        }
        let body = match read(response, ERROR_LIMIT).await {
            Ok(Body::Whole(body)) => body,
            Ok(Body::TooLong) | Err(_) => Bytes::new(),
        };
        BeaconError::Status {
            endpoint,
            status: status.as_u16(),
            message: message(status, &body),
        }
    }
}

/// The beacon node's words, in one line of bounded length.
pub(crate) fn message(status: StatusCode, body: &[u8]) -> String {
    let text = match serde_json::from_slice::<ErrorBody>(body) {
        Ok(error) => {
            let mut failures: Vec<_> = error.failures.into_iter().map(|f| f.message).collect();
            if !failures.is_empty() && failures.iter().all(|f| says_known(f)) {
                // One stands for all, so that the cut below takes none away.
                failures.truncate(1);
            }
            if failures.is_empty() {
                error.message
            } else {
                format!("{}: {}", error.message, failures.join("; "))
            }
        }
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    let line: String = text
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .take(MESSAGE_CHARS)
        .collect();
    if line.is_empty() {
        status.canonical_reason().unwrap_or("no message").to_owned()
    } else {
        line
    }
}

enum Body {
    Whole(Bytes),
    TooLong,
}

async fn read(mut response: reqwest::Response, limit: usize) -> Result<Body, reqwest::Error> {
    let announced = response
        .content_length()
        .and_then(|n| usize::try_from(n).ok())
        .unwrap_or_default();
    if announced > limit {
        return Ok(Body::TooLong);
    }
    let mut body = BytesMut::with_capacity(announced);
    while let Some(chunk) = response.chunk().await? {
        if body.len().saturating_add(chunk.len()) > limit {
            return Ok(Body::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Body::Whole(body.freeze()))
}

type TakenApart = (Url, Option<(String, Option<String>)>, String);

fn take_apart(given: &Url) -> Result<TakenApart, AddressError> {
    let mut base = given.clone();
    base.set_fragment(None);
    if base.query() == Some("") {
        base.set_query(None);
    }
    let user = (!base.username().is_empty() || base.password().is_some())
        .then(|| (decoded(base.username()), base.password().map(decoded)));
    let no_place = base.set_username("").is_err() || base.set_password(None).is_err();
    if no_place || !matches!(base.scheme(), "http" | "https") {
        return Err(AddressError::Scheme(format!("{}:…", given.scheme())));
    }
    let path = format!("{}/", base.path().trim_end_matches('/'));
    base.set_path(&path);
    let address = shown(&base);
    Ok((base, user, address))
}

/// What may be shown of an address: scheme, host and port. Hosted beacon nodes have their key in the path or the query; a
/// mark of 16 bits stands for both, so that two of one host can be told apart.
fn shown(base: &Url) -> String {
    let host = base.host_str().unwrap_or_default();
    let port = base.port().map(|port| format!(":{port}")).unwrap_or_default();
    let mark = match (base.path(), base.query()) {
        ("/", None) => String::new(),
        (path, query) => {
            let bytes = path.bytes().chain([0]).chain(query.unwrap_or_default().bytes());
            // FNV-1a: the same mark after every start.
            let hash = bytes.fold(0x811c_9dc5_u32, |hash, byte| {
                (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
            });
            format!("/~{:04x}", (hash ^ (hash >> 16)) & 0xffff)
        }
    };
    format!("{}://{host}{port}{mark}", base.scheme())
}

/// Follows redirections within the host that was configured, also from HTTP to HTTPS there. Another host would get the
/// headers and the body that are meant for this one.
fn redirects() -> reqwest::redirect::Policy {
    reqwest::redirect::Policy::custom(|attempt| {
        let same = attempt
            .previous()
            .first()
            .is_some_and(|first| stays(first, attempt.url()));
        if same && attempt.previous().len() <= REDIRECTS {
            attempt.follow()
        } else {
            attempt.stop()
        }
    })
}

fn stays(from: &Url, to: &Url) -> bool {
    let encrypted_now = from.scheme() == "http" && to.scheme() == "https";
    from.host_str() == to.host_str() && (from.origin() == to.origin() || (encrypted_now && to.port().is_none()))
}

/// Undoes percent-encoding of user info.
fn decoded(text: &str) -> String {
    let encoded = format!("x={}", text.replace('+', "%2B"));
    url::form_urlencoded::parse(encoded.as_bytes())
        .next()
        .map(|(_, v)| v.into_owned())
        .unwrap_or_default()
}

/// What a chain of errors says at its end; the outer ones of the HTTP client repeat the address, credentials included.
fn innermost(e: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = e;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    if std::ptr::addr_eq(cause, e) {
        "the connection broke".to_owned()
    } else {
        cause.to_string()
    }
}

/// Trusts the system's authorities and these.
fn tls(certificates: &[CertificateDer<'static>]) -> Result<rustls::ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier =
        rustls_platform_verifier::Verifier::new_with_extra_roots(certificates.iter().cloned(), Arc::clone(&provider))?;
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_of_the_address_become_authentication_and_are_not_shown() {
        let url = Url::parse("https://me:p%40ss%2Bw@bn.example:5052/base/?key=1").unwrap();
        let (base, user, address) = take_apart(&url).unwrap();
        assert_eq!(base.as_str(), "https://bn.example:5052/base/?key=1");
        assert_eq!(user, Some(("me".into(), Some("p@ss+w".into()))));
        assert!(address.starts_with("https://bn.example:5052/~"), "{address}");
    }

    #[test]
    fn address_is_shown_without_path_and_query_and_those_of_one_host_differ() {
        let shown = |url: &str| take_apart(&Url::parse(url).unwrap()).unwrap().2;
        for plain in ["http://127.0.0.1:5052", "http://[::1]:5052/", "https://bn.example/?"] {
            assert_eq!(shown(plain), plain.trim_end_matches(['/', '?']));
        }
        let all = [
            "https://x/K3Y",
            "https://x/K3Z",
            "https://x/?a=K3Y",
            "https://x/K3Y/?a=1",
        ]
        .map(shown);
        for (at, one) in all.iter().enumerate() {
            assert!(one.starts_with("https://x/~") && !one.contains("K3"), "{one}");
            assert!(!all[..at].contains(one), "{all:?}");
        }
        assert_eq!(shown("https://x/K3Y/"), shown("https://x/K3Y"));
    }

    #[test]
    fn redirection_to_another_host_port_or_to_plain_http_is_not_followed() {
        let stays = |from: &str, to: &str| super::stays(&Url::parse(from).unwrap(), &Url::parse(to).unwrap());
        assert!(stays("http://bn:5052/a", "http://bn:5052/b?c"));
        assert!(stays("http://bn/a", "https://bn/a"));
        for (from, to) in [
            ("http://bn/a", "http://other/a"),
            ("https://bn/a", "http://bn/a"),
            ("http://bn:5052/a", "http://bn:5053/a"),
            ("http://bn/a", "https://bn:8443/a"),
        ] {
            assert!(!stays(from, to), "{from} {to}");
        }
    }

    #[test]
    fn address_of_another_scheme_is_refused() {
        let url = Url::parse("ftp://me:secret@bn.example").unwrap();
        let error = take_apart(&url).unwrap_err().to_string();
        assert!(error.contains("http://") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn message_is_the_nodes_own_with_its_failures() {
        let body =
            br#"{"code":400,"message":"some failures","failures":[{"index":0,"message":"PriorAttestationKnown"}]}"#;
        assert_eq!(
            message(StatusCode::BAD_REQUEST, body),
            "some failures: PriorAttestationKnown"
        );
        assert_eq!(message(StatusCode::BAD_GATEWAY, b""), "Bad Gateway");
        assert_eq!(message(StatusCode::BAD_GATEWAY, b"<html>\n oops\n"), "<html> oops");
        assert_eq!(message(StatusCode::BAD_GATEWAY, &[b'a'; 5_000]).len(), MESSAGE_CHARS);
    }
}
