//! What the workflow needs from outside, as narrow traits used through `Arc<dyn …>`.
//!
//! Async methods return boxed futures written out, so that a fake is a struct with a few lines and no macro is needed.

mod beacon;

use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use trireme_keys::PeerId;

pub use beacon::{BeaconError, BeaconLayer, BeaconNode, Duties, ProduceBlock};

use crate::{ids::PeerIdx, time::UnixTime};

// === Clock, compute, entropy

/// Wall time and waiting. The only source of either in `core` and above.
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> UnixTime;
    /// Ends at `t` or, if `t` is past, at once. Drop-safe.
    fn sleep_until(&self, t: UnixTime) -> BoxFuture<'_, ()>;
}

/// Which work goes first when the pool is busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Blocks and randao: seconds decide.
    Proposal,
    /// Consensus messages and attestations.
    Attestation,
    /// Everything else.
    Other,
}

/// Where work of more than about 100 µs runs. In simulation it runs inline.
pub trait Compute: Send + Sync {
    /// Runs `job`; the future ends when it has run. Dropping the future does not stop a job that has begun.
    fn run(&self, lane: Lane, job: Box<dyn FnOnce() + Send>) -> BoxFuture<'_, ()>;
}

/// Randomness. Seeded in simulation, from the operating system otherwise.
pub trait Entropy: Send + Sync {
    /// Fills `out` with random bytes.
    fn fill(&self, out: &mut [u8]);
}

// === Network

/// A stream protocol, for example `/charon/parsigex/2.0.0`, with the largest frame that its reader accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProtocolId {
    /// The text negotiated by multistream-select.
    pub name: &'static str,
    /// Largest accepted message in bytes, inclusive.
    pub max_frame: usize,
}

/// Another operator's node, or ourselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Position in the lock.
    pub idx: PeerIdx,
    /// libp2p identity.
    pub id: PeerId,
    /// Name in logs and metric labels (p2p.md 1.4).
    pub name: String,
}

/// Why a message could not be sent, or a request not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetError {
    /// No connection, and none could be made in time.
    #[error("peer {peer} is not reachable: {reason}")]
    Unreachable {
        /// The peer's name.
        peer: String,
        /// What was tried.
        reason: String,
    },
    /// The stream broke or timed out.
    #[error("stream {protocol} to peer {peer} broke: {reason}")]
    Stream {
        /// The peer's name.
        peer: String,
        /// The protocol.
        protocol: &'static str,
        /// What happened.
        reason: String,
    },
    /// The node is stopping.
    #[error("the network is shut down")]
    Stopped,
}

/// One message from a peer.
#[derive(Debug, Clone)]
pub struct Inbound {
    /// The authenticated sender; an operator, or `None` for a relay.
    pub from: Option<PeerIdx>,
    /// The libp2p identity of the sender.
    pub from_id: PeerId,
    /// The frame's content.
    pub msg: Bytes,
}

/// Answers one inbound message. `Ok(None)` closes the stream without an answer, `Err` too, with a log line.
pub type Handler = Arc<
    dyn Fn(Inbound) -> BoxFuture<'static, Result<Option<Bytes>, Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + Sync,
>;

/// Keeps a protocol served; dropping it unregisters the handler.
pub struct ServeGuard(pub Option<Box<dyn FnOnce() + Send + Sync>>);

impl Drop for ServeGuard {
    fn drop(&mut self) {
        if let Some(unregister) = self.0.take() {
            unregister();
        }
    }
}

/// Messages between the operators' nodes, one per stream.
pub trait PeerNet: Send + Sync {
    /// Our own position.
    fn me(&self) -> PeerIdx;
    /// All operators in lock order, ourselves included.
    fn peers(&self) -> &[Peer];
    /// Sends one message; nobody acknowledges it.
    fn send(&self, to: PeerIdx, proto: ProtocolId, msg: Bytes) -> BoxFuture<'_, Result<(), NetError>>;
    /// Sends one message and waits for one answer.
    fn request(&self, to: PeerIdx, proto: ProtocolId, msg: Bytes) -> BoxFuture<'_, Result<Bytes, NetError>>;
    /// Whether the peer has told that it answers the protocol; `None` while nothing is known of it.
    fn announces(&self, _peer: PeerIdx, _proto: ProtocolId) -> Option<bool> {
        None
    }
    /// Registers the handler of a protocol. The frame is read and the stream of a one-way message closed before the
    /// handler runs (performance.md, move 5).
    fn serve(&self, proto: ProtocolId, handler: Handler) -> ServeGuard;
}

// === Storage

/// The tables of a node's store (architecture section 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Schema version, cluster lock hash, share index.
    Meta,
    /// Decided values.
    Duty,
    /// Highest trimmed slot per duty type.
    DutyFloor,
    /// Partial signatures.
    Partial,
    /// Aggregated signatures.
    Aggregate,
    /// EIP-3076 records of the signer.
    Slashing,
}

impl Table {
    /// Every table.
    pub const ALL: [Self; 6] = [
        Self::Meta,
        Self::Duty,
        Self::DutyFloor,
        Self::Partial,
        Self::Aggregate,
        Self::Slashing,
    ];

    /// The table's name on disk.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Duty => "duty",
            Self::DutyFloor => "duty_floor",
            Self::Partial => "partial",
            Self::Aggregate => "aggregate",
            Self::Slashing => "slashing",
        }
    }
}

/// When a batch must be on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Before `commit` returns.
    Durable,
    /// At some later flush.
    Buffered,
}

/// Writes that are applied together or not at all. `None` removes the key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// In order; a later write to the same key wins.
    pub writes: Vec<(Table, Vec<u8>, Option<Vec<u8>>)>,
}

/// Whether a scan goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Next entry, please.
    Continue,
    /// Enough.
    Stop,
}

/// Why the store did not do as told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Reading or writing went wrong.
    #[error("the store at {path} cannot be used: {reason}")]
    Io {
        /// The folder.
        path: String,
        /// What happened.
        reason: String,
    },
    /// The content is not what we wrote.
    #[error("the store holds an unreadable entry in table {table}: {reason}")]
    Corrupt {
        /// Table name.
        table: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The store was made by another cluster or share.
    #[error(
        "the store at {path} belongs to another cluster ({found}, this is {expected}); give each cluster its own data folder"
    )]
    OtherCluster {
        /// The folder.
        path: String,
        /// What the store says.
        found: String,
        /// What we are.
        expected: String,
    },
    /// The store has been closed.
    #[error("the store is closed")]
    Closed,
}

/// A small ordered key-value store. Blocking; async callers go through `journal::Journal`.
pub trait KeyValue: Send + Sync {
    /// Reads one key.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;
    /// Visits the entries whose key begins with `prefix`, in key order.
    fn scan(&self, table: Table, prefix: &[u8], each: &mut dyn FnMut(&[u8], &[u8]) -> Flow) -> Result<(), StoreError>;
    /// Applies the batch atomically; with [`Durability::Durable`] returns only once it is on disk.
    fn commit(&self, batch: Batch, how: Durability) -> Result<(), StoreError>;
}
