//! What nodes ask of the beacon nodes: counted per slot, face, asker and path.
//!
//! Guarantees: bounded memory; paths are templates (`{n}`, `{hex}`), so that their number does not grow with the chain.
//! Not here: submissions, which are not reads.

use std::{collections::BTreeMap, ops::Range};

use serde::Serialize;
use trireme_eth2::Slot;

/// At most so many paths are told apart; the rest is counted as one.
const PATHS: usize = 200;
/// Slots that are kept.
const SLOTS: usize = 4096;

/// Reads of one path in some slots.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PathReads {
    /// All of them.
    pub total: u64,
    /// Most reads of one asker at one face in one slot.
    pub max: u64,
    /// How many combinations of slot, face and asker had more than two.
    pub above_two: u64,
}

/// One door of one beacon node: every asker has its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Door {
    /// The beacon node, counted from 0.
    pub face: usize,
    /// Whose door it is, counted from 0; the order of the cluster's nodes.
    pub asker: usize,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Reads {
    slots: BTreeMap<Slot, BTreeMap<(String, Door), u64>>,
}

impl Reads {
    /// Notes one read.
    pub fn note(&mut self, slot: Slot, door: Door, method: &str, path: &str) {
        let name = format!("{method} {}", template(path));
        let counts = self.slots.entry(slot).or_default();
        let known = counts.len() < PATHS || counts.contains_key(&(name.clone(), door));
        let name = if known { name } else { "others".to_owned() };
        let count = counts.entry((name, door)).or_default();
        *count = count.saturating_add(1);
        if self.slots.len() > SLOTS {
            self.slots.pop_first();
        }
    }

    /// What was read in `slots`, by path.
    #[must_use]
    pub fn of(&self, slots: Range<u64>) -> BTreeMap<String, PathReads> {
        let mut paths: BTreeMap<String, PathReads> = BTreeMap::new();
        if slots.is_empty() {
            return paths;
        }
        for counts in self.slots.range(Slot(slots.start)..Slot(slots.end)).map(|(_, c)| c) {
            for ((path, _), count) in counts {
                let reads = paths.entry(path.clone()).or_default();
                reads.total = reads.total.saturating_add(*count);
                reads.max = reads.max.max(*count);
                reads.above_two = reads.above_two.saturating_add(u64::from(*count > 2));
            }
        }
        paths
    }
}

/// The path with its numbers and roots replaced, so that all slots have the same.
fn template(path: &str) -> String {
    let part = |part: &str| {
        if part.starts_with("0x") {
            "{hex}".to_owned()
        } else if !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()) {
            "{n}".to_owned()
        } else {
            part.chars().take(64).collect()
        }
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_are_counted_by_slot_door_and_path() {
        let mut reads = Reads::default();
        let (one, two) = (Door { face: 0, asker: 0 }, Door { face: 0, asker: 1 });
        for slot in [7, 8] {
            for _ in 0..3 {
                reads.note(Slot(slot), one, "GET", &format!("/eth/v3/validator/blocks/{slot}"));
            }
            reads.note(Slot(slot), two, "GET", "/eth/v3/validator/blocks/9");
            reads.note(Slot(slot), two, "GET", "/eth/v1/beacon/blocks/0x12ab/root");
        }
        let all = reads.of(7..9);
        let blocks = &all["GET /eth/v3/validator/blocks/{n}"];
        assert_eq!((blocks.total, blocks.max, blocks.above_two), (8, 3, 2));
        assert_eq!(all["GET /eth/v1/beacon/blocks/{hex}/root"].max, 1);
        assert_eq!(reads.of(8..9)["GET /eth/v3/validator/blocks/{n}"].total, 4);
        assert!(reads.of(9..20).is_empty());
    }

    #[test]
    fn a_client_that_walks_over_paths_does_not_fill_the_memory() {
        let mut reads = Reads::default();
        for n in 0..1000 {
            let door = Door { face: 0, asker: 0 };
            reads.note(Slot(1), door, "GET", &format!("/x{n}"));
        }
        assert!(reads.of(1..2).len() <= PATHS + 1);
        assert!(reads.of(1..2)["others"].total > 700);
    }
}
