//! Votes for everything: each peer hears support for another value, a lock here and none there.

use rand::RngExt;
use trireme_qbft::Kind;

use crate::{
    cast::{Heard, Villain, Voice},
    villains::try_villain,
};

#[derive(Default)]
struct ConflictingVoter {
    /// Two of its kind would answer each other for ever.
    answered: u32,
}

pub(crate) fn make() -> Box<dyn Villain> {
    Box::<ConflictingVoter>::default()
}

impl Villain for ConflictingVoter {
    fn react(&mut self, voice: &mut Voice<'_>, heard: &Heard<'_>) {
        match heard {
            Heard::Draft(draft) if draft.vote.kind == Kind::RoundChange => {
                // Its lock for some, innocence for the others.
                let round = draft.vote.round;
                let innocent = voice.cast(Kind::RoundChange, round, None, None);
                let honest = voice.hand.seal(draft.vote);
                for to in voice.others() {
                    if voice.rng.random_bool(0.5) {
                        voice.send(to, &innocent, &Vec::new().into());
                    } else {
                        voice.send(to, &honest, &draft.justification);
                    }
                }
            }
            Heard::Draft(draft) => voice.behave(draft),
            Heard::Message(_) | Heard::Tick => {
                self.answered += 1;
                if self.answered > 150 {
                    return;
                }
                for to in voice.others() {
                    let (value, round) = (voice.some_value(), voice.near_round());
                    let kind = if voice.rng.random_bool(0.5) {
                        Kind::Prepare
                    } else {
                        Kind::Commit
                    };
                    let vote = voice.cast(kind, round, Some(value), None);
                    voice.send(to, &vote, &Vec::new().into());
                }
            }
        }
    }
}

#[test]
fn votes_for_everything_decide_nothing_twice() {
    try_villain("conflicting voter", make);
}
