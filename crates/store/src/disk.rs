//! What makes a flush of sled last through a loss of power.
//!
//! sled hands its log to the disk with `sync_file_range`, which leaves out the disk's own cache and, when the log has
//! grown, the file's length; large values are files of their own, which it does not sync at all.
//!
//! Guarantees: what sled had written before [`Disk::sync`] is on the disk when that returns.
//! Not here: sled's own flush, which must come first.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

/// sled's files in a folder.
pub(crate) struct Disk {
    log: File,
    /// The folder of large values: a file each, written once.
    blobs: PathBuf,
    /// Those that are on the disk.
    synced: Mutex<BTreeSet<OsString>>,
}

impl Disk {
    /// The files of the sled that is open in `folder`.
    pub(crate) fn of(folder: &Path) -> io::Result<Self> {
        Ok(Self {
            log: File::open(folder.join("db"))?,
            blobs: folder.join("blobs"),
            synced: Mutex::default(),
        })
    }

    /// Brings the log and new large values to the disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        let mut synced = self.synced.lock().unwrap_or_else(PoisonError::into_inner);
        let mut present = BTreeSet::new();
        for blob in fs::read_dir(&self.blobs)? {
            present.insert(blob?.file_name());
        }
        let mut new = false;
        for name in present.difference(&synced) {
            new = true;
            match File::open(self.blobs.join(name)) {
                Ok(file) => file.sync_data()?,
                // sled has removed it meanwhile.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
        if new {
            File::open(&self.blobs)?.sync_all()?;
        }
        *synced = present;
        drop(synced);
        self.log.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_large_value_is_synced_once_and_forgotten_when_it_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("blobs")).unwrap();
        fs::write(folder.path().join("db"), b"log").unwrap();
        let disk = Disk::of(folder.path()).unwrap();
        let known = || disk.synced.lock().unwrap().iter().cloned().collect::<Vec<_>>();
        for name in ["1", "2"] {
            fs::write(folder.path().join("blobs").join(name), b"large").unwrap();
        }
        disk.sync().unwrap();
        assert_eq!(known(), ["1", "2"]);
        fs::remove_file(folder.path().join("blobs/1")).unwrap();
        disk.sync().unwrap();
        assert_eq!(known(), ["2"]);
    }

    #[test]
    fn sled_keeps_its_log_and_large_values_where_they_are_looked_for() {
        let folder = tempfile::tempdir().unwrap();
        let db = sled::open(folder.path()).unwrap();
        db.insert(b"k", vec![7; 1 << 20]).unwrap();
        db.flush().unwrap();
        let disk = Disk::of(folder.path()).unwrap();
        disk.sync().unwrap();
        assert_eq!(disk.synced.lock().unwrap().len(), 1);
        assert!(disk.log.metadata().unwrap().len() > 0);
    }
}
