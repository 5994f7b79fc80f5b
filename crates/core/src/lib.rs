//! The duty workflow of a Trireme node: what to sign, agreement on it, partial signatures, aggregates, broadcast.
//!
//! A component announces results through `event::Event` lists and asks questions through narrow traits given to its
//! constructor. `wire::wire` connects all of them on one screen; begin reading there.
//!
//! Not here: sockets, HTTP, files. Those sit behind the traits of [`ports`].

#![deny(clippy::wildcard_enum_match_arm)]

pub mod aggsigdb;
pub mod answers;
pub mod backoff;
pub mod bcast;
pub mod board;
pub mod clock;
pub mod cluster;
pub mod compute;
pub mod consensus;
pub mod cx;
pub mod data;
pub mod deadline;
pub mod definitions;
pub mod duty;
pub mod dutydb;
pub mod entropy;
pub mod event;
mod fault;
pub mod features;
pub mod fees;
pub mod fetcher;
pub mod gate;
pub mod heads;
pub mod ids;
pub mod infosync;
pub mod journal;
pub mod life;
pub mod memory;
pub mod metrics;
pub mod parsigdb;
pub mod parsigex;
pub mod ports;
pub mod prepare;
pub mod priority;
pub mod registrations;
pub mod scheduler;
pub mod scheme;
pub mod sigagg;
pub mod spans;
pub mod step;
mod subjects;
pub mod synthetic;
pub mod time;
pub mod tracker;
pub mod validatorapi;
pub mod validators;
pub mod wire;

pub use duty::{Duty, DutyType};
pub use ids::{PeerIdx, PubKey, ShareIdx};
pub use time::{SlotTiming, UnixTime};
