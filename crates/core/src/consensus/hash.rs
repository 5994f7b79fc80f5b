//! The hash of a protobuf message: of consensus values, of signed messages, of priority topics (consensus.md 4).
//!
//! Guarantees: equal messages hash equally whatever order their map entries travelled in, as with Go's deterministic
//! marshalling.
//! Not here: which field is left out before signing (`envelope`).

use prost::Message;
use sha2::{Digest, Sha256};
use trireme_proto::core::v1::UnsignedDataSet;

/// The Merkle root of `bytes` cut into 32-byte chunks, without mixing in a length.
///
/// Nothing hashes to zeros, and up to 32 bytes are their own hash, padded with zeros on the right.
#[must_use]
pub fn hash_bytes(bytes: &[u8]) -> [u8; 32] {
    let mut level: Vec<[u8; 32]> = bytes.chunks(32).map(padded).collect();
    let mut empty = [0; 32];
    while level.len() > 1 {
        level = level
            .chunks(2)
            .map(|pair| match pair {
                [left, right] => both(left, right),
                [left] => both(left, &empty),
                _ => empty,
            })
            .collect();
        empty = both(&empty, &empty);
    }
    level.first().copied().unwrap_or_default()
}

/// The hash of a message whose canonical bytes are what prost writes: no maps, no unknown fields.
#[must_use]
pub fn hash_message(message: &impl Message) -> [u8; 32] {
    hash_bytes(&message.encode_to_vec())
}

/// The canonical bytes of a set: entries ascending by key, and in each entry both key and value, even when empty,
/// which prost would leave out.
#[must_use]
pub fn canonical_set(set: &UnsignedDataSet) -> Vec<u8> {
    let mut out = Vec::new();
    for (key, value) in &set.set {
        let mut entry = Vec::with_capacity(key.len().saturating_add(value.len()).saturating_add(16));
        delimited(1, key.as_bytes(), &mut entry);
        delimited(2, value, &mut entry);
        delimited(1, &entry, &mut out);
    }
    out
}

/// One length-delimited field.
fn delimited(tag: u32, content: &[u8], out: &mut Vec<u8>) {
    prost::encoding::encode_key(tag, prost::encoding::WireType::LengthDelimited, out);
    prost::encoding::encode_varint(u64::try_from(content.len()).unwrap_or(u64::MAX), out);
    out.extend_from_slice(content);
}

fn padded(chunk: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    for (to, from) in out.iter_mut().zip(chunk) {
        *to = *from;
    }
    out
}

fn both(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    let mut sha = Sha256::new();
    sha.update(left);
    sha.update(right);
    sha.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_messages_are_their_own_hash() {
        assert_eq!(hash_bytes(&[]), [0; 32]);
        let mut one = [0; 32];
        one[0] = 7;
        assert_eq!(hash_bytes(&[7]), one);
        assert_eq!(hash_bytes(&[9; 32]), [9; 32]);
    }

    #[test]
    fn an_odd_chunk_is_paired_with_the_empty_subtree_of_its_level() {
        let (a, b, c) = ([1; 32], [2; 32], [3; 32]);
        let bytes = [a, b, c].concat();
        assert_eq!(hash_bytes(&bytes), both(&both(&a, &b), &both(&c, &[0; 32])));
        let five = [a, b, c, a, b].concat();
        let zeros = both(&[0; 32], &[0; 32]);
        let left = both(&both(&a, &b), &both(&c, &a));
        let right = both(&both(&b, &[0; 32]), &zeros);
        assert_eq!(hash_bytes(&five), both(&left, &right));
    }

    #[test]
    fn empty_keys_and_values_of_a_set_are_written() {
        let set = UnsignedDataSet { set: [(String::new(), bytes::Bytes::new())].into() };
        assert_eq!(canonical_set(&set), [0x0a, 4, 0x0a, 0, 0x12, 0]);
    }
}
