//! Tells the beacon node where block rewards go: at start, once per epoch and when it changes (core.md 9.7).
//!
//! Guarantees: only active validators are named, and only with a fee recipient; a failure is tried again with the next
//! slot; who is paid is told once for each validator, when the chain is first seen to have it.
//! Not here: registrations with builders, which say where (`registrations`).

use std::{
    collections::{BTreeMap, BTreeSet},
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
/// So many new validators get a line each; of more there is a line for each recipient.
const FEW: usize = 32;
/// Most ranges of indices in a line.
const RANGES: usize = 100;

/// A validator's index, key and recipient.
type Paid = (u64, PubKey, Option<[u8; 20]>);

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

    /// Says of the validators that are new on chain who gets their fees (VC-44).
    fn tell(&self, known: &ValidatorSet) {
        let new = self.new_ones(known);
        if new.len() <= FEW {
            for (index, key, recipient) in new {
                tell(recipient.unwrap_or(NOBODY), &index.to_string(), &key.to_string());
            }
            return;
        }
        let mut by_recipient: BTreeMap<[u8; 20], Vec<u64>> = BTreeMap::new();
        for (index, _, recipient) in new {
            by_recipient.entry(recipient.unwrap_or(NOBODY)).or_default().push(index);
        }
        for (recipient, indices) in by_recipient {
            tell(recipient, &ranges(&indices), &format!("{} validators", indices.len()));
        }
    }

    fn new_ones(&self, known: &ValidatorSet) -> Vec<Paid> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let all = known.by_index.iter();
        let all = all.map(|(index, v)| (index.0, PubKey(v.validator.pubkey.0)));
        let new = all.filter(|(_, key)| told.insert(*key));
        new.map(|(index, key)| (index, key, self.recipient(&key))).collect()
    }
}

fn tell(recipient: [u8; 20], index: &str, validator: &str) {
    if recipient == NOBODY {
        tracing::warn!(
            %index,
            %validator,
            "On chain without a fee recipient: the cluster's definition (cluster-lock.json) names none, and neither does a \
             registration in the file of --overrides-file; the fees go wherever the beacon node is configured to send them"
        );
    } else {
        let fee_recipient = format!("0x{}", hex::encode(recipient));
        tracing::info!(%index, %validator, %fee_recipient, "On chain; the fees of blocks go to this recipient");
    }
}

/// Ascending numbers, those that follow each other as `first-last`.
fn ranges(numbers: &[u64]) -> String {
    let mut out: Vec<(u64, u64)> = Vec::new();
    for number in numbers {
        match out.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(*number) => *last = *number,
            Some(_) | None => out.push((*number, *number)),
        }
    }
    let text = |(first, last): &(u64, u64)| {
        if first == last {
            first.to_string()
        } else {
            format!("{first}-{last}")
        }
    };
    let some: Vec<_> = out.iter().take(RANGES).map(text).collect();
    let more = if out.len() > RANGES { ",…" } else { "" };
    format!("{}{more}", some.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_follow_each_other_are_a_range() {
        assert_eq!(ranges(&[1, 2, 3, 7, 9, 10]), "1-3,7,9-10");
        assert_eq!(ranges(&[]), "");
        let apart: Vec<u64> = (0..1000).map(|n| n * 2).collect();
        assert!(ranges(&apart).len() < 1000 && ranges(&apart).ends_with("198,…"));
    }
}
