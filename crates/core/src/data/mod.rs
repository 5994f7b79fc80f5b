//! What a duty is about: the data that the operators agree on, and the objects that validators sign, with their forms
//! on the wire.
//!
//! Two encodings exist (core.md 4): SSZ behind small headers of our own ([`envelope`]), and JSON. Writing picks one per
//! kind; reading takes both. A partial signature and the aggregate have the same form and differ in the signature only.
//!
//! Guarantees: reading never panics and never allocates by a length that it has not checked; what we write, live nodes
//! read. Bytes that arrived are taken by reference, so that a caller may keep and forward them unchanged.
//! Not here: the canonical hash of sets (`consensus`), checks against keys and clusters (`parsigex`, `sigagg`).

pub mod envelope;
mod json;
mod sets;
mod signed;
mod unsigned;

pub use json::{decode_bare_signature, encode_bare_signature};
pub use sets::{ParSignedData, ParSignedDataSet, SignedDataSet, UnsignedDataSet, decode_parsigex, encode_parsigex};
pub use signed::{SignedData, SignedRandao};
pub use unsigned::{AttestationDuty, UnsignedData};

use trireme_eth2::{TooManyWithdrawals, VersionedError};

use crate::{
    duty::{DutyType, UnknownDutyType},
    ids::PubKeyError,
};

/// Why bytes are not data of a duty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DataError {
    /// The duty has no data of this sort.
    #[error("duty {0} has no {1}")]
    NoData(DutyType, &'static str),
    /// A set without entries.
    #[error("the set of a duty is empty")]
    EmptySet,
    /// A key of a set is not a validator.
    #[error(transparent)]
    PubKey(#[from] PubKeyError),
    /// Not a share number.
    #[error("share index {0} is not one of 1 to 255")]
    Share(i32),
    /// Not a duty type.
    #[error(transparent)]
    DutyType(#[from] UnknownDutyType),
    /// The message has no duty or no set.
    #[error("the message has no {0}")]
    Missing(&'static str),
    /// The bytes are not protobuf.
    #[error("not a protobuf message: {0}")]
    Protobuf(String),
    /// The bytes end before the header does.
    #[error("{got} bytes are too short for a header of {needed}")]
    Short {
        /// Length of what was there.
        got: usize,
        /// Length of the header.
        needed: usize,
    },
    /// An offset that points nowhere.
    #[error("offset {offset} does not fit {len} bytes")]
    Offset {
        /// The offset.
        offset: u32,
        /// Length of the whole.
        len: usize,
    },
    /// The blinded flag is neither 0 nor 1.
    #[error("blinded flag {0} is neither 0 nor 1")]
    Blinded(u8),
    /// A version number that names no fork known here.
    #[error("version {0} is no fork that this version of Trireme knows")]
    Version(u64),
    /// A registration of another version than 1.
    #[error("registration version {0} is not known")]
    RegistrationVersion(u64),
    /// The inner object cannot be read.
    #[error(transparent)]
    Versioned(#[from] VersionedError),
    /// The SSZ form of an object that has no versions cannot be read.
    #[error("not the SSZ form of a {what}: {reason}")]
    Ssz {
        /// The object.
        what: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The JSON form cannot be read.
    #[error("not the JSON form of a {what}: {reason}")]
    Json {
        /// The object.
        what: &'static str,
        /// What is wrong and where.
        reason: String,
    },
    /// A bare signature has another length than 96.
    #[error("a signature has 96 bytes, not {0}")]
    SignatureLength(usize),
    /// Nothing is signed that a root could be made of.
    #[error("a bare signature says nothing about what was signed")]
    NothingSigned,
    /// The block breaks the network's limits.
    #[error(transparent)]
    Limits(#[from] TooManyWithdrawals),
}

#[cfg(test)]
mod tests;
