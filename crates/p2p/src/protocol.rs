//! The protocols by name: which of them are answered, and how long their parts may take (p2p.md 3.3, 3.4).

use std::time::Duration;

use trireme_core::ports::ProtocolId;

/// Peer information.
pub const PEERINFO: ProtocolId = ProtocolId {
    name: "/charon/peerinfo/2.0.0",
    max_frame: 1024 * 1024,
};

/// Protocols whose receiver never writes: the stream is closed as soon as the message is read.
const ONE_WAY: [&str; 3] = [
    "/charon/consensus/qbft/2.0.0",
    "/charon/parsigex/2.0.0",
    "/charon/dkg/frost/2.0.0/round1/p2p",
];
/// Reliable broadcast of a ceremony, whose handlers wait for their own node.
const CEREMONY: &str = "/charon/dkg/bcast/";

/// Whether the receiver may answer.
pub(crate) fn is_answered(name: &str) -> bool {
    !ONE_WAY.contains(&name)
}

/// From the opening of an inbound stream to the end of its message.
pub(crate) const READ: Duration = Duration::from_secs(5);

/// From the arrival of a message to the end of its handler.
pub(crate) fn handler_limit(name: &str) -> Duration {
    if name.starts_with(CEREMONY) {
        Duration::from_secs(60)
    } else if is_answered(name) {
        Duration::from_secs(5)
    } else {
        // Nobody waits for it, but nothing waits for ever.
        Duration::from_secs(30)
    }
}

/// From the opening of an outbound stream to its end.
pub(crate) fn send_limit(name: &str) -> Duration {
    if name.starts_with(CEREMONY) && name.ends_with("/msg") {
        Duration::from_secs(62)
    } else {
        Duration::from_secs(7)
    }
}
