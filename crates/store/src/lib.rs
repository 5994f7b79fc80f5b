//! The node's store: sled 0.34 behind [`KeyValue`].
//!
//! All tables live in one tree, so that a batch over several tables is one atomic sled batch: the key on disk is the
//! table's tag followed by the caller's key. Each value is followed by a checksum over key and value, so that bytes
//! that changed on the disk are reported and never returned.
//!
//! Guarantees: a batch is applied whole or not at all; a durable one is flushed once, down to the disk, before `commit`
//! returns; a folder of another cluster, share or schema is refused; a folder is created whole or not at all.
//! Not here: batching of several callers into one flush (that is `core::journal`), what entries mean.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    time::Duration,
};

use trireme_core::{
    ids::ShareIdx,
    ports::{Batch, Durability, Flow, KeyValue, StoreError, Table},
};

mod disk;
mod entry;

use self::disk::Disk;

/// Version of the layout described above. A store with another one is refused.
const SCHEMA: u8 = 1;
/// Memory that sled may use for pages; the node keeps its own copies of what is in use.
const CACHE_BYTES: u64 = 16 * 1024 * 1024;

/// How often, and how long apart, sled is asked to open its files.
const OPEN_ATTEMPTS: u32 = 200;
const OPEN_PAUSE: Duration = Duration::from_millis(10);

const SCHEMA_KEY: &[u8] = b"schema";
const CLUSTER_KEY: &[u8] = b"cluster";
const SHARE_KEY: &[u8] = b"share";

/// Whose entries a store holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The lock hash.
    pub cluster: [u8; 32],
    /// The node's share of every validator.
    pub share: ShareIdx,
}

/// A store in a folder. Only one process can have it open.
pub struct SledStore {
    // Dropped in this order: the lock is free only when sled is closed.
    db: sled::Db,
    disk: Disk,
    path: PathBuf,
    _lock: Option<fs::File>,
}

impl SledStore {
    /// Opens the store in `path`, or makes it.
    ///
    /// # Errors
    ///
    /// [`StoreError::OtherCluster`] if another cluster or share wrote it, [`StoreError::Corrupt`] if its own records
    /// are missing or damaged, [`StoreError::Io`] for everything else, another process that has it open among them.
    pub fn open(path: &Path, owner: &Owner) -> Result<Self, StoreError> {
        let lock = take_lock(path)?;
        if !path.exists() {
            Self::create(path, owner)?;
        }
        let store = Self::on(path, Some(lock))?;
        store.check_owner(owner)?;
        Ok(store)
    }

    /// Writes everything that is still in memory.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`] if the disk refuses.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.db.flush().map_err(|e| self.io(&e))?;
        self.disk.sync().map_err(|e| self.io(&sled::Error::Io(e)))
    }

    fn on(folder: &Path, lock: Option<fs::File>) -> Result<Self, StoreError> {
        let db = open_sled(folder)?;
        let disk = Disk::of(folder).map_err(|e| StoreError::Io {
            path: folder.display().to_string(),
            reason: e.to_string(),
        })?;
        Ok(Self {
            db,
            disk,
            path: folder.to_owned(),
            _lock: lock,
        })
    }

    /// Makes the store beside its place and moves it there when its owner is on disk, so that a crash in between
    /// leaves no folder without an owner.
    fn create(path: &Path, owner: &Owner) -> Result<(), StoreError> {
        let fail = |e: std::io::Error| StoreError::Io {
            path: path.display().to_string(),
            reason: e.to_string(),
        };
        let mut draft = path.as_os_str().to_owned();
        draft.push(".new");
        let draft = PathBuf::from(draft);
        if draft.exists() {
            fs::remove_dir_all(&draft).map_err(fail)?;
        }
        fs::create_dir_all(&draft).map_err(fail)?;
        let store = Self::on(&draft, None)?;
        let put = |key: &[u8], value: Vec<u8>| (Table::Meta, key.to_vec(), Some(value));
        let writes = vec![
            put(SCHEMA_KEY, vec![SCHEMA]),
            put(CLUSTER_KEY, owner.cluster.to_vec()),
            put(SHARE_KEY, vec![owner.share.0]),
        ];
        store.commit(Batch { writes }, Durability::Durable)?;
        drop(store);
        fs::rename(&draft, path).map_err(fail)?;
        match path.parent().filter(|p| !p.as_os_str().is_empty()) {
            Some(parent) => fs::File::open(parent).and_then(|dir| dir.sync_all()).map_err(fail),
            None => Ok(()),
        }
    }

    fn check_owner(&self, owner: &Owner) -> Result<(), StoreError> {
        let need = |key: &'static [u8]| {
            self.get(Table::Meta, key)?.ok_or_else(|| StoreError::Corrupt {
                table: Table::Meta.name(),
                reason: format!("the record {:?} is missing", String::from_utf8_lossy(key)),
            })
        };
        let schema = need(SCHEMA_KEY)?;
        if schema != [SCHEMA] {
            return Err(StoreError::Corrupt {
                table: Table::Meta.name(),
                reason: format!("layout version {schema:?}, this program reads {SCHEMA}"),
            });
        }
        let (cluster, share) = (need(CLUSTER_KEY)?, need(SHARE_KEY)?);
        if cluster == owner.cluster && share == [owner.share.0] {
            return Ok(());
        }
        Err(StoreError::OtherCluster {
            path: self.path.display().to_string(),
            found: describe(&cluster, &share),
            expected: describe(&owner.cluster, &[owner.share.0]),
        })
    }

    fn io(&self, e: &sled::Error) -> StoreError {
        StoreError::Io {
            path: self.path.display().to_string(),
            reason: e.to_string(),
        }
    }
}

impl KeyValue for SledStore {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let disk_key = entry::key(table, key);
        match self.db.get(&disk_key).map_err(|e| self.io(&e))? {
            None => Ok(None),
            Some(bytes) => entry::open(table, &disk_key, &bytes).map(|value| Some(value.to_vec())),
        }
    }

    fn scan(&self, table: Table, prefix: &[u8], each: &mut dyn FnMut(&[u8], &[u8]) -> Flow) -> Result<(), StoreError> {
        for item in self.db.scan_prefix(entry::key(table, prefix)) {
            let (disk_key, bytes) = item.map_err(|e| self.io(&e))?;
            let value = entry::open(table, &disk_key, &bytes)?;
            match each(disk_key.get(1..).unwrap_or_default(), value) {
                Flow::Continue => {}
                Flow::Stop => break,
            }
        }
        Ok(())
    }

    fn commit(&self, batch: Batch, how: Durability) -> Result<(), StoreError> {
        let mut sled_batch = sled::Batch::default();
        for (table, key, value) in batch.writes {
            let disk_key = entry::key(table, &key);
            match value {
                Some(value) => {
                    let sealed = entry::seal(&disk_key, value);
                    sled_batch.insert(disk_key, sealed);
                }
                None => sled_batch.remove(disk_key),
            }
        }
        self.db.apply_batch(sled_batch).map_err(|e| self.io(&e))?;
        match how {
            Durability::Durable => self.flush(),
            Durability::Buffered => Ok(()),
        }
    }
}

/// The path with something added to its last part.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The lock that tells whether another process has the store open; the system frees it with the process.
fn take_lock(path: &Path) -> Result<fs::File, StoreError> {
    let fail = |reason: String| StoreError::Io {
        path: path.display().to_string(),
        reason,
    };
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(|e| fail(e.to_string()))?;
    }
    let file = fs::File::create(beside(path, ".lock")).map_err(|e| fail(e.to_string()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(fail("another process has it open".to_owned())),
        Err(fs::TryLockError::Error(e)) => Err(fail(e.to_string())),
    }
}

/// sled reports damaged files by an error or by a panic; here both become an error.
///
/// A sled that was closed in this process a moment ago may still hold its own lock; that is waited for.
fn open_sled(path: &Path) -> Result<sled::Db, StoreError> {
    let config = sled::Config::new()
        .path(path)
        .cache_capacity(CACHE_BYTES)
        .flush_every_ms(Some(1_000));
    let mut attempts = OPEN_ATTEMPTS;
    let reason = loop {
        attempts = attempts.saturating_sub(1);
        match catch_unwind(AssertUnwindSafe(|| config.open())) {
            Ok(Ok(db)) => return Ok(db),
            Ok(Err(sled::Error::Io(_))) if attempts > 0 => std::thread::sleep(OPEN_PAUSE),
            Ok(Err(e)) => break e.to_string(),
            Err(_) => break "its files are damaged".to_owned(),
        }
    };
    Err(StoreError::Io {
        path: path.display().to_string(),
        reason,
    })
}

fn describe(cluster: &[u8], share: &[u8]) -> String {
    let digits: String = cluster.iter().take(4).map(|b| format!("{b:02x}")).collect();
    let share = share.first().copied().unwrap_or_default();
    format!("cluster {digits}… share {share}")
}
