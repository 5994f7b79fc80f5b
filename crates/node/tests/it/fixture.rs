//! A cluster on disk, a beacon node that can be switched on, and settings for a node of it.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use tokio::{net::TcpListener, task::JoinSet};
use trireme_cluster::{
    Addresses, Creator, Definition, Networks, Version,
    create::{Request, create, usual_threshold},
};
use trireme_node::{BeaconConfig, NodeConfig, P2pConfig, ProposalConfig, ValidatorApiConfig};
use url::Url;

/// Folders `node0` … of a fresh cluster on hoodi.
pub(crate) struct Cluster {
    pub(crate) dir: tempfile::TempDir,
}

impl Cluster {
    pub(crate) fn new() -> Self {
        Self::with_seed(1)
    }

    pub(crate) fn with_seed(seed: u8) -> Self {
        let network = Networks::known().by_name("hoodi").unwrap().clone();
        let address = "0x388c818ca8b9251b393131c08a736a67ccb19297".to_owned();
        let definition = Definition {
            name: "test".into(),
            creator: Creator::default(),
            operators: Vec::new(),
            uuid: "05B4C5D0-9B1D-43C5-9911-CC7FBC027DAB".into(),
            version: Version::DEFAULT,
            timestamp: "2026-01-02T03:04:05Z".into(),
            num_validators: 2,
            threshold: usual_threshold(3),
            validators: vec![
                Addresses {
                    fee_recipient: address.clone(),
                    withdrawal: address
                };
                2
            ],
            dkg_algorithm: "default".into(),
            fork_version: network.genesis_fork_version.to_vec(),
            deposit_amounts: None,
            consensus_protocol: String::new(),
            target_gas_limit: 60_000_000,
            compounding: false,
            config_hash: Vec::new(),
            definition_hash: Vec::new(),
        };
        let registration_time = network.genesis_time;
        let request = Request {
            definition,
            nodes: 3,
            network,
            existing: None,
            registration_time,
        };
        let mut count = 0_u64;
        let mut fill = move |out: &mut [u8]| {
            for chunk in out.chunks_mut(32) {
                count += 1;
                let mut text = vec![seed];
                text.extend(count.to_be_bytes());
                chunk.copy_from_slice(&trireme_keys::keccak256(&text)[..chunk.len()]);
            }
        };
        let created = create(&request, &mut fill).unwrap();
        let dir = tempfile::tempdir().unwrap();
        for (n, node) in created.nodes.iter().enumerate() {
            let folder = dir.path().join(format!("node{n}"));
            std::fs::create_dir(&folder).unwrap();
            for file in node.common_files() {
                let path = folder.join(&file.path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, file.content.as_slice()).unwrap();
            }
        }
        Self { dir }
    }

    pub(crate) fn folder(&self, node: usize) -> PathBuf {
        self.dir.path().join(format!("node{node}"))
    }

    /// Settings of a node that reaches nobody but the beacon node.
    pub(crate) async fn config(&self, node: usize, beacon: &Beacon) -> NodeConfig {
        let folder = self.folder(node);
        let private_key_file = folder.join("charon-enr-private-key");
        NodeConfig {
            version: trireme_node::Version {
                text: "v0.0.1".into(),
                git_hash: "abcdef0".into(),
                git_time: "unknown".into(),
            },
            lock_file: folder.join("cluster-lock.json"),
            wallets: trireme_cluster::Wallets::default(),
            no_verify: false,
            private_key_file_lock: false,
            data_dir: NodeConfig::data_dir_beside(&private_key_file),
            private_key_file,
            nickname: String::new(),
            beacon: BeaconConfig {
                endpoints: vec![beacon.url()],
                fallbacks: Vec::new(),
                timeout: Some(Duration::from_secs(30)),
                submit_timeout: Some(Duration::from_secs(30)),
                certificates: Vec::new(),
                broadcast: trireme_node::Broadcast::default(),
                best_head: true,
                allow_optimistic: false,
                headers: Vec::new(),
            },
            validator_api: ValidatorApiConfig {
                address: free_address().await,
                tls: None,
                token_file: None,
                allow_list: false,
                json_only: false,
                origins: trireme_node::Origins::default(),
            },
            monitoring_address: Some(free_address().await),
            debug_address: None,
            proc_directory: None,
            outlets: trireme_telemetry::Outlets::default(),
            p2p: P2pConfig {
                relays: Vec::new(),
                external_ip: None,
                external_hostname: None,
                tcp_addresses: Vec::new(),
                disable_reuseport: false,
            },
            push: None,
            proposals: ProposalConfig {
                updates: None,
                builder_api: false,
                graffiti: Vec::new(),
                graffiti_disable_client_append: false,
                overrides_file: "no/such/overrides.json".into(),
                synthetic: false,
            },
            consensus_protocol: None,
            features: trireme_core::features::FeatureSet::default(),
            testnet: None,
        }
    }
}

/// An address that nobody listens on.
pub(crate) async fn free_address() -> String {
    free_address_at("127.0.0.1:0").await
}

/// As [`free_address`], of another host.
pub(crate) async fn free_address_at(host: &str) -> String {
    TcpListener::bind(host).await.unwrap().local_addr().unwrap().to_string()
}

/// A beacon node that knows its chain and nothing else, once it is up.
pub(crate) struct Beacon {
    address: SocketAddr,
    up: Arc<AtomicBool>,
    _tasks: JoinSet<()>,
}

#[derive(Clone)]
struct Chain {
    up: Arc<AtomicBool>,
    fork_version: &'static str,
}

async fn answer(State(chain): State<Chain>, uri: Uri) -> Response {
    if !chain.up.load(Ordering::Relaxed) {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let root = "11".repeat(32);
    let body = match uri.path() {
        "/eth/v1/beacon/genesis" => format!(
            r#"{{"data":{{"genesis_time":"1742213400","genesis_validators_root":"0x{root}","genesis_fork_version":"{}"}}}}"#,
            chain.fork_version
        ),
        "/eth/v1/config/spec" => {
            r#"{"data":{"SECONDS_PER_SLOT":"12","SLOTS_PER_EPOCH":"32","PRESET_BASE":"mainnet","CONFIG_NAME":"x"}}"#
                .into()
        }
        "/eth/v1/node/version" => r#"{"data":{"version":"mock/v1"}}"#.into(),
        "/eth/v1/node/syncing" => r#"{"data":{"head_slot":"1","sync_distance":"1","is_syncing":true}}"#.into(),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

impl Beacon {
    /// Of hoodi, or of another network.
    pub(crate) async fn start(fork_version: &'static str, up: bool) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let up = Arc::new(AtomicBool::new(up));
        let chain = Chain {
            up: Arc::clone(&up),
            fork_version,
        };
        let app = Router::new().fallback(answer).with_state(chain);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self {
            address,
            up,
            _tasks: tasks,
        }
    }

    pub(crate) fn url(&self) -> Url {
        Url::parse(&format!("http://{}", self.address)).unwrap()
    }

    pub(crate) fn set_up(&self) {
        self.up.store(true, Ordering::Relaxed);
    }
}

pub(crate) const HOODI: &str = "0x10000910";
pub(crate) const SEPOLIA: &str = "0x90000069";

/// Asks until somebody answers; the test's own limit ends what never does.
pub(crate) async fn get(address: &str, path: &str) -> (u16, String) {
    let client = trireme_http();
    loop {
        if let Ok(answer) = client.get(format!("http://{address}{path}")).send().await {
            let status = answer.status().as_u16();
            return (status, answer.text().await.unwrap());
        }
        tokio::task::yield_now().await;
    }
}

fn trireme_http() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

pub(crate) fn write(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
}
