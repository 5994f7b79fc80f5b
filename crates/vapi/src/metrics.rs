//! What the validator API counts, under the names that Charon's dashboards use.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use http::StatusCode;
use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use crate::{accept::Encoding, route::path_label};

/// Buckets in seconds, Prometheus' customary ones.
const BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Different values of the label `path`; further ones become `other`, so that no client can fill the memory.
const MAX_PATHS: usize = 256;
/// Longest user agent that is kept, in bytes.
const MAX_USER_AGENT: usize = 128;

type Labels = Vec<(&'static str, String)>;
type Histograms = Family<Labels, Histogram, fn() -> Histogram>;

/// Handles of all metrics; cheap to clone.
#[derive(Debug)]
pub struct Metrics {
    requests: Family<Labels, Counter>,
    errors: Family<Labels, Counter>,
    latency: Histograms,
    proxy_latency: Histograms,
    user_agent: Family<Labels, Gauge>,
    unverified_heads: Counter,
    last_agent: Mutex<String>,
    paths: Mutex<BTreeSet<String>>,
}

impl Metrics {
    /// Registers everything; names are complete, so pass a registry without prefix.
    pub fn register(registry: &mut Registry) -> Self {
        let histograms = || Histograms::new_with_constructor(|| Histogram::new(BUCKETS));
        let m = Self {
            requests: Family::default(),
            errors: Family::default(),
            latency: histograms(),
            proxy_latency: histograms(),
            user_agent: Family::default(),
            unverified_heads: Counter::default(),
            last_agent: Mutex::default(),
            paths: Mutex::default(),
        };
        // The crate adds `_total` to counters itself.
        registry.register(
            "core_validatorapi_request",
            "Requests of validator clients by endpoint and content type",
            m.requests.clone(),
        );
        registry.register(
            "core_validatorapi_request_error",
            "Error answers by endpoint and status",
            m.errors.clone(),
        );
        registry.register(
            "core_validatorapi_request_latency_seconds",
            "Duration of requests by endpoint",
            m.latency.clone(),
        );
        registry.register(
            "core_validatorapi_proxy_request_latency_seconds",
            "Duration of proxied requests by path",
            m.proxy_latency.clone(),
        );
        registry.register(
            "core_validatorapi_vc_user_agent",
            "1 for the user agent seen last",
            m.user_agent.clone(),
        );
        registry.register(
            "core_validatorapi_unverified_head",
            "Roots of heads handed out although no beacon node said that it had verified one",
            m.unverified_heads.clone(),
        );
        m
    }

    /// Makes a series of each metric, so that a list of them shows labels and buckets.
    pub fn touch(&self) {
        self.request("", Encoding::Json);
        self.error("", StatusCode::NOT_FOUND);
        self.latency("", Duration::ZERO);
        self.proxy_latency("", Duration::ZERO);
        self.user_agent(b"x");
    }

    pub(crate) fn unverified_heads(&self) -> Counter {
        self.unverified_heads.clone()
    }

    pub(crate) fn request(&self, endpoint: &'static str, body: Encoding) {
        let labels = vec![
            ("endpoint", endpoint.to_owned()),
            ("content_type", body.mime().to_owned()),
        ];
        self.requests.get_or_create(&labels).inc();
    }

    pub(crate) fn error(&self, endpoint: &'static str, status: StatusCode) {
        let labels = vec![
            ("endpoint", endpoint.to_owned()),
            ("status_code", status.as_str().to_owned()),
        ];
        self.errors.get_or_create(&labels).inc();
    }

    pub(crate) fn latency(&self, endpoint: &'static str, took: Duration) {
        self.latency
            .get_or_create(&vec![("endpoint", endpoint.to_owned())])
            .observe(took.as_secs_f64());
    }

    pub(crate) fn proxy_latency(&self, path: &str, took: Duration) {
        let mut label = path_label(path);
        {
            let mut known = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
            if !known.contains(&label) {
                if known.len() < MAX_PATHS {
                    known.insert(label.clone());
                } else {
                    label = "other".to_owned();
                }
            }
        }
        self.proxy_latency
            .get_or_create(&vec![("path", label)])
            .observe(took.as_secs_f64());
    }

    /// Keeps only this user agent at 1; an empty one changes nothing.
    pub(crate) fn user_agent(&self, raw: &[u8]) {
        let cut = raw.get(..MAX_USER_AGENT).unwrap_or(raw);
        let agent: String = cut.utf8_chunks().map(|c| c.valid()).collect();
        if agent.is_empty() {
            return;
        }
        let mut last = self.last_agent.lock().unwrap_or_else(PoisonError::into_inner);
        if *last != agent {
            self.user_agent.clear();
            self.user_agent
                .get_or_create(&vec![("user_agent", agent.clone())])
                .set(1);
            *last = agent;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(registry: &Registry) -> String {
        let mut out = String::new();
        prometheus_client::encoding::text::encode(&mut out, registry).unwrap();
        out
    }

    #[test]
    fn names_and_labels_are_those_of_the_dashboards() {
        let mut registry = Registry::default();
        let m = Metrics::register(&mut registry);
        m.request("attestation_data", Encoding::Json);
        m.error("proxy", StatusCode::NOT_FOUND);
        m.latency("attestation_data", Duration::from_millis(7));
        m.proxy_latency("/eth/v1/beacon/genesis", Duration::from_millis(7));
        let text = text(&registry);
        for line in [
            r#"core_validatorapi_request_total{endpoint="attestation_data",content_type="application/json"} 1"#,
            r#"core_validatorapi_request_error_total{endpoint="proxy",status_code="404"} 1"#,
            r#"core_validatorapi_request_latency_seconds_bucket{le="0.01",endpoint="attestation_data"} 1"#,
            r#"core_validatorapi_proxy_request_latency_seconds_count{path="eth_v1_beacon_genesis"} 1"#,
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn only_the_last_user_agent_is_shown() {
        let mut registry = Registry::default();
        let m = Metrics::register(&mut registry);
        m.user_agent(b"first");
        m.user_agent(&[&[b'x'; 127][..], "é".as_bytes()].concat());
        m.user_agent(b"");
        let text = text(&registry);
        assert!(!text.contains("first"));
        assert!(
            text.contains(&format!(r#"user_agent="{}"}} 1"#, "x".repeat(127))),
            "{text}"
        );
    }

    #[test]
    fn a_client_cannot_make_labels_without_end() {
        let mut registry = Registry::default();
        let m = Metrics::register(&mut registry);
        for i in 0..MAX_PATHS * 2 {
            m.proxy_latency(&format!("/p{i}"), Duration::ZERO);
        }
        assert_eq!(text(&registry).matches("seconds_count").count(), MAX_PATHS + 1);
    }
}
