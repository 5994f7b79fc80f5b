//! Formats against samples from another implementation.

#[cfg(test)]
mod otlp;
#[cfg(test)]
mod vectors;
