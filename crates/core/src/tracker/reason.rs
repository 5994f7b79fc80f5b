//! Why a duty failed: a pure judgement over what its steps reported.
//!
//! Guarantees: codes are those of Charon (core.md 14.5); the same events always give the same reason.
//! Not here: collecting events, logs and metrics.

use std::collections::{BTreeMap, BTreeSet};

use trireme_eth2::Root;

use crate::{
    duty::{Duty, DutyType},
    ids::PubKey,
    step::{StepError, StepName, Subject},
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
            StepName::ConsensusParticipate | StepName::PriorityPropose | StepName::InfoSyncStore => None,
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
    ($($(#[$doc:meta])* $name:ident $code:literal $text:literal,)*) => {
        /// Why a duty failed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason { $($(#[$doc])* #[doc = $text] $name,)* }

        impl Reason {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The code: metric label and log field.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// What an operator should read.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

reasons! {
    Unknown "unknown" "no explanation was found",
    FetchBnError "fetch_bn_error" "the beacon node did not give the data to sign",
    MissingAggregatorAttestation "missing_aggregator_attestation" "nothing to aggregate, the attester duty of the slot had failed",
    InsufficientAggregatorSelections "insufficient_aggregator_selections" "too few nodes delivered selection proofs for aggregation",
    ZeroAggregatorPrepares "zero_aggregator_prepares" "the validator client asked for no aggregation",
    FailedAggregatorSelection "failed_aggregator_selection" "the selection of aggregators had failed",
    NoAggregatorSelections "no_aggregator_selections" "no peer delivered a selection proof for aggregation",
    ProposerInsufficientRandaos "proposer_insufficient_randaos" "too few nodes delivered randao signatures for the block",
    ProposerZeroRandaos "proposer_zero_randaos" "the validator client did not ask for the block",
    FailedProposerRandao "failed_proposer_randao" "the randao signature for the block had failed",
    ProposerNoExternalRandaos "proposer_no_external_randaos" "no peer delivered a randao signature for the block",
    SyncContributionNoSyncMsg "sync_contribution_no_sync_msg" "nothing to contribute, the sync message of the slot had failed",
    SyncContributionFewPrepares "sync_contribution_few_prepares" "too few nodes delivered selection proofs for the sync contribution",
    SyncContributionZeroPrepares "sync_contribution_zero_prepares" "the validator client asked for no sync contribution",
    SyncContributionFailedPrepare "sync_contribution_failed_prepare" "the selection of sync contributors had failed",
    SyncContributionNoExternalPrepares "sync_contribution_no_external_prepares" "no peer delivered a selection proof for the sync contribution",
    NoConsensus "no_consensus" "the cluster did not agree in time; are enough peers online?",
    NoLocalVcSignature "no_local_vc_signature" "the validator client sent no signature",
    NoPeerSignatures "no_peer_signatures" "no peer delivered a partial signature",
    InsufficientPeerSignatures "insufficient_peer_signatures" "fewer partial signatures than the threshold were delivered",
    ParSigDbInconsistentSync "par_sig_db_inconsistent_sync" "the nodes' beacon nodes saw different heads; expected now and then",
    BroadcastBnError "broadcast_bn_error" "the beacon node did not take the signed data",
    NotIncludedOnchain "not_included_onchain" "sent to the beacon node but not seen on chain",
    BugFetchError "bug_fetch_error" "unexpected error while fetching; please report it",
    BugParSigDbInconsistent "bug_par_sig_db_inconsistent" "partial signatures were over different data; please report it",
    BugParSigDbExternal "bug_par_sig_db_external" "peers' partial signatures could not be stored; please report it",
    BugParSigDbInternal "bug_par_sig_db_internal" "our partial signature was stored but not sent; please report it",
    BugSigAgg "bug_sig_agg" "partial signatures could not be combined; please report it",
    BugAggregationError "bug_aggregation_error" "the combined signature could not be stored; please report it",
    BugDutyDbError "bug_duty_db_error" "the decided data could not be stored; please report it",
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

/// The station that a successful duty of this type reaches.
#[must_use]
pub const fn last_station(kind: DutyType) -> Station {
    if matches!(kind, DutyType::Proposer) {
        Station::ChainInclusion
    } else {
        Station::Bcast
    }
}

/// How `duty` ended, by core.md 14.3.
#[must_use]
pub fn judge(duty: Duty, all: &Reports) -> Verdict {
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
    let error = last.outcome.as_ref().err().cloned();
    let at = Some(last.station);
    match (last.station, &error) {
        (station, None) if station == last_station(duty.kind) => Verdict::Success,
        (Station::Fetcher, None) if matches!(duty.kind, DutyType::Aggregator | DutyType::SyncContribution) => {
            Verdict::NothingToDo
        }
        (Station::Fetcher, _) => failed(at, fetcher_reason(duty, error.as_ref(), all), error),
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
fn fetcher_reason(duty: Duty, error: Option<&StepError>, all: &Reports) -> Reason {
    let plain = if error.is_some_and(|e| e.beacon) {
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
    match judge(Duty::new(duty.slot, needs), all) {
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
            match judge(Duty::new(duty.slot, also), all) {
                Verdict::Failed { station, .. } if station.is_none_or(|s| s <= until) => reason,
                Verdict::Failed { .. } | Verdict::Success | Verdict::NothingToDo => plain,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use trireme_eth2::Slot;

    use super::*;
    use crate::{ids::ShareIdx, step::ErrorKind};

    const V: PubKey = PubKey([1; 48]);

    fn duty(kind: DutyType) -> Duty {
        Duty::new(Slot(9), kind)
    }

    fn error(beacon: bool) -> StepError {
        StepError {
            kind: ErrorKind::Temporary,
            step: None,
            beacon,
            source: Arc::new(std::fmt::Error),
        }
    }

    fn ok(station: Station) -> Seen {
        Seen {
            station,
            subjects: vec![Subject::of(V)],
            outcome: Ok(()),
        }
    }

    fn bad(station: Station) -> Seen {
        Seen {
            outcome: Err(error(false)),
            ..ok(station)
        }
    }

    fn partial(station: Station, share: u8, root: u8) -> Seen {
        let partial = Some((ShareIdx(share), Root([root; 32])));
        Seen {
            station,
            subjects: vec![Subject { validator: V, partial }],
            outcome: Ok(()),
        }
    }

    fn reason(kind: DutyType, all: &[(DutyType, Vec<Seen>)]) -> &'static str {
        let all = all.iter().map(|(k, seen)| (duty(*k), seen.clone())).collect();
        match judge(duty(kind), &all) {
            Verdict::Success => "success",
            Verdict::NothingToDo => "nothing to do",
            Verdict::Failed { reason, .. } => reason.code(),
        }
    }

    #[test]
    fn the_furthest_station_decides() {
        use Station as S;
        let attester = |seen: &[Seen]| reason(DutyType::Attester, &[(DutyType::Attester, seen.to_vec())]);
        let cases = [
            (vec![bad(S::Fetcher)], "bug_fetch_error"),
            (
                vec![Seen {
                    outcome: Err(error(true)),
                    ..ok(S::Fetcher)
                }],
                "fetch_bn_error",
            ),
            (vec![ok(S::Fetcher), bad(S::Consensus)], "no_consensus"),
            (
                vec![ok(S::Fetcher), ok(S::Consensus), bad(S::DutyDb)],
                "bug_duty_db_error",
            ),
            (vec![ok(S::DutyDb), ok(S::Fetcher)], "no_local_vc_signature"),
            (vec![ok(S::ParSigDbLocal)], "bug_par_sig_db_internal"),
            (vec![ok(S::ParSigDbLocal), ok(S::ParSigEx)], "no_peer_signatures"),
            (
                vec![partial(S::ParSigDbLocal, 1, 7), partial(S::ParSigDbExternal, 2, 7)],
                "insufficient_peer_signatures",
            ),
            (
                vec![partial(S::ParSigDbLocal, 1, 7), partial(S::ParSigDbExternal, 2, 8)],
                "bug_par_sig_db_inconsistent",
            ),
            (vec![bad(S::ParSigDbExternal)], "bug_par_sig_db_external"),
            (vec![bad(S::SigAgg)], "bug_sig_agg"),
            (vec![bad(S::AggSigDb)], "bug_aggregation_error"),
            (vec![bad(S::Bcast)], "broadcast_bn_error"),
            (vec![bad(S::Bcast), ok(S::Bcast)], "success"),
            (vec![], "unknown"),
        ];
        for (seen, expected) in cases {
            assert_eq!(attester(&seen), expected, "{seen:?}");
        }
    }

    #[test]
    fn a_block_fails_because_its_randao_did() {
        use Station as S;
        let with = |randao: Vec<Seen>| {
            reason(
                DutyType::Proposer,
                &[(DutyType::Proposer, vec![bad(S::Fetcher)]), (DutyType::Randao, randao)],
            )
        };
        assert_eq!(with(vec![]), "proposer_zero_randaos");
        assert_eq!(
            with(vec![ok(S::ParSigDbLocal), ok(S::ParSigEx)]),
            "proposer_no_external_randaos"
        );
        assert_eq!(
            with(vec![partial(S::ParSigDbExternal, 2, 7)]),
            "proposer_insufficient_randaos"
        );
        assert_eq!(with(vec![bad(S::SigAgg)]), "failed_proposer_randao");
        assert_eq!(with(vec![ok(S::Bcast)]), "bug_fetch_error");
    }

    #[test]
    fn a_block_is_a_success_only_once_it_is_on_chain() {
        let with = |seen| reason(DutyType::Proposer, &[(DutyType::Proposer, seen)]);
        assert_eq!(with(vec![ok(Station::Bcast)]), "unknown");
        assert_eq!(with(vec![ok(Station::Bcast), ok(Station::ChainInclusion)]), "success");
        assert_eq!(
            with(vec![ok(Station::Bcast), bad(Station::ChainInclusion)]),
            "not_included_onchain"
        );
    }

    #[test]
    fn nobody_selected_is_no_failure() {
        let seen = vec![ok(Station::Fetcher)];
        assert_eq!(
            reason(DutyType::Aggregator, &[(DutyType::Aggregator, seen)]),
            "nothing to do"
        );
    }

    #[test]
    fn different_heads_of_sync_messages_are_a_known_limitation() {
        let seen = vec![
            partial(Station::ParSigDbExternal, 1, 7),
            partial(Station::ParSigDbExternal, 2, 8),
        ];
        assert_eq!(
            reason(DutyType::SyncMessage, &[(DutyType::SyncMessage, seen)]),
            "par_sig_db_inconsistent_sync"
        );
    }
}
