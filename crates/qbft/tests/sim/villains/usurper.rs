//! Waits until a value is almost decided, then uses its turn to lead: every way that it knows to make another value
//! look allowed, one proposal after the other. An honest process drops all of them.
//!
//! Until then it helps: it votes like an honest process, but says of itself that it holds no lock; where it leads round
//! 1 it proposes its own value to one process. Schedules in which one process decides alone and the others do not hear
//! of it ([`Squeeze`](crate::world::Squeeze)) are its feast.

use std::sync::Arc;

use rand::RngExt;
use trireme_qbft::{Kind, Round, Vote};

use crate::{
    cast::{Heard, Villain, Voice},
    villains::try_villain,
    world::{S, Word},
};

#[derive(Default)]
struct Usurper {
    /// Its last turn used.
    used: Option<Round>,
}

pub(crate) fn make() -> Box<dyn Villain> {
    Box::<Usurper>::default()
}

impl Villain for Usurper {
    fn react(&mut self, voice: &mut Voice<'_>, heard: &Heard<'_>) {
        match heard {
            Heard::Draft(draft) => match draft.vote.kind {
                Kind::PrePrepare if draft.vote.round > Round::FIRST => {}
                Kind::PrePrepare => split_first_round(voice, draft.vote.value),
                Kind::RoundChange => change_round(voice, draft.vote.round),
                Kind::Prepare | Kind::Commit => voice.behave(draft),
                // What it knows of a decision it keeps to itself.
                Kind::Decided => {}
            },
            Heard::Message(msg) => {
                let round = msg.signed.vote.round;
                if msg.signed.vote.kind == Kind::RoundChange
                    && voice.params.leader(round) == Some(voice.me)
                    && self.used < Some(round)
                    && others_in(voice, round).len() + 1 >= voice.params.nodes.quorum()
                {
                    self.used = Some(round);
                    usurp(voice, round);
                }
            }
            Heard::Tick => {}
        }
    }
}

/// One value for all but one, and support for both.
fn split_first_round(voice: &mut Voice<'_>, value: Option<Word>) {
    let (others, mine) = (voice.others(), mine(voice));
    let odd = voice.rng.random_range(0..others.len());
    for (n, to) in others.into_iter().enumerate() {
        let value = if n == odd { Some(mine) } else { value };
        let proposal = voice.cast(Kind::PrePrepare, Round::FIRST, value, None);
        voice.send(to, &proposal, &Arc::default());
    }
    for value in [value, Some(mine)] {
        let support = voice.cast(Kind::Prepare, Round::FIRST, value, None);
        voice.send_all(&support, &Arc::default());
    }
}

/// ROUND-CHANGEs with locks that nobody has, then one without a lock.
fn change_round(voice: &mut Voice<'_>, round: Round) {
    let (Some(before), mine) = (round.0.checked_sub(1), mine(voice)) else {
        return;
    };
    let own = voice.cast(Kind::Prepare, Round(before), Some(mine), None);
    let claim = voice.cast(Kind::RoundChange, round, None, Some((Round(before), mine)));
    let quorum = voice.params.nodes.quorum();
    let mut others = voice.seen(|v| v.kind == Kind::Prepare && v.round.0 == before);
    others.truncate(quorum - 1);
    // Not enough PREPAREs; one PREPARE many times; the others' PREPAREs for something else.
    voice.send_all(&claim, &Arc::from([own.clone()]));
    voice.send_all(&claim, &std::iter::repeat_n(own.clone(), quorum).collect());
    voice.send_all(&claim, &std::iter::once(own).chain(others).collect());
    voice.send_all(&claim, &Arc::default());
    let innocent = voice.cast(Kind::RoundChange, round, None, None);
    voice.send_all(&innocent, &Arc::default());
}

/// A value that no honest process proposes.
fn mine(voice: &Voice<'_>) -> Word {
    Word(100 + voice.me.0)
}

/// The first ROUND-CHANGE of every other process to `round`.
fn others_in(voice: &Voice<'_>, round: Round) -> Vec<S> {
    let mut found: Vec<S> = Vec::new();
    for s in voice.library {
        let v = &s.vote;
        if v.kind == Kind::RoundChange
            && v.round == round
            && v.source != voice.me
            && found.iter().all(|f| f.vote.source != v.source)
        {
            found.push(s.clone());
        }
    }
    found
}

/// Values that at least `enough` supported, its own support included if it had liked, by round.
fn supported(voice: &Voice<'_>, below: Round, enough: usize) -> Vec<(Round, Word)> {
    let mut all: Vec<(Round, Word)> = voice
        .library
        .iter()
        .filter(|s| s.vote.kind == Kind::Prepare && s.vote.round < below)
        .filter_map(|s| Some((s.vote.round, s.vote.value?)))
        .collect();
    all.sort_unstable();
    all.dedup();
    all.retain(|(round, value)| prepares(voice, *round, *value).len() >= enough);
    all
}

/// Everyone's PREPAREs for a value, its own first.
fn prepares(voice: &Voice<'_>, round: Round, value: Word) -> Vec<S> {
    let theirs =
        |v: &Vote<Word>| (v.kind, v.round, v.value) == (Kind::Prepare, round, Some(value)) && v.source != voice.me;
    let own = voice.cast(Kind::Prepare, round, Some(value), None);
    std::iter::once(own)
        .chain(voice.library.iter().filter(|s| theirs(&s.vote)).cloned())
        .collect()
}

/// Every forgery at once. Only the first that is believed counts, so their order is random.
fn usurp(voice: &mut Voice<'_>, round: Round) {
    let changes = others_in(voice, round);
    let quorum = voice.params.nodes.quorum();
    let locks = supported(voice, round, quorum);
    let mine = mine(voice);
    let free = voice.cast(Kind::RoundChange, round, None, None);
    let claim =
        |voice: &Voice<'_>, at: Round, value: Word| voice.cast(Kind::RoundChange, round, None, Some((at, value)));
    let with = |more: Vec<S>| -> Vec<S> { changes.iter().cloned().chain(more).collect() };
    let before = Round(round.0.saturating_sub(1));

    let mut tricks: Vec<(Word, Vec<S>)> = vec![
        // The ROUND-CHANGEs as they are, without the proof of any lock.
        (mine, with(vec![free.clone()])),
        // Fewer than a quorum, and one ROUND-CHANGE many times, none of them with a lock.
        (mine, vec![free.clone()]),
        (mine, vec![free.clone(); quorum]),
        // Only those that are not bound.
        (mine, {
            let mut shown: Vec<S> = changes.iter().filter(|s| s.vote.nothing_prepared()).cloned().collect();
            shown.push(free.clone());
            shown
        }),
        // A lock of the round before that only it supports.
        (
            mine,
            with(vec![
                claim(voice, before, mine),
                voice.cast(Kind::Prepare, before, Some(mine), None),
            ]),
        ),
        // The same, its support many times.
        (mine, {
            let own = voice.cast(Kind::Prepare, before, Some(mine), None);
            let mut shown = with(vec![claim(voice, before, mine)]);
            shown.extend(vec![own; quorum]);
            shown
        }),
        // ROUND-CHANGEs of an earlier round, when nothing was locked.
        (mine, {
            let mut old: Vec<S> = voice
                .library
                .iter()
                .filter(|s| s.vote.kind == Kind::RoundChange && s.vote.round < round && s.vote.nothing_prepared())
                .cloned()
                .collect();
            old.push(free.clone());
            old
        }),
    ];
    if let Some((at, value)) = locks.last().copied() {
        let proof = prepares(voice, at, value);
        // The highest lock, truly proven, and another value.
        tricks.push((mine, with([vec![claim(voice, at, value)], proof.clone()].concat())));
        tricks.push((mine, with([vec![claim(voice, at, mine)], proof.clone()].concat())));
        // The true proof, but in its own name and in front a PREPARE for its own value.
        let own = voice.cast(Kind::Prepare, at, Some(mine), None);
        let theirs = proof.into_iter().skip(1).collect();
        tricks.push((mine, with([vec![claim(voice, at, mine), own], theirs].concat())));
        // A lock beside the highest that one PREPARE is missing for.
        let almost = supported(voice, round, quorum - 1);
        for (at, value) in almost.into_iter().filter(|l| l.0 >= at && l.1 != value) {
            let proof = prepares(voice, at, value);
            tricks.push((value, with([vec![claim(voice, at, value)], proof].concat())));
        }
    }
    // A lower lock, truly proven, in place of the highest.
    if let [(at, value), .., _] = locks.as_slice() {
        let proof = prepares(voice, *at, *value);
        tricks.push((*value, with([vec![claim(voice, *at, *value)], proof.clone()].concat())));
        tricks.push((*value, with([vec![free], proof].concat())));
    }
    for i in (1..tricks.len()).rev() {
        tricks.swap(i, voice.rng.random_range(0..=i));
    }
    for (value, shown) in &tricks {
        let proposal = voice.cast(Kind::PrePrepare, round, Some(*value), None);
        voice.send_all(&proposal, &Arc::from(shown.as_slice()));
    }
    let mut values: Vec<Word> = tricks.iter().map(|(value, _)| *value).collect();
    values.sort_unstable();
    values.dedup();
    for value in values {
        for kind in [Kind::Prepare, Kind::Commit] {
            let support = voice.cast(kind, round, Some(value), None);
            voice.send_all(&support, &Arc::default());
        }
    }
}

#[test]
fn a_leader_cannot_replace_what_is_almost_decided() {
    try_villain("usurper", make);
}
