//! The readiness check of a running node, once per slot duration.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use prometheus_client::{metrics::gauge::Gauge, registry::Registry};
use trireme_beacon::Pool;
use trireme_core::{
    ports::{BeaconNode, Clock},
    time::SlotTiming,
};
use trireme_eth2::Epoch;
use trireme_telemetry::{
    PeerQuorum, Readiness,
    health::{Observation, Sync},
};

/// The state of the last check, shared with `/readyz` and the gauge.
#[derive(Clone, Default)]
pub(crate) struct Ready {
    state: Arc<Mutex<Readiness>>,
    gauge: Gauge,
}

impl Ready {
    /// Registers `app_monitoring_readyz`.
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let new = Self::default();
        registry.register(
            "app_monitoring_readyz",
            "State of the readiness check, 1 is ready",
            new.gauge.clone(),
        );
        new
    }

    /// The state of the last check.
    pub(crate) fn get(&self) -> Readiness {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, state: Readiness) {
        let mut kept = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if *kept != state {
            tracing::info!(state = state.text(), "Readiness changed");
        }
        *kept = state;
        self.gauge.set(state.gauge());
    }
}

/// Whether a validator client was there in the epoch before.
struct Visits {
    seen: u64,
    epoch: Option<Epoch>,
    in_epoch: bool,
    present: bool,
}

impl Visits {
    /// During the first epoch it is assumed to be there.
    const fn new() -> Self {
        Self {
            seen: 0,
            epoch: None,
            in_epoch: false,
            present: true,
        }
    }

    /// With the number of requests so far, in this epoch.
    fn check(&mut self, seen: u64, epoch: Epoch) -> bool {
        if self.epoch.is_some_and(|e| e != epoch) {
            self.present = self.in_epoch;
            self.in_epoch = false;
        }
        self.epoch = Some(epoch);
        self.in_epoch |= seen != self.seen;
        self.seen = seen;
        self.present
    }
}

/// How often the beacon node is asked for its number of peers.
const COUNT_PEERS_EVERY: Duration = Duration::from_secs(60);

/// The beacon node's number of peers, as far as it is known.
#[derive(Clone, Default)]
pub(crate) struct BeaconPeers(Arc<Mutex<Option<u64>>>);

impl BeaconPeers {
    /// Asks for ever. Drop-safe.
    pub(crate) async fn count(self, beacons: Arc<Pool>) {
        loop {
            // Beacon nodes that do not tell count as having some.
            let known = beacons.peer_count().await.ok();
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = known;
            tokio::time::sleep(COUNT_PEERS_EVERY).await;
        }
    }

    fn get(&self) -> Option<u64> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the check looks at.
pub(crate) struct Check {
    pub(crate) ready: Ready,
    pub(crate) beacon: Arc<dyn BeaconNode>,
    pub(crate) beacon_peers: BeaconPeers,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) timing: SlotTiming,
    pub(crate) threshold: usize,
    /// Other peers that are connected now.
    pub(crate) connected: Box<dyn Fn() -> usize + Send + std::marker::Sync>,
    /// Requests at the validator API so far.
    pub(crate) requests: Arc<AtomicU64>,
}

impl Check {
    /// Checks for ever. Drop-safe.
    pub(crate) async fn run(self) {
        let mut quorum = PeerQuorum::new(self.threshold);
        let mut visits = Visits::new();
        let every = self.timing.slot_duration.max(Duration::from_millis(100));
        loop {
            tokio::time::sleep(every).await;
            let sync = self.beacon.syncing().await.ok();
            let epoch = self
                .timing
                .slot_at(self.clock.now())
                .map_or(Epoch(0), |slot| self.timing.epoch(slot));
            self.ready.set(Readiness::judge(&Observation {
                beacon_node: sync.map(|s| Sync {
                    is_syncing: s.is_syncing,
                    distance: s.sync_distance,
                }),
                beacon_node_peers: self.beacon_peers.get(),
                peers_connected: quorum.check((self.connected)()),
                validator_client: visits.check(self.requests.load(Ordering::Relaxed), epoch),
            }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validator_client_is_judged_by_the_epoch_before() {
        let mut visits = Visits::new();
        assert!(visits.check(0, Epoch(5)), "assumed to be there in the first epoch");
        assert!(!visits.check(0, Epoch(6)), "no request in epoch 5");
        assert!(!visits.check(1, Epoch(6)), "a request in epoch 6 counts from 7 on");
        assert!(visits.check(1, Epoch(7)));
        assert!(!visits.check(1, Epoch(8)));
    }
}
