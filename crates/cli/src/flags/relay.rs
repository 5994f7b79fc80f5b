//! The flags of `relay`.

use super::groups::{LogFlags, LokiFlags, P2pFlags};

/// Run a relay, over which nodes behind routers find and reach each other.
#[derive(Debug, Clone, clap::Args)]
pub struct RelayFlags {
    /// Folder of the relay's identity key.
    #[arg(long, value_name = "TEXT", default_value = ".charon")]
    pub data_dir: String,
    /// Where the relay's addresses and ENR are served.
    #[arg(long, value_name = "TEXT", default_value = "127.0.0.1:3640")]
    pub http_address: String,
    /// Make an identity key if there is none.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "true", hide_default_value = false)]
    pub auto_p2pkey: String,
    /// Where /metrics is served; empty for nowhere.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub monitoring_address: String,
    /// Where debug information is served; empty for nowhere.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub debug_address: String,
    /// Accepted for compatibility: levels are set with --log-level.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub p2p_relay_loglevel: String,
    /// Reservations per peer.
    #[arg(long, value_name = "NUMBER", default_value = "512")]
    pub p2p_max_reservations: String,
    /// Connections of all peers.
    #[arg(long, value_name = "NUMBER", default_value = "16384")]
    pub p2p_max_connections: String,
    /// Announce addresses of private networks, too.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true)]
    pub p2p_advertise_private_addresses: String,
    /// The network between nodes.
    #[command(flatten)]
    pub p2p: P2pFlags,
    /// Log lines.
    #[command(flatten)]
    pub log: LogFlags,
    /// Log lines to Loki.
    #[command(flatten)]
    pub loki: LokiFlags,
}
