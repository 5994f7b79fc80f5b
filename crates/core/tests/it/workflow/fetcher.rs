//! What is asked of the beacon node, and how often.

use std::sync::{Arc, atomic::Ordering};

use futures::future::BoxFuture;
use trireme_core::{
    Duty, DutyType, PubKey, UnixTime,
    answers::{AwaitAggregated, NoAnswer},
    data::{SignedData, UnsignedData, UnsignedDataSet},
    definitions::{DutyDefinition, DutyDefinitionSet},
    features::FeatureSet,
    fees::BlockSource,
    fetcher::{Fetcher, FetcherMetrics, FetcherParts, Graffiti},
    life::Life,
    registrations::Registrations,
    step::{ErrorKind, StepName},
    time::SlotTick,
    validatorapi::AwaitUnsigned,
};
use trireme_eth2::{
    AttestationData, BlsPubkey, CommitteeIndex, Epoch, ProposerDuty, Slot, ValidatorIndex, VersionedProposal,
};

use super::{SPE, attester, randao};
use crate::fakes::{
    Captured, SimClock, beacon::FakeBeacon, beacon::attestation_data, chain, cluster, cx_source, key, policy, timing,
};

struct NeverAggregated;

impl AwaitAggregated for NeverAggregated {
    fn aggregated_in(&self, _: Duty, _: PubKey, _: u64) -> BoxFuture<'_, Result<Arc<SignedData>, NoAnswer>> {
        Box::pin(async { Err(NoAnswer::Expired) })
    }
}

/// Every randao reveal is there.
struct Revealed;

impl AwaitAggregated for Revealed {
    fn aggregated_in(&self, _: Duty, _: PubKey, _: u64) -> BoxFuture<'_, Result<Arc<SignedData>, NoAnswer>> {
        Box::pin(async { Ok(Arc::new(randao(0))) })
    }
}

struct NeverAgreed;

impl AwaitUnsigned for NeverAgreed {
    fn attestation_data(&self, _: Slot, _: CommitteeIndex) -> BoxFuture<'_, Result<Arc<AttestationData>, NoAnswer>> {
        Box::pin(std::future::pending())
    }
    fn proposal(&self, _: Slot) -> BoxFuture<'_, Result<Arc<VersionedProposal>, NoAnswer>> {
        Box::pin(std::future::pending())
    }
}

fn fetcher(beacon: &Arc<FakeBeacon>) -> (Arc<Fetcher>, Arc<Captured<UnsignedDataSet>>) {
    fetcher_with(beacon, Arc::new(NeverAggregated), FetcherMetrics::default())
}

fn fetcher_with(
    beacon: &Arc<FakeBeacon>,
    aggregated: Arc<dyn AwaitAggregated>,
    metrics: FetcherMetrics,
) -> (Arc<Fetcher>, Arc<Captured<UnsignedDataSet>>) {
    let fetcher = Arc::new(Fetcher::new(FetcherParts {
        beacon: Arc::clone(beacon) as _,
        aggregated,
        unsigned: Arc::new(NeverAgreed),
        clock: SimClock::starting_at(UnixTime(0)),
        timing: timing(SPE),
        chain: chain(SPE),
        registrations: Arc::new(Registrations::new(cluster(0, 3), Vec::new())),
        graffiti: Graffiti::new(&[], "trireme", true, &cluster(0, 3)).unwrap(),
        builder: false,
        contribution_gate: Arc::new(|_| false),
        features: FeatureSet::default(),
        metrics,
    }));
    let heard = Captured::new();
    let policy = policy(&Life::new(), SimClock::starting_at(UnixTime(0)), timing(SPE));
    fetcher
        .fetched
        .to(policy.inline(StepName::ConsensusPropose), &heard, Captured::record);
    (fetcher, heard)
}

#[tokio::test(start_paused = true)]
async fn one_request_serves_all_attesters_of_a_slot_and_each_keeps_its_own_duty() {
    let beacon = FakeBeacon::new(3, SPE, 9);
    let (fetcher, heard) = fetcher(&beacon);
    let duty = Duty::new(Slot(2), DutyType::Attester);
    let definitions = (1..=3)
        .map(|n| (key(n), DutyDefinition::Attester(attester(n, duty.slot))))
        .collect();
    fetcher
        .fetch(
            cx_source(timing(SPE)).cx(duty),
            Arc::new(DutyDefinitionSet(definitions)),
        )
        .await
        .unwrap();
    assert_eq!(beacon.attestation_data_asked.load(Ordering::Relaxed), 1);
    let (_, set) = heard.take().pop().unwrap();
    for n in 1..=3 {
        let UnsignedData::Attestation(att) = &set.0[&key(n)] else {
            panic!("not an attestation")
        };
        assert_eq!(
            (att.data, att.duty),
            (attestation_data(duty.slot, SPE, 9), attester(n, duty.slot))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_randao_no_block_is_asked_for() {
    let (fetcher, heard) = fetcher(&FakeBeacon::new(3, SPE, 9));
    let duty = Duty::new(Slot(2), DutyType::Proposer);
    let error = fetcher
        .fetch(cx_source(timing(SPE)).cx(duty), Arc::new(proposer(1, duty)))
        .await
        .unwrap_err();
    assert_eq!((error.kind, error.beacon), (ErrorKind::Expired, false));
    assert!(heard.take().is_empty());
}

fn proposer(n: u8, duty: Duty) -> DutyDefinitionSet {
    let definition = ProposerDuty {
        pubkey: BlsPubkey(key(n).0),
        slot: duty.slot,
        validator_index: ValidatorIndex(n.into()),
    };
    DutyDefinitionSet([(key(n), DutyDefinition::Proposer(definition))].into())
}

#[tokio::test(start_paused = true)]
async fn vc_23_a_block_of_our_beacon_node_that_pays_somebody_else_is_counted_and_proposed() {
    let beacon = FakeBeacon::new(3, SPE, 9);
    let metrics = FetcherMetrics::default();
    let (fetcher, heard) = fetcher_with(&beacon, Arc::new(Revealed), metrics.clone());
    let counted = || metrics.fee_mismatches().count(BlockSource::BeaconNode);
    let fetch = |slot: u64, n: u8| {
        let duty = Duty::new(Slot(slot), DutyType::Proposer);
        Arc::clone(&fetcher).fetch(cx_source(timing(SPE)).cx(duty), Arc::new(proposer(n, duty)))
    };
    // The lock pays validator `n` at `n`, repeated.
    *beacon.recipient.lock().unwrap() = 2;
    fetch(1, 2).await.unwrap();
    assert_eq!((counted(), heard.take().len()), (0, 1));
    fetch(2, 3).await.unwrap();
    assert_eq!((counted(), heard.take().len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn no_block_waits_for_the_beacon_nodes_version_and_it_is_in_the_graffiti_once_it_is_known() {
    let beacon = FakeBeacon::new(3, SPE, 9);
    let (fetcher, heard) = fetcher_with(&beacon, Arc::new(Revealed), FetcherMetrics::default());
    let graffiti = async |slot: u64| {
        let duty = Duty::new(Slot(slot), DutyType::Proposer);
        let cx = cx_source(timing(SPE)).cx(duty);
        let n = u8::try_from(slot).unwrap() + 1;
        Arc::clone(&fetcher)
            .fetch(cx, Arc::new(proposer(n, duty)))
            .await
            .unwrap();
        let (_, set) = heard.take().pop().unwrap();
        let UnsignedData::Proposal(block) = &set.0[&key(n)] else {
            panic!("not a block")
        };
        String::from_utf8(block.graffiti().0.into_iter().take_while(|b| *b != 0).collect()).unwrap()
    };
    let asked = || beacon.versions_asked.load(Ordering::Relaxed);
    assert_eq!((graffiti(1).await.as_str(), asked()), ("triremeOB", 0));
    let tick = SlotTick {
        slot: Slot(2),
        epoch: Epoch(0),
        first_in_epoch: false,
        last_in_epoch: false,
        first_seen: false,
    };
    for _ in 0..3 {
        Arc::clone(&fetcher).on_slot(tick).await;
    }
    assert_eq!((graffiti(2).await.as_str(), asked()), ("triremeOBLH", 1));
}

#[tokio::test(start_paused = true)]
async fn vc_30_no_block_is_made_for_the_genesis_slot() {
    let (fetcher, heard) = fetcher_with(
        &FakeBeacon::new(3, SPE, 9),
        Arc::new(Revealed),
        FetcherMetrics::default(),
    );
    for (slot, blocks) in [(0, 0), (1, 1)] {
        let duty = Duty::new(Slot(slot), DutyType::Proposer);
        let n = u8::try_from(slot).unwrap() + 1;
        let fetched = Arc::clone(&fetcher).fetch(cx_source(timing(SPE)).cx(duty), Arc::new(proposer(n, duty)));
        fetched.await.unwrap();
        assert_eq!(heard.take().len(), blocks, "slot {slot}");
    }
}
