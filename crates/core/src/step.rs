//! One wrapper for every step of a duty: span, timing, tracker record, retry, running in the background.
//!
//! Guarantees: every attempt is recorded once with its result; a background step ends by success, a permanent error, the
//! duty's deadline or the node's stop, whichever comes first; watching a duty never slows it (a full queue drops records
//! and counts them).
//! Not here: which step follows which (`wire`), what a failure means (`tracker`).

use std::{
    error::Error,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::future::BoxFuture;
use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use tokio::sync::mpsc;
use tracing::{Instrument as _, Span};
use trireme_eth2::Root;

use crate::{
    backoff,
    cx::DutyCx,
    duty::Duty,
    ids::{PubKey, ShareIdx},
    life::Life,
    metrics::{self, StepLabel},
    ports::{Clock, Entropy},
    spans::{self, TRACE},
    time::{SlotTiming, UnixTime},
};

/// Every step there is. The text is span name, metric label and tracker key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StepName {
    /// `fetcher.fetch`
    FetcherFetch,
    /// `consensus.participate`
    ConsensusParticipate,
    /// `consensus.propose`
    ConsensusPropose,
    /// `dutydb.store`
    DutyDbStore,
    /// `parsigdb.store_internal`
    ParSigDbStoreInternal,
    /// `parsigex.broadcast`
    ParSigExBroadcast,
    /// `parsigdb.store_external`
    ParSigDbStoreExternal,
    /// `sigagg.aggregate`
    SigAggAggregate,
    /// `aggsigdb.store`
    AggSigDbStore,
    /// `bcast.broadcast`
    BcastBroadcast,
    /// `priority.propose`
    PriorityPropose,
    /// `infosync.store`
    InfoSyncStore,
    /// `inclusion.learn`; the inclusion checker hears what is sent.
    InclusionLearn,
    /// `inclusion.check`; no subscriber, the inclusion checker records it itself.
    InclusionCheck,
}

impl StepName {
    /// The fixed `component.action` text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FetcherFetch => "fetcher.fetch",
            Self::ConsensusParticipate => "consensus.participate",
            Self::ConsensusPropose => "consensus.propose",
            Self::DutyDbStore => "dutydb.store",
            Self::ParSigDbStoreInternal => "parsigdb.store_internal",
            Self::ParSigExBroadcast => "parsigex.broadcast",
            Self::ParSigDbStoreExternal => "parsigdb.store_external",
            Self::SigAggAggregate => "sigagg.aggregate",
            Self::AggSigDbStore => "aggsigdb.store",
            Self::BcastBroadcast => "bcast.broadcast",
            Self::PriorityPropose => "priority.propose",
            Self::InfoSyncStore => "infosync.store",
            Self::InclusionLearn => "inclusion.learn",
            Self::InclusionCheck => "inclusion.check",
        }
    }

    /// Component and action.
    fn parts(self) -> (&'static str, &'static str) {
        let text = self.as_str();
        text.split_once('.').unwrap_or((text, ""))
    }
}

impl fmt::Display for StepName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What to do about an error. Retries look at nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Trying again may help.
    Temporary,
    /// Trying again cannot help.
    Permanent,
    /// The duty's deadline has passed.
    Expired,
    /// The node stops.
    Stopped,
}

/// Every component's error says what to do about it.
pub trait Fault: Error + Send + Sync + 'static {
    /// See [`ErrorKind`].
    fn kind(&self) -> ErrorKind;

    /// Whether the beacon node is to blame; decides between `fetch_bn_error` and a bug in the failure reason.
    fn is_beacon(&self) -> bool {
        false
    }
}

/// A component's error with the step that it ended.
#[derive(Debug, Clone)]
pub struct StepError {
    /// What to do about it.
    pub kind: ErrorKind,
    /// The innermost step that it ended; `None` until a [`Step`] has passed it on.
    pub step: Option<StepName>,
    /// Whether the beacon node is to blame.
    pub beacon: bool,
    /// The component's error.
    pub source: Arc<dyn Error + Send + Sync>,
}

impl StepError {
    fn at(mut self, step: StepName) -> Self {
        self.step.get_or_insert(step);
        self
    }

    fn made_here(kind: ErrorKind, step: StepName, message: &'static str) -> Self {
        Self {
            kind,
            step: Some(step),
            beacon: false,
            source: Arc::new(Ended(message)),
        }
    }
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.step {
            Some(step) => write!(f, "{step}: {}", self.source),
            None => self.source.fmt(f),
        }
    }
}

impl Error for StepError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.source()
    }
}

/// Errors of components cannot be compared; what they say can.
impl PartialEq for StepError {
    fn eq(&self, other: &Self) -> bool {
        (self.kind, self.step, self.beacon) == (other.kind, other.step, other.beacon)
            && self.source.to_string() == other.source.to_string()
    }
}

impl Eq for StepError {}

impl<E: Fault> From<E> for StepError {
    fn from(error: E) -> Self {
        Self {
            kind: error.kind(),
            step: None,
            beacon: error.is_beacon(),
            source: Arc::new(error),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Ended(&'static str);

/// What the tracker learns of one validator from a value that passes a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject {
    /// The validator.
    pub validator: PubKey,
    /// For partial signatures: whose share, over which message root.
    pub partial: Option<(ShareIdx, Root)>,
}

impl Subject {
    /// A subject that is not a partial signature.
    #[must_use]
    pub const fn of(validator: PubKey) -> Self {
        Self {
            validator,
            partial: None,
        }
    }
}

/// Values that travel as events: sets with one or more entries per validator.
pub trait Subjects: Send + Sync + 'static {
    /// Whom the value is about.
    fn subjects(&self) -> Vec<Subject>;
}

/// One attempt of one step, for the tracker.
#[derive(Debug, Clone)]
pub struct Record {
    /// The duty.
    pub duty: Duty,
    /// The step.
    pub step: StepName,
    /// When it ended.
    pub at: UnixTime,
    /// Whom the value was about.
    pub subjects: Vec<Subject>,
    /// How it ended.
    pub outcome: Result<(), StepError>,
}

/// Records that wait for the tracker before new ones are dropped.
pub const RECORDS: usize = 8_192;

/// Background steps that run at a time before a warning is logged.
const MANY_STEPS: usize = 10_000;

/// Metrics of all steps.
#[derive(Debug, Clone)]
pub struct StepMetrics {
    duration: Family<StepLabel, Histogram, fn() -> Histogram>,
    background: Gauge,
    dropped_records: Counter,
}

impl StepMetrics {
    /// Registers `core_step_duration_seconds`, `core_step_background`, `core_step_dropped_records_total`.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let duration: Family<_, _, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(metrics::BUCKETS_D.iter().copied()));
        let (background, dropped_records) = (Gauge::default(), Counter::default());
        registry.register(
            "core_step_duration_seconds",
            "Duration of one attempt of a step",
            duration.clone(),
        );
        registry.register(
            "core_step_background",
            "Background steps that run now",
            background.clone(),
        );
        registry.register(
            "core_step_dropped_records",
            "Records that the tracker missed because its queue was full",
            dropped_records.clone(),
        );
        Self {
            duration,
            background,
            dropped_records,
        }
    }

    /// Makes a series of each metric with labels, so that a list of them shows labels and buckets.
    pub fn touch(&self) {
        metrics::touch(&self.duration);
    }
}

struct Shared {
    life: Life,
    clock: Arc<dyn Clock>,
    timing: SlotTiming,
    entropy: Arc<dyn Entropy>,
    records: Option<mpsc::Sender<Record>>,
    metrics: StepMetrics,
    active: AtomicUsize,
    dropped: AtomicU64,
}

/// How steps run; given to `wire`.
#[derive(Clone)]
pub struct Policy {
    shared: Arc<Shared>,
}

impl Policy {
    /// Background steps run as tasks of `life`; records go to `records` (see [`RECORDS`]), if there is somebody to read.
    #[must_use]
    pub fn new(
        life: Life,
        clock: Arc<dyn Clock>,
        timing: SlotTiming,
        entropy: Arc<dyn Entropy>,
        records: Option<mpsc::Sender<Record>>,
        metrics: StepMetrics,
    ) -> Self {
        let (active, dropped) = Default::default();
        Self {
            shared: Arc::new(Shared {
                life,
                clock,
                timing,
                entropy,
                records,
                metrics,
                active,
                dropped,
            }),
        }
    }

    /// A step whose caller goes on at once; it is retried until the duty's deadline.
    #[must_use]
    pub fn background(&self, name: StepName) -> Step {
        Step {
            name,
            background: true,
            policy: self.clone(),
        }
    }

    /// A step whose result is the caller's.
    #[must_use]
    pub fn inline(&self, name: StepName) -> Step {
        Step {
            name,
            background: false,
            policy: self.clone(),
        }
    }

    /// Puts a record into the tracker's queue, or drops and counts it if the queue is full.
    pub fn record(&self, record: Record) {
        if self
            .shared
            .records
            .as_ref()
            .is_some_and(|records| records.try_send(record).is_err())
        {
            self.shared.metrics.dropped_records.inc();
            if self.shared.dropped.fetch_add(1, Ordering::Relaxed) == 0 {
                tracing::warn!("the tracker cannot follow; failure reasons of some duties will be incomplete");
            }
        }
    }
}

/// A subscriber, boxed.
pub type Call<T> = Arc<dyn Fn(DutyCx, Arc<T>) -> BoxFuture<'static, Result<(), StepError>> + Send + Sync>;

/// A named way to run one subscriber.
#[derive(Clone)]
pub struct Step {
    name: StepName,
    background: bool,
    policy: Policy,
}

impl Step {
    /// The step's name.
    #[must_use]
    pub const fn name(&self) -> StepName {
        self.name
    }

    /// Runs `call`: to its end if the step is inline; otherwise starts it and returns.
    pub async fn run<T: Subjects>(&self, call: &Call<T>, cx: &DutyCx, value: &Arc<T>) -> Result<(), StepError> {
        if !self.background {
            return self.attempt(call, cx, value, &cx.span).await;
        }
        let (step, call, cx, value) = (self.clone(), Arc::clone(call), cx.clone(), Arc::clone(value));
        let shared = &self.policy.shared;
        if shared.active.fetch_add(1, Ordering::Relaxed) == MANY_STEPS {
            tracing::warn!(
                limit = MANY_STEPS,
                "very many unfinished steps; is the beacon node or the network hanging?"
            );
        }
        shared.metrics.background.inc();
        shared.life.task(self.name.as_str(), async move {
            let _active = Active(Arc::clone(&step.policy.shared));
            step.until_done(&call, &cx, &value).await;
        });
        Ok(())
    }

    /// The span around all attempts, and the one that attempts are in: the same, or the duty's where nobody records it.
    fn retried(&self, cx: &DutyCx) -> (Span, Span) {
        let (topic, name) = self.name.parts();
        let retried = tracing::debug_span!(target: TRACE, parent: &cx.span, "app/retry.DoAsync", topic, name);
        let around = if retried.is_disabled() {
            cx.span.clone()
        } else {
            retried.clone()
        };
        (retried, around)
    }

    /// Attempts until success, a permanent error, the deadline or the stop; logs how it ended.
    async fn until_done<T: Subjects>(&self, call: &Call<T>, cx: &DutyCx, value: &Arc<T>) {
        let (retried, around) = self.retried(cx);
        let clock = &self.policy.shared.clock;
        let over = async {
            match cx.deadline {
                Some(at) => clock.sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let attempts = async {
            let mut n = 0_u32;
            loop {
                tracing::debug!(target: TRACE, parent: &retried, attempt = n.saturating_add(1), "retry.attempt.start");
                let Err(error) = self.attempt(call, cx, value, &around).await else {
                    return;
                };
                if error.kind != ErrorKind::Temporary {
                    spans::failed(&retried, &error, error.kind);
                }
                match error.kind {
                    ErrorKind::Temporary => {
                        let wait = backoff::RETRYER.wait(n, backoff::noise(self.policy.shared.entropy.as_ref()));
                        tracing::debug!(parent: &around, step = %self.name, %error, ?wait, "step will be tried again");
                        tokio::time::sleep(wait).await;
                        n = n.saturating_add(1);
                    }
                    ErrorKind::Permanent => {
                        tracing::warn!(parent: &around, step = %self.name, %error, "step gave up, the duty cannot go on here");
                        return;
                    }
                    ErrorKind::Expired | ErrorKind::Stopped => {
                        tracing::debug!(parent: &around, step = %self.name, %error, "step ended");
                        return;
                    }
                }
            }
        };
        let cut_short = tokio::select! { biased;
            () = cx.stop.cancelled() => StepError::made_here(ErrorKind::Stopped, self.name, "the node stops"),
            () = attempts => return,
            () = over => StepError::made_here(ErrorKind::Expired, self.name, "the duty's deadline passed"),
        };
        spans::failed(&retried, &cut_short, cut_short.kind);
        self.report(cx, value, Err(cut_short));
    }

    /// One attempt, in a span within `around`.
    async fn attempt<T: Subjects>(
        &self,
        call: &Call<T>,
        cx: &DutyCx,
        value: &Arc<T>,
        around: &Span,
    ) -> Result<(), StepError> {
        let shared = &self.policy.shared;
        let began = shared.clock.now();
        let span = tracing::debug_span!(parent: around, "step", step = self.name.as_str());
        let result = call(cx.clone(), Arc::clone(value))
            .instrument(span.clone())
            .await
            .map_err(|e| e.at(self.name));
        if let Err(error) = &result {
            spans::failed(&span, error, error.kind);
        }
        drop(span);
        let took = shared.clock.now().since(began);
        shared
            .metrics
            .duration
            .get_or_create(&StepLabel {
                step: self.name.as_str(),
            })
            .observe(took.as_secs_f64());
        tracing::debug!(parent: &cx.span, step = %self.name, ok = result.is_ok(), into_slot = ?self.since_slot(cx), ?took, "step ended");
        self.report(cx, value, result.clone());
        result
    }

    fn report<T: Subjects>(&self, cx: &DutyCx, value: &Arc<T>, outcome: Result<(), StepError>) {
        let at = self.policy.shared.clock.now();
        self.policy.record(Record {
            duty: cx.duty,
            step: self.name,
            at,
            subjects: value.subjects(),
            outcome,
        });
    }

    /// Time since the duty's slot began, as operators ask for it.
    fn since_slot(&self, cx: &DutyCx) -> Duration {
        let shared = &self.policy.shared;
        shared.clock.now().since(shared.timing.start(cx.duty.slot))
    }
}

struct Active(Arc<Shared>);

impl Drop for Active {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
        self.0.metrics.background.dec();
    }
}
