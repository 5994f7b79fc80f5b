//! From `tracing` spans and events to spans of the OpenTelemetry SDK.
//!
//! A span named `duty` with fields `duty` and `trace_id` (32 hex digits) is the outermost of a duty and has that trace; one
//! named `step` with field `step` is a step. Events become events of the span that they happen in, errors besides its
//! status.

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

use super::{NEXT_TRACE, Traces, names};
use crate::redact::scrubbed;

/// See the module's description.
pub struct TraceLayer {
    traces: Traces,
}

/// The SDK's span, kept with ours until it closes.
struct Open(SdkSpan);

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
        let open = tracer.build_with_context(SpanBuilder::from_name(name).with_attributes(attributes), &cx);
        NEXT_TRACE.set(None);
        span.extensions_mut().replace(Open(open));
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(id) else { return };
        if let Some(Open(open)) = span.extensions_mut().get_mut::<Open>() {
            let mut fields = Fields::default();
            values.record(&mut fields);
            if let Some(error) = fields.error.take() {
                fail(open, error);
            }
            open.set_attributes(fields.rest);
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
        if let Some(Open(open)) = span.extensions_mut().get_mut::<Open>() {
            let error = fields.error.take();
            open.add_event(format!("log.{level}: {}", fields.message), fields.rest);
            if let Some(error) = error {
                exception(open, error);
            }
        }
    }

    fn on_close(&self, id: span::Id, ctx: Context<'_, S>) {
        if let Some(Open(mut open)) = ctx.span(&id).and_then(|span| span.extensions_mut().remove::<Open>()) {
            open.end();
        }
    }
}

fn context_of<'a, S: LookupSpan<'a>>(span: &SpanRef<'a, S>) -> Option<SpanContext> {
    span.extensions()
        .get::<Open>()
        .map(|Open(open)| open.span_context().clone())
}

fn exception(open: &mut SdkSpan, error: String) {
    open.add_event("exception", vec![KeyValue::new("exception.message", error)]);
}

fn fail(open: &mut SdkSpan, error: String) {
    exception(open, error.clone());
    open.set_status(Status::error(error));
}

/// What a span or an event says.
#[derive(Default)]
struct Fields {
    message: String,
    error: Option<String>,
    duty: Option<String>,
    step: Option<String>,
    trace: Option<String>,
    rest: Vec<KeyValue>,
}

impl Fields {
    /// Name, attributes and prescribed trace of a span.
    fn into_span(mut self, name: &'static str) -> (Cow<'static, str>, Vec<KeyValue>, Option<TraceId>) {
        match (name, self.duty.take(), self.step.take()) {
            ("duty", Some(duty), _) => {
                let trace = self.trace.and_then(|t| TraceId::from_hex(&t).ok());
                let name = names::of_duty(&duty);
                self.rest.push(KeyValue::new("service.instance.id", duty));
                (name.into(), self.rest, trace)
            }
            ("step", _, Some(step)) => (names::of_step(&step).into(), self.rest, None),
            (_, duty, step) => {
                self.rest.extend(duty.map(|d| KeyValue::new("duty", d)));
                self.rest.extend(step.map(|s| KeyValue::new("step", s)));
                (names::of_other(name).into(), self.rest, None)
            }
        }
    }

    fn put_text(&mut self, field: &Field, text: &str) {
        let text = scrubbed(text).into_owned();
        match field.name() {
            "message" => self.message = text,
            "error" | "err" => self.error = Some(text),
            "duty" => self.duty = Some(text),
            "step" => self.step = Some(text),
            "trace_id" => self.trace = Some(text),
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
