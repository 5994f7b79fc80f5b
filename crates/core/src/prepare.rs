//! Tells the beacon node where block rewards go: at start, once per epoch and when it changes (core.md 9.7).
//!
//! Guarantees: only active validators are named; a failure is tried again with the next slot.
//! Not here: registrations with builders, which say where (`registrations`).

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use crate::{ports::BeaconNode, registrations::Registrations, time::SlotTick, validators::ValidatorCache};

/// A slot subscriber.
pub struct ProposalPreparation {
    beacon: Arc<dyn BeaconNode>,
    validators: Arc<ValidatorCache>,
    registrations: Arc<Registrations>,
    owed: AtomicBool,
    /// The generation of the registrations that was sent last.
    sent: AtomicU64,
}

impl ProposalPreparation {
    /// Prepares the validators with the fee recipients of `registrations`.
    #[must_use]
    pub fn new(
        beacon: Arc<dyn BeaconNode>,
        validators: Arc<ValidatorCache>,
        registrations: Arc<Registrations>,
    ) -> Self {
        Self {
            beacon,
            validators,
            registrations,
            owed: AtomicBool::new(true),
            sent: AtomicU64::new(0),
        }
    }

    /// To be called with every slot.
    pub async fn on_slot(self: Arc<Self>, tick: SlotTick) {
        let generation = self.registrations.generation();
        if tick.first_in_epoch || self.sent.swap(generation, Ordering::Relaxed) != generation {
            self.owed.store(true, Ordering::Relaxed);
        }
        if !self.owed.swap(false, Ordering::Relaxed) {
            return;
        }
        let done = async {
            let known = self.validators.get().await?;
            let list = known.active(tick.epoch).filter_map(|(index, key)| {
                let recipient = self.registrations.fee_recipient(&key)?;
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
