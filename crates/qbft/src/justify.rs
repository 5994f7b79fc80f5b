//! Whether a message may be believed: the justification rules (paper, algorithm 4; consensus notes, section 9).
//!
//! Guarantees: pure functions of the message; a process counts once however often it appears.

use crate::{
    buffer::first_each,
    message::{Kind, Msg, Process, Round, Signed, Value, Vote},
    quorum::{Nodes, Senders},
};

/// Why a message is not justified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unjustified {
    /// A proposal from a process whose turn it is not.
    #[error("the sender does not lead the round")]
    NotLeader,
    /// A proposal of nothing.
    #[error("the proposal has no value")]
    NoValue,
    /// Not enough, or not the right votes shown.
    #[error("the votes shown do not justify the message")]
    Proof,
}

/// What the rules need to know besides the message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context {
    pub(crate) nodes: Nodes,
    /// The leader of the message's round, if that round has one.
    pub(crate) leader: Option<Process>,
    /// The round in which our own data differed from the leader's.
    pub(crate) compare_failed: Option<Round>,
}

pub(crate) fn check<V: Value>(msg: &Msg<V>, cx: Context) -> Result<(), Unjustified> {
    match msg.signed.vote.kind {
        Kind::PrePrepare => pre_prepare(msg, cx),
        // A vote needs no proof: it is counted, not believed.
        Kind::Prepare | Kind::Commit => Ok(()),
        Kind::RoundChange => round_change(msg, cx.nodes),
        Kind::Decided => decided(msg, cx.nodes),
    }
}

/// JustifyRoundChange for one message (4:1): nothing prepared, or a quorum of PREPAREs for exactly what is claimed.
fn round_change<V: Value>(msg: &Msg<V>, nodes: Nodes) -> Result<(), Unjustified> {
    let vote = &msg.signed.vote;
    if msg.justification.is_empty() {
        return if vote.nothing_prepared() {
            Ok(())
        } else {
            Err(Unjustified::Proof)
        };
    }
    let (Some(round), Some(value)) = (vote.prepared_round, vote.prepared_value) else {
        return Err(Unjustified::Proof);
    };
    let mut senders = Senders::default();
    let proven = msg.justification.len() >= nodes.quorum()
        && msg
            .justification
            .iter()
            .all(|s| is_prepare(&s.vote, round, value) && senders.insert(s.vote.source));
    if proven { Ok(()) } else { Err(Unjustified::Proof) }
}

/// A DECIDED message shows a quorum of COMMITs for its round and value; anything else shown is ignored.
fn decided<V: Value>(msg: &Msg<V>, nodes: Nodes) -> Result<(), Unjustified> {
    let vote = &msg.signed.vote;
    let Some(value) = vote.value else {
        return Err(Unjustified::NoValue);
    };
    let proven = commits(msg.justification.iter(), vote.round, value).count() >= nodes.quorum();
    if proven { Ok(()) } else { Err(Unjustified::Proof) }
}

/// JustifyPrePrepare (4:3): the leader, a value, and after round 1 the proof that no other value can be locked.
fn pre_prepare<V: Value>(msg: &Msg<V>, cx: Context) -> Result<(), Unjustified> {
    let vote = &msg.signed.vote;
    if cx.leader != Some(vote.source) {
        return Err(Unjustified::NotLeader);
    }
    let Some(value) = vote.value else {
        return Err(Unjustified::NoValue);
    };
    let after_failed_compare = cx.compare_failed.is_some_and(|failed| failed.next() == vote.round);
    if vote.round == Round::FIRST || after_failed_compare || proposable(&msg.justification, vote.round, value, cx.nodes)
    {
        Ok(())
    } else {
        Err(Unjustified::Proof)
    }
}

/// Whether a quorum of ROUND-CHANGEs to `round` allows `value`: J1 no one is locked, or J2 the highest lock is `value`.
fn proposable<V: Value>(shown: &[Signed<V>], round: Round, value: V, nodes: Nodes) -> bool {
    let changes =
        || first_each(shown.iter(), move |v| v.kind == Kind::RoundChange && v.round == round).map(|s| &s.vote);
    if changes().count() < nodes.quorum() {
        return false;
    }
    if changes().all(Vote::nothing_prepared) {
        return true;
    }
    let Some((locked_round, locked_value)) = uniform_prepares(shown, nodes) else {
        return false;
    };
    locked_value == value && highest_lock_is(changes(), locked_round, locked_value)
}

/// Whether none of `changes` claims a lock above `round`, and one claims exactly this lock.
pub(crate) fn highest_lock_is<'a, V: Value + 'a>(
    changes: impl Iterator<Item = &'a Vote<V>>,
    round: Round,
    value: V,
) -> bool {
    let mut claimed = false;
    for vote in changes {
        if vote.prepared_round > Some(round) {
            return false;
        }
        claimed |= vote.prepared_round == Some(round) && vote.prepared_value == Some(value);
    }
    claimed
}

/// The one round and value of the PREPAREs shown, if they are a quorum of distinct processes and agree.
pub(crate) fn uniform_prepares<V: Value>(shown: &[Signed<V>], nodes: Nodes) -> Option<(Round, V)> {
    let mut prepares = shown.iter().map(|s| &s.vote).filter(|v| v.kind == Kind::Prepare);
    let first = prepares.next()?;
    let value = first.value?;
    let mut senders = Senders::default();
    senders.insert(first.source);
    let agree = prepares.all(|v| is_prepare(v, first.round, value) && senders.insert(v.source));
    (agree && senders.count() >= nodes.quorum()).then_some((first.round, value))
}

/// One COMMIT per process for `round` and `value`.
pub(crate) fn commits<'a, V: Value + 'a>(
    votes: impl Iterator<Item = &'a Signed<V>>,
    round: Round,
    value: V,
) -> impl Iterator<Item = &'a Signed<V>> {
    first_each(votes, move |v| is_commit(v, round, value))
}

pub(crate) fn is_prepare<V: Value>(vote: &Vote<V>, round: Round, value: V) -> bool {
    vote.kind == Kind::Prepare && vote.round == round && vote.value == Some(value)
}

pub(crate) fn is_commit<V: Value>(vote: &Vote<V>, round: Round, value: V) -> bool {
    vote.kind == Kind::Commit && vote.round == round && vote.value == Some(value)
}

#[cfg(test)]
mod tests;
