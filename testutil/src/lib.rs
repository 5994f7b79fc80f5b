//! What the project's tests share, and the mocks behind `trireme devnet`.
//!
//! * feature `mocks`: the `judge` (a beacon node that checks everything) and the `vc` (validator client mock);
//! * feature `mutations`: definitions and locks that are wrong in one place each, for tests;
//! * feature `servers`: `obol_api`, `keymanager` and `execution`, servers that check what commands send them, for tests only;
//! * feature `sim`: simulated network, clock, store and signatures, for tests only.
//!
//! Test vectors are read by the crate `trireme-vectors` beside this one.

#[cfg(feature = "servers")]
pub mod execution;
#[cfg(feature = "mocks")]
pub mod judge;
#[cfg(feature = "servers")]
pub mod keymanager;
#[cfg(feature = "mutations")]
pub mod mutations;
#[cfg(feature = "servers")]
pub mod obol_api;
#[cfg(feature = "servers")]
pub mod served;
#[cfg(feature = "sim")]
pub mod sim;
#[cfg(feature = "mocks")]
pub mod vc;
