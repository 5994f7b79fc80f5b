//! What blocks are made of, and which are taken.
//!
//! Guarantees: a genuine block is held against everything that its proposer signed before, whatever else is wrong with
//! it; a taken one is the head. Not here: the blocks' content (`blocks`).

use std::{sync::Arc, time::Duration};

use trireme_eth2::{BlsSignature, Fork, Root, Slot, VersionedSignedProposal};

use super::{
    blocks::{Ingredients, epoch_root, state_root},
    signing::{Claim, Purpose, domain, signing_root},
    state::{ChainBlock, DutyKind, DutyOf, Judge, Refused, Taken, refuse},
    view::BlockView,
};

impl Judge {
    /// What the signature of a randao reveal must prove.
    ///
    /// # Errors
    ///
    /// If the chain has no validators.
    pub fn claim_of_randao(&self, slot: Slot, reveal: BlsSignature) -> Result<Claim, Refused> {
        let Some(key) = self.chain.key(self.chain.proposer(slot)) else {
            return refuse("the chain has no validators");
        };
        let epoch = self.chain.epoch(slot);
        let root = signing_root(epoch_root(epoch), domain(&self.chain, Purpose::Randao, epoch));
        Ok(Claim {
            key,
            root,
            signature: reveal,
        })
    }

    /// What a block for `slot` on top of the head is made of; [`Ingredients::proposal`] makes it. `genuine` is whether the randao reveal's claim holds.
    ///
    /// # Errors
    ///
    /// For another slot than the current one, and for a reveal that is not genuine.
    pub fn produce(
        &mut self,
        now: Duration,
        slot: Slot,
        randao: BlsSignature,
        graffiti: Root,
        genuine: bool,
    ) -> Result<Ingredients, Refused> {
        let proposer = self.chain.proposer(slot);
        let duty = DutyOf {
            kind: DutyKind::Proposer,
            slot,
            validator: proposer,
        };
        let why = if self.too_early(now, slot) {
            format!("slot {} has not begun", slot.0)
        } else if slot < self.chain.slot_at(now) {
            format!("late: slot {} has ended", slot.0)
        } else if self.head.slot >= slot {
            format!("slot {} has a block already", slot.0)
        } else if !genuine {
            format!(
                "the randao reveal of validator {} does not verify under its key",
                proposer.0
            )
        } else {
            let checkpoints = self.checkpoints(self.chain.epoch(slot), self.head.root);
            return Ok(Ingredients {
                fork: self.chain.fork(slot),
                slot,
                proposer,
                parent: self.head.root,
                randao,
                graffiti,
                fee_recipient: self.recipients.get(&proposer).copied().unwrap_or_default(),
                timestamp: self.chain.start(slot).as_secs(),
                checkpoints,
                blobs: self.chain.blobs_per_block,
            });
        };
        let refused = Refused(why);
        self.note(now, Some(duty), &refused);
        Err(refused)
    }

    /// What the signatures of a block must prove: the proposer's, and the randao reveal in it.
    ///
    /// # Errors
    ///
    /// If the proposer is no validator of the chain. That is noted as a refusal.
    pub fn claims_of_block(&mut self, now: Duration, block: &BlockView) -> Result<[Claim; 2], Refused> {
        let Some(key) = self.chain.key(block.proposer) else {
            let refused = Refused(format!("the chain has no validator {}", block.proposer.0));
            self.note(now, None, &refused);
            return Err(refused);
        };
        let epoch = self.chain.epoch(block.slot);
        let root = signing_root(block.root, domain(&self.chain, Purpose::Proposer, epoch));
        let randao = signing_root(epoch_root(epoch), domain(&self.chain, Purpose::Randao, epoch));
        Ok([
            Claim {
                key,
                root,
                signature: block.signature,
            },
            Claim {
                key,
                root: randao,
                signature: block.randao,
            },
        ])
    }

    /// Takes or refuses a block. `genuine` says which of its two claims hold, `declared` the fork that its sender names.
    ///
    /// # Errors
    ///
    /// Says why it is not taken.
    pub fn propose(
        &mut self,
        now: Duration,
        declared: Fork,
        signed: Arc<VersionedSignedProposal>,
        view: &BlockView,
        genuine: [bool; 2],
    ) -> Result<Taken, Refused> {
        let duty = DutyOf {
            kind: DutyKind::Proposer,
            slot: view.slot,
            validator: view.proposer,
        };
        let taken = self
            .weigh_block(now, declared, view, genuine)
            .inspect_err(|why| self.note(now, Some(duty), why))?;
        if taken == Taken::First {
            let (slot, root, parent, state_root) = (view.slot, view.root, view.parent, view.state_root);
            let block = ChainBlock {
                slot,
                root,
                parent,
                state_root,
                block: Some(signed),
            };
            self.canonical.insert(slot, root);
            self.blocks.insert(root, block.clone());
            self.head = block;
            self.arrive(duty, now);
        }
        Ok(taken)
    }

    fn weigh_block(
        &mut self,
        now: Duration,
        declared: Fork,
        block: &BlockView,
        [genuine, randao]: [bool; 2],
    ) -> Result<Taken, Refused> {
        let slot = block.slot;
        if !genuine {
            return refuse(format!(
                "the signature of validator {} does not verify under its key",
                block.proposer.0
            ));
        }
        if let Some(found) = self.history.block(block.proposer, slot, block.root) {
            let why = format!(
                "slashable, {:?}: validator {} signed {}, then {}",
                found.kind, found.validator.0, found.first, found.second
            );
            self.slashable.push(found);
            return refuse(why);
        }
        let fork = self.chain.fork(slot);
        if declared != fork || block.fork != fork {
            return refuse(format!(
                "wrong fork: slot {} is in {fork:?}, the block comes as {declared:?}",
                slot.0
            ));
        }
        if block.blinded {
            return refuse("this chain has no builder; a blinded block cannot be completed");
        }
        if self.blocks.contains_key(&block.root) {
            return Ok(Taken::Repeated);
        }
        if self.too_early(now, slot) {
            return refuse(format!("wrong slot: slot {} has not begun", slot.0));
        }
        if block.proposer != self.chain.proposer(slot) {
            let right = self.chain.proposer(slot);
            return refuse(format!(
                "wrong proposer: slot {} is of validator {}, not {}",
                slot.0, right.0, block.proposer.0
            ));
        }
        if slot < self.chain.slot_at(now) {
            return refuse(self.late_text(now, slot));
        }
        if block.parent != self.head.root {
            return refuse(format!(
                "wrong parent: the head is {}, not {}",
                self.head.root, block.parent
            ));
        }
        if !randao {
            return refuse(format!(
                "the randao reveal of validator {} does not verify under its key",
                block.proposer.0
            ));
        }
        if block.state_root != state_root(slot, block.proposer, block.parent, block.body_root) {
            return refuse("wrong state root: this is not a block that this beacon node produced");
        }
        if !block.blobs_match {
            return refuse("the blobs are not those of the block");
        }
        Ok(Taken::First)
    }
}
