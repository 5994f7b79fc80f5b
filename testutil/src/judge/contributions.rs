//! Contributions: the messages of a sync subcommittee, aggregated.
//!
//! Guarantees: a contribution is taken only from a selected member of its subcommittee, and only if it holds exactly
//! what was sent: nothing that nobody sent, and everything that was there when its time came, two thirds into the slot.

use std::time::Duration;

use ssz_types::BitVector;
use trireme_eth2::{
    Root, SignedContributionAndProof, Slot, SyncCommitteeContribution, altair::SyncAggregate, hash_tree_root,
};

use super::{
    blocks::infinity,
    selection::{Role, selects},
    signing::{Claim, Purpose, domain, signing_root},
    state::{DutyKind, DutyOf, Judge, Refused, Taken, refuse},
    sync::{SUBCOMMITTEE_SIZE, SUBCOMMITTEES, subcommittee},
};

impl Judge {
    /// The messages of a subcommittee for a block, aggregated.
    ///
    /// # Errors
    ///
    /// If there are none.
    pub fn contribution(
        &mut self,
        face: usize,
        now: Duration,
        slot: Slot,
        subcommittee_index: u64,
        root: Root,
    ) -> Result<SyncCommitteeContribution, Refused> {
        let none = || {
            refuse(format!(
                "there are no messages of subcommittee {subcommittee_index} for slot {} and block {root}",
                slot.0
            ))
        };
        if self.admit(face, now, Some(root), None).is_err() {
            return none();
        }
        let sum = self.config.sum;
        let Some(ballots) = self.sync_pool.get_mut(&(slot, root, subcommittee_index)) else {
            return none();
        };
        let Some(signature) = ballots.sum(sum) else {
            return none();
        };
        let mut aggregation_bits = BitVector::new();
        for (position, _) in ballots.iter() {
            // A position is below the size of a subcommittee.
            let _ = aggregation_bits.set(position, true);
        }
        Ok(SyncCommitteeContribution {
            slot,
            beacon_block_root: root,
            subcommittee_index,
            aggregation_bits,
            signature,
        })
    }

    /// What the signatures of a contribution must prove: the aggregator's, and its proof of selection.
    ///
    /// # Errors
    ///
    /// If the chain has no such validator. That is noted as a refusal.
    pub fn claims_of_contribution(
        &mut self,
        now: Duration,
        signed: &SignedContributionAndProof,
    ) -> Result<[Claim; 2], Refused> {
        let message = &signed.message;
        let key = self.key_of(now, message.aggregator_index)?;
        let slot = message.contribution.slot;
        let domain = domain(&self.chain, Purpose::Contribution, self.chain.epoch(slot));
        let role = Role::Sync(message.contribution.subcommittee_index);
        Ok([
            Claim {
                key,
                root: signing_root(hash_tree_root(message), domain),
                signature: signed.signature,
            },
            Claim {
                key,
                root: self.selection_root(slot, role),
                signature: message.selection_proof,
            },
        ])
    }

    /// Takes or refuses a contribution. `genuine` says which of its two claims hold.
    ///
    /// # Errors
    ///
    /// Says why it is not taken.
    pub fn contribute(
        &mut self,
        face: usize,
        now: Duration,
        signed: &SignedContributionAndProof,
        genuine: [bool; 2],
    ) -> Result<Taken, Refused> {
        let contribution = &signed.message.contribution;
        let duty = DutyOf {
            kind: DutyKind::SyncContribution,
            slot: contribution.slot,
            validator: signed.message.aggregator_index,
        };
        self.admit(face, now, Some(contribution.beacon_block_root), None)?;
        self.weigh_contribution(now, signed, genuine)
            .inspect_err(|why| self.note(now, Some(duty), why))?;
        self.note_alive(duty.slot, duty.validator);
        Ok(self.arrive(duty, now))
    }

    fn weigh_contribution(
        &mut self,
        now: Duration,
        signed: &SignedContributionAndProof,
        [genuine, proven]: [bool; 2],
    ) -> Result<(), Refused> {
        let (message, contribution) = (&signed.message, &signed.message.contribution);
        let (validator, slot, index) = (
            message.aggregator_index,
            contribution.slot,
            contribution.subcommittee_index,
        );
        if !genuine {
            return refuse(format!(
                "the signature of validator {} does not verify under its key",
                validator.0
            ));
        }
        if !proven {
            return refuse(format!(
                "the selection proof of validator {} does not verify under its key",
                validator.0
            ));
        }
        self.note_proof(slot, validator, Role::Sync(index), message.selection_proof);
        if index >= SUBCOMMITTEES {
            return refuse(format!("wrong subcommittee: there is no {index}"));
        }
        self.check_sync_slot(now, slot, contribution.beacon_block_root)?;
        match self.sync_seat(slot, validator).map(subcommittee) {
            None => {
                return refuse(format!(
                    "validator {} is not in the sync committee that signs in slot {}",
                    validator.0, slot.0
                ));
            }
            Some(own) if own != index => {
                return refuse(format!(
                    "wrong subcommittee: validator {} sits in {own}, not {index}",
                    validator.0
                ));
            }
            Some(_) => {}
        }
        if !selects(&message.selection_proof, SUBCOMMITTEE_SIZE) {
            return refuse(format!(
                "validator {} is not selected: its proof does not make it an aggregator of slot {}",
                validator.0, slot.0
            ));
        }
        let bits = contribution.aggregation_bits.iter().enumerate();
        let positions: Vec<usize> = bits.filter_map(|(n, bit)| bit.then_some(n)).collect();
        let (until, sum) = (self.aggregation_time(slot), self.config.sum);
        let place = (slot, contribution.beacon_block_root, index);
        let ballots = self.sync_pool.entry(place).or_default();
        ballots
            .check(&positions, contribution.signature, until, sum)
            .map_err(|why| Refused(format!("wrong contribution: {why}")))
    }

    /// What the block after `parent` says about the sync committee's messages for it.
    pub(super) fn sync_aggregate(&mut self, slot: Slot, parent: Root) -> SyncAggregate {
        let before = Slot(slot.0.saturating_sub(1));
        let mut aggregate = SyncAggregate {
            sync_committee_bits: BitVector::new(),
            sync_committee_signature: infinity(),
        };
        let (sum, mut signatures) = (self.config.sum, Vec::new());
        for index in 0..SUBCOMMITTEES {
            let Some(ballots) = self.sync_pool.get_mut(&(before, parent, index)) else {
                continue;
            };
            signatures.extend(ballots.sum(sum));
            let first = usize::try_from(index.saturating_mul(SUBCOMMITTEE_SIZE)).unwrap_or_default();
            for (position, _) in ballots.iter() {
                // Below the size of the committee.
                let _ = aggregate.sync_committee_bits.set(first.saturating_add(position), true);
            }
        }
        if let Some(sum) = sum(&signatures) {
            aggregate.sync_committee_signature = sum;
        }
        aggregate
    }
}
