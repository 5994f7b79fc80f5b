//! Clusters of hosts in this process.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use libp2p::Multiaddr;
use tokio::sync::watch;
use trireme_core::{
    PeerIdx,
    clock::SystemClock,
    entropy::OsEntropy,
    life::Life,
    ports::{Peer, PeerNet, ProtocolId},
};
use trireme_keys::{IdentityKey, PeerId, peer_name};
use trireme_p2p::{About, Host, HostHandle, LookupHeaders, P2pConfig, P2pMetrics, RelayAddr, Services, addr};

/// Nothing here takes longer, unless it never happens.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const ONE_WAY: ProtocolId = ProtocolId {
    name: "/charon/parsigex/2.0.0",
    max_frame: 128 * 1024 * 1024,
};
pub(crate) const ANSWERED: ProtocolId = ProtocolId {
    name: "/test/echo/1.0.0",
    max_frame: 16 * 1024 * 1024,
};

pub(crate) fn key(n: u8) -> IdentityKey {
    IdentityKey::from_bytes(&[n; 32]).unwrap()
}

/// Keys whose peer IDs ascend.
pub(crate) fn ascending_keys(count: u8) -> Vec<u8> {
    let mut seeds: Vec<u8> = (1..=count).collect();
    seeds.sort_by_key(|n| PeerId::from_public_key(key(*n).public_key()).to_bytes());
    seeds
}

pub(crate) fn peers(seeds: &[u8]) -> Vec<Peer> {
    let peer = |(i, n): (usize, &u8)| {
        let id = PeerId::from_public_key(key(*n).public_key());
        Peer {
            idx: PeerIdx(u8::try_from(i).unwrap()),
            name: peer_name(&id),
            id,
        }
    };
    seeds.iter().enumerate().map(peer).collect()
}

pub(crate) fn config(seeds: &[u8], me: u8) -> P2pConfig {
    P2pConfig {
        identity: key(seeds[usize::from(me)]),
        me: PeerIdx(me),
        peers: peers(seeds),
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        external_ip: None,
        external_host: None,
        relays: vec![],
        headers: LookupHeaders::default(),
        about: About {
            version: "v1.11.0".into(),
            git_hash: "abcdef0".into(),
            nickname: format!("node{me}"),
            lock_hash: [7; 32],
            builder_api: false,
        },
        known: BTreeMap::new(),
        ask_peerinfo: true,
    }
}

pub(crate) struct Node {
    pub(crate) net: Arc<dyn PeerNet>,
    pub(crate) handle: HostHandle,
    pub(crate) life: Life,
    pub(crate) metrics: P2pMetrics,
}

pub(crate) async fn start(config: P2pConfig) -> Node {
    let (life, metrics) = (Life::new(), P2pMetrics::new());
    let services = Services {
        clock: Arc::new(SystemClock),
        entropy: Arc::new(OsEntropy),
        life: life.clone(),
        metrics: metrics.clone(),
    };
    let (net, handle) = Host::start(config, services).await.unwrap();
    Node {
        net,
        handle,
        life,
        metrics,
    }
}

impl Node {
    pub(crate) fn addr(&self) -> Multiaddr {
        addr::tcp(self.listen())
    }

    pub(crate) fn listen(&self) -> SocketAddr {
        self.handle.listen_addrs()[0]
    }

    /// Waits until exactly these operators are connected.
    pub(crate) async fn connected_to(&self, peers: &[u8]) {
        let want: BTreeSet<PeerIdx> = peers.iter().map(|p| PeerIdx(*p)).collect();
        until(self.handle.connected(), |c| *c == want).await;
    }
}

pub(crate) async fn until<T>(mut watch: watch::Receiver<T>, good: impl FnMut(&T) -> bool) {
    let found = tokio::time::timeout(PATIENCE, watch.wait_for(good)).await;
    assert!(found.is_ok_and(|f| f.is_ok()), "it did not happen");
}

/// Two nodes, the second of which knows the first one's address.
pub(crate) async fn pair() -> (Node, Node) {
    let seeds = [1, 2];
    let a = start(config(&seeds, 0)).await;
    let mut second = config(&seeds, 1);
    second.known.insert(PeerIdx(0), vec![a.addr()]);
    let b = start(second).await;
    a.connected_to(&[1]).await;
    b.connected_to(&[0]).await;
    (a, b)
}

pub(crate) fn url(addr: SocketAddr) -> RelayAddr {
    format!("http://{addr}").parse().unwrap()
}

/// A handler that hands every message to a channel and answers nothing.
pub(crate) fn collect() -> (
    trireme_core::ports::Handler,
    tokio::sync::mpsc::Receiver<trireme_core::ports::Inbound>,
) {
    let (tx, rx) = tokio::sync::mpsc::channel(10_000);
    let handler: trireme_core::ports::Handler = Arc::new(move |m| {
        let tx = tx.clone();
        Box::pin(async move {
            tx.send(m).await?;
            Ok(None)
        })
    });
    (handler, rx)
}

/// A handler that answers with what it was sent.
pub(crate) fn echo() -> trireme_core::ports::Handler {
    Arc::new(|m| Box::pin(async move { Ok(Some(m.msg)) }))
}

/// The next message, which must come.
pub(crate) async fn next<T>(rx: &mut tokio::sync::mpsc::Receiver<T>) -> T {
    tokio::time::timeout(PATIENCE, rx.recv()).await.unwrap().unwrap()
}
