//! Tests of the crate from outside: vectors from other implementations.

#[cfg(test)]
mod vectors;
