//! A chain outside: asked once for its clockwork and forks.
//!
//! Guarantees: a beacon node of another network than the cluster's is refused before any node starts.

use std::time::Duration;

use serde_json::{Map, Value};
use trireme_eth2::{ChainSpec, Genesis};

use super::Clock;
use crate::config::DevnetError;

/// How long the beacon node has to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// See the module.
pub(crate) struct Outside {
    /// Where its beacon nodes answer.
    pub(super) urls: Vec<String>,
    /// What nodes must be told of a network that is in no table.
    pub(super) network_flags: Vec<String>,
    spec: ChainSpec,
}

impl Outside {
    /// Asks the first beacon node.
    pub(super) async fn learn(urls: &[String], fork_version: [u8; 4]) -> Result<Self, DevnetError> {
        let url = urls.first().cloned().unwrap_or_default();
        let wrong = |reason: String| DevnetError::Beacon {
            url: url.clone(),
            reason,
        };
        // Somebody else may have installed one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build();
        let client = client.map_err(|e| wrong(e.to_string()))?;
        let genesis: Genesis = data(&client, &url, "/eth/v1/beacon/genesis").await.map_err(wrong)?;
        let spec: Map<String, Value> = data(&client, &url, "/eth/v1/config/spec").await.map_err(wrong)?;
        let spec = ChainSpec::read(&spec, genesis).map_err(|e| wrong(e.to_string()))?;
        let version = genesis.genesis_fork_version;
        if version.0 != fork_version {
            let cluster = trireme_eth2::ForkVersion(fork_version);
            return Err(wrong(format!(
                "its chain has the genesis fork version {version}, the cluster's lock {cluster}"
            )));
        }
        Ok(Self {
            urls: urls.to_vec(),
            network_flags: network_flags(&spec),
            spec,
        })
    }

    pub(super) fn clock(&self) -> Clock {
        let genesis = Duration::from_secs(self.spec.genesis.genesis_time);
        Clock::new(genesis, self.spec.slot_duration(), self.spec.slots_per_epoch)
    }
}

async fn data<T: serde::de::DeserializeOwned>(client: &reqwest::Client, url: &str, path: &str) -> Result<T, String> {
    #[derive(serde::Deserialize)]
    struct Data<T> {
        data: T,
    }

    let answer = client.get(format!("{}{path}", url.trim_end_matches('/'))).send().await;
    let answer =
        answer.map_err(|e| format!("{path}: {}", if e.is_timeout() { "no answer" } else { "no connection" }))?;
    let status = answer.status();
    if !status.is_success() {
        return Err(format!("{path}: it answers {status}"));
    }
    let body = answer
        .bytes()
        .await
        .map_err(|_| format!("{path}: the answer broke off"))?;
    let read: Data<T> = serde_json::from_slice(&body).map_err(|e| format!("{path}: {e}"))?;
    Ok(read.data)
}

/// None for a network that nodes know.
fn network_flags(spec: &ChainSpec) -> Vec<String> {
    let version = spec.genesis.genesis_fork_version;
    if trireme_cluster::Networks::known().by_fork_version(&version.0).is_some() {
        return Vec::new();
    }
    let name = if spec.config_name.is_empty() {
        "outside"
    } else {
        &spec.config_name
    };
    let mut flags = vec![
        format!("--testnet-name={name}"),
        format!("--testnet-fork-version={version}"),
        format!("--testnet-chain-id={}", spec.deposit_chain_id.unwrap_or_default()),
        format!("--testnet-genesis-timestamp={}", spec.genesis.genesis_time),
    ];
    flags.extend(
        spec.capella_fork_version
            .map(|v| format!("--testnet-capella-hard-fork={v}")),
    );
    flags
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(version: &str) -> ChainSpec {
        let genesis = json!({
            "genesis_time": "1795239737",
            "genesis_validators_root": format!("0x{}", "83".repeat(32)),
            "genesis_fork_version": version,
        });
        let spec = json!({
            "CONFIG_NAME": "private", "SECONDS_PER_SLOT": "6", "SLOTS_PER_EPOCH": "32", "DEPOSIT_CHAIN_ID": "1337",
            "CAPELLA_FORK_VERSION": "0x20000092", "CAPELLA_FORK_EPOCH": "0",
        });
        let Value::Object(spec) = spec else { panic!("an object") };
        ChainSpec::read(&spec, serde_json::from_value(genesis).unwrap()).unwrap()
    }

    #[test]
    fn nodes_are_told_about_a_network_that_they_do_not_know_and_only_about_such() {
        let expected = [
            "--testnet-name=private",
            "--testnet-fork-version=0x20000089",
            "--testnet-chain-id=1337",
            "--testnet-genesis-timestamp=1795239737",
            "--testnet-capella-hard-fork=0x20000092",
        ];
        assert_eq!(network_flags(&spec("0x20000089")), expected);
        assert!(network_flags(&spec("0x00000000")).is_empty());
    }

    #[tokio::test]
    async fn a_beacon_node_that_is_not_there_is_named() {
        let url = "http://127.0.0.1:1".to_owned();
        let refused = Outside::learn(std::slice::from_ref(&url), [0; 4]).await.map(drop);
        let text = refused.unwrap_err().to_string();
        assert!(text.contains(&url) && text.contains("no connection"), "{text}");
    }
}
