//! Simulation: whole nodes on one thread, with virtual time and a network that does what it is told.
//!
//! Guarantees: with a paused current-thread runtime and the same seed, everything happens in the same order.
//! Not here: the nodes; a simulation is written against `core`'s ports.

mod captured;
mod clock;
mod entropy;
mod lines;
mod net;
mod scheme;
mod store;
pub mod store_suite;

pub use captured::Captured;
pub use clock::SimClock;
pub use entropy::SeededEntropy;
pub use lines::Lines;
pub use net::{Link, SimNet, SimPeer};
pub use scheme::{ToyScheme, toy_sum};
pub use store::CrashStore;
pub use trireme_core::compute::Inline;
