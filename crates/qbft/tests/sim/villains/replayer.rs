//! Behaves, and sends everyone's old messages again, to anyone, at any time, with other votes shown beside them.

use rand::RngExt;
use trireme_qbft::Kind;

use crate::{
    cast::{Heard, Villain, Voice},
    villains::try_villain,
    world::M,
};

#[derive(Default)]
struct Replayer {
    kept: Vec<M>,
}

pub(crate) fn make() -> Box<dyn Villain> {
    Box::<Replayer>::default()
}

impl Villain for Replayer {
    fn react(&mut self, voice: &mut Voice<'_>, heard: &Heard<'_>) {
        match heard {
            Heard::Draft(draft) => voice.behave(draft),
            Heard::Message(msg) => self.kept.push((*msg).clone()),
            Heard::Tick => {
                for to in voice.others() {
                    if self.kept.is_empty() {
                        return;
                    }
                    let old = &self.kept[voice.rng.random_range(0..self.kept.len())];
                    voice.send(to, &old.signed, &old.justification);
                    // The signature covers the vote, not what is shown with it.
                    let mut shown = voice.seen(|v| v.kind != Kind::Decided);
                    shown.truncate(voice.rng.random_range(0..10));
                    voice.send(to, &old.signed, &shown.into());
                }
            }
        }
    }
}

#[test]
fn old_messages_bring_back_nothing() {
    try_villain("replayer", make);
}
