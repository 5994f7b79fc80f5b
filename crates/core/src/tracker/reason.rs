//! Why a duty failed: a pure judgement over what its steps reported.
//!
//! Guarantees: codes are those of Charon (core.md 14.5); the same events always give the same reason.
//! Not here: collecting events, logs and metrics.

use std::collections::{BTreeMap, BTreeSet};

use trireme_eth2::Root;

use crate::{
    duty::{Duty, DutyType},
    ids::PubKey,
    step::{ErrorKind, StepError, StepName, Subject},
};

/// The stations of a duty in the order of the pipeline (core.md 14.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Station {
    /// Data fetched from the beacon node.
    Fetcher,
    /// Agreement on it.
    Consensus,
    /// Decided data stored.
    DutyDb,
    /// Signed by the local validator client; never reported, only concluded.
    ValidatorApi,
    /// Own partial signature stored.
    ParSigDbLocal,
    /// Own partial signature sent.
    ParSigEx,
    /// Peers' partial signatures stored.
    ParSigDbExternal,
    /// Partial signatures combined.
    SigAgg,
    /// Aggregate stored.
    AggSigDb,
    /// Aggregate sent to the beacon node.
    Bcast,
    /// Seen on chain.
    ChainInclusion,
}

impl Station {
    /// The station that a step reports for; participation alone says nothing, and info sync is no validator's duty.
    #[must_use]
    pub const fn of(step: StepName) -> Option<Self> {
        match step {
            StepName::FetcherFetch => Some(Self::Fetcher),
            StepName::ConsensusParticipate
            | StepName::PriorityPropose
            | StepName::InfoSyncStore
            | StepName::InclusionLearn => None,
            StepName::ConsensusPropose => Some(Self::Consensus),
            StepName::DutyDbStore => Some(Self::DutyDb),
            StepName::ParSigDbStoreInternal => Some(Self::ParSigDbLocal),
            StepName::ParSigExBroadcast => Some(Self::ParSigEx),
            StepName::ParSigDbStoreExternal => Some(Self::ParSigDbExternal),
            StepName::SigAggAggregate => Some(Self::SigAgg),
            StepName::AggSigDbStore => Some(Self::AggSigDb),
            StepName::BcastBroadcast => Some(Self::Bcast),
            StepName::InclusionCheck => Some(Self::ChainInclusion),
        }
    }

    /// The label that dashboards know.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Fetcher => "fetcher",
            Self::Consensus => "consensus",
            Self::DutyDb => "duty_db",
            Self::ValidatorApi => "validator_api",
            Self::ParSigDbLocal => "parsig_db_local",
            Self::ParSigEx => "parsig_ex",
            Self::ParSigDbExternal => "parsig_db_external",
            Self::SigAgg => "sig_aggregation",
            Self::AggSigDb => "aggsig_db",
            Self::Bcast => "bcast",
            Self::ChainInclusion => "chain_inclusion",
        }
    }
}

macro_rules! reasons {
    ($($name:ident $code:literal $text:literal $meaning:literal,)*) => {
        /// Why a duty failed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason { $(#[doc = $text] $name,)* }

        impl Reason {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The code: metric label and log field.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// What happened.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// What that means for an operator.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning,)* }
            }
        }
    };
}

reasons! {
    Unknown "unknown"
        "no explanation was found"
        "the log lines of this duty at debug level say more; please report it if it happens again",
    FetchBnError "fetch_bn_error"
        "our beacon node did not give the data to sign"
        "the beacon node was down, syncing or too slow; look at its log",
    MissingAggregatorAttestation "missing_aggregator_attestation"
        "there was nothing to aggregate, since the attestation duty of the slot had failed"
        "the line about the attestation says what went wrong; the aggregate follows from it",
    InsufficientAggregatorSelections "insufficient_aggregator_selections"
        "too few nodes delivered selection proofs for the aggregate"
        "some peers, or their validator clients, were offline or late",
    ZeroAggregatorPrepares "zero_aggregator_prepares"
        "our validator client sent no selection proof for the aggregate"
        "the validator client was down or late, or runs without its option for distributed validators",
    FailedAggregatorSelection "failed_aggregator_selection"
        "the selection of aggregators had failed"
        "the line about prepare_aggregator says what went wrong",
    NoAggregatorSelections "no_aggregator_selections"
        "no peer delivered a selection proof for the aggregate"
        "this node is cut off from its peers, or all their validator clients were offline",
    ProposerInsufficientRandaos "proposer_insufficient_randaos"
        "too few nodes delivered randao signatures, so no block could be asked for"
        "some peers, or their validator clients, were offline or late",
    ProposerZeroRandaos "proposer_zero_randaos"
        "our validator client did not ask for the block"
        "the validator client was down, not connected, or does not know the validator",
    FailedProposerRandao "failed_proposer_randao"
        "the randao signature had failed, so no block could be asked for"
        "the line about randao says what went wrong",
    ProposerNoExternalRandaos "proposer_no_external_randaos"
        "no peer delivered a randao signature, so no block could be asked for"
        "this node is cut off from its peers, or all their validator clients were offline",
    SyncContributionNoSyncMsg "sync_contribution_no_sync_msg"
        "there was nothing to contribute, since the sync message duty of the slot had failed"
        "the line about the sync message says what went wrong; the contribution follows from it",
    SyncContributionFewPrepares "sync_contribution_few_prepares"
        "too few nodes delivered selection proofs for the sync contribution"
        "some peers, or their validator clients, were offline or late",
    SyncContributionZeroPrepares "sync_contribution_zero_prepares"
        "our validator client sent no selection proof for the sync contribution"
        "the validator client was down or late, or runs without its option for distributed validators",
    SyncContributionFailedPrepare "sync_contribution_failed_prepare"
        "the selection of sync contributors had failed"
        "the line about prepare_sync_contribution says what went wrong",
    SyncContributionNoExternalPrepares "sync_contribution_no_external_prepares"
        "no peer delivered a selection proof for the sync contribution"
        "this node is cut off from its peers, or all their validator clients were offline",
    NoConsensus "no_consensus"
        "the cluster did not agree on what to sign in time"
        "too few peers were online, the network between them was slow, or their beacon nodes were; nothing wrong was signed",
    NoLocalVcSignature "no_local_vc_signature"
        "our validator client sent no signature"
        "the validator client was down, not connected, late, or refused to sign; look at its log",
    NoPeerSignatures "no_peer_signatures"
        "our partial signature was sent, but none came from any peer"
        "this node is cut off from its peers, or all their validator clients were offline",
    InsufficientPeerSignatures "insufficient_peer_signatures"
        "fewer partial signatures than the threshold were delivered"
        "too many peers, or their validator clients, were offline or late",
    ParSigDbInconsistentSync "par_sig_db_inconsistent_sync"
        "the nodes signed different heads, and none was signed by enough of them"
        "their beacon nodes saw a late block at different times; expected now and then",
    BroadcastBnError "broadcast_bn_error"
        "our beacon node did not take the signed data"
        "the beacon node was down, too slow or refused it; a peer's beacon node may have taken it, so look on the chain",
    NotIncludedOnchain "not_included_onchain"
        "it was sent to the beacon node but not seen on chain"
        "it was sent late, or the beacon node has few peers; a small share of attestations is lost like this anywhere",
    BugFetchError "bug_fetch_error"
        "fetching the data to sign failed unexpectedly"
        "a defect of this program; please report it with the log at debug level",
    BugParSigDbInconsistent "bug_par_sig_db_inconsistent"
        "partial signatures over different data were delivered for what the cluster had agreed on"
        "a peer, or its validator client, signs something else than was agreed; please report it",
    BugParSigDbExternal "bug_par_sig_db_external"
        "peers' partial signatures could not be stored"
        "a defect of this program or a full disk; please report it",
    BugParSigDbInternal "bug_par_sig_db_internal"
        "our partial signature was stored but not sent"
        "a defect of this program or a full disk; please report it",
    BugSigAgg "bug_sig_agg"
        "the partial signatures could not be combined"
        "a peer's key share does not belong to this cluster, or a defect of this program; please report it",
    BugAggregationError "bug_aggregation_error"
        "the combined signature could not be stored"
        "a defect of this program or a full disk; please report it",
    BugDutyDbError "bug_duty_db_error"
        "the agreed data could not be stored"
        "a defect of this program, a full disk, or a second value for a duty that was decided before; please report it",
}

impl Reason {
    /// The duty whose partial signatures were too few, if the duty of this reason waited for them and some were missing.
    #[must_use]
    pub const fn lacks_partials_of(self) -> Option<DutyType> {
        if matches!(
            self,
            Self::ProposerInsufficientRandaos | Self::ProposerNoExternalRandaos
        ) {
            Some(DutyType::Randao)
        } else if matches!(
            self,
            Self::InsufficientAggregatorSelections | Self::NoAggregatorSelections
        ) {
            Some(DutyType::PrepareAggregator)
        } else if matches!(
            self,
            Self::SyncContributionFewPrepares | Self::SyncContributionNoExternalPrepares
        ) {
            Some(DutyType::PrepareSyncContribution)
        } else {
            None
        }
    }
}

/// One report of a station.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Who reports.
    pub station: Station,
    /// Whom it is about.
    pub subjects: Vec<Subject>,
    /// How it went.
    pub outcome: Result<(), StepError>,
}

/// All reports, by duty.
pub type Reports = BTreeMap<Duty, Vec<Seen>>;

/// How a duty ended.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// It reached its last station.
    Success,
    /// No validator was selected, so there was nothing to do.
    NothingToDo,
    /// It did not.
    Failed {
        /// Where it stopped.
        station: Option<Station>,
        /// Why.
        reason: Reason,
        /// The station's last error.
        error: Option<StepError>,
    },
}

/// The station that a successful duty of this type reaches; `votes` tells whether attestations and aggregates are looked
/// for on the chain.
#[must_use]
pub const fn last_station(kind: DutyType, votes: bool) -> Station {
    match kind {
        DutyType::Proposer => Station::ChainInclusion,
        DutyType::Attester | DutyType::Aggregator if votes => Station::ChainInclusion,
        DutyType::Attester
        | DutyType::Aggregator
        | DutyType::Signature
        | DutyType::Exit
        | DutyType::BuilderProposer
        | DutyType::BuilderRegistration
        | DutyType::Randao
        | DutyType::PrepareAggregator
        | DutyType::SyncMessage
        | DutyType::PrepareSyncContribution
        | DutyType::SyncContribution
        | DutyType::InfoSync => Station::Bcast,
    }
}

/// How `duty` ended, by core.md 14.3; `votes` as in [`last_station`].
#[must_use]
pub fn judge(duty: Duty, all: &Reports, votes: bool) -> Verdict {
    let failed = |station, reason, error| Verdict::Failed { station, reason, error };
    let seen = all.get(&duty).map_or(&[][..], Vec::as_slice);
    let Some(last) = seen
        .iter()
        .enumerate()
        .max_by_key(|(i, s)| (s.station, *i))
        .map(|(_, s)| s)
    else {
        return failed(None, Reason::Unknown, None);
    };
    let error = last.outcome.as_ref().err().map(|e| telling(e, last.station, seen));
    let at = Some(last.station);
    match (last.station, &error) {
        (station, None) if station == last_station(duty.kind, votes) => Verdict::Success,
        (Station::Fetcher, None) if matches!(duty.kind, DutyType::Aggregator | DutyType::SyncContribution) => {
            Verdict::NothingToDo
        }
        (Station::Fetcher, _) => failed(at, fetcher_reason(duty, error.as_ref(), all, votes), error),
        (Station::Consensus, Some(_)) => failed(at, Reason::NoConsensus, error),
        (Station::DutyDb, Some(_)) => failed(at, Reason::BugDutyDbError, error),
        (Station::DutyDb | Station::ValidatorApi, _) => {
            failed(Some(Station::ValidatorApi), Reason::NoLocalVcSignature, error)
        }
        (Station::ParSigDbLocal, _) => failed(at, Reason::BugParSigDbInternal, error),
        (Station::ParSigEx, None) => failed(at, Reason::NoPeerSignatures, error),
        (Station::ParSigDbExternal, Some(_)) => failed(at, Reason::BugParSigDbExternal, error),
        (Station::ParSigDbExternal, None) => failed(at, partials_reason(duty.kind, seen), error),
        (Station::SigAgg, Some(_)) => failed(at, Reason::BugSigAgg, error),
        (Station::AggSigDb, _) => failed(at, Reason::BugAggregationError, error),
        (Station::Bcast, Some(_)) => failed(at, Reason::BroadcastBnError, error),
        (Station::ChainInclusion, Some(_)) => failed(at, Reason::NotIncludedOnchain, error),
        (Station::Consensus | Station::SigAgg | Station::Bcast | Station::ChainInclusion, None)
        | (Station::ParSigEx, Some(_)) => failed(at, Reason::Unknown, error),
    }
}

/// The error that explains a station's failure: that the time was over says less than what went wrong before.
fn telling(last: &StepError, station: Station, seen: &[Seen]) -> StepError {
    let over = |e: &&StepError| matches!(e.kind, ErrorKind::Expired | ErrorKind::Stopped);
    if !over(&last) {
        return last.clone();
    }
    let errors = seen.iter().filter(|s| s.station == station);
    let before = errors.filter_map(|s| s.outcome.as_ref().err()).rfind(|e| !over(e));
    before.unwrap_or(last).clone()
}

fn partials_reason(kind: DutyType, seen: &[Seen]) -> Reason {
    if roots(seen).values().all(|roots| roots.len() == 1) {
        Reason::InsufficientPeerSignatures
    } else if matches!(kind, DutyType::SyncMessage | DutyType::SyncContribution) {
        Reason::ParSigDbInconsistentSync
    } else {
        Reason::BugParSigDbInconsistent
    }
}

/// The different roots that partial signatures of each validator were over.
#[must_use]
pub fn roots(seen: &[Seen]) -> BTreeMap<PubKey, BTreeSet<Root>> {
    let mut found: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for subject in seen.iter().filter(|s| s.outcome.is_ok()).flat_map(|s| &s.subjects) {
        if let Some((_, root)) = subject.partial {
            found.entry(subject.validator).or_default().insert(root);
        }
    }
    found
}

/// Core.md 14.4: a fetch mostly fails because another duty of the slot did.
fn fetcher_reason(duty: Duty, error: Option<&StepError>, all: &Reports, votes: bool) -> Reason {
    // A fetch of which nothing is known but that its time was over waited for the beacon node.
    let plain = if error.is_some_and(|e| e.beacon || e.kind == ErrorKind::Expired) {
        Reason::FetchBnError
    } else {
        Reason::BugFetchError
    };
    // Reasons for: no partials of peers, too few, none at all, otherwise.
    let (needs, [external, few, zero, other]) = match duty.kind {
        DutyType::Proposer => (
            DutyType::Randao,
            [
                Reason::ProposerNoExternalRandaos,
                Reason::ProposerInsufficientRandaos,
                Reason::ProposerZeroRandaos,
                Reason::FailedProposerRandao,
            ],
        ),
        DutyType::Aggregator => (
            DutyType::PrepareAggregator,
            [
                Reason::NoAggregatorSelections,
                Reason::InsufficientAggregatorSelections,
                Reason::ZeroAggregatorPrepares,
                Reason::FailedAggregatorSelection,
            ],
        ),
        DutyType::SyncContribution => (
            DutyType::PrepareSyncContribution,
            [
                Reason::SyncContributionNoExternalPrepares,
                Reason::SyncContributionFewPrepares,
                Reason::SyncContributionZeroPrepares,
                Reason::SyncContributionFailedPrepare,
            ],
        ),
        DutyType::Attester
        | DutyType::Signature
        | DutyType::Exit
        | DutyType::BuilderProposer
        | DutyType::BuilderRegistration
        | DutyType::Randao
        | DutyType::PrepareAggregator
        | DutyType::SyncMessage
        | DutyType::PrepareSyncContribution
        | DutyType::InfoSync => return plain,
    };
    match judge(Duty::new(duty.slot, needs), all, votes) {
        Verdict::Failed {
            station: Some(Station::ParSigEx),
            ..
        } => external,
        Verdict::Failed {
            station: Some(Station::ParSigDbExternal),
            ..
        } => few,
        Verdict::Failed { station: None, .. } => zero,
        Verdict::Failed { .. } => other,
        Verdict::Success | Verdict::NothingToDo => {
            let (also, until, reason) = match duty.kind {
                DutyType::Aggregator => (
                    DutyType::Attester,
                    Station::DutyDb,
                    Reason::MissingAggregatorAttestation,
                ),
                DutyType::SyncContribution => (
                    DutyType::SyncMessage,
                    Station::AggSigDb,
                    Reason::SyncContributionNoSyncMsg,
                ),
                DutyType::Proposer
                | DutyType::Attester
                | DutyType::Signature
                | DutyType::Exit
                | DutyType::BuilderProposer
                | DutyType::BuilderRegistration
                | DutyType::Randao
                | DutyType::PrepareAggregator
                | DutyType::SyncMessage
                | DutyType::PrepareSyncContribution
                | DutyType::InfoSync => return plain,
            };
            match judge(Duty::new(duty.slot, also), all, votes) {
                Verdict::Failed { station, .. } if station.is_none_or(|s| s <= until) => reason,
                Verdict::Failed { .. } | Verdict::Success | Verdict::NothingToDo => plain,
            }
        }
    }
}

#[cfg(test)]
mod tests;
