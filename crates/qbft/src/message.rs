//! What processes tell each other.
//!
//! Guarantees: "no value" and "nothing prepared" are `None`, never a magic value. A [`Vote`] is plain content; the
//! proof that its source said so travels beside it as a seal that the algorithm never looks at.

use std::{fmt, sync::Arc};

/// Something small that stands for what is agreed on, usually a hash.
pub trait Value: Copy + Ord + fmt::Debug {
    /// The proof that a vote came from its source, usually a signature. It is kept with the vote, so that the vote can
    /// be shown to others.
    type Seal: Clone + fmt::Debug;
}

/// A participant, 0 to `n - 1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Process(pub u8);

/// A round, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Round(pub u64);

impl Round {
    /// Every instance begins here.
    pub const FIRST: Self = Self(1);

    /// The round after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The kinds of message. The numbers are wire facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// The leader's proposal.
    PrePrepare = 1,
    /// Support for a proposal.
    Prepare = 2,
    /// A quorum supports the proposal.
    Commit = 3,
    /// The sender has come to a later round.
    RoundChange = 4,
    /// The sender has decided, with the COMMITs that made it.
    Decided = 5,
}

/// A number that names no kind of message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("consensus message type {0} is not one of 1 to 5")]
pub struct UnknownKind(pub i64);

impl Kind {
    /// Every kind in the order of its number.
    pub const ALL: [Self; 5] = [
        Self::PrePrepare,
        Self::Prepare,
        Self::Commit,
        Self::RoundChange,
        Self::Decided,
    ];

    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The label in logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PrePrepare => "pre_prepare",
            Self::Prepare => "prepare",
            Self::Commit => "commit",
            Self::RoundChange => "round_change",
            Self::Decided => "decided",
        }
    }
}

impl TryFrom<i64> for Kind {
    type Error = UnknownKind;

    fn try_from(n: i64) -> Result<Self, Self::Error> {
        Self::ALL
            .into_iter()
            .find(|k| i64::from(k.number()) == n)
            .ok_or(UnknownKind(n))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The signed content of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Vote<V> {
    /// What is said.
    pub kind: Kind,
    /// Who says it.
    pub source: Process,
    /// In which round.
    pub round: Round,
    /// About which value; none in a ROUND-CHANGE.
    pub value: Option<V>,
    /// The round and value of the sender's lock; only a ROUND-CHANGE has one. Foreign messages may have any mixture.
    pub prepared_round: Option<Round>,
    /// See `prepared_round`.
    pub prepared_value: Option<V>,
}

impl<V> Vote<V> {
    /// Whether the sender says that it has no lock.
    #[must_use]
    pub const fn nothing_prepared(&self) -> bool {
        self.prepared_round.is_none() && self.prepared_value.is_none()
    }
}

/// A vote with the proof that its source cast it.
#[derive(Debug, Clone)]
pub struct Signed<V: Value> {
    /// The content.
    pub vote: Vote<V>,
    /// The proof.
    pub seal: V::Seal,
}

/// A verified message: a vote and the votes of others that justify it.
#[derive(Debug, Clone)]
pub struct Msg<V: Value> {
    /// The sender's vote.
    pub signed: Signed<V>,
    /// The votes shown with it; their own justifications do not travel.
    pub justification: Arc<[Signed<V>]>,
}

/// A message of this process that is not sealed yet.
#[derive(Debug, Clone)]
pub struct Draft<V: Value> {
    /// What to seal and send.
    pub vote: Vote<V>,
    /// What to send with it, unchanged.
    pub justification: Arc<[Signed<V>]>,
}

impl<V: Value> Draft<V> {
    /// The message, once sealed.
    #[must_use]
    pub fn sealed(self, seal: V::Seal) -> Msg<V> {
        Msg {
            signed: Signed { vote: self.vote, seal },
            justification: self.justification,
        }
    }
}
