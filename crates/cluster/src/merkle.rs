//! The Merkle hashing of cluster files: SSZ-like, with the corner cases that are part of the format (cluster.md section 2).
//!
//! The main one: an empty byte string in [`Leaves::raw`] adds no leaf at all, so that a container can have fewer leaves
//! than fields. Ordinary SSZ libraries cannot express that.

use sha2::{Digest as _, Sha256};

/// One node of a tree.
pub type Chunk = [u8; 32];

/// Why something cannot be hashed as its schema demands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// More bytes than the field may hold.
    #[error("{what} has {len} bytes, at most {max} are allowed")]
    TooLong {
        /// The field.
        what: &'static str,
        /// Its length.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// More items than the list may hold.
    #[error("{what} has {len} items, at most {max} are allowed")]
    TooMany {
        /// The list.
        what: &'static str,
        /// Its length.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// Not an Ethereum address.
    #[error("{what} {text:?} is not an Ethereum address (0x and 40 hex digits)")]
    Address {
        /// The field.
        what: &'static str,
        /// What stands there.
        text: String,
    },
    /// Signatures of 65 bytes side by side do not come out even.
    #[error("{what} has {len} bytes, which is no multiple of 65")]
    Signatures {
        /// The field.
        what: &'static str,
        /// Its length.
        len: usize,
    },
}

/// The leaves of one container, in the order of its fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leaves(Vec<Chunk>);

impl Leaves {
    /// The leaves so far.
    #[must_use]
    pub fn chunks(&self) -> &[Chunk] {
        &self.0
    }

    /// The container's root.
    #[must_use]
    pub fn root(&self) -> Chunk {
        merkle(&self.0, 0)
    }

    /// A number: eight bytes, little-endian.
    pub fn u64(&mut self, n: u64) {
        self.0.push(padded(&n.to_le_bytes()));
    }

    /// A truth value.
    pub fn bool(&mut self, b: bool) {
        self.0.push(padded(&[u8::from(b)]));
    }

    /// Bytes without their length: no leaf if empty, one up to 32 bytes, else the root of their chunks.
    pub fn raw(&mut self, bytes: &[u8]) {
        match bytes.len() {
            0 => {}
            1..=32 => self.0.push(padded(bytes)),
            _ => self.0.push(merkle(&chunks(bytes), 0)),
        }
    }

    /// Bytes of a fixed length, padded with zeros on the left if there are fewer.
    ///
    /// # Errors
    /// If there are more.
    pub fn fixed(&mut self, what: &'static str, bytes: &[u8], len: usize) -> Result<(), HashError> {
        let missing = len.checked_sub(bytes.len()).ok_or(HashError::TooLong {
            what,
            len: bytes.len(),
            max: len,
        })?;
        let mut all = vec![0; missing];
        all.extend_from_slice(bytes);
        self.raw(&all);
        Ok(())
    }

    /// Bytes with their length mixed in.
    ///
    /// # Errors
    /// If there are more than `max`.
    pub fn byte_list(&mut self, what: &'static str, bytes: &[u8], max: usize) -> Result<(), HashError> {
        if bytes.len() > max {
            return Err(HashError::TooLong {
                what,
                len: bytes.len(),
                max,
            });
        }
        self.0
            .push(mixin(merkle(&chunks(bytes), max.div_ceil(32)), bytes.len()));
        Ok(())
    }

    /// An address given as text; the empty text is twenty zero bytes.
    ///
    /// # Errors
    /// If it is neither empty nor an address.
    pub fn address(&mut self, what: &'static str, text: &str) -> Result<(), HashError> {
        self.fixed(what, &address_bytes(what, text)?, 20)
    }

    /// A list, each item of which adds its leaves to the given `Leaves`; `limit` counts leaves.
    ///
    /// # Errors
    /// The first error of an item; or if there are more items than `limit`, where that is not 0.
    pub fn list<T>(
        &mut self,
        what: &'static str,
        items: impl IntoIterator<Item = T>,
        limit: usize,
        mut each: impl FnMut(&mut Self, T) -> Result<(), HashError>,
    ) -> Result<(), HashError> {
        let mut inner = Self::default();
        let mut count = 0_usize;
        for item in items {
            each(&mut inner, item)?;
            count = count.saturating_add(1);
        }
        if limit != 0 && count > limit {
            return Err(HashError::TooMany {
                what,
                len: count,
                max: limit,
            });
        }
        self.0.push(mixin(merkle(&inner.0, limit), count));
        Ok(())
    }

    /// A container within this one.
    ///
    /// # Errors
    /// Those of its fields.
    pub fn container(&mut self, fields: impl FnOnce(&mut Self) -> Result<(), HashError>) -> Result<(), HashError> {
        let mut inner = Self::default();
        fields(&mut inner)?;
        self.0.push(inner.root());
        Ok(())
    }

    /// A list of numbers, four to a leaf.
    ///
    /// # Errors
    /// If there are more than `max`.
    pub fn u64_list(
        &mut self,
        what: &'static str,
        items: impl IntoIterator<Item = u64>,
        max: usize,
    ) -> Result<(), HashError> {
        let bytes: Vec<[u8; 8]> = items.into_iter().map(u64::to_le_bytes).collect();
        if bytes.len() > max {
            return Err(HashError::TooMany {
                what,
                len: bytes.len(),
                max,
            });
        }
        self.0.push(mixin(
            merkle(&chunks(bytes.as_flattened()), max.div_ceil(4)),
            bytes.len(),
        ));
        Ok(())
    }

    /// secp256k1 signatures side by side, 65 bytes each, at most 32.
    ///
    /// # Errors
    /// If they do not come out even or are too many.
    pub fn signature_list(&mut self, what: &'static str, bytes: &[u8]) -> Result<(), HashError> {
        let (items, rest) = bytes.as_chunks::<65>();
        if !rest.is_empty() {
            return Err(HashError::Signatures { what, len: bytes.len() });
        }
        self.list(what, items, 32, |leaves, item| {
            leaves.raw(item);
            Ok(())
        })
    }
}

/// The bytes of an address text: none for the empty text, else twenty. `0x` may be missing.
pub(crate) fn address_bytes(what: &'static str, text: &str) -> Result<Vec<u8>, HashError> {
    let bad = || HashError::Address {
        what,
        text: text.chars().take(80).collect(),
    };
    let bytes = hex::decode(text.strip_prefix("0x").unwrap_or(text)).map_err(|_| bad())?;
    if bytes.is_empty() || bytes.len() == 20 {
        Ok(bytes)
    } else {
        Err(bad())
    }
}

fn padded(bytes: &[u8]) -> Chunk {
    let mut out = [0; 32];
    for (to, from) in out.iter_mut().zip(bytes) {
        *to = *from;
    }
    out
}

fn chunks(bytes: &[u8]) -> Vec<Chunk> {
    bytes.chunks(32).map(padded).collect()
}

fn hash_pair(left: &Chunk, right: &Chunk) -> Chunk {
    Sha256::new().chain_update(left).chain_update(right).finalize().into()
}

fn mixin(root: Chunk, len: usize) -> Chunk {
    hash_pair(&root, &padded(&u64::try_from(len).unwrap_or(u64::MAX).to_le_bytes()))
}

/// The root of a tree whose leaves are `list` and zeros up to the next power of two of `limit`; 0 is the list's own length.
fn merkle(list: &[Chunk], limit: usize) -> Chunk {
    let limit = if limit == 0 { list.len() } else { limit };
    let depth = limit.checked_next_power_of_two().unwrap_or(1 << 62).trailing_zeros();
    let mut zero = [0; 32];
    let mut layer = list.to_vec();
    for _ in 0..depth {
        layer = layer
            .chunks(2)
            .map(|pair| match pair {
                [left, right] => hash_pair(left, right),
                [left, ..] => hash_pair(left, &zero),
                [] => zero,
            })
            .collect();
        zero = hash_pair(&zero, &zero);
    }
    layer.first().copied().unwrap_or(zero)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_byte_string_adds_no_leaf() {
        let mut leaves = Leaves::default();
        leaves.raw(b"");
        assert_eq!(leaves.root(), [0; 32]);
        leaves.raw(b"a");
        assert_eq!(leaves.root(), padded(b"a"));
    }

    #[test]
    fn short_fixed_bytes_are_padded_on_the_left() {
        let mut leaves = Leaves::default();
        leaves.fixed("x", &[7], 4).unwrap();
        assert_eq!(leaves.chunks(), [padded(&[0, 0, 0, 7])]);
        assert!(leaves.fixed("x", &[0; 5], 4).is_err());
    }

    #[test]
    fn an_empty_list_is_a_tree_of_zeros() {
        let mut leaves = Leaves::default();
        leaves.list("x", [(); 0], 4, |_, ()| Ok(())).unwrap();
        let one = hash_pair(&[0; 32], &[0; 32]);
        assert_eq!(leaves.chunks(), [mixin(hash_pair(&one, &one), 0)]);
    }

    #[test]
    fn odd_layers_are_padded_with_the_zero_of_their_height() {
        let [a, b, c] = [1, 2, 3].map(|n| padded(&[n]));
        let right = hash_pair(&c, &[0; 32]);
        assert_eq!(merkle(&[a, b, c], 0), hash_pair(&hash_pair(&a, &b), &right));
        let zero1 = hash_pair(&[0; 32], &[0; 32]);
        assert_eq!(merkle(&[a], 4), hash_pair(&hash_pair(&a, &[0; 32]), &zero1));
    }
}
