use std::{fs, time::Duration};

use tokio::net::TcpListener;
use trireme_core::{
    ShareIdx,
    ports::{Batch, Durability, KeyValue as _, Table},
};
use trireme_node::{NodeConfig, NodeError, Shutdown, run};

use super::fixture::{Beacon, Cluster, HOODI, SEPOLIA, free_address, free_address_at, get, write};

/// The error with which a node ends by itself.
async fn refused(config: NodeConfig) -> NodeError {
    run(config, Shutdown::manual()).await.unwrap_err()
}

/// Runs a node, does something with it, and stops it.
pub(crate) async fn with_node<T>(config: NodeConfig, what: impl Future<Output = T>) -> T {
    let shutdown = Shutdown::manual();
    let mut running = Box::pin(run(config, shutdown.clone()));
    let result = tokio::select! { biased;
        ended = &mut running => panic!("the node ended by itself: {ended:?}"),
        result = what => result,
    };
    shutdown.ask();
    running.await.unwrap();
    result
}

#[tokio::test(flavor = "multi_thread")]
async fn node_says_who_it_is_while_its_beacon_node_is_away_and_starts_when_it_comes() {
    let (cluster, beacon) = (Cluster::new(), Beacon::start(HOODI, false).await);
    let config = cluster.config(0, &beacon).await;
    let (api, monitoring) = (
        config.validator_api.address.clone(),
        config.monitoring_address.clone().unwrap(),
    );
    with_node(config, async {
        let (status, body) = get(&api, "/eth/v1/node/version").await;
        assert_eq!(status, 200);
        assert!(body.contains("trireme/charon/v0.0.1-abcdef0"), "{body}");
        let (status, body) = get(&api, "/eth/v1/validator/attestation_data").await;
        assert_eq!(status, 503);
        assert!(body.contains("waiting for its beacon node"), "{body}");
        assert_eq!(get(&monitoring, "/livez").await, (200, "ok".into()));
        assert_eq!(
            get(&monitoring, "/readyz").await,
            (500, "ready check uninitialised".into())
        );
        beacon.set_up();
        loop {
            // The real server passes on what it does not answer itself; before it was there that was 503.
            let (status, _) = get(&api, "/eth/v1/node/peer_count").await;
            if status == 404 {
                break;
            }
            assert_eq!(status, 503);
            tokio::task::yield_now().await;
        }
        let (_, metrics) = get(&monitoring, "/metrics").await;
        for name in [
            "app_version{",
            "cluster_validators{",
            "app_eth2_requests_total{",
            "app_peer_name{",
        ] {
            assert!(metrics.contains(name), "no {name} in the metrics");
        }
        assert!(metrics.contains("cluster_network=\"hoodi\""));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn vc_110_node_serves_validator_api_and_monitoring_at_ipv6_addresses() {
    let (cluster, beacon) = (Cluster::new(), Beacon::start(HOODI, true).await);
    let mut config = cluster.config(0, &beacon).await;
    let (api, monitoring) = (free_address_at("[::1]:0").await, free_address_at("[::1]:0").await);
    config.validator_api.address.clone_from(&api);
    config.monitoring_address = Some(monitoring.clone());
    with_node(config, async {
        assert_eq!(get(&api, "/eth/v1/node/version").await.0, 200);
        assert_eq!(get(&monitoring, "/livez").await, (200, "ok".into()));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn node_starts_again_on_what_it_left_behind() {
    let (cluster, beacon) = (Cluster::new(), Beacon::start(HOODI, true).await);
    for _ in 0..2 {
        let config = cluster.config(0, &beacon).await;
        let api = config.validator_api.address.clone();
        with_node(config, async {
            assert_eq!(get(&api, "/eth/v1/node/version").await.0, 200)
        })
        .await;
    }
    let memory = fs::read_to_string(cluster.folder(0).join("trireme/verified-locks")).unwrap();
    assert_eq!(memory.lines().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn beacon_node_of_another_network_ends_the_node_with_both_names() {
    let (cluster, beacon) = (Cluster::new(), Beacon::start(SEPOLIA, true).await);
    let error = refused(cluster.config(0, &beacon).await).await;
    assert!(matches!(error, NodeError::WrongNetwork { .. }), "{error}");
    let text = error.to_string();
    for part in ["0x90000069", "hoodi", "0x10000910", "--beacon-node-endpoints"] {
        assert!(text.contains(part), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn vc_07_beacon_node_of_another_network_beside_a_right_one_answers_no_validator_client() {
    let (cluster, beacon, other) = (
        Cluster::new(),
        Beacon::start(HOODI, true).await,
        Beacon::start(SEPOLIA, true).await,
    );
    let mut config = cluster.config(0, &beacon).await;
    config.beacon.endpoints.insert(0, other.url());
    let api = config.validator_api.address.clone();
    with_node(config, async {
        while get(&api, "/eth/v1/node/peer_count").await.0 != 404 {
            tokio::task::yield_now().await;
        }
        for n in 0..20 {
            // With a query the answer is not shared.
            let (status, body) = get(&api, &format!("/eth/v1/beacon/genesis?n={n}")).await;
            assert!(status == 200 && body.contains(HOODI), "{body}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn port_that_is_taken_is_named_with_its_flag() {
    let (cluster, beacon) = (Cluster::new(), Beacon::start(HOODI, true).await);
    let taken = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = taken.local_addr().unwrap().to_string();

    let mut config = cluster.config(0, &beacon).await;
    config.validator_api.address = address.clone();
    let text = refused(config).await.to_string();
    assert!(
        text.contains(&address) && text.contains("--validator-api-address"),
        "{text}"
    );

    let mut config = cluster.config(0, &beacon).await;
    config.monitoring_address = Some(address.clone());
    let text = refused(config).await.to_string();
    assert!(
        text.contains(&address) && text.contains("--monitoring-address"),
        "{text}"
    );

    let mut config = cluster.config(0, &beacon).await;
    config.p2p.tcp_addresses = vec![address.clone()];
    let text = refused(config).await.to_string();
    assert!(
        text.contains(taken.local_addr().unwrap().port().to_string().as_str()),
        "{text}"
    );
    assert!(text.contains("--p2p-tcp-address"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn second_node_with_the_same_key_is_refused() {
    let (cluster, beacon) = (Cluster::new(), Beacon::start(HOODI, true).await);
    let config = cluster.config(0, &beacon).await;
    let api = config.validator_api.address.clone();
    let mut second = cluster.config(0, &beacon).await;
    second.data_dir = cluster.dir.path().join("elsewhere");
    let error = with_node(config, async {
        get(&api, "/eth/v1/node/version").await;
        Box::pin(refused(second)).await
    })
    .await;
    assert!(matches!(error, NodeError::KeyInUse { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn key_of_another_cluster_is_not_an_operator() {
    let (cluster, other, beacon) = (Cluster::new(), Cluster::with_seed(2), Beacon::start(HOODI, true).await);
    let mut config = cluster.config(0, &beacon).await;
    config.private_key_file = other.folder(0).join("charon-enr-private-key");
    let error = refused(config).await;
    assert!(matches!(error, NodeError::NotAnOperator { .. }), "{error}");
    assert!(error.to_string().contains("same ceremony"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn store_of_another_cluster_is_refused() {
    let (cluster, other, beacon) = (Cluster::new(), Cluster::with_seed(2), Beacon::start(HOODI, true).await);
    let config = cluster.config(0, &beacon).await;
    let (api, data_dir) = (config.validator_api.address.clone(), config.data_dir.clone());
    with_node(config, async { get(&api, "/eth/v1/node/version").await }).await;
    let mut config = other.config(0, &beacon).await;
    config.data_dir = data_dir;
    let text = refused(config).await.to_string();
    assert!(text.contains("belongs to another cluster"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_and_missing_files_are_named_with_what_to_do() {
    let (cluster, beacon) = (Cluster::new(), Beacon::start(HOODI, true).await);
    let good = cluster.config(0, &beacon).await;
    let lock = fs::read(&good.lock_file).unwrap();

    let mut config = good.clone();
    config.private_key_file = cluster.dir.path().join("nothing");
    let text = refused(config).await.to_string();
    assert!(text.contains("nothing") && text.contains("create enr"), "{text}");

    let key = cluster.dir.path().join("key");
    for bad in [&b""[..], b"zz", &[b'0'; 64], &[0xff; 70], &[b'1'; 100_000]] {
        write(&key, bad);
        let mut config = good.clone();
        config.private_key_file = key.clone();
        let text = refused(config).await.to_string();
        assert!(
            text.contains("private key") && text.contains("cannot be read"),
            "{text}"
        );
    }

    let path = cluster.dir.path().join("lock.json");
    let mut config = good.clone();
    config.lock_file = path.clone();
    let text = refused(config.clone()).await.to_string();
    assert!(text.contains("lock.json") && text.contains("--lock-file"), "{text}");
    for bad in [&b""[..], b"{}", b"[]", &lock[..lock.len() / 2]] {
        write(&path, bad);
        let error = refused(config.clone()).await;
        assert!(matches!(error, NodeError::Lock { .. }), "{error}");
        assert!(error.to_string().contains("lock.json"), "{error}");
    }
}

/// The owner of the store of node 0 and one entry of it.
fn stored(config: &NodeConfig, write: bool) -> Option<Vec<u8>> {
    let lock = trireme_cluster::Lock::from_json(&fs::read(&config.lock_file).unwrap()).unwrap();
    let owner = trireme_store::Owner {
        cluster: lock.lock_hash.try_into().unwrap(),
        share: ShareIdx(1),
    };
    let store = trireme_store::SledStore::open(&config.data_dir.join("store"), &owner).unwrap();
    if write {
        let writes = vec![(Table::Slashing, b"key".to_vec(), Some(b"value".to_vec()))];
        store.commit(Batch { writes }, Durability::Durable).unwrap();
    }
    store.get(Table::Slashing, b"key").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_stored_is_lost_by_starts_that_are_refused() {
    let (cluster, other) = (Cluster::new(), Cluster::with_seed(2));
    let (right, wrong) = (Beacon::start(HOODI, true).await, Beacon::start(SEPOLIA, true).await);
    let good = cluster.config(0, &right).await;
    stored(&good, true).unwrap();
    let taken = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();

    let mut port = good.clone();
    port.p2p.tcp_addresses = vec![taken.local_addr().unwrap().to_string()];
    let mut network = good.clone();
    network.beacon.endpoints = vec![wrong.url()];
    let mut key = good.clone();
    key.private_key_file = cluster.folder(1).join("charon-enr-private-key");
    let mut lock = good.clone();
    lock.lock_file = other.folder(0).join("cluster-lock.json");
    let mut both = lock.clone();
    both.private_key_file = other.folder(0).join("charon-enr-private-key");
    let mut broken = good.clone();
    broken.lock_file = cluster.dir.path().join("broken.json");
    write(&broken.lock_file, b"{}");
    for config in [port, network, key, lock, both, broken] {
        let why = Box::pin(refused(config)).await;
        assert_eq!(stored(&good, false).unwrap(), b"value", "after: {why}");
    }
    let api = good.validator_api.address.clone();
    with_node(good.clone(), async {
        assert_eq!(get(&api, "/eth/v1/node/version").await.0, 200)
    })
    .await;
    assert_eq!(stored(&good, false).unwrap(), b"value");
}

#[tokio::test(flavor = "multi_thread")]
async fn lock_that_does_not_verify_is_refused_unless_told_otherwise() {
    let (cluster, beacon) = (Cluster::new(), Beacon::start(HOODI, true).await);
    let mut config = cluster.config(0, &beacon).await;
    let text = fs::read_to_string(&config.lock_file).unwrap();
    let changed = text.replacen("\"test\"", "\"tost\"", 1);
    assert_ne!(changed, text);
    config.lock_file = cluster.dir.path().join("lock.json");
    write(&config.lock_file, changed.as_bytes());
    let error = refused(config.clone()).await;
    assert!(matches!(error, NodeError::Lock { .. }), "{error}");
    config.no_verify = true;
    let api = config.validator_api.address.clone();
    with_node(config, async {
        assert_eq!(get(&api, "/eth/v1/node/version").await.0, 200)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn node_whose_beacon_node_never_comes_can_be_stopped() {
    let cluster = Cluster::new();
    let beacon = Beacon::start(HOODI, false).await;
    let mut config = cluster.config(0, &beacon).await;
    config.beacon.endpoints = vec![url::Url::parse(&format!("http://{}", free_address().await)).unwrap()];
    config.beacon.timeout = Some(Duration::from_secs(3));
    let api = config.validator_api.address.clone();
    with_node(config, async {
        assert_eq!(get(&api, "/eth/v1/node/version").await.0, 200)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn graffiti_that_do_not_fit_the_validators_are_refused() {
    let (cluster, beacon) = (Cluster::new(), Beacon::start(HOODI, true).await);
    let mut config = cluster.config(0, &beacon).await;
    config.proposals.graffiti = vec!["a".into(), "b".into(), "c".into()];
    let text = refused(config).await.to_string();
    assert!(text.contains("--graffiti"), "{text}");
}
