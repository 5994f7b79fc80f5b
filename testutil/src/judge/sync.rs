//! The sync committee: who sits in it, and which messages are taken.
//!
//! Guarantees: the membership follows from the configuration alone. A message counts in the slot that it names; the
//! committee that signs in the last slot of a period is the next one's, since it signs for the block after
//! (consensus-specs, "Sync committee"), so that members of only one of both are not expected then.
//! Not here: contributions (`contributions`).

use std::{collections::BTreeMap, time::Duration};

use trireme_eth2::{Epoch, Fork, Root, Slot, SyncCommitteeMessage, ValidatorIndex};

use super::{
    chain::{digest, number},
    pool::Ballot,
    signing::{Claim, Purpose, domain, signing_root},
    state::{DutyKind, DutyOf, Judge, Refused, Taken, refuse},
};

/// `SYNC_COMMITTEE_SIZE`.
const COMMITTEE_SIZE: u64 = 512;
/// `SYNC_COMMITTEE_SUBNET_COUNT`.
pub(super) const SUBCOMMITTEES: u64 = 4;
/// Seats of a subcommittee.
pub(super) const SUBCOMMITTEE_SIZE: u64 = 128;

/// The subcommittee of a seat.
pub(super) const fn subcommittee(seat: u64) -> u64 {
    seat / SUBCOMMITTEE_SIZE
}

/// The position of a seat in its subcommittee.
pub(super) fn position(seat: u64) -> usize {
    usize::try_from(seat % SUBCOMMITTEE_SIZE).unwrap_or_default()
}

impl Judge {
    /// The period of the sync committee in `epoch`.
    #[must_use]
    pub fn sync_period(&self, epoch: Epoch) -> u64 {
        epoch
            .0
            .checked_div(self.config.epochs_per_sync_period)
            .unwrap_or_default()
    }

    /// The sync committee of an epoch: each member with its seat, of 512. Empty before Altair.
    pub fn sync_committee(&mut self, epoch: Epoch) -> BTreeMap<ValidatorIndex, u64> {
        if self.chain.fork_at(epoch).fork < Fork::Altair {
            return BTreeMap::new();
        }
        let period = self.sync_period(epoch);
        if let Some(known) = self.sync_committees.get(&period) {
            return known.clone();
        }
        let made = self.draw_sync_committee(period);
        if self.sync_committees.len() > 8 {
            self.sync_committees.pop_first();
        }
        self.sync_committees.insert(period, made.clone());
        made
    }

    /// Members in turn over the subcommittees, in each from a seat on that differs between periods.
    fn draw_sync_committee(&self, period: u64) -> BTreeMap<ValidatorIndex, u64> {
        let period = period.to_le_bytes();
        let mut order: Vec<_> = (0..number(self.chain.validators.len()))
            .map(|index| (digest(&[b"sync", &period, &index.to_le_bytes()]), ValidatorIndex(index)))
            .collect();
        order.sort_unstable();
        let members = self
            .config
            .sync_members
            .min(usize::try_from(COMMITTEE_SIZE).unwrap_or(usize::MAX));
        let seat = |nth: u64| {
            let (subcommittee, nth) = (nth % SUBCOMMITTEES, nth / SUBCOMMITTEES);
            let [first, ..] = digest(&[b"seat", &period, &subcommittee.to_le_bytes()]).0;
            let position = u64::from(first).saturating_add(nth) % SUBCOMMITTEE_SIZE;
            subcommittee.saturating_mul(SUBCOMMITTEE_SIZE).saturating_add(position)
        };
        let chosen = order.into_iter().take(members).zip(0..);
        chosen.map(|((_, validator), nth)| (validator, seat(nth))).collect()
    }

    /// The members whose messages of `slot` are expected, with their seats.
    pub(super) fn sync_members(&mut self, slot: Slot) -> BTreeMap<ValidatorIndex, u64> {
        let next = self.chain.epoch(Slot(slot.0.saturating_add(1)));
        let mut members = self.sync_committee(self.chain.epoch(slot));
        let signing = self.sync_committee(next);
        members.retain(|validator, seat| signing.get(validator) == Some(seat));
        members
    }

    /// The seat from which a validator may sign in `slot`: that of the committee that signs for the next slot's block.
    pub(super) fn sync_seat(&mut self, slot: Slot, validator: ValidatorIndex) -> Option<u64> {
        let next = self.chain.epoch(Slot(slot.0.saturating_add(1)));
        self.sync_committee(next).get(&validator).copied()
    }

    // === Messages

    /// What the signature of a message must prove.
    ///
    /// # Errors
    ///
    /// If the chain has no such validator. That is noted as a refusal.
    pub fn claim_of_sync_message(&mut self, now: Duration, message: &SyncCommitteeMessage) -> Result<Claim, Refused> {
        let key = self.key_of(now, message.validator_index)?;
        let domain = domain(&self.chain, Purpose::Sync, self.chain.epoch(message.slot));
        Ok(Claim {
            key,
            root: signing_root(message.beacon_block_root, domain),
            signature: message.signature,
        })
    }

    /// Takes or refuses a message. `genuine` is whether its claim holds.
    ///
    /// # Errors
    ///
    /// Says why it is not taken.
    pub fn sync_message(
        &mut self,
        face: usize,
        now: Duration,
        message: &SyncCommitteeMessage,
        genuine: bool,
    ) -> Result<Taken, Refused> {
        let duty = DutyOf {
            kind: DutyKind::SyncMessage,
            slot: message.slot,
            validator: message.validator_index,
        };
        self.admit(face, now, Some(message.beacon_block_root), None)?;
        let seat = self
            .weigh_sync_message(now, message, genuine)
            .inspect_err(|why| self.note(now, Some(duty), why))?;
        let ballot = Ballot {
            validator: message.validator_index,
            signature: message.signature,
            at: now,
        };
        let place = (message.slot, message.beacon_block_root, subcommittee(seat));
        self.sync_pool.entry(place).or_default().add(position(seat), ballot);
        self.note_alive(message.slot, message.validator_index);
        self.voted_heads.insert(duty, message.beacon_block_root);
        Ok(self.arrive(duty, now))
    }

    fn weigh_sync_message(
        &mut self,
        now: Duration,
        message: &SyncCommitteeMessage,
        genuine: bool,
    ) -> Result<u64, Refused> {
        let (slot, validator) = (message.slot, message.validator_index);
        if !genuine {
            return refuse(format!(
                "the signature of validator {} does not verify under its key",
                validator.0
            ));
        }
        self.check_sync_slot(now, slot, message.beacon_block_root)?;
        let Some(seat) = self.sync_seat(slot, validator) else {
            return refuse(format!(
                "validator {} is not in the sync committee that signs in slot {}",
                validator.0, slot.0
            ));
        };
        let earlier = self.voted_heads.get(&DutyOf {
            kind: DutyKind::SyncMessage,
            slot,
            validator,
        });
        match earlier {
            Some(root) if *root != message.beacon_block_root => refuse(format!(
                "a second message: validator {} signed {root} for slot {}, then {}",
                validator.0, slot.0, message.beacon_block_root
            )),
            Some(_) | None => Ok(seat),
        }
    }

    /// What holds for messages and contributions: their slot is running or just over, their block is of the chain.
    pub(super) fn check_sync_slot(&self, now: Duration, slot: Slot, root: Root) -> Result<(), Refused> {
        if self.chain.fork(slot) < Fork::Altair {
            return refuse(format!("slot {} is before Altair; it has no sync committee", slot.0));
        }
        if self.too_early(now, slot) {
            return refuse(format!("wrong slot: slot {} has not begun", slot.0));
        }
        if slot.0.saturating_add(1) < self.chain.slot_at(now).0 {
            return refuse(self.late_text(now, slot));
        }
        let Some(block) = self.blocks.get(&root) else {
            return refuse(format!("wrong head: block {root} is unknown"));
        };
        if block.slot > slot {
            return refuse(format!(
                "wrong head: block {root} is of the later slot {}",
                block.slot.0
            ));
        }
        Ok(())
    }
}
