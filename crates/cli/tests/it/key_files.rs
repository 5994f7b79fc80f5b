//! `create cluster` and its files: nothing overwritten, nothing half-written, nothing lost, nothing said that is secret.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

use clap::Parser as _;
use trireme_cli::{
    commands::create_cluster::{self, CreateClusterConfig},
    flags::{Cli, Command, CreateCommand},
};
use trireme_cluster::{
    Definition, Lock, Networks, address,
    folder::{KeystoreFile, match_shares, open_keystore, password_name},
};
use trireme_files::{Disk, STAGING, faulty::StopsAfter, finish, finish_around};

use crate::{
    call::{refused, trireme},
    create_cluster::create,
};

/// Every path below a folder, and the content of files.
fn tree(folder: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut out = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(&at).into_iter().flatten() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(folder).unwrap().to_path_buf();
            if path.is_dir() {
                folders.push(path);
                out.insert(name, None);
            } else {
                out.insert(name, Some(fs::read(&path).unwrap_or_default()));
            }
        }
    }
    out
}

/// Makes sure that a folder holds a cluster of so many nodes and nothing else that begins with `node`: locks that verify and
/// are the same, identity keys, and every share of every node.
pub(crate) fn assert_whole(folder: &Path, nodes: usize) {
    let lock = fs::read(folder.join("node0/cluster-lock.json")).unwrap();
    let cluster = Lock::from_json(&lock).unwrap().verify(&Networks::known()).unwrap();
    assert_eq!(cluster.operators.len(), nodes);
    for at in 0..nodes {
        let node = folder.join(format!("node{at}"));
        assert_eq!(fs::read(node.join("cluster-lock.json")).unwrap(), lock);
        assert_eq!(fs::read(node.join("charon-enr-private-key")).unwrap().len(), 64);
        assert!(node.join("deposit-data.json").exists());
        let keys = node.join("validator_keys");
        assert_eq!(fs::metadata(&keys).unwrap().permissions().mode() & 0o777, 0o700);
        let opened = fs::read_dir(&keys)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(".json"))
            .map(|name| {
                let json = fs::read(keys.join(&name)).unwrap();
                let password = fs::read(keys.join(password_name(&name))).unwrap();
                let file = KeystoreFile {
                    name: &name,
                    json: &json,
                    password: Some(&password),
                };
                let secret = open_keystore(file).unwrap();
                (name, secret)
            });
        match_shares(&cluster, at, opened.collect()).unwrap();
    }
    assert!(!folder.join(format!("node{nodes}")).exists());
}

const THREE: [&str; 3] = ["--nodes=3", "--num-validators=1", "--deposit-amounts=32"];

#[test]
fn whatever_stands_in_the_way_is_named_and_stays() {
    type Prepare = fn(&Path);
    let cases: [(&str, Prepare, &str); 5] = [
        (
            "a file",
            |dir| fs::write(dir.join("node1"), "x").unwrap(),
            "node1 is there already",
        ),
        (
            "a folder with something in it",
            |dir| {
                fs::create_dir(dir.join("node2")).unwrap();
                fs::write(dir.join("node2/notes"), "x").unwrap();
            },
            "node2 is not empty: it holds notes",
        ),
        (
            "a node of a larger cluster",
            |dir| {
                fs::create_dir(dir.join("node7")).unwrap();
                fs::write(dir.join("node7/cluster-lock.json"), "{}").unwrap();
            },
            "node7 is not empty: it holds cluster-lock.json",
        ),
        (
            "a link",
            |dir| symlink("elsewhere", dir.join("node0")).unwrap(),
            "node0 is there already",
        ),
        (
            "a packed cluster",
            |dir| fs::write(dir.join("cluster.tar.gz"), "x").unwrap(),
            "cluster.tar.gz is there already",
        ),
    ];
    for (what, prepare, named) in cases {
        let dir = tempfile::tempdir().unwrap();
        prepare(dir.path());
        let before = tree(dir.path());
        let error = create(dir.path(), &THREE).unwrap_err().to_string();
        assert!(error.contains(named), "{what}: {error}");
        assert_eq!(tree(dir.path()), before, "{what}");
    }
    // What is not in the way stays beside the cluster; an empty folder is no obstacle.
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("notes.txt"), "mine").unwrap();
    fs::create_dir(dir.path().join("node1")).unwrap();
    create(dir.path(), &THREE).unwrap();
    assert_whole(dir.path(), 3);
    assert_eq!(fs::read(dir.path().join("notes.txt")).unwrap(), b"mine");
}

#[test]
fn packed_folders_hold_what_was_made_and_nothing_else_is_touched() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("notes.txt"), "mine").unwrap();
    let out = create(dir.path(), &[&THREE[..], &["--zipped"]].concat()).unwrap();
    assert!(out.contains("cluster.tar.gz; they are nowhere else"), "{out}");
    let names: Vec<PathBuf> = tree(dir.path()).into_keys().collect();
    assert_eq!(names, [PathBuf::from("cluster.tar.gz"), PathBuf::from("notes.txt")]);
    let archive = dir.path().join("cluster.tar.gz");
    assert_eq!(fs::metadata(&archive).unwrap().permissions().mode() & 0o777, 0o600);
    // Another program unpacks it.
    let unpacked = tempfile::tempdir().unwrap();
    let tar = std::process::Command::new("tar")
        .arg("xzf")
        .arg(&archive)
        .arg("-C")
        .arg(unpacked.path())
        .status()
        .unwrap();
    assert!(tar.success());
    assert_whole(unpacked.path(), 3);
    let error = create(dir.path(), &THREE).unwrap_err().to_string();
    assert!(error.contains("cluster.tar.gz is there already"), "{error}");
}

#[test]
fn insecure_keys_and_the_zero_address_are_refused_where_value_is_at_stake() {
    let dir = tempfile::tempdir().unwrap();
    let good = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
    let zero = "0x0000000000000000000000000000000000000000";
    let call = |network: &[&str], fee: &str, withdrawal: &str, more: &[&str]| {
        let cluster_dir = format!("--cluster-dir={}", dir.path().display());
        let (fee, withdrawal) = (
            format!("--fee-recipient-addresses={fee}"),
            format!("--withdrawal-addresses={withdrawal}"),
        );
        let mut all = vec!["create", "cluster", &cluster_dir, &fee, &withdrawal];
        all.extend(THREE);
        all.extend(network);
        all.extend(more);
        refused(&all, dir.path())
    };
    let custom = [
        "--testnet-name=mine",
        "--testnet-fork-version=0x00000000",
        "--testnet-chain-id=7",
        "--testnet-genesis-timestamp=7",
    ];
    for network in [&["--network=mainnet"][..], &["--network=gnosis"], &custom] {
        let error = call(network, good, good, &["--insecure-keys"]);
        assert!(error.contains("--insecure-keys: refused on "), "{network:?}: {error}");
        let error = call(network, good, zero, &[]);
        assert!(
            error.contains("--withdrawal-addresses: the zero address is refused on "),
            "{error}"
        );
        let error = call(network, zero, good, &[]);
        assert!(
            error.contains("--fee-recipient-addresses: the zero address is refused on "),
            "{error}"
        );
    }
    let typo = good.replace("5aA", "5aa");
    let error = call(&["--network=hoodi"], &typo, good, &[]);
    assert!(
        error.contains("--fee-recipient-addresses") && error.contains(good),
        "{error}"
    );
    assert!(tree(dir.path()).is_empty());
}

fn config(folder: &str) -> CreateClusterConfig {
    let zero = "0x0000000000000000000000000000000000000000";
    let (fee, withdrawal) = (
        format!("--fee-recipient-addresses={zero}"),
        format!("--withdrawal-addresses={zero}"),
    );
    let folder = format!("--cluster-dir={folder}");
    let base = [
        "trireme",
        "create",
        "cluster",
        "--insecure-keys=true",
        "--name=test",
        "--network=hoodi",
        &folder,
        &fee,
        &withdrawal,
    ];
    let cli = Cli::try_parse_from(base.iter().copied().chain(THREE)).unwrap();
    let Some(Command::Create(create)) = cli.command else {
        panic!("create was asked for");
    };
    let Some(CreateCommand::Cluster(flags)) = create.command else {
        panic!("a cluster was asked for");
    };
    create_cluster::config(&flags, &Default::default()).unwrap()
}

/// Stops `create cluster` after each of its calls, by a kill and by a power cut in turn, and lets the next command run.
fn stopped_everywhere(target: &str, prepare: fn(&Path)) {
    let (mut old, mut new) = (0, 0);
    for calls in 0.. {
        let dir = tempfile::tempdir().unwrap();
        prepare(dir.path());
        let absolute = dir.path().join(target);
        let fs = StopsAfter::new(calls).working_in(dir.path());
        let done = create_cluster::run_on(&fs, &config(target), &mut Vec::new());
        if done.is_ok() {
            assert!(!fs.stopped());
            assert_whole(&absolute, 3);
            break;
        }
        if calls % 2 == 1 {
            fs.lose_power();
        }
        let at = |what: &str| format!("{what}, stopped after {calls} calls");
        // What the next command is: one that looks at the cluster, or the same again.
        let finished = match calls % 3 {
            0 => finish_around(&Disk, &absolute.join("node0/cluster-lock.json"))
                .unwrap_or_else(|e| panic!("{}", at(&e.to_string()))),
            _ => finish(&Disk, &absolute).unwrap_or_else(|e| panic!("{}", at(&e.to_string()))),
        };
        let any = (0..3).any(|n| absolute.join(format!("node{n}")).exists());
        if any {
            assert_whole(&absolute, 3);
            assert!(
                !absolute.join(STAGING).join("journal").exists(),
                "{}",
                at(&format!("{finished:?}"))
            );
            new += 1;
        } else {
            create_cluster::run_on(&Disk, &config(&absolute.display().to_string()), &mut Vec::new())
                .unwrap_or_else(|e| panic!("{}", at(&format!("{e:#}"))));
            assert_whole(&absolute, 3);
            assert!(!absolute.join(STAGING).exists());
            old += 1;
        }
    }
    assert!(
        old > 20 && new > 8,
        "{old} times the old state, {new} times the new one"
    );
}

#[test]
fn stopped_after_any_call_a_new_folder_holds_a_whole_cluster_or_none() {
    stopped_everywhere("some/where", |_| {});
}

#[test]
fn stopped_after_any_call_an_empty_folder_holds_a_whole_cluster_or_none() {
    stopped_everywhere("there", |dir| fs::create_dir(dir.join("there")).unwrap());
}

#[test]
fn stopped_after_any_call_the_working_folder_holds_a_whole_cluster_or_none() {
    stopped_everywhere("./", |dir| fs::write(dir.join("notes.txt"), "mine").unwrap());
}

#[test]
fn the_same_command_after_an_interrupted_move_says_that_its_cluster_is_there() {
    for calls in 0.. {
        let dir = tempfile::tempdir().unwrap();
        let config = config(&dir.path().display().to_string());
        let fs = StopsAfter::new(calls);
        create_cluster::run_on(&fs, &config, &mut Vec::new()).unwrap_err();
        if !dir.path().join(STAGING).join("journal").exists() {
            continue;
        }
        let error = create_cluster::run_on(&Disk, &config, &mut Vec::new())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("it is finished now, and these are its files: node0, node1, node2"),
            "{error}"
        );
        assert_whole(dir.path(), 3);
        return;
    }
}

#[test]
fn a_definition_with_wallets_gives_a_lock_that_verifies_though_its_operators_are_new() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../cluster-lock-examples");
    for version in ["v1.8.0", "v1.10.0", "v1.11.0"] {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("definition.json");
        let example = fs::read(examples.join(version).join("cluster-definition.json")).unwrap();
        let mut definition = Definition::from_json(&example).unwrap();
        assert!(definition.operators.iter().all(|o| !o.address.is_empty()), "{version}");
        // As a launchpad writes them; hashes and signatures do not change with the case.
        for pair in &mut definition.validators {
            pair.withdrawal = address::checksummed(&address::parse(&pair.withdrawal).unwrap());
        }
        fs::write(&file, definition.to_json(1).unwrap()).unwrap();
        let out = trireme(
            &[
                "create",
                "cluster",
                "--insecure-keys",
                &format!("--definition-file={}", file.display()),
                &format!("--cluster-dir={}", dir.path().display()),
            ],
            &[],
            dir.path(),
        );
        out.unwrap_or_else(|e| panic!("{version}: {e}"));
        let lock = Lock::from_json(&fs::read(dir.path().join("node0/cluster-lock.json")).unwrap()).unwrap();
        lock.verify(&Networks::known()).unwrap();
        assert!(
            lock.definition.operators.iter().all(|o| o.address.is_empty()),
            "{version}"
        );
    }
}
