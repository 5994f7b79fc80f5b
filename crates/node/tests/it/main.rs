//! A whole node in one process: how it starts, and how it does not.

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod start;
