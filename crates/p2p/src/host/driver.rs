//! The task that owns the swarm: does what `links` wants and tells the others what happens.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::StreamExt as _;
use libp2p::{
    Multiaddr, PeerId, Swarm,
    core::transport::ListenerId,
    identify,
    multiaddr::Protocol,
    relay,
    swarm::{
        ConnectionId, DialError, SwarmEvent,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, MissedTickBehavior, interval, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use trireme_core::{PeerIdx, ports::Peer};

use super::GOODBYE;
use crate::{
    addr, identity,
    links::{Action, Dial, Links},
    listen,
    metrics::{self, ConnectionLabel, P2pMetrics},
    relays::Found,
    swarm::{NodeBehaviour, NodeBehaviourEvent},
    table::Table,
};

/// How often the connections are counted for the metrics.
const COUNT_EVERY: Duration = Duration::from_secs(30);
/// The same dial error of a peer is told again after this time.
const TELL_AGAIN: Duration = Duration::from_secs(600);

/// The task that owns the swarm.
pub(super) struct Driver {
    pub(super) swarm: Swarm<NodeBehaviour>,
    pub(super) own: PeerId,
    pub(super) links: Links,
    pub(super) table: Arc<Table>,
    pub(super) ids: BTreeMap<PeerId, Peer>,
    pub(super) relay_ids: Arc<Mutex<BTreeSet<PeerId>>>,
    pub(super) metrics: P2pMetrics,
    pub(super) start: Instant,
    /// What each dial under way is for.
    pub(super) dials: BTreeMap<ConnectionId, (PeerId, Dial)>,
    /// The listener behind each relay's reservation.
    pub(super) reservations: BTreeMap<PeerId, ListenerId>,
    /// The last dial error told of each peer, and when.
    pub(super) told: BTreeMap<PeerId, (String, Duration)>,
    pub(super) connected: watch::Sender<BTreeSet<PeerIdx>>,
    pub(super) relays_found: watch::Sender<usize>,
    pub(super) known: watch::Sender<BTreeMap<PeerIdx, Vec<Multiaddr>>>,
}

impl Driver {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn name(&self, peer: &PeerId) -> String {
        self.ids
            .get(peer)
            .map_or_else(|| identity::name(peer), |p| p.name.clone())
    }

    pub(super) async fn run(
        &mut self,
        mut wanted: mpsc::Receiver<PeerId>,
        mut found: mpsc::Receiver<Found>,
        mut dead: mpsc::Receiver<ConnectionId>,
        stop: CancellationToken,
    ) {
        let mut count = interval(COUNT_EVERY);
        count.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.act();
            let due = self.links.next().map(|d| self.start + d);
            tokio::select! { biased;
                () = stop.cancelled() => break,
                event = self.swarm.select_next_some() => self.event(event),
                Some(peer) = wanted.recv() => {
                    let now = self.now();
                    self.links.hasten(now, &peer);
                }
                Some(news) = found.recv() => self.found(news),
                Some(conn) = dead.recv() => {
                    self.swarm.close_connection(conn);
                }
                () = sleep_until(due.unwrap_or(self.start)), if due.is_some() => {}
                _ = count.tick() => self.count(),
            }
        }
        self.goodbye().await;
    }

    /// Closes all connections in order.
    async fn goodbye(&mut self) {
        let peers: Vec<_> = self.swarm.connected_peers().copied().collect();
        for peer in peers {
            // An error means that it has just gone by itself.
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        let swarm = &mut self.swarm;
        let closed = async {
            while swarm.network_info().num_peers() > 0 {
                swarm.select_next_some().await;
            }
        };
        // Peers that do not close in time see the connection break.
        let _ = timeout(GOODBYE, closed).await;
    }

    pub(super) fn found(&mut self, news: Found) {
        let now = self.now();
        self.links.set_relay(now, news.slot, news.id, news.addrs);
        self.metrics
            .relay_connections
            .get_or_create(&metrics::peer(&self.name(&news.id)))
            .set(0);
        self.relay_ids
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(news.id);
        self.relays_found.send_modify(|n| *n = n.saturating_add(1));
    }

    /// Does what the links component wants.
    fn act(&mut self) {
        let now = self.now();
        for action in self.links.poll(now) {
            match action {
                Action::Dial { peer, addrs, what } => self.dial(peer, addrs, what),
                Action::Reserve { relay, addr } => {
                    let at = addr.with(Protocol::P2p(relay)).with(Protocol::P2pCircuit);
                    match self.swarm.listen_on(at) {
                        Ok(listener) => {
                            self.reservations.insert(relay, listener);
                        }
                        Err(error) => {
                            tracing::warn!(relay = %self.name(&relay), %error, "relay cannot be asked for a reservation");
                            self.links.reservation_lost(now, relay);
                        }
                    }
                }
                Action::Leave { relay } => {
                    self.relay_ids
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .remove(&relay);
                    if let Some(listener) = self.reservations.remove(&relay) {
                        self.swarm.remove_listener(listener);
                    }
                    self.metrics
                        .relay_connections
                        .remove(&metrics::peer(&self.name(&relay)));
                    // An error means that there was no connection.
                    let _ = self.swarm.disconnect_peer_id(relay);
                }
            }
        }
    }

    fn dial(&mut self, peer: PeerId, addrs: Vec<Multiaddr>, what: Dial) {
        let condition = match what {
            Dial::Relay | Dial::Peer => PeerCondition::DisconnectedAndNotDialing,
            Dial::Upgrade => PeerCondition::Always,
        };
        let opts = DialOpts::peer_id(peer).condition(condition).addresses(addrs).build();
        let conn = opts.connection_id();
        self.dials.insert(conn, (peer, what));
        if let Err(error) = self.swarm.dial(opts) {
            self.dial_failed(conn, &error);
        }
    }

    fn dial_failed(&mut self, conn: ConnectionId, error: &DialError) {
        let Some((peer, what)) = self.dials.remove(&conn) else {
            return;
        };
        let now = self.now();
        self.links.dial_failed(now, peer, what);
        let (name, reason) = (self.name(&peer), describe(error));
        match what {
            Dial::Upgrade => {
                tracing::debug!(peer = %name, %reason, "no direct connection; the relayed one stays in use");
                return;
            }
            Dial::Peer if self.table.is_connected(&peer) => return,
            Dial::Peer => {
                self.metrics.ping_error.get_or_create(&metrics::peer(&name)).inc();
                self.metrics.ping_success.get_or_create(&metrics::peer(&name)).set(0);
            }
            Dial::Relay => {}
        }
        let again = match self.told.get(&peer) {
            Some((last, at)) => *last != reason || now.saturating_sub(*at) >= TELL_AGAIN,
            None => true,
        };
        if again {
            match what {
                Dial::Relay => tracing::warn!(relay = %name, %reason, "relay not reachable; trying again"),
                Dial::Peer | Dial::Upgrade => tracing::warn!(peer = %name, %reason, "peer not reachable; trying again"),
            }
            self.told.insert(peer, (reason, now));
        }
    }

    fn event(&mut self, event: SwarmEvent<NodeBehaviourEvent>) {
        let now = self.now();
        match event {
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                established_in,
                ..
            } => {
                let dialed = self.dials.remove(&connection_id).map(|(_, what)| what);
                let (remote, relayed) = (endpoint.get_remote_address(), endpoint.is_relayed());
                self.links
                    .connected(now, peer_id, connection_id, remote, relayed, dialed);
                self.metrics.shook_hands(remote, relayed, established_in);
                let name = self.name(&peer_id);
                tracing::debug!(peer = %name, addr = %addr::named(remote), outbound = endpoint.is_dialer(), relayed, "connection opened");
                if self.ids.contains_key(&peer_id) {
                    self.metrics.peer_connection.get_or_create(&metrics::peer(&name)).inc();
                }
                self.told.remove(&peer_id);
                self.show_connected();
            }
            SwarmEvent::ConnectionClosed {
                peer_id,
                connection_id,
                endpoint,
                cause,
                ..
            } => {
                let last = self.links.closed(now, peer_id, connection_id);
                let name = self.name(&peer_id);
                let cause = cause.map(|e| e.to_string()).unwrap_or_default();
                tracing::debug!(peer = %name, addr = %addr::named(endpoint.get_remote_address()), %cause, "connection closed");
                if last {
                    if self.ids.contains_key(&peer_id) {
                        self.metrics.ping_success.get_or_create(&metrics::peer(&name)).set(0);
                    } else if self.links.is_relay(&peer_id) {
                        self.metrics
                            .relay_connections
                            .get_or_create(&metrics::peer(&name))
                            .set(0);
                    }
                }
                self.show_connected();
            }
            SwarmEvent::OutgoingConnectionError {
                connection_id, error, ..
            } => self.dial_failed(connection_id, &error),
            SwarmEvent::ListenerClosed {
                listener_id, reason, ..
            } => self.listener_closed(listener_id, reason.err()),
            SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "a listen port has trouble"),
            SwarmEvent::IncomingConnectionError { error, .. } => {
                tracing::debug!(reason = %listen::innermost(&error), "an inbound connection did not come about");
            }
            SwarmEvent::Behaviour(event) => self.behaviour(event),
            // New addresses and dials under way; candidates for external addresses are hearsay (pitfall 24c).
            _ => {}
        }
    }

    fn behaviour(&mut self, event: NodeBehaviourEvent) {
        let now = self.now();
        match event {
            NodeBehaviourEvent::Identify(identify::Event::Received {
                peer_id,
                connection_id,
                info,
            }) => {
                self.table.set_served(&peer_id, &info.protocols);
                self.links.identified(now, peer_id, connection_id, &info.listen_addrs);
                if let Some(p) = self.ids.get(&peer_id) {
                    let addrs = self.links.known(&peer_id);
                    self.known
                        .send_if_modified(|k| k.insert(p.idx, addrs.clone()) != Some(addrs));
                }
            }
            NodeBehaviourEvent::Identify(identify::Event::Error { peer_id, error, .. }) => {
                tracing::debug!(peer = %self.name(&peer_id), %error, "identify went wrong");
            }
            NodeBehaviourEvent::Identify(identify::Event::Sent { .. } | identify::Event::Pushed { .. }) => {}
            NodeBehaviourEvent::Relay(relay::client::Event::ReservationReqAccepted {
                relay_peer_id, renewal, ..
            }) => {
                self.links.reserved(now, relay_peer_id);
                let name = self.name(&relay_peer_id);
                tracing::debug!(relay = %name, renewal, "relay reservation made");
                self.metrics
                    .relay_connections
                    .get_or_create(&metrics::peer(&name))
                    .set(1);
            }
            NodeBehaviourEvent::Relay(
                relay::client::Event::OutboundCircuitEstablished { .. }
                | relay::client::Event::InboundCircuitEstablished { .. },
            ) => {}
            NodeBehaviourEvent::Gate(never) | NodeBehaviourEvent::Streams(never) => match never {},
        }
    }

    fn listener_closed(&mut self, listener: ListenerId, error: Option<std::io::Error>) {
        let now = self.now();
        let Some(relay) = self.reservations.iter().find(|(_, l)| **l == listener).map(|(r, _)| *r) else {
            if let Some(error) = error {
                tracing::error!(%error, "a listen port was lost; peers cannot connect to it any more");
            }
            return;
        };
        self.reservations.remove(&relay);
        self.links.reservation_lost(now, relay);
        let name = self.name(&relay);
        self.metrics
            .relay_connections
            .get_or_create(&metrics::peer(&name))
            .set(0);
        match error {
            Some(e) => {
                tracing::warn!(relay = %name, reason = %listen::innermost(&e), "relay reservation refused, so peers cannot reach this node through it; trying again (a relay on a private network has to announce an external host name)")
            }
            None => tracing::debug!(relay = %name, "relay reservation ended"),
        }
    }

    fn show_connected(&self) {
        let now: BTreeSet<PeerIdx> = self
            .ids
            .iter()
            .filter(|(id, _)| self.swarm.is_connected(id))
            .map(|(_, p)| p.idx)
            .collect();
        self.connected.send_if_modified(|old| {
            let news = *old != now;
            *old = now;
            news
        });
    }

    /// Counts the connections for the metrics.
    fn count(&self) {
        let mut counts: BTreeMap<(PeerId, &'static str), BTreeMap<&'static str, i64>> = BTreeMap::new();
        for (peer, routes) in self.table.all() {
            for r in routes {
                let kind = if r.relayed { "relay" } else { "direct" };
                let n = counts.entry((peer, kind)).or_default().entry(r.transport).or_default();
                *n = n.saturating_add(1);
            }
        }
        let relays = self.relay_ids.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let operators = self
            .ids
            .keys()
            .filter(|id| **id != self.own)
            .map(|id| (id, &self.metrics.peer_connection_types));
        let relays = relays.iter().map(|id| (id, &self.metrics.relay_connection_types));
        for (id, family) in operators.chain(relays) {
            for kind in ["direct", "relay"] {
                let found = counts.remove(&(*id, kind)).unwrap_or_default();
                for protocol in ["tcp", "quic", "unknown"] {
                    let label = ConnectionLabel {
                        peer: self.name(id),
                        r#type: kind,
                        protocol,
                    };
                    match found.get(protocol) {
                        Some(n) => {
                            family.get_or_create(&label).set(*n);
                        }
                        None => {
                            family.remove(&label);
                        }
                    }
                }
                let none = ConnectionLabel {
                    peer: self.name(id),
                    r#type: kind,
                    protocol: "none",
                };
                if found.is_empty() {
                    family.get_or_create(&none).set(0);
                } else {
                    family.remove(&none);
                }
            }
        }
    }
}

/// A dial error with each address and its cause, peer IDs shown as names.
fn describe(error: &DialError) -> String {
    match error {
        DialError::Transport(errors) => {
            let each = errors
                .iter()
                .map(|(a, e)| format!("{}: {}", addr::named(a), listen::innermost(e)));
            each.collect::<Vec<_>>().join("; ")
        }
        other => listen::innermost(other),
    }
}
