//! Metrics of requests, beacon nodes and events, with Charon's names and the names of vc-behaviours.md 8.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use trireme_core::metrics::{BUCKETS_A, BUCKETS_D, EndpointLabel, touch};

use crate::{calls::Call, status::Counts};

/// Bucket sets of observability.md 1: head delays, depths of reorganisations, delays of blocks, processing of blocks.
const BUCKETS_E: [f64; 6] = [2.0, 4.0, 6.0, 8.0, 10.0, 12.0];
const BUCKETS_F: [f64; 6] = [1.0, 2.0, 4.0, 6.0, 8.0, 16.0];
const BUCKETS_G: [f64; 14] = [0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 8.0, 10.0, 12.0];
const BUCKETS_H: [f64; 14] = [0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 2.0, 4.0];

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AddressLabel {
    addr: String,
}

/// `endpoint` is a beacon node's address here, as in the validator clients whose names these are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NodeLabel {
    endpoint: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VersionLabel {
    version: String,
    beacon_id: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ExecutionLabel {
    version: String,
}

/// Characters of an execution client's version; the beacon node hands on what it was told.
const LONGEST_VERSION: usize = 128;

/// Handles of the beacon client's metrics; clones share their values.
#[derive(Debug, Clone)]
pub struct Metrics {
    requests: Family<EndpointLabel, Counter>,
    errors: Family<EndpointLabel, Counter>,
    latency: Histograms<EndpointLabel>,
    using_fallback: Gauge,
    node_requests: Family<NodeLabel, Counter>,
    node_errors: Family<NodeLabel, Counter>,
    node_latency: Histograms<NodeLabel>,
    available: Gauge,
    synced: Gauge,
    total: Gauge,
    head_slot: Family<AddressLabel, Gauge>,
    head_delay: Histograms<AddressLabel>,
    block: Histograms<AddressLabel>,
    gossip: Histograms<AddressLabel>,
    processing: Histograms<AddressLabel>,
    reorg_depth: Histograms<AddressLabel>,
    version: Family<VersionLabel, Gauge>,
    /// The version that each beacon node told last.
    versions: Arc<Mutex<BTreeMap<String, String>>>,
    execution: Family<ExecutionLabel, Gauge>,
    /// The execution client that each beacon node told last.
    executions: Arc<Mutex<BTreeMap<String, String>>>,
    peers: Gauge,
}

impl Metrics {
    /// Registers all of them.
    #[must_use]
    pub fn new(registry: &mut Registry) -> Self {
        let new = Self::default();
        registry.register("app_eth2_requests", "Beacon node requests", new.requests.clone());
        registry.register(
            "app_eth2_errors",
            "Beacon node requests without a good answer",
            new.errors.clone(),
        );
        registry.register(
            "app_eth2_latency_seconds",
            "Duration of beacon node requests",
            new.latency.clone(),
        );
        registry.register(
            "app_eth2_using_fallback",
            "1 if the last request was served by a fallback beacon node",
            new.using_fallback.clone(),
        );
        new.register_nodes(registry);
        new.register_events(registry);
        registry.register(
            "app_beacon_node_version",
            "Constant 1 with the beacon node's version",
            new.version.clone(),
        );
        registry.register(
            "app_execution_layer_version",
            "Constant 1 with name and version of the execution client behind a beacon node",
            new.execution.clone(),
        );
        registry.register("app_beacon_node_peers", "Peers of the beacon node", new.peers.clone());
        new
    }

    fn register_nodes(&self, registry: &mut Registry) {
        registry.register(
            "bn_endpoint_requests",
            "Requests to each beacon node",
            self.node_requests.clone(),
        );
        registry.register(
            "bn_endpoint_errors",
            "Requests to each beacon node without a good answer",
            self.node_errors.clone(),
        );
        registry.register(
            "vc_beacon_node_latency",
            "Seconds that each beacon node took to tell its version",
            self.node_latency.clone(),
        );
        registry.register(
            "vc_beacon_nodes_available_count",
            "Beacon nodes that answer and are on the cluster's chain",
            self.available.clone(),
        );
        registry.register(
            "vc_beacon_nodes_synced_count",
            "Beacon nodes that are available and synced",
            self.synced.clone(),
        );
        registry.register(
            "vc_beacon_nodes_total_count",
            "Beacon nodes that are configured",
            self.total.clone(),
        );
    }

    fn register_events(&self, registry: &mut Registry) {
        registry.register(
            "app_beacon_node_sse_head_slot",
            "Slot of the latest head event",
            self.head_slot.clone(),
        );
        for (name, help, histogram) in [
            (
                "app_beacon_node_sse_head_delay",
                "Seconds from slot start to head event",
                &self.head_delay,
            ),
            (
                "app_beacon_node_sse_block",
                "Seconds from slot start to block event",
                &self.block,
            ),
            (
                "app_beacon_node_sse_block_gossip",
                "Seconds from slot start to the event of a block seen in gossip",
                &self.gossip,
            ),
            (
                "app_beacon_node_sse_block_processing_time",
                "Seconds from a block seen in gossip to its becoming the head",
                &self.processing,
            ),
            (
                "app_beacon_node_sse_chain_reorg_depth",
                "Slots that reorganisations went back",
                &self.reorg_depth,
            ),
        ] {
            registry.register(name, help, histogram.clone());
        }
    }

    /// Makes a series of each, so that a list of them shows labels and buckets.
    pub fn touch(&self) {
        for family in [&self.requests, &self.errors] {
            touch(family);
        }
        touch(&self.latency);
        for family in [&self.node_requests, &self.node_errors] {
            touch(family);
        }
        touch(&self.node_latency);
        touch(&self.head_slot);
        for family in [
            &self.head_delay,
            &self.block,
            &self.gossip,
            &self.processing,
            &self.reorg_depth,
        ] {
            touch(family);
        }
        touch(&self.version);
        touch(&self.execution);
    }

    pub(crate) fn peers(&self, connected: u64) {
        self.peers.set(i64::try_from(connected).unwrap_or(i64::MAX));
    }

    /// A question or submission of the node, however many beacon nodes it went to.
    pub(crate) fn request(&self, call: Call, took: Duration, good: bool) {
        let label = EndpointLabel { endpoint: call.label() };
        self.requests.get_or_create(&label).inc();
        self.latency.get_or_create(&label).observe(took.as_secs_f64());
        if !good {
            self.errors.get_or_create(&label).inc();
        }
    }

    pub(crate) fn using_fallback(&self, yes: bool) {
        self.using_fallback.set(i64::from(yes));
    }

    /// A request to one beacon node begins.
    pub(crate) fn node_request(&self, address: &str) {
        self.node_requests.get_or_create(&node(address)).inc();
    }

    /// A request to one beacon node had no good answer.
    pub(crate) fn node_error(&self, address: &str) {
        self.node_errors.get_or_create(&node(address)).inc();
    }

    pub(crate) fn node_latency(&self, address: &str, took: Duration) {
        self.node_latency
            .get_or_create(&node(address))
            .observe(took.as_secs_f64());
    }

    pub(crate) fn counts(&self, counts: Counts) {
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        self.synced.set(number(counts.synced));
        self.available.set(number(counts.available));
        self.total.set(number(counts.total));
    }

    pub(crate) fn head(&self, address: &str, slot: u64, delay: Option<Duration>) {
        let label = at(address);
        self.head_slot
            .get_or_create(&label)
            .set(i64::try_from(slot).unwrap_or(i64::MAX));
        if let Some(delay) = delay {
            self.head_delay.get_or_create(&label).observe(delay.as_secs_f64());
        }
    }

    pub(crate) fn block(&self, address: &str, delay: Duration) {
        self.block.get_or_create(&at(address)).observe(delay.as_secs_f64());
    }

    pub(crate) fn gossip(&self, address: &str, delay: Duration) {
        self.gossip.get_or_create(&at(address)).observe(delay.as_secs_f64());
    }

    pub(crate) fn processing(&self, address: &str, took: Duration) {
        self.processing.get_or_create(&at(address)).observe(took.as_secs_f64());
    }

    pub(crate) fn reorg(&self, address: &str, depth: u64) {
        let depth = u32::try_from(depth).unwrap_or(u32::MAX);
        self.reorg_depth.get_or_create(&at(address)).observe(f64::from(depth));
    }

    pub(crate) fn version(&self, address: &str, version: &str) {
        let mut versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        let before = versions.insert(address.to_owned(), version.to_owned());
        if before.as_deref() == Some(version) {
            return;
        }
        let label = |version: &str| VersionLabel {
            version: version.to_owned(),
            beacon_id: address.to_owned(),
        };
        if let Some(before) = before {
            self.version.remove(&label(&before));
        }
        self.version.get_or_create(&label(version)).set(1);
    }

    /// `told` is a foreign text. Several beacon nodes may have the same execution client.
    pub(crate) fn execution(&self, address: &str, told: &str) {
        let told: String = told.chars().take(LONGEST_VERSION).collect();
        let label = |version: &str| ExecutionLabel {
            version: version.to_owned(),
        };
        let mut all = self.executions.lock().unwrap_or_else(PoisonError::into_inner);
        let before = all.insert(address.to_owned(), told.clone());
        if let Some(gone) = before.filter(|before| all.values().all(|other| other != before)) {
            self.execution.remove(&label(&gone));
        }
        self.execution.get_or_create(&label(&told)).set(1);
    }
}

fn at(address: &str) -> AddressLabel {
    AddressLabel {
        addr: address.to_owned(),
    }
}

fn node(address: &str) -> NodeLabel {
    NodeLabel {
        endpoint: address.to_owned(),
    }
}

impl Default for Metrics {
    /// Handles that no registry knows.
    fn default() -> Self {
        Self {
            requests: Family::default(),
            errors: Family::default(),
            latency: Family::new_with_constructor(|| Histogram::new(BUCKETS_A)),
            using_fallback: Gauge::default(),
            node_requests: Family::default(),
            node_errors: Family::default(),
            node_latency: Family::new_with_constructor(|| Histogram::new(BUCKETS_D)),
            available: Gauge::default(),
            synced: Gauge::default(),
            total: Gauge::default(),
            head_slot: Family::default(),
            head_delay: Family::new_with_constructor(|| Histogram::new(BUCKETS_E)),
            block: Family::new_with_constructor(|| Histogram::new(BUCKETS_G)),
            gossip: Family::new_with_constructor(|| Histogram::new(BUCKETS_G)),
            processing: Family::new_with_constructor(|| Histogram::new(BUCKETS_H)),
            reorg_depth: Family::new_with_constructor(|| Histogram::new(BUCKETS_F)),
            version: Family::default(),
            versions: Arc::default(),
            execution: Family::default(),
            executions: Arc::default(),
            peers: Gauge::default(),
        }
    }
}
