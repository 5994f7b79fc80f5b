//! A beacon node and a validator client inside a node's own process, for a look at a cluster without any chain.
//!
//! Every node of the cluster has a beacon node of its own. All of them begin with the same genesis and give the same
//! duties, and each sees what its own node publishes, which is what all nodes publish. A beacon node that has missed
//! blocks, as one of a node that started later, takes the next one for its head; it sees the same chain as the others
//! when the checkpoints of that time are two epochs old. Until then its node's submissions may be refused.
//!
//! Guarantees: the chain's genesis validators root is nobody else's, so nothing that is signed for it is valid on any
//! network.
//! Not here: the chain's rules (`trireme_testutil::judge`).

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use trireme_cluster::{Lock, Networks};
use trireme_eth2::Fork;
use trireme_tbls::SecretKey;
use trireme_testutil::{
    judge::{ChainConfig, Garbler, Judge, JudgeConfig, Server, wall_clock},
    vc::{ValidatorClient, VcConfig},
};

use crate::{
    beacon::ours::versions,
    config::DevnetError,
    folder::{Folder, read_lock, wrong},
};

/// Slots of an epoch.
const SLOTS_PER_EPOCH: u64 = 16;
/// Members of the sync committee, if there are as many validators.
const SYNC_COMMITTEE: usize = 4;
/// Genesis on networks that are in no table; any moment in the past does.
const GENESIS: u64 = 1_606_824_023;

/// What there is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimnetConfig {
    /// The cluster.
    pub lock_file: PathBuf,
    /// Length of a slot; fractions of a second are cut, and it lasts at least one.
    pub slot_duration: Duration,
    /// Whether the beacon node answers with random data, half of the time, once its node has begun.
    pub fuzz: bool,
    /// A validator client, if wanted.
    pub client: Option<SimnetClient>,
}

/// The validator client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimnetClient {
    /// URL of the node's validator API.
    pub url: String,
    /// Where its key shares lie, as keystores with passwords beside them.
    pub keys: PathBuf,
}

/// What runs; it stops when this is dropped.
#[derive(Debug)]
pub struct Simnet {
    server: Server,
    garbler: Option<Garbler>,
    _client: Option<ValidatorClient>,
}

impl Simnet {
    /// Starts the beacon node on a free port of 127.0.0.1, and the client, which waits for its node.
    ///
    /// # Errors
    ///
    /// If the lock or a keystore cannot be read, the keys are not those of one operator, or there is no free port.
    pub async fn start(config: &SimnetConfig) -> Result<Self, DevnetError> {
        let file = &config.lock_file;
        let lock = read_lock(file)?;
        let cluster = Folder::of_lock(file.parent().unwrap_or(Path::new("")), file, &lock)?;
        let keys = match &config.client {
            Some(client) => Some((client.url.clone(), share_keys(&lock, &cluster, &client.keys)?)),
            None => None,
        };
        let now = wall_clock();
        let judge = JudgeConfig {
            sync_members: SYNC_COMMITTEE.min(cluster.validators.len()),
            registrations: cluster.registrations.clone(),
            follows: true,
            ..JudgeConfig::new(chain(&cluster, config.slot_duration)?)
        };
        let server = Server::start(Judge::with(judge), now.clone())
            .await
            .map_err(|e| DevnetError::Config(e.to_string()))?;
        let garbler = if config.fuzz {
            let began = now().as_secs();
            let garbler = Garbler::start(server.url(), began).await;
            Some(garbler.map_err(|e| DevnetError::Config(e.to_string()))?)
        } else {
            None
        };
        let client = keys.map(|(url, keys)| ValidatorClient::start(VcConfig::new(url, keys, now)));
        Ok(Self {
            server,
            garbler,
            _client: client,
        })
    }

    /// The beacon node's URL.
    #[must_use]
    pub fn url(&self) -> String {
        self.garbler.as_ref().map_or_else(|| self.server.url(), Garbler::url)
    }
}

/// The chain, the same for every node of the cluster at any time.
fn chain(cluster: &Folder, slot_duration: Duration) -> Result<ChainConfig, DevnetError> {
    let networks = Networks::known();
    let network = networks.by_fork_version(&cluster.fork_version);
    let genesis = network.map_or(GENESIS, |n| n.genesis_time);
    let (versions, chain_id) = versions(cluster.fork_version)?;
    let mut chain = ChainConfig::new(
        Duration::from_secs(genesis),
        Fork::Fulu,
        versions,
        cluster.validators.clone(),
    );
    "trireme-simnet".clone_into(&mut chain.name);
    chain.seconds_per_slot = slot_duration.as_secs().max(1);
    chain.slots_per_epoch = SLOTS_PER_EPOCH;
    chain.deposit_chain_id = chain_id;
    Ok(chain)
}

/// The keys in a folder, which must be one operator's shares of all validators.
fn share_keys(lock: &Lock, cluster: &Folder, folder: &Path) -> Result<Vec<SecretKey>, DevnetError> {
    let keys = cluster.keys_in(folder)?;
    let ours: BTreeSet<Vec<u8>> = keys.iter().map(|k| k.public_key().to_bytes().to_vec()).collect();
    let has_all = |share: usize| {
        lock.validators
            .iter()
            .all(|v| v.public_shares.get(share).is_some_and(|s| ours.contains(s.as_slice())))
    };
    if (0..cluster.nodes).any(has_all) {
        Ok(keys)
    } else {
        Err(wrong(
            folder,
            "some validator mock keys missing: these are not one operator's shares of the lock's validators",
        ))
    }
}
