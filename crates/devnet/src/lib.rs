//! Local clusters of real processes: for people who want to see one, for measurements, and for clusters mixed with the
//! Go implementation.
//!
//! [`run`] starts a relay and n nodes as child processes, as an operator would, and beside them, in this process, the
//! judge (a beacon node that checks everything) and n validator client mocks. It counts duties, kills and restarts
//! nodes as planned, and says at the end what was missed.
//!
//! [`simnet`] is the judge and the validator client mock inside one node's own process.
//!
//! Not here: the nodes' code (children run the binary), the chain and its rules (`trireme_testutil::judge`).

mod beacon;
mod cluster;
pub mod config;
mod folder;
mod harness;
mod infosync;
mod metrics;
mod node;
pub mod plan;
mod ports;
mod process;
mod said;
pub mod simnet;
mod steps;
pub mod summary;
mod table;

pub use config::{Clients, DevnetConfig, DevnetError, Fault, NodeAtSlot, Output};
pub use harness::run;
pub use summary::{NodeSummary, Summary};
