//! The beacon nodes: from settings to a client of the right chain.
//!
//! Not here: the client itself (`trireme-beacon`).

use std::sync::{Mutex, PoisonError};

use prometheus_client::registry::Registry;
use trireme_beacon::{Client, Timeouts};
use trireme_eth2::ChainSpec;

use crate::{BeaconConfig, NodeError, cluster::Loaded};

/// The client; nothing is asked yet.
pub(crate) fn beacon_client(config: &BeaconConfig, registry: &Mutex<Registry>) -> Result<Client, NodeError> {
    const FLAG: &str = "--beacon-node-endpoints";
    let setting = |reason: String| NodeError::Setting { flag: FLAG, reason };
    let [first, others @ ..] = config.endpoints.as_slice() else {
        return Err(setting("give the address of a beacon node".to_owned()));
    };
    let more = others.len().saturating_add(config.fallbacks.len());
    if more > 0 {
        tracing::warn!(
            unused = more,
            "Only the first beacon node is used for duties, the others only by the proxy"
        );
    }
    let client = trireme_beacon::Config {
        url: first.clone(),
        headers: config.headers.clone(),
        timeouts: Timeouts::from_flags(config.timeout, config.submit_timeout),
    };
    let metrics = trireme_beacon::Metrics::new(&mut registry.lock().unwrap_or_else(PoisonError::into_inner));
    Client::new(&client, metrics).map_err(|e| setting(e.to_string()))
}

/// Waits for a beacon node that answers; its chain must be the lock's.
pub(crate) async fn wait_for_chain(client: &Client, loaded: &Loaded) -> Result<ChainSpec, NodeError> {
    client.wait_for_chain(loaded.fork_version).await.map_err(|wrong| {
        let name = if wrong.name.is_empty() {
            "an unnamed network".to_owned()
        } else {
            wrong.name
        };
        NodeError::WrongNetwork {
            address: wrong.address,
            theirs: format!("{name} (genesis fork version {})", wrong.theirs),
            ours: format!("{} (genesis fork version {})", loaded.network, wrong.ours),
        }
    })
}
