//! The flags of `create dkg`.

use super::groups::{OutputFlags, TestnetFlags};

/// Invite operators to generate keys together: make the cluster definition that each of them runs the ceremony with.
#[derive(Debug, Clone, clap::Args)]
pub struct CreateDkgFlags {
    /// Name of the cluster.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub name: String,
    /// Folder that cluster-definition.json is written to; nothing is written with --publish.
    #[arg(long, value_name = "TEXT", default_value = ".charon")]
    pub output_dir: String,
    /// Schema version of the definition, v1.10.0 or v1.11.0; Charon v1.10 and older take part only in the former.
    #[arg(long, value_name = "TEXT", default_value = "v1.10.0")]
    pub definition_version: String,
    /// How many validators.
    #[arg(long, value_name = "NUMBER", default_value = "1")]
    pub num_validators: String,
    /// How many nodes are needed to sign; 0 for two thirds, rounded up.
    #[arg(short, long, value_name = "NUMBER", default_value = "0")]
    pub threshold: String,
    /// ENRs of the operators' nodes, in the order that gives them their index.
    #[arg(long, value_name = "LIST")]
    pub operator_enrs: Vec<String>,
    /// Wallet addresses of the operators, who join on the launchpad; only with --publish, instead of ENRs.
    #[arg(long, value_name = "LIST")]
    pub operator_addresses: Vec<String>,
    /// Ethereum network: mainnet, goerli, sepolia, hoodi, holesky, gnosis, chiado.
    #[arg(long, value_name = "TEXT", default_value = "mainnet")]
    pub network: String,
    /// Addresses that receive tips: one for all validators, or one for each.
    #[arg(long, value_name = "LIST")]
    pub fee_recipient_addresses: Vec<String>,
    /// Addresses that receive withdrawals, with their checksum: one for all validators, or one for each.
    #[arg(long, value_name = "LIST")]
    pub withdrawal_addresses: Vec<String>,
    /// Deposits to sign, in whole ETH; together at least 32 for a validator.
    #[arg(long, value_name = "LIST")]
    pub deposit_amounts: Vec<String>,
    /// Withdrawal credentials of type 0x02, for validators of up to 2048 ETH.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true)]
    pub compounding: String,
    /// How keys are generated: default, frost or pedersen.
    #[arg(long, value_name = "TEXT", default_value = "default")]
    pub dkg_algorithm: String,
    /// Gas limit of the builder registrations.
    #[arg(long, value_name = "NUMBER", default_value = "60000000")]
    pub target_gas_limit: String,
    /// Preferred consensus protocol, for example qbft.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub consensus_protocol: String,
    /// Publish the definition on the API instead of writing a file: an invitation that operators follow by its link.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true)]
    pub publish: String,
    /// URL of the API.
    #[arg(long, value_name = "TEXT", default_value = "https://api.obol.tech/v1")]
    pub publish_address: String,
    /// JSON-RPC of an execution client; it must answer and follow the network's chain.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub execution_client_rpc_endpoint: String,
    /// A custom network.
    #[command(flatten)]
    pub testnet: TestnetFlags,
    /// How facts are shown.
    #[command(flatten)]
    pub output: OutputFlags,
}
