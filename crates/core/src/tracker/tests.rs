use futures::future::BoxFuture;
use prometheus_client::{encoding::text::encode, registry::Registry};
use trireme_eth2::Root;

use super::*;
use crate::{
    clock::PausedClock,
    ids::PubKey,
    life::Life,
    step::{StepName, Subject},
};

const TIMING: SlotTiming = SlotTiming {
    genesis: UnixTime(0),
    slot_duration: Duration::from_secs(12),
    slots_per_epoch: 2,
};

struct NoChain;

impl inclusion::Chain for NoChain {
    fn block_root(&self, _: Slot) -> BoxFuture<'_, Result<Option<Root>, crate::ports::BeaconError>> {
        Box::pin(async { Ok(None) })
    }
}

struct Bench {
    records: mpsc::Sender<Record>,
    registry: Registry,
    life: Life,
    clock: Arc<dyn Clock>,
}

fn bench() -> Bench {
    let clock: Arc<dyn Clock> = Arc::new(PausedClock::starting_at(UnixTime(0)));
    let mut registry = Registry::default();
    let metrics = TrackerMetrics::register(&mut registry);
    let (tx, rx) = mpsc::channel(64);
    let inclusion = Arc::new(Inclusion::new(
        Arc::new(NoChain),
        Arc::clone(&clock),
        TIMING,
        tx.clone(),
        metrics.clone(),
    ));
    let peers = ["a", "b"].map(str::to_owned).to_vec();
    let life = Life::new();
    life.task(
        "tracker",
        Tracker::new(rx, Arc::clone(&clock), TIMING, peers, inclusion, metrics).run(),
    );
    Bench {
        records: tx,
        registry,
        life,
        clock,
    }
}

impl Bench {
    async fn see(&self, duty: Duty, step: StepName, share: Option<u8>) {
        let partial = share.map(|s| (ShareIdx(s), Root([0; 32])));
        let subjects = vec![Subject {
            validator: PubKey([1; 48]),
            partial,
        }];
        let record = Record {
            duty,
            step,
            at: self.clock.now(),
            subjects,
            outcome: Ok(()),
        };
        self.records.send(record).await.unwrap();
    }

    fn metrics(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).unwrap();
        text
    }
}

#[tokio::test(start_paused = true)]
async fn a_duty_is_judged_once_its_time_and_that_of_inclusion_are_over() {
    let bench = bench();
    let duty = Duty::new(Slot(5), DutyType::Attester);
    bench.see(duty, StepName::FetcherFetch, None).await;
    bench.see(duty, StepName::ParSigDbStoreInternal, Some(1)).await;
    bench.see(duty, StepName::BcastBroadcast, None).await;
    // Slot 5 begins at 60 s; an epoch of two slots, a margin of 1 s and 38 slots later it is judged.
    bench.clock.sleep_until(UnixTime::from_secs(540)).await;
    assert!(
        bench
            .metrics()
            .contains("core_tracker_success_duties_total{duty=\"attester\"} 0")
    );
    bench.clock.sleep_until(UnixTime::from_secs(542)).await;
    let text = bench.metrics();
    assert!(
        text.contains("core_tracker_success_duties_total{duty=\"attester\"} 1"),
        "{text}"
    );
    assert!(
        text.contains("core_tracker_participation{duty=\"attester\",peer=\"a\"} 1"),
        "{text}"
    );
    assert!(
        text.contains("core_tracker_participation{duty=\"attester\",peer=\"b\"} 0"),
        "{text}"
    );
    bench.life.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_duty_is_counted_by_its_reason() {
    let bench = bench();
    bench
        .see(Duty::new(Slot(5), DutyType::Attester), StepName::DutyDbStore, None)
        .await;
    bench.clock.sleep_until(UnixTime::from_secs(600)).await;
    let text = bench.metrics();
    let line = "core_tracker_failed_duty_reasons_total{duty=\"attester\",reason=\"no_local_vc_signature\"} 1";
    assert!(text.contains(line), "{text}");
    bench.life.stop().await;
}

#[tokio::test(start_paused = true)]
async fn duties_of_the_first_slots_after_the_start_are_not_judged() {
    let bench = bench();
    bench
        .see(Duty::new(Slot(1), DutyType::Attester), StepName::DutyDbStore, None)
        .await;
    bench.clock.sleep_until(UnixTime::from_secs(900)).await;
    assert!(
        bench
            .metrics()
            .contains("core_tracker_failed_duties_total{duty=\"attester\"} 0")
    );
    bench.life.stop().await;
}
