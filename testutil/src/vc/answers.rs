//! When the client got something to sign: what a cluster adds to its beacon nodes is measured by it.
//!
//! Guarantees: bounded memory, the newest are kept. Not here: what was in the answers ([`Served`](super::Served)).

use std::{collections::VecDeque, time::Duration};

use trireme_eth2::Slot;

use super::Shared;

/// Answers that are remembered.
const REMEMBERED: usize = 16_384;

/// What the client asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// Attestation data, due a third into the slot.
    AttestationData,
    /// A block.
    Block,
}

/// One answer that had what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// What was asked.
    pub to: Question,
    /// For which slot.
    pub slot: Slot,
    /// When the client asked, since 1970.
    pub asked: Duration,
    /// When it had the answer, since 1970.
    pub at: Duration,
    /// When the duty's time came: the start of the slot, or a third into it.
    pub due: Duration,
}

impl Answer {
    /// How long the client waited since the duty's time, or since its question if that came later.
    #[must_use]
    pub fn waited(&self) -> Duration {
        self.at.saturating_sub(self.due.max(self.asked))
    }
}

/// The newest answers, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers(VecDeque<Answer>);

impl Answers {
    fn push(&mut self, answer: Answer) {
        if self.0.len() >= REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(answer);
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Answer> {
        self.0.iter()
    }
}

impl Shared {
    /// Notes an answer that came just now.
    pub(super) fn answered(&self, to: Question, slot: Slot, asked: Duration, due: Duration) {
        let at = (self.now)();
        self.activity().answers.push(Answer {
            to,
            slot,
            asked,
            at,
            due,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(slot: u64, asked: u64, at: u64, due: u64) -> Answer {
        Answer {
            to: Question::Block,
            slot: Slot(slot),
            asked: Duration::from_millis(asked),
            at: Duration::from_millis(at),
            due: Duration::from_millis(due),
        }
    }

    #[test]
    fn waiting_begins_with_the_duty_or_with_a_later_question() {
        let waited = |asked, at, due| answer(1, asked, at, due).waited().as_millis();
        assert_eq!(waited(10, 25, 20), 5);
        assert_eq!(waited(22, 25, 20), 3);
        assert_eq!(waited(10, 15, 20), 0);
    }

    #[test]
    fn only_the_newest_answers_are_remembered() {
        let mut answers = Answers::default();
        for slot in 0..20_000 {
            answers.push(answer(slot, 0, 0, 0));
        }
        assert_eq!(answers.iter().count(), REMEMBERED);
        assert_eq!(answers.iter().next().unwrap().slot, Slot(20_000 - 16_384));
    }
}
