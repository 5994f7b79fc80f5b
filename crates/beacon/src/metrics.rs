//! Metrics of requests and events, with Charon's names.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use trireme_core::metrics::{BUCKETS_A, EndpointLabel};

/// Bucket set E: head delays.
const BUCKETS_E: [f64; 6] = [2.0, 4.0, 6.0, 8.0, 10.0, 12.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AddressLabel {
    addr: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VersionLabel {
    version: String,
    beacon_id: String,
}

/// Handles of the beacon client's metrics; clones share their values.
#[derive(Debug, Clone)]
pub struct Metrics {
    requests: Family<EndpointLabel, Counter>,
    errors: Family<EndpointLabel, Counter>,
    latency: Family<EndpointLabel, Histogram, fn() -> Histogram>,
    head_slot: Family<AddressLabel, Gauge>,
    head_delay: Family<AddressLabel, Histogram, fn() -> Histogram>,
    version: Family<VersionLabel, Gauge>,
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
            "app_beacon_node_sse_head_slot",
            "Slot of the latest head event",
            new.head_slot.clone(),
        );
        let help = "Seconds from slot start to head event";
        registry.register("app_beacon_node_sse_head_delay", help, new.head_delay.clone());
        registry.register(
            "app_beacon_node_version",
            "Constant 1 with the beacon node's version",
            new.version.clone(),
        );
        registry.register("app_beacon_node_peers", "Peers of the beacon node", new.peers.clone());
        new
    }

    pub(crate) fn peers(&self, connected: u64) {
        self.peers.set(i64::try_from(connected).unwrap_or(i64::MAX));
    }

    pub(crate) fn request(&self, endpoint: &'static str, took: Duration, good: bool) {
        let label = EndpointLabel { endpoint };
        self.requests.get_or_create(&label).inc();
        self.latency.get_or_create(&label).observe(took.as_secs_f64());
        if !good {
            self.errors.get_or_create(&label).inc();
        }
    }

    pub(crate) fn head(&self, address: &str, slot: u64, delay: Option<Duration>) {
        let label = AddressLabel {
            addr: address.to_owned(),
        };
        self.head_slot
            .get_or_create(&label)
            .set(i64::try_from(slot).unwrap_or(i64::MAX));
        if let Some(delay) = delay {
            self.head_delay.get_or_create(&label).observe(delay.as_secs_f64());
        }
    }

    pub(crate) fn version(&self, address: &str, version: &str) {
        self.version.clear();
        let label = VersionLabel {
            version: version.to_owned(),
            beacon_id: address.to_owned(),
        };
        self.version.get_or_create(&label).set(1);
    }
}

impl Default for Metrics {
    /// Handles that no registry knows.
    fn default() -> Self {
        Self {
            requests: Family::default(),
            errors: Family::default(),
            latency: Family::new_with_constructor(|| Histogram::new(BUCKETS_A)),
            head_slot: Family::default(),
            head_delay: Family::new_with_constructor(|| Histogram::new(BUCKETS_E)),
            version: Family::default(),
            peers: Gauge::default(),
        }
    }
}
