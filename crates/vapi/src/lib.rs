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
//!   nobody of the cluster attests is refused with 400, and so is a slot more than two epochs ahead;
//! * an aggregate or contribution that the cluster will never make is refused at once with 404;
//! * selection proofs are answered as far as they are there when time is up; if there are none, the error says how many
//!   partial proofs there are and whose are missing;
//! * an aggregate with a selection proof of the client's own is refused with 400 and the flag that is missing;
//! * exited validators may hand in sync committee messages;
//! * liveness of the cluster's validators is always false: the cluster's own work is no doppelganger;
//! * blocks, attestation data, aggregates and contributions are answered in SSZ to who prefers it; attestations are taken
//!   in SSZ too;
//! * paths under `debug`, of the keymanager API and with a segment `admin` are closed;
//! * what is passed on goes to the beacon nodes that are known to be good, never to one of another chain, and a failure does
//!   not win over an answer; committee subscriptions reach every beacon node; an event topic that a beacon node does not
//!   know is left out;
//! * the root of the head is one that a beacon node says to be verified, as long as there is one;
//! * what every client polls is asked for once for all of them (`shared`);
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
mod cors;
mod error;
mod events;
pub mod fuzz;
mod handlers;
pub mod limits;
mod listener;
mod metrics;
mod params;
mod proxy;
mod route;
mod server;
mod shared;
mod standing;
mod subscriptions;
mod tls;

pub use accept::Encoding;
pub use config::{BadToken, Config, Token};
pub use cors::{BadOrigin, Origins};
pub use error::INTERNAL;
pub use listener::{connection, serve};
pub use metrics::Metrics;
pub use proxy::{NoClient, Proxy, Upstream};
pub use route::{Endpoint, Kind, Route, path_label, route, table};
pub use server::Server;
pub use standing::Standing;
pub use tls::{Tls, TlsError};

/// Reads a query as the routes do; for the fuzz target of the parameters' reader.
#[doc(hidden)]
pub fn query(text: &str) {
    let query = params::Query::parse(text);
    let _ = (
        query.uint("slot"),
        query.hex::<96>("randao_reveal"),
        query.list("id").count(),
    );
}
