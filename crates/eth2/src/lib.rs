//! The Ethereum consensus layer's data as values: containers of every fork, their SSZ and JSON forms, hash tree roots,
//! signing roots, fork schedule and the constants of the known networks.
//!
//! Guarantees: no clock, no network, no files; decoding never panics and accepts exactly one SSZ form per value.
//! Not here: signatures as points (`tbls`), the wire envelopes of the duty workflow (`core::data`).

pub mod primitives;

pub use primitives::*;
