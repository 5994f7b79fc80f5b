//! Node folders as one `cluster.tar.gz`.
//!
//! Guarantees: packed is what the caller names and nothing else; [`pack`] opens what it has made and compares it, member by
//! member. Names are relative to the cluster folder, as in `node0/cluster-lock.json`; folders are members, too, so that
//! unpacking gives them their modes.

use std::io::Read as _;

use anyhow::Context as _;
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use zeroize::Zeroizing;

/// Something to pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    /// Relative, with `/`.
    pub(crate) path: String,
    /// Permission bits.
    pub(crate) mode: u32,
    /// Whether it is a folder.
    pub(crate) folder: bool,
}

/// Packs the members. `read` gives a file's content, `time` is the time of all members in seconds since 1970.
///
/// # Errors
/// If a member cannot be read or has a name too long for the format, or the archive does not hold what was put in.
pub(crate) fn pack(
    members: &[Member],
    time: u64,
    read: impl Fn(&str) -> anyhow::Result<Zeroizing<Vec<u8>>>,
) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for member in members {
        let content = if member.folder {
            Zeroizing::default()
        } else {
            read(&member.path)?
        };
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(if member.folder {
            tar::EntryType::Directory
        } else {
            tar::EntryType::Regular
        });
        header.set_mode(member.mode);
        header.set_mtime(time);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(u64::try_from(content.len()).unwrap_or(u64::MAX));
        builder
            .append_data(&mut header, &member.path, content.as_slice())
            .with_context(|| format!("{} cannot be packed", member.path))?;
    }
    let packed = Zeroizing::new(builder.into_inner()?.finish()?);
    compare(&packed, members, read)?;
    Ok(packed)
}

/// Holds an archive against what it should hold.
///
/// # Errors
/// Naming the first member that is missing, different or not asked for.
fn compare(
    packed: &[u8],
    members: &[Member],
    read: impl Fn(&str) -> anyhow::Result<Zeroizing<Vec<u8>>>,
) -> anyhow::Result<()> {
    let mut archive = tar::Archive::new(GzDecoder::new(packed));
    let mut entries = archive.entries()?;
    for member in members {
        let different = || anyhow::anyhow!("the archive does not hold {} as it was packed", member.path);
        let mut entry = entries.next().ok_or_else(different)??;
        let path = entry.path()?.to_string_lossy().trim_end_matches('/').to_owned();
        let folder = entry.header().entry_type().is_dir();
        if path != member.path || folder != member.folder || entry.header().mode()? != member.mode {
            return Err(different());
        }
        let expected = if folder {
            Zeroizing::default()
        } else {
            read(&member.path)?
        };
        let mut found = Zeroizing::new(Vec::with_capacity(expected.len().saturating_add(1)));
        entry.read_to_end(&mut found)?;
        if *found != *expected {
            return Err(different());
        }
    }
    match entries.next() {
        None => Ok(()),
        Some(_) => Err(anyhow::anyhow!("the archive holds more than was packed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<Member> {
        vec![
            Member {
                path: "node0".into(),
                mode: 0o755,
                folder: true,
            },
            Member {
                path: "node0/key".into(),
                mode: 0o400,
                folder: false,
            },
        ]
    }

    #[test]
    fn what_is_packed_is_what_is_unpacked() {
        let read = |_: &str| Ok(Zeroizing::new(b"secret".to_vec()));
        let packed = pack(&sample(), 7, read).unwrap();
        compare(&packed, &sample(), read).unwrap();
        let other = |_: &str| Ok(Zeroizing::new(b"Secret".to_vec()));
        let error = compare(&packed, &sample(), other).unwrap_err().to_string();
        assert!(error.contains("node0/key"), "{error}");
        let mut fewer = sample();
        fewer.pop();
        assert!(compare(&packed, &fewer, read).is_err());
    }
}
