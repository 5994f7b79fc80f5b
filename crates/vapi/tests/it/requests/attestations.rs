//! Attestation data and attestations.

use super::*;

#[tokio::test]
async fn attestation_data_is_what_was_agreed_for_the_real_committee_and_for_zero() {
    let k = keyed();
    k.decided();
    for committee in [3, 1, 0] {
        let got = k
            .bench
            .get(&format!(
                "/eth/v1/validator/attestation_data?slot=70&committee_index={committee}"
            ))
            .await;
        assert_eq!(got.json(), json!({ "data": data() }));
    }
    let foreign = k
        .bench
        .get("/eth/v1/validator/attestation_data?slot=70&committee_index=2")
        .await;
    assert!(foreign.error(400).contains("committee 2 of slot 70"));
    assert_eq!(k.bench.asked(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_slot_without_a_duty_of_the_cluster_is_answered_by_the_beacon_node_at_once() {
    let k = keyed();
    k.bench.know(|known| known.beacon_data = Some(data()));
    let got = k
        .bench
        .get("/eth/v1/validator/attestation_data?slot=71&committee_index=2")
        .await;
    assert_eq!(got.json(), json!({ "data": data() }));
    assert_eq!(k.bench.asked(), ["attestation_data 71 2"]);
}

#[tokio::test(start_paused = true)]
async fn a_slot_before_the_restart_is_answered_with_what_was_decided_or_not_at_all() {
    let k = keyed();
    k.decided();
    k.bench.know(|known| {
        known.trimmed = vec![Slot(70), Slot(71)];
        known.no_answer = Some(NoAnswer::Expired);
        let mut other = data();
        other.beacon_block_root = Root([9; 32]);
        known.beacon_data = Some(other);
    });
    let path = |slot| format!("/eth/v1/validator/attestation_data?slot={slot}&committee_index=3");
    assert_eq!(k.bench.get(&path(70)).await.json(), json!({ "data": data() }));
    assert!(k.bench.get(&path(71)).await.error(408).contains("slot 71"));
    assert_eq!(k.bench.asked(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn waiting_in_vain_ends_after_ten_seconds_and_says_what_for() {
    let k = keyed();
    k.bench.know(|known| known.attesters = vec![k.duty(0, 3)]);
    let began = tokio::time::Instant::now();
    let got = k
        .bench
        .get("/eth/v1/validator/attestation_data?slot=70&committee_index=3")
        .await;
    assert_eq!(
        got.error(408),
        "timed out after 10 s waiting for the cluster's agreement on attestation data of slot 70, committee 3"
    );
    assert_eq!(began.elapsed().as_secs(), 10);
    // A latency is not recorded for it, an error is.
    let metrics = k.bench.metrics();
    assert!(metrics.contains(r#"request_error_total{endpoint="attestation_data",status_code="408"} 1"#));
    assert!(!metrics.contains(r#"request_latency_seconds_count{endpoint="attestation_data"}"#));
    // Once the duty's time is over there is no point in waiting.
    k.bench.know(|known| known.no_answer = Some(NoAnswer::Expired));
    let got = k
        .bench
        .get("/eth/v1/validator/attestation_data?slot=70&committee_index=3")
        .await;
    assert!(got.error(408).contains("attestation data of slot 70"));
    assert_eq!(began.elapsed().as_secs(), 10);
    k.bench.know(|known| known.no_answer = Some(NoAnswer::Stopped));
    let got = k
        .bench
        .get("/eth/v1/validator/attestation_data?slot=70&committee_index=3")
        .await;
    assert_eq!(
        (got.status.as_u16(), got.header("content-type")),
        (503, Some("text/plain; charset=utf-8"))
    );
}

#[tokio::test]
async fn attestations_are_verified_and_announced_as_one_set_with_our_share() {
    let k = keyed();
    k.decided();
    let got = k.attest(&[k.single(0, 3), k.single(1, 1)]).await;
    assert_eq!(
        (got.status, got.body.len(), got.header("content-type")),
        (StatusCode::OK, 0, None)
    );
    let [(duty, set)] = k.bench.submitted().try_into().unwrap();
    assert_eq!(duty, Duty::new(SLOT, DutyType::Attester));
    let found: BTreeMap<_, _> = set.0.iter().map(|(key, p)| (*key, p.share)).collect();
    assert_eq!(found, k.groups.iter().map(|g| (*g, ShareIdx(2))).collect());
    let SignedData::Attestation(a) = &set.0[&k.groups[0]].data else {
        panic!("not an attestation")
    };
    assert_eq!(a.to_single(), Some(k.single(0, 3)));
    // The same in SSZ, and with the constant committee index.
    let ssz = vec![k.single(0, 0), k.single(1, 0)].as_ssz_bytes();
    let headers = [
        ("content-type", "application/octet-stream"),
        ("eth-consensus-version", "electra"),
    ];
    let got = k
        .bench
        .ask("POST", "/eth/v2/beacon/pool/attestations", &headers, ssz)
        .await;
    assert_eq!(got.status, StatusCode::OK);
    assert_eq!(k.bench.submitted()[0].1.0.len(), 2);
}

#[tokio::test]
async fn one_bad_attestation_keeps_the_whole_request_from_being_announced() {
    let k = keyed();
    k.decided();
    let good = k.single(0, 3);
    let mut wrong = k.single(1, 1);
    wrong.signature = good.signature;
    let mut unsigned = k.single(1, 1);
    unsigned.signature = BlsSignature([0; 96]);
    let mut no_point = k.single(1, 1);
    no_point.signature = BlsSignature([0x12; 96]);
    let mut other_data = k.single(1, 1);
    other_data.data.beacon_block_root = Root([4; 32]);
    let mut unknown = k.single(1, 1);
    unknown.attester_index = ValidatorIndex(999);
    let mut no_committee = k.single(1, 1);
    no_committee.committee_index = CommitteeIndex(64);
    // The client gets Charon's words; whose attestation it was and what is wrong with it is for the operator's log.
    let key = k.groups[1].to_string();
    for (bad, whose) in [
        (wrong, &*key),
        (unsigned, &key),
        (no_point, &key),
        (other_data, &key),
        (unknown, "validator 999"),
        (no_committee, ""),
    ] {
        let lines = Lines::here();
        assert_eq!(k.attest(&[good, bad]).await.error(500), "Internal server error");
        let said = lines.take(Level::ERROR);
        assert!(
            matches!(&said[..], [line] if line.contains("submit_attestations_v2") && line.contains(whose)),
            "{said:?}, expected {whose:?}"
        );
    }
    assert!(k.bench.submitted().is_empty());
    // The good one alone is taken afterwards.
    assert_eq!(k.attest(&[good]).await.status, StatusCode::OK);
    assert_eq!(k.bench.submitted()[0].1.0.len(), 1);
}

#[tokio::test]
async fn an_attestation_sent_twice_counts_once_and_two_different_ones_are_refused() {
    let k = keyed();
    k.decided();
    let one = k.single(0, 3);
    assert_eq!(k.attest(&[one, one]).await.status, StatusCode::OK);
    assert_eq!(k.bench.submitted()[0].1.0.len(), 1);
    let mut other = one;
    other.data.beacon_block_root = Root([4; 32]);
    k.attest(&[one, other]).await.error(500);
    assert!(k.bench.submitted().is_empty());
    assert_eq!(k.attest(&[]).await.status, StatusCode::OK);
}

#[tokio::test]
async fn attestations_from_before_electra_find_their_validator_by_their_bit() {
    let k = keyed();
    k.decided();
    let mut d = data();
    d.index = CommitteeIndex(1);
    let root = k
        .chain
        .signing_root(hash_tree_root(&d), DomainType::BeaconAttester, Epoch(2));
    let signature = BlsSignature(k.own[1].sign(&root.0).to_bytes());
    // Bit 1 of 10; the last byte's highest bit marks the length.
    let attestation = |bits: &str| json!([{ "aggregation_bits": bits, "data": d, "signature": signature }]);
    let path = "/eth/v2/beacon/pool/attestations";
    let headers = [("eth-consensus-version", "deneb")];
    let got = k.bench.post(path, &headers, &attestation("0x0204")).await;
    assert_eq!(got.status, StatusCode::OK, "{got:?}");
    assert!(k.bench.submitted()[0].1.0.contains_key(&k.groups[1]));
    for bits in ["0x0004", "0x0304", "0x0404"] {
        k.bench.post(path, &headers, &attestation(bits)).await.error(500);
    }
    assert!(k.bench.submitted().is_empty());
}

#[tokio::test]
async fn a_submission_goes_on_when_the_client_hangs_up() {
    let k = keyed();
    k.decided();
    let request = Request::post("/eth/v2/beacon/pool/attestations")
        .header("eth-consensus-version", "fulu")
        .body(Body::from(json!([k.single(0, 3)]).to_string()))
        .unwrap();
    {
        let mut asked = Box::pin(k.bench.server.handle(request));
        assert!(futures::FutureExt::now_or_never(&mut asked).is_none());
    }
    k.bench.life.finish(crate::fixture::PATIENCE).await;
    assert_eq!(k.bench.submitted().len(), 1);
}

#[tokio::test]
async fn attestations_of_another_slot_than_the_refused_one_are_announced_all_the_same() {
    let k = keyed();
    k.decided();
    let later = Slot(SLOT.0 + 1);
    k.bench.know(|known| {
        known.refused_slot = Some(SLOT);
        known
            .pubkeys
            .insert((later, CommitteeIndex(1), ValidatorIndex(101)), k.groups[1]);
    });
    let mut other = k.single(1, 1);
    other.data.slot = later;
    let root = k
        .chain
        .signing_root(hash_tree_root(&other.data), DomainType::BeaconAttester, Epoch(2));
    other.signature = BlsSignature(k.own[1].sign(&root.0).to_bytes());
    k.attest(&[k.single(0, 3), other]).await.error(500);
    let announced = k.bench.submitted();
    assert_eq!(announced.len(), 1);
    assert_eq!(announced[0].0, Duty::new(later, DutyType::Attester));
}
