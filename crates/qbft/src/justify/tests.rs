use std::sync::Arc;

use super::*;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Word(u8);
impl Value for Word {
    type Seal = ();
}

const A: Word = Word(1);
const B: Word = Word(2);

fn vote(kind: Kind, source: u8, round: u64, value: Option<Word>) -> Signed<Word> {
    let vote = Vote {
        kind,
        source: Process(source),
        round: Round(round),
        value,
        prepared_round: None,
        prepared_value: None,
    };
    Signed { vote, seal: () }
}

fn prepare(source: u8, round: u64, value: Word) -> Signed<Word> {
    vote(Kind::Prepare, source, round, Some(value))
}

fn change(source: u8, round: u64, lock: Option<(u64, Word)>) -> Signed<Word> {
    let mut signed = vote(Kind::RoundChange, source, round, None);
    signed.vote.prepared_round = lock.map(|(round, _)| Round(round));
    signed.vote.prepared_value = lock.map(|(_, value)| value);
    signed
}

fn shown(signed: Signed<Word>, justification: &[Signed<Word>]) -> Msg<Word> {
    Msg {
        signed,
        justification: Arc::from(justification),
    }
}

fn cx() -> Context {
    Context {
        nodes: Nodes::new(4).unwrap(),
        leader: Some(Process(1)),
        compare_failed: None,
    }
}

/// Process 1, which leads, proposes `value` in round 3.
fn proposal(value: Word, justification: &[Signed<Word>]) -> Result<(), Unjustified> {
    check(&shown(vote(Kind::PrePrepare, 1, 3, Some(value)), justification), cx())
}

#[test]
fn round_1_needs_only_the_leader_and_a_value() {
    let first = |source, value| check(&shown(vote(Kind::PrePrepare, source, 1, value), &[]), cx());
    assert_eq!(first(1, Some(A)), Ok(()));
    assert_eq!(first(0, Some(A)), Err(Unjustified::NotLeader));
    assert_eq!(first(1, None), Err(Unjustified::NoValue));
}

#[test]
fn with_nobody_locked_any_value_may_be_proposed() {
    let free = [change(0, 3, None), change(2, 3, None), change(3, 3, None)];
    assert_eq!(proposal(A, &free), Ok(()));
    assert_eq!(proposal(B, &free), Ok(()));
    assert_eq!(proposal(A, &free[..2]), Err(Unjustified::Proof), "two are no quorum");
    let twice = [change(0, 3, None), change(2, 3, None), change(2, 3, None)];
    assert_eq!(proposal(A, &twice), Err(Unjustified::Proof), "one process counts once");
    let other_round = [change(0, 3, None), change(2, 3, None), change(3, 4, None)];
    assert_eq!(proposal(A, &other_round), Err(Unjustified::Proof));
    assert_eq!(proposal(A, &[]), Err(Unjustified::Proof));
}

#[test]
fn only_the_highest_lock_may_be_proposed() {
    let locked = [
        change(0, 3, Some((1, A))),
        change(2, 3, Some((2, B))),
        change(3, 3, None),
        prepare(0, 2, B),
        prepare(1, 2, B),
        prepare(2, 2, B),
    ];
    assert_eq!(proposal(B, &locked), Ok(()));
    assert_eq!(proposal(A, &locked), Err(Unjustified::Proof));
    assert_eq!(
        proposal(B, &locked[..5]),
        Err(Unjustified::Proof),
        "two PREPAREs prove nothing"
    );

    let lower = [
        change(0, 3, Some((1, A))),
        change(2, 3, Some((2, B))),
        change(3, 3, None),
        prepare(0, 1, A),
        prepare(1, 1, A),
        prepare(2, 1, A),
    ];
    assert_eq!(
        proposal(A, &lower),
        Err(Unjustified::Proof),
        "someone is locked in a later round"
    );

    let nobody = [
        change(0, 3, Some((1, B))),
        change(2, 3, None),
        change(3, 3, None),
        prepare(0, 2, B),
        prepare(1, 2, B),
        prepare(2, 2, B),
    ];
    assert_eq!(
        proposal(B, &nobody),
        Err(Unjustified::Proof),
        "no one claims exactly this lock"
    );
}

#[test]
fn prepares_of_two_values_or_of_one_process_twice_prove_no_lock() {
    let with = |prepares: [Signed<Word>; 4]| {
        let mut all = vec![change(0, 3, Some((2, B))), change(2, 3, None), change(3, 3, None)];
        all.extend(prepares);
        proposal(B, &all)
    };
    assert_eq!(
        with([prepare(0, 2, B), prepare(1, 2, B), prepare(2, 2, B), prepare(3, 2, B)]),
        Ok(())
    );
    for last in [prepare(2, 2, B), prepare(3, 1, B), prepare(3, 2, A)] {
        assert_eq!(
            with([prepare(0, 2, B), prepare(1, 2, B), prepare(2, 2, B), last]),
            Err(Unjustified::Proof)
        );
    }
}

#[test]
fn after_a_failed_comparison_the_next_round_needs_no_proof() {
    let msg = shown(vote(Kind::PrePrepare, 1, 3, Some(A)), &[]);
    let failed_in = |round| {
        check(
            &msg,
            Context {
                compare_failed: Some(Round(round)),
                ..cx()
            },
        )
    };
    assert_eq!(failed_in(2), Ok(()));
    assert_eq!(failed_in(1), Err(Unjustified::Proof));
    assert_eq!(failed_in(3), Err(Unjustified::Proof));
}

#[test]
fn a_claimed_lock_needs_a_quorum_of_exactly_its_prepares() {
    let claim = |lock, justification: &[Signed<Word>]| check(&shown(change(2, 3, lock), justification), cx());
    let quorum = [prepare(0, 1, A), prepare(1, 1, A), prepare(3, 1, A)];
    assert_eq!(claim(None, &[]), Ok(()));
    assert_eq!(claim(Some((1, A)), &quorum), Ok(()));
    assert_eq!(claim(Some((1, A)), &[]), Err(Unjustified::Proof));
    assert_eq!(claim(Some((1, A)), &quorum[..2]), Err(Unjustified::Proof));
    assert_eq!(claim(Some((1, B)), &quorum), Err(Unjustified::Proof));
    assert_eq!(claim(Some((2, A)), &quorum), Err(Unjustified::Proof));
    assert_eq!(claim(None, &quorum), Err(Unjustified::Proof));
    let [first, second, third] = quorum;
    assert_eq!(
        claim(Some((1, A)), &[first.clone(), second.clone(), second.clone()]),
        Err(Unjustified::Proof)
    );
    let stray = vote(Kind::Commit, 2, 1, Some(A));
    assert_eq!(
        claim(Some((1, A)), &[first, second, third, stray]),
        Err(Unjustified::Proof)
    );
}

#[test]
fn a_half_claimed_lock_is_refused() {
    let mut half = change(2, 3, None);
    half.vote.prepared_value = Some(A);
    assert_eq!(check(&shown(half.clone(), &[]), cx()), Err(Unjustified::Proof));
    half.vote.prepared_value = None;
    half.vote.prepared_round = Some(Round(1));
    assert_eq!(check(&shown(half, &[]), cx()), Err(Unjustified::Proof));
}

#[test]
fn what_else_a_decided_message_shows_is_ignored() {
    let commit = |source, round| vote(Kind::Commit, source, round, Some(A));
    let decided = |shown_with: &[Signed<Word>]| check(&shown(vote(Kind::Decided, 0, 2, Some(A)), shown_with), cx());
    assert_eq!(
        decided(&[prepare(0, 1, B), commit(1, 2), commit(2, 2), commit(1, 2), commit(3, 2)]),
        Ok(())
    );
    assert_eq!(
        decided(&[commit(1, 2), commit(2, 2), commit(3, 1)]),
        Err(Unjustified::Proof)
    );
}
