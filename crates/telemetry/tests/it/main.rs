//! Formats against samples from another implementation.

#[cfg(test)]
mod vectors;
