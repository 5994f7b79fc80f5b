//! What a judge is told at its start: the chain, and how it is to be seen and counted.
//!
//! Guarantees: with nothing set but the chain there is one beacon node without faults, no builder, and attestations and
//! blocks are counted.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use trireme_eth2::{BlsSignature, ExecutionAddress, Root, ValidatorIndex};
use trireme_tbls::SecretKey;

use super::{
    chain::ChainConfig,
    faces::Fault,
    pool::{Sum, bls_sum},
    state::DutyKind,
};

/// Signs a signing root with a validator's group secret.
pub type Prover = Arc<dyn Fn(ValidatorIndex, Root) -> Option<BlsSignature> + Send + Sync>;

/// See the module.
#[derive(Clone)]
pub struct JudgeConfig {
    /// The chain.
    pub chain: ChainConfig,
    /// The kinds of duty that the report counts. All kinds are checked, whether counted or not.
    pub counted: BTreeSet<DutyKind>,
    /// How many beacon nodes show the chain, at least one.
    pub faces: usize,
    /// What is wrong with them when.
    pub faults: Vec<Fault>,
    /// Whether there is a builder, which makes the blocks of validators that registered if its bid is wanted
    /// (`builder_boost_factor` other than 0).
    pub builder: bool,
    /// How many validators sit in the sync committee, at most 512; each has one seat. They are spread over the four
    /// subcommittees.
    pub sync_members: usize,
    /// `EPOCHS_PER_SYNC_COMMITTEE_PERIOD`.
    pub epochs_per_sync_period: u64,
    /// The validators' group secrets, where they are known. With them the judge knows who is selected as aggregator
    /// whether or not anyone proves it; without them only proven selections are expected.
    pub secrets: BTreeMap<ValidatorIndex, Arc<SecretKey>>,
    /// The same for signatures of another scheme than BLS: signs a signing root for a validator. Simulations have one.
    pub prover: Option<Prover>,
    /// How signatures are added up.
    pub sum: Sum,
    /// What a validator's registration must say; without an entry anything is taken.
    pub registrations: BTreeMap<ValidatorIndex, Registration>,
    /// Whether a block on a parent that the judge has never seen becomes the head, as if it had got the blocks before
    /// from others. For several judges of one chain.
    pub follows: bool,
    /// Slots whose proposer is a stranger who publishes nothing.
    pub empty_slots: BTreeSet<u64>,
    /// Reorganisations of the chain.
    pub reorgs: Vec<Reorg>,
}

/// What a cluster's lock says about a validator's registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registration {
    /// Who gets the fees.
    pub fee_recipient: ExecutionAddress,
    /// The wished gas limit.
    pub gas_limit: u64,
}

/// Shortly before `slot` begins, a stranger's block replaces the newest `depth` blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reorg {
    /// The first slot that sees the other branch.
    pub slot: u64,
    /// How many blocks go.
    pub depth: u64,
}

impl JudgeConfig {
    /// See the module.
    #[must_use]
    pub fn new(chain: ChainConfig) -> Self {
        Self {
            chain,
            counted: BTreeSet::from([DutyKind::Attester, DutyKind::Proposer]),
            faces: 1,
            faults: Vec::new(),
            builder: false,
            sync_members: 4,
            epochs_per_sync_period: 256,
            secrets: BTreeMap::new(),
            prover: None,
            sum: bls_sum,
            registrations: BTreeMap::new(),
            follows: false,
            empty_slots: BTreeSet::new(),
            reorgs: Vec::new(),
        }
    }
}

impl std::fmt::Debug for JudgeConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JudgeConfig")
            .field("chain", &self.chain.name)
            .field("counted", &self.counted)
            .field("faces", &self.faces)
            .field("faults", &self.faults)
            .field("secrets", &self.secrets.len())
            .finish_non_exhaustive()
    }
}
