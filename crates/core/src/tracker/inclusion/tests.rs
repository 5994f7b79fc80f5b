use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use prometheus_client::{encoding::text::encode, registry::Registry};
use tokio_util::sync::CancellationToken;
use trireme_eth2::{
    AttestationData, BeaconCommittee, CommitteeIndex, ForkedAttestation, SyncCommitteeMessage, ValidatorIndex,
    VersionedAttestation, electra,
};

use super::*;
use crate::{clock::PausedClock, time::UnixTime};

const TIMING: SlotTiming = SlotTiming {
    genesis: UnixTime(0),
    slot_duration: Duration::from_secs(12),
    slots_per_epoch: 32,
};
const V: PubKey = PubKey([1; 48]);

/// A chain of blocks by slot, which counts what it is asked.
#[derive(Default)]
struct Blocks {
    blocks: BTreeMap<Slot, electra::SignedBeaconBlock>,
    root: Option<Root>,
    down: bool,
    asked: AtomicUsize,
    asked_for_committees: AtomicUsize,
}

impl Blocks {
    fn ask<T>(&self, answer: T) -> BoxFuture<'_, Result<T, BeaconError>>
    where
        T: Send + 'static,
    {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let answer = if self.down {
            Err(BeaconError::Timeout {
                endpoint: "x",
                after: Duration::ZERO,
            })
        } else {
            Ok(answer)
        };
        Box::pin(async { answer })
    }
}

impl Chain for Blocks {
    fn block_root(&self, _: Slot) -> BoxFuture<'_, Result<Option<Root>, BeaconError>> {
        self.ask(self.root)
    }

    fn block(&self, slot: Slot) -> BoxFuture<'_, Result<Option<Arc<VersionedSignedBlock>>, BeaconError>> {
        let block = self.blocks.get(&slot).cloned();
        self.ask(block.map(|b| Arc::new(VersionedSignedBlock::Fulu(b))))
    }

    fn committees(&self, slot: Slot) -> BoxFuture<'_, Result<Vec<BeaconCommittee>, BeaconError>> {
        self.asked_for_committees.fetch_add(1, Ordering::Relaxed);
        // Committee 1 has three members; the validator 7 is its last.
        let committee = |index, members: &[u64]| BeaconCommittee {
            index: CommitteeIndex(index),
            slot,
            validators: members.iter().copied().map(ValidatorIndex).collect(),
        };
        let all = vec![committee(0, &[1, 2]), committee(1, &[5, 6, 7])];
        Box::pin(async { Ok(all) })
    }
}

struct Bench {
    inclusion: Arc<Inclusion>,
    blocks: Arc<Blocks>,
    records: mpsc::Receiver<Record>,
    registry: Registry,
}

fn bench(votes: bool, blocks: Blocks) -> Bench {
    let mut registry = Registry::default();
    let metrics = TrackerMetrics::register(&mut registry);
    let (tx, records) = mpsc::channel(64);
    let blocks = Arc::new(blocks);
    let inclusion = Arc::new(Inclusion::new(InclusionParts {
        chain: Arc::clone(&blocks) as _,
        clock: Arc::new(PausedClock::starting_at(UnixTime(0))),
        timing: TIMING,
        preset: PresetKind::Mainnet,
        votes,
        records: tx,
        metrics,
    }));
    Bench {
        inclusion,
        blocks,
        records,
        registry,
    }
}

impl Bench {
    async fn submit(&self, slot: u64, kind: DutyType, data: SignedData) {
        let cx = DutyCx::new(Duty::new(Slot(slot), kind), &TIMING, CancellationToken::new());
        let set = SignedDataSet(BTreeMap::from([(V, data)]));
        Arc::clone(&self.inclusion).submitted(cx, Arc::new(set)).await.unwrap();
    }

    async fn slots(&self, slots: std::ops::RangeInclusive<u64>) {
        for slot in slots {
            self.inclusion.on_slot(Slot(slot), 0).await;
        }
    }

    /// Duty and outcome of each record.
    fn recorded(&mut self) -> Vec<(String, bool)> {
        let mut all = Vec::new();
        while let Ok(record) = self.records.try_recv() {
            all.push((record.duty.to_string(), record.outcome.is_ok()));
        }
        all
    }

    fn metrics(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).unwrap();
        text
    }
}

/// Our vote in slot 10, committee 1.
fn vote() -> electra::Attestation {
    let mut attestation = electra::Attestation {
        aggregation_bits: ssz_bits(0),
        data: AttestationData {
            slot: Slot(10),
            ..Default::default()
        },
        signature: BlsSignature::default(),
        committee_bits: Default::default(),
    };
    attestation.committee_bits.set(1, true).unwrap();
    attestation
}

fn signed_vote() -> SignedData {
    SignedData::Attestation(VersionedAttestation {
        validator_index: Some(ValidatorIndex(7)),
        attestation: ForkedAttestation::Fulu(vote()),
    })
}

/// A block with both committees' votes, and this member of committee 1 among them.
fn block_with(member: usize) -> electra::SignedBeaconBlock {
    let mut attestation = vote();
    attestation.committee_bits.set(0, true).unwrap();
    let mut bits = ssz_bits(5);
    bits.set(0, true).unwrap();
    bits.set(2 + member, true).unwrap();
    attestation.aggregation_bits = bits;
    let mut block = electra::SignedBeaconBlock::default();
    block.message.body.attestations.push(attestation).unwrap();
    block
}

fn ssz_bits<N: typenum::Unsigned>(len: usize) -> ssz_types::BitList<N> {
    ssz_types::BitList::with_capacity(len).unwrap()
}

#[tokio::test]
async fn nothing_is_asked_while_nothing_is_looked_for() {
    let bench = bench(true, Blocks::default());
    bench.slots(0..=100).await;
    assert_eq!(bench.blocks.asked.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn votes_are_not_looked_for_unless_wanted() {
    let bench = bench(false, Blocks::default());
    bench.submit(10, DutyType::Attester, signed_vote()).await;
    bench.slots(0..=100).await;
    assert_eq!(bench.blocks.asked.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_vote_joined_with_another_committee_is_found_with_one_block_per_slot() {
    let blocks = BTreeMap::from([(Slot(11), block_with(0)), (Slot(13), block_with(2))]);
    let mut bench = bench(
        true,
        Blocks {
            blocks,
            ..Default::default()
        },
    );
    bench.submit(10, DutyType::Attester, signed_vote()).await;
    // The block of slot 11 has another member's vote only; that of 13 is looked at in slot 19.
    bench.slots(10..=18).await;
    assert_eq!(bench.recorded(), []);
    bench.slots(19..=60).await;
    assert_eq!(bench.recorded(), [("10/attester".to_owned(), true)]);
    assert!(bench.metrics().contains("core_tracker_inclusion_delay 3"));
    assert_eq!(
        bench.blocks.asked.load(Ordering::Relaxed),
        3,
        "the blocks of slots 11, 12 and 13"
    );
    assert_eq!(bench.blocks.asked_for_committees.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_vote_that_never_comes_is_given_up_after_the_window() {
    let mut bench = bench(true, Blocks::default());
    bench.submit(10, DutyType::Attester, signed_vote()).await;
    bench.slots(10..=47).await;
    assert_eq!(bench.recorded(), []);
    bench.slots(48..=48).await;
    assert_eq!(bench.recorded(), [("10/attester".to_owned(), false)]);
    assert!(
        bench
            .metrics()
            .contains("core_tracker_inclusion_missed_total{duty=\"attester\"} 1")
    );
    assert_eq!(bench.blocks.asked.load(Ordering::Relaxed), 32);
}

#[tokio::test]
async fn a_beacon_node_that_is_down_is_asked_once_per_slot_and_forgiven() {
    let mut bench = bench(
        true,
        Blocks {
            down: true,
            ..Default::default()
        },
    );
    bench.submit(10, DutyType::Attester, signed_vote()).await;
    bench.slots(17..=20).await;
    assert_eq!(bench.blocks.asked.load(Ordering::Relaxed), 4);
    bench.slots(21..=200).await;
    assert_eq!(bench.recorded(), [("10/attester".to_owned(), false)]);
    assert!(bench.inclusion.lock().due.is_empty());
}

#[tokio::test]
async fn sync_messages_are_looked_for_in_the_next_block_only() {
    let mut block = electra::SignedBeaconBlock::default();
    let aggregate = &mut block.message.body.sync_aggregate;
    aggregate.sync_committee_bits.set(9, true).unwrap();
    let blocks = BTreeMap::from([(Slot(11), block.clone()), (Slot(21), block)]);
    let bench = bench(
        true,
        Blocks {
            blocks,
            ..Default::default()
        },
    );
    for (slot, place) in [(10, 9), (20, 8)] {
        bench.inclusion.lock().places = BTreeMap::from([(V, vec![place])]);
        let message = SyncCommitteeMessage {
            slot: Slot(slot),
            beacon_block_root: Root([0; 32]),
            validator_index: ValidatorIndex(7),
            signature: BlsSignature::default(),
        };
        bench
            .submit(slot, DutyType::SyncMessage, SignedData::SyncMessage(message))
            .await;
    }
    bench.slots(10..=17).await;
    assert!(!bench.metrics().contains("duty=\"sync_message\"} 1"));
    bench.slots(18..=60).await;
    assert!(
        bench
            .metrics()
            .contains("core_tracker_inclusion_missed_total{duty=\"sync_message\"} 1")
    );
    assert_eq!(bench.blocks.asked.load(Ordering::Relaxed), 2);
}
