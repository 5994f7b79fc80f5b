//! What a node needs to know to run, typed and checked.
//!
//! The command line fills it from flags, environment and file; nothing in here is read from any of them again.
//! Guarantees: addresses are `host:port` texts that are only resolved when the listener is bound; URLs are parsed.
//! Not here: flag names, defaults and precedence (those are the command line's), log settings (set before `run`).

use std::{fmt, net::IpAddr, path::PathBuf, time::Duration};

pub use trireme_beacon::Broadcast;
use trireme_cluster::Wallets;
use trireme_core::features::FeatureSet;
use trireme_telemetry::PushConfig;
pub use trireme_vapi::Origins;
use url::Url;

pub use crate::updates::UpdatesConfig;

/// Everything that [`crate::run`] is told.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// What this program is.
    pub version: Version,
    /// `--lock-file`: the cluster lock.
    pub lock_file: PathBuf,
    /// What smart-contract wallets say about the lock's definition, where an execution client was asked.
    pub wallets: Wallets,
    /// `--no-verify`: a lock that does not verify is a warning.
    pub no_verify: bool,
    /// `--private-key-file`: the operator's identity key.
    pub private_key_file: PathBuf,
    /// `--private-key-file-lock`: keep the lock file with a timestamp too. The lock of the operating system is always taken.
    pub private_key_file_lock: bool,
    /// Where the store, the memory of verified locks and known peer addresses live. See [`NodeConfig::data_dir_beside`].
    pub data_dir: PathBuf,
    /// `--nickname`: at most 32 bytes, may be empty.
    pub nickname: String,
    /// Beacon nodes.
    pub beacon: BeaconConfig,
    /// The face to the validator client.
    pub validator_api: ValidatorApiConfig,
    /// `--monitoring-address`; `None` serves no metrics.
    pub monitoring_address: Option<String>,
    /// `--monitoring-endpoint`: where figures are pushed to.
    pub push: Option<PushConfig>,
    /// `--debug-address`; `None` serves nothing.
    pub debug_address: Option<String>,
    /// `--proc-directory`: where the other programs of the stack are looked for; `None` looks for none.
    pub proc_directory: Option<PathBuf>,
    /// `--loki-*` and `--otlp-*`, as they were given to the log; they open when the node knows its cluster.
    pub outlets: trireme_telemetry::Outlets,
    /// The network between the operators' nodes.
    pub p2p: P2pConfig,
    /// What blocks are asked for.
    pub proposals: ProposalConfig,
    /// `--consensus-protocol`: the preferred protocol's short name.
    pub consensus_protocol: Option<String>,
    /// `--feature-set`, `--feature-set-enable` and `--feature-set-disable`.
    pub features: FeatureSet,
    /// `--testnet-*`, if complete.
    pub testnet: Option<CustomNetwork>,
}

impl NodeConfig {
    /// The default of [`NodeConfig::data_dir`]: a folder `trireme` beside the identity key.
    #[must_use]
    pub fn data_dir_beside(private_key_file: &std::path::Path) -> PathBuf {
        private_key_file
            .parent()
            .map_or_else(|| PathBuf::from("trireme"), |dir| dir.join("trireme"))
    }
}

/// What this program is, for logs, metrics, peers and the default graffiti.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// As in `v0.1.0`.
    pub text: String,
    /// First 7 hex digits of the commit, or `unknown`.
    pub git_hash: String,
    /// RFC 3339, or `unknown`.
    pub git_time: String,
}

/// Beacon nodes and how they are talked to.
#[derive(Clone)]
pub struct BeaconConfig {
    /// `--beacon-node-endpoints`: at least one. User info becomes basic authentication.
    pub endpoints: Vec<Url>,
    /// `--fallback-beacon-node-endpoints`.
    pub fallbacks: Vec<Url>,
    /// `--beacon-node-timeout`: of one read; `None` leaves it to the kind of request.
    pub timeout: Option<Duration>,
    /// `--beacon-node-submit-timeout`: of one submission.
    pub submit_timeout: Option<Duration>,
    /// `--beacon-nodes-tls-certs`: PEM files with authorities that are trusted besides the system's.
    pub certificates: Vec<PathBuf>,
    /// `--broadcast`: what goes to more beacon nodes than it must.
    pub broadcast: Broadcast,
    /// `--beacon-node-best-head`: attestation data by the best head among those that answer in time.
    pub best_head: bool,
    /// `--beacon-node-allow-optimistic`: attestation data of a head that is not verified will do.
    pub allow_optimistic: bool,
    /// `--beacon-node-headers`: name and value, sent with every request.
    pub headers: Vec<(String, String)>,
}

impl fmt::Debug for BeaconConfig {
    // Endpoints and headers may hold credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BeaconConfig")
            .field("endpoints", &self.endpoints.len())
            .field("fallbacks", &self.fallbacks.len())
            .field("timeout", &self.timeout)
            .field("submit_timeout", &self.submit_timeout)
            .field("certificates", &self.certificates)
            .field("broadcast", &self.broadcast)
            .field("best_head", &self.best_head)
            .field("allow_optimistic", &self.allow_optimistic)
            .field(
                "headers",
                &self.headers.iter().map(|(name, _)| name).collect::<Vec<_>>(),
            )
            .finish()
    }
}

/// The validator API's listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidatorApiConfig {
    /// `--validator-api-address`.
    pub address: String,
    /// `--vc-tls-cert-file` and `--vc-tls-key-file`.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// `--vapi-token-file`: holds the bearer token that every request must bring.
    pub token_file: Option<PathBuf>,
    /// `--vapi-allow-list`: pass on only what stock validator clients ask for.
    pub allow_list: bool,
    /// `--vapi-json-only`: answer in JSON even to clients that prefer SSZ.
    pub json_only: bool,
    /// `--vapi-allow-origin`: web pages that may read answers.
    pub origins: Origins,
}

/// The network between the operators' nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct P2pConfig {
    /// `--p2p-relays`: URLs of relays, or multiaddresses.
    pub relays: Vec<String>,
    /// `--p2p-external-ip`.
    pub external_ip: Option<IpAddr>,
    /// `--p2p-external-hostname`.
    pub external_hostname: Option<String>,
    /// `--p2p-tcp-address`: `ip:port` texts to listen on; empty means outgoing only.
    pub tcp_addresses: Vec<String>,
    /// `--p2p-disable-reuseport`.
    pub disable_reuseport: bool,
}

/// What blocks are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposalConfig {
    /// `--builder-api`: only blocks of builders.
    pub builder_api: bool,
    /// `--graffiti`: none, one for all, or one per validator in lock order.
    pub graffiti: Vec<String>,
    /// `--graffiti-disable-client-append`.
    pub graffiti_disable_client_append: bool,
    /// `--overrides-file`: registrations that replace those of the lock. It may be missing.
    pub overrides_file: PathBuf,
    /// `--fetch-feerecipient-updates`: where registrations that the operators sign together are fetched from.
    pub updates: Option<UpdatesConfig>,
    /// `--synthetic-block-proposals`: made-up proposals, for tests.
    pub synthetic: bool,
}

/// A network that is in no table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomNetwork {
    /// `--testnet-name`.
    pub name: String,
    /// `--testnet-fork-version`: the genesis fork version.
    pub genesis_fork_version: [u8; 4],
    /// `--testnet-chain-id`.
    pub chain_id: u64,
    /// `--testnet-genesis-timestamp`: Unix seconds.
    pub genesis_time: u64,
    /// `--testnet-capella-hard-fork`: the fork version under which exits are signed.
    pub capella_fork_version: Option<[u8; 4]>,
}
