//! Labels and bucket sets that the components' metrics share (observability.md 1).
//!
//! Guarantees: names and labels are those of Charon where the meaning is the same. Counters are registered without
//! `_total`, which the text format adds.
//! Not here: the metrics themselves (each component has a struct of its own), the constant labels of the node.

use std::hash::Hash;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::{Family, MetricConstructor},
    },
    registry::Registry,
};

use crate::duty::DutyType;

/// Bucket set A: consensus and beacon node requests.
pub const BUCKETS_A: [f64; 17] = [
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.25, 2.5, 2.75, 3.0, 5.0,
];
/// Bucket set B: arrival of partial signatures.
pub const BUCKETS_B: [f64; 17] = [
    0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.25, 2.5, 2.75, 3.0, 5.0,
];
/// Bucket set C: broadcast delay.
pub const BUCKETS_C: [f64; 11] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0];
/// Bucket set D: computations on sets.
pub const BUCKETS_D: [f64; 11] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// Makes the series with empty labels, so that a list of metrics shows labels and buckets.
pub fn touch<L, M, C>(family: &Family<L, M, C>)
where
    L: Default + Clone + Hash + Eq,
    C: MetricConstructor<M>,
{
    drop(family.get_or_create(&L::default()));
}

/// `duty`
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct DutyLabel {
    /// Name of the duty type.
    pub duty: &'static str,
}

impl From<DutyType> for DutyLabel {
    fn from(kind: DutyType) -> Self {
        Self { duty: kind.name() }
    }
}

/// `step`
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StepLabel {
    /// Name of the step.
    pub step: &'static str,
}

/// `duty`, `peer`
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct DutyPeerLabel {
    /// Name of the duty type.
    pub duty: &'static str,
    /// Name of the peer.
    pub peer: String,
}

/// `peer`
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PeerLabel {
    /// Name of the peer.
    pub peer: String,
}

/// `duty`, `peer_idx`
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct DutyPeerIdxLabel {
    /// Name of the duty type.
    pub duty: &'static str,
    /// Operator index from 0.
    pub peer_idx: String,
}

/// `duty`, `reason`
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct DutyReasonLabel {
    /// Name of the duty type.
    pub duty: &'static str,
    /// Reason code.
    pub reason: &'static str,
}

/// `pubkey_full`, `pubkey`
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ValidatorLabel {
    /// The key in hex with `0x`.
    pub pubkey_full: String,
    /// The short form.
    pub pubkey: String,
}

/// `pubkey_full`, `pubkey`, `status`
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ValidatorStatusLabel {
    /// The key in hex with `0x`.
    pub pubkey_full: String,
    /// The short form.
    pub pubkey: String,
    /// Status text of the beacon API.
    pub status: String,
}

/// `pubkey`
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ShortKeyLabel {
    /// The short form.
    pub pubkey: String,
}

/// `endpoint`
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct EndpointLabel {
    /// Name of the cached or asked endpoint.
    pub endpoint: &'static str,
}

/// Hits and misses of the caches of beacon node answers, here and in the beacon client.
#[derive(Debug, Clone, Default)]
pub struct CacheMetrics {
    hits: Family<EndpointLabel, Counter>,
    misses: Family<EndpointLabel, Counter>,
    outdated: Family<EndpointLabel, Counter>,
}

impl CacheMetrics {
    /// Registers `app_cache_hits_total` and `app_cache_misses_total`.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let m = Self::default();
        registry.register("app_cache_hits", "Questions answered from a cache", m.hits.clone());
        registry.register("app_cache_misses", "Questions that a cache passed on", m.misses.clone());
        registry.register(
            "app_cache_invalidated_reorg",
            "Times that a cache was dropped because the chain changed",
            m.outdated.clone(),
        );
        m
    }

    /// Makes a series of each, so that a list of metrics shows labels.
    pub fn touch(&self) {
        touch(&self.hits);
        touch(&self.misses);
        touch(&self.outdated);
    }

    /// The chain made what the cache of `endpoint` held wrong.
    pub fn outdated(&self, endpoint: &'static str) {
        self.outdated.get_or_create(&EndpointLabel { endpoint }).inc();
    }

    /// A question was answered from the cache of `endpoint`.
    pub fn hit(&self, endpoint: &'static str) {
        self.hits.get_or_create(&EndpointLabel { endpoint }).inc();
    }

    /// The cache of `endpoint` had to ask.
    pub fn miss(&self, endpoint: &'static str) {
        self.misses.get_or_create(&EndpointLabel { endpoint }).inc();
    }
}
