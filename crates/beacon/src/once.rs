//! The duties of an epoch, asked for once however many ask.
//!
//! Guarantees: one request at a time per kind and epoch; only validators that nobody has asked for yet are asked for; an
//! error is not kept, nor an answer for no validators at all, nor that nobody attests or proposes, which is said before
//! genesis and before validators are active; what a reorganisation changed is asked for again, as head
//! events with other dependent roots tell, and an answer with another dependent root replaces all that was kept; memory
//! is bounded to a few epochs and a number of validators.
//! Not here: which beacon node is asked (`pool`).

mod kept;

use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use tokio::sync::broadcast::{self, error::TryRecvError};
use trireme_core::{
    metrics::CacheMetrics,
    ports::{BeaconError, BeaconNode, Duties},
};
use trireme_eth2::{AttesterDuty, ChainEvent, Epoch, HeadEvent, ProposerDuty, Root, SyncDuty, ValidatorIndex};

use kept::{ByValidator, Nobody, OfEpoch};

/// A beacon node that is asked for the duties of an epoch once.
pub struct DutiesOnce {
    inner: Arc<dyn BeaconNode>,
    slots_per_epoch: u64,
    attester: ByValidator<AttesterDuty>,
    sync: ByValidator<SyncDuty>,
    proposer: OfEpoch<ProposerDuty>,
    events: Mutex<broadcast::Receiver<ChainEvent>>,
    metrics: CacheMetrics,
}

impl DutiesOnce {
    /// In front of `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn BeaconNode>, slots_per_epoch: u64, metrics: CacheMetrics) -> Self {
        let events = inner.events();
        Self {
            inner,
            slots_per_epoch,
            attester: ByValidator::new(|duty| duty.validator_index, Nobody::TooEarly),
            sync: ByValidator::new(|duty| duty.validator_index, Nobody::Usual),
            proposer: OfEpoch::default(),
            events: Mutex::new(events),
            metrics,
        }
    }

    /// Counts a question whose answer is there, or is not.
    fn count(&self, endpoint: &'static str, kept: bool) {
        if kept {
            self.metrics.hit(endpoint);
        } else {
            self.metrics.miss(endpoint);
        }
    }

    /// Forgets what has become outdated since the last look.
    fn catch_up(&self) {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match events.try_recv() {
                Ok(ChainEvent::Head(head)) => self.follow(&head),
                // The head that comes with it tells what has changed.
                Ok(ChainEvent::Reorg(_) | ChainEvent::Block(_)) => {}
                Err(TryRecvError::Lagged(_)) => {
                    self.attester.retain(|_, _| false);
                    self.proposer.retain(|_, _| false);
                }
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    /// A head in epoch `h` tells on which blocks the attester duties of `h` and of the next epoch depend. Proposer
    /// duties depend, by fork, on one of the two. Sync committees are settled an era before.
    fn follow(&self, head: &HeadEvent) {
        let now = Epoch(head.slot.0.checked_div(self.slots_per_epoch).unwrap_or_default());
        let next = Epoch(now.0.saturating_add(1));
        let (previous, current) = (head.previous_duty_dependent_root, head.current_duty_dependent_root);
        if previous == Root::default() || current == Root::default() {
            return;
        }
        self.attester.retain(|epoch, root| {
            let expected = if epoch == now { previous } else { current };
            !(epoch == now || epoch == next) || root == Some(expected)
        });
        self.proposer.retain(|epoch, root| {
            !(epoch == now || epoch == next) || root.is_some_and(|root| root == previous || root == current)
        });
    }

    async fn attester(&self, epoch: Epoch, indices: Vec<ValidatorIndex>) -> Result<Duties<AttesterDuty>, BeaconError> {
        if indices.is_empty() {
            return self.inner.attester_duties(epoch, &indices).await;
        }
        self.catch_up();
        let ask = |missing: Vec<ValidatorIndex>| async move { self.inner.attester_duties(epoch, &missing).await };
        let count = |kept| self.count("attester_duties", kept);
        self.attester.get(epoch, &indices, ask, count).await
    }

    /// Nobody is asked about no validators (VC-64).
    async fn sync(&self, epoch: Epoch, indices: Vec<ValidatorIndex>) -> Result<Duties<SyncDuty>, BeaconError> {
        if indices.is_empty() {
            return Ok(Duties {
                dependent_root: Root::default(),
                execution_optimistic: false,
                duties: Vec::new(),
            });
        }
        let ask = |missing: Vec<ValidatorIndex>| async move { self.inner.sync_duties(epoch, &missing).await };
        let count = |kept| self.count("sync_committee_duties", kept);
        self.sync.get(epoch, &indices, ask, count).await
    }

    async fn proposer(&self, epoch: Epoch) -> Result<Duties<ProposerDuty>, BeaconError> {
        self.catch_up();
        let count = |kept| self.count("proposer_duties", kept);
        self.proposer
            .get(epoch, || self.inner.proposer_duties(epoch), count)
            .await
    }
}

impl trireme_core::ports::BeaconLayer for DutiesOnce {
    fn inner(&self) -> &dyn BeaconNode {
        self.inner.as_ref()
    }

    fn attester_duties(
        &self,
        epoch: Epoch,
        indices: &[ValidatorIndex],
    ) -> BoxFuture<'_, Result<Duties<AttesterDuty>, BeaconError>> {
        Box::pin(self.attester(epoch, indices.to_vec()))
    }

    fn proposer_duties(&self, epoch: Epoch) -> BoxFuture<'_, Result<Duties<ProposerDuty>, BeaconError>> {
        Box::pin(self.proposer(epoch))
    }

    fn sync_duties(
        &self,
        epoch: Epoch,
        indices: &[ValidatorIndex],
    ) -> BoxFuture<'_, Result<Duties<SyncDuty>, BeaconError>> {
        Box::pin(self.sync(epoch, indices.to_vec()))
    }
}

#[cfg(test)]
mod tests;
