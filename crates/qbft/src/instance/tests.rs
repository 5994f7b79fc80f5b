use super::*;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Word(u8);
impl Value for Word {
    type Seal = ();
}

const A: Word = Word(1);
const B: Word = Word(2);

/// Four processes; process `r mod 4` leads round `r`.
fn params() -> Params {
    Params {
        nodes: Nodes::new(4).unwrap(),
        leader_offset: 0,
        compare: false,
        abstain: false,
    }
}

fn process(me: u8) -> Instance<Word> {
    Instance::new(params(), Process(me))
}

fn vote(kind: Kind, source: u8, round: u64, value: Option<Word>) -> Vote<Word> {
    Vote {
        kind,
        source: Process(source),
        round: Round(round),
        value,
        prepared_round: None,
        prepared_value: None,
    }
}

fn signed(vote: Vote<Word>) -> Signed<Word> {
    Signed { vote, seal: () }
}

fn msg(kind: Kind, source: u8, round: u64, value: Word) -> Msg<Word> {
    Msg {
        signed: signed(vote(kind, source, round, Some(value))),
        justification: Arc::default(),
    }
}

/// A ROUND-CHANGE of `source` to `round`, with a lock on `lock` proven by processes 0 to 2.
fn change(source: u8, round: u64, lock: Option<(u64, Word)>) -> Msg<Word> {
    let mut vote = vote(Kind::RoundChange, source, round, None);
    let mut justification: Arc<[Signed<Word>]> = Arc::default();
    if let Some((locked, value)) = lock {
        vote.prepared_round = Some(Round(locked));
        vote.prepared_value = Some(value);
        justification = (0..3).map(|p| msg(Kind::Prepare, p, locked, value).signed).collect();
    }
    Msg {
        signed: signed(vote),
        justification,
    }
}

/// What an instance does upon a message, without its notes.
fn upon(instance: &mut Instance<Word>, msg: Msg<Word>) -> Effects<Word> {
    instance
        .step(Input::Message(msg))
        .into_iter()
        .filter(|e| !matches!(e, Effect::Note(_)))
        .collect()
}

/// The votes broadcast by some effects.
fn sent(effects: &Effects<Word>) -> Vec<Vote<Word>> {
    effects
        .iter()
        .filter_map(|e| {
            if let Effect::Broadcast(d) = e {
                Some(d.vote)
            } else {
                None
            }
        })
        .collect()
}

#[test]
fn a_leader_proposes_as_soon_as_it_has_both_its_turn_and_a_value() {
    let proposal = vote(Kind::PrePrepare, 1, 1, Some(A));
    let mut early = process(1);
    assert!(early.step(Input::Propose(A)).is_empty());
    assert_eq!(sent(&early.step(Input::Start)), [proposal]);

    let mut late = process(1);
    let effects = late.step(Input::Start);
    assert!(matches!(effects.as_slice(), [Effect::SetTimer { round: Round(1) }]));
    assert_eq!(sent(&late.step(Input::Propose(A))), [proposal]);
    assert!(late.step(Input::Propose(B)).is_empty(), "only the first value counts");

    let mut other = process(2);
    assert_eq!(sent(&other.step(Input::Start)), []);
    assert_eq!(sent(&other.step(Input::Propose(A))), []);
}

#[test]
fn a_second_proposal_of_an_equivocating_leader_gets_no_second_prepare() {
    let mut p = process(0);
    p.step(Input::Start);
    let effects = upon(&mut p, msg(Kind::PrePrepare, 1, 1, A));
    assert!(matches!(
        effects.as_slice(),
        [Effect::SetTimer { round: Round(1) }, Effect::Broadcast(_)]
    ));
    assert_eq!(sent(&effects), [vote(Kind::Prepare, 0, 1, Some(A))]);
    assert!(upon(&mut p, msg(Kind::PrePrepare, 1, 1, B)).is_empty());

    // The same after a jump to a later round, which clears what has fired.
    let justification: Arc<[Signed<Word>]> = (1..4).map(|s| change(s, 2, None).signed).collect();
    let second = |value| Msg {
        signed: msg(Kind::PrePrepare, 2, 2, value).signed,
        justification: justification.clone(),
    };
    assert_eq!(sent(&upon(&mut p, second(A))), [vote(Kind::Prepare, 0, 2, Some(A))]);
    assert!(upon(&mut p, second(B)).is_empty());
    assert!(upon(&mut p, second(A)).is_empty());
}

#[test]
fn a_quorum_of_prepares_locks_and_commits() {
    let mut p = process(0);
    p.step(Input::Start);
    assert!(upon(&mut p, msg(Kind::Prepare, 1, 1, A)).is_empty());
    assert!(
        upon(&mut p, msg(Kind::Prepare, 1, 1, A)).is_empty(),
        "one process counts once"
    );
    assert!(
        upon(&mut p, msg(Kind::Prepare, 2, 1, B)).is_empty(),
        "another value is another matter"
    );
    assert!(
        upon(&mut p, msg(Kind::Prepare, 3, 2, A)).is_empty(),
        "another round too"
    );
    assert!(upon(&mut p, msg(Kind::Prepare, 2, 1, A)).is_empty());
    assert_eq!(
        sent(&upon(&mut p, msg(Kind::Prepare, 0, 1, A))),
        [vote(Kind::Commit, 0, 1, Some(A))]
    );
    assert!(upon(&mut p, msg(Kind::Prepare, 3, 1, A)).is_empty(), "once per round");

    let effects = p.step(Input::Timeout { round: Round(1) });
    let said = sent(&effects);
    assert_eq!(
        (said[0].prepared_round, said[0].prepared_value),
        (Some(Round(1)), Some(A))
    );
}

#[test]
fn prepares_shown_by_others_count() {
    let mut p = process(0);
    p.step(Input::Start);
    upon(&mut p, change(3, 2, Some((1, A))));
    assert_eq!(
        sent(&upon(&mut p, msg(Kind::Prepare, 3, 1, A))),
        [vote(Kind::Commit, 0, 1, Some(A))]
    );
}

#[test]
fn a_quorum_of_commits_decides_whatever_round_we_are_in() {
    for timeouts in 0..3 {
        let mut p = process(0);
        p.step(Input::Start);
        for round in 1..=timeouts {
            p.step(Input::Timeout { round: Round(round) });
        }
        assert!(upon(&mut p, msg(Kind::Commit, 1, 2, A)).is_empty());
        assert!(upon(&mut p, msg(Kind::Commit, 2, 2, A)).is_empty());
        let effects = upon(&mut p, msg(Kind::Commit, 3, 2, A));
        let [
            Effect::StopTimer,
            Effect::Broadcast(_),
            Effect::Decide {
                value: A,
                round: Round(2),
                commits,
            },
        ] = effects.as_slice()
        else {
            panic!("{effects:?}")
        };
        assert_eq!(commits.len(), 3);
        assert_eq!(p.decision(), Some(A));
        assert!(
            p.step(Input::Timeout { round: p.round() }).is_empty(),
            "no timer runs after deciding"
        );
        assert!(upon(&mut p, msg(Kind::Commit, 0, 2, A)).is_empty());
    }
}

#[test]
fn a_timeout_changes_the_round_with_the_lock() {
    let mut p = process(0);
    p.step(Input::Start);
    let effects = p.step(Input::Timeout { round: Round(1) });
    assert_eq!(sent(&effects), [vote(Kind::RoundChange, 0, 2, None)]);
    assert!(
        effects
            .iter()
            .any(|e| matches!(e, Effect::SetTimer { round: Round(2) }))
    );
    assert!(
        p.step(Input::Timeout { round: Round(1) }).is_empty(),
        "a timer of a round that was left means nothing"
    );

    for source in 1..4 {
        upon(&mut p, msg(Kind::Prepare, source, 2, B));
    }
    let effects = p.step(Input::Timeout { round: Round(2) });
    let Some(Effect::Broadcast(draft)) = effects.last() else {
        panic!("{effects:?}")
    };
    assert_eq!(
        (draft.vote.prepared_round, draft.vote.prepared_value),
        (Some(Round(2)), Some(B))
    );
    assert_eq!(draft.justification.len(), 3);
}

#[test]
fn f_plus_one_later_rounds_pull_us_to_the_lowest() {
    let mut p = process(0);
    p.step(Input::Start);
    assert!(upon(&mut p, change(1, 9, None)).is_empty());
    assert!(
        upon(&mut p, change(1, 12, None)).is_empty(),
        "one process, however loud, is not f + 1"
    );
    let effects = upon(&mut p, change(2, 7, None));
    assert_eq!(sent(&effects), [vote(Kind::RoundChange, 0, 7, None)]);
    assert_eq!(p.round(), Round(7));
}

#[test]
fn a_leader_of_a_later_round_proposes_the_lock_it_was_shown() {
    let mut p = process(2);
    p.step(Input::Start);
    p.step(Input::Propose(B));
    p.step(Input::Timeout { round: Round(1) });
    upon(&mut p, change(0, 2, None));
    upon(&mut p, change(1, 2, Some((1, A))));
    let effects = upon(&mut p, change(2, 2, None));
    assert_eq!(sent(&effects), [vote(Kind::PrePrepare, 2, 2, Some(A))]);
    let Some(Effect::Broadcast(draft)) = effects.last() else {
        panic!("{effects:?}")
    };
    assert_eq!(draft.justification.len(), 6, "three ROUND-CHANGEs and three PREPAREs");
    // Its own message convinces it too.
    assert_eq!(
        sent(&upon(&mut p, draft.clone().sealed(()))),
        [vote(Kind::Prepare, 2, 2, Some(A))]
    );
}

#[test]
fn a_leader_of_a_later_round_proposes_its_own_value_when_nobody_is_locked() {
    let mut p = process(2);
    p.step(Input::Start);
    p.step(Input::Timeout { round: Round(1) });
    for source in 0..2 {
        assert!(upon(&mut p, change(source, 2, None)).is_empty());
    }
    assert!(upon(&mut p, change(3, 2, None)).is_empty(), "it has no value yet");
    assert_eq!(
        sent(&p.step(Input::Propose(B))),
        [vote(Kind::PrePrepare, 2, 2, Some(B))]
    );
}

#[test]
fn a_turn_that_passed_is_not_taken_later() {
    let mut p = process(1);
    p.step(Input::Start);
    p.step(Input::Timeout { round: Round(1) });
    assert!(sent(&p.step(Input::Propose(A))).is_empty());
}

/// A liar's COMMIT may have come to one process alone; with the honest ones' the others decide in the same round.
#[test]
fn who_decides_before_its_own_commit_still_sends_it_once() {
    let mut p = process(0);
    p.step(Input::Start);
    for source in 1..3 {
        assert!(upon(&mut p, msg(Kind::Commit, source, 1, A)).is_empty());
    }
    let decided = upon(&mut p, msg(Kind::Commit, 3, 1, A));
    assert_eq!(sent(&decided), [vote(Kind::Commit, 0, 1, Some(A))]);

    let mut p = process(0);
    p.step(Input::Start);
    let shown = Msg {
        signed: msg(Kind::Decided, 3, 2, A).signed,
        justification: (1..4).map(|s| msg(Kind::Commit, s, 2, A).signed).collect(),
    };
    assert_eq!(sent(&upon(&mut p, shown)), [vote(Kind::Commit, 0, 2, Some(A))]);

    let mut p = process(0);
    p.step(Input::Start);
    for source in 1..4 {
        upon(&mut p, msg(Kind::Prepare, source, 1, A));
    }
    for source in 1..4 {
        let effects = upon(&mut p, msg(Kind::Commit, source, 1, A));
        assert!(sent(&effects).is_empty(), "it was sent with the lock");
    }
    assert_eq!(p.decision(), Some(A));
}

#[test]
fn a_late_process_is_told_the_decision_a_limited_number_of_times() {
    let mut p = process(0);
    p.step(Input::Start);
    for source in 1..4 {
        upon(&mut p, msg(Kind::Commit, source, 1, A));
    }
    let told = |p: &mut Instance<Word>, source, round| sent(&upon(p, change(source, round, None))).len();
    assert_eq!(told(&mut p, 3, 2), 1);
    assert_eq!(told(&mut p, 3, 2), 0, "only for a higher round");
    assert_eq!((3..100).map(|round| told(&mut p, 3, round)).sum::<usize>(), 15);
    assert_eq!(told(&mut p, 2, 5), 1, "each peer has its own count");
    assert_eq!(told(&mut p, 0, 200), 0, "our own messages are not answered");
    assert_eq!(
        sent(&upon(&mut p, change(1, 7, None))),
        [vote(Kind::Decided, 0, 1, Some(A))]
    );
    assert!(upon(&mut p, msg(Kind::Prepare, 1, 8, B)).is_empty());
}

#[test]
fn a_decided_message_needs_a_quorum_of_commits() {
    let with = |sources: &[u8], value| Msg {
        signed: msg(Kind::Decided, 3, 5, A).signed,
        justification: sources.iter().map(|s| msg(Kind::Commit, *s, 5, value).signed).collect(),
    };
    let mut p = process(0);
    p.step(Input::Start);
    for bad in [with(&[1, 2], A), with(&[1, 2, 2], A), with(&[1, 2, 3], B), with(&[], A)] {
        assert!(upon(&mut p, bad).is_empty());
    }
    assert!(p.decision().is_none());
    upon(&mut p, with(&[1, 2, 3], A));
    assert_eq!((p.decision(), p.round()), (Some(A), Round(5)));
}

#[test]
fn a_proposal_that_differs_from_our_own_data_gets_no_prepare() {
    let mut p = Instance::new(
        Params {
            compare: true,
            ..params()
        },
        Process(0),
    );
    p.step(Input::Start);
    let effects = upon(&mut p, msg(Kind::PrePrepare, 1, 1, A));
    assert!(matches!(
        effects.as_slice(),
        [
            Effect::SetTimer { .. },
            Effect::Compare {
                round: Round(1),
                value: A
            }
        ]
    ));
    assert!(
        p.step(Input::Compared {
            round: Round(1),
            agrees: false
        })
        .is_empty()
    );
    assert!(
        p.step(Input::Compared {
            round: Round(1),
            agrees: true
        })
        .is_empty(),
        "there is one answer"
    );
    // The next round's leader needs no proof now.
    p.step(Input::Timeout { round: Round(1) });
    upon(&mut p, msg(Kind::PrePrepare, 2, 2, B));
    assert_eq!(
        sent(&p.step(Input::Compared {
            round: Round(2),
            agrees: true
        })),
        [vote(Kind::Prepare, 0, 2, Some(B))]
    );
}

#[test]
fn an_answer_that_comes_after_the_round_was_left_says_nothing() {
    let mut p = Instance::new(
        Params {
            compare: true,
            ..params()
        },
        Process(0),
    );
    p.step(Input::Start);
    upon(&mut p, msg(Kind::PrePrepare, 1, 1, A));
    p.step(Input::Timeout { round: Round(1) });
    assert!(
        p.step(Input::Compared {
            round: Round(1),
            agrees: true
        })
        .is_empty()
    );
}

#[test]
fn who_abstains_sends_nothing_and_still_learns() {
    let mut p = Instance::new(
        Params {
            abstain: true,
            ..params()
        },
        Process(1),
    );
    let mut all = p.step(Input::Propose(A));
    all.extend(p.step(Input::Start));
    all.extend(upon(&mut p, msg(Kind::PrePrepare, 1, 1, A)));
    for source in [0, 2, 3] {
        all.extend(upon(&mut p, msg(Kind::Prepare, source, 1, A)));
    }
    all.extend(p.step(Input::Timeout { round: Round(1) }));
    for source in [0, 2, 3] {
        all.extend(upon(&mut p, msg(Kind::Commit, source, 1, A)));
    }
    all.extend(upon(&mut p, change(3, 9, None)));
    assert!(sent(&all).is_empty());
    assert_eq!(p.decision(), Some(A));
}

#[test]
fn strangers_are_not_heard() {
    let mut p = process(0);
    p.step(Input::Start);
    for source in [4, 5, 255] {
        assert!(p.step(Input::Message(msg(Kind::Commit, source, 1, A))).is_empty());
    }
    let mut shown = msg(Kind::Decided, 3, 1, A);
    shown.justification = [1, 2, 4].map(|s| msg(Kind::Commit, s, 1, A).signed).into();
    assert!(p.step(Input::Message(shown)).is_empty());
    assert!(p.decision().is_none());
}

#[test]
fn what_is_not_wanted_has_no_effect() {
    let mut p = process(0);
    p.step(Input::Start);
    let prepare = |s| msg(Kind::Prepare, s, 1, A);
    for source in 1..4 {
        assert!(p.wants(&prepare(source).signed.vote));
        upon(&mut p, prepare(source));
    }
    assert!(!p.wants(&prepare(0).signed.vote));
    upon(&mut p, msg(Kind::PrePrepare, 1, 1, A));
    assert!(!p.wants(&msg(Kind::PrePrepare, 1, 1, B).signed.vote));
    for source in 1..4 {
        upon(&mut p, msg(Kind::Commit, source, 1, A));
    }
    assert!(!p.wants(&msg(Kind::Commit, 0, 1, A).signed.vote));
    assert!(p.wants(&change(2, 2, None).signed.vote));
    upon(&mut p, change(2, 2, None));
    assert!(!p.wants(&change(2, 2, None).signed.vote));
}

#[test]
fn the_leader_is_a_process_for_every_ordinary_offset_and_round() {
    let at = |offset, round| {
        Params {
            leader_offset: offset,
            ..params()
        }
        .leader(Round(round))
    };
    assert_eq!(at(2, 1), Some(Process(3)));
    assert_eq!(at(0, 4), Some(Process(0)));
    assert_eq!(
        at(i64::MAX, 1),
        Some(Process(0)),
        "wraps to the smallest number, which four divides"
    );
    assert_eq!(at(i64::MAX, 2), None, "a negative remainder is no process");
    assert_eq!(at(0, u64::MAX), None);
}
