//! What to attest to, and which votes are taken.
//!
//! Guarantees: a genuine vote is held against everything that its validator signed before, whatever else is wrong with
//! it. Not here: the rules of slashing themselves (`slashable`).

use std::time::Duration;

use trireme_eth2::{
    BlsSignature, CommitteeIndex, Epoch, Fork, Slot, ValidatorIndex, hash_tree_root,
    phase0::{AttestationData, Checkpoint},
};

use super::{
    chain::{Seat, number},
    pool::{Ballot, Ballots},
    signing::{Claim, Purpose, domain, signing_root},
    slashable::Vote,
    state::{DutyKind, DutyOf, Judge, Refused, SubmittedVote, Taken, Votes, refuse},
};

impl Judge {
    /// What to attest to.
    ///
    /// # Errors
    ///
    /// For a slot that has not begun or is more than an epoch old, and for a committee that the slot does not have.
    pub fn attestation_data(
        &mut self,
        face: usize,
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
        let view = self.view(face, now);
        let head = view.root_until(slot);
        let (source, target) = if view.is_foreign() {
            // Its chain has only its first block.
            let checkpoint = |epoch: u64| Checkpoint {
                epoch: Epoch(epoch),
                root: head,
            };
            (checkpoint(epoch.0.saturating_sub(1)), checkpoint(epoch.0))
        } else {
            self.checkpoints(epoch, head)
        };
        let index = if view.chain().fork(slot) >= Fork::Electra {
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
        let validator = self.voter(vote).inspect_err(|why| self.note(now, None, why))?;
        let key = self.key_of(now, validator)?;
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
        face: usize,
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
        let data = *vote.data();
        self.check_signed_vote(&data, validator, genuine)
            .inspect_err(|why| self.note(now, Some(duty), why))?;
        self.admit(face, now, Some(data.beacon_block_root), Some((data.slot, declared)))?;
        let seat = self
            .weigh_vote(now, declared, vote, validator)
            .inspect_err(|why| self.note(now, Some(duty), why))?;
        self.keep_vote(now, validator, seat, data, vote.signature());
        self.voted_heads.entry(duty).or_insert(data.beacon_block_root);
        Ok(self.arrive(duty, now))
    }

    /// Keeps a vote for aggregates and blocks.
    fn keep_vote(
        &mut self,
        now: Duration,
        validator: ValidatorIndex,
        seat: Seat,
        data: AttestationData,
        signature: BlsSignature,
    ) {
        self.note_alive(data.slot, validator);
        let place = (data.slot, hash_tree_root(&data), seat.committee);
        let votes = self.vote_pool.entry(place).or_insert_with(|| Votes {
            data,
            ballots: Ballots::default(),
        });
        let ballot = Ballot {
            validator,
            signature,
            at: now,
        };
        votes.ballots.add(seat.position, ballot);
        let kept = self.chain.slots_per_epoch.saturating_mul(3);
        let oldest = Slot(self.chain.slot_at(now).0.saturating_sub(kept));
        while self
            .vote_pool
            .first_key_value()
            .is_some_and(|((slot, ..), _)| *slot < oldest)
        {
            self.vote_pool.pop_first();
        }
        while self
            .sync_pool
            .first_key_value()
            .is_some_and(|((slot, ..), _)| *slot < oldest)
        {
            self.sync_pool.pop_first();
        }
    }

    /// That the signature is genuine, and contradicts nothing that was signed before.
    fn check_signed_vote(
        &mut self,
        data: &AttestationData,
        validator: ValidatorIndex,
        genuine: bool,
    ) -> Result<(), Refused> {
        if !genuine {
            return refuse(format!(
                "the signature of validator {} does not verify under its key",
                validator.0
            ));
        }
        let signed = Vote {
            source: data.source.epoch,
            target: data.target.epoch,
            slot: data.slot,
            root: hash_tree_root(data),
        };
        let found = self.history.vote(validator, signed);
        let Some(first) = found.first() else { return Ok(()) };
        let why = format!(
            "slashable, {:?}: validator {} signed {}, then {}",
            first.kind, validator.0, first.first, first.second
        );
        self.slashable.extend(found);
        refuse(why)
    }

    fn weigh_vote(
        &mut self,
        now: Duration,
        declared: Fork,
        vote: &SubmittedVote,
        validator: ValidatorIndex,
    ) -> Result<Seat, Refused> {
        let data = *vote.data();
        let slot = data.slot;
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
        Ok(seat)
    }

    pub(super) fn check_chain(&self, data: &AttestationData) -> Result<(), Refused> {
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
}
