//! A network in memory. Each ordered pair of nodes has a link with latency, jitter, loss and duplication; links go up
//! and down, also in the middle of a run.
//!
//! Guarantees: what happens to a message is drawn from the seed in the order of the sends; a message is handed over by
//! a task of its own, as a stream would be. Not here: connections, relays, wire formats (crate `p2p`).

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures::future::BoxFuture;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha20Rng;
use tokio::task::JoinSet;
use trireme_core::{
    PeerIdx,
    ports::{Handler, Inbound, NetError, Peer, PeerNet, ProtocolId, ServeGuard},
};
use trireme_keys::{IdentityKey, PeerId, peer_name};

/// How long a request waits for its answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// What happens to messages from one node to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// The least time on the way.
    pub latency: Duration,
    /// At most so much more, drawn for each message. More than the gap between messages reorders them.
    pub jitter: Duration,
    /// So many of 1,000 messages are lost.
    pub loss: u16,
    /// So many of 1,000 messages arrive twice.
    pub duplication: u16,
    /// Whether anything arrives at all.
    pub up: bool,
}

impl Default for Link {
    /// Half a millisecond, reliable.
    fn default() -> Self {
        Self {
            latency: Duration::from_micros(500),
            jitter: Duration::ZERO,
            loss: 0,
            duplication: 0,
            up: true,
        }
    }
}

/// The network of one simulation.
pub struct SimNet {
    peers: Vec<Peer>,
    keys: Vec<IdentityKey>,
    state: Mutex<State>,
}

struct State {
    rng: ChaCha20Rng,
    links: BTreeMap<(PeerIdx, PeerIdx), Link>,
    handlers: BTreeMap<(PeerIdx, &'static str), (u64, Handler)>,
    registrations: u64,
    tasks: JoinSet<()>,
}

/// One node's side of a [`SimNet`].
pub struct SimPeer {
    net: Arc<SimNet>,
    me: PeerIdx,
}

impl SimNet {
    /// A network of `nodes` nodes; the seed decides identities and fates.
    ///
    /// # Panics
    ///
    /// For more than 255 nodes.
    #[must_use]
    pub fn new(nodes: u8, seed: u64) -> Arc<Self> {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let keys: Vec<IdentityKey> = (0..nodes)
            .map(|_| IdentityKey::generate(|out| rng.fill_bytes(out)))
            .collect();
        let peer = |(idx, key): (u8, &IdentityKey)| {
            let id = PeerId::from(key.public_key());
            Peer {
                idx: PeerIdx(idx),
                name: peer_name(&id),
                id,
            }
        };
        let peers = (0..nodes).zip(&keys).map(peer).collect();
        let (links, handlers, tasks) = (BTreeMap::new(), BTreeMap::new(), JoinSet::new());
        Arc::new(Self {
            peers,
            keys,
            state: Mutex::new(State {
                rng,
                links,
                handlers,
                registrations: 0,
                tasks,
            }),
        })
    }

    /// A node's side.
    #[must_use]
    pub fn peer(self: &Arc<Self>, me: PeerIdx) -> Arc<SimPeer> {
        Arc::new(SimPeer {
            net: Arc::clone(self),
            me,
        })
    }

    /// A node's identity key.
    #[must_use]
    pub fn key(&self, of: PeerIdx) -> Option<&IdentityKey> {
        self.keys.get(usize::from(of.0))
    }

    /// Changes the link from one node to another, for messages sent from now on.
    pub fn set_link(&self, from: PeerIdx, to: PeerIdx, link: Link) {
        self.state().links.insert((from, to), link);
    }

    /// Changes every link.
    pub fn set_all(&self, link: Link) {
        let mut state = self.state();
        for from in &self.peers {
            for to in &self.peers {
                state.links.insert((from.idx, to.idx), link);
            }
        }
    }

    /// Lets messages pass only within each group; a node in no group is alone.
    pub fn partition(&self, groups: &[&[PeerIdx]]) {
        let together = |a, b| groups.iter().any(|group| group.contains(&a) && group.contains(&b));
        self.each_link(|from, to, link| link.up = together(from, to));
    }

    /// Lets everything pass again; the links' other properties stay.
    pub fn heal(&self) {
        self.each_link(|_, _, link| link.up = true);
    }

    /// Cuts a node off, or connects it again.
    pub fn set_node(&self, node: PeerIdx, up: bool) {
        self.each_link(|from, to, link| {
            if from == node || to == node {
                link.up = up;
            }
        });
    }

    fn each_link(&self, mut change: impl FnMut(PeerIdx, PeerIdx, &mut Link)) {
        let mut state = self.state();
        for from in &self.peers {
            for to in self.peers.iter().filter(|to| to.idx != from.idx) {
                change(from.idx, to.idx, state.links.entry((from.idx, to.idx)).or_default());
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long each copy of the next message is on its way; no copy, no delivery.
    fn draw(&self, from: PeerIdx, to: PeerIdx) -> Vec<Duration> {
        let mut state = self.state();
        let link = state.links.get(&(from, to)).copied().unwrap_or_default();
        let rng = &mut state.rng;
        // Drawn in any case, so that changing one link leaves the fates on the others as they are.
        let mut per_mille = || u16::try_from(rng.next_u64() % 1000).unwrap_or_default();
        let (lost, doubled) = (per_mille() < link.loss, per_mille() < link.duplication);
        let delays = [rng.next_u64(), rng.next_u64()].map(|draw| {
            let most = u64::try_from(link.jitter.as_nanos())
                .unwrap_or(u64::MAX)
                .saturating_add(1);
            link.latency
                .saturating_add(Duration::from_nanos(draw.checked_rem(most).unwrap_or_default()))
        });
        let copies = match (link.up && !lost, doubled) {
            (false, _) => 0,
            (true, false) => 1,
            (true, true) => 2,
        };
        delays.into_iter().take(copies).collect()
    }

    fn handler(&self, of: PeerIdx, proto: ProtocolId) -> Option<Handler> {
        self.state()
            .handlers
            .get(&(of, proto.name))
            .map(|(_, handler)| Arc::clone(handler))
    }

    fn name(&self, of: PeerIdx) -> String {
        self.peers
            .get(usize::from(of.0))
            .map_or_else(|| format!("peer {}", of.0), |p| p.name.clone())
    }

    fn is_up(&self, from: PeerIdx, to: PeerIdx) -> bool {
        self.state().links.get(&(from, to)).copied().unwrap_or_default().up
    }
}

impl SimPeer {
    fn check(&self, to: PeerIdx, proto: ProtocolId, msg: &Bytes) -> Result<Inbound, NetError> {
        let peer = self.net.name(to);
        if usize::from(to.0) >= self.net.peers.len() || !self.net.is_up(self.me, to) {
            return Err(NetError::Unreachable {
                peer,
                reason: "the link is down".to_owned(),
            });
        }
        if msg.len() > proto.max_frame {
            let reason = format!("a frame of {} bytes is larger than {}", msg.len(), proto.max_frame);
            return Err(NetError::Stream {
                peer,
                protocol: proto.name,
                reason,
            });
        }
        let me = self.net.peers.get(usize::from(self.me.0));
        let unknown = || NetError::Unreachable {
            peer: self.net.name(self.me),
            reason: "no such node".to_owned(),
        };
        Ok(Inbound {
            from: Some(self.me),
            from_id: me.ok_or_else(unknown)?.id,
            msg: msg.clone(),
        })
    }
}

impl PeerNet for SimPeer {
    fn me(&self) -> PeerIdx {
        self.me
    }

    fn peers(&self) -> &[Peer] {
        &self.net.peers
    }

    fn send(&self, to: PeerIdx, proto: ProtocolId, msg: Bytes) -> BoxFuture<'_, Result<(), NetError>> {
        Box::pin(async move {
            let inbound = self.check(to, proto, &msg)?;
            for delay in self.net.draw(self.me, to) {
                let (net, inbound) = (Arc::clone(&self.net), inbound.clone());
                let delivery = async move {
                    tokio::time::sleep(delay).await;
                    if let Some(handler) = net.handler(to, proto) {
                        // What a handler does with a bad message is its own business.
                        let _ = handler(inbound).await;
                    }
                };
                let mut state = self.net.state();
                while state.tasks.try_join_next().is_some() {}
                state.tasks.spawn(delivery);
            }
            Ok(())
        })
    }

    fn request(&self, to: PeerIdx, proto: ProtocolId, msg: Bytes) -> BoxFuture<'_, Result<Bytes, NetError>> {
        Box::pin(async move {
            let broken = |reason: &str| NetError::Stream {
                peer: self.net.name(to),
                protocol: proto.name,
                reason: reason.to_owned(),
            };
            let inbound = self.check(to, proto, &msg)?;
            let (there, back) = (self.net.draw(self.me, to), self.net.draw(to, self.me));
            let (Some(there), Some(back)) = (there.first().copied(), back.first().copied()) else {
                tokio::time::sleep(REQUEST_TIMEOUT).await;
                return Err(broken("no answer in time"));
            };
            tokio::time::sleep(there).await;
            let handler = self
                .net
                .handler(to, proto)
                .ok_or_else(|| broken("the protocol is not served"))?;
            let answer = tokio::time::timeout(REQUEST_TIMEOUT, handler(inbound)).await;
            let answer = answer
                .map_err(|_| broken("no answer in time"))?
                .map_err(|e| broken(&e.to_string()))?;
            tokio::time::sleep(back).await;
            answer.ok_or_else(|| broken("the stream was closed without an answer"))
        })
    }

    fn serve(&self, proto: ProtocolId, handler: Handler) -> ServeGuard {
        let key = (self.me, proto.name);
        let mut state = self.net.state();
        state.registrations = state.registrations.saturating_add(1);
        let number = state.registrations;
        state.handlers.insert(key, (number, handler));
        drop(state);
        let net = Arc::downgrade(&self.net);
        ServeGuard(Some(Box::new(move || {
            let Some(net) = net.upgrade() else { return };
            let mut state = net.state();
            // A later registration of the same protocol stays.
            if state.handlers.get(&key).is_some_and(|(n, _)| *n == number) {
                state.handlers.remove(&key);
            }
        })))
    }
}
