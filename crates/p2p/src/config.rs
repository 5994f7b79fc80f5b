//! What a node has to know to join the network of its cluster, checked.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use libp2p::Multiaddr;
use trireme_core::{PeerIdx, ports::Peer};
use trireme_keys::IdentityKey;
use url::Url;

use crate::addr::{self, AddrError};

/// What `dv_client` says in our peer information.
pub const DV_CLIENT: &str = "trireme";

/// Where a relay is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RelayAddr {
    /// A page that tells the relay's addresses; asked again every two minutes.
    Url(Url),
    /// An address that ends in the relay's peer ID; never asked again.
    Fixed(Multiaddr),
}

/// An entry of the relay list that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RelayAddrError {
    /// Begins with `http` but is no URL.
    #[error("relay {0:?} is not a URL")]
    Url(String),
    /// Neither a URL nor a usable multiaddress.
    #[error(transparent)]
    Addr(#[from] AddrError),
}

impl FromStr for RelayAddr {
    type Err = RelayAddrError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.starts_with("http") {
            return text
                .parse()
                .map(Self::Url)
                .map_err(|_| RelayAddrError::Url(text.to_owned()));
        }
        let addr = addr::parse(text)?;
        addr::split_peer(&addr).ok_or_else(|| AddrError::NoPeerId(text.to_owned()))?;
        Ok(Self::Fixed(addr))
    }
}

/// Headers that a relay's page receives, so that its operator sees which cluster asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LookupHeaders {
    /// `Charon-Cluster`: the first 7 hex digits of the lock hash; in a ceremony the whole definition hash.
    pub cluster: String,
    /// `Cluster-Uuid`: the definition's UUID.
    pub uuid: String,
}

/// What we tell about ourselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Version text of the Charon release that we are level with, for example `v1.11.0`.
    pub version: String,
    /// 7 lower-case hex digits, or `unknown`.
    pub git_hash: String,
    /// The operator's name for the node, at most 32 bytes.
    pub nickname: String,
    /// Cluster lock hash; the definition hash during a ceremony.
    pub lock_hash: [u8; 32],
    /// Whether the node asks builders for blocks.
    pub builder_api: bool,
}

/// The network of one node.
#[derive(Debug)]
pub struct P2pConfig {
    /// Our identity; its public key must be that of peer `me`.
    pub identity: IdentityKey,
    /// Our position in `peers`.
    pub me: PeerIdx,
    /// All operators in lock order, ourselves included.
    pub peers: Vec<Peer>,
    /// TCP addresses to listen on; port 0 takes a free one, [`crate::HostHandle::listen_addrs`] tells which. Empty: outgoing only.
    pub listen: Vec<SocketAddr>,
    /// An IP address to announce with every listen port.
    pub external_ip: Option<IpAddr>,
    /// A host name to announce with every listen port.
    pub external_host: Option<String>,
    /// Relays; none is allowed if the peers know each other's addresses.
    pub relays: Vec<RelayAddr>,
    /// Headers of relay look-ups.
    pub headers: LookupHeaders,
    /// Peer information.
    pub about: About,
    /// Addresses of peers known beforehand, for example from an earlier run.
    pub known: BTreeMap<PeerIdx, Vec<Multiaddr>>,
    /// Whether to ask the peers for their peer information (a ceremony only answers).
    pub ask_peerinfo: bool,
}

/// Why the network could not be started.
#[derive(Debug, thiserror::Error)]
pub enum P2pError {
    /// The key is not that of the operator we are said to be.
    #[error("the node's identity key belongs to {key}, but operator {idx} of the cluster is {operator}")]
    NotMe {
        /// Name of the key's peer ID.
        key: String,
        /// Our position.
        idx: PeerIdx,
        /// Name of the operator there.
        operator: String,
    },
    /// The position is outside the cluster.
    #[error("the cluster has no operator {0}")]
    NoOperator(PeerIdx),
    /// The key is not usable.
    #[error(transparent)]
    Identity(#[from] crate::identity::IdentityError),
    /// A listen address is in use or does not exist.
    #[error("cannot listen on {addr}: {reason}; choose another {flag}")]
    Listen {
        /// The flag that sets it.
        flag: &'static str,
        /// The address.
        addr: String,
        /// What the system says.
        reason: String,
    },
    /// The library could not be set up.
    #[error("the network stack cannot be set up: {0}")]
    Stack(String),
    /// No relay answered.
    #[error("none of the relays answered within {0:?}; check --p2p-relays and the connection to the internet")]
    NoRelay(std::time::Duration),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_is_a_url_or_an_address_with_a_peer_id() {
        assert!(matches!("https://relay.example".parse(), Ok(RelayAddr::Url(_))));
        let id = libp2p::PeerId::random();
        assert!(matches!(
            format!("/ip4/1.2.3.4/tcp/3610/p2p/{id}").parse(),
            Ok(RelayAddr::Fixed(_))
        ));
        assert!(matches!(
            "/ip4/1.2.3.4/tcp/3610".parse::<RelayAddr>(),
            Err(RelayAddrError::Addr(AddrError::NoPeerId(_)))
        ));
        assert!("http://".parse::<RelayAddr>().is_err());
        assert!("relay.example".parse::<RelayAddr>().is_err());
    }
}
