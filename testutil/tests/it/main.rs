//! Tests of the test tools themselves.

#[cfg(test)]
#[cfg(feature = "mocks")]
mod judge;
#[cfg(test)]
mod kinds;
#[cfg(test)]
#[cfg(feature = "sim")]
mod sim;
#[cfg(test)]
mod workspace;
