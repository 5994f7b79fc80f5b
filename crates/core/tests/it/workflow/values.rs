//! What a leader may propose, and what is not voted for.

use std::sync::Arc;

use trireme_core::{
    Duty, DutyType,
    consensus::{ClusterValues, ValueCheck as _},
    data::{UnsignedData, UnsignedDataSet},
    definitions::{DutyDefinition, DutyDefinitionSet},
    fees::FeeMismatches,
    validators::ValidatorCache,
};
use trireme_eth2::{
    BlsPubkey, BlsSignature, Epoch, ForkedAttestation, ForkedBlock, ProposerDuty, Root, Slot,
    SyncCommitteeContribution, ValidatorIndex, VersionedAttestation, VersionedProposal, electra, phase0,
    ssz_types::{BitList, BitVector},
};

use super::{SPE, attester, block, decided};
use crate::fakes::{
    Known,
    beacon::{FakeBeacon, attestation_data},
    chain, cluster, fees, key, timing,
};

const SLOT: Slot = Slot(9);

async fn rules() -> ClusterValues {
    rules_with(Known::default()).await
}

async fn rules_with(duties: Known) -> ClusterValues {
    let cluster = cluster(0, 3);
    let cache = ValidatorCache::new(FakeBeacon::new(3, SPE, 0), &cluster, Default::default());
    cache.get().await.unwrap();
    ClusterValues {
        fees: fees(&cluster, FeeMismatches::default()),
        cluster,
        chain: chain(SPE),
        timing: timing(SPE),
        validators: Arc::new(cache),
        duties: Arc::new(duties),
        heads: Arc::default(),
    }
}

pub(super) fn aggregate(slot: Slot, committees: &[usize]) -> UnsignedData {
    let mut committee_bits = BitVector::new();
    committees.iter().for_each(|c| committee_bits.set(*c, true).unwrap());
    let attestation = ForkedAttestation::Fulu(electra::Attestation {
        aggregation_bits: BitList::with_capacity(4).unwrap(),
        data: attestation_data(slot, SPE, 1),
        signature: BlsSignature([8; 96]),
        committee_bits,
    });
    UnsignedData::Aggregate(VersionedAttestation {
        validator_index: None,
        attestation,
    })
}

fn contribution(slot: Slot, subcommittee_index: u64) -> SyncCommitteeContribution {
    SyncCommitteeContribution {
        slot,
        subcommittee_index,
        beacon_block_root: Root([1; 32]),
        ..SyncCommitteeContribution::default()
    }
}

fn set(n: u8, data: UnsignedData) -> UnsignedDataSet {
    UnsignedDataSet([(key(n), data)].into())
}

#[tokio::test]
async fn what_an_honest_leader_proposes_is_voted_for() {
    let rules = rules().await;
    let good = [
        (DutyType::Attester, decided(SLOT, 3, 1)),
        (DutyType::Proposer, set(2, block(SLOT, 2, 2))),
        (DutyType::Aggregator, set(1, aggregate(SLOT, &[1]))),
        (
            DutyType::SyncContribution,
            set(1, UnsignedData::Contribution(contribution(SLOT, 3))),
        ),
        (
            DutyType::SyncContribution,
            set(
                1,
                UnsignedData::Contributions(vec![contribution(SLOT, 0), contribution(SLOT, 3)]),
            ),
        ),
    ];
    for (kind, set) in good {
        assert_eq!(rules.check(Duty::new(SLOT, kind), &set), Ok(()), "{kind}");
    }
}

#[tokio::test]
async fn what_can_never_be_right_is_not_voted_for() {
    let rules = rules().await;
    let attestation = |change: fn(&mut trireme_core::data::AttestationDuty)| {
        let mut set = decided(SLOT, 1, 1);
        if let Some(UnsignedData::Attestation(att)) = set.0.get_mut(&key(1)) {
            change(att);
        }
        set
    };
    let mut two_blocks = set(1, block(SLOT, 1, 1));
    two_blocks.0.extend(set(2, block(SLOT, 2, 2)).0);
    let mut old = phase0::BeaconBlock::default();
    (old.slot, old.proposer_index) = (SLOT, ValidatorIndex(1));
    let old = UnsignedData::Proposal(Arc::new(VersionedProposal::Full(ForkedBlock::Phase0(old))));
    let unversioned = UnsignedData::UnversionedAggregate(phase0::Attestation {
        aggregation_bits: BitList::with_capacity(4).unwrap(),
        data: attestation_data(SLOT, SPE, 1),
        signature: BlsSignature([8; 96]),
    });
    let bad = [
        (DutyType::Attester, decided(Slot(8), 1, 1), "slot 8"),
        (
            DutyType::Attester,
            attestation(|a| a.data.target.epoch = Epoch(3)),
            "target epoch 3",
        ),
        (
            DutyType::Attester,
            attestation(|a| a.duty.slot = Slot(8)),
            "duty of slot 8",
        ),
        (
            DutyType::Attester,
            attestation(|a| a.duty.pubkey.0 = [2; 48]),
            "another validator",
        ),
        (
            DutyType::Attester,
            attestation(|a| a.duty.validator_index = ValidatorIndex(2)),
            "validator index 2",
        ),
        (DutyType::Attester, decided(SLOT, 4, 1), "not of this cluster"),
        (DutyType::Proposer, set(1, block(Slot(8), 1, 1)), "slot 8"),
        (DutyType::Proposer, set(1, block(SLOT, 2, 2)), "validator index 2"),
        (DutyType::Proposer, two_blocks, "2 blocks"),
        (DutyType::Proposer, set(1, old), "the form of phase0"),
        (DutyType::Aggregator, set(1, aggregate(Slot(8), &[1])), "slot 8"),
        (
            DutyType::Aggregator,
            set(1, aggregate(SLOT, &[1, 2])),
            "exactly one committee",
        ),
        (DutyType::Aggregator, set(1, unversioned), "without version"),
        (
            DutyType::SyncContribution,
            set(1, UnsignedData::Contribution(contribution(Slot(8), 1))),
            "slot 8",
        ),
        (
            DutyType::SyncContribution,
            set(1, UnsignedData::Contribution(contribution(SLOT, 4))),
            "subcommittee 4",
        ),
        (
            DutyType::SyncContribution,
            set(1, UnsignedData::Contributions(Vec::new())),
            "empty list",
        ),
    ];
    for (kind, set, words) in bad {
        let refused = rules.check(Duty::new(SLOT, kind), &set).unwrap_err();
        assert!(refused.contains(words), "{refused} does not say {words}");
    }
}

#[tokio::test]
async fn a_block_of_another_validator_than_the_slots_known_proposer_is_not_voted_for() {
    let duty = Duty::new(SLOT, DutyType::Proposer);
    let proposes = |n: u8| {
        let definition = DutyDefinition::Proposer(ProposerDuty {
            pubkey: BlsPubkey(key(n).0),
            slot: SLOT,
            validator_index: ValidatorIndex(n.into()),
        });
        DutyDefinitionSet([(key(n), definition)].into())
    };
    let rules = rules_with(Known([(duty, proposes(2))].into())).await;
    assert_eq!(rules.check(duty, &set(2, block(SLOT, 2, 2))), Ok(()));
    let refused = rules.check(duty, &set(1, block(SLOT, 1, 1))).unwrap_err();
    assert!(
        refused.contains("where 02") && refused.contains("proposes"),
        "{refused}"
    );
    // Whoever is not certain, or knows of nobody, holds up no peer.
    for known in [Known::default(), Known([(duty, DutyDefinitionSet::default())].into())] {
        assert_eq!(rules_with(known).await.check(duty, &set(1, block(SLOT, 1, 1))), Ok(()));
    }
}

#[tokio::test]
async fn an_attestation_for_another_place_than_the_validators_known_one_is_not_voted_for() {
    let duty = Duty::new(SLOT, DutyType::Attester);
    let own = DutyDefinitionSet([(key(1), DutyDefinition::Attester(attester(1, SLOT)))].into());
    let rules = rules_with(Known([(duty, own)].into())).await;
    // Validator 2 has no duty that is known.
    assert_eq!(rules.check(duty, &decided(SLOT, 2, 1)), Ok(()));
    let changes: [fn(&mut trireme_eth2::AttesterDuty); 3] = [
        |d| d.committee_index.0 = 7,
        |d| d.committee_length = 7,
        |d| d.validator_committee_index = 7,
    ];
    for change in changes {
        let mut set = decided(SLOT, 2, 1);
        for data in set.0.values_mut() {
            if let UnsignedData::Attestation(att) = data {
                change(&mut att.duty);
            }
        }
        let refused = rules.check(duty, &set).unwrap_err();
        assert!(refused.contains("where validator"), "{refused}");
        set.0.remove(&key(1));
        assert_eq!(rules.check(duty, &set), Ok(()));
    }
}
