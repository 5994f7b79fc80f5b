//! The beacon nodes over HTTP, behind [`trireme_core::ports::BeaconNode`].
//!
//! [`Pool`] is all of them behind one face: who is asked, in which order, for how long. [`Client`] is the calls of one of
//! them. [`DutiesOnce`] in front of either asks for the duties of an epoch once.

mod answers;
mod calls;
mod chain;
mod client;
mod endpoint;
mod hedge;
mod http;
mod known;
mod metrics;
mod once;
mod pool;
mod score;
mod select;
mod sse;
mod status;

pub use calls::{GivenTimeouts, Timeouts};
pub use chain::WrongNetwork;
pub use client::{Client, Config};
pub use http::AddressError;
pub use metrics::Metrics;
pub use once::DutiesOnce;
pub use pool::{Broadcast, Clients, Pool, PoolConfig, PoolError, Topic, UnknownTopic};
pub use status::{Counts, Status};

/// How many events a stream in these pieces brings, up to the one that is too long; for the fuzz target of its reader.
#[doc(hidden)]
pub fn count_events<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> usize {
    sse::count(pieces)
}
