//! Typed subscriptions: how a component announces results without knowing who listens.
//!
//! Guarantees: subscribers run in the order of subscription; the first error of an inline step ends the emission, so
//! that a later subscriber never acts on what an earlier one refused.
//! Not here: how a subscriber is run (`step`), who subscribes to what (`wire`).

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
};

pub use crate::cx::{CxSource, DutyCx};
use crate::step::{Call, Step, StepError, Subjects};

struct Subscriber<T> {
    step: Step,
    call: Call<T>,
}

/// An ordered list of async subscribers to one kind of event.
pub struct Event<T> {
    subscribers: Mutex<Arc<Vec<Arc<Subscriber<T>>>>>,
}

impl<T> Default for Event<T> {
    fn default() -> Self {
        Self {
            subscribers: Mutex::default(),
        }
    }
}

impl<T: Subjects> Event<T> {
    /// An event without subscribers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Subscribes `method` of `target`, named without parentheses: `event.to(step, &fetcher, Fetcher::fetch)`.
    pub fn to<C, F, Fut>(&self, step: Step, target: &Arc<C>, method: F)
    where
        C: Send + Sync + 'static,
        F: Fn(Arc<C>, DutyCx, Arc<T>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), StepError>> + Send + 'static,
    {
        let target = Arc::clone(target);
        let call: Call<T> = Arc::new(move |cx, value| Box::pin(method(Arc::clone(&target), cx, value)));
        let mut list = self.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut list).push(Arc::new(Subscriber { step, call }));
    }

    /// Runs the subscribers; the first error of an inline step ends the emission and is the caller's.
    pub async fn emit(&self, cx: &DutyCx, value: Arc<T>) -> Result<(), StepError> {
        let list = Arc::clone(&self.subscribers.lock().unwrap_or_else(PoisonError::into_inner));
        for subscriber in list.iter() {
            subscriber.step.run(&subscriber.call, cx, &value).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use prometheus_client::registry::Registry;
    use tokio::sync::mpsc;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::{
        clock::PausedClock,
        duty::{Duty, DutyType, Slot},
        entropy::OsEntropy,
        life::Life,
        ports::Clock,
        step::{ErrorKind, Fault, Policy, Record, StepMetrics, StepName, Subject},
        time::{SlotTiming, UnixTime},
    };

    struct Text(&'static str);

    impl Subjects for Text {
        fn subjects(&self) -> Vec<Subject> {
            Vec::new()
        }
    }

    #[derive(Debug, thiserror::Error)]
    #[error("no")]
    struct No(ErrorKind);

    impl Fault for No {
        fn kind(&self) -> ErrorKind {
            self.0
        }
    }

    /// Fails with the given kinds in turn, then succeeds.
    struct Flaky {
        clock: Arc<PausedClock>,
        answers: Mutex<Vec<ErrorKind>>,
        called: Mutex<Vec<(Duration, &'static str)>>,
    }

    impl Flaky {
        async fn hear(self: Arc<Self>, _: DutyCx, text: Arc<Text>) -> Result<(), StepError> {
            self.called
                .lock()
                .unwrap()
                .push((self.clock.now().since(UnixTime(0)), text.0));
            match self.answers.lock().unwrap().pop() {
                Some(kind) => Err(No(kind).into()),
                None => Ok(()),
            }
        }

        async fn hang(self: Arc<Self>, _: DutyCx, _: Arc<Text>) -> Result<(), StepError> {
            std::future::pending().await
        }
    }

    struct Bench {
        policy: Policy,
        records: mpsc::Receiver<Record>,
        clock: Arc<PausedClock>,
        cx: DutyCx,
        life: Life,
    }

    fn bench() -> Bench {
        let clock = Arc::new(PausedClock::starting_at(UnixTime(0)));
        let timing = SlotTiming {
            genesis: UnixTime(0),
            slot_duration: Duration::from_secs(12),
            slots_per_epoch: 32,
        };
        let (tx, records) = mpsc::channel(8);
        let life = Life::new();
        let metrics = StepMetrics::register(&mut Registry::default());
        let shared: Arc<dyn Clock> = Arc::clone(&clock) as _;
        let policy = Policy::new(life.clone(), shared, timing, Arc::new(OsEntropy), Some(tx), metrics);
        let cx = DutyCx::new(
            Duty::new(Slot(0), DutyType::Proposer),
            &timing,
            CancellationToken::new(),
        );
        Bench {
            policy,
            records,
            clock,
            cx,
            life,
        }
    }

    fn flaky(bench: &Bench, answers: &[ErrorKind]) -> Arc<Flaky> {
        let clock = Arc::clone(&bench.clock);
        Arc::new(Flaky {
            clock,
            answers: Mutex::new(answers.to_vec()),
            called: Mutex::default(),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_of_an_inline_step_keeps_later_subscribers_from_running() {
        let b = bench();
        let (first, second) = (flaky(&b, &[ErrorKind::Temporary]), flaky(&b, &[]));
        let event = Event::new();
        event.to(b.policy.inline(StepName::AggSigDbStore), &first, Flaky::hear);
        event.to(b.policy.background(StepName::BcastBroadcast), &second, Flaky::hear);
        let error = event.emit(&b.cx, Arc::new(Text("x"))).await.unwrap_err();
        assert_eq!(
            (error.kind, error.step),
            (ErrorKind::Temporary, Some(StepName::AggSigDbStore))
        );
        b.life.finish(Duration::from_secs(9)).await;
        assert!(second.called.lock().unwrap().is_empty());
        assert_eq!(first.called.lock().unwrap().len(), 1, "inline steps are not retried");
    }

    #[tokio::test(start_paused = true)]
    async fn a_background_step_is_tried_again_until_it_succeeds_and_every_attempt_is_recorded() {
        let mut b = bench();
        let target = flaky(&b, &[ErrorKind::Temporary, ErrorKind::Temporary]);
        let event = Event::new();
        event.to(b.policy.background(StepName::FetcherFetch), &target, Flaky::hear);
        event.emit(&b.cx, Arc::new(Text("x"))).await.unwrap();
        assert!(b.life.finish(Duration::from_secs(9)).await.is_empty());
        let times: Vec<_> = target.called.lock().unwrap().iter().map(|c| c.0.as_millis()).collect();
        assert_eq!(times[..2], [0, 250]);
        assert!((610..=691).contains(&times[2]), "third attempt at {} ms", times[2]);
        let outcomes: Vec<_> = std::iter::from_fn(|| b.records.try_recv().ok())
            .map(|r| r.outcome.is_ok())
            .collect();
        assert_eq!(outcomes, [false, false, true]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_permanent_error_ends_a_background_step_at_once() {
        let b = bench();
        let target = flaky(&b, &[ErrorKind::Permanent]);
        let event = Event::new();
        event.to(b.policy.background(StepName::FetcherFetch), &target, Flaky::hear);
        event.emit(&b.cx, Arc::new(Text("x"))).await.unwrap();
        b.life.finish(Duration::from_secs(60)).await;
        assert_eq!(target.called.lock().unwrap().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_hanging_background_step_ends_at_the_deadline_of_the_duty() {
        let mut b = bench();
        let target = flaky(&b, &[]);
        let event = Event::new();
        event.to(b.policy.background(StepName::ConsensusPropose), &target, Flaky::hang);
        event.emit(&b.cx, Arc::new(Text("x"))).await.unwrap();
        let record = b.records.recv().await.unwrap();
        assert_eq!(record.at, UnixTime::from_secs(5));
        assert_eq!(record.outcome.unwrap_err().kind, ErrorKind::Expired);
        assert!(b.life.running().is_empty() || b.life.finish(Duration::ZERO).await.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_of_records_never_holds_up_a_step() {
        let b = bench();
        let target = flaky(&b, &[]);
        let event = Event::new();
        event.to(b.policy.inline(StepName::DutyDbStore), &target, Flaky::hear);
        for _ in 0..20 {
            event.emit(&b.cx, Arc::new(Text("x"))).await.unwrap();
        }
        assert_eq!(target.called.lock().unwrap().len(), 20);
    }
}
