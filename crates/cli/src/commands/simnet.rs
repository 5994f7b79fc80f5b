//! The `--simnet-*` flags of `run`: a beacon node and a validator client inside the node's own process.
//!
//! Not here: what they are (`trireme_devnet::simnet`); a program built without local clusters has neither.

use std::{path::PathBuf, time::Duration};

use trireme_node::NodeConfig;

use crate::{
    flags::RunFlags,
    values::{Problems, given},
};

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Simnet {
    /// Length of a slot.
    slot_duration: Duration,
    /// Whether it answers with random data.
    fuzz: bool,
    /// Where the key shares of the validator client lie; without them there is none.
    keys: Option<PathBuf>,
}

impl Simnet {
    /// Reads the flags; `None` if the node has a beacon node outside.
    pub fn config(flags: &RunFlags, problems: &mut Problems) -> Option<Self> {
        let beacon = problems.bool("simnet-beacon-mock", &flags.simnet_beacon_mock);
        let client = problems.bool("simnet-validator-mock", &flags.simnet_validator_mock);
        let slot_duration = problems.duration("simnet-slot-duration", &flags.simnet_slot_duration);
        let fuzz = problems.bool("simnet-beacon-mock-fuzz", &flags.simnet_beacon_mock_fuzz);
        if fuzz && !beacon {
            problems.add(
                "simnet-beacon-mock-fuzz",
                "needs --simnet-beacon-mock, whose answers it is about",
            );
        }
        if client && !beacon {
            problems.add(
                "simnet-validator-mock",
                "needs --simnet-beacon-mock: its keys must not sign for a real chain",
            );
        }
        if client && given(&flags.vc_tls_cert_file).is_some() {
            problems.add(
                "simnet-validator-mock",
                "cannot speak TLS: leave out --vc-tls-cert-file",
            );
        }
        beacon.then(|| Self {
            slot_duration,
            fuzz,
            keys: client.then(|| PathBuf::from(&flags.simnet_validator_keys_dir)),
        })
    }

    /// Starts what is wanted and lets the node use it. It runs as long as the returned value lives.
    ///
    /// # Errors
    /// If the lock or the keys are of no use, or no port is free.
    #[cfg(feature = "devnet")]
    pub async fn start(self, node: &mut NodeConfig) -> anyhow::Result<trireme_devnet::simnet::Simnet> {
        use trireme_devnet::simnet::{Simnet, SimnetClient, SimnetConfig};
        let address = &node.validator_api.address;
        let config = SimnetConfig {
            lock_file: node.lock_file.clone(),
            slot_duration: self.slot_duration,
            fuzz: self.fuzz,
            client: self.keys.map(|keys| SimnetClient {
                url: format!("http://{address}"),
                keys,
            }),
        };
        let simnet = Simnet::start(&config).await?;
        node.beacon.endpoints = vec![simnet.url().parse()?];
        tracing::warn!(
            topic = "cmd",
            beacon_node = simnet.url(),
            "This node follows a chain that does not exist; nothing that it signs is valid anywhere"
        );
        Ok(simnet)
    }

    /// Says that this program has none.
    ///
    /// # Errors
    /// Always.
    #[cfg(not(feature = "devnet"))]
    #[expect(clippy::unused_async, reason = "the other build's has something to wait for")]
    pub async fn start(self, _node: &mut NodeConfig) -> anyhow::Result<()> {
        anyhow::bail!("--simnet-beacon-mock: this program was built without the mock beacon node (feature devnet)")
    }
}
