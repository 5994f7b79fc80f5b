//! Makes whole signatures of partial ones.
//!
//! Guarantees: an aggregate that leaves here verifies under the validator's group key; all validators of a set are
//! combined and verified in one job, in one batch.
//! Not here: deciding when there are enough partials (`parsigdb`).

use std::{collections::BTreeMap, sync::Arc};

use prometheus_client::{
    metrics::{family::Family, histogram::Histogram},
    registry::Registry,
};
use tracing::Span;
use trireme_eth2::{BlsSignature, ChainSpec};

use crate::{
    compute::{self, Broken},
    cx::DutyCx,
    data::{DataError, ParSignedData, SignedData, SignedDataSet},
    duty::{Duty, DutyType},
    event::Event,
    ids::{PubKey, ShareIdx},
    metrics::{BUCKETS_D, DutyLabel},
    parsigdb::ThresholdSet,
    ports::{Clock, Compute, Entropy, Lane},
    scheme::{CannotCombine, Claim, Refusal, Scheme, Signer},
    spans::TRACE,
    step::{ErrorKind, Fault, StepError},
};

/// The lane in which a duty's signatures are computed.
#[must_use]
pub const fn lane(kind: DutyType) -> Lane {
    match kind {
        DutyType::Proposer | DutyType::Randao => Lane::Proposal,
        DutyType::Attester | DutyType::SyncMessage => Lane::Attestation,
        DutyType::Signature
        | DutyType::Exit
        | DutyType::BuilderProposer
        | DutyType::BuilderRegistration
        | DutyType::PrepareAggregator
        | DutyType::Aggregator
        | DutyType::PrepareSyncContribution
        | DutyType::SyncContribution
        | DutyType::InfoSync => Lane::Other,
    }
}

/// Why a set gave no aggregates.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SigAggError {
    /// A validator without partials.
    #[error("duty {duty} has no partial signature for validator {}", .validator.short())]
    Nothing {
        /// The duty.
        duty: Duty,
        /// The validator.
        validator: PubKey,
    },
    /// The partials cannot be combined.
    #[error("partial signatures of validator {} in duty {duty} cannot be combined: {why}", .validator.short())]
    Combine {
        /// The duty.
        duty: Duty,
        /// The validator.
        validator: PubKey,
        /// What is wrong.
        why: CannotCombine,
    },
    /// The result does not verify, so at least one partial is wrong.
    #[error("the combined signature of validator {} in duty {duty} is refused: {why}", .validator.short())]
    Refused {
        /// The duty.
        duty: Duty,
        /// The validator.
        validator: PubKey,
        /// What is wrong.
        why: Refusal,
    },
    /// What is signed has no signing root.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The computation broke off.
    #[error(transparent)]
    Broken(#[from] Broken),
}

impl Fault for SigAggError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Permanent
    }
}

/// Metrics, named as Charon's.
#[derive(Debug, Clone)]
pub struct SigAggMetrics {
    seconds: Family<DutyLabel, Histogram, fn() -> Histogram>,
}

impl SigAggMetrics {
    /// Registers `core_sigagg_*`.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let seconds: Family<_, _, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(BUCKETS_D.iter().copied()));
        registry.register(
            "core_sigagg_slot_aggregation_seconds",
            "Time to aggregate a set",
            seconds.clone(),
        );
        Self { seconds }
    }

    /// Makes a series of each metric with labels, so that a list of them shows labels and buckets.
    pub fn touch(&self) {
        crate::metrics::touch(&self.seconds);
    }
}

/// See the module's description.
pub struct SigAgg {
    /// A duty's aggregates, verified.
    pub aggregated: Event<SignedDataSet>,
    scheme: Arc<dyn Scheme>,
    chain: Arc<ChainSpec>,
    compute: Arc<dyn Compute>,
    entropy: Arc<dyn Entropy>,
    clock: Arc<dyn Clock>,
    metrics: SigAggMetrics,
}

impl SigAgg {
    /// The component without subscribers.
    #[must_use]
    pub fn new(
        scheme: Arc<dyn Scheme>,
        chain: Arc<ChainSpec>,
        compute: Arc<dyn Compute>,
        entropy: Arc<dyn Entropy>,
        clock: Arc<dyn Clock>,
        metrics: SigAggMetrics,
    ) -> Self {
        Self {
            aggregated: Event::new(),
            scheme,
            chain,
            compute,
            entropy,
            clock,
            metrics,
        }
    }

    /// Combines, verifies, announces.
    pub async fn aggregate(self: Arc<Self>, cx: DutyCx, set: Arc<ThresholdSet>) -> Result<(), StepError> {
        let duty = cx.duty;
        let began = self.clock.now();
        let mut seed = [0; 32];
        self.entropy.fill(&mut seed);
        let (scheme, chain) = (Arc::clone(&self.scheme), Arc::clone(&self.chain));
        // The pool's threads are in no span.
        let step = Span::current();
        let job = move || aggregate(duty, &set, scheme.as_ref(), &chain, &seed, &step);
        let whole = compute::call(self.compute.as_ref(), lane(duty.kind), job)
            .await
            .map_err(SigAggError::from)??;
        let took = self.clock.now().since(began).as_secs_f64();
        self.metrics
            .seconds
            .get_or_create(&DutyLabel::from(duty.kind))
            .observe(took);
        self.aggregated.emit(&cx, Arc::new(whole)).await
    }
}

fn aggregate(
    duty: Duty,
    set: &ThresholdSet,
    scheme: &dyn Scheme,
    chain: &ChainSpec,
    seed: &[u8; 32],
    step: &Span,
) -> Result<SignedDataSet, SigAggError> {
    let combining =
        tracing::debug_span!(target: TRACE, parent: step, "tbls.ThresholdAggregate", validators = set.0.len());
    let (mut whole, mut claims) = (BTreeMap::new(), Vec::with_capacity(set.0.len()));
    for (validator, partials) in &set.0 {
        let validator = *validator;
        let carrier = carrier(partials).ok_or(SigAggError::Nothing { duty, validator })?;
        let by_share: BTreeMap<ShareIdx, BlsSignature> =
            partials.iter().map(|p| (p.share, p.data.signature())).collect();
        let signature = scheme
            .combine(&by_share)
            .map_err(|why| SigAggError::Combine { duty, validator, why })?;
        let data = carrier.clone().with_signature(signature);
        claims.push(Claim {
            signer: Signer::Group(validator),
            root: data.signing_root(chain)?,
            signature,
        });
        whole.insert(validator, data);
    }
    drop(combining);
    for (claim, verdict) in claims.iter().zip(scheme.verify_set(&claims, seed)) {
        let (Signer::Group(validator) | Signer::Share(validator, _)) = claim.signer;
        verdict.map_err(|why| SigAggError::Refused { duty, validator, why })?;
    }
    Ok(SignedDataSet(whole))
}

/// The partial whose content becomes the aggregate's: for attestations the first that knows its validator's index,
/// otherwise the first (core.md 11.3).
fn carrier(partials: &[ParSignedData]) -> Option<&SignedData> {
    let with_index = partials
        .iter()
        .find(|p| matches!(&p.data, SignedData::Attestation(att) if att.validator_index.is_some()));
    with_index.or_else(|| partials.first()).map(|p| &p.data)
}
