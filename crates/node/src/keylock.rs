//! One process per identity key.
//!
//! Guarantees: the operating system's lock on `<key file>.oslock` is always taken and freed by whatever ends the
//! process, a kill included. With `--private-key-file-lock` the file `<key file>.lock` is kept besides, with Charon's
//! rules (cli.md 11), so that a Charon on a shared disk sees us and we see it.
//! Not here: the key itself.

use std::{
    fs::{self, File, TryLockError},
    io::{Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use trireme_core::{ports::Clock, time::UnixTime};

use crate::{
    NodeError,
    files::{self, beside},
};

/// A younger lock file means that the other process runs.
const STALE: Duration = Duration::from_secs(5);
/// With another cluster in it a lock file counts for two epochs of mainnet.
const OTHER_CLUSTER: Duration = Duration::from_secs(768);
/// How often the lock file is written.
const WRITE_EVERY: Duration = Duration::from_secs(1);
const COMMAND: &str = "trireme run";
/// Longest holder text that is read back.
const HOLDER_BYTES: u64 = 200;
/// Longest lock file; ours has less than 200 bytes.
const FILE_LIMIT: usize = 64 * 1024;
const WHAT: &str = "private key lock";
const HINT: &str = "delete it if no other node uses this private key";

/// The operating system's lock, held as long as this lives.
#[derive(Debug)]
pub(crate) struct KeyLock {
    _file: File,
}

impl KeyLock {
    /// Takes the lock of a key file.
    pub(crate) fn take(key_file: &Path) -> Result<Self, NodeError> {
        let path = beside(key_file, ".oslock");
        let fail = |e: std::io::Error| NodeError::File {
            what: WHAT,
            path: path.clone(),
            reason: e.to_string(),
            hint: "the folder of the private key must be writable",
        };
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(fail)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Who holds it is a courtesy; an unreadable text changes nothing.
                let _read = (&file).take(HOLDER_BYTES).read_to_string(&mut holder);
                let holder = if holder.trim().is_empty() {
                    "unknown".to_owned()
                } else {
                    holder.trim().to_owned()
                };
                return Err(NodeError::KeyInUse {
                    path: key_file.to_owned(),
                    holder,
                });
            }
            Err(TryLockError::Error(e)) => return Err(fail(e)),
        }
        file.set_len(0).map_err(fail)?;
        file.rewind().map_err(fail)?;
        write!(file, "process {}", std::process::id()).map_err(fail)?;
        Ok(Self { _file: file })
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct LockFile {
    command: String,
    timestamp: jiff::Timestamp,
    cluster_lock_hash: String,
}

/// Charon's lock file: a timestamp that is renewed each second.
pub(crate) struct TimestampLock {
    path: PathBuf,
    cluster: String,
}

impl TimestampLock {
    /// Checks the file of a former process and writes ours. `cluster` is the lock hash with `0x`.
    pub(crate) fn take(key_file: &Path, cluster: String, now: UnixTime) -> Result<Self, NodeError> {
        let path = beside(key_file, ".lock");
        // What is there and cannot be read may be another node's.
        if path.symlink_metadata().is_ok() {
            let bytes = files::read(WHAT, &path, FILE_LIMIT, HINT)?;
            check(&path, &bytes, &cluster, now)?;
        }
        let lock = Self { path, cluster };
        lock.write(now).map_err(|e| NodeError::File {
            what: WHAT,
            path: lock.path.clone(),
            reason: e.to_string(),
            hint: "the folder of the private key must be writable",
        })?;
        Ok(lock)
    }

    /// Renews the timestamp for ever. Drop-safe.
    pub(crate) async fn keep(self, clock: &dyn Clock) {
        loop {
            tokio::time::sleep(WRITE_EVERY).await;
            if let Err(error) = self.write(clock.now()) {
                tracing::warn!(%error, "The private key lock file cannot be written; a second node would not see us");
            }
        }
    }

    /// Through a temporary file, so that a reader never sees half of it.
    fn write(&self, now: UnixTime) -> std::io::Result<()> {
        let content = LockFile {
            command: COMMAND.to_owned(),
            timestamp: timestamp(now),
            cluster_lock_hash: self.cluster.clone(),
        };
        let draft = beside(&self.path, ".new");
        fs::write(&draft, serde_json::to_vec(&content)?)?;
        fs::rename(&draft, &self.path)
    }
}

fn timestamp(at: UnixTime) -> jiff::Timestamp {
    jiff::Timestamp::from_nanosecond(i128::from(at.0)).unwrap_or(jiff::Timestamp::MAX)
}

/// Charon's rule for a file that is there.
fn check(path: &Path, bytes: &[u8], cluster: &str, now: UnixTime) -> Result<(), NodeError> {
    let found: LockFile = serde_json::from_slice(bytes).map_err(|e| NodeError::File {
        what: WHAT,
        path: path.to_owned(),
        reason: e.to_string(),
        hint: HINT,
    })?;
    let written = UnixTime(u64::try_from(found.timestamp.as_nanosecond()).unwrap_or_default());
    let age = now.since(written);
    let counts = if found.cluster_lock_hash == cluster {
        STALE
    } else {
        OTHER_CLUSTER
    };
    if age > counts {
        return Ok(());
    }
    Err(NodeError::KeyRecentlyUsed {
        path: path.to_owned(),
        age,
        command: found.command,
        cluster: found.cluster_lock_hash,
        wait: counts.saturating_sub(age),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let key = dir.path().join("charon-enr-private-key");
        (dir, key)
    }

    const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

    #[test]
    fn key_that_is_in_use_is_refused_with_the_other_process_and_free_afterwards() {
        let (_dir, key) = key();
        let held = KeyLock::take(&key).unwrap();
        let error = KeyLock::take(&key).unwrap_err().to_string();
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
        assert!(error.contains("slashed"), "{error}");
        drop(held);
        KeyLock::take(&key).unwrap();
    }

    const KEY: &str = "TRIREME_TEST_KEY_FILE";

    /// Runs in the child process only: holds the lock until it is killed.
    #[test]
    #[ignore = "started by the test below as a child process"]
    fn child_holds_the_lock_until_it_is_killed() {
        let key = PathBuf::from(std::env::var_os(KEY).expect("started by the parent test"));
        let _held = KeyLock::take(&key).unwrap();
        println!("held");
        loop {
            std::thread::park();
        }
    }

    #[test]
    fn lock_of_a_process_that_was_killed_is_free_at_once() {
        let (_dir, key) = key();
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "keylock::tests::child_holds_the_lock_until_it_is_killed"])
            .args(["--ignored", "--nocapture"])
            .env(KEY, &key)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains("held") {
            line.clear();
            assert_ne!(
                std::io::BufRead::read_line(&mut out, &mut line).unwrap(),
                0,
                "the child ended"
            );
        }
        let refused = KeyLock::take(&key).unwrap_err().to_string();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(refused.contains(&format!("process {}", child.id())), "{refused}");
        KeyLock::take(&key).unwrap();
    }

    #[test]
    fn fresh_timestamp_of_the_same_cluster_is_refused_for_five_seconds() {
        let (_dir, key) = key();
        TimestampLock::take(&key, "0xaa".into(), NOW).unwrap();
        let again = |after| TimestampLock::take(&key, "0xaa".into(), NOW.after(Duration::from_secs(after)));
        assert!(matches!(again(5), Err(NodeError::KeyRecentlyUsed { .. })));
        again(6).map(drop).unwrap();
    }

    #[test]
    fn timestamp_of_another_cluster_is_refused_for_two_epochs() {
        let (_dir, key) = key();
        TimestampLock::take(&key, "0xaa".into(), NOW).unwrap();
        let other = |after| TimestampLock::take(&key, "0xbb".into(), NOW.after(Duration::from_secs(after)));
        let error = other(700).err().unwrap().to_string();
        assert!(error.contains("wait 68s"), "{error}");
        other(769).map(drop).unwrap();
    }

    #[test]
    fn file_has_the_three_members_that_charon_reads() {
        let (_dir, key) = key();
        TimestampLock::take(&key, "0xaa".into(), NOW).unwrap();
        let text = fs::read_to_string(beside(&key, ".lock")).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["cluster_lock_hash"], "0xaa");
        assert_eq!(json["timestamp"], "2027-01-15T08:00:00Z");
        assert_eq!(json["command"], COMMAND);
    }

    #[test]
    fn garbage_in_the_lock_file_is_an_error_that_says_what_to_do() {
        let (_dir, key) = key();
        let file = beside(&key, ".lock");
        let refused = || TimestampLock::take(&key, "0xaa".into(), NOW).err().unwrap().to_string();
        for garbage in [&b""[..], b"{", b"null", &[b' '; FILE_LIMIT + 1]] {
            fs::write(&file, garbage).unwrap();
            assert!(refused().contains("delete it"), "{}", refused());
            assert_eq!(fs::read(&file).unwrap(), garbage, "it is left as it was");
        }
        fs::remove_file(&file).unwrap();
        // A folder in its place stands for what cannot be read.
        fs::create_dir(&file).unwrap();
        assert!(refused().contains("delete it"), "{}", refused());
    }
}
