//! Villains of all sorts together, as many schedules as one asks for.

use rand::{RngExt, seq::IndexedRandom};

use crate::{
    cast::Role,
    villains::{ALL, Maker, up_to_f, usurper},
    world::{World, check},
};

/// The number in an environment variable.
#[expect(
    clippy::disallowed_methods,
    reason = "the length of a simulation is chosen from outside"
)]
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} must be a number, got {text:?}")),
    )
}

fn roles(count: u8, rng: &mut rand_chacha::ChaCha8Rng) -> Vec<Role> {
    if count == 3 {
        let (which, after) = (rng.random_range(0..3), rng.random_range(0..40));
        return (0..3)
            .map(|i| {
                if i == which {
                    Role::Crashes { after, returns: false }
                } else {
                    Role::Honest
                }
            })
            .collect();
    }
    let sorts: Vec<Maker> = if rng.random_bool(0.25) {
        vec![usurper::make]
    } else {
        ALL.sample(rng, 2).copied().collect()
    };
    up_to_f(count, &sorts, rng)
}

/// Small clusters more often: they are the common ones and the fast ones.
const SIZES: [u8; 10] = [4, 4, 4, 3, 4, 7, 4, 5, 4, 10];

fn size(seed: u64) -> u8 {
    SIZES[usize::try_from(seed % 10).unwrap()]
}

#[test]
fn up_to_a_million_mixed_casts_agree() {
    if let Some(seed) = number("SIM_SEED") {
        let count = size(seed);
        match World::new(seed, count, &|rng| roles(count, rng), true).run() {
            Ok(outcome) => println!("seed {seed}, {count} processes: {outcome:?}"),
            Err((reason, trace)) => panic!("{}\nseed {seed}, {count} processes: {reason}", trace.join("\n")),
        }
        return;
    }
    let schedules = number("SIM_SCHEDULES").unwrap_or(1_500);
    let first = number("SIM_FIRST_SEED").unwrap_or(0);
    let mut events = 0;
    for seed in first..first.saturating_add(schedules) {
        let count = size(seed);
        let outcome = check(seed, count, &|rng| roles(count, rng));
        assert!(!outcome.decided.is_empty());
        events += outcome.events;
    }
    println!("mixed casts: {schedules} schedules, {events} events, seeds from {first}");
}

#[test]
fn the_same_seed_gives_the_same_schedule() {
    for seed in 0..20 {
        let run = || {
            let outcome = check(seed, size(seed), &|rng| roles(size(seed), rng));
            (outcome.events, outcome.decided)
        };
        assert_eq!(run(), run());
    }
}
