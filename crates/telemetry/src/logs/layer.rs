//! From a `tracing` event to a line.

use std::fmt;

use jiff::{Timestamp, tz::TimeZone};
use serde_json::Value;
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

use super::{
    LogFormat, Sink,
    counters::log_counters,
    record::{Level, Record},
    topic::topic_of,
};
use crate::redact::scrubbed;

/// Writes each event as a line to its sink, and counts warnings and errors.
pub struct Stderr {
    format: LogFormat,
    color: bool,
    sink: Sink,
    counts: bool,
}

/// Fields of a span, kept until it closes.
struct SpanFields(Fields);

#[derive(Default, Clone)]
struct Fields {
    message: String,
    error: Option<String>,
    topic: Option<String>,
    rest: Vec<(String, Value)>,
}

impl Stderr {
    pub(crate) fn new(format: LogFormat, color: bool, sink: Sink) -> Self {
        Self {
            format,
            color,
            sink,
            counts: true,
        }
    }

    /// Like [`Stderr::new`], for a second place of the same lines.
    pub(crate) fn uncounted(format: LogFormat, color: bool, sink: Sink) -> Self {
        Self {
            format,
            color,
            sink,
            counts: false,
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Stderr {
    fn on_new_span(&self, attrs: &span::Attributes<'_>, id: &span::Id, ctx: Context<'_, S>) {
        if let Some(span) = ctx.span(id) {
            let mut fields = Fields::default();
            attrs.record(&mut fields);
            span.extensions_mut().replace(SpanFields(fields));
        }
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, ctx: Context<'_, S>) {
        if let Some(span) = ctx.span(id)
            && let Some(SpanFields(fields)) = span.extensions_mut().get_mut::<SpanFields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        for span in ctx.event_scope(event).into_iter().flatten() {
            if let Some(SpanFields(outer)) = span.extensions().get::<SpanFields>() {
                fields.add_outer(outer);
            }
        }
        let record = fields.into_record(event.metadata(), Timestamp::now());
        if self.counts {
            log_counters().count(record.level, record.topic.as_deref().unwrap_or_default());
        }
        match &self.sink {
            Sink::Loki(loki) => loki.push(&record.pushed()),
            sink => sink.write(&record.render(self.format, self.color)),
        }
    }
}

impl Fields {
    fn put(&mut self, name: &str, value: Value) {
        let text = |value: Value| match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        let value = match value {
            Value::String(text) => Value::String(scrubbed(&text).into_owned()),
            other => other,
        };
        match name {
            "message" => self.message = text(value),
            "error" | "err" => self.error = Some(text(value)),
            "topic" => self.topic = Some(text(value)),
            _ => match self.rest.iter_mut().find(|(n, _)| n == name) {
                Some((_, old)) => *old = value,
                None => self.rest.push((name.to_owned(), value)),
            },
        }
    }

    /// Fields of a span come after those of what happened inside; a name that is there already keeps its value.
    fn add_outer(&mut self, outer: &Self) {
        for (name, value) in &outer.rest {
            if !self.rest.iter().any(|(n, _)| n == name) {
                self.rest.push((name.clone(), value.clone()));
            }
        }
        if self.topic.is_none() {
            self.topic.clone_from(&outer.topic);
        }
    }

    fn into_record(self, meta: &Metadata<'_>, now: Timestamp) -> Record {
        let level = match *meta.level() {
            tracing::Level::ERROR => Level::Error,
            tracing::Level::WARN => Level::Warn,
            tracing::Level::INFO => Level::Info,
            _ => Level::Debug,
        };
        let msg = match self.error {
            Some(error) => format!("{}: {error}", self.message),
            None => self.message,
        };
        Record {
            level,
            clock: now.to_zoned(TimeZone::system()).strftime("%H:%M:%S%.3f").to_string(),
            ts: now.to_string(),
            caller: caller(meta),
            msg,
            stack: None,
            fields: self.rest,
            topic: self
                .topic
                .or_else(|| Some(topic_of(meta.target()).to_owned()))
                .filter(|t| !t.is_empty()),
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), Value::from(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), Value::from(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), Value::from(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), Value::from(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), Value::from(value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field.name(), Value::from(chain(value)));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field.name(), Value::from(format!("{value:?}")));
    }
}

/// `outer: inner`, leaving out what the outer text already says.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let part = inner.to_string();
        if !text.contains(&part) {
            text = format!("{text}: {part}");
        }
        cause = inner.source();
    }
    text
}

/// The last folder and the file, as in `src/layer.rs:42`.
fn caller(meta: &Metadata<'_>) -> String {
    let (Some(file), Some(line)) = (meta.file(), meta.line()) else {
        return String::new();
    };
    let mut parts = file.rsplit('/');
    match (parts.next(), parts.next()) {
        (Some(name), Some("src")) => {
            // Every crate has a `src`; its folder above says more.
            let folder = parts.next().unwrap_or("src");
            format!("{folder}/{name}:{line}")
        }
        (Some(name), Some(folder)) => format!("{folder}/{name}:{line}"),
        (name, _) => format!("{}:{line}", name.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    fn lines(format: LogFormat, log: impl FnOnce()) -> String {
        let memory = Arc::new(Mutex::new(Vec::new()));
        let layer = Stderr::uncounted(format, false, Sink::Memory(Arc::clone(&memory)));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        let bytes = memory.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn console_line_has_level_topic_message_and_fields() {
        let text = lines(LogFormat::Console, || {
            tracing::info!(topic = "sched", slot = 3_u64, "Slot ticked")
        });
        let (clock, rest) = text.split_once(' ').unwrap();
        assert_eq!(clock.len(), "15:04:05.000".len());
        assert_eq!(
            rest,
            "INFO sched      Slot ticked                              {\"slot\": 3}\n"
        );
    }

    #[test]
    fn error_becomes_part_of_the_message_with_its_causes() {
        #[derive(Debug, thiserror::Error)]
        #[error("reading x")]
        struct Outer(#[source] io::Error);
        let error = Outer(io::Error::other("disk gone"));
        let text = lines(LogFormat::Json, || {
            tracing::warn!(error = &error as &(dyn std::error::Error + 'static), "Cannot go on");
        });
        assert!(text.contains(r#""msg":"Cannot go on: reading x: disk gone""#), "{text}");
        assert!(!text.contains(r#""error""#), "{text}");
    }

    #[test]
    fn fields_and_topic_of_spans_come_after_those_of_the_event() {
        let text = lines(LogFormat::Json, || {
            let outer = tracing::info_span!("duty", topic = "sched", duty = "3/attester", step = "outer");
            let _guard = outer.enter();
            tracing::info!(step = "inner", "Done");
        });
        assert!(
            text.contains(r#""step":"inner","duty":"3/attester","topic":"sched"}"#),
            "{text}"
        );
    }

    #[test]
    fn logfmt_line_ends_with_the_console_line() {
        let text = lines(LogFormat::Logfmt, || {
            tracing::debug!(topic = "app-start", path = "a b", "Opened")
        });
        assert!(text.starts_with("ts=20"), "{text}");
        assert!(
            text.contains(r#" msg=Opened path="a b" topic=app-start pretty="DEBG app-start  Opened"#),
            "{text}"
        );
    }
}
