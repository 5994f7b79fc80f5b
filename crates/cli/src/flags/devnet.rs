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
    /// How many beacon nodes show the chain; every node is given all of them.
    #[arg(long, value_name = "NUMBER", default_value = "1")]
    pub beacon_nodes: String,
    /// A fault of a beacon node, as FACE:KIND@SLOT..SLOT: 0:hang@20..40 for the first one. Kinds: slow, error, hang, optimistic, behind, wrong-chain, other-fork-epoch; may be repeated.
    #[arg(long, value_name = "LIST")]
    pub bn_fault: Vec<String>,
    /// Blobs in each block from Deneb on.
    #[arg(long, value_name = "NUMBER", default_value = "1")]
    pub blobs: String,
    /// Transactions in each block, in KiB.
    #[arg(long, value_name = "NUMBER", default_value = "8")]
    pub transactions: String,
    /// Blocks come from a builder: blinded proposals and registrations.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", hide_default_value = true)]
    pub builder: String,
    /// At most so many validators sit in the sync committee.
    #[arg(long, value_name = "NUMBER", default_value = "4")]
    pub sync_committee: String,
    /// Beacon nodes of a chain outside in the place of our own; the nodes say what came of their duties. Needs --cluster.
    #[arg(long, value_name = "LIST")]
    pub beacon_node: Vec<String>,
    /// Validator clients: mock, or none to start your own.
    #[arg(long, value_name = "TEXT", default_value = "mock")]
    pub vc: String,
    /// Log lines.
    #[command(flatten)]
    pub log: LogFlags,
}
