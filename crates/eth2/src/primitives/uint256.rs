//! Numbers of 256 bits. What they guarantee stands in the module above.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use ssz::{Decode, DecodeError, Encode};
use tree_hash::{Hash256, PackedEncoding, TreeHash, TreeHashType};

use super::{ParseError, beginning, from_text};

/// A number below 2^256; its JSON form is a quoted decimal, its bytes are little-endian.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Uint256(pub [u8; 32]);

impl Uint256 {
    /// The number, if it is below 2^64.
    #[must_use]
    pub fn to_u64(self) -> Option<u64> {
        let (low, high) = self.0.split_first_chunk()?;
        high.iter().all(|b| *b == 0).then(|| u64::from_le_bytes(*low))
    }
}

impl From<u64> for Uint256 {
    fn from(n: u64) -> Self {
        let mut bytes = [0; 32];
        for (to, from) in bytes.iter_mut().zip(n.to_le_bytes()) {
            *to = from;
        }
        Self(bytes)
    }
}

impl PartialOrd for Uint256 {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Uint256 {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.iter().rev().cmp(other.0.iter().rev())
    }
}

impl fmt::Display for Uint256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Long division by ten, a digit per round.
        let mut bytes = self.0;
        let mut digits = Vec::new();
        while bytes.iter().any(|b| *b != 0) {
            let mut rest = 0_u16;
            for byte in bytes.iter_mut().rev() {
                let part = (rest << 8) | u16::from(*byte);
                *byte = u8::try_from(part / 10).unwrap_or(u8::MAX);
                rest = part % 10;
            }
            digits.push(char::from_digit(u32::from(rest), 10).unwrap_or('?'));
        }
        if digits.is_empty() {
            digits.push('0');
        }
        f.pad_integral(true, "", &digits.iter().rev().collect::<String>())
    }
}

impl fmt::Debug for Uint256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Uint256 {
    type Err = ParseError;

    fn from_str(s: &str) -> Result<Self, ParseError> {
        let bad = || ParseError::BigNumber(beginning(s));
        // 2^256 has 78 digits.
        if s.is_empty() || s.len() > 78 {
            return Err(bad());
        }
        let mut bytes = [0_u8; 32];
        for c in s.chars() {
            let mut carry = c.to_digit(10).ok_or_else(bad)?;
            for byte in &mut bytes {
                let [low, rest @ ..] = (u32::from(*byte).saturating_mul(10).saturating_add(carry)).to_le_bytes();
                *byte = low;
                carry = u32::from(rest[0]);
            }
            if carry != 0 {
                return Err(bad());
            }
        }
        Ok(Self(bytes))
    }
}

impl Encode for Uint256 {
    fn is_ssz_fixed_len() -> bool {
        true
    }

    fn ssz_fixed_len() -> usize {
        32
    }

    fn ssz_bytes_len(&self) -> usize {
        32
    }

    fn ssz_append(&self, buf: &mut Vec<u8>) {
        buf.extend_from_slice(&self.0);
    }
}

impl Decode for Uint256 {
    fn is_ssz_fixed_len() -> bool {
        true
    }

    fn ssz_fixed_len() -> usize {
        32
    }

    fn from_ssz_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let wrong = |_| DecodeError::InvalidByteLength {
            len: bytes.len(),
            expected: 32,
        };
        bytes.try_into().map(Self).map_err(wrong)
    }
}

impl TreeHash for Uint256 {
    fn tree_hash_type() -> TreeHashType {
        TreeHashType::Basic
    }

    fn tree_hash_packed_encoding(&self) -> PackedEncoding {
        PackedEncoding::from_slice(&self.0)
    }

    fn tree_hash_packing_factor() -> usize {
        1
    }

    fn tree_hash_root(&self) -> Hash256 {
        Hash256::from(self.0)
    }
}

impl Serialize for Uint256 {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Uint256 {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        from_text(d, "a quoted decimal number below 2^256")
    }
}
