//! Says nothing at all.

use crate::{
    cast::{Heard, Villain, Voice},
    villains::try_villain,
};

struct Silent;

pub(crate) fn make() -> Box<dyn Villain> {
    Box::new(Silent)
}

impl Villain for Silent {
    fn react(&mut self, _: &mut Voice<'_>, _: &Heard<'_>) {}
}

#[test]
fn silence_of_f_processes_stops_nobody() {
    try_villain("silent", make);
}
