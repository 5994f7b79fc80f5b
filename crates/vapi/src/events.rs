//! The event stream: passed through from one beacon node as it arrives.
//!
//! Guarantees: the best beacon node is asked first, then the others until one answers; a topic that a beacon node does
//! not know does not cost the client the topics that it knows. Within one connection there is no change of beacon node:
//! the client connects again.

use axum::response::Response;
use futures::{StreamExt as _, stream::FuturesUnordered};
use url::form_urlencoded;

use crate::{
    limits,
    proxy::{NoneAnswered, Passed, Proxy, Upstream, streamed},
};

/// Topics that every beacon node has known for years; the rest of a request is dropped if it is refused for them.
const WELL_KNOWN: [&str; 7] = [
    "head",
    "block",
    "attestation",
    "voluntary_exit",
    "finalized_checkpoint",
    "chain_reorg",
    "contribution_and_proof",
];

impl Proxy {
    /// Opens an event stream.
    pub(crate) async fn events(&self, request: &Passed) -> Result<Response, NoneAnswered> {
        let mut waiting = self.best_first().await.into_iter();
        let mut running = FuturesUnordered::new();
        let (mut reasons, mut refusal) = (Vec::new(), None);
        running.extend(waiting.next().map(|first| self.open(first, request)));
        loop {
            // A beacon node that takes the connection and says nothing must not cost the client its events.
            let next = match tokio::time::timeout(limits::NEXT_STREAM, running.next()).await {
                Ok(next) => next,
                Err(_) => {
                    running.extend(waiting.next().map(|another| self.open(another, request)));
                    continue;
                }
            };
            match next {
                Some(Ok(answer)) if !answer.status().is_server_error() => return Ok(streamed(answer, None, None)),
                Some(Ok(answer)) => drop(refusal.get_or_insert(answer)),
                Some(Err(reason)) => reasons.push(reason),
                None => {}
            }
            match waiting.next() {
                Some(another) => running.push(self.open(another, request)),
                None if running.is_empty() => break,
                None => {}
            }
        }
        match refusal {
            Some(answer) => Ok(streamed(answer, None, None)),
            None => Err(NoneAnswered::of(reasons)),
        }
    }

    /// Asks one beacon node; once more with fewer topics if it refuses some.
    async fn open(&self, upstream: &Upstream, request: &Passed) -> Result<reqwest::Response, String> {
        let answer = self.send(upstream, request).await?;
        if !answer.status().is_client_error() {
            return Ok(answer);
        }
        let Some(fewer) = well_known_only(&request.path_and_query) else {
            return Ok(answer);
        };
        tracing::warn!(topic = "vapi", beacon_node = %upstream.address(),
            "beacon node refused some event topics; validator client gets only the well-known ones");
        let fewer = Passed {
            path_and_query: fewer,
            ..request.clone()
        };
        match self.send(upstream, &fewer).await {
            Ok(second) if second.status().is_success() => Ok(second),
            Ok(_) | Err(_) => Ok(answer),
        }
    }
}

/// The request with its well-known topics alone; `None` if that changes nothing or leaves nothing.
fn well_known_only(path_and_query: &str) -> Option<String> {
    let (path, query) = path_and_query.split_once('?')?;
    let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes())
        .filter(|(name, _)| name == "topics")
        .collect();
    let all: Vec<&str> = pairs
        .iter()
        .flat_map(|(_, value)| value.split(','))
        .map(str::trim)
        .collect();
    let kept: Vec<&str> = all.iter().copied().filter(|topic| WELL_KNOWN.contains(topic)).collect();
    (!kept.is_empty() && kept.len() < all.len()).then(|| {
        let topics: Vec<String> = kept.iter().map(|topic| format!("topics={topic}")).collect();
        format!("{path}?{}", topics.join("&"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_well_known_topics_are_asked_for_again() {
        let of = |query: &str| well_known_only(&format!("/eth/v1/events?{query}"));
        assert_eq!(
            of("topics=head,execution_payload_available").as_deref(),
            Some("/eth/v1/events?topics=head")
        );
        assert_eq!(
            of("topics=head&topics=new%2Cblock&topics=other").as_deref(),
            Some("/eth/v1/events?topics=head&topics=block")
        );
        assert_eq!(of("topics=head&topics=block"), None);
        assert_eq!(of("topics=new"), None);
        assert_eq!(well_known_only("/eth/v1/events"), None);
    }
}
