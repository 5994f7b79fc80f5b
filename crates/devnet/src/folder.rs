//! The cluster's folder: `node0`, `node1`, … with lock, identity key and keystores, as operators have them.
//!
//! Guarantees: a given folder is copied before use, so that nothing in it changes. Not here: making one (`create
//! cluster` of the binary does that), verifying the lock (the nodes do).

use std::{
    fs,
    path::{Path, PathBuf},
};

use trireme_cluster::Lock;
use trireme_eth2::BlsPubkey;
use trireme_keys::Keystore;
use trireme_tbls::SecretKey;

use crate::config::DevnetError;

/// What the harness needs to know of a cluster.
#[derive(Debug)]
pub(crate) struct Folder {
    /// Where `node0` and the others lie.
    pub(crate) path: PathBuf,
    /// How many operators.
    pub(crate) nodes: usize,
    /// Partial signatures that make a signature.
    pub(crate) threshold: usize,
    /// Genesis fork version of the network.
    pub(crate) fork_version: [u8; 4],
    /// Group keys in the order of the lock.
    pub(crate) validators: Vec<BlsPubkey>,
}

fn wrong(path: &Path, reason: impl ToString) -> DevnetError {
    DevnetError::Cluster {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

impl Folder {
    /// Reads the lock of `node0`.
    pub(crate) fn read(path: &Path) -> Result<Self, DevnetError> {
        let file = path.join("node0/cluster-lock.json");
        let bytes = fs::read(&file).map_err(|e| wrong(&file, e))?;
        let lock = Lock::from_json(&bytes).map_err(|e| wrong(&file, e))?;
        let key = |v: &trireme_cluster::DistributedValidator| BlsPubkey::from_slice(&v.public_key);
        let validators: Option<Vec<BlsPubkey>> = lock.validators.iter().map(key).collect();
        Ok(Self {
            path: path.to_owned(),
            nodes: lock.definition.operators.len(),
            threshold: usize::try_from(lock.definition.threshold).unwrap_or(usize::MAX),
            fork_version: <[u8; 4]>::try_from(lock.definition.fork_version.as_slice())
                .map_err(|_| wrong(&file, "the fork version does not have four bytes"))?,
            validators: validators.ok_or_else(|| wrong(&file, "a group key does not have 48 bytes"))?,
        })
    }

    /// A node's own folder.
    pub(crate) fn node(&self, node: usize) -> PathBuf {
        self.path.join(format!("node{node}"))
    }

    /// The share keys of a node: its keystores, opened with the password files beside them.
    pub(crate) fn share_keys(&self, node: usize) -> Result<Vec<SecretKey>, DevnetError> {
        let folder = self.node(node).join("validator_keys");
        let list = fs::read_dir(&folder).map_err(|e| wrong(&folder, e))?;
        let is_keystore = |path: &PathBuf| path.extension().is_some_and(|e| e == "json");
        let mut files: Vec<PathBuf> = list.filter_map(|d| Some(d.ok()?.path())).filter(is_keystore).collect();
        files.sort();
        if files.len() != self.validators.len() {
            let (have, want) = (files.len(), self.validators.len());
            return Err(wrong(
                &folder,
                format!("{have} keystores for the lock's {want} validators"),
            ));
        }
        open_all(&files)
    }
}

/// Opens the keystores on all cores: each costs a key derivation.
fn open_all(files: &[PathBuf]) -> Result<Vec<SecretKey>, DevnetError> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let chunk = files.len().div_ceil(cores).max(1);
    std::thread::scope(|scope| {
        let parts: Vec<_> = files
            .chunks(chunk)
            .map(|part| scope.spawn(|| part.iter().map(|f| open(f)).collect()))
            .collect();
        let mut keys = Vec::with_capacity(files.len());
        for part in parts {
            let opened: Result<Vec<SecretKey>, DevnetError> = part
                .join()
                .map_err(|_| wrong(Path::new("validator_keys"), "a keystore could not be opened"))?;
            keys.extend(opened?);
        }
        Ok(keys)
    })
}

fn open(file: &Path) -> Result<SecretKey, DevnetError> {
    let bytes = fs::read(file).map_err(|e| wrong(file, e))?;
    let password_file = file.with_extension("txt");
    let password = fs::read(&password_file).map_err(|e| wrong(&password_file, e))?;
    let keystore = Keystore::from_json(&bytes).map_err(|e| wrong(file, e))?;
    let secret = keystore.decrypt(&password).map_err(|e| wrong(file, e))?;
    SecretKey::from_bytes(&secret).map_err(|e| wrong(file, e))
}

/// Copies `node0`, `node1`, … of `from` into `to`.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), DevnetError> {
    for node in 0.. {
        let source = from.join(format!("node{node}"));
        if !source.is_dir() {
            return if node == 0 {
                Err(wrong(from, "it has no folder node0"))
            } else {
                Ok(())
            };
        }
        copy_folder(&source, &to.join(format!("node{node}")))?;
    }
    Ok(())
}

fn copy_folder(from: &Path, to: &Path) -> Result<(), DevnetError> {
    fs::create_dir_all(to).map_err(|e| wrong(to, e))?;
    for item in fs::read_dir(from).map_err(|e| wrong(from, e))?.filter_map(Result::ok) {
        let (source, target) = (item.path(), to.join(item.file_name()));
        if source.is_dir() {
            copy_folder(&source, &target)?;
        } else {
            fs::copy(&source, &target).map_err(|e| wrong(&source, e))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use trireme_keys::keystore::{Cost, Nonces};

    use super::*;

    /// A folder whose lock has two validators, with these keystores for node 0.
    fn folder(keystores: &[u8]) -> (tempfile::TempDir, Folder) {
        let dir = tempfile::tempdir().unwrap();
        let keys = dir.path().join("node0/validator_keys");
        fs::create_dir_all(&keys).unwrap();
        for n in keystores {
            let secret = SecretKey::from_bytes(&[*n; 32]).unwrap();
            let nonces = Nonces {
                salt: [*n; 32],
                iv: [*n; 16],
                uuid: [*n; 16],
            };
            let public = secret.public_key().to_bytes();
            let keystore = Keystore::encrypt(&secret.to_bytes(), &public, "password", Cost::Insecure, &nonces);
            fs::write(keys.join(format!("keystore-insecure-{n}.json")), keystore.to_json()).unwrap();
            fs::write(keys.join(format!("keystore-insecure-{n}.txt")), "password").unwrap();
        }
        let folder = Folder {
            path: dir.path().to_owned(),
            nodes: 1,
            threshold: 1,
            fork_version: [0; 4],
            validators: vec![BlsPubkey([1; 48]), BlsPubkey([2; 48])],
        };
        (dir, folder)
    }

    #[test]
    fn more_or_fewer_keystores_than_validators_are_refused_with_both_numbers() {
        assert_eq!(folder(&[1, 2]).1.share_keys(0).map(|k| k.len()).unwrap(), 2);
        for (keystores, words) in [
            (&[1][..], "1 keystores for the lock's 2"),
            (&[1, 2, 3], "3 keystores for"),
        ] {
            let (_dir, folder) = folder(keystores);
            let error = folder.share_keys(0).map(drop).unwrap_err().to_string();
            assert!(error.contains(words) && error.contains("validator_keys"), "{error}");
        }
    }

    #[test]
    fn a_keystore_or_password_that_is_wrong_cut_off_or_missing_is_named() {
        let (_dir, folder) = folder(&[1, 2]);
        let file = |name: &str| folder.path.join("node0/validator_keys").join(name);
        let refused = || folder.share_keys(0).map(drop).unwrap_err().to_string();
        let (json, password) = (file("keystore-insecure-2.json"), file("keystore-insecure-2.txt"));
        let whole = fs::read(&json).unwrap();
        fs::write(&json, &whole[..whole.len() / 2]).unwrap();
        assert!(refused().contains("keystore-insecure-2.json"), "{}", refused());
        fs::write(&json, &whole).unwrap();
        fs::write(&password, "another").unwrap();
        let error = refused();
        assert!(
            error.contains("keystore-insecure-2.json") && error.contains("password"),
            "{error}"
        );
        fs::remove_file(&password).unwrap();
        assert!(refused().contains("keystore-insecure-2.txt"), "{}", refused());
    }
}
