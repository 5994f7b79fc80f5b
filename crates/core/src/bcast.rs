//! Sends aggregates to the beacon node.
//!
//! Guarantees: all validators of a set go in one request; whatever of it is refused is a failure of the whole, which is
//! told and never counted as sent; a duty of which nothing is sent succeeds.
//! Not here: retries (`step`), conversion to the beacon API's forms, and what counts as taken because the beacon node had
//! it already (both `trireme-beacon`).

use std::sync::Arc;

use prometheus_client::{
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};

use trireme_eth2::{Fork, SignedVoluntaryExit, Versioned as _, VersionedAttestation};

use crate::{
    cx::DutyCx,
    data::{SignedData, SignedDataSet},
    duty::{Duty, DutyType},
    metrics::{BUCKETS_C, DutyLabel},
    ports::{BeaconError, BeaconNode, Clock},
    scheduler::start_offset,
    step::{ErrorKind, Fault, StepError},
    time::SlotTiming,
    validators::ValidatorCache,
};

/// Why a set was not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BroadcastError {
    /// The beacon node did not take it.
    #[error(transparent)]
    Beacon(#[from] BeaconError),
    /// Not exactly one block.
    #[error("duty {duty} has {n} blocks, there must be one")]
    Blocks {
        /// The duty.
        duty: Duty,
        /// How many there are.
        n: usize,
    },
    /// Data that do not belong to the duty's type.
    #[error("duty {0} holds signed data of another type")]
    Kind(Duty),
    /// Nothing is ever sent for such a duty.
    #[error("duty {0} is of a type that cannot be sent")]
    Unsupported(Duty),
}

impl Fault for BroadcastError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Beacon(error) => error.kind(),
            Self::Blocks { .. } | Self::Kind(_) | Self::Unsupported(_) => ErrorKind::Permanent,
        }
    }

    fn is_beacon(&self) -> bool {
        matches!(self, Self::Beacon(_))
    }
}

/// Metrics, named as Charon's.
#[derive(Debug, Clone)]
pub struct BroadcastMetrics {
    sent: Family<DutyLabel, Counter>,
    delay: Family<DutyLabel, Histogram, fn() -> Histogram>,
}

impl BroadcastMetrics {
    /// Registers `core_bcast_*`.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let sent = Family::default();
        let delay: Family<_, _, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(BUCKETS_C.iter().copied()));
        registry.register("core_bcast_broadcast", "Duties broadcast", sent.clone());
        registry.register(
            "core_bcast_broadcast_delay_seconds",
            "Seconds after its time of a broadcast",
            delay.clone(),
        );
        Self { sent, delay }
    }

    /// Makes a series of each metric with labels, so that a list of them shows labels and buckets.
    pub fn touch(&self) {
        crate::metrics::touch(&self.sent);
        crate::metrics::touch(&self.delay);
    }
}

/// See the module's description.
pub struct Broadcaster {
    beacon: Arc<dyn BeaconNode>,
    clock: Arc<dyn Clock>,
    timing: SlotTiming,
    validators: Arc<ValidatorCache>,
    metrics: BroadcastMetrics,
}

impl Broadcaster {
    /// Sends to `beacon`, which has the time limits of submissions inside. `validators` tells an index that is missing in
    /// an attestation.
    #[must_use]
    pub fn new(
        beacon: Arc<dyn BeaconNode>,
        validators: Arc<ValidatorCache>,
        clock: Arc<dyn Clock>,
        timing: SlotTiming,
        metrics: BroadcastMetrics,
    ) -> Self {
        Self {
            beacon,
            clock,
            timing,
            validators,
            metrics,
        }
    }

    /// Sends the set.
    pub async fn broadcast(self: Arc<Self>, cx: DutyCx, set: Arc<SignedDataSet>) -> Result<(), StepError> {
        let duty = cx.duty;
        self.send(duty, &set).await?;
        let label = DutyLabel::from(duty.kind);
        self.metrics.sent.get_or_create(&label).inc();
        let from = self
            .timing
            .start(duty.slot)
            .after(start_offset(duty.kind, &self.timing));
        self.metrics
            .delay
            .get_or_create(&label)
            .observe(self.clock.now().since(from).as_secs_f64());
        Ok(())
    }

    async fn send(&self, duty: Duty, set: &SignedDataSet) -> Result<(), BroadcastError> {
        match duty.kind {
            DutyType::Attester => {
                let attestations = each(duty, set, |data| {
                    let SignedData::Attestation(att) = data else { return None };
                    Some(att.clone())
                })?;
                let attestations = self.with_indices(duty, set, attestations);
                self.beacon.submit_attestations(attestations).await?;
            }
            DutyType::Proposer => {
                let mut blocks = set.0.values();
                let (Some(block), None) = (blocks.next(), blocks.next()) else {
                    return Err(BroadcastError::Blocks { duty, n: set.0.len() });
                };
                let SignedData::Proposal(block) = block else {
                    return Err(BroadcastError::Kind(duty));
                };
                self.beacon.submit_proposal(Arc::clone(block)).await?;
            }
            // Aggregates without version are refused.
            DutyType::Aggregator => {
                let aggregates = each(duty, set, |data| {
                    let SignedData::Aggregate(aggregate) = data else { return None };
                    Some(aggregate.clone())
                })?;
                self.beacon.submit_aggregates(aggregates).await?;
            }
            DutyType::SyncMessage => {
                let messages = each(duty, set, |data| {
                    let SignedData::SyncMessage(message) = data else { return None };
                    Some(*message)
                })?;
                self.beacon.submit_sync_messages(messages).await?;
            }
            DutyType::SyncContribution => {
                let contributions = each(duty, set, |data| {
                    let SignedData::Contribution(contribution) = data else { return None };
                    Some(contribution.clone())
                })?;
                self.beacon.submit_contributions(contributions).await?;
            }
            DutyType::Exit => {
                let exits = each(duty, set, |data| {
                    let SignedData::Exit(exit) = data else { return None };
                    Some(*exit)
                })?;
                self.send_exits(exits).await?;
            }
            // Their aggregates are answers to questions of our own.
            DutyType::Randao
            | DutyType::PrepareAggregator
            | DutyType::PrepareSyncContribution
            // The cluster's own registrations are sent by `registrations`.
            | DutyType::BuilderRegistration => {}
            DutyType::Signature | DutyType::BuilderProposer | DutyType::InfoSync => {
                return Err(BroadcastError::Unsupported(duty));
            }
        }
        Ok(())
    }

    /// One by one: a beacon node that refuses one says nothing about the others. The last error is the caller's.
    async fn send_exits(&self, exits: Vec<SignedVoluntaryExit>) -> Result<(), BeaconError> {
        let mut outcome = Ok(());
        for exit in exits {
            if let Err(error) = self.beacon.submit_exit(exit).await {
                tracing::warn!(index = exit.message.validator_index.0, %error, "the beacon node did not take a voluntary exit");
                outcome = Err(error);
            }
        }
        outcome
    }

    /// From Electra on the beacon node must be told who voted. Where all partials came without it (some old releases
    /// lose it), our own knowledge of the validators fills it in. Before Electra none has it, and the log wants it (VC-60).
    fn with_indices(
        &self,
        duty: Duty,
        set: &SignedDataSet,
        mut attestations: Vec<VersionedAttestation>,
    ) -> Vec<VersionedAttestation> {
        for (validator, att) in set.0.keys().zip(&mut attestations) {
            if att.validator_index.is_none() {
                if att.attestation.fork() >= Fork::Electra {
                    tracing::warn!(%duty, validator = %validator.short(), "an attestation came without the index of its validator");
                }
                att.validator_index = self.validators.index(validator);
            }
        }
        attestations
    }
}

/// The objects of a set, all of one kind, in the order of their validators.
fn each<T>(duty: Duty, set: &SignedDataSet, take: impl Fn(&SignedData) -> Option<T>) -> Result<Vec<T>, BroadcastError> {
    let all = set.0.values().map(|data| take(data).ok_or(BroadcastError::Kind(duty)));
    all.collect()
}
