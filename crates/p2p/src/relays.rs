//! Finding relays: asking a relay's page for its addresses, again and again (p2p.md 2.4).
//!
//! Guarantees: an answer takes at most [`LIMIT`] bytes of memory and [`TIMEOUT`]; whatever a page answers, the look-up
//! goes on and the last good answer stays in force.
//! Not here: connecting to a relay (`links`).

use std::{sync::Arc, time::Duration};

use libp2p::{Multiaddr, PeerId};
use tokio::sync::mpsc;
use trireme_core::ports::Entropy;
use trireme_keys::Enr;
use url::Url;

use crate::{
    addr::{self, AddrError},
    backoff::{Backoff, Profile},
    config::LookupHeaders,
};

/// Largest answer in bytes.
pub(crate) const LIMIT: usize = 64 * 1024;
/// Longest look-up.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);
/// Pause between look-ups.
const EVERY: Duration = Duration::from_secs(120);

/// Why a look-up gave no relay.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LookupError {
    #[error("no answer within {TIMEOUT:?}")]
    Timeout,
    #[error("{0}")]
    Http(String),
    #[error("the page answered with status {0}")]
    Status(u16),
    #[error("the answer is longer than {LIMIT} bytes")]
    TooLong,
    #[error("the answer is neither a node record nor a JSON array of addresses: {0}")]
    Unreadable(String),
    #[error(transparent)]
    Addr(#[from] AddrError),
    #[error("the answer names {0} relays, one is expected; a relay without public addresses answers `null`")]
    NotOneRelay(usize),
}

/// A relay as its page describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// Place in the configured list.
    pub(crate) slot: usize,
    pub(crate) id: PeerId,
    /// Sorted by text, without peer ID.
    pub(crate) addrs: Vec<Multiaddr>,
}

/// Reads a page's answer: the relay and its addresses sorted by text.
pub(crate) fn parse(body: &[u8]) -> Result<(PeerId, Vec<Multiaddr>), LookupError> {
    let text = std::str::from_utf8(body)
        .map_err(|e| LookupError::Unreadable(e.to_string()))?
        .trim();
    let mut addrs = if text.starts_with("enr:") {
        let enr: Enr = text
            .parse()
            .map_err(|e: trireme_keys::EnrError| LookupError::Unreadable(e.to_string()))?;
        addr::of_relay_record(&enr)?
    } else {
        let list: Option<Vec<String>> =
            serde_json::from_str(text).map_err(|e| LookupError::Unreadable(e.to_string()))?;
        let mut addrs = Vec::new();
        for entry in list.unwrap_or_default() {
            match addr::parse(&entry) {
                Ok(a) => addrs.push(a),
                Err(error) => tracing::warn!(%error, "the relay's page lists an address that cannot be read"),
            }
        }
        addrs
    };
    addrs.sort_by_key(ToString::to_string);
    addrs.dedup();
    let mut ids: Vec<PeerId> = Vec::new();
    let mut plain = Vec::new();
    for a in &addrs {
        let (rest, id) = addr::split_peer(a).ok_or_else(|| AddrError::NoPeerId(a.to_string()))?;
        plain.push(rest);
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    match ids.as_slice() {
        [id] => Ok((*id, plain)),
        other => Err(LookupError::NotOneRelay(other.len())),
    }
}

/// A client for look-ups.
///
/// # Errors
///
/// If TLS cannot be set up.
pub(crate) fn http_client() -> Result<reqwest::Client, reqwest::Error> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // If somebody else is faster, theirs is the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    reqwest::Client::builder().timeout(TIMEOUT).build()
}

async fn fetch(client: &reqwest::Client, url: &Url, headers: &LookupHeaders) -> Result<Vec<u8>, LookupError> {
    let http = |e: reqwest::Error| {
        if e.is_timeout() {
            LookupError::Timeout
        } else {
            LookupError::Http(e.without_url().to_string())
        }
    };
    let request = client
        .get(url.clone())
        .header("Charon-Cluster", &headers.cluster)
        .header("Cluster-Uuid", &headers.uuid);
    let mut response = request.send().await.map_err(http)?;
    if !response.status().is_success() {
        return Err(LookupError::Status(response.status().as_u16()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(http)? {
        if body.len().saturating_add(chunk.len()) > LIMIT {
            return Err(LookupError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Asks once.
pub(crate) async fn lookup(
    client: &reqwest::Client,
    url: &Url,
    headers: &LookupHeaders,
) -> Result<(PeerId, Vec<Multiaddr>), LookupError> {
    let body = tokio::time::timeout(TIMEOUT, fetch(client, url, headers))
        .await
        .map_err(|_| LookupError::Timeout)??;
    parse(&body)
}

/// A random number in `[0, 1)`.
pub(crate) fn fraction(entropy: &dyn Entropy) -> f64 {
    let mut bytes = [0; 4];
    entropy.fill(&mut bytes);
    f64::from(u32::from_le_bytes(bytes)) / (f64::from(u32::MAX) + 1.0)
}

/// The host of a URL, which may hold credentials elsewhere.
fn host(url: &Url) -> &str {
    url.host_str().unwrap_or_default()
}

/// Keeps asking for one relay and reports it whenever it has changed.
pub(crate) async fn follow(
    slot: usize,
    url: Url,
    headers: LookupHeaders,
    client: reqwest::Client,
    found: mpsc::Sender<Found>,
    entropy: Arc<dyn Entropy>,
) {
    if url.scheme() == "http" {
        // The operator has been warned of the setting.
        tracing::debug!(relay = host(&url), "the relay is looked up without encryption");
    }
    let mut backoff = Backoff::new(Profile::FAST);
    let mut last = None;
    loop {
        match lookup(&client, &url, &headers).await {
            Ok((id, addrs)) => {
                backoff.reset();
                let news = Found { slot, id, addrs };
                if last.as_ref() != Some(&news) {
                    tracing::info!(relay = host(&url), peer = %crate::identity::name(&id), "relay resolved");
                    last = Some(news.clone());
                    if found.send(news).await.is_err() {
                        return;
                    }
                }
                tokio::time::sleep(EVERY).await;
            }
            Err(error) => {
                tracing::warn!(relay = host(&url), %error, "relay cannot be looked up; trying again");
                tokio::time::sleep(backoff.failed(fraction(entropy.as_ref()))).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_belongs_to_one_relay() {
        let (a, b) = (PeerId::random(), PeerId::random());
        let body = format!(r#"["/ip4/9.9.9.9/tcp/1/p2p/{a}","rubbish","/dns/relay/tcp/1/p2p/{a}"]"#);
        let (id, addrs) = parse(body.as_bytes()).unwrap();
        assert_eq!(id, a);
        let texts: Vec<_> = addrs.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["/dns/relay/tcp/1", "/ip4/9.9.9.9/tcp/1"]);
        let two = format!(r#"["/ip4/9.9.9.9/tcp/1/p2p/{a}","/ip4/9.9.9.9/tcp/1/p2p/{b}"]"#);
        assert!(matches!(parse(two.as_bytes()), Err(LookupError::NotOneRelay(2))));
    }

    #[test]
    fn garbage_null_and_empty_lists_are_refused() {
        for body in [
            &b"null"[..],
            b"[]",
            b"",
            b"<html>",
            b"\xff\xfe",
            b"enr:",
            b"{\"a\":1}",
            b"[\"/ip4/9.9.9.9/tcp/1\"]",
        ] {
            assert!(parse(body).is_err(), "{body:?}");
        }
    }
}
