//! Aggregates and sync contributions: who is selected, what is asked of the beacon node, what is proposed.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};

use futures::future::BoxFuture;
use trireme_core::{
    Duty, DutyType, PubKey, UnixTime,
    answers::{AwaitAggregated, NoAnswer},
    data::{SignedData, UnsignedData, UnsignedDataSet},
    definitions::{DutyDefinition, DutyDefinitionSet},
    features::{FeatureSet, Status},
    fetcher::{Fetcher, FetcherMetrics, FetcherParts, Graffiti},
    life::Life,
    ports::Clock,
    registrations::Registrations,
    scheduler::NotResolved,
    step::{ErrorKind, StepError, StepName},
    validatorapi::{AwaitUnsigned, DutyDefinitions},
};
use trireme_eth2::{
    AttestationData, BeaconCommitteeSelection, BlsPubkey, BlsSignature, ChainEvent, CommitteeIndex, HeadEvent, Root,
    Slot, SyncCommitteeMessage, SyncCommitteeSelection, SyncDuty, ValidatorIndex, VersionedProposal,
    is_sync_aggregator,
};

use super::{SPE, attester};
use crate::fakes::{
    Captured, SimClock, beacon::FakeBeacon, beacon::attestation_data, chain, cluster, cx_source, key, policy, timing,
};

const SLOT: Slot = Slot(2);

/// What has come together and what was agreed on; the rest never comes.
#[derive(Default)]
struct There {
    signed: Mutex<BTreeMap<(Duty, PubKey, u64), SignedData>>,
}

impl There {
    fn put(&self, kind: DutyType, n: u8, subcommittee: u64, data: SignedData) {
        let at = (Duty::new(SLOT, kind), key(n), subcommittee);
        self.signed.lock().unwrap().insert(at, data);
    }

    /// Validator `n` has shown its selection proof for attestations.
    fn prepared(&self, n: u8) {
        let selection = BeaconCommitteeSelection {
            validator_index: ValidatorIndex(n.into()),
            slot: SLOT,
            selection_proof: BlsSignature([n; 96]),
        };
        let data = SignedData::BeaconCommitteeSelection(selection);
        self.put(DutyType::PrepareAggregator, n, 0, data);
    }

    /// Validator `n` has shown a proof that makes it aggregator of the subcommittee, or one that does not.
    fn prepared_in(&self, n: u8, subcommittee_index: u64, selected: bool) {
        let proofs = (0..=255).map(|b| BlsSignature([b; 96]));
        let proof = proofs
            .into_iter()
            .find(|p| is_sync_aggregator(&chain(SPE), p) == selected);
        let data = SignedData::SyncCommitteeSelection(SyncCommitteeSelection {
            validator_index: ValidatorIndex(n.into()),
            slot: SLOT,
            subcommittee_index,
            selection_proof: proof.unwrap(),
        });
        self.put(DutyType::PrepareSyncContribution, n, subcommittee_index, data);
    }

    /// Validator `n` has voted for a block.
    fn voted(&self, n: u8, block: u8) {
        let data = SignedData::SyncMessage(SyncCommitteeMessage {
            slot: SLOT,
            beacon_block_root: Root([block; 32]),
            validator_index: ValidatorIndex(n.into()),
            signature: BlsSignature([n; 96]),
        });
        self.put(DutyType::SyncMessage, n, 0, data);
    }
}

impl AwaitAggregated for There {
    fn aggregated_in(&self, duty: Duty, v: PubKey, s: u64) -> BoxFuture<'_, Result<Arc<SignedData>, NoAnswer>> {
        let found = self.signed.lock().unwrap().get(&(duty, v, s)).cloned();
        Box::pin(async move {
            match found {
                Some(data) => Ok(Arc::new(data)),
                None => std::future::pending().await,
            }
        })
    }
}

impl AwaitUnsigned for There {
    fn attestation_data(&self, slot: Slot, _: CommitteeIndex) -> BoxFuture<'_, Result<Arc<AttestationData>, NoAnswer>> {
        Box::pin(async move { Ok(Arc::new(attestation_data(slot, SPE, 9))) })
    }
    fn proposal(&self, _: Slot) -> BoxFuture<'_, Result<Arc<VersionedProposal>, NoAnswer>> {
        Box::pin(std::future::pending())
    }
}

impl DutyDefinitions for There {
    fn definitions(&self, duty: Duty) -> BoxFuture<'_, Result<Option<DutyDefinitionSet>, NotResolved>> {
        let set = attesters(duty.slot, 2);
        Box::pin(async { Ok(Some(set)) })
    }
}

struct Bench {
    fetcher: Arc<Fetcher>,
    there: Arc<There>,
    beacon: Arc<FakeBeacon>,
    heard: Arc<Captured<UnsignedDataSet>>,
    clock: Arc<SimClock>,
}

fn bench(gate: bool, features: FeatureSet) -> Bench {
    let beacon = FakeBeacon::new(4, SPE, 9);
    let there = Arc::new(There::default());
    let clock = SimClock::starting_at(timing(SPE).start(SLOT));
    let fetcher = Arc::new(Fetcher::new(FetcherParts {
        beacon: Arc::clone(&beacon) as _,
        aggregated: Arc::clone(&there) as _,
        unsigned: Arc::clone(&there) as _,
        clock: Arc::clone(&clock) as _,
        timing: timing(SPE),
        chain: chain(SPE),
        registrations: Arc::new(Registrations::new(cluster(0, 4), Vec::new())),
        graffiti: Graffiti::new(&[], "trireme", true, &cluster(0, 4)).unwrap(),
        builder: false,
        contribution_gate: Arc::new(move |_| gate),
        features,
        metrics: FetcherMetrics::default(),
    }));
    let heard = Captured::new();
    let policy = policy(&Life::new(), SimClock::starting_at(UnixTime(0)), timing(SPE));
    fetcher
        .fetched
        .to(policy.inline(StepName::ConsensusPropose), &heard, Captured::record);
    Bench {
        fetcher,
        there,
        beacon,
        heard,
        clock,
    }
}

impl Bench {
    async fn fetch(&self, kind: DutyType, set: DutyDefinitionSet) -> Result<(), StepError> {
        let cx = cx_source(timing(SPE)).cx(Duty::new(SLOT, kind));
        Arc::clone(&self.fetcher).fetch(cx, Arc::new(set)).await
    }

    fn proposed(&self) -> Option<Arc<UnsignedDataSet>> {
        self.heard.take().pop().map(|(_, set)| set)
    }
}

/// Validators 1 to `n`, each the only member of its committee, hence selected.
fn attesters(slot: Slot, n: u8) -> DutyDefinitionSet {
    let one = |n| (key(n), DutyDefinition::Attester(attester(n, slot)));
    DutyDefinitionSet((1..=n).map(one).collect())
}

/// Validators with their positions in the sync committee, of which a subcommittee has 128.
fn members(of: &[(u8, &[u64])]) -> DutyDefinitionSet {
    let one = |(n, positions): &(u8, &[u64])| {
        let duty = SyncDuty {
            pubkey: BlsPubkey(key(*n).0),
            validator_index: ValidatorIndex((*n).into()),
            validator_sync_committee_indices: positions.to_vec(),
        };
        (key(*n), DutyDefinition::Sync(duty))
    };
    DutyDefinitionSet(of.iter().map(one).collect())
}

fn contributions(set: &UnsignedDataSet, n: u8) -> (bool, Vec<u64>) {
    match &set.0[&key(n)] {
        UnsignedData::Contribution(one) => (false, vec![one.subcommittee_index]),
        UnsignedData::Contributions(list) => (true, list.iter().map(|c| c.subcommittee_index).collect()),
        other => panic!("not a contribution: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn selected_validators_get_the_aggregate_of_their_committee() {
    let b = bench(false, FeatureSet::default());
    (1..=3).for_each(|n| b.there.prepared(n));
    let mut set = attesters(SLOT, 3);
    // The third one's committee is so large that it is not selected.
    let Some(DutyDefinition::Attester(third)) = set.0.get_mut(&key(3)) else {
        panic!("an attester")
    };
    third.committee_length = u64::MAX;
    b.fetch(DutyType::Aggregator, set).await.unwrap();
    let proposed = b.proposed().unwrap();
    assert_eq!(proposed.0.keys().copied().collect::<Vec<_>>(), [key(1), key(2)]);
    for n in 1..=2 {
        let UnsignedData::Aggregate(aggregate) = &proposed.0[&key(n)] else {
            panic!("not an aggregate")
        };
        assert_eq!(aggregate.committee(), Some(CommitteeIndex(n.into())));
        assert_eq!(*aggregate.data(), attestation_data(SLOT, SPE, 9));
    }
    assert_eq!(b.beacon.aggregates_asked.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn validators_that_show_no_selection_hold_up_the_others_for_a_moment_only() {
    let b = bench(false, FeatureSet::default());
    b.there.prepared(1);
    let began = b.clock.now();
    b.fetch(DutyType::Aggregator, attesters(SLOT, 2)).await.unwrap();
    assert_eq!(b.proposed().unwrap().0.len(), 1);
    assert_eq!(b.clock.now().since(began), Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn without_any_selection_the_fetch_ends_one_slot_later() {
    let b = bench(false, FeatureSet::default());
    let error = b.fetch(DutyType::Aggregator, attesters(SLOT, 2)).await.unwrap_err();
    assert_eq!((error.kind, error.beacon), (ErrorKind::Expired, false));
    assert_eq!(b.clock.now(), timing(SPE).start(Slot(SLOT.0 + 2)));
}

#[tokio::test(start_paused = true)]
async fn an_aggregate_that_is_not_there_yet_is_asked_for_again() {
    let b = bench(false, FeatureSet::default());
    (1..=2).for_each(|n| b.there.prepared(n));
    *b.beacon.lacking.lock().unwrap() = (2, 2);
    b.fetch(DutyType::Aggregator, attesters(SLOT, 2)).await.unwrap();
    assert_eq!(b.proposed().unwrap().0.len(), 2);
    *b.beacon.lacking.lock().unwrap() = (2, 99);
    b.fetch(DutyType::Aggregator, attesters(SLOT, 2)).await.unwrap();
    assert_eq!(b.proposed().unwrap().0.len(), 1, "the other committee's goes its way");
    b.there.signed.lock().unwrap().retain(|(_, v, _), _| *v == key(2));
    let only = DutyDefinitionSet(attesters(SLOT, 2).0.into_iter().filter(|(v, _)| *v == key(2)).collect());
    let error = b.fetch(DutyType::Aggregator, only).await.unwrap_err();
    assert_eq!((error.kind, error.beacon), (ErrorKind::Temporary, true));
}

#[tokio::test(start_paused = true)]
async fn nobody_selected_means_nothing_to_agree_on() {
    let b = bench(true, FeatureSet::default());
    b.there.prepared_in(1, 0, false);
    b.fetch(DutyType::SyncContribution, members(&[(1, &[5])]))
        .await
        .unwrap();
    assert!(b.proposed().is_none());
}

#[tokio::test(start_paused = true)]
async fn behind_the_closed_gate_a_validator_contributes_for_its_first_selected_subcommittee() {
    let b = bench(false, FeatureSet::default());
    for (subcommittee, selected) in [(0, false), (1, true), (3, true)] {
        b.there.prepared_in(1, subcommittee, selected);
    }
    b.there.voted(1, 7);
    let set = members(&[(1, &[400, 5, 130, 131])]);
    b.fetch(DutyType::SyncContribution, set).await.unwrap();
    assert_eq!(contributions(&b.proposed().unwrap(), 1), (false, vec![1]));
}

#[tokio::test(start_paused = true)]
async fn through_the_open_gate_it_contributes_for_all_of_them_in_order() {
    let b = bench(true, FeatureSet::default());
    for (subcommittee, selected) in [(0, false), (1, true), (3, true)] {
        b.there.prepared_in(1, subcommittee, selected);
    }
    b.there.prepared_in(2, 3, true);
    b.there.voted(1, 7);
    b.there.voted(2, 8);
    let set = members(&[(1, &[400, 5, 130, 131]), (2, &[401])]);
    b.fetch(DutyType::SyncContribution, set).await.unwrap();
    let proposed = b.proposed().unwrap();
    assert_eq!(contributions(&proposed, 1), (true, vec![1, 3]));
    // A list even of one: the form does not depend on how many there are.
    assert_eq!(contributions(&proposed, 2), (true, vec![3]));
    let UnsignedData::Contributions(list) = &proposed.0[&key(2)] else {
        panic!("not a list")
    };
    assert_eq!(
        list[0].beacon_block_root,
        Root([8; 32]),
        "for the block that it voted for"
    );
}

fn head(slot: Slot, block: u8) -> ChainEvent {
    ChainEvent::Head(HeadEvent {
        slot,
        block: Root([block; 32]),
        state: Root::ZERO,
        epoch_transition: false,
        previous_duty_dependent_root: Root([1; 32]),
        current_duty_dependent_root: Root([1; 32]),
        execution_optimistic: false,
    })
}

#[tokio::test(start_paused = true)]
async fn attestation_data_is_fetched_with_the_block_and_used_if_it_votes_for_it() {
    let (early, _) = FeatureSet::new(Status::Stable, &["fetch_att_on_block".to_owned()], &[]);
    // The beacon node's data vote for block 9.
    for (block, asked) in [(9, 1), (8, 2)] {
        let b = bench(false, early.clone());
        let life = Life::new();
        let follow = Arc::clone(&b.fetcher).fetch_early(Arc::clone(&b.there) as _);
        life.task("early", follow);
        tokio::time::sleep(Duration::from_millis(1)).await;
        b.beacon.events.send(head(SLOT, block)).unwrap();
        // Nothing is asked twice for one slot, and nothing for a slot that is not the present one.
        b.beacon.events.send(head(SLOT, block)).unwrap();
        b.beacon.events.send(head(Slot(SLOT.0 - 1), block)).unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(b.beacon.attestation_data_asked.load(Ordering::Relaxed), 1);
        b.fetch(DutyType::Attester, attesters(SLOT, 2)).await.unwrap();
        assert_eq!(b.proposed().unwrap().0.len(), 2);
        assert_eq!(
            b.beacon.attestation_data_asked.load(Ordering::Relaxed),
            asked,
            "block {block}"
        );
        life.stop().await;
    }
}
