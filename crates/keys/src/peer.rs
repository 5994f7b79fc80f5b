//! The libp2p peer id of an identity, and the human name that logs and metrics give it.
//!
//! Guarantees: a [`PeerId`] is the identity multihash of a secp256k1 key that is a point of the curve; the name is a pure
//! function of its text and equal in every implementation (p2p.md 1.4).

use std::{fmt, str::FromStr};

use crate::{
    identity::K1PublicKey,
    words::{ADJECTIVES, NOUNS},
};

/// Identity multihash of 37 bytes, then the protobuf of a secp256k1 key of 33 bytes.
const HEAD: [u8; 6] = [0x00, 0x25, 0x08, 0x02, 0x12, 0x21];

/// A peer's libp2p identity: 39 bytes, from which the public key can be read back. Ordered by its bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(K1PublicKey);

/// Why bytes or a text are no [`PeerId`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not the peer id of a secp256k1 key (base58 text beginning with 16Uiu2HA)")]
pub struct PeerIdError(pub String);

impl PeerId {
    /// The id of a key.
    #[must_use]
    pub const fn from_public_key(key: K1PublicKey) -> Self {
        Self(key)
    }

    /// The key of this id.
    #[must_use]
    pub const fn public_key(&self) -> K1PublicKey {
        self.0
    }

    /// Reads the 39 bytes.
    ///
    /// # Errors
    /// For another length, another key type, a hashed id or bytes that are no point.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PeerIdError> {
        let bad = || PeerIdError(format!("0x{}", hex::encode(bytes.get(..64).unwrap_or(bytes))));
        let key = bytes.strip_prefix(&HEAD).filter(|k| k.len() == 33).ok_or_else(bad)?;
        K1PublicKey::from_sec1(key).map(Self).map_err(|_| bad())
    }

    /// The 39 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 39] {
        let mut out = [0; 39];
        let (head, key) = out.split_at_mut(HEAD.len());
        head.copy_from_slice(&HEAD);
        key.copy_from_slice(self.0.as_bytes());
        out
    }
}

impl From<K1PublicKey> for PeerId {
    fn from(key: K1PublicKey) -> Self {
        Self(key)
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&bs58::encode(self.to_bytes()).into_string())
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerId({self})")
    }
}

impl FromStr for PeerId {
    type Err = PeerIdError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let bad = || PeerIdError(s.chars().take(80).collect());
        // Base58 decoding takes quadratic time, so a long text is not even tried.
        if s.len() > 80 {
            return Err(bad());
        }
        let bytes = bs58::decode(s).into_vec().map_err(|_| bad())?;
        Self::from_bytes(&bytes).map_err(|_| bad())
    }
}

/// The name of a peer in logs and metric labels, as in `different-course`.
#[must_use]
pub fn peer_name(id: &PeerId) -> String {
    peer_name_of_text(&id.to_string())
}

/// The name that belongs to a peer id's text; also for ids that are not of secp256k1 keys.
#[must_use]
pub fn peer_name_of_text(text: &str) -> String {
    let hash = name_hash(text);
    // The tables are not empty and the remainder is below their length.
    let pick = |words: &[&'static str]| {
        let at = usize::try_from(hash)
            .unwrap_or_default()
            .checked_rem(words.len())
            .unwrap_or_default();
        words.get(at).copied().unwrap_or_default()
    };
    format!("{}-{}", pick(&ADJECTIVES), pick(&NOUNS))
}

/// The words that names are made of: first and second.
#[must_use]
pub const fn peer_name_words() -> (&'static [&'static str], &'static [&'static str]) {
    (&ADJECTIVES, &NOUNS)
}

/// The polynomial hash that chooses the words; below [`MODULUS`].
fn name_hash(text: &str) -> u64 {
    let mut hash = 0;
    let mut power = 1;
    for byte in text.bytes() {
        // Below 256 * 10^9 + 10^9: no overflow.
        hash = (hash + u64::from(byte) * power) % MODULUS;
        power = power * PRIME % MODULUS;
    }
    hash
}

const PRIME: u64 = 59;
const MODULUS: u64 = 1_000_000_007;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::IdentityKey;

    #[test]
    fn ids_of_other_kinds_are_refused() {
        let id = PeerId::from_public_key(IdentityKey::from_bytes(&[1; 32]).unwrap().public_key());
        let text = id.to_string();
        assert_eq!(text.parse(), Ok(id));
        assert!(text[1..].parse::<PeerId>().is_err());
        assert!("".parse::<PeerId>().is_err());
        assert!("Q".repeat(5000).parse::<PeerId>().is_err());
        let mut bytes = id.to_bytes();
        assert!(PeerId::from_bytes(&bytes[..38]).is_err());
        bytes[3] = 1;
        assert!(PeerId::from_bytes(&bytes).is_err());
    }

    #[test]
    fn name_hash_agrees_with_its_definition_by_hand() {
        // 'a' is 97, 'b' is 98: 97 + 98 * 59.
        assert_eq!(name_hash("ab"), 97 + 98 * 59);
    }
}
