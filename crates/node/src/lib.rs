//! Builds and runs one node: configuration in, a running node out, and its orderly end.
//!
//! Begin reading at `run`: the statements there are the start order.

mod about;
mod chain;
mod cluster;
mod config;
mod early;
mod error;
mod files;
mod keylock;
mod known;
mod limits;
mod listen;
mod network;
mod overrides;
mod ready;
mod run;
mod stop;
mod telling;
mod updates;
mod vapi;
pub mod workflow;

pub use cluster::networks;
pub use config::{
    BeaconConfig, Broadcast, CustomNetwork, NodeConfig, Origins, P2pConfig, ProposalConfig, UpdatesConfig,
    ValidatorApiConfig, Version,
};
pub use error::NodeError;
pub use run::run;
pub use stop::Shutdown;
pub use trireme_core::features::FeatureSet;
