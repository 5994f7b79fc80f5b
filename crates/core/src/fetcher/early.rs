//! Attestation data fetched as soon as the slot's block is there (core.md 10.2), a feature that is off by default.
//!
//! Guarantees: kept only if all of it votes for that block, and used only for the duties that it was fetched for; one
//! attempt per slot; nothing is kept beyond the next slot's block or a reorganisation.
//! Not here: when attesting begins (`scheduler`), and which beacon node answers. The pool asks all that are synced, the one
//! that told of the block among them, and takes the first answer that votes for the slot's own block; that is as good as
//! asking the one alone, and does not fail with it. Where the operator has switched that choice off, what another one
//! answers for an older block is thrown away here, and the data are fetched at the usual time.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::broadcast::error::RecvError;
use trireme_eth2::{ChainEvent, HeadEvent, Slot};

use super::Fetcher;
use crate::{
    data::{AttestationDuty, UnsignedData, UnsignedDataSet},
    definitions::{DutyDefinition, DutyDefinitionSet},
    duty::{Duty, DutyType},
    features::Feature,
    validatorapi::DutyDefinitions,
};

#[derive(Default)]
struct State {
    /// The newest slot for which an attempt was made.
    tried: Option<Slot>,
    kept: Option<(Slot, UnsignedDataSet)>,
}

/// What was fetched early.
#[derive(Default)]
pub(super) struct Early(Mutex<State>);

impl Early {
    /// The data of the slot, if they are there for exactly these duties.
    pub(super) fn take(&self, slot: Slot, set: &DutyDefinitionSet) -> Option<UnsignedDataSet> {
        let (at, data) = self.lock().kept.take_if(|(at, _)| *at <= slot)?;
        let fits = at == slot
            && data.0.len() == set.0.len()
            && set.0.iter().all(|(validator, definition)| {
                let DutyDefinition::Attester(wanted) = definition else {
                    return false;
                };
                matches!(data.0.get(validator), Some(UnsignedData::Attestation(AttestationDuty { duty, .. })) if duty == wanted)
            });
        fits.then_some(data)
    }

    /// Whether this is the first attempt for the slot; forgets older ones.
    fn begin(&self, slot: Slot) -> bool {
        let mut state = self.lock();
        if state.tried.is_some_and(|tried| tried >= slot) {
            return false;
        }
        state.tried = Some(slot);
        state.kept = None;
        true
    }

    fn keep(&self, slot: Slot, data: UnsignedDataSet) {
        let mut state = self.lock();
        // A reorganisation or a newer block may have come since.
        if state.tried == Some(slot) {
            state.kept = Some((slot, data));
        }
    }

    fn clear(&self) {
        *self.lock() = State::default();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fetcher {
    /// Follows the chain for ever and fetches early, if a feature says so. To be run as a task.
    pub async fn fetch_early(self: Arc<Self>, definitions: Arc<dyn DutyDefinitions>) {
        let features = &self.parts.features;
        let on = features.enabled(Feature::FetchAttOnBlock) || features.enabled(Feature::FetchAttOnBlockWithDelay);
        if !on {
            return;
        }
        let mut events = self.parts.beacon.events();
        loop {
            match events.recv().await {
                Ok(ChainEvent::Head(head)) => self.on_head(&head, definitions.as_ref()).await,
                Ok(ChainEvent::Reorg(_)) | Err(RecvError::Lagged(_)) => self.early.clear(),
                Ok(ChainEvent::Block(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    }

    async fn on_head(&self, head: &HeadEvent, definitions: &dyn DutyDefinitions) {
        let now = self.parts.timing.slot_at(self.parts.clock.now());
        if now != Some(head.slot) || !self.early.begin(head.slot) {
            return;
        }
        let duty = Duty::new(head.slot, DutyType::Attester);
        let Ok(Some(set)) = definitions.definitions(duty).await else {
            return;
        };
        match self.attestations(duty, &set).await {
            Ok(data) if votes_for(&data, head) => self.early.keep(head.slot, data),
            Ok(_) => tracing::debug!(%duty, "attestation data fetched early votes for another block and is not used"),
            Err(error) => tracing::debug!(%duty, %error, "attestation data could not be fetched early"),
        }
    }
}

fn votes_for(data: &UnsignedDataSet, head: &HeadEvent) -> bool {
    let blocks: BTreeSet<_> = data
        .0
        .values()
        .map(|value| match value {
            UnsignedData::Attestation(att) => Some(att.data.beacon_block_root),
            UnsignedData::Proposal(_)
            | UnsignedData::Aggregate(_)
            | UnsignedData::UnversionedAggregate(_)
            | UnsignedData::Contribution(_)
            | UnsignedData::Contributions(_) => None,
        })
        .collect();
    blocks == BTreeSet::from([Some(head.block)])
}
