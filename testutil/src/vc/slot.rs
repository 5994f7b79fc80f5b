//! One slot of a client's life: what every duty in it needs, and their order.

use std::{collections::BTreeMap, sync::Arc};

use futures::future::{join4, select};
use tokio::sync::watch;
use trireme_eth2::{BlsPubkey, BlsSignature, DomainType, Epoch, Root, Slot, ValidatorIndex};

use super::{ApiFailure, Shared, chain::Chain};

/// What is done in one slot.
pub(super) struct Slotwork {
    pub(super) shared: Arc<Shared>,
    pub(super) chain: Arc<Chain>,
    pub(super) slot: Slot,
}

/// Newest slot whose head was announced.
pub(super) type Heads = watch::Receiver<Option<Slot>>;

impl Slotwork {
    /// Does all of it; nothing that fails keeps the rest from being done.
    pub(super) async fn run(self, heads: Heads) {
        self.shared.state().forget_before(self.slot);
        self.note(self.look_up_validators().await);
        let (proposal, attestations, sync, ()) = join4(
            self.propose(),
            self.attest(heads.clone()),
            self.serve_sync_committee(heads),
            self.chores(),
        )
        .await;
        self.note(proposal);
        self.note(attestations);
        self.note(sync);
    }

    /// Keeps a failure among the client's activity.
    pub(super) fn note<T>(&self, result: Result<T, ApiFailure>) -> Option<T> {
        result.inspect_err(|failure| self.shared.failed(failure)).ok()
    }

    pub(super) fn epoch(&self) -> Epoch {
        self.chain.epoch(self.slot)
    }

    /// Our validators, as far as they are known.
    pub(super) fn indices(&self) -> Vec<ValidatorIndex> {
        self.shared.state().indices.keys().copied().collect()
    }

    pub(super) fn is_ours(&self, key: &BlsPubkey) -> bool {
        self.shared.keys.contains_key(key)
    }

    /// At the start of each epoch, and each slot until all are known.
    pub(super) async fn look_up_validators(&self) -> Result<(), ApiFailure> {
        let known = self.shared.state().indices.len();
        if known == self.shared.keys.len() && !self.chain.begins_epoch(self.slot) {
            return Ok(());
        }
        let keys: Vec<BlsPubkey> = self.shared.keys.keys().copied().collect();
        let found = self.shared.api.validators(&keys).await?;
        let ours = found.into_iter().filter(|v| self.is_ours(&v.validator.pubkey));
        let indices: BTreeMap<ValidatorIndex, BlsPubkey> = ours.map(|v| (v.index, v.validator.pubkey)).collect();
        self.shared.state().indices = indices;
        Ok(())
    }

    /// Signs an object's root for this slot's epoch; `None` if the key is not ours.
    pub(super) fn sign(&self, key: &BlsPubkey, object: Root, purpose: DomainType) -> Option<BlsSignature> {
        let key = self.shared.keys.get(key)?;
        Some(self.chain.sign(key, object, purpose, self.epoch()))
    }

    /// Until this slot's head is announced, at the latest a third into the slot.
    pub(super) async fn head_or_third(&self, mut heads: Heads) {
        let third = self.chain.third(self.slot, 1);
        let head = heads.wait_for(|head| *head >= Some(self.slot));
        let _ = select(Box::pin(head), Box::pin(self.shared.sleep_until(third))).await;
    }

    /// Until two thirds of the slot are over.
    pub(super) async fn two_thirds(&self) {
        self.shared.sleep_until(self.chain.third(self.slot, 2)).await;
    }
}
