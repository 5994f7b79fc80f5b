use std::sync::Mutex;

use opentelemetry::trace::Status;
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SimpleSpanProcessor, SpanData, SpanExporter},
};
use tracing_subscriber::layer::SubscriberExt as _;

use super::*;

#[derive(Debug, Clone, Default)]
struct Kept(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Kept {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}

fn config() -> TraceConfig {
    TraceConfig {
        address: "collector:4317".into(),
        headers: vec![("authorization".into(), "Basic secret".into())],
        insecure: true,
        service_name: "charon".into(),
    }
}

/// The spans that are made, in the order in which they end.
fn spans(make: impl FnOnce()) -> Vec<SpanData> {
    let traces = Traces::new(config());
    let kept = Kept::default();
    traces.start_with(SimpleSpanProcessor::new(kept.clone()), "abcdef0");
    tracing::subscriber::with_default(tracing_subscriber::registry().with(traces.layer()), make);
    std::mem::take(&mut *kept.0.lock().unwrap())
}

const TRACE_ID: &str = "22641bd2cffb591dab359335495d6d42";

#[test]
fn a_duty_has_the_prescribed_trace_and_no_parent_and_its_steps_are_in_it() {
    let spans = spans(|| {
        let duty = tracing::info_span!("duty", duty = %"123/attester", trace_id = TRACE_ID);
        let step = tracing::debug_span!(parent: &duty, "step", step = "fetcher.fetch");
        step.in_scope(|| tracing::info!(n = 3_u64, "Fetched"));
    });
    let [step, duty] = &spans[..] else { panic!("{spans:?}") };
    assert_eq!(duty.name, "core/duty.attester");
    assert_eq!(duty.span_context.trace_id().to_string(), TRACE_ID);
    assert_eq!(duty.parent_span_id, SpanId::INVALID);
    assert_eq!(duty.attributes, [KeyValue::new("service.instance.id", "123/attester")]);
    assert_eq!(step.name, "core/fetcher.Fetch");
    assert_eq!(step.span_context.trace_id().to_string(), TRACE_ID);
    assert_eq!(step.parent_span_id, duty.span_context.span_id());
    let [event] = &step.events[..] else {
        panic!("{:?}", step.events)
    };
    assert_eq!(event.name, "log.Info: Fetched");
    assert_eq!(event.attributes, [KeyValue::new("n", 3)]);
}

#[test]
fn two_duties_on_one_thread_do_not_share_a_trace() {
    let spans = spans(|| {
        drop(tracing::info_span!("duty", duty = "1/attester", trace_id = TRACE_ID));
        drop(tracing::info_span!(
            "duty",
            duty = "1/proposer",
            trace_id = "0000000000000000000000000000000a"
        ));
        drop(tracing::info_span!("something else"));
    });
    let traces: Vec<_> = spans.iter().map(|s| s.span_context.trace_id().to_string()).collect();
    assert_eq!(traces[0], TRACE_ID);
    assert_eq!(traces[1], "0000000000000000000000000000000a");
    assert!(traces[2] != traces[0] && traces[2] != traces[1]);
}

#[test]
fn an_error_is_the_status_of_its_span_and_an_exception_in_it() {
    let spans = spans(|| {
        let step = tracing::debug_span!("step", step = "bcast.broadcast", error = tracing::field::Empty);
        step.record("error", "refused");
    });
    let [step] = &spans[..] else { panic!("{spans:?}") };
    assert_eq!(step.status, Status::error("refused"));
    let [event] = &step.events[..] else {
        panic!("{:?}", step.events)
    };
    assert_eq!(event.name, "exception");
    assert_eq!(event.attributes, [KeyValue::new("exception.message", "refused")]);
}

#[test]
fn what_is_for_traces_alone_is_an_event_by_its_name_or_attributes_of_which_the_last_value_counts() {
    let spans = spans(|| {
        let span = tracing::debug_span!(target: TRACE, "qbft");
        tracing::debug!(target: TRACE, parent: &span, round = 1);
        tracing::debug!(target: TRACE, parent: &span, round = 1, new_round = 2, "Round Changed");
        tracing::debug!(target: TRACE, parent: &span, round = 2);
    });
    let [span] = &spans[..] else { panic!("{spans:?}") };
    assert_eq!((&*span.name, &span.status), ("core/qbft.runInstance", &Status::Unset));
    assert_eq!(span.attributes, [KeyValue::new("round", 2)]);
    let [event] = &span.events[..] else {
        panic!("{:?}", span.events)
    };
    assert_eq!(event.name, "Round Changed");
    assert_eq!(
        event.attributes,
        [KeyValue::new("round", 1), KeyValue::new("new_round", 2)]
    );
}

#[test]
fn time_that_is_over_is_an_exception_and_no_error() {
    let spans = spans(|| {
        let span = tracing::debug_span!(target: TRACE, "core/aggsigdb.Await");
        tracing::debug!(target: TRACE, parent: &span, ended = %"the duty has expired");
        drop(span);
        let span = tracing::debug_span!(target: TRACE, "core/parsigex.Handle");
        tracing::debug!(target: TRACE, parent: &span, error = %"a signature is wrong");
    });
    let statuses: Vec<_> = spans.iter().map(|s| s.status.clone()).collect();
    assert_eq!(statuses, [Status::Unset, Status::error("a signature is wrong")]);
    let said: Vec<_> = spans
        .iter()
        .flat_map(|s| s.events.iter())
        .map(|e| e.attributes.clone())
        .collect();
    assert_eq!(
        said,
        [
            [KeyValue::new("exception.message", "the duty has expired")],
            [KeyValue::new("exception.message", "a signature is wrong")]
        ]
    );
    assert!(
        spans
            .iter()
            .flat_map(|s| s.events.iter())
            .all(|e| e.name == "exception")
    );
}

#[test]
fn a_lines_fields_are_attributes_also_those_that_make_names_of_spans() {
    let spans = spans(|| {
        let duty = tracing::info_span!("duty", duty = %"123/attester", trace_id = TRACE_ID);
        tracing::warn!(parent: &duty, duty = %"123/attester", step = "dutydb.store", error = "full", "It stays");
    });
    let [duty] = &spans[..] else { panic!("{spans:?}") };
    let [line, exception] = &duty.events[..] else {
        panic!("{:?}", duty.events)
    };
    assert_eq!(line.name, "log.Warn: It stays");
    let fields = [
        KeyValue::new("duty", "123/attester"),
        KeyValue::new("step", "dutydb.store"),
    ];
    assert_eq!(line.attributes, fields);
    assert_eq!(exception.attributes, [KeyValue::new("exception.message", "full")]);
    assert_eq!(duty.status, Status::Unset);
}

#[test]
fn credentials_do_not_leave_the_node() {
    let spans = spans(|| {
        let span = tracing::info_span!("ask", url = "http://user:secret@bn:5052/eth?key=secret");
        span.in_scope(|| {
            tracing::warn!(
                error = "GET https://user:secret@bn/x failed",
                "asking http://a:secret@bn"
            )
        });
    });
    let text = format!("{spans:?}");
    assert!(!text.contains("secret"), "{text}");
    assert!(text.contains("bn:5052/eth"), "{text}");
    assert!(!format!("{:?}", Traces::new(config())).contains("secret"));
}

#[test]
fn nothing_is_recorded_before_the_start() {
    let traces = Traces::new(config());
    tracing::subscriber::with_default(tracing_subscriber::registry().with(traces.layer()), || {
        let span = tracing::info_span!("duty", duty = "1/attester", trace_id = TRACE_ID);
        span.in_scope(|| tracing::info!("x"));
    });
    traces.stop();
}

#[test]
fn the_address_gets_the_scheme_that_the_settings_ask_for() {
    assert_eq!(endpoint(&config()), "http://collector:4317");
    let secure = TraceConfig {
        insecure: false,
        ..config()
    };
    assert_eq!(endpoint(&secure), "https://collector:4317");
    let given = TraceConfig {
        address: "http://x:1".into(),
        ..secure
    };
    assert_eq!(endpoint(&given), "http://x:1");
}

#[tokio::test]
async fn a_header_that_http_does_not_allow_is_named() {
    let bad = TraceConfig {
        headers: vec![("a b".into(), "c".into())],
        ..config()
    };
    assert_eq!(Traces::new(bad).start("abcdef0"), Err(TraceError::Header("a b".into())));
}
