//! Traces over OTLP (gRPC): every span of ours, sent in batches by a thread of the SDK.
//!
//! Guarantees: nothing is recorded until [`Traces::start`] has said whose traces they are, and nothing costs anything
//! unless the layer is installed; all nodes of a cluster give a duty the same trace; a collector that is down costs spans,
//! never memory (the queue is bounded) or time of a duty; headers are not shown.
//! Not here: which spans there are (docs/traces.md).

mod layer;
mod memory;
mod names;

use std::{
    cell::Cell,
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::{
    KeyValue,
    trace::{SpanId, TraceId, TracerProvider as _},
};
use opentelemetry_otlp::{
    WithExportConfig as _, WithTonicConfig as _,
    tonic_types::{metadata::MetadataMap, transport::ClientTlsConfig},
};
use opentelemetry_sdk::{
    Resource,
    trace::{
        BatchConfigBuilder, BatchSpanProcessor, IdGenerator, RandomIdGenerator, Sampler, SdkTracer, SdkTracerProvider,
        SimpleSpanProcessor, SpanProcessor,
    },
};

pub use layer::TraceLayer;
pub use memory::{Memory, Seen};

/// Spans that wait to be sent; more are dropped.
const QUEUE: usize = 8_192;
/// Spans sent at once.
const BATCH: usize = 512;
/// Events of a span; more are dropped. An instance of consensus tells of every round, and may have a hundred of them.
const EVENTS: u32 = 1_024;
/// Time between sendings.
const EVERY: Duration = Duration::from_secs(5);
/// Time limit of a sending.
const LIMIT: Duration = Duration::from_secs(5);
/// Time limit of the last one.
const LAST: Duration = Duration::from_secs(2);
/// Who makes the spans.
const SCOPE: &str = "trireme";

/// The target of spans and events that are for traces alone: no log shows them, so that where there are no traces they are
/// not even made.
pub(crate) const TRACE: &str = "otel";

/// `--otlp-*`.
#[derive(Clone, PartialEq, Eq)]
pub struct TraceConfig {
    /// `--otlp-address`: `host:port` or a URL.
    pub address: String,
    /// `--otlp-headers`: sent with every batch.
    pub headers: Vec<(String, String)>,
    /// `--otlp-insecure`: without TLS.
    pub insecure: bool,
    /// `--otlp-service-name`: follows the cluster's hash in the name of the service.
    pub service_name: String,
}

impl fmt::Debug for TraceConfig {
    // Headers hold credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TraceConfig")
            .field("address", &crate::redact::scrubbed(&self.address))
            .field("headers", &self.headers.len())
            .field("insecure", &self.insecure)
            .field("service_name", &self.service_name)
            .finish()
    }
}

/// Why traces cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TraceError {
    /// The address is of no use.
    #[error("--otlp-address cannot be used: {0}")]
    Address(String),
    /// A header that HTTP does not allow.
    #[error("--otlp-headers: {0:?} is no header")]
    Header(String),
}

struct Started {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

struct Shared {
    config: TraceConfig,
    started: OnceLock<Started>,
}

/// The way to the collector. Clones are the same way.
#[derive(Clone)]
pub struct Traces {
    shared: Arc<Shared>,
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.config.fmt(f)
    }
}

impl Traces {
    /// A way that is not open yet.
    #[must_use]
    pub fn new(config: TraceConfig) -> Self {
        Self {
            shared: Arc::new(Shared {
                config,
                started: OnceLock::new(),
            }),
        }
    }

    /// Begins to record and send; `cluster` is the first 7 hex digits of the lock hash. Within a tokio runtime. Doing so
    /// again changes nothing.
    ///
    /// # Errors
    ///
    /// If the settings cannot be used. A collector that does not answer is no error.
    pub fn start(&self, cluster: &str) -> Result<(), TraceError> {
        let config = &self.shared.config;
        let mut headers = HeaderMap::new();
        for (name, value) in &config.headers {
            let bad = || TraceError::Header(name.clone());
            let name = HeaderName::try_from(name.to_lowercase()).map_err(|_| bad())?;
            headers.insert(name, HeaderValue::try_from(value).map_err(|_| bad())?);
        }
        let mut exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_tonic()
            .with_endpoint(endpoint(config))
            .with_timeout(LIMIT)
            .with_metadata(MetadataMap::from_headers(headers));
        if !config.insecure {
            exporter = exporter.with_tls_config(ClientTlsConfig::new().with_native_roots());
        }
        let exporter = exporter.build().map_err(|e| TraceError::Address(e.to_string()))?;
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(EVERY)
            .build();
        let processor = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
        self.start_with(processor, cluster);
        Ok(())
    }

    /// Begins to record, as [`Traces::start`] does, and keeps everything in memory: for tests, as nothing bounds it.
    #[must_use]
    pub fn remember(&self, cluster: &str) -> Memory {
        let memory = Memory::default();
        self.start_with(SimpleSpanProcessor::new(memory.clone()), cluster);
        memory
    }

    fn start_with(&self, processor: impl SpanProcessor + 'static, cluster: &str) {
        let service = format!("{cluster}/{}", self.shared.config.service_name);
        let provider = SdkTracerProvider::builder()
            .with_span_processor(processor)
            .with_sampler(Sampler::AlwaysOn)
            .with_max_events_per_span(EVENTS)
            .with_id_generator(Ids::default())
            .with_resource(
                Resource::builder_empty()
                    .with_attribute(KeyValue::new("service.name", service))
                    .build(),
            )
            .build();
        let tracer = provider.tracer(SCOPE);
        if self.shared.started.set(Started { provider, tracer }).is_err() {
            tracing::debug!("Traces are being sent already");
        }
    }

    /// The layer that records.
    #[must_use]
    pub fn layer(&self) -> TraceLayer {
        TraceLayer::new(self.clone())
    }

    /// Sends what is left and ends; takes two seconds if the collector does not answer, so not for async code.
    pub fn stop(&self) {
        if let Some(started) = self.shared.started.get()
            && let Err(error) = started.provider.shutdown_with_timeout(LAST)
        {
            tracing::debug!(%error, "The last traces could not be sent");
        }
    }

    fn tracer(&self) -> Option<&SdkTracer> {
        self.shared.started.get().map(|s| &s.tracer)
    }
}

fn endpoint(config: &TraceConfig) -> String {
    if config.address.contains("://") {
        return config.address.clone();
    }
    let scheme = if config.insecure { "http" } else { "https" };
    format!("{scheme}://{}", config.address)
}

thread_local! {
    /// The trace of the next span without parent that this thread makes.
    static NEXT_TRACE: Cell<Option<TraceId>> = const { Cell::new(None) };
}

/// Random identifiers, but for traces that are prescribed.
#[derive(Debug, Default)]
struct Ids(RandomIdGenerator);

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        NEXT_TRACE.take().unwrap_or_else(|| self.0.new_trace_id())
    }

    fn new_span_id(&self) -> SpanId {
        self.0.new_span_id()
    }
}

#[cfg(test)]
mod tests;
