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
/// Largest body that is passed on to the beacon node.
pub const MAX_PROXY_BODY: usize = 16 * 1024 * 1024;
/// Longest silence of the beacon node within a proxied answer; event streams are silent as long as they like.
pub const PROXY_IDLE: Duration = Duration::from_secs(10);
/// How long connections may finish their answers once the node stops.
pub const STOP_GRACE: Duration = Duration::from_secs(5);
