//! What `eth2` does, seen from outside.

mod build;
mod properties;
mod vectors;
