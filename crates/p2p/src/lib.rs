//! The network of a cluster: a libp2p host that carries messages between the operators' nodes, and the relay server.

pub mod addr;
pub mod backoff;
mod config;
pub mod frame;
mod gate;
mod host;
pub mod hysteresis;
pub mod identity;
mod inbox;
mod links;
mod listen;
pub mod metrics;
mod net;
mod peerinfo;
mod ping;
pub mod protocol;
pub mod relay;
mod relays;
mod streams;
mod swarm;
mod table;
mod topic;
mod traffic;
pub mod version;

pub use config::{About, DV_CLIENT, LookupHeaders, P2pConfig, P2pError, RelayAddr, RelayAddrError};
pub use host::{Host, HostHandle, Services};
pub use metrics::P2pMetrics;

/// Whether a relay's page may answer this; for the fuzz target of the page's reader.
#[doc(hidden)]
#[must_use]
pub fn is_relay_page(body: &[u8]) -> bool {
    relays::parse(body).is_ok()
}
