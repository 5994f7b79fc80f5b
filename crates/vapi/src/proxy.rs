//! Everything that this node does not answer itself goes to the beacon nodes and comes back as it is.
//!
//! Guarantees: equally good beacon nodes are asked at once and the first that answers wins; worse ones, fallbacks among
//! them, are asked when all better ones failed (5xx) or were silent for a part of a slot; one of another chain is never
//! asked. Answers are streamed. Neither hop-by-hop headers nor the credentials for the beacon nodes pass through, nor where they are.
//! Not here: which paths are passed on (`route`), who is better (`standing`), time limits (`server`).

use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Duration};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use tokio::time::Instant;
use url::Url;

use crate::{
    limits,
    standing::{AsConfigured, Standing},
};

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

    /// The beacon node's own path and query, which may be a key, go with every request.
    fn target(&self, path_and_query: &str) -> Url {
        let mut url = self.url.clone();
        let (path, query) = path_and_query
            .split_once('?')
            .map_or((path_and_query, None), |(p, q)| (p, Some(q)));
        url.set_path(&format!("{}{path}", self.base_path()));
        let own = self.url.query().filter(|own| !own.is_empty());
        let both: Vec<&str> = own.into_iter().chain(query).collect();
        url.set_query((!both.is_empty()).then(|| both.join("&")).as_deref());
        url.set_fragment(None);
        // The client turns user info into a header by itself only for some schemes; it is done in `headers_for`.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url
    }

    fn base_path(&self) -> &str {
        self.url.path().trim_end_matches('/')
    }

    /// Where a redirection by the beacon node leads at this node: the path without what is the beacon node's own. `None`
    /// if it leads elsewhere, which the client must not learn and could not use.
    fn here(&self, answered: &Url, location: &str) -> Option<HeaderValue> {
        let to = answered.join(location).ok()?;
        if to.origin() != self.url.origin() {
            return None;
        }
        let path = to.path().strip_prefix(self.base_path())?;
        if !path.starts_with('/') {
            return None;
        }
        let own = self.url.query().unwrap_or_default();
        let query = to.query().unwrap_or_default();
        let query = query
            .strip_prefix(own)
            .map_or(query, |rest| rest.trim_start_matches('&'));
        let mark = if query.is_empty() { "" } else { "?" };
        HeaderValue::from_str(&format!("{path}{mark}{query}")).ok()
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

/// The headers of an answer without what concerns only the beacon node and us.
fn for_client(headers: &HeaderMap, from: Option<&Upstream>, answered: &Url) -> HeaderMap {
    let mut out = passed_on(headers);
    for name in [header::SET_COOKIE, header::WWW_AUTHENTICATE] {
        out.remove(name);
    }
    // Which pages may read it is for this node to say.
    let about_pages: Vec<HeaderName> = out
        .keys()
        .filter(|n| n.as_str().starts_with("access-control-"))
        .cloned()
        .collect();
    for name in about_pages {
        out.remove(name);
    }
    if let Some(location) = out.remove(header::LOCATION)
        && let Ok(location) = location.to_str()
        && let Some(here) = from.and_then(|upstream| upstream.here(answered, location))
    {
        out.insert(header::LOCATION, here);
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

/// The beacon nodes as seen by the proxy.
pub struct Proxy {
    client: reqwest::Client,
    /// Primary ones first.
    upstreams: Vec<Upstream>,
    standing: Arc<dyn Standing>,
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
    /// A proxy to these beacon nodes. `standing` knows who is good; without it, all primary ones are, then the fallbacks.
    /// The authorities in `certificates`, PEM files, are trusted besides the system's.
    ///
    /// # Errors
    /// If the TLS library finds no certificates, or a file has none.
    pub fn new(
        primaries: Vec<Upstream>,
        fallbacks: Vec<Upstream>,
        standing: Option<Arc<dyn Standing>>,
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
        let (primary, mut upstreams) = (primaries.len(), primaries);
        upstreams.extend(fallbacks);
        let as_configured = AsConfigured {
            primaries: primary,
            all: upstreams.len(),
        };
        Ok(Self {
            client,
            upstreams,
            standing: standing.unwrap_or_else(|| Arc::new(as_configured)),
        })
    }

    /// All of them, by position.
    pub(crate) fn upstreams(&self) -> &[Upstream] {
        &self.upstreams
    }

    pub(crate) fn standing(&self) -> &dyn Standing {
        self.standing.as_ref()
    }

    /// Asks the best beacon nodes at once, then the next best; the first answer that is no failure wins.
    pub(crate) async fn pass(&self, request: &Passed) -> Result<Response, NoneAnswered> {
        let (at, answer) = self.ask(request).await?;
        Ok(streamed(answer, self.upstreams.get(at), Some(limits::PROXY_IDLE)))
    }

    /// Everybody who may be asked, the best first; those that were left out are looked at if there is nobody.
    pub(crate) async fn best_first(&self) -> Vec<&Upstream> {
        let mut groups = self.standing.groups();
        if groups.iter().all(Vec::is_empty) {
            self.standing.look_again().await;
            groups = self.standing.groups();
        }
        groups
            .into_iter()
            .flatten()
            .filter_map(|at| self.upstreams.get(at))
            .collect()
    }

    async fn ask(&self, request: &Passed) -> Result<(usize, reqwest::Response), NoneAnswered> {
        let mut running: FuturesUnordered<BoxFuture<'_, (usize, Result<reqwest::Response, String>)>> =
            FuturesUnordered::new();
        let (mut groups, mut asked) = (self.standing.groups().into_iter(), BTreeSet::new());
        let (mut reasons, mut failed, mut looked) = (Vec::new(), None, false);
        // When the next group is asked although this one is not done; with no group left, when a failure is the answer.
        let mut due: Option<Instant> = None;
        loop {
            if running.is_empty() || due.is_some_and(|due| due <= Instant::now()) {
                due = None;
                if let Some(group) = groups.next() {
                    for at in group {
                        if let Some(upstream) = self.upstreams.get(at)
                            && asked.insert(at)
                        {
                            running.push(Box::pin(async move { (at, self.send(upstream, request).await) }));
                            due = Some(Instant::now() + limits::WORSE);
                        }
                    }
                    if due.is_none() {
                        // Nobody new in this one: the next one at once.
                        due = Some(Instant::now());
                    }
                    continue;
                }
                if !looked && (running.is_empty() || failed.is_some()) {
                    looked = true;
                    self.standing.look_again().await;
                    groups = self.standing.groups().into_iter();
                    due = Some(Instant::now());
                    continue;
                }
                if running.is_empty() || failed.is_some() {
                    return failed.ok_or_else(|| NoneAnswered::of(reasons));
                }
            }
            let next = match due {
                None => running.next().await,
                Some(until) => match tokio::time::timeout_at(until, running.next()).await {
                    Ok(next) => next,
                    Err(_) => continue,
                },
            };
            match next {
                Some((at, Ok(answer))) if !answer.status().is_server_error() => return Ok((at, answer)),
                Some((at, Ok(answer))) => {
                    failed.get_or_insert((at, answer));
                    let soon = Instant::now() + limits::OTHERS;
                    due = Some(due.map_or(soon, |due| due.min(soon)));
                }
                Some((_, Err(reason))) => reasons.push(reason),
                None => {}
            }
        }
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

/// The answer of `from` with its body as it arrives; `idle` limits the silence within it.
pub(crate) fn streamed(answer: reqwest::Response, from: Option<&Upstream>, idle: Option<Duration>) -> Response {
    let status = answer.status();
    let headers = for_client(answer.headers(), from, answer.url());
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
    fn answers_lose_cookies_challenges_permissions_of_pages_and_transfer_codings() {
        let mut bn = HeaderMap::new();
        for (name, value) in [
            ("set-cookie", "session=1"),
            ("access-control-allow-origin", "*"),
            ("www-authenticate", "Basic realm=bn"),
            ("transfer-encoding", "chunked"),
            ("eth-consensus-version", "fulu"),
        ] {
            bn.insert(name, HeaderValue::from_static(value));
        }
        let (from, answered) = (upstream("http://bn"), Url::parse("http://bn/x").unwrap());
        assert_eq!(
            for_client(&bn, Some(&from), &answered)
                .keys()
                .map(HeaderName::as_str)
                .collect::<Vec<_>>(),
            ["eth-consensus-version"]
        );
    }

    #[test]
    fn redirections_lead_through_this_node_and_never_tell_where_the_beacon_node_is() {
        let answered = Url::parse("https://bn/K3Y/eth/v1/a?key=S3CRET&b=1").unwrap();
        for (location, expected) in [
            ("https://bn/K3Y/eth/v1/b?key=S3CRET&c=1", Some("/eth/v1/b?c=1")),
            ("https://bn/K3Y/eth/v1/b?key=S3CRET", Some("/eth/v1/b")),
            ("b?c=1", Some("/eth/v1/b?c=1")),
            ("/K3Y/x", Some("/x")),
            ("https://us:er@bn/K3Y/x", Some("/x")),
            ("https://bn/K3Yx/x", None),
            ("https://other/K3Y/x", None),
            ("http://bn/K3Y/x", None),
            ("/x", None),
        ] {
            let mut bn = HeaderMap::new();
            bn.insert(header::LOCATION, HeaderValue::from_static(location));
            let from = upstream("https://us:er@bn/K3Y/?key=S3CRET");
            let told = for_client(&bn, Some(&from), &answered);
            let told = told.get(header::LOCATION).map(|v| v.to_str().unwrap());
            assert_eq!(told, expected, "{location}");
        }
    }

    #[test]
    fn the_target_keeps_a_key_in_the_query_of_the_address() {
        let u = upstream("https://bn/?key=S3CRET#x");
        assert_eq!(u.target("/eth/v1/x?a=1").as_str(), "https://bn/eth/v1/x?key=S3CRET&a=1");
        assert_eq!(u.target("/eth/v1/x").as_str(), "https://bn/eth/v1/x?key=S3CRET");
    }
}
