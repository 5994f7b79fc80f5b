//! The health checks: Charon's names and severities, and what each looks at in the node's own metrics.
//!
//! Guarantees: pure; a check whose metrics are not there has no verdict; texts never change while a node runs, since they
//! are labels.
//! Not here: gathering the metrics (`watch`), whether the node is ready (`health`).

use std::collections::{BTreeMap, VecDeque};

use crate::metrics::text::{Sample, Samples};

/// How bad a failing check is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Duties are being missed, or will be.
    Critical,
    /// Somebody should look.
    Warning,
    /// Good to know.
    Info,
}

impl Severity {
    /// The label's value.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

/// What a node is, as far as checks depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setup {
    /// The cluster's threshold.
    pub threshold: usize,
    /// Its validators.
    pub validators: usize,
    /// Our position in the lock, from 0.
    pub peer: u8,
    /// Whether blocks of builders are asked for.
    pub builder_api: bool,
}

/// What the checks look at.
#[derive(Debug)]
pub struct Seen<'a> {
    /// What the node is.
    pub setup: &'a Setup,
    /// The latest gathering.
    pub latest: &'a Samples,
    /// Gatherings of the last five minutes, oldest first, with the names of [`WINDOW`].
    pub window: &'a VecDeque<Samples>,
    /// Gatherings of the last hour, oldest first, with the names of [`HOUR`].
    pub hour: &'a VecDeque<Samples>,
    /// Used memory, one figure per half hour, oldest first.
    pub memory: &'a VecDeque<f64>,
    /// Names with too many series.
    pub crowded: &'a BTreeMap<String, usize>,
}

/// Names kept for five minutes.
pub const WINDOW: &[&str] = &[PING_SUCCESS, REGISTRATION_ERRORS, ROUND_CHANGES];
/// Names kept for an hour.
pub const HOUR: &[&str] = &[HEAD_DELAY_BUCKET, HEAD_DELAY_COUNT, COHORT_RANK];
/// Used memory.
pub const MEMORY: &str = "go_memstats_heap_inuse_bytes";

const PING_SUCCESS: &str = "p2p_ping_success";
const REGISTRATION_ERRORS: &str = "core_scheduler_submit_registration_errors_total";
const ROUND_CHANGES: &str = "core_consensus_insufficient_round_changes_total";
const HEAD_DELAY_BUCKET: &str = "app_beacon_node_sse_head_delay_bucket";
const HEAD_DELAY_COUNT: &str = "app_beacon_node_sse_head_delay_count";
const COHORT_RANK: &str = "core_tracker_parsig_cohort_rank_total";
const ETH2_LATENCY: &str = "app_eth2_latency_seconds";
const PARSIGDB_STORE: &str = "core_parsigdb_store";

/// State of the readiness check while the beacon node is syncing.
const SYNCING: f64 = 3.0;
/// Endpoints that build a block, which takes longer.
const BLOCK_ENDPOINTS: [&str; 2] = ["proposal", "submit_blinded_proposal"];
/// Half hours in a day.
const DAY: usize = 48;
/// Half hours that a new process is given to reach its size: four hours.
const SETTLING: usize = 8;
/// Figures that a day must have to be compared.
const ENOUGH_FIGURES: usize = 8;

/// One check.
#[derive(Debug, Clone, Copy)]
pub struct HealthCheck {
    /// Charon's name.
    pub name: &'static str,
    /// Charon's severity.
    pub severity: Severity,
    /// What a failure means and what to do.
    pub description: &'static str,
    /// The verdict; `None` if there is nothing to judge by.
    pub failing: fn(&Seen<'_>) -> Option<bool>,
}

macro_rules! checks {
    ($($name:literal $severity:ident $description:literal $failing:expr;)*) => {
        /// Every check.
        pub const CHECKS: &[HealthCheck] = &[$(HealthCheck {
            name: $name,
            severity: Severity::$severity,
            description: $description,
            failing: $failing,
        },)*];
    };
}

checks! {
    "beacon_node_syncing" Critical
        "The beacon node is syncing, and no duty can be done until it is done. If that takes more than an hour, look at its log and its number of peers."
        |seen| Some(seen.value("app_monitoring_readyz")? == SYNCING);
    "insufficient_connected_peers" Critical
        "Fewer peers answer than the cluster needs to sign. Look at the network of this node, and talk to the other operators."
        insufficient_peers;
    "pending_validators" Info
        "Some validators are not active yet. There is nothing to do but to wait, once they are deposited."
        |seen| seen.any("core_scheduler_validator_status", |s| s.label("status").contains("pending") && s.value > 0.0);
    "high_registration_failures_rate" Warning
        "Registrations at the builder failed in the last minutes. Look at the log of the beacon node and of its builder relay."
        |seen| Some(seen.increase(REGISTRATION_ERRORS)? > 0.0);
    "metrics_high_cardinality" Warning
        "A metric has very many series, which makes monitoring slow. app_health_metrics_high_cardinality tells which; please report it."
        |seen| Some(!seen.crowded.is_empty());
    "high_beacon_node_latency" Warning
        "The beacon node takes more than a second to answer, not counting requests for blocks. It may be overloaded, or far away."
        |seen| Some(seen.worst_mean(ETH2_LATENCY, "endpoint", |e| !BLOCK_ENDPOINTS.contains(&e))? > 1.0);
    "high_beacon_node_proposal_latency" Warning
        "The beacon node takes more than two seconds to make a block, so that proposals may come too late. It, its execution client or its builder may be overloaded."
        |seen| Some(seen.worst_mean(ETH2_LATENCY, "endpoint", |e| BLOCK_ENDPOINTS.contains(&e))? > 2.0);
    "high_peer_clock_offset" Warning
        "A peer's clock differs from ours by more than 200 ms. One of both machines does not keep its time; look at their NTP service."
        |seen| seen.any("app_peerinfo_clock_offset_seconds", |s| s.value.abs() > 0.2);
    "high_peer_ping_latency" Warning
        "A peer takes more than 150 ms to answer a ping. Consensus gets slow; a direct connection instead of a relay may help."
        |seen| Some(seen.worst_mean("p2p_ping_latency_secs", "peer", |_| true)? > 0.15);
    "using_fallback_beacon_nodes" Warning
        "A fallback beacon node is in use, since none of the others answers. Look after them."
        |seen| Some(seen.value("app_eth2_using_fallback")? == 1.0);
    "insufficient_round_changes" Warning
        "In the last minutes consensus waited for a new round that too few peers came to. Some peers may be offline or slow."
        |seen| Some(seen.increase(ROUND_CHANGES)? > 0.0);
    "high_consensus_rounds" Warning
        "The last proposal or attestation took more than one round to agree on. The first round's leader may be offline or slow."
        |seen| seen.any("core_consensus_decided_rounds", |s| matches!(s.label("duty"), "proposer" | "attester") && s.value >= 2.0);
    "local_block_proposal" Warning
        "The last proposal was a block of the own execution client although builders are wanted. Look at the beacon node's builder settings and the relays."
        |seen| Some(seen.setup.builder_api && seen.value("core_fetcher_proposal_blinded")? == 2.0);
    "local_proposal_fee_recipient_mismatch" Critical
        "The last block pays its fees to another address than the cluster's. Look at the fee recipient in the settings of the beacon node."
        |seen| Some(seen.value("core_fetcher_proposal_local_mismatch_fee_recipient")? == 2.0);
    "high_beacon_node_sse_head_delay" Warning
        "More than four percent of the last hour's blocks became a beacon node's head later than four seconds into their slot, so attestations may be wrong. The beacon node or its execution client may be overloaded or badly connected."
        late_heads;
    "high_parsigdb_store_latency" Warning
        "Partial signatures of attestations arrive more than two seconds late on average. Beacon nodes, validator clients or the network of the cluster are slow."
        |seen| Some(seen.mean(PARSIGDB_STORE, |s| s.label("duty") == "attester")? > 2.0);
    "high_parsigdb_store_latency_proposer" Warning
        "Partial signatures of blocks arrive more than three seconds late on average, so that proposals may come too late. Beacon nodes, validator clients or the network of the cluster are slow."
        |seen| Some(seen.mean(PARSIGDB_STORE, |s| s.label("duty") == "proposer")? > 3.0);
    "sync_message_head_disagreement" Warning
        "More than five percent of this node's sync messages of the last hour were for another head than most of the cluster signed. This node's beacon node sees blocks late."
        other_heads;
    "high_goroutine_count" Warning
        "Very many tasks are running. The beacon node or the network may be hanging; if not, please report it."
        |seen| Some(seen.value("go_goroutines")? > 1000.0);
    "memory_leak" Warning
        "This node used clearly more memory in the last day than in the day before. Please report it."
        |seen| growing(seen.memory);
}

impl Seen<'_> {
    /// The value of a metric without labels.
    fn value(&self, name: &str) -> Option<f64> {
        self.latest.of(name).first().map(|s| s.value)
    }

    /// Whether a series is like that; `None` if there are no series.
    fn any(&self, name: &str, like: impl Fn(&Sample) -> bool) -> Option<bool> {
        let series = self.latest.of(name);
        (!series.is_empty()).then(|| series.iter().any(like))
    }

    /// The sum of a counter's increases in the last five minutes; `None` if it is not there.
    fn increase(&self, name: &str) -> Option<f64> {
        (!self.latest.of(name).is_empty()).then(|| increase(self.window, name, |_| true))
    }

    /// The mean of a histogram over the series that are like that; `None` if nothing was observed.
    fn mean(&self, name: &str, like: impl Fn(&Sample) -> bool) -> Option<f64> {
        let total = |suffix: &str| -> f64 {
            let series = self.latest.of(&format!("{name}{suffix}"));
            series.iter().filter(|s| like(s)).map(|s| s.value).sum()
        };
        let n = total("_count");
        (n > 0.0).then(|| total("_sum") / n)
    }

    /// The highest mean of a histogram by a label, over those of its values that are asked for.
    fn worst_mean(&self, name: &str, by: &str, asked: impl Fn(&str) -> bool) -> Option<f64> {
        let series = self.latest.of(&format!("{name}_count"));
        let values = series.iter().map(|s| s.label(by)).filter(|v| asked(v));
        values
            .filter_map(|value| self.mean(name, |s| s.label(by) == value))
            .reduce(f64::max)
    }
}

/// The sum of the increases of a counter's series from the oldest gathering to the newest; a series that was not there
/// began with 0, one that fell began again.
fn increase(window: &VecDeque<Samples>, name: &str, like: impl Fn(&Sample) -> bool) -> f64 {
    let (Some(first), Some(last)) = (window.front(), window.back()) else {
        return 0.0;
    };
    let before: BTreeMap<_, f64> = first.of(name).iter().map(|s| (&s.labels, s.value)).collect();
    let grown = |s: &Sample| {
        let before = before.get(&s.labels).copied().unwrap_or_default();
        if s.value < before { s.value } else { s.value - before }
    };
    last.of(name).iter().filter(|s| like(s)).map(grown).sum()
}

/// A peer counts if it answered at any time of the window.
fn insufficient_peers(seen: &Seen<'_>) -> Option<bool> {
    let mut answered: BTreeMap<&str, bool> = BTreeMap::new();
    for sample in seen.window.iter().flat_map(|s| s.of(PING_SUCCESS)) {
        *answered.entry(sample.label("peer")).or_default() |= sample.value == 1.0;
    }
    let good = answered.values().filter(|a| **a).count();
    (!answered.is_empty()).then(|| good < seen.setup.threshold.saturating_sub(1))
}

fn late_heads(seen: &Seen<'_>) -> Option<bool> {
    let nodes = seen.hour.back()?.of(HEAD_DELAY_COUNT);
    let late = |node: &Sample| {
        let is_it = |s: &Sample| s.label("addr") == node.label("addr");
        let all = increase(seen.hour, HEAD_DELAY_COUNT, is_it);
        let in_time = increase(seen.hour, HEAD_DELAY_BUCKET, |s| {
            is_it(s) && matches!(s.label("le"), "4" | "4.0")
        });
        all > 0.0 && (all - in_time) / all > 0.04
    };
    (!nodes.is_empty()).then(|| nodes.iter().any(late))
}

fn other_heads(seen: &Seen<'_>) -> Option<bool> {
    let me = seen.setup.peer.to_string();
    let mine = |s: &Sample| s.label("duty") == "sync_message" && s.label("peer_idx") == me;
    let all = increase(seen.hour, COHORT_RANK, mine);
    let other = increase(seen.hour, COHORT_RANK, |s| mine(s) && s.label("rank") != "0");
    (all >= 20.0).then(|| other / all > 0.05)
}

/// Whether the mean of the last day is above that of the day before by a twentieth.
fn growing(memory: &VecDeque<f64>) -> Option<bool> {
    let settled: Vec<f64> = memory.iter().copied().skip(SETTLING).collect();
    let (before, day) = settled.split_at_checked(settled.len().checked_sub(DAY)?)?;
    let recent = before.len().saturating_sub(DAY);
    let before = before.get(recent..)?;
    let mean = |list: &[f64]| {
        let n = u32::try_from(list.len())
            .ok()
            .filter(|_| list.len() >= ENOUGH_FIGURES)?;
        Some(list.iter().sum::<f64>() / f64::from(n))
    };
    Some(mean(day)? > mean(before)? * 1.05)
}

#[cfg(test)]
mod tests;
