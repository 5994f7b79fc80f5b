//! Flags that several commands share.

/// Log lines.
#[derive(Debug, Clone, clap::Args)]
pub struct LogFlags {
    /// console, logfmt or json.
    #[arg(long, value_name = "TEXT", default_value = "console")]
    pub log_format: String,
    /// debug, info, warn or error.
    #[arg(long, value_name = "TEXT", default_value = "info")]
    pub log_level: String,
    /// auto, force or disable.
    #[arg(long, value_name = "TEXT", default_value = "auto")]
    pub log_color: String,
    /// Additional file for uncoloured lines at debug level; only with --log-format=console.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub log_output_path: String,
}

/// Sending log lines to Loki.
#[derive(Debug, Clone, clap::Args)]
pub struct LokiFlags {
    /// Push URLs of Loki.
    #[arg(long, value_name = "LIST")]
    pub loki_addresses: Vec<String>,
    /// Label service of the lines.
    #[arg(long, value_name = "TEXT", default_value = "charon")]
    pub loki_service: String,
}

/// The network between nodes.
#[derive(Debug, Clone, clap::Args)]
pub struct P2pFlags {
    /// Relays, as URLs or multiaddresses.
    #[arg(
        long,
        value_name = "LIST",
        default_value = "https://0.relay.obol.tech,https://1.relay.obol.tech,https://2.relay.obol.dev"
    )]
    pub p2p_relays: Vec<String>,
    /// IP address that others reach this node at.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub p2p_external_ip: String,
    /// Host name that others reach this node at.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub p2p_external_hostname: String,
    /// Addresses to listen on, as ip:port; without one there are outgoing connections only.
    #[arg(long, value_name = "LIST")]
    pub p2p_tcp_address: Vec<String>,
    /// Accepted for compatibility, not used: connections are made over TCP.
    #[arg(long, value_name = "LIST")]
    pub p2p_udp_address: Vec<String>,
    /// Do not use the listening port for outgoing connections.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true)]
    pub p2p_disable_reuseport: String,
}

/// Features that are not everybody's yet.
#[derive(Debug, Clone, clap::Args)]
pub struct FeatureFlags {
    /// Least maturity of features that are on: alpha, beta or stable.
    #[arg(long, value_name = "TEXT", default_value = "stable")]
    pub feature_set: String,
    /// Features to switch on besides.
    #[arg(long, value_name = "LIST")]
    pub feature_set_enable: Vec<String>,
    /// Features to switch off.
    #[arg(long, value_name = "LIST")]
    pub feature_set_disable: Vec<String>,
}

/// A network that is in no table.
#[derive(Debug, Clone, clap::Args)]
pub struct TestnetFlags {
    /// Name of the custom network.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub testnet_name: String,
    /// Genesis fork version of the custom network, in hex.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub testnet_fork_version: String,
    /// Chain id of the custom network.
    #[arg(long, value_name = "NUMBER", default_value = "0")]
    pub testnet_chain_id: String,
    /// Genesis of the custom network, in seconds since 1970.
    #[arg(long, value_name = "NUMBER", default_value = "0")]
    pub testnet_genesis_timestamp: String,
}

/// How facts are shown.
#[derive(Debug, Clone, clap::Args)]
pub struct OutputFlags {
    /// text for people, json for programs: one object on one line.
    #[arg(long, value_name = "TEXT", default_value = "text")]
    pub output: String,
}
