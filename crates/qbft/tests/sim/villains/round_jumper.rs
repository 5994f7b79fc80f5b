//! Is always in another round: far ahead, far behind, and calls everyone to follow.

use std::sync::Arc;

use rand::RngExt;
use trireme_qbft::{Kind, Round};

use crate::{
    cast::{Heard, Villain, Voice},
    villains::try_villain,
};

struct RoundJumper;

pub(crate) fn make() -> Box<dyn Villain> {
    Box::new(RoundJumper)
}

impl Villain for RoundJumper {
    fn react(&mut self, voice: &mut Voice<'_>, heard: &Heard<'_>) {
        if let Heard::Draft(draft) = heard
            && voice.rng.random_bool(0.5)
        {
            voice.behave(draft);
        }
        if let Heard::Tick = heard {
            let far = Round(
                *[1, 2, 3, 17, 1 << 20, u64::MAX, u64::MAX - 1]
                    .get(voice.rng.random_range(0..7_usize))
                    .unwrap(),
            );
            let value = voice.some_value();
            let none: Arc<[_]> = Arc::default();
            let change = voice.cast(Kind::RoundChange, far, None, None);
            voice.send_all(&change, &none);
            let shown: Arc<[_]> = voice.seen(|v| v.kind == Kind::RoundChange).into();
            for kind in [Kind::PrePrepare, Kind::Prepare, Kind::Commit] {
                let vote = voice.cast(kind, far, Some(value), None);
                voice.send_all(&vote, if kind == Kind::PrePrepare { &shown } else { &none });
            }
        }
    }
}

#[test]
fn nobody_follows_a_minority_into_far_rounds() {
    try_villain("round jumper", make);
}
