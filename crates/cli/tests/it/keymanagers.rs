//! `create cluster` with keymanagers and a launchpad: what is asked first, what waits, how the same command goes on.

use std::{fs, path::Path};

use tokio::runtime::Runtime;
use trireme_cli::Failure;
use trireme_cluster::{Lock, Networks};
use trireme_files::STAGING;
use trireme_testutil::{keymanager::KeymanagerMock, obol_api::ObolApi, served::Fault};

use crate::create_cluster::create;

const TOKEN: &str = "api-token-0x5ec4e7";

/// One for each of three nodes, and the runtime that they live on.
fn three() -> (Runtime, Vec<KeymanagerMock>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let start = || runtime.block_on(KeymanagerMock::start(TOKEN, "")).unwrap();
    let all = vec![start(), start(), start()];
    (runtime, all)
}

fn push(folder: &Path, keymanagers: &[KeymanagerMock], tokens: &str, more: &[&str]) -> Result<String, Failure> {
    let urls: Vec<String> = keymanagers.iter().map(KeymanagerMock::url).collect();
    let (addresses, tokens) = (
        format!("--keymanager-addresses={}", urls.join(",")),
        format!("--keymanager-auth-tokens={tokens}"),
    );
    let base = [
        "--nodes=3",
        "--num-validators=2",
        "--deposit-amounts=32",
        &addresses,
        &tokens,
    ];
    create(folder, &[&base[..], more].concat())
}

fn all_tokens() -> String {
    [TOKEN; 3].join(",")
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut all: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    all.sort();
    all
}

fn lock(folder: &Path) -> Lock {
    let lock = Lock::from_json(&fs::read(folder.join("node1/cluster-lock.json")).unwrap()).unwrap();
    lock.verify(&Networks::known()).unwrap();
    lock
}

/// Every keymanager holds its node's share of every validator, and no complaint.
fn assert_pushed(keymanagers: &[KeymanagerMock], lock: &Lock) {
    for (node, keymanager) in keymanagers.iter().enumerate() {
        let shares = lock.validators.iter().map(|v| hex::encode(&v.public_shares[node]));
        let mut shares: Vec<String> = shares.collect();
        shares.sort();
        keymanager.look(|held| {
            assert_eq!(held.keys.keys().cloned().collect::<Vec<_>>(), shares);
            assert!(held.complaints.is_empty(), "{:?}", held.complaints);
        });
    }
}

#[test]
fn shares_go_to_the_keymanagers_and_into_no_folder() {
    let (_runtime, keymanagers) = three();
    let dir = tempfile::tempdir().unwrap();
    let token_file = dir.path().join("token.txt");
    fs::write(&token_file, format!("{TOKEN}\n")).unwrap();
    let cluster = dir.path().join("cluster");
    let tokens = format!("{TOKEN},@{},{TOKEN}", token_file.display());
    let out = push(&cluster, &keymanagers, &tokens, &[]).unwrap();
    assert!(!out.contains("keystore-*.json"), "{out}");
    assert!(out.contains("The key shares are in the keymanagers alone"), "{out}");
    assert_eq!(names(&cluster), ["node0", "node1", "node2"]);
    assert_eq!(
        names(&cluster.join("node2")),
        ["charon-enr-private-key", "cluster-lock.json", "deposit-data.json"]
    );
    assert_pushed(&keymanagers, &lock(&cluster));
}

#[test]
fn nothing_is_made_while_a_keymanager_does_not_answer_or_does_not_take_its_token() {
    let (runtime, mut keymanagers) = three();
    let dir = tempfile::tempdir().unwrap();
    let wrong = format!("{TOKEN},secret-but-wrong,{TOKEN}");
    let error = push(dir.path(), &keymanagers, &wrong, &[]).unwrap_err().to_string();
    assert!(
        error.contains("nothing was made") && error.contains("node1: "),
        "{error}"
    );
    assert!(!error.contains("secret-but-wrong"), "{error}");
    let error = push(dir.path(), &keymanagers[..2], &format!("{TOKEN},{TOKEN}"), &[]).unwrap_err();
    assert!(error.to_string().contains("2 addresses for 3 nodes"), "{error}");
    let gone = runtime.block_on(KeymanagerMock::start(TOKEN, "")).unwrap();
    let address = gone.url();
    drop(gone);
    let urls = [keymanagers[0].url(), keymanagers[1].url(), address];
    keymanagers.clear();
    let (addresses, tokens) = (
        format!("--keymanager-addresses={}", urls.join(",")),
        format!("--keymanager-auth-tokens={}", all_tokens()),
    );
    let error = create(dir.path(), &["--nodes=3", "--num-validators=1", &addresses, &tokens]).unwrap_err();
    assert!(error.to_string().contains("nothing was made"), "{error}");
    assert!(names(dir.path()).is_empty());
}

#[test]
fn shares_that_are_refused_wait_and_the_same_command_sends_them_again() {
    for zipped in [false, true] {
        let (_runtime, keymanagers) = three();
        let dir = tempfile::tempdir().unwrap();
        let more: &[&str] = if zipped { &["--zipped"] } else { &[] };
        // The second keymanager breaks off at the import, after it was asked twice which keys it has.
        for _ in 0..2 {
            keymanagers[1].faults.then(Fault::Pass);
        }
        keymanagers[1].faults.then(Fault::Status(500, "no".to_owned()));
        let error = push(dir.path(), &keymanagers, &all_tokens(), more)
            .unwrap_err()
            .to_string();
        assert!(error.contains("node1"), "{error}");
        assert_eq!(names(dir.path()), [STAGING]);
        let first = keymanagers[0].look(|held| held.keys.clone());
        assert_eq!(first.len(), 2);

        // Another command leaves it alone, and says how to go on.
        let error = create(dir.path(), &["--nodes=3", "--num-validators=1"])
            .unwrap_err()
            .to_string();
        assert!(error.contains("Run the same command again"), "{error}");
        // Other keymanagers get nothing of it.
        let (_other_runtime, others) = three();
        let error = push(dir.path(), &others, &all_tokens(), more).unwrap_err().to_string();
        assert!(error.contains("give the same --keymanager-addresses"), "{error}");
        assert!(others.iter().all(|k| k.look(|held| held.keys.is_empty())));

        push(dir.path(), &keymanagers, &all_tokens(), more).unwrap();
        assert_eq!(
            keymanagers[0].look(|held| held.keys.clone()),
            first,
            "not a new cluster"
        );
        if zipped {
            assert_eq!(names(dir.path()), ["cluster.tar.gz"]);
        } else {
            assert_eq!(names(dir.path()), ["node0", "node1", "node2"]);
            assert_pushed(&keymanagers, &lock(dir.path()));
        }
    }
}

#[test]
fn a_lock_is_published_once_it_is_in_place_and_a_failure_is_a_warning() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let api = runtime.block_on(ObolApi::start(Networks::known())).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let address = format!("--publish-address={}", api.url());
    let more = ["--nodes=3", "--num-validators=1", "--publish", &address];
    let first = dir.path().join("first");
    let out = create(&first, &more).unwrap();
    let hash = hex::encode_upper(&lock(&first).lock_hash);
    assert!(out.contains(&format!("/lock/0x{hash}/launchpad")), "{out}");
    drop(api);
    let second = dir.path().join("second");
    let out = create(&second, &more).unwrap();
    assert!(!out.contains("launchpad\n"), "{out}");
    lock(&second);
}
