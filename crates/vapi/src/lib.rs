//! The validator API over HTTP: what a stock validator client believes to be its beacon node.
//!
//! ```text
//! validator client ─► listener ─► server ─► route ─┬─► handlers ─► core::validatorapi
//!                                                  └─► proxy ────► beacon nodes
//! ```
//!
//! Guarantees: every request ends, with an answer or an error that says why; nothing that a client sends makes the node
//! panic or reserve memory beyond the limits of [`limits`]; paths that are not for validator clients are closed.
//!
//! Where it differs on purpose from the node that validator clients know from other operators:
//!
//! * a 408 says what was awaited; the wait ends early when the duty's time is over;
//! * `statuses` of validator queries filter; without identifiers the cluster's own validators are listed;
//! * a 4xx of the beacon node keeps its status and message;
//! * attestation data of a slot without a duty of the cluster comes from the beacon node at once; a committee in which
//!   nobody of the cluster attests is refused with 400;
//! * blocks are answered in SSZ to who prefers it; attestations are taken in SSZ too;
//! * paths under `debug`, of the keymanager API and with a segment `admin` are closed;
//! * committee subscriptions reach every beacon node; an event topic that a beacon node does not know is left out;
//! * while stopping and over the limits the answer is 503 with a plain sentence.
//!
//! Not here: duties, keys and signatures (`core::validatorapi`), beacon nodes as the node itself uses them (`beacon`).

mod accept;
mod allow;
mod asked;
mod behind;
mod bodies;
mod clients;
mod config;
mod error;
mod events;
mod handlers;
pub mod limits;
mod listener;
mod metrics;
mod params;
mod proxy;
mod route;
mod server;
mod shared;
mod tls;

pub use accept::Encoding;
pub use config::{BadToken, Config, Token};
pub use error::INTERNAL;
pub use listener::{connection, serve};
pub use metrics::Metrics;
pub use proxy::{Best, NoClient, Proxy, Upstream};
pub use route::{Endpoint, Kind, Route, path_label, route, table};
pub use server::Server;
pub use tls::{Tls, TlsError};
