//! Tests of the test tools themselves.

#[cfg(feature = "mocks")]
mod judge;
mod kinds;
#[cfg(feature = "sim")]
mod sim;
