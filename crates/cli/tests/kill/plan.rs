//! Who is killed when, from a seed.

use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::StdRng};
use trireme_core::DutyType;

/// What triggers a kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Instant {
    /// So long after the last restart, wherever in the slot that is.
    After(Duration),
    /// So long after the node's next message of a kind to the peers, at the earliest `rest` after the last restart: in
    /// the middle of its work.
    MidWork {
        /// Nothing happens before.
        rest: Duration,
        /// Which message.
        sent: Sent,
        /// From the message to the kill.
        delay: Duration,
    },
}

/// Messages of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    /// Any, mostly the first one of a slot.
    Any,
    /// Its partial signature of a block or an attestation: its client has just been served and has signed.
    Partial(DutyType),
}

/// One kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kill {
    /// Which node.
    pub(crate) node: usize,
    /// When.
    pub(crate) instant: Instant,
    /// How long it stays down.
    pub(crate) down: Duration,
}

/// The kills of a run, one after the other.
pub(crate) struct Kills {
    rng: StdRng,
    nodes: usize,
    slot: Duration,
}

impl Kills {
    pub(crate) fn new(seed: u64, nodes: usize, slot: Duration) -> Self {
        let rng = StdRng::seed_from_u64(seed);
        Self { rng, nodes, slot }
    }

    fn slots(&mut self, from: f64, to: f64) -> Duration {
        self.slot.mul_f64(self.rng.random_range(from..to))
    }

    pub(crate) fn next(&mut self) -> Kill {
        let node = self.rng.random_range(0..self.nodes);
        // Mostly the node killed before takes part again; sometimes it is still starting or sitting out.
        let rest = if self.rng.random_bool(0.8) {
            self.slots(2.5, 4.5)
        } else {
            self.slots(0.0, 2.5)
        };
        let delay = Duration::from_micros(self.rng.random_range(0..60_000));
        let sent = match self.rng.random_range(0..6) {
            0 => Some(Sent::Any),
            1 => Some(Sent::Partial(DutyType::Proposer)),
            2 => Some(Sent::Partial(DutyType::Attester)),
            _ => None,
        };
        let instant = sent.map_or(Instant::After(rest), |sent| Instant::MidWork { rest, sent, delay });
        let down = if self.rng.random_bool(0.6) {
            Duration::ZERO
        } else {
            self.slots(0.0, 1.0)
        };
        Kill { node, instant, down }
    }
}
