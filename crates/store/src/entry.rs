//! The form of an entry on disk: `tag ‖ key` to `value ‖ checksum`.
//!
//! The checksum is the first 8 bytes of SHA-256 over the length of the key, the key and the value.

use sha2::{Digest, Sha256};
use trireme_core::ports::{StoreError, Table};

const CHECKSUM_LEN: usize = 8;

/// The key on disk. Tags are part of the layout: they never change.
pub(crate) fn key(table: Table, key: &[u8]) -> Vec<u8> {
    let tag = match table {
        Table::Meta => 1,
        Table::Duty => 2,
        Table::DutyFloor => 3,
        Table::Partial => 4,
        Table::Aggregate => 5,
        Table::Slashing => 6,
    };
    let mut out = Vec::with_capacity(key.len().saturating_add(1));
    out.push(tag);
    out.extend_from_slice(key);
    out
}

/// The value on disk.
pub(crate) fn seal(disk_key: &[u8], mut value: Vec<u8>) -> Vec<u8> {
    let sum = checksum(disk_key, &value);
    value.extend_from_slice(&sum);
    value
}

/// The value that was sealed.
pub(crate) fn open<'a>(table: Table, disk_key: &[u8], sealed: &'a [u8]) -> Result<&'a [u8], StoreError> {
    let corrupt = |reason: &str| StoreError::Corrupt {
        table: table.name(),
        reason: reason.to_owned(),
    };
    let (value, sum) = sealed
        .split_last_chunk::<CHECKSUM_LEN>()
        .ok_or_else(|| corrupt("it is shorter than its checksum"))?;
    if checksum(disk_key, value) == *sum {
        Ok(value)
    } else {
        Err(corrupt("its checksum does not match its content"))
    }
}

fn checksum(disk_key: &[u8], value: &[u8]) -> [u8; CHECKSUM_LEN] {
    let mut hash = Sha256::new();
    hash.update(u64::try_from(disk_key.len()).unwrap_or(u64::MAX).to_le_bytes());
    hash.update(disk_key);
    hash.update(value);
    let digest: [u8; 32] = hash.finalize().into();
    let mut out = [0; CHECKSUM_LEN];
    for (to, from) in out.iter_mut().zip(digest) {
        *to = from;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_value_opens_under_its_own_key_only() {
        let sealed = seal(b"\x02key", b"value".to_vec());
        assert_eq!(open(Table::Duty, b"\x02key", &sealed).unwrap(), b"value");
        assert!(open(Table::Duty, b"\x02kez", &sealed).is_err());
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let sealed = seal(b"\x02key", b"value".to_vec());
        for i in 0..sealed.len() {
            for bit in 0..8 {
                let mut bad = sealed.clone();
                bad[i] ^= 1 << bit;
                assert!(open(Table::Duty, b"\x02key", &bad).is_err());
            }
            assert!(open(Table::Duty, b"\x02key", &sealed[..i]).is_err());
        }
    }

    #[test]
    fn tables_have_different_tags() {
        let mut tags: Vec<_> = Table::ALL.map(|t| key(t, b"")).to_vec();
        tags.sort();
        tags.dedup();
        assert_eq!(tags.len(), Table::ALL.len());
    }
}
