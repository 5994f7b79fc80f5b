//! The flags of `run`.

use super::groups::{FeatureFlags, LogFlags, LokiFlags, P2pFlags, TestnetFlags};

/// Run a node of a cluster.
#[derive(Debug, Clone, clap::Args)]
pub struct RunFlags {
    /// The cluster lock.
    #[arg(long, value_name = "TEXT", default_value = ".charon/cluster-lock.json")]
    pub lock_file: String,
    /// Accepted for compatibility, not used: cluster manifests are no more.
    #[arg(long, value_name = "TEXT", default_value = ".charon/cluster-manifest.pb")]
    pub manifest_file: String,
    /// Use a cluster lock whose hashes or signatures are wrong, with a warning.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true)]
    pub no_verify: String,
    /// This node's identity key.
    #[arg(long, value_name = "TEXT", default_value = ".charon/charon-enr-private-key")]
    pub private_key_file: String,
    /// Besides the operating system's lock, keep a lock file with a timestamp beside the identity key, so that no second machine uses it.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true)]
    pub private_key_file_lock: String,
    /// Beacon node URLs; credentials may stand in them.
    #[arg(long, value_name = "LIST")]
    pub beacon_node_endpoints: Vec<String>,
    /// Beacon node URLs that are used only while none of the others answers.
    #[arg(long, value_name = "LIST")]
    pub fallback_beacon_node_endpoints: Vec<String>,
    /// Time limit of a request to a beacon node. It counts only if it is set: otherwise each kind of request has its own, from a quarter of a slot to one slot.
    #[arg(long, value_name = "DURATION", default_value = "2s")]
    pub beacon_node_timeout: String,
    /// Time limit of a submission to a beacon node. It counts only if it is set: otherwise each kind has its own.
    #[arg(long, value_name = "DURATION", default_value = "2s")]
    pub beacon_node_submit_timeout: String,
    /// PEM files with certificates of authorities that are trusted for beacon nodes besides the system's.
    #[arg(long, value_name = "LIST")]
    pub beacon_nodes_tls_certs: Vec<String>,
    /// What is sent to fallback beacon nodes at once too: attestations, blocks, sync-committee; with subscriptions, preparations go to all beacon nodes; or none.
    #[arg(long, value_name = "LIST", default_value = "subscriptions")]
    pub broadcast: Vec<String>,
    /// Choose attestation data by the best head among the beacon nodes that answer in time, not by the first answer.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "true")]
    pub beacon_node_best_head: String,
    /// Take attestation data also from a beacon node whose execution client has not verified its head.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true)]
    pub beacon_node_allow_optimistic: String,
    /// Headers for every request to a beacon node, as name=value.
    #[arg(long, value_name = "LIST")]
    pub beacon_node_headers: Vec<String>,
    /// JSON-RPC endpoint of an execution client, to ask smart-contract wallets about their signatures in the lock.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub execution_client_rpc_endpoint: String,
    /// Where the validator client connects.
    #[arg(long, value_name = "TEXT", default_value = "127.0.0.1:3600")]
    pub validator_api_address: String,
    /// Certificate for TLS towards the validator client; needs --vc-tls-key-file.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub vc_tls_cert_file: String,
    /// Key for TLS towards the validator client; needs --vc-tls-cert-file.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub vc_tls_key_file: String,
    /// File with a bearer token that the validator client must send with every request; at least 16 characters.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub vapi_token_file: String,
    /// Pass on to the beacon node only what stock validator clients ask for; answer 404 to everything else.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true)]
    pub vapi_allow_list: String,
    /// Answer in JSON even to a validator client that prefers SSZ.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true)]
    pub vapi_json_only: String,
    /// Web pages whose scripts may read the validator API in a browser, by origin (scheme, host and port), or * for all. Without it only pages of the own address.
    #[arg(long, value_name = "LIST")]
    pub vapi_allow_origin: Vec<String>,
    /// Where /metrics, /livez and /readyz are served.
    #[arg(long, value_name = "TEXT", default_value = "127.0.0.1:3620")]
    pub monitoring_address: String,
    /// URL of a monitoring service that figures of the node and its machine are pushed to; empty for none.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub monitoring_endpoint: String,
    /// Seconds between pushes to the monitoring service.
    #[arg(long, value_name = "NUMBER", default_value = "120")]
    pub monitoring_endpoint_period: String,
    /// Another name of --monitoring-endpoint-period.
    #[arg(long, value_name = "NUMBER", default_value = "", hide_default_value = true)]
    pub monitoring_endpoint_frequency: String,
    /// Where debug information is served; empty for nowhere.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub debug_address: String,
    /// Propose only blocks of builders; the validator client must agree.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true)]
    pub builder_api: String,
    /// Add fake proposer duties, for tests.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true)]
    pub synthetic_block_proposals: String,
    /// Graffiti of proposed blocks: one for all validators, or one for each in lock order.
    #[arg(long, value_name = "LIST")]
    pub graffiti: Vec<String>,
    /// Do not append the client's token to the graffiti.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true)]
    pub graffiti_disable_client_append: String,
    /// Preferred consensus protocol, for example qbft.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub consensus_protocol: String,
    /// A name for this node that its peers see; at most 32 bytes.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub nickname: String,
    /// Where to look for the other programs of the stack, for example /proc.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub proc_directory: String,
    /// Builder registrations that replace those in the lock.
    #[arg(
        long,
        value_name = "TEXT",
        default_value = ".charon/builder_registrations_overrides.json"
    )]
    pub overrides_file: String,
    /// Fetch builder registrations that the operators have signed together from the API, at start and every day.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true)]
    pub fetch_feerecipient_updates: String,
    /// URL of the API.
    #[arg(long, value_name = "TEXT", default_value = "https://api.obol.tech/v1")]
    pub publish_address: String,
    /// Time limit of a request to the API.
    #[arg(long, value_name = "DURATION", default_value = "5m0s")]
    pub publish_timeout: String,
    /// Where traces are sent to with OTLP over gRPC, as host:port; empty for nowhere.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub otlp_address: String,
    /// Headers for traces, as name=value.
    #[arg(long, value_name = "LIST")]
    pub otlp_headers: Vec<String>,
    /// Send traces without TLS.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true)]
    pub otlp_insecure: String,
    /// Service name in traces.
    #[arg(long, value_name = "TEXT", default_value = "charon")]
    pub otlp_service_name: String,
    /// Accepted for compatibility, not used.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub jaeger_address: String,
    /// Accepted for compatibility, not used.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub jaeger_service: String,
    /// Run against an embedded beacon node, for tests.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true)]
    pub simnet_beacon_mock: String,
    /// Let the embedded beacon node answer with random data.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true)]
    pub simnet_beacon_mock_fuzz: String,
    /// Slot duration of the embedded beacon node.
    #[arg(long, value_name = "DURATION", default_value = "1s")]
    pub simnet_slot_duration: String,
    /// Run an embedded validator client, for tests.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true)]
    pub simnet_validator_mock: String,
    /// Key shares of the embedded validator client.
    #[arg(long, value_name = "TEXT", default_value = ".charon/validator_keys")]
    pub simnet_validator_keys_dir: String,
    /// The network between nodes.
    #[command(flatten)]
    pub p2p: P2pFlags,
    /// Features by maturity.
    #[command(flatten)]
    pub features: FeatureFlags,
    /// A custom network.
    #[command(flatten)]
    pub testnet: TestnetFlags,
    /// Log lines.
    #[command(flatten)]
    pub log: LogFlags,
    /// Log lines to Loki.
    #[command(flatten)]
    pub loki: LokiFlags,
    /// Fork version of Capella on the custom network, in hex.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub testnet_capella_hard_fork: String,
    /// Charon ignores what stands behind the flags of this command, and so do we.
    #[arg(hide = true)]
    pub ignored: Vec<String>,
}
