//! secp256k1: the identity key of a node, and signatures of 65 bytes that name their signer.
//!
//! Guarantees: signatures are deterministic (RFC 6979 with SHA-256) with low S; verification also takes high S, as other
//! nodes do (p2p.md 10.1). The key's bytes are wiped on drop and never printed.
//! Not here: what is hashed before it is signed.

use std::{fmt, str::FromStr};

use k256::ecdsa::{RecoveryId, Signature, SigningKey, VerifyingKey, signature::hazmat::PrehashVerifier};
use sha3::{Digest, Keccak256};
use zeroize::Zeroizing;

/// A recoverable signature: R (32 bytes, big-endian), S (32), V. We write V as 0 or 1; 27 and 28 are read too.
pub type K1Signature = [u8; 65];

/// Why a key file's text is no identity key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyFileError {
    /// Something other than hex digits.
    #[error("the private key must be 64 hex digits without 0x; the text holds other characters")]
    NotHex,
    /// Not 32 bytes.
    #[error("the private key must be 64 hex digits, got {0} characters; the file may be truncated")]
    Length(usize),
    /// Zero, or not below the order of the curve.
    #[error("the private key is not a number from 1 to the curve order minus 1")]
    OutOfRange,
}

/// Why bytes are no public key or signature of this curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum K1Error {
    /// Not a point in compressed form (33 bytes) or uncompressed form (65 bytes).
    #[error("not a secp256k1 public key")]
    PublicKey,
    /// Not 65 bytes.
    #[error("a secp256k1 signature must have 65 bytes, got {0}")]
    Length(usize),
    /// V is none of 0, 1, 27, 28.
    #[error("recovery byte {0} of the secp256k1 signature is none of 0, 1, 27, 28")]
    RecoveryByte(u8),
    /// R or S is zero or not below the order of the curve.
    #[error("the secp256k1 signature's R or S is out of range")]
    Scalar,
    /// No key fits the signature.
    #[error("no public key can be recovered from the secp256k1 signature")]
    Unrecoverable,
}

/// A node's identity: one secp256k1 scalar. It signs connections, the ENR, and consensus messages.
#[derive(Clone)]
pub struct IdentityKey(SigningKey);

impl IdentityKey {
    /// The key of a big-endian scalar.
    ///
    /// # Errors
    /// [`KeyFileError::OutOfRange`] for zero and for the curve order or more.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyFileError> {
        SigningKey::from_slice(bytes)
            .map(Self)
            .map_err(|_| KeyFileError::OutOfRange)
    }

    /// A new key from the caller's randomness. `fill` is called again in the unlikely case that the bytes are no scalar,
    /// so it must not give the same bytes for ever.
    pub fn generate(mut fill: impl FnMut(&mut [u8])) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        loop {
            fill(bytes.as_mut_slice());
            if let Ok(key) = Self::from_bytes(&bytes) {
                return key;
            }
        }
    }

    /// Reads the content of `charon-enr-private-key`: 64 hex digits, white space around them ignored.
    ///
    /// # Errors
    /// As the variants say; nothing but 32 bytes in range passes.
    pub fn from_file_text(text: &str) -> Result<Self, KeyFileError> {
        let text = text.trim();
        if text.bytes().any(|b| !b.is_ascii_hexdigit()) {
            return Err(KeyFileError::NotHex);
        }
        let mut bytes = Zeroizing::new([0; 32]);
        hex::decode_to_slice(text, bytes.as_mut_slice()).map_err(|_| KeyFileError::Length(text.len()))?;
        Self::from_bytes(&bytes)
    }

    /// The content to write to `charon-enr-private-key`: 64 lower-case hex digits, no line end.
    #[must_use]
    pub fn to_file_text(&self) -> Zeroizing<String> {
        Zeroizing::new(hex::encode(self.secret_bytes().as_slice()))
    }

    /// The scalar, big-endian.
    #[must_use]
    pub fn secret_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes().into())
    }

    /// The public key.
    #[must_use]
    pub fn public_key(&self) -> K1PublicKey {
        K1PublicKey::of(self.0.verifying_key())
    }

    /// Signs a digest as it is, without hashing it again.
    #[must_use]
    pub fn sign_digest(&self, digest: &[u8; 32]) -> K1Signature {
        let (signature, id) = self.0.sign_prehash_recoverable(digest);
        let mut out = [0; 65];
        let (rs, v) = out.split_at_mut(64);
        rs.copy_from_slice(&signature.to_bytes());
        v.fill(id.to_byte());
        out
    }
}

impl fmt::Debug for IdentityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdentityKey(***)")
    }
}

/// A point of the curve in its compressed form: 02 or 03, then X big-endian.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct K1PublicKey([u8; 33]);

impl K1PublicKey {
    /// Reads the compressed (33 bytes) or uncompressed (65 bytes) form.
    ///
    /// # Errors
    /// [`K1Error::PublicKey`] for anything that is not a point.
    pub fn from_sec1(bytes: &[u8]) -> Result<Self, K1Error> {
        VerifyingKey::from_sec1_bytes(bytes)
            .map(|key| Self::of(&key))
            .map_err(|_| K1Error::PublicKey)
    }

    /// The compressed form.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 33] {
        &self.0
    }

    /// The Ethereum address: the last 20 bytes of Keccak-256 over X and Y.
    #[must_use]
    pub fn eth_address(&self) -> [u8; 20] {
        let point = self.verifying_key().to_sec1_point(false);
        let hash = keccak256(point.as_bytes().get(1..).unwrap_or_default());
        let mut out = [0; 20];
        out.copy_from_slice(hash.split_at(12).1);
        out
    }

    /// Checks a signature without recovery byte: R and S, 64 bytes. High S is accepted.
    #[must_use]
    pub fn verify_rs(&self, digest: &[u8; 32], signature: &[u8; 64]) -> bool {
        Signature::from_slice(signature)
            .is_ok_and(|s| self.verifying_key().verify_prehash(digest, &s.normalize_s()).is_ok())
    }

    fn of(key: &VerifyingKey) -> Self {
        let mut out = [0; 33];
        out.copy_from_slice(key.to_sec1_point(true).as_bytes());
        Self(out)
    }

    #[expect(
        clippy::expect_used,
        reason = "every constructor stores the encoding of a decoded point"
    )]
    fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey::from_sec1_bytes(&self.0).expect("the bytes were encoded from a point")
    }
}

impl fmt::Display for K1PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for K1PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "K1PublicKey({self})")
    }
}

impl FromStr for K1PublicKey {
    type Err = K1Error;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        if s.len() > 130 {
            return Err(K1Error::PublicKey);
        }
        Self::from_sec1(&hex::decode(s).map_err(|_| K1Error::PublicKey)?)
    }
}

/// The key that made `signature` over `digest`.
///
/// # Errors
/// If the signature is not 65 bytes with V in {0, 1, 27, 28} and R and S in range, or no key fits.
pub fn recover(digest: &[u8; 32], signature: &[u8]) -> Result<K1PublicKey, K1Error> {
    let Some((&v, rs)) = signature.split_last().filter(|(_, rs)| rs.len() == 64) else {
        return Err(K1Error::Length(signature.len()));
    };
    let id = match v {
        0 | 27 => RecoveryId::new(false, false),
        1 | 28 => RecoveryId::new(true, false),
        other => return Err(K1Error::RecoveryByte(other)),
    };
    let rs = Signature::from_slice(rs).map_err(|_| K1Error::Scalar)?;
    VerifyingKey::recover_from_prehash(digest, &rs, id)
        .map(|key| K1PublicKey::of(&key))
        .map_err(|_| K1Error::Unrecoverable)
}

/// Whether `key` made `signature` over `digest`; by recovery, as every node of a cluster does it.
///
/// # Errors
/// As [`recover`]: an ill-formed signature is an error, another signer's is `Ok(false)`.
pub fn verify(key: &K1PublicKey, digest: &[u8; 32], signature: &[u8]) -> Result<bool, K1Error> {
    recover(digest, signature).map(|found| found == *key)
}

/// Keccak-256, the hash of ENRs and Ethereum addresses (not SHA3-256).
#[must_use]
pub fn keccak256(data: &[u8]) -> [u8; 32] {
    Keccak256::digest(data).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_of_another_length_or_range_is_refused() {
        let order = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
        assert_eq!(
            IdentityKey::from_file_text(order).unwrap_err(),
            KeyFileError::OutOfRange
        );
        assert_eq!(
            IdentityKey::from_file_text(&"0".repeat(64)).unwrap_err(),
            KeyFileError::OutOfRange
        );
        assert_eq!(
            IdentityKey::from_file_text(&"1".repeat(62)).unwrap_err(),
            KeyFileError::Length(62)
        );
        assert_eq!(
            IdentityKey::from_file_text(&"1".repeat(66)).unwrap_err(),
            KeyFileError::Length(66)
        );
        assert_eq!(
            IdentityKey::from_file_text(&format!("0x{}", "1".repeat(64))).unwrap_err(),
            KeyFileError::NotHex
        );
        assert_eq!(IdentityKey::from_file_text("").unwrap_err(), KeyFileError::Length(0));
    }

    #[test]
    fn a_key_does_not_show_itself_in_debug_output() {
        let key = IdentityKey::from_bytes(&[7; 32]).unwrap();
        assert_eq!(format!("{key:?}"), "IdentityKey(***)");
    }

    #[test]
    fn key_text_is_read_back() {
        let key = IdentityKey::generate(|b| b.fill(9));
        assert_eq!(
            IdentityKey::from_file_text(&key.to_file_text()).unwrap().public_key(),
            key.public_key()
        );
    }

    #[test]
    fn a_signature_names_its_signer_with_either_form_of_v() {
        let key = IdentityKey::from_bytes(&[3; 32]).unwrap();
        let mut sig = key.sign_digest(&[5; 32]);
        assert_eq!(recover(&[5; 32], &sig), Ok(key.public_key()));
        sig[64] += 27;
        assert_eq!(verify(&key.public_key(), &[5; 32], &sig), Ok(true));
        assert_eq!(verify(&key.public_key(), &[6; 32], &sig), Ok(false));
        assert_eq!(recover(&[5; 32], &sig[..64]), Err(K1Error::Length(64)));
    }

    #[test]
    fn a_signature_with_high_s_names_its_signer_too() {
        let key = IdentityKey::from_bytes(&[3; 32]).unwrap();
        let mut sig = key.sign_digest(&[5; 32]);
        let (r, s) = Signature::from_slice(&sig[..64]).unwrap().split_scalars();
        let high = Signature::from_scalars(*r, -*s).unwrap();
        sig[..64].copy_from_slice(&high.to_bytes());
        sig[64] ^= 1;
        assert_eq!(recover(&[5; 32], &sig), Ok(key.public_key()));
    }
}
