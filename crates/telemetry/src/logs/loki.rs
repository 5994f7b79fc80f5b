//! Pushing log lines to Loki, in batches.
//!
//! Guarantees: nothing is sent before it is known whose lines they are, lines from before are kept; what is kept is bounded
//! (a thousand lines and one batch per address), lines beyond are counted as dropped; a Loki that is away is asked again,
//! ever more rarely; one that refuses a batch loses it. Lines are pushed at debug level, whatever standard error shows.
//! Not here: the text of a line (`record`).

use std::{
    fmt,
    future::Future,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use prost::Message as _;
use reqwest::{StatusCode, header};
use tokio::sync::mpsc;
use url::Url;

use super::counters::log_counters;
use crate::redact::redacted;

/// Lines that wait for a batch, per address.
const LINES: usize = 1_000;
/// Bytes of a line; longer ones are dropped.
const LINE: usize = 4_096;
/// Bytes of a batch.
const BATCH: usize = 5_000_000;
/// How long a line waits for others.
const EVERY: Duration = Duration::from_millis(if cfg!(test) { 20 } else { 1_000 });
/// Time limit of a push.
const LIMIT: Duration = Duration::from_secs(10);
/// Time limit of the last push of a node that stops.
const LAST: Duration = Duration::from_secs(2);
/// The first and the longest wait before a push is tried again.
const WAITS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// `--loki-*`.
#[derive(Clone, PartialEq, Eq)]
pub struct LokiConfig {
    /// `--loki-addresses`: push URLs, used as they are.
    pub addresses: Vec<Url>,
    /// `--loki-service`: the label `service`.
    pub service: String,
}

impl fmt::Debug for LokiConfig {
    // Addresses may hold credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses: Vec<_> = self.addresses.iter().map(|a| redacted(a.as_str())).collect();
        f.debug_struct("LokiConfig")
            .field("addresses", &addresses)
            .field("service", &self.service)
            .finish()
    }
}

/// An address and the lines that wait for it.
type Waiting = (Url, mpsc::Receiver<Entry>);

/// The way to Loki. Clones are the same way.
#[derive(Clone)]
pub struct Loki {
    config: Arc<LokiConfig>,
    queues: Arc<Vec<mpsc::Sender<Entry>>>,
    waiting: Arc<Mutex<Vec<Waiting>>>,
}

impl fmt::Debug for Loki {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.config.fmt(f)
    }
}

impl Loki {
    /// A way on which lines wait until [`Loki::pushers`] has been called.
    #[must_use]
    pub fn new(config: LokiConfig) -> Self {
        let (queues, waiting) = config
            .addresses
            .iter()
            .map(|address| {
                let (tx, rx) = mpsc::channel(LINES);
                (tx, (address.clone(), rx))
            })
            .unzip();
        Self {
            config: Arc::new(config),
            queues: Arc::new(queues),
            waiting: Arc::new(Mutex::new(waiting)),
        }
    }

    /// One pusher for each address, to be run as tasks; none if called again. `labels` say whose lines they are.
    #[must_use]
    pub fn pushers(&self, labels: &[(&str, &str)]) -> Vec<Pusher> {
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        let labels = label_text(&self.config.service, labels);
        waiting
            .into_iter()
            .map(|(address, lines)| Pusher {
                address,
                labels: labels.clone(),
                lines,
                batch: Vec::new(),
                size: 0,
            })
            .collect()
    }

    pub(super) fn push(&self, line: &str) {
        let line = line.trim_end_matches('\n');
        for queue in self.queues.iter() {
            let entry = Entry {
                timestamp: Some(Time::now()),
                line: line.to_owned(),
            };
            if line.len() > LINE || queue.try_send(entry).is_err() {
                log_counters().dropped.inc();
            }
        }
    }
}

/// `{service="…",cluster_hash="…",…}`
fn label_text(service: &str, labels: &[(&str, &str)]) -> String {
    let escaped = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let service = [("service", service)];
    let all = service.iter().chain(labels);
    let pairs: Vec<_> = all
        .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
        .collect();
    format!("{{{}}}", pairs.join(","))
}

/// Pushes the lines of one address.
pub struct Pusher {
    address: Url,
    labels: String,
    lines: mpsc::Receiver<Entry>,
    /// What has been collected and not been pushed.
    batch: Vec<Entry>,
    size: usize,
}

impl Pusher {
    /// Pushes until `stop` ends, then what is left, once.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        // An error means that a provider is there already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = match reqwest::Client::builder().timeout(LIMIT).build() {
            Ok(client) => client,
            Err(error) => {
                tracing::error!(%error, "Log lines cannot be pushed to Loki");
                return;
            }
        };
        let mut stop = pin!(stop);
        tokio::select! { biased;
            () = &mut stop => {}
            () = self.push_all(&client) => {}
        }
        while let Ok(entry) = self.lines.try_recv() {
            self.add(entry);
        }
        if !self.batch.is_empty() {
            let _last_chance = tokio::time::timeout(LAST, self.push(&client)).await;
        }
    }

    /// Pushes batch after batch for ever. Drop-safe.
    async fn push_all(&mut self, client: &reqwest::Client) {
        loop {
            self.collect().await;
            let (mut wait, mut told) = (WAITS.0, false);
            while let Err(error) = self.push(client).await {
                if !told {
                    told = true;
                    tracing::warn!(
                        address = redacted(self.address.as_str()),
                        error = error.text,
                        "Log lines cannot be pushed to Loki; they are kept as long as there is room"
                    );
                }
                if error.refused {
                    let n = u64::try_from(self.batch.len()).unwrap_or(u64::MAX);
                    log_counters().dropped.inc_by(n);
                    break;
                }
                tokio::time::sleep(wait).await;
                wait = wait.saturating_mul(2).min(WAITS.1);
            }
            self.batch.clear();
            self.size = 0;
        }
    }

    /// The next batch: what comes within a second of its first line. Drop-safe.
    async fn collect(&mut self) {
        let Some(first) = self.lines.recv().await else {
            return std::future::pending().await;
        };
        self.add(first);
        let until = tokio::time::Instant::now() + EVERY;
        while self.size < BATCH.saturating_sub(LINE) {
            match tokio::time::timeout_at(until, self.lines.recv()).await {
                Ok(Some(entry)) => self.add(entry),
                Ok(None) | Err(_) => break,
            }
        }
    }

    fn add(&mut self, entry: Entry) {
        self.size = self.size.saturating_add(entry.line.len());
        self.batch.push(entry);
    }

    async fn push(&self, client: &reqwest::Client) -> Result<(), NotPushed> {
        let request = PushRequest {
            streams: vec![Stream {
                labels: self.labels.clone(),
                entries: self.batch.clone(),
            }],
        };
        let body = snap::raw::Encoder::new()
            .compress_vec(&request.encode_to_vec())
            .map_err(|e| NotPushed {
                refused: true,
                text: e.to_string(),
            })?;
        let sent = client
            .post(self.address.clone())
            .header(header::CONTENT_TYPE, "application/x-protobuf")
            .body(body)
            .send()
            .await;
        match sent {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(NotPushed {
                refused: answer.status().is_client_error() && answer.status() != StatusCode::TOO_MANY_REQUESTS,
                text: format!("it answered {}", answer.status()),
            }),
            Err(error) => Err(NotPushed {
                refused: false,
                text: error.without_url().to_string(),
            }),
        }
    }
}

struct NotPushed {
    /// Trying again cannot help.
    refused: bool,
    text: String,
}

/// Loki's `PushRequest`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
struct PushRequest {
    #[prost(message, repeated, tag = "1")]
    streams: Vec<Stream>,
}

/// Lines with the same labels.
#[derive(Clone, PartialEq, Eq, prost::Message)]
struct Stream {
    #[prost(string, tag = "1")]
    labels: String,
    #[prost(message, repeated, tag = "2")]
    entries: Vec<Entry>,
}

/// One line.
#[derive(Clone, PartialEq, Eq, prost::Message)]
struct Entry {
    #[prost(message, optional, tag = "1")]
    timestamp: Option<Time>,
    #[prost(string, tag = "2")]
    line: String,
}

/// `google.protobuf.Timestamp`.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
struct Time {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

impl Time {
    fn now() -> Self {
        let now = Timestamp::now();
        Self {
            seconds: now.as_second(),
            nanos: now.subsec_nanosecond(),
        }
    }
}

#[cfg(test)]
mod tests;
