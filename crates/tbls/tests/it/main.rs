//! Tests of the public interface of `trireme-tbls`.

#[cfg(test)]
mod vectors;
