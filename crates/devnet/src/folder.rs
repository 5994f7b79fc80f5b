//! The cluster's folder: `node0`, `node1`, … with lock, identity key and keystores, as operators have them.
//!
//! Guarantees: a given folder is copied before use, so that nothing in it changes. Not here: making one (`create
//! cluster` of the binary does that), verifying the lock (the nodes do).

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use trireme_cluster::Lock;
use trireme_eth2::{BlsPubkey, ExecutionAddress, ValidatorIndex};
use trireme_keys::Keystore;
use trireme_tbls::SecretKey;
use trireme_testutil::judge::Registration;

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
    /// What the lock's registrations say; a validator without one is missing. Indices are positions in the lock.
    pub(crate) registrations: BTreeMap<ValidatorIndex, Registration>,
}

pub(crate) fn wrong(path: &Path, reason: impl ToString) -> DevnetError {
    DevnetError::Cluster {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

impl Folder {
    /// Reads the lock of `node0`.
    pub(crate) fn read(path: &Path) -> Result<Self, DevnetError> {
        let file = path.join("node0/cluster-lock.json");
        let lock = read_lock(&file)?;
        Self::of_lock(path, &file, &lock)
    }

    /// What the lock in `file` says.
    pub(crate) fn of_lock(path: &Path, file: &Path, lock: &Lock) -> Result<Self, DevnetError> {
        let key = |v: &trireme_cluster::DistributedValidator| BlsPubkey::from_slice(&v.public_key);
        let validators: Option<Vec<BlsPubkey>> = lock.validators.iter().map(key).collect();
        Ok(Self {
            path: path.to_owned(),
            nodes: lock.definition.operators.len(),
            threshold: usize::try_from(lock.definition.threshold).unwrap_or(usize::MAX),
            fork_version: <[u8; 4]>::try_from(lock.definition.fork_version.as_slice())
                .map_err(|_| wrong(file, "the fork version does not have four bytes"))?,
            validators: validators.ok_or_else(|| wrong(file, "a group key does not have 48 bytes"))?,
            registrations: (0..)
                .map(ValidatorIndex)
                .zip(&lock.validators)
                .filter_map(registration)
                .collect(),
        })
    }

    /// A node's own folder.
    pub(crate) fn node(&self, node: usize) -> PathBuf {
        self.path.join(format!("node{node}"))
    }

    /// The share keys of a node: its keystores, opened with the password files beside them.
    pub(crate) fn share_keys(&self, node: usize) -> Result<Vec<SecretKey>, DevnetError> {
        self.keys_in(&self.node(node).join("validator_keys"))
    }

    /// The keys in a folder with one keystore for each validator.
    pub(crate) fn keys_in(&self, folder: &Path) -> Result<Vec<SecretKey>, DevnetError> {
        let list = fs::read_dir(folder).map_err(|e| wrong(folder, e))?;
        let is_keystore = |path: &PathBuf| path.extension().is_some_and(|e| e == "json");
        let mut files: Vec<PathBuf> = list.filter_map(|d| Some(d.ok()?.path())).filter(is_keystore).collect();
        files.sort();
        if files.len() != self.validators.len() {
            let (have, want) = (files.len(), self.validators.len());
            return Err(wrong(
                folder,
                format!("{have} keystores for the lock's {want} validators"),
            ));
        }
        open_all(&files)
    }
}

/// Reads a cluster lock without verifying it.
pub(crate) fn read_lock(file: &Path) -> Result<Lock, DevnetError> {
    let bytes = fs::read(file).map_err(|e| wrong(file, e))?;
    Lock::from_json(&bytes).map_err(|e| wrong(file, e))
}

/// What a validator's registration says; old locks have none.
fn registration(
    (index, validator): (ValidatorIndex, &trireme_cluster::DistributedValidator),
) -> Option<(ValidatorIndex, Registration)> {
    let of_lock = &validator.registration;
    let fee_recipient = ExecutionAddress(<[u8; 20]>::try_from(of_lock.fee_recipient.as_slice()).ok()?);
    let gas_limit = of_lock.gas_limit;
    (of_lock.signature.len() == 96).then_some((
        index,
        Registration {
            fee_recipient,
            gas_limit,
        },
    ))
}

/// The group secrets of the validators, from the share keys of all nodes in the order of the cluster. Only a cluster whose
/// shares all lie in one place has them.
pub(crate) fn group_secrets(
    validators: &[BlsPubkey],
    threshold: usize,
    keys: &[Vec<SecretKey>],
) -> BTreeMap<ValidatorIndex, Arc<SecretKey>> {
    let index: BTreeMap<BlsPubkey, ValidatorIndex> =
        validators.iter().copied().zip((0..).map(ValidatorIndex)).collect();
    let secret = |nth: usize| {
        let shares = (1..=u8::MAX).zip(keys).take(threshold);
        let shares: Option<BTreeMap<u8, SecretKey>> = shares
            .map(|(share, of_node)| Some((share, of_node.get(nth)?.clone())))
            .collect();
        let secret = trireme_tbls::recover(&shares?).ok()?;
        let key = BlsPubkey(secret.public_key().to_bytes());
        Some((*index.get(&key)?, Arc::new(secret)))
    };
    (0..validators.len()).filter_map(secret).collect()
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
            registrations: BTreeMap::new(),
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
    fn group_secrets_are_those_of_the_locks_keys_in_whatever_order_the_shares_lie() {
        let secrets: Vec<SecretKey> = [5_u8, 6, 7].map(|n| SecretKey::from_bytes(&[n; 32]).unwrap()).into();
        let mut filled = 0_u8;
        let mut fill = |bytes: &mut [u8; 64]| {
            filled += 1;
            bytes.fill(filled);
        };
        let shares: Vec<BTreeMap<u8, SecretKey>> = secrets
            .iter()
            .map(|secret| trireme_tbls::split(secret, 3, 4, &mut fill).unwrap())
            .collect();
        // The lock has another order than the folders.
        let of_node = |n: u8| -> Vec<SecretKey> { [2, 0, 1].map(|v: usize| shares[v][&n].clone()).into() };
        let keys: Vec<Vec<SecretKey>> = (1..=4).map(of_node).collect();
        let validators: Vec<BlsPubkey> = secrets.iter().map(|s| BlsPubkey(s.public_key().to_bytes())).collect();
        let found = group_secrets(&validators, 3, &keys);
        let found: Vec<_> = found.iter().map(|(n, s)| (n.0, *s.to_bytes())).collect();
        assert_eq!(found, [(0, [5; 32]), (1, [6; 32]), (2, [7; 32])]);
        assert!(
            group_secrets(&validators, 2, &keys).is_empty(),
            "fewer than the threshold give other keys"
        );
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
