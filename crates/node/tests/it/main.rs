//! A whole node in one process: how it starts, and how it does not.

mod fixture;
mod start;
