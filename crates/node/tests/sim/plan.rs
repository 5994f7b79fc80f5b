//! What goes wrong in a run, and when: drawn from the seed, and readable.
//!
//! Guarantees: but in a blackout or split, at most one node is faulty in any slot, and after a crash the others are left
//! alone until the node has passed its boot barrier. Slots near a blackout are excused; in all others every duty is due.
//! What the chain does beside (strangers' slots, reorganisations) excuses nothing.

use std::{collections::BTreeSet, fmt, ops::Range};

use rand::{RngExt as _, SeedableRng as _, seq::IndexedRandom as _};
use rand_chacha::ChaCha20Rng;
use trireme_eth2::{Slot, ValidatorIndex};
use trireme_testutil::judge::{BEHIND, FaultKind, Reorg};

use crate::chain::{NODES, VALIDATORS};

/// Slots in which a node that was started abstains, and one more.
const BARRIER: u64 = 3;

/// Something that goes wrong with one node, or all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Its process dies and comes back at the end.
    Crash,
    /// Nobody hears it, and it hears nobody.
    Cut,
    /// So many of 1,000 of its messages are lost, in both directions; others arrive twice.
    Lossy(u16),
    /// Something is wrong with its beacon node.
    Beacon(FaultKind),
    /// These nodes die together: more than may.
    Blackout(Vec<u8>),
    /// Two hear only each other, and so do the other two.
    Split,
}

/// A trouble and its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) node: u8,
    pub(crate) trouble: Trouble,
    /// In milliseconds from genesis.
    pub(crate) from: u64,
    pub(crate) until: u64,
}

impl Window {
    /// The slots of a beacon node's trouble; the judge counts in whole ones.
    pub(crate) const fn slots(&self) -> Range<u64> {
        self.from / SLOT_MS..self.until / SLOT_MS
    }
}

/// All troubles of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) villain: Option<u8>,
    /// The villain also says different things in consensus, under its genuine key.
    pub(crate) equivocates: bool,
    /// There is a builder, and the cluster wants its blocks.
    pub(crate) builder: bool,
    /// Slots whose proposer is a stranger who publishes nothing.
    pub(crate) empty: BTreeSet<u64>,
    pub(crate) reorgs: Vec<Reorg>,
    /// Who leaves, and the slot in which the clients are told so.
    pub(crate) exit: Option<(Slot, ValidatorIndex)>,
    pub(crate) windows: Vec<Window>,
    /// Slots in which more went wrong than the cluster can bear.
    pub(crate) excused: Vec<Range<u64>>,
}

const SLOT_MS: u64 = 12_000;

impl Plan {
    /// The plan of a seed, for so many slots.
    pub(crate) fn of(seed: u64, slots: u64) -> Self {
        let rng = &mut ChaCha20Rng::seed_from_u64(seed ^ 0x91a4);
        let mut plan = Self::on_the_chain(seed, slots);
        if rng.random_bool(0.25) {
            plan.villain = Some(rng.random_range(0..NODES));
            plan.equivocates = rng.random_bool(0.6);
        }
        let mut at = SLOT_MS + rng.random_range(0..2 * SLOT_MS);
        // The last slots are calm.
        while at < (slots - 3) * SLOT_MS {
            let until = (at + rng.random_range(200..3 * SLOT_MS)).min((slots - 3) * SLOT_MS);
            let node = plan.villain.unwrap_or_else(|| rng.random_range(0..NODES));
            let beacon = [
                FaultKind::Slow,
                FaultKind::Error,
                FaultKind::Hang,
                FaultKind::Optimistic,
                FaultKind::Behind,
            ];
            let trouble = match rng.random_range(0..20) {
                0..7 => Trouble::Crash,
                7..10 => Trouble::Cut,
                10..13 => Trouble::Lossy(rng.random_range(50..700)),
                13..18 => Trouble::Beacon(*beacon.choose(rng).unwrap()),
                18 => {
                    let mut nodes: Vec<u8> = (0..NODES).collect();
                    let spared = rng.random_range(0..3);
                    for _ in 0..spared {
                        nodes.remove(rng.random_range(0..nodes.len()));
                    }
                    Trouble::Blackout(nodes)
                }
                _ => Trouble::Split,
            };
            let rest = match trouble {
                Trouble::Crash | Trouble::Blackout(_) => BARRIER * SLOT_MS,
                Trouble::Split => SLOT_MS,
                Trouble::Cut | Trouble::Lossy(_) | Trouble::Beacon(_) => 0,
            };
            if matches!(trouble, Trouble::Blackout(_) | Trouble::Split) {
                // An aggregate needs what was agreed on before; one slot more on both sides.
                plan.excused
                    .push((at / SLOT_MS).saturating_sub(1)..(until + rest) / SLOT_MS + 2);
            }
            plan.windows.push(Window {
                node,
                trouble,
                from: at,
                until,
            });
            // What was lost early in a slot is missing late in it: the next trouble comes in a later slot.
            at = (until + rest).next_multiple_of(SLOT_MS) + rng.random_range(0..2 * SLOT_MS);
        }
        plan
    }

    /// What the chain and the operators do in a run: builder, strangers' slots, reorganisations, an exit.
    fn on_the_chain(seed: u64, slots: u64) -> Self {
        let rng = &mut ChaCha20Rng::seed_from_u64(seed ^ 0xc4a1);
        let mut plan = Self {
            builder: rng.random_bool(0.4),
            exit: Some((
                Slot(rng.random_range(1..slots - 3)),
                ValidatorIndex(rng.random_range(0..u64::from(VALIDATORS))),
            )),
            ..Self::default()
        };
        if rng.random_bool(0.5) {
            plan.empty = (2..slots).filter(|_| rng.random_bool(0.1)).collect();
        }
        if rng.random_bool(0.4) {
            plan.reorgs.push(Reorg {
                slot: rng.random_range(4..slots - 2),
                depth: rng.random_range(1..4),
            });
        }
        plan
    }

    /// Whether some beacon node lacks the newest blocks in a slot.
    pub(crate) fn has_behind(&self, slot: u64) -> bool {
        let behind = self
            .windows
            .iter()
            .filter(|w| w.trouble == Trouble::Beacon(FaultKind::Behind));
        behind.map(Window::slots).any(|slots| slots.contains(&slot))
    }

    /// Whether a blackout began before the slot and ended so late that a beacon node that is behind may know no newer block
    /// than those before it: its slots, and as many more until nodes that start again take part.
    pub(crate) fn is_after_blackout(&self, slot: u64) -> bool {
        let blackouts = self
            .windows
            .iter()
            .filter(|w| matches!(w.trouble, Trouble::Blackout(_)));
        let mut slots = blackouts.map(Window::slots);
        slots.any(|slots| slots.start < slot && slot < slots.end + 2 * BEHIND)
    }

    pub(crate) fn excuses(&self, slot: u64) -> bool {
        self.excused.iter().any(|range| range.contains(&slot))
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(villain) = self.villain {
            let how = if self.equivocates { ", also in consensus" } else { "" };
            writeln!(f, "node {villain} lies{how}")?;
        }
        if self.builder {
            writeln!(f, "there is a builder")?;
        }
        if !self.empty.is_empty() {
            writeln!(f, "strangers' empty slots: {:?}", self.empty)?;
        }
        for reorg in &self.reorgs {
            writeln!(f, "before slot {}: {} blocks are replaced", reorg.slot, reorg.depth)?;
        }
        if let Some((slot, validator)) = self.exit {
            writeln!(f, "slot {}: validator {} leaves", slot.0, validator.0)?;
        }
        for w in &self.windows {
            let slot = |ms: u64| format!("{}.{:03}", ms / SLOT_MS, ms % SLOT_MS * 1000 / SLOT_MS);
            writeln!(
                f,
                "slot {} to {}: node {}, {:?}",
                slot(w.from),
                slot(w.until),
                w.node,
                w.trouble
            )?;
        }
        for range in &self.excused {
            writeln!(f, "excused: slots {range:?}")?;
        }
        Ok(())
    }
}
