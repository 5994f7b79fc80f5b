//! Names of things that travel the workflow: validators, shares, peers.
//!
//! Guarantees: a [`PubKey`] is 48 bytes whatever form it came in; peer and share numbers cannot be mixed up.
//! Not here: whether the bytes are a point of the curve (that is `tbls`).

use std::{fmt, str::FromStr};

/// A distributed validator, named by its 48-byte compressed group public key.
///
/// Its text form, `0x` and 96 lower-case hex digits, is the map key of every set on the wire (core.proto).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PubKey(pub [u8; 48]);

/// Why a text is not a [`PubKey`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("validator public key must be 0x and 96 lower-case hex digits, got {0:?}")]
pub struct PubKeyError(pub String);

impl FromStr for PubKey {
    type Err = PubKeyError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let bad = || PubKeyError(s.chars().take(120).collect());
        let digits = s.strip_prefix("0x").ok_or_else(bad)?;
        if digits.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(bad());
        }
        let mut out = [0; 48];
        hex::decode_to_slice(digits, &mut out).map_err(|_| bad())?;
        Ok(Self(out))
    }
}

impl fmt::Display for PubKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.0))
    }
}

impl fmt::Debug for PubKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

impl PubKey {
    /// The short form of logs: the first and the last three hex digits, as in `b82_97f`.
    #[must_use]
    pub fn short(&self) -> String {
        let digits = hex::encode(self.0);
        format!(
            "{}_{}",
            digits.get(..3).unwrap_or_default(),
            digits.get(93..).unwrap_or_default()
        )
    }
}

/// Position of a node in the lock's operator list, from 0. Consensus messages carry it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerIdx(pub u8);

/// A key share's number, from 1; it is the x coordinate of the BLS share. Partial signatures carry it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShareIdx(pub u8);

impl PeerIdx {
    /// The share that this peer holds of every validator: its index plus one.
    #[must_use]
    pub fn share(self) -> ShareIdx {
        ShareIdx(self.0.saturating_add(1))
    }
}

impl ShareIdx {
    /// The peer that holds this share; `None` for the invalid share 0.
    #[must_use]
    pub fn peer(self) -> Option<PeerIdx> {
        self.0.checked_sub(1).map(PeerIdx)
    }
}

impl fmt::Display for PeerIdx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for ShareIdx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
