//! Whether a node is ready: Charon's rule, its texts and its numbers.
//!
//! Guarantees: pure; the first condition that applies, in Charon's order, is the state.
//! Not here: asking the beacon node, counting peers (that is the node), the health checks that operators are shown
//! (`checks`).

pub mod checks;
mod watch;

pub use checks::{CHECKS, HealthCheck, Setup, Severity};
pub use watch::{HealthMetrics, HealthWatch};

/// Slots behind the head from which a beacon node is of no use: ten epochs of 32 slots.
const FAR_BEHIND_SLOTS: u64 = 320;
/// Checks in a row below quorum after which peers count as not connected.
const CHECKS_BELOW_QUORUM: u32 = 6;

/// The answer of `/readyz` and the gauge `app_monitoring_readyz`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Readiness {
    /// Nothing has been checked yet.
    #[default]
    Uninitialised,
    /// Everything is there.
    Ready,
    /// The beacon node does not answer.
    BeaconNodeDown,
    /// The beacon node is syncing.
    BeaconNodeSyncing,
    /// Fewer than threshold minus one peers, for a while.
    PeersNotConnected,
    /// No request at the validator API in the epoch before.
    ValidatorClientNotConnected,
    /// The beacon node has no peers.
    BeaconNodeZeroPeers,
    /// The beacon node is ten epochs behind.
    BeaconNodeFarBehind,
}

impl Readiness {
    /// The number in the gauge. 6 is of the past.
    #[must_use]
    pub const fn gauge(self) -> i64 {
        match self {
            Self::Uninitialised => 0,
            Self::Ready => 1,
            Self::BeaconNodeDown => 2,
            Self::BeaconNodeSyncing => 3,
            Self::PeersNotConnected => 4,
            Self::ValidatorClientNotConnected => 5,
            Self::BeaconNodeZeroPeers => 7,
            Self::BeaconNodeFarBehind => 8,
        }
    }

    /// The body of the answer.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Uninitialised => "ready check uninitialised",
            Self::Ready => "ok",
            Self::BeaconNodeDown => "beacon node down",
            Self::BeaconNodeSyncing => "beacon node not synced",
            Self::PeersNotConnected => "quorum peers not connected",
            Self::ValidatorClientNotConnected => "vc not connected",
            Self::BeaconNodeZeroPeers => "beacon node has zero peers",
            Self::BeaconNodeFarBehind => "beacon node far behind",
        }
    }

    /// The state from what was seen.
    #[must_use]
    pub const fn judge(seen: &Observation) -> Self {
        let Some(sync) = seen.beacon_node else {
            return Self::BeaconNodeDown;
        };
        if sync.is_syncing {
            Self::BeaconNodeSyncing
        } else if matches!(seen.beacon_node_peers, Some(0)) {
            Self::BeaconNodeZeroPeers
        } else if sync.distance > FAR_BEHIND_SLOTS {
            Self::BeaconNodeFarBehind
        } else if !seen.peers_connected {
            Self::PeersNotConnected
        } else if !seen.validator_client {
            Self::ValidatorClientNotConnected
        } else {
            Self::Ready
        }
    }
}

/// How far the beacon node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sync {
    /// It says so itself.
    pub is_syncing: bool,
    /// In slots.
    pub distance: u64,
}

/// What one check found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observation {
    /// The beacon node's answer, if it gave one.
    pub beacon_node: Option<Sync>,
    /// How many peers it has, if known.
    pub beacon_node_peers: Option<u64>,
    /// The answer of [`PeerQuorum::check`].
    pub peers_connected: bool,
    /// Whether the validator API was asked anything in the epoch before.
    pub validator_client: bool,
}

/// Whether enough peers are connected, forgiving short gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerQuorum {
    needed: usize,
    below: u32,
}

impl PeerQuorum {
    /// For a cluster with this threshold; it begins as not connected.
    #[must_use]
    pub const fn new(threshold: usize) -> Self {
        Self {
            needed: threshold.saturating_sub(1),
            below: CHECKS_BELOW_QUORUM,
        }
    }

    /// Counts one check with this number of other peers connected and tells whether they are enough.
    pub const fn check(&mut self, connected: usize) -> bool {
        self.below = if connected >= self.needed {
            0
        } else {
            self.below.saturating_add(1)
        };
        self.below < CHECKS_BELOW_QUORUM
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Observation = Observation {
        beacon_node: Some(Sync {
            is_syncing: false,
            distance: 0,
        }),
        beacon_node_peers: None,
        peers_connected: true,
        validator_client: true,
    };

    #[test]
    fn first_condition_in_order_is_the_state() {
        let mut all_bad = Observation {
            beacon_node: None,
            beacon_node_peers: Some(0),
            peers_connected: false,
            validator_client: false,
        };
        assert_eq!(Readiness::judge(&all_bad), Readiness::BeaconNodeDown);
        all_bad.beacon_node = Some(Sync {
            is_syncing: true,
            distance: 1_000,
        });
        assert_eq!(Readiness::judge(&all_bad), Readiness::BeaconNodeSyncing);
        all_bad.beacon_node = Some(Sync {
            is_syncing: false,
            distance: 1_000,
        });
        assert_eq!(Readiness::judge(&all_bad), Readiness::BeaconNodeZeroPeers);
        all_bad.beacon_node_peers = Some(1);
        assert_eq!(Readiness::judge(&all_bad), Readiness::BeaconNodeFarBehind);
        all_bad.beacon_node = Some(Sync {
            is_syncing: false,
            distance: 320,
        });
        assert_eq!(Readiness::judge(&all_bad), Readiness::PeersNotConnected);
        all_bad.peers_connected = true;
        assert_eq!(Readiness::judge(&all_bad), Readiness::ValidatorClientNotConnected);
        assert_eq!(Readiness::judge(&GOOD), Readiness::Ready);
    }

    #[test]
    fn peers_are_missing_from_the_sixth_check_below_quorum_on() {
        let mut quorum = PeerQuorum::new(3);
        assert!(!quorum.check(1), "it begins as not connected");
        assert!(quorum.check(2));
        for _ in 0..5 {
            assert!(quorum.check(1));
        }
        assert!(!quorum.check(1));
        assert!(quorum.check(3));
    }

    #[test]
    fn numbers_are_those_of_the_alert_rules() {
        let numbers = [
            Readiness::Uninitialised,
            Readiness::Ready,
            Readiness::BeaconNodeDown,
            Readiness::BeaconNodeSyncing,
            Readiness::PeersNotConnected,
            Readiness::ValidatorClientNotConnected,
            Readiness::BeaconNodeZeroPeers,
            Readiness::BeaconNodeFarBehind,
        ]
        .map(Readiness::gauge);
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 7, 8]);
    }
}
