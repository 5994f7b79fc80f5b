//! Tests of the test tools themselves.

#[cfg(all(test, feature = "mocks"))]
mod judge;
#[cfg(test)]
mod kinds;
#[cfg(all(test, feature = "sim"))]
mod sim;
