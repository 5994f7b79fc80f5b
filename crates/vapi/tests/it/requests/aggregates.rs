//! Aggregates and contributions.

use trireme_core::DutyType::{Aggregator, SyncContribution};
use trireme_eth2::{
    ContributionAndProof, ForkedAttestation, SignedContributionAndProof, SyncCommitteeContribution, SyncDuty,
    Versioned as _, VersionedAttestation, VersionedSignedAggregateAndProof,
};

use super::*;

const AGGREGATES: &str = "/eth/v2/validator/aggregate_and_proofs";
const CONTRIBUTIONS: &str = "/eth/v1/validator/contribution_and_proofs";
const FULU: (&str, &str) = ("eth-consensus-version", "fulu");

fn aggregate() -> electra::Attestation {
    let mut single = SingleAttestation {
        data: data(),
        ..SingleAttestation::default()
    };
    single.committee_index = CommitteeIndex(3);
    electra::Attestation::from_single(&single).unwrap()
}

fn contribution() -> SyncCommitteeContribution {
    SyncCommitteeContribution {
        slot: SLOT,
        beacon_block_root: Root([3; 32]),
        subcommittee_index: 1,
        ..SyncCommitteeContribution::default()
    }
}

fn ask(committee: u64) -> String {
    let root = hash_tree_root(&data());
    format!("/eth/v2/validator/aggregate_attestation?slot=70&attestation_data_root={root}&committee_index={committee}")
}

fn ask_contribution(subcommittee: u64) -> String {
    let root = Root([3; 32]);
    format!(
        "/eth/v1/validator/sync_committee_contribution?slot=70&subcommittee_index={subcommittee}&beacon_block_root={root}"
    )
}

impl Keyed {
    fn signed_aggregate(&self, n: usize, proof: &SecretKey, key: &SecretKey) -> VersionedSignedAggregateAndProof {
        let message = electra::AggregateAndProof {
            aggregator_index: ValidatorIndex(100 + n as u64),
            aggregate: aggregate(),
            selection_proof: self.selection(n, proof).selection_proof,
        };
        let signature = self.sign(key, hash_tree_root(&message), DomainType::AggregateAndProof);
        VersionedSignedAggregateAndProof::Fulu(electra::SignedAggregateAndProof { message, signature })
    }

    fn signed_contribution(&self, n: usize, proof: &SecretKey, key: &SecretKey) -> SignedContributionAndProof {
        let message = ContributionAndProof {
            aggregator_index: ValidatorIndex(100 + n as u64),
            contribution: contribution(),
            selection_proof: self.sync_selection(n, 1, proof).selection_proof,
        };
        let signature = self.sign(key, hash_tree_root(&message), DomainType::ContributionAndProof);
        SignedContributionAndProof { message, signature }
    }

    /// The first validator is in sync subcommittee 1.
    fn in_sync_committee(&self) {
        let duty = SyncDuty {
            pubkey: BlsPubkey(self.groups[0].0),
            validator_index: ValidatorIndex(100),
            validator_sync_committee_indices: vec![self.chain.sync_subcommittee_size()],
        };
        self.bench.know(|k| k.contributors = vec![(SLOT, duty)]);
    }
}

#[tokio::test]
async fn the_agreed_aggregate_comes_as_json_or_ssz() {
    let k = keyed();
    k.decided();
    let agreed = VersionedAttestation {
        validator_index: None,
        attestation: ForkedAttestation::Fulu(aggregate()),
    };
    let key = (SLOT, hash_tree_root(&data()), CommitteeIndex(3));
    k.bench
        .know(|known| drop(known.aggregates.insert(key, Arc::new(agreed.clone()))));
    let got = k.bench.get(&ask(3)).await;
    assert_eq!(got.json(), json!({ "version": "fulu", "data": aggregate() }));
    let accept = [("accept", "application/octet-stream;q=1,application/json;q=0.9")];
    let in_ssz = k.bench.ask("GET", &ask(3), &accept, Body::empty()).await;
    assert_eq!(in_ssz.body, agreed.attestation.to_ssz());
    assert_eq!(in_ssz.header("content-type"), Some("application/octet-stream"));
    for answer in [&got, &in_ssz] {
        assert_eq!(answer.header("eth-consensus-version"), Some("fulu"));
    }
}

#[tokio::test]
async fn the_agreed_contribution_comes_as_json_or_ssz() {
    let k = keyed();
    k.in_sync_committee();
    let key = (SLOT, 1, Root([3; 32]));
    k.bench
        .know(|known| drop(known.contributions.insert(key, Arc::new(contribution()))));
    let got = k.bench.get(&ask_contribution(1)).await;
    assert_eq!(got.json(), json!({ "data": contribution() }));
    let accept = [("accept", "application/octet-stream")];
    let in_ssz = k.bench.ask("GET", &ask_contribution(1), &accept, Body::empty()).await;
    assert_eq!(in_ssz.body, contribution().as_ssz_bytes());
}

#[tokio::test(start_paused = true)]
async fn what_the_clusters_agreement_does_not_have_is_refused_at_once() {
    let k = keyed();
    k.decided();
    k.in_sync_committee();
    let began = tokio::time::Instant::now();
    k.bench.get(&ask(3)).await.error(408);
    k.bench.get(&ask_contribution(1)).await.error(408);
    assert!(began.elapsed().as_secs() >= 20, "held while it may still come");
    let duties = [Aggregator, SyncContribution].map(|kind| Duty::new(SLOT, kind));
    k.bench.know(|known| known.decided = duties.into());
    let began = tokio::time::Instant::now();
    let message = k.bench.get(&ask(3)).await.error(404);
    assert!(message.contains("agreed on the aggregates of slot 70"), "{message}");
    let message = k.bench.get(&ask_contribution(1)).await.error(404);
    assert!(message.contains("of sync subcommittee 1"), "{message}");
    assert!(began.elapsed().as_secs() < 1);
    // What it has comes.
    let key = (SLOT, 1, Root([3; 32]));
    k.bench
        .know(|known| drop(known.contributions.insert(key, Arc::new(contribution()))));
    assert_eq!(k.bench.get(&ask_contribution(1)).await.status, 200);
}

#[tokio::test]
async fn signed_aggregates_with_the_clusters_proof_are_taken() {
    let k = keyed();
    k.active();
    let list = [
        k.signed_aggregate(0, &k.whole[0], &k.own[0]),
        k.signed_aggregate(1, &k.whole[1], &k.own[1]),
    ];
    let body: Vec<_> = list.iter().map(|a| json!(a.data_only())).collect();
    let got = k.bench.post(AGGREGATES, &[FULU], &json!(body)).await;
    assert_eq!((got.status, got.body.len()), (StatusCode::OK, 0), "{got:?}");
    let [(duty, set)] = k.bench.submitted().try_into().unwrap();
    assert_eq!(duty, Duty::new(SLOT, Aggregator));
    assert_eq!(set.0[&k.groups[1]].data, SignedData::Aggregate(list[1].clone()));
}

#[tokio::test]
async fn signed_contributions_with_the_clusters_proof_are_taken() {
    let k = keyed();
    k.active();
    let list = [k.signed_contribution(0, &k.whole[0], &k.own[0])];
    let got = k.bench.post(CONTRIBUTIONS, &[], &json!(list)).await;
    assert_eq!((got.status, got.body.len()), (StatusCode::OK, 0), "{got:?}");
    let [(duty, set)] = k.bench.submitted().try_into().unwrap();
    assert_eq!(duty, Duty::new(SLOT, SyncContribution));
    assert_eq!(set.0[&k.groups[0]].data, SignedData::Contribution(list[0].clone()));
}

#[tokio::test]
async fn an_aggregate_with_a_wrong_signature_or_proof_is_refused_with_all_beside_it() {
    let k = keyed();
    k.active();
    let good = json!(k.signed_aggregate(1, &k.whole[1], &k.own[1]).data_only());
    for wrong in [
        k.signed_aggregate(0, &k.whole[0], &k.whole[0]),
        k.signed_aggregate(0, &k.whole[0], &k.own[1]),
        k.signed_aggregate(0, &k.whole[1], &k.own[0]),
    ] {
        let body = json!([good, wrong.data_only()]);
        k.bench.post(AGGREGATES, &[FULU], &body).await.error(500);
    }
    k.bench.post(AGGREGATES, &[], &json!([good])).await.error(500);
    k.bench
        .post(AGGREGATES, &[("eth-consensus-version", "gloas")], &json!([good]))
        .await
        .error(500);
    assert!(k.bench.submitted().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_aggregate_that_nobody_makes_is_refused_at_once() {
    let k = keyed();
    k.decided();
    k.selected(0);
    // A committee so large that one validator in it is selected once in 2^60 slots.
    k.bench.know(|known| known.attesters[0].committee_length = u64::MAX);
    let began = tokio::time::Instant::now();
    let message = k.bench.get(&ask(3)).await.error(404);
    assert_eq!(
        message,
        "no validator of this cluster is selected to aggregate attestations of committee 3 in slot 70"
    );
    // Selected, but not decided yet: that is waited for.
    k.bench.know(|known| known.attesters[0].committee_length = 1);
    let message = k.bench.get(&ask(3)).await.error(408);
    assert!(
        message.contains("slot 70, committee 3") && message.contains("3 of 4"),
        "{message}"
    );
    assert_eq!(began.elapsed().as_secs(), 10);
}
