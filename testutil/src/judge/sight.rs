//! The chain as one face shows it: whole, or as its fault lets it appear.
//!
//! Guarantees: a face without a fault shows the chain as it is. What a face cannot know it refuses, and that is nobody's
//! fault: such a refusal is not noted. Not here: faces that fail or hang (`manner` in `state`).

use std::time::Duration;

use trireme_eth2::{Epoch, Fork, ForkVersion, Root, Slot, SyncingStatus};

use super::{
    chain::{ChainConfig, FAR_FUTURE, digest},
    faces::{BEHIND, FaultKind},
    state::{ChainBlock, Judge, Refused, refuse},
};

/// The chain of another network, which has none of our validators.
pub(super) fn foreign(chain: &ChainConfig) -> ChainConfig {
    let version = |ForkVersion([a, b, c, d]): ForkVersion| ForkVersion([a, b, c, d ^ 0x80]);
    let forks = chain.forks.iter().map(|(fork, v, epoch)| (*fork, version(*v), *epoch));
    ChainConfig {
        name: "another-network".to_owned(),
        forks: forks.collect(),
        genesis_validators_root: digest(&[b"another network", chain.genesis_validators_root.as_slice()]),
        validators: Vec::new(),
        deposit_chain_id: chain.deposit_chain_id.saturating_add(1),
        ..chain.clone()
    }
}

/// The same chain with its newest fork one epoch later; if that is the first fork, nothing is left to move.
pub(super) fn other_fork_epoch(chain: &ChainConfig) -> ChainConfig {
    let mut other = chain.clone();
    let newest = other.forks.iter_mut().rfind(|(_, _, epoch)| *epoch != FAR_FUTURE);
    if let Some((_, _, epoch)) = newest {
        *epoch = Epoch(epoch.0.saturating_add(1));
    }
    other
}

/// The first block of a chain, which nobody made.
pub(super) fn genesis_block(chain: &ChainConfig) -> ChainBlock {
    ChainBlock {
        slot: Slot(0),
        root: digest(&[b"genesis block", chain.genesis_validators_root.as_slice()]),
        parent: Root::ZERO,
        state_root: digest(&[b"genesis state"]),
        block: None,
        included: Vec::new(),
    }
}

/// See the module.
#[derive(Debug)]
pub struct View<'a> {
    judge: &'a Judge,
    fault: Option<FaultKind>,
    now: Slot,
}

impl Judge {
    /// The chain as a face shows it at `now`.
    #[must_use]
    pub fn view(&self, face: usize, now: Duration) -> View<'_> {
        View {
            judge: self,
            fault: self.fault(face, now),
            now: self.chain.slot_at(now),
        }
    }

    /// Whether a face can take something: what names the block `root`, and comes as the fork `declared` for a slot.
    ///
    /// # Errors
    ///
    /// Says why the face cannot.
    pub(super) fn admit(
        &self,
        face: usize,
        now: Duration,
        root: Option<Root>,
        declared: Option<(Slot, Fork)>,
    ) -> Result<(), Refused> {
        let view = self.view(face, now);
        if view.is_foreign() {
            return refuse("this beacon node is of another network");
        }
        if let Some(root) = root
            && self.blocks.contains_key(&root)
            && view.block(root).is_none()
        {
            return refuse(format!("block {root} is unknown to this beacon node, which is behind"));
        }
        match declared {
            Some((slot, fork)) if view.is_misconfigured() && view.chain().fork(slot) != fork => refuse(format!(
                "wrong fork: for this beacon node slot {} is in {:?}",
                slot.0,
                view.chain().fork(slot)
            )),
            Some(_) | None => Ok(()),
        }
    }
}

impl View<'_> {
    /// Forks, clockwork, constants.
    #[must_use]
    pub fn chain(&self) -> &ChainConfig {
        match self.fault {
            Some(FaultKind::WrongChain) => &self.judge.foreign.0,
            Some(FaultKind::OtherForkEpoch) => &self.judge.other_fork_epoch,
            Some(FaultKind::Slow | FaultKind::Error | FaultKind::Hang | FaultKind::Optimistic | FaultKind::Behind)
            | None => &self.judge.chain,
        }
    }

    /// Whether its execution client has verified nothing.
    #[must_use]
    pub fn is_optimistic(&self) -> bool {
        self.fault == Some(FaultKind::Optimistic)
    }

    /// Whether it is of another network.
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        self.fault == Some(FaultKind::WrongChain)
    }

    fn is_misconfigured(&self) -> bool {
        self.fault == Some(FaultKind::OtherForkEpoch)
    }

    /// Whether it lacks the newest blocks.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.fault == Some(FaultKind::Behind)
    }

    /// Whether what happens on the chain reaches it now, so that it can tell.
    #[must_use]
    pub fn hears(&self) -> bool {
        match self.fault {
            Some(FaultKind::Error | FaultKind::Hang | FaultKind::Behind | FaultKind::WrongChain) => false,
            Some(FaultKind::Slow | FaultKind::Optimistic | FaultKind::OtherForkEpoch) | None => true,
        }
    }

    /// The last slot that it has seen.
    fn until(&self) -> Slot {
        if self.is_behind() {
            Slot(self.now.0.saturating_sub(BEHIND))
        } else {
            Slot(u64::MAX)
        }
    }

    /// The newest block.
    #[must_use]
    pub fn head(&self) -> &ChainBlock {
        let root = self.judge.root_until(self.until());
        self.block(root).unwrap_or(&self.judge.foreign.1)
    }

    /// The block with this root.
    #[must_use]
    pub fn block(&self, root: Root) -> Option<&ChainBlock> {
        if self.is_foreign() {
            return Some(&self.judge.foreign.1).filter(|block| block.root == root);
        }
        self.judge.block(root).filter(|block| block.slot <= self.until())
    }

    /// The block of exactly this slot; slot 0 is the genesis block.
    #[must_use]
    pub fn block_at(&self, slot: Slot) -> Option<&ChainBlock> {
        if self.is_foreign() {
            return Some(&self.judge.foreign.1).filter(|block| block.slot == slot);
        }
        self.judge.block_at(slot).filter(|block| block.slot <= self.until())
    }

    /// Root of the newest block at or before `slot`.
    #[must_use]
    pub fn root_until(&self, slot: Slot) -> Root {
        if self.is_foreign() {
            return self.judge.foreign.1.root;
        }
        self.judge.root_until(slot.min(self.until()))
    }

    /// Whether a block is on the branch of the head.
    #[must_use]
    pub fn is_canonical(&self, block: &ChainBlock) -> bool {
        self.root_until(block.slot) == block.root
    }

    /// Root of the last block before an epoch begins, on which duties hang.
    #[must_use]
    pub fn dependent_root(&self, epoch: Epoch) -> Root {
        self.root_until(Slot(self.judge.chain.first_slot(epoch).0.saturating_sub(1)))
    }

    /// How far it is. A chain of empty slots has nothing to catch up with.
    #[must_use]
    pub fn syncing(&self) -> SyncingStatus {
        SyncingStatus {
            head_slot: self.now.min(self.until()),
            sync_distance: if self.is_behind() { BEHIND } else { 0 },
            is_syncing: self.is_behind(),
            is_optimistic: self.is_optimistic(),
            el_offline: false,
        }
    }
}
