use std::fmt::Write as _;

use super::*;

const SETUP: Setup = Setup {
    threshold: 3,
    validators: 1,
    peer: 2,
    builder_api: true,
};

/// The verdict on gatherings half a minute apart.
fn verdict(name: &str, setup: &Setup, gatherings: &[&str], memory: &[f64]) -> Option<bool> {
    let all: VecDeque<_> = gatherings.iter().map(|text| Samples::read(text, |_| true)).collect();
    let check = CHECKS.iter().find(|c| c.name == name).unwrap();
    (check.failing)(&Seen {
        setup,
        latest: all.back().unwrap_or(&Samples::default()),
        window: &all,
        hour: &all,
        memory: &memory.iter().copied().collect(),
        crowded: &BTreeMap::new(),
    })
}

fn of(name: &str, gatherings: &[&str]) -> Option<bool> {
    verdict(name, &SETUP, gatherings, &[])
}

#[test]
fn states_are_judged_by_their_latest_value() {
    let cases = [
        ("beacon_node_syncing", "app_monitoring_readyz", "1", "3"),
        ("using_fallback_beacon_nodes", "app_eth2_using_fallback", "0", "1"),
        ("local_block_proposal", "core_fetcher_proposal_blinded", "1", "2"),
        (
            "local_proposal_fee_recipient_mismatch",
            "core_fetcher_proposal_local_mismatch_fee_recipient",
            "1",
            "2",
        ),
        ("high_goroutine_count", "go_goroutines", "1000", "1001"),
    ];
    for (check, metric, good, bad) in cases {
        assert_eq!(of(check, &["other 1"]), None, "{check} without its metric");
        assert_eq!(of(check, &[&format!("{metric} {good}")]), Some(false), "{check}");
        assert_eq!(
            of(check, &[&format!("{metric} {good}"), &format!("{metric} {bad}")]),
            Some(true),
            "{check}"
        );
    }
}

#[test]
fn local_blocks_are_fine_where_no_builder_is_wanted() {
    let setup = Setup {
        builder_api: false,
        ..SETUP
    };
    assert_eq!(
        verdict(
            "local_block_proposal",
            &setup,
            &["core_fetcher_proposal_blinded 2"],
            &[]
        ),
        Some(false)
    );
}

#[test]
fn counters_are_judged_by_their_increase_in_the_window() {
    for (check, metric) in [
        (
            "high_registration_failures_rate",
            "core_scheduler_submit_registration_errors_total",
        ),
        (
            "insufficient_round_changes",
            "core_consensus_insufficient_round_changes_total{duty=\"attester\"}",
        ),
    ] {
        let at = |n| format!("{metric} {n}");
        assert_eq!(of(check, &["other 1"]), None);
        assert_eq!(of(check, &[&at(7), &at(7)]), Some(false), "{check}");
        assert_eq!(of(check, &[&at(7), &at(8)]), Some(true), "{check}");
        assert_eq!(of(check, &["other 1", &at(1)]), Some(true), "{check}: a new series");
    }
}

#[test]
fn peers_that_answered_within_the_window_are_connected() {
    let gathering = |a, b, c| {
        format!(
            "p2p_ping_success{{peer=\"a\"}} {a}\np2p_ping_success{{peer=\"b\"}} {b}\np2p_ping_success{{peer=\"c\"}} {c}"
        )
    };
    let check = |list: &[String]| {
        let list: Vec<&str> = list.iter().map(String::as_str).collect();
        of("insufficient_connected_peers", &list)
    };
    assert_eq!(check(&["x 1".into()]), None);
    assert_eq!(check(&[gathering(1, 0, 0)]), Some(true));
    assert_eq!(check(&[gathering(1, 1, 0)]), Some(false));
    assert_eq!(check(&[gathering(0, 1, 0), gathering(1, 0, 0)]), Some(false));
}

#[test]
fn pending_validators_are_seen_by_their_status() {
    let status = |s| format!("core_scheduler_validator_status{{pubkey=\"a\",status=\"{s}\"}} 1");
    assert_eq!(of("pending_validators", &[&status("active_ongoing")]), Some(false));
    assert_eq!(of("pending_validators", &[&status("pending_queued")]), Some(true));
}

#[test]
fn latencies_are_lifetime_means_of_the_worst() {
    let latency = |endpoint, sum, n| {
        format!(
            "app_eth2_latency_seconds_sum{{endpoint=\"{endpoint}\"}} {sum}\napp_eth2_latency_seconds_count{{endpoint=\"{endpoint}\"}} {n}\n"
        )
    };
    let text = latency("validators", 5, 10) + &latency("proposal", 19, 10);
    assert_eq!(of("high_beacon_node_latency", &[&text]), Some(false));
    assert_eq!(of("high_beacon_node_proposal_latency", &[&text]), Some(false));
    let text = text + &latency("attestation_data", 11, 10) + &latency("submit_blinded_proposal", 21, 10);
    assert_eq!(of("high_beacon_node_latency", &[&text]), Some(true));
    assert_eq!(of("high_beacon_node_proposal_latency", &[&text]), Some(true));

    let ping = |peer, sum| {
        format!(
            "p2p_ping_latency_secs_sum{{peer=\"{peer}\"}} {sum}\np2p_ping_latency_secs_count{{peer=\"{peer}\"}} 10\n"
        )
    };
    assert_eq!(
        of("high_peer_ping_latency", &[&(ping("a", 1.0) + &ping("b", 1.4))]),
        Some(false)
    );
    assert_eq!(
        of("high_peer_ping_latency", &[&(ping("a", 1.0) + &ping("b", 1.6))]),
        Some(true)
    );

    for (check, duty, limit) in [
        ("high_parsigdb_store_latency", "attester", 2),
        ("high_parsigdb_store_latency_proposer", "proposer", 3),
    ] {
        let store = |sum: f64| {
            format!(
                "core_parsigdb_store_sum{{duty=\"{duty}\",peer_idx=\"0\"}} {sum}\ncore_parsigdb_store_count{{duty=\"{duty}\",peer_idx=\"0\"}} 10"
            )
        };
        let limit = f64::from(limit) * 10.0;
        assert_eq!(of(check, &[&store(limit)]), Some(false), "{check}");
        assert_eq!(of(check, &[&store(limit + 1.0)]), Some(true), "{check}");
    }
}

#[test]
fn clocks_may_differ_in_either_direction() {
    let offset = |s| format!("app_peerinfo_clock_offset_seconds{{peer=\"a\"}} {s}");
    assert_eq!(of("high_peer_clock_offset", &[&offset(-0.19)]), Some(false));
    assert_eq!(of("high_peer_clock_offset", &[&offset(-0.21)]), Some(true));
}

#[test]
fn second_rounds_count_for_proposals_and_attestations_only() {
    let rounds = |duty| format!("core_consensus_decided_rounds{{duty=\"{duty}\"}} 2");
    assert_eq!(of("high_consensus_rounds", &[&rounds("aggregator")]), Some(false));
    assert_eq!(of("high_consensus_rounds", &[&rounds("attester")]), Some(true));
}

#[test]
fn late_heads_are_counted_per_beacon_node() {
    let delay = |addr, in_time, all| {
        format!(
            "app_beacon_node_sse_head_delay_bucket{{addr=\"{addr}\",le=\"4\"}} {in_time}\napp_beacon_node_sse_head_delay_count{{addr=\"{addr}\"}} {all}\n"
        )
    };
    let before = delay("a", 0, 100) + &delay("b", 0, 0);
    let good = delay("a", 96, 200) + &delay("b", 100, 100);
    let bad = delay("a", 95, 200) + &delay("b", 100, 100);
    assert_eq!(of("high_beacon_node_sse_head_delay", &[&before, &good]), Some(false));
    assert_eq!(of("high_beacon_node_sse_head_delay", &[&before, &bad]), Some(true));
}

#[test]
fn own_heads_are_compared_once_there_are_enough() {
    let ranks = |peer, first, second| {
        format!(
            "core_tracker_parsig_cohort_rank_total{{duty=\"sync_message\",peer_idx=\"{peer}\",rank=\"0\"}} {first}\ncore_tracker_parsig_cohort_rank_total{{duty=\"sync_message\",peer_idx=\"{peer}\",rank=\"1\"}} {second}"
        )
    };
    let check = |text: &str| of("sync_message_head_disagreement", &["x 1", text]);
    assert_eq!(check(&ranks(2, 10, 9)), None);
    assert_eq!(check(&ranks(2, 95, 5)), Some(false));
    assert_eq!(check(&ranks(2, 94, 6)), Some(true));
    assert_eq!(check(&ranks(1, 0, 100)), None, "another peer's");
}

#[test]
fn memory_is_compared_with_the_day_before() {
    let check = |days: &[(usize, f64)]| {
        let memory: Vec<f64> = days.iter().flat_map(|(n, v)| vec![*v; *n]).collect();
        verdict("memory_leak", &SETUP, &[""], &memory)
    };
    assert_eq!(check(&[(48, 100.0)]), None, "one day only");
    assert_eq!(check(&[(8, 500.0), (48, 100.0), (48, 104.0)]), Some(false));
    assert_eq!(check(&[(8, 1.0), (48, 100.0), (48, 106.0)]), Some(true));
    assert_eq!(
        check(&[(8, 1.0), (7, 100.0), (48, 106.0)]),
        None,
        "too little of the day before"
    );
}

#[test]
fn names_are_unique_and_descriptions_are_one_line() {
    let mut all = String::new();
    for check in CHECKS {
        assert!(!all.contains(&format!("{}\n", check.name)));
        writeln!(all, "{}", check.name).unwrap();
        assert!(!check.description.contains('\n') && check.description.ends_with('.'));
    }
}
