use trireme_eth2::{AttestationData, BlsSignature, CommitteeIndex, electra, phase0};

use super::*;

const V: PubKey = PubKey([1; 48]);

fn bits<N: typenum::Unsigned>(len: usize, set: &[usize]) -> ssz_types::BitList<N> {
    let mut bits = ssz_types::BitList::with_capacity(len).unwrap();
    for bit in set {
        bits.set(*bit, true).unwrap();
    }
    bits
}

fn before_electra(committee: u64, set: &[usize]) -> phase0::Attestation {
    phase0::Attestation {
        aggregation_bits: bits(4, set),
        data: AttestationData {
            index: CommitteeIndex(committee),
            ..Default::default()
        },
        signature: BlsSignature::default(),
    }
}

fn since_electra(committees: &[usize], len: usize, set: &[usize]) -> electra::Attestation {
    let mut attestation = electra::Attestation {
        aggregation_bits: bits(len, set),
        data: AttestationData::default(),
        signature: BlsSignature::default(),
        committee_bits: Default::default(),
    };
    for committee in committees {
        attestation.committee_bits.set(*committee, true).unwrap();
    }
    attestation
}

fn ours(attestation: ForkedAttestation) -> Vote {
    Vote::from(DutyType::Attester, V, Some(ValidatorIndex(7)), &attestation).unwrap()
}

fn deneb_block(attestations: &[phase0::Attestation]) -> VersionedSignedBlock {
    let mut block = trireme_eth2::deneb::SignedBeaconBlock::default();
    for attestation in attestations {
        block.message.body.attestations.push(attestation.clone()).unwrap();
    }
    VersionedSignedBlock::Deneb(block)
}

fn fulu_block(attestations: &[electra::Attestation]) -> VersionedSignedBlock {
    let mut block = electra::SignedBeaconBlock::default();
    for attestation in attestations {
        block.message.body.attestations.push(attestation.clone()).unwrap();
    }
    VersionedSignedBlock::Fulu(block)
}

#[test]
fn before_electra_a_vote_is_in_a_block_whose_bits_contain_its_bits() {
    let vote = ours(ForkedAttestation::Deneb(before_electra(3, &[1])));
    let found = |attestations: &[phase0::Attestation]| {
        let block = deneb_block(attestations);
        vote.is_in(&votes_in(&block, &BTreeSet::from([vote.data]), &BTreeMap::new()))
    };
    assert!(found(&[before_electra(3, &[0, 1])]));
    assert!(found(&[before_electra(3, &[0]), before_electra(3, &[1])]));
    assert!(!found(&[before_electra(3, &[0, 2])]));
    assert!(!found(&[before_electra(2, &[0, 1])]), "another committee");
    assert!(!found(&[]));
}

#[test]
fn an_aggregate_needs_all_of_its_bits() {
    let vote = ours(ForkedAttestation::Deneb(before_electra(3, &[1, 2])));
    let wanted = BTreeSet::from([vote.data]);
    let block = deneb_block(&[before_electra(3, &[1, 3])]);
    assert!(!vote.is_in(&votes_in(&block, &wanted, &BTreeMap::new())));
    let block = deneb_block(&[before_electra(3, &[1, 3]), before_electra(3, &[2])]);
    assert!(vote.is_in(&votes_in(&block, &wanted, &BTreeMap::new())));
}

#[test]
fn since_electra_the_committees_before_ours_shift_our_place() {
    let mut vote = ours(ForkedAttestation::Fulu(since_electra(&[5], 0, &[])));
    let members = [BeaconCommittee {
        index: CommitteeIndex(5),
        slot: Slot(0),
        validators: [8, 9, 7].map(ValidatorIndex).to_vec(),
    }];
    let committees = BTreeMap::from([(Slot(0), Sizes::from([(1, 2), (4, 3), (5, 3)]))]);
    let found = |vote: &Vote, attestation| {
        let block = fulu_block(&[attestation]);
        vote.is_in(&votes_in(&block, &BTreeSet::from([vote.data]), &committees))
    };
    assert!(
        !found(&vote, since_electra(&[1, 4, 5], 8, &[7])),
        "its place is not known yet"
    );
    vote.settle(&members);
    assert!(found(&vote, since_electra(&[1, 4, 5], 8, &[7])));
    assert!(found(&vote, since_electra(&[5], 3, &[2])));
    assert!(found(&vote, since_electra(&[1, 5], 5, &[4])));
    assert!(!found(&vote, since_electra(&[1, 4, 5], 8, &[2])));
    assert!(!found(&vote, since_electra(&[1, 4], 5, &[4])));
    assert!(
        !found(&vote, since_electra(&[2, 5], 5, &[4])),
        "nobody knows how large committee 2 is"
    );
}

#[test]
fn a_validator_that_is_no_member_is_never_found() {
    let mut vote = ours(ForkedAttestation::Fulu(since_electra(&[5], 0, &[])));
    vote.settle(&[BeaconCommittee {
        index: CommitteeIndex(5),
        slot: Slot(0),
        validators: vec![ValidatorIndex(8)],
    }]);
    assert_eq!(vote.place, Place::Of(ValidatorIndex(7)));
}
