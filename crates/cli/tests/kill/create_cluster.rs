//! `create cluster` killed without warning: the folder holds the whole cluster or none, or the next command makes it whole.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// More nodes than anybody has, so that the moves take a while.
const NODES: usize = 120;
const ZERO: &str = "0x0000000000000000000000000000000000000000";
/// How many kills at random times, and how many during the moves.
const RANDOM: usize = 20;
const MOVING: usize = 10;

fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trireme"));
    command
        .args([
            "create",
            "cluster",
            "--insecure-keys",
            "--network=hoodi",
            "--name=killed",
        ])
        .arg(format!("--nodes={NODES}"))
        .args(["--num-validators=1", "--deposit-amounts=32"])
        .arg(format!("--fee-recipient-addresses={ZERO}"))
        .arg(format!("--withdrawal-addresses={ZERO}"))
        .arg(format!("--cluster-dir={}", folder.display()))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

fn nodes(folder: &Path) -> usize {
    (0..NODES).filter(|n| folder.join(format!("node{n}")).exists()).count()
}

/// Every node has every file, and `trireme verify` finds nothing wrong.
fn assert_whole(folder: &Path) {
    assert_eq!(nodes(folder), NODES);
    let paths = (0..NODES).map(|n| folder.join(format!("node{n}")));
    let verify = Command::new(env!("CARGO_BIN_EXE_trireme"))
        .arg("verify")
        .args(paths)
        .output()
        .unwrap();
    assert!(verify.status.success(), "{}", String::from_utf8_lossy(&verify.stdout));
    assert!(!folder.join(".trireme-staging").exists());
}

/// Lets the same command run again after a kill; gives whether it found the new state.
fn again(folder: &Path) -> bool {
    let before = nodes(folder);
    let journal = folder.join(".trireme-staging/journal").exists();
    let done = command(folder).status().unwrap();
    // Either the cluster is there or nearly, and the command only says so, or it makes one.
    assert_eq!(
        done.success(),
        before == 0 && !journal,
        "{before} nodes, journal: {journal}"
    );
    assert_whole(folder);
    !done.success()
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
#[ignore = "takes minutes; run it with `just kill-test`"]
fn a_killed_create_cluster_leaves_a_whole_cluster_or_none() {
    use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
    let seed = crate::setting("SEED").unwrap_or(1);
    let mut random = StdRng::seed_from_u64(seed);
    // How long it takes when nobody kills it.
    let dir = tempfile::tempdir().unwrap();
    let clock = trireme_testutil::judge::wall_clock();
    let begin = clock();
    assert!(command(dir.path()).status().unwrap().success());
    let whole = clock() - begin;
    let mut new = 0;
    for number in 0..RANDOM {
        let dir = tempfile::tempdir().unwrap();
        let child = command(dir.path()).spawn().unwrap();
        std::thread::sleep(Duration::from_secs_f64(
            random.random_range(0.0..1.1) * whole.as_secs_f64(),
        ));
        kill(child);
        let found = again(dir.path());
        new += usize::from(found);
        eprintln!("{number}: {}", if found { "new state" } else { "old state" });
    }
    let (mut moving, mut between) = (0, 0);
    for number in 0..10 * MOVING {
        if moving == MOVING {
            break;
        }
        let dir = tempfile::tempdir().unwrap();
        let journal = dir.path().join(".trireme-staging/journal");
        // Before the first move, or after it.
        let sign = if number % 3 == 0 {
            journal.clone()
        } else {
            dir.path().join("node0")
        };
        let mut child = command(dir.path()).spawn().unwrap();
        while !sign.exists() && child.try_wait().unwrap().is_none() {
            std::hint::spin_loop();
        }
        kill(child);
        if journal.exists() {
            moving += 1;
            between += usize::from((1..NODES).contains(&nodes(dir.path())));
            assert!(again(dir.path()));
        }
    }
    eprintln!(
        "{new} of {RANDOM} random kills left the new state; {moving} kills met the moves, {between} of them half-way"
    );
    assert_eq!(moving, MOVING);
}
