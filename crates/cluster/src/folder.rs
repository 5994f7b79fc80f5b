//! A node's folder as bytes: its keystores, and whether they are this node's shares of the lock's validators
//! (cluster.md 8.2 and 8.3).

use std::collections::BTreeMap;

use trireme_keys::{Keystore, KeystoreError};
use trireme_tbls::SecretKey;

use crate::view::Cluster;

/// One keystore file with the content of its password file, if there is one.
#[derive(Debug, Clone, Copy)]
pub struct KeystoreFile<'a> {
    /// File name, for messages and the index within it.
    pub name: &'a str,
    /// Content of `keystore-*.json`.
    pub json: &'a [u8],
    /// Content of `keystore-*.txt`.
    pub password: Option<&'a [u8]>,
}

/// Why a folder's keystores are of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FolderError {
    /// None at all.
    #[error("no keystore-*.json found")]
    Empty,
    /// No password file.
    #[error("keystore {0} has no password: put it into a file of the same name that ends in .txt")]
    NoPassword(String),
    /// It does not open.
    #[error("keystore {name}: {source}")]
    Keystore {
        /// File name.
        name: String,
        /// What is wrong.
        source: KeystoreError,
    },
    /// The secret is zero or too large.
    #[error("keystore {0} does not hold a BLS secret key")]
    NotAKey(String),
    /// The key belongs to no validator of the lock.
    #[error("keystore {0} holds no share of any validator in the lock; it may belong to another cluster")]
    Foreign(String),
    /// The key is another operator's share.
    #[error(
        "keystore {name} holds the share of operator {owner}, but this node is operator {me}; the folders may be mixed up"
    )]
    OtherOperator {
        /// File name.
        name: String,
        /// Peer index of the share's owner.
        owner: usize,
        /// Our peer index.
        me: usize,
    },
    /// The same share twice.
    #[error("keystores {first} and {second} hold the same share")]
    Twice {
        /// File name.
        first: String,
        /// File name.
        second: String,
    },
    /// Not every validator of the lock has a keystore.
    #[error("{missing} of {validators} validators have no keystore in this folder, the first is validator {first}")]
    Missing {
        /// How many.
        missing: usize,
        /// In the lock.
        validators: usize,
        /// Position in the lock.
        first: usize,
    },
}

/// The number in a keystore's file name, `keystore-7.json` or `keystore-insecure-7.json`.
#[must_use]
pub fn index_of(name: &str) -> Option<u64> {
    let rest = name.strip_prefix("keystore-")?.strip_suffix(".json")?;
    rest.strip_prefix("insecure-").unwrap_or(rest).parse().ok()
}

/// The name of a keystore's password file.
#[must_use]
pub fn password_name(keystore: &str) -> String {
    keystore
        .strip_suffix(".json")
        .map_or_else(|| format!("{keystore}.txt"), |stem| format!("{stem}.txt"))
}

/// Opens one keystore. At full cost about 0.1 s, so callers with many use several threads.
///
/// # Errors
/// [`FolderError`] naming the file.
pub fn open_keystore(file: KeystoreFile<'_>) -> Result<SecretKey, FolderError> {
    let KeystoreFile { name, json, password } = file;
    let wrong = |source| FolderError::Keystore {
        name: name.to_owned(),
        source,
    };
    let keystore = Keystore::from_json(json).map_err(wrong)?;
    let password = password.ok_or_else(|| FolderError::NoPassword(name.to_owned()))?;
    let secret = keystore.decrypt(password).map_err(wrong)?;
    SecretKey::from_bytes(&secret).map_err(|_| FolderError::NotAKey(name.to_owned()))
}

/// Maps opened shares, each with its file name, to validators by their position in the lock. Every validator must have
/// exactly one, and each must be the share of operator `me`.
///
/// # Errors
/// [`FolderError`] for the first share that does not fit, or if validators are left over.
pub fn match_shares(
    cluster: &Cluster,
    me: usize,
    shares: Vec<(String, SecretKey)>,
) -> Result<BTreeMap<usize, SecretKey>, FolderError> {
    if shares.is_empty() {
        return Err(FolderError::Empty);
    }
    let mut owners: BTreeMap<[u8; 48], (usize, usize)> = BTreeMap::new();
    for (validator, of_validator) in cluster.validators.iter().enumerate() {
        for (operator, share) in of_validator.public_shares.iter().enumerate() {
            owners.insert(share.to_bytes(), (validator, operator));
        }
    }
    let mut found: BTreeMap<usize, (String, SecretKey)> = BTreeMap::new();
    for (name, secret) in shares {
        let Some(&(validator, owner)) = owners.get(&secret.public_key().to_bytes()) else {
            return Err(FolderError::Foreign(name));
        };
        if owner != me {
            return Err(FolderError::OtherOperator { name, owner, me });
        }
        if let Some((first, _)) = found.get(&validator) {
            return Err(FolderError::Twice {
                first: first.clone(),
                second: name,
            });
        }
        found.insert(validator, (name, secret));
    }
    let validators = cluster.validators.len();
    if let Some(first) = (0..validators).find(|v| !found.contains_key(v)) {
        return Err(FolderError::Missing {
            missing: validators.saturating_sub(found.len()),
            validators,
            first,
        });
    }
    Ok(found
        .into_iter()
        .map(|(validator, (_, secret))| (validator, secret))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_stands_in_the_file_name() {
        assert_eq!(index_of("keystore-12.json"), Some(12));
        assert_eq!(index_of("keystore-insecure-0.json"), Some(0));
        assert_eq!(index_of("keystore-x.json"), None);
        assert_eq!(index_of("keystore-1.txt"), None);
        assert_eq!(password_name("keystore-insecure-3.json"), "keystore-insecure-3.txt");
    }
}
