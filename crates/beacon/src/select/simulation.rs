//! What choosing by the best head is worth: many slots with beacon nodes that see the block and answer at random times
//! (docs/decisions/0003). Pure: no runtime, no requests; the rules are those of `pool::attestation`.

use trireme_core::ports::Entropy as _;
use trireme_eth2::{AttestationData, Root, Slot};
use trireme_testutil::sim::SeededEntropy;

use super::{best, is_newest};

/// Milliseconds of a slot after which attestation data are asked for.
const ASKED: u64 = 4_000;

/// A beacon node in one slot.
#[derive(Clone, Copy)]
struct Node {
    /// When it has the slot's block as its head.
    head_at: u64,
    /// How long it takes to answer.
    takes: u64,
}

/// What one way of choosing came to.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
struct Outcome {
    /// Slots whose vote was for the slot's block, of those in which any beacon node knew it in time.
    right: u64,
    possible: u64,
    /// Milliseconds from question to answer, over all slots, and the most.
    waited: u64,
    most: u64,
}

struct Random(SeededEntropy);

impl Random {
    fn below(&self, n: u64) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes) % n
    }
}

/// A world: `late` of 100 slots have a block that arrives around the time of the question; each beacon node sees it within
/// `spread` ms of the first, and answers in `quick` ms, one of ten times in `slow` ms.
#[derive(Clone, Copy)]
struct World {
    nodes: usize,
    late: u64,
    spread: u64,
    quick: u64,
    slow: u64,
}

fn slot(world: World, random: &Random) -> Vec<Node> {
    let arrives = if random.below(100) < world.late {
        3_700 + random.below(500)
    } else {
        1_500 + random.below(1_500)
    };
    (0..world.nodes)
        .map(|_| Node {
            head_at: arrives + random.below(world.spread.max(1)),
            takes: if random.below(10) == 0 {
                world.slow
            } else {
                1 + random.below(world.quick)
            },
        })
        .collect()
}

fn root(newest: bool) -> Root {
    Root([if newest { 2 } else { 1 }; 32])
}

fn slot_of(root: Root) -> Option<Slot> {
    Some(Slot(if root.0[0] == 2 { 100 } else { 99 }))
}

/// The answers in the order in which they come: when, and the data.
fn answers(nodes: &[Node]) -> Vec<(u64, AttestationData)> {
    let mut all: Vec<_> = nodes
        .iter()
        .map(|node| {
            let data = AttestationData {
                slot: Slot(100),
                beacon_block_root: root(node.head_at <= ASKED),
                ..Default::default()
            };
            (node.takes, data)
        })
        .collect();
    all.sort_by_key(|(takes, _)| *takes);
    all
}

/// The first answer of all.
fn fastest(answers: &[(u64, AttestationData)]) -> (u64, AttestationData) {
    answers[0]
}

/// The best head among those that answer within `grace` of the first.
fn by_best_head(answers: &[(u64, AttestationData)], grace: u64) -> (u64, AttestationData) {
    if let Some(newest) = answers
        .iter()
        .find(|(at, data)| *at <= answers[0].0 + grace && is_newest(data, &slot_of))
    {
        return *newest;
    }
    let in_time: Vec<_> = answers.iter().filter(|(at, _)| *at <= answers[0].0 + grace).collect();
    let data: Vec<_> = in_time.iter().map(|(_, data)| *data).collect();
    let at = if in_time.len() == answers.len() {
        in_time.last().unwrap().0
    } else {
        answers[0].0 + grace
    };
    (at, data[best(&data, &slot_of).unwrap()])
}

/// The first answer, of the first configured beacon node only.
fn first_configured(nodes: &[Node]) -> (u64, AttestationData) {
    answers(&nodes[..1])[0]
}

fn run(world: World, choose: impl Fn(&[Node]) -> (u64, AttestationData)) -> Outcome {
    let random = Random(SeededEntropy::new(7));
    let mut outcome = Outcome::default();
    for _ in 0..10_000 {
        let nodes = slot(world, &random);
        let (took, data) = choose(&nodes);
        let possible = nodes.iter().any(|n| n.head_at <= ASKED);
        outcome.possible += u64::from(possible);
        outcome.right += u64::from(is_newest(&data, &slot_of));
        outcome.waited += took;
        outcome.most = outcome.most.max(took);
    }
    outcome
}

#[test]
fn best_head_votes_right_more_often_and_costs_time_only_when_the_block_is_late() {
    let usual = World {
        nodes: 3,
        late: 0,
        spread: 300,
        quick: 30,
        slow: 400,
    };
    let late = World { late: 100, ..usual };
    let mixed = World { late: 10, ..usual };
    println!("| slots | choice | right of possible | mean wait | longest |");
    println!("| --- | --- | --- | --- | --- |");
    let mut all = Vec::new();
    for (name, world) in [
        ("blocks in time", usual),
        ("one in ten late", mixed),
        ("all late", late),
    ] {
        let ways: [(&str, Outcome); 4] = [
            ("first configured", run(world, first_configured)),
            ("fastest", run(world, |nodes| fastest(&answers(nodes)))),
            (
                "best head, 100 ms",
                run(world, |nodes| by_best_head(&answers(nodes), 100)),
            ),
            (
                "best head, 300 ms",
                run(world, |nodes| by_best_head(&answers(nodes), 300)),
            ),
        ];
        for (way, o) in ways {
            let mean = o.waited / 10_000;
            println!(
                "| {name} | {way} | {} of {} | {mean} ms | {} ms |",
                o.right, o.possible, o.most
            );
        }
        all.push(ways.map(|(_, outcome)| outcome));
    }
    let [usual, _, late] = all[..] else {
        panic!("three worlds")
    };
    // In time: every way is right, and the best head is no slower than the fastest answer.
    assert!(usual.iter().all(|o| o.right == o.possible));
    assert_eq!(usual[3].waited, usual[1].waited);
    // Late: the best head is right far more often.
    assert!(late[3].right > late[1].right + late[1].right / 10, "{late:?}");
    assert!(late[3].right >= late[2].right);
    assert!(late[3].most <= 30 + 300 + 400);
}
