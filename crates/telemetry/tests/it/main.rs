//! Formats against samples from another implementation.

mod vectors;
