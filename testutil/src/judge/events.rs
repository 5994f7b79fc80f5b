//! What happens on the chain beside the cluster's doing: strangers' slots and reorganisations; and what a beacon node
//! tells about all of it.
//!
//! Guarantees: a reorganisation happens an eighth of a slot before its slot, so that whoever works in a slot sees one
//! head; the block that causes it is a stranger's, of a slot that is a stranger's by assignment. If it changes what the
//! attester duties of the next epoch hang on, those change, too.

use std::{sync::Arc, time::Duration};

use trireme_eth2::{BlsSignature, Epoch, Root, Slot, ValidatorIndex};

use super::{
    blocks::Ingredients,
    chain::{digest, number},
    config::Reorg,
    state::{ChainBlock, Judge},
    view::BlockView,
};

/// Something that a beacon node tells its listeners.
#[derive(Debug, Clone)]
pub enum ChainEvent {
    /// There is a new block.
    Block {
        /// Its slot.
        slot: Slot,
        /// Its root.
        root: Root,
    },
    /// There is a new head.
    Head {
        /// The head.
        block: ChainBlock,
        /// Whether it begins an epoch.
        epoch_transition: bool,
        /// What the current epoch's duties depend on.
        previous_dependent: Root,
        /// What the next epoch's duties depend on.
        current_dependent: Root,
    },
    /// The head is on another branch than before.
    Reorg {
        /// Slots from the new head to the last block that both branches share.
        depth: u64,
        /// The head before.
        old: ChainBlock,
        /// The head now.
        new: ChainBlock,
    },
}

impl Judge {
    /// The proposer of a slot; a stranger has the index after the last validator's.
    #[must_use]
    pub fn proposer(&self, slot: Slot) -> ValidatorIndex {
        if self.is_strangers(slot) {
            ValidatorIndex(number(self.chain.validators.len()))
        } else {
            self.chain.proposer(slot)
        }
    }

    /// Whether a slot's proposer is none of the cluster's.
    #[must_use]
    pub fn is_strangers(&self, slot: Slot) -> bool {
        let before_reorg = |reorg: &Reorg| reorg.slot == slot.0.saturating_add(1);
        self.config.empty_slots.contains(&slot.0) || self.config.reorgs.iter().any(before_reorg)
    }

    /// Lets happen what is due. Called with every request; whoever waits for events calls it, too.
    pub fn advance(&mut self, now: Duration) {
        let lead = self.chain.slot_duration() / 8;
        loop {
            let due = |r: &&Reorg| now.saturating_add(lead) >= self.chain.start(Slot(r.slot));
            let next = self.config.reorgs.iter().filter(due);
            let Some(reorg) = next
                .filter(|r| r.slot > self.reorganised)
                .min_by_key(|r| r.slot)
                .copied()
            else {
                return;
            };
            self.reorganised = reorg.slot;
            self.reorganise(reorg);
        }
    }

    /// What has happened since the last call.
    pub fn take_events(&mut self) -> Vec<ChainEvent> {
        std::mem::take(&mut self.events)
    }

    fn reorganise(&mut self, reorg: Reorg) {
        let slot = Slot(reorg.slot.saturating_sub(1));
        let old = self.head.clone();
        let mut parent = old.clone();
        for _ in 0..reorg.depth {
            let Some(block) = self.blocks.get(&parent.parent) else {
                break;
            };
            parent = block.clone();
        }
        if old.slot >= slot || parent.root == old.root {
            return;
        }
        let signature = BlsSignature([0xaa; 96]);
        let made = Ingredients {
            proposer: self.proposer(slot),
            ..self.ingredients(slot, parent.root, signature, digest(&[b"a stranger"]))
        };
        let signed = made.full().sign(signature);
        let view = BlockView::of(&signed);
        let included = self.included_in(&signed);
        let new = ChainBlock {
            slot,
            root: view.root,
            parent: parent.root,
            state_root: view.state_root,
            block: Some(Arc::new(signed)),
            included,
        };
        let depends_on =
            |judge: &Self, epoch: Epoch| judge.root_until(Slot(judge.chain.first_slot(epoch).0.saturating_sub(1)));
        let current = self.chain.epoch(Slot(reorg.slot));
        let before = depends_on(self, current);
        self.canonical.retain(|of, _| *of <= parent.slot);
        self.become_head(new.clone());
        if depends_on(self, current) != before {
            let next = Epoch(current.0.saturating_add(1));
            self.committees.remove(&next);
            self.shuffles.insert(next, reorg.slot);
        }
        let depth = slot.0.saturating_sub(parent.slot.0);
        self.events.push(ChainEvent::Reorg { depth, old, new });
    }

    /// A block is the head from now on.
    pub(super) fn become_head(&mut self, block: ChainBlock) {
        let (before, epoch) = (self.chain.epoch(self.head.slot), self.chain.epoch(block.slot));
        self.canonical.insert(block.slot, block.root);
        self.blocks.insert(block.root, block.clone());
        self.head = block.clone();
        let depends_on = |epoch: u64| {
            let first = self.chain.first_slot(Epoch(epoch)).0;
            self.root_until(Slot(first.saturating_sub(1)))
        };
        let head = ChainEvent::Head {
            epoch_transition: before != epoch,
            previous_dependent: depends_on(epoch.0.saturating_sub(1)),
            current_dependent: depends_on(epoch.0),
            block,
        };
        let (slot, root) = (self.head.slot, self.head.root);
        self.events.push(ChainEvent::Block { slot, root });
        self.events.push(head);
        // A judge that nobody listens to keeps the newest.
        let surplus = self.events.len().saturating_sub(256);
        self.events.drain(..surplus);
    }
}
