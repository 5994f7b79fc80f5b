//! From `tracing` spans and events to spans of the OpenTelemetry SDK.
//!
//! A span named `duty` with fields `duty` and `trace_id` (32 hex digits) is the outermost of a duty and has that trace; one
//! named `step` with field `step` is a step. Log lines become events of the span that they happen in, their errors
//! exceptions.
//!
//! Events of the target [`TRACE`] are no log lines: with a message they are an event of that name, without one their fields
//! become attributes of the span; their field `error` is an exception and the span's status, their field `ended` an
//! exception that leaves the status alone.

use std::{borrow::Cow, fmt};

use opentelemetry::{
    Context as OtelContext, KeyValue, Value,
    trace::{Span as _, SpanBuilder, SpanContext, Status, TraceContextExt as _, TraceId, Tracer as _},
};
use opentelemetry_sdk::trace::Span as SdkSpan;
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    span,
};
use tracing_subscriber::{
    Layer,
    layer::Context,
    registry::{LookupSpan, SpanRef},
};

use super::{NEXT_TRACE, TRACE, Traces, names};
use crate::redact::scrubbed;

/// See the module's description.
pub struct TraceLayer {
    traces: Traces,
}

/// The SDK's span, kept with ours until it closes.
struct Open {
    span: SdkSpan,
    /// Attributes that came later. The SDK would keep all values of one, the last one counts.
    later: Vec<KeyValue>,
}

impl TraceLayer {
    pub(super) const fn new(traces: Traces) -> Self {
        Self { traces }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for TraceLayer {
    fn on_new_span(&self, attrs: &span::Attributes<'_>, id: &span::Id, ctx: Context<'_, S>) {
        let (Some(tracer), Some(span)) = (self.traces.tracer(), ctx.span(id)) else {
            return;
        };
        let mut fields = Fields::default();
        attrs.record(&mut fields);
        let parent = span.scope().skip(1).find_map(|outer| context_of(&outer));
        let (name, attributes, trace) = fields.into_span(attrs.metadata().name());
        let cx = match parent {
            Some(parent) => OtelContext::new().with_remote_span_context(parent),
            None => {
                NEXT_TRACE.set(trace);
                OtelContext::new()
            }
        };
        let made = tracer.build_with_context(SpanBuilder::from_name(name).with_attributes(attributes), &cx);
        NEXT_TRACE.set(None);
        span.extensions_mut().replace(Open {
            span: made,
            later: Vec::new(),
        });
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(id) else { return };
        if let Some(open) = span.extensions_mut().get_mut::<Open>() {
            let mut fields = Fields::default();
            values.record(&mut fields);
            open.tell(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        let holds_one = |span: &SpanRef<'_, S>| span.extensions().get::<Open>().is_some();
        let Some(span) = ctx.event_scope(event).and_then(|mut scope| scope.find(holds_one)) else {
            return;
        };
        let mut fields = Fields::default();
        event.record(&mut fields);
        let level = match *event.metadata().level() {
            tracing::Level::ERROR => "Error",
            tracing::Level::WARN => "Warn",
            tracing::Level::INFO => "Info",
            _ => "Debug",
        };
        if let Some(open) = span.extensions_mut().get_mut::<Open>() {
            if event.metadata().target() == TRACE {
                open.tell(fields);
                return;
            }
            open.span
                .add_event(format!("log.{level}: {}", fields.message), fields.rest);
            if let Some(error) = fields.error {
                open.exception(error);
            }
        }
    }

    fn on_close(&self, id: span::Id, ctx: Context<'_, S>) {
        if let Some(mut open) = ctx.span(&id).and_then(|span| span.extensions_mut().remove::<Open>()) {
            open.span.set_attributes(open.later);
            open.span.end();
        }
    }
}

fn context_of<'a, S: LookupSpan<'a>>(span: &SpanRef<'a, S>) -> Option<SpanContext> {
    span.extensions()
        .get::<Open>()
        .map(|open| open.span.span_context().clone())
}

impl Open {
    /// Takes what is meant for this span alone.
    fn tell(&mut self, mut fields: Fields) {
        let ended = fields.take("ended");
        if fields.message.is_empty() {
            for attribute in fields.rest {
                self.later.retain(|known| known.key != attribute.key);
                self.later.push(attribute);
            }
        } else {
            self.span.add_event(fields.message, fields.rest);
        }
        if let Some(error) = fields.error {
            self.exception(error.clone());
            self.span.set_status(Status::error(error));
        }
        if let Some(ended) = ended {
            self.exception(ended);
        }
    }

    fn exception(&mut self, error: String) {
        let message = KeyValue::new("exception.message", error);
        self.span.add_event("exception", vec![message]);
    }
}

/// What a span or an event says.
#[derive(Default)]
struct Fields {
    message: String,
    error: Option<String>,
    rest: Vec<KeyValue>,
}

impl Fields {
    /// Name, attributes and prescribed trace of a span.
    fn into_span(mut self, name: &'static str) -> (Cow<'static, str>, Vec<KeyValue>, Option<TraceId>) {
        if name == "duty"
            && let Some(duty) = self.take("duty")
        {
            let trace = self.take("trace_id").and_then(|t| TraceId::from_hex(&t).ok());
            let name = names::of_duty(&duty);
            self.rest.push(KeyValue::new("service.instance.id", duty));
            return (name.into(), self.rest, trace);
        }
        if name == "step"
            && let Some(step) = self.take("step")
        {
            return (names::of_step(&step).into(), self.rest, None);
        }
        (names::of_other(name).into(), self.rest, None)
    }

    /// Removes a field and returns its text.
    fn take(&mut self, name: &str) -> Option<String> {
        let place = self.rest.iter().position(|field| field.key.as_str() == name)?;
        Some(self.rest.remove(place).value.to_string())
    }

    fn put_text(&mut self, field: &Field, text: &str) {
        let text = scrubbed(text).into_owned();
        match field.name() {
            "message" => self.message = text,
            "error" | "err" => self.error = Some(text),
            name => self.rest.push(KeyValue::new(name, text)),
        }
    }

    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.rest.push(KeyValue::new(field.name(), value.into()));
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        // The protocol has no larger numbers.
        match i64::try_from(value) {
            Ok(value) => self.put(field, value),
            Err(_) => self.put_text(field, &value.to_string()),
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put_text(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put_text(field, &value.to_string());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put_text(field, &format!("{value:?}"));
    }
}
