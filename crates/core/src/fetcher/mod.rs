//! Gets what is to be signed from the beacon node.
//!
//! Guarantees: from Electra on one request serves all attesters of a slot; a block is asked for only with the
//! aggregated randao; what is fetched is announced as one set.
//! Not here: retries (`step`), agreement (`consensus`).

mod graffiti;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use prometheus_client::{metrics::gauge::Gauge, registry::Registry};
use trireme_eth2::{AttestationData, AttesterDuty, ChainSpec, Fork, Slot};

pub use self::graffiti::{Graffiti, GraffitiError};
use crate::{
    answers::AwaitAggregated,
    cluster::Cluster,
    cx::DutyCx,
    data::{AttestationDuty, SignedData, UnsignedData, UnsignedDataSet},
    definitions::{DutyDefinition, DutyDefinitionSet},
    duty::{Duty, DutyType},
    event::Event,
    ids::PubKey,
    ports::{BeaconError, BeaconNode, ProduceBlock},
    step::{ErrorKind, Fault, StepError},
    validatorapi::NoAnswer,
};

/// Why there is nothing to sign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The beacon node did not give it.
    #[error(transparent)]
    Beacon(#[from] BeaconError),
    /// The randao reveal of the slot did not come together.
    #[error("no aggregated randao reveal for the block of validator {}: {why}", .validator.short())]
    NoRandao {
        /// The proposer.
        validator: PubKey,
        /// Why not.
        why: NoAnswer,
    },
    /// What is stored as randao is something else.
    #[error("the aggregated randao reveal of validator {} is not one", .validator.short())]
    NotRandao {
        /// The proposer.
        validator: PubKey,
    },
    /// The beacon node answered for another slot.
    #[error("beacon node answered with {what} of slot {got} when asked for slot {asked}")]
    OtherSlot {
        /// What it was asked for.
        what: &'static str,
        /// For which slot.
        asked: Slot,
        /// What came.
        got: Slot,
    },
    /// The definition is of another kind than the duty.
    #[error("duty {0} came with the definition of another type")]
    Definition(Duty),
    /// Nothing is fetched for such duties.
    #[error("nothing can be fetched for duty {0}")]
    Unsupported(Duty),
}

impl Fault for FetchError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Beacon(BeaconError::Malformed { .. }) | Self::OtherSlot { .. } => ErrorKind::Temporary,
            Self::Beacon(error) => error.kind(),
            Self::NoRandao {
                why: NoAnswer::Expired, ..
            } => ErrorKind::Expired,
            Self::NoRandao {
                why: NoAnswer::Stopped, ..
            } => ErrorKind::Stopped,
            Self::NotRandao { .. } | Self::Definition(_) | Self::Unsupported(_) => ErrorKind::Permanent,
        }
    }

    fn is_beacon(&self) -> bool {
        matches!(self, Self::Beacon(_) | Self::OtherSlot { .. })
    }
}

/// Metrics, named as Charon's.
#[derive(Debug, Clone, Default)]
pub struct FetcherMetrics {
    blinded: Gauge,
    fee_recipient: Gauge,
}

impl FetcherMetrics {
    /// Registers `core_fetcher_*`.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let m = Self::default();
        registry.register(
            "core_fetcher_proposal_blinded",
            "Last block: 1 blinded, 2 local",
            m.blinded.clone(),
        );
        registry.register(
            "core_fetcher_proposal_local_mismatch_fee_recipient",
            "Last local block: 2 its fee recipient is not ours, 1 it is",
            m.fee_recipient.clone(),
        );
        m
    }
}

/// What the fetcher is made of.
pub struct FetcherParts {
    /// Where data come from.
    pub beacon: Arc<dyn BeaconNode>,
    /// Aggregated randao reveals (answered by `AggSigDb`).
    pub aggregated: Arc<dyn AwaitAggregated>,
    /// Forks.
    pub chain: Arc<ChainSpec>,
    /// Fee recipients.
    pub cluster: Arc<Cluster>,
    /// What is written into blocks.
    pub graffiti: Graffiti,
    /// Whether blocks of builders are preferred; otherwise only local ones are asked for.
    pub builder: bool,
    /// Metrics.
    pub metrics: FetcherMetrics,
}

/// See the module's description.
pub struct Fetcher {
    /// A duty's data are there.
    pub fetched: Event<UnsignedDataSet>,
    parts: FetcherParts,
    version: Mutex<Option<String>>,
}

impl Fetcher {
    /// The component without subscribers.
    #[must_use]
    pub fn new(parts: FetcherParts) -> Self {
        Self {
            fetched: Event::new(),
            parts,
            version: Mutex::default(),
        }
    }

    /// Fetches and announces.
    pub async fn fetch(self: Arc<Self>, cx: DutyCx, set: Arc<DutyDefinitionSet>) -> Result<(), StepError> {
        let duty = cx.duty;
        let unsigned = match duty.kind {
            DutyType::Attester => self.attester(duty, &set).await?,
            DutyType::Proposer => self.proposer(duty, &set).await?,
            // Selections are not exchanged yet, so nobody is selected, and the fetch ends with nothing proposed (core.md 10.4).
            DutyType::Aggregator | DutyType::SyncContribution => return Ok(()),
            DutyType::Signature
            | DutyType::Exit
            | DutyType::BuilderProposer
            | DutyType::BuilderRegistration
            | DutyType::Randao
            | DutyType::PrepareAggregator
            | DutyType::SyncMessage
            | DutyType::PrepareSyncContribution
            | DutyType::InfoSync => return Err(FetchError::Unsupported(duty).into()),
        };
        self.fetched.emit(&cx, Arc::new(unsigned)).await
    }

    /// Attestation data per committee; from Electra on the data name no committee, so that one request serves all.
    async fn attester(&self, duty: Duty, set: &DutyDefinitionSet) -> Result<UnsignedDataSet, FetchError> {
        let electra = self
            .parts
            .chain
            .fork_at(duty.slot)
            .is_some_and(|fork| fork >= Fork::Electra);
        let mut asked: BTreeMap<u64, AttestationData> = BTreeMap::new();
        let mut out = UnsignedDataSet::default();
        for (validator, definition) in &set.0 {
            let DutyDefinition::Attester(definition) = definition else {
                return Err(FetchError::Definition(duty));
            };
            let committee = if electra { 0 } else { definition.committee_index.0 };
            let data = match asked.get(&committee) {
                Some(data) => *data,
                None => {
                    let data = self.attestation_data(duty.slot, committee).await?;
                    asked.insert(committee, data);
                    data
                }
            };
            let duty: AttesterDuty = *definition;
            out.0
                .insert(*validator, UnsignedData::Attestation(AttestationDuty { data, duty }));
        }
        Ok(out)
    }

    async fn attestation_data(&self, slot: Slot, committee: u64) -> Result<AttestationData, FetchError> {
        let data = self.parts.beacon.attestation_data(slot, committee).await?;
        if data.slot != slot {
            return Err(FetchError::OtherSlot {
                what: "attestation data",
                asked: slot,
                got: data.slot,
            });
        }
        Ok(data)
    }

    /// The block of the slot's one proposer.
    async fn proposer(&self, duty: Duty, set: &DutyDefinitionSet) -> Result<UnsignedDataSet, FetchError> {
        let mut out = UnsignedDataSet::default();
        for validator in set.0.keys().copied() {
            let randao = Duty::new(duty.slot, DutyType::Randao);
            let reveal = self.parts.aggregated.aggregated(randao, validator).await;
            let reveal = reveal.map_err(|why| FetchError::NoRandao { validator, why })?;
            let SignedData::Randao(reveal) = reveal.as_ref() else {
                return Err(FetchError::NotRandao { validator });
            };
            let version = self.version().await;
            let ask = ProduceBlock {
                slot: duty.slot,
                randao_reveal: reveal.signature,
                graffiti: self.parts.graffiti.of(&validator, version.as_deref()),
                builder_boost_factor: if self.parts.builder { u64::MAX } else { 0 },
            };
            let block = self.parts.beacon.produce_block(ask).await?.proposal;
            if block.slot() != duty.slot {
                return Err(FetchError::OtherSlot {
                    what: "a block",
                    asked: duty.slot,
                    got: block.slot(),
                });
            }
            self.look_at(duty, &validator, &block);
            out.0.insert(validator, UnsignedData::Proposal(Arc::new(block)));
        }
        Ok(out)
    }

    /// Says so if the beacon node would pay somebody else. The payment of blinded blocks is the builder's affair.
    fn look_at(&self, duty: Duty, validator: &PubKey, block: &trireme_eth2::VersionedProposal) {
        self.parts.metrics.blinded.set(if block.is_blinded() { 1 } else { 2 });
        let wanted = self.parts.cluster.validator(validator).map(|v| v.fee_recipient);
        let (Some(wanted), Some(got), false) = (wanted, block.fee_recipient(), block.is_blinded()) else {
            return;
        };
        let same = got.0 == wanted;
        self.parts.metrics.fee_recipient.set(if same { 1 } else { 2 });
        if !same {
            tracing::warn!(%duty, validator = %validator.short(), wanted = hex::encode(wanted), got = hex::encode(got.0),
                "the beacon node's block pays another fee recipient than configured");
        }
    }

    /// The beacon node's name of itself, asked for until it is known.
    async fn version(&self) -> Option<String> {
        if !self.parts.graffiti.needs_version() {
            return None;
        }
        let known = self.version.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if known.is_some() {
            return known;
        }
        let version = self.parts.beacon.node_version().await.ok()?;
        *self.version.lock().unwrap_or_else(PoisonError::into_inner) = Some(version.clone());
        Some(version)
    }
}
