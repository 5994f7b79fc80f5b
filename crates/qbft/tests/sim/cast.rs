//! Who plays: honest processes, processes that crash, villains, and what a villain can do.

use std::sync::Arc;

use rand::{RngExt, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use trireme_qbft::{Draft, Kind, Msg, Params, Process, Round, Vote};

use crate::world::{Hand, M, S, Time, Word};

pub(crate) enum Role {
    Honest,
    /// Stops after so many events; may come back with empty memory, abstaining.
    Crashes {
        after: u64,
        returns: bool,
    },
    Villain(Box<dyn Villain>),
}

/// What a villain reacts to.
pub(crate) enum Heard<'a> {
    /// What an honest process in its place would broadcast now.
    Draft(&'a Draft<Word>),
    /// A message that reached it.
    Message(&'a M),
    /// Some time has passed.
    Tick,
}

pub(crate) trait Villain {
    fn react(&mut self, voice: &mut Voice<'_>, heard: &Heard<'_>);
}

/// What a villain can do: sign for itself, show what it has seen, send anything to anyone.
pub(crate) struct Voice<'a> {
    pub(crate) me: Process,
    pub(crate) params: Params,
    /// The round an honest process in its place would be in.
    pub(crate) round: Round,
    pub(crate) hand: Hand,
    pub(crate) rng: &'a mut ChaCha8Rng,
    /// Every vote seen so far.
    pub(crate) library: &'a [S],
    pub(crate) outbox: Vec<(Process, M, Time)>,
}

impl Voice<'_> {
    pub(crate) fn others(&self) -> Vec<Process> {
        self.params.nodes.all().filter(|p| *p != self.me).collect()
    }

    /// A vote of our own, signed.
    pub(crate) fn cast(&self, kind: Kind, round: Round, value: Option<Word>, lock: Option<(Round, Word)>) -> S {
        self.hand.seal(Vote {
            kind,
            source: self.me,
            round,
            value,
            prepared_round: lock.map(|(r, _)| r),
            prepared_value: lock.map(|(_, v)| v),
        })
    }

    pub(crate) fn send(&mut self, to: Process, signed: &S, justification: &Arc<[S]>) {
        self.send_late(to, signed, justification, 0);
    }

    pub(crate) fn send_late(&mut self, to: Process, signed: &S, justification: &Arc<[S]>, hold: Time) {
        let msg = Msg {
            signed: signed.clone(),
            justification: Arc::clone(justification),
        };
        self.outbox.push((to, msg, hold));
    }

    pub(crate) fn send_all(&mut self, signed: &S, justification: &Arc<[S]>) {
        for to in self.others() {
            self.send(to, signed, justification);
        }
    }

    /// What an honest process would do with its draft.
    pub(crate) fn behave(&mut self, draft: &Draft<Word>) {
        let signed = self.hand.seal(draft.vote);
        self.send_all(&signed, &draft.justification);
    }

    /// Any value that is about, or one of its own.
    pub(crate) fn some_value(&mut self) -> Word {
        let seen: Vec<Word> = self.library.iter().filter_map(|s| s.vote.value).collect();
        match seen.choose(self.rng) {
            Some(value) if self.rng.random_bool(0.8) => *value,
            Some(_) | None => Word(100 + self.me.0),
        }
    }

    /// A round near where things happen.
    pub(crate) fn near_round(&mut self) -> Round {
        Round(self.round.0.saturating_sub(1).max(1) + self.rng.random_range(0..3))
    }

    /// Votes that were really cast, picked by `wanted`, in random order.
    pub(crate) fn seen(&mut self, wanted: impl Fn(&Vote<Word>) -> bool) -> Vec<S> {
        let mut found: Vec<S> = self.library.iter().filter(|s| wanted(&s.vote)).cloned().collect();
        for i in (1..found.len()).rev() {
            found.swap(i, self.rng.random_range(0..=i));
        }
        found
    }
}
