//! What is sent to the beacon node for every kind of duty.

use std::sync::Arc;

use prometheus_client::registry::Registry;
use trireme_core::{
    Duty, DutyType, UnixTime,
    bcast::{BroadcastMetrics, Broadcaster},
    data::{SignedData, SignedDataSet},
    step::{ErrorKind, StepError},
    validators::ValidatorCache,
};
use trireme_eth2::{
    BlsSignature, Epoch, SignedContributionAndProof, SignedVoluntaryExit, Slot, SyncCommitteeMessage, ValidatorIndex,
    VersionedSignedAggregateAndProof, VoluntaryExit, electra, phase0,
    ssz_types::{BitList, BitVector},
};

use super::{SPE, randao, vote};
use crate::fakes::{
    SimClock,
    beacon::{FakeBeacon, attestation_data},
    cluster, cx_source, key, timing,
};

const SLOT: Slot = Slot(1);

struct Bench {
    bcast: Arc<Broadcaster>,
    beacon: Arc<FakeBeacon>,
    validators: Arc<ValidatorCache>,
}

fn bench() -> Bench {
    let beacon = FakeBeacon::new(3, SPE, 0);
    let validators = Arc::new(ValidatorCache::new(
        Arc::clone(&beacon) as _,
        &cluster(0, 3),
        Default::default(),
    ));
    let bcast = Arc::new(Broadcaster::new(
        Arc::clone(&beacon) as _,
        Arc::clone(&validators),
        SimClock::starting_at(UnixTime(0)),
        timing(SPE),
        BroadcastMetrics::register(&mut Registry::default()),
    ));
    Bench {
        bcast,
        beacon,
        validators,
    }
}

impl Bench {
    async fn send(&self, kind: DutyType, all: impl IntoIterator<Item = (u8, SignedData)>) -> Result<(), StepError> {
        let set = SignedDataSet(all.into_iter().map(|(n, data)| (key(n), data)).collect());
        let cx = cx_source(timing(SPE)).cx(Duty::new(SLOT, kind));
        Arc::clone(&self.bcast).broadcast(cx, Arc::new(set)).await
    }
}

fn exit(n: u8) -> SignedData {
    SignedData::Exit(SignedVoluntaryExit {
        message: VoluntaryExit {
            epoch: Epoch(1),
            validator_index: ValidatorIndex(n.into()),
        },
        signature: BlsSignature([n; 96]),
    })
}

fn aggregate() -> SignedData {
    let mut committee_bits = BitVector::new();
    committee_bits.set(1, true).unwrap();
    let aggregate = electra::Attestation {
        aggregation_bits: BitList::with_capacity(4).unwrap(),
        data: attestation_data(SLOT, SPE, 1),
        signature: BlsSignature([8; 96]),
        committee_bits,
    };
    SignedData::Aggregate(VersionedSignedAggregateAndProof::Fulu(
        electra::SignedAggregateAndProof {
            message: electra::AggregateAndProof {
                aggregator_index: ValidatorIndex(1),
                aggregate,
                selection_proof: BlsSignature([7; 96]),
            },
            signature: BlsSignature([6; 96]),
        },
    ))
}

#[tokio::test(start_paused = true)]
async fn aggregates_sync_messages_and_contributions_go_each_in_one_request() {
    let b = bench();
    b.send(DutyType::Aggregator, [(1, aggregate()), (2, aggregate())])
        .await
        .unwrap();
    let message = SignedData::SyncMessage(SyncCommitteeMessage::default());
    b.send(DutyType::SyncMessage, [(1, message.clone()), (2, message)])
        .await
        .unwrap();
    let contribution = SignedData::Contribution(SignedContributionAndProof::default());
    b.send(DutyType::SyncContribution, [(1, contribution)]).await.unwrap();
    {
        let sent = b.beacon.others.lock().unwrap();
        let n = (
            sent.aggregates.len(),
            sent.sync_messages.len(),
            sent.contributions.len(),
        );
        assert_eq!(n, (2, 2, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_submission_of_which_a_part_was_refused_is_a_failure_whatever_was_known_of_the_rest() {
    let b = bench();
    b.beacon.refuse(
        400,
        "some failures: PriorAttestationKnown; AggregatorAlreadyKnown; invalid signature",
    );
    let vote = vote(1, attestation_data(SLOT, SPE, 1));
    let all = [
        (DutyType::Attester, vote),
        (DutyType::Aggregator, aggregate()),
        (
            DutyType::SyncMessage,
            SignedData::SyncMessage(SyncCommitteeMessage::default()),
        ),
        (
            DutyType::SyncContribution,
            SignedData::Contribution(SignedContributionAndProof::default()),
        ),
        (DutyType::Exit, exit(1)),
    ];
    for (kind, data) in all {
        let error = b.send(kind, [(1, data)]).await.unwrap_err();
        assert_eq!((error.kind, error.beacon), (ErrorKind::Permanent, true), "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_exit_is_tried_and_one_that_is_refused_is_a_failure() {
    let b = bench();
    b.send(DutyType::Exit, [(1, exit(1)), (2, exit(2))]).await.unwrap();
    let told = b.beacon.others.lock().unwrap().exits.len();
    assert_eq!(told, 2);
    b.beacon.refuse(503, "syncing");
    let error = b.send(DutyType::Exit, [(1, exit(1)), (2, exit(2))]).await.unwrap_err();
    assert_eq!((error.kind, error.beacon), (ErrorKind::Temporary, true));
}

#[tokio::test(start_paused = true)]
async fn answers_to_our_own_questions_are_not_sent_and_some_types_never() {
    let b = bench();
    b.send(DutyType::Randao, [(1, randao(0))]).await.unwrap();
    for kind in [DutyType::BuilderProposer, DutyType::Signature, DutyType::InfoSync] {
        let error = b.send(kind, [(1, randao(0))]).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Permanent, "{kind}");
    }
    // Of another kind than the duty, or a form without version.
    let unversioned = SignedData::UnversionedAggregate(phase0::SignedAggregateAndProof {
        message: phase0::AggregateAndProof {
            aggregator_index: ValidatorIndex(1),
            aggregate: phase0::Attestation {
                aggregation_bits: BitList::with_capacity(4).unwrap(),
                data: attestation_data(SLOT, SPE, 1),
                signature: BlsSignature([8; 96]),
            },
            selection_proof: BlsSignature([7; 96]),
        },
        signature: BlsSignature([6; 96]),
    });
    for data in [randao(0), unversioned] {
        let error = b.send(DutyType::Aggregator, [(1, data)]).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Permanent);
    }
}

#[tokio::test(start_paused = true)]
async fn a_validator_index_that_old_peers_lost_is_filled_in() {
    let b = bench();
    b.validators.get().await.unwrap();
    let lost = |n| {
        let SignedData::Attestation(mut att) = vote(n, attestation_data(SLOT, SPE, 1)) else {
            panic!("a vote")
        };
        att.validator_index = None;
        (n, SignedData::Attestation(att))
    };
    b.send(DutyType::Attester, [lost(1), lost(3)]).await.unwrap();
    let sent = b.beacon.submitted.lock().unwrap();
    let indices: Vec<_> = sent.iter().map(|a| a.validator_index).collect();
    assert_eq!(indices, [Some(ValidatorIndex(1)), Some(ValidatorIndex(3))]);
}

#[tokio::test(start_paused = true)]
async fn vc_60_before_electra_too_the_log_is_told_whose_votes_they_are() {
    let b = bench();
    b.validators.get().await.unwrap();
    let early = |n| {
        let attestation = trireme_eth2::ForkedAttestation::Deneb(phase0::Attestation {
            aggregation_bits: BitList::with_capacity(4).unwrap(),
            data: attestation_data(SLOT, SPE, 1),
            signature: BlsSignature([8; 96]),
        });
        let validator_index = None;
        (
            n,
            SignedData::Attestation(trireme_eth2::VersionedAttestation {
                validator_index,
                attestation,
            }),
        )
    };
    b.send(DutyType::Attester, [early(1), early(3)]).await.unwrap();
    let sent = b.beacon.submitted.lock().unwrap();
    let indices: Vec<_> = sent.iter().map(|a| a.validator_index).collect();
    assert_eq!(indices, [Some(ValidatorIndex(1)), Some(ValidatorIndex(3))]);
}
