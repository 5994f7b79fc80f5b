//! A node's place in the network: starts everything and drives the swarm.
//!
//! Guarantees: an external address is announced only because the configuration says so, never because a peer says so
//! (pitfall 24c); a connection whose pings fail is closed, so that a dead way is not preferred for ever; the gate's list
//! of relays is read anew for every connection.
//! Not here: decisions about connections (`links`), streams (`net`, `inbox`).

mod driver;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use libp2p::{Multiaddr, PeerId};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;
use trireme_core::{
    PeerIdx,
    life::Life,
    ports::{Clock, Entropy, Peer, PeerNet},
};

use self::driver::Driver;
use crate::{
    addr,
    config::{P2pConfig, P2pError, RelayAddr},
    identity,
    inbox::Inbox,
    links::Links,
    listen,
    metrics::P2pMetrics,
    net::Net,
    peerinfo,
    ping::Pinger,
    protocol::PEERINFO,
    relays::{self, Found},
    swarm,
    table::Table,
};

/// How long the peers have to take our goodbye.
const GOODBYE: Duration = Duration::from_millis(500);
/// Messages and relays waiting to be noticed by the driver.
const QUEUE: usize = 256;

/// What the host needs from outside.
pub struct Services {
    /// Wall time, for peer information.
    pub clock: Arc<dyn Clock>,
    /// Randomness, for the waits between dials.
    pub entropy: Arc<dyn Entropy>,
    /// Where its tasks live; it makes a part of its own.
    pub life: Life,
    /// Its metrics.
    pub metrics: P2pMetrics,
}

/// What can be seen and done from outside once the host runs. Clones are the same host.
#[derive(Clone)]
pub struct HostHandle {
    peer_id: trireme_keys::PeerId,
    listen_addrs: Vec<SocketAddr>,
    connected: watch::Receiver<BTreeSet<PeerIdx>>,
    nicknames: watch::Receiver<BTreeMap<String, String>>,
    relays: watch::Receiver<usize>,
    relays_configured: usize,
    known: watch::Receiver<BTreeMap<PeerIdx, Vec<Multiaddr>>>,
    stop: CancellationToken,
    stopped: watch::Receiver<bool>,
    life: Life,
}

impl HostHandle {
    /// Our identity.
    #[must_use]
    pub fn peer_id(&self) -> &trireme_keys::PeerId {
        &self.peer_id
    }

    /// Where we listen, in the order of the configuration, with the real ports.
    #[must_use]
    pub fn listen_addrs(&self) -> &[SocketAddr] {
        &self.listen_addrs
    }

    /// The operators that are connected now, ourselves not among them. Any kind of connection counts.
    #[must_use]
    pub fn connected(&self) -> watch::Receiver<BTreeSet<PeerIdx>> {
        self.connected.clone()
    }

    /// Peer name to the nickname that the peer told.
    #[must_use]
    pub fn nicknames(&self) -> watch::Receiver<BTreeMap<String, String>> {
        self.nicknames.clone()
    }

    /// Direct addresses of the peers as they told them; given to [`P2pConfig::known`] at the next start they let the
    /// cluster find itself without a relay.
    #[must_use]
    pub fn known_addrs(&self) -> watch::Receiver<BTreeMap<PeerIdx, Vec<Multiaddr>>> {
        self.known.clone()
    }

    /// Waits until one relay has been found; returns at once if none is configured.
    ///
    /// # Errors
    ///
    /// If none was found within `limit`.
    pub async fn wait_for_relay(&self, limit: Duration) -> Result<(), P2pError> {
        if self.relays_configured == 0 {
            return Ok(());
        }
        let mut relays = self.relays.clone();
        let found = timeout(limit, relays.wait_for(|n| *n > 0)).await;
        found.map_or_else(|_| Err(P2pError::NoRelay(limit)), |_| Ok(()))
    }

    /// Says goodbye to the peers and ends the host's tasks.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        let mut stopped = self.stopped.clone();
        // An error means that the driver has gone already.
        let _ = timeout(GOODBYE * 2, stopped.wait_for(|s| *s)).await;
        self.life.stop().await;
    }
}

/// Starts the network. See [`Host::start`].
pub struct Host;

impl Host {
    /// Starts a node's network: opens the ports, then goes on in tasks of `services.life`.
    ///
    /// # Errors
    ///
    /// If the configuration contradicts itself, a port cannot be opened or the library cannot be set up. Relays and
    /// peers that cannot be reached are no errors.
    pub async fn start(config: P2pConfig, services: Services) -> Result<(Arc<dyn PeerNet>, HostHandle), P2pError> {
        let P2pConfig {
            identity: key,
            me,
            peers,
            listen,
            external_ip,
            external_host,
            relays,
            headers,
            about,
            known,
            ask_peerinfo,
        } = config;
        let Services {
            clock,
            entropy,
            life,
            metrics,
        } = services;
        let own = peers.get(usize::from(me.0)).ok_or(P2pError::NoOperator(me))?.clone();
        let key_id = trireme_keys::PeerId::from_public_key(key.public_key());
        if own.id != key_id {
            let key = trireme_keys::peer_name(&key_id);
            return Err(P2pError::NotMe {
                key,
                idx: me,
                operator: own.name,
            });
        }
        let ids: BTreeMap<PeerId, Peer> = peers.iter().map(|p| (identity::to_libp2p(&p.id), p.clone())).collect();
        let own_id = identity::to_libp2p(&own.id);

        let life = life.child();
        let table = Arc::new(Table::new());
        let others = ids.iter().filter(|(_, p)| p.idx != me);
        let inbox = Inbox::new(
            others.map(|(id, p)| (*id, p.idx, p.name.clone())),
            Arc::clone(&table),
            metrics.clone(),
        );
        let relay_ids: Arc<Mutex<BTreeSet<PeerId>>> = Arc::default();
        let rule = {
            let (operators, relay_ids) = (ids.keys().copied().collect::<BTreeSet<_>>(), Arc::clone(&relay_ids));
            Arc::new(move |id: &PeerId| {
                operators.contains(id) || relay_ids.lock().unwrap_or_else(PoisonError::into_inner).contains(id)
            })
        };
        let agent = format!("{}/{}", crate::config::DV_CLIENT, about.version);
        let mut swarm = swarm::node(
            identity::keypair(&key)?,
            agent,
            rule,
            Arc::clone(&table),
            Arc::clone(&inbox),
        )?;
        let listen_addrs = listen::open(&mut swarm, &listen).await?;
        for a in listen::external(&listen_addrs, external_ip, external_host.as_deref()) {
            swarm.add_external_address(a);
        }

        let stop = life.token().child_token();
        let (want, wanted) = mpsc::channel(QUEUE);
        let (connected_tx, connected) = watch::channel(BTreeSet::new());
        let (nicknames_tx, nicknames) = watch::channel(BTreeMap::new());
        let (relays_tx, relays_found) = watch::channel(0);
        let (known_tx, known_rx) = watch::channel(known.clone());
        let (stopped_tx, stopped) = watch::channel(false);
        let net = Arc::new(Net::new(
            me,
            peers.clone(),
            Arc::clone(&table),
            Arc::clone(&inbox),
            want,
            metrics.clone(),
            stop.clone(),
        ));

        let started = clock.now();
        // Registered for as long as the host lives.
        inbox.register(PEERINFO, peerinfo::server(about.clone(), started, Arc::clone(&clock)));
        let client = peerinfo::Client {
            net: Arc::clone(&net),
            about,
            started,
            clock,
            metrics: metrics.clone(),
            nicknames: nicknames_tx,
        };
        client.show_own(&own);
        if ask_peerinfo {
            life.task("p2p.peerinfo", client.run(peers, me));
        }
        let (dead_tx, dead) = mpsc::channel(QUEUE);
        let others = ids.iter().filter(|(_, p)| p.idx != me);
        let pinger = Pinger {
            operators: others.map(|(id, p)| (*id, p.clone())).collect(),
            table: Arc::clone(&table),
            metrics: metrics.clone(),
            entropy: Arc::clone(&entropy),
            dead: dead_tx,
        };
        life.task("p2p.ping", pinger.run());
        for worker in inbox.workers() {
            life.task("p2p.handlers", worker);
        }

        let random = {
            let entropy = Arc::clone(&entropy);
            Box::new(move || relays::fraction(entropy.as_ref()))
        };
        let links_peers = ids
            .iter()
            .map(|(id, p)| (*id, known.get(&p.idx).cloned().unwrap_or_default()));
        let links = Links::new(own_id, links_peers, random);
        let relays_configured = relays.len();
        let (found_tx, found) = mpsc::channel(QUEUE);
        if relays.iter().any(|r| matches!(r, RelayAddr::Url(_))) {
            let client = relays::http_client().map_err(|e| P2pError::Stack(listen::innermost(&e)))?;
            for (slot, r) in relays.iter().enumerate() {
                if let RelayAddr::Url(url) = r {
                    let (client, tx, entropy) = (client.clone(), found_tx.clone(), Arc::clone(&entropy));
                    life.task(
                        "p2p.relay",
                        relays::follow(slot, url.clone(), headers.clone(), client, tx, entropy),
                    );
                }
            }
        }
        let mut driver = Driver {
            swarm,
            own: own_id,
            links,
            table,
            ids,
            relay_ids,
            metrics,
            start: Instant::now(),
            dials: BTreeMap::new(),
            reservations: BTreeMap::new(),
            told: BTreeMap::new(),
            connected: connected_tx,
            relays_found: relays_tx,
            known: known_tx,
        };
        driver.metrics.reachability_status.set(0);
        for (slot, r) in relays.into_iter().enumerate() {
            if let RelayAddr::Fixed(a) = r
                && let Some((plain, id)) = addr::split_peer(&a)
            {
                driver.found(Found {
                    slot,
                    id,
                    addrs: vec![plain],
                });
            }
        }
        let token = stop.clone();
        // `found_tx` lives on in the driver's task, so that the channel stays open without look-ups.
        life.task("p2p.swarm", async move {
            driver.run(wanted, found, dead, token).await;
            drop(found_tx);
            stopped_tx.send_replace(true);
        });

        let handle = HostHandle {
            peer_id: own.id,
            listen_addrs,
            connected,
            nicknames,
            relays: relays_found,
            relays_configured,
            known: known_rx,
            stop,
            stopped,
            life,
        };
        Ok((net, handle))
    }
}
