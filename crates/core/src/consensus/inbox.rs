//! Messages of one instance that wait to be verified.
//!
//! Guarantees: at most [`PER_PEER`] messages and [`BYTES_PER_PEER`] bytes per peer that delivered them; the oldest of that
//! peer goes first, so a loud peer displaces only itself. In all instances together no more than [`BYTES_IN_ALL`] of a
//! peer wait; what would be more is not taken. Peers take turns.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use trireme_qbft::Vote;

use super::{hash::ValueHash, receive::Opened};

/// Messages that wait per delivering peer.
pub const PER_PEER: usize = 100;

/// Bytes that wait per delivering peer.
pub const BYTES_PER_PEER: usize = 64 << 20;

/// Bytes that wait per delivering peer in all instances. Peers may write about some hundred duties at any time, most of
/// which no instance runs for.
pub const BYTES_IN_ALL: usize = 256 << 20;

/// Bytes that wait in all inboxes, by delivering peer.
#[derive(Debug)]
pub(super) struct Waiting(Vec<AtomicUsize>);

impl Waiting {
    pub(super) fn new(peers: usize) -> Self {
        Self((0..peers).map(|_| AtomicUsize::new(0)).collect())
    }

    /// Counts `size` bytes more; `false`, and nothing counted, if that is too much.
    fn add(&self, from: usize, size: usize) -> bool {
        self.0.get(from).is_some_and(|bytes| {
            let more = |now: usize| now.checked_add(size).filter(|sum| *sum <= BYTES_IN_ALL);
            bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
        })
    }

    fn sub(&self, from: usize, size: usize) {
        if let Some(bytes) = self.0.get(from) {
            bytes.fetch_sub(size, Ordering::Relaxed);
        }
    }
}

#[derive(Debug)]
pub(super) struct Inbox {
    peers: Vec<VecDeque<Opened>>,
    turn: usize,
    waiting: Arc<Waiting>,
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.clear();
    }
}

impl Inbox {
    pub(super) fn new(waiting: Arc<Waiting>) -> Self {
        Self {
            peers: waiting.0.iter().map(|_| VecDeque::new()).collect(),
            turn: 0,
            waiting,
        }
    }

    /// Adds a message; returns how many, old ones or this one, had to go.
    pub(super) fn push(&mut self, from: usize, msg: Opened) -> usize {
        let Some(queue) = self.peers.get_mut(from) else {
            return 1;
        };
        let mut dropped = 0_usize;
        let size = |queue: &VecDeque<Opened>| queue.iter().fold(msg.size(), |sum, m| sum.saturating_add(m.size()));
        while queue.len() >= PER_PEER || size(queue) > BYTES_PER_PEER {
            let Some(old) = queue.pop_front() else { break };
            self.waiting.sub(from, old.size());
            dropped = dropped.saturating_add(1);
        }
        if self.waiting.add(from, msg.size()) {
            queue.push_back(msg);
            dropped
        } else {
            dropped.saturating_add(1)
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        while self.pop(|_| true).is_some() {}
    }

    /// The next message that is wanted, with the peer that delivered it; unwanted ones are dropped on the way.
    pub(super) fn pop(&mut self, wanted: impl Fn(&Vote<ValueHash>) -> bool) -> Option<(usize, Opened)> {
        let count = self.peers.len();
        for step in 0..count {
            let from = self.turn.saturating_add(step).checked_rem(count)?;
            let queue = self.peers.get_mut(from)?;
            while let Some(msg) = queue.pop_front() {
                self.waiting.sub(from, msg.size());
                if wanted(&msg.vote) {
                    self.turn = from.saturating_add(1);
                    return Some((from, msg));
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use trireme_proto::core::v1 as pb;

    use super::*;
    use crate::{
        consensus::receive::open,
        duty::{Duty, DutyType, Slot},
    };

    const DUTY: Duty = Duty::new(Slot(1), DutyType::Attester);

    /// A message whose frame has about `bytes` bytes, none of them in the bytes of a value.
    fn msg(bytes: usize) -> Opened {
        let whole = pb::QbftConsensusMsg {
            msg: Some(pb::QbftMsg {
                r#type: 2,
                duty: Some(DUTY.to_proto()),
                round: 1,
                ..Default::default()
            }),
            values: vec![prost_types::Any {
                type_url: "x".repeat(bytes),
                value: Vec::new(),
            }],
            ..Default::default()
        };
        let frame: Bytes = prost::Message::encode_to_vec(&whole).into();
        open(frame, 4, |_, _| Some(DUTY)).unwrap()
    }

    #[test]
    fn every_byte_of_a_frame_counts() {
        let mut inbox = Inbox::new(Arc::new(Waiting::new(4)));
        assert_eq!(inbox.push(1, msg(BYTES_PER_PEER / 2)), 0);
        assert_eq!(inbox.push(1, msg(BYTES_PER_PEER / 2)), 1, "the first had to go");
        assert_eq!(
            inbox.push(2, msg(BYTES_PER_PEER / 2)),
            0,
            "another peer has its own room"
        );
    }

    #[test]
    fn a_peer_cannot_fill_the_memory_by_writing_about_many_duties() {
        let waiting = Arc::new(Waiting::new(4));
        let big = msg(BYTES_PER_PEER / 2);
        let mut inboxes: Vec<Inbox> = (0..20).map(|_| Inbox::new(Arc::clone(&waiting))).collect();
        let dropped: usize = inboxes.iter_mut().map(|i| i.push(1, big.clone())).sum();
        let fit = BYTES_IN_ALL / big.size();
        assert_eq!(dropped, 20 - fit);
        assert_eq!(inboxes[19].push(2, big.clone()), 0, "other peers have their own room");
        // Room is given back by taking messages, by clearing and by dropping.
        assert!(inboxes[0].pop(|_| true).is_some());
        inboxes[1].clear();
        inboxes.remove(2);
        let taken: usize = inboxes.iter_mut().skip(10).map(|i| 1 - i.push(1, big.clone())).sum();
        assert_eq!(taken, 3);
        drop(inboxes);
        assert_eq!(waiting.0[1].load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_vote_that_is_long_for_no_reason_is_refused() {
        let whole = pb::QbftConsensusMsg {
            msg: Some(pb::QbftMsg {
                r#type: 2,
                duty: Some(DUTY.to_proto()),
                round: 1,
                value_hash: vec![1; 1 << 20].into(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let frame: Bytes = prost::Message::encode_to_vec(&whole).into();
        let refused = open(frame, 4, |_, _| Some(DUTY)).unwrap_err();
        assert!(refused.to_string().contains("1024 are the limit"), "{refused}");
    }
}
