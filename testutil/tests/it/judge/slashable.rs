//! Each slashable kind, submitted by hand and seen named, also when it is refused for another reason.

use trireme_testutil::judge::SlashableKind;

use super::*;

/// A vote of the validator of slot 5, for any epochs; only its signature must be good.
fn span(court: &mut Court, source: u64, target: u64, root: u8) -> SingleAttestation {
    let mut data = court.data(5);
    data.source.epoch = Epoch(source);
    data.target.epoch = Epoch(target);
    data.beacon_block_root = Root([root; 32]);
    court.vote(5, data)
}

fn kinds(court: &Court) -> Vec<SlashableKind> {
    court.judge.slashable().iter().map(|s| s.kind).collect()
}

#[test]
fn two_different_blocks_of_one_slot() {
    let mut court = Court::new(Fork::Fulu, 16);
    let (one, two) = (court.block(5, 1), court.block(5, 2));
    assert_eq!(court.publish(5, one.clone()), Ok(Taken::First));
    refused(court.publish(5, two.clone()), "slashable, TwoBlocks");
    assert_eq!(kinds(&court), [SlashableKind::TwoBlocks]);
    let found = &court.judge.slashable()[0];
    assert_eq!(found.validator, one.proposer_index());
    assert!(found.first.contains(&one.block_root().to_string()), "{found:?}");
    assert!(found.second.contains(&two.block_root().to_string()), "{found:?}");
}

#[test]
fn two_different_votes_for_one_target() {
    let mut court = Court::new(Fork::Fulu, 16);
    let data = court.data(5);
    let good = court.vote(5, data);
    assert_eq!(court.submit(5, good), Ok(Taken::First));
    let block = court.block(5, 1);
    court.publish(5, block).unwrap();
    // The head has changed: also a vote that would be right is the second one.
    let data = court.data(5);
    let other = court.vote(5, data);
    refused(court.submit(5, other), "slashable, TwoAttestations");
    assert_eq!(kinds(&court), [SlashableKind::TwoAttestations]);
    assert_eq!(court.judge.slashable()[0].validator, good.attester_index);
}

#[test]
fn surround_votes_in_both_orders() {
    let mut court = Court::new(Fork::Fulu, 16);
    let (inner, outer) = (span(&mut court, 2, 3, 1), span(&mut court, 1, 4, 1));
    court.submit(5, inner).unwrap_err();
    refused(court.submit(5, outer), "slashable, Surrounding");
    assert_eq!(kinds(&court), [SlashableKind::Surrounding]);

    let mut court = Court::new(Fork::Fulu, 16);
    court.submit(5, outer).unwrap_err();
    refused(court.submit(5, inner), "slashable, Surrounded");
    assert_eq!(kinds(&court), [SlashableKind::Surrounded]);
}

#[test]
fn votes_that_are_refused_for_another_reason_count_for_slashing() {
    let mut court = Court::new(Fork::Fulu, 16);
    let (one, two) = (span(&mut court, 0, 0, 8), span(&mut court, 0, 0, 9));
    refused(court.submit(5, one), "wrong head");
    refused(court.submit(5, two), "slashable, TwoAttestations");
    assert_eq!(kinds(&court).len(), 1);
}

#[test]
fn nothing_with_a_bad_signature_counts_for_slashing() {
    let mut court = Court::new(Fork::Fulu, 16);
    let (one, mut two) = (span(&mut court, 0, 0, 8), span(&mut court, 0, 0, 9));
    two.signature = one.signature;
    court.submit(5, two).unwrap_err();
    court.submit(5, one).unwrap_err();
    let (block, mut other) = (court.block(5, 1), court.block(5, 2));
    *other.signature_mut() = block.signature();
    court.publish(5, other).unwrap_err();
    court.publish(5, block).unwrap();
    assert_eq!(kinds(&court), []);
}
