//! Flag before TRIREME_ variable before CHARON_ variable before file before default.

use std::{fs, path::Path};

use crate::call::trireme;

/// The folder whose key `enr` shows tells which layer won.
fn key_folders(parent: &Path, names: &[&str]) -> Vec<String> {
    names
        .iter()
        .map(|name| {
            let folder = parent.join(name);
            let created = trireme(&["create", "enr", "--data-dir", folder.to_str().unwrap()], &[], parent).unwrap();
            created.lines().nth(1).unwrap().to_owned()
        })
        .collect()
}

#[test]
fn each_layer_wins_over_those_below_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let names = ["flag", "trireme", "charon", "file", "charon-file"];
    let enrs = key_folders(dir.path(), &names);
    let (flag, first, second) = (path("flag"), path("trireme"), path("charon"));
    let show = |arguments: &[&str], environment: &[(&str, &str)]| {
        let all: Vec<&str> = ["enr"].iter().chain(arguments).copied().collect();
        trireme(&all, environment, dir.path()).unwrap().trim().to_owned()
    };
    fs::write(
        dir.path().join("charon.yaml"),
        format!("data-dir: {}\n", path("charon-file")),
    )
    .unwrap();
    assert_eq!(show(&[], &[]), enrs[4]);
    fs::write(
        dir.path().join("trireme.toml"),
        format!("data-dir = \"{}\"\n", path("file")),
    )
    .unwrap();
    assert_eq!(show(&[], &[]), enrs[3]);
    assert_eq!(show(&[], &[("CHARON_DATA_DIR", &second)]), enrs[2]);
    assert_eq!(
        show(&[], &[("CHARON_DATA_DIR", &second), ("TRIREME_DATA_DIR", &first)]),
        enrs[1]
    );
    assert_eq!(show(&["--data-dir", &flag], &[("TRIREME_DATA_DIR", &first)]), enrs[0]);
    // An empty variable is none.
    assert_eq!(
        show(&[], &[("TRIREME_DATA_DIR", ""), ("CHARON_DATA_DIR", &second)]),
        enrs[2]
    );
}

#[test]
fn a_truth_value_may_come_from_anywhere_and_false_wins_over_a_lower_true() {
    let dir = tempfile::tempdir().unwrap();
    let version = |arguments: &[&str], environment: &[(&str, &str)]| {
        let all: Vec<&str> = ["version"].iter().chain(arguments).copied().collect();
        trireme(&all, environment, dir.path()).map(|out| out.lines().count() > 1)
    };
    assert!(!version(&[], &[]).unwrap());
    assert!(version(&["--verbose"], &[]).unwrap());
    assert!(version(&[], &[("CHARON_VERBOSE", "true")]).unwrap());
    assert!(!version(&["--verbose=false"], &[("CHARON_VERBOSE", "true")]).unwrap());
    assert!(version(&[], &[("CHARON_VERBOSE", "perhaps")]).is_err());
    fs::write(dir.path().join("charon.yml"), "verbose: true\n").unwrap();
    assert!(version(&[], &[]).unwrap());
    assert!(!version(&[], &[("TRIREME_VERBOSE", "0")]).unwrap());
}

#[test]
fn a_file_that_does_not_parse_ends_the_command() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("trireme.yaml"), "a: [").unwrap();
    let error = trireme(&["version"], &[], dir.path()).unwrap_err().to_string();
    assert!(error.starts_with("read config: trireme.yaml: "), "{error}");
}

#[test]
fn a_list_in_the_environment_is_one_text_with_commas() {
    let dir = tempfile::tempdir().unwrap();
    let error = trireme(
        &["run"],
        &[
            ("CHARON_BEACON_NODE_ENDPOINTS", "http://localhost:5052,not-a-url"),
            ("CHARON_P2P_TCP_ADDRESS", ":3610"),
        ],
        dir.path(),
    )
    .unwrap_err()
    .to_string();
    assert!(
        error.contains("--beacon-node-endpoints: \"not-a-url\" is not an http:// or https:// URL"),
        "{error}"
    );
    assert!(error.contains("--p2p-tcp-address: \":3610\" is not ip:port"), "{error}");
}

#[test]
fn a_complaint_says_which_variable_or_file_the_value_came_from() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("trireme.env"), "CHARON_NUM_VALIDATORS=some\n").unwrap();
    let environment = [
        ("CHARON_NODES", "four"),
        ("TRIREME_THRESHOLD", "three"),
        ("CHARON_THRESHOLD", "3"),
    ];
    let error = trireme(&["create", "cluster", "--target-gas-limit=x"], &environment, dir.path())
        .unwrap_err()
        .to_string();
    for (flag, origin) in [
        ("nodes", " (set by CHARON_NODES)"),
        ("threshold", " (set by TRIREME_THRESHOLD)"),
        ("num-validators", " (set by trireme.env)"),
    ] {
        let line = error.lines().find(|l| l.contains(&format!("--{flag}: ")));
        assert!(line.is_some_and(|l| l.ends_with(origin)), "{flag}: {error}");
    }
    let line = error.lines().find(|l| l.contains("--target-gas-limit: ")).unwrap();
    assert!(!line.contains("set by"), "{error}");
}

#[test]
fn the_first_of_several_files_counts_and_fills_what_the_others_leave_open() {
    let dir = tempfile::tempdir().unwrap();
    let verbose = || trireme(&["version"], &[], dir.path()).map(|out| out.lines().count() > 1);
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    write("charon.env", "verbose=true\n");
    assert!(verbose().unwrap());
    write("charon.yml", "verbose: false\n");
    assert!(!verbose().unwrap());
    write("charon.yaml", "verbose: true\n");
    assert!(verbose().unwrap());
    write("charon.toml", "verbose = false\n");
    assert!(!verbose().unwrap());
    write("charon.json", "{\"verbose\": true}");
    assert!(verbose().unwrap());
    // Another setting of ours leaves Charon's file its say.
    write("trireme.yaml", "nickname: x\n");
    assert!(verbose().unwrap());
    write("trireme.json", "{\"verbose\": \"false\"}");
    assert!(!verbose().unwrap());
}

#[test]
fn what_stands_behind_two_dashes_does_not_take_the_environment_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let out = trireme(&["version", "--", "ignored"], &[("CHARON_VERBOSE", "true")], dir.path()).unwrap();
    assert!(out.lines().count() > 1, "{out}");
}
