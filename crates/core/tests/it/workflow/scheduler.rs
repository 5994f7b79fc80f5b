//! When duties are resolved and announced.

use std::sync::{Arc, atomic::Ordering};

use trireme_core::{
    Duty, DutyType, UnixTime,
    definitions::{DutyDefinitionSet, KnownDuties as _},
    life::Life,
    ports::Clock,
    prepare::ProposalPreparation,
    registrations::Registrations,
    scheduler::{NotResolved, Scheduler, SchedulerMetrics, SchedulerParts, each_slot},
    step::StepName,
    validators::ValidatorCache,
};
use trireme_eth2::{
    BlsPubkey, ChainEvent, Epoch, HeadEvent, ReorgEvent, Root, Slot, SyncDuty, ValidatorIndex, ValidatorStatus,
};

use super::SPE;
use crate::fakes::{
    Captured, NoEntropy, SimClock,
    beacon::{FakeBeacon, Given},
    cluster, cx_source, key, policy, timing,
};

struct Bench {
    scheduler: Arc<Scheduler>,
    beacon: Arc<FakeBeacon>,
    heard: Arc<Captured<DutyDefinitionSet>>,
    clock: Arc<SimClock>,
    life: Life,
}

fn bench(start: UnixTime) -> Bench {
    bench_with(start, FakeBeacon::new(3, SPE, 0))
}

fn bench_with(start: UnixTime, beacon: Arc<FakeBeacon>) -> Bench {
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
        heads: Default::default(),
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
    life.task("chain", Arc::clone(&scheduler).follow());
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

impl Bench {
    async fn until(&self, seconds: u64) {
        self.clock.sleep_until(UnixTime::from_secs(seconds)).await;
    }

    /// A head in slot `slot` on a chain where all duties depend on block `root`.
    fn head(&self, slot: u64, root: u8) {
        let head = HeadEvent {
            slot: Slot(slot),
            block: Root([9; 32]),
            state: Root([9; 32]),
            epoch_transition: false,
            previous_duty_dependent_root: Root([root; 32]),
            current_duty_dependent_root: Root([root; 32]),
            execution_optimistic: false,
        };
        self.beacon.events.send(ChainEvent::Head(head)).unwrap();
    }

    /// The duties announced since the last look, without aggregators.
    fn announced(&self) -> Vec<String> {
        let heard = self.heard.take().into_iter();
        let one = heard.flat_map(|(duty, set)| {
            let each = set.0.keys().map(move |v| format!("{duty} {}", v.0[0]));
            each.collect::<Vec<_>>()
        });
        one.filter(|text| !text.contains("/aggregator")).collect()
    }

    fn queries(&self) -> usize {
        self.beacon.attester_queries.swap(0, Ordering::Relaxed)
    }
}

#[tokio::test(start_paused = true)]
async fn duties_follow_a_reorganisation_and_what_was_announced_stays() {
    let b = bench(UnixTime(0));
    b.until(13).await;
    b.head(1, 1);
    b.until(14).await;
    assert_eq!(b.queries(), 1, "a head that fits is no reason to ask again");
    // On the other chain everybody has its duties two slots later. Slot 1's proposer has been announced, its attester
    // not yet.
    *b.beacon.chain.lock().unwrap() = (Root([2; 32]), 2);
    b.head(1, 2);
    b.until(15).await;
    assert_eq!(b.queries(), 1);
    b.head(1, 2);
    b.until(47).await;
    assert_eq!(b.queries(), 1, "only the next epoch");
    let announced = b.announced();
    assert_eq!(
        announced,
        [
            "0/proposer 1",
            "0/attester 1",
            "1/proposer 2",
            "2/proposer 1",
            "2/attester 1",
            "3/proposer 2",
            "3/attester 2"
        ]
    );
    b.life.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_known_begins_in_time_while_a_changed_epoch_cannot_be_resolved() {
    let b = bench(UnixTime(0));
    b.until(13).await;
    b.announced();
    b.beacon.hanging.lock().unwrap().insert(Epoch(0));
    b.head(1, 7);
    b.until(25).await;
    assert_eq!(b.announced(), ["1/attester 2", "2/proposer 3"]);
    b.until(29).await;
    assert_eq!(b.announced(), ["2/attester 3"]);
    b.life.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_epoch_does_not_wait_for_the_resolution_of_another() {
    let b = bench(UnixTime(0));
    b.until(25).await;
    b.beacon.hanging.lock().unwrap().insert(Epoch(0));
    b.head(2, 7);
    b.until(47).await;
    b.announced();
    b.until(49).await;
    assert_eq!(b.announced(), ["4/proposer 1"]);
    b.until(53).await;
    assert_eq!(b.announced(), ["4/attester 1"]);
    b.life.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_could_be_resolved_begins_though_the_rest_of_the_epoch_could_not() {
    let b = bench(UnixTime(0));
    b.beacon.hanging.lock().unwrap().insert(Epoch(0));
    b.until(25).await;
    assert_eq!(b.announced(), ["0/proposer 1", "1/proposer 2", "2/proposer 3"]);
    b.life.stop().await;
}

#[tokio::test(start_paused = true)]
async fn duties_are_certain_only_while_nothing_speaks_against_them() {
    let b = bench(UnixTime(0));
    let known = |slot| {
        let set = b.scheduler.known(Duty::new(Slot(slot), DutyType::Proposer));
        set.map(|set| set.0.keys().map(|v| v.0[0]).collect::<Vec<_>>())
    };
    assert_eq!(known(1), None);
    b.until(13).await;
    assert_eq!((known(1), known(3), known(4)), (Some(vec![2]), Some(vec![]), None));
    // Another chain, on which everybody proposes two slots later; its duties cannot be had yet.
    *b.beacon.chain.lock().unwrap() = (Root([2; 32]), 2);
    b.beacon.hanging.lock().unwrap().insert(Epoch(0));
    b.head(1, 2);
    b.until(14).await;
    assert_eq!((known(1), known(3)), (None, None));
    b.life.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_duty_that_was_announced_before_it_changed_is_not_certain_any_more() {
    let b = bench(UnixTime(0));
    let known = |slot| b.scheduler.known(Duty::new(Slot(slot), DutyType::Proposer)).is_some();
    b.until(13).await;
    *b.beacon.chain.lock().unwrap() = (Root([2; 32]), 2);
    b.head(1, 2);
    b.until(14).await;
    assert_eq!((known(1), known(2)), (false, true));
    b.life.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_beacon_node_with_another_view_makes_us_ask_once_and_not_with_every_head() {
    let b = bench(UnixTime(0));
    b.until(1).await;
    b.queries();
    for slot in [0, 0, 0] {
        b.head(slot, 7);
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    assert_eq!(b.queries(), 1);
    b.life.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_told_reorganisation_makes_later_epochs_outdated_once() {
    let b = bench(UnixTime(0));
    b.until(49).await;
    b.queries();
    let tell = |slot, depth, head| {
        let reorg = ReorgEvent {
            slot: Slot(slot),
            depth,
            old_head_block: Root::ZERO,
            new_head_block: Root([head; 32]),
        };
        b.beacon.events.send(ChainEvent::Reorg(reorg)).unwrap();
    };
    // Within the epoch: its duties rest on earlier blocks.
    tell(5, 1, 1);
    b.until(50).await;
    assert_eq!(b.queries(), 0);
    tell(5, 3, 2);
    tell(5, 3, 2);
    b.until(51).await;
    assert_eq!(b.queries(), 1);
    b.life.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_validator_that_is_activated_while_the_node_runs_has_its_duties_from_that_epoch_on() {
    let pending = (ValidatorStatus::PendingQueued, Epoch(2), Epoch::FAR_FUTURE);
    let beacon = FakeBeacon::new(3, SPE, 0);
    beacon.statuses.lock().unwrap().insert(ValidatorIndex(3), pending);
    let b = bench_with(UnixTime(0), beacon);
    b.until(95).await;
    assert!(b.announced().iter().all(|text| !text.ends_with(" 3")));
    b.until(143).await;
    let announced = b.announced();
    assert!(announced.contains(&"10/attester 3".to_owned()), "{announced:?}");
    b.life.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_change_of_the_validators_is_noticed_within_the_epoch() {
    let beacon = FakeBeacon::new(3, SPE, 0);
    let unknown = (ValidatorStatus::PendingQueued, Epoch::FAR_FUTURE, Epoch::FAR_FUTURE);
    beacon.statuses.lock().unwrap().insert(ValidatorIndex(3), unknown);
    let b = bench_with(UnixTime(0), beacon);
    // In the last slot of epoch 0 epoch 1 is resolved without it; its first slot shows it active.
    b.until(47).await;
    b.beacon.statuses.lock().unwrap().clear();
    b.until(95).await;
    assert!(b.announced().contains(&"6/attester 3".to_owned()));
    b.life.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_exited_validator_owes_its_sync_duties_and_nothing_else() {
    let mut beacon = FakeBeacon::with((1..=2).map(|n| (ValidatorIndex(n.into()), key(n))).collect(), SPE, 0);
    let member = |n: u8| SyncDuty {
        pubkey: BlsPubkey(key(n).0),
        validator_index: ValidatorIndex(n.into()),
        validator_sync_committee_indices: vec![u64::from(n)],
    };
    beacon.given = Some(Given {
        sync: vec![member(1), member(2)],
        ..Given::default()
    });
    let exited = (ValidatorStatus::ExitedUnslashed, Epoch(0), Epoch(1));
    beacon.statuses.lock().unwrap().insert(ValidatorIndex(2), exited);
    let b = bench_with(UnixTime(0), Arc::new(beacon));
    b.until(23).await;
    assert_eq!(
        b.announced(),
        [
            "0/sync_contribution 1",
            "0/sync_contribution 2",
            "1/sync_contribution 1",
            "1/sync_contribution 2"
        ]
    );
    // Also when nobody else is left.
    b.beacon.statuses.lock().unwrap().insert(ValidatorIndex(1), exited);
    b.until(143).await;
    assert!(b.announced().contains(&"11/sync_contribution 2".to_owned()));
    b.life.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_deprecated_duty_is_nobodys() {
    let b = bench(UnixTime(0));
    b.until(1).await;
    let duty = Duty::new(Slot(0), DutyType::BuilderProposer);
    assert_eq!(b.scheduler.definitions(duty).await, Ok(None));
    b.life.stop().await;
}
