//! Sends aggregates to the beacon node.
//!
//! Guarantees: all validators of a set go in one request; "already known" counts as success; a duty of which nothing is
//! sent succeeds.
//! Not here: retries (`step`), conversion to the beacon API's forms (`trireme-beacon`).

use std::sync::Arc;

use prometheus_client::{
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};

use crate::{
    cx::DutyCx,
    data::{SignedData, SignedDataSet},
    duty::{Duty, DutyType},
    metrics::{BUCKETS_C, DutyLabel},
    ports::{BeaconError, BeaconNode, Clock},
    scheduler::start_offset,
    step::{ErrorKind, Fault, StepError},
    time::SlotTiming,
};

/// What a beacon node says to an attestation that reached it through another node of the cluster.
const ALREADY_KNOWN: &str = "PriorAttestationKnown";

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
}

/// See the module's description.
pub struct Broadcaster {
    beacon: Arc<dyn BeaconNode>,
    clock: Arc<dyn Clock>,
    timing: SlotTiming,
    metrics: BroadcastMetrics,
}

impl Broadcaster {
    /// Sends to `beacon`, which has the time limits of submissions inside.
    #[must_use]
    pub fn new(
        beacon: Arc<dyn BeaconNode>,
        clock: Arc<dyn Clock>,
        timing: SlotTiming,
        metrics: BroadcastMetrics,
    ) -> Self {
        Self {
            beacon,
            clock,
            timing,
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
                let attestations = set.0.values().map(|data| {
                    let SignedData::Attestation(att) = data else {
                        return Err(BroadcastError::Kind(duty));
                    };
                    Ok(att.clone())
                });
                let attestations = attestations.collect::<Result<Vec<_>, _>>()?;
                match self.beacon.submit_attestations(attestations).await {
                    Err(BeaconError::Status { message, .. }) if message.contains(ALREADY_KNOWN) => Ok(()),
                    other => Ok(other?),
                }
            }
            DutyType::Proposer => {
                let mut blocks = set.0.values();
                let (Some(block), None) = (blocks.next(), blocks.next()) else {
                    return Err(BroadcastError::Blocks { duty, n: set.0.len() });
                };
                let SignedData::Proposal(block) = block else {
                    return Err(BroadcastError::Kind(duty));
                };
                Ok(self.beacon.submit_proposal(Arc::clone(block)).await?)
            }
            // Their aggregates are answers to questions of our own.
            DutyType::Randao
            | DutyType::PrepareAggregator
            | DutyType::PrepareSyncContribution
            | DutyType::BuilderRegistration => Ok(()),
            DutyType::Signature
            | DutyType::Exit
            | DutyType::BuilderProposer
            | DutyType::Aggregator
            | DutyType::SyncMessage
            | DutyType::SyncContribution
            | DutyType::InfoSync => Err(BroadcastError::Unsupported(duty)),
        }
    }
}
