//! Whether blocks pay the fee recipient that is configured for their validator.
//!
//! Guarantees: a full block that pays somebody else is told as an error and counted, whether our beacon node made it or
//! a peer proposed it; of a blinded block it is only told, as its payment is the builder's affair.
//! Not here: refusing such a block. Nothing that is signed becomes wrong or slashable by it, and fee recipients are each
//! node's own configuration: while a newer registration has reached some nodes of the cluster and not yet the others,
//! honest nodes would refuse each other's blocks, and where neither side is a quorum no block would be made at all. A
//! leader who takes the fees for himself is seen by every other node in its log and in its metrics.

use std::{fmt, sync::Arc};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use trireme_eth2::VersionedProposal;

use crate::{duty::Duty, ids::PubKey, registrations::Registrations};

/// Whose block it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockSource<'a> {
    /// Our beacon node made it.
    BeaconNode,
    /// A peer, by its name, proposed it to the cluster.
    Peer(&'a str),
}

impl BlockSource<'_> {
    const fn label(self) -> SourceLabel {
        let source = match self {
            Self::BeaconNode => "beacon_node",
            Self::Peer(_) => "peer",
        };
        SourceLabel { source }
    }
}

impl fmt::Display for BlockSource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BeaconNode => f.write_str("our beacon node"),
            Self::Peer(name) => write!(f, "peer {name}"),
        }
    }
}

/// `source`
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SourceLabel {
    source: &'static str,
}

/// Counts full blocks that pay somebody else.
#[derive(Debug, Clone, Default)]
pub struct FeeMismatches(Family<SourceLabel, Counter>);

impl FeeMismatches {
    /// Registers the counter, with both its series.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let all = Self::default();
        for source in [BlockSource::BeaconNode, BlockSource::Peer("")] {
            drop(all.0.get_or_create(&source.label()));
        }
        registry.register(
            "proposal_fee_recipient_mismatch",
            "Full blocks whose fee recipient is not the configured one, by who made them",
            all.0.clone(),
        );
        all
    }

    /// How many there were of this source.
    #[must_use]
    pub fn count(&self, source: BlockSource<'_>) -> u64 {
        self.0.get_or_create(&source.label()).get()
    }
}

/// See the module's description.
#[derive(Clone)]
pub struct FeeCheck {
    registrations: Arc<Registrations>,
    mismatches: FeeMismatches,
}

impl FeeCheck {
    /// Compares with `registrations`.
    #[must_use]
    pub const fn new(registrations: Arc<Registrations>, mismatches: FeeMismatches) -> Self {
        Self {
            registrations,
            mismatches,
        }
    }

    /// Says so if the block pays somebody else. Answers whether a full block pays the right one; `None` for blinded
    /// blocks, blocks without payload, validators that are not ours and those without a recipient.
    pub fn look_at(
        &self,
        duty: Duty,
        validator: &PubKey,
        block: &VersionedProposal,
        source: BlockSource<'_>,
    ) -> Option<bool> {
        // Locks of old schemas may name nobody; then there is nothing to compare with.
        let wanted = self.registrations.fee_recipient(validator).filter(|w| *w != [0; 20])?;
        let got = block.fee_recipient()?.0;
        let same = got == wanted;
        if block.is_blinded() {
            if !same {
                tracing::info!(%duty, validator = %validator.short(), wanted = hex::encode(wanted), got = hex::encode(got), %source,
                    "the builder's block has its own fee recipient; what the validator gets is paid within the block");
            }
            return None;
        }
        if !same {
            self.mismatches.0.get_or_create(&source.label()).inc();
            tracing::error!(%duty, validator = %validator.short(), wanted = hex::encode(wanted), got = hex::encode(got), %source,
                "a block pays another fee recipient than configured; compare the configuration of the node that made it");
        }
        Some(same)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tracing::{
        Event, Level, Metadata, Subscriber,
        span::{Attributes, Id, Record},
    };
    use trireme_eth2::{ExecutionAddress, ForkedBlindedBlock, ForkedBlock, Slot, electra, fulu};

    use super::*;
    use crate::{
        cluster::{Cluster, Validator},
        duty::DutyType,
        ids::PeerIdx,
    };

    const OURS: PubKey = PubKey([1; 48]);
    const UNPAID: PubKey = PubKey([2; 48]);

    fn check() -> FeeCheck {
        let validator = |key, recipient| Validator {
            key,
            shares: Vec::new(),
            fee_recipient: [recipient; 20],
        };
        let cluster = Cluster::new(
            [0; 32],
            4,
            3,
            PeerIdx(0),
            vec![validator(OURS, 5), validator(UNPAID, 0)],
        );
        let registrations = Registrations::new(Arc::new(cluster), Vec::new());
        FeeCheck::new(Arc::new(registrations), FeeMismatches::default())
    }

    fn full(recipient: u8) -> VersionedProposal {
        let mut contents = fulu::BlockContents::default();
        contents.block.body.execution_payload.fee_recipient = ExecutionAddress([recipient; 20]);
        VersionedProposal::Full(ForkedBlock::Fulu(contents))
    }

    fn blinded(recipient: u8) -> VersionedProposal {
        let mut block = electra::BlindedBeaconBlock::default();
        block.body.execution_payload.fee_recipient = ExecutionAddress([recipient; 20]);
        VersionedProposal::Blinded(ForkedBlindedBlock::Fulu(block))
    }

    /// Remembers how urgent the lines were.
    struct Levels(Arc<Mutex<Vec<Level>>>);

    impl Subscriber for Levels {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, event: &Event<'_>) {
            self.0.lock().unwrap().push(*event.metadata().level());
        }
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    #[test]
    fn vc_23_another_recipient_is_an_error_in_full_blocks_and_an_information_in_blinded_ones() {
        let duty = Duty::new(Slot(1), DutyType::Proposer);
        let (own, peer) = (BlockSource::BeaconNode, BlockSource::Peer("zoe"));
        for (validator, block, answer, line, counted) in [
            (OURS, full(5), Some(true), None, 0),
            (OURS, full(6), Some(false), Some(Level::ERROR), 1),
            (OURS, blinded(5), None, None, 0),
            (OURS, blinded(6), None, Some(Level::INFO), 0),
            // Neither does anybody say who is to be paid, nor is it ours.
            (UNPAID, full(6), None, None, 0),
            (PubKey([3; 48]), full(6), None, None, 0),
        ] {
            for source in [own, peer] {
                let (check, lines) = (check(), Arc::default());
                let looked = tracing::subscriber::with_default(Levels(Arc::clone(&lines)), || {
                    check.look_at(duty, &validator, &block, source)
                });
                assert_eq!(looked, answer);
                assert_eq!(*lines.lock().unwrap(), Vec::from_iter(line));
                let other = if source == own { peer } else { own };
                assert_eq!(
                    (check.mismatches.count(source), check.mismatches.count(other)),
                    (counted, 0)
                );
            }
        }
    }
}
