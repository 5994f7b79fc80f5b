//! Beacon nodes that lie or are confused: each answer is refused with a clear error, and the next one is asked.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};
use tracing::Level;
use trireme_beacon::{Broadcast, PoolConfig};
use trireme_core::ports::{BeaconError, BeaconNode as _};
use trireme_eth2::{
    Epoch, ForkedBlock, ProposalResponse, Root, Slot, Uint256, ValidatorIndex, VersionedProposal, altair, phase0,
};
use trireme_testutil::sim::Lines;

use super::{
    calls::{ask, block},
    fleet::{Bn, Fleet, Manner, root},
};

const DATA: &str = "/eth/v1/validator/attestation_data";
const BLOCK: &str = "/eth/v3/validator/blocks";
const SLOT: Slot = Slot(100);

fn no_forks(bn: &Bn) {
    let mut mind = bn.mind();
    for fork in ["ALTAIR", "BELLATRIX"] {
        mind.spec[format!("{fork}_FORK_EPOCH")] = json!(u64::MAX.to_string());
    }
}

fn phase0_block(change: impl FnOnce(&mut phase0::BeaconBlock)) -> Value {
    let mut block = phase0::BeaconBlock {
        slot: SLOT,
        proposer_index: ValidatorIndex(7),
        parent_root: Root([1; 32]),
        ..Default::default()
    };
    change(&mut block);
    answer(ForkedBlock::Phase0(block))
}

fn answer(block: ForkedBlock) -> Value {
    let response = ProposalResponse {
        proposal: VersionedProposal::Full(block),
        execution_payload_value: Uint256::default(),
        consensus_block_value: Uint256::default(),
    };
    serde_json::to_value(&response).unwrap()
}

/// Two beacon nodes on a chain without forks; validator 7 proposes in slot 100, and block 1 is the head.
async fn proposing() -> Fleet {
    proposing_by(2).await
}

async fn proposing_by(n: usize) -> Fleet {
    proposing_with(n, |_| {}).await
}

async fn proposing_with(n: usize, change: impl FnOnce(&mut PoolConfig)) -> Fleet {
    let fleet = Fleet::with(n, |bns, config| {
        bns.iter().for_each(no_forks);
        change(config);
    })
    .await;
    for bn in &fleet.bns {
        let duty = json!({"pubkey": format!("0x{}", "aa".repeat(48)), "validator_index": "7", "slot": "100"});
        let duties = json!({"dependent_root": root(5), "execution_optimistic": false, "data": [duty]});
        bn.set("/eth/v1/validator/duties/proposer/3", Manner::Say(duties));
        bn.set("/eth/v1/beacon/headers/", Manner::Refuse(404, String::new()));
        bn.set(
            &format!("/eth/v1/beacon/headers/{}", root(1)),
            Manner::Say(json!({"data": {}})),
        );
        bn.set(BLOCK, Manner::Say(phase0_block(|_| {})));
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    fleet.bns.iter().for_each(|bn| bn.tell_head(99, &root(1)));
    tokio::time::sleep(Duration::from_millis(100)).await;
    fleet.pool.proposer_duties(Epoch(3)).await.unwrap();
    fleet
}

#[tokio::test(start_paused = true)]
async fn vc_21_and_others_block_that_does_not_fit_is_refused_and_the_next_beacon_node_asked() {
    let lies = BTreeMap::from([
        (
            "the proposer is 8",
            phase0_block(|b| b.proposer_index = ValidatorIndex(8)),
        ),
        ("the slot is 101", phase0_block(|b| b.slot = Slot(101))),
        (
            "the fork is altair",
            answer(ForkedBlock::Altair(altair::BeaconBlock {
                slot: SLOT,
                proposer_index: ValidatorIndex(7),
                ..Default::default()
            })),
        ),
        ("no beacon node has", phase0_block(|b| b.parent_root = Root([66; 32]))),
        ("cannot be read", json!({"version": "phase0", "data": {"slot": "100"}})),
    ]);
    for (reason, lie) in lies {
        let fleet = proposing().await;
        let lines = Lines::here();
        fleet.bns[0].set(BLOCK, Manner::Say(lie.clone()));
        let block = fleet.pool.produce_block(ask(SLOT)).await.unwrap();
        assert_eq!(block.proposal.proposer_index(), ValidatorIndex(7));
        let said = lines.take(Level::WARN);
        assert!(said.iter().any(|l| l.contains(reason)), "{reason}: {said:?}");
        drop(lines);
        // With nobody else to ask it is an error that says why.
        fleet.bns[1].set(BLOCK, Manner::Say(lie));
        let error = fleet.pool.produce_block(ask(SLOT)).await.unwrap_err();
        assert!(
            matches!(error, BeaconError::Malformed { .. }) && error.to_string().contains(reason),
            "{error}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn block_on_a_head_of_long_ago_is_refused_and_the_next_beacon_node_asked() {
    let fleet = proposing().await;
    for n in 2..=8 {
        fleet
            .bns
            .iter()
            .for_each(|bn| bn.tell_head(99 + u64::from(n), &root(n)));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let lines = Lines::here();
    fleet.bns[1].set(BLOCK, Manner::Say(phase0_block(|b| b.parent_root = Root([8; 32]))));
    let block = fleet.pool.produce_block(ask(SLOT)).await.unwrap();
    assert_eq!(block.proposal.parent_root(), Root([8; 32]));
    let said = lines.take(Level::WARN);
    assert!(said.iter().any(|l| l.contains("the beacon node is behind")), "{said:?}");
}

#[tokio::test(start_paused = true)]
async fn block_on_a_parent_from_before_all_heads_that_were_seen_is_refused() {
    let fleet = proposing().await;
    for n in 2..=8 {
        fleet
            .bns
            .iter()
            .for_each(|bn| bn.tell_head(99 + u64::from(n), &root(n)));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let header = json!({"data": {"header": {"message": {"slot": "58"}}}});
    for bn in &fleet.bns {
        bn.set(
            &format!("/eth/v1/beacon/headers/{}", root(66)),
            Manner::Say(header.clone()),
        );
    }
    fleet.bns[0].set(BLOCK, Manner::Say(phase0_block(|b| b.parent_root = Root([66; 32]))));
    fleet.bns[1].set(BLOCK, Manner::Say(phase0_block(|b| b.parent_root = Root([8; 32]))));
    let block = fleet.pool.produce_block(ask(SLOT)).await.unwrap();
    assert_eq!(block.proposal.parent_root(), Root([8; 32]));
}

#[tokio::test(start_paused = true)]
async fn block_on_a_parent_that_another_beacon_node_has_is_taken() {
    let fleet = proposing().await;
    let late = phase0_block(|b| b.parent_root = Root([66; 32]));
    fleet.bns[0].set(BLOCK, Manner::Say(late));
    fleet.bns[1].set(
        &format!("/eth/v1/beacon/headers/{}", root(66)),
        Manner::Say(json!({"data": {}})),
    );
    let block = fleet.pool.produce_block(ask(SLOT)).await.unwrap();
    assert_eq!(block.proposal.parent_root(), Root([66; 32]));
}

#[tokio::test(start_paused = true)]
async fn block_is_taken_where_no_beacon_node_can_say_whether_the_parent_exists() {
    let fleet = proposing().await;
    for bn in &fleet.bns {
        // Neither knows even its own head by this path.
        bn.set(
            &format!("/eth/v1/beacon/headers/{}", root(1)),
            Manner::Refuse(404, String::new()),
        );
        bn.set(BLOCK, Manner::Say(phase0_block(|b| b.parent_root = Root([66; 32]))));
    }
    fleet.pool.produce_block(ask(SLOT)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn vc_16_beacon_node_for_proposals_is_told_of_blocks_at_once_and_makes_them_last() {
    let fleet = proposing_with(2, |config| {
        config.fallbacks = vec![config.endpoints.pop().unwrap()];
        config.broadcast = Broadcast::parse(&["blocks"]).unwrap();
    })
    .await;
    let made = || [0, 1].map(|at: usize| fleet.bns[at].times(BLOCK).len());
    fleet.pool.produce_block(ask(SLOT)).await.unwrap();
    assert_eq!(made(), [1, 0]);
    fleet.bns[0].fail(BLOCK);
    fleet.pool.produce_block(ask(SLOT)).await.unwrap();
    assert_eq!(made(), [2, 1], "only when no other makes one");
    fleet.pool.submit_proposal(block()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(fleet.bns[1].times("/eth/v2/beacon/blocks").len(), 1);
}

const HEADERS: &str = "/eth/v1/beacon/headers/";

fn header_of_66() -> String {
    format!("{HEADERS}{}", root(66))
}

/// Asks for a block on a parent that was no head; how long that takes.
async fn block_on_66(fleet: &Fleet) -> (Result<ProposalResponse, BeaconError>, Duration) {
    fleet.bns[0].set(BLOCK, Manner::Say(phase0_block(|b| b.parent_root = Root([66; 32]))));
    let began = tokio::time::Instant::now();
    let block = fleet.pool.produce_block(ask(SLOT)).await;
    (block, began.elapsed())
}

#[tokio::test(start_paused = true)]
async fn block_waits_a_quarter_of_a_second_for_a_beacon_node_that_does_not_tell_of_the_parent() {
    let fleet = proposing_by(3).await;
    fleet.bns[0].set(&header_of_66(), Manner::Say(json!({"data": {}})));
    for bn in &fleet.bns[1..] {
        bn.set(HEADERS, Manner::Hang);
        bn.mind().manners.remove(&format!("{HEADERS}{}", root(1)));
    }
    let (block, took) = block_on_66(&fleet).await;
    assert_eq!(
        block.unwrap().proposal.parent_root(),
        Root([66; 32]),
        "its maker's word"
    );
    assert!((250..300).contains(&took.as_millis()), "{took:?}");

    // Not even its maker tells.
    fleet.bns[0].set(&header_of_66(), Manner::Hang);
    let (block, took) = block_on_66(&fleet).await;
    assert_eq!(
        block.unwrap().proposal.parent_root(),
        Root([66; 32]),
        "nobody denies it"
    );
    assert!((250..300).contains(&took.as_millis()), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn block_waits_for_nobody_once_another_beacon_node_has_the_parent() {
    let fleet = proposing_by(3).await;
    fleet.bns[1].set(HEADERS, Manner::Hang);
    fleet.bns[2].set(&header_of_66(), Manner::Say(json!({"data": {}})));
    let (block, took) = block_on_66(&fleet).await;
    assert_eq!(block.unwrap().proposal.parent_root(), Root([66; 32]));
    assert!(took.as_millis() < 100, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn block_whose_parent_is_denied_is_refused_although_another_beacon_node_does_not_tell() {
    let fleet = proposing_by(3).await;
    fleet.bns[0].set(&header_of_66(), Manner::Say(json!({"data": {}})));
    fleet.bns[1].set(HEADERS, Manner::Hang);
    let (block, took) = block_on_66(&fleet).await;
    assert_eq!(
        block.unwrap().proposal.parent_root(),
        Root([1; 32]),
        "the next one's block"
    );
    assert!((250..400).contains(&took.as_millis()), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn vc_26_old_beacon_node_is_asked_by_the_second_version_once() {
    let fleet = proposing().await;
    for bn in &fleet.bns {
        bn.set(BLOCK, Manner::Refuse(404, String::new()));
        bn.set("/eth/v2/validator/blocks/100", Manner::Say(phase0_block(|_| {})));
    }
    fleet.bns.iter().for_each(Bn::forget);
    let block = fleet.pool.produce_block(ask(SLOT)).await.unwrap();
    assert!(!block.proposal.is_blinded());
    assert_eq!(fleet.bns[0].asked("/eth/v2/validator/blocks"), 1);
}

#[tokio::test(start_paused = true)]
async fn vc_65_and_others_attestation_data_that_do_not_fit_are_refused_and_the_next_beacon_node_asked() {
    let data = |slot: &str, index: &str, source: &str, target: &str| {
        json!({"data": {"slot": slot, "index": index, "beacon_block_root": root(1),
            "source": {"epoch": source, "root": root(3)}, "target": {"epoch": target, "root": root(4)}}})
    };
    for best_head in [false, true] {
        for (reason, lie) in [
            ("the slot is 99", data("99", "0", "2", "3")),
            ("the committee is 1", data("100", "1", "2", "3")),
            ("the target epoch is 4", data("100", "0", "2", "4")),
            ("the target epoch is 2", data("100", "0", "2", "2")),
            ("the source epoch 9", data("100", "0", "9", "3")),
        ] {
            let fleet = Fleet::with(2, |_, config| config.best_head = best_head).await;
            let lines = Lines::here();
            fleet.bns[0].set(DATA, Manner::Say(lie.clone()));
            fleet.bns[1].mind().head = root(2);
            let good = fleet.pool.attestation_data(SLOT, 0).await.unwrap();
            assert_eq!(good.beacon_block_root, Root([2; 32]));
            let said = lines.take(Level::WARN);
            assert!(said.iter().any(|l| l.contains(reason)), "{reason}: {said:?}");
            fleet.bns[1].set(DATA, Manner::Say(lie));
            let error = fleet.pool.attestation_data(SLOT, 0).await.unwrap_err();
            assert!(error.to_string().contains(reason), "{error}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn duties_of_others_or_of_another_epoch_are_refused() {
    let duties = |list: Value| json!({"dependent_root": root(5), "execution_optimistic": false, "data": list});
    let attester = |index: &str, slot: &str| {
        json!({"pubkey": format!("0x{}", "aa".repeat(48)), "validator_index": index, "committee_index": "0",
            "committee_length": "8", "committees_at_slot": "1", "validator_committee_index": "0", "slot": slot})
    };
    let fleet = Fleet::of(1).await;
    let bn = &fleet.bns[0];
    for (reason, list) in [
        ("slot 200", json!([attester("1", "200")])),
        ("validator 2, who was not asked for", json!([attester("2", "100")])),
        ("two duties", json!([attester("1", "100"), attester("1", "101")])),
    ] {
        bn.set("/eth/v1/validator/duties/attester", Manner::Say(duties(list)));
        let error = fleet
            .pool
            .attester_duties(Epoch(3), &[ValidatorIndex(1)])
            .await
            .unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
    }
    let proposer =
        |slot: &str| json!({"pubkey": format!("0x{}", "aa".repeat(48)), "validator_index": "1", "slot": slot});
    for (reason, list) in [
        ("slot 200", json!([proposer("200")])),
        ("two proposers", json!([proposer("100"), proposer("100")])),
    ] {
        bn.set("/eth/v1/validator/duties/proposer", Manner::Say(duties(list)));
        let error = fleet.pool.proposer_duties(Epoch(3)).await.unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
    }
    let member = json!({"pubkey": format!("0x{}", "aa".repeat(48)), "validator_index": "9",
        "validator_sync_committee_indices": ["3"]});
    bn.set("/eth/v1/validator/duties/sync", Manner::Say(duties(json!([member]))));
    let error = fleet
        .pool
        .sync_duties(Epoch(3), &[ValidatorIndex(1)])
        .await
        .unwrap_err();
    assert!(error.to_string().contains("validator 9"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn contribution_of_another_block_or_subcommittee_is_refused() {
    let contribution = |slot: &str, subcommittee: &str, block: &str| {
        json!({"data": {"slot": slot, "beacon_block_root": block, "subcommittee_index": subcommittee,
            "aggregation_bits": format!("0x{}", "00".repeat(16)), "signature": format!("0x{}", "00".repeat(96))}})
    };
    let fleet = Fleet::of(1).await;
    let path = "/eth/v1/validator/sync_committee_contribution";
    for (reason, lie) in [
        ("the slot is 99", contribution("99", "2", &root(1))),
        ("the subcommittee is 3", contribution("100", "3", &root(1))),
        ("the block is", contribution("100", "2", &root(6))),
    ] {
        fleet.bns[0].set(path, Manner::Say(lie));
        let error = fleet.pool.sync_contribution(SLOT, 2, Root([1; 32])).await.unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
    }
    fleet.bns[0].set(path, Manner::Say(contribution("100", "2", &root(1))));
    fleet.pool.sync_contribution(SLOT, 2, Root([1; 32])).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn body_beyond_all_bounds_is_refused_and_the_next_beacon_node_asked() {
    let fleet = Fleet::of(2).await;
    let lines = Lines::here();
    fleet.bns[0].set(DATA, Manner::Say(json!({"data": "x".repeat(2 * 1024 * 1024)})));
    fleet.pool.attestation_data(SLOT, 0).await.unwrap();
    let said = lines.take(Level::WARN);
    assert!(said.iter().any(|l| l.contains("longer than")), "{said:?}");
}

#[tokio::test(start_paused = true)]
async fn event_without_end_ends_the_stream_and_not_the_others() {
    let fleet = Fleet::of(2).await;
    let mut events = fleet.pool.events();
    tokio::time::sleep(Duration::from_millis(100)).await;
    for _ in 0..5 {
        fleet.bns[0].tell(&format!("data: {}", "x".repeat(64 * 1024)));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    fleet.bns[1].tell_head(101, &root(11));
    let head = events.recv().await.unwrap();
    assert!(matches!(head, trireme_eth2::ChainEvent::Head(head) if head.slot == Slot(101)));
    // It was opened again.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(fleet.bns[0].asked("/eth/v1/events"), 2);
    fleet.bns[0].tell_head(102, &root(12));
    let head = events.recv().await.unwrap();
    assert!(matches!(head, trireme_eth2::ChainEvent::Head(head) if head.slot == Slot(102)));
}
