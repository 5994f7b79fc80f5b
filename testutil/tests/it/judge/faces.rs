//! Several beacon nodes on one chain, each with its faults: what each shows, what it takes, what it never does.

use trireme_eth2::SyncingStatus;
use trireme_testutil::judge::{BEHIND, Fault, FaultKind, Manner};

use super::*;

/// A court with eight faces; each but the first has one kind of fault in slots 10 to 19.
fn court() -> Court {
    let faults = FaultKind::ALL.into_iter().enumerate().map(|(n, kind)| Fault {
        face: n + 1,
        kind,
        slots: 10..20,
    });
    let chain = chain(Fork::Fulu, 16)
        .with_fork_at(Fork::Electra, Epoch(0))
        .with_fork_at(Fork::Fulu, Epoch(1));
    let mut court = Court::with(JudgeConfig {
        faces: 8,
        faults: faults.collect(),
        ..everything(chain)
    });
    for slot in 1..15 {
        let block = court.block(slot, 1);
        court.publish(slot, block).unwrap();
    }
    court
}

fn face(kind: FaultKind) -> usize {
    FaultKind::ALL.into_iter().position(|k| k == kind).unwrap() + 1
}

impl Court {
    fn submit_to(&mut self, face: usize, slot: u64, vote: SingleAttestation) -> Result<Taken, Refused> {
        let (at, vote) = (self.at(slot), SubmittedVote::Single(vote));
        let (validator, claim) = self.judge.claims_of_vote(at, &vote)?;
        let [genuine] = self.genuine([claim]);
        let fork = self.judge.chain().fork(Slot(slot));
        self.judge.vote(face, at, fork, &vote, validator, genuine)
    }
}

#[test]
fn a_fault_begins_and_ends_with_its_slots() {
    let court = court();
    let slow = face(FaultKind::Slow);
    let (before, first) = (court.at(9), court.judge.chain().start(Slot(10)));
    let (last, after) = (court.at(19), court.judge.chain().start(Slot(20)));
    assert_eq!(court.judge.manner(slow, before), Manner::Answer);
    assert_eq!(court.judge.manner(slow, first), Manner::After(Duration::from_secs(1)));
    assert_eq!(court.judge.manner(slow, last), Manner::After(Duration::from_secs(1)));
    assert_eq!(court.judge.manner(slow, after), Manner::Answer);
    assert_eq!(court.judge.manner(0, first), Manner::Answer);
    assert_eq!(court.judge.manner(face(FaultKind::Error), first), Manner::Fail);
    assert_eq!(court.judge.manner(face(FaultKind::Hang), first), Manner::Never);
    assert_eq!(court.judge.manner(face(FaultKind::Behind), first), Manner::Answer);
}

#[test]
fn a_face_that_is_behind_says_so_and_answers_from_its_old_head() {
    let mut court = court();
    let (behind, at) = (face(FaultKind::Behind), court.at(14));
    let view = court.judge.view(behind, at);
    assert_eq!(
        view.syncing(),
        SyncingStatus {
            head_slot: Slot(14 - BEHIND),
            sync_distance: BEHIND,
            is_syncing: true,
            is_optimistic: false,
            el_offline: false,
        }
    );
    assert_eq!(view.head().slot, Slot(6));
    assert!(view.block_at(Slot(7)).is_none() && view.block_at(Slot(6)).is_some());
    let newest = court.judge.head().root;
    assert!(court.judge.view(behind, at).block(newest).is_none());
    let mut data = |face| {
        court
            .judge
            .attestation_data(face, at, Slot(14), CommitteeIndex(0))
            .unwrap()
    };
    let (old, new) = (data(behind), data(0));
    assert_eq!(new.beacon_block_root, newest);
    assert_eq!(
        Some(old.beacon_block_root),
        court.judge.block_at(Slot(6)).map(|b| b.root)
    );

    // A vote for what it has not seen is unknown to it, and taken elsewhere; a vote for its own head is a vote.
    let vote = court.vote(14, new);
    let before = court.judge.refusals().len();
    refused(court.submit_to(behind, 14, vote), "which is behind");
    assert_eq!(court.judge.refusals().len(), before, "that is nobody's fault");
    assert_eq!(court.submit_to(0, 14, vote), Ok(Taken::First));
    let counted = report(&mut court.judge, 14..15);
    assert_eq!((counted.heads.right, counted.heads.wrong), (1, 0));

    let mut court = super::faces::court();
    let data = court
        .judge
        .attestation_data(behind, at, Slot(14), CommitteeIndex(0))
        .unwrap();
    let vote = court.vote(14, data);
    assert_eq!(court.submit_to(behind, 14, vote), Ok(Taken::First));
    let counted = report(&mut court.judge, 14..15);
    assert_eq!((counted.heads.right, counted.heads.wrong), (0, 1));
}

#[test]
fn an_optimistic_face_says_so_and_makes_no_blocks() {
    let mut court = court();
    let (optimistic, at) = (face(FaultKind::Optimistic), court.at(15));
    assert!(court.judge.view(optimistic, at).syncing().is_optimistic);
    assert!(court.judge.view(optimistic, at).is_optimistic() && !court.judge.view(0, at).is_optimistic());
    let randao = court.randao(15);
    let made = court
        .judge
        .produce(optimistic, at, Slot(15), (randao, true), Root::ZERO, 0);
    assert!(made.unwrap_err().0.contains("the execution client is syncing"));
    let mut data = |face| court.judge.attestation_data(face, at, Slot(15), CommitteeIndex(0));
    assert_eq!(data(optimistic), data(0), "it follows the chain");
}

#[test]
fn a_face_of_another_network_knows_nobody_and_takes_nothing() {
    let mut court = court();
    let (wrong, at) = (face(FaultKind::WrongChain), court.at(14));
    let view = court.judge.view(wrong, at);
    let own = court.judge.chain();
    assert_ne!(view.chain().genesis_validators_root, own.genesis_validators_root);
    assert_ne!(
        view.chain().forks[0].1,
        own.forks[0].1,
        "other versions from genesis on"
    );
    assert_eq!(
        (view.chain().genesis_time, view.chain().validators.len()),
        (own.genesis_time, 0)
    );
    assert!(
        court.judge.block(view.head().root).is_none(),
        "its blocks are none of ours"
    );
    let data = court
        .judge
        .attestation_data(wrong, at, Slot(14), CommitteeIndex(0))
        .unwrap();
    assert!(court.judge.block(data.beacon_block_root).is_none());
    let data = court.data(14);
    let vote = court.vote(14, data);
    let before = court.judge.refusals().len();
    refused(court.submit_to(wrong, 14, vote), "of another network");
    assert_eq!(court.judge.refusals().len(), before);
    assert_eq!(court.submit_to(0, 14, vote), Ok(Taken::First));
}

#[test]
fn a_face_with_another_fork_epoch_is_of_this_chain_but_an_epoch_late() {
    let mut court = court();
    let (late, at) = (face(FaultKind::OtherForkEpoch), court.at(17));
    let (own, other) = (court.judge.chain().clone(), court.judge.view(late, at).chain().clone());
    assert_eq!(other.genesis_validators_root, own.genesis_validators_root);
    assert_eq!(other.forks[0], own.forks[0]);
    assert_eq!((own.fork(Slot(17)), other.fork(Slot(17))), (Fork::Fulu, Fork::Electra));
    assert_eq!(other.fork(Slot(32)), Fork::Fulu);
    let randao = court.randao(17);
    let made = court
        .judge
        .produce(late, at, Slot(17), (randao, true), Root::ZERO, 0)
        .unwrap();
    assert_eq!(made.fork, Fork::Electra);
    let data = court.data(17);
    let vote = court.vote(17, data);
    refused(
        court.submit_to(late, 17, vote),
        "for this beacon node slot 17 is in Electra",
    );
    assert_eq!(court.submit_to(0, 17, vote), Ok(Taken::First));
    let block = court.sign_proposal(made.proposal());
    refused(court.publish(17, block), "wrong fork: slot 17 is in Fulu");
}

#[test]
fn slashable_votes_are_found_whatever_face_they_come_to() {
    let mut court = court();
    let data = court.data(14);
    let (one, two) = (court.vote(14, data), {
        let other = AttestationData {
            beacon_block_root: court.judge.block_at(Slot(3)).unwrap().root,
            ..data
        };
        court.vote(14, other)
    });
    court.submit_to(0, 14, one).unwrap();
    refused(court.submit_to(face(FaultKind::WrongChain), 14, two), "slashable");
    assert_eq!(court.judge.slashable().len(), 1);
}

#[test]
fn only_faces_that_follow_the_chain_tell_about_it() {
    let court = court();
    let at = court.at(14);
    let hears = |kind| court.judge.view(face(kind), at).hears();
    let silent: Vec<_> = FaultKind::ALL.into_iter().filter(|kind| !hears(*kind)).collect();
    assert_eq!(
        silent,
        [
            FaultKind::Error,
            FaultKind::Hang,
            FaultKind::Behind,
            FaultKind::WrongChain
        ]
    );
    assert!(court.judge.view(0, at).hears());
}

#[test]
fn a_fault_can_be_injected_while_the_chain_runs() {
    let mut court = court();
    let at = court.at(14);
    assert_eq!(court.judge.fault(0, at), None);
    court.judge.inject("0:hang@4..6".parse::<Fault>().unwrap().later(10));
    assert_eq!(court.judge.fault(0, at), Some(FaultKind::Hang));
    assert_eq!(court.judge.fault(0, court.at(16)), None);
}
