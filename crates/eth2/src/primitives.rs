//! The small named types of the consensus specification: numbers, roots, keys, signatures, byte strings.
//!
//! Guarantees: each has one SSZ form, one hash tree root and one JSON form, that of the beacon API: numbers are quoted
//! decimals (bare numbers are accepted), bytes are lower-case hex with `0x` (upper-case digits are accepted); addresses
//! are in EIP-55's mixed case.
//! Not here: whether bytes are a point of the curve (`tbls` knows).

use std::{
    fmt::{self, Write as _},
    str::FromStr,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha3::{Digest as _, Keccak256};
use ssz::{Decode, DecodeError, Encode};
use tree_hash::{Hash256, PackedEncoding, TreeHash, TreeHashType};

mod byte_list;
mod uint256;

pub use self::{byte_list::ByteList, uint256::Uint256};

/// Why a text is not a value of these types.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Not a decimal number below 2^64.
    #[error("expected a decimal number below 2^64, got {0:?}")]
    Number(String),
    /// Not a decimal number below 2^256.
    #[error("expected a decimal number below 2^256, got {0:?}")]
    BigNumber(String),
    /// Not hex of the right length.
    #[error("expected 0x and {digits} hex digits, got {got:?}")]
    Hex {
        /// How many digits there must be.
        digits: usize,
        /// The beginning of what was there.
        got: String,
    },
    /// Hex, but more than allowed, or not hex at all.
    #[error("expected 0x and at most {digits} hex digits, got {got:?}")]
    LongHex {
        /// How many digits there may be.
        digits: usize,
        /// The beginning of what was there.
        got: String,
    },
}

fn beginning(s: &str) -> String {
    s.chars().take(200).collect()
}

fn parse_u64(s: &str) -> Result<u64, ParseError> {
    // `parse` alone would take "+1".
    let digits = s.bytes().all(|b| b.is_ascii_digit());
    s.parse()
        .ok()
        .filter(|_| digits)
        .ok_or_else(|| ParseError::Number(beginning(s)))
}

fn parse_hex(s: &str, out: &mut [u8]) -> Result<(), ParseError> {
    let bad = || ParseError::Hex {
        digits: out.len().saturating_mul(2),
        got: beginning(s),
    };
    let digits = s.strip_prefix("0x").ok_or_else(bad)?;
    if digits.len() != out.len().saturating_mul(2) {
        return Err(bad());
    }
    hex::decode_to_slice(digits, out).map_err(|_| ParseError::LongHex {
        digits: out.len().saturating_mul(2),
        got: beginning(s),
    })
}

/// JSON of plain `u64` fields: a quoted decimal. `#[serde(with = "quoted")]`.
pub mod quoted {
    use super::{Deserializer, Serializer, de, fmt, parse_u64};

    /// Writes a quoted decimal.
    pub fn serialize<S: Serializer>(n: &u64, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(n)
    }

    /// Reads a quoted decimal or a bare number.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<u64, D::Error> {
        d.deserialize_any(Number)
    }

    struct Number;

    impl de::Visitor<'_> for Number {
        type Value = u64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a number below 2^64, quoted or not")
        }

        fn visit_u64<E: de::Error>(self, n: u64) -> Result<u64, E> {
            Ok(n)
        }

        fn visit_str<E: de::Error>(self, s: &str) -> Result<u64, E> {
            parse_u64(s).map_err(E::custom)
        }
    }
}

/// JSON of lists of plain `u64`: an array of quoted decimals. `#[serde(with = "quoted_list")]`.
pub mod quoted_list {
    use super::{Deserialize, Deserializer, Serialize, Serializer, quoted};

    #[derive(Serialize, Deserialize)]
    #[serde(transparent)]
    struct Quoted(#[serde(with = "quoted")] u64);

    /// Writes an array of quoted decimals.
    pub fn serialize<S: Serializer>(list: &[u64], s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(list.iter().copied().map(Quoted))
    }

    /// Reads an array of numbers, quoted or not.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u64>, D::Error> {
        Ok(Vec::<Quoted>::deserialize(d)?.into_iter().map(|q| q.0).collect())
    }
}

/// Reads a string with a `FromStr` type.
fn from_text<'de, D, T>(d: D, what: &'static str) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr,
    T::Err: fmt::Display,
{
    struct Text<T>(&'static str, std::marker::PhantomData<T>);

    impl<T> de::Visitor<'_> for Text<T>
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }

        fn visit_str<E: de::Error>(self, s: &str) -> Result<T, E> {
            s.parse().map_err(E::custom)
        }
    }

    d.deserialize_str(Text(what, std::marker::PhantomData))
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(#[serde(with = "quoted")] pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = ParseError;

            fn from_str(s: &str) -> Result<Self, ParseError> {
                parse_u64(s).map(Self)
            }
        }

        impl Encode for $name {
            fn is_ssz_fixed_len() -> bool {
                true
            }

            fn ssz_fixed_len() -> usize {
                8
            }

            fn ssz_bytes_len(&self) -> usize {
                8
            }

            fn ssz_append(&self, buf: &mut Vec<u8>) {
                self.0.ssz_append(buf);
            }
        }

        impl Decode for $name {
            fn is_ssz_fixed_len() -> bool {
                true
            }

            fn ssz_fixed_len() -> usize {
                8
            }

            fn from_ssz_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
                u64::from_ssz_bytes(bytes).map(Self)
            }
        }

        impl TreeHash for $name {
            fn tree_hash_type() -> TreeHashType {
                TreeHashType::Basic
            }

            fn tree_hash_packed_encoding(&self) -> PackedEncoding {
                self.0.tree_hash_packed_encoding()
            }

            fn tree_hash_packing_factor() -> usize {
                u64::tree_hash_packing_factor()
            }

            fn tree_hash_root(&self) -> Hash256 {
                self.0.tree_hash_root()
            }
        }
    };
}

number!(
    /// A slot number.
    Slot
);
number!(
    /// An epoch number. The specification's "far future" epoch is `u64::MAX`, see [`Epoch::FAR_FUTURE`].
    Epoch
);
number!(
    /// Position of a validator in the beacon state.
    ValidatorIndex
);
number!(
    /// Number of an attestation committee within a slot.
    CommitteeIndex
);
number!(
    /// An amount of 10^-9 ether.
    Gwei
);

impl Epoch {
    /// "Never": the epoch of things that have not been decided.
    pub const FAR_FUTURE: Self = Self(u64::MAX);
}

/// SSZ, hash tree root, text and JSON of a fixed number of bytes. `$get` and `$make` turn the type into an array
/// reference and an owned array into the type, so that big ones can live on the heap.
macro_rules! bytes_impls {
    ($name:ident, $n:literal) => {
        impl $name {
            /// How many bytes it has.
            pub const LEN: usize = $n;

            /// The bytes, if there are exactly as many as needed.
            #[must_use]
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                Self::from_ssz_bytes(bytes).ok()
            }

            /// The bytes.
            #[must_use]
            pub fn as_slice(&self) -> &[u8] {
                &self.0[..]
            }

            /// Whether every byte is zero.
            #[must_use]
            pub fn is_zero(&self) -> bool {
                self.as_slice().iter().all(|b| *b == 0)
            }
        }

        impl Encode for $name {
            fn is_ssz_fixed_len() -> bool {
                true
            }

            fn ssz_fixed_len() -> usize {
                $n
            }

            fn ssz_bytes_len(&self) -> usize {
                $n
            }

            fn ssz_append(&self, buf: &mut Vec<u8>) {
                buf.extend_from_slice(self.as_slice());
            }
        }

        impl TreeHash for $name {
            fn tree_hash_type() -> TreeHashType {
                TreeHashType::Vector
            }

            fn tree_hash_packed_encoding(&self) -> PackedEncoding {
                unreachable!("vectors are never packed")
            }

            fn tree_hash_packing_factor() -> usize {
                unreachable!("vectors are never packed")
            }

            fn tree_hash_root(&self) -> Hash256 {
                tree_hash::merkle_root(self.as_slice(), 0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                from_text(d, concat!("0x and the hex digits of ", $n, " bytes"))
            }
        }
    };
}

/// The usual text of bytes: `0x` and lower-case hex.
macro_rules! plain_hex {
    ($($name:ident)*) => {
        $(impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "0x{}", hex::encode(self.as_slice()))
            }
        })*
    };
}

plain_hex!(Root ForkVersion Domain BlsPubkey BlsSignature KzgCommitment KzgProof LogsBloom Blob);

macro_rules! bytes {
    ($(#[$doc:meta])* $name:ident, $n:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $n]);

        impl Default for $name {
            fn default() -> Self {
                Self([0; $n])
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseError;

            fn from_str(s: &str) -> Result<Self, ParseError> {
                let mut out = [0; $n];
                parse_hex(s, &mut out)?;
                Ok(Self(out))
            }
        }

        impl Decode for $name {
            fn is_ssz_fixed_len() -> bool {
                true
            }

            fn ssz_fixed_len() -> usize {
                $n
            }

            fn from_ssz_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
                let wrong = |_| DecodeError::InvalidByteLength { len: bytes.len(), expected: $n };
                bytes.try_into().map(Self).map_err(wrong)
            }
        }

        impl From<[u8; $n]> for $name {
            fn from(bytes: [u8; $n]) -> Self {
                Self(bytes)
            }
        }

        bytes_impls!($name, $n);
    };
}

bytes!(
    /// A hash tree root, block hash or other 32-byte string.
    Root,
    32
);
bytes!(
    /// A fork's version, mixed into every signature.
    ForkVersion,
    4
);
bytes!(
    /// Separates signatures of different purpose, fork and chain.
    Domain,
    32
);
bytes!(
    /// A compressed BLS public key (G1).
    BlsPubkey,
    48
);
bytes!(
    /// A compressed BLS signature (G2).
    BlsSignature,
    96
);
bytes!(
    /// An address on the execution layer. Its text carries the checksum of EIP-55 in the case of its letters; reading
    /// takes any case.
    ExecutionAddress,
    20
);
bytes!(
    /// A KZG commitment to a blob.
    KzgCommitment,
    48
);
bytes!(
    /// A KZG proof of a blob or, from Fulu, of a cell.
    KzgProof,
    48
);
bytes!(
    /// The bloom filter of a block's logs.
    LogsBloom,
    256
);

impl Root {
    /// 32 zero bytes.
    pub const ZERO: Self = Self([0; 32]);
}

impl From<Hash256> for Root {
    fn from(hash: Hash256) -> Self {
        Self(hash.0)
    }
}

impl fmt::Display for ExecutionAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = hex::encode(self.0);
        let hash = hex::encode(Keccak256::digest(&digits));
        f.write_str("0x")?;
        for (digit, h) in digits.chars().zip(hash.chars()) {
            f.write_char(if h >= '8' { digit.to_ascii_uppercase() } else { digit })?;
        }
        Ok(())
    }
}

/// JSON of addresses in withdrawals, which live nodes write without checksum. `#[serde(with = "plain_address")]`.
pub(crate) mod plain_address {
    use super::{Deserialize, Deserializer, ExecutionAddress, Serializer};

    pub(crate) fn serialize<S: Serializer>(address: &ExecutionAddress, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&format_args!("0x{}", hex::encode(address.0)))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<ExecutionAddress, D::Error> {
        ExecutionAddress::deserialize(d)
    }
}

/// A blob of 128 KiB; it lives on the heap.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Blob(Box<[u8]>);

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = self.0.get(..8).map(hex::encode).unwrap_or_default();
        write!(f, "Blob(0x{start}…)")
    }
}

impl FromStr for Blob {
    type Err = ParseError;

    fn from_str(s: &str) -> Result<Self, ParseError> {
        // The text's length is checked before anything of that length is made.
        let digits = Self::LEN.saturating_mul(2);
        if s.len() != digits.saturating_add(2) {
            return Err(ParseError::Hex {
                digits,
                got: beginning(s),
            });
        }
        let mut out = vec![0; Self::LEN];
        parse_hex(s, &mut out)?;
        Ok(Self(out.into()))
    }
}

impl Decode for Blob {
    fn is_ssz_fixed_len() -> bool {
        true
    }

    fn ssz_fixed_len() -> usize {
        Self::LEN
    }

    fn from_ssz_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() == Self::LEN {
            Ok(Self(bytes.into()))
        } else {
            Err(DecodeError::InvalidByteLength {
                len: bytes.len(),
                expected: Self::LEN,
            })
        }
    }
}

bytes_impls!(Blob, 131_072);

#[cfg(test)]
mod tests;
