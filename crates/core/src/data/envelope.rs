//! The headers before the SSZ form of versioned objects (core.md 4.1, 4.2), and their version numbers.
//!
//! | header | bytes | layout |
//! | --- | --- | --- |
//! | V | 12 | version u64, offset u32 |
//! | VI | 20 | version u64, validator index u64, offset u32 = 20 |
//! | VB | 13 | version u64, blinded u8, offset u32 |
//!
//! Guarantees: writers use the header's length as offset; readers take any offset of V and VB that lies in the bytes.

use trireme_eth2::{Fork, ValidatorIndex};

use super::DataError;

const V_LEN: usize = 12;
const VI_LEN: usize = 20;
const VB_LEN: usize = 13;

/// Each fork's number on the wire. A table of its own: the numbers are Charon's and owe nothing to our enum's order.
const VERSIONS: [(Fork, u64); 7] = [
    (Fork::Phase0, 0),
    (Fork::Altair, 1),
    (Fork::Bellatrix, 2),
    (Fork::Capella, 3),
    (Fork::Deneb, 4),
    (Fork::Electra, 5),
    (Fork::Fulu, 6),
];

/// The number of a fork.
#[must_use]
pub const fn version_of(fork: Fork) -> u64 {
    match fork {
        Fork::Phase0 => 0,
        Fork::Altair => 1,
        Fork::Bellatrix => 2,
        Fork::Capella => 3,
        Fork::Deneb => 4,
        Fork::Electra => 5,
        Fork::Fulu => 6,
    }
}

/// The fork of a number.
///
/// # Errors
///
/// If no fork known here has it.
pub fn fork_of(version: u64) -> Result<Fork, DataError> {
    VERSIONS
        .into_iter()
        .find(|(_, n)| *n == version)
        .map(|(fork, _)| fork)
        .ok_or(DataError::Version(version))
}

/// Splits an array off the front.
fn take<const N: usize>(bytes: &[u8], needed: usize, len: usize) -> Result<([u8; N], &[u8]), DataError> {
    bytes
        .split_first_chunk::<N>()
        .map(|(head, rest)| (*head, rest))
        .ok_or(DataError::Short { got: len, needed })
}

/// The bytes from an offset that must be at least `least`.
fn inner(bytes: &[u8], offset: u32, least: usize) -> Result<&[u8], DataError> {
    let bad = DataError::Offset {
        offset,
        len: bytes.len(),
    };
    let start = usize::try_from(offset).ok().filter(|o| *o >= least);
    start.and_then(|o| bytes.get(o..)).ok_or(bad)
}

/// Reads header V; returns the fork and the inner object's bytes.
///
/// # Errors
///
/// If the header is cut short, the version unknown, or the offset outside.
pub fn read_v(bytes: &[u8]) -> Result<(Fork, &[u8]), DataError> {
    let (version, rest) = take::<8>(bytes, V_LEN, bytes.len())?;
    let (offset, _) = take::<4>(rest, V_LEN, bytes.len())?;
    let object = inner(bytes, u32::from_le_bytes(offset), V_LEN)?;
    Ok((fork_of(u64::from_le_bytes(version))?, object))
}

/// Reads header VI; returns the fork, the validator index and the inner object's bytes.
///
/// # Errors
///
/// If the header is cut short, the version unknown, or the offset is not 20.
pub fn read_vi(bytes: &[u8]) -> Result<(Fork, ValidatorIndex, &[u8]), DataError> {
    let (version, rest) = take::<8>(bytes, VI_LEN, bytes.len())?;
    let (index, rest) = take::<8>(rest, VI_LEN, bytes.len())?;
    let (offset, object) = take::<4>(rest, VI_LEN, bytes.len())?;
    let offset = u32::from_le_bytes(offset);
    if usize::try_from(offset) != Ok(VI_LEN) {
        return Err(DataError::Offset {
            offset,
            len: bytes.len(),
        });
    }
    Ok((
        fork_of(u64::from_le_bytes(version))?,
        ValidatorIndex(u64::from_le_bytes(index)),
        object,
    ))
}

/// Reads header VB; returns the fork, the blinded flag and the inner object's bytes.
///
/// # Errors
///
/// If the header is cut short, the version or flag unknown, or the offset outside.
pub fn read_vb(bytes: &[u8]) -> Result<(Fork, bool, &[u8]), DataError> {
    let (version, rest) = take::<8>(bytes, VB_LEN, bytes.len())?;
    let ([blinded], rest) = take::<1>(rest, VB_LEN, bytes.len())?;
    let (offset, _) = take::<4>(rest, VB_LEN, bytes.len())?;
    let object = inner(bytes, u32::from_le_bytes(offset), VB_LEN)?;
    let fork = fork_of(u64::from_le_bytes(version))?;
    match blinded {
        0 => Ok((fork, false, object)),
        1 => Ok((fork, true, object)),
        other => Err(DataError::Blinded(other)),
    }
}

/// Header V, with room for an object of `len` bytes.
#[must_use]
pub fn write_v(fork: Fork, len: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(V_LEN.saturating_add(len));
    out.extend_from_slice(&version_of(fork).to_le_bytes());
    out.extend_from_slice(&12_u32.to_le_bytes());
    out
}

/// Header VI, with room for an object of `len` bytes.
#[must_use]
pub fn write_vi(fork: Fork, index: ValidatorIndex, len: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(VI_LEN.saturating_add(len));
    out.extend_from_slice(&version_of(fork).to_le_bytes());
    out.extend_from_slice(&index.0.to_le_bytes());
    out.extend_from_slice(&20_u32.to_le_bytes());
    out
}

/// Header VB, with room for an object of `len` bytes. A beacon node's SSZ answer appended to it is the wire form of the
/// proposal, without decoding it.
#[must_use]
pub fn write_vb(fork: Fork, blinded: bool, len: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(VB_LEN.saturating_add(len));
    out.extend_from_slice(&version_of(fork).to_le_bytes());
    out.push(u8::from(blinded));
    out.extend_from_slice(&13_u32.to_le_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_numbers_are_those_of_live_nodes_and_never_move() {
        let golden = [
            ("phase0", 0),
            ("altair", 1),
            ("bellatrix", 2),
            ("capella", 3),
            ("deneb", 4),
            ("electra", 5),
            ("fulu", 6),
        ];
        let table: Vec<_> = VERSIONS.iter().map(|(fork, n)| (fork.name(), *n)).collect();
        assert_eq!(table, golden);
        for fork in Fork::ALL {
            assert_eq!(fork_of(version_of(fork)), Ok(fork));
        }
        assert_eq!(fork_of(7), Err(DataError::Version(7)));
        assert_eq!(fork_of(u64::MAX), Err(DataError::Version(u64::MAX)));
    }

    #[test]
    fn headers_come_back_with_the_object_behind_them() {
        let with = |mut head: Vec<u8>| {
            head.extend_from_slice(b"object");
            head
        };
        let index = ValidatorIndex(77);
        assert_eq!(
            read_v(&with(write_v(Fork::Deneb, 6))),
            Ok((Fork::Deneb, &b"object"[..]))
        );
        assert_eq!(
            read_vi(&with(write_vi(Fork::Fulu, index, 6))),
            Ok((Fork::Fulu, index, &b"object"[..]))
        );
        assert_eq!(
            read_vb(&with(write_vb(Fork::Electra, true, 6))),
            Ok((Fork::Electra, true, &b"object"[..]))
        );
    }

    #[test]
    fn every_cut_of_a_header_is_refused() {
        for (header, read) in [
            (
                write_v(Fork::Fulu, 0),
                (|b: &[u8]| read_v(b).is_err()) as fn(&[u8]) -> bool,
            ),
            (write_vi(Fork::Fulu, ValidatorIndex(1), 0), |b| read_vi(b).is_err()),
            (write_vb(Fork::Fulu, false, 0), |b| read_vb(b).is_err()),
        ] {
            assert!(!read(&header));
            for cut in 0..header.len() {
                assert!(read(&header[..cut]), "{cut} of {}", header.len());
            }
        }
    }

    #[test]
    fn offsets_into_the_header_or_past_the_end_are_refused() {
        for (offset, ok) in [(11_u32, false), (12, true), (13, true), (14, false), (u32::MAX, false)] {
            let mut bytes = 1_u64.to_le_bytes().to_vec();
            bytes.extend_from_slice(&offset.to_le_bytes());
            bytes.push(9);
            assert_eq!(read_v(&bytes).is_ok(), ok, "{offset}");
        }
    }
}
