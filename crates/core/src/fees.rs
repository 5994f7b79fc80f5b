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
