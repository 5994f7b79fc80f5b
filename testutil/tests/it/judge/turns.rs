//! What the chain does by itself: votes and messages in blocks, strangers' slots, reorganisations.

use trireme_eth2::{ForkedSignedBlock, SyncCommitteeMessage};
use trireme_testutil::judge::{ChainEvent, Reorg};

use super::*;

/// Committee bits, aggregation bits and signature of each attestation of a Fulu block, and the bits of its sync
/// aggregate.
fn content(block: &VersionedSignedProposal) -> (Vec<(u64, Vec<usize>, BlsSignature)>, usize) {
    let VersionedSignedProposal::Full(ForkedSignedBlock::Fulu(contents)) = block else {
        unreachable!("a court of Fulu")
    };
    let body = &contents.signed_block.message.body;
    let votes = body.attestations.iter().map(|a| {
        let set = a
            .aggregation_bits
            .iter()
            .enumerate()
            .filter_map(|(n, bit)| bit.then_some(n));
        (a.data.slot.0, set.collect(), a.signature)
    });
    (votes.collect(), body.sync_aggregate.sync_committee_bits.num_set_bits())
}

fn same_vote(court: &mut Court, slot: u64) -> BlsSignature {
    let data = court.data(slot);
    let vote = court.vote(slot, data);
    court.submit(slot, vote).unwrap();
    vote.signature
}

#[test]
fn a_block_holds_the_votes_that_were_sent_and_no_ancestor_has() {
    let mut court = Court::new(Fork::Fulu, 16);
    let first = same_vote(&mut court, 3);
    let second = same_vote(&mut court, 4);
    let block = court.block(5, 1);
    let votes = content(&block).0;
    assert_eq!(votes, [(4, vec![0], second), (3, vec![0], first)], "the newest first");
    court.publish(5, block).unwrap();
    let third = same_vote(&mut court, 5);
    let next = court.block(6, 1);
    assert_eq!(content(&next).0, [(5, vec![0], third)]);
    let empty = {
        court.publish(6, next).unwrap();
        court.block(7, 1)
    };
    assert_eq!(content(&empty).0, []);
    let after_an_epoch = court.block(23, 1);
    assert_eq!(content(&after_an_epoch).0, [], "votes of an epoch ago are too old");
}

#[test]
fn since_electra_committees_that_agree_are_one_attestation_and_before_each_is_its_own() {
    for (fork, attestations) in [(Fork::Fulu, 1), (Fork::Electra, 1), (Fork::Deneb, 3)] {
        // Twelve attesters in each slot, in three committees.
        let mut court = Court::new(fork, 192);
        let committees = court.judge.committees(Epoch(0));
        assert_eq!(committees.per_slot, 3);
        for validator in committees.attesters(Slot(4)) {
            let (at, seat) = (court.at(4), committees.seat(validator).unwrap());
            let data = court.judge.attestation_data(0, at, Slot(4), seat.committee).unwrap();
            let signature = court.sign(validator.0, hash_tree_root(&data), Purpose::Attester, 0);
            let vote = if fork >= Fork::Electra {
                SubmittedVote::Single(SingleAttestation {
                    committee_index: seat.committee,
                    attester_index: validator,
                    data,
                    signature,
                })
            } else {
                let mut aggregation_bits = ssz_types::BitList::with_capacity(4).unwrap();
                aggregation_bits.set(seat.position, true).unwrap();
                SubmittedVote::Bits(trireme_eth2::phase0::Attestation {
                    aggregation_bits,
                    data,
                    signature,
                })
            };
            court.submit_vote(at, fork, vote).unwrap();
        }
        let made = court.ingredients(5, 1);
        assert_eq!(made.attestations.len(), attestations, "{fork}");
        let bits: usize = made.attestations.iter().map(|a| a.set_bits().len()).sum();
        assert_eq!(bits, 12, "{fork}");
        let block = court.block(5, 1);
        court.publish(5, block).unwrap();
        assert!(
            court.ingredients(6, 1).attestations.is_empty(),
            "{fork}: all are in the block before"
        );
    }
}

#[test]
fn a_block_holds_the_messages_for_its_parent() {
    let mut court = Court::new(Fork::Fulu, 16);
    let block = court.block(4, 1);
    court.publish(4, block.clone()).unwrap();
    let committee = court.judge.sync_committee(Epoch(0));
    for (nth, (validator, _)) in committee.iter().enumerate() {
        let root = if nth == 0 { Root::ZERO } else { block.block_root() };
        let root = if nth == 0 { block.header().parent_root } else { root };
        let message = SyncCommitteeMessage {
            slot: Slot(4),
            beacon_block_root: root,
            validator_index: *validator,
            signature: court.sign(validator.0, root, Purpose::Sync, 0),
        };
        let at = court.at(4);
        court.judge.sync_message(0, at, &message, true).unwrap();
    }
    assert_eq!(content(&court.block(5, 1)).1, 3, "one was for another block");
    assert_eq!(content(&court.block(6, 1)).1, 0, "they were of slot 4");
}

#[test]
fn in_a_strangers_slot_nobody_is_expected_to_propose() {
    let mut court = Court::with(JudgeConfig {
        empty_slots: [5].into(),
        ..everything(chain(Fork::Fulu, 16))
    });
    assert_eq!(court.counted(DutyKind::Proposer, 4).0, 1);
    assert_eq!(court.counted(DutyKind::Proposer, 5).0, 0);
    assert_eq!(court.judge.proposer(Slot(5)), ValidatorIndex(16));
    let refused = court.judge.claim_of_randao(Slot(5), BlsSignature::default());
    assert!(refused.unwrap_err().0.contains("the proposer of slot 5 is a stranger"));
    let block = court.block(6, 1);
    assert_eq!(court.publish(6, block), Ok(Taken::First));
}

/// A court with blocks in the slots before 15, where one replaces the newest three shortly before slot 17 begins.
fn reorganised() -> (Court, Vec<Root>) {
    let mut court = Court::with(JudgeConfig {
        reorgs: vec![Reorg { slot: 17, depth: 3 }],
        ..everything(chain(Fork::Fulu, 16))
    });
    let mut roots = vec![court.judge.head().root];
    for slot in 12..16 {
        let block = court.block(slot, 1);
        roots.push(block.block_root());
        court.publish(slot, block).unwrap();
    }
    court.judge.take_events();
    (court, roots)
}

#[test]
fn a_reorganisation_replaces_the_newest_blocks_and_is_told() {
    let (mut court, roots) = reorganised();
    same_vote(&mut court, 15);
    let start = court.judge.chain().start(Slot(17));
    court.judge.advance(start - Duration::from_secs(1));
    assert_eq!(court.judge.head().root, roots[4], "not yet");
    court.judge.advance(start - Duration::from_millis(500));
    let head = court.judge.head().clone();
    assert_eq!((head.slot, head.parent), (Slot(16), roots[1]));
    assert_eq!(
        court.judge.block_at(Slot(15)).map(|b| b.root),
        None,
        "slots 13 to 15 are empty now"
    );
    assert!(court.judge.block(roots[4]).is_some(), "the block itself is still known");
    let events = court.judge.take_events();
    let told = events.iter().find_map(|e| match e {
        ChainEvent::Reorg { depth, old, new } => Some((*depth, old.root, new.root)),
        ChainEvent::Block { .. } | ChainEvent::Head { .. } => None,
    });
    assert_eq!(told, Some((4, roots[4], head.root)));
    assert!(
        events
            .iter()
            .any(|e| matches!(e, ChainEvent::Head { block, .. } if block.root == head.root))
    );
    court.judge.advance(start);
    assert!(court.judge.take_events().is_empty(), "once");
    // Life goes on upon the new head, and votes for what is gone are still taken.
    let block = court.block(17, 1);
    assert_eq!(block.header().parent_root, head.root);
    assert_eq!(court.publish(17, block), Ok(Taken::First));
    assert_eq!(court.counted(DutyKind::Proposer, 16).0, 0, "the slot was a stranger's");
}

#[test]
fn votes_of_blocks_that_are_gone_are_taken_in_again_where_they_fit() {
    let mut court = Court::with(JudgeConfig {
        reorgs: vec![Reorg { slot: 8, depth: 1 }],
        ..everything(chain(Fork::Fulu, 16))
    });
    let block = court.block(5, 1);
    court.publish(5, block).unwrap();
    let vote = same_vote(&mut court, 5);
    let block = court.block(6, 1);
    assert_eq!(content(&block).0.len(), 1);
    court.publish(6, block).unwrap();
    let at = court.at(8);
    court.judge.advance(at);
    let new = court.judge.head().block.clone().unwrap();
    assert_eq!(content(&new).0, [(5, vec![0], vote)], "the stranger took it in");
    assert_eq!(content(&court.block(8, 1)).0, []);
}

#[test]
fn what_the_next_epochs_duties_hang_on_changes_them() {
    let (mut court, _) = reorganised();
    let seats = |court: &mut Court, epoch| -> Vec<_> {
        let committees = court.judge.committees(Epoch(epoch));
        (0..16)
            .map(|v| committees.seat(ValidatorIndex(v)).unwrap().slot)
            .collect()
    };
    let (current, next) = (seats(&mut court, 1), seats(&mut court, 2));
    let at = court.at(17);
    let before = court.judge.view(0, court.at(16)).dependent_root(Epoch(1));
    court.judge.advance(at);
    assert_ne!(court.judge.view(0, at).dependent_root(Epoch(1)), before);
    assert_eq!(seats(&mut court, 1), current, "the running epoch's stay");
    assert_ne!(seats(&mut court, 2), next);
    let mut everyone = seats(&mut court, 2);
    everyone.sort_unstable();
    assert_eq!(everyone, (32..48).map(Slot).collect::<Vec<_>>());
}
