//! The beacon nodes: from settings to a pool on the right chain.
//!
//! Not here: the pool itself (`trireme-beacon`).

use std::sync::{Mutex, PoisonError};

use prometheus_client::registry::Registry;
use trireme_beacon::{Clients, GivenTimeouts, PoolConfig, PoolError};
use trireme_eth2::ChainSpec;

use crate::{BeaconConfig, NodeError, cluster::Loaded};

/// The clients; nothing is asked yet.
pub(crate) fn beacon_clients(config: &BeaconConfig, registry: &Mutex<Registry>) -> Result<Clients, NodeError> {
    let pool = PoolConfig {
        endpoints: config.endpoints.clone(),
        fallbacks: config.fallbacks.clone(),
        headers: config.headers.clone(),
        certificates: config.certificates.clone(),
        timeouts: GivenTimeouts {
            read: config.timeout,
            submit: config.submit_timeout,
        },
        broadcast: config.broadcast.clone(),
        best_head: config.best_head,
        refuse_optimistic: !config.allow_optimistic,
    };
    let metrics = trireme_beacon::Metrics::new(&mut registry.lock().unwrap_or_else(PoisonError::into_inner));
    Clients::new(&pool, metrics).map_err(|e| NodeError::Setting {
        flag: match &e {
            PoolError::None | PoolError::Address(_) => "--beacon-node-endpoints",
            PoolError::Certificates { .. } => "--beacon-nodes-tls-certs",
        },
        reason: e.to_string(),
    })
}

/// Waits for a beacon node that answers; its chain must be the lock's.
pub(crate) async fn wait_for_chain(clients: &Clients, loaded: &Loaded) -> Result<ChainSpec, NodeError> {
    clients.wait_for_chain(loaded.fork_version).await.map_err(|wrong| {
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
