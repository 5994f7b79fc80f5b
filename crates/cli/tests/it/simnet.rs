//! The beacon node and the validator client inside a node's process, without the node.

use std::{fs, path::Path, time::Duration};

use serde_json::Value;
use trireme_devnet::simnet::{Simnet, SimnetClient, SimnetConfig};

use crate::{call::refused, create_cluster::create};

fn config(folder: &Path, node: usize, keys_of: Option<usize>) -> SimnetConfig {
    let node_folder = |n: usize| folder.join(format!("node{n}"));
    SimnetConfig {
        lock_file: node_folder(node).join("cluster-lock.json"),
        slot_duration: Duration::from_millis(2_900),
        fuzz: false,
        client: keys_of.map(|n| SimnetClient {
            // Nobody listens there; the client waits.
            url: "http://127.0.0.1:9".to_owned(),
            keys: node_folder(n).join("validator_keys"),
        }),
    }
}

async fn get(simnet: &Simnet, path: &str) -> Value {
    let body = reqwest::get(format!("{}{path}", simnet.url()))
        .await
        .unwrap()
        .bytes()
        .await;
    serde_json::from_slice(&body.unwrap()).unwrap()
}

#[tokio::test]
async fn every_node_of_a_cluster_has_the_same_chain_and_whole_seconds_for_its_slots() {
    let dir = tempfile::tempdir().unwrap();
    create(dir.path(), &["--nodes=3", "--num-validators=2"]).unwrap();
    let first = Simnet::start(&config(dir.path(), 0, Some(0))).await.unwrap();
    let other = Simnet::start(&config(dir.path(), 2, None)).await.unwrap();
    for path in [
        "/eth/v1/beacon/genesis",
        "/eth/v1/config/spec",
        "/eth/v1/beacon/states/head/validators",
    ] {
        assert_eq!(get(&first, path).await, get(&other, path).await, "{path}");
    }
    let spec = get(&first, "/eth/v1/config/spec").await;
    assert_eq!(spec["data"]["SECONDS_PER_SLOT"], "2");
    assert_eq!(spec["data"]["SLOTS_PER_EPOCH"], "16");
    let genesis = get(&first, "/eth/v1/beacon/genesis").await;
    let hoodi = "0x212f13fc4df078b6cb7db228f1c8307566dcecf900867401a92023d7ba99cb5f";
    assert_ne!(
        genesis["data"]["genesis_validators_root"], hoodi,
        "what is signed for this chain must be worth nothing on the cluster's network"
    );
}

#[tokio::test]
async fn beacon_node_with_random_answers_tells_the_truth_about_its_chain_only() {
    let dir = tempfile::tempdir().unwrap();
    create(dir.path(), &["--nodes=3", "--num-validators=2"]).unwrap();
    let truth = Simnet::start(&config(dir.path(), 0, None)).await.unwrap();
    let mut garbled = config(dir.path(), 0, None);
    garbled.fuzz = true;
    let garbled = Simnet::start(&garbled).await.unwrap();
    for path in ["/eth/v1/beacon/genesis", "/eth/v1/config/spec"] {
        assert_eq!(get(&truth, path).await, get(&garbled, path).await, "{path}");
    }
    let url = format!("{}/eth/v1/beacon/states/head/fork", garbled.url());
    let mut answers = std::collections::BTreeSet::new();
    for _ in 0..50 {
        answers.insert(reqwest::get(&url).await.unwrap().bytes().await.unwrap());
    }
    assert!(answers.len() > 3, "{answers:?}");
}

#[tokio::test]
async fn keys_that_are_not_one_operators_shares_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    create(dir.path(), &["--nodes=3", "--num-validators=2"]).unwrap();
    // One share of another operator among them.
    for end in ["json", "txt"] {
        let file = format!("validator_keys/keystore-insecure-0.{end}");
        fs::copy(
            dir.path().join("node1").join(&file),
            dir.path().join("node0").join(&file),
        )
        .unwrap();
    }
    let error = Simnet::start(&config(dir.path(), 0, Some(0))).await.unwrap_err();
    assert!(
        error.to_string().contains("some validator mock keys missing"),
        "{error}"
    );
    assert!(Simnet::start(&config(dir.path(), 0, Some(2))).await.is_ok());
}

#[test]
fn a_mock_client_without_the_mock_beacon_node_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let flags = [
        "run",
        "--beacon-node-endpoints=http://bn:5052",
        "--simnet-validator-mock",
    ];
    let refusal = refused(&flags, dir.path());
    assert!(
        refusal.contains("--simnet-validator-mock: needs --simnet-beacon-mock"),
        "{refusal}"
    );
    let refusal = refused(&["run"], dir.path());
    assert!(refusal.contains("or --simnet-beacon-mock"), "{refusal}");
}
