//! The flags of `devnet`.

use super::groups::LogFlags;

/// Run a local cluster of real processes against a mock beacon node, and check every duty.
#[derive(Debug, Clone, clap::Args)]
pub struct DevnetFlags {
    /// How many nodes, 3 to 13.
    #[arg(long, value_name = "NUMBER", default_value = "4")]
    pub nodes: String,
    /// How many nodes are needed to sign; 0 for two thirds, rounded up.
    #[arg(long, value_name = "NUMBER", default_value = "0")]
    pub threshold: String,
    /// How many validators.
    #[arg(long, value_name = "NUMBER", default_value = "8")]
    pub validators: String,
    /// How many slots to count; 0 for until Ctrl-C.
    #[arg(long, value_name = "NUMBER", default_value = "24")]
    pub slots: String,
    /// Slot duration in whole seconds.
    #[arg(long, value_name = "NUMBER", default_value = "4")]
    pub slot_duration: String,
    /// Slots of an epoch.
    #[arg(long, value_name = "NUMBER", default_value = "16")]
    pub slots_per_epoch: String,
    /// Fork of the chain, phase0 to fulu.
    #[arg(long, value_name = "TEXT", default_value = "fulu")]
    pub fork: String,
    /// Where keys, data and logs are kept; without it a temporary folder.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub dir: String,
    /// text for a live table, json for one object on the last line.
    #[arg(long, value_name = "TEXT", default_value = "text")]
    pub output: String,
    /// Kill a node, as NODE@SLOT: 2@6 kills node2 at three quarters of the slot 6; may be repeated.
    #[arg(long, value_name = "LIST")]
    pub kill: Vec<String>,
    /// Start a killed node again, as NODE@SLOT; may be repeated.
    #[arg(long, value_name = "LIST")]
    pub restart: Vec<String>,
    /// Accept a plan that leaves fewer nodes than the cluster needs.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true)]
    pub allow_loss: String,
    /// Path of a Charon binary.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub charon: String,
    /// How many nodes, the last ones, are that binary.
    #[arg(long, value_name = "NUMBER", default_value = "0")]
    pub charon_nodes: String,
    /// Use the existing folders node0, node1, ... in this folder.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub cluster: String,
    /// Log lines.
    #[command(flatten)]
    pub log: LogFlags,
}
