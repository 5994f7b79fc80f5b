//! The small commands.

use std::{fs, os::unix::fs::PermissionsExt};

use trireme_cli::Failure;

use crate::call::{refused, trireme};

#[test]
fn version_is_one_line_that_peers_and_scripts_parse() {
    let dir = tempfile::tempdir().unwrap();
    let out = trireme(&["version"], &[], dir.path()).unwrap();
    let (version, commit) = out.trim_end().split_once(' ').unwrap();
    assert!(version.starts_with("v1.11.0-"), "{version}");
    assert!(
        commit.starts_with("[git_commit_hash=") && commit.contains(",git_commit_time=") && commit.ends_with(']'),
        "{commit}"
    );
    assert_eq!(out.lines().count(), 1);
    let verbose = trireme(&["version", "--verbose", "ignored"], &[], dir.path()).unwrap();
    assert!(verbose.starts_with(&out));
    assert!(verbose.contains("\nDependencies:\n\t"), "{verbose}");
    assert!(
        verbose.ends_with("Consensus protocols:\n\t/charon/consensus/qbft/2.0.0\n"),
        "{verbose}"
    );
}

#[test]
fn create_enr_makes_a_key_once_and_enr_shows_it() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("new/.charon");
    let data = data.to_str().unwrap();
    let created = trireme(&["create", "enr", "--data-dir", data], &[], dir.path()).unwrap();
    let mut lines = created.lines();
    assert_eq!(
        lines.next(),
        Some(format!("Created ENR private key: {data}/charon-enr-private-key").as_str())
    );
    let enr = lines.next().unwrap();
    assert!(created.contains("WARNING"));

    let file = std::path::Path::new(data).join("charon-enr-private-key");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let before = fs::read(&file).unwrap();
    assert_eq!(before.len(), 64);
    let again = refused(&["create", "enr", "--data-dir", data], dir.path());
    assert!(again.contains("already exists"), "{again}");
    assert_eq!(fs::read(&file).unwrap(), before);

    assert_eq!(
        trireme(&["enr", "--data-dir", data], &[], dir.path()).unwrap(),
        format!("{enr}\n")
    );
    let verbose = trireme(&["enr", "--data-dir", data, "--verbose"], &[], dir.path()).unwrap();
    assert!(
        verbose.starts_with(enr) && verbose.contains("secp256k1 pubkey: 0x0"),
        "{verbose}"
    );
}

#[test]
fn facts_are_one_json_object_on_one_line_where_that_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let json = |arguments: &[&str]| -> serde_json::Value {
        let out = trireme(arguments, &[], dir.path()).unwrap();
        assert_eq!(out.lines().count(), 1, "{out}");
        serde_json::from_str(&out).unwrap()
    };
    let version = json(&["version", "--output=json"]);
    assert!(
        version["version"].as_str().unwrap().starts_with("v1.11.0-"),
        "{version}"
    );
    assert!(version.get("dependencies").is_none());
    let verbose = json(&["version", "--output=json", "--verbose"]);
    assert!(
        verbose["dependencies"]
            .as_array()
            .unwrap()
            .iter()
            .any(|d| d["name"] == "clap")
    );
    assert_eq!(verbose["consensus_protocols"][0], "/charon/consensus/qbft/2.0.0");

    let data = dir.path().join("data");
    let data = data.to_str().unwrap();
    let created = json(&["create", "enr", "--output=json", "--data-dir", data]);
    assert_eq!(created["private_key_file"], format!("{data}/charon-enr-private-key"));
    let shown = json(&["enr", "--output=json", "--data-dir", data]);
    assert_eq!(shown["enr"], created["enr"]);
    let text = trireme(&["enr", "--verbose", "--data-dir", data], &[], dir.path()).unwrap();
    for member in ["enr", "secp256k1_pubkey", "signature"] {
        assert!(text.contains(shown[member].as_str().unwrap()), "{member}: {text}");
    }
}

#[test]
fn what_was_made_is_told_to_programs_too() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = dir.path().join("cluster");
    let cluster_dir = format!("--cluster-dir={}", cluster.display());
    let out = crate::create_cluster::create(
        dir.path(),
        &["--nodes=3", "--num-validators=2", &cluster_dir, "--output=json"],
    )
    .unwrap();
    assert_eq!(out.lines().count(), 1, "{out}");
    let made: serde_json::Value = serde_json::from_str(&out).unwrap();
    let bytes = fs::read(cluster.join("node0/cluster-lock.json")).unwrap();
    let lock: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(made["lock_hash"], lock["lock_hash"]);
    assert_eq!(
        made["validators"][1],
        lock["distributed_validators"][1]["distributed_public_key"]
    );
    assert_eq!((&made["nodes"], &made["threshold"]), (&3.into(), &2.into()));
    assert!(made["archive"].is_null() && made["published"].is_null(), "{made}");

    let output_dir = dir.path().join("keys");
    let flag = format!("--output-dir={}", output_dir.display());
    let out = trireme(&["combine", &cluster_dir, &flag, "--output=json"], &[], dir.path()).unwrap();
    let combined: serde_json::Value = serde_json::from_str(&out).unwrap();
    for (validator, key) in combined["validators"]
        .as_array()
        .unwrap()
        .iter()
        .zip(made["validators"].as_array().unwrap())
    {
        assert_eq!(validator["public_key"], *key);
        assert!(output_dir.join(validator["keystore"].as_str().unwrap()).is_file());
        assert!(output_dir.join(validator["password"].as_str().unwrap()).is_file());
    }
    assert_eq!(combined["validators"].as_array().unwrap().len(), 2);
}

#[test]
fn all_words_that_no_flag_knows_are_told_together_with_what_may_be_meant() {
    let dir = tempfile::tempdir().unwrap();
    let error = refused(
        &[
            "create",
            "cluster",
            "--node=4",
            "--name",
            "x",
            "--treshold",
            "3",
            "--network=hoodi",
            "--bogus",
        ],
        dir.path(),
    );
    assert!(error.starts_with("3 words are wrong:"), "{error}");
    for part in ["'--node'", "'--nodes'", "'--treshold'", "'--threshold'", "'--bogus'"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    let missing = refused(&["inspect"], dir.path());
    assert_eq!(missing, "the following required arguments were not provided: <FILE>");
    let one = refused(&["enr", "extra"], dir.path());
    assert_eq!(one, "unexpected argument 'extra' found");
}

#[test]
fn a_flag_that_is_given_twice_counts_as_it_is_given_last() {
    let dir = tempfile::tempdir().unwrap();
    let verbose = |flags: &[&str]| {
        let all: Vec<&str> = ["version"].iter().chain(flags).copied().collect();
        trireme(&all, &[], dir.path()).unwrap().lines().count() > 1
    };
    assert!(verbose(&["--verbose=false", "--verbose"]));
    assert!(!verbose(&["--verbose", "--verbose=false"]));
}

#[test]
fn commands_without_an_action_of_their_own_show_their_help() {
    let dir = tempfile::tempdir().unwrap();
    assert!(trireme(&[], &[], dir.path()).unwrap().contains("Usage: trireme"));
    let create = trireme(&["create"], &[], dir.path()).unwrap();
    assert!(create.contains("cluster") && create.contains("enr"), "{create}");
}

#[test]
fn positional_arguments_and_unknown_flags_are_refused_where_charon_refuses_them() {
    let dir = tempfile::tempdir().unwrap();
    for arguments in [
        &["enr", "extra"][..],
        &["relay", "extra"],
        &["create", "enr", "extra"],
        &["version", "--nonsense"],
    ] {
        assert!(
            matches!(trireme(arguments, &[], dir.path()), Err(Failure::Arguments(_))),
            "{arguments:?}"
        );
    }
}

#[test]
fn all_wrong_settings_of_a_node_are_told_together() {
    let dir = tempfile::tempdir().unwrap();
    let error = refused(
        &[
            "run",
            "--nickname=this-nickname-is-longer-than-any-may-be",
            "--graffiti=this graffiti is longer than 28 bytes",
            "--vc-tls-cert-file=cert.pem",
            "--log-format=xml",
            "--monitoring-address=3620",
            "--beacon-node-headers=novalue",
            "--beacon-node-timeout=2",
            "--feature-set=gamma",
            "--p2p-external-hostname=https://node.example.org",
            "--otlp-address=collector",
        ],
        dir.path(),
    );
    for flag in [
        "nickname: exceeds 32 character limit",
        "graffiti: graffiti string length is greater than maximum size",
        "vc-tls-cert-file: goes together with",
        "log-format: ",
        "monitoring-address: \"3620\" is not host:port",
        "beacon-node-headers: each header must be name=value",
        "beacon-node-timeout: ",
        "beacon-node-endpoints: missing",
        "feature-set: unknown min status \"gamma\"",
        "p2p-external-hostname: invalid hostname \"https://node.example.org\"",
        "otlp-address: \"collector\" is not host:port",
    ] {
        assert!(error.contains(&format!("--{flag}")), "{flag}\n{error}");
    }
    assert!(error.starts_with("11 settings are wrong:"), "{error}");
}

#[test]
fn a_relay_needs_an_address_to_listen_on() {
    let dir = tempfile::tempdir().unwrap();
    let error = refused(&["relay"], dir.path());
    assert!(error.contains("p2p TCP addresses required"), "{error}");
}

/// A command as a process: exit code, standard output, standard error.
fn process(arguments: &[&str], folder: &std::path::Path) -> (Option<i32>, String, String) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_trireme"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn every_error_ends_with_code_1_and_its_reason_in_the_log_on_standard_error() {
    let dir = tempfile::tempdir().unwrap();
    for (arguments, reason, usage) in [
        (
            &["run", "--nonsense"][..],
            "unexpected argument '--nonsense' found",
            "Usage: trireme run",
        ),
        (
            &["create", "clustr"],
            "unrecognized subcommand 'clustr'",
            "Usage: trireme create",
        ),
        (
            &["create", "cluster"],
            "settings are wrong:",
            "Usage: trireme create cluster",
        ),
        (
            &["enr", "--verbose=perhaps"],
            "--verbose: \"perhaps\"",
            "Usage: trireme enr",
        ),
        (&["enr"], "private key not found at", ""),
    ] {
        let (code, out, error) = process(arguments, dir.path());
        assert_eq!((code, out.as_str()), (Some(1), ""), "{arguments:?}");
        let (before, logged) = error.split_once("Application failed to start: ").unwrap();
        assert!(before.contains(" ERRO cmd "), "{error}");
        assert!(logged.contains(reason), "{error}");
        // How to use the command is shown for what is wrong before it runs, and only for that.
        assert_eq!(before.starts_with("Usage:"), !usage.is_empty(), "{error}");
        assert!(before.starts_with(usage), "{error}");
    }
    fs::write(dir.path().join("charon.json"), "{").unwrap();
    let (code, _, error) = process(&["version"], dir.path());
    assert_eq!(code, Some(1));
    assert!(
        error.contains("Application failed to start: read config: charon.json: "),
        "{error}"
    );
    // Help needs no settings.
    let (code, out, error) = process(&["run", "--help"], dir.path());
    assert_eq!((code, error.as_str()), (Some(0), ""));
    assert!(out.contains("Usage: trireme run"), "{out}");
}
