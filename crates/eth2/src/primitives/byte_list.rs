//! Strings of bytes with a limit. What they guarantee stands in the module above.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use ssz::{Decode, DecodeError, Encode};
use ssz_types::{VariableList, typenum::Unsigned};
use tree_hash::{Hash256, MerkleHasher, PackedEncoding, TreeHash, TreeHashType};

use super::{ParseError, beginning, from_text};

/// A string of at most `N` bytes, such as a transaction.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ByteList<N: Unsigned>(VariableList<u8, N>);

impl<N: Unsigned> ByteList<N> {
    /// The bytes, unless there are more than `N`.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
        VariableList::new(bytes).ok().map(Self)
    }

    /// The bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

impl<N: Unsigned> Default for ByteList<N> {
    fn default() -> Self {
        Self(VariableList::empty())
    }
}

impl<N: Unsigned> fmt::Display for ByteList<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.as_slice()))
    }
}

impl<N: Unsigned> fmt::Debug for ByteList<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<N: Unsigned> FromStr for ByteList<N> {
    type Err = ParseError;

    fn from_str(s: &str) -> Result<Self, ParseError> {
        let bad = || ParseError::LongHex {
            digits: N::to_usize().saturating_mul(2),
            got: beginning(s),
        };
        let digits = s.strip_prefix("0x").ok_or_else(bad)?;
        if digits.len().div_ceil(2) > N::to_usize() {
            return Err(bad());
        }
        hex::decode(digits).ok().and_then(Self::new).ok_or_else(bad)
    }
}

impl<N: Unsigned> Encode for ByteList<N> {
    fn is_ssz_fixed_len() -> bool {
        false
    }

    fn ssz_bytes_len(&self) -> usize {
        self.0.len()
    }

    fn ssz_append(&self, buf: &mut Vec<u8>) {
        buf.extend_from_slice(&self.0);
    }
}

impl<N: Unsigned> Decode for ByteList<N> {
    fn is_ssz_fixed_len() -> bool {
        false
    }

    fn from_ssz_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        VariableList::from_ssz_bytes(bytes).map(Self)
    }
}

impl<N: Unsigned> TreeHash for ByteList<N> {
    fn tree_hash_type() -> TreeHashType {
        TreeHashType::List
    }

    fn tree_hash_packed_encoding(&self) -> PackedEncoding {
        unreachable!("lists are never packed")
    }

    fn tree_hash_packing_factor() -> usize {
        unreachable!("lists are never packed")
    }

    #[expect(
        clippy::expect_used,
        reason = "a list never holds more than the leaves' worth of bytes"
    )]
    fn tree_hash_root(&self) -> Hash256 {
        let mut hasher = MerkleHasher::with_leaves(N::to_usize().div_ceil(32));
        hasher.write(self.as_slice()).expect("fits the leaves");
        let root = hasher.finish().expect("fits the leaves");
        tree_hash::mix_in_length(&root, self.0.len())
    }
}

impl<N: Unsigned> Serialize for ByteList<N> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de, N: Unsigned> Deserialize<'de> for ByteList<N> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        from_text(d, "0x and hex digits")
    }
}
