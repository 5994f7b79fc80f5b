//! From a decision to its visibility, the disk included: guard, encoding, journal, sled with its one flush, board. One node
//! on an otherwise idle machine; the folder is where the system keeps temporary files.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use divan::Bencher;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use trireme_core::{
    Duty, DutyType, PubKey, ShareIdx, SlotTiming, UnixTime,
    clock::SystemClock,
    cx::CxSource,
    data::{AttestationDuty, UnsignedData, UnsignedDataSet},
    dutydb::DutyDb,
    journal::Journal,
    ports::Clock as _,
};
use trireme_eth2::{
    AttestationData, AttesterDuty, Blob, BlsPubkey, Checkpoint, CommitteeIndex, Epoch, ForkedBlock, Root, Slot,
    ValidatorIndex, VersionedProposal,
    bellatrix::{Transaction, Transactions},
    fulu,
};
use trireme_store::{Owner, SledStore};

fn main() {
    divan::main();
}

const SLOT: Slot = Slot(33);
const SLOT_SECONDS: u64 = 3_600;

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

/// A block with one transaction of 128 KiB, and blobs beside it.
#[expect(clippy::expect_used, reason = "a bench; the sizes are right")]
fn block(blobs: usize) -> Arc<UnsignedDataSet> {
    let mut contents = fulu::BlockContents::default();
    contents.block.slot = SLOT;
    let transaction = Transaction::new(vec![7; 128 * 1024]).expect("short enough");
    contents.block.body.execution_payload.transactions = Transactions::new(vec![transaction]).expect("one");
    let blob = Blob::from_slice(&[7; 131_072]).expect("the right size");
    contents.blobs = vec![blob; blobs].try_into().expect("few enough");
    let proposal = VersionedProposal::Full(ForkedBlock::Fulu(contents));
    let one = (PubKey([1; 48]), UnsignedData::Proposal(Arc::new(proposal)));
    Arc::new(UnsignedDataSet(BTreeMap::from([one])))
}

#[expect(clippy::expect_used, reason = "a bench; what it opens is new")]
fn run(bencher: Bencher<'_, '_>, kind: DutyType, set: &Arc<UnsignedDataSet>) {
    let rt = Runtime::new().expect("a runtime");
    let timing = SlotTiming {
        genesis: UnixTime::from_secs(SystemClock.now().secs().saturating_sub(SLOT.0 * SLOT_SECONDS)),
        slot_duration: Duration::from_secs(SLOT_SECONDS),
        slots_per_epoch: 32,
    };
    let owner = Owner {
        cluster: [0; 32],
        share: ShareIdx(1),
    };
    let cx = CxSource::new(timing, CancellationToken::new(), [0; 32]).cx(Duty::new(SLOT, kind));
    bencher
        .with_inputs(|| {
            let dir = tempfile::tempdir().expect("a folder");
            let store = SledStore::open(&dir.path().join("store"), &owner).expect("a new store opens");
            let journal = Arc::new(Journal::start(Arc::new(store)).expect("a thread"));
            let db = rt
                .block_on(DutyDb::open(journal, Arc::new(SystemClock), timing))
                .expect("an empty store opens");
            (dir, Arc::new(db))
        })
        .bench_values(|(dir, db)| {
            rt.block_on(async {
                let stored = Arc::clone(&db).store(cx.clone(), Arc::clone(set)).await;
                assert!(stored.is_ok(), "{stored:?}");
                if kind == DutyType::Attester {
                    assert!(db.await_attestation(SLOT, CommitteeIndex(0)).await.is_ok());
                } else {
                    assert!(db.await_proposal(SLOT).await.is_ok());
                }
            });
            // What is given back is dropped outside the measured time.
            (dir, db)
        });
}

#[divan::bench(args = [1, 30, 1_000], sample_count = 50, sample_size = 1)]
fn attestations(bencher: Bencher<'_, '_>, validators: u64) {
    run(bencher, DutyType::Attester, &decided(validators));
}

#[divan::bench(args = [0, 6], sample_count = 50, sample_size = 1)]
fn block_of_128_kib(bencher: Bencher<'_, '_>, blobs: usize) {
    run(bencher, DutyType::Proposer, &block(blobs));
}
