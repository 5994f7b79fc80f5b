//! What the project's tests share, and the mocks behind `trireme devnet`.
//!
//! * feature `mocks`: the `judge` (a beacon node that checks everything) and the `vc` (validator client mock);
//! * feature `sim`: simulated network, clock, store and signatures, for tests only.
//!
//! Test vectors are read by the crate `trireme-vectors` beside this one.

#[cfg(feature = "mocks")]
pub mod judge;
#[cfg(feature = "sim")]
pub mod sim;
#[cfg(feature = "mocks")]
pub mod vc;
