//! What `step` allocates: nothing for a message that only counts; for one that makes a rule fire, the list of effects and
//! the proof that travels with them. A binary of its own, since it counts with an allocator of its own.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    sync::Arc,
};

use trireme_qbft::{Effect, Input, Instance, Kind, Msg, Nodes, Params, Process, Round, Signed, Value, Vote};

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

fn count() {
    COUNT.with(|c| c.set(c.get() + 1));
}

#[expect(
    unsafe_code,
    reason = "an allocator is an unsafe trait; this one only counts and passes on"
)]
// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(ptr, layout, new_size) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Hash([u8; 32]);

/// As large as a signature with its message.
impl Value for Hash {
    type Seal = Arc<[u8]>;
}

fn message(kind: Kind, source: u8, seal: &Arc<[u8]>) -> Msg<Hash> {
    let vote = Vote {
        kind,
        source: Process(source),
        round: Round::FIRST,
        value: Some(Hash([7; 32])),
        prepared_round: None,
        prepared_value: None,
    };
    Msg {
        signed: Signed {
            vote,
            seal: Arc::clone(seal),
        },
        justification: Arc::default(),
    }
}

/// Takes one input: allocations, and whether a rule fired.
fn step(instance: &mut Instance<Hash>, input: Input<Hash>) -> (u64, bool) {
    let before = COUNT.with(Cell::get);
    let effects: Vec<Effect<Hash>> = instance.step(input);
    (COUNT.with(Cell::get) - before, !effects.is_empty())
}

#[test]
fn a_message_that_only_counts_allocates_nothing() {
    for count in [4, 7, 10] {
        let nodes = Nodes::new(count).unwrap();
        let params = Params {
            nodes,
            // Process 0 leads round 1, process 1 is looked at.
            leader_offset: i64::from(count) - 1,
            compare: false,
            abstain: false,
        };
        let seal: Arc<[u8]> = Arc::from([1; 65]);
        let mut instance = Instance::new(params, Process(1));
        step(&mut instance, Input::Start);
        let mut inputs = vec![message(Kind::PrePrepare, 0, &seal)];
        inputs.extend((0..count).map(|p| message(Kind::Prepare, p, &seal)));
        inputs.extend((0..count).map(|p| message(Kind::Commit, p, &seal)));
        let (mut fired, mut silent) = (Vec::new(), 0);
        for msg in inputs {
            let kind = msg.signed.vote.kind;
            match step(&mut instance, Input::Message(msg)) {
                (allocations, true) => fired.push((kind, allocations)),
                (0, false) => silent += 1,
                (allocations, false) => panic!("{kind} of {count} processes: {allocations} allocations for nothing"),
            }
        }
        println!("{count} processes: {silent} silent messages without allocation; others: {fired:?}");
        // The proposal, the quorum of PREPAREs, the quorum of COMMITs.
        assert_eq!(fired.len(), 3);
        assert!(instance.decision().is_some());
        // A list of effects; a proof that grew in three steps at most and was moved once.
        assert!(fired.iter().all(|(_, allocations)| *allocations <= 6), "{fired:?}");
    }
}
