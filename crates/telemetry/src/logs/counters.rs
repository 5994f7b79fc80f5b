//! Counters of this process's log lines. Global, because logging is.

use std::sync::OnceLock;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use super::record::Level;

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TopicLabel {
    topic: String,
}

/// `app_log_warn_total`, `app_log_error_total` and `app_log_loki_dropped_total`.
#[derive(Debug, Clone, Default)]
pub struct LogCounters {
    warn: Family<TopicLabel, Counter>,
    error: Family<TopicLabel, Counter>,
    pub(super) dropped: Counter,
}

impl LogCounters {
    pub(crate) fn count(&self, level: Level, topic: &str) {
        let family = match level {
            Level::Debug | Level::Info => return,
            Level::Warn => &self.warn,
            Level::Error => &self.error,
        };
        family
            .get_or_create(&TopicLabel {
                topic: topic.to_owned(),
            })
            .inc();
    }

    /// Puts the counters into a registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("app_log_warn", "Warning lines by topic", self.warn.clone());
        registry.register("app_log_error", "Error lines by topic", self.error.clone());
        registry.register(
            "app_log_loki_dropped",
            "Lines that could not be pushed to Loki",
            self.dropped.clone(),
        );
    }

    /// Makes a series of each metric with labels, so that a list of them shows labels and buckets.
    pub fn touch(&self) {
        crate::metrics::touch(&self.warn);
        crate::metrics::touch(&self.error);
    }
}

/// The counters of this process's log lines.
pub fn log_counters() -> &'static LogCounters {
    static COUNTERS: OnceLock<LogCounters> = OnceLock::new();
    COUNTERS.get_or_init(LogCounters::default)
}
