//! Every question and submission of a node: its name, where it goes, how long it may take, what its failure means.
//!
//! Guarantees: one table for the client, the pool and the metrics.
//! Not here: bodies (`client`), waiting (`http`).

use std::time::Duration;

/// One kind of request. The order has no meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Call {
    NodeVersion,
    /// The execution client behind the beacon node.
    ExecutionVersion,
    Syncing,
    PeerCount,
    Genesis,
    Spec,
    Validators,
    AttesterDuties,
    ProposerDuties,
    SyncDuties,
    AttestationData,
    Aggregate,
    Contribution,
    ProduceBlock,
    BlockRoot,
    HeadRoot,
    Header,
    Block,
    Committees,
    SubmitAttestations,
    SubmitAggregates,
    SubmitProposal,
    SubmitBlindedProposal,
    SubmitSyncMessages,
    SubmitContributions,
    SubmitExit,
    SubmitRegistrations,
    Preparations,
}

/// How long a request may take (VC-10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// A quarter of a slot, so that another beacon node can be asked.
    Quick,
    /// Half a slot.
    PublishBlock,
    /// Whether the beacon node is there: a sixth of a slot.
    Status,
    /// One slot.
    Slow,
}

impl Call {
    /// Path with `{…}` for its variable parts, for errors.
    pub(crate) const fn endpoint(self) -> &'static str {
        match self {
            Self::NodeVersion => "/eth/v1/node/version",
            Self::ExecutionVersion => "/eth/v2/node/version",
            Self::Syncing => "/eth/v1/node/syncing",
            Self::PeerCount => "/eth/v1/node/peer_count",
            Self::Genesis => "/eth/v1/beacon/genesis",
            Self::Spec => "/eth/v1/config/spec",
            Self::Validators => "/eth/v1/beacon/states/{state}/validators",
            Self::AttesterDuties => "/eth/v1/validator/duties/attester/{epoch}",
            Self::ProposerDuties => "/eth/v1/validator/duties/proposer/{epoch}",
            Self::SyncDuties => "/eth/v1/validator/duties/sync/{epoch}",
            Self::AttestationData => "/eth/v1/validator/attestation_data",
            Self::Aggregate => "/eth/v2/validator/aggregate_attestation",
            Self::Contribution => "/eth/v1/validator/sync_committee_contribution",
            Self::ProduceBlock => "/eth/v3/validator/blocks/{slot}",
            Self::BlockRoot => "/eth/v1/beacon/blocks/{slot}/root",
            Self::HeadRoot => "/eth/v1/beacon/blocks/head/root",
            Self::Header => "/eth/v1/beacon/headers/{root}",
            Self::Block => "/eth/v2/beacon/blocks/{slot}",
            Self::Committees => "/eth/v1/beacon/states/{slot}/committees",
            Self::SubmitAttestations => "/eth/v2/beacon/pool/attestations",
            Self::SubmitAggregates => "/eth/v2/validator/aggregate_and_proofs",
            Self::SubmitProposal => "/eth/v2/beacon/blocks",
            Self::SubmitBlindedProposal => "/eth/v2/beacon/blinded_blocks",
            Self::SubmitSyncMessages => "/eth/v1/beacon/pool/sync_committees",
            Self::SubmitContributions => "/eth/v1/validator/contribution_and_proofs",
            Self::SubmitExit => "/eth/v1/beacon/pool/voluntary_exits",
            Self::SubmitRegistrations => "/eth/v1/validator/register_validator",
            Self::Preparations => "/eth/v1/validator/prepare_beacon_proposer",
        }
    }

    /// Name in metrics, Charon's (observability.md 2).
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::NodeVersion | Self::ExecutionVersion => "node_version",
            Self::Syncing => "node_syncing",
            Self::PeerCount => "node_peer_count",
            Self::Genesis => "genesis",
            Self::Spec => "spec",
            Self::Validators => "validators",
            Self::AttesterDuties => "attester_duties",
            Self::ProposerDuties => "proposer_duties",
            Self::SyncDuties => "sync_committee_duties",
            Self::AttestationData => "attestation_data",
            Self::Aggregate => "aggregate_attestation",
            Self::Contribution => "sync_committee_contribution",
            Self::ProduceBlock => "proposal",
            Self::BlockRoot | Self::HeadRoot => "beacon_block_root",
            Self::Header => "beacon_block_header",
            Self::Block => "signed_beacon_block",
            Self::Committees => "beacon_committees",
            Self::SubmitAttestations => "submit_attestations",
            Self::SubmitAggregates => "submit_aggregate_attestations",
            Self::SubmitProposal => "submit_proposal",
            Self::SubmitBlindedProposal => "submit_blinded_proposal",
            Self::SubmitSyncMessages => "submit_sync_committee_messages",
            Self::SubmitContributions => "submit_sync_committee_contributions",
            Self::SubmitExit => "submit_voluntary_exit",
            Self::SubmitRegistrations => "submit_validator_registrations",
            Self::Preparations => "submit_proposal_preparations",
        }
    }

    pub(crate) const fn class(self) -> Class {
        match self {
            Self::AttesterDuties
            | Self::ProposerDuties
            | Self::SyncDuties
            | Self::AttestationData
            | Self::Aggregate
            | Self::Contribution
            | Self::ProduceBlock
            | Self::Header
            | Self::Block
            | Self::HeadRoot
            | Self::SubmitAttestations
            | Self::SubmitAggregates
            | Self::SubmitSyncMessages
            | Self::SubmitContributions => Class::Quick,
            Self::SubmitProposal | Self::SubmitBlindedProposal => Class::PublishBlock,
            Self::NodeVersion | Self::ExecutionVersion | Self::Syncing | Self::Spec => Class::Status,
            Self::PeerCount
            | Self::Genesis
            | Self::Validators
            | Self::BlockRoot
            | Self::Committees
            | Self::SubmitExit
            | Self::SubmitRegistrations
            | Self::Preparations => Class::Slow,
        }
    }

    /// Whether it hands something over rather than asks.
    pub(crate) const fn is_submission(self) -> bool {
        match self {
            Self::SubmitAttestations
            | Self::SubmitAggregates
            | Self::SubmitProposal
            | Self::SubmitBlindedProposal
            | Self::SubmitSyncMessages
            | Self::SubmitContributions
            | Self::SubmitExit
            | Self::SubmitRegistrations
            | Self::Preparations => true,
            Self::NodeVersion
            | Self::ExecutionVersion
            | Self::Syncing
            | Self::PeerCount
            | Self::Genesis
            | Self::Spec
            | Self::Validators
            | Self::AttesterDuties
            | Self::ProposerDuties
            | Self::SyncDuties
            | Self::AttestationData
            | Self::Aggregate
            | Self::Contribution
            | Self::ProduceBlock
            | Self::BlockRoot
            | Self::HeadRoot
            | Self::Header
            | Self::Block
            | Self::Committees => false,
        }
    }

    /// Whether a beacon node that fails this call is left out until the next look at it (VC-04). A builder that is away
    /// says nothing about the beacon node, nor does a question that many do not know.
    pub(crate) const fn offline_on_failure(self) -> bool {
        !matches!(self, Self::SubmitRegistrations | Self::ExecutionVersion)
    }
}

/// No limit is shorter, however short the slots of a test chain are.
const SHORTEST: Duration = Duration::from_millis(500);
/// Nor is the limit of a beacon node behind which there is no other.
const SHORTEST_LAST: Duration = Duration::from_secs(2);
/// As long as the length of a slot is not known.
const AT_START: Duration = Duration::from_secs(10);

/// Time limits of one beacon node's requests (VC-10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Slot length; `None` while the chain is not known.
    slot: Option<Duration>,
    /// No other beacon node could be asked afterwards.
    last: bool,
    given: GivenTimeouts,
}

/// Limits that the operator sets; they hold instead of those by class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GivenTimeouts {
    /// Of reads. Producing a block gets twice as long, as the beacon node may have to wait for builders.
    pub read: Option<Duration>,
    /// Of submissions.
    pub submit: Option<Duration>,
}

impl Timeouts {
    /// Before the chain is known.
    #[must_use]
    pub const fn at_start(given: GivenTimeouts) -> Self {
        Self {
            slot: None,
            last: true,
            given,
        }
    }

    /// With slots of this length; `last` for the beacon node behind which there is no other.
    #[must_use]
    pub const fn of_slot(slot: Duration, last: bool, given: GivenTimeouts) -> Self {
        Self {
            slot: Some(slot),
            last,
            given,
        }
    }

    pub(crate) fn of(&self, call: Call) -> Duration {
        let Some(slot) = self.slot else {
            return self.given.read.map_or(AT_START, |given| given.max(AT_START));
        };
        let status = slot.checked_div(6).unwrap_or_default().max(SHORTEST);
        let given = if call.is_submission() {
            self.given.submit
        } else {
            self.given.read
        };
        if let Some(given) = given {
            return match call.class() {
                Class::Status => given.min(status),
                _ if call == Call::ProduceBlock => given.saturating_mul(2),
                Class::Quick | Class::PublishBlock | Class::Slow => given,
            };
        }
        let part = match call.class() {
            // Asked before each slot and before a beacon node is used again: never as long as the others.
            Class::Status => return status,
            _ if self.last => return slot.max(SHORTEST_LAST),
            Class::Quick => 4,
            Class::PublishBlock => 2,
            Class::Slow => 1,
        };
        slot.checked_div(part).unwrap_or_default().max(SHORTEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOT: Duration = Duration::from_secs(12);

    fn ms(timeouts: Timeouts, call: Call) -> u128 {
        timeouts.of(call).as_millis()
    }

    #[test]
    fn vc_10_short_limits_hold_for_all_but_the_last_beacon_node() {
        let first = Timeouts::of_slot(SLOT, false, GivenTimeouts::default());
        for (call, limit) in [
            (Call::AttestationData, 3_000),
            (Call::SubmitAttestations, 3_000),
            (Call::AttesterDuties, 3_000),
            (Call::ProposerDuties, 3_000),
            (Call::SyncDuties, 3_000),
            (Call::SubmitContributions, 3_000),
            (Call::ProduceBlock, 3_000),
            (Call::Block, 3_000),
            (Call::SubmitProposal, 6_000),
            (Call::SubmitBlindedProposal, 6_000),
            (Call::Validators, 12_000),
        ] {
            assert_eq!(ms(first, call), limit, "{call:?}");
            let last = Timeouts::of_slot(SLOT, true, GivenTimeouts::default());
            assert_eq!(ms(last, call), 12_000, "{call:?}");
        }
    }

    #[test]
    fn limit_that_is_given_holds_instead_for_first_and_last() {
        let given = GivenTimeouts {
            read: Some(Duration::from_secs(5)),
            submit: Some(Duration::from_secs(7)),
        };
        for last in [false, true] {
            let timeouts = Timeouts::of_slot(SLOT, last, given);
            assert_eq!(ms(timeouts, Call::AttestationData), 5_000);
            assert_eq!(ms(timeouts, Call::ProduceBlock), 10_000);
            assert_eq!(ms(timeouts, Call::SubmitProposal), 7_000);
            assert_eq!(ms(timeouts, Call::Syncing), 2_000);
        }
        let reads_only = GivenTimeouts { submit: None, ..given };
        assert_eq!(
            ms(Timeouts::of_slot(SLOT, false, reads_only), Call::SubmitProposal),
            6_000
        );
    }

    #[test]
    fn very_short_slots_leave_time_for_an_answer() {
        let second = Duration::from_secs(1);
        let first = Timeouts::of_slot(second, false, GivenTimeouts::default());
        assert_eq!(ms(first, Call::AttestationData), 500);
        let last = Timeouts::of_slot(second, true, GivenTimeouts::default());
        assert_eq!(ms(last, Call::AttestationData), 2_000);
    }
}
