//! Who is selected as aggregator: decided by the hash of the validator's own signature (consensus-specs, "Validator
//! guide").
//!
//! Guarantees: with the group secrets the answer is known for everybody, whether or not anyone proves it. Without them
//! it is known where everybody is selected, and for those who prove it; the others are not expected.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};
use trireme_eth2::{BlsSignature, Root, Slot, SyncAggregatorSelectionData, ValidatorIndex, hash_tree_root};

use super::{
    chain::number,
    signing::{Purpose, domain, signing_root},
    state::Judge,
};

/// `TARGET_AGGREGATORS_PER_COMMITTEE`, and the same of a sync subcommittee.
const TARGET_AGGREGATORS: u64 = 16;
/// Proofs that are kept; those of some slots.
const KEPT: usize = 16_384;

/// What a proof of selection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    /// Aggregates the votes of its committee.
    Votes,
    /// Aggregates the messages of this sync subcommittee.
    Sync(u64),
}

/// Whether this proof selects its owner from so many.
pub(super) fn selects(proof: &BlsSignature, members: u64) -> bool {
    let hash: [u8; 32] = Sha256::digest(proof.0).into();
    let draw = hash.first_chunk().map_or(0, |eight| u64::from_le_bytes(*eight));
    draw.is_multiple_of(one_in(members))
}

fn one_in(members: u64) -> u64 {
    members.checked_div(TARGET_AGGREGATORS).unwrap_or(1).max(1)
}

/// The proofs that are known.
#[derive(Debug, Default)]
pub(super) struct Proofs(BTreeMap<(Slot, ValidatorIndex, Role), BlsSignature>);

impl Judge {
    /// What a proof of selection signs.
    pub(super) fn selection_root(&self, slot: Slot, role: Role) -> Root {
        let (object, purpose) = match role {
            Role::Votes => (hash_tree_root(&slot), Purpose::Selection),
            Role::Sync(subcommittee_index) => {
                let data = SyncAggregatorSelectionData {
                    slot,
                    subcommittee_index,
                };
                (hash_tree_root(&data), Purpose::SyncSelection)
            }
        };
        signing_root(object, domain(&self.chain, purpose, self.chain.epoch(slot)))
    }

    /// Notes a genuine proof.
    pub(super) fn note_proof(&mut self, slot: Slot, validator: ValidatorIndex, role: Role, proof: BlsSignature) {
        self.proofs.0.insert((slot, validator, role), proof);
        if self.proofs.0.len() > KEPT {
            self.proofs.0.pop_first();
        }
    }

    /// Whether a validator is selected among so many; `None` if the judge cannot know.
    pub(super) fn is_selected(
        &mut self,
        slot: Slot,
        validator: ValidatorIndex,
        role: Role,
        members: u64,
    ) -> Option<bool> {
        if one_in(members) == 1 {
            return Some(true);
        }
        if let Some(proof) = self.proofs.0.get(&(slot, validator, role)) {
            return Some(selects(proof, members));
        }
        let proof = self.prove(validator, self.selection_root(slot, role))?;
        self.note_proof(slot, validator, role, proof);
        Some(selects(&proof, members))
    }

    fn prove(&self, validator: ValidatorIndex, root: Root) -> Option<BlsSignature> {
        if let Some(prove) = &self.config.prover {
            return prove(validator, root);
        }
        let secret = self.config.secrets.get(&validator)?;
        Some(BlsSignature(secret.sign(root.as_slice()).to_bytes()))
    }

    /// Finds out who is selected in `slot`, so that the report need not: that costs one signature for each attester and
    /// each member of the sync committee whose selection is open. Answers whether more is to be done; does a little at
    /// a time.
    pub fn prepare_selections(&mut self, slot: Slot) -> bool {
        let mut left = 8_u32;
        for (validator, role, members) in self.candidates(slot) {
            let known = self.proofs.0.contains_key(&(slot, validator, role));
            if known || one_in(members) == 1 {
                continue;
            }
            if left == 0 {
                return true;
            }
            left = left.saturating_sub(1);
            if self.is_selected(slot, validator, role, members).is_none() {
                return false;
            }
        }
        false
    }

    /// Everybody who could be selected in a slot, with the number of members that decides.
    pub(super) fn candidates(&mut self, slot: Slot) -> Vec<(ValidatorIndex, Role, u64)> {
        let committees = self.committees(self.chain.epoch(slot));
        let voters = committees.attesters(slot).filter_map(|validator| {
            let seat = committees.seat(validator)?;
            let members = committees.members(seat.slot, seat.committee)?.len();
            Some((validator, Role::Votes, number(members)))
        });
        let voters: Vec<_> = voters.collect();
        let members = self.sync_members(slot).into_iter().map(|(validator, seat)| {
            (
                validator,
                Role::Sync(super::sync::subcommittee(seat)),
                super::sync::SUBCOMMITTEE_SIZE,
            )
        });
        voters.into_iter().chain(members.collect::<Vec<_>>()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_committees_select_everybody_and_large_ones_some() {
        let proof = |n: u8| BlsSignature([n; 96]);
        assert!((0..=255).all(|n| selects(&proof(n), 31)));
        let selected = (0..=255).filter(|n| selects(&proof(*n), 128)).count();
        assert!((16..=56).contains(&selected), "one in eight: {selected}");
    }
}
