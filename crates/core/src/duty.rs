//! Duties: one unit of work of the whole cluster, named by slot and kind.
//!
//! Guarantees: wire numbers and names are those of Charon and never change.
//! Not here: what is signed for a duty (`data`), until when it is worth finishing (`deadline`).

use std::fmt;

pub use trireme_eth2::Slot;

/// The kind of a duty. The numbers are wire facts (`core.corepb.v1.Duty.type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum DutyType {
    /// Block proposal.
    Proposer = 1,
    /// Attestation.
    Attester = 2,
    /// A bare signature; only the key generation ceremony exchanges it.
    Signature = 3,
    /// Voluntary exit.
    Exit = 4,
    /// Deprecated: the number stays valid in the duty gate, every decoder refuses it.
    BuilderProposer = 5,
    /// Validator registration for builders.
    BuilderRegistration = 6,
    /// Randao reveal.
    Randao = 7,
    /// Selection proof of an attestation aggregator.
    PrepareAggregator = 8,
    /// Aggregate and proof.
    Aggregator = 9,
    /// Sync committee message.
    SyncMessage = 10,
    /// Selection proof of a sync committee aggregator.
    PrepareSyncContribution = 11,
    /// Sync committee contribution and proof.
    SyncContribution = 12,
    /// Agreement on versions and protocols; nothing is signed.
    InfoSync = 13,
}

impl DutyType {
    /// Every valid type in the order of its number.
    pub const ALL: [Self; 13] = [
        Self::Proposer,
        Self::Attester,
        Self::Signature,
        Self::Exit,
        Self::BuilderProposer,
        Self::BuilderRegistration,
        Self::Randao,
        Self::PrepareAggregator,
        Self::Aggregator,
        Self::SyncMessage,
        Self::PrepareSyncContribution,
        Self::SyncContribution,
        Self::InfoSync,
    ];

    /// The number on the wire, 1 to 13.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The name in logs and metric labels.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Proposer => "proposer",
            Self::Attester => "attester",
            Self::Signature => "signature",
            Self::Exit => "exit",
            Self::BuilderProposer => "builder_proposer",
            Self::BuilderRegistration => "builder_registration",
            Self::Randao => "randao",
            Self::PrepareAggregator => "prepare_aggregator",
            Self::Aggregator => "aggregator",
            Self::SyncMessage => "sync_message",
            Self::PrepareSyncContribution => "prepare_sync_contribution",
            Self::SyncContribution => "sync_contribution",
            Self::InfoSync => "info_sync",
        }
    }
}

/// A duty type number outside 1..=13.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("duty type {0} is not one of 1 to 13")]
pub struct UnknownDutyType(pub i64);

impl TryFrom<i64> for DutyType {
    type Error = UnknownDutyType;

    fn try_from(n: i64) -> Result<Self, Self::Error> {
        Self::ALL
            .into_iter()
            .find(|t| i64::from(t.number()) == n)
            .ok_or(UnknownDutyType(n))
    }
}

impl fmt::Display for DutyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One unit of work for the whole cluster. Its text form is `<slot>/<name>`, as in `123/attester`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duty {
    /// The slot that the duty is for; for exits, the first slot of the exit epoch.
    pub slot: Slot,
    /// What is to be done.
    pub kind: DutyType,
}

impl Duty {
    /// The duty of `kind` in `slot`.
    #[must_use]
    pub const fn new(slot: Slot, kind: DutyType) -> Self {
        Self { slot, kind }
    }
}

impl fmt::Display for Duty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.slot.0, self.kind)
    }
}
