//! The flags of `verify`, `inspect` and `combine`.

use super::groups::{OutputFlags, TestnetFlags};

/// May I send 32 ETH with these files? Check a node's folder, all nodes' folders, or a lock, without any network.
///
/// Exit code: 0 everything is right; 1 something could not be checked; 2 something is wrong; 3 nothing is wrong, but
/// something is missing or unsigned.
#[derive(Debug, Clone, clap::Args)]
pub struct VerifyFlags {
    /// A node's folder, several of them (node*), the folder that holds them, a cluster lock, or a cluster definition.
    #[arg(value_name = "PATH", default_value = ".charon")]
    pub paths: Vec<String>,
    /// Do not open keystores: believe the public key that stands in them.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true)]
    pub no_decrypt: String,
    /// JSON-RPC endpoint of an execution client, to ask smart-contract wallets about their signatures.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub execution_client_rpc_endpoint: String,
    /// A custom network.
    #[command(flatten)]
    pub testnet: TestnetFlags,
    /// How facts are shown.
    #[command(flatten)]
    pub output: OutputFlags,
}

/// Show what is in a file: a definition, a lock, a keystore, deposit data, an ENR or an identity key.
///
/// Nothing is verified (see `verify`), and no secret is shown.
#[derive(Debug, Clone, clap::Args)]
pub struct InspectFlags {
    /// The file, or an ENR itself.
    #[arg(value_name = "FILE", required = true)]
    pub file: String,
    /// A custom network.
    #[command(flatten)]
    pub testnet: TestnetFlags,
    /// How facts are shown.
    #[command(flatten)]
    pub output: OutputFlags,
}

/// Put the validators' whole keys together from the key shares in enough nodes' folders.
///
/// Whoever has the whole key can sign alone: stop the cluster for good before the keys are used anywhere else.
#[derive(Debug, Clone, clap::Args)]
pub struct CombineFlags {
    /// The folder that holds the nodes' folders, as many as the threshold at least.
    #[arg(long, value_name = "TEXT", default_value = "./")]
    pub cluster_dir: String,
    /// Where the keystores of the whole keys go.
    #[arg(long, value_name = "TEXT", default_value = "./validator_keys")]
    pub output_dir: String,
    /// Replace all keystores in the output folder, once the new ones are complete.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true)]
    pub force: String,
    /// Combine even if the locks do not verify.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true)]
    pub no_verify: String,
    /// JSON-RPC endpoint of an execution client, to ask smart-contract wallets about their signatures.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub execution_client_rpc_endpoint: String,
    /// A custom network.
    #[command(flatten)]
    pub testnet: TestnetFlags,
    /// How facts are shown.
    #[command(flatten)]
    pub output: OutputFlags,
}
