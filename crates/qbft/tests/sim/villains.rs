//! One file per villain.

pub(crate) mod conflicting_voter;
pub(crate) mod equivocating_leader;
pub(crate) mod forger;
pub(crate) mod late;
pub(crate) mod replayer;
pub(crate) mod round_jumper;
pub(crate) mod silent;
pub(crate) mod usurper;

use rand::{RngExt, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;

use crate::{
    cast::{Role, Villain},
    world::check,
};

pub(crate) type Maker = fn() -> Box<dyn Villain>;

/// Every villain.
pub(crate) const ALL: [Maker; 8] = [
    equivocating_leader::make,
    conflicting_voter::make,
    silent::make,
    late::make,
    replayer::make,
    forger::make,
    round_jumper::make,
    usurper::make,
];

/// Makes up to `f` of `count` processes villains of the given sorts.
pub(crate) fn up_to_f(count: u8, makers: &[Maker], rng: &mut ChaCha8Rng) -> Vec<Role> {
    let faulty = u8::try_from(trireme_qbft::Nodes::new(count).unwrap().faulty()).unwrap();
    let mut roles: Vec<Role> = (0..count).map(|_| Role::Honest).collect();
    let villains = if faulty == 0 { 0 } else { rng.random_range(1..=faulty) };
    for _ in 0..villains {
        let at = rng.random_range(0..usize::from(count));
        roles[at] = Role::Villain(makers.choose(rng).unwrap()());
    }
    roles
}

/// Runs schedules of every size with villains of one sort.
pub(crate) fn try_villain(name: &str, make: Maker) {
    let mut run = 0_u64;
    for (count, schedules) in [(4, 160), (5, 60), (7, 60), (10, 25)] {
        for seed in 0..schedules {
            check(seed, count, &|rng| up_to_f(count, &[make], rng));
            run += 1;
        }
    }
    println!("{name}: {run} schedules, seeds from 0");
}
