//! Secret keys: whole ones, shares, and what signs.
//!
//! Guarantees: a number from 1 below the group order; no `Debug`; wiped on drop.

use blst::min_pk;
use zeroize::{Zeroize, Zeroizing};

use crate::{
    field::Scalar,
    points::{DST, PublicKey, Signature},
};

/// A secret key or a share of one.
#[derive(Clone)]
pub struct SecretKey(pub(crate) min_pk::SecretKey);

/// Bytes that are no secret key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a secret key must be a number from 1 below the group order")]
pub struct SecretKeyError;

impl SecretKey {
    /// Reads 32 big-endian bytes.
    ///
    /// # Errors
    /// [`SecretKeyError`] for zero and for the group order and above.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, SecretKeyError> {
        min_pk::SecretKey::from_bytes(bytes)
            .map(Self)
            .map_err(|_| SecretKeyError)
    }

    /// A key from 64 uniformly random bytes; `None` in the one case in 2^255 that they name zero.
    #[must_use]
    pub fn from_randomness(mut bytes: [u8; 64]) -> Option<Self> {
        let mut scalar = Scalar::from_wide_bytes(&bytes);
        bytes.zeroize();
        let key = Self::from_scalar(&scalar);
        scalar.zeroize();
        key.ok()
    }

    /// The 32 big-endian bytes, wiped on drop.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public key of this secret.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.0.sk_to_pk())
    }

    /// Signs `message`, in Ethereum a 32-byte signing root. About 0.4 ms.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign(message, DST, &[]))
    }

    pub(crate) fn from_scalar(scalar: &Scalar) -> Result<Self, SecretKeyError> {
        Self::from_bytes(&Zeroizing::new(scalar.to_be_bytes()))
    }

    pub(crate) fn to_scalar(&self) -> Zeroizing<Scalar> {
        // A secret key is below the order, so this is never the fall-back.
        Zeroizing::new(Scalar::from_be_bytes(&self.to_bytes()).unwrap_or(Scalar::ZERO))
    }
}
