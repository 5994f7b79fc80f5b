//! Which of several answers for attestation data is best.
//!
//! Guarantees: pure. The better answer is the one whose checkpoints are newer, then the one that builds on the later
//! block; between equals it is the one that more beacon nodes give, then the one that came first.
//! Not here: how long is waited for answers (`pool::attestation`).

use std::collections::BTreeMap;

use trireme_eth2::{AttestationData, Root, Slot};

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
}

#[cfg(test)]
mod simulation;
