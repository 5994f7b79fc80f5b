//! Whole clusters in one thread and virtual time: the real wiring (`node::workflow`) on a simulated network, stores that
//! lose what was not flushed, the judge's chain, and validator clients; with troubles that a seed plans.
//!
//! After every run: the judge saw nothing slashable and refused nothing genuine; no validator client was served two
//! values for one duty, no share signed two messages; every duty is done that at most `f` faults allow, among them each
//! epoch's registrations and an exit; with a builder every block has its payload; no task is left. Nothing is excused but what
//! is due around blackouts and splits, and a block on one that only a beacon node that is behind has heard of.
//! The same seed gives the same run, to the last message: its audit hash is equal.
//!
//! `just sim 1000` runs more seeds (from `SIM_FIRST_SEED`) until one goes wrong, `SIM_SEED=…` one, with its plan and log,
//! and `SIM_TRACE=…` then shows what was sent and asked in a slot.
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
mod forger;
#[cfg(test)]
mod plan;
#[cfg(test)]
mod run;
#[cfg(test)]
mod villain;

#[cfg(test)]
use std::{
    collections::BTreeMap,
    fmt,
    num::NonZero,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

#[cfg(test)]
use chain::VALIDATORS;
#[cfg(test)]
use plan::Plan;
#[cfg(test)]
use run::{SLOTS, run};
#[cfg(test)]
use trireme_eth2::{Slot, ValidatorIndex};
#[cfg(test)]
use trireme_testutil::judge::{DutyKind, Reorg};

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
    assert!(outcome.done.values().sum::<u64>() > 100, "{outcome:?}");
}

/// Strangers' slots, a reorganisation that changes the next epoch's committees, a builder, registrations, an exit.
#[test]
fn what_the_chain_does_beside_costs_nothing() {
    let plan = Plan {
        builder: true,
        empty: [3, 12].into(),
        reorgs: vec![Reorg { slot: 8, depth: 2 }],
        exit: Some((Slot(6), ValidatorIndex(5))),
        ..Plan::default()
    };
    let outcome = run(0, &plan, true).unwrap_or_else(|wrong| panic!("{plan}{wrong}"));
    assert_eq!(outcome.excused, 0);
    let done = |kind| outcome.done.get(&kind).copied().unwrap_or_default();
    assert_eq!(done(DutyKind::Exit), 1);
    assert_eq!(
        done(DutyKind::BuilderRegistration),
        2 * u64::from(VALIDATORS),
        "two epochs begin"
    );
    // Without the strangers' slots, one of which reorganises the chain.
    assert_eq!(done(DutyKind::Proposer), SLOTS - 1 - 3);
}

/// Who made each payload is looked at after the run.
#[test]
fn vc_31_with_a_builder_every_block_is_built_by_it_and_published_unchanged() {
    let proposers = |builder| {
        let plan = Plan {
            builder,
            ..Plan::default()
        };
        let outcome = run(0, &plan, true).unwrap_or_else(|wrong| panic!("{plan}{wrong}"));
        assert_eq!(outcome.excused, 0);
        outcome.done.get(&DutyKind::Proposer).copied()
    };
    assert_eq!(proposers(true), proposers(false));
    assert!(proposers(true) > Some(0));
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
    let first = number("SIM_FIRST_SEED").unwrap_or(0);
    let seeds = number("SIM_SEEDS").unwrap_or(20);
    let found = search(first, seeds);
    println!("seeds {first} to {}: {found}", first + seeds - 1);
    if let Some((seed, wrong)) = found.wrong.first_key_value() {
        let plan = Plan::of(*seed, SLOTS);
        panic!("seed {seed} went wrong; repeat it with SIM_SEED={seed}\n{plan}{wrong}");
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in [1, 2] {
        let outcome = || run(seed, &Plan::of(seed, SLOTS), false);
        assert_eq!(outcome(), outcome());
    }
}

/// What came of some seeds.
#[cfg(test)]
#[derive(Default)]
struct Found {
    seeds: u64,
    done: BTreeMap<DutyKind, u64>,
    excused: u64,
    messages: u64,
    wrong: BTreeMap<u64, String>,
}

#[cfg(test)]
impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seeds, excused, messages) = (self.seeds, self.excused, self.messages);
        writeln!(f, "{seeds} run, {messages} messages, {excused} duties excused; done:")?;
        self.done
            .iter()
            .try_for_each(|(kind, n)| writeln!(f, "  {n:>8} {}", kind.name()))
    }
}

/// Runs seeds on all cores; no new one begins once one has gone wrong.
#[cfg(test)]
fn search(first: u64, seeds: u64) -> Found {
    let (next, found) = (AtomicU64::new(first), Mutex::new(Found::default()));
    let work = || {
        while found.lock().unwrap().wrong.is_empty() {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + seeds {
                return;
            }
            let outcome = run(seed, &Plan::of(seed, SLOTS), false);
            let mut found = found.lock().unwrap();
            found.seeds += 1;
            match outcome {
                Ok(outcome) => {
                    for (kind, n) in outcome.done {
                        *found.done.entry(kind).or_default() += n;
                    }
                    found.excused += outcome.excused;
                    found.messages += outcome.messages;
                }
                Err(why) => drop(found.wrong.insert(seed, why)),
            }
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    std::thread::scope(|scope| (0..cores).for_each(|_| drop(scope.spawn(work))));
    found.into_inner().unwrap()
}
