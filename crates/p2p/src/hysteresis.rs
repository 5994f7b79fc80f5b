//! When to say that sending to a peer goes wrong, and that it goes well again (p2p.md 3.6).
//!
//! Guarantees: one line per change, not per message. Not here: what the line says.

/// Results looked at.
const WINDOW: usize = 4;

/// What a result changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Sending began to fail.
    Failing,
    /// Sending works again.
    Recovered,
}

/// The last results of sending to one peer.
#[derive(Debug, Clone, Default)]
pub struct SendState {
    recent: Vec<bool>,
    failing: bool,
}

impl SendState {
    /// Whether sending counts as failing.
    #[must_use]
    pub const fn failing(&self) -> bool {
        self.failing
    }

    /// Notes a result.
    pub fn note(&mut self, ok: bool) -> Option<Change> {
        self.recent.push(ok);
        if self.recent.len() > WINDOW {
            self.recent.remove(0);
        }
        if !ok && !self.failing {
            self.failing = true;
            return Some(Change::Failing);
        }
        if self.failing && self.recent == [false, true, true, true] {
            self.failing = false;
            return Some(Change::Recovered);
        }
        None
    }
}
