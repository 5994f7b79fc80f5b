//! Gets what is to be signed from the beacon node.
//!
//! Guarantees: from Electra on one request serves all attesters of a slot; a block is asked for only with the
//! aggregated randao; what the beacon node answers is looked at before it is proposed to the peers; what is fetched is
//! announced as one set.
//! Not here: retries (`step`), agreement (`consensus`).

mod aggregate;
mod contribution;
mod early;
mod gather;
mod graffiti;

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use prometheus_client::{metrics::gauge::Gauge, registry::Registry};
use trireme_eth2::{AttestationData, AttesterDuty, ChainSpec, Fork, Slot, ValidatorIndex, VersionedProposal};

use self::early::Early;
pub use self::{
    contribution::ContributionGate,
    graffiti::{Graffiti, GraffitiError},
};
use crate::{
    answers::{AwaitAggregated, NoAnswer},
    cx::DutyCx,
    data::{AttestationDuty, SignedData, UnsignedData, UnsignedDataSet},
    definitions::{DutyDefinition, DutyDefinitionSet},
    duty::{Duty, DutyType},
    event::Event,
    features::{Feature, FeatureSet},
    fees::{BlockSource, FeeCheck, FeeMismatches},
    ids::PubKey,
    ports::{BeaconError, BeaconNode, Clock, ProduceBlock},
    registrations::Registrations,
    spans::{self, TRACE},
    step::{ErrorKind, Fault, StepError},
    time::{SlotTick, SlotTiming},
    validatorapi::AwaitUnsigned,
};

/// Waits between the attempts to get what a beacon node may make only in a moment.
const NOT_YET: [Duration; 3] = [
    Duration::from_millis(250),
    Duration::from_millis(400),
    Duration::from_millis(640),
];

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
    /// Something else that the duty rests on did not come.
    #[error("no {what}: {why}")]
    NoAnswer {
        /// What did not come.
        what: &'static str,
        /// Why not.
        why: NoAnswer,
    },
    /// What is stored under its name is something else.
    #[error("the aggregated {what} of validator {} is not one", .validator.short())]
    NotThat {
        /// What it should be.
        what: &'static str,
        /// The validator.
        validator: PubKey,
    },
    /// The beacon node has none (yet).
    #[error("beacon node does not have {what} for slot {slot} (retryable)")]
    NotThere {
        /// What it was asked for.
        what: &'static str,
        /// For which slot.
        slot: Slot,
    },
    /// The beacon node answered with something that was not asked for.
    #[error("beacon node answered with {what} that has {reason}")]
    Other {
        /// What it was asked for.
        what: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// What the duty rests on came together too late to be of use.
    #[error("duty {0} is no longer of use: what it rests on did not come in time")]
    Late(Duty),
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
            Self::Beacon(BeaconError::Malformed { .. })
            | Self::OtherSlot { .. }
            | Self::NotThere { .. }
            | Self::Other { .. } => ErrorKind::Temporary,
            Self::Beacon(error) => error.kind(),
            Self::NoRandao { why, .. } | Self::NoAnswer { why, .. } => match why {
                NoAnswer::Expired => ErrorKind::Expired,
                NoAnswer::Stopped => ErrorKind::Stopped,
            },
            Self::Late(_) => ErrorKind::Expired,
            Self::NotThat { .. } | Self::Definition(_) | Self::Unsupported(_) => ErrorKind::Permanent,
        }
    }

    fn is_beacon(&self) -> bool {
        match self {
            Self::Beacon(_) | Self::OtherSlot { .. } | Self::NotThere { .. } | Self::Other { .. } => true,
            Self::NoRandao { .. }
            | Self::NoAnswer { .. }
            | Self::NotThat { .. }
            | Self::Late(_)
            | Self::Definition(_)
            | Self::Unsupported(_) => false,
        }
    }
}

/// Metrics, named as Charon's.
#[derive(Debug, Clone, Default)]
pub struct FetcherMetrics {
    blinded: Gauge,
    fee_recipient: Gauge,
    mismatches: FeeMismatches,
}

impl FetcherMetrics {
    /// Registers `core_fetcher_*` and what counts blocks that pay somebody else.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let m = Self {
            mismatches: FeeMismatches::register(registry),
            ..Self::default()
        };
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

    /// The counter of blocks that pay somebody else, for those who look at peers' blocks.
    #[must_use]
    pub fn fee_mismatches(&self) -> FeeMismatches {
        self.mismatches.clone()
    }
}

/// What the fetcher is made of.
pub struct FetcherParts {
    /// Where data come from.
    pub beacon: Arc<dyn BeaconNode>,
    /// Aggregated randao reveals (answered by `AggSigDb`).
    pub aggregated: Arc<dyn AwaitAggregated>,
    /// Attestation data that the cluster agreed on (answered by `DutyDb`).
    pub unsigned: Arc<dyn AwaitUnsigned>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Slots.
    pub timing: SlotTiming,
    /// Forks.
    pub chain: Arc<ChainSpec>,
    /// Fee recipients.
    pub registrations: Arc<Registrations>,
    /// What is written into blocks.
    pub graffiti: Graffiti,
    /// Whether blocks of builders are preferred; otherwise only local ones are asked for.
    pub builder: bool,
    /// Whether several sync contributions per validator may be proposed in a slot (answered by `InfoSync`).
    pub contribution_gate: ContributionGate,
    /// `fetch_only_commidx_0` and the early fetch.
    pub features: FeatureSet,
    /// Metrics.
    pub metrics: FetcherMetrics,
}

/// See the module's description.
pub struct Fetcher {
    /// A duty's data are there.
    pub fetched: Event<UnsignedDataSet>,
    parts: FetcherParts,
    version: Mutex<Option<String>>,
    early: Early,
    fees: FeeCheck,
}

impl Fetcher {
    /// The component without subscribers.
    #[must_use]
    pub fn new(parts: FetcherParts) -> Self {
        Self {
            fetched: Event::new(),
            version: Mutex::default(),
            early: Early::default(),
            fees: FeeCheck::new(Arc::clone(&parts.registrations), parts.metrics.fee_mismatches()),
            parts,
        }
    }

    /// Fetches and announces.
    pub async fn fetch(self: Arc<Self>, cx: DutyCx, set: Arc<DutyDefinitionSet>) -> Result<(), StepError> {
        let duty = cx.duty;
        // Within the step's span of the same name, as in Charon; what comes after the fetch is not in this one.
        let span = tracing::debug_span!(target: TRACE, "core/fetcher.Fetch");
        let unsigned = spans::within(span, Fault::kind, self.unsigned(duty, &set)).await?;
        if unsigned.0.is_empty() {
            tracing::debug!(parent: &cx.span, %duty, "nobody has anything to do, nothing to agree on");
            return Ok(());
        }
        self.fetched.emit(&cx, Arc::new(unsigned)).await
    }

    async fn unsigned(&self, duty: Duty, set: &DutyDefinitionSet) -> Result<UnsignedDataSet, FetchError> {
        match duty.kind {
            DutyType::Attester => self.attester(duty, set).await,
            DutyType::Proposer => self.proposer(duty, set).await,
            DutyType::Aggregator => self.in_time(duty, self.aggregator(duty, set)).await,
            DutyType::SyncContribution => self.in_time(duty, self.contributions(duty, set)).await,
            DutyType::Signature
            | DutyType::Exit
            | DutyType::BuilderProposer
            | DutyType::BuilderRegistration
            | DutyType::Randao
            | DutyType::PrepareAggregator
            | DutyType::SyncMessage
            | DutyType::PrepareSyncContribution
            | DutyType::InfoSync => Err(FetchError::Unsupported(duty)),
        }
    }

    /// Ends waiting for what does not come, one slot after the duty's own: nobody takes an aggregate later, however long
    /// the duty's messages are kept.
    async fn in_time<T>(
        &self,
        duty: Duty,
        fetch: impl Future<Output = Result<T, FetchError>>,
    ) -> Result<T, FetchError> {
        let end = self.parts.timing.start(Slot(duty.slot.0.saturating_add(2)));
        tokio::select! { biased;
            fetched = fetch => fetched,
            () = self.parts.clock.sleep_until(end) => Err(FetchError::Late(duty)),
        }
    }

    /// A validator's whole signature, once it has come together.
    async fn signed(
        &self,
        what: &'static str,
        duty: Duty,
        validator: PubKey,
        subcommittee: u64,
    ) -> Result<Arc<SignedData>, FetchError> {
        let signed = self.parts.aggregated.aggregated_in(duty, validator, subcommittee).await;
        signed.map_err(|why| FetchError::NoAnswer { what, why })
    }

    /// Asks a few times for what the beacon node may not have yet.
    async fn until_there<T, Fut>(
        &self,
        what: &'static str,
        slot: Slot,
        ask: impl Fn() -> Fut + Send,
    ) -> Result<T, FetchError>
    where
        Fut: Future<Output = Result<T, BeaconError>> + Send,
    {
        let mut waits = NOT_YET.into_iter();
        loop {
            let error = match ask().await {
                Ok(found) => return Ok(found),
                Err(BeaconError::Status { status: 404, .. }) => FetchError::NotThere { what, slot },
                Err(error) => error.into(),
            };
            match (error.kind(), waits.next()) {
                (ErrorKind::Temporary, Some(wait)) => tokio::time::sleep(wait).await,
                (_, _) => return Err(error),
            }
        }
    }

    fn clock(&self) -> &dyn Clock {
        self.parts.clock.as_ref()
    }

    /// For how long those who are there wait for those who are not.
    fn grace(&self) -> Duration {
        self.parts.timing.slot_duration.checked_div(12).unwrap_or_default()
    }

    /// Attestation data per committee, early ones if there are any.
    async fn attester(&self, duty: Duty, set: &DutyDefinitionSet) -> Result<UnsignedDataSet, FetchError> {
        if let Some(early) = self.early.take(duty.slot, set) {
            return Ok(early);
        }
        self.attestations(duty, set).await
    }

    /// Attestation data per committee. From Electra on the data name no committee, so that one request serves all.
    async fn attestations(&self, duty: Duty, set: &DutyDefinitionSet) -> Result<UnsignedDataSet, FetchError> {
        let electra = self
            .parts
            .chain
            .fork_at(duty.slot)
            .is_some_and(|fork| fork >= Fork::Electra);
        let one_for_all = electra && self.parts.features.enabled(Feature::FetchOnlyCommIdx0);
        let mut asked: BTreeMap<u64, AttestationData> = BTreeMap::new();
        let mut out = UnsignedDataSet::default();
        for (validator, definition) in &set.0 {
            let DutyDefinition::Attester(definition) = definition else {
                return Err(FetchError::Definition(duty));
            };
            let committee = if one_for_all { 0 } else { definition.committee_index.0 };
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
        let epoch = self.parts.timing.epoch(slot);
        if data.target.epoch != epoch || data.source.epoch > epoch {
            return Err(FetchError::Other {
                what: "attestation data",
                reason: "checkpoints of other epochs than the slot's",
            });
        }
        Ok(data)
    }

    /// The block of the slot's one proposer.
    async fn proposer(&self, duty: Duty, set: &DutyDefinitionSet) -> Result<UnsignedDataSet, FetchError> {
        let mut out = UnsignedDataSet::default();
        if duty.slot == Slot(0) {
            // The genesis slot has its block. Beacon nodes name a proposer of it all the same.
            return Ok(out);
        }
        for (validator, definition) in &set.0 {
            let (validator, proposer) = (*validator, definition.validator_index());
            let randao = Duty::new(duty.slot, DutyType::Randao);
            let reveal = self.parts.aggregated.aggregated(randao, validator).await;
            let reveal = reveal.map_err(|why| FetchError::NoRandao { validator, why })?;
            let SignedData::Randao(reveal) = reveal.as_ref() else {
                let what = "randao reveal";
                return Err(FetchError::NotThat { what, validator });
            };
            // Never asked for here, where every moment counts.
            let version = self.version();
            let ask = ProduceBlock {
                slot: duty.slot,
                randao_reveal: reveal.signature,
                graffiti: self.parts.graffiti.of(&validator, version.as_deref()),
                builder_boost_factor: if self.parts.builder { u64::MAX } else { 0 },
            };
            let block = self.parts.beacon.produce_block(ask).await?.proposal;
            self.check_block(duty, proposer, &block)?;
            self.look_at(duty, &validator, &block);
            out.0.insert(validator, UnsignedData::Proposal(Arc::new(block)));
        }
        Ok(out)
    }

    /// A block that cannot be right is not proposed to the peers.
    fn check_block(&self, duty: Duty, proposer: ValidatorIndex, block: &VersionedProposal) -> Result<(), FetchError> {
        const WHAT: &str = "a block";
        if block.slot() != duty.slot {
            return Err(FetchError::OtherSlot {
                what: WHAT,
                asked: duty.slot,
                got: block.slot(),
            });
        }
        let reason = if block.proposer_index() != proposer {
            "another proposer than the duty's"
        } else if self.parts.chain.fork_at(duty.slot) != Some(block.fork()) {
            "the form of another fork"
        } else {
            return Ok(());
        };
        Err(FetchError::Other { what: WHAT, reason })
    }

    /// Says so if the beacon node would pay somebody else. The payment of blinded blocks is the builder's affair.
    fn look_at(&self, duty: Duty, validator: &PubKey, block: &VersionedProposal) {
        self.parts.metrics.blinded.set(if block.is_blinded() { 1 } else { 2 });
        if let Some(same) = self.fees.look_at(duty, validator, block, BlockSource::BeaconNode) {
            self.parts.metrics.fee_recipient.set(if same { 1 } else { 2 });
        }
    }

    /// To be called with every slot: asks for the beacon node's name of itself until it is known, so that it is there
    /// when a block is made.
    pub async fn on_slot(self: Arc<Self>, _: SlotTick) {
        if !self.parts.graffiti.needs_version() || self.version().is_some() {
            return;
        }
        match self.parts.beacon.node_version().await {
            Ok(version) => *self.version.lock().unwrap_or_else(PoisonError::into_inner) = Some(version),
            Err(error) => {
                tracing::debug!(%error, "the beacon node's version is not known yet; blocks are marked without it");
            }
        }
    }

    /// The beacon node's name of itself, if it is known.
    fn version(&self) -> Option<String> {
        self.version.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
