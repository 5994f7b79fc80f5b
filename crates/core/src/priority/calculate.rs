//! What the nodes' messages add up to (p2p.md 8.4). Pure.
//!
//! Guarantees: the scores and their order do not depend on the order in which the messages came.
//! Not here: who sent a message and whether it is signed (`message`).

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use prost::Message as _;
use prost_types::Any;
use trireme_proto::core::v1 as pb;

use super::result::PriorityResult;
use crate::consensus::hash::digest;

/// Priorities that a topic must stay below; also the score of the first of a list.
const MANY: usize = 1_000;
const FIRST: i64 = 1_000;

/// Messages that cannot be counted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Uncountable {
    /// None at all.
    #[error("there are no messages")]
    Nothing,
    /// They belong to different exchanges.
    #[error("the messages are for different duties")]
    Duties,
    /// Two messages of a peer.
    #[error("peer {0} sent two messages")]
    Peer(String),
    /// A topic twice in a message.
    #[error("peer {0} proposes for a topic twice")]
    Topic(String),
    /// Too long a list.
    #[error("peer {peer} proposes {got} priorities, fewer than {MANY} are allowed")]
    Many {
        /// The peer.
        peer: String,
        /// How many.
        got: usize,
    },
    /// A priority twice in a list.
    #[error("peer {0} proposes a priority twice")]
    Priority(String),
}

/// What a topic or priority is known by: its hash.
type Key = [u8; 32];

fn key(any: Option<&Any>) -> Key {
    any.map_or([0; 32], |any| digest(&any.encode_to_vec()))
}

fn shown(peer: &str) -> String {
    peer.chars().take(64).collect()
}

/// Whether a message can be counted at all.
///
/// # Errors
/// [`Uncountable`] if a list is too long, or something is in it twice.
pub fn countable(msg: &pb::PriorityMsg) -> Result<(), Uncountable> {
    let mut topics = BTreeSet::new();
    for topic in &msg.topics {
        if !topics.insert(key(topic.topic.as_ref())) {
            return Err(Uncountable::Topic(shown(&msg.peer_id)));
        }
        let got = topic.priorities.len();
        if got >= MANY {
            let peer = shown(&msg.peer_id);
            return Err(Uncountable::Many { peer, got });
        }
        let different: BTreeSet<_> = topic.priorities.iter().map(|p| key(Some(p))).collect();
        if different.len() != got {
            return Err(Uncountable::Priority(shown(&msg.peer_id)));
        }
    }
    Ok(())
}

/// What was said about one priority.
struct Tally {
    priority: Any,
    score: i64,
    /// When it was seen first.
    seen: usize,
}

/// What was said about a topic.
struct Talk {
    topic: Option<Any>,
    tallies: BTreeMap<Key, Tally>,
}

/// The result that a node proposes: what at least `min_required` of the messages want, best first. `msgs` come first the
/// node's own, then in the order of their arrival; they become part of the result.
///
/// # Errors
/// [`Uncountable`] with the reason.
pub fn calculate(msgs: &[pb::PriorityMsg], min_required: usize) -> Result<PriorityResult, Uncountable> {
    let first = msgs.first().ok_or(Uncountable::Nothing)?;
    let mut by_peer = BTreeMap::new();
    for msg in msgs {
        if msg.duty != first.duty {
            return Err(Uncountable::Duties);
        }
        countable(msg)?;
        if by_peer.insert(msg.peer_id.as_str(), msg).is_some() {
            return Err(Uncountable::Peer(shown(&msg.peer_id)));
        }
    }

    let mut topics: BTreeMap<Key, Talk> = BTreeMap::new();
    for proposal in by_peer.values().flat_map(|msg| &msg.topics) {
        let talk = topics.entry(key(proposal.topic.as_ref())).or_insert_with(|| Talk {
            topic: proposal.topic.clone(),
            tallies: BTreeMap::new(),
        });
        for (score, priority) in (1..=FIRST).rev().zip(&proposal.priorities) {
            let seen = talk.tallies.len();
            let tally = talk.tallies.entry(key(Some(priority))).or_insert_with(|| Tally {
                priority: priority.clone(),
                score: 0,
                seen,
            });
            tally.score = tally.score.saturating_add(score);
        }
    }

    let needed = i64::try_from(min_required.saturating_sub(1))
        .unwrap_or(i64::MAX)
        .saturating_mul(FIRST);
    let topics = topics.into_values().map(|talk| {
        let mut kept: Vec<Tally> = talk.tallies.into_values().filter(|t| t.score > needed).collect();
        kept.sort_by_key(|t| (Reverse(t.score), t.seen));
        let scored = |t: Tally| pb::PriorityScoredResult {
            priority: Some(t.priority),
            score: t.score,
        };
        pb::PriorityTopicResult {
            topic: talk.topic,
            priorities: kept.into_iter().map(scored).collect(),
        }
    });
    Ok(PriorityResult(pb::PriorityResult {
        topics: topics.collect(),
        msgs: msgs.to_vec(),
    }))
}
