//! Tells the beacon node where block rewards go: at start and once per epoch (core.md 9.7).
//!
//! Guarantees: only active validators are named; a failure is tried again with the next slot.
//! Not here: registrations with builders.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use crate::{cluster::Cluster, ports::BeaconNode, scheduler::SlotTick, validators::ValidatorCache};

/// A slot subscriber.
pub struct ProposalPreparation {
    beacon: Arc<dyn BeaconNode>,
    validators: Arc<ValidatorCache>,
    cluster: Arc<Cluster>,
    owed: AtomicBool,
}

impl ProposalPreparation {
    /// Prepares the validators of `cluster` with their fee recipients.
    #[must_use]
    pub fn new(beacon: Arc<dyn BeaconNode>, validators: Arc<ValidatorCache>, cluster: Arc<Cluster>) -> Self {
        Self {
            beacon,
            validators,
            cluster,
            owed: AtomicBool::new(true),
        }
    }

    /// To be called with every slot.
    pub async fn on_slot(self: Arc<Self>, tick: SlotTick) {
        if tick.first_in_epoch {
            self.owed.store(true, Ordering::Relaxed);
        }
        if !self.owed.swap(false, Ordering::Relaxed) {
            return;
        }
        let done = async {
            let known = self.validators.get().await?;
            let list = known.active(tick.epoch).filter_map(|(index, key)| {
                let recipient = self.cluster.validator(&key)?.fee_recipient;
                Some((index, recipient))
            });
            let list: Vec<_> = list.collect();
            if list.is_empty() {
                Ok(())
            } else {
                self.beacon.prepare_proposers(list).await
            }
        };
        if let Err(error) = done.await {
            self.owed.store(true, Ordering::Relaxed);
            tracing::warn!(%error, "the beacon node was not told our fee recipients; next try with the next slot");
        }
    }
}
