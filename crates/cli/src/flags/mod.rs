//! What stands on the command line, as raw text: every value is a `String`, so that values from the environment and the file
//! can take the place of missing ones before anything is checked.
//!
//! Names and defaults are those of Charon; a test holds them against a table. To add a flag: one field here, one use in
//! `commands`, and run the tests with `UPDATE=1` for help texts and `docs/configuration.md`.

mod create_cluster;
#[cfg(feature = "devnet")]
mod devnet;
mod groups;
mod relay;
mod run;

use clap::{Args, Parser, Subcommand};

pub use create_cluster::CreateClusterFlags;
#[cfg(feature = "devnet")]
pub use devnet::DevnetFlags;
pub use groups::{FeatureFlags, LogFlags, LokiFlags, OutputFlags, P2pFlags, TestnetFlags};
pub use relay::RelayFlags;
pub use run::RunFlags;

/// Trireme is a distributed validator node: it lets several operators run one Ethereum validator together.
///
/// Every flag can also be given as environment variable, --some-flag as TRIREME_SOME_FLAG or CHARON_SOME_FLAG, or in a file
/// trireme.yaml or charon.yaml (or .toml) in the working folder. A flag wins over the environment, the environment over the
/// file.
#[derive(Debug, Clone, Parser)]
#[command(name = "trireme", disable_help_subcommand = false, max_term_width = 110)]
pub struct Cli {
    /// Which command.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The commands.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Run a node of a cluster.
    Run(Box<RunFlags>),
    /// Run a relay, over which nodes behind routers find and reach each other.
    Relay(Box<RelayFlags>),
    /// Create keys and clusters.
    Create(CreateFlags),
    /// Show the ENR of this node's identity key.
    Enr(EnrFlags),
    /// Show the version.
    Version(VersionFlags),
    /// Run a local cluster of real processes against a mock beacon node, and check every duty.
    #[cfg(feature = "devnet")]
    Devnet(Box<DevnetFlags>),
}

/// Create keys and clusters.
#[derive(Debug, Clone, Args)]
pub struct CreateFlags {
    /// Which command.
    #[command(subcommand)]
    pub command: Option<CreateCommand>,
}

/// The commands under `create`.
#[derive(Debug, Clone, Subcommand)]
pub enum CreateCommand {
    /// Create a cluster in one place: keys, lock, and the folder of every node.
    Cluster(Box<CreateClusterFlags>),
    /// Create this node's identity key and show its ENR.
    Enr(CreateEnrFlags),
}

/// Create this node's identity key and show its ENR.
#[derive(Debug, Clone, Args)]
pub struct CreateEnrFlags {
    /// Folder of the identity key.
    #[arg(long, value_name = "TEXT", default_value = ".charon")]
    pub data_dir: String,
}

/// Show the ENR of this node's identity key.
#[derive(Debug, Clone, Args)]
pub struct EnrFlags {
    /// Folder of the identity key.
    #[arg(long, value_name = "TEXT", default_value = ".charon")]
    pub data_dir: String,
    /// Show public key and signature, too.
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        default_value = "false",
        hide_default_value = true
    )]
    pub verbose: String,
}

/// Show the version.
#[derive(Debug, Clone, Args)]
pub struct VersionFlags {
    /// Show dependencies and protocols, too.
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        default_value = "false",
        hide_default_value = true
    )]
    pub verbose: String,
    /// Charon ignores what stands behind the flags of this command, and so do we.
    #[arg(hide = true)]
    pub ignored: Vec<String>,
}
