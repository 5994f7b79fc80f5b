//! Gathers the node's own metrics every half minute and keeps the verdicts of the checks as metrics.
//!
//! Guarantees: bounded memory (the names that checks compare over time, for as long as they do); a check that begins or
//! ends to fail is logged once.
//! Not here: the checks.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::checks::{CHECKS, HOUR, HealthCheck, MEMORY, Seen, Setup, Severity, WINDOW};
use crate::metrics::{
    SharedRegistry, exposition,
    text::{Samples, name_of},
};

/// Time between gatherings.
const EVERY: Duration = Duration::from_secs(30);
/// Gatherings in the window of five minutes.
const IN_WINDOW: usize = 10;
/// Gatherings in an hour.
const IN_HOUR: usize = 120;
/// Gatherings from one memory figure to the next: half an hour.
const MEMORY_EVERY: usize = 60;
/// Memory figures kept: two days, and the hours that are left out at the start.
const MEMORY_KEPT: usize = 104;
/// Series that a metric may have per validator.
const SERIES_PER_VALIDATOR: usize = 100;

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CheckLabel {
    severity: &'static str,
    name: &'static str,
    description: &'static str,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NameLabel {
    name: String,
}

/// The verdicts as metrics.
#[derive(Debug, Clone, Default)]
pub struct HealthMetrics {
    checks: Family<CheckLabel, Gauge>,
    failed: Family<CheckLabel, Counter>,
    crowded: Family<NameLabel, Gauge>,
}

impl HealthMetrics {
    /// Registers `app_health_*`.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let m = Self::default();
        registry.register(
            "app_health_checks",
            "1 if the check fails, 0 if it passes",
            m.checks.clone(),
        );
        registry.register(
            "app_health_checks_failed",
            "Evaluations in which the check failed",
            m.failed.clone(),
        );
        registry.register(
            "app_health_metrics_high_cardinality",
            "Number of series of metrics with very many",
            m.crowded.clone(),
        );
        m
    }

    /// Makes a series of each metric with labels, so that a list of them shows labels and buckets.
    pub fn touch(&self) {
        crate::metrics::touch(&self.checks);
        crate::metrics::touch(&self.failed);
        crate::metrics::touch(&self.crowded);
    }
}

/// Watches a node.
pub struct HealthWatch {
    registry: SharedRegistry,
    setup: Setup,
    metrics: HealthMetrics,
    window: VecDeque<Samples>,
    hour: VecDeque<Samples>,
    memory: VecDeque<f64>,
    gatherings: usize,
    failing: BTreeMap<&'static str, bool>,
}

impl HealthWatch {
    /// Watches the metrics in `registry`, in which `metrics` are registered, too.
    #[must_use]
    pub const fn new(registry: SharedRegistry, setup: Setup, metrics: HealthMetrics) -> Self {
        Self {
            registry,
            setup,
            metrics,
            window: VecDeque::new(),
            hour: VecDeque::new(),
            memory: VecDeque::new(),
            gatherings: 0,
            failing: BTreeMap::new(),
        }
    }

    /// Watches for ever. Drop-safe.
    pub async fn run(mut self) {
        loop {
            tokio::time::sleep(EVERY).await;
            if let Ok(text) = exposition(&self.registry) {
                self.gather(&text);
            }
        }
    }

    fn gather(&mut self, text: &str) {
        let latest = Samples::read(text, is_looked_at);
        keep(
            &mut self.window,
            Samples::read(text, |n| WINDOW.contains(&n)),
            IN_WINDOW,
        );
        keep(&mut self.hour, Samples::read(text, |n| HOUR.contains(&n)), IN_HOUR);
        if self.gatherings.checked_rem(MEMORY_EVERY) == Some(0)
            && let Some(used) = latest.of(MEMORY).first()
        {
            keep(&mut self.memory, used.value, MEMORY_KEPT);
        }
        self.gatherings = self.gatherings.saturating_add(1);
        let crowded = crowded(text, self.setup.validators.max(1).saturating_mul(SERIES_PER_VALIDATOR));
        for (name, series) in &crowded {
            let label = NameLabel { name: name.clone() };
            let series = i64::try_from(*series).unwrap_or(i64::MAX);
            self.metrics.crowded.get_or_create(&label).set(series);
        }
        let seen = Seen {
            setup: &self.setup,
            latest: &latest,
            window: &self.window,
            hour: &self.hour,
            memory: &self.memory,
            crowded: &crowded,
        };
        for check in CHECKS {
            let Some(failing) = (check.failing)(&seen) else {
                continue;
            };
            let label = CheckLabel {
                severity: check.severity.word(),
                name: check.name,
                description: check.description,
            };
            self.metrics.checks.get_or_create(&label).set(failing.into());
            if failing {
                self.metrics.failed.get_or_create(&label).inc();
            }
            if self.failing.insert(check.name, failing).unwrap_or_default() != failing {
                tell(check, failing);
            }
        }
    }
}

fn tell(check: &HealthCheck, failing: bool) {
    let (name, severity, meaning) = (check.name, check.severity.word(), check.description);
    match (failing, check.severity) {
        (false, _) => tracing::info!(check = name, "Health check passes again"),
        (true, Severity::Info) => tracing::info!(check = name, severity, meaning, "Health check fails"),
        (true, Severity::Warning | Severity::Critical) => {
            tracing::warn!(check = name, severity, meaning, "Health check fails");
        }
    }
}

fn keep<T>(list: &mut VecDeque<T>, new: T, most: usize) {
    list.push_back(new);
    while list.len() > most {
        list.pop_front();
    }
}

/// Names that a check looks at in the latest gathering; the rest is not read.
fn is_looked_at(name: &str) -> bool {
    const NAMES: [&str; 9] = [
        "app_monitoring_readyz",
        "core_scheduler_validator_status",
        "app_peerinfo_clock_offset_seconds",
        "app_eth2_using_fallback",
        "core_consensus_decided_rounds",
        "core_fetcher_proposal_blinded",
        "core_fetcher_proposal_local_mismatch_fee_recipient",
        "go_goroutines",
        MEMORY,
    ];
    const HISTOGRAMS: [&str; 3] = [
        "app_eth2_latency_seconds",
        "p2p_ping_latency_secs",
        "core_parsigdb_store",
    ];
    let is_total = |histogram: &&str| {
        let suffix = name.strip_prefix(*histogram);
        matches!(suffix, Some("_sum" | "_count"))
    };
    NAMES.contains(&name) || WINDOW.contains(&name) || HISTOGRAMS.iter().any(is_total)
}

/// Names with more series than allowed. The series of a histogram count once, not once per bucket.
fn crowded(text: &str, most: usize) -> BTreeMap<String, usize> {
    let mut series: BTreeMap<&str, usize> = BTreeMap::new();
    for name in text.lines().filter(|l| !l.starts_with('#')).map(name_of) {
        if !name.ends_with("_bucket") && !name.ends_with("_sum") {
            let n = series.entry(name).or_default();
            *n = n.saturating_add(1);
        }
    }
    let large = series.into_iter().filter(|(_, n)| *n > most);
    large.map(|(name, n)| (name.to_owned(), n)).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    const SETUP: Setup = Setup {
        threshold: 3,
        validators: 1,
        peer: 0,
        builder_api: false,
    };

    fn watch() -> HealthWatch {
        let mut registry = Registry::default();
        let metrics = HealthMetrics::register(&mut registry);
        HealthWatch::new(Arc::new(Mutex::new(registry)), SETUP, metrics)
    }

    fn series(watch: &HealthWatch, name: &str, check: &str) -> Option<f64> {
        let samples = Samples::read(&exposition(&watch.registry).unwrap(), |_| true);
        let found = samples.of(name).iter().find(|s| s.label("name") == check);
        found.map(|s| s.value)
    }

    #[test]
    fn a_verdict_is_a_gauge_and_each_failure_is_counted() {
        let mut watch = watch();
        watch.gather("app_monitoring_readyz 3\n");
        watch.gather("app_monitoring_readyz 3\n");
        let check = "beacon_node_syncing";
        assert_eq!(series(&watch, "app_health_checks", check), Some(1.0));
        assert_eq!(series(&watch, "app_health_checks_failed_total", check), Some(2.0));
        watch.gather("app_monitoring_readyz 1\n");
        assert_eq!(series(&watch, "app_health_checks", check), Some(0.0));
        assert_eq!(series(&watch, "app_health_checks_failed_total", check), Some(2.0));
    }

    #[test]
    fn a_check_without_its_metric_has_no_series() {
        let mut watch = watch();
        watch.gather("x 1\n");
        assert_eq!(series(&watch, "app_health_checks", "beacon_node_syncing"), None);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut watch = watch();
        for _ in 0..10_000 {
            watch.gather("go_memstats_heap_inuse_bytes 1\np2p_ping_success{peer=\"a\"} 1\n");
        }
        assert_eq!(
            (watch.window.len(), watch.hour.len(), watch.memory.len()),
            (IN_WINDOW, IN_HOUR, MEMORY_KEPT)
        );
    }

    #[test]
    fn a_metric_with_too_many_series_is_named_and_buckets_do_not_count() {
        let mut watch = watch();
        let mut text = String::new();
        for n in 0..150 {
            text.push_str(&format!("many_total{{n=\"{n}\"}} 1\n"));
            text.push_str(&format!("h_bucket{{le=\"{n}\"}} 1\n"));
        }
        watch.gather(&text);
        let name = "app_health_metrics_high_cardinality";
        assert_eq!(series(&watch, name, "many_total"), Some(150.0));
        assert_eq!(series(&watch, name, "h_bucket"), None);
        assert_eq!(
            series(&watch, "app_health_checks", "metrics_high_cardinality"),
            Some(1.0)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn gathers_twice_a_minute() {
        let watch = watch();
        let registry = Arc::clone(&watch.registry);
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(watch.run());
        tokio::time::sleep(Duration::from_secs(29)).await;
        let evaluated = || {
            exposition(&registry)
                .unwrap()
                .contains("name=\"metrics_high_cardinality\"")
        };
        assert!(!evaluated());
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(evaluated());
    }
}
