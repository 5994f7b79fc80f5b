//! Metrics of a relay, with Charon's names (p2p.md 11).

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use crate::traffic::Traffic;

/// `peer`, `peer_cluster`
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ClientLabel {
    peer: String,
    peer_cluster: String,
}

/// `type`
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct TypeLabel {
    r#type: &'static str,
}

/// `status`
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct StatusLabel {
    status: &'static str,
}

/// `reason`
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ReasonLabel {
    reason: &'static str,
}

fn default_buckets() -> Histogram {
    Histogram::new([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0])
}

/// Handles of a relay's metrics. Clones are the same metrics.
#[derive(Debug, Clone)]
pub struct RelayMetrics {
    connections: Family<ClientLabel, Counter>,
    active: Family<ClientLabel, Gauge>,
    ping: Family<ClientLabel, Histogram, fn() -> Histogram>,
    received: Family<ClientLabel, Counter>,
    sent: Family<ClientLabel, Counter>,
    pub(crate) status: Gauge,
    reservations: Family<TypeLabel, Counter>,
    circuits: Family<TypeLabel, Counter>,
    reservation_answers: Family<StatusLabel, Counter>,
    reservation_refusals: Family<ReasonLabel, Counter>,
    circuit_answers: Family<StatusLabel, Counter>,
    circuit_refusals: Family<ReasonLabel, Counter>,
    circuit_duration: Histogram,
}

impl RelayMetrics {
    /// Handles that are not registered anywhere.
    #[must_use]
    pub fn new() -> Self {
        Self {
            connections: Family::default(),
            active: Family::default(),
            ping: Family::new_with_constructor(default_buckets),
            received: Family::default(),
            sent: Family::default(),
            status: Gauge::default(),
            reservations: Family::default(),
            circuits: Family::default(),
            reservation_answers: Family::default(),
            reservation_refusals: Family::default(),
            circuit_answers: Family::default(),
            circuit_refusals: Family::default(),
            circuit_duration: default_buckets(),
        }
    }

    /// Handles registered in `registry`; every series carries the relay's own name as `relay_peer`.
    pub fn register(registry: &mut Registry, relay: &trireme_keys::PeerId) -> Self {
        let m = Self::new();
        let r = registry.sub_registry_with_label(("relay_peer".into(), trireme_keys::peer_name(relay).into()));
        r.register(
            "relay_p2p_connection",
            "Connections by peer and cluster",
            m.connections.clone(),
        );
        r.register(
            "relay_p2p_active_connections",
            "Open connections by peer and cluster",
            m.active.clone(),
        );
        r.register(
            "relay_p2p_ping_latency",
            "Half round trips in seconds by peer and cluster",
            m.ping.clone(),
        );
        r.register(
            "relay_p2p_network_receive_bytes",
            "Bytes received by peer and cluster",
            m.received.clone(),
        );
        r.register(
            "relay_p2p_network_sent_bytes",
            "Bytes sent by peer and cluster",
            m.sent.clone(),
        );
        r.register("libp2p_relaysvc_status", "Relay service status", m.status.clone());
        r.register(
            "libp2p_relaysvc_reservations",
            "Reservations by type",
            m.reservations.clone(),
        );
        r.register("libp2p_relaysvc_connections", "Circuits by type", m.circuits.clone());
        r.register(
            "libp2p_relaysvc_reservation_request_response_status",
            "Answers to requests for reservations by status",
            m.reservation_answers.clone(),
        );
        r.register(
            "libp2p_relaysvc_reservation_rejections",
            "Refused reservations by reason",
            m.reservation_refusals.clone(),
        );
        r.register(
            "libp2p_relaysvc_connection_request_response_status",
            "Answers to requests for circuits by status",
            m.circuit_answers.clone(),
        );
        r.register(
            "libp2p_relaysvc_connection_rejections",
            "Refused circuits by reason",
            m.circuit_refusals.clone(),
        );
        r.register(
            "libp2p_relaysvc_connection_duration_seconds",
            "Life of a circuit in seconds",
            m.circuit_duration.clone(),
        );
        m
    }

    /// Makes a series of each metric with labels, so that a list of them shows labels and buckets.
    pub fn touch(&self) {
        trireme_core::metrics::touch(&self.connections);
        trireme_core::metrics::touch(&self.active);
        trireme_core::metrics::touch(&self.ping);
        trireme_core::metrics::touch(&self.received);
        trireme_core::metrics::touch(&self.sent);
        trireme_core::metrics::touch(&self.reservations);
        trireme_core::metrics::touch(&self.circuits);
        trireme_core::metrics::touch(&self.reservation_answers);
        trireme_core::metrics::touch(&self.reservation_refusals);
        trireme_core::metrics::touch(&self.circuit_answers);
        trireme_core::metrics::touch(&self.circuit_refusals);
    }

    fn label(peer: &str, cluster: &str) -> ClientLabel {
        ClientLabel {
            peer: peer.to_owned(),
            peer_cluster: cluster.to_owned(),
        }
    }

    pub(crate) fn connected(&self, peer: &str, cluster: &str) {
        self.connections.get_or_create(&Self::label(peer, cluster)).inc();
    }

    pub(crate) fn active(&self, peer: &str, cluster: &str, connections: usize) {
        self.active
            .get_or_create(&Self::label(peer, cluster))
            .set(i64::try_from(connections).unwrap_or(i64::MAX));
    }

    pub(crate) fn pinged(&self, peer: &str, cluster: &str, seconds: f64) {
        self.ping.get_or_create(&Self::label(peer, cluster)).observe(seconds);
    }

    pub(crate) fn traffic(&self, peer: &str, cluster: &str, traffic: Traffic) {
        let label = Self::label(peer, cluster);
        self.received.get_or_create(&label).inc_by(traffic.received);
        self.sent.get_or_create(&label).inc_by(traffic.sent);
    }

    /// Deletes the series of a peer without connections.
    pub(crate) fn gone(&self, peer: &str, cluster: &str) {
        let label = Self::label(peer, cluster);
        self.connections.remove(&label);
        self.active.remove(&label);
        self.ping.remove(&label);
        self.received.remove(&label);
        self.sent.remove(&label);
    }

    /// Moves the series of a peer whose cluster has become known.
    pub(crate) fn moved(&self, peer: &str, from: &str, to: &str) {
        let count = self.connections.get_or_create(&Self::label(peer, from)).get();
        let active = self.active.get_or_create(&Self::label(peer, from)).get();
        let traffic = Traffic {
            received: self.received.get_or_create(&Self::label(peer, from)).get(),
            sent: self.sent.get_or_create(&Self::label(peer, from)).get(),
        };
        self.gone(peer, from);
        self.connections.get_or_create(&Self::label(peer, to)).inc_by(count);
        self.active.get_or_create(&Self::label(peer, to)).set(active);
        self.traffic(peer, to, traffic);
    }

    pub(crate) fn reservation(&self, r#type: &'static str) {
        self.reservations.get_or_create(&TypeLabel { r#type }).inc();
    }

    pub(crate) fn reservation_answered(&self, status: &'static str) {
        self.reservation_answers.get_or_create(&StatusLabel { status }).inc();
    }

    pub(crate) fn reservation_refused(&self, reason: &'static str) {
        self.reservation_refusals.get_or_create(&ReasonLabel { reason }).inc();
    }

    pub(crate) fn circuit_answered(&self, status: &'static str) {
        self.circuit_answers.get_or_create(&StatusLabel { status }).inc();
    }

    pub(crate) fn circuit_refused(&self, reason: &'static str) {
        self.circuit_refusals.get_or_create(&ReasonLabel { reason }).inc();
    }

    pub(crate) fn circuit_lasted(&self, time: Duration) {
        self.circuit_duration.observe(time.as_secs_f64());
    }

    pub(crate) fn circuit(&self, r#type: &'static str) {
        self.circuits.get_or_create(&TypeLabel { r#type }).inc();
    }
}

impl Default for RelayMetrics {
    fn default() -> Self {
        Self::new()
    }
}
