//! When duties are resolved and announced.

use std::sync::{Arc, atomic::Ordering};

use trireme_core::{
    Duty, DutyType, UnixTime,
    definitions::DutyDefinitionSet,
    life::Life,
    ports::Clock,
    prepare::ProposalPreparation,
    registrations::Registrations,
    scheduler::{NotResolved, Scheduler, SchedulerMetrics, SchedulerParts, each_slot},
    step::StepName,
    validators::ValidatorCache,
};
use trireme_eth2::{Epoch, Slot, ValidatorIndex};

use super::SPE;
use crate::fakes::{Captured, NoEntropy, SimClock, beacon::FakeBeacon, cluster, cx_source, policy, timing};

struct Bench {
    scheduler: Arc<Scheduler>,
    beacon: Arc<FakeBeacon>,
    heard: Arc<Captured<DutyDefinitionSet>>,
    clock: Arc<SimClock>,
    life: Life,
}

fn bench(start: UnixTime) -> Bench {
    let beacon = FakeBeacon::new(3, SPE, 0);
    let clock = SimClock::starting_at(start);
    let life = Life::new();
    let cache = Arc::new(ValidatorCache::new(
        Arc::clone(&beacon) as _,
        &cluster(0, 3),
        Default::default(),
    ));
    let scheduler = Arc::new(Scheduler::new(SchedulerParts {
        beacon: Arc::clone(&beacon) as _,
        validators: Arc::clone(&cache),
        cluster: cluster(0, 3),
        clock: Arc::clone(&clock) as _,
        timing: timing(SPE),
        entropy: Arc::new(NoEntropy),
        life: life.clone(),
        cx: cx_source(timing(SPE)),
        features: Default::default(),
        metrics: SchedulerMetrics::default(),
    }));
    scheduler.on_slot("validators", each_slot(&cache, ValidatorCache::on_slot));
    let registrations = Arc::new(Registrations::new(cluster(0, 3), Vec::new()));
    let prepare = Arc::new(ProposalPreparation::new(Arc::clone(&beacon) as _, cache, registrations));
    scheduler.on_slot("prepare", each_slot(&prepare, ProposalPreparation::on_slot));
    let heard = Captured::new();
    let policy = policy(&life, Arc::clone(&clock) as _, timing(SPE));
    scheduler
        .on_duty
        .to(policy.inline(StepName::FetcherFetch), &heard, Captured::record);
    life.task("scheduler", Arc::clone(&scheduler).run());
    Bench {
        scheduler,
        beacon,
        heard,
        clock,
        life,
    }
}

#[tokio::test(start_paused = true)]
async fn each_epoch_is_resolved_once_and_ahead_of_time() {
    let b = bench(UnixTime(0));
    // In the last slot of epoch 0 epoch 1 is resolved too.
    b.clock.sleep_until(UnixTime::from_secs(37)).await;
    assert_eq!(b.beacon.attester_queries.load(Ordering::Relaxed), 2);
    b.clock.sleep_until(UnixTime::from_secs(83)).await;
    assert_eq!(b.beacon.attester_queries.load(Ordering::Relaxed), 2);
    b.life.stop().await;
}

#[tokio::test(start_paused = true)]
async fn every_duty_is_announced_once_even_when_its_epoch_is_resolved_late() {
    let b = bench(UnixTime(0));
    b.beacon.failing_proposer_queries.store(1, Ordering::Relaxed);
    b.clock.sleep_until(UnixTime::from_secs(47)).await;
    let mut duties: Vec<_> = b.heard.take().into_iter().map(|(duty, _)| duty.to_string()).collect();
    duties.retain(|d| !d.ends_with("aggregator"));
    // The first query for proposers failed, so the block of slot 0 is lost, and nothing else.
    assert_eq!(
        duties,
        ["0/attester", "1/proposer", "1/attester", "2/proposer", "2/attester"]
    );
    b.life.stop().await;
}

#[tokio::test(start_paused = true)]
async fn definitions_are_known_for_resolved_epochs_only() {
    let b = bench(UnixTime(0));
    b.clock.sleep_until(UnixTime::from_secs(1)).await;
    let ask = |slot| b.scheduler.definitions(Duty::new(Slot(slot), DutyType::Attester));
    assert_eq!(ask(2).await.unwrap().unwrap().0.len(), 1);
    assert_eq!(ask(3).await, Ok(None));
    assert_eq!(ask(4).await, Err(NotResolved::NotYet(Epoch(1))));
    b.clock.sleep_until(UnixTime::from_secs(12 * 4 * 4)).await;
    assert_eq!(ask(2).await, Err(NotResolved::Trimmed(Epoch(0))));
    b.life.stop().await;
}

#[tokio::test(start_paused = true)]
async fn slots_before_the_start_are_known_and_not_announced() {
    // The middle of epoch 0.
    let b = bench(UnixTime::from_secs(25));
    b.clock.sleep_until(UnixTime::from_secs(40)).await;
    let attesters = Duty::new(Slot(0), DutyType::Attester);
    assert_eq!(b.scheduler.definitions(attesters).await.unwrap().unwrap().0.len(), 1);
    let heard = b.heard.take();
    assert!(!heard.is_empty() && heard.iter().all(|(duty, _)| duty.slot >= Slot(2)));
    b.life.stop().await;
}

#[tokio::test(start_paused = true)]
async fn fee_recipients_are_sent_at_the_start_and_once_per_epoch() {
    let b = bench(UnixTime::from_secs(13));
    b.clock.sleep_until(UnixTime::from_secs(50)).await;
    let prepared = b.beacon.prepared.lock().unwrap().clone();
    let all: Vec<_> = (1..=3)
        .map(|n| (ValidatorIndex(n), [u8::try_from(n).unwrap(); 20]))
        .collect();
    assert_eq!(prepared, [all.clone(), all].concat());
    b.life.stop().await;
}
