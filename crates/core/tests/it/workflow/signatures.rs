//! Partial and aggregated signatures: counting, combining, keeping.

use std::sync::Arc;

use prometheus_client::registry::Registry;
use trireme_core::{
    Duty, DutyType, ShareIdx, UnixTime,
    aggsigdb::AggSigDb,
    answers::{AwaitAggregated as _, NoAnswer},
    bcast::{BroadcastMetrics, Broadcaster},
    compute::Inline,
    data::{ParSignedDataSet, SignedData, SignedDataSet},
    journal::Journal,
    life::Life,
    parsigdb::{EXEMPT_CAP, ParSigDb, ParSigDbMetrics, ParSigDbParts, ThresholdSet},
    ports::Clock,
    sigagg::{SigAgg, SigAggMetrics},
    step::{ErrorKind, StepName},
    validators::ValidatorCache,
};
use trireme_eth2::{Epoch, SignedVoluntaryExit, Slot, ValidatorIndex, VoluntaryExit};

use super::{SPE, partial, randao, set, vote};
use crate::fakes::{
    Captured, NoEntropy, SimClock,
    beacon::FakeBeacon,
    beacon::attestation_data,
    chain, cx_source, key, policy,
    scheme::{self, Toy},
    store::CrashStore,
    timing,
};

struct Bench {
    db: Arc<ParSigDb>,
    own: Arc<Captured<ParSignedDataSet>>,
    ready: Arc<Captured<ThresholdSet>>,
    clock: Arc<SimClock>,
    life: Life,
}

fn bench_on(store: &Arc<CrashStore>) -> Bench {
    let clock = SimClock::starting_at(UnixTime(0));
    let shared: Arc<dyn Clock> = Arc::clone(&clock) as _;
    let life = Life::new();
    let db = Arc::new(ParSigDb::new(ParSigDbParts {
        threshold: 3,
        share: ShareIdx(1),
        clock: Arc::clone(&shared),
        timing: timing(SPE),
        journal: Arc::new(Journal::inline(Arc::clone(store) as _)),
        cx: cx_source(timing(SPE)),
        metrics: ParSigDbMetrics::register(&mut Registry::default()),
    }));
    let policy = policy(&life, shared, timing(SPE));
    let (own, ready) = (Captured::new(), Captured::new());
    db.stored_own
        .to(policy.inline(StepName::ParSigExBroadcast), &own, Captured::record);
    db.threshold
        .to(policy.inline(StepName::SigAggAggregate), &ready, Captured::record);
    Bench {
        db,
        own,
        ready,
        clock,
        life,
    }
}

fn bench() -> Bench {
    bench_on(&Arc::default())
}

const DUTY: Duty = Duty::new(Slot(1), DutyType::Attester);

impl Bench {
    /// A peer's partial for validator 1 over head `view`.
    async fn receive(&self, share: u8, view: u8) -> Result<(), ErrorKind> {
        let data = vote(1, attestation_data(DUTY.slot, SPE, view));
        let one = partial(&chain(SPE), key(1), share, data);
        self.store(DUTY, set([(key(1), one)])).await
    }

    async fn store(&self, duty: Duty, set: ParSignedDataSet) -> Result<(), ErrorKind> {
        let stored = Arc::clone(&self.db)
            .store_external(cx_source(timing(SPE)).cx(duty), Arc::new(set))
            .await;
        stored.map_err(|e| e.kind)
    }

    /// Shares of validator 1 that were handed on, per announcement.
    fn fired(&self) -> Vec<Vec<u8>> {
        let shares = |set: &ThresholdSet| set.0[&key(1)].iter().map(|p| p.share.0).collect();
        self.ready.take().iter().map(|(_, set)| shares(set)).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn the_threshold_fires_once_with_exactly_as_many_as_needed() {
    let b = bench();
    for share in [2, 4] {
        b.receive(share, 9).await.unwrap();
    }
    assert!(b.fired().is_empty());
    for share in [3, 1] {
        b.receive(share, 9).await.unwrap();
    }
    assert_eq!(b.fired(), [[2, 4, 3]]);
}

#[tokio::test(start_paused = true)]
async fn partials_over_different_roots_never_combine() {
    let b = bench();
    for (share, view) in [(1, 8), (2, 9), (3, 9), (4, 8)] {
        b.receive(share, view).await.unwrap();
    }
    assert!(b.fired().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_complete_group_does_not_fire_again_for_a_stray_root() {
    let b = bench();
    for (share, view) in [(1, 9), (2, 9), (3, 9), (4, 8)] {
        b.receive(share, view).await.unwrap();
    }
    assert_eq!(b.fired(), [[1, 2, 3]]);
}

#[tokio::test(start_paused = true)]
async fn the_same_partial_again_is_ignored_and_another_of_the_share_is_refused() {
    let b = bench();
    b.receive(2, 9).await.unwrap();
    b.receive(2, 9).await.unwrap();
    assert_eq!(b.receive(2, 8).await, Err(ErrorKind::Permanent));
    b.receive(3, 9).await.unwrap();
    b.receive(4, 9).await.unwrap();
    assert_eq!(b.fired(), [[2, 3, 4]], "the first partial of share 2 stayed");
}

#[tokio::test(start_paused = true)]
async fn an_equivocation_does_not_hold_up_the_other_validators_of_its_message() {
    let b = bench();
    let of = |n: u8, share, view| {
        partial(
            &chain(SPE),
            key(n),
            share,
            vote(n, attestation_data(DUTY.slot, SPE, view)),
        )
    };
    b.receive(4, 9).await.unwrap();
    for share in [1, 2] {
        b.store(DUTY, set([(key(2), of(2, share, 9))])).await.unwrap();
    }
    b.store(DUTY, set([(key(1), of(1, 4, 8)), (key(2), of(2, 4, 9))]))
        .await
        .unwrap();
    let ready = b.ready.take();
    assert_eq!(ready.len(), 1);
    assert_eq!(ready[0].1.0.keys().collect::<Vec<_>>(), [&key(2)]);
}

#[tokio::test(start_paused = true)]
async fn partials_of_ended_duties_are_dropped_and_stored_ones_forgotten() {
    let b = bench();
    b.life.task("parsigdb", Arc::clone(&b.db).run());
    b.receive(2, 9).await.unwrap();
    b.clock.sleep_until(UnixTime::from_secs(62)).await;
    tokio::task::yield_now().await;
    assert!(b.db.is_empty());
    b.receive(3, 9).await.unwrap();
    assert!(b.db.is_empty());
    b.life.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_share_can_leave_only_so_many_exits_behind() {
    let b = bench();
    for epoch in 0..20 {
        let message = VoluntaryExit {
            epoch: Epoch(epoch),
            validator_index: ValidatorIndex(1),
        };
        let exit = SignedData::Exit(SignedVoluntaryExit {
            message,
            signature: trireme_eth2::BlsSignature([0; 96]),
        });
        let duty = Duty::new(Slot(epoch * SPE), DutyType::Exit);
        b.store(duty, set([(key(1), partial(&chain(SPE), key(1), 2, exit))]))
            .await
            .unwrap();
    }
    assert_eq!(b.db.len(), EXEMPT_CAP);
}

#[tokio::test(start_paused = true)]
async fn own_partials_go_to_the_peers_and_once_more_after_a_restart_if_the_duty_is_open() {
    let store = Arc::new(CrashStore::default());
    let b = bench_on(&store);
    let own = |slot| {
        let data = vote(1, attestation_data(Slot(slot), SPE, 9));
        Arc::new(set([(key(1), partial(&chain(SPE), key(1), 1, data))]))
    };
    Arc::clone(&b.db)
        .store_internal(cx_source(timing(SPE)).cx(DUTY), own(1))
        .await
        .unwrap();
    assert_eq!(b.own.take(), [(DUTY, own(1))]);
    store.crash(9);
    let again = bench_on(&store);
    Arc::clone(&again.db).resume().await.unwrap();
    assert_eq!(again.own.take(), [(DUTY, own(1))]);
    let late = bench_on(&store);
    late.clock.sleep_until(UnixTime::from_secs(62)).await;
    Arc::clone(&late.db).resume().await.unwrap();
    assert!(late.own.take().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_own_partial_that_contradicts_an_earlier_one_goes_nowhere_and_holds_up_no_other() {
    let store = Arc::new(CrashStore::default());
    let b = bench_on(&store);
    let own = |n: u8, view| {
        let data = vote(n, attestation_data(DUTY.slot, SPE, view));
        (key(n), partial(&chain(SPE), key(n), 1, data))
    };
    let store_own = async |set| {
        let stored = Arc::clone(&b.db).store_internal(cx_source(timing(SPE)).cx(DUTY), Arc::new(set));
        stored.await.map_err(|e| e.kind)
    };
    store_own(set([own(1, 9)])).await.unwrap();
    b.own.take();
    // Validator 1 votes for another head now; validator 2 votes for the first time.
    let refused = store_own(set([own(1, 8), own(2, 8)])).await;
    assert_eq!(
        refused,
        Err(ErrorKind::Permanent),
        "the validator client learns of the refusal"
    );
    assert_eq!(b.own.take(), [(DUTY, Arc::new(set([own(2, 8)])))]);
    // Also when the set brings another validator's group to its threshold.
    for share in [2, 3] {
        let data = vote(3, attestation_data(DUTY.slot, SPE, 8));
        let one = partial(&chain(SPE), key(3), share, data);
        b.store(DUTY, set([(key(3), one)])).await.unwrap();
    }
    let refused = store_own(set([own(1, 8), own(3, 8)])).await;
    assert_eq!(refused, Err(ErrorKind::Permanent));
    assert_eq!(b.own.take(), [(DUTY, Arc::new(set([own(3, 8)])))]);
    assert_eq!(b.ready.take().len(), 1);
    // Nor does a restart send the second vote.
    store.crash(9);
    let again = bench_on(&store);
    Arc::clone(&again.db).resume().await.unwrap();
    assert_eq!(
        again.own.take(),
        [(DUTY, Arc::new(set([own(1, 9), own(2, 8), own(3, 8)])))]
    );
}

#[tokio::test(start_paused = true)]
async fn our_own_partial_comes_first_whenever_it_came() {
    let b = bench();
    for share in [2, 4, 1] {
        b.receive(share, 9).await.unwrap();
    }
    assert_eq!(b.fired(), [[1, 2, 4]]);
}

fn sigagg() -> Arc<SigAgg> {
    let metrics = SigAggMetrics::register(&mut Registry::default());
    let clock = SimClock::starting_at(UnixTime(0));
    let toy = Arc::new(Toy { threshold: 3 });
    Arc::new(SigAgg::new(
        toy,
        chain(SPE),
        Arc::new(Inline),
        Arc::new(NoEntropy),
        clock,
        metrics,
    ))
}

fn threshold_set(partials: Vec<trireme_core::data::ParSignedData>) -> Arc<ThresholdSet> {
    Arc::new(ThresholdSet([(key(1), partials)].into()))
}

#[tokio::test(start_paused = true)]
async fn an_aggregate_carries_the_groups_signature_and_a_validator_index_if_any_partial_has_one() {
    let agg = sigagg();
    let life = Life::new();
    let heard = Captured::new();
    let policy = policy(&life, SimClock::starting_at(UnixTime(0)), timing(SPE));
    agg.aggregated
        .to(policy.inline(StepName::AggSigDbStore), &heard, Captured::record);
    let data = attestation_data(DUTY.slot, SPE, 9);
    let mut partials: Vec<_> = (1..=3)
        .map(|s| partial(&chain(SPE), key(1), s, vote(1, data)))
        .collect();
    if let SignedData::Attestation(first) = &mut partials[0].data {
        first.validator_index = None;
    }
    Arc::clone(&agg)
        .aggregate(cx_source(timing(SPE)).cx(DUTY), threshold_set(partials))
        .await
        .unwrap();
    let root = vote(1, data).signing_root(&chain(SPE)).unwrap();
    let expected = vote(1, data).with_signature(scheme::whole(key(1), root));
    let got = heard.take();
    assert_eq!(got[0].1.0[&key(1)], expected);
}

#[tokio::test(start_paused = true)]
async fn an_aggregate_that_does_not_verify_is_not_announced() {
    let agg = sigagg();
    let life = Life::new();
    let heard = Captured::<SignedDataSet>::new();
    let policy = policy(&life, SimClock::starting_at(UnixTime(0)), timing(SPE));
    agg.aggregated
        .to(policy.inline(StepName::AggSigDbStore), &heard, Captured::record);
    let at = |view, share| {
        partial(
            &chain(SPE),
            key(1),
            share,
            vote(1, attestation_data(DUTY.slot, SPE, view)),
        )
    };
    let mixed = threshold_set(vec![at(9, 1), at(9, 2), at(8, 3)]);
    let refused = Arc::clone(&agg)
        .aggregate(cx_source(timing(SPE)).cx(DUTY), mixed)
        .await
        .unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Permanent);
    assert!(heard.take().is_empty());
}

async fn aggsigdb(store: &Arc<CrashStore>) -> Arc<AggSigDb> {
    let journal = Arc::new(Journal::inline(Arc::clone(store) as _));
    Arc::new(
        AggSigDb::open(journal, SimClock::starting_at(UnixTime(0)), timing(SPE))
            .await
            .unwrap(),
    )
}

fn aggregates(epoch: u64) -> Arc<SignedDataSet> {
    Arc::new(SignedDataSet([(key(1), randao(epoch))].into()))
}

#[tokio::test(start_paused = true)]
async fn an_aggregate_reaches_its_waiters_and_another_one_is_refused() {
    let db = aggsigdb(&Arc::default()).await;
    let duty = Duty::new(Slot(1), DutyType::Randao);
    let cx = cx_source(timing(SPE)).cx(duty);
    let (waited, stored) = tokio::join!(
        db.aggregated(duty, key(1)),
        Arc::clone(&db).store(cx.clone(), aggregates(0)),
    );
    stored.unwrap();
    assert_eq!(*waited.unwrap(), randao(0));
    Arc::clone(&db).store(cx.clone(), aggregates(0)).await.unwrap();
    let refused = Arc::clone(&db).store(cx, aggregates(1)).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Permanent);
}

#[tokio::test(start_paused = true)]
async fn waiting_for_an_aggregate_ends_with_its_duty() {
    let db = aggsigdb(&Arc::default()).await;
    let duty = Duty::new(Slot(1), DutyType::Randao);
    assert_eq!(db.aggregated(duty, key(1)).await, Err(NoAnswer::Expired));
    assert!(db.is_empty());
}

#[tokio::test(start_paused = true)]
async fn aggregates_of_open_duties_are_there_after_a_restart() {
    let store = Arc::new(CrashStore::default());
    let duty = Duty::new(Slot(1), DutyType::Randao);
    let db = aggsigdb(&store).await;
    db.store(cx_source(timing(SPE)).cx(duty), aggregates(0)).await.unwrap();
    store.crash(9);
    let db = aggsigdb(&store).await;
    assert_eq!(*db.aggregated(duty, key(1)).await.unwrap(), randao(0));
}

#[tokio::test(start_paused = true)]
async fn all_attestations_of_a_slot_are_sent_and_a_refusal_is_a_failure() {
    let beacon = FakeBeacon::new(2, SPE, 0);
    let metrics = BroadcastMetrics::register(&mut Registry::default());
    let clock = SimClock::starting_at(UnixTime(0));
    let cache = ValidatorCache::new(
        Arc::clone(&beacon) as _,
        &crate::fakes::cluster(0, 3),
        Default::default(),
    );
    let bcast = Arc::new(Broadcaster::new(
        Arc::clone(&beacon) as _,
        Arc::new(cache),
        clock,
        timing(SPE),
        metrics,
    ));
    let data = attestation_data(DUTY.slot, SPE, 9);
    let set = Arc::new(SignedDataSet(
        [1, 2].into_iter().map(|n| (key(n), vote(n, data))).collect(),
    ));
    let send = || Arc::clone(&bcast).broadcast(cx_source(timing(SPE)).cx(DUTY), Arc::clone(&set));
    send().await.unwrap();
    assert_eq!(beacon.submitted.lock().unwrap().len(), 2);
    beacon.refuse(400, "validator unknown");
    assert_eq!(send().await.unwrap_err().kind, ErrorKind::Permanent);
    beacon.refuse(503, "syncing");
    let error = send().await.unwrap_err();
    assert_eq!((error.kind, error.beacon), (ErrorKind::Temporary, true));
}
