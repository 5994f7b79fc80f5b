//! The relay server: lets nodes that cannot be reached meet (p2p.md 11).
//!
//! Open to everybody; limits per circuit and peer are those of Charon's relay. A page over HTTP tells its addresses.
//! Not here: the file with the relay's key (crate `cli`).

mod http;
mod metrics;
mod monitor;
mod reservations;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::StreamExt as _;
use libp2p::{Multiaddr, PeerId, Swarm, multiaddr::Protocol, relay, swarm::SwarmEvent};
use tokio::{net::TcpListener, time::Instant};
use tokio_util::sync::CancellationToken;
pub use trireme_core::life::Life;
use trireme_keys::IdentityKey;

pub use self::metrics::RelayMetrics;
use crate::{
    addr,
    config::P2pError,
    identity,
    inbox::Inbox,
    listen,
    metrics::P2pMetrics,
    swarm::{self, RelayBehaviour, RelayBehaviourEvent},
    table::Table,
    traffic::Meter,
};

/// Bytes per direction and circuit that Charon's relay allows.
const CIRCUIT_BYTES: u64 = 32 * 1024 * 1024;
/// Longest life of a circuit.
const CIRCUIT_DURATION: Duration = Duration::from_secs(3600);
/// Life of a reservation.
const RESERVATION: Duration = Duration::from_secs(3600);
/// How long clients have to take our goodbye.
const GOODBYE: Duration = Duration::from_millis(500);

/// A relay server.
#[derive(Debug)]
pub struct RelayConfig {
    /// The relay's identity.
    pub identity: IdentityKey,
    /// TCP addresses to listen on, at least one; port 0 takes a free one.
    pub listen: Vec<SocketAddr>,
    /// Where the page is served; `None` serves none. Port 0 takes a free one.
    pub http: Option<SocketAddr>,
    /// An IP address to announce with every listen port.
    pub external_ip: Option<IpAddr>,
    /// A host name to announce with every listen port.
    pub external_host: Option<String>,
    /// Whether to announce private and loopback listen addresses.
    pub advertise_private: bool,
    /// Reservations per IP address, and open circuits per peer (512).
    pub max_reservations: usize,
    /// Reservations and circuits in total (16,384).
    pub max_connections: usize,
    /// Version text for identify.
    pub version: String,
}

/// A running relay. Clones are the same relay.
#[derive(Clone)]
pub struct RelayHandle {
    peer_id: trireme_keys::PeerId,
    listen_addrs: Vec<SocketAddr>,
    http_addr: Option<SocketAddr>,
    page: Arc<Page>,
    stop: CancellationToken,
    life: Life,
}

impl RelayHandle {
    /// The relay's identity.
    #[must_use]
    pub fn peer_id(&self) -> &trireme_keys::PeerId {
        &self.peer_id
    }

    /// Where it listens, with the real ports.
    #[must_use]
    pub fn listen_addrs(&self) -> &[SocketAddr] {
        &self.listen_addrs
    }

    /// Where its page is, with the real port.
    #[must_use]
    pub fn http_addr(&self) -> Option<SocketAddr> {
        self.http_addr
    }

    /// The addresses on its page, with its peer ID; usable as fixed relay addresses.
    #[must_use]
    pub fn multiaddrs(&self) -> Vec<Multiaddr> {
        self.page.multiaddrs()
    }

    /// Closes all connections and ends the relay's tasks.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        self.life.finish(GOODBYE * 2).await;
    }
}

/// What the page tells.
struct Page {
    key: IdentityKey,
    id: PeerId,
    external: Vec<Multiaddr>,
    external_ip: Option<IpAddr>,
    external_host: Option<String>,
    advertise_private: bool,
    /// The listen addresses, per interface.
    listening: Mutex<BTreeSet<Multiaddr>>,
}

impl Page {
    /// Without peer ID.
    fn advertised(&self) -> Vec<Multiaddr> {
        let listening: Vec<_> = self
            .listening
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .cloned()
            .collect();
        addr::advertised(&listening, &self.external, !self.advertise_private)
    }

    fn multiaddrs(&self) -> Vec<Multiaddr> {
        self.advertised()
            .into_iter()
            .map(|a| a.with(Protocol::P2p(self.id)))
            .collect()
    }
}

/// Starts a relay: opens the ports, then goes on in tasks of a part of `life`.
///
/// # Errors
///
/// If a port cannot be opened or the library cannot be set up.
pub async fn serve(config: RelayConfig, metrics: RelayMetrics, life: &Life) -> Result<RelayHandle, P2pError> {
    let keypair = identity::keypair(&config.identity)?;
    let peer_id = trireme_keys::PeerId::from_public_key(config.identity.public_key());
    let id = identity::to_libp2p(&peer_id);
    let reservations = reservations::Reservations::default();
    let limits = relay::Config {
        max_reservations: config.max_connections,
        max_reservations_per_peer: config.max_reservations,
        reservation_duration: RESERVATION,
        reservation_rate_limiters: vec![reservations.limiter(RESERVATION, config.max_reservations)],
        max_circuits: config.max_connections,
        max_circuits_per_peer: config.max_reservations,
        max_circuit_duration: CIRCUIT_DURATION,
        // The library counts both directions together.
        max_circuit_bytes: CIRCUIT_BYTES * 2,
        circuit_src_rate_limiters: Vec::new(),
    };
    let life = life.child();
    let table = Arc::new(Table::new());
    let inbox = Inbox::new([], Arc::clone(&table), P2pMetrics::new());
    let agent = format!("{}/{}", crate::config::DV_CLIENT, config.version);
    let meter = Meter::default();
    let mut swarm = swarm::relay_server(keypair, agent, limits, Arc::clone(&table), inbox, meter.clone())?;
    let listen_addrs = listen::open(&mut swarm, &config.listen).await?;
    let http = match config.http {
        None => None,
        Some(addr) => {
            let bad = |e: std::io::Error| P2pError::Listen {
                flag: "--http-address",
                addr: addr.to_string(),
                reason: e.to_string(),
            };
            let listener = TcpListener::bind(addr).await.map_err(bad)?;
            Some((listener.local_addr().map_err(bad)?, listener))
        }
    };
    let external = listen::external(&listen_addrs, config.external_ip, config.external_host.as_deref());
    let page = Arc::new(Page {
        key: config.identity,
        id,
        external,
        external_ip: config.external_ip,
        external_host: config.external_host,
        advertise_private: config.advertise_private,
        listening: Mutex::new(swarm.listeners().cloned().collect()),
    });
    let (http_addr, listener) = http.unzip();
    if let Some(listener) = listener {
        life.task("relay.http", http::serve(listener, Arc::clone(&page), life.clone()));
    }
    let clusters = monitor::Clusters::default();
    life.task(
        "relay.monitor",
        monitor::run(Arc::clone(&table), clusters.clone(), meter, metrics.clone()),
    );
    let stop = life.token().child_token();
    let mut driver = Driver {
        swarm,
        page: Arc::clone(&page),
        metrics,
        clusters,
        table,
        reservations,
        circuits: BTreeMap::new(),
        announced: BTreeSet::new(),
    };
    driver.announce();
    driver.metrics.status.set(1);
    let token = stop.clone();
    life.task("relay.swarm", async move { driver.run(token).await });
    Ok(RelayHandle {
        peer_id,
        listen_addrs,
        http_addr,
        page,
        stop,
        life,
    })
}

struct Driver {
    swarm: Swarm<RelayBehaviour>,
    page: Arc<Page>,
    metrics: RelayMetrics,
    clusters: monitor::Clusters,
    table: Arc<Table>,
    reservations: reservations::Reservations,
    /// When each open circuit began; there may be several of a pair.
    circuits: BTreeMap<(PeerId, PeerId), Vec<Instant>>,
    /// External addresses given to the library; it hands them to clients with a reservation.
    announced: BTreeSet<Multiaddr>,
}

impl Driver {
    async fn run(&mut self, stop: CancellationToken) {
        loop {
            tokio::select! { biased;
                () = stop.cancelled() => break,
                event = self.swarm.select_next_some() => self.event(event),
            }
        }
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
        // Clients that do not close in time see the connection break.
        let _ = tokio::time::timeout(GOODBYE, closed).await;
    }

    /// Tells the library our addresses. Clients on the same library refuse a reservation without any (pitfall 6), so a
    /// relay that advertises none names its listen addresses there: whoever asks has reached it at one.
    fn announce(&mut self) {
        let mut wanted: BTreeSet<Multiaddr> = self.page.advertised().into_iter().collect();
        if wanted.is_empty() {
            wanted = self.swarm.listeners().cloned().collect();
        }
        for gone in self.announced.difference(&wanted) {
            self.swarm.remove_external_address(gone);
        }
        for new in wanted.difference(&self.announced) {
            self.swarm.add_external_address(new.clone());
        }
        self.announced = wanted;
    }

    fn event(&mut self, event: SwarmEvent<RelayBehaviourEvent>) {
        match event {
            SwarmEvent::NewListenAddr { address, .. } => {
                self.page
                    .listening
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .insert(address);
                self.announce();
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                self.page
                    .listening
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .remove(&address);
                self.announce();
            }
            SwarmEvent::ConnectionEstablished { peer_id, .. } => {
                let cluster = self.clusters.of(&peer_id);
                self.metrics.connected(&identity::name(&peer_id), &cluster);
                self.show();
            }
            SwarmEvent::ConnectionClosed {
                peer_id,
                num_established,
                ..
            } => {
                if num_established == 0 {
                    self.reservations.forget(&peer_id);
                    let cluster = self.clusters.forget(&peer_id);
                    self.metrics.gone(&identity::name(&peer_id), &cluster);
                }
                self.show();
            }
            SwarmEvent::ListenerClosed { reason: Err(error), .. } | SwarmEvent::ListenerError { error, .. } => {
                tracing::error!(%error, "a listen port has trouble; nodes may not reach the relay");
            }
            SwarmEvent::Behaviour(RelayBehaviourEvent::Relay(event)) => self.relayed(&event),
            // Pings, identify, dials of others: nothing to do.
            _ => {}
        }
    }

    fn show(&self) {
        for (peer, routes) in self.table.all() {
            self.metrics
                .active(&identity::name(&peer), &self.clusters.of(&peer), routes.len());
        }
    }

    fn relayed(&mut self, event: &relay::Event) {
        match event {
            relay::Event::ReservationReqAccepted { src_peer_id, renewed } => {
                tracing::debug!(peer = %identity::name(src_peer_id), renewed, "reservation made");
                self.metrics.reservation(if *renewed { "renewed" } else { "opened" });
                self.metrics.reservation_answered("ok");
            }
            relay::Event::ReservationClosed { .. } | relay::Event::ReservationTimedOut { .. } => {
                self.metrics.reservation("closed");
            }
            relay::Event::ReservationReqDenied { src_peer_id, status } => {
                tracing::warn!(peer = %identity::name(src_peer_id), ?status, "reservation refused");
                let (status, reason) = refusal(status);
                self.metrics.reservation_answered(status);
                self.metrics.reservation_refused(reason);
            }
            relay::Event::CircuitReqAccepted {
                src_peer_id,
                dst_peer_id,
            } => {
                tracing::debug!(from = %identity::name(src_peer_id), to = %identity::name(dst_peer_id), "circuit opened");
                self.metrics.circuit("opened");
                self.metrics.circuit_answered("ok");
                let open = self.circuits.entry((*src_peer_id, *dst_peer_id)).or_default();
                open.push(Instant::now());
            }
            relay::Event::CircuitClosed {
                src_peer_id,
                dst_peer_id,
                ..
            } => {
                self.metrics.circuit("closed");
                let pair = (*src_peer_id, *dst_peer_id);
                // The events do not tell which of several circuits of a pair it was; the oldest usually ends first.
                if let Some(open) = self.circuits.get_mut(&pair)
                    && !open.is_empty()
                {
                    self.metrics.circuit_lasted(open.remove(0).elapsed());
                }
                self.circuits.retain(|_, open| !open.is_empty());
            }
            relay::Event::CircuitReqDenied {
                src_peer_id,
                dst_peer_id,
                status,
            } => {
                tracing::debug!(from = %identity::name(src_peer_id), to = %identity::name(dst_peer_id), ?status, "circuit refused");
                let (status, reason) = refusal(status);
                self.metrics.circuit_answered(status);
                self.metrics.circuit_refused(reason);
            }
            // The library's deprecated failure events and its status.
            _ => {}
        }
    }
}

/// The labels of a refusal, status and reason, as the Go library's metrics have them.
const fn refusal(status: &relay::StatusCode) -> (&'static str, &'static str) {
    use relay::StatusCode as S;
    match status {
        S::OK => ("ok", "unknown"),
        S::ReservationRefused => ("rejected", "ip constraint violation"),
        S::ResourceLimitExceeded => ("rejected", "resource limit exceeded"),
        S::PermissionDenied => ("rejected", "permission denied"),
        S::NoReservation => ("rejected", "no reservation"),
        S::MalformedMessage => ("rejected", "malformed message"),
        S::UnexpectedMessage | S::ConnectionFailed => ("error", "unknown"),
    }
}

/// Names of clusters by peer, as far as the peers have told.
type Names = BTreeMap<PeerId, String>;
