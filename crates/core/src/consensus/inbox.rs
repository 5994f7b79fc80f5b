//! Messages of one instance that wait to be verified.
//!
//! Guarantees: at most [`PER_PEER`] messages and [`BYTES_PER_PEER`] bytes of values per peer that delivered them; the
//! oldest of that peer goes first, so a loud peer displaces only itself. Peers take turns.

use std::collections::VecDeque;

use trireme_qbft::Vote;

use super::{hash::ValueHash, receive::Opened};

/// Messages that wait per delivering peer.
pub const PER_PEER: usize = 100;

/// Bytes of values that wait per delivering peer.
pub const BYTES_PER_PEER: usize = 64 << 20;

#[derive(Debug)]
pub(super) struct Inbox {
    peers: Vec<VecDeque<Opened>>,
    turn: usize,
}

impl Inbox {
    pub(super) fn new(peers: usize) -> Self {
        Self {
            peers: (0..peers).map(|_| VecDeque::new()).collect(),
            turn: 0,
        }
    }

    /// Adds a message; returns how many old ones had to go.
    pub(super) fn push(&mut self, from: usize, msg: Opened) -> usize {
        let Some(queue) = self.peers.get_mut(from) else {
            return 1;
        };
        let mut dropped = 0_usize;
        let size = |queue: &VecDeque<Opened>| queue.iter().fold(msg.size(), |sum, m| sum.saturating_add(m.size()));
        while !queue.is_empty() && (queue.len() >= PER_PEER || size(queue) > BYTES_PER_PEER) {
            queue.pop_front();
            dropped = dropped.saturating_add(1);
        }
        queue.push_back(msg);
        dropped
    }

    /// The next message that is wanted, with the peer that delivered it; unwanted ones are dropped on the way.
    pub(super) fn pop(&mut self, wanted: impl Fn(&Vote<ValueHash>) -> bool) -> Option<(usize, Opened)> {
        let count = self.peers.len();
        for step in 0..count {
            let from = self.turn.saturating_add(step).checked_rem(count)?;
            let queue = self.peers.get_mut(from)?;
            while let Some(msg) = queue.pop_front() {
                if wanted(&msg.vote) {
                    self.turn = from.saturating_add(1);
                    return Some((from, msg));
                }
            }
        }
        None
    }
}
