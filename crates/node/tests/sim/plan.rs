//! What goes wrong in a run, and when: drawn from the seed, and readable.
//!
//! Guarantees: but in a blackout or split, at most one node is faulty in any slot, and after a crash the others are left
//! alone until the node has passed its boot barrier. Slots near a blackout are excused; in all others every duty is due.

use std::{fmt, ops::Range};

use rand::{RngExt as _, SeedableRng as _, seq::IndexedRandom as _};
use rand_chacha::ChaCha20Rng;
use trireme_testutil::judge::FaultKind;

use crate::chain::NODES;

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

/// All troubles of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) villain: Option<u8>,
    pub(crate) windows: Vec<Window>,
    /// Slots in which more went wrong than the cluster can bear.
    pub(crate) excused: Vec<Range<u64>>,
}

const SLOT_MS: u64 = 12_000;

impl Plan {
    /// The plan of a seed, for so many slots.
    pub(crate) fn of(seed: u64, slots: u64) -> Self {
        let rng = &mut ChaCha20Rng::seed_from_u64(seed ^ 0x91a4);
        let mut plan = Self::default();
        if rng.random_bool(0.25) {
            plan.villain = Some(rng.random_range(0..NODES));
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

    pub(crate) fn excuses(&self, slot: u64) -> bool {
        self.excused.iter().any(|range| range.contains(&slot))
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(villain) = self.villain {
            writeln!(f, "node {villain} lies")?;
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
