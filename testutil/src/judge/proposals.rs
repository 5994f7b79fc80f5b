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

/// The gas limit of payloads that no builder makes.
const GAS_LIMIT: u64 = 60_000_000;

impl Judge {
    /// What the signature of a randao reveal must prove.
    ///
    /// # Errors
    ///
    /// If the slot's proposer is none of the chain's validators.
    pub fn claim_of_randao(&self, slot: Slot, reveal: BlsSignature) -> Result<Claim, Refused> {
        let Some(key) = self.chain.key(self.proposer(slot)) else {
            return refuse(format!("the proposer of slot {} is a stranger", slot.0));
        };
        let epoch = self.chain.epoch(slot);
        let root = signing_root(epoch_root(epoch), domain(&self.chain, Purpose::Randao, epoch));
        Ok(Claim {
            key,
            root,
            signature: reveal,
        })
    }

    /// What a block for `slot` on top of the head is made of; [`Ingredients::proposal`] makes it. `genuine` is whether
    /// the randao reveal's claim holds, `boost` the `builder_boost_factor`: with anything but 0 a builder's bid wins, if
    /// there is a builder and the proposer registered. A blinded block can be published only after [`Judge::offer`].
    ///
    /// # Errors
    ///
    /// For another slot than the current one, for a reveal that is not genuine, and from a face that cannot make one.
    pub fn produce(
        &mut self,
        face: usize,
        now: Duration,
        slot: Slot,
        (randao, genuine): (BlsSignature, bool),
        graffiti: Root,
        boost: u64,
    ) -> Result<Ingredients, Refused> {
        self.blocks_asked.entry(slot).or_insert(now);
        let view = self.view(face, now);
        if view.is_optimistic() {
            return refuse("the execution client is syncing; it makes no payload");
        }
        let (is_foreign, head) = (view.is_foreign(), view.head().clone());
        let proposer = self.proposer(slot);
        let duty = DutyOf {
            kind: DutyKind::Proposer,
            slot,
            validator: proposer,
        };
        let why = if self.too_early(now, slot) {
            format!("slot {} has not begun", slot.0)
        } else if slot < self.chain.slot_at(now) {
            format!("late: slot {} has ended", slot.0)
        } else if head.slot >= slot {
            format!("slot {} has a block already", slot.0)
        } else if !genuine && !is_foreign {
            format!(
                "the randao reveal of validator {} does not verify under its key",
                proposer.0
            )
        } else {
            let mut made = self.ingredients(slot, head.root, randao, graffiti);
            made.fork = self.view(face, now).chain().fork(slot);
            made.blinded = self.config.builder && boost != 0 && made.fork >= Fork::Bellatrix;
            match self.registered.get(&proposer) {
                Some(registered) if made.blinded => {
                    made.fee_recipient = registered.fee_recipient;
                    made.gas_limit = registered.gas_limit;
                }
                Some(_) | None => made.blinded = false,
            }
            return Ok(made);
        };
        let refused = Refused(why);
        self.note(now, Some(duty), &refused);
        Err(refused)
    }

    /// When a block for `slot` was asked for first, by whichever node.
    #[must_use]
    pub fn block_asked(&self, slot: Slot) -> Option<Duration> {
        self.blocks_asked.get(&slot).copied()
    }

    /// What the slot's proposer makes a block of that has this parent.
    pub(super) fn ingredients(
        &mut self,
        slot: Slot,
        parent: Root,
        randao: BlsSignature,
        graffiti: Root,
    ) -> Ingredients {
        let proposer = self.proposer(slot);
        Ingredients {
            fork: self.chain.fork(slot),
            slot,
            proposer,
            parent,
            randao,
            graffiti,
            fee_recipient: self.recipients.get(&proposer).copied().unwrap_or_default(),
            timestamp: self.chain.start(slot).as_secs(),
            blobs: self.chain.blobs_per_block,
            transactions: self.chain.transactions_per_block,
            gas_limit: GAS_LIMIT,
            attestations: self.attestations_for(slot, parent),
            sync_aggregate: self.sync_aggregate(slot, parent),
            blinded: false,
        }
    }

    /// What the signatures of a block must prove: the proposer's, and the randao reveal in it.
    ///
    /// # Errors
    ///
    /// If the proposer is no validator of the chain. That is noted as a refusal.
    pub fn claims_of_block(&mut self, now: Duration, block: &BlockView) -> Result<[Claim; 2], Refused> {
        let key = self.key_of(now, block.proposer)?;
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
        face: usize,
        now: Duration,
        declared: Fork,
        signed: Arc<VersionedSignedProposal>,
        view: &BlockView,
        [genuine, randao]: [bool; 2],
    ) -> Result<Taken, Refused> {
        let duty = DutyOf {
            kind: DutyKind::Proposer,
            slot: view.slot,
            validator: view.proposer,
        };
        self.check_signed_block(view, genuine)
            .inspect_err(|why| self.note(now, Some(duty), why))?;
        self.admit(face, now, Some(view.parent), Some((view.slot, declared)))?;
        let taken = self
            .weigh_block(now, declared, view, randao)
            .inspect_err(|why| self.note(now, Some(duty), why))?;
        if taken == Taken::Repeated {
            return Ok(taken);
        }
        let signed = if view.blinded {
            let whole = self.unblind(view.root, &signed).map(Arc::new);
            let missing = || Refused("this blinded block was never offered; there is no payload for it".to_owned());
            whole
                .ok_or_else(missing)
                .inspect_err(|why| self.note(now, Some(duty), why))?
        } else {
            signed
        };
        let included = self.included_in(&signed);
        self.become_head(ChainBlock {
            slot: view.slot,
            root: view.root,
            parent: view.parent,
            state_root: view.state_root,
            block: Some(signed),
            included,
        });
        self.note_alive(view.slot, view.proposer);
        Ok(self.arrive(duty, now))
    }

    /// That the signature is genuine, and the only one of its kind.
    fn check_signed_block(&mut self, block: &BlockView, genuine: bool) -> Result<(), Refused> {
        if !genuine {
            return refuse(format!(
                "the signature of validator {} does not verify under its key",
                block.proposer.0
            ));
        }
        let Some(found) = self.history.block(block.proposer, block.slot, block.root) else {
            return Ok(());
        };
        let why = format!(
            "slashable, {:?}: validator {} signed {}, then {}",
            found.kind, found.validator.0, found.first, found.second
        );
        self.slashable.push(found);
        refuse(why)
    }

    fn weigh_block(
        &mut self,
        now: Duration,
        declared: Fork,
        block: &BlockView,
        randao: bool,
    ) -> Result<Taken, Refused> {
        let slot = block.slot;
        let fork = self.chain.fork(slot);
        if declared != fork || block.fork != fork {
            return refuse(format!(
                "wrong fork: slot {} is in {fork:?}, the block comes as {declared:?}",
                slot.0
            ));
        }
        if block.blinded && !self.config.builder {
            return refuse("this chain has no builder; a blinded block cannot be completed");
        }
        if self.blocks.contains_key(&block.root) {
            return Ok(Taken::Repeated);
        }
        if self.too_early(now, slot) {
            return refuse(format!("wrong slot: slot {} has not begun", slot.0));
        }
        if block.proposer != self.proposer(slot) {
            let right = self.proposer(slot);
            return refuse(format!(
                "wrong proposer: slot {} is of validator {}, not {}",
                slot.0, right.0, block.proposer.0
            ));
        }
        if slot < self.chain.slot_at(now) {
            return refuse(self.late_text(now, slot));
        }
        let unseen = self.config.follows && !self.blocks.contains_key(&block.parent);
        if block.parent != self.head.root && !unseen {
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
