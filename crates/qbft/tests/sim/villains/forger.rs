//! Shows real votes that do not justify what it says: proposals, locks and decisions out of thin air.

use std::sync::Arc;

use rand::RngExt;
use trireme_qbft::{Kind, Round};

use crate::{
    cast::{Heard, Villain, Voice},
    villains::try_villain,
    world::{S, Word},
};

struct Forger;

pub(crate) fn make() -> Box<dyn Villain> {
    Box::new(Forger)
}

impl Villain for Forger {
    fn react(&mut self, voice: &mut Voice<'_>, heard: &Heard<'_>) {
        match heard {
            // Votes for some only, so that locks and decisions are partial.
            Heard::Draft(draft) if matches!(draft.vote.kind, Kind::Prepare | Kind::Commit) => {
                let vote = voice.hand.seal(draft.vote);
                for to in voice.others() {
                    if voice.rng.random_bool(0.5) {
                        voice.send(to, &vote, &draft.justification);
                    }
                }
            }
            // Its honest proposal would come too late to harm.
            Heard::Draft(draft) if draft.vote.kind == Kind::PrePrepare && draft.vote.round > Round::FIRST => {
                propose_against_locks(voice, draft.vote.round);
            }
            Heard::Draft(draft) => voice.behave(draft),
            Heard::Message(msg) => {
                // The moment someone changes rounds, a forged proposal may come first.
                if msg.signed.vote.kind == Kind::RoundChange
                    && voice.params.leader(msg.signed.vote.round) == Some(voice.me)
                    && voice.rng.random_bool(0.5)
                {
                    forge_proposal(voice, msg.signed.vote.round);
                }
            }
            Heard::Tick => {
                let round = voice.near_round();
                forge_proposal(voice, round);
                forge_lock(voice, round);
                forge_decision(voice, round);
            }
        }
    }
}

/// True ROUND-CHANGEs and a true quorum of PREPAREs, but another value than the highest lock allows.
fn propose_against_locks(voice: &mut Voice<'_>, round: Round) {
    let mut shown = {
        let me = voice.me;
        voice.seen(|v| v.kind == Kind::RoundChange && v.round == round && v.source != me)
    };
    let mut locks: Vec<(Round, Word)> = voice
        .library
        .iter()
        .filter(|s| s.vote.kind == Kind::Prepare && s.vote.round < round)
        .filter_map(|s| Some((s.vote.round, s.vote.value?)))
        .collect();
    locks.sort_unstable();
    locks.dedup();
    let quorum = voice.params.nodes.quorum();
    let prepares = |voice: &mut Voice<'_>, (locked, value): (Round, Word)| {
        let me = voice.me;
        let mut found =
            voice.seen(|v| v.kind == Kind::Prepare && v.round == locked && v.value == Some(value) && v.source != me);
        found.push(voice.cast(Kind::Prepare, locked, Some(value), None));
        found
    };
    let mut proven: Vec<(Round, Word)> = Vec::new();
    for lock in locks {
        if prepares(voice, lock).len() >= quorum {
            proven.push(lock);
        }
    }
    // The lowest lock that can be proven in place of the highest, or the highest with another value.
    let Some(lock) = proven.first().copied() else { return };
    let own = voice.cast(Kind::RoundChange, round, None, Some(lock));
    shown.push(own);
    shown.extend(prepares(voice, lock));
    let value = if proven.len() > 1 {
        lock.1
    } else {
        Word(100 + voice.me.0)
    };
    let proposal = voice.cast(Kind::PrePrepare, round, Some(value), None);
    voice.send_all(&proposal, &Arc::from(shown));
    for kind in [Kind::Prepare, Kind::Commit] {
        let support = voice.cast(kind, round, Some(value), None);
        voice.send_all(&support, &Arc::default());
    }
}

/// A proposal of another value in a round it leads, with some subset of the votes that would be needed.
fn forge_proposal(voice: &mut Voice<'_>, round: Round) {
    if voice.params.leader(round) != Some(voice.me) {
        return;
    }
    let value = voice.some_value();
    // Its own ROUND-CHANGE claims whatever suits it; so may those of others, if they said so.
    let lock = voice
        .rng
        .random_bool(0.5)
        .then(|| (Round(voice.rng.random_range(1..=round.0)), value));
    let own = voice.cast(Kind::RoundChange, round, None, lock);
    let any_round = voice.rng.random_bool(0.3);
    let free_only = voice.rng.random_bool(0.5);
    let mut shown: Vec<S> = voice.seen(|v| {
        v.kind == Kind::RoundChange && (any_round || v.round == round) && (!free_only || v.nothing_prepared())
    });
    if voice.rng.random_bool(0.3) {
        shown.extend(shown.clone());
    }
    let quorum = voice.params.nodes.quorum();
    shown.truncate(quorum.saturating_sub(voice.rng.random_range(0..2)));
    shown.push(own);
    if voice.rng.random_bool(0.7) {
        let locked = lock.map(|(r, _)| r);
        let picky = voice.rng.random_bool(0.6);
        let mut prepares =
            voice.seen(|v| v.kind == Kind::Prepare && v.value == Some(value) && (!picky || locked == Some(v.round)));
        if let Some((locked, _)) = lock {
            prepares.push(voice.cast(Kind::Prepare, locked, Some(value), None));
        }
        shown.extend(prepares);
    }
    let proposal = voice.cast(Kind::PrePrepare, round, Some(value), None);
    voice.send_all(&proposal, &Arc::from(shown));
    for kind in [Kind::Prepare, Kind::Commit] {
        let support = voice.cast(kind, round, Some(value), None);
        voice.send_all(&support, &Arc::default());
    }
}

/// A ROUND-CHANGE that claims a lock nobody made.
fn forge_lock(voice: &mut Voice<'_>, round: Round) {
    let (value, locked) = (voice.some_value(), Round(voice.rng.random_range(1..=round.0)));
    let change = voice.cast(Kind::RoundChange, round, None, Some((locked, value)));
    let mut shown = voice.seen(|v| v.kind == Kind::Prepare && v.value == Some(value));
    shown.push(voice.cast(Kind::Prepare, locked, Some(value), None));
    shown.extend(shown.clone());
    shown.truncate(voice.params.nodes.quorum());
    voice.send_all(&change, &Arc::from(shown));
}

/// A DECIDED without a quorum.
fn forge_decision(voice: &mut Voice<'_>, round: Round) {
    let value: Word = voice.some_value();
    let mut shown = voice.seen(|v| v.kind == Kind::Commit && v.round == round);
    shown.extend(voice.seen(|v| v.kind == Kind::Prepare && v.value == Some(value)));
    shown.push(voice.cast(Kind::Commit, round, Some(value), None));
    shown.extend(shown.clone());
    shown.truncate(voice.params.nodes.quorum() * 2);
    let decided = voice.cast(Kind::Decided, round, Some(value), None);
    voice.send_all(&decided, &Arc::from(shown));
}

#[test]
fn forged_justifications_convince_nobody() {
    try_villain("forger", make);
}
