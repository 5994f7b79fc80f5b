//! A network of `n` nodes in one process: every message takes its time, a node may be down.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures::future::BoxFuture;
use trireme_core::{
    PeerIdx,
    life::Life,
    ports::{Handler, Inbound, NetError, Peer, PeerNet, ProtocolId, ServeGuard},
};
use trireme_keys::{IdentityKey, K1PublicKey, PeerId};

type Handlers = BTreeMap<(PeerIdx, &'static str), Handler>;

/// The identity key of node `i`.
pub(crate) fn identity(i: u8) -> IdentityKey {
    IdentityKey::from_bytes(&[i + 1; 32]).unwrap()
}

/// All nodes' wires.
pub(crate) struct Hub {
    peers: Vec<Peer>,
    handlers: Mutex<Handlers>,
    down: Mutex<Vec<PeerIdx>>,
    /// Delay of the next message: a small counter makes it vary, the same in every run.
    delay: Mutex<u64>,
    life: Life,
}

impl Hub {
    pub(crate) fn of(n: u8, life: Life) -> Arc<Self> {
        let peer = |i: u8| {
            let id = PeerId::from(identity(i).public_key());
            Peer {
                idx: PeerIdx(i),
                id,
                name: format!("peer-{i}"),
            }
        };
        let peers = (0..n).map(peer).collect();
        Arc::new(Self {
            peers,
            handlers: Mutex::default(),
            down: Mutex::default(),
            delay: Mutex::new(0),
            life,
        })
    }

    pub(crate) fn node(self: &Arc<Self>, me: u8) -> Arc<Node> {
        Arc::new(Node {
            hub: Arc::clone(self),
            me: PeerIdx(me),
        })
    }

    /// Nothing reaches or leaves the node any more; what was on its way is lost.
    pub(crate) fn down(&self, node: u8) {
        self.down.lock().unwrap().push(PeerIdx(node));
        self.handlers
            .lock()
            .unwrap()
            .retain(|(idx, _), _| *idx != PeerIdx(node));
    }

    pub(crate) fn up(&self, node: u8) {
        self.down.lock().unwrap().retain(|idx| *idx != PeerIdx(node));
    }

    fn is_down(&self, node: PeerIdx) -> bool {
        self.down.lock().unwrap().contains(&node)
    }

    fn next_delay(&self) -> Duration {
        let mut n = self.delay.lock().unwrap();
        *n += 7;
        Duration::from_millis(3 + *n % 31)
    }

    fn handler(&self, to: PeerIdx, proto: ProtocolId) -> Option<Handler> {
        self.handlers.lock().unwrap().get(&(to, proto.name)).cloned()
    }
}

/// One node's side.
pub(crate) struct Node {
    hub: Arc<Hub>,
    me: PeerIdx,
}

impl Node {
    /// The operators' public keys in order.
    pub(crate) fn keys(&self) -> Vec<K1PublicKey> {
        let count = u8::try_from(self.hub.peers.len()).unwrap();
        (0..count).map(|i| identity(i).public_key()).collect()
    }

    fn inbound(&self, msg: Bytes) -> Inbound {
        let me = &self.hub.peers[usize::from(self.me.0)];
        Inbound {
            from: Some(me.idx),
            from_id: me.id,
            msg,
        }
    }

    fn unreachable(&self, to: PeerIdx) -> NetError {
        NetError::Unreachable {
            peer: self.hub.peers[usize::from(to.0)].name.clone(),
            reason: "down".to_owned(),
        }
    }
}

impl PeerNet for Node {
    fn me(&self) -> PeerIdx {
        self.me
    }

    fn peers(&self) -> &[Peer] {
        &self.hub.peers
    }

    fn send(&self, to: PeerIdx, proto: ProtocolId, msg: Bytes) -> BoxFuture<'_, Result<(), NetError>> {
        Box::pin(async move {
            if self.hub.is_down(self.me) || self.hub.is_down(to) {
                return Err(self.unreachable(to));
            }
            assert!(msg.len() <= proto.max_frame);
            let (hub, inbound, delay) = (Arc::clone(&self.hub), self.inbound(msg), self.hub.next_delay());
            self.hub.life.task("message", async move {
                tokio::time::sleep(delay).await;
                if let (Some(handler), false) = (hub.handler(to, proto), hub.is_down(to)) {
                    let _ = handler(inbound).await;
                }
            });
            Ok(())
        })
    }

    fn request(&self, to: PeerIdx, proto: ProtocolId, msg: Bytes) -> BoxFuture<'_, Result<Bytes, NetError>> {
        Box::pin(async move {
            tokio::time::sleep(self.hub.next_delay()).await;
            let handler = self.hub.handler(to, proto).ok_or_else(|| self.unreachable(to))?;
            let answer = handler(self.inbound(msg)).await.ok().flatten();
            answer.ok_or_else(|| self.unreachable(to))
        })
    }

    fn serve(&self, proto: ProtocolId, handler: Handler) -> ServeGuard {
        let (hub, key) = (Arc::clone(&self.hub), (self.me, proto.name));
        hub.handlers.lock().unwrap().insert(key, handler);
        ServeGuard(Some(Box::new(move || {
            hub.handlers.lock().unwrap().remove(&key);
        })))
    }
}
