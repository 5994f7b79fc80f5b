//! No secret of a run stands in what it prints or logs, nor in a file that is meant for others.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE},
};
use trireme_cluster::folder::{KeystoreFile, open_keystore, password_name};

const ZERO: &str = "0x0000000000000000000000000000000000000000";

/// Runs the program, and gives everything that it said.
fn said(arguments: &[&str], folder: &Path) -> String {
    let out = Command::new(env!("CARGO_BIN_EXE_trireme"))
        .args(arguments)
        .current_dir(folder)
        .env("RUST_LOG", "trace")
        .env("RUST_BACKTRACE", "1")
        .output()
        .unwrap();
    format!(
        "{}\n{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    )
}

/// A number of base 256, most significant digit first, in decimal.
fn decimal(bytes: &[u8]) -> String {
    let mut digits = vec![0_u32];
    for byte in bytes {
        let mut carry = u32::from(*byte);
        for digit in &mut digits {
            carry += *digit * 256;
            *digit = carry % 10;
            carry /= 10;
        }
        while carry > 0 {
            digits.push(carry % 10);
            carry /= 10;
        }
    }
    digits.iter().rev().fold(String::new(), |mut out, digit| {
        let _ = write!(out, "{digit}");
        out
    })
}

/// Every way in which a secret may be written: both byte orders in hex, base64, decimal, and as a list of bytes. Hex is
/// looked for in lower case.
fn spellings(secret: &[u8]) -> Vec<String> {
    let reversed: Vec<u8> = secret.iter().rev().copied().collect();
    let mut out = Vec::new();
    for bytes in [secret, reversed.as_slice()] {
        out.push(hex::encode(bytes));
        for text in [BASE64_STANDARD.encode(bytes), BASE64_URL_SAFE.encode(bytes)] {
            out.push(text.trim_end_matches('=').to_owned());
        }
        out.push(decimal(bytes));
        out.push(format!("{bytes:?}"));
    }
    out
}

fn holds(text: &str, secret: &[u8]) -> bool {
    let lower = text.to_lowercase();
    spellings(secret)
        .iter()
        .any(|spelling| text.contains(spelling) || lower.contains(&spelling.to_lowercase()))
}

/// The secrets of a cluster's folders: identity keys, shares, passwords.
fn secrets(folder: &Path) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    for node in fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.is_dir())
    {
        out.push(hex::decode(fs::read(node.join("charon-enr-private-key")).unwrap()).unwrap());
        out.extend(keys(&node.join("validator_keys")));
    }
    out
}

fn keys(folder: &Path) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    for path in fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.ends_with(".json") {
            let (json, password) = (
                fs::read(&path).unwrap(),
                fs::read(folder.join(password_name(&name))).unwrap(),
            );
            let file = KeystoreFile {
                name: &name,
                json: &json,
                password: Some(&password),
            };
            out.push(open_keystore(file).unwrap().to_bytes().to_vec());
            out.push(hex::decode(&password).unwrap());
        }
    }
    out
}

fn create(folder: &Path, more: &[&str]) -> String {
    let (fee, withdrawal) = (
        format!("--fee-recipient-addresses={ZERO}"),
        format!("--withdrawal-addresses={ZERO}"),
    );
    let base = [
        "create",
        "cluster",
        "--insecure-keys",
        "--name=test",
        "--network=hoodi",
        "--nodes=3",
        &fee,
        &withdrawal,
    ];
    said(&[&base[..], more].concat(), folder)
}

#[test]
fn the_search_finds_what_it_looks_for() {
    let secret: Vec<u8> = (1..=32).collect();
    assert_eq!(decimal(&[1, 0]), "256");
    for spelling in spellings(&secret) {
        assert!(holds(&format!("a {spelling} b"), &secret), "{spelling}");
    }
    assert!(holds(&hex::encode_upper(&secret), &secret));
    assert!(!holds("nothing", &secret));
}

#[test]
fn no_secret_is_in_the_output_the_log_or_a_public_file() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let flag = |name: &str, path: &Path| format!("--{name}={}", path.display());
    let mut output = Vec::new();

    let cluster = at("cluster");
    output.push(create(
        dir.path(),
        &["--num-validators=2", &flag("cluster-dir", &cluster)],
    ));
    assert!(output[0].contains("Created charon cluster"), "{}", output[0]);
    let mut all = secrets(&cluster);
    assert_eq!(all.len(), 3 + 3 * 2 * 2);
    // Refusals: places taken; keys that cannot be split since a password is wrong.
    output.push(create(
        dir.path(),
        &["--num-validators=2", &flag("cluster-dir", &cluster)],
    ));

    let split = at("split");
    output.push(create(
        dir.path(),
        &[
            "--split-existing-keys",
            &flag("split-keys-dir", &cluster.join("node0/validator_keys")),
            &flag("cluster-dir", &split),
        ],
    ));
    assert!(output[2].contains("--split-existing-keys=true"), "{}", output[2]);
    all.extend(secrets(&split));
    let spoiled = at("spoiled");
    fs::create_dir(&spoiled).unwrap();
    let source = cluster.join("node1/validator_keys");
    fs::copy(source.join("keystore-insecure-0.json"), spoiled.join("keystore-0.json")).unwrap();
    fs::copy(source.join("keystore-insecure-1.txt"), spoiled.join("keystore-0.txt")).unwrap();
    output.push(create(
        dir.path(),
        &[
            "--split-existing-keys",
            &flag("split-keys-dir", &spoiled),
            &flag("cluster-dir", &at("never")),
        ],
    ));
    assert!(output[3].contains("keystore-0.json"), "{}", output[3]);

    let enr = at("enr");
    output.push(said(&["create", "enr", &flag("data-dir", &enr)], dir.path()));
    output.push(said(&["enr", "--verbose", &flag("data-dir", &enr)], dir.path()));
    all.push(hex::decode(fs::read(enr.join("charon-enr-private-key")).unwrap()).unwrap());
    // A key that is cut short is complained about, not shown.
    let cut = at("cut");
    fs::create_dir(&cut).unwrap();
    let short = hex::encode(&all[0][..31]);
    fs::write(cut.join("charon-enr-private-key"), &short).unwrap();
    output.push(said(&["enr", &flag("data-dir", &cut)], dir.path()));
    all.push(hex::decode(&short).unwrap());

    let combined = at("combined");
    output.push(said(
        &[
            "combine",
            &flag("cluster-dir", &cluster),
            &flag("output-dir", &combined),
        ],
        dir.path(),
    ));
    all.extend(keys(&combined));
    output.push(said(
        &["verify", &cluster.join("node0").display().to_string()],
        dir.path(),
    ));

    // A token is as secret as a key, also where nobody listens.
    let token = "api-token-0x5ec4e7d00d5ec4e7d00d";
    let (addresses, tokens) = (
        format!("--keymanager-addresses={}", ["http://127.0.0.1:9"; 3].join(",")),
        format!("--keymanager-auth-tokens={}", [token; 3].join(",")),
    );
    output.push(create(
        dir.path(),
        &[
            "--num-validators=1",
            &flag("cluster-dir", &at("pushed")),
            &addresses,
            &tokens,
        ],
    ));
    assert!(output.last().unwrap().contains("nothing was made"));

    for said in &output {
        assert!(!said.contains(token), "the token stands in: {said}");
        for secret in &all {
            assert!(!holds(said, secret), "a secret stands in: {said}");
        }
    }
    let public = ["cluster-lock.json", "deposit-data.json", "deposit-data-1eth.json"];
    for (node, name) in (0..3).flat_map(|n| public.map(|name| (n, name))) {
        let path: PathBuf = cluster.join(format!("node{node}")).join(name);
        let text = fs::read_to_string(&path).unwrap();
        assert!(all.iter().all(|secret| !holds(&text, secret)), "{}", path.display());
    }
    // A keystore is public to whoever has no password.
    let keystore = fs::read_to_string(cluster.join("node0/validator_keys/keystore-insecure-0.json")).unwrap();
    assert!(all.iter().all(|secret| !holds(&keystore, secret)));
}
