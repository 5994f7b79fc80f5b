//! From a decision to its visibility: guard, encoding, journal, board. The disk's own time is not in it (the store is
//! memory); its share is one flush per duty, which a test of the crate counts.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use divan::Bencher;
use futures::executor::block_on;
use tokio_util::sync::CancellationToken;
use trireme_core::{
    Duty, DutyType, PubKey, SlotTiming,
    clock::SystemClock,
    cx::CxSource,
    data::{AttestationDuty, UnsignedData, UnsignedDataSet},
    dutydb::DutyDb,
    journal::Journal,
    memory::MemoryStore,
    ports::Clock as _,
};
use trireme_eth2::{
    AttestationData, AttesterDuty, BlsPubkey, Checkpoint, CommitteeIndex, Epoch, Root, Slot, ValidatorIndex,
};

fn main() {
    divan::main();
}

const SLOT: Slot = Slot(1);

fn decided(validators: u64) -> Arc<UnsignedDataSet> {
    let checkpoint = |n| Checkpoint {
        epoch: Epoch(n),
        root: Root([2; 32]),
    };
    let data = AttestationData {
        slot: SLOT,
        index: CommitteeIndex(0),
        beacon_block_root: Root([1; 32]),
        source: checkpoint(0),
        target: checkpoint(1),
    };
    let one = |n: u64| {
        let mut key = [0; 48];
        for (to, from) in key.iter_mut().zip(n.to_be_bytes()) {
            *to = from;
        }
        let duty = AttesterDuty {
            pubkey: BlsPubkey(key),
            slot: SLOT,
            validator_index: ValidatorIndex(n),
            committee_index: CommitteeIndex(n % 64),
            committee_length: 128,
            committees_at_slot: 64,
            validator_committee_index: 0,
        };
        (PubKey(key), UnsignedData::Attestation(AttestationDuty { data, duty }))
    };
    Arc::new(UnsignedDataSet((0..validators).map(one).collect::<BTreeMap<_, _>>()))
}

#[divan::bench(args = [1, 30, 1_000])]
fn decision_to_visible(bencher: Bencher<'_, '_>, validators: u64) {
    let timing = SlotTiming {
        genesis: SystemClock.now(),
        slot_duration: Duration::from_secs(12),
        slots_per_epoch: 32,
    };
    let set = decided(validators);
    let cx = CxSource::new(timing, CancellationToken::new(), [0; 32]).cx(Duty::new(SLOT, DutyType::Attester));
    bencher
        .with_inputs(|| {
            let journal = Arc::new(Journal::inline(Arc::new(MemoryStore::default())));
            #[expect(clippy::expect_used, reason = "a bench; an empty memory store opens")]
            let db = block_on(DutyDb::open(journal, Arc::new(SystemClock), timing)).expect("an empty store opens");
            Arc::new(db)
        })
        .bench_values(|db| {
            block_on(async {
                let stored = Arc::clone(&db).store(cx.clone(), Arc::clone(&set)).await;
                let seen = db.await_attestation(SLOT, CommitteeIndex(0)).await;
                assert!(stored.is_ok() && seen.is_ok());
            });
        });
}
