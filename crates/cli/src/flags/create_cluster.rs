//! The flags of `create cluster`.

use super::groups::{OutputFlags, TestnetFlags};

/// Create a cluster in one place: keys, lock, and the folder of every node.
#[derive(Debug, Clone, clap::Args)]
pub struct CreateClusterFlags {
    /// Name of the cluster.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub name: String,
    /// Where the folders node0, node1, ... are made.
    #[arg(long, value_name = "TEXT", default_value = "./")]
    pub cluster_dir: String,
    /// Cluster definition, a path or http(s) URL, that says what to create; it overrides the other settings.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub definition_file: String,
    /// Schema version of the lock, v1.10.0 or v1.11.0; Charon v1.10 reads only the former.
    #[arg(long, value_name = "TEXT", default_value = "v1.10.0")]
    pub definition_version: String,
    /// How many nodes; at least 3.
    #[arg(long, value_name = "NUMBER", default_value = "0")]
    pub nodes: String,
    /// How many nodes are needed to sign; 0 for two thirds, rounded up.
    #[arg(long, value_name = "NUMBER", default_value = "0")]
    pub threshold: String,
    /// How many validators.
    #[arg(long, value_name = "NUMBER", default_value = "0")]
    pub num_validators: String,
    /// Ethereum network: mainnet, goerli, sepolia, hoodi, holesky, gnosis, chiado.
    #[arg(long, value_name = "TEXT", default_value = "mainnet")]
    pub network: String,
    /// Addresses that receive tips: one for all validators, or one for each.
    #[arg(long, value_name = "LIST")]
    pub fee_recipient_addresses: Vec<String>,
    /// Addresses that receive withdrawals: one for all validators, or one for each.
    #[arg(long, value_name = "LIST")]
    pub withdrawal_addresses: Vec<String>,
    /// Deposits to sign, in whole ETH; together at least 32 for a validator.
    #[arg(long, value_name = "LIST")]
    pub deposit_amounts: Vec<String>,
    /// Withdrawal credentials of type 0x02, for validators of up to 2048 ETH.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true)]
    pub compounding: String,
    /// Gas limit of the builder registrations.
    #[arg(long, value_name = "NUMBER", default_value = "60000000")]
    pub target_gas_limit: String,
    /// Preferred consensus protocol, for example qbft.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub consensus_protocol: String,
    /// Split the keys of existing validators instead of making new ones.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true)]
    pub split_existing_keys: String,
    /// Folder with the keystores to split and their password files; with several addresses they are keystore-0.json, 1, ...
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub split_keys_dir: String,
    /// Encrypt keystores at next to no cost: for tests only, refused on mainnet and gnosis.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true)]
    pub insecure_keys: String,
    /// Keymanager URLs, one per node, that take the key shares instead of files.
    #[arg(long, value_name = "LIST")]
    pub keymanager_addresses: Vec<String>,
    /// Keymanager bearer tokens, one per node; @PATH takes one from a file.
    #[arg(long, value_name = "LIST")]
    pub keymanager_auth_tokens: Vec<String>,
    /// Upload the lock to the API once the cluster is made.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true)]
    pub publish: String,
    /// URL of the API.
    #[arg(long, value_name = "TEXT", default_value = "https://api.obol.tech/v1")]
    pub publish_address: String,
    /// Execution client that is asked about the signatures of smart-contract wallets in a definition.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub execution_client_rpc_endpoint: String,
    /// Pack the folders into cluster.tar.gz, and leave nothing of them beside it.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true)]
    pub zipped: String,
    /// A custom network.
    #[command(flatten)]
    pub testnet: TestnetFlags,
    /// How facts are shown.
    #[command(flatten)]
    pub output: OutputFlags,
    /// Charon ignores what stands behind the flags of this command, and so do we.
    #[arg(hide = true)]
    pub ignored: Vec<String>,
}
