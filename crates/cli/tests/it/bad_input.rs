//! Files that are wrong, cut off, or not there: each is refused with a sentence that names it.

use std::{fs, path::Path};

use trireme_cluster::Networks;

use crate::call::{refused, trireme};

const ADDRESS: &str = "0x6325253fec738dd7a9e28bf921119c160f070244";

fn in_folder(name: &str, content: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(name), content).unwrap();
    let path = dir.path().join(name).to_str().unwrap().to_owned();
    (dir, path)
}

#[test]
fn a_missing_or_broken_identity_key_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().to_str().unwrap();
    let missing = refused(&["enr", "--data-dir", folder], dir.path());
    assert!(
        missing.contains("private key not found at") && missing.contains("trireme create enr"),
        "{missing}"
    );
    fs::write(dir.path().join("charon-enr-private-key"), "0123").unwrap();
    let broken = refused(&["enr", "--data-dir", folder], dir.path());
    assert!(
        broken.contains("charon-enr-private-key is of no use: the private key must be 64 hex digits"),
        "{broken}"
    );
}

/// Arguments of `create cluster` with a definition file.
fn from_definition(path: &str, folder: &Path) -> String {
    let out = folder.join("out");
    refused(
        &[
            "create",
            "cluster",
            "--insecure-keys",
            "--definition-file",
            path,
            "--cluster-dir",
            out.to_str().unwrap(),
        ],
        folder,
    )
}

#[test]
fn vc_24_no_flag_makes_the_fee_recipient_strict() {
    let dir = tempfile::tempdir().unwrap();
    for flag in ["--strict-fee-recipient", "--require-fee-recipient"] {
        let error = refused(&["run", flag], dir.path());
        assert!(error.contains(flag) && error.contains("unexpected argument"), "{error}");
    }
}

#[test]
fn a_definition_that_is_missing_broken_or_changed_is_refused() {
    let (dir, path) = in_folder("definition.json", "{\"version\": \"v1.10.0\"");
    let error = from_definition(&path, dir.path());
    assert!(
        error.contains("definition.json cannot be read: the file is not JSON"),
        "{error}"
    );
    fs::write(&path, "{\"version\": \"v1.99.0\"}").unwrap();
    let error = from_definition(&path, dir.path());
    assert!(
        error.contains("cluster file version \"v1.99.0\" is not supported"),
        "{error}"
    );
    let error = from_definition("nowhere.json", dir.path());
    assert!(
        error.contains("the cluster definition: nowhere.json cannot be read"),
        "{error}"
    );
    fs::write(
        &path,
        "{\"version\": \"v1.10.0\", \"fork_version\": \"0x10000910\", \"name\": \"x\"}",
    )
    .unwrap();
    let error = from_definition(&path, dir.path());
    assert!(
        error.contains("does not verify: the config hash does not fit"),
        "{error}"
    );
}

fn split(keys: &Path, folder: &Path) -> Result<String, String> {
    let out = folder.join("out");
    let (keys, out) = (keys.to_str().unwrap(), out.to_str().unwrap());
    let all = [
        "create",
        "cluster",
        "--insecure-keys",
        "--nodes=3",
        "--network=hoodi",
        "--split-existing-keys",
        "--split-keys-dir",
        keys,
        "--cluster-dir",
        out,
        "--fee-recipient-addresses",
        ADDRESS,
        "--withdrawal-addresses",
        ADDRESS,
    ];
    trireme(&all, &[], folder).map_err(|e| e.to_string())
}

#[test]
fn keys_to_split_that_do_not_open_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let keys = dir.path().join("keys");
    fs::create_dir(&keys).unwrap();
    let error = split(&keys, dir.path()).unwrap_err();
    assert!(error.contains("no keystore in or below"), "{error}");

    // A share's keystore of another cluster is a keystore like any other.
    let other = dir.path().join("other");
    let all = [
        "create",
        "cluster",
        "--insecure-keys",
        "--nodes=3",
        "--num-validators=1",
        "--network=hoodi",
        "--cluster-dir",
        other.to_str().unwrap(),
        "--fee-recipient-addresses",
        ADDRESS,
        "--withdrawal-addresses",
        ADDRESS,
    ];
    trireme(&all, &[], dir.path()).unwrap();
    let source = other.join("node0/validator_keys/keystore-insecure-0");
    let json = fs::read(source.with_extension("json")).unwrap();
    fs::write(keys.join("keystore-0.json"), &json).unwrap();
    let error = split(&keys, dir.path()).unwrap_err();
    assert!(
        error.contains("keystore keystore-0.json has no password: put it into a file"),
        "{error}"
    );
    fs::write(keys.join("keystore-0.txt"), "wrong").unwrap();
    let error = split(&keys, dir.path()).unwrap_err();
    assert!(
        error.contains("keystore keystore-0.json") && error.contains("opened by none of the 1 password files"),
        "{error}"
    );
    fs::copy(source.with_extension("txt"), keys.join("keystore-1.txt")).unwrap();
    fs::rename(keys.join("keystore-1.txt"), keys.join("keystore-0.txt")).unwrap();
    fs::write(keys.join("keystore-0.json"), &json[..json.len() / 2]).unwrap();
    let error = split(&keys, dir.path()).unwrap_err();
    assert!(
        error.contains("keystore keystore-0.json: the file is not an EIP-2335 keystore"),
        "{error}"
    );
    fs::write(keys.join("keystore-0.json"), &json).unwrap();
    split(&keys, dir.path()).unwrap();
    let lock = fs::read(dir.path().join("out/node0/cluster-lock.json")).unwrap();
    trireme_cluster::Lock::from_json(&lock)
        .unwrap()
        .verify(&Networks::known())
        .unwrap();
}
