//! Tells the beacon node where block rewards go: at start, once per epoch and when it changes (core.md 9.7).
//!
//! Guarantees: only active validators are named, and only with a fee recipient; a failure is tried again with the next
//! slot; who is paid is told once for each validator, when the chain is first seen to have it.
//! Not here: registrations with builders, which say where (`registrations`).

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use crate::{
    ids::PubKey,
    ports::BeaconNode,
    registrations::Registrations,
    time::SlotTick,
    validators::{ValidatorCache, ValidatorSet},
};

/// What stands for no fee recipient: locks of old schemas may name none.
const NOBODY: [u8; 20] = [0; 20];

/// A slot subscriber.
pub struct ProposalPreparation {
    beacon: Arc<dyn BeaconNode>,
    validators: Arc<ValidatorCache>,
    registrations: Arc<Registrations>,
    owed: AtomicBool,
    /// The generation of the registrations that was sent last.
    sent: AtomicU64,
    /// Of whom it has been told who is paid. At most the cluster's validators.
    told: Mutex<BTreeSet<PubKey>>,
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
            told: Mutex::default(),
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
            self.tell(&known);
            let list = known.active(tick.epoch);
            let list = list.filter_map(|(index, key)| Some((index, self.recipient(&key)?)));
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

    fn recipient(&self, validator: &PubKey) -> Option<[u8; 20]> {
        let recipient = self.registrations.fee_recipient(validator);
        recipient.filter(|recipient| *recipient != NOBODY)
    }

    /// Says of each validator that is new on chain who gets its fees (VC-44).
    fn tell(&self, known: &ValidatorSet) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        for (index, validator) in &known.by_index {
            let key = PubKey(validator.validator.pubkey.0);
            if !told.insert(key) {
                continue;
            }
            let (index, validator) = (index.0, key.to_string());
            match self.recipient(&key) {
                Some(recipient) => tracing::info!(
                    index,
                    validator,
                    fee_recipient = format!("0x{}", hex::encode(recipient)),
                    "Validator is on chain; its fees go to this recipient"
                ),
                None => tracing::warn!(
                    index,
                    validator,
                    "Validator is on chain and has no fee recipient: the cluster's definition (cluster-lock.json) names \
                     none, and neither does a registration in the file of --overrides-file; its fees go wherever the \
                     beacon node is configured to send them"
                ),
            }
        }
    }
}
