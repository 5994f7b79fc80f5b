//! Whether submitted blocks made it onto the chain.
//!
//! Guarantees: each slot is looked at once, some slots later; a beacon node that cannot answer is asked again with the
//! next slot, until the slot is too old.
//! Not here: attestations and aggregates.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use futures::future::BoxFuture;
use tokio::sync::mpsc;
use trireme_eth2::{Root, Slot};

use super::metrics::TrackerMetrics;
use crate::{
    duty::{Duty, DutyType},
    ports::{BeaconError, BeaconNode, Clock},
    scheduler::SlotTicker,
    step::{Record, StepName, Subject},
    time::SlotTiming,
};

/// Slots after which a block is looked for.
const LAG: u64 = 6;
/// Slots after which a block that could not be looked for is given up.
const GIVEN_UP_AFTER: u64 = 32;

/// The one question asked of the beacon node.
pub trait Chain: Send + Sync {
    /// Root of the slot's block; `None` for an empty slot.
    fn block_root(&self, slot: Slot) -> BoxFuture<'_, Result<Option<Root>, BeaconError>>;
}

/// A beacon node as [`Chain`].
pub struct BeaconChain(pub Arc<dyn BeaconNode>);

impl Chain for BeaconChain {
    fn block_root(&self, slot: Slot) -> BoxFuture<'_, Result<Option<Root>, BeaconError>> {
        self.0.block_root(slot)
    }
}

/// See the module's description.
pub struct Inclusion {
    chain: Arc<dyn Chain>,
    clock: Arc<dyn Clock>,
    timing: SlotTiming,
    records: mpsc::Sender<Record>,
    metrics: TrackerMetrics,
    submitted: Mutex<BTreeMap<Slot, Vec<Subject>>>,
}

impl Inclusion {
    /// A checker that reports to the tracker's queue.
    #[must_use]
    pub fn new(
        chain: Arc<dyn Chain>,
        clock: Arc<dyn Clock>,
        timing: SlotTiming,
        records: mpsc::Sender<Record>,
        metrics: TrackerMetrics,
    ) -> Self {
        Self {
            chain,
            clock,
            timing,
            records,
            metrics,
            submitted: Mutex::default(),
        }
    }

    /// A block of `slot` was, or was to be, submitted.
    pub fn submitted(&self, slot: Slot, subjects: Vec<Subject>) {
        self.submitted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(slot, subjects);
    }

    /// Looks for submitted blocks, once per slot, for ever.
    pub async fn run(self: Arc<Self>) {
        let mut ticker = SlotTicker::new(Arc::clone(&self.clock), self.timing);
        loop {
            let (tick, _) = ticker.next().await;
            let due: Vec<_> = {
                let submitted = self.submitted.lock().unwrap_or_else(PoisonError::into_inner);
                submitted
                    .range(..=Slot(tick.slot.0.saturating_sub(LAG)))
                    .map(|(slot, s)| (*slot, s.clone()))
                    .collect()
            };
            for (slot, subjects) in due
                .into_iter()
                .filter(|(slot, _)| slot.0.saturating_add(LAG) <= tick.slot.0)
            {
                self.look(slot, subjects, tick.slot).await;
            }
        }
    }

    async fn look(&self, slot: Slot, subjects: Vec<Subject>, now: Slot) {
        let duty = Duty::new(slot, DutyType::Proposer);
        let given_up = now.0.saturating_sub(slot.0) >= GIVEN_UP_AFTER;
        match self.chain.block_root(slot).await {
            Ok(Some(_)) => tracing::debug!(%duty, "block is on the chain"),
            Ok(None) => {
                self.metrics.missed(duty.kind);
                tracing::warn!(%duty, "our block is not on the chain; it was late, or the beacon node has network trouble");
            }
            Err(error) if given_up => {
                tracing::warn!(%duty, %error, "it stays unknown whether our block is on the chain")
            }
            Err(_) => return,
        }
        self.submitted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&slot);
        let record = Record {
            duty,
            step: StepName::InclusionCheck,
            at: self.clock.now(),
            subjects,
            outcome: Ok(()),
        };
        // A full queue means that the tracker has lost count anyway.
        let _ = self.records.try_send(record);
    }
}
