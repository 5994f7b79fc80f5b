//! Public keys and signatures as checked points, and verification of one signature.
//!
//! Guarantees: foreign bytes become a point only if they are the canonical compressed form of a point of the prime
//! order subgroup other than infinity. Nothing downstream checks again.
//! Not here: sets of signatures (`batch`).

use std::fmt;

use blst::{BLST_ERROR, min_pk};

/// The domain separation tag of Ethereum's signatures (proof of possession scheme).
pub(crate) const DST: &[u8] = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";

/// Why bytes are not an acceptable point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PointError {
    /// Not the canonical compressed form of a point of the curve.
    #[error("the bytes are not a compressed point of the curve")]
    Encoding,
    /// A point of the curve outside the subgroup of prime order.
    #[error("the point lies outside the subgroup")]
    Subgroup,
    /// The point at infinity, which is nobody's key and nobody's signature.
    #[error("the point is infinity")]
    Infinity,
}

impl From<BLST_ERROR> for PointError {
    fn from(e: BLST_ERROR) -> Self {
        match e {
            BLST_ERROR::BLST_POINT_NOT_IN_GROUP => Self::Subgroup,
            BLST_ERROR::BLST_PK_IS_INFINITY => Self::Infinity,
            BLST_ERROR::BLST_SUCCESS
            | BLST_ERROR::BLST_BAD_ENCODING
            | BLST_ERROR::BLST_POINT_NOT_ON_CURVE
            | BLST_ERROR::BLST_AGGR_TYPE_MISMATCH
            | BLST_ERROR::BLST_VERIFY_FAIL
            | BLST_ERROR::BLST_BAD_SCALAR => Self::Encoding,
        }
    }
}

/// A public key: a checked point of G1, kept affine (96 bytes of memory).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(pub(crate) min_pk::PublicKey);

impl PublicKey {
    /// Decodes 48 compressed bytes and checks the point.
    ///
    /// # Errors
    /// [`PointError`] if they are not a point of the subgroup other than infinity.
    pub fn from_bytes(bytes: &[u8; 48]) -> Result<Self, PointError> {
        Ok(Self(min_pk::PublicKey::key_validate(bytes)?))
    }

    /// The 48 compressed bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 48] {
        self.0.to_bytes()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.to_bytes()))
    }
}

/// A signature: a checked point of G2, kept affine (192 bytes of memory).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature(pub(crate) min_pk::Signature);

impl Signature {
    /// Decodes 96 compressed bytes and checks the point. Whose signature it is, only `verify` can tell.
    ///
    /// # Errors
    /// [`PointError`] if they are not a point of the subgroup other than infinity.
    pub fn from_bytes(bytes: &[u8; 96]) -> Result<Self, PointError> {
        Ok(Self(min_pk::Signature::sig_validate(bytes, true)?))
    }

    /// The 96 compressed bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 96] {
        self.0.to_bytes()
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.to_bytes()))
    }
}

/// Whether `signature` over `message` was made with the secret of `key`.
#[must_use]
pub fn verify(key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
    signature.0.verify(false, message, DST, &[], &key.0, false) == BLST_ERROR::BLST_SUCCESS
}

/// The sum of signatures: one signature that stands for all of them over one message. `None` for an empty list or for
/// signatures that cancel each other out.
#[must_use]
pub fn aggregate(signatures: &[Signature]) -> Option<Signature> {
    let refs: Vec<&min_pk::Signature> = signatures.iter().map(|s| &s.0).collect();
    let sum = min_pk::AggregateSignature::aggregate(&refs, false).ok()?.to_signature();
    sum.validate(true).is_ok().then_some(Signature(sum))
}

/// Whether `signature` is the sum of the signatures of all `keys` over `message`. An empty list of keys has none.
///
/// Callers must know that each key's owner knows its secret (a lock's keys come from a ceremony that proves it).
#[must_use]
pub fn verify_aggregate(keys: &[PublicKey], message: &[u8], signature: &Signature) -> bool {
    let refs: Vec<&min_pk::PublicKey> = keys.iter().map(|k| &k.0).collect();
    let Ok(sum) = min_pk::AggregatePublicKey::aggregate(&refs, false) else {
        return false;
    };
    let sum = sum.to_public_key();
    sum.validate().is_ok() && verify(&PublicKey(sum), message, signature)
}
