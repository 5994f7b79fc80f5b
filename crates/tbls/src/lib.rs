//! Threshold BLS signatures over BLS12-381 as Ethereum uses them: public keys in G1, signatures in G2.
//!
//! A distributed validator has one group key. [`split`] cuts its secret into shares of which any `threshold` suffice;
//! every operator signs with a share; [`combine`] interpolates the partial signatures to the group's signature, which
//! no one can tell from an ordinary one. [`verify_set`] checks many signatures in one pairing computation.
//!
//! ```text
//!   SecretKey ── split ──► shares ── sign ──► partials ── combine ──► Signature ── verify ──► group's PublicKey
//! ```
//!
//! Guarantees: a [`PublicKey`] or [`Signature`] value is a point of the right subgroup other than infinity; that is
//! checked once, when foreign bytes become a value, and never again. Secrets have no `Debug` and are wiped on drop.
//! Nothing here reads a clock, a file or the system's randomness: randomness is an argument.
//! Not here: what is signed (`eth2`), keystores (`keys`), threads. A call runs on the thread that makes it.

mod batch;
mod combiner;
mod derive;
pub mod field;
mod lagrange;
mod points;
mod relation;
mod secret;
mod shamir;
mod shares;
mod sum;

pub use batch::{Check, Culprits, verify_derived_set, verify_set};
pub use combiner::Combiner;
pub use derive::{DeriveError, derive, derive_path};
pub use lagrange::{CombineError, combine};
pub use points::{PointError, PublicKey, Signature, aggregate, verify, verify_aggregate};
pub use secret::{SecretKey, SecretKeyError};
pub use shamir::{ShareError, recover, split};
pub use shares::shares_fit;
