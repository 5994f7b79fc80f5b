//! The rows of vc-behaviours.md sections 1 to 5 that beacon nodes decide, each test named after its row.

use std::time::Duration;

use serde_json::json;
use tracing::Level;
use trireme_beacon::{Broadcast, Clients, Counts, GivenTimeouts, Metrics, PoolError, Status};
use trireme_core::{
    compute::Pool as ComputePool,
    ports::{BeaconError, BeaconNode as _, Compute as _, Lane},
};
use trireme_eth2::{
    AttestationData, BlsSignature, Epoch, Fork, Root, SignedContributionAndProof, SignedValidatorRegistrationV1, Slot,
    ValidatorIndex, VersionedSignedAggregateAndProof, electra,
};
use trireme_testutil::sim::Lines;

use super::{
    calls::{block, vote},
    fleet::{Bn, Fleet, Manner, VERSION, pool_config, root},
};

const DATA: &str = "/eth/v1/validator/attestation_data";
const PREPARE: &str = "/eth/v1/validator/prepare_beacon_proposer";
const REGISTER: &str = "/eth/v1/validator/register_validator";
const CONTRIBUTIONS: &str = "/eth/v1/validator/contribution_and_proofs";
const BLOCKS: &str = "/eth/v2/beacon/blocks";
const VERSION_PATH: &str = "/eth/v1/node/version";

const SLOT: Slot = Slot(100);

fn unsynced() -> serde_json::Value {
    json!({"head_slot": "40", "sync_distance": "60", "is_syncing": true, "is_optimistic": false, "el_offline": false})
}

fn preparation() -> Vec<(ValidatorIndex, [u8; 20])> {
    vec![(ValidatorIndex(1), [7; 20])]
}

fn registrations(n: usize) -> Vec<SignedValidatorRegistrationV1> {
    vec![SignedValidatorRegistrationV1::default(); n]
}

fn statuses(fleet: &Fleet) -> Vec<Status> {
    fleet.pool.statuses().into_iter().map(|(_, status)| status).collect()
}

/// Lets what was handed to tasks arrive.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(100)).await;
}

#[tokio::test(start_paused = true)]
async fn vc_01_preparations_go_to_all_beacon_nodes_and_one_failure_is_one_warning() {
    let fleet = Fleet::of(3).await;
    fleet.bns[1].fail(PREPARE);
    let lines = Lines::here();
    fleet.pool.prepare_proposers(preparation()).await.unwrap();
    settle().await;
    for bn in &fleet.bns {
        assert_eq!(bn.asked(PREPARE), 1);
    }
    let said: Vec<_> = lines
        .take(Level::WARN)
        .into_iter()
        .filter(|l| l.contains("did not take"))
        .collect();
    let address = fleet.bns[1].url.as_str().trim_end_matches('/');
    assert!(matches!(&said[..], [line] if line.contains(address)), "{said:?}");
}

#[tokio::test(start_paused = true)]
async fn vc_02_synced_ones_are_asked_first_then_unsynced_ones_then_those_that_were_left_out() {
    let fleet = Fleet::with(3, |bns, _| bns[1].mind().syncing = unsynced()).await;
    let ask = || async { fleet.pool.attestation_data(SLOT, 0).await };
    // The first one fails once and is left out.
    fleet.bns[0].fail(DATA);
    ask().await.unwrap();
    assert_eq!(statuses(&fleet), [Status::Offline, Status::NotSynced, Status::Ok]);
    fleet.bns[0].good();
    let asked = || fleet.bns.iter().map(|bn| bn.times(DATA)).collect::<Vec<_>>();
    fleet.bns.iter().for_each(Bn::forget);
    ask().await.unwrap();
    assert_eq!(asked().iter().map(Vec::len).collect::<Vec<_>>(), [0, 0, 1]);

    // All fail: the third, then the second, then the first once it has been looked at.
    fleet.bns.iter().for_each(Bn::forget);
    for bn in &fleet.bns {
        bn.set(DATA, Manner::Late(Duration::from_secs(30)));
    }
    ask().await.unwrap_err();
    let times: Vec<Duration> = asked().into_iter().flatten().collect();
    assert!(
        matches!(&times[..], [first, second, third] if third < second && second < first),
        "{times:?}"
    );
    assert_eq!(fleet.bns[0].times(VERSION_PATH).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vc_03_look_at_a_beacon_node_that_hangs_holds_up_nobody() {
    let fleet = Fleet::of(2).await;
    fleet.bns[0].fail(DATA);
    fleet.pool.attestation_data(SLOT, 0).await.unwrap();
    fleet.bns[0].set("/", Manner::Hang);
    let looking = fleet.pool.refresh();
    let asking = async {
        let mut took = Vec::new();
        for _ in 0..50 {
            let began = tokio::time::Instant::now();
            let load = (0..8).map(|_| fleet.pool.attestation_data(SLOT, 0));
            for answer in futures::future::join_all(load).await {
                answer.unwrap();
            }
            took.push(began.elapsed());
        }
        took.sort_unstable();
        took
    };
    tokio::pin!(looking);
    let took = tokio::select! { biased;
        () = &mut looking => panic!("the look ended before the questions"),
        took = asking => took,
    };
    // A busy machine may delay one or two; one that waited for the look would take two seconds.
    assert!(took[47] < Duration::from_millis(100), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn vc_04_registration_failure_keeps_status() {
    let fleet = Fleet::of(1).await;
    let missing = r#"{"code":500,"message":"BuilderMissing"}"#;
    fleet.bns[0].set(REGISTER, Manner::Refuse(500, missing.to_owned()));
    fleet.pool.submit_registrations(registrations(1)).await.unwrap_err();
    assert_eq!(statuses(&fleet), [Status::Ok]);
    fleet.bns[0].forget();
    fleet.pool.attestation_data(SLOT, 0).await.unwrap();
    assert_eq!(fleet.bns[0].times(VERSION_PATH).len(), 0, "used without another look");

    fleet.bns[0].set(DATA, Manner::Refuse(500, missing.to_owned()));
    fleet.pool.attestation_data(SLOT, 0).await.unwrap_err();
    assert_eq!(statuses(&fleet), [Status::Offline]);
}

#[tokio::test(start_paused = true)]
async fn vc_05_failed_registrations_are_warnings_with_the_reason_of_each_beacon_node() {
    let fleet = Fleet::of(2).await;
    let lines = Lines::here();
    fleet.bns[0].set(
        REGISTER,
        Manner::Refuse(500, r#"{"code":500,"message":"BuilderMissing"}"#.to_owned()),
    );
    fleet.bns[1].set(
        REGISTER,
        Manner::Refuse(400, r#"{"code":400,"message":"bad timestamp"}"#.to_owned()),
    );
    fleet.pool.submit_registrations(registrations(1)).await.unwrap_err();
    let said = lines.take(Level::WARN);
    for (bn, reason) in fleet.bns.iter().zip(["BuilderMissing", "bad timestamp"]) {
        let address = bn.url.as_str().trim_end_matches('/');
        assert!(
            said.iter().any(|l| l.contains(address) && l.contains(reason)),
            "{said:?}"
        );
    }
    fleet.pool.submit_registrations(registrations(1)).await.unwrap_err();
    assert!(lines.take(Level::ERROR).is_empty());
}

#[tokio::test(start_paused = true)]
async fn vc_06_beacon_node_that_failed_is_left_out_until_it_was_looked_at() {
    let fleet = Fleet::of(2).await;
    fleet.bns[0].fail(DATA);
    fleet.pool.attestation_data(SLOT, 0).await.unwrap();
    fleet.bns[0].good();
    fleet.bns.iter().for_each(Bn::forget);
    fleet.pool.attestation_data(SLOT, 0).await.unwrap();
    assert_eq!(fleet.bns[0].asked(DATA), 0);
    // The routine look comes two seconds before the next slot.
    fleet.until(100, Duration::from_millis(10_100)).await;
    fleet.pool.attestation_data(SLOT, 0).await.unwrap();
    assert_eq!(fleet.bns[0].asked(DATA), 1);
}

#[tokio::test(start_paused = true)]
async fn vc_07_beacon_node_of_another_chain_is_never_used_and_one_with_another_fork_epoch_is() {
    let lines = Lines::here();
    let fleet = Fleet::with(3, |bns, _| {
        bns[1].mind().spec["GENESIS_FORK_VERSION"] = json!("0x00000001");
        bns[2].mind().spec["BELLATRIX_FORK_EPOCH"] = json!("9");
    })
    .await;
    assert_eq!(statuses(&fleet), [Status::Ok, Status::Incompatible, Status::Ok]);
    let warned = lines.take(Level::WARN);
    assert_eq!(
        warned.iter().filter(|l| l.contains("bellatrix")).count(),
        1,
        "{warned:?}"
    );
    fleet.pool.refresh().await;
    let warned = lines.take(Level::WARN);
    assert_eq!(
        warned.iter().filter(|l| l.contains("bellatrix")).count(),
        1,
        "one per look"
    );
    fleet.bns.iter().for_each(Bn::forget);
    for bn in [&fleet.bns[0], &fleet.bns[2]] {
        bn.fail(DATA);
    }
    fleet.pool.attestation_data(SLOT, 0).await.unwrap_err();
    fleet.pool.prepare_proposers(preparation()).await.unwrap();
    settle().await;
    assert_eq!(fleet.bns[1].asked("/"), 0);
}

#[tokio::test(start_paused = true)]
async fn vc_07_another_chain_is_an_error_line() {
    let lines = Lines::here();
    let _fleet = Fleet::with(2, |bns, _| {
        bns[1].mind().spec["GENESIS_FORK_VERSION"] = json!("0x00000001");
    })
    .await;
    let said = lines.take(Level::ERROR);
    assert!(matches!(&said[..], [line] if line.contains("0x00000001")), "{said:?}");
}

#[tokio::test(start_paused = true)]
async fn those_that_may_be_asked_are_grouped_by_how_good_they_are_and_one_of_another_chain_is_in_no_group() {
    let fleet = Fleet::with(7, |bns, config| {
        bns[1].mind().spec["GENESIS_FORK_VERSION"] = json!("0x00000001");
        bns[2].mind().syncing = unsynced();
        bns[3].mind().syncing["is_optimistic"] = json!(true);
        bns[4].fail("/");
        config.fallbacks = vec![config.endpoints.pop().unwrap()];
    })
    .await;
    assert_eq!(fleet.pool.groups(), [vec![0, 5], vec![3], vec![6], vec![2]]);
    // The one that was left out is there again, and is looked at.
    fleet.bns[4].good();
    fleet.bns.iter().for_each(Bn::forget);
    fleet.pool.look_again().await;
    assert_eq!(
        fleet.bns[4].asked("/"),
        0,
        "others can be used, and it was looked at a moment ago"
    );
    tokio::time::sleep(Duration::from_millis(6_100)).await;
    fleet.pool.look_again().await;
    assert_eq!(fleet.pool.groups()[0], [0, 4, 5]);
    assert_eq!(fleet.bns[0].asked("/"), 0);
}

#[tokio::test(start_paused = true)]
async fn vc_09_fields_of_the_configuration_that_are_not_needed_are_not_mentioned() {
    let lines = Lines::here();
    let fleet = Fleet::with(1, |bns, _| {
        for n in 0..50 {
            bns[0].mind().spec[format!("UNHEARD_OF_{n}")] = json!("1");
        }
    })
    .await;
    assert_eq!(statuses(&fleet), [Status::Ok]);
    for level in [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG] {
        assert!(!lines.take(level).iter().any(|l| l.contains("UNHEARD_OF")));
    }
}

#[tokio::test(start_paused = true)]
async fn vc_10_question_to_one_that_hangs_ends_after_its_limit_and_the_last_one_has_a_slot() {
    let fleet = Fleet::of(2).await;
    for bn in &fleet.bns {
        bn.set("/eth/v1/validator", Manner::Hang);
    }
    let began = tokio::time::Instant::now();
    let error = fleet.pool.proposer_duties(Epoch(3)).await.unwrap_err();
    assert!(matches!(error, BeaconError::Timeout { .. }), "{error}");
    // The second was asked a quarter of a second after the first, of which nothing was known, and has a whole slot.
    assert_eq!(began.elapsed().as_millis(), 12_250);
    // The first was given up after a quarter of a slot, and found in order by the look before the next slot.
    assert_eq!(statuses(&fleet), [Status::Ok, Status::Offline]);
}

#[tokio::test(start_paused = true)]
async fn vc_10_and_63_contributions_reach_the_second_at_once_when_the_first_hangs() {
    let fleet = Fleet::of(2).await;
    fleet.bns[0].set(CONTRIBUTIONS, Manner::Hang);
    let began = tokio::time::Instant::now();
    let all = vec![SignedContributionAndProof::default()];
    fleet.pool.submit_contributions(all).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(3));
    assert_eq!(fleet.bns[1].asked(CONTRIBUTIONS), 1);
    // The first is given a quarter of a slot.
    tokio::time::sleep(Duration::from_millis(2_900)).await;
    assert_eq!(statuses(&fleet)[0], Status::Ok);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(statuses(&fleet)[0], Status::Offline);
}

#[tokio::test(start_paused = true)]
async fn vc_10_only_beacon_node_that_hangs_has_a_whole_slot_for_contributions() {
    let fleet = Fleet::of(1).await;
    fleet.bns[0].set(CONTRIBUTIONS, Manner::Hang);
    let began = tokio::time::Instant::now();
    let all = vec![SignedContributionAndProof::default()];
    let error = fleet.pool.submit_contributions(all).await.unwrap_err();
    assert!(matches!(error, BeaconError::Timeout { .. }), "{error}");
    assert_eq!(began.elapsed().as_secs(), 12);
}

#[tokio::test(start_paused = true)]
async fn vc_10_limit_that_is_given_holds() {
    let fleet = Fleet::with(1, |_, config| {
        config.timeouts = GivenTimeouts {
            read: Some(Duration::from_secs(5)),
            submit: None,
        };
    })
    .await;
    fleet.bns[0].set(DATA, Manner::Hang);
    let began = tokio::time::Instant::now();
    fleet.pool.attestation_data(SLOT, 0).await.unwrap_err();
    assert_eq!(began.elapsed().as_millis(), 5_000);
}

#[tokio::test(start_paused = true)]
async fn vc_13_numbers_in_metrics_and_log_are_the_same() {
    let fleet = Fleet::of(4).await;
    let lines = Lines::here();
    fleet.bns[1].mind().syncing = unsynced();
    fleet.bns[2].fail("/");
    fleet.pool.refresh().await;
    let expected = Counts {
        synced: 2,
        available: 3,
        total: 4,
    };
    assert_eq!(fleet.pool.counts(), expected);
    let value = |name: &str| fleet.metric(&format!("vc_beacon_nodes_{name}_count"));
    assert_eq!(
        [value("synced"), value("available"), value("total")],
        [Some(2.0), Some(3.0), Some(4.0)]
    );
    let said = lines.take(Level::INFO);
    let line = said.iter().find(|l| l.contains("Connected to beacon nodes")).unwrap();
    assert!(
        line.contains("synced=2") && line.contains("available=3") && line.contains("total=4"),
        "{line}"
    );
}

#[tokio::test(start_paused = true)]
async fn vc_14_requests_and_errors_are_counted_per_beacon_node() {
    let fleet = Fleet::of(2).await;
    let counted = |fleet: &Fleet, what: &str, at: usize| {
        let address = fleet.bns[at].url.as_str().trim_end_matches('/').to_owned();
        let name = format!("bn_endpoint_{what}_total{{endpoint=\"{address}\"}}");
        fleet.metric(&name).unwrap_or_default()
    };
    let before = [counted(&fleet, "requests", 0), counted(&fleet, "requests", 1)];
    fleet.bns[0].fail(DATA);
    fleet.pool.attestation_data(SLOT, 0).await.unwrap();
    assert_eq!(counted(&fleet, "requests", 0), before[0] + 1.0);
    assert_eq!(counted(&fleet, "requests", 1), before[1] + 1.0);
    assert_eq!([counted(&fleet, "errors", 0), counted(&fleet, "errors", 1)], [1.0, 0.0]);
    // The question itself had an answer.
    assert_eq!(
        fleet.metric("app_eth2_requests_total{endpoint=\"attestation_data\"}"),
        Some(1.0)
    );
    assert_eq!(
        fleet.metric("app_eth2_errors_total{endpoint=\"attestation_data\"}"),
        None
    );
}

#[tokio::test(start_paused = true)]
async fn vc_15_blocks_go_to_fallbacks_too_where_wanted_and_only_after_failures_otherwise() {
    for (names, at_once) in [(vec!["subscriptions"], 0), (vec!["blocks"], 1)] {
        let fleet = Fleet::with(2, |_, config| {
            config.fallbacks = vec![config.endpoints.pop().unwrap()];
            config.broadcast = Broadcast::parse(&names).unwrap();
        })
        .await;
        fleet.pool.submit_proposal(block()).await.unwrap();
        settle().await;
        assert_eq!([fleet.bns[0].asked(BLOCKS), fleet.bns[1].asked(BLOCKS)], [1, at_once]);
    }
    let fleet = Fleet::with(2, |_, config| config.broadcast = Broadcast::parse(&["none"]).unwrap()).await;
    fleet.pool.prepare_proposers(preparation()).await.unwrap();
    settle().await;
    assert_eq!([fleet.bns[0].asked(PREPARE), fleet.bns[1].asked(PREPARE)], [1, 0]);
    fleet.pool.submit_proposal(block()).await.unwrap();
    settle().await;
    assert_eq!(
        [fleet.bns[0].asked(BLOCKS), fleet.bns[1].asked(BLOCKS)],
        [1, 1],
        "signed data go to all"
    );
}

#[tokio::test(start_paused = true)]
async fn fallback_is_used_only_while_every_primary_one_fails() {
    let fleet = Fleet::with(2, |_, config| config.fallbacks = vec![config.endpoints.pop().unwrap()]).await;
    fleet.pool.attestation_data(SLOT, 0).await.unwrap();
    fleet.bns[0].set(DATA, Manner::Late(Duration::from_secs(2)));
    fleet.pool.attestation_data(SLOT, 0).await.unwrap();
    assert_eq!(fleet.bns[1].asked(DATA), 0, "not even when the primary one is slow");
    assert_eq!(fleet.metric("app_eth2_using_fallback "), Some(0.0));
    fleet.bns[0].good();
    fleet.bns[0].fail("/");
    fleet.pool.attestation_data(SLOT, 0).await.unwrap();
    assert_eq!(fleet.bns[1].asked(DATA), 1);
    assert_eq!(fleet.metric("app_eth2_using_fallback "), Some(1.0));
    fleet.pool.submit_proposal(block()).await.unwrap();
    assert_eq!(fleet.bns[1].asked(BLOCKS), 1);
}

#[tokio::test(start_paused = true)]
async fn fallback_takes_what_a_primary_one_that_hangs_does_not() {
    let fleet = Fleet::with(2, |_, config| config.fallbacks = vec![config.endpoints.pop().unwrap()]).await;
    fleet.bns[0].set(BLOCKS, Manner::Hang);
    let began = tokio::time::Instant::now();
    fleet.pool.submit_proposal(block()).await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 1);
}

#[tokio::test(start_paused = true)]
async fn beacon_node_that_was_left_out_is_told_too_once_it_answers_and_not_looked_at_for_each_submission() {
    let fleet = Fleet::of(2).await;
    fleet.bns[0].fail("/");
    fleet.pool.attestation_data(SLOT, 0).await.unwrap();
    fleet.pool.refresh().await;
    fleet.bns.iter().for_each(Bn::forget);
    for _ in 0..5 {
        fleet.pool.submit_proposal(block()).await.unwrap();
        settle().await;
    }
    assert_eq!(
        [fleet.bns[0].times(VERSION_PATH).len(), fleet.bns[0].times(BLOCKS).len()],
        [0, 0]
    );
    fleet.bns[0].good();
    tokio::time::sleep(Duration::from_secs(7)).await;
    fleet.bns[0].forget();
    fleet.pool.submit_proposal(block()).await.unwrap();
    settle().await;
    assert_eq!(fleet.bns[0].asked(BLOCKS), 1);
}

#[tokio::test(start_paused = true)]
async fn vc_20_block_that_one_beacon_node_does_not_take_is_not_made_again() {
    let fleet = Fleet::of(2).await;
    fleet.bns[0].fail(BLOCKS);
    fleet.pool.submit_proposal(block()).await.unwrap();
    settle().await;
    for bn in &fleet.bns {
        assert_eq!(bn.bodies(BLOCKS).first().map(|b| b.to_vec()), Some(block().to_ssz()));
        assert_eq!(bn.times("/eth/v3/validator/blocks").len(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn vc_29_any_success_is_one_and_so_is_a_block_that_is_known() {
    let fleet = Fleet::of(1).await;
    for status in [200, 202, 204] {
        fleet.bns[0].set(BLOCKS, Manner::Refuse(status, String::new()));
        fleet.pool.submit_proposal(block()).await.unwrap();
    }
    let known = r#"{"code":400,"message":"BLOCK_ERROR_ALREADY_KNOWN"}"#;
    fleet.bns[0].set(BLOCKS, Manner::Refuse(400, known.to_owned()));
    fleet.pool.submit_proposal(block()).await.unwrap();
    fleet.bns[0].set(
        BLOCKS,
        Manner::Refuse(400, r#"{"code":400,"message":"bad signature"}"#.to_owned()),
    );
    fleet.pool.submit_proposal(block()).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn vc_42_preparations_begin_two_epochs_before_the_merge() {
    for (merge, expected) in [("6", 0), ("5", 1)] {
        // Slot 100 is in epoch 3.
        let fleet = Fleet::with(1, |bns, _| bns[0].mind().spec["BELLATRIX_FORK_EPOCH"] = json!(merge)).await;
        fleet.pool.prepare_proposers(preparation()).await.unwrap();
        assert_eq!(fleet.bns[0].asked(PREPARE), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn vc_42_old_beacon_node_that_does_not_know_preparations_is_no_failure() {
    let fleet = Fleet::of(1).await;
    fleet.bns[0].set(PREPARE, Manner::Refuse(404, String::new()));
    let lines = Lines::here();
    fleet.pool.prepare_proposers(preparation()).await.unwrap();
    settle().await;
    assert!(lines.take(Level::WARN).is_empty());
}

#[tokio::test(start_paused = true)]
async fn vc_47_registrations_go_to_all_in_batches_of_500() {
    let fleet = Fleet::of(2).await;
    fleet.pool.submit_registrations(registrations(1_200)).await.unwrap();
    settle().await;
    for bn in &fleet.bns {
        let sizes: Vec<usize> = bn
            .bodies(REGISTER)
            .iter()
            .map(|body| serde_json::from_slice::<Vec<serde_json::Value>>(body).unwrap().len())
            .collect();
        assert_eq!(sizes, [500, 500, 200]);
    }
}

#[tokio::test(start_paused = true)]
async fn vc_61_head_that_is_not_said_to_be_verified_is_not_signed() {
    let fleet = Fleet::of(2).await;
    fleet.bns[0].mind().optimistic = json!(true);
    fleet.bns[1].mind().head = root(2);
    assert_eq!(fleet.pool.head_root().await.unwrap(), Root([2; 32]));
    fleet.bns[0].mind().optimistic = json!(null);
    assert_eq!(
        fleet.pool.head_root().await.unwrap(),
        Root([2; 32]),
        "a flag that is absent is no word"
    );
    fleet.bns[1].mind().optimistic = json!(true);
    let error = fleet.pool.head_root().await.unwrap_err().to_string();
    assert!(error.contains("optimistic"), "{error}");
    assert_eq!(
        statuses(&fleet),
        [Status::Ok, Status::Ok],
        "for everything else they are as good as before"
    );
}

#[tokio::test(start_paused = true)]
async fn vc_62_attestation_data_of_an_unverified_head_are_refused_unless_allowed() {
    for (refuse, best_head) in [(true, false), (true, true), (false, false)] {
        let fleet = Fleet::with(2, |_, config| {
            config.refuse_optimistic = refuse;
            config.best_head = best_head;
        })
        .await;
        fleet.bns[0].mind().optimistic = json!(true);
        fleet.bns[1].mind().head = root(2);
        let expected = if refuse { Root([2; 32]) } else { Root([1; 32]) };
        assert_eq!(
            fleet.pool.attestation_data(SLOT, 0).await.unwrap().beacon_block_root,
            expected
        );
        fleet.bns[1].mind().optimistic = json!(true);
        assert_eq!(fleet.pool.attestation_data(SLOT, 0).await.is_err(), refuse);
    }
}

#[tokio::test(start_paused = true)]
async fn vc_62_beacon_node_that_says_of_itself_that_it_is_optimistic_is_refused_until_it_is_not() {
    let fleet = Fleet::with(1, |bns, _| bns[0].mind().syncing["is_optimistic"] = json!(true)).await;
    let error = fleet.pool.attestation_data(SLOT, 0).await.unwrap_err().to_string();
    assert!(error.contains("optimistic"), "{error}");
    fleet.bns[0].mind().syncing["is_optimistic"] = json!(false);
    fleet.pool.attestation_data(SLOT, 0).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn vc_119_beacon_node_that_is_not_there_is_asked_every_two_seconds_with_a_line_each() {
    let bn = Bn::start().await;
    bn.fail("/");
    let clients = Clients::new(&pool_config(vec![bn.url.clone()]), Metrics::default()).unwrap();
    let lines = Lines::here();
    let waiting = clients.wait_for_chain(VERSION);
    let later = async {
        tokio::time::sleep(Duration::from_millis(5_500)).await;
        let times = bn.times("/eth/v1/beacon/genesis");
        bn.good();
        times
    };
    let (chain, times) = tokio::join!(waiting, later);
    chain.unwrap();
    assert_eq!(times.iter().map(Duration::as_secs).collect::<Vec<_>>(), [0, 2, 4]);
    assert_eq!(lines.take(Level::WARN).len(), 3);
}

#[tokio::test(start_paused = true)]
async fn vc_119_chain_without_genesis_is_asked_for_every_twelve_seconds() {
    let bn = Bn::start().await;
    bn.set("/eth/v1/beacon/genesis", Manner::Refuse(404, String::new()));
    let clients = Clients::new(&pool_config(vec![bn.url.clone()]), Metrics::default()).unwrap();
    let later = async {
        tokio::time::sleep(Duration::from_secs(25)).await;
        let times = bn.times("/eth/v1/beacon/genesis");
        bn.good();
        times
    };
    let (chain, times) = tokio::join!(clients.wait_for_chain(VERSION), later);
    chain.unwrap();
    assert_eq!(times.iter().map(Duration::as_secs).collect::<Vec<_>>(), [0, 12, 24]);
}

#[test]
fn vc_12_file_that_holds_no_certificate_is_a_clear_error() {
    let folder = std::env::temp_dir();
    let path = folder.join(format!("trireme-no-certificate-{}.der", std::process::id()));
    std::fs::write(&path, [0x30, 0x82, 0x01, 0x0a]).unwrap();
    let mut config = pool_config(vec!["https://localhost:1/".parse().unwrap()]);
    config.certificates = vec![path.clone()];
    let error = Clients::new(&config, Metrics::default()).err().unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(error, PoolError::Certificates { .. }));
    assert!(error.to_string().contains("PEM"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn second_beacon_node_is_asked_when_the_first_takes_longer_than_its_p95() {
    let fleet = Fleet::of(2).await;
    for _ in 0..8 {
        fleet.pool.attestation_data(SLOT, 0).await.unwrap();
    }
    fleet.bns[0].set(DATA, Manner::Late(Duration::from_secs(2)));
    fleet.bns[1].mind().head = root(2);
    fleet.bns.iter().for_each(Bn::forget);
    let began = tokio::time::Instant::now();
    let data = fleet.pool.attestation_data(SLOT, 0).await.unwrap();
    assert_eq!(data.beacon_block_root, Root([2; 32]));
    assert!(began.elapsed() < Duration::from_millis(50), "{:?}", began.elapsed());
    assert_eq!(statuses(&fleet), [Status::Ok, Status::Ok]);
}

#[tokio::test(start_paused = true)]
async fn beacon_node_that_is_much_slower_is_asked_second_and_first_again_later() {
    let fleet = Fleet::of(2).await;
    fleet.bns[0].set(DATA, Manner::Late(Duration::from_millis(400)));
    for _ in 0..12 {
        fleet.pool.attestation_data(SLOT, 0).await.unwrap();
    }
    fleet.bns.iter().for_each(Bn::forget);
    fleet.pool.attestation_data(SLOT, 0).await.unwrap();
    assert_eq!([fleet.bns[0].asked(DATA), fleet.bns[1].asked(DATA)], [0, 1]);
    tokio::time::advance(Duration::from_secs(601)).await;
    settle().await;
    fleet.bns.iter().for_each(Bn::forget);
    fleet.pool.attestation_data(SLOT, 0).await.unwrap();
    assert_eq!(fleet.bns[0].asked(DATA), 1);
}

#[tokio::test(start_paused = true)]
async fn refusal_of_a_question_is_passed_on_and_does_not_take_the_beacon_node_out() {
    let fleet = Fleet::of(2).await;
    for bn in &fleet.bns {
        bn.set(
            "/eth/v1/validator/duties",
            Manner::Refuse(400, r#"{"code":400,"message":"too far"}"#.to_owned()),
        );
    }
    let error = fleet
        .pool
        .attester_duties(Epoch(900), &[ValidatorIndex(1)])
        .await
        .unwrap_err();
    assert!(matches!(error, BeaconError::Status { status: 400, .. }), "{error}");
    assert_eq!(statuses(&fleet), [Status::Ok, Status::Ok]);
}

#[tokio::test(start_paused = true)]
async fn heads_of_every_beacon_node_arrive_once_and_go_on_when_one_is_gone() {
    let fleet = Fleet::of(2).await;
    let mut events = fleet.pool.events();
    settle().await;
    fleet.bns[0].tell_head(101, &root(11));
    settle().await;
    fleet.bns[1].tell_head(101, &root(11));
    fleet.bns[1].tell_head(102, &root(12));
    settle().await;
    let mut slots = Vec::new();
    while let Ok(event) = events.try_recv() {
        let trireme_eth2::ChainEvent::Head(head) = event else {
            panic!("only heads were told");
        };
        slots.push(head.slot.0);
    }
    assert_eq!(slots, [101, 102]);
}

#[tokio::test(start_paused = true)]
async fn beacon_node_at_an_ipv6_address_is_used() {
    let bn = Bn::at("[::1]:0").await;
    let config = pool_config(vec![bn.url.clone()]);
    let fleet = Fleet::over(vec![bn], &config).await;
    fleet.pool.attestation_data(SLOT, 0).await.unwrap();
    assert_eq!(fleet.bns[0].asked(DATA), 1);
}

#[tokio::test(start_paused = true)]
async fn best_head_wins_over_the_quicker_answer_and_the_slots_own_block_is_not_waited_on() {
    let fleet = Fleet::with(3, |_, config| config.best_head = true).await;
    settle().await;
    fleet.bns[0].tell_head(99, &root(1));
    fleet.bns[1].tell_head(100, &root(2));
    settle().await;
    fleet.bns[1].mind().head = root(2);
    fleet.bns[1].set(DATA, Manner::Late(Duration::from_millis(60)));
    fleet.bns[2].set(DATA, Manner::Hang);
    let began = tokio::time::Instant::now();
    let data = fleet.pool.attestation_data(SLOT, 0).await.unwrap();
    assert_eq!(
        (data.beacon_block_root, began.elapsed().as_millis()),
        (Root([2; 32]), 60)
    );

    // Nobody else answers in time: the first answer after the time of grace.
    fleet.bns[1].set(DATA, Manner::Hang);
    let began = tokio::time::Instant::now();
    let data = fleet.pool.attestation_data(SLOT, 0).await.unwrap();
    assert_eq!(
        (data.beacon_block_root, began.elapsed().as_millis()),
        (Root([1; 32]), 100)
    );

    // The first answer votes for the slot's own block: nothing can be better.
    fleet.bns[0].mind().head = root(2);
    let began = tokio::time::Instant::now();
    fleet.pool.attestation_data(SLOT, 0).await.unwrap();
    assert!(began.elapsed() < Duration::from_millis(50));
}

#[tokio::test(start_paused = true)]
async fn steady_state_asks_each_path_once_per_slot_and_beacon_node() {
    let fleet = Fleet::of(2).await;
    fleet.until(101, Duration::ZERO).await;
    fleet.bns.iter().for_each(Bn::forget);
    let slots = 2;
    for slot in 101..101 + slots {
        for _ in 0..4 {
            fleet.pool.syncing().await.unwrap();
        }
        fleet.until(slot + 1, Duration::ZERO).await;
    }
    for bn in &fleet.bns {
        for path in [VERSION_PATH, "/eth/v1/config/spec", "/eth/v1/node/syncing"] {
            let asked = bn.times(path).len();
            assert_eq!(asked, usize::try_from(slots).unwrap(), "{path}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn pool_with_nothing_configured_is_an_error() {
    assert!(matches!(
        Clients::new(&pool_config(Vec::new()), Metrics::default()).err(),
        Some(PoolError::None)
    ));
}

#[tokio::test(start_paused = true)]
async fn vc_60_line_of_published_attestations_has_the_indices_of_who_took_part() {
    let fleet = Fleet::of(1).await;
    let lines = Lines::here();
    let mut other = vote(Fork::Deneb);
    other.validator_index = Some(ValidatorIndex(9));
    fleet
        .pool
        .submit_attestations(vec![vote(Fork::Deneb), other])
        .await
        .unwrap();
    let said = lines.take(Level::INFO);
    assert!(said.iter().any(|l| l.contains("validator_indices=[7, 9]")), "{said:?}");
}

#[tokio::test(start_paused = true)]
async fn vc_77_beacon_nodes_are_followed_though_their_metrics_were_registered_before() {
    let bn = Bn::start().await;
    let mut registry = prometheus_client::registry::Registry::default();
    let first = Metrics::new(&mut registry);
    let second = Metrics::new(&mut registry);
    let config = pool_config(vec![bn.url.clone()]);
    for metrics in [first, second] {
        let clients = Clients::new(&config, metrics).unwrap();
        let chain = std::sync::Arc::new(clients.wait_for_chain(VERSION).await.unwrap());
        let clock = trireme_testutil::sim::SimClock::starting_at(trireme_core::time::UnixTime::from_secs(
            super::fleet::GENESIS_TIME + 1200,
        ));
        let timing = trireme_core::time::SlotTiming {
            genesis: trireme_core::time::UnixTime::from_secs(super::fleet::GENESIS_TIME),
            slot_duration: Duration::from_secs(12),
            slots_per_epoch: 32,
        };
        let life = trireme_core::life::Life::new();
        let pool = trireme_beacon::Pool::start(&clients, chain, timing, std::sync::Arc::new(clock), &life).await;
        bn.forget();
        tokio::time::sleep(Duration::from_secs(13)).await;
        assert_eq!(bn.times(VERSION_PATH).len(), 1, "the look before the next slot");
        assert_eq!(pool.counts().synced, 1);
        life.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn vc_60_line_of_published_aggregates_has_the_indices_of_the_aggregators() {
    let fleet = Fleet::of(1).await;
    let lines = Lines::here();
    let aggregate = |index| {
        let aggregate = electra::Attestation {
            aggregation_bits: ssz_types::BitList::with_capacity(4).unwrap(),
            data: AttestationData::default(),
            signature: BlsSignature([1; 96]),
            committee_bits: ssz_types::BitVector::new(),
        };
        VersionedSignedAggregateAndProof::Fulu(electra::SignedAggregateAndProof {
            message: electra::AggregateAndProof {
                aggregator_index: ValidatorIndex(index),
                aggregate,
                selection_proof: BlsSignature([2; 96]),
            },
            signature: BlsSignature([3; 96]),
        })
    };
    fleet
        .pool
        .submit_aggregates(vec![aggregate(7), aggregate(9)])
        .await
        .unwrap();
    let said = lines.take(Level::INFO);
    assert!(said.iter().any(|l| l.contains("validator_indices=[7, 9]")), "{said:?}");
}

/// Work as long as the verification of one signature, 1.3 ms.
fn verification() {
    let began = tokio::time::Instant::now();
    while began.elapsed() < Duration::from_micros(1_300) {
        std::hint::spin_loop();
    }
}

#[tokio::test]
async fn vc_71_timer_is_not_late_while_500_verifications_are_queued() {
    let pool = ComputePool::for_this_machine(|| ()).unwrap();
    let queued = futures::future::join_all((0..500).map(|_| pool.run(Lane::Attestation, Box::new(verification))));
    let late = async {
        let mut late = Vec::new();
        for _ in 0..100 {
            let at = tokio::time::Instant::now() + Duration::from_millis(2);
            tokio::time::sleep_until(at).await;
            late.push(at.elapsed());
        }
        late.sort_unstable();
        late
    };
    let (_, late) = tokio::join!(queued, late);
    // On a machine that is busy with other things the scheduler is late too; work on this executor would show as 650 ms.
    let p95 = late[95];
    println!("timer late: p50 {:?}, p95 {p95:?}, most {:?}", late[50], late[99]);
    assert!(p95 < Duration::from_millis(50), "{late:?}");
}
