use prometheus_client::{encoding::text::encode, registry::Registry};

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
    let peers = ["a", "b"].map(str::to_owned).to_vec();
    let life = Life::new();
    life.task(
        "tracker",
        Tracker::new(rx, Arc::clone(&clock), TIMING, peers, false, metrics).run(),
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
        self.see_of(1, duty, step, share).await;
    }

    async fn see_of(&self, validator: u8, duty: Duty, step: StepName, share: Option<u8>) {
        let subject = Subject {
            validator: PubKey([validator; 48]),
            partial: share.map(|s| (ShareIdx(s), Root([0; 32]))),
        };
        self.send(duty, step, vec![subject], Ok(())).await;
    }

    async fn sign(&self, duty: Duty, step: StepName, share: u8, root: u8) {
        let subject = Subject {
            validator: PubKey([1; 48]),
            partial: Some((ShareIdx(share), Root([root; 32]))),
        };
        self.send(duty, step, vec![subject], Ok(())).await;
    }

    async fn send(&self, duty: Duty, step: StepName, subjects: Vec<Subject>, outcome: Result<(), StepError>) {
        let record = Record {
            duty,
            step,
            at: self.clock.now(),
            subjects,
            outcome,
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

#[tokio::test(start_paused = true)]
async fn single_attestations_are_counted_by_what_was_sent() {
    let bench = bench();
    let duty = Duty::new(Slot(5), DutyType::Attester);
    for validator in [1, 2] {
        bench.see_of(validator, duty, StepName::FetcherFetch, None).await;
        bench.see_of(validator, duty, StepName::DutyDbStore, None).await;
    }
    bench.see_of(1, duty, StepName::BcastBroadcast, None).await;
    bench.clock.sleep_until(UnixTime::from_secs(600)).await;
    let text = bench.metrics();
    assert!(text.contains("core_tracker_attestation_expect_total 2"), "{text}");
    assert!(text.contains("core_tracker_attestation_success_total 1"), "{text}");
    bench.life.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_signs_what_nobody_was_to_do_is_counted_as_unexpected() {
    let bench = bench();
    let duty = Duty::new(Slot(5), DutyType::Attester);
    bench.see_of(1, duty, StepName::FetcherFetch, None).await;
    bench.see_of(1, duty, StepName::ParSigDbStoreInternal, Some(1)).await;
    // Validator 9 has no duty in this slot.
    bench.see_of(9, duty, StepName::ParSigDbStoreExternal, Some(2)).await;
    bench.clock.sleep_until(UnixTime::from_secs(600)).await;
    let text = bench.metrics();
    for line in [
        "core_tracker_unexpected_events_total{peer=\"b\"} 1",
        "core_tracker_participation_missed_total{duty=\"attester\",peer=\"b\"} 2",
    ] {
        assert!(text.contains(line), "{text}");
    }
    assert!(
        !text.contains("core_tracker_unexpected_events_total{peer=\"a\"}"),
        "{text}"
    );
    assert!(
        !text.contains("core_tracker_participation{duty=\"attester\",peer=\"b\"}"),
        "{text}"
    );
    bench.life.stop().await;
}

#[tokio::test(start_paused = true)]
async fn members_who_signed_another_head_are_ranked_behind_the_majority() {
    let bench = bench();
    let duty = Duty::new(Slot(5), DutyType::SyncMessage);
    let contribution = Duty::new(Slot(5), DutyType::SyncContribution);
    bench.see_of(1, contribution, StepName::FetcherFetch, None).await;
    bench.sign(duty, StepName::ParSigDbStoreInternal, 1, 7).await;
    bench.sign(duty, StepName::ParSigDbStoreExternal, 2, 8).await;
    bench.clock.sleep_until(UnixTime::from_secs(600)).await;
    let text = bench.metrics();
    for line in [
        "core_tracker_inconsistent_parsigs_total{duty=\"sync_message\"} 1",
        "core_tracker_parsig_cohort_rank_total{duty=\"sync_message\",peer_idx=\"0\",rank=\"0\"} 1",
        "core_tracker_parsig_cohort_rank_total{duty=\"sync_message\",peer_idx=\"1\",rank=\"1\"} 1",
        "core_tracker_failed_duty_reasons_total{duty=\"sync_message\",reason=\"par_sig_db_inconsistent_sync\"} 1",
    ] {
        assert!(text.contains(line), "no {line} in {text}");
    }
    bench.life.stop().await;
}

#[tokio::test(start_paused = true)]
async fn contributions_of_one_validator_to_several_subcommittees_are_no_disagreement() {
    let bench = bench();
    let (several, differing) = (
        Duty::new(Slot(5), DutyType::SyncContribution),
        Duty::new(Slot(60), DutyType::SyncContribution),
    );
    for (share, root) in [(1, 7), (1, 8), (2, 7)] {
        bench.sign(several, StepName::ParSigDbStoreExternal, share, root).await;
    }
    bench.clock.sleep_until(UnixTime::from_secs(600)).await;
    let line = "core_tracker_inconsistent_parsigs_total{duty=\"sync_contribution\"}";
    let text = bench.metrics();
    assert!(!text.contains(&format!("{line} 1")), "{text}");
    for (share, root) in [(1, 7), (2, 8)] {
        bench
            .sign(differing, StepName::ParSigDbStoreExternal, share, root)
            .await;
    }
    bench.clock.sleep_until(UnixTime::from_secs(1500)).await;
    let text = bench.metrics();
    assert!(text.contains(&format!("{line} 1")), "{text}");
    bench.life.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_validator_client_without_selections_is_told_once_and_not_counted() {
    let bench = bench();
    for slot in [5, 6] {
        let duty = Duty::new(Slot(slot), DutyType::Aggregator);
        let subjects = vec![Subject::of(PubKey([1; 48]))];
        let error = StepError::from(NotIncluded);
        bench.send(duty, StepName::FetcherFetch, subjects, Err(error)).await;
    }
    bench.clock.sleep_until(UnixTime::from_secs(900)).await;
    let text = bench.metrics();
    assert!(
        text.contains("core_tracker_failed_duties_total{duty=\"aggregator\"} 0"),
        "{text}"
    );
    bench.life.stop().await;
}

#[tokio::test(start_paused = true)]
async fn who_did_not_sign_is_named_also_where_a_duty_waited_for_another() {
    let clock: Arc<dyn Clock> = Arc::new(PausedClock::starting_at(UnixTime(0)));
    let metrics = TrackerMetrics::register(&mut Registry::default());
    let peers = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
    let (_records, rx) = mpsc::channel(1);
    let mut tracker = Tracker::new(rx, Arc::clone(&clock), TIMING, peers, false, metrics);
    let (block, randao) = (
        Duty::new(Slot(5), DutyType::Proposer),
        Duty::new(Slot(5), DutyType::Randao),
    );
    for (step, share) in [
        (StepName::ParSigDbStoreInternal, 2),
        (StepName::ParSigDbStoreExternal, 4),
    ] {
        tracker.take(Record {
            duty: randao,
            step,
            at: clock.now(),
            subjects: vec![Subject {
                validator: PubKey([1; 48]),
                partial: Some((ShareIdx(share), Root([0; 32]))),
            }],
            outcome: Ok(()),
        });
    }
    let two = Some(("b,d".to_owned(), "a,c".to_owned()));
    for reason in [Reason::ProposerInsufficientRandaos, Reason::ProposerNoExternalRandaos] {
        assert_eq!(tracker.signers(block, Some(Station::Fetcher), reason), two);
    }
    let few = Reason::InsufficientPeerSignatures;
    assert_eq!(tracker.signers(randao, Some(Station::ParSigDbExternal), few), two);
    // Nobody had anything to sign.
    assert_eq!(
        tracker.signers(block, Some(Station::Fetcher), Reason::FetchBnError),
        None
    );
    assert_eq!(
        tracker.signers(block, Some(Station::Consensus), Reason::NoConsensus),
        None
    );
}
