//! `trireme relay`.

use std::{
    net::{SocketAddr, ToSocketAddrs as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use anyhow::Context as _;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use trireme_p2p::relay::{self, Life, RelayConfig, RelayMetrics};
use trireme_telemetry::{LogConfig, Monitoring, Outlets, Readiness, logs::log_counters};

use super::{Given, KEY_FILE, not_built_yet, read_key, run, write_new_key};
use crate::{
    about,
    flags::RelayFlags,
    logging::log_config,
    signals::Stop,
    values::{Problems, given},
};

const NOT_BUILT: [(&str, &str); 5] = [
    ("debug-address", "no debug information is served"),
    ("p2p-relays", "a relay asks no other relay"),
    ("p2p-udp-address", "connections are made over TCP"),
    ("p2p-relay-loglevel", "levels are set with --log-level"),
    ("p2p-disable-reuseport", "a relay makes no connections"),
];

/// The constant label of a relay's metrics and lines.
const RELAY_PEER: &str = "relay_peer";

/// Checked settings of a relay.
#[derive(Debug)]
pub struct RelaySettings {
    /// Path of the identity key.
    pub key_file: PathBuf,
    /// Make a key if there is none.
    pub make_key: bool,
    /// Listen addresses.
    pub listen: Vec<SocketAddr>,
    /// Where the page is served.
    pub http: Option<SocketAddr>,
    /// Where metrics are served.
    pub monitoring: Option<SocketAddr>,
    /// Announced address.
    pub external_ip: Option<std::net::IpAddr>,
    /// Announced host.
    pub external_host: Option<String>,
    /// Announce private addresses.
    pub advertise_private: bool,
    /// Per peer.
    pub max_reservations: usize,
    /// In total.
    pub max_connections: usize,
    /// Set up before anything else.
    pub log: LogConfig,
    /// Where log lines go besides.
    pub outlets: Outlets,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

/// Reads the flags.
///
/// # Errors
/// All problems together.
pub fn config(flags: &RelayFlags, given_flags: &Given) -> Result<RelaySettings, Problems> {
    let mut problems = Problems::default();
    let p = &mut problems;
    let listen: Vec<SocketAddr> = run::tcp_addresses(&flags.p2p, p)
        .iter()
        .filter_map(|a| a.parse().ok())
        .collect();
    if flags.p2p.p2p_tcp_address.is_empty() {
        p.add(
            "p2p-tcp-address",
            "p2p TCP addresses required: say where to listen, for example 0.0.0.0:3610",
        );
    }
    // A relay makes no connection of its own accord, but what is no truth value is a mistake all the same.
    p.bool("p2p-disable-reuseport", &flags.p2p.p2p_disable_reuseport);
    let settings = RelaySettings {
        key_file: Path::new(&flags.data_dir).join(KEY_FILE),
        make_key: p.bool("auto-p2pkey", &flags.auto_p2pkey),
        listen,
        http: socket("http-address", &flags.http_address, p),
        monitoring: socket("monitoring-address", &flags.monitoring_address, p),
        external_ip: run::external_ip(&flags.p2p, p),
        external_host: run::external_hostname(&flags.p2p, p),
        advertise_private: p.bool(
            "p2p-advertise-private-addresses",
            &flags.p2p_advertise_private_addresses,
        ),
        max_reservations: p.number("p2p-max-reservations", &flags.p2p_max_reservations),
        max_connections: p.number("p2p-max-connections", &flags.p2p_max_connections),
        log: log_config(&flags.log, p),
        outlets: Outlets {
            loki: run::loki(&flags.loki, p),
            traces: None,
        },
        warnings: not_built_yet(given_flags, &NOT_BUILT),
    };
    problems.finish(settings)
}

fn socket(flag: &str, text: &str, problems: &mut Problems) -> Option<SocketAddr> {
    let text = given(text)?;
    let found = text.to_socket_addrs().ok().and_then(|mut all| all.next());
    if found.is_none() {
        problems.add(flag, format_args!("{text:?} is not an address such as 127.0.0.1:3640"));
    }
    found
}

/// Runs the relay until it is told to stop.
///
/// # Errors
/// If the key is of no use or a port is taken.
pub async fn run(settings: RelaySettings) -> anyhow::Result<()> {
    let mut stop = Stop::new()?;
    let identity = match settings.key_file.exists() {
        true => read_key(&settings.key_file)?,
        false if settings.make_key => write_new_key(&settings.key_file)?,
        false => anyhow::bail!(
            "there is no identity key at {}; make one with `trireme create enr`, or leave out --auto-p2pkey=false",
            settings.key_file.display()
        ),
    };
    let config = RelayConfig {
        identity,
        listen: settings.listen,
        http: settings.http,
        external_ip: settings.external_ip,
        external_host: settings.external_host,
        advertise_private: settings.advertise_private,
        max_reservations: settings.max_reservations,
        max_connections: settings.max_connections,
        version: about::VERSION.to_owned(),
    };
    let life = Life::new();
    let mut registry = Registry::default();
    let peer_id = trireme_keys::PeerId::from_public_key(config.identity.public_key());
    let metrics = RelayMetrics::register(&mut registry, &peer_id);
    let whose = (RELAY_PEER, trireme_keys::peer_name(&peer_id));
    log_counters().register(registry.sub_registry_with_label((whose.0.into(), whose.1.clone().into())));
    if let Some(loki) = &settings.outlets.loki {
        for pusher in loki.pushers(&[(whose.0, &whose.1)]) {
            life.task("loki", pusher.run(life.token().cancelled_owned()));
        }
    }
    let monitoring = match settings.monitoring {
        None => None,
        Some(address) => {
            let listener = TcpListener::bind(address)
                .await
                .with_context(|| format!("--monitoring-address {address} cannot be listened on"))?;
            let monitoring = Monitoring {
                registry: Arc::new(Mutex::new(registry)),
                readiness: Arc::new(|| Readiness::Ready),
            };
            Some(monitoring.serve(listener, life.token().cancelled_owned()))
        }
    };
    let relay = relay::serve(config, metrics, &life).await?;
    tracing::info!(
        topic = "relay",
        peer_name = trireme_keys::peer_name(relay.peer_id()),
        peer_id = %relay.peer_id(),
        listen = ?relay.listen_addrs(),
        http = ?relay.http_addr(),
        "Relay started"
    );
    if let Some(serving) = monitoring {
        life.task("monitoring", async move {
            if let Err(error) = serving.await {
                tracing::error!(topic = "relay", error = %error, "Monitoring stopped");
            }
        });
    }
    stop.requested().await;
    tracing::info!(topic = "relay", "Shutting down gracefully");
    relay.shutdown().await;
    life.stop().await;
    Ok(())
}
