//! Says what an honest process would say, seconds later, and not to everyone.

use rand::RngExt;

use crate::{
    cast::{Heard, Villain, Voice},
    villains::try_villain,
};

struct Late;

pub(crate) fn make() -> Box<dyn Villain> {
    Box::new(Late)
}

impl Villain for Late {
    fn react(&mut self, voice: &mut Voice<'_>, heard: &Heard<'_>) {
        let Heard::Draft(draft) = heard else { return };
        let signed = voice.hand.seal(draft.vote);
        for to in voice.others() {
            if voice.rng.random_bool(0.8) {
                let hold = voice.rng.random_range(200..6_000);
                voice.send_late(to, &signed, &draft.justification, hold);
            }
        }
    }
}

#[test]
fn late_messages_confuse_nobody() {
    try_villain("late", make);
}
