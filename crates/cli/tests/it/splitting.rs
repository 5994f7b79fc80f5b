//! Keys of existing validators, split in either loading order.

use std::{fs, path::Path};

use trireme_cluster::{Lock, Networks};
use trireme_keys::{
    Keystore,
    keystore::{Cost, Nonces},
};
use trireme_tbls::SecretKey;

use crate::{call::refused, create_cluster::create};

const A: &str = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
const B: &str = "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359";

/// The hex of the public key of the secret that consists of this byte.
fn public(byte: u8) -> String {
    let key = SecretKey::from_bytes(&[byte; 32]).unwrap();
    hex::encode(key.public_key().to_bytes())
}

fn write_keystore(path: &Path, byte: u8, password: &str) {
    let secret = SecretKey::from_bytes(&[byte; 32]).unwrap();
    let nonces = Nonces {
        salt: [byte; 32],
        iv: [byte; 16],
        uuid: [byte; 16],
    };
    let public = secret.public_key().to_bytes();
    let keystore = Keystore::encrypt(&secret.to_bytes(), &public, password, Cost::Insecure, &nonces);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, keystore.to_json()).unwrap();
}

/// Splits what lies in `keys`; gives public keys and withdrawal addresses of the lock, in its order.
fn split(folder: &Path, keys: &Path, more: &[&str]) -> Result<Vec<(String, String)>, String> {
    let keys = format!("--split-keys-dir={}", keys.display());
    let base = ["--nodes=3", "--split-existing-keys", &keys];
    create(folder, &[&base[..], more].concat()).map_err(|e| e.to_string())?;
    let lock = Lock::from_json(&fs::read(folder.join("node0/cluster-lock.json")).unwrap()).unwrap();
    lock.verify(&Networks::known()).unwrap();
    let validators = lock.validators.iter().zip(&lock.definition.validators);
    Ok(validators
        .map(|(v, pair)| (hex::encode(&v.public_key), pair.withdrawal.clone()))
        .collect())
}

/// As `create`, with two withdrawal addresses.
fn split_in_order(folder: &Path, keys: &Path) -> Result<String, String> {
    let all = [
        "create".to_owned(),
        "cluster".to_owned(),
        "--insecure-keys".to_owned(),
        "--name=test".to_owned(),
        "--network=hoodi".to_owned(),
        "--nodes=3".to_owned(),
        "--split-existing-keys".to_owned(),
        format!("--split-keys-dir={}", keys.display()),
        format!("--cluster-dir={}", folder.display()),
        format!("--fee-recipient-addresses={A}"),
        format!("--withdrawal-addresses={A},{B}"),
    ];
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    crate::call::trireme(&all, &[], folder).map_err(|e| e.to_string())
}

#[test]
fn with_one_address_for_all_keys_are_taken_from_wherever_they_lie_with_any_password_that_fits() {
    let (dir, keys) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // As a launchpad's tool names them, with one password for several; another beside its own; one deeper.
    write_keystore(&keys.path().join("keystore-m_12381_3600_0_0_0-1.json"), 1, "shared");
    write_keystore(&keys.path().join("b/deep/keystore-2.json"), 2, "own");
    fs::write(keys.path().join("b/deep/keystore-2.txt"), "own\n").unwrap();
    write_keystore(&keys.path().join("other.json"), 3, "shared");
    fs::write(keys.path().join("passwords.txt"), "shared").unwrap();
    // What is no keystore does not count.
    fs::write(keys.path().join("deposit_data-1.json"), "[]").unwrap();
    fs::write(keys.path().join("notes.md"), "hello").unwrap();
    let lock = split(dir.path(), keys.path(), &[]).unwrap();
    let mut found: Vec<String> = lock.into_iter().map(|(key, _)| key).collect();
    found.sort();
    let mut expected = vec![public(1), public(2), public(3)];
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn with_an_address_for_each_key_the_numbers_decide() {
    let (dir, keys) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (number, byte) in [(0, 7), (1, 5)] {
        write_keystore(&keys.path().join(format!("keystore-{number}.json")), byte, "x");
        fs::write(keys.path().join(format!("keystore-{number}.txt")), "x").unwrap();
    }
    // Not in the folder itself, so not meant.
    write_keystore(&keys.path().join("more/keystore-2.json"), 9, "x");
    split_in_order(dir.path(), keys.path()).unwrap();
    let lock = Lock::from_json(&fs::read(dir.path().join("node0/cluster-lock.json")).unwrap()).unwrap();
    let found: Vec<_> = lock
        .validators
        .iter()
        .zip(&lock.definition.validators)
        .map(|(v, pair)| (hex::encode(&v.public_key), pair.withdrawal.as_str()))
        .collect();
    assert_eq!(found, [(public(7), A), (public(5), B)]);

    // A gap would pair keys with the wrong addresses.
    fs::rename(keys.path().join("keystore-1.json"), keys.path().join("keystore-2.json")).unwrap();
    let other = tempfile::tempdir().unwrap();
    let error = split_in_order(other.path(), keys.path()).unwrap_err();
    assert!(error.contains("there is no keystore-1.json"), "{error}");
    assert_eq!(fs::read_dir(other.path()).unwrap().count(), 0);
}

#[test]
fn keys_that_are_there_twice_or_do_not_open_are_named() {
    let (dir, keys) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(keys.path().join("p.txt"), "x").unwrap();
    let error = split(dir.path(), keys.path(), &[]).unwrap_err();
    assert!(error.contains("no keystore in or below"), "{error}");
    write_keystore(&keys.path().join("a.json"), 1, "x");
    write_keystore(&keys.path().join("b.json"), 1, "x");
    let error = split(dir.path(), keys.path(), &[]).unwrap_err();
    assert!(
        error.contains("a.json and") && error.contains("b.json hold the same key"),
        "{error}"
    );
    write_keystore(&keys.path().join("b.json"), 2, "unknown");
    let error = split(dir.path(), keys.path(), &[]).unwrap_err();
    assert!(
        error.contains("keystore b.json is opened by none of the 1 password files"),
        "{error}"
    );
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    let error = refused(&["create", "cluster", "--split-existing-keys"], dir.path());
    assert!(
        error.contains("--split-keys-dir: needed with --split-existing-keys"),
        "{error}"
    );
}
