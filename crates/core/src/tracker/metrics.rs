//! The tracker's metrics, named as Charon's.

use std::collections::BTreeSet;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use trireme_eth2::Root;

use super::reason::Reason;
use crate::{
    duty::DutyType,
    ids::ShareIdx,
    metrics::{DutyLabel, DutyPeerLabel, DutyReasonLabel, PeerLabel},
};

/// `duty`, `peer_idx`, `rank`
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RankLabel {
    duty: &'static str,
    peer_idx: String,
    rank: String,
}

/// See the module's description.
#[derive(Debug, Clone, Default)]
pub struct TrackerMetrics {
    participation: Family<DutyPeerLabel, Gauge>,
    participation_legacy: Family<DutyPeerLabel, Counter>,
    participation_success: Family<DutyPeerLabel, Counter>,
    participation_missed: Family<DutyPeerLabel, Counter>,
    participation_expected: Family<DutyPeerLabel, Counter>,
    failed: Family<DutyLabel, Counter>,
    reasons: Family<DutyReasonLabel, Counter>,
    success: Family<DutyLabel, Counter>,
    expect: Family<DutyLabel, Counter>,
    unexpected: Family<PeerLabel, Counter>,
    inconsistent: Family<DutyLabel, Counter>,
    cohort_rank: Family<RankLabel, Counter>,
    missed: Family<DutyLabel, Counter>,
    attestations_expected: Counter,
    attestations_done: Counter,
    delay: Gauge,
}

impl TrackerMetrics {
    /// Registers `core_tracker_*`.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let m = Self::default();
        let r = registry;
        r.register(
            "core_tracker_participation",
            "1 if the peer took part in the last duty",
            m.participation.clone(),
        );
        r.register(
            "core_tracker_participation",
            "Partial signatures received (old name)",
            m.participation_legacy.clone(),
        );
        r.register(
            "core_tracker_participation_success",
            "Partial signatures received",
            m.participation_success.clone(),
        );
        r.register(
            "core_tracker_participation_missed",
            "Partial signatures missed",
            m.participation_missed.clone(),
        );
        r.register(
            "core_tracker_participation_expected",
            "Partial signatures expected",
            m.participation_expected.clone(),
        );
        r.register("core_tracker_failed_duties", "Duties that failed", m.failed.clone());
        r.register(
            "core_tracker_failed_duty_reasons",
            "Duties that failed, by reason",
            m.reasons.clone(),
        );
        r.register(
            "core_tracker_success_duties",
            "Duties that succeeded",
            m.success.clone(),
        );
        r.register(
            "core_tracker_expect_duties",
            "Duties that failed or succeeded",
            m.expect.clone(),
        );
        r.register(
            "core_tracker_unexpected_events",
            "Partial signatures that nobody expected",
            m.unexpected.clone(),
        );
        r.register(
            "core_tracker_inconsistent_parsigs",
            "Duties signed over different data",
            m.inconsistent.clone(),
        );
        r.register(
            "core_tracker_parsig_cohort_rank",
            "Groups of equal heads, 0 is the largest",
            m.cohort_rank.clone(),
        );
        r.register(
            "core_tracker_inclusion_missed",
            "Duties sent but not seen on chain",
            m.missed.clone(),
        );
        r.register(
            "core_tracker_attestation_expect",
            "Single attestations that were to be made",
            m.attestations_expected.clone(),
        );
        r.register(
            "core_tracker_attestation_success",
            "Single attestations that were made",
            m.attestations_done.clone(),
        );
        r.register(
            "core_tracker_inclusion_delay",
            "Slots from the last attestation found on chain to its block",
            m.delay.clone(),
        );
        m
    }

    /// Makes a series of each metric with labels, so that a list of them shows labels and buckets.
    pub fn touch(&self) {
        crate::metrics::touch(&self.participation);
        crate::metrics::touch(&self.participation_legacy);
        crate::metrics::touch(&self.participation_success);
        crate::metrics::touch(&self.participation_missed);
        crate::metrics::touch(&self.participation_expected);
        crate::metrics::touch(&self.failed);
        crate::metrics::touch(&self.reasons);
        crate::metrics::touch(&self.success);
        crate::metrics::touch(&self.expect);
        crate::metrics::touch(&self.unexpected);
        crate::metrics::touch(&self.inconsistent);
        crate::metrics::touch(&self.cohort_rank);
        crate::metrics::touch(&self.missed);
    }

    /// Makes the series that dashboards expect before anything has happened.
    pub(super) fn prepare(&self, peers: &[String]) {
        for kind in DutyType::ALL {
            let label = DutyLabel::from(kind);
            for family in [&self.failed, &self.success, &self.expect] {
                let _ = family.get_or_create(&label);
            }
            for peer in peers {
                let label = DutyPeerLabel {
                    duty: kind.name(),
                    peer: peer.clone(),
                };
                let families = [
                    &self.participation_legacy,
                    &self.participation_success,
                    &self.participation_missed,
                    &self.participation_expected,
                ];
                for family in families {
                    let _ = family.get_or_create(&label);
                }
            }
        }
    }

    pub(super) fn success(&self, kind: DutyType) {
        self.success.get_or_create(&kind.into()).inc();
        self.expect.get_or_create(&kind.into()).inc();
    }

    pub(super) fn failure(&self, kind: DutyType, reason: Reason) {
        self.failed.get_or_create(&kind.into()).inc();
        self.expect.get_or_create(&kind.into()).inc();
        self.reasons
            .get_or_create(&DutyReasonLabel {
                duty: kind.name(),
                reason: reason.code(),
            })
            .inc();
    }

    pub(super) fn inconsistent(&self, kind: DutyType) {
        self.inconsistent.get_or_create(&kind.into()).inc();
    }

    pub(super) fn missed(&self, kind: DutyType) {
        self.missed.get_or_create(&kind.into()).inc();
    }

    pub(super) fn attestations(&self, expected: usize, done: usize) {
        self.attestations_expected
            .inc_by(u64::try_from(expected).unwrap_or(u64::MAX));
        self.attestations_done.inc_by(u64::try_from(done).unwrap_or(u64::MAX));
    }

    pub(super) fn inclusion_delay(&self, slots: u64) {
        self.delay.set(i64::try_from(slots).unwrap_or(i64::MAX));
    }

    pub(super) fn cohorts(&self, kind: DutyType, groups: &[(Root, BTreeSet<ShareIdx>)]) {
        for (rank, (_, shares)) in groups.iter().enumerate() {
            for peer in shares.iter().filter_map(|s| s.peer()) {
                let label = RankLabel {
                    duty: kind.name(),
                    peer_idx: peer.to_string(),
                    rank: rank.to_string(),
                };
                self.cohort_rank.get_or_create(&label).inc();
            }
        }
    }

    pub(super) fn participated(&self, kind: DutyType, peer: &str, counted: u64, expected: u64, unexpected: u64) {
        let label = DutyPeerLabel {
            duty: kind.name(),
            peer: peer.to_owned(),
        };
        self.participation_legacy.get_or_create(&label).inc_by(counted);
        self.participation_success.get_or_create(&label).inc_by(counted);
        self.participation_expected.get_or_create(&label).inc_by(expected);
        self.participation_missed
            .get_or_create(&label)
            .inc_by(expected.saturating_sub(counted));
        if counted == 0 && unexpected > 0 {
            self.unexpected
                .get_or_create(&PeerLabel { peer: peer.to_owned() })
                .inc_by(unexpected);
        } else {
            self.participation.get_or_create(&label).set(i64::from(counted > 0));
        }
    }
}
