//! The hash of protobuf messages: what consensus agrees on, what nodes sign (consensus.md 4).
//!
//! Guarantees: the hash of a decoded message does not depend on how its bytes arrived; maps are written in the order of
//! their keys with both fields of each entry. Unknown fields are not kept, so a message of a later version that has
//! new fields does not verify here.
//! Not here: signatures (`wire`).

use std::fmt;

use bytes::Bytes;
use prost::{Message as _, encoding::encode_varint};
use sha2::{Digest as _, Sha256};
use trireme_proto::core::v1 as pb;

/// The hash of a value; never zero, which stands for "no value" on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueHash([u8; 32]);

impl ValueHash {
    /// Reads a hash field of a message: any length but 32, or all zero, means none.
    #[must_use]
    pub fn from_wire(bytes: &[u8]) -> Option<Self> {
        let hash: [u8; 32] = bytes.try_into().ok()?;
        (hash != [0; 32]).then_some(Self(hash))
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for ValueHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0.get(..4).unwrap_or_default()))
    }
}

impl trireme_qbft::Value for ValueHash {
    /// The signed message as it goes over the wire.
    type Seal = Bytes;
}

const CHUNK: usize = 32;

/// The hash of canonical bytes: up to 32 bytes stand for themselves, more are the leaves of a SHA-256 tree that is
/// filled up with zeros to a power of two.
#[must_use]
pub fn digest(bytes: &[u8]) -> [u8; 32] {
    let mut level: Vec<[u8; 32]> = bytes
        .chunks(CHUNK)
        .map(|chunk| {
            let mut leaf = [0; CHUNK];
            for (to, from) in leaf.iter_mut().zip(chunk) {
                *to = *from;
            }
            leaf
        })
        .collect();
    let mut nothing = [0; CHUNK];
    while level.len() > 1 {
        level = level
            .chunks(2)
            .map(|pair| parent(pair.first(), pair.get(1), &nothing))
            .collect();
        nothing = parent(None, None, &nothing);
    }
    level.first().copied().unwrap_or_default()
}

fn parent(left: Option<&[u8; 32]>, right: Option<&[u8; 32]>, nothing: &[u8; 32]) -> [u8; 32] {
    let hash = Sha256::new()
        .chain_update(left.unwrap_or(nothing))
        .chain_update(right.unwrap_or(nothing));
    hash.finalize().into()
}

/// The canonical bytes of a set: entries in key order, each with both of its fields.
#[must_use]
pub fn set_bytes(set: &pb::UnsignedDataSet) -> Vec<u8> {
    let field = |out: &mut Vec<u8>, tag: u8, content: &[u8]| {
        out.push(tag);
        encode_varint(u64::try_from(content.len()).unwrap_or(u64::MAX), out);
        out.extend_from_slice(content);
    };
    let mut out = Vec::new();
    for (key, value) in &set.set {
        let mut entry = Vec::with_capacity(key.len().saturating_add(value.len()).saturating_add(12));
        field(&mut entry, 0x0a, key.as_bytes());
        field(&mut entry, 0x12, value);
        field(&mut out, 0x0a, &entry);
    }
    out
}

/// The digest that a QBFT message's signature covers: the message without it.
#[must_use]
pub fn signing_digest(msg: &pb::QbftMsg) -> [u8; 32] {
    if msg.signature.is_empty() {
        return digest(&msg.encode_to_vec());
    }
    digest(
        &pb::QbftMsg {
            signature: Bytes::new(),
            ..msg.clone()
        }
        .encode_to_vec(),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The definition, word by word: pad to a power of two, then halve.
        #[test]
        fn the_tree_equals_one_with_all_zero_leaves_written_out(bytes in proptest::collection::vec(any::<u8>(), 33..1200)) {
            let mut padded = bytes.clone();
            padded.resize(bytes.len().div_ceil(32).next_power_of_two() * 32, 0);
            let mut level: Vec<Vec<u8>> = padded.chunks(32).map(<[u8]>::to_vec).collect();
            while level.len() > 1 {
                level = level.chunks(2).map(|p| Sha256::digest(p.concat()).to_vec()).collect();
            }
            prop_assert_eq!(digest(&bytes).to_vec(), level[0].clone());
        }
    }

    #[test]
    fn an_entry_with_an_empty_value_keeps_both_fields() {
        let set = pb::UnsignedDataSet {
            set: [("k".to_owned(), Bytes::new())].into(),
        };
        assert_eq!(set_bytes(&set), [0x0a, 5, 0x0a, 1, b'k', 0x12, 0]);
    }

    #[test]
    fn only_32_bytes_that_are_not_all_zero_are_a_hash() {
        assert!(ValueHash::from_wire(&[]).is_none());
        assert!(ValueHash::from_wire(&[0; 32]).is_none());
        assert!(ValueHash::from_wire(&[1; 31]).is_none());
        assert!(ValueHash::from_wire(&[1; 33]).is_none());
        assert!(ValueHash::from_wire(&[1; 32]).is_some());
    }
}
