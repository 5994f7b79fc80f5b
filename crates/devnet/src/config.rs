//! What a local cluster is asked to be: the flags of `trireme devnet` as plain values.

use std::{fmt, path::PathBuf, str::FromStr};

pub use trireme_testutil::judge::Fault;

/// Everything that `run` needs. [`DevnetConfig::default`] holds the defaults of the flags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevnetConfig {
    /// `--nodes`: how many nodes, 3 to 13. Ignored with `cluster`, whose folder says how many.
    pub nodes: usize,
    /// `--threshold`: how many partial signatures make a signature; `None` is ceil(2n/3).
    pub threshold: Option<usize>,
    /// `--validators`: how many distributed validators. Ignored with `cluster`.
    pub validators: usize,
    /// `--slots`: how many slots to count; 0 goes on until Ctrl-C.
    pub slots: u64,
    /// `--slot-duration` in whole seconds.
    pub slot_seconds: u64,
    /// `--slots-per-epoch` of the chain.
    pub slots_per_epoch: u64,
    /// `--fork`: the chain's fork from its first slot on, by name, `phase0` to `fulu`.
    pub fork: String,
    /// `--dir`: where to put keys, data and logs, kept at the end; `None` is a temporary folder.
    pub dir: Option<PathBuf>,
    /// `--output`.
    pub output: Output,
    /// `--kill NODE@SLOT`.
    pub kills: Vec<NodeAtSlot>,
    /// `--restart NODE@SLOT`.
    pub restarts: Vec<NodeAtSlot>,
    /// `--allow-loss`: run a plan that leaves fewer nodes than the cluster needs.
    pub allow_loss: bool,
    /// `--charon`: the binary of the Go implementation.
    pub charon: Option<PathBuf>,
    /// `--charon-nodes`: how many of the nodes run that binary: the last ones.
    pub charon_nodes: usize,
    /// `--cluster`: a folder with `node0`, `node1`, … to use instead of making one.
    pub cluster: Option<PathBuf>,
    /// `--beacon-nodes`: how many beacon nodes show the chain; every node is given all of them.
    pub beacon_nodes: usize,
    /// `--bn-fault FACE:KIND@SLOT..SLOT`, slots counted from the begin of counting.
    pub bn_faults: Vec<Fault>,
    /// `--blobs`: blobs in each block from Deneb on.
    pub blobs: usize,
    /// `--transactions`: KiB of transactions in each block.
    pub transactions_kib: usize,
    /// `--builder`: the chain has a builder, and nodes and clients want its blocks.
    pub builder: bool,
    /// `--sync-committee`: at most so many validators sit in the sync committee.
    pub sync_committee: usize,
    /// `--beacon-node`: beacon nodes of a chain outside, in the place of our own.
    pub beacon_node: Vec<String>,
    /// `--vc`.
    pub vc: Clients,
    /// The binary to start as our nodes; `None` is the running one.
    pub binary: Option<PathBuf>,
}

impl Default for DevnetConfig {
    fn default() -> Self {
        Self {
            nodes: 4,
            threshold: None,
            validators: 8,
            slots: 24,
            slot_seconds: 4,
            slots_per_epoch: 16,
            fork: "fulu".to_owned(),
            dir: None,
            output: Output::Text,
            kills: Vec::new(),
            restarts: Vec::new(),
            allow_loss: false,
            charon: None,
            charon_nodes: 0,
            cluster: None,
            beacon_nodes: 1,
            bn_faults: Vec::new(),
            blobs: 1,
            transactions_kib: 8,
            builder: false,
            sync_committee: 4,
            beacon_node: Vec::new(),
            vc: Clients::Mock,
            binary: None,
        }
    }
}

/// How the run is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Output {
    /// A live table, then a summary.
    #[default]
    Text,
    /// Progress on stderr; the last line on stdout is one JSON object.
    Json,
}

impl FromStr for Output {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        match s {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(format!("output {other:?} is not one of text, json")),
        }
    }
}

/// Which validator clients the nodes get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Clients {
    /// One mock for each node.
    #[default]
    Mock,
    /// None: the addresses and share keys are printed, and the run waits until somebody has started clients.
    None,
}

impl FromStr for Clients {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        match s {
            "mock" => Ok(Self::Mock),
            "none" => Ok(Self::None),
            other => Err(format!("validator clients {other:?} are not one of mock, none")),
        }
    }
}

/// A node, and a slot counted from the begin of counting: `2@6`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeAtSlot {
    /// Position of the node; the first is 0, as in its folder's name.
    pub node: usize,
    /// The slot; the first counted one is 0.
    pub slot: u64,
}

impl FromStr for NodeAtSlot {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let parts = s
            .split_once('@')
            .and_then(|(n, at)| Some((n.parse().ok()?, at.parse().ok()?)));
        let (node, slot) = parts.ok_or_else(|| format!("{s:?} is not NODE@SLOT, as in 2@6 for node2 in slot 6"))?;
        Ok(Self { node, slot })
    }
}

impl fmt::Display for NodeAtSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.node, self.slot)
    }
}

/// Why a local cluster was not run, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum DevnetError {
    /// The flags do not fit together.
    #[error("{0}")]
    Config(String),
    /// The cluster folder cannot be made or read.
    #[error("cluster folder {path}: {reason}")]
    Cluster {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A child process did not start or ended early.
    #[error("{what}: {reason}; its log is {log}")]
    Child {
        /// Which one.
        what: String,
        /// What happened.
        reason: String,
        /// Where it wrote.
        log: PathBuf,
    },
    /// The beacon node of a chain outside does not answer, or is not the cluster's.
    #[error("beacon node {url}: {reason}")]
    Beacon {
        /// Which one.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The nodes did not become ready in time.
    #[error("after {epochs} epochs these nodes are still not ready: {nodes}")]
    NotReady {
        /// How long we waited.
        epochs: u64,
        /// Each node with its own reason.
        nodes: String,
    },
    /// Reading or writing a file, or binding a port.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system says.
        source: std::io::Error,
    },
}

impl DevnetError {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}
