//! The judge itself: a chain that knows what is due, and takes or refuses what is submitted.
//!
//! Guarantees: a pure state machine; time comes in as an argument, nothing is read from outside. Whether a signature
//! is genuine is asked before ([`Judge::claims_of_vote`]) and told with the submission, because that takes
//! a millisecond each. Every genuine submission is held against everything that its validator signed before, also if
//! it is refused for another reason. An identical repetition is taken and counted once.
//! Not here: HTTP (`http`), the counting at the end (`report`).

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;
use trireme_eth2::{
    BlsSignature, CommitteeIndex, Epoch, ExecutionAddress, Fork, Root, Slot, ValidatorIndex, VersionedSignedProposal,
    electra::SingleAttestation,
    hash_tree_root,
    phase0::{self, AttestationData, Checkpoint},
};

use super::{
    blocks::{Ingredients, epoch_root, state_root},
    chain::{ChainConfig, Committees, digest, number},
    signing::{Claim, Purpose, domain, signing_root},
    slashable::{SignedHistory, Slashable, Vote},
    view::BlockView,
};

/// How far clocks may differ (`MAXIMUM_GOSSIP_CLOCK_DISPARITY`).
const DISPARITY: Duration = Duration::from_millis(500);

/// Why something was not taken; a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

fn refuse<T>(why: impl Into<String>) -> Result<T, Refused> {
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

    const fn signature(&self) -> BlsSignature {
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
    chain: ChainConfig,
    committees: BTreeMap<Epoch, Committees>,
    blocks: BTreeMap<Root, ChainBlock>,
    canonical: BTreeMap<Slot, Root>,
    head: ChainBlock,
    history: SignedHistory,
    slashable: Vec<Slashable>,
    arrivals: BTreeMap<DutyOf, Duration>,
    refusals: Vec<Refusal>,
    recipients: BTreeMap<ValidatorIndex, ExecutionAddress>,
}

impl Judge {
    /// A chain that has only its genesis block.
    #[must_use]
    pub fn new(chain: ChainConfig) -> Self {
        let root = digest(&[b"genesis block", chain.genesis_validators_root.as_slice()]);
        let genesis = ChainBlock {
            slot: Slot(0),
            root,
            parent: Root::ZERO,
            state_root: digest(&[b"genesis state"]),
            block: None,
        };
        Self {
            chain,
            committees: BTreeMap::new(),
            blocks: BTreeMap::from([(root, genesis.clone())]),
            canonical: BTreeMap::from([(Slot(0), root)]),
            head: genesis,
            history: SignedHistory::default(),
            slashable: Vec::new(),
            arrivals: BTreeMap::new(),
            refusals: Vec::new(),
            recipients: BTreeMap::new(),
        }
    }

    // === What the chain says

    /// The chain's facts.
    #[must_use]
    pub const fn chain(&self) -> &ChainConfig {
        &self.chain
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
            .or_insert_with(|| self.chain.committees(epoch))
            .clone()
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
    fn checkpoints(&self, epoch: Epoch, head: Root) -> (Checkpoint, Checkpoint) {
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

    fn ancestor(&self, from: Root, slot: Slot) -> Root {
        let mut at = from;
        while let Some(block) = self.blocks.get(&at) {
            if block.slot <= slot {
                return at;
            }
            at = block.parent;
        }
        Root::ZERO
    }

    fn too_early(&self, now: Duration, slot: Slot) -> bool {
        now.saturating_add(DISPARITY) < self.chain.start(slot)
    }

    fn late_text(&self, now: Duration, slot: Slot) -> String {
        format!(
            "late: it came {} ms after the start of its slot",
            now.saturating_sub(self.chain.start(slot)).as_millis()
        )
    }

    // === Attestations

    /// What to attest to.
    ///
    /// # Errors
    ///
    /// For a slot that has not begun or is more than an epoch old, and for a committee that the slot does not have.
    pub fn attestation_data(
        &mut self,
        now: Duration,
        slot: Slot,
        committee: CommitteeIndex,
    ) -> Result<AttestationData, Refused> {
        if self.too_early(now, slot) {
            return refuse(format!("slot {} has not begun", slot.0));
        }
        let epoch = self.chain.epoch(slot);
        if epoch.0.saturating_add(1) < self.chain.epoch(self.chain.slot_at(now)).0 {
            return refuse(format!("slot {} is more than an epoch old", slot.0));
        }
        if committee.0 >= number(self.committees(epoch).per_slot) {
            return refuse(format!("slot {} has no committee {}", slot.0, committee.0));
        }
        let head = self.root_until(slot);
        let (source, target) = self.checkpoints(epoch, head);
        let index = if self.chain.fork(slot) >= Fork::Electra {
            CommitteeIndex(0)
        } else {
            committee
        };
        Ok(AttestationData {
            slot,
            index,
            beacon_block_root: head,
            source,
            target,
        })
    }

    /// Whose vote it is, and what its signature must prove.
    ///
    /// # Errors
    ///
    /// If no validator of the chain can be told from it. That is noted as a refusal.
    pub fn claims_of_vote(&mut self, now: Duration, vote: &SubmittedVote) -> Result<(ValidatorIndex, Claim), Refused> {
        let found = self.voter(vote).and_then(|validator| match self.chain.key(validator) {
            Some(key) => Ok((validator, key)),
            None => refuse(format!("the chain has no validator {}", validator.0)),
        });
        let (validator, key) = found.inspect_err(|why| self.note(now, None, why))?;
        let data = vote.data();
        let domain = domain(&self.chain, Purpose::Attester, data.target.epoch);
        let root = signing_root(hash_tree_root(data), domain);
        Ok((
            validator,
            Claim {
                key,
                root,
                signature: vote.signature(),
            },
        ))
    }

    fn voter(&mut self, vote: &SubmittedVote) -> Result<ValidatorIndex, Refused> {
        let vote = match vote {
            SubmittedVote::Single(single) => return Ok(single.attester_index),
            SubmittedVote::Bits(vote) => vote,
        };
        let (slot, committee) = (vote.data.slot, vote.data.index);
        let committees = self.committees(self.chain.epoch(slot));
        let Some(members) = committees.members(slot, committee) else {
            return refuse(format!(
                "wrong committee: slot {} has no committee {}",
                slot.0, committee.0
            ));
        };
        if vote.aggregation_bits.len() != members.len() {
            return refuse(format!(
                "{} aggregation bits for committee {} of slot {}, which has {} members",
                vote.aggregation_bits.len(),
                committee.0,
                slot.0,
                members.len()
            ));
        }
        let mut set = members
            .iter()
            .zip(vote.aggregation_bits.iter())
            .filter(|(_, bit)| *bit)
            .map(|(member, _)| *member);
        match (set.next(), set.next()) {
            (Some(one), None) => Ok(one),
            (None, _) => refuse("no aggregation bit is set"),
            (Some(_), Some(_)) => refuse("more than one aggregation bit is set; unaggregated attestations have one"),
        }
    }

    /// Takes or refuses a vote. `genuine` is whether its claim holds, `declared` the fork that its sender names.
    ///
    /// # Errors
    ///
    /// Says why it is not taken.
    pub fn vote(
        &mut self,
        now: Duration,
        declared: Fork,
        vote: &SubmittedVote,
        validator: ValidatorIndex,
        genuine: bool,
    ) -> Result<Taken, Refused> {
        let duty = DutyOf {
            kind: DutyKind::Attester,
            slot: vote.data().slot,
            validator,
        };
        self.weigh_vote(now, declared, vote, validator, genuine)
            .inspect_err(|why| self.note(now, Some(duty), why))?;
        Ok(self.arrive(duty, now))
    }

    fn weigh_vote(
        &mut self,
        now: Duration,
        declared: Fork,
        vote: &SubmittedVote,
        validator: ValidatorIndex,
        genuine: bool,
    ) -> Result<(), Refused> {
        let data = *vote.data();
        let slot = data.slot;
        if !genuine {
            return refuse(format!(
                "the signature of validator {} does not verify under its key",
                validator.0
            ));
        }
        let signed = Vote {
            source: data.source.epoch,
            target: data.target.epoch,
            slot,
            root: hash_tree_root(&data),
        };
        let found = self.history.vote(validator, signed);
        if let Some(first) = found.first() {
            let why = format!(
                "slashable, {:?}: validator {} signed {}, then {}",
                first.kind, validator.0, first.first, first.second
            );
            self.slashable.extend(found);
            return refuse(why);
        }
        let epoch = self.chain.epoch(slot);
        let fork = self.chain.fork(slot);
        if declared != fork {
            return refuse(format!(
                "wrong fork: slot {} is in {fork:?}, the attestation comes as {declared:?}",
                slot.0
            ));
        }
        match (vote, fork >= Fork::Electra) {
            (SubmittedVote::Bits(_), true) => return refuse("wrong fork: aggregation bits are of before Electra"),
            (SubmittedVote::Single(_), false) => return refuse("wrong fork: single attestations are of Electra"),
            (SubmittedVote::Bits(_), false) | (SubmittedVote::Single(_), true) => {}
        }
        if self.too_early(now, slot) {
            return refuse(format!("wrong slot: slot {} has not begun", slot.0));
        }
        if data.target.epoch != epoch {
            return refuse(format!(
                "wrong target: slot {} is in epoch {}, not {}",
                slot.0, epoch.0, data.target.epoch.0
            ));
        }
        let Some(seat) = self.committees(epoch).seat(validator) else {
            return refuse(format!("validator {} has no duty in epoch {}", validator.0, epoch.0));
        };
        if seat.slot != slot {
            return refuse(format!(
                "wrong slot: validator {} attests in slot {}, not {}",
                validator.0, seat.slot.0, slot.0
            ));
        }
        let (named, index) = match vote {
            SubmittedVote::Bits(_) => (data.index, data.index),
            SubmittedVote::Single(single) => (single.committee_index, CommitteeIndex(0)),
        };
        if named != seat.committee {
            return refuse(format!(
                "wrong committee: validator {} sits in {}, not {}",
                validator.0, seat.committee.0, named.0
            ));
        }
        if data.index != index {
            return refuse(format!(
                "the index of the data is {}; since Electra it is 0",
                data.index.0
            ));
        }
        self.check_chain(&data)?;
        if epoch.0.saturating_add(1) < self.chain.epoch(self.chain.slot_at(now)).0 {
            return refuse(self.late_text(now, slot));
        }
        Ok(())
    }

    fn check_chain(&self, data: &AttestationData) -> Result<(), Refused> {
        let Some(head) = self.blocks.get(&data.beacon_block_root) else {
            return refuse(format!("wrong head: block {} is unknown", data.beacon_block_root));
        };
        if head.slot > data.slot {
            return refuse(format!(
                "wrong head: block {} is of the later slot {}",
                head.root, head.slot.0
            ));
        }
        let (source, target) = self.checkpoints(self.chain.epoch(data.slot), head.root);
        if data.target != target {
            return refuse(format!(
                "wrong target: with this head it is {}, not {}",
                target.root, data.target.root
            ));
        }
        if data.source != source {
            return refuse(format!(
                "wrong source: with this head it is {} of epoch {}, not {} of epoch {}",
                source.root, source.epoch.0, data.source.root, data.source.epoch.0
            ));
        }
        Ok(())
    }

    // === Blocks

    /// What the signature of a randao reveal must prove.
    ///
    /// # Errors
    ///
    /// If the chain has no validators.
    pub fn claim_of_randao(&self, slot: Slot, reveal: BlsSignature) -> Result<Claim, Refused> {
        let Some(key) = self.chain.key(self.chain.proposer(slot)) else {
            return refuse("the chain has no validators");
        };
        let epoch = self.chain.epoch(slot);
        let root = signing_root(epoch_root(epoch), domain(&self.chain, Purpose::Randao, epoch));
        Ok(Claim {
            key,
            root,
            signature: reveal,
        })
    }

    /// What a block for `slot` on top of the head is made of; [`Ingredients::proposal`] makes it. `genuine` is whether the randao reveal's claim holds.
    ///
    /// # Errors
    ///
    /// For another slot than the current one, and for a reveal that is not genuine.
    pub fn produce(
        &mut self,
        now: Duration,
        slot: Slot,
        randao: BlsSignature,
        graffiti: Root,
        genuine: bool,
    ) -> Result<Ingredients, Refused> {
        let proposer = self.chain.proposer(slot);
        let duty = DutyOf {
            kind: DutyKind::Proposer,
            slot,
            validator: proposer,
        };
        let why = if self.too_early(now, slot) {
            format!("slot {} has not begun", slot.0)
        } else if slot < self.chain.slot_at(now) {
            format!("late: slot {} has ended", slot.0)
        } else if self.head.slot >= slot {
            format!("slot {} has a block already", slot.0)
        } else if !genuine {
            format!(
                "the randao reveal of validator {} does not verify under its key",
                proposer.0
            )
        } else {
            let checkpoints = self.checkpoints(self.chain.epoch(slot), self.head.root);
            return Ok(Ingredients {
                fork: self.chain.fork(slot),
                slot,
                proposer,
                parent: self.head.root,
                randao,
                graffiti,
                fee_recipient: self.recipients.get(&proposer).copied().unwrap_or_default(),
                timestamp: self.chain.start(slot).as_secs(),
                checkpoints,
                blobs: self.chain.blobs_per_block,
            });
        };
        let refused = Refused(why);
        self.note(now, Some(duty), &refused);
        Err(refused)
    }

    /// What the signatures of a block must prove: the proposer's, and the randao reveal in it.
    ///
    /// # Errors
    ///
    /// If the proposer is no validator of the chain. That is noted as a refusal.
    pub fn claims_of_block(&mut self, now: Duration, block: &BlockView) -> Result<[Claim; 2], Refused> {
        let Some(key) = self.chain.key(block.proposer) else {
            let refused = Refused(format!("the chain has no validator {}", block.proposer.0));
            self.note(now, None, &refused);
            return Err(refused);
        };
        let epoch = self.chain.epoch(block.slot);
        let root = signing_root(block.root, domain(&self.chain, Purpose::Proposer, epoch));
        let randao = signing_root(epoch_root(epoch), domain(&self.chain, Purpose::Randao, epoch));
        Ok([
            Claim {
                key,
                root,
                signature: block.signature,
            },
            Claim {
                key,
                root: randao,
                signature: block.randao,
            },
        ])
    }

    /// Takes or refuses a block. `genuine` says which of its two claims hold, `declared` the fork that its sender names.
    ///
    /// # Errors
    ///
    /// Says why it is not taken.
    pub fn propose(
        &mut self,
        now: Duration,
        declared: Fork,
        signed: std::sync::Arc<VersionedSignedProposal>,
        view: &BlockView,
        genuine: [bool; 2],
    ) -> Result<Taken, Refused> {
        let duty = DutyOf {
            kind: DutyKind::Proposer,
            slot: view.slot,
            validator: view.proposer,
        };
        let taken = self
            .weigh_block(now, declared, view, genuine)
            .inspect_err(|why| self.note(now, Some(duty), why))?;
        if taken == Taken::First {
            let (slot, root, parent, state_root) = (view.slot, view.root, view.parent, view.state_root);
            let block = ChainBlock {
                slot,
                root,
                parent,
                state_root,
                block: Some(signed),
            };
            self.canonical.insert(slot, root);
            self.blocks.insert(root, block.clone());
            self.head = block;
            self.arrive(duty, now);
        }
        Ok(taken)
    }

    fn weigh_block(
        &mut self,
        now: Duration,
        declared: Fork,
        block: &BlockView,
        [genuine, randao]: [bool; 2],
    ) -> Result<Taken, Refused> {
        let slot = block.slot;
        if !genuine {
            return refuse(format!(
                "the signature of validator {} does not verify under its key",
                block.proposer.0
            ));
        }
        if let Some(found) = self.history.block(block.proposer, slot, block.root) {
            let why = format!(
                "slashable, {:?}: validator {} signed {}, then {}",
                found.kind, found.validator.0, found.first, found.second
            );
            self.slashable.push(found);
            return refuse(why);
        }
        let fork = self.chain.fork(slot);
        if declared != fork || block.fork != fork {
            return refuse(format!(
                "wrong fork: slot {} is in {fork:?}, the block comes as {declared:?}",
                slot.0
            ));
        }
        if block.blinded {
            return refuse("this chain has no builder; a blinded block cannot be completed");
        }
        if self.blocks.contains_key(&block.root) {
            return Ok(Taken::Repeated);
        }
        if self.too_early(now, slot) {
            return refuse(format!("wrong slot: slot {} has not begun", slot.0));
        }
        if block.proposer != self.chain.proposer(slot) {
            let right = self.chain.proposer(slot);
            return refuse(format!(
                "wrong proposer: slot {} is of validator {}, not {}",
                slot.0, right.0, block.proposer.0
            ));
        }
        if slot < self.chain.slot_at(now) {
            return refuse(self.late_text(now, slot));
        }
        if block.parent != self.head.root {
            return refuse(format!(
                "wrong parent: the head is {}, not {}",
                self.head.root, block.parent
            ));
        }
        if !randao {
            return refuse(format!(
                "the randao reveal of validator {} does not verify under its key",
                block.proposer.0
            ));
        }
        if block.state_root != state_root(slot, block.proposer, block.parent, block.body_root) {
            return refuse("wrong state root: this is not a block that this beacon node produced");
        }
        if !block.blobs_match {
            return refuse("the blobs are not those of the block");
        }
        Ok(Taken::First)
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

    fn note(&mut self, at: Duration, duty: Option<DutyOf>, why: &Refused) {
        self.refusals.push(Refusal {
            at,
            duty,
            reason: why.0.clone(),
        });
    }

    fn arrive(&mut self, duty: DutyOf, now: Duration) -> Taken {
        let mut taken = Taken::Repeated;
        self.arrivals.entry(duty).or_insert_with(|| {
            taken = Taken::First;
            now
        });
        taken
    }
}
