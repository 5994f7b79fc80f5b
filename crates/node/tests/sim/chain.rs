//! The chain and the cluster's facts, the same in every run but for the secrets.

use std::{sync::Arc, time::Duration};

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha20Rng;
use trireme_core::{
    PeerIdx, PubKey, UnixTime,
    cluster::{Cluster, Validator},
};
use trireme_eth2::{BlsPubkey, ChainSpec, Fork, ForkVersion, Genesis};
use trireme_testutil::{
    judge::{self, ChainConfig, DutyKind, HOODI, JudgeConfig},
    sim::{ToyScheme, toy_sum},
};

pub(crate) const NODES: u8 = 4;
pub(crate) const THRESHOLD: u8 = 3;
const VALIDATORS: u8 = 8;
pub(crate) const GENESIS: UnixTime = UnixTime::from_secs(1_700_000_000);
pub(crate) const SLOT: Duration = Duration::from_secs(12);
const SLOTS_PER_EPOCH: u64 = 8;

/// Everything that all nodes of a run share.
pub(crate) struct Facts {
    pub(crate) keys: Vec<PubKey>,
    pub(crate) toy: Arc<ToyScheme>,
    pub(crate) spec: Arc<ChainSpec>,
    pub(crate) judge: JudgeConfig,
}

impl Facts {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let keys: Vec<PubKey> = (0..VALIDATORS)
            .map(|n| {
                let mut key = [n; 48];
                rng.fill_bytes(&mut key[1..]);
                PubKey(key)
            })
            .collect();
        let toy = Arc::new(ToyScheme::new(&keys, NODES, THRESHOLD, rng.next_u64()));
        let mut chain = ChainConfig::new(
            Duration::from_nanos(GENESIS.0),
            Fork::Fulu,
            HOODI,
            keys.iter().map(|k| BlsPubkey(k.0)).collect(),
        );
        chain.seconds_per_slot = SLOT.as_secs();
        chain.slots_per_epoch = SLOTS_PER_EPOCH;
        chain.blobs_per_block = 0;
        let genesis = Genesis {
            genesis_time: GENESIS.secs(),
            genesis_validators_root: chain.genesis_validators_root,
            genesis_fork_version: ForkVersion(HOODI[0]),
        };
        let mut config = JudgeConfig::new(chain);
        config.counted = [
            DutyKind::Attester,
            DutyKind::Proposer,
            DutyKind::Aggregator,
            DutyKind::SyncMessage,
            DutyKind::SyncContribution,
        ]
        .into();
        config.faces = usize::from(NODES);
        config.sum = toy_sum;
        let (prover, of) = (Arc::clone(&toy), keys.clone());
        config.prover = Some(Arc::new(move |validator, root| {
            let key = of.get(usize::try_from(validator.0).ok()?)?;
            prover.sign(trireme_core::scheme::Signer::Group(*key), root)
        }));
        let spec = judge::spec(&config.chain, config.epochs_per_sync_period);
        let spec = ChainSpec::read(spec.as_object().unwrap(), genesis).unwrap();
        Self {
            keys,
            toy,
            spec: Arc::new(spec),
            judge: config,
        }
    }

    /// The cluster as node `me` sees it.
    pub(crate) fn cluster(&self, me: u8) -> Arc<Cluster> {
        let validator = |key: &PubKey| Validator {
            key: *key,
            shares: (1..=NODES).map(|share| share_key(key, share)).collect(),
            fee_recipient: [key.0[0]; 20],
        };
        Arc::new(Cluster::new(
            [5; 32],
            usize::from(NODES),
            usize::from(THRESHOLD),
            PeerIdx(me),
            self.keys.iter().map(validator).collect(),
        ))
    }
}

/// A public share; nobody looks into it.
fn share_key(validator: &PubKey, share: u8) -> [u8; 48] {
    let mut key = validator.0;
    key[46] = 0xaa;
    key[47] = share;
    key
}
