//! What deciding one instance costs, all processes together, without signatures and network.

use std::{collections::VecDeque, hint::black_box};

use divan::Bencher;
use trireme_qbft::{Effect, Input, Instance, Msg, Nodes, Params, Process, Value};

fn main() {
    divan::main();
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Hash([u8; 32]);
impl Value for Hash {
    type Seal = ();
}

/// Runs one round in which every message arrives in order; returns how many decided.
fn decide(count: u8) -> usize {
    let Ok(nodes) = Nodes::new(count) else { return 0 };
    let params = Params {
        nodes,
        leader_offset: 7,
        compare: false,
        abstain: false,
    };
    let mut all: Vec<Instance<Hash>> = nodes.all().map(|me: Process| Instance::new(params, me)).collect();
    let mut waiting: VecDeque<Msg<Hash>> = VecDeque::with_capacity(64);
    let mut decided = 0;
    let mut apply = |effects: Vec<Effect<Hash>>, waiting: &mut VecDeque<Msg<Hash>>| {
        for effect in effects {
            match effect {
                Effect::Broadcast(draft) => waiting.push_back(draft.sealed(())),
                Effect::Decide { .. } => decided += 1,
                Effect::SetTimer { .. } | Effect::StopTimer | Effect::Compare { .. } | Effect::Note(_) => {}
            }
        }
    };
    for instance in &mut all {
        apply(instance.step(Input::Start), &mut waiting);
        apply(instance.step(Input::Propose(Hash([9; 32]))), &mut waiting);
    }
    while let Some(msg) = waiting.pop_front() {
        for instance in &mut all {
            apply(instance.step(Input::Message(msg.clone())), &mut waiting);
        }
    }
    decided
}

#[divan::bench(args = [4, 7, 10])]
fn one_instance_at_all_processes(bencher: Bencher<'_, '_>, count: u8) {
    bencher.bench(|| assert_eq!(decide(black_box(count)), usize::from(count)));
}
