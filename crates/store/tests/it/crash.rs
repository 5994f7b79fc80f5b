//! A process killed while it writes loses nothing that it had acknowledged.

use std::{
    env,
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Command, Stdio},
};

use trireme_core::ports::{Batch, Durability, KeyValue, Table};

use super::fixture::open;

const DIR: &str = "TRIREME_STORE_CRASH_DIR";

/// Runs in the child process only: writes a pair of entries per batch for ever and says so on stdout after each.
#[test]
#[ignore = "started by the test below as a child process"]
fn child_writes_until_it_is_killed() {
    let path = PathBuf::from(env::var_os(DIR).expect("started by the parent test"));
    let store = open(&path);
    let mut out = std::io::stdout();
    for n in 0_u64.. {
        let key = n.to_be_bytes().to_vec();
        let writes = [Table::Duty, Table::Slashing]
            .map(|t| (t, key.clone(), Some(vec![u8::MAX; 300])))
            .to_vec();
        store.commit(Batch { writes }, Durability::Durable).unwrap();
        writeln!(out, "acknowledged {n}").unwrap();
        out.flush().unwrap();
    }
}

#[test]
fn everything_acknowledged_before_a_kill_is_there_afterwards() {
    for lines_until_kill in [1, 2, 7, 40, 150] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store");
        let mut child = Command::new(env::current_exe().unwrap())
            .args([
                "--exact",
                "crash::child_writes_until_it_is_killed",
                "--ignored",
                "--nocapture",
            ])
            .env(DIR, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok);
        let number = |l: &String| l.rsplit_once("acknowledged ").and_then(|(_, n)| n.parse::<u64>().ok());
        let mut last = lines
            .by_ref()
            .filter_map(|l| number(&l))
            .nth(lines_until_kill - 1)
            .expect("the child writes");
        child.kill().unwrap();
        child.wait().unwrap();
        // What it had said before the kill but we had not read yet counts too.
        last = lines.filter_map(|l| number(&l)).last().unwrap_or(last);

        let store = open(&path);
        for n in 0..=last {
            let key = n.to_be_bytes();
            assert!(
                store.get(Table::Duty, &key).unwrap().is_some(),
                "entry {n} of {last} is lost"
            );
            assert!(
                store.get(Table::Slashing, &key).unwrap().is_some(),
                "half of batch {n} of {last} is lost"
            );
        }
        // The batch under way when the process died is there whole or not at all.
        let next = (last + 1).to_be_bytes();
        let halves = [Table::Duty, Table::Slashing].map(|t| store.get(t, &next).unwrap().is_some());
        assert_eq!(halves[0], halves[1]);
    }
}
