//! The registry's constant labels, its text, and what the process uses.
//!
//! Each component registers its own metrics in the registry that [`registry`] makes; there is no global one.

use std::{
    borrow::Cow,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

use prometheus_client::{encoding::text::encode, metrics::family::Family, registry::Registry};

mod process;
mod stack;
pub mod text;

pub use process::ProcessMetrics;
pub use stack::StackMetrics;
pub use text::PROMETHEUS;

/// The labels that every metric of a node carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterLabels {
    /// First 7 hex digits of the lock hash.
    pub cluster_hash: String,
    /// Name in the lock.
    pub cluster_name: String,
    /// Name of our peer id.
    pub cluster_peer: String,
    /// `--nickname`; may be empty.
    pub nickname: String,
    /// Network's name, or `unknown`.
    pub cluster_network: String,
    /// Our version.
    pub charon_version: String,
}

impl ClusterLabels {
    /// Names and values.
    #[must_use]
    pub fn pairs(&self) -> [(&'static str, &str); 6] {
        [
            ("cluster_hash", &self.cluster_hash),
            ("cluster_name", &self.cluster_name),
            ("cluster_peer", &self.cluster_peer),
            ("nickname", &self.nickname),
            ("cluster_network", &self.cluster_network),
            ("charon_version", &self.charon_version),
        ]
    }
}

/// An empty registry with the constant labels.
#[must_use]
pub fn registry(labels: &ClusterLabels) -> Registry {
    let owned = |(name, value): (&'static str, &str)| (Cow::Borrowed(name), Cow::Owned(value.to_owned()));
    Registry::with_labels(labels.pairs().into_iter().map(owned))
}

/// A registry that parts may still add to while it is served.
pub type SharedRegistry = Arc<Mutex<Registry>>;

/// Everything in the registry as Prometheus' text format, of media type [`PROMETHEUS`].
///
/// # Errors
///
/// If a metric refuses to be written.
pub fn exposition(registry: &SharedRegistry) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    encode(&mut out, &registry.lock().unwrap_or_else(PoisonError::into_inner))?;
    Ok(text::prometheus(&out))
}

/// Makes the series with empty labels, so that a list of metrics shows labels and buckets.
pub(crate) fn touch<L, M>(family: &Family<L, M>)
where
    L: Default + Clone + Hash + Eq,
    M: Default,
{
    drop(family.get_or_create(&L::default()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::{Level, LogCounters};

    fn labels() -> ClusterLabels {
        ClusterLabels {
            cluster_hash: "b82bc4f".into(),
            cluster_name: "test".into(),
            cluster_peer: "happy-cat".into(),
            nickname: String::new(),
            cluster_network: "hoodi".into(),
            charon_version: "v0.1.0".into(),
        }
    }

    #[test]
    fn every_series_carries_the_six_constant_labels() {
        let mut registry = registry(&labels());
        let counters = LogCounters::default();
        counters.register(&mut registry);
        counters.count(Level::Warn, "sched");
        counters.count(Level::Info, "sched");
        ProcessMetrics::new(|| 3).register(&mut registry);
        let text = exposition(&Arc::new(Mutex::new(registry))).unwrap();
        let series: Vec<_> = text.lines().filter(|l| !l.starts_with('#')).collect();
        assert!(series.len() > 5, "{text}");
        for line in series {
            for label in [
                "cluster_hash=\"b82bc4f\"",
                "cluster_name=\"test\"",
                "cluster_peer=\"happy-cat\"",
                "nickname=\"\"",
                "cluster_network=\"hoodi\"",
                "charon_version=\"v0.1.0\"",
            ] {
                assert!(line.contains(label), "{line} has no {label}");
            }
        }
        assert!(
            text.contains("app_log_warn_total{") && text.contains("topic=\"sched\"} 1"),
            "{text}"
        );
        assert!(text.contains("go_goroutines{"), "{text}");
        assert!(text.contains("process_cpu_seconds_total{"), "{text}");
    }
}
