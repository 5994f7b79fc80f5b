//! The chain and the cluster's facts, the same in every run but for the secrets.

use std::{sync::Arc, time::Duration};

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha20Rng;
use trireme_core::{
    PeerIdx, PubKey, UnixTime,
    cluster::{Cluster, Validator},
    data::SignedData,
    registrations::registration,
    scheme::Signer,
};
use trireme_eth2::{
    BlsPubkey, ChainSpec, ExecutionAddress, Fork, ForkVersion, Genesis, SignedValidatorRegistrationV1, ValidatorIndex,
};
use trireme_testutil::{
    judge::{self, ChainConfig, DutyKind, HOODI, JudgeConfig},
    sim::{ToyScheme, toy_sum},
};

use crate::plan::Plan;

pub(crate) const NODES: u8 = 4;
pub(crate) const THRESHOLD: u8 = 3;
pub(crate) const VALIDATORS: u8 = 8;
pub(crate) const GENESIS: UnixTime = UnixTime::from_secs(1_700_000_000);
pub(crate) const SLOT: Duration = Duration::from_secs(12);
const SLOTS_PER_EPOCH: u64 = 8;
pub(crate) const GAS_LIMIT: u64 = 36_000_000;

/// Everything that all nodes of a run share.
pub(crate) struct Facts {
    pub(crate) keys: Vec<PubKey>,
    pub(crate) toy: Arc<ToyScheme>,
    pub(crate) spec: Arc<ChainSpec>,
    pub(crate) judge: JudgeConfig,
    /// What the cluster made when it was created.
    pub(crate) registrations: Vec<SignedValidatorRegistrationV1>,
}

impl Facts {
    pub(crate) fn new(seed: u64, plan: &Plan) -> Self {
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
        chain.transactions_per_block = 1;
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
            DutyKind::Exit,
        ]
        .into();
        if plan.builder {
            config.builder = true;
            config.counted.insert(DutyKind::BuilderRegistration);
        }
        config.registrations = (0..).map(ValidatorIndex).zip(keys.iter().map(wanted)).collect();
        config.empty_slots.clone_from(&plan.empty);
        config.reorgs.clone_from(&plan.reorgs);
        config.faces = usize::from(NODES);
        config.sum = toy_sum;
        let (prover, of) = (Arc::clone(&toy), keys.clone());
        config.prover = Some(Arc::new(move |validator, root| {
            let key = of.get(usize::try_from(validator.0).ok()?)?;
            prover.sign(Signer::Group(*key), root)
        }));
        let spec = judge::spec(&config.chain, config.epochs_per_sync_period);
        let spec = Arc::new(ChainSpec::read(spec.as_object().unwrap(), genesis).unwrap());
        let registrations = keys.iter().map(|key| registered(key, &toy, &spec)).collect();
        Self {
            keys,
            toy,
            spec,
            registrations,
            judge: config,
        }
    }

    /// The cluster as node `me` sees it.
    pub(crate) fn cluster(&self, me: u8) -> Arc<Cluster> {
        let validator = |key: &PubKey| Validator {
            key: *key,
            shares: (1..=NODES).map(|share| share_key(key, share)).collect(),
            fee_recipient: recipient(key),
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

const fn recipient(key: &PubKey) -> [u8; 20] {
    [key.0[0]; 20]
}

/// What a validator's registration says.
fn wanted(key: &PubKey) -> judge::Registration {
    judge::Registration {
        fee_recipient: ExecutionAddress(recipient(key)),
        gas_limit: GAS_LIMIT,
    }
}

fn registered(key: &PubKey, toy: &ToyScheme, spec: &ChainSpec) -> SignedValidatorRegistrationV1 {
    let mut signed = registration(*key, GAS_LIMIT, GENESIS.secs() - 1, [0; 96]);
    signed.message.fee_recipient = wanted(key).fee_recipient;
    let root = SignedData::Registration(signed).signing_root(spec).unwrap();
    signed.signature = toy.sign(Signer::Group(*key), root).unwrap();
    signed
}

/// A public share; nobody looks into it.
fn share_key(validator: &PubKey, share: u8) -> [u8; 48] {
    let mut key = validator.0;
    key[46] = 0xaa;
    key[47] = share;
    key
}
