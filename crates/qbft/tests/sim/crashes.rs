//! Processes that stop, and processes that come back without their memory and abstain.

use rand::RngExt;

use crate::{cast::Role, world::check};

/// One process of `count` crashes after `after` events.
fn one_crashes(count: u8, which: usize, after: u64, returns: bool) -> Vec<Role> {
    let role = |i| {
        if i == which {
            Role::Crashes { after, returns }
        } else {
            Role::Honest
        }
    };
    (0..usize::from(count)).map(role).collect()
}

#[test]
fn three_processes_without_villain_survive_one_crash() {
    for seed in 0..400 {
        check(seed, 3, &|rng| {
            one_crashes(3, rng.random_range(0..3), rng.random_range(0..40), false)
        });
    }
    println!("one crash of three: 400 schedules, seeds from 0");
}

#[test]
fn all_honest_processes_of_every_size_decide() {
    for count in [1, 2, 3, 4, 5, 6, 7, 10, 13] {
        for seed in 0..40 {
            check(seed, count, &|_| (0..count).map(|_| Role::Honest).collect());
        }
    }
}

#[test]
fn a_process_that_returns_at_any_message_boundary_and_abstains_harms_nobody() {
    let mut run = 0;
    for seed in 0..24 {
        for after in 0..30 {
            for which in 0..4 {
                check(seed, 4, &|_| one_crashes(4, which, after, true));
                run += 1;
            }
        }
    }
    println!("restarts at every message boundary: {run} schedules, seeds from 0");
}
