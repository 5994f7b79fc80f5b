//! What a validator has signed, and whether that can be punished.
//!
//! Guarantees: every pair of the rules of the consensus specification (two blocks for one slot, two attestations for
//! one target, surround votes) is found, whatever the order of arrival; the same thing again is not.
//! Not here: whether a signature is genuine. Only messages with a good signature belong in here.

use std::collections::BTreeMap;

use serde::Serialize;
use trireme_eth2::{Epoch, Root, Slot, ValidatorIndex};

/// One pair of messages that a validator is punished for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Slashable {
    /// Which rule.
    pub kind: SlashableKind,
    /// Who signed both.
    #[serde(serialize_with = "as_number")]
    pub validator: ValidatorIndex,
    /// What was signed first.
    pub first: String,
    /// What was signed then.
    pub second: String,
}

fn as_number<S: serde::Serializer>(validator: &ValidatorIndex, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_u64(validator.0)
}

/// The rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SlashableKind {
    /// Two blocks for one slot.
    TwoBlocks,
    /// Two attestations for one target epoch.
    TwoAttestations,
    /// The second attestation's span encloses the first's.
    Surrounding,
    /// The second attestation's span lies within the first's.
    Surrounded,
}

/// What an attestation says, as far as punishment goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vote {
    /// Its source epoch.
    pub source: Epoch,
    /// Its target epoch.
    pub target: Epoch,
    /// Its slot.
    pub slot: Slot,
    /// Hash tree root of its data.
    pub root: Root,
}

impl Vote {
    fn text(&self) -> String {
        format!(
            "attestation {} of slot {}, source {}, target {}",
            self.root, self.slot.0, self.source.0, self.target.0
        )
    }
}

/// Everything that was ever signed, by validator.
#[derive(Debug, Default)]
pub struct SignedHistory {
    blocks: BTreeMap<(ValidatorIndex, Slot), Vec<Root>>,
    votes: BTreeMap<ValidatorIndex, Vec<Vote>>,
}

impl SignedHistory {
    /// Notes a block by its message root.
    pub fn block(&mut self, validator: ValidatorIndex, slot: Slot, root: Root) -> Option<Slashable> {
        let known = self.blocks.entry((validator, slot)).or_default();
        if known.contains(&root) {
            return None;
        }
        let found = known.first().map(|first| Slashable {
            kind: SlashableKind::TwoBlocks,
            validator,
            first: format!("block {first} of slot {}", slot.0),
            second: format!("block {root} of slot {}", slot.0),
        });
        known.push(root);
        found
    }

    /// Notes a vote; answers with every pair that it makes.
    pub fn vote(&mut self, validator: ValidatorIndex, vote: Vote) -> Vec<Slashable> {
        let known = self.votes.entry(validator).or_default();
        if known.contains(&vote) {
            return Vec::new();
        }
        let rule = |old: &Vote| {
            if old.target == vote.target {
                Some(SlashableKind::TwoAttestations)
            } else if vote.source < old.source && old.target < vote.target {
                Some(SlashableKind::Surrounding)
            } else if old.source < vote.source && vote.target < old.target {
                Some(SlashableKind::Surrounded)
            } else {
                None
            }
        };
        let pair = |old: &Vote| {
            Some(Slashable {
                kind: rule(old)?,
                validator,
                first: old.text(),
                second: vote.text(),
            })
        };
        let found = known.iter().filter_map(pair).collect();
        known.push(vote);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: ValidatorIndex = ValidatorIndex(7);

    fn vote(source: u64, target: u64, root: u8) -> Vote {
        Vote {
            source: Epoch(source),
            target: Epoch(target),
            slot: Slot(target * 16),
            root: Root([root; 32]),
        }
    }

    fn kinds(votes: &[Vote]) -> Vec<SlashableKind> {
        let mut history = SignedHistory::default();
        votes
            .iter()
            .flat_map(|v| history.vote(ANN, *v))
            .map(|s| s.kind)
            .collect()
    }

    #[test]
    fn ordinary_votes_and_repetitions_are_fine() {
        assert_eq!(
            kinds(&[
                vote(0, 1, 1),
                vote(1, 2, 2),
                vote(1, 2, 2),
                vote(2, 3, 3),
                vote(2, 4, 3)
            ]),
            []
        );
    }

    #[test]
    fn two_votes_for_one_target_are_found() {
        assert_eq!(kinds(&[vote(0, 1, 1), vote(0, 1, 2)]), [SlashableKind::TwoAttestations]);
    }

    #[test]
    fn surround_votes_are_found_in_both_orders() {
        assert_eq!(kinds(&[vote(2, 3, 1), vote(1, 4, 2)]), [SlashableKind::Surrounding]);
        assert_eq!(kinds(&[vote(1, 4, 1), vote(2, 3, 2)]), [SlashableKind::Surrounded]);
    }

    #[test]
    fn two_blocks_of_one_slot_are_found() {
        let mut history = SignedHistory::default();
        assert_eq!(history.block(ANN, Slot(3), Root([1; 32])), None);
        assert_eq!(history.block(ANN, Slot(3), Root([1; 32])), None);
        assert_eq!(history.block(ValidatorIndex(8), Slot(3), Root([2; 32])), None);
        assert_eq!(history.block(ANN, Slot(4), Root([2; 32])), None);
        let found = history.block(ANN, Slot(3), Root([2; 32])).unwrap();
        assert_eq!((found.kind, found.validator), (SlashableKind::TwoBlocks, ANN));
        assert!(found.second.contains("slot 3"), "{found:?}");
    }
}
