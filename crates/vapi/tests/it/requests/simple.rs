//! Sync committee duties and messages, exits, liveness.

use trireme_core::DutyType::{Exit, SyncMessage};
use trireme_eth2::{SignedVoluntaryExit, SyncCommitteeMessage, SyncDuty, VoluntaryExit};

use super::*;
use crate::upstream::{FakeBeacon, response};

const MESSAGES: &str = "/eth/v1/beacon/pool/sync_committees";
const EXITS: &str = "/eth/v1/beacon/pool/voluntary_exits";

impl Keyed {
    pub(crate) fn message(&self, n: usize, block: u8, key: &SecretKey) -> SyncCommitteeMessage {
        let beacon_block_root = Root([block; 32]);
        SyncCommitteeMessage {
            slot: SLOT,
            beacon_block_root,
            validator_index: ValidatorIndex(100 + n as u64),
            signature: self.sign(key, beacon_block_root, DomainType::SyncCommittee),
        }
    }

    fn exit(&self, epoch: u64, key: &SecretKey) -> SignedVoluntaryExit {
        let message = VoluntaryExit {
            epoch: Epoch(epoch),
            validator_index: ValidatorIndex(101),
        };
        let root = self
            .chain
            .signing_root(hash_tree_root(&message), DomainType::VoluntaryExit, Epoch(epoch));
        SignedVoluntaryExit {
            message,
            signature: BlsSignature(key.sign(&root.0).to_bytes()),
        }
    }
}

#[tokio::test]
async fn sync_committee_duties_are_the_beacon_nodes_under_our_shares_and_none_twice() {
    let k = keyed();
    k.active();
    let duty = |n: usize| SyncDuty {
        pubkey: BlsPubkey(k.groups[n].0),
        validator_index: ValidatorIndex(100 + n as u64),
        validator_sync_committee_indices: vec![1, 7],
    };
    k.bench
        .know(|known| known.syncers = [0, 0, 1].map(|n| (Epoch(3), duty(n))).to_vec());
    for body in [json!([100]), json!(["100"])] {
        let got = k.bench.post("/eth/v1/validator/duties/sync/3", &[], &body).await.json();
        let wanted =
            json!([{ "pubkey": k.share(0), "validator_index": "100", "validator_sync_committee_indices": ["1", "7"] }]);
        assert_eq!(got, json!({ "execution_optimistic": false, "data": wanted }));
    }
    // Without indices: all, also one that has exited and still owes its messages.
    k.bench
        .know(|known| known.validators[1] = info(k.groups[1], 101, ValidatorStatus::ExitedUnslashed));
    let got = k
        .bench
        .post("/eth/v1/validator/duties/sync/3", &[], &json!([]))
        .await
        .json();
    assert_eq!(got["data"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn sync_messages_are_taken_also_from_an_exited_validator_and_without_a_beacon_node() {
    let k = keyed();
    k.active();
    k.bench
        .know(|known| known.validators[1] = info(k.groups[1], 101, ValidatorStatus::ExitedUnslashed));
    let list = [k.message(0, 3, &k.own[0]), k.message(1, 3, &k.own[1])];
    let got = k.bench.post(MESSAGES, &[], &json!(list)).await;
    assert_eq!((got.status, got.body.len()), (StatusCode::OK, 0), "{got:?}");
    let [(duty, set)] = k.bench.submitted().try_into().unwrap();
    assert_eq!((duty, set.0.len()), (Duty::new(SLOT, SyncMessage), 2));
    assert_eq!(set.0[&k.groups[1]].data, SignedData::SyncMessage(list[1]));
    // Once the indices are known, nobody needs to be asked.
    k.bench.know(|known| {
        known.refusal = Some(BeaconError::Timeout {
            endpoint: "x",
            after: std::time::Duration::ZERO,
        });
    });
    k.bench.asked();
    let got = k.bench.post(MESSAGES, &[], &json!(list)).await;
    assert_eq!(got.status, StatusCode::OK, "{got:?}");
    assert!(k.bench.asked().is_empty());
    // The same message twice is one; two different ones are a mistake.
    let twice = json!([list[0], list[0]]);
    assert_eq!(k.bench.post(MESSAGES, &[], &twice).await.status, StatusCode::OK);
    let two = json!([list[0], k.message(0, 4, &k.own[0])]);
    k.bench.post(MESSAGES, &[], &two).await.error(500);
}

#[tokio::test]
async fn an_exit_is_taken_for_the_first_slot_of_its_epoch_and_only_with_our_share() {
    let k = keyed();
    k.active();
    let exit = k.exit(5, &k.own[1]);
    let got = k.bench.post(EXITS, &[], &json!(exit)).await;
    assert_eq!((got.status, got.body.len()), (StatusCode::OK, 0), "{got:?}");
    let [(duty, set)] = k.bench.submitted().try_into().unwrap();
    assert_eq!(duty, Duty::new(Slot(160), Exit));
    assert_eq!(set.0[&k.groups[1]].data, SignedData::Exit(exit));
    k.bench
        .post(EXITS, &[], &json!(k.exit(5, &k.whole[1])))
        .await
        .error(500);
    let message = k
        .bench
        .post(EXITS, &[], &json!(k.exit(u64::MAX, &k.own[1])))
        .await
        .error(400);
    assert!(message.contains("past the end of time"), "{message}");
    assert!(k.bench.submitted().is_empty());
}

#[tokio::test]
async fn vc_80_the_clusters_own_work_is_no_doppelganger_and_other_validators_are_asked_about() {
    let bn = FakeBeacon::start(|_| {
        let data = json!([{ "index": "7", "is_live": true }]);
        response(
            200,
            &[("content-type", "application/json")],
            json!({ "data": data }).to_string(),
        )
    })
    .await;
    let k = keyed_with(config(), &[&bn.url]);
    k.active();
    let path = "/eth/v1/validator/liveness/2";
    let got = k.bench.post(path, &[], &json!(["100", "101"])).await.json();
    let own = |index| json!({ "index": index, "is_live": false });
    assert_eq!(got, json!({ "data": [own("100"), own("101")] }));
    assert!(bn.sent().is_empty());
    let got = k.bench.post(path, &[], &json!(["7", "101"])).await.json();
    assert_eq!(got, json!({ "data": [own("101"), { "index": "7", "is_live": true }] }));
    let [sent] = bn.sent().try_into().unwrap();
    assert_eq!((&*sent.path_and_query, &sent.body[..]), (path, &br#"["7"]"#[..]));
    k.bench
        .post("/eth/v1/validator/liveness/x", &[], &json!([]))
        .await
        .error(400);
}
