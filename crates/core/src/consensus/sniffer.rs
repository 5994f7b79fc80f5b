//! The messages of finished instances, kept for `/debug/consensus` (consensus.md 13).
//!
//! Guarantees: bounded in bytes; the oldest instance goes first.
//! Not here: compression and HTTP.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
use prost::Message as _;
use trireme_proto::core::v1 as pb;

use super::PROTOCOL;
use crate::time::UnixTime;

/// Bytes kept of all finished instances.
pub const KEPT: usize = 50 << 20;

/// Bytes kept of one instance while it runs; later messages of it are left out.
const KEPT_RUNNING: usize = 4 << 20;

/// The messages of one instance with the times of their delivery.
#[derive(Debug)]
pub(super) struct Sniffed {
    began: UnixTime,
    frames: Vec<(UnixTime, Bytes)>,
    size: usize,
}

impl Sniffed {
    pub(super) const fn new(began: UnixTime) -> Self {
        Self {
            began,
            frames: Vec::new(),
            size: 0,
        }
    }

    pub(super) fn push(&mut self, at: UnixTime, frame: Bytes) {
        let size = self.size.saturating_add(frame.len()).saturating_add(16);
        if size <= KEPT_RUNNING {
            self.size = size;
            self.frames.push((at, frame));
        }
    }

    fn to_proto(&self, nodes: u8, me: u8) -> pb::SniffedConsensusInstance {
        let msgs = self.frames.iter().filter_map(|(at, frame)| {
            let msg = pb::QbftConsensusMsg::decode(frame.clone()).ok()?;
            Some(pb::SniffedConsensusMsg {
                timestamp: Some(timestamp(*at)),
                msg: Some(msg),
            })
        });
        pb::SniffedConsensusInstance {
            started_at: Some(timestamp(self.began)),
            nodes: nodes.into(),
            peer_idx: me.into(),
            msgs: msgs.collect(),
            protocol_id: PROTOCOL.name.to_owned(),
        }
    }
}

fn timestamp(at: UnixTime) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: i64::try_from(at.secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(at.0 % 1_000_000_000).unwrap_or_default(),
    }
}

#[derive(Debug, Default)]
struct Kept {
    instances: VecDeque<Sniffed>,
    size: usize,
}

/// The ring of finished instances.
#[derive(Debug, Default)]
pub(super) struct Sniffer {
    kept: Mutex<Kept>,
}

impl Sniffer {
    pub(super) fn keep(&self, instance: Sniffed) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.size = kept.size.saturating_add(instance.size);
        kept.instances.push_back(instance);
        while kept.size > KEPT {
            let Some(oldest) = kept.instances.pop_front() else {
                break;
            };
            kept.size = kept.size.saturating_sub(oldest.size);
        }
    }

    pub(super) fn dump(&self, nodes: u8, me: u8, git_hash: &str) -> Vec<u8> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let instances = kept.instances.iter().map(|i| i.to_proto(nodes, me)).collect();
        drop(kept);
        pb::SniffedConsensusInstances {
            instances,
            git_hash: git_hash.to_owned(),
        }
        .encode_to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_forgets_the_oldest_instances_and_stays_within_its_bound() {
        let sniffer = Sniffer::default();
        for second in 0..40 {
            let mut instance = Sniffed::new(UnixTime::from_secs(second));
            for _ in 0..100 {
                instance.push(UnixTime(0), Bytes::from(vec![0; 1 << 20]));
            }
            assert!(instance.size <= KEPT_RUNNING);
            sniffer.keep(instance);
        }
        let kept = sniffer.kept.lock().unwrap();
        assert!(kept.size <= KEPT);
        assert_eq!(kept.instances.back().unwrap().began, UnixTime::from_secs(39));
        assert!(kept.instances.front().unwrap().began > UnixTime::from_secs(20));
    }
}
