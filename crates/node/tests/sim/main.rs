//! Whole clusters in one thread and virtual time: the real wiring (`node::workflow`) on a simulated network, stores that
//! lose what was not flushed, the judge's chain, and validator clients; with troubles that a seed plans.
//!
//! After every run: the judge saw nothing slashable and refused nothing genuine; no validator client was served two
//! values for one duty, no share signed two messages; every duty is done that at most `f` faults allow; no task is left.
//! The same seed gives the same run, to the last message: its audit hash is equal.
//!
//! `SIM_SEEDS=1000 just sim` runs more seeds (from `SIM_FIRST_SEED`), `SIM_SEED=…` one, with its plan and log.
//! Not here: sockets and encodings of HTTP (level 3, `devnet`), the algorithm's own schedules (`crates/qbft/tests/sim`).

#[cfg(test)]
mod beacon;
#[cfg(test)]
mod chain;
#[cfg(test)]
mod client;
#[cfg(test)]
mod cluster;
#[cfg(test)]
mod plan;
#[cfg(test)]
mod run;
#[cfg(test)]
mod villain;

#[cfg(test)]
use plan::Plan;
#[cfg(test)]
use run::{SLOTS, run};

/// The number in an environment variable.
#[cfg(test)]
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} must be a number, got {text:?}")),
    )
}

#[test]
fn nothing_goes_wrong_and_everything_is_done() {
    let outcome = run(0, &Plan::default(), true).unwrap_or_else(|wrong| panic!("{wrong}"));
    assert_eq!(outcome.excused, 0);
    assert!(outcome.done > 100, "{outcome:?}");
}

#[test]
fn every_seed_keeps_what_it_promises() {
    if let Some(seed) = number("SIM_SEED") {
        let plan = Plan::of(seed, SLOTS);
        println!(
            "{plan}{:?}",
            run(seed, &plan, true).unwrap_or_else(|wrong| panic!("{plan}{wrong}"))
        );
        return;
    }
    let first = number("SIM_FIRST_SEED").unwrap_or(1);
    let seeds = number("SIM_SEEDS").unwrap_or(20);
    let (mut done, mut excused, mut messages, mut wrong) = (0, 0, 0, Vec::new());
    for seed in first..first + seeds {
        let plan = Plan::of(seed, SLOTS);
        match run(seed, &plan, false) {
            Ok(outcome) => {
                done += outcome.done;
                excused += outcome.excused;
                messages += outcome.messages;
            }
            Err(why) => wrong.push(format!("seed {seed}, repeat it with SIM_SEED={seed}\n{plan}{why}\n")),
        }
    }
    println!("{seeds} seeds from {first}: {done} duties done, {excused} excused, {messages} messages");
    assert!(
        wrong.is_empty(),
        "{} of {seeds} went wrong\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in [1, 2] {
        let outcome = || run(seed, &Plan::of(seed, SLOTS), false);
        assert_eq!(outcome(), outcome());
    }
}

/// The liar's COMMIT came to one node alone, which decided by it before it had sent its own; the others lacked one.
#[test]
fn a_liar_whose_beacon_node_hangs_costs_no_block() {
    let plan = Plan::of(0, SLOTS);
    run(0, &plan, true).unwrap_or_else(|wrong| panic!("{plan}{wrong}"));
}
