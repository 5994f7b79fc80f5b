//! Tests of the crate from outside: vectors from other implementations, and clusters of our own making.

#[cfg(test)]
mod vectors;
