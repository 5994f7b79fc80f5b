//! The network between the operators' nodes: from settings to a running host.
//!
//! Not here: the host itself (`trireme-p2p`).

use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::registry::Registry;
use trireme_core::{
    life::Life,
    ports::{Clock, Entropy, PeerNet},
};
use trireme_p2p::{Host, HostHandle, P2pMetrics};

use crate::{NodeConfig, NodeError, about, cluster::Loaded, known};

/// Starts the host; addresses that it learns are kept for the next start.
pub(crate) async fn start_network(
    config: &NodeConfig,
    life: &Life,
    loaded: &Arc<Loaded>,
    registry: &Mutex<Registry>,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
) -> Result<(Arc<dyn PeerNet>, HostHandle), NodeError> {
    let setting = |flag: &'static str| move |reason: String| NodeError::Setting { flag, reason };
    let relays = config
        .p2p
        .relays
        .iter()
        .map(|r| r.parse().map_err(|e: trireme_p2p::RelayAddrError| e.to_string()));
    let relays = relays.collect::<Result<_, _>>().map_err(setting("--p2p-relays"))?;
    let listen = config
        .p2p
        .tcp_addresses
        .iter()
        .map(|a| trireme_p2p::addr::parse_listen(a).map_err(|e| e.to_string()));
    let listen = listen.collect::<Result<_, _>>().map_err(setting("--p2p-tcp-address"))?;
    let metrics = P2pMetrics::register(&mut registry.lock().unwrap_or_else(PoisonError::into_inner));
    let p2p = trireme_p2p::P2pConfig {
        identity: loaded.identity.clone(),
        me: loaded.cluster.me,
        peers: loaded.peers.clone(),
        listen,
        external_ip: config.p2p.external_ip,
        external_host: config.p2p.external_hostname.clone(),
        relays,
        headers: trireme_p2p::LookupHeaders {
            cluster: loaded.short_hash(),
            uuid: loaded.uuid.clone(),
        },
        about: trireme_p2p::About {
            version: about::CHARON_LEVEL.to_owned(),
            git_hash: config.version.git_hash.clone(),
            nickname: config.nickname.clone(),
            lock_hash: loaded.cluster.hash,
            builder_api: config.proposals.builder_api,
        },
        known: known::read(&config.data_dir, &loaded.peers, |text| {
            trireme_p2p::addr::parse(text).ok()
        }),
        ask_peerinfo: true,
    };
    let services = trireme_p2p::Services {
        clock: Arc::clone(clock),
        entropy: Arc::clone(entropy),
        life: life.clone(),
        metrics,
    };
    let (net, host) = Host::start(p2p, services)
        .await
        .map_err(|e| NodeError::P2p(e.to_string()))?;
    let keep = known::keep(config.data_dir.clone(), loaded.peers.clone(), host.known_addrs());
    life.task("peer addresses", keep);
    Ok((net, host))
}
