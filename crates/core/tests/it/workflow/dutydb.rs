//! Decided data: durable before visible, never two values.

use std::{sync::Arc, time::Duration};

use futures::FutureExt as _;
use trireme_core::{
    Duty, DutyType, UnixTime,
    answers::NoAnswer,
    data::{UnsignedData, UnsignedDataSet},
    dutydb::DutyDb,
    journal::Journal,
    life::Life,
    ports::Clock,
    step::ErrorKind,
};
use trireme_eth2::{BlsSignature, CommitteeIndex, ForkedAttestation, Slot, ValidatorIndex, hash_tree_root};

use super::{SPE, decided, values::aggregate};
use crate::fakes::{SimClock, cx_source, key, store::CrashStore, timing};

struct Bench {
    store: Arc<CrashStore>,
    clock: Arc<SimClock>,
    db: Arc<DutyDb>,
}

async fn open(store: Arc<CrashStore>, clock: Arc<SimClock>) -> Bench {
    let journal = Arc::new(Journal::inline(Arc::clone(&store) as _));
    let db = DutyDb::open(journal, Arc::clone(&clock) as _, timing(SPE))
        .await
        .unwrap();
    Bench {
        store,
        clock,
        db: Arc::new(db),
    }
}

async fn bench() -> Bench {
    open(Arc::default(), SimClock::starting_at(UnixTime(0))).await
}

impl Bench {
    async fn store(&self, slot: u64, validators: u8, view: u8) -> Result<(), (ErrorKind, String)> {
        let duty = Duty::new(Slot(slot), DutyType::Attester);
        let set = Arc::new(decided(Slot(slot), validators, view));
        let stored = Arc::clone(&self.db).store(cx_source(timing(SPE)).cx(duty), set).await;
        stored.map_err(|e| (e.kind, e.to_string()))
    }

    async fn restarted(self, kept: usize) -> Self {
        self.store.crash(kept);
        open(self.store, self.clock).await
    }

    fn head(&self, slot: u64, committee: u64) -> Option<u8> {
        let data = self
            .db
            .await_attestation(Slot(slot), CommitteeIndex(committee))
            .now_or_never()?
            .ok()?;
        Some(data.beacon_block_root.0[0])
    }
}

#[tokio::test(start_paused = true)]
async fn decided_data_reach_waiters_by_committee_and_by_committee_zero() {
    let b = bench().await;
    let db = Arc::clone(&b.db);
    let (zero, own, stored) = tokio::join!(
        db.await_attestation(Slot(1), CommitteeIndex(0)),
        db.await_attestation(Slot(1), CommitteeIndex(2)),
        b.store(1, 3, 9),
    );
    stored.unwrap();
    assert_eq!(zero.unwrap(), own.unwrap());
    for committee in [CommitteeIndex(2), CommitteeIndex(0)] {
        assert_eq!(
            b.db.pubkey_by_attestation(Slot(1), committee, ValidatorIndex(2)),
            Some(key(2))
        );
    }
    assert_eq!(
        b.db.pubkey_by_attestation(Slot(1), CommitteeIndex(1), ValidatorIndex(2)),
        None
    );
}

#[tokio::test(start_paused = true)]
async fn before_electra_committee_zero_has_its_own_data_whoever_else_attests() {
    let b = bench().await;
    let mut set = decided(Slot(1), 3, 9);
    for value in set.0.values_mut() {
        let UnsignedData::Attestation(att) = value else {
            panic!("not an attestation")
        };
        // Validator 3, the last of all, is in committee 0; data name their committee.
        att.duty.committee_index.0 = 3 - att.duty.validator_index.0;
        att.data.index = att.duty.committee_index;
    }
    let cx = cx_source(timing(SPE)).cx(Duty::new(Slot(1), DutyType::Attester));
    Arc::clone(&b.db).store(cx, Arc::new(set)).await.unwrap();
    for committee in [0, 1, 2] {
        let data = b.db.await_attestation(Slot(1), CommitteeIndex(committee)).await;
        assert_eq!(data.unwrap().index, CommitteeIndex(committee));
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_value_is_refused_and_the_same_again_is_fine() {
    let b = bench().await;
    b.store(1, 2, 9).await.unwrap();
    b.store(1, 2, 9).await.unwrap();
    let (kind, text) = b.store(1, 2, 8).await.unwrap_err();
    assert_eq!(kind, ErrorKind::Permanent);
    assert!(text.contains("already stored for duty 1/attester"), "{text}");
    assert_eq!(b.head(1, 0), Some(9));
}

#[tokio::test(start_paused = true)]
async fn of_different_aggregates_of_the_same_votes_all_nodes_hand_out_the_same_and_never_another() {
    let duty = Duty::new(Slot(1), DutyType::Aggregator);
    let signed = |n: u8| {
        let UnsignedData::Aggregate(mut aggregate) = aggregate(Slot(1), &[2]) else {
            panic!("not an aggregate")
        };
        let ForkedAttestation::Fulu(inner) = &mut aggregate.attestation else {
            panic!("not of that fork")
        };
        inner.signature = BlsSignature([n; 96]);
        UnsignedData::Aggregate(aggregate)
    };
    let set = |first: u8, second: u8| UnsignedDataSet([(key(1), signed(first)), (key(2), signed(second))].into());
    let b = bench().await;
    let UnsignedData::Aggregate(any) = signed(0) else {
        panic!("not an aggregate")
    };
    let root = hash_tree_root(any.data());
    let store = |db: &Arc<DutyDb>, set| Arc::clone(db).store(cx_source(timing(SPE)).cx(duty), Arc::new(set));
    let handed_out = |db: &Arc<DutyDb>| {
        let found = db.await_aggregate(Slot(1), root, CommitteeIndex(2)).now_or_never();
        found.unwrap().unwrap().signature()
    };
    store(&b.db, set(7, 8)).await.unwrap();
    assert_eq!(handed_out(&b.db), BlsSignature([7; 96]));
    store(&b.db, set(8, 7)).await.unwrap();
    assert_eq!(handed_out(&b.db), BlsSignature([7; 96]));
    let b = b.restarted(usize::MAX).await;
    assert_eq!(handed_out(&b.db), BlsSignature([7; 96]));
}

#[tokio::test(start_paused = true)]
async fn a_decided_duty_costs_one_flush_for_all_its_validators() {
    let b = bench().await;
    b.store(1, 100, 9).await.unwrap();
    assert_eq!(b.store.flushes(), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_visible_that_is_not_on_disk() {
    let b = bench().await;
    b.store.break_down();
    assert!(b.store(1, 2, 9).await.is_err());
    assert_eq!(b.head(1, 0), None);
}

#[tokio::test(start_paused = true)]
async fn a_value_that_may_have_been_written_still_excludes_another() {
    let b = bench().await;
    b.store.break_down();
    assert!(b.store(1, 2, 9).await.is_err());
    let (_, text) = b.store(1, 2, 8).await.unwrap_err();
    assert!(text.contains("already stored"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_the_values_are_there_and_another_one_is_refused() {
    let b = bench().await;
    b.store(1, 2, 9).await.unwrap();
    let b = b.restarted(0).await;
    assert_eq!(b.head(1, 2), Some(9));
    assert!(b.store(1, 2, 8).await.is_err());
    b.store(1, 2, 9).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_waiter_ends_with_the_duty() {
    let b = bench().await;
    let waited = b.db.await_attestation(Slot(0), CommitteeIndex(0)).await;
    assert_eq!(waited, Err(NoAnswer::Expired));
    // An epoch of four slots and the margin.
    assert_eq!(b.clock.now(), UnixTime::from_secs(49));
    assert!(b.db.is_empty());
}

#[tokio::test(start_paused = true)]
async fn data_of_an_ended_duty_are_forgotten_and_never_taken_again() {
    let b = bench().await;
    let life = Life::new();
    life.task("dutydb", Arc::clone(&b.db).run());
    b.store(1, 2, 9).await.unwrap();
    b.clock.sleep_until(UnixTime::from_secs(62)).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(b.db.is_empty());
    assert_eq!(b.store(1, 2, 8).await.unwrap_err().0, ErrorKind::Expired);
    life.stop().await;
    // Even if after a restart the clock is wrong and the duty looks open again, whatever the crash left of the trim.
    for kept in [0, 1] {
        let store = Arc::clone(&b.store);
        store.crash(kept);
        let late = open(store, SimClock::starting_at(UnixTime(0))).await;
        assert!(late.store(1, 2, 8).await.is_err(), "with {kept} buffered writes kept");
    }
}

#[tokio::test(start_paused = true)]
async fn another_key_for_a_validators_index_is_refused() {
    let b = bench().await;
    b.store(1, 2, 9).await.unwrap();
    let duty = Duty::new(Slot(1), DutyType::Attester);
    let mut set = decided(Slot(1), 1, 9);
    let value = set.0.remove(&key(1)).unwrap();
    assert!(matches!(value, UnsignedData::Attestation(_)));
    set.0.insert(key(7), value);
    let refused = Arc::clone(&b.db)
        .store(cx_source(timing(SPE)).cx(duty), Arc::new(set))
        .await;
    assert!(refused.unwrap_err().to_string().contains("validator key of the index"));
}

#[tokio::test(start_paused = true)]
async fn a_vote_of_another_slot_or_epoch_than_the_duty_is_refused_and_nothing_of_it_is_seen() {
    use trireme_eth2::Epoch;
    let b = bench().await;
    let duty = Duty::new(Slot(5), DutyType::Attester);
    let refused = async |change: &dyn Fn(&mut trireme_eth2::AttestationData)| {
        let mut set = decided(Slot(5), 2, 9);
        for value in set.0.values_mut() {
            let UnsignedData::Attestation(att) = value else {
                panic!()
            };
            change(&mut att.data);
        }
        let stored = Arc::clone(&b.db).store(cx_source(timing(SPE)).cx(duty), Arc::new(set));
        let error = stored.await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Permanent);
        error.to_string()
    };
    let text = refused(&|data| data.slot = Slot(6)).await;
    assert!(
        text.contains("duty 5/attester was decided with attestation data of slot 6"),
        "{text}"
    );
    let text = refused(&|data| data.target.epoch = Epoch(2)).await;
    assert!(text.contains("a vote from source epoch 0 to target epoch 2"), "{text}");
    refused(&|data| data.target.epoch = Epoch(0)).await;
    refused(&|data| data.source.epoch = Epoch(2)).await;
    for slot in [5, 6] {
        assert_eq!(b.head(slot, 0), None);
    }
    // The other slot is free for its own data, and so is this one.
    b.store(6, 2, 8).await.unwrap();
    b.store(5, 2, 9).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn vc_28_a_block_of_another_slot_than_the_duty_is_refused() {
    use trireme_core::{
        data::UnsignedDataSet,
        ports::{BeaconNode as _, ProduceBlock},
    };
    let b = bench().await;
    let beacon = crate::fakes::beacon::FakeBeacon::new(2, SPE, 9);
    let ask = ProduceBlock {
        slot: Slot(6),
        randao_reveal: trireme_eth2::BlsSignature([0; 96]),
        graffiti: trireme_eth2::Root([0; 32]),
        builder_boost_factor: 0,
    };
    let block = Arc::new(beacon.produce_block(ask).await.unwrap().proposal);
    let store = async |slot| {
        let set = UnsignedDataSet([(key(1), UnsignedData::Proposal(Arc::clone(&block)))].into());
        let cx = cx_source(timing(SPE)).cx(Duty::new(Slot(slot), DutyType::Proposer));
        Arc::clone(&b.db).store(cx, Arc::new(set)).await
    };
    let error = store(5).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("duty 5/proposer was decided with a block of slot 6"),
        "{error}"
    );
    store(6).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn remains_of_a_trimmed_duty_do_not_keep_the_node_from_starting_when_the_clock_was_set_back() {
    use trireme_core::ports::{Batch, Durability, KeyValue as _, Table};
    let b = bench().await;
    b.store(1, 2, 9).await.unwrap();
    // As if a crash had kept the floor and lost the removal.
    let floor = (Table::DutyFloor, vec![2], Some(1_u64.to_be_bytes().to_vec()));
    b.store
        .commit(Batch { writes: vec![floor] }, Durability::Durable)
        .unwrap();
    let b = b.restarted(0).await;
    assert_eq!(b.head(1, 2), None);
    assert!(b.store(1, 2, 8).await.is_err());
    b.store(2, 2, 8).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_waits_learns_that_all_contributions_of_a_slot_are_agreed_on() {
    use trireme_core::data::UnsignedDataSet;
    use trireme_eth2::SyncCommitteeContribution;
    let b = bench().await;
    let duty = Duty::new(Slot(1), DutyType::SyncContribution);
    assert!(b.db.await_decided(duty).now_or_never().is_none());
    let one = SyncCommitteeContribution {
        slot: Slot(1),
        ..SyncCommitteeContribution::default()
    };
    let set = UnsignedDataSet([(key(1), UnsignedData::Contributions(vec![one.clone()]))].into());
    let cx = cx_source(timing(SPE)).cx(duty);
    let (db, learnt) = (Arc::clone(&b.db), b.db.await_decided(duty));
    let (stored, ()) = tokio::join!(db.store(cx, Arc::new(set)), learnt);
    stored.unwrap();
    let there =
        b.db.await_contribution(Slot(1), 0, one.beacon_block_root)
            .now_or_never();
    assert_eq!(*there.unwrap().unwrap(), one);
    // After a restart too.
    let b = b.restarted(usize::MAX).await;
    assert!(b.db.await_decided(duty).now_or_never().is_some());
    let other = Duty::new(Slot(2), DutyType::SyncContribution);
    assert!(b.db.await_decided(other).now_or_never().is_none());
}
