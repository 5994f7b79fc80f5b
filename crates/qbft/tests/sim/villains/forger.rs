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
            Heard::Draft(draft) => voice.behave(draft),
            Heard::Message(msg) => {
                // The moment someone changes rounds, a forged proposal may come first.
                if msg.signed.vote.kind == Kind::RoundChange && voice.rng.random_bool(0.5) {
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
