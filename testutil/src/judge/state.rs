//! The judge itself: a chain that knows what is due, and takes or refuses what is submitted.
//!
//! Guarantees: a pure state machine; time comes in as an argument, nothing is read from outside. Whether a signature
//! is genuine is asked before ([`Judge::claims_of_vote`]) and told with the submission, because that takes
//! a millisecond each. Every genuine submission is held against everything that its validator signed before, also if
//! it is refused for another reason. An identical repetition is taken and counted once.
//! Every question and every submission names the face that it comes to, and the time.
//! Not here: the rules for each kind of duty (`votes`, `proposals`, `aggregates`, `sync`, `contributions`,
//! `registrations`), how a face shows the chain (`sight`), HTTP (`http`), the counting at the end (`report`).

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::Serialize;
use trireme_eth2::{
    BlsPubkey, BlsSignature, CommitteeIndex, Epoch, ExecutionAddress, Root, Slot, ValidatorIndex,
    ValidatorRegistrationV1, VersionedSignedProposal,
    electra::SingleAttestation,
    phase0::{self, AttestationData, Checkpoint},
};

use super::{
    blocks::Ingredients,
    chain::{ChainConfig, Committees},
    config::JudgeConfig,
    events::ChainEvent,
    faces::{Fault, FaultKind, Manner, fault_at},
    inclusion::Included,
    pool::Ballots,
    reads::{Door, Reads},
    selection::Proofs,
    sight::{foreign, genesis_block, other_fork_epoch},
    slashable::{SignedHistory, Slashable},
};

/// How far clocks may differ (`MAXIMUM_GOSSIP_CLOCK_DISPARITY`).
pub(super) const DISPARITY: Duration = Duration::from_millis(500);

/// Why something was not taken; a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

pub(super) fn refuse<T>(why: impl Into<String>) -> Result<T, Refused> {
    Err(Refused(why.into()))
}

/// What became of something that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// New.
    First,
    /// The same as before.
    Repeated,
}

/// The kinds of duty that the chain gives out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DutyKind {
    /// One attestation per validator and epoch.
    Attester,
    /// One block per slot.
    Proposer,
    /// An aggregate of each attester that its selection proof selects.
    Aggregator,
    /// One message per slot and member of the sync committee.
    SyncMessage,
    /// A contribution of each member of the sync committee that its selection proof selects.
    SyncContribution,
    /// One registration per validator and epoch, if there is a builder; its slot is the epoch's first.
    BuilderRegistration,
    /// An exit that was announced to the judge; its slot is that of the announcement.
    Exit,
}

impl DutyKind {
    /// All kinds, in the order of their time in a slot.
    pub const ALL: [Self; 7] = [
        Self::Proposer,
        Self::Attester,
        Self::SyncMessage,
        Self::Aggregator,
        Self::SyncContribution,
        Self::BuilderRegistration,
        Self::Exit,
    ];

    /// The name, as in the report.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Attester => "attester",
            Self::Proposer => "proposer",
            Self::Aggregator => "aggregator",
            Self::SyncMessage => "sync_message",
            Self::SyncContribution => "sync_contribution",
            Self::BuilderRegistration => "builder_registration",
            Self::Exit => "exit",
        }
    }
}

/// One duty of one validator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DutyOf {
    /// What.
    pub kind: DutyKind,
    /// When.
    pub slot: Slot,
    /// Whose.
    pub validator: ValidatorIndex,
}

/// A vote as submitted, of either form.
#[derive(Debug, Clone, PartialEq)]
pub enum SubmittedVote {
    /// Before Electra.
    Bits(phase0::Attestation),
    /// Since Electra.
    Single(SingleAttestation),
}

impl SubmittedVote {
    /// What is voted for.
    #[must_use]
    pub const fn data(&self) -> &AttestationData {
        match self {
            Self::Bits(vote) => &vote.data,
            Self::Single(vote) => &vote.data,
        }
    }

    pub(super) const fn signature(&self) -> BlsSignature {
        match self {
            Self::Bits(vote) => vote.signature,
            Self::Single(vote) => vote.signature,
        }
    }
}

/// A block of the chain.
#[derive(Debug, Clone)]
pub struct ChainBlock {
    /// Its slot.
    pub slot: Slot,
    /// Its root.
    pub root: Root,
    /// The block before.
    pub parent: Root,
    /// Its state root.
    pub state_root: Root,
    /// The block; the first one has none.
    pub block: Option<std::sync::Arc<VersionedSignedProposal>>,
    /// The votes in it.
    pub(super) included: Vec<Included>,
}

/// The votes of a committee for the same data.
#[derive(Debug)]
pub(super) struct Votes {
    pub(super) data: AttestationData,
    pub(super) ballots: Ballots,
}

/// Something that was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// When.
    pub at: Duration,
    /// The duty that it was for, if that could be told.
    pub duty: Option<DutyOf>,
    /// Why.
    pub reason: String,
}

/// See the module.
#[derive(Debug)]
pub struct Judge {
    pub(super) config: JudgeConfig,
    pub(super) chain: ChainConfig,
    pub(super) reads: Reads,
    pub(super) announced_exits: BTreeMap<ValidatorIndex, Slot>,
    pub(super) indices: BTreeMap<BlsPubkey, ValidatorIndex>,
    /// Another network, and its first block.
    pub(super) foreign: (ChainConfig, ChainBlock),
    pub(super) other_fork_epoch: ChainConfig,
    /// What reorganisations did to the committees of an epoch.
    pub(super) shuffles: BTreeMap<Epoch, u64>,
    pub(super) reorganised: u64,
    pub(super) events: Vec<ChainEvent>,
    pub(super) vote_pool: BTreeMap<(Slot, Root, CommitteeIndex), Votes>,
    pub(super) sync_pool: BTreeMap<(Slot, Root, u64), Ballots>,
    pub(super) sync_committees: BTreeMap<u64, BTreeMap<ValidatorIndex, u64>>,
    pub(super) proofs: Proofs,
    pub(super) voted_heads: BTreeMap<DutyOf, Root>,
    pub(super) alive: BTreeMap<Epoch, BTreeSet<ValidatorIndex>>,
    pub(super) registered: BTreeMap<ValidatorIndex, ValidatorRegistrationV1>,
    pub(super) offers: BTreeMap<Root, Ingredients>,
    pub(super) blocks_asked: BTreeMap<Slot, Duration>,
    pub(super) committees: BTreeMap<Epoch, Committees>,
    pub(super) blocks: BTreeMap<Root, ChainBlock>,
    pub(super) canonical: BTreeMap<Slot, Root>,
    pub(super) head: ChainBlock,
    pub(super) history: SignedHistory,
    pub(super) slashable: Vec<Slashable>,
    pub(super) arrivals: BTreeMap<DutyOf, Duration>,
    pub(super) refusals: Vec<Refusal>,
    pub(super) recipients: BTreeMap<ValidatorIndex, ExecutionAddress>,
}

impl Judge {
    /// A chain that has only its genesis block, and nothing set beside it.
    #[must_use]
    pub fn new(chain: ChainConfig) -> Self {
        Self::with(JudgeConfig::new(chain))
    }

    /// A chain that has only its genesis block.
    #[must_use]
    pub fn with(config: JudgeConfig) -> Self {
        let chain = config.chain.clone();
        let genesis = genesis_block(&chain);
        let foreign = foreign(&chain);
        Self {
            announced_exits: BTreeMap::new(),
            indices: chain
                .validators
                .iter()
                .copied()
                .zip((0..).map(ValidatorIndex))
                .collect(),
            foreign: (foreign.clone(), genesis_block(&foreign)),
            other_fork_epoch: other_fork_epoch(&chain),
            shuffles: BTreeMap::new(),
            reorganised: 0,
            events: Vec::new(),
            vote_pool: BTreeMap::new(),
            sync_pool: BTreeMap::new(),
            sync_committees: BTreeMap::new(),
            proofs: Proofs::default(),
            voted_heads: BTreeMap::new(),
            alive: BTreeMap::new(),
            registered: BTreeMap::new(),
            offers: BTreeMap::new(),
            blocks_asked: BTreeMap::new(),
            reads: Reads::default(),
            committees: BTreeMap::new(),
            blocks: BTreeMap::from([(genesis.root, genesis.clone())]),
            canonical: BTreeMap::from([(Slot(0), genesis.root)]),
            head: genesis,
            history: SignedHistory::default(),
            slashable: Vec::new(),
            arrivals: BTreeMap::new(),
            refusals: Vec::new(),
            recipients: BTreeMap::new(),
            chain,
            config,
        }
    }

    // === What the chain says

    /// The chain's facts.
    #[must_use]
    pub const fn chain(&self) -> &ChainConfig {
        &self.chain
    }

    /// Everything else that it was told at its start.
    #[must_use]
    pub const fn config(&self) -> &JudgeConfig {
        &self.config
    }

    /// Something goes wrong with a face, now or later.
    pub fn inject(&mut self, fault: Fault) {
        self.config.faults.push(fault);
    }

    /// What is wrong with a face at `now`.
    #[must_use]
    pub fn fault(&self, face: usize, now: Duration) -> Option<FaultKind> {
        fault_at(&self.config.faults, face, self.chain.slot_at(now))
    }

    /// What a face does with a request before it looks at it.
    #[must_use]
    pub fn manner(&self, face: usize, now: Duration) -> Manner {
        match self.fault(face, now) {
            Some(FaultKind::Slow) => Manner::After(self.chain.slot_duration() / 4),
            Some(FaultKind::Error) => Manner::Fail,
            Some(FaultKind::Hang) => Manner::Never,
            Some(FaultKind::Optimistic | FaultKind::Behind | FaultKind::WrongChain | FaultKind::OtherForkEpoch)
            | None => Manner::Answer,
        }
    }

    /// Notes that something was read, for the report.
    pub fn note_read(&mut self, now: Duration, door: Door, method: &str, path: &str) {
        let slot = self.chain.slot_at(now);
        self.reads.note(slot, door, method, path);
    }

    /// From now on an exit of this validator is expected, as a duty of `slot`: its validator client is asked to sign one.
    pub fn expect_exit(&mut self, validator: ValidatorIndex, slot: Slot) {
        self.announced_exits.insert(validator, slot);
    }

    /// Whose exits are expected in `slot`.
    pub(super) fn announced(&self, slot: Slot) -> Vec<ValidatorIndex> {
        let of_slot = self.announced_exits.iter().filter(|(_, of)| **of == slot);
        of_slot.map(|(validator, _)| *validator).collect()
    }

    /// The newest block.
    #[must_use]
    pub const fn head(&self) -> &ChainBlock {
        &self.head
    }

    /// The block of exactly this slot; slot 0 is the genesis block.
    #[must_use]
    pub fn block_at(&self, slot: Slot) -> Option<&ChainBlock> {
        self.blocks.get(self.canonical.get(&slot)?)
    }

    /// All blocks, also those that reorganisations left behind.
    pub fn all_blocks(&self) -> impl Iterator<Item = &ChainBlock> {
        self.blocks.values()
    }

    /// Whether something happens by itself, so that [`Judge::advance`] is to be called now and then.
    #[must_use]
    pub fn has_plans(&self) -> bool {
        !self.config.reorgs.is_empty() || !self.config.secrets.is_empty()
    }

    /// The block with this root.
    #[must_use]
    pub fn block(&self, root: Root) -> Option<&ChainBlock> {
        self.blocks.get(&root)
    }

    /// Root of the newest block at or before `slot`.
    #[must_use]
    pub fn root_until(&self, slot: Slot) -> Root {
        self.canonical
            .range(..=slot)
            .next_back()
            .map_or(Root::ZERO, |(_, root)| *root)
    }

    /// Who sits where in `epoch`.
    pub fn committees(&mut self, epoch: Epoch) -> Committees {
        if self.committees.len() > 64 {
            self.committees.pop_first();
        }
        self.committees
            .entry(epoch)
            .or_insert_with(|| {
                let shuffle = self.shuffles.get(&epoch).copied().unwrap_or_default();
                self.chain.shuffled(epoch, shuffle)
            })
            .clone()
    }

    /// The validator with this key.
    #[must_use]
    pub fn index_of(&self, key: &BlsPubkey) -> Option<ValidatorIndex> {
        self.indices.get(key).copied()
    }

    /// The key of the validator that something names; that there is none is noted as a refusal.
    pub(super) fn key_of(&mut self, now: Duration, validator: ValidatorIndex) -> Result<BlsPubkey, Refused> {
        let Some(key) = self.chain.key(validator) else {
            let refused = Refused(format!("the chain has no validator {}", validator.0));
            self.note(now, None, &refused);
            return Err(refused);
        };
        Ok(key)
    }

    /// Whether anything signed by a validator in `epoch` was seen.
    #[must_use]
    pub fn is_live(&self, epoch: Epoch, validator: ValidatorIndex) -> bool {
        self.alive.get(&epoch).is_some_and(|seen| seen.contains(&validator))
    }

    /// Everything slashable so far.
    #[must_use]
    pub fn slashable(&self) -> &[Slashable] {
        &self.slashable
    }

    /// Everything refused so far.
    #[must_use]
    pub fn refusals(&self) -> &[Refusal] {
        &self.refusals
    }

    /// When a duty's result first arrived.
    #[must_use]
    pub fn arrival(&self, duty: DutyOf) -> Option<Duration> {
        self.arrivals.get(&duty).copied()
    }

    /// The checkpoints that a vote in `epoch` for the block `head` must name: source and target.
    pub(super) fn checkpoints(&self, epoch: Epoch, head: Root) -> (Checkpoint, Checkpoint) {
        let before = Epoch(epoch.0.saturating_sub(1));
        let source = Checkpoint {
            epoch: before,
            root: self.ancestor(head, self.chain.first_slot(before)),
        };
        let target = Checkpoint {
            epoch,
            root: self.ancestor(head, self.chain.first_slot(epoch)),
        };
        // The state's justified checkpoint at genesis is empty.
        let source = if before.0 == 0 { Checkpoint::default() } else { source };
        (source, target)
    }

    pub(super) fn ancestor(&self, from: Root, slot: Slot) -> Root {
        let mut at = from;
        while let Some(block) = self.blocks.get(&at) {
            if block.slot <= slot {
                return at;
            }
            at = block.parent;
        }
        Root::ZERO
    }

    pub(super) fn too_early(&self, now: Duration, slot: Slot) -> bool {
        now.saturating_add(DISPARITY) < self.chain.start(slot)
    }

    pub(super) fn late_text(&self, now: Duration, slot: Slot) -> String {
        format!(
            "late: it came {} ms after the start of its slot",
            now.saturating_sub(self.chain.start(slot)).as_millis()
        )
    }

    // === Notes

    /// Who gets the fees of a validator's blocks from now on.
    pub fn prepare(&mut self, validator: ValidatorIndex, recipient: ExecutionAddress) {
        self.recipients.insert(validator, recipient);
    }

    /// Notes a refusal that was found before the judge saw the content, such as an undecodable body.
    pub fn refuse_unread(&mut self, now: Duration, why: &str) {
        self.note(now, None, &Refused(why.to_owned()));
    }

    pub(super) fn note(&mut self, at: Duration, duty: Option<DutyOf>, why: &Refused) {
        self.refusals.push(Refusal {
            at,
            duty,
            reason: why.0.clone(),
        });
    }

    /// Notes that a validator signed something of `slot`.
    pub(super) fn note_alive(&mut self, slot: Slot, validator: ValidatorIndex) {
        self.alive.entry(self.chain.epoch(slot)).or_default().insert(validator);
        if self.alive.len() > 8 {
            self.alive.pop_first();
        }
    }

    pub(super) fn arrive(&mut self, duty: DutyOf, now: Duration) -> Taken {
        let mut taken = Taken::Repeated;
        self.arrivals.entry(duty).or_insert_with(|| {
            taken = Taken::First;
            now
        });
        taken
    }
}
