//! Pushing figures to a monitoring service, for operators without a scraper of their own (VC-112, VC-113).
//!
//! Guarantees: one request per period, which ends in time; a service that is away or refuses is told of in the log and
//! disturbs nothing; its address is shown without what may be a key.
//! Not here: which figures there are (the registry has them; `machine` those of the machine).

use std::{fmt, future::Future, path::PathBuf, time::Duration};

use jiff::Timestamp;
use reqwest::header;
use serde_json::{Map, Value, json};
use url::Url;

use crate::{
    machine,
    metrics::{SharedRegistry, exposition, text::Samples},
    redact::redacted,
};

/// From the start to the first push: by then the first duties are known.
const FIRST: Duration = Duration::from_secs(25);
/// Time limit of a push.
const LIMIT: Duration = Duration::from_secs(5);
/// Version of the objects' form.
const FORM: u64 = 1;

/// Figures of the registry and what the service calls them.
const PROCESSOR: &str = "process_cpu_seconds_total";
const MEMORY: &str = "process_resident_memory_bytes";
const VALIDATORS: &str = "cluster_validators";
const ACTIVE: &str = "core_scheduler_validators_active";
const BEACON_NODES: &str = "vc_beacon_nodes_total_count";
const BEACON_NODES_AVAILABLE: &str = "vc_beacon_nodes_available_count";
const LOOKED_AT: [&str; 6] = [
    PROCESSOR,
    MEMORY,
    VALIDATORS,
    ACTIVE,
    BEACON_NODES,
    BEACON_NODES_AVAILABLE,
];

/// Where figures are pushed to, and how often.
#[derive(Clone, PartialEq, Eq)]
pub struct PushConfig {
    /// `--monitoring-endpoint`.
    pub endpoint: Url,
    /// `--monitoring-endpoint-period`.
    pub period: Duration,
}

impl fmt::Debug for PushConfig {
    // The address may hold a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PushConfig")
            .field("endpoint", &redacted(self.endpoint.as_str()))
            .field("period", &self.period)
            .finish()
    }
}

/// Pushes the figures of a node.
#[derive(Debug)]
pub struct Push {
    /// Where and how often.
    pub config: PushConfig,
    /// The node's metrics.
    pub registry: SharedRegistry,
    /// The program's version.
    pub version: String,
    /// When it was built, Unix seconds; 0 if unknown.
    pub build: i64,
    /// A path on the disk that matters.
    pub disk: PathBuf,
}

impl Push {
    /// Pushes for ever. Drop-safe.
    pub async fn run(self) {
        // An error means that a provider is there already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = match reqwest::Client::builder().timeout(LIMIT).build() {
            Ok(client) => client,
            Err(error) => {
                tracing::error!(%error, "Figures cannot be pushed to the monitoring service");
                return;
            }
        };
        each(self.config.period, || self.push(&client)).await;
    }

    async fn push(&self, client: &reqwest::Client) {
        let sent = client
            .post(self.config.endpoint.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .body(self.body().to_string())
            .send()
            .await;
        let why = match sent {
            Ok(answer) if answer.status().is_success() => return,
            Ok(answer) => format!("it answered {}", answer.status()),
            Err(error) => error.without_url().to_string(),
        };
        tracing::warn!(
            address = redacted(self.config.endpoint.as_str()),
            error = why,
            "Figures could not be pushed to the monitoring service"
        );
    }

    /// One object for the process and one for the machine.
    fn body(&self) -> Value {
        let text = exposition(&self.registry).unwrap_or_default();
        let samples = Samples::read(&text, |name| LOOKED_AT.contains(&name));
        let figure = |name: &str| samples.of(name).first().map_or(0, |s| whole(s.value));
        let timestamp = Timestamp::now().as_millisecond();
        let common = |process: &str, more: Map<String, Value>| {
            let mut object = Map::from_iter([
                ("version".to_owned(), FORM.into()),
                ("timestamp".to_owned(), timestamp.into()),
                ("process".to_owned(), process.into()),
            ]);
            object.extend(more);
            Value::Object(object)
        };
        let validator = json!({
            "cpu_process_seconds_total": figure(PROCESSOR),
            "memory_process_bytes": figure(MEMORY),
            "client_name": "trireme",
            "client_version": self.version,
            "client_build": self.build,
            "validator_total": figure(VALIDATORS),
            "validator_active": figure(ACTIVE),
            "sync_eth2_fallback_configured": figure(BEACON_NODES) > 1,
            "sync_eth2_fallback_connected": figure(BEACON_NODES_AVAILABLE) > 1,
        });
        let Value::Object(validator) = validator else {
            return Value::Null;
        };
        Value::Array(vec![
            common("validator", validator),
            common("system", machine::figures(&self.disk)),
        ])
    }
}

/// The number without its fraction; what is none is 0.
fn whole(value: f64) -> u64 {
    format!("{:.0}", value.max(0.0).floor()).parse().unwrap_or_default()
}

/// Calls for the first time when the process has got going, then after each period.
async fn each<F: Future<Output = ()>>(period: Duration, call: impl Fn() -> F) {
    let mut at = tokio::time::Instant::now() + FIRST;
    loop {
        tokio::time::sleep_until(at).await;
        call().await;
        at += period;
    }
}

#[cfg(test)]
mod tests;
