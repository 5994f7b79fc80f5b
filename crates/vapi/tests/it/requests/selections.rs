//! Selection proofs.

use trireme_core::DutyType::{PrepareAggregator, PrepareSyncContribution};
use trireme_eth2::{BeaconCommitteeSelection, SyncAggregatorSelectionData, SyncCommitteeSelection};

use super::*;

const BEACON: &str = "/eth/v1/validator/beacon_committee_selections";
const SYNC: &str = "/eth/v1/validator/sync_committee_selections";

impl Keyed {
    pub(crate) fn selection(&self, n: usize, key: &SecretKey) -> BeaconCommitteeSelection {
        BeaconCommitteeSelection {
            validator_index: ValidatorIndex(100 + n as u64),
            slot: SLOT,
            selection_proof: self.sign(key, hash_tree_root(&SLOT), DomainType::SelectionProof),
        }
    }

    pub(crate) fn sync_selection(&self, n: usize, subcommittee: u64, key: &SecretKey) -> SyncCommitteeSelection {
        let data = SyncAggregatorSelectionData {
            slot: SLOT,
            subcommittee_index: subcommittee,
        };
        SyncCommitteeSelection {
            validator_index: ValidatorIndex(100 + n as u64),
            slot: SLOT,
            subcommittee_index: subcommittee,
            selection_proof: self.sign(key, hash_tree_root(&data), DomainType::SyncCommitteeSelectionProof),
        }
    }

    /// The cluster's proof is there.
    pub(crate) fn selected(&self, n: usize) -> BeaconCommitteeSelection {
        let whole = self.selection(n, &self.whole[n]);
        self.bench.know(|k| {
            let key = (Duty::new(SLOT, PrepareAggregator), self.groups[n], 0);
            k.selections
                .insert(key, Arc::new(SignedData::BeaconCommitteeSelection(whole)));
        });
        whole
    }
}

#[tokio::test]
async fn partial_selection_proofs_go_in_and_whole_ones_come_out_in_the_same_order() {
    let k = keyed();
    k.active();
    let whole = [k.selected(1), k.selected(0)];
    let partial = [k.selection(1, &k.own[1]), k.selection(0, &k.own[0])];
    let got = k.bench.post(BEACON, &[], &json!(partial)).await;
    assert_eq!(got.json(), json!({ "data": whole }));
    let [(duty, set)] = k.bench.submitted().try_into().unwrap();
    assert_eq!((duty, set.0.len()), (Duty::new(SLOT, PrepareAggregator), 2));
    assert_eq!(set.0[&k.groups[0]].share, ShareIdx(2));
    assert_eq!(
        set.0[&k.groups[0]].data,
        SignedData::BeaconCommitteeSelection(partial[1])
    );
    // Nothing asked, nothing answered.
    assert_eq!(
        k.bench.post(BEACON, &[], &json!([])).await.json(),
        json!({ "data": [] })
    );
}

#[tokio::test]
async fn a_validator_may_be_in_several_subcommittees_and_the_order_of_sync_selections_is_kept() {
    let k = keyed();
    k.active();
    let asked: Vec<_> = [3, 0, 1]
        .into_iter()
        .map(|c| k.sync_selection(0, c, &k.own[0]))
        .collect();
    let whole: Vec<_> = [3, 0, 1]
        .into_iter()
        .map(|c| k.sync_selection(0, c, &k.whole[0]))
        .collect();
    k.bench.know(|known| {
        for one in &whole {
            let key = (
                Duty::new(SLOT, PrepareSyncContribution),
                k.groups[0],
                one.subcommittee_index,
            );
            known
                .selections
                .insert(key, Arc::new(SignedData::SyncCommitteeSelection(*one)));
        }
    });
    let got = k.bench.post(SYNC, &[], &json!(asked)).await;
    assert_eq!(got.json(), json!({ "data": whole }));
    // One set per subcommittee: a set has one object per validator.
    let announced = k.bench.submitted();
    assert_eq!(announced.len(), 3);
    assert!(
        announced
            .iter()
            .all(|(duty, set)| duty.kind == PrepareSyncContribution && set.0.len() == 1)
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_ready_when_time_is_up_is_answered() {
    let k = keyed();
    k.active();
    let whole = k.selected(1);
    let partial = [k.selection(0, &k.own[0]), k.selection(1, &k.own[1])];
    let began = tokio::time::Instant::now();
    let got = k.bench.post(BEACON, &[], &json!(partial)).await;
    assert_eq!(got.json(), json!({ "data": [whole] }));
    assert_eq!(began.elapsed().as_secs(), 10);
}

#[tokio::test]
async fn one_wrong_signature_keeps_the_whole_request_from_the_cluster() {
    let k = keyed();
    k.active();
    for wrong in [
        k.selection(0, &k.own[1]),
        k.selection(0, &k.whole[0]),
        BeaconCommitteeSelection {
            slot: Slot(71),
            ..k.selection(0, &k.own[0])
        },
        BeaconCommitteeSelection {
            validator_index: ValidatorIndex(999),
            ..k.selection(0, &k.own[0])
        },
        BeaconCommitteeSelection {
            selection_proof: BlsSignature([0; 96]),
            ..k.selection(0, &k.own[0])
        },
    ] {
        let list = json!([k.selection(1, &k.own[1]), wrong]);
        assert_eq!(
            k.bench.post(BEACON, &[], &list).await.error(500),
            "Internal server error"
        );
    }
    assert!(k.bench.submitted().is_empty());
}

#[tokio::test]
async fn proofs_for_slots_far_ahead_are_refused_and_not_kept() {
    let k = keyed();
    k.active();
    k.bench.know(|known| known.now = trireme_core::UnixTime(0));
    let far = BeaconCommitteeSelection {
        slot: Slot(u64::MAX),
        ..k.selection(0, &k.own[0])
    };
    let message = k.bench.post(BEACON, &[], &json!([far])).await.error(400);
    assert!(message.contains("too far ahead"), "{message}");
    assert!(k.bench.submitted().is_empty());
}

#[tokio::test(start_paused = true)]
async fn partial_proofs_reach_the_cluster_though_their_client_hangs_up() {
    let k = keyed();
    k.active();
    let body = json!([k.selection(0, &k.own[0])]).to_string();
    let request = Request::post(BEACON)
        .header("content-type", "application/json")
        .body(Body::from(body))
        .unwrap();
    let asking = k.bench.server.handle(request);
    assert!(
        tokio::time::timeout(std::time::Duration::from_millis(1), asking)
            .await
            .is_err()
    );
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    assert_eq!(k.bench.submitted().len(), 1);
}
