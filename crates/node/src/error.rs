//! Why a node did not start, or stopped by itself.

use std::{path::PathBuf, time::Duration};

/// Every sentence names the thing and says what to do; the command line prints it as it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// A file that must be there is not, or cannot be read.
    #[error("{what} {path} cannot be read: {reason}; {hint}")]
    File {
        /// What the file is.
        what: &'static str,
        /// Where it was looked for.
        path: PathBuf,
        /// What happened.
        reason: String,
        /// What to do about it.
        hint: &'static str,
    },
    /// The lock is not one, or does not verify.
    #[error("cluster lock {path} is not valid: {reason}; get an unchanged copy of cluster-lock.json from the ceremony")]
    Lock {
        /// Its path.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The identity key belongs to no operator of the lock.
    #[error(
        "private key {path} does not belong to any operator of cluster {cluster}: its ENR has public key {ours}; \
         use the key and the lock of the same ceremony"
    )]
    NotAnOperator {
        /// The key file.
        path: PathBuf,
        /// The cluster's name.
        cluster: String,
        /// Our compressed public key in hex.
        ours: String,
    },
    /// Another process uses the identity key.
    #[error(
        "private key {path} is in use by another process ({holder}); two nodes with one identity can get their \
         validators slashed: stop the other one first"
    )]
    KeyInUse {
        /// The key file.
        path: PathBuf,
        /// What is known of the other process.
        holder: String,
    },
    /// The lock file with a timestamp says that this key ran a short time ago.
    #[error(
        "private key lock file {path} was written {age:?} ago by `{command}` for cluster {cluster}; wait {wait:?} and start again"
    )]
    KeyRecentlyUsed {
        /// The lock file.
        path: PathBuf,
        /// Age of its timestamp.
        age: Duration,
        /// The command in it.
        command: String,
        /// The cluster in it.
        cluster: String,
        /// How long to wait.
        wait: Duration,
    },
    /// A listener cannot be had.
    #[error(
        "{flag} {address} cannot be listened on: {reason}; choose another address or stop the program that uses it"
    )]
    Listen {
        /// The flag that sets it.
        flag: &'static str,
        /// The address.
        address: String,
        /// What the operating system says.
        reason: String,
    },
    /// The beacon node serves another chain than that of the lock.
    #[error(
        "beacon node {address} is on {theirs}, the cluster lock is for {ours}; \
         give --beacon-node-endpoints of the lock's network"
    )]
    WrongNetwork {
        /// Address without credentials.
        address: String,
        /// The beacon node's network and genesis fork version.
        theirs: String,
        /// The lock's.
        ours: String,
    },
    /// A setting that cannot be used.
    #[error("{flag}: {reason}")]
    Setting {
        /// The flag.
        flag: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] trireme_core::ports::StoreError),
    /// The network between the nodes.
    #[error("the p2p network did not start: {0}")]
    P2p(String),
    /// What the store holds of duties cannot be used.
    #[error("the store of decided duties cannot be used: {0}")]
    Decided(#[from] trireme_core::dutydb::DutyDbError),
    /// What the store holds of signatures cannot be used.
    #[error("the store of signatures cannot be used: {0}")]
    Signatures(#[from] trireme_core::aggsigdb::AggSigDbError),
    /// What was open before a restart cannot be taken up.
    #[error("what was open before the restart cannot be taken up: {0}")]
    Resume(#[from] trireme_core::step::StepError),
    /// No such cluster can agree on anything.
    #[error("the cluster cannot run consensus: {0}")]
    Nodes(#[from] trireme_qbft::NodeCountError),
    /// A part that the node cannot be without has ended.
    #[error("{task} ended: {reason}; the node stopped after saving its store")]
    Essential {
        /// The task's name.
        task: String,
        /// Why.
        reason: String,
    },
}
