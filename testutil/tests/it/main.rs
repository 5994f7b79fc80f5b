//! Tests of the test tools themselves.

mod kinds;
#[cfg(feature = "sim")]
mod sim;
