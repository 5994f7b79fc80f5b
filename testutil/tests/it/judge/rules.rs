//! What is taken, and each reason to refuse, made by hand.

use super::*;
use trireme_eth2::{ForkedSignedBlock, phase0};

const FORKS: [Fork; 7] = Fork::ALL;

// === Taken

#[test]
fn good_votes_and_blocks_are_taken_once_and_repetitions_count_no_more() {
    let mut court = Court::new(Fork::Fulu, 16);
    let block = court.block(5, 1);
    assert_eq!(court.publish(5, block.clone()), Ok(Taken::First));
    assert_eq!(court.publish(5, block), Ok(Taken::Repeated));
    let data = court.data(5);
    let vote = court.vote(5, data);
    assert_eq!(court.submit(5, vote), Ok(Taken::First));
    assert_eq!(court.submit(5, vote), Ok(Taken::Repeated));
    assert_eq!(court.submit(6, vote), Ok(Taken::Repeated));
    let counted = report(&mut court.judge, 5..6);
    for kind in [DutyKind::Attester, DutyKind::Proposer] {
        let duty = &counted.duties[&kind];
        assert_eq!(
            (duty.expected, duty.completed, duty.offset_ms.max),
            (1, 1, 500),
            "{kind:?}"
        );
    }
    assert_eq!((court.judge.refusals().len(), court.judge.slashable().len()), (0, 0));
}

#[test]
fn blocks_of_every_fork_are_taken_and_become_the_head_that_is_voted_for() {
    for fork in FORKS {
        let mut court = Court::new(fork, 16);
        let block = court.block(5, 1);
        let root = block.block_root();
        assert_eq!(court.publish(5, block), Ok(Taken::First), "{fork:?}");
        assert_eq!(court.judge.head().root, root);
        assert_eq!(court.data(5).beacon_block_root, root);
        let block = court.block(7, 1);
        assert_eq!(BlockView::of(&block).parent, root);
        assert_eq!(court.publish(7, block), Ok(Taken::First), "{fork:?}");
    }
}

#[test]
fn blocks_survive_their_ssz_and_json_forms_in_every_fork() {
    for fork in FORKS {
        let block = Court::new(fork, 16).block(5, 1);
        let text = serde_json::to_string(&block).unwrap();
        let data: serde_json::Value = serde_json::from_str(&text).unwrap();
        let json = VersionedSignedProposal::decode_json(fork, false, &data["data"].to_string()).unwrap();
        assert_eq!(json, block, "{fork:?}");
        assert_eq!(
            VersionedSignedProposal::decode_ssz(fork, false, &block.to_ssz()).unwrap(),
            block,
            "{fork:?}"
        );
    }
}

#[test]
fn votes_with_bits_are_taken_before_electra() {
    for fork in [Fork::Phase0, Fork::Deneb] {
        let mut court = Court::new(fork, 64);
        let vote = bits_vote(&mut court, 5, |_| ());
        assert_eq!(
            court.submit_vote(court.at(5), fork, SubmittedVote::Bits(vote)),
            Ok(Taken::First)
        );
    }
}

#[test]
fn votes_across_a_fork_are_signed_for_the_fork_of_their_target() {
    let chain = chain(Fork::Fulu, 32).with_fork_at(Fork::Fulu, Epoch(1));
    let mut court = Court::of(chain);
    for slot in [15, 16, 17] {
        let (data, block) = (court.data(slot), court.block(slot, 1));
        let vote = court.vote(slot, data);
        assert_eq!(court.submit(slot, vote), Ok(Taken::First), "slot {slot}");
        assert_eq!(block.fork(), if slot < 16 { Fork::Electra } else { Fork::Fulu });
        assert_eq!(court.publish(slot, block), Ok(Taken::First), "slot {slot}");
    }
}

// === Refused votes

/// A vote with bits for a slot; `change` may spoil it before it is signed.
fn bits_vote(court: &mut Court, slot: u64, change: impl Fn(&mut phase0::Attestation)) -> phase0::Attestation {
    let data = court.data(slot);
    let epoch = court.judge.chain().epoch(Slot(slot));
    let (validator, committee) = court.attester(slot);
    let committees = court.judge.committees(epoch);
    let position = committees.seat(ValidatorIndex(validator)).unwrap().position;
    let length = committees.members(Slot(slot), committee).unwrap().len();
    let mut aggregation_bits = ssz_types::BitList::with_capacity(length).unwrap();
    aggregation_bits.set(position, true).unwrap();
    let mut vote = phase0::Attestation {
        aggregation_bits,
        data,
        signature: BlsSignature::default(),
    };
    change(&mut vote);
    vote.signature = court.sign(
        validator,
        hash_tree_root(&vote.data),
        Purpose::Attester,
        vote.data.target.epoch.0,
    );
    vote
}

/// Submits the vote of slot 21 with changed data, well signed.
#[track_caller]
fn changed_data(reason: &str, change: impl Fn(&mut AttestationData)) {
    let mut court = Court::new(Fork::Fulu, 16);
    let block = court.block(18, 1);
    court.publish(18, block).unwrap();
    let mut data = court.data(21);
    change(&mut data);
    let vote = court.vote(21, data);
    refused(court.submit(21, vote), reason);
    let refusal = court.judge.refusals().last().unwrap();
    assert!(refusal.reason.contains(reason) && refusal.duty.is_some());
}

#[test]
fn a_vote_for_another_slot_than_the_validators_is_refused() {
    changed_data("wrong slot: validator", |d| d.slot = Slot(20));
}

#[test]
fn a_vote_for_a_slot_to_come_is_refused() {
    let mut court = Court::new(Fork::Fulu, 16);
    let data = court.data(5);
    let vote = court.vote(5, data);
    refused(court.submit(4, vote), "wrong slot: slot 5 has not begun");
}

#[test]
fn a_vote_that_is_two_epochs_old_is_late() {
    let mut court = Court::new(Fork::Fulu, 16);
    let data = court.data(5);
    let vote = court.vote(5, data);
    refused(court.submit(37, vote), "late: it came");
}

#[test]
fn a_vote_that_comes_two_slots_later_is_taken_but_counts_as_late() {
    let mut court = Court::new(Fork::Fulu, 16);
    let data = court.data(5);
    let vote = court.vote(5, data);
    assert_eq!(court.submit(7, vote), Ok(Taken::First));
    let counted = report(&mut court.judge, 5..6);
    let attester = &counted.duties[&DutyKind::Attester];
    assert_eq!((attester.completed, attester.missed.len()), (0, 1));
    assert!(
        attester.missed[0].reason.contains("late: it came 8500 ms"),
        "{:?}",
        attester.missed
    );
    assert!(
        counted.duties[&DutyKind::Proposer].missed[0]
            .reason
            .contains("nothing arrived")
    );
}

#[test]
fn a_vote_for_another_committee_is_refused() {
    let mut court = Court::new(Fork::Fulu, 160);
    let data = court.data(5);
    let mut vote = court.vote(5, data);
    vote.committee_index = CommitteeIndex(vote.committee_index.0 ^ 1);
    refused(court.submit(5, vote), "wrong committee: validator");
}

#[test]
fn since_electra_the_index_of_the_data_is_zero() {
    changed_data("since Electra it is 0", |d| d.index = CommitteeIndex(1));
}

#[test]
fn a_vote_for_an_unknown_head_is_refused() {
    changed_data("wrong head: block 0x0909", |d| d.beacon_block_root = Root([9; 32]));
}

#[test]
fn a_vote_for_a_head_of_a_later_slot_is_refused() {
    let mut court = Court::new(Fork::Fulu, 16);
    let mut data = court.data(5);
    let block = court.block(6, 1);
    data.beacon_block_root = block.block_root();
    court.publish(6, block).unwrap();
    let vote = court.vote(5, data);
    refused(court.submit(6, vote), "of the later slot 6");
}

#[test]
fn votes_with_other_checkpoints_than_the_heads_are_refused() {
    changed_data("wrong target: with this head", |d| d.target.root = Root([9; 32]));
    changed_data("wrong target: slot 21 is in epoch 1, not 2", |d| {
        d.target.epoch = Epoch(2)
    });
    changed_data("wrong source", |d| d.source.root = Root([9; 32]));
    changed_data("wrong source", |d| d.source.epoch = Epoch(1));
}

#[test]
fn a_vote_whose_signature_is_another_ones_is_refused() {
    let mut court = Court::new(Fork::Fulu, 16);
    let data = court.data(5);
    let good = court.vote(5, data);
    let (validator, _) = court.attester(5);
    let other = court.sign((validator + 1) % 16, hash_tree_root(&data), Purpose::Attester, 0);
    let wrong_domain = court.sign(validator, hash_tree_root(&data), Purpose::Proposer, 0);
    for signature in [other, wrong_domain, BlsSignature::default(), BlsSignature([7; 96])] {
        refused(
            court.submit(5, SingleAttestation { signature, ..good }),
            "does not verify under its key",
        );
    }
    assert_eq!(court.submit(5, good), Ok(Taken::First));
}

#[test]
fn a_vote_of_a_validator_that_the_chain_does_not_have_is_refused() {
    let mut court = Court::new(Fork::Fulu, 16);
    let data = court.data(5);
    let vote = SingleAttestation {
        attester_index: ValidatorIndex(16),
        ..court.vote(5, data)
    };
    refused(court.submit(5, vote), "the chain has no validator 16");
}

#[test]
fn a_vote_that_comes_as_another_fork_is_refused() {
    let mut court = Court::new(Fork::Fulu, 16);
    let data = court.data(5);
    let vote = court.vote(5, data);
    refused(
        court.submit_vote(court.at(5), Fork::Electra, SubmittedVote::Single(vote)),
        "wrong fork: slot 5 is in Fulu",
    );
    let bits = bits_vote(&mut court, 5, |_| ());
    refused(
        court.submit_vote(court.at(5), Fork::Fulu, SubmittedVote::Bits(bits)),
        "wrong fork",
    );
    let mut before = Court::new(Fork::Deneb, 16);
    let data = before.data(5);
    let vote = before.vote(5, data);
    refused(
        before.submit_vote(before.at(5), Fork::Deneb, SubmittedVote::Single(vote)),
        "wrong fork",
    );
}

#[test]
fn votes_with_wrong_bits_are_refused() {
    let submit = |change: &dyn Fn(&mut phase0::Attestation)| {
        let mut court = Court::new(Fork::Deneb, 64);
        let vote = bits_vote(&mut court, 5, change);
        court.submit_vote(court.at(5), Fork::Deneb, SubmittedVote::Bits(vote))
    };
    let bits = |length, set: &[usize]| {
        let mut bits = ssz_types::BitList::with_capacity(length).unwrap();
        set.iter().for_each(|bit| bits.set(*bit, true).unwrap());
        bits
    };
    refused(submit(&|v| v.aggregation_bits = bits(4, &[])), "no aggregation bit");
    refused(submit(&|v| v.aggregation_bits = bits(4, &[0, 2])), "more than one");
    refused(submit(&|v| v.aggregation_bits = bits(5, &[1])), "which has 4 members");
    refused(
        submit(&|v| v.data.index = CommitteeIndex(64)),
        "wrong committee: slot 5 has no committee 64",
    );
}

#[test]
fn data_is_not_given_for_slots_to_come_old_slots_or_unknown_committees() {
    let mut court = Court::new(Fork::Fulu, 16);
    let mut ask = |at: u64, slot, committee| {
        let at = court.at(at);
        court
            .judge
            .attestation_data(0, at, Slot(slot), CommitteeIndex(committee))
            .map_err(|e| e.0)
    };
    assert!(ask(5, 6, 0).unwrap_err().contains("slot 6 has not begun"));
    assert!(ask(40, 5, 0).unwrap_err().contains("more than an epoch old"));
    assert!(ask(5, 5, 1).unwrap_err().contains("no committee 1"));
    assert_eq!(ask(5, 5, 0).unwrap().slot, Slot(5));
}

// === Refused blocks

/// Publishes the block of slot 5 with a changed Fulu block, well signed.
#[track_caller]
fn changed_block(reason: &str, change: impl Fn(&mut trireme_eth2::fulu::SignedBlockContents)) {
    let mut court = Court::new(Fork::Fulu, 16);
    let mut block = court.block(5, 1);
    let VersionedSignedProposal::Full(ForkedSignedBlock::Fulu(contents)) = &mut block else {
        unreachable!("a court of Fulu makes full Fulu blocks")
    };
    change(contents);
    let block = court.sign_again(block);
    refused(court.publish(5, block), reason);
    assert!(court.judge.refusals().last().unwrap().reason.contains(reason));
    assert_eq!(court.judge.head().slot, Slot(0), "it is not the head");
}

#[test]
fn a_block_on_another_parent_is_refused() {
    changed_block("wrong parent: the head is", |b| {
        b.signed_block.message.parent_root = Root([9; 32])
    });
}

#[test]
fn a_block_of_another_proposer_is_refused() {
    changed_block("wrong proposer: slot 5 is of validator", |b| {
        let index = &mut b.signed_block.message.proposer_index.0;
        *index = (*index + 1) % 16;
    });
}

#[test]
fn a_block_for_a_slot_to_come_is_refused() {
    let mut court = Court::new(Fork::Fulu, 16);
    let block = court.block(5, 1);
    refused(court.publish(4, block), "wrong slot: slot 5 has not begun");
}

#[test]
fn a_block_of_which_anything_was_changed_is_refused() {
    changed_block("wrong state root", |b| {
        b.signed_block.message.body.graffiti = Root([8; 32])
    });
    changed_block("wrong state root", |b| {
        b.signed_block.message.state_root = Root([8; 32])
    });
    changed_block("randao reveal", |b| {
        b.signed_block.message.body.randao_reveal = BlsSignature([8; 96])
    });
    changed_block("blobs are not those", |b| b.blobs = ssz_types::VariableList::empty());
    changed_block("blobs are not those", |b| {
        let mut other = vec![0; trireme_eth2::Blob::LEN];
        other[1] = 1;
        b.blobs = ssz_types::VariableList::new(vec![trireme_eth2::Blob::from_slice(&other).unwrap()]).unwrap();
    });
}

#[test]
fn a_block_whose_signature_is_another_ones_is_refused() {
    let mut court = Court::new(Fork::Fulu, 16);
    let good = court.block(5, 1);
    let other = court.sign(
        (good.proposer_index().0 + 1) % 16,
        good.block_root(),
        Purpose::Proposer,
        0,
    );
    for signature in [other, BlsSignature::default()] {
        let mut block = good.clone();
        *block.signature_mut() = signature;
        refused(court.publish(5, block), "does not verify under its key");
    }
    assert_eq!(court.publish(5, good), Ok(Taken::First));
}

#[test]
fn a_block_of_another_fork_is_refused() {
    let mut court = Court::new(Fork::Fulu, 16);
    let block = court.block(5, 1);
    refused(
        court.publish_as(5, Fork::Electra, block),
        "wrong fork: slot 5 is in Fulu",
    );
    let mut electra = Court::new(Fork::Electra, 16);
    let made = electra
        .judge
        .produce(0, electra.at(5), Slot(5), (electra.randao(5), true), Root::ZERO, 0)
        .unwrap();
    // The same chain's block, in the container of another fork.
    let deneb = Ingredients {
        fork: Fork::Deneb,
        ..made
    }
    .proposal();
    let signature = electra.sign(deneb.proposer_index().0, deneb.block_root(), Purpose::Proposer, 0);
    refused(electra.publish(5, deneb.sign(signature)), "wrong fork");
}

#[test]
fn a_block_after_its_slot_is_late_and_missed() {
    let mut court = Court::new(Fork::Fulu, 16);
    let block = court.block(5, 1);
    refused(
        court.publish(6, block),
        "late: it came 4500 ms after the start of its slot",
    );
    let counted = report(&mut court.judge, 5..6);
    let missed = &counted.duties[&DutyKind::Proposer].missed;
    assert!(
        missed.len() == 1 && missed[0].slot == 5 && missed[0].reason.contains("refused: late"),
        "{missed:?}"
    );
}

#[test]
fn blocks_are_made_only_for_the_running_slot_and_a_good_reveal() {
    let mut court = Court::new(Fork::Fulu, 16);
    let mut ask = |at: u64, slot, genuine| {
        let (at, randao) = (court.at(at), court.randao(slot));
        court
            .judge
            .produce(0, at, Slot(slot), (randao, genuine), Root::ZERO, 0)
            .map(drop)
            .map_err(|e| e.0)
    };
    assert!(ask(5, 6, true).unwrap_err().contains("slot 6 has not begun"));
    assert!(ask(6, 5, true).unwrap_err().contains("slot 5 has ended"));
    assert!(ask(5, 5, false).unwrap_err().contains("randao reveal"));
    assert_eq!(ask(5, 5, true), Ok(()));
    let good = court.judge.claim_of_randao(Slot(5), court.randao(5)).unwrap();
    let bad = court.judge.claim_of_randao(Slot(5), court.randao(21)).unwrap();
    assert_eq!(
        court.verifier.verify(&[good, bad]),
        [true, false],
        "the reveal of another epoch"
    );
    let block = court.block(5, 1);
    court.publish(5, block).unwrap();
    let again = court
        .judge
        .produce(0, court.at(5), Slot(5), (court.randao(5), true), Root::ZERO, 0);
    assert!(again.unwrap_err().0.contains("slot 5 has a block already"));
}

#[test]
fn what_is_expected_follows_from_the_assignment_alone() {
    let mut court = Court::new(Fork::Fulu, 33);
    let counted = report(&mut court.judge, 32..64);
    let (attester, proposer) = (
        &counted.duties[&DutyKind::Attester],
        &counted.duties[&DutyKind::Proposer],
    );
    assert_eq!(
        (attester.expected, attester.completed, attester.missed.len()),
        (66, 0, 66)
    );
    assert_eq!(
        (proposer.expected, proposer.completed, proposer.missed.len()),
        (32, 0, 32)
    );
    assert!(attester.missed.iter().all(|m| m.reason.ends_with("nothing arrived")));
}
