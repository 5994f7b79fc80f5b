//! Which of several answers for attestation data is best.
//!
//! Guarantees: pure. The better answer is the one whose checkpoints are newer, then the one that builds on the later
//! block; between equals it is the one that more beacon nodes give, then the one that came first.
//! Not here: how long is waited for answers (`pool::attestation`).

use std::collections::BTreeMap;

use trireme_eth2::{AttestationData, Root, Slot};

/// Roots whose slots are remembered: two epochs of heads from several beacon nodes.
const HEADS: usize = 256;
/// The newest heads, on which a block may be built however many slots ago they were.
const RECENT: usize = 2;
/// A head this many slots before the newest one is not outdated whatever came after it.
const OLD: u64 = 2;

/// Slots of the blocks that became heads lately.
#[derive(Debug, Default)]
pub(crate) struct Heads {
    slots: BTreeMap<Root, Slot>,
    order: std::collections::VecDeque<Root>,
}

impl Heads {
    /// Whether this head is new.
    pub(crate) fn note(&mut self, slot: Slot, block: Root) -> bool {
        if self.slots.insert(block, slot).is_some() {
            // The chain may go back to it.
            self.order.retain(|root| *root != block);
            self.order.push_back(block);
            return false;
        }
        self.order.push_back(block);
        if self.order.len() > HEADS
            && let Some(oldest) = self.order.pop_front()
        {
            self.slots.remove(&oldest);
        }
        true
    }

    pub(crate) fn slot_of(&self, block: Root) -> Option<Slot> {
        self.slots.get(&block).copied()
    }

    /// Whether this was a head, but so many heads ago that nobody who follows the chain builds on it. A late block is
    /// passed over by building on the one before.
    pub(crate) fn is_outdated(&self, block: Root) -> bool {
        let recent = self.order.iter().rev().take(RECENT).any(|root| *root == block);
        !recent && self.slot_of(block).is_some_and(|slot| self.is_left_behind(slot))
    }

    /// Whether heads are known after a block of this slot, more than one, and by more than a slot or two.
    pub(crate) fn is_left_behind(&self, slot: Slot) -> bool {
        let newest = self.slots.values().max().copied().unwrap_or_default();
        let later = self.slots.values().filter(|head| **head > slot).count();
        later >= RECENT && slot.0.saturating_add(OLD) < newest.0
    }
}

/// The slot of the block that the data vote for, as far as it is known.
pub(crate) type Voted<'a> = &'a dyn Fn(Root) -> Option<Slot>;

/// Whether no other answer can be better: it votes for the slot's own block.
pub(crate) fn is_newest(data: &AttestationData, slot_of: Voted<'_>) -> bool {
    slot_of(data.beacon_block_root) == Some(data.slot)
}

/// The position of the best of the answers, which are in the order in which they came; `None` if there is none.
pub(crate) fn best(answers: &[AttestationData], slot_of: Voted<'_>) -> Option<usize> {
    let mut votes: BTreeMap<Root, usize> = BTreeMap::new();
    for answer in answers {
        let n = votes.entry(answer.beacon_block_root).or_default();
        *n = n.saturating_add(1);
    }
    let worth = |data: &AttestationData| {
        (
            data.source.epoch,
            data.target.epoch,
            slot_of(data.beacon_block_root),
            votes.get(&data.beacon_block_root).copied(),
        )
    };
    let mut best: Option<(usize, &AttestationData)> = None;
    for (at, answer) in answers.iter().enumerate() {
        if best.is_none_or(|(_, so_far)| worth(answer) > worth(so_far)) {
            best = Some((at, answer));
        }
    }
    best.map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use trireme_eth2::{Checkpoint, Epoch};

    use super::*;

    fn data(root: u8, source: u64) -> AttestationData {
        AttestationData {
            slot: Slot(100),
            beacon_block_root: Root([root; 32]),
            source: Checkpoint {
                epoch: Epoch(source),
                ..Default::default()
            },
            ..Default::default()
        }
    }

    /// Root 1 is of slot 99, root 2 of slot 100; nothing is known of others.
    fn slot_of(root: Root) -> Option<Slot> {
        match root.0[0] {
            1 => Some(Slot(99)),
            2 => Some(Slot(100)),
            _ => None,
        }
    }

    #[test]
    fn later_head_wins_over_the_quicker_answer_and_over_the_majority() {
        assert_eq!(best(&[data(1, 5), data(1, 5), data(2, 5)], &slot_of), Some(2));
    }

    #[test]
    fn newer_checkpoint_wins_over_a_later_head() {
        assert_eq!(best(&[data(2, 4), data(1, 5)], &slot_of), Some(1));
    }

    #[test]
    fn majority_decides_between_heads_of_which_nothing_is_known_and_the_first_between_equals() {
        assert_eq!(best(&[data(7, 5), data(8, 5), data(8, 5)], &slot_of), Some(1));
        assert_eq!(best(&[data(7, 5), data(8, 5)], &slot_of), Some(0));
        assert_eq!(best(&[], &slot_of), None);
    }

    #[test]
    fn vote_for_the_slots_own_block_cannot_be_bettered() {
        assert!(is_newest(&data(2, 5), &slot_of));
        assert!(!is_newest(&data(1, 5), &slot_of) && !is_newest(&data(7, 5), &slot_of));
    }

    #[test]
    fn heads_are_new_once_and_the_oldest_are_forgotten() {
        let mut heads = Heads::default();
        let root = |n: usize| {
            let mut root = Root::default();
            root.0[..8].copy_from_slice(&n.to_le_bytes());
            root
        };
        assert!(heads.note(Slot(3), root(1)) && !heads.note(Slot(3), root(1)));
        for n in 2..2 + HEADS {
            heads.note(Slot(4), root(n));
        }
        assert_eq!((heads.slot_of(root(1)), heads.slot_of(root(2))), (None, Some(Slot(4))));
    }

    #[test]
    fn head_is_outdated_when_several_later_ones_have_come() {
        let mut heads = Heads::default();
        for n in 10..=16 {
            heads.note(Slot(n.into()), Root([n; 32]));
        }
        let outdated = |n: u8| heads.is_outdated(Root([n; 32]));
        assert_eq!(
            [16, 15, 14, 13, 12, 10].map(outdated),
            [false, false, false, true, true, true]
        );
        heads.note(Slot(10), Root([10; 32]));
        assert!(!heads.is_outdated(Root([10; 32])), "the chain went back to it");
        assert!(
            !heads.is_outdated(Root([99; 32])),
            "of what was never a head nothing is known"
        );
    }
}

#[cfg(test)]
mod simulation;
