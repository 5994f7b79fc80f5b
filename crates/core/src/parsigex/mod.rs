//! Exchanges partial signatures with the peers.
//!
//! Guarantees: what is announced as received is of our cluster and verified; one bad entry refuses its whole message;
//! nothing is computed while a peer's stream waits (the port has read and closed it before).
//! Not here: storing and counting (`parsigdb`), own partials' verification (`validatorapi`).

mod verifier;

use std::sync::Arc;

use bytes::Bytes;
use futures::future::{BoxFuture, join_all};
use prometheus_client::{
    metrics::{family::Family, histogram::Histogram},
    registry::Registry,
};
use trireme_eth2::ChainSpec;

pub use self::verifier::Verifier;
use crate::{
    cluster::Cluster,
    compute::Broken,
    cx::{CxSource, DutyCx},
    data::{DataError, ParSignedDataSet, decode_parsigex, encode_parsigex},
    duty::{Duty, DutyType, Slot},
    event::Event,
    gate::DutyGate,
    ids::{PeerIdx, PubKey, ShareIdx},
    metrics::{BUCKETS_D, DutyLabel},
    ports::{Clock, Inbound, PeerNet, ProtocolId, ServeGuard},
    scheme::{Claim, Refusal, Signer},
    sigagg::lane,
    spans::{self, TRACE},
    step::{ErrorKind, StepError},
};

/// One way, no answer. A message with a full block carries its blobs.
pub const PARSIGEX: ProtocolId = ProtocolId {
    name: "/charon/parsigex/2.0.0",
    max_frame: 128 << 20,
};

/// Parts of a sync committee (`SYNC_COMMITTEE_SUBNET_COUNT`, the same on all networks).
const SUBCOMMITTEES: u64 = 4;

/// Slots that a peer's clock may be ahead of ours.
const AHEAD: u64 = 1;

/// Whether what is signed for `duty` can exist in slot `now`. Without this a peer could have a block, with megabytes of
/// blobs, stored for each of the slots that the gate lets in.
const fn can_exist(duty: Duty, now: Slot) -> bool {
    match duty.kind {
        DutyType::Proposer
        | DutyType::Attester
        | DutyType::Aggregator
        | DutyType::SyncMessage
        | DutyType::SyncContribution => duty.slot.0 <= now.0.saturating_add(AHEAD),
        // Signed before their slot, or for no slot at all.
        DutyType::Signature
        | DutyType::Exit
        | DutyType::BuilderProposer
        | DutyType::BuilderRegistration
        | DutyType::Randao
        | DutyType::PrepareAggregator
        | DutyType::PrepareSyncContribution
        | DutyType::InfoSync => true,
    }
}

/// Whether all subcommittees that are named exist.
fn subcommittees_exist(duty: Duty, set: &ParSignedDataSet) -> Result<(), ParSigExError> {
    let named = set.0.values().filter_map(|p| p.data.subcommittee());
    match named.max().filter(|highest| *highest >= SUBCOMMITTEES) {
        Some(subcommittee) => Err(ParSigExError::Subcommittee { duty, subcommittee }),
        None => Ok(()),
    }
}

/// Why a peer's message is refused as a whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParSigExError {
    /// Not from an operator.
    #[error("the sender is not an operator of this cluster")]
    Stranger,
    /// It cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The duty is too far in the future.
    #[error("duty {0} is not let in: too far in the future")]
    Gated(Duty),
    /// A number that would only make room for more partials of one share.
    #[error("duty {duty} names sync subcommittee {subcommittee}, there are {SUBCOMMITTEES}")]
    Subcommittee {
        /// The duty.
        duty: Duty,
        /// What is named.
        subcommittee: u64,
    },
    /// A signature is wrong.
    #[error("partial signature of validator {} by share {share} for duty {duty}: {why}", .validator.short())]
    Refused {
        /// The duty.
        duty: Duty,
        /// The validator.
        validator: PubKey,
        /// The share.
        share: ShareIdx,
        /// What is wrong.
        why: Refusal,
    },
    /// The verification broke off.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// What followed went wrong.
    #[error(transparent)]
    Next(StepError),
}

impl ParSigExError {
    const fn kind(&self) -> ErrorKind {
        match self {
            Self::Next(error) => error.kind,
            Self::Stranger
            | Self::Data(_)
            | Self::Gated(_)
            | Self::Subcommittee { .. }
            | Self::Refused { .. }
            | Self::Broken(_) => ErrorKind::Permanent,
        }
    }
}

/// Metrics, named as Charon's.
#[derive(Debug, Clone)]
pub struct ParSigExMetrics {
    seconds: Family<DutyLabel, Histogram, fn() -> Histogram>,
}

impl ParSigExMetrics {
    /// Registers `core_parsigex_*`.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let seconds: Family<_, _, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(BUCKETS_D.iter().copied()));
        registry.register(
            "core_parsigex_set_verification_seconds",
            "Time to verify a received set",
            seconds.clone(),
        );
        Self { seconds }
    }

    /// Makes a series of each metric with labels, so that a list of them shows labels and buckets.
    pub fn touch(&self) {
        crate::metrics::touch(&self.seconds);
    }
}

/// What the exchange is made of.
pub struct ParSigExParts {
    /// The peers.
    pub net: Arc<dyn PeerNet>,
    /// Which duties are let in.
    pub gate: DutyGate,
    /// Whose validators are ours.
    pub cluster: Arc<Cluster>,
    /// Signing roots.
    pub chain: Arc<ChainSpec>,
    /// Verification.
    pub verifier: Verifier,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Makes the contexts of received duties.
    pub cx: CxSource,
    /// Metrics.
    pub metrics: ParSigExMetrics,
}

/// See the module's description.
pub struct ParSigEx {
    /// A peer's partials, verified.
    pub received: Event<ParSignedDataSet>,
    parts: ParSigExParts,
}

impl ParSigEx {
    /// The component without subscribers; [`ParSigEx::serve`] opens it.
    #[must_use]
    pub fn new(parts: ParSigExParts) -> Self {
        Self {
            received: Event::new(),
            parts,
        }
    }

    /// Begins to take messages of peers; ends when the guard is dropped.
    #[must_use]
    pub fn serve(self: &Arc<Self>) -> ServeGuard {
        let this = Arc::clone(self);
        self.parts.net.serve(
            PARSIGEX,
            Arc::new(move |inbound| -> BoxFuture<'static, _> {
                let this = Arc::clone(&this);
                Box::pin(async move {
                    this.receive(inbound).await?;
                    Ok(None)
                })
            }),
        )
    }

    /// Sends our partials to every other operator, to all at once. For a peer that cannot be reached others make up, and a
    /// message sent twice would be of no use; that it cannot be reached is told once, by the network.
    pub async fn broadcast(self: Arc<Self>, cx: DutyCx, set: Arc<ParSignedDataSet>) -> Result<(), StepError> {
        let message = Bytes::from(encode_parsigex(cx.duty, &set));
        let net = &self.parts.net;
        let others = net.peers().iter().filter(|peer| peer.idx != net.me());
        let sends = others.map(|peer| {
            let message = message.clone();
            async move {
                if let Err(error) = net.send(peer.idx, PARSIGEX, message).await {
                    tracing::debug!(duty = %cx.duty, peer = peer.name, %error, "partial signatures did not reach a peer");
                }
            }
        });
        join_all(sends).await;
        Ok(())
    }

    /// Checks one message and announces its content.
    pub async fn receive(&self, inbound: Inbound) -> Result<(), ParSigExError> {
        let from = inbound.from.ok_or(ParSigExError::Stranger)?;
        let (duty, set) = decode_parsigex(inbound.msg)?;
        if !self.parts.gate.allows(duty) || !can_exist(duty, self.parts.gate.now()) {
            return Err(ParSigExError::Gated(duty));
        }
        subcommittees_exist(duty, &set)?;
        let cx = self.parts.cx.cx(duty);
        let span = tracing::debug_span!(target: TRACE, parent: &cx.span, "core/parsigex.Handle");
        let handled = async {
            self.verify(from, duty, &set).await?;
            let set = Arc::new(set);
            self.received.emit(&cx, set).await.map_err(ParSigExError::Next)
        };
        spans::within(span, ParSigExError::kind, handled).await
    }

    async fn verify(&self, from: PeerIdx, duty: Duty, set: &ParSignedDataSet) -> Result<(), ParSigExError> {
        let began = self.parts.clock.now();
        let mut claims = Vec::with_capacity(set.0.len());
        for (validator, partial) in &set.0 {
            let (validator, share) = (*validator, partial.share);
            // Before any hashing: a stranger's validator costs us nothing.
            if self
                .parts
                .cluster
                .validator(&validator)
                .and_then(|v| v.share(share))
                .is_none()
            {
                let why = Refusal::UnknownSigner {
                    validator,
                    share: Some(share),
                };
                return Err(ParSigExError::Refused {
                    duty,
                    validator,
                    share,
                    why,
                });
            }
            let root = partial.data.signing_root(&self.parts.chain)?;
            claims.push(Claim {
                signer: Signer::Share(validator, share),
                root,
                signature: partial.data.signature(),
            });
        }
        let verdicts = self.parts.verifier.verify(from, lane(duty.kind), claims).await?;
        let took = self.parts.clock.now().since(began).as_secs_f64();
        self.parts
            .metrics
            .seconds
            .get_or_create(&DutyLabel::from(duty.kind))
            .observe(took);
        for ((validator, partial), verdict) in set.0.iter().zip(verdicts) {
            let (validator, share) = (*validator, partial.share);
            verdict.map_err(|why| ParSigExError::Refused {
                duty,
                validator,
                share,
                why,
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use trireme_eth2::{BlsSignature, SyncCommitteeSelection, ValidatorIndex};

    use super::*;
    use crate::data::{ParSignedData, SignedData};

    #[test]
    fn what_depends_on_a_slot_cannot_be_signed_before_it() {
        let early: Vec<_> = DutyType::ALL
            .into_iter()
            .filter(|kind| can_exist(Duty::new(Slot(12), *kind), Slot(10)))
            .map(DutyType::name)
            .collect();
        assert_eq!(
            early,
            [
                "signature",
                "exit",
                "builder_proposer",
                "builder_registration",
                "randao",
                "prepare_aggregator",
                "prepare_sync_contribution",
                "info_sync",
            ]
        );
        assert!(
            DutyType::ALL
                .into_iter()
                .all(|kind| can_exist(Duty::new(Slot(11), kind), Slot(10)))
        );
    }

    #[test]
    fn a_share_has_no_more_places_than_there_are_subcommittees() {
        let duty = Duty::new(Slot(1), DutyType::PrepareSyncContribution);
        let check = |subcommittee_index| {
            let data = SignedData::SyncCommitteeSelection(SyncCommitteeSelection {
                validator_index: ValidatorIndex(1),
                slot: duty.slot,
                subcommittee_index,
                selection_proof: BlsSignature([1; 96]),
            });
            let share = ShareIdx(1);
            let set = ParSignedDataSet([(PubKey([1; 48]), ParSignedData { data, share })].into());
            subcommittees_exist(duty, &set).is_ok()
        };
        assert_eq!([0, 3, 4, u64::MAX].map(check), [true, true, false, false]);
    }
}
