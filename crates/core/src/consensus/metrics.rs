//! Metrics of consensus, named as Charon's (core.md, appendix A).

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use super::PROTOCOL;
use crate::{duty::DutyType, metrics::BUCKETS_A};

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TimerLabel {
    protocol: &'static str,
    duty: &'static str,
    timer: &'static str,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LeaderLabel {
    protocol: &'static str,
    duty: &'static str,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProtocolLabel {
    protocol: &'static str,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    protocol: &'static str,
    duty: &'static str,
    timer: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

/// Metrics of all instances.
#[derive(Debug, Clone)]
pub struct ConsensusMetrics {
    rounds: Family<TimerLabel, Gauge>,
    leader: Family<LeaderLabel, Gauge>,
    duration: Family<TimerLabel, Histogram, fn() -> Histogram>,
    timeout: Family<TimerLabel, Counter>,
    error: Family<ProtocolLabel, Counter>,
    few_round_changes: Family<OutcomeLabel, Counter>,
    dropped: Family<ReasonLabel, Counter>,
}

impl ConsensusMetrics {
    /// Registers `core_consensus_*`.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let m = Self {
            rounds: Family::default(),
            leader: Family::default(),
            duration: Family::new_with_constructor(|| Histogram::new(BUCKETS_A.iter().copied())),
            timeout: Family::default(),
            error: Family::default(),
            few_round_changes: Family::default(),
            dropped: Family::default(),
        };
        registry.register(
            "core_consensus_decided_rounds",
            "Round of the last decision",
            m.rounds.clone(),
        );
        registry.register(
            "core_consensus_decided_leader_index",
            "Leader of the last decision",
            m.leader.clone(),
        );
        registry.register(
            "core_consensus_duration_seconds",
            "From proposal to decision",
            m.duration.clone(),
        );
        registry.register(
            "core_consensus_timeout",
            "Instances without decision",
            m.timeout.clone(),
        );
        registry.register("core_consensus_error", "Instances ended by an error", m.error.clone());
        registry.register(
            "core_consensus_insufficient_round_changes",
            "Instances with a late round that too few processes came to",
            m.few_round_changes.clone(),
        );
        registry.register(
            "core_consensus_dropped_messages",
            "Messages not taken, by reason",
            m.dropped.clone(),
        );
        m
    }

    /// Makes a series of each metric with labels, so that a list of them shows labels and buckets.
    pub fn touch(&self) {
        crate::metrics::touch(&self.rounds);
        crate::metrics::touch(&self.leader);
        crate::metrics::touch(&self.duration);
        crate::metrics::touch(&self.timeout);
        crate::metrics::touch(&self.error);
        crate::metrics::touch(&self.few_round_changes);
        crate::metrics::touch(&self.dropped);
    }

    pub(super) fn decided(
        &self,
        duty: DutyType,
        timer: &'static str,
        round: u64,
        leader: Option<u8>,
        seconds: Option<f64>,
    ) {
        let label = timer_label(duty, timer);
        self.rounds
            .get_or_create(&label)
            .set(i64::try_from(round).unwrap_or(i64::MAX));
        if let Some(leader) = leader {
            let label = LeaderLabel {
                protocol: PROTOCOL.name,
                duty: duty.name(),
            };
            self.leader.get_or_create(&label).set(leader.into());
        }
        if let Some(seconds) = seconds {
            self.duration.get_or_create(&label).observe(seconds);
        }
    }

    pub(super) fn timed_out(&self, duty: DutyType, timer: &'static str) {
        self.timeout.get_or_create(&timer_label(duty, timer)).inc();
    }

    pub(super) fn failed(&self) {
        self.error
            .get_or_create(&ProtocolLabel {
                protocol: PROTOCOL.name,
            })
            .inc();
    }

    pub(super) fn few_round_changes(&self, duty: DutyType, timer: &'static str, outcome: &'static str) {
        let label = OutcomeLabel {
            protocol: PROTOCOL.name,
            duty: duty.name(),
            timer,
            outcome,
        };
        self.few_round_changes.get_or_create(&label).inc();
    }

    pub(super) fn dropped(&self, reason: &'static str) {
        self.dropped.get_or_create(&ReasonLabel { reason }).inc();
    }
}

fn timer_label(duty: DutyType, timer: &'static str) -> TimerLabel {
    TimerLabel {
        protocol: PROTOCOL.name,
        duty: duty.name(),
        timer,
    }
}
