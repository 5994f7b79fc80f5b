//! Metrics of the network, with Charon's names and labels (p2p.md 12).
//!
//! Counters are registered without `_total`, which the text format adds. Constant labels are the registry's business.

use libp2p::{Multiaddr, multiaddr::Protocol};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use std::{sync::atomic::AtomicU64, time::Duration};

/// `peer`
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PeerLabel {
    /// The peer's name.
    pub peer: String,
}

/// `peer`, `type`, `protocol`
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ConnectionLabel {
    /// The peer's name.
    pub peer: String,
    /// `direct` or `relay`.
    pub r#type: &'static str,
    /// `tcp`, `quic`, `unknown` or `none`.
    pub protocol: &'static str,
}

/// `peer`, `direction`, `protocol`, `transport`
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StreamLabel {
    /// The peer's name.
    pub peer: String,
    /// `Inbound` or `Outbound`.
    pub direction: &'static str,
    /// Stream protocol.
    pub protocol: String,
    /// `tcp`, `quic` or `unknown`.
    pub transport: &'static str,
}

/// `peer`, `protocol`, `transport`
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct BytesLabel {
    /// The peer's name.
    pub peer: String,
    /// Stream protocol.
    pub protocol: String,
    /// `tcp`, `quic` or `unknown`.
    pub transport: &'static str,
}

/// `peer`, `protocol`, `topic`
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct SendLabel {
    /// The peer's name.
    pub peer: String,
    /// Stream protocol.
    pub protocol: &'static str,
    /// What it is about; empty where it is not known.
    pub topic: String,
}

/// `peer`, `version`
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct VersionLabel {
    /// The peer's name.
    pub peer: String,
    /// Version text.
    pub version: String,
}

/// `peer`, `git_hash`
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct GitLabel {
    /// The peer's name.
    pub peer: String,
    /// Commit.
    pub git_hash: String,
}

/// `peer`, `peer_nickname`
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct NicknameLabel {
    /// The peer's name.
    pub peer: String,
    /// The operator's name for it.
    pub peer_nickname: String,
}

/// `peer`, `dv_client`
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ClientLabel {
    /// The peer's name.
    pub peer: String,
    /// Implementation.
    pub dv_client: String,
}

/// The labels of go-libp2p.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct HandshakeLabel {
    /// `tcp` or `p2p-circuit`.
    pub transport: &'static str,
    /// `noise`.
    pub security: &'static str,
    /// `yamux`.
    pub muxer: &'static str,
    /// `false`: the muxer is negotiated after the security.
    pub early_muxer: &'static str,
    /// `ip4`, `ip6` or `unknown`.
    pub ip_version: &'static str,
}

fn handshake_buckets() -> Histogram {
    Histogram::new(prometheus_client::metrics::histogram::exponential_buckets(
        0.001, 2.0, 14,
    ))
}

fn default_buckets() -> Histogram {
    Histogram::new([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0])
}

fn send_buckets() -> Histogram {
    Histogram::new(prometheus_client::metrics::histogram::exponential_buckets(
        0.0001, 2.0, 18,
    ))
}

/// Gauge of a fraction.
type FloatGauge = Gauge<f64, AtomicU64>;

/// Handles of all metrics of a node's network. Clones are the same metrics.
#[derive(Debug, Clone)]
pub struct P2pMetrics {
    /// Round trips of successful pings.
    pub ping_latency: Family<PeerLabel, Histogram, fn() -> Histogram>,
    /// Failed pings and dials.
    pub ping_error: Family<PeerLabel, Counter>,
    /// 1 after a successful ping.
    pub ping_success: Family<PeerLabel, Gauge>,
    /// 0 unknown; we do not ask others whether we can be reached.
    pub reachability_status: Gauge,
    /// 1 while a reservation is held.
    pub relay_connections: Family<PeerLabel, Gauge>,
    /// Connections to operators.
    pub peer_connection_types: Family<ConnectionLabel, Gauge>,
    /// Connections to relays.
    pub relay_connection_types: Family<ConnectionLabel, Gauge>,
    /// Open streams.
    pub peer_streams: Family<StreamLabel, Gauge>,
    /// Time from a new connection to its use.
    pub handshake: Family<HandshakeLabel, Histogram, fn() -> Histogram>,
    /// New connections to operators.
    pub peer_connection: Family<PeerLabel, Counter>,
    /// Bytes of messages received.
    pub receive_bytes: Family<BytesLabel, Counter>,
    /// Bytes of messages sent.
    pub sent_bytes: Family<BytesLabel, Counter>,
    /// Time to send, or to send and be answered.
    pub send_duration: Family<SendLabel, Histogram, fn() -> Histogram>,
    /// Messages that had to make room for newer ones before their handler ran.
    pub dropped: Family<PeerLabel, Counter>,
    /// Difference to a peer's clock in seconds.
    pub clock_offset: Family<PeerLabel, FloatGauge>,
    /// Version of a peer.
    pub version: Family<VersionLabel, Gauge>,
    /// Commit of a peer.
    pub git_commit: Family<GitLabel, Gauge>,
    /// Nickname of a peer.
    pub nickname: Family<NicknameLabel, Gauge>,
    /// Implementation of a peer.
    pub dv_client: Family<ClientLabel, Gauge>,
    /// When a peer's process was started.
    pub start_time: Family<PeerLabel, Gauge>,
    /// Position in the lock.
    pub index: Family<PeerLabel, Gauge>,
    /// 1 if the peer's version is compatible.
    pub version_support: Family<PeerLabel, Gauge>,
    /// 1 if the peer asks builders for blocks.
    pub builder_api_enabled: Family<PeerLabel, Gauge>,
}

impl P2pMetrics {
    /// Handles that are not registered anywhere.
    #[must_use]
    pub fn new() -> Self {
        Self {
            ping_latency: Family::new_with_constructor(default_buckets),
            ping_error: Family::default(),
            ping_success: Family::default(),
            reachability_status: Gauge::default(),
            relay_connections: Family::default(),
            peer_connection_types: Family::default(),
            relay_connection_types: Family::default(),
            peer_streams: Family::default(),
            handshake: Family::new_with_constructor(handshake_buckets),
            peer_connection: Family::default(),
            receive_bytes: Family::default(),
            sent_bytes: Family::default(),
            send_duration: Family::new_with_constructor(send_buckets),
            dropped: Family::default(),
            clock_offset: Family::default(),
            version: Family::default(),
            git_commit: Family::default(),
            nickname: Family::default(),
            dv_client: Family::default(),
            start_time: Family::default(),
            index: Family::default(),
            version_support: Family::default(),
            builder_api_enabled: Family::default(),
        }
    }

    /// Handles registered in `r`.
    pub fn register(r: &mut Registry) -> Self {
        let m = Self::new();
        r.register(
            "p2p_ping_latency_secs",
            "Ping latencies in seconds per peer",
            m.ping_latency.clone(),
        );
        r.register("p2p_ping_error", "Ping errors per peer", m.ping_error.clone());
        r.register(
            "p2p_ping_success",
            "Whether the last ping was successful (1) or not (0)",
            m.ping_success.clone(),
        );
        r.register(
            "p2p_reachability_status",
            "Reachability: 0 unknown, 1 public, 2 private",
            m.reachability_status.clone(),
        );
        r.register(
            "p2p_relay_connections",
            "Connected relays by name",
            m.relay_connections.clone(),
        );
        r.register(
            "p2p_peer_connection_types",
            "Connections by peer, type and protocol",
            m.peer_connection_types.clone(),
        );
        r.register(
            "p2p_relay_connection_types",
            "Connections to relays by type",
            m.relay_connection_types.clone(),
        );
        r.register(
            "p2p_peer_streams",
            "Open streams by peer, direction and protocol",
            m.peer_streams.clone(),
        );
        r.register(
            "libp2p_swarm_handshake_latency_seconds",
            "Time to secure a new connection and to agree on its use",
            m.handshake.clone(),
        );
        r.register(
            "p2p_peer_connection",
            "Connections established per peer",
            m.peer_connection.clone(),
        );
        r.register(
            "p2p_peer_network_receive_bytes",
            "Bytes received by peer and protocol",
            m.receive_bytes.clone(),
        );
        r.register(
            "p2p_peer_network_sent_bytes",
            "Bytes sent by peer and protocol",
            m.sent_bytes.clone(),
        );
        r.register(
            "p2p_send_duration_seconds",
            "Time to send a message or to be answered",
            m.send_duration.clone(),
        );
        r.register(
            "p2p_inbound_dropped",
            "Received messages that made room for newer ones",
            m.dropped.clone(),
        );
        r.register(
            "app_peerinfo_clock_offset_seconds",
            "Peer clock offset in seconds",
            m.clock_offset.clone(),
        );
        r.register(
            "app_peerinfo_version",
            "Constant gauge with the peer's version",
            m.version.clone(),
        );
        r.register(
            "app_peerinfo_git_commit",
            "Constant gauge with the peer's commit",
            m.git_commit.clone(),
        );
        r.register(
            "app_peerinfo_nickname",
            "Constant gauge with the peer's nickname",
            m.nickname.clone(),
        );
        r.register(
            "app_peerinfo_dv_client",
            "Constant gauge with the peer's implementation",
            m.dv_client.clone(),
        );
        r.register(
            "app_peerinfo_start_time_secs",
            "When the peer's process was started, Unix time",
            m.start_time.clone(),
        );
        r.register(
            "app_peerinfo_index",
            "The peer's position in the cluster, from 0",
            m.index.clone(),
        );
        r.register(
            "app_peerinfo_version_support",
            "1 if the peer's version is compatible",
            m.version_support.clone(),
        );
        r.register(
            "app_peerinfo_builder_api_enabled",
            "1 if the peer's builder API is enabled",
            m.builder_api_enabled.clone(),
        );
        m
    }

    pub(crate) fn shook_hands(&self, remote: &Multiaddr, relayed: bool, took: Duration) {
        let ip_version = remote.iter().find_map(|part| match part {
            Protocol::Ip4(_) => Some("ip4"),
            Protocol::Ip6(_) => Some("ip6"),
            _ => None,
        });
        let label = HandshakeLabel {
            transport: if relayed { "p2p-circuit" } else { "tcp" },
            security: "noise",
            muxer: "yamux",
            early_muxer: "false",
            ip_version: ip_version.unwrap_or("unknown"),
        };
        self.handshake.get_or_create(&label).observe(took.as_secs_f64());
    }

    /// Makes a series of each metric with labels, so that a list of them shows labels and buckets.
    pub fn touch(&self) {
        trireme_core::metrics::touch(&self.ping_latency);
        trireme_core::metrics::touch(&self.ping_error);
        trireme_core::metrics::touch(&self.ping_success);
        trireme_core::metrics::touch(&self.relay_connections);
        trireme_core::metrics::touch(&self.peer_connection_types);
        trireme_core::metrics::touch(&self.relay_connection_types);
        trireme_core::metrics::touch(&self.peer_streams);
        trireme_core::metrics::touch(&self.handshake);
        trireme_core::metrics::touch(&self.peer_connection);
        trireme_core::metrics::touch(&self.receive_bytes);
        trireme_core::metrics::touch(&self.sent_bytes);
        trireme_core::metrics::touch(&self.send_duration);
        trireme_core::metrics::touch(&self.dropped);
        trireme_core::metrics::touch(&self.clock_offset);
        trireme_core::metrics::touch(&self.version);
        trireme_core::metrics::touch(&self.git_commit);
        trireme_core::metrics::touch(&self.nickname);
        trireme_core::metrics::touch(&self.dv_client);
        trireme_core::metrics::touch(&self.start_time);
        trireme_core::metrics::touch(&self.index);
        trireme_core::metrics::touch(&self.version_support);
        trireme_core::metrics::touch(&self.builder_api_enabled);
    }
}

impl Default for P2pMetrics {
    fn default() -> Self {
        Self::new()
    }
}

/// The label of one peer.
pub(crate) fn peer(name: &str) -> PeerLabel {
    PeerLabel { peer: name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_get_their_suffix_once() {
        let mut r = Registry::default();
        let m = P2pMetrics::register(&mut r);
        m.ping_error.get_or_create(&peer("a")).inc();
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &r).unwrap();
        assert!(text.contains("p2p_ping_error_total{peer=\"a\"} 1"), "{text}");
        assert!(!text.contains("_total_total"));
    }

    #[test]
    fn the_type_label_is_spelled_type() {
        let mut r = Registry::default();
        let m = P2pMetrics::register(&mut r);
        let label = ConnectionLabel {
            peer: "a".into(),
            r#type: "direct",
            protocol: "tcp",
        };
        m.peer_connection_types.get_or_create(&label).set(1);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &r).unwrap();
        assert!(text.contains("type=\"direct\""), "{text}");
    }
}
