//! Each reason, from what the stations saw.

use std::sync::Arc;

use trireme_eth2::Slot;

use super::*;
use crate::ids::ShareIdx;

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
    match judge(duty(kind), &all, false) {
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
fn votes_are_a_success_only_once_they_are_on_chain_if_they_are_looked_for() {
    let of = |kind, seen: &[Seen]| judge(duty(kind), &Reports::from([(duty(kind), seen.to_vec())]), true);
    for kind in [DutyType::Attester, DutyType::Aggregator] {
        assert!(matches!(
            of(kind, &[ok(Station::Bcast)]),
            Verdict::Failed {
                reason: Reason::Unknown,
                ..
            }
        ));
        let seen = [ok(Station::Bcast), ok(Station::ChainInclusion)];
        assert!(matches!(of(kind, &seen), Verdict::Success));
    }
    assert!(matches!(
        of(DutyType::SyncMessage, &[ok(Station::Bcast)]),
        Verdict::Success
    ));
}

#[test]
fn an_aggregate_fails_because_its_selection_or_its_attestation_did() {
    use Station as S;
    let with = |kind, needs, prepare: Vec<Seen>, also, other: Vec<Seen>| {
        reason(kind, &[(kind, vec![bad(S::Fetcher)]), (needs, prepare), (also, other)])
    };
    let aggregate = |prepare, attester| {
        with(
            DutyType::Aggregator,
            DutyType::PrepareAggregator,
            prepare,
            DutyType::Attester,
            attester,
        )
    };
    let contribution = |prepare, message| {
        with(
            DutyType::SyncContribution,
            DutyType::PrepareSyncContribution,
            prepare,
            DutyType::SyncMessage,
            message,
        )
    };
    let done = || vec![ok(S::Bcast)];
    let stopped = [
        (vec![], "zero_aggregator_prepares", "sync_contribution_zero_prepares"),
        (
            vec![ok(S::ParSigEx)],
            "no_aggregator_selections",
            "sync_contribution_no_external_prepares",
        ),
        (
            vec![partial(S::ParSigDbExternal, 2, 7)],
            "insufficient_aggregator_selections",
            "sync_contribution_few_prepares",
        ),
        (
            vec![bad(S::SigAgg)],
            "failed_aggregator_selection",
            "sync_contribution_failed_prepare",
        ),
    ];
    for (prepare, aggregator, contributor) in stopped {
        assert_eq!(aggregate(prepare.clone(), done()), aggregator);
        assert_eq!(contribution(prepare, done()), contributor);
    }
    assert_eq!(
        aggregate(done(), vec![bad(S::DutyDb)]),
        "missing_aggregator_attestation"
    );
    assert_eq!(
        contribution(done(), vec![bad(S::AggSigDb)]),
        "sync_contribution_no_sync_msg"
    );
    assert_eq!(aggregate(done(), vec![ok(S::ParSigEx)]), "bug_fetch_error");
    assert_eq!(contribution(done(), done()), "bug_fetch_error");
}

#[test]
fn what_went_wrong_before_the_time_was_over_is_what_is_told() {
    let expired = || Seen {
        outcome: Err(StepError {
            kind: ErrorKind::Expired,
            ..error(false)
        }),
        ..ok(Station::Fetcher)
    };
    let refused = Seen {
        outcome: Err(error(true)),
        ..ok(Station::Fetcher)
    };
    let duty = duty(DutyType::Attester);
    let all = Reports::from([(duty, vec![refused, expired()])]);
    let Verdict::Failed { reason, error, .. } = judge(duty, &all, false) else {
        panic!("it failed")
    };
    assert_eq!(reason, Reason::FetchBnError);
    assert_eq!(error.map(|e| e.kind), Some(ErrorKind::Temporary));

    // Nothing was heard of the beacon node at all.
    let all = Reports::from([(duty, vec![expired()])]);
    assert!(matches!(
        judge(duty, &all, false),
        Verdict::Failed {
            reason: Reason::FetchBnError,
            ..
        }
    ));
}

#[test]
fn every_reason_says_what_happened_and_what_it_means_in_words_of_its_own() {
    let mut codes: Vec<_> = Reason::ALL.iter().map(|r| r.code()).collect();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), Reason::ALL.len());
    for reason in Reason::ALL {
        assert!(reason.text().split(' ').count() >= 4, "{reason:?}");
        assert!(reason.meaning().split(' ').count() >= 4, "{reason:?}");
        assert_ne!(reason.text(), reason.meaning());
    }
}

mod vectors {
    use super::*;

    #[test]
    fn failure_reasons() {
        #[derive(serde::Deserialize)]
        struct Known {
            code: String,
            short: String,
        }
        trireme_vectors::each("dashboards", "failure-reasons", |e| {
            let known: Vec<Known> = e.parse();
            let mut theirs: Vec<&str> = known.iter().map(|k| k.code.as_str()).collect();
            let mut ours: Vec<&str> = Reason::ALL.iter().map(|r| r.code()).collect();
            theirs.sort_unstable();
            ours.sort_unstable();
            assert_eq!(ours, theirs);
            for text in Reason::ALL.iter().flat_map(|r| [r.text(), r.meaning()]) {
                assert!(
                    known.iter().all(|k| k.short != text),
                    "{text:?} is not in our own words"
                );
            }
        });
    }
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
