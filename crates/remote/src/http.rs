//! One HTTP server: bytes out, bytes in, every limit and every way to fail in one place.
//!
//! Guarantees: an exchange ends within its time limit, body included; an answer that announces or has more bytes than its
//! limit is given up before they are kept; nobody but the given server gets a token or a body, because what is sent
//! follows no redirection; user info of an address becomes basic authentication. Shown of an address are scheme, host and
//! port, for its path and query may hold a key.
//! Not here: what paths and bodies mean.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use reqwest::{
    Method, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue},
    redirect::Policy,
};
use serde::Deserialize;
use url::Url;
use zeroize::Zeroizing;

/// A server that does not accept a connection in this time is not there.
const CONNECT: Duration = Duration::from_secs(5);
/// Largest body of an error answer that is read; its message is cut at [`MESSAGE_CHARS`].
const ERROR_LIMIT: usize = 64 * 1024;
const MESSAGE_CHARS: usize = 300;
const REDIRECTS: usize = 5;
const JSON: &str = "application/json";

/// An address that is not one of a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not a URL with a host that begins with `http`.
    #[error("it is not an address that begins with http:// or https:// and names a host")]
    Form,
    /// The TLS library refuses.
    #[error("the HTTP client cannot be made: {0}")]
    Client(String),
}

/// How an exchange with a server failed. `doing` says what it was for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RemoteError {
    /// No connection, or one that broke.
    #[error("{doing}: {address} cannot be reached: {reason}")]
    Unreachable {
        /// What it was for.
        doing: &'static str,
        /// Scheme, host and port.
        address: String,
        /// What the system says.
        reason: String,
    },
    /// 401: the server wants to know who asks.
    #[error("{doing}: {address} asks for a token and got none that it can read (401): {message}")]
    Unauthorised {
        /// What it was for.
        doing: &'static str,
        /// Scheme, host and port.
        address: String,
        /// What the server says.
        message: String,
    },
    /// 403: it knows, and does not let us.
    #[error("{doing}: {address} does not accept the token (403): {message}")]
    Forbidden {
        /// What it was for.
        doing: &'static str,
        /// Scheme, host and port.
        address: String,
        /// What the server says.
        message: String,
    },
    /// 404: it has no such thing.
    #[error("{doing}: {address} knows nothing at this path (404): {message}")]
    NotFound {
        /// What it was for.
        doing: &'static str,
        /// Scheme, host and port.
        address: String,
        /// What the server says.
        message: String,
    },
    /// 409: it has the thing already, or another in its place.
    #[error("{doing}: {address} has it already (409): {message}")]
    Conflict {
        /// What it was for.
        doing: &'static str,
        /// Scheme, host and port.
        address: String,
        /// What the server says.
        message: String,
    },
    /// Any other answer but success and 5xx: the request is refused.
    #[error("{doing}: {address} refuses ({status}): {message}")]
    Refused {
        /// What it was for.
        doing: &'static str,
        /// Scheme, host and port.
        address: String,
        /// Of HTTP.
        status: u16,
        /// What the server says.
        message: String,
    },
    /// 5xx: the server itself is in trouble.
    #[error("{doing}: {address} has a fault ({status}): {message}; try again later")]
    Fault {
        /// What it was for.
        doing: &'static str,
        /// Scheme, host and port.
        address: String,
        /// Of HTTP.
        status: u16,
        /// What the server says.
        message: String,
    },
    /// It did not come to an end in time.
    #[error("{doing}: {address} did not answer within {after:?}")]
    Slow {
        /// What it was for.
        doing: &'static str,
        /// Scheme, host and port.
        address: String,
        /// The time limit.
        after: Duration,
    },
    /// More bytes than any right answer has.
    #[error("{doing}: the answer of {address} is longer than {limit} bytes and was given up")]
    Endless {
        /// What it was for.
        doing: &'static str,
        /// Scheme, host and port.
        address: String,
        /// Bytes.
        limit: usize,
    },
    /// Success, with content that does not fit.
    #[error("{doing}: {address} answered something else than expected: {reason}")]
    Malformed {
        /// What it was for.
        doing: &'static str,
        /// Scheme, host and port.
        address: String,
        /// What is wrong.
        reason: String,
    },
}

/// Whether the system's proxy is used and redirections are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// A public server.
    World,
    /// A server of the operator's own: no proxy.
    Local,
    /// A public document that is fetched without credentials: redirections are followed, though never to plain HTTP.
    Document,
}

/// One request.
pub(crate) struct Ask<'a> {
    pub(crate) doing: &'static str,
    pub(crate) method: Method,
    pub(crate) url: Url,
    /// Behind the word `Bearer`.
    pub(crate) bearer: Option<&'a str>,
    pub(crate) body: Option<Bytes>,
    /// For the whole exchange.
    pub(crate) time: Duration,
    /// Largest good answer in bytes.
    pub(crate) limit: usize,
    /// Besides the token, what no message may show.
    pub(crate) secrets: &'a [&'a str],
}

pub(crate) struct Http {
    client: reqwest::Client,
    /// Without user info, without a slash at the end of its path.
    base: Url,
    user: Option<(String, Option<Zeroizing<String>>)>,
    address: String,
}

impl Http {
    pub(crate) fn new(text: &str, reach: Reach) -> Result<Self, AddressError> {
        let mut base = Url::parse(text.trim()).map_err(|_| AddressError::Form)?;
        if !matches!(base.scheme(), "http" | "https") || !base.has_host() {
            return Err(AddressError::Form);
        }
        base.set_fragment(None);
        let user = (!base.username().is_empty() || base.password().is_some()).then(|| {
            let password = base.password().map(|p| Zeroizing::new(decoded(p)));
            (decoded(base.username()), password)
        });
        if base.set_username("").is_err() || base.set_password(None).is_err() {
            return Err(AddressError::Form);
        }
        let address = shown(&base);
        let builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls().map_err(|e| AddressError::Client(e.to_string()))?)
            .user_agent(concat!("trireme/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .tcp_nodelay(true);
        let builder = match reach {
            Reach::World => builder.redirect(Policy::none()),
            Reach::Local => builder.redirect(Policy::none()).no_proxy(),
            Reach::Document => builder.redirect(to_no_plain_http()),
        };
        let client = builder.build().map_err(|e| AddressError::Client(e.to_string()))?;
        Ok(Self {
            client,
            base,
            user,
            address,
        })
    }

    /// Scheme, host and port.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn base(&self) -> &Url {
        &self.base
    }

    /// The address's own path with `path` behind it; its query, if it has one, stays.
    pub(crate) fn below(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        url
    }

    /// `path` in place of the address's own.
    pub(crate) fn instead(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(path);
        url
    }

    /// Whether tokens travel in the clear to another machine.
    pub(crate) fn is_plain(&self) -> bool {
        let loopback = match self.base.host() {
            Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
            Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
            Some(url::Host::Domain(name)) => name == "localhost",
            None => false,
        };
        self.base.scheme() == "http" && !loopback
    }

    /// Sends the request and gives the body of a good answer (2xx).
    pub(crate) async fn ask(&self, ask: Ask<'_>) -> Result<Bytes, RemoteError> {
        let (doing, after) = (ask.doing, ask.time);
        match tokio::time::timeout(ask.time, self.exchange(ask)).await {
            Ok(result) => result,
            Err(_) => Err(RemoteError::Slow {
                doing,
                address: self.address.clone(),
                after,
            }),
        }
    }

    pub(crate) fn malformed(&self, doing: &'static str, reason: impl ToString) -> RemoteError {
        RemoteError::Malformed {
            doing,
            address: self.address.clone(),
            reason: reason.to_string(),
        }
    }

    async fn exchange(&self, ask: Ask<'_>) -> Result<Bytes, RemoteError> {
        let Ask {
            doing,
            method,
            url,
            bearer,
            body,
            time: _,
            limit,
            secrets,
        } = ask;
        let mut request = self.client.request(method, url).header(ACCEPT, JSON);
        if let Some(token) = bearer {
            let text = Zeroizing::new(format!("Bearer {token}"));
            let mut value =
                HeaderValue::from_str(&text).map_err(|_| self.malformed(doing, "the token is not ASCII"))?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        } else if let Some((user, password)) = &self.user {
            request = request.basic_auth(user, password.as_deref());
        }
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, JSON).body(body);
        }
        let response = request.send().await.map_err(|e| self.broken(doing, &e))?;
        let status = response.status();
        if status.is_success() {
            return match read(response, limit).await.map_err(|e| self.broken(doing, &e))? {
                Body::Whole(body) => Ok(body),
                Body::TooLong => Err(RemoteError::Endless {
                    doing,
                    address: self.address.clone(),
                    limit,
                }),
            };
        }
        let password = self.user.as_ref().and_then(|(_, p)| p.as_deref().map(String::as_str));
        let hidden: Vec<&str> = secrets.iter().copied().chain(bearer).chain(password).collect();
        let message = if status.is_redirection() {
            "it redirects elsewhere, and what is sent may be for it alone; give the other address instead".to_owned()
        } else {
            match read(response, ERROR_LIMIT).await {
                Ok(Body::Whole(body)) => said(status, &body, &hidden),
                Ok(Body::TooLong) | Err(_) => said(status, &[], &hidden),
            }
        };
        Err(self.refusal(doing, status, message))
    }

    fn refusal(&self, doing: &'static str, status: StatusCode, message: String) -> RemoteError {
        let address = self.address.clone();
        match status.as_u16() {
            401 => RemoteError::Unauthorised {
                doing,
                address,
                message,
            },
            403 => RemoteError::Forbidden {
                doing,
                address,
                message,
            },
            404 => RemoteError::NotFound {
                doing,
                address,
                message,
            },
            409 => RemoteError::Conflict {
                doing,
                address,
                message,
            },
            status @ 500.. => RemoteError::Fault {
                doing,
                address,
                status,
                message,
            },
            status => RemoteError::Refused {
                doing,
                address,
                status,
                message,
            },
        }
    }

    fn broken(&self, doing: &'static str, e: &reqwest::Error) -> RemoteError {
        if e.is_decode() {
            return self.malformed(doing, innermost(e));
        }
        RemoteError::Unreachable {
            doing,
            address: self.address.clone(),
            reason: innermost(e),
        }
    }
}

/// The form of errors that most servers use.
#[derive(Deserialize)]
struct ErrorBody {
    #[serde(alias = "error")]
    message: String,
}

/// A server's words in one line of bounded length, without control characters and without what is hidden.
pub(crate) fn one_line(text: &str, hidden: &[&str]) -> String {
    let mut text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for secret in hidden.iter().filter(|s| !s.is_empty()) {
        text = text.replace(secret, "***");
    }
    text.chars().filter(|c| !c.is_control()).take(MESSAGE_CHARS).collect()
}

fn said(status: StatusCode, body: &[u8], hidden: &[&str]) -> String {
    let text = match serde_json::from_slice::<ErrorBody>(body) {
        Ok(error) => error.message,
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    let line = one_line(&text, hidden);
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
        .map_or(0, |n| usize::try_from(n).unwrap_or(usize::MAX));
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

fn shown(base: &Url) -> String {
    let host = base.host_str().unwrap_or_default();
    let port = base.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{host}{port}", base.scheme())
}

/// Follows a few redirections, but none from TLS to plain HTTP.
fn to_no_plain_http() -> Policy {
    Policy::custom(|attempt| {
        let encrypted = attempt.previous().iter().any(|url| url.scheme() == "https");
        let downgrade = encrypted && attempt.url().scheme() != "https";
        if attempt.previous().len() <= REDIRECTS && !downgrade {
            attempt.follow()
        } else {
            attempt.stop()
        }
    })
}

/// Undoes percent-encoding of user info.
fn decoded(text: &str) -> String {
    let encoded = Zeroizing::new(format!("x={}", text.replace('+', "%2B")));
    url::form_urlencoded::parse(encoded.as_bytes())
        .next()
        .map(|(_, v)| v.into_owned())
        .unwrap_or_default()
}

/// What a chain of errors says at its end; the outer ones of the HTTP client repeat the whole URL.
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

/// Trusts the system's authorities; the provider is named (ring), so that no second one is built.
fn tls() -> Result<rustls::ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = rustls_platform_verifier::Verifier::new(Arc::clone(&provider))?;
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(text: &str) -> Http {
        Http::new(text, Reach::Local).unwrap()
    }

    #[test]
    fn an_address_keeps_its_path_or_gives_it_up() {
        let api = http("https://api.example/v1/");
        assert_eq!(api.below("/definition").as_str(), "https://api.example/v1/definition");
        assert_eq!(api.instead("/lock").as_str(), "https://api.example/lock");
        let bare = http("http://[::1]:7500");
        assert_eq!(
            bare.below("/eth/v1/keystores").as_str(),
            "http://[::1]:7500/eth/v1/keystores"
        );
    }

    #[test]
    fn shown_of_an_address_are_scheme_host_and_port() {
        let infura = http("https://me:pass@mainnet.example:8443/v3/K3Y?token=K3Y");
        assert_eq!(infura.address(), "https://mainnet.example:8443");
        assert_eq!(infura.base().as_str(), "https://mainnet.example:8443/v3/K3Y?token=K3Y");
        assert!(matches!(infura.user.as_ref(), Some((user, Some(p))) if user == "me" && p.as_str() == "pass"));
    }

    #[test]
    fn what_is_no_address_of_a_server_is_refused() {
        for text in ["", "localhost:7500", "ftp://me:secret@host", "/a/path", "http://"] {
            let error = Http::new(text, Reach::World).map(drop).unwrap_err();
            assert_eq!(error, AddressError::Form, "{text}");
        }
    }

    #[test]
    fn tokens_in_the_clear_to_another_machine_are_noticed() {
        for (text, plain) in [
            ("http://10.0.0.1:7500", true),
            ("https://10.0.0.1:7500", false),
            ("http://127.0.0.1:7500", false),
            ("http://[::1]:7500", false),
            ("http://localhost", false),
            ("http://signer", true),
        ] {
            assert_eq!(http(text).is_plain(), plain, "{text}");
        }
    }

    #[test]
    fn a_servers_words_are_one_short_line_without_secrets() {
        let body = br#"{"code":403,"message":"no entry\n for s3cret"}"#;
        assert_eq!(said(StatusCode::FORBIDDEN, body, &["s3cret"]), "no entry for ***");
        assert_eq!(said(StatusCode::BAD_GATEWAY, b"", &[]), "Bad Gateway");
        assert_eq!(said(StatusCode::BAD_GATEWAY, &[b'a'; 5_000], &[]).len(), MESSAGE_CHARS);
        assert_eq!(said(StatusCode::BAD_GATEWAY, b"\x1b[31mred", &[]), "[31mred");
    }
}
