//! Received messages, bounded per sender.
//!
//! Guarantees: at most [`PER_SENDER`] messages of a sender, the oldest goes first; at most [`PER_STEP`] different ones
//! of a kind and round, the first stay. An honest process sends one, so only a liar loses anything. A repetition is not
//! kept.

use std::collections::VecDeque;

use crate::{
    message::{Kind, Msg, Round, Signed, Value, Vote},
    quorum::{Nodes, Senders},
};

/// Messages kept per sender.
pub const PER_SENDER: usize = 100;

/// Messages kept per sender, kind and round.
pub const PER_STEP: usize = 2;

#[derive(Debug)]
pub(crate) struct Buffer<V: Value> {
    /// By sender, each in the order of arrival.
    senders: Vec<VecDeque<Msg<V>>>,
}

impl<V: Value> Buffer<V> {
    pub(crate) fn new(nodes: Nodes) -> Self {
        Self {
            senders: nodes.all().map(|_| VecDeque::with_capacity(8)).collect(),
        }
    }

    /// Keeps `msg`, unless its sender has said the same or too much of its kind and round before.
    pub(crate) fn insert(&mut self, msg: &Msg<V>) {
        let vote = &msg.signed.vote;
        let Some(own) = self.senders.get_mut(usize::from(vote.source.0)) else {
            return;
        };
        let mut alike = 0_usize;
        for known in own.iter().map(|m| &m.signed.vote) {
            if known.kind == vote.kind && known.round == vote.round {
                alike = alike.saturating_add(1);
                if alike >= PER_STEP || known == vote {
                    return;
                }
            }
        }
        if own.len() >= PER_SENDER {
            own.pop_front();
        }
        own.push_back(msg.clone());
    }

    /// Every vote: the messages and what was shown with them, by sender, then by arrival.
    pub(crate) fn votes(&self) -> impl Iterator<Item = &Signed<V>> {
        self.senders
            .iter()
            .flatten()
            .flat_map(|m| std::iter::once(&m.signed).chain(m.justification.iter()))
    }

    /// The first vote per source that `wanted` picks, in the order of [`Self::votes`].
    pub(crate) fn one_each(&self, wanted: impl Fn(&Vote<V>) -> bool) -> impl Iterator<Item = &Signed<V>> {
        first_each(self.votes(), wanted)
    }

    /// The sources of the votes that `wanted` picks, counted up to `enough`.
    pub(crate) fn has(&self, enough: usize, wanted: impl Fn(&Vote<V>) -> bool) -> bool {
        self.one_each(wanted).take(enough).count() >= enough
    }

    /// Who has sent a message of `kind` in `round`, for reports.
    pub(crate) fn senders_of(&self, kind: Kind, round: Round) -> Senders {
        let mut found = Senders::default();
        for vote in self.senders.iter().flatten().map(|m| &m.signed.vote) {
            if vote.kind == kind && vote.round == round {
                found.insert(vote.source);
            }
        }
        found
    }

    #[cfg(test)]
    pub(crate) fn kept(&self, sender: crate::message::Process) -> usize {
        self.senders[usize::from(sender.0)].len()
    }
}

/// The first vote per source that `wanted` picks.
pub(crate) fn first_each<'a, V: Value + 'a>(
    votes: impl Iterator<Item = &'a Signed<V>>,
    wanted: impl Fn(&Vote<V>) -> bool,
) -> impl Iterator<Item = &'a Signed<V>> {
    let mut seen = Senders::default();
    votes.filter(move |s| wanted(&s.vote) && seen.insert(s.vote.source))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::message::Process;

    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    struct Word(u8);
    impl Value for Word {
        type Seal = ();
    }

    fn msg(kind: Kind, round: u64, value: u8) -> Msg<Word> {
        let vote = Vote {
            kind,
            source: Process(1),
            round: Round(round),
            value: Some(Word(value)),
            prepared_round: None,
            prepared_value: None,
        };
        Msg {
            signed: Signed { vote, seal: () },
            justification: Arc::default(),
        }
    }

    #[test]
    fn a_sender_fills_only_its_own_bounded_place() {
        let mut buffer = Buffer::new(Nodes::new(4).unwrap());
        for round in 1..=1000 {
            for value in 0..10 {
                buffer.insert(&msg(Kind::Prepare, round, value));
                buffer.insert(&msg(Kind::Prepare, round, value));
            }
        }
        assert_eq!(buffer.kept(Process(1)), PER_SENDER);
        // The latest 50 rounds, the first two values of each.
        let rounds: Vec<(u64, u8)> = buffer
            .votes()
            .map(|s| (s.vote.round.0, s.vote.value.unwrap().0))
            .collect();
        assert_eq!(rounds.first(), Some(&(951, 0)));
        assert_eq!(rounds.last(), Some(&(1000, 1)));
    }

    #[test]
    fn votes_shown_with_a_message_count_once_per_source() {
        let mut buffer = Buffer::new(Nodes::new(4).unwrap());
        let mut shown = msg(Kind::RoundChange, 2, 1);
        let inner: Vec<Signed<Word>> = [0, 1, 1, 2]
            .map(|p| {
                let mut inner = msg(Kind::Prepare, 1, 7).signed;
                inner.vote.source = Process(p);
                inner
            })
            .into();
        shown.justification = inner.into();
        buffer.insert(&shown);
        buffer.insert(&msg(Kind::Prepare, 1, 7));
        assert!(buffer.has(3, |v| v.kind == Kind::Prepare));
        assert!(!buffer.has(4, |v| v.kind == Kind::Prepare));
    }
}
