//! Aggregates: what is taken, and each reason to refuse, made by hand.

use trireme_eth2::{VersionedSignedAggregateAndProof, electra, phase0};

use super::*;

impl Court {
    /// The aggregate of slot 5 as its first attester signs it, from what the judge answers.
    fn aggregate(&mut self) -> electra::SignedAggregateAndProof {
        let data = self.everybody_votes(5);
        let (validator, committee) = self.attester(5);
        let (at, root) = (self.late_in(5), hash_tree_root(&data));
        let found = self.judge.aggregate(0, at, Slot(5), root, Some(committee)).unwrap();
        let trireme_eth2::ForkedAttestation::Fulu(aggregate) = found else {
            unreachable!("a court of Fulu")
        };
        self.sign_aggregate(electra::AggregateAndProof {
            aggregator_index: ValidatorIndex(validator),
            aggregate,
            selection_proof: self.sign(validator, hash_tree_root(&Slot(5)), Purpose::Selection, 0),
        })
    }

    fn sign_aggregate(&self, message: electra::AggregateAndProof) -> electra::SignedAggregateAndProof {
        let signer = message.aggregator_index.0 % 64;
        let signature = self.sign(signer, hash_tree_root(&message), Purpose::Aggregate, 0);
        electra::SignedAggregateAndProof { message, signature }
    }

    fn submit_aggregate(
        &mut self,
        at: Duration,
        declared: Fork,
        signed: &VersionedSignedAggregateAndProof,
    ) -> Result<Taken, Refused> {
        let claims = self.judge.claims_of_aggregate(at, signed)?;
        let genuine = self.genuine(claims);
        self.judge.aggregated(0, at, declared, signed, genuine)
    }
}

fn court() -> Court {
    Court::counting(chain(Fork::Fulu, 64))
}

fn fulu(signed: electra::SignedAggregateAndProof) -> VersionedSignedAggregateAndProof {
    VersionedSignedAggregateAndProof::Fulu(signed)
}

/// Submits the aggregate of slot 5 with a changed message, well signed.
#[track_caller]
fn changed(reason: &str, change: impl Fn(&Court, &mut electra::AggregateAndProof)) {
    let mut court = court();
    let mut signed = court.aggregate();
    change(&court, &mut signed.message);
    let signed = court.sign_aggregate(signed.message);
    let at = court.late_in(5);
    refused(court.submit_aggregate(at, Fork::Fulu, &fulu(signed)), reason);
    assert!(court.judge.refusals().last().unwrap().reason.contains(reason));
}

fn bits(length: usize, set: &[usize]) -> ssz_types::BitList<electra::MaxVoters> {
    let mut bits = ssz_types::BitList::with_capacity(length).unwrap();
    set.iter().for_each(|bit| bits.set(*bit, true).unwrap());
    bits
}

#[test]
fn the_aggregate_of_everybodys_votes_is_taken_once_from_each_aggregator() {
    let mut court = court();
    let signed = court.aggregate();
    assert_eq!(signed.message.aggregate.aggregation_bits.num_set_bits(), 4);
    let committees = court.judge.committees(Epoch(0));
    let at = court.late_in(5);
    for (nth, validator) in committees.attesters(Slot(5)).enumerate() {
        let message = electra::AggregateAndProof {
            aggregator_index: validator,
            selection_proof: court.sign(validator.0, hash_tree_root(&Slot(5)), Purpose::Selection, 0),
            ..signed.message.clone()
        };
        let signed = fulu(court.sign_aggregate(message));
        assert_eq!(court.submit_aggregate(at, Fork::Fulu, &signed), Ok(Taken::First));
        assert_eq!(court.submit_aggregate(at, Fork::Fulu, &signed), Ok(Taken::Repeated));
        let (expected, completed, _) = court.counted(DutyKind::Aggregator, 5);
        assert_eq!((expected, completed), (4, u64::try_from(nth).unwrap() + 1));
    }
    assert_eq!(court.judge.refusals(), []);
}

#[test]
fn before_electra_the_aggregate_has_the_old_form() {
    let mut court = Court::counting(chain(Fork::Deneb, 64));
    let data = court.data(5);
    let (validator, _) = court.attester(5);
    let mut aggregation_bits = ssz_types::BitList::with_capacity(4).unwrap();
    let seat = court
        .judge
        .committees(Epoch(0))
        .seat(ValidatorIndex(validator))
        .unwrap();
    aggregation_bits.set(seat.position, true).unwrap();
    let vote = phase0::Attestation {
        aggregation_bits,
        data,
        signature: court.sign(validator, hash_tree_root(&data), Purpose::Attester, 0),
    };
    let (at, later) = (court.at(5), court.late_in(5));
    court
        .submit_vote(at, Fork::Deneb, SubmittedVote::Bits(vote.clone()))
        .unwrap();
    let found = court.judge.aggregate(0, later, Slot(5), hash_tree_root(&data), None);
    assert_eq!(found, Ok(trireme_eth2::ForkedAttestation::Deneb(vote.clone())));
    let message = phase0::AggregateAndProof {
        aggregator_index: ValidatorIndex(validator),
        aggregate: vote,
        selection_proof: court.sign(validator, hash_tree_root(&Slot(5)), Purpose::Selection, 0),
    };
    let signature = court.sign(validator, hash_tree_root(&message), Purpose::Aggregate, 0);
    let signed = VersionedSignedAggregateAndProof::Deneb(phase0::SignedAggregateAndProof { message, signature });
    assert_eq!(court.submit_aggregate(later, Fork::Deneb, &signed), Ok(Taken::First));
    refused(court.submit_aggregate(later, Fork::Electra, &signed), "wrong fork");
}

#[test]
fn there_is_no_aggregate_of_votes_that_nobody_sent() {
    let mut court = court();
    let data = court.data(5);
    let (at, root) = (court.late_in(5), hash_tree_root(&data));
    let mut ask = |root, committee| {
        court
            .judge
            .aggregate(0, at, Slot(5), root, Some(CommitteeIndex(committee)))
    };
    assert!(ask(root, 0).unwrap_err().0.contains("no votes for the data"));
    court.everybody_votes(5);
    let mut ask = |root, committee| {
        court
            .judge
            .aggregate(0, at, Slot(5), root, Some(CommitteeIndex(committee)))
    };
    assert!(ask(root, 0).is_ok());
    assert!(ask(root, 1).is_err() && ask(Root([1; 32]), 0).is_err());
}

#[test]
fn an_aggregate_without_a_vote_that_was_there_in_time_is_refused() {
    changed("is missing, although it was there in time", |_, message| {
        message.aggregate.aggregation_bits = bits(4, &[0, 1, 2]);
    });
}

#[test]
fn a_vote_that_came_after_the_aggregates_time_may_be_missing() {
    let mut court = court();
    let data = court.data(5);
    let epoch = court.judge.committees(Epoch(0));
    let voters: Vec<_> = epoch.attesters(Slot(5)).collect();
    let vote = |court: &Court, validator: ValidatorIndex| SingleAttestation {
        committee_index: epoch.seat(validator).unwrap().committee,
        attester_index: validator,
        data,
        signature: court.sign(validator.0, hash_tree_root(&data), Purpose::Attester, 0),
    };
    let first = vote(&court, voters[0]);
    court.submit(5, first).unwrap();
    let (at, root) = (court.late_in(5), hash_tree_root(&data));
    let found = court.judge.aggregate(0, at, Slot(5), root, Some(first.committee_index));
    let Ok(trireme_eth2::ForkedAttestation::Fulu(aggregate)) = found else {
        panic!("{found:?}")
    };
    let late = SubmittedVote::Single(vote(&court, voters[1]));
    court.submit_vote(at, Fork::Fulu, late).unwrap();
    let signed = court.sign_aggregate(electra::AggregateAndProof {
        aggregator_index: voters[0],
        aggregate,
        selection_proof: court.sign(voters[0].0, hash_tree_root(&Slot(5)), Purpose::Selection, 0),
    });
    assert_eq!(court.submit_aggregate(at, Fork::Fulu, &fulu(signed)), Ok(Taken::First));
}

#[test]
fn an_aggregate_with_a_vote_that_nobody_sent_is_refused() {
    let mut court = court();
    let data = court.data(5);
    let vote = court.vote(5, data);
    court.submit(5, vote).unwrap();
    let mut signed = court.aggregate_of(&data, vote.attester_index, vote.committee_index);
    signed.message.aggregate.aggregation_bits = bits(4, &[0, 1, 2, 3]);
    let signed = court.sign_aggregate(signed.message);
    let at = court.late_in(5);
    refused(
        court.submit_aggregate(at, Fork::Fulu, &fulu(signed)),
        "wrong aggregate: nobody sent the signature of position",
    );
}

impl Court {
    fn aggregate_of(
        &mut self,
        data: &AttestationData,
        validator: ValidatorIndex,
        committee: CommitteeIndex,
    ) -> electra::SignedAggregateAndProof {
        let at = self.late_in(5);
        let found = self
            .judge
            .aggregate(0, at, Slot(5), hash_tree_root(data), Some(committee));
        let Ok(trireme_eth2::ForkedAttestation::Fulu(aggregate)) = found else {
            panic!("{found:?}")
        };
        self.sign_aggregate(electra::AggregateAndProof {
            aggregator_index: validator,
            aggregate,
            selection_proof: self.sign(validator.0, hash_tree_root(&Slot(5)), Purpose::Selection, 0),
        })
    }
}

#[test]
fn an_aggregate_whose_signature_is_not_the_sum_is_refused() {
    changed("wrong aggregate: its signature is not the sum", |court, message| {
        message.aggregate.signature = court.sign(0, Root([1; 32]), Purpose::Attester, 0);
    });
}

#[test]
fn an_aggregate_for_other_data_than_anybody_voted_for_is_refused() {
    let mut court = court();
    let mut signed = court.aggregate();
    let block = court.block(5, 1);
    signed.message.aggregate.data.beacon_block_root = block.block_root();
    court.publish(5, block).unwrap();
    let signed = court.sign_aggregate(signed.message);
    let at = court.late_in(5);
    refused(
        court.submit_aggregate(at, Fork::Fulu, &fulu(signed)),
        "wrong aggregate: nobody sent a vote for this data",
    );
}

#[test]
fn an_aggregate_that_fits_no_committee_is_refused() {
    changed("4 members", |_, m| {
        m.aggregate.aggregation_bits = bits(5, &[0, 1, 2, 3])
    });
    changed("not exactly one committee bit", |_, m| {
        m.aggregate.committee_bits.set(1, true).unwrap();
    });
    changed("wrong committee: slot 5 has no committee 7", |_, m| {
        m.aggregate.committee_bits.set(0, false).unwrap();
        m.aggregate.committee_bits.set(7, true).unwrap();
    });
    changed("since Electra it is 0", |_, m| {
        m.aggregate.data.index = CommitteeIndex(1)
    });
    changed("wrong head: block 0x0909", |_, m| {
        m.aggregate.data.beacon_block_root = Root([9; 32]);
    });
}

#[test]
fn an_aggregator_that_does_not_sit_in_the_committee_is_refused() {
    changed("wrong committee: validator", |court, message| {
        let committees = court.judge.chain().committees(Epoch(0));
        let other = committees.attesters(Slot(6)).next().unwrap();
        message.aggregator_index = other;
        message.selection_proof = court.sign(other.0, hash_tree_root(&Slot(5)), Purpose::Selection, 0);
    });
    changed("the chain has no validator 64", |_, message| {
        message.aggregator_index = ValidatorIndex(64);
    });
}

#[test]
fn a_selection_proof_of_another_slot_is_refused() {
    changed("the selection proof of validator", |court, message| {
        let validator = message.aggregator_index.0;
        message.selection_proof = court.sign(validator, hash_tree_root(&Slot(6)), Purpose::Selection, 0);
    });
}

#[test]
fn an_aggregate_that_somebody_else_signed_is_refused() {
    let mut court = court();
    let mut signed = court.aggregate();
    let other = (signed.message.aggregator_index.0 + 1) % 64;
    signed.signature = court.sign(other, hash_tree_root(&signed.message), Purpose::Aggregate, 0);
    let at = court.late_in(5);
    refused(
        court.submit_aggregate(at, Fork::Fulu, &fulu(signed)),
        "does not verify under its key",
    );
    let (_, completed, reasons) = court.counted(DutyKind::Aggregator, 5);
    assert_eq!(completed, 0);
    assert!(
        reasons.iter().any(|r| r.contains("refused: the signature")),
        "{reasons:?}"
    );
}

#[test]
fn an_aggregate_of_another_time_is_refused() {
    let mut court = court();
    let signed = fulu(court.aggregate());
    let (early, late) = (court.at(4), court.at(37));
    refused(
        court.submit_aggregate(early, Fork::Fulu, &signed),
        "wrong slot: slot 5 has not begun",
    );
    refused(court.submit_aggregate(late, Fork::Fulu, &signed), "late: it came");
    let at = court.late_in(5);
    refused(court.submit_aggregate(at, Fork::Electra, &signed), "wrong fork");
}
