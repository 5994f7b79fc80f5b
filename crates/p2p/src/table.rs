//! The connections that stand, per peer, and what each peer serves.
//!
//! Guarantees: a direct connection is preferred to a relayed one, an older one to a newer one (pitfall 21); everything
//! of a peer is forgotten with its last connection. Not here: making connections (`links`).

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use libp2p::{PeerId, Stream, StreamProtocol, swarm::ConnectionId};
use tokio::sync::{mpsc, oneshot, watch};

use crate::addr::is_shared_name;

/// Protocol names kept per peer.
const MAX_NAMES: usize = 256;

/// Longest negotiation of a stream.
pub(crate) const NEGOTIATION: Duration = Duration::from_secs(10);

/// Why a stream could not be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// The peer does not serve the protocol.
    #[error("the peer does not serve this protocol")]
    Unsupported,
    /// No answer in time.
    #[error("the negotiation got no answer within {NEGOTIATION:?}")]
    Timeout,
    /// The connection broke.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// A request for a stream.
#[derive(Debug)]
pub(crate) struct Open {
    /// The protocol.
    pub(crate) name: StreamProtocol,
    /// Whether to send data before the peer has agreed to the protocol.
    pub(crate) lazy: bool,
    /// Where the stream goes.
    pub(crate) reply: oneshot::Sender<Result<Stream, OpenError>>,
}

/// One connection.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub(crate) conn: ConnectionId,
    pub(crate) relayed: bool,
    /// `tcp`, `quic` or `unknown`.
    pub(crate) transport: &'static str,
    /// Where streams are asked for.
    pub(crate) open: mpsc::Sender<Open>,
}

#[derive(Debug, Default)]
struct Entry {
    routes: Vec<Route>,
    serves: BTreeSet<String>,
}

/// All connections.
#[derive(Debug)]
pub(crate) struct Table {
    peers: Mutex<BTreeMap<PeerId, Entry>>,
    changes: watch::Sender<u64>,
}

impl Table {
    pub(crate) fn new() -> Self {
        Self {
            peers: Mutex::default(),
            changes: watch::channel(0).0,
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PeerId, Entry>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        self.changes.send_modify(|n| *n = n.wrapping_add(1));
    }

    /// Changes whenever a connection comes or goes, or a peer tells what it serves.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(crate) fn add(&self, peer: PeerId, route: Route) {
        self.lock().entry(peer).or_default().routes.push(route);
        self.changed();
    }

    pub(crate) fn remove(&self, peer: &PeerId, conn: ConnectionId) {
        let mut peers = self.lock();
        if let Some(entry) = peers.get_mut(peer) {
            entry.routes.retain(|r| r.conn != conn);
            if entry.routes.is_empty() {
                peers.remove(peer);
            }
        }
        drop(peers);
        self.changed();
    }

    /// Notes what the peer's identify lists. Names shared by several protocols say nothing and are left out.
    pub(crate) fn set_served(&self, peer: &PeerId, names: &[StreamProtocol]) {
        if let Some(entry) = self.lock().get_mut(peer) {
            let plain = names
                .iter()
                .map(AsRef::as_ref)
                .filter(|n| !is_shared_name(n))
                .take(MAX_NAMES);
            entry.serves = plain.map(str::to_owned).collect();
        }
        self.changed();
    }

    /// Whether the peer has said that it serves the protocol.
    pub(crate) fn serves(&self, peer: &PeerId, name: &str) -> bool {
        self.lock().get(peer).is_some_and(|e| e.serves.contains(name))
    }

    /// The same; `None` while the peer has said nothing.
    pub(crate) fn announces(&self, peer: &PeerId, name: &str) -> Option<bool> {
        let peers = self.lock();
        let entry = peers.get(peer).filter(|e| !e.serves.is_empty())?;
        Some(entry.serves.contains(name))
    }

    /// The connection for the next stream.
    pub(crate) fn best(&self, peer: &PeerId) -> Option<Route> {
        self.lock().get(peer)?.routes.iter().min_by_key(|r| r.relayed).cloned()
    }

    /// The connection for the next stream to each connected peer.
    pub(crate) fn preferred(&self) -> BTreeMap<PeerId, Route> {
        let peers = self.lock();
        let best = |e: &Entry| e.routes.iter().min_by_key(|r| r.relayed).cloned();
        peers.iter().filter_map(|(id, e)| Some((*id, best(e)?))).collect()
    }

    /// Whether this connection to the peer is still there.
    pub(crate) fn has(&self, peer: &PeerId, conn: ConnectionId) -> bool {
        self.lock()
            .get(peer)
            .is_some_and(|e| e.routes.iter().any(|r| r.conn == conn))
    }

    /// All connections of all peers.
    pub(crate) fn all(&self) -> Vec<(PeerId, Vec<Route>)> {
        self.lock().iter().map(|(id, e)| (*id, e.routes.clone())).collect()
    }

    pub(crate) fn is_connected(&self, peer: &PeerId) -> bool {
        self.lock().contains_key(peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(n: usize, relayed: bool) -> Route {
        Route {
            conn: ConnectionId::new_unchecked(n),
            relayed,
            transport: "tcp",
            open: mpsc::channel(1).0,
        }
    }

    #[test]
    fn streams_go_direct_before_relayed_and_oldest_first() {
        let (table, peer) = (Table::new(), PeerId::random());
        for (n, relayed) in [(1, true), (2, false), (3, false)] {
            table.add(peer, route(n, relayed));
        }
        let best = || table.best(&peer).map(|r| r.conn);
        assert_eq!(best(), Some(ConnectionId::new_unchecked(2)));
        table.remove(&peer, ConnectionId::new_unchecked(2));
        assert_eq!(best(), Some(ConnectionId::new_unchecked(3)));
        table.remove(&peer, ConnectionId::new_unchecked(3));
        assert_eq!(
            best(),
            Some(ConnectionId::new_unchecked(1)),
            "connected while any is left"
        );
        table.remove(&peer, ConnectionId::new_unchecked(1));
        assert_eq!(best(), None);
        assert!(!table.is_connected(&peer));
    }

    #[test]
    fn what_a_peer_serves_is_forgotten_with_its_last_connection() {
        let (table, peer) = (Table::new(), PeerId::random());
        table.add(peer, route(1, false));
        table.set_served(&peer, &[StreamProtocol::new("/a/1"), StreamProtocol::new("/b/1.*")]);
        assert!(table.serves(&peer, "/a/1") && !table.serves(&peer, "/b/1.*"));
        table.remove(&peer, ConnectionId::new_unchecked(1));
        table.add(peer, route(2, false));
        assert!(!table.serves(&peer, "/a/1"));
    }
}
