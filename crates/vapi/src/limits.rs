//! Every limit on what a client of the validator API may take.

use std::time::Duration;

/// How long a handler may take, from the first byte of the request's body to the head of the answer.
pub const HANDLER_DEADLINE: Duration = Duration::from_secs(10);
/// How long the head of a request may take, from its first byte, or from the connection's start for the first one.
pub const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(1);
/// Requests that are handled at the same time; further ones get 503.
pub const MAX_REQUESTS: usize = 512;
/// Event streams that are open at the same time; further ones get 503.
pub const MAX_EVENT_STREAMS: usize = 128;
/// Open connections; further ones wait in the listener's queue.
pub const MAX_CONNECTIONS: usize = 1_024;
/// Largest head of a request.
pub const MAX_HEAD: usize = 64 * 1024;
/// Largest body of a block: 4,096 blobs are out of reach, 128 blobs as hex in JSON are not (2 × 131,072 bytes each).
pub const MAX_BLOCK_BODY: usize = 48 * 1024 * 1024;
/// Largest body of everything else that is served: 20,000 attestations in JSON are about 12 MB.
pub const MAX_BODY: usize = 16 * 1024 * 1024;
/// Largest body that is passed on to the beacon node: those of later forks may hold blobs, too.
pub const MAX_PROXY_BODY: usize = MAX_BLOCK_BODY;
/// All bodies that are in memory at the same time, beyond the first 64 KiB of each.
pub const MAX_BODIES: usize = 384 * 1024 * 1024;
/// Largest answer of the beacon node that is read here rather than passed on.
pub const MAX_READ_ANSWER: usize = 16 * 1024 * 1024;
/// How much longer the request for selection proofs may take than [`HANDLER_DEADLINE`]: by then it has told what it has.
pub const LAST_WORD: Duration = Duration::from_millis(500);
/// How long a TLS handshake may take.
pub const TLS_HANDSHAKE: Duration = Duration::from_secs(5);
/// How long a beacon node's failure, or another's success where all are to be reached, waits for the other beacon nodes.
pub const OTHERS: Duration = Duration::from_secs(1);
/// After how long without an answer worse beacon nodes are asked too: a quarter of a slot.
pub const WORSE: Duration = Duration::from_secs(3);
/// After how long without an answer the next beacon node is asked for an event stream as well.
pub const NEXT_STREAM: Duration = Duration::from_secs(2);
/// Longest silence of the beacon node within a proxied answer; event streams are silent as long as they like.
pub const PROXY_IDLE: Duration = Duration::from_secs(10);
/// How long connections may finish their answers once the node stops.
pub const STOP_GRACE: Duration = Duration::from_secs(5);
