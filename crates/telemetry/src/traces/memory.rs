//! Spans as a test looks at them: texts and numbers, none of the SDK's types.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use opentelemetry::{
    KeyValue,
    trace::{SpanId, Status},
};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SpanData, SpanExporter},
};

/// A span that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its name.
    pub name: String,
    /// 32 hex digits.
    pub trace: String,
    /// 16 hex digits.
    pub id: String,
    /// The same of the span around it; `None` for the outermost.
    pub parent: Option<String>,
    /// Attributes as texts.
    pub attributes: BTreeMap<String, String>,
    /// Names of events with their attributes, in order.
    pub events: Vec<(String, BTreeMap<String, String>)>,
    /// The status, if it is an error.
    pub error: Option<String>,
}

/// All spans that have ended. Clones are the same memory.
#[derive(Debug, Clone, Default)]
pub struct Memory(Arc<Mutex<Vec<Seen>>>);

impl Memory {
    /// The spans in the order in which they ended.
    #[must_use]
    pub fn spans(&self) -> Vec<Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl SpanExporter for Memory {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(batch.into_iter().map(Seen::from));
        Ok(())
    }
}

impl From<SpanData> for Seen {
    fn from(span: SpanData) -> Self {
        let events = span.events.iter();
        Self {
            name: span.name.to_string(),
            trace: span.span_context.trace_id().to_string(),
            id: span.span_context.span_id().to_string(),
            parent: (span.parent_span_id != SpanId::INVALID).then(|| span.parent_span_id.to_string()),
            attributes: texts(&span.attributes),
            events: events.map(|e| (e.name.to_string(), texts(&e.attributes))).collect(),
            error: match span.status {
                Status::Error { description } => Some(description.into_owned()),
                Status::Unset | Status::Ok => None,
            },
        }
    }
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |a: &KeyValue| (a.key.to_string(), a.value.to_string());
    attributes.iter().map(text).collect()
}
