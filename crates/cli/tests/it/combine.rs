//! `combine`: whole keys from folders of ours and of others, and the output folder however the command ends.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use clap::Parser as _;
use serde::Deserialize;
use trireme_cli::{
    commands::combine::{CombineConfig, config, run_on},
    flags::{Cli, Command},
};
use trireme_cluster::folder::{KeystoreFile, open_keystore, password_name};
use trireme_files::{Disk, faulty::StopsAfter};
use trireme_keys::keystore::Cost;

use crate::{create_cluster::create, verify::run};

fn settings(cluster: &Path, output: &Path, more: &[&str]) -> CombineConfig {
    let flags = [
        "trireme".to_owned(),
        "combine".to_owned(),
        format!("--cluster-dir={}", cluster.display()),
        format!("--output-dir={}", output.display()),
    ];
    let flags = flags.into_iter().chain(more.iter().map(|m| (*m).to_owned()));
    match Cli::parse_from(flags).command {
        Some(Command::Combine(flags)) => config(&flags).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// Combines at next to no cost.
fn combine(cluster: &Path, output: &Path, more: &[&str]) -> anyhow::Result<String> {
    let mut out = Vec::new();
    run_on(&settings(cluster, output, more), &Disk, Cost::Insecure, &mut out)?;
    Ok(String::from_utf8(out).unwrap())
}

fn cluster(validators: usize) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    create(dir.path(), &["--nodes=4", &format!("--num-validators={validators}")]).unwrap();
    dir
}

/// The secrets of a folder's keystores by file name, opened; whatever else lies there by its content.
fn secrets(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let Ok(entries) = fs::read_dir(folder) else {
        return BTreeMap::new();
    };
    let names = entries.map(|e| e.unwrap().file_name().into_string().unwrap());
    names
        .filter(|name| name.ends_with(".json"))
        .map(|name| {
            let json = fs::read(folder.join(&name)).unwrap();
            let password = fs::read(folder.join(password_name(&name))).unwrap_or_else(|e| panic!("{name}: {e}"));
            let file = KeystoreFile {
                name: &name,
                json: &json,
                password: Some(&password),
            };
            let key = open_keystore(file).unwrap_or_else(|e| panic!("{e}"));
            (name, key.to_bytes().to_vec())
        })
        .collect()
}

#[test]
fn any_threshold_of_folders_gives_the_keys_of_the_lock() {
    let dir = cluster(2);
    let all = dir.path().join("all");
    let text = combine(dir.path(), &all, &[]).unwrap();
    assert!(text.contains("keystore-1.json  0x"), "{text}");
    let keys = secrets(&all);
    assert_eq!(keys.len(), 2);
    let mode = |name: &str| fs::metadata(all.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("keystore-0.json"), mode("keystore-0.txt")), (0o444, 0o400));
    assert!(!all.join(trireme_files::STAGING).exists());
    fs::rename(dir.path().join("node1"), dir.path().join("all/away")).unwrap();
    let fewer = dir.path().join("fewer");
    combine(dir.path(), &fewer, &[]).unwrap();
    assert_eq!(secrets(&fewer), keys);
    fs::rename(dir.path().join("node2"), dir.path().join("all/also")).unwrap();
    let error = format!("{:#}", combine(dir.path(), &dir.path().join("none"), &[]).unwrap_err());
    assert!(
        error.contains("has the shares of 2 operators here, but needs 3"),
        "{error}"
    );
    assert!(!dir.path().join("none").exists());
}

#[test]
fn without_force_any_keystore_or_password_is_a_refusal_that_names_it() {
    let dir = cluster(1);
    for old in ["keystore-0.json", "keystore-7.json", "keystore-old.txt"] {
        let output = tempfile::tempdir().unwrap();
        fs::write(output.path().join(old), "old").unwrap();
        let error = combine(dir.path(), output.path(), &[]).unwrap_err().to_string();
        assert!(
            error.contains(&format!("{old} is there already")) && error.contains("--force"),
            "{error}"
        );
        assert_eq!(fs::read_dir(output.path()).unwrap().count(), 1);
        assert_eq!(fs::read(output.path().join(old)).unwrap(), b"old");
    }
}

#[test]
fn force_replaces_all_keystores_and_leaves_other_files() {
    let dir = cluster(2);
    let output = tempfile::tempdir().unwrap();
    for old in [
        "keystore-0.json",
        "keystore-0.txt",
        "keystore-5.json",
        "keystore-5.txt",
        "notes.txt",
    ] {
        fs::write(output.path().join(old), "old").unwrap();
    }
    combine(dir.path(), output.path(), &["--force"]).unwrap();
    let mut names: Vec<_> = fs::read_dir(output.path())
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "keystore-0.json",
            "keystore-0.txt",
            "keystore-1.json",
            "keystore-1.txt",
            "notes.txt"
        ]
    );
    assert_eq!(secrets(output.path()).len(), 2);
    assert_eq!(fs::read(output.path().join("notes.txt")).unwrap(), b"old");
}

#[test]
fn folders_of_different_clusters_are_not_combined() {
    let (dir, other) = (cluster(1), cluster(1));
    fs::remove_dir_all(dir.path().join("node3")).unwrap();
    fs::rename(other.path().join("node3"), dir.path().join("node3")).unwrap();
    let output = dir.path().join("out");
    let error = combine(dir.path(), &output, &[]).unwrap_err().to_string();
    assert!(error.contains("hold different cluster locks"), "{error}");
    let error = format!("{:#}", combine(dir.path(), &output, &["--no-verify"]).unwrap_err());
    assert!(error.contains("holds no share of any validator of the lock"), "{error}");
    assert!(!output.exists());
}

#[test]
fn a_lock_that_does_not_verify_is_refused_unless_told_otherwise() {
    let dir = cluster(1);
    for n in 0..4 {
        let path = dir.path().join(format!("node{n}/cluster-lock.json"));
        let text = fs::read_to_string(&path)
            .unwrap()
            .replace("\"name\": \"test\"", "\"name\": \"tost\"");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, text).unwrap();
    }
    let output = dir.path().join("out");
    let error = format!("{:#}", combine(dir.path(), &output, &[]).unwrap_err());
    assert!(error.contains("the cluster lock does not verify"), "{error}");
    combine(dir.path(), &output, &["--no-verify"]).unwrap();
    assert_eq!(secrets(&output).len(), 1);
}

#[test]
fn one_broken_keystore_matters_only_if_too_few_are_left() {
    let dir = cluster(1);
    fs::remove_file(dir.path().join("node0/validator_keys/keystore-insecure-0.txt")).unwrap();
    combine(dir.path(), &dir.path().join("out"), &[]).unwrap();
    fs::remove_file(dir.path().join("node1/validator_keys/keystore-insecure-0.txt")).unwrap();
    let error = format!("{:#}", combine(dir.path(), &dir.path().join("more"), &[]).unwrap_err());
    assert!(
        error.contains("has the shares of 2 operators here, but needs 3"),
        "{error}"
    );
}

/// The command is stopped after every number of calls, with and without a power cut; then it runs again. The folder holds
/// the old keys or the new ones, never some of both, and none is lost.
#[test]
fn a_command_that_stops_anywhere_leaves_old_keys_or_new_ones() {
    let (old, new) = (cluster(2), cluster(1));
    let template = tempfile::tempdir().unwrap();
    combine(old.path(), &template.path().join("old"), &[]).unwrap();
    combine(new.path(), &template.path().join("new"), &[]).unwrap();
    let (old_keys, new_keys) = (
        secrets(&template.path().join("old")),
        secrets(&template.path().join("new")),
    );
    for (force, power) in [(false, false), (false, true), (true, false), (true, true)] {
        for calls in 0.. {
            let dir = tempfile::tempdir().unwrap();
            let output = dir.path().join("out");
            let before = if force {
                copy(&template.path().join("old"), &output);
                &old_keys
            } else {
                &BTreeMap::new()
            };
            let more: &[&str] = if force { &["--force"] } else { &[] };
            let fs = StopsAfter::new(calls);
            let result = run_on(
                &settings(new.path(), &output, more),
                &fs,
                Cost::Insecure,
                &mut Vec::new(),
            );
            if !fs.stopped() {
                result.unwrap();
                assert_eq!(secrets(&output), new_keys);
                break;
            }
            if power {
                fs.lose_power();
            }
            // The next command that looks at the folder.
            let again = combine(new.path(), &output, more);
            let at = format!("force {force}, power {power}, stopped after {calls}");
            let found = secrets(&output);
            match again {
                Ok(_) => assert_eq!(found, new_keys, "{at}"),
                Err(error) => {
                    assert!(error.to_string().contains("is there already"), "{at}: {error}");
                    assert!(found == *before || found == new_keys, "{at}");
                    assert!(!found.is_empty(), "{at}: {error}");
                }
            }
        }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

mod vectors {
    use super::*;

    #[derive(Deserialize)]
    struct Index {
        validators: Vec<Validator>,
    }

    #[derive(Deserialize)]
    struct Validator {
        secret: String,
    }

    #[derive(Deserialize)]
    struct Testnet {
        name: String,
        chain_id: u64,
        fork_version: String,
        genesis_timestamp: u64,
    }

    /// Modes as the program that made them had them; copies of vectors have others.
    fn with_modes(folder: &Path) {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path: PathBuf = entry.path();
            let name = entry.file_name().into_string().unwrap();
            let mode = match name.as_str() {
                "charon-enr-private-key" => 0o600,
                name if name.ends_with(".txt") => 0o400,
                _ if entry.file_type().unwrap().is_dir() => {
                    with_modes(&path);
                    continue;
                }
                _ => 0o444,
            };
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
    }

    /// Folders that Charon made are safe to deposit, and combine to the keys that they were made with. The kind's own test
    /// is in crate `cluster`; this one goes through the commands.
    #[test]
    fn folders_of_charon_verify_and_combine() {
        for root in trireme_vectors::roots() {
            for entry in trireme_vectors::entries(&root, "cluster") {
                if entry.kind() != "cluster-folder" {
                    continue;
                }
                let dir = tempfile::tempdir().unwrap();
                copy(&entry.dir(), dir.path());
                with_modes(dir.path());
                let testnet: Vec<String> = entry.opt::<Testnet>("testnet").map_or_else(Vec::new, |t| {
                    vec![
                        format!("--testnet-name={}", t.name),
                        format!("--testnet-chain-id={}", t.chain_id),
                        format!("--testnet-fork-version={}", t.fork_version),
                        format!("--testnet-genesis-timestamp={}", t.genesis_timestamp),
                    ]
                });
                let testnet: Vec<&str> = testnet.iter().map(String::as_str).collect();
                let arguments: Vec<&str> = ["verify", "./"].into_iter().chain(testnet.iter().copied()).collect();
                let (_, text) = run(&arguments, dir.path()).unwrap();
                assert!(text.ends_with("\nsafe to deposit\n"), "{entry}:\n{text}");
                let output = dir.path().join("restored");
                combine(dir.path(), &output, &testnet).unwrap();
                let index: Index = serde_json::from_slice(&fs::read(entry.dir().join("index.json")).unwrap()).unwrap();
                let expected = index.validators.iter().enumerate().map(|(at, v)| {
                    let secret = hex::decode(v.secret.trim_start_matches("0x")).unwrap();
                    (format!("keystore-{at}.json"), secret)
                });
                assert_eq!(secrets(&output), expected.collect(), "{entry}");
            }
        }
    }
}
