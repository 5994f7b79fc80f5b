//! The blocks that became heads of the chain lately, and which of them the chain has left behind.
//!
//! Guarantees: bounded. Nothing is said of blocks that were never announced as heads: another branch, or a chain that our
//! beacon nodes have not seen yet, is never held to be old. Not here: where heads are announced (`ports::BeaconNode`).

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, PoisonError},
};

use trireme_eth2::{Root, Slot};

/// Roots whose slots are remembered: two epochs of heads from several beacon nodes.
const HEADS: usize = 256;
/// The newest heads, on which a block may be built however many slots ago they were.
const RECENT: usize = 2;
/// A head this many slots before the newest one is not outdated whatever came after it.
const OLD: u64 = 2;

/// See the module's description.
#[derive(Debug, Default)]
pub struct Heads {
    slots: BTreeMap<Root, Slot>,
    order: VecDeque<Root>,
}

impl Heads {
    /// Whether this head is new.
    pub fn note(&mut self, slot: Slot, block: Root) -> bool {
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

    /// The slot of a block that was a head lately.
    #[must_use]
    pub fn slot_of(&self, block: Root) -> Option<Slot> {
        self.slots.get(&block).copied()
    }

    /// Whether this was a head, but so many heads ago that nobody who follows the chain builds on it. A late block is
    /// passed over by building on the one before.
    #[must_use]
    pub fn is_outdated(&self, block: Root) -> bool {
        let recent = self.order.iter().rev().take(RECENT).any(|root| *root == block);
        !recent && self.slot_of(block).is_some_and(|slot| self.is_left_behind(slot))
    }

    /// Whether heads are known after a block of this slot, more than one, and by more than a slot or two.
    #[must_use]
    pub fn is_left_behind(&self, slot: Slot) -> bool {
        let newest = self.slots.values().max().copied().unwrap_or_default();
        let later = self.slots.values().filter(|head| **head > slot).count();
        later >= RECENT && slot.0.saturating_add(OLD) < newest.0
    }
}

/// [`Heads`] that one component notes and others ask about.
#[derive(Debug, Default)]
pub struct SharedHeads(Mutex<Heads>);

impl SharedHeads {
    /// See [`Heads::note`].
    pub fn note(&self, slot: Slot, block: Root) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).note(slot, block);
    }

    /// See [`Heads::is_outdated`].
    #[must_use]
    pub fn is_outdated(&self, block: Root) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_outdated(block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
