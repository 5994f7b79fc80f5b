//! `verify`: exit code and last sentence for whole and broken folders, and the facts as JSON.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use serde_json::Value;
use trireme_cli::Failure;

use crate::{call::refused, create_cluster::create};

/// Runs the command in `folder`: exit code and output.
pub(crate) fn run(arguments: &[&str], folder: &Path) -> Result<(ExitCode, String), Failure> {
    let arguments = std::iter::once("trireme")
        .chain(arguments.iter().copied())
        .map(|argument| match argument.strip_prefix("./") {
            // Tests share one working folder, so paths are made absolute.
            Some(path) => folder.join(path).into_os_string(),
            None => argument.into(),
        })
        .collect();
    let mut out = Vec::new();
    let code = trireme_cli::run(arguments, std::iter::empty(), folder, &mut out)?;
    Ok((code, String::from_utf8(out).unwrap()))
}

/// The verdict on a path: the exit code and the last line.
fn verdict(path: &str, more: &[&str], folder: &Path) -> (u8, String) {
    let arguments: Vec<&str> = ["verify", path].iter().chain(more).copied().collect();
    let (code, text) = run(&arguments, folder).unwrap_or_else(|e| panic!("{e}"));
    let sentence = text.lines().last().unwrap().to_owned();
    let json: Vec<&str> = arguments.iter().copied().chain(["--output=json"]).collect();
    let json: Value = serde_json::from_str(&run(&json, folder).unwrap().1).unwrap();
    assert_eq!(json["sentence"], sentence.as_str());
    let number = u8::try_from(json["exit_code"].as_u64().unwrap()).unwrap();
    assert_eq!(code, ExitCode::from(number));
    let word = ["verified", "unchecked", "wrong", "incomplete"][usize::from(number)];
    assert_eq!(json["verdict"], word);
    (number, sentence)
}

fn set_mode(path: PathBuf, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn cluster() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    create(dir.path(), &["--nodes=3", "--num-validators=2"]).unwrap();
    dir
}

#[test]
fn a_new_cluster_is_safe_to_deposit_whole_folder_by_folder_and_unopened() {
    let dir = cluster();
    assert_eq!(verdict("./", &[], dir.path()), (0, "safe to deposit".to_owned()));
    assert_eq!(verdict("./node2", &[], dir.path()), (0, "safe to deposit".to_owned()));
    let several = run(&["verify", "./node0", "./node2", "./node1"], dir.path()).unwrap();
    assert!(several.1.ends_with("\nsafe to deposit\n"), "{}", several.1);
    let (code, sentence) = verdict("./", &["--no-decrypt"], dir.path());
    assert_eq!(code, 0);
    assert!(
        sentence.starts_with("safe to deposit, provided that the keystores open"),
        "{sentence}"
    );
}

#[test]
fn it_shows_keys_addresses_and_amounts_and_what_is_wrong_with_what_to_do() {
    let dir = cluster();
    set_mode(dir.path().join("node1/charon-enr-private-key"), 0o644);
    let (_, text) = run(&["verify", "./"], dir.path()).unwrap();
    let (_, json) = run(&["verify", "./", "--output=json"], dir.path()).unwrap();
    let json: Value = serde_json::from_str(&json).unwrap();
    let validators = json["cluster"]["validators"].as_array().unwrap();
    assert_eq!(validators.len(), 2);
    for validator in validators {
        for member in ["public_key", "withdrawal_address", "fee_recipient_address"] {
            assert!(text.contains(validator[member].as_str().unwrap()), "{member}\n{text}");
        }
        assert_eq!(
            validator["deposit_amounts_gwei"],
            serde_json::json!([1_000_000_000_u64, 32_000_000_000_u64])
        );
    }
    assert!(text.contains("deposits        1 ETH, 32 ETH"), "{text}");
    assert!(
        text.contains("WRONG  node1/charon-enr-private-key: other users of this machine"),
        "{text}"
    );
    assert!(text.contains("Run `chmod 600 node1/charon-enr-private-key`"), "{text}");
    let findings = json["findings"].as_array().unwrap();
    let wrong: Vec<_> = findings.iter().filter(|f| f["result"] == "wrong").collect();
    assert_eq!(wrong.len(), 1);
    assert_eq!(
        (&wrong[0]["check"], &wrong[0]["place"]),
        (&"file_modes".into(), &"node1/charon-enr-private-key".into())
    );
    assert!(
        findings
            .iter()
            .any(|f| f["check"] == "any_threshold" && f["result"] == "passed")
    );
}

#[test]
fn no_secret_is_shown() {
    let dir = cluster();
    let read = |name: &str| fs::read_to_string(dir.path().join("node0").join(name)).unwrap();
    let secrets = [
        read("charon-enr-private-key"),
        read("validator_keys/keystore-insecure-0.txt"),
    ];
    set_mode(dir.path().join("node0/charon-enr-private-key"), 0o644);
    let shown = [
        run(&["verify", "./"], dir.path()).unwrap().1,
        run(&["verify", "./", "--output=json"], dir.path()).unwrap().1,
        run(&["inspect", "./node0/charon-enr-private-key"], dir.path())
            .unwrap()
            .1,
        run(
            &["inspect", "./node0/charon-enr-private-key", "--output=json"],
            dir.path(),
        )
        .unwrap()
        .1,
        run(
            &["inspect", "./node0/validator_keys/keystore-insecure-0.json"],
            dir.path(),
        )
        .unwrap()
        .1,
    ];
    for text in shown {
        assert!(secrets.iter().all(|secret| !text.contains(secret)), "{text}");
    }
}

#[test]
fn what_is_missing_is_told_as_one_sentence() {
    let dir = cluster();
    fs::remove_file(dir.path().join("node0/validator_keys/keystore-insecure-1.json")).unwrap();
    fs::remove_file(dir.path().join("node0/charon-enr-private-key")).unwrap();
    let (code, sentence) = verdict("./node0", &[], dir.path());
    assert_eq!(code, 3);
    assert!(
        sentence.starts_with("this backup lacks the identity key ("),
        "{sentence}"
    );
    assert!(sentence.contains(" and the keystores of validator 1 ("), "{sentence}");
    let (code, sentence) = verdict("./", &[], dir.path());
    assert_eq!(code, 3, "{sentence}");
    fs::remove_file(dir.path().join("node1/cluster-lock.json")).unwrap();
    for name in ["deposit-data.json", "deposit-data-1eth.json"] {
        fs::remove_file(dir.path().join("node1").join(name)).unwrap();
    }
    let (code, sentence) = verdict("./node1", &[], dir.path());
    assert_eq!(code, 3, "{sentence}");
    assert!(sentence.starts_with("this backup lacks the cluster lock"), "{sentence}");
}

#[test]
fn swapped_folders_other_locks_and_deposits_without_lock_are_do_not_deposit() {
    let dir = cluster();
    let at = |name: &str| dir.path().join(name);
    fs::rename(at("node0/validator_keys"), at("keys")).unwrap();
    fs::rename(at("node1/validator_keys"), at("node0/validator_keys")).unwrap();
    fs::rename(at("keys"), at("node1/validator_keys")).unwrap();
    let (code, sentence) = verdict("./", &[], dir.path());
    assert_eq!(code, 2);
    assert!(
        sentence
            .starts_with("do not deposit: node0/validator_keys/keystore-insecure-0.json: this is operator 1's share"),
        "{sentence}"
    );

    let other = cluster();
    fs::remove_file(at("node2/cluster-lock.json")).unwrap();
    fs::copy(
        other.path().join("node2/cluster-lock.json"),
        at("node2/cluster-lock.json"),
    )
    .unwrap();
    let (_, json) = run(&["verify", "./", "--output=json"], dir.path()).unwrap();
    assert!(
        json.contains("this is another lock than node0/cluster-lock.json"),
        "{json}"
    );

    fs::remove_file(at("node2/cluster-lock.json")).unwrap();
    let (code, sentence) = verdict("./node2", &[], dir.path());
    assert_eq!(code, 2);
    assert!(
        sentence.contains("there is deposit data, but no cluster lock"),
        "{sentence}"
    );
    let (code, sentence) = verdict("./node2/deposit-data.json", &[], dir.path());
    assert_eq!(code, 2);
    assert!(
        sentence.contains("there is deposit data, but no cluster lock"),
        "{sentence}"
    );
}

#[test]
fn what_cannot_be_checked_at_all_is_refused_with_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let empty = refused(&["verify", dir.path().to_str().unwrap()], dir.path());
    assert!(empty.contains("holds no file of a node"), "{empty}");
    let missing = refused(&["verify", "/nowhere/at/all"], dir.path());
    assert!(
        missing.contains("the folder /nowhere/at/all cannot be read"),
        "{missing}"
    );
    let file = dir.path().join("x.json");
    fs::write(&file, "{}").unwrap();
    let other = refused(&["verify", file.to_str().unwrap()], dir.path());
    assert!(other.contains("is no file of a cluster"), "{other}");
    let flags = refused(&["verify", "--no-decrypt=maybe", "--output=xml"], dir.path());
    assert!(flags.contains("--no-decrypt") && flags.contains("--output"), "{flags}");
}

#[test]
fn a_broken_lock_is_do_not_deposit_not_a_failure() {
    let dir = cluster();
    let path = dir.path().join("node0/cluster-lock.json");
    let text = fs::read(&path).unwrap();
    set_mode(path.clone(), 0o600);
    fs::write(&path, &text[..text.len() / 2]).unwrap();
    set_mode(path, 0o400);
    for path in ["./node0", "./node0/cluster-lock.json"] {
        let (code, sentence) = verdict(path, &[], dir.path());
        assert_eq!(code, 2, "{sentence}");
        assert!(sentence.contains("the file is not JSON"), "{sentence}");
    }
}

#[test]
fn inspect_shows_every_kind_of_file() {
    let dir = cluster();
    let kinds = [
        ("./node0/cluster-lock.json", "cluster lock", "lock_hash"),
        ("./node0/deposit-data.json", "deposit data", "sum_gwei"),
        (
            "./node0/validator_keys/keystore-insecure-1.json",
            "keystore (EIP-2335)",
            "kdf_cost",
        ),
        (
            "./node0/charon-enr-private-key",
            "identity key (secret; shown is what follows from it)",
            "peer",
        ),
    ];
    for (file, kind, member) in kinds {
        let (_, text) = run(&["inspect", file], dir.path()).unwrap();
        assert!(text.starts_with(kind), "{text}");
        let (_, json) = run(&["inspect", file, "--output=json"], dir.path()).unwrap();
        let json: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["kind"], kind);
        assert!(!json[member].is_null(), "{json}");
    }
    let (_, text) = run(
        &["inspect", "./node0/charon-enr-private-key", "--output=json"],
        dir.path(),
    )
    .unwrap();
    let enr: Value = serde_json::from_str(&text).unwrap();
    let (_, shown) = run(&["inspect", enr["enr"].as_str().unwrap()], dir.path()).unwrap();
    assert!(
        shown.starts_with("node record (ENR)") && shown.contains(enr["peer"].as_str().unwrap()),
        "{shown}"
    );
    let other = refused(&["inspect", "/etc/hostname"], dir.path());
    assert!(
        other.contains("is no file of a cluster") || other.contains("cannot be"),
        "{other}"
    );
}
