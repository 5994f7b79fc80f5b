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
    /// A name without a number, where the order of the names counts.
    #[error(
        "keystore {0} has no number in its name, as keystore-0.json has; the numbers say which key belongs to which validator"
    )]
    NoIndex(String),
    /// Two names with one number.
    #[error("keystores {first} and {second} have the same number; remove one of them")]
    SameIndex {
        /// File name.
        first: String,
        /// File name.
        second: String,
    },
    /// A number is left out.
    #[error("there is no keystore-{missing}.json; the numbers must run from 0 to {last} without a gap")]
    Gap {
        /// The first number that is not there.
        missing: u64,
        /// The number of keystores less one.
        last: u64,
    },
    /// None of the passwords opens it.
    #[error("keystore {name} is opened by none of the {passwords} password files")]
    NoneOpens {
        /// File name.
        name: String,
        /// How many were tried.
        passwords: usize,
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

/// Whether a file of this name counts as a share's keystore.
#[must_use]
pub fn is_keystore_name(name: &str) -> bool {
    name.strip_prefix("keystore-")
        .is_some_and(|rest| rest.ends_with(".json"))
}

/// The number in a keystore's file name, `keystore-7.json` or `keystore-insecure-7.json`. What stands around that does not
/// count, so names like `old-keystore-7.json.bak` have one, too.
#[must_use]
pub fn index_of(name: &str) -> Option<u64> {
    name.match_indices("keystore-").find_map(|(at, prefix)| {
        let rest = name.get(at.saturating_add(prefix.len())..)?;
        let rest = rest.strip_prefix("insecure-").unwrap_or(rest);
        let end = rest.find(|c: char| !c.is_ascii_digit())?;
        let (digits, tail) = rest.split_at(end);
        // One character, whichever, before `json`: Charon looks for the same.
        let mut tail = tail.chars();
        tail.next()?;
        if tail.as_str().starts_with("json") {
            digits.parse().ok()
        } else {
            None
        }
    })
}

/// File names in the order of their numbers, which must run from 0 without gap and without repetition.
///
/// # Errors
/// [`FolderError`] that names the file or the missing number.
pub fn in_sequence(names: impl IntoIterator<Item = String>) -> Result<Vec<String>, FolderError> {
    let mut by_index: BTreeMap<u64, String> = BTreeMap::new();
    for name in names {
        let Some(index) = index_of(&name) else {
            return Err(FolderError::NoIndex(name));
        };
        if let Some(first) = by_index.insert(index, name.clone()) {
            return Err(FolderError::SameIndex { first, second: name });
        }
    }
    let last = by_index.len().checked_sub(1).ok_or(FolderError::Empty)?;
    let last = u64::try_from(last).unwrap_or(u64::MAX);
    match (0..=last).find(|index| !by_index.contains_key(index)) {
        Some(missing) => Err(FolderError::Gap { missing, last }),
        None => Ok(by_index.into_values().collect()),
    }
}

/// The name of a keystore's password file.
#[must_use]
pub fn password_name(keystore: &str) -> String {
    keystore
        .strip_suffix(".json")
        .map_or_else(|| format!("{keystore}.txt"), |stem| format!("{stem}.txt"))
}

/// Opens one keystore of another tool's making: with its own password file if there is one, else with the first of all
/// passwords in reach that fits. Each try costs as much as opening, so callers with many keystores use several threads.
///
/// # Errors
/// [`FolderError`] naming the file.
pub fn open_with_any(file: KeystoreFile<'_>, others: &[&[u8]]) -> Result<SecretKey, FolderError> {
    let keystore = Keystore::from_json(file.json).map_err(|source| FolderError::Keystore {
        name: file.name.to_owned(),
        source,
    })?;
    let mut passwords: Vec<&[u8]> = file.password.into_iter().collect();
    for other in others {
        if !passwords.contains(other) {
            passwords.push(other);
        }
    }
    for password in &passwords {
        match keystore.decrypt(password) {
            Ok(secret) => {
                return SecretKey::from_bytes(&secret).map_err(|_| FolderError::NotAKey(file.name.to_owned()));
            }
            Err(KeystoreError::WrongPassword | KeystoreError::PasswordText) => {}
            // Of no use with any password.
            Err(source) => {
                return Err(FolderError::Keystore {
                    name: file.name.to_owned(),
                    source,
                });
            }
        }
    }
    Err(match passwords.len() {
        0 => FolderError::NoPassword(file.name.to_owned()),
        passwords => FolderError::NoneOpens {
            name: file.name.to_owned(),
            passwords,
        },
    })
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
        assert_eq!(index_of("keystore-m_12381_3600_0_0_0-keystore-3.json"), Some(3));
        assert_eq!(index_of("keystore-m_12381_3600_0_0_0-1663727039.json"), None);
        assert_eq!(index_of("keystore-x.json"), None);
        assert_eq!(index_of("keystore-1.txt"), None);
        assert_eq!(index_of("keystore-99999999999999999999.json"), None);
        assert_eq!(password_name("keystore-insecure-3.json"), "keystore-insecure-3.txt");
        assert!(is_keystore_name("keystore-a.json") && !is_keystore_name("a-keystore-1.json"));
    }

    #[test]
    fn numbers_run_from_zero_without_gap_and_repetition() {
        let order = |names: &[&str]| in_sequence(names.iter().map(|n| (*n).to_owned()));
        let sorted = order(&["keystore-10.json", "keystore-insecure-2.json"]).unwrap_err();
        assert_eq!(sorted, FolderError::Gap { missing: 0, last: 1 });
        assert_eq!(
            order(&["keystore-1.json", "keystore-insecure-2.json", "keystore-0.json"]).unwrap(),
            ["keystore-0.json", "keystore-1.json", "keystore-insecure-2.json"]
        );
        assert_eq!(order(&[]), Err(FolderError::Empty));
        assert_eq!(
            order(&["keystore-0.json", "keystore-insecure-0.json"]),
            Err(FolderError::SameIndex {
                first: "keystore-0.json".into(),
                second: "keystore-insecure-0.json".into()
            })
        );
        let named = order(&["keystore-0.json", "keystore-old.json"]).unwrap_err();
        assert_eq!(named, FolderError::NoIndex("keystore-old.json".into()));
    }

    #[test]
    fn a_foreign_keystore_is_opened_by_any_password_in_reach_its_own_first() {
        use trireme_keys::keystore::{Cost, Nonces};
        let nonces = Nonces {
            salt: [1; 32],
            iv: [2; 16],
            uuid: [3; 16],
        };
        let json = Keystore::encrypt(&[9; 32], &[0; 48], "right", Cost::Insecure, &nonces).to_json();
        let open = |password: Option<&'static str>, others: &[&[u8]]| {
            let file = KeystoreFile {
                name: "a.json",
                json: &json,
                password: password.map(str::as_bytes),
            };
            open_with_any(file, others).map(|key| *key.to_bytes())
        };
        assert_eq!(open(Some("right\n"), &[]), Ok([9; 32]));
        assert_eq!(open(Some("wrong"), &[b"\xff", b"right"]), Ok([9; 32]));
        assert_eq!(open(None, &[b"x", b"right"]), Ok([9; 32]));
        assert_eq!(open(None, &[]), Err(FolderError::NoPassword("a.json".into())));
        assert_eq!(
            open(Some("wrong"), &[b"wrong", b"worse"]),
            Err(FolderError::NoneOpens {
                name: "a.json".into(),
                passwords: 2
            })
        );
    }
}
