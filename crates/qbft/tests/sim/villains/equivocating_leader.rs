//! Proposes one value to some and another to the rest, then supports both before everyone.

use rand::RngExt;
use trireme_qbft::Kind;

use crate::{
    cast::{Heard, Villain, Voice},
    villains::try_villain,
    world::Word,
};

#[derive(Default)]
struct EquivocatingLeader {
    values: Vec<Word>,
}

pub(crate) fn make() -> Box<dyn Villain> {
    Box::<EquivocatingLeader>::default()
}

impl Villain for EquivocatingLeader {
    fn react(&mut self, voice: &mut Voice<'_>, heard: &Heard<'_>) {
        let Heard::Draft(draft) = heard else { return };
        match draft.vote.kind {
            Kind::PrePrepare => {
                self.values = vec![voice.some_value(), Word(100 + voice.me.0)];
                self.values.extend(draft.vote.value);
                for to in voice.others() {
                    let value = self.values[voice.rng.random_range(0..self.values.len())];
                    let proposal = voice.cast(Kind::PrePrepare, draft.vote.round, Some(value), None);
                    voice.send(to, &proposal, &draft.justification);
                }
                for value in self.values.clone() {
                    for kind in [Kind::Prepare, Kind::Commit] {
                        let support = voice.cast(kind, draft.vote.round, Some(value), None);
                        voice.send_all(&support, &Vec::new().into());
                    }
                }
            }
            Kind::Prepare | Kind::Commit | Kind::RoundChange | Kind::Decided => voice.behave(draft),
        }
    }
}

#[test]
fn an_equivocating_leader_splits_nobody() {
    try_villain("equivocating leader", make);
}
