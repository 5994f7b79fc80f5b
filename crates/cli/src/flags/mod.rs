//! What stands on the command line, as raw text: every value is a `String`, so that values from the environment and the file
//! can take the place of missing ones before anything is checked.
//!
//! Names and defaults are those of Charon; a test holds them against a table. To add a flag: one field here, one use in
//! `commands`, and run the tests with `UPDATE=1` for help texts, `docs/configuration.md` and `docs/cli`. Environment, files,
//! completions and manual pages need nothing.

mod create_cluster;
mod create_dkg;
#[cfg(feature = "devnet")]
mod devnet;
mod groups;
mod relay;
mod run;
mod verify;

use clap::{Args, Parser, Subcommand};

pub use create_cluster::CreateClusterFlags;
pub use create_dkg::CreateDkgFlags;
#[cfg(feature = "devnet")]
pub use devnet::DevnetFlags;
pub use groups::{FeatureFlags, LogFlags, LokiFlags, OutputFlags, P2pFlags, TestnetFlags};
pub use relay::RelayFlags;
pub use run::RunFlags;
pub use verify::{CombineFlags, InspectFlags, VerifyFlags};

/// Trireme is a distributed validator node: it lets several operators run one Ethereum validator together.
///
/// Every flag can also be given as environment variable, --some-flag as TRIREME_SOME_FLAG or CHARON_SOME_FLAG, or in a file
/// trireme.yaml or charon.yaml (or .json, .toml, .env) in the working folder. A flag wins over the environment, the environment
/// over the file. A flag that is given twice counts as it is given last; a list grows.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "trireme",
    disable_help_subcommand = false,
    max_term_width = 110,
    args_override_self = true
)]
pub struct Cli {
    /// Which command.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The commands. What each does stands at its flags, so that help, manual pages and documents have the whole text.
#[derive(Debug, Clone, Subcommand)]
#[expect(missing_docs, reason = "a sentence here would take the place of the flags' own text")]
pub enum Command {
    Run(Box<RunFlags>),
    Relay(Box<RelayFlags>),
    Create(CreateFlags),
    Verify(Box<VerifyFlags>),
    Inspect(Box<InspectFlags>),
    Combine(Box<CombineFlags>),
    Enr(EnrFlags),
    Version(VersionFlags),
    #[command(visible_alias = "completions")]
    Completion(CompletionFlags),
    Man(ManFlags),
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
#[expect(missing_docs, reason = "a sentence here would take the place of the flags' own text")]
pub enum CreateCommand {
    Cluster(Box<CreateClusterFlags>),
    Dkg(Box<CreateDkgFlags>),
    Enr(CreateEnrFlags),
}

/// Create this node's identity key and show its ENR.
#[derive(Debug, Clone, Args)]
pub struct CreateEnrFlags {
    /// Folder of the identity key.
    #[arg(long, value_name = "TEXT", default_value = ".charon")]
    pub data_dir: String,
    /// How facts are shown.
    #[command(flatten)]
    pub output: OutputFlags,
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
    /// How facts are shown.
    #[command(flatten)]
    pub output: OutputFlags,
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
    /// How facts are shown.
    #[command(flatten)]
    pub output: OutputFlags,
    /// Charon ignores what stands behind the flags of this command, and so do we.
    #[arg(hide = true)]
    pub ignored: Vec<String>,
}

/// Print a script that completes commands and flags in a shell.
///
/// For bash: trireme completion bash > /etc/bash_completion.d/trireme. For zsh, into a file _trireme in a folder of $fpath.
/// For fish, into ~/.config/fish/completions/trireme.fish.
#[derive(Debug, Clone, Args)]
pub struct CompletionFlags {
    /// Which shell.
    #[arg(value_name = "SHELL", value_parser = ["bash", "zsh", "fish", "powershell", "elvish"])]
    pub shell: Option<String>,
}

/// Print the manual page of a command, or write those of all.
///
/// To read one: trireme man create cluster | man -l -
#[derive(Debug, Clone, Args)]
pub struct ManFlags {
    /// The command, for example create cluster; without it the page of the whole program.
    #[arg(value_name = "COMMAND")]
    pub name: Vec<String>,
    /// Folder that takes the pages of all commands, as trireme-create-cluster.1.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub man_dir: String,
}
