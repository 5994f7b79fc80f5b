//! Tests of the public interface of `trireme-qbft`.

#[cfg(test)]
mod vectors;
