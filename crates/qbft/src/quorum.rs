//! How many processes there are, how many may be faulty, how many make a quorum.

use crate::message::Process;

/// The number of processes, 1 to 255.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nodes(u8);

/// No process at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("consensus needs at least one process")]
pub struct NodeCountError;

impl Nodes {
    /// `count` processes.
    ///
    /// # Errors
    /// [`NodeCountError`] for zero.
    pub const fn new(count: u8) -> Result<Self, NodeCountError> {
        if count == 0 {
            Err(NodeCountError)
        } else {
            Ok(Self(count))
        }
    }

    /// How many there are.
    #[must_use]
    pub const fn count(self) -> u8 {
        self.0
    }

    /// How many make a quorum: two thirds, rounded up.
    #[must_use]
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "255 * 2 + 2 is far below the limit of the type"
    )]
    pub const fn quorum(self) -> usize {
        (self.0 as usize * 2).div_ceil(3)
    }

    /// How many may be faulty: less than one third.
    #[must_use]
    #[expect(clippy::arithmetic_side_effects, reason = "the count is at least 1")]
    pub const fn faulty(self) -> usize {
        (self.0 as usize - 1) / 3
    }

    /// All of them in order.
    pub fn all(self) -> impl Iterator<Item = Process> {
        (0..self.0).map(Process)
    }

    /// Whether `process` is one of them.
    #[must_use]
    pub const fn has(self, process: Process) -> bool {
        process.0 < self.0
    }
}

/// A set of processes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Senders([u64; 4]);

impl Senders {
    /// Adds `process`; `false` if it is in already.
    pub(crate) fn insert(&mut self, process: Process) -> bool {
        let (word, bit) = (usize::from(process.0 >> 6), 1_u64 << (process.0 & 63));
        let Some(word) = self.0.get_mut(word) else { return false };
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    /// Whether `process` is in.
    pub(crate) fn has(&self, process: Process) -> bool {
        self.0
            .get(usize::from(process.0 >> 6))
            .is_some_and(|word| word & (1_u64 << (process.0 & 63)) != 0)
    }

    /// How many are in.
    pub(crate) fn count(&self) -> usize {
        self.0
            .iter()
            .fold(0_usize, |sum, word| sum.saturating_add(word.count_ones() as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quorums_and_faults_fit_together_for_every_size() {
        for count in 1..=64_u8 {
            let nodes = Nodes::new(count).unwrap();
            let (n, q, f) = (usize::from(count), nodes.quorum(), nodes.faulty());
            assert!(
                3 * f < n && n <= 3 * f + 3,
                "n={n}: f is the largest number below a third"
            );
            assert!(
                3 * q >= 2 * n && 3 * (q - 1) < 2 * n,
                "n={n}: q is two thirds rounded up"
            );
            assert!(2 * q > n + f, "n={n}: two quorums share an honest process");
            assert!(n - f >= q, "n={n}: the honest ones make a quorum");
            assert!(f < q, "n={n}: the faulty ones make none");
        }
        assert_eq!(Nodes::new(0), Err(NodeCountError));
    }

    #[test]
    fn a_set_counts_each_process_once() {
        let mut set = Senders::default();
        for p in (0..=255).chain(0..=255) {
            set.insert(Process(p));
        }
        assert_eq!(set.count(), 256);
        let mut set = Senders::default();
        assert!(set.insert(Process(130)) && !set.insert(Process(130)));
        assert!(set.has(Process(130)) && !set.has(Process(2)) && !set.has(Process(66)));
    }
}
