//! One beacon node over HTTP, behind [`trireme_core::ports::BeaconNode`].
//!
//! [`Client`] is the node's calls; [`Client::follow_events`] keeps its events coming; [`DutiesOnce`] asks for the
//! duties of an epoch once. Several beacon nodes will be another implementation of the same port over several clients.

mod chain;
mod client;
mod http;
mod metrics;
mod once;
mod sse;

pub use chain::WrongNetwork;
pub use client::{Client, Config, Timeouts};
pub use http::AddressError;
pub use metrics::Metrics;
pub use once::DutiesOnce;
