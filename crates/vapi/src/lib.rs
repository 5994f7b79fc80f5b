//! The validator API over HTTP: what a stock validator client believes to be its beacon node.
//!
//! ```text
//! validator client ─► listener ─► server ─► route ─┬─► handlers ─► core::validatorapi
//!                                                  └─► proxy ────► beacon nodes
//! ```
//!
//! Guarantees: every request ends, with an answer or an error that says why; nothing that a client sends makes the node
//! panic or reserve memory beyond the limits of [`limits`]; paths that are not for validator clients are closed.
//! Not here: duties, keys and signatures (`core::validatorapi`), beacon nodes as the node itself uses them (`beacon`).

mod accept;
mod error;
mod events;
mod handlers;
mod later;
pub mod limits;
mod listener;
mod metrics;
mod params;
mod proxy;
mod route;
mod server;

pub use accept::Encoding;
pub use error::INTERNAL;
pub use listener::{connection, serve};
pub use metrics::Metrics;
pub use proxy::{Best, NoClient, Proxy, Upstream};
pub use route::{Endpoint, Kind, Route, path_label, route, table};
pub use server::{Config, Server};
