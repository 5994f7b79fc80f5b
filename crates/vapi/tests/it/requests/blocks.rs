//! Blocks and signed blocks.

use super::*;

#[tokio::test]
async fn a_block_comes_as_json_or_ssz_as_the_client_prefers_and_its_randao_is_announced() {
    let k = keyed();
    let block = k.proposes();
    let path = format!("/eth/v3/validator/blocks/70?randao_reveal={}", k.randao());
    let got = k.bench.get(&path).await;
    let body = got.json();
    assert_eq!(body["version"], json!("fulu"));
    assert_eq!(body["execution_payload_blinded"], json!(false));
    assert_eq!(
        (&body["execution_payload_value"], &body["consensus_block_value"]),
        (&json!("1"), &json!("1"))
    );
    assert_eq!(body["data"]["block"]["slot"], json!("70"));
    let [(duty, set)] = k.bench.submitted().try_into().unwrap();
    assert_eq!(duty, Duty::new(SLOT, DutyType::Randao));
    let SignedData::Randao(randao) = &set.0[&k.groups[1]].data else {
        panic!("not a randao reveal")
    };
    assert_eq!((randao.epoch, randao.signature), (Epoch(2), k.randao()));
    // Whatever else is in the query does not matter.
    let path = format!("{path}&graffiti=0x00&builder_boost_factor=7&skip_randao_verification=");
    let accept = [("accept", "application/octet-stream;q=1,application/json;q=0.9")];
    let ssz = k.bench.ask("GET", &path, &accept, Body::empty()).await;
    assert_eq!(ssz.header("content-type"), Some("application/octet-stream"));
    assert_eq!(ssz.body, block.to_ssz());
    for answer in [&got, &ssz] {
        assert_eq!(answer.header("eth-consensus-version"), Some("fulu"));
        assert_eq!(answer.header("eth-execution-payload-blinded"), Some("false"));
        assert_eq!(answer.header("eth-execution-payload-value"), Some("1"));
        assert_eq!(answer.header("eth-consensus-block-value"), Some("1"));
    }
}

#[tokio::test]
async fn vc_22_no_block_without_a_good_randao_reveal_and_a_proposer_of_ours() {
    let k = keyed();
    k.proposes();
    let other = k.signed(&k.proposes()).signature();
    k.bench
        .get(&format!("/eth/v3/validator/blocks/70?randao_reveal={other}"))
        .await
        .error(500);
    k.bench
        .get(&format!("/eth/v3/validator/blocks/71?randao_reveal={}", k.randao()))
        .await
        .error(500);
    assert!(k.bench.submitted().is_empty());
}

#[tokio::test]
async fn vc_25_one_question_gives_the_full_or_the_blinded_block_and_each_comes_back_on_its_route() {
    let full = keyed().proposes();
    let mut blinded = electra::BlindedBeaconBlock::default();
    (blinded.slot, blinded.proposer_index) = (SLOT, ValidatorIndex(101));
    let blinded = Arc::new(VersionedProposal::Blinded(trireme_eth2::ForkedBlindedBlock::Fulu(
        blinded,
    )));
    let ssz = ("content-type", "application/octet-stream");
    for (agreed, flag, own, other) in [
        (full, "false", "blocks", "blinded_blocks"),
        (blinded, "true", "blinded_blocks", "blocks"),
    ] {
        let k = keyed();
        k.proposes();
        k.bench
            .know(|known| drop(known.proposals.insert(SLOT, Arc::clone(&agreed))));
        let ask = format!("/eth/v3/validator/blocks/70?randao_reveal={}", k.randao());
        let accept = [("accept", "application/octet-stream")];
        let got = k.bench.ask("GET", &ask, &accept, Body::empty()).await;
        assert_eq!(
            (got.header("eth-execution-payload-blinded"), &got.body[..]),
            (Some(flag), &agreed.to_ssz()[..])
        );
        let json = k.bench.get(&ask).await.json();
        assert_eq!(json["execution_payload_blinded"].to_string(), flag);
        k.bench.submitted();
        let signed = k.signed(&agreed);
        for version in ["v1", "v2"] {
            let headers = [ssz, ("eth-consensus-version", "fulu")];
            let path = format!("/eth/{version}/beacon/{other}");
            k.bench.ask("POST", &path, &headers, signed.to_ssz()).await.error(500);
            assert!(k.bench.submitted().is_empty());
            let path = format!("/eth/{version}/beacon/{own}");
            let got = k.bench.ask("POST", &path, &headers, signed.to_ssz()).await;
            assert_eq!(got.status, StatusCode::OK, "{got:?}");
            let [(_, set)] = k.bench.submitted().try_into().unwrap();
            let SignedData::Proposal(block) = &set.0[&k.groups[1]].data else {
                panic!("not a block")
            };
            assert_eq!(**block, signed, "unchanged");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_block_that_is_never_agreed_on_is_given_up_with_the_reason() {
    let k = keyed();
    k.proposes();
    k.bench.know(|known| known.proposals.clear());
    let message = k
        .bench
        .get(&format!("/eth/v3/validator/blocks/70?randao_reveal={}", k.randao()))
        .await
        .error(408);
    assert!(
        message.contains("slot 70") && message.contains("3 of 4 operators"),
        "{message}"
    );
    assert_eq!(k.bench.submitted().len(), 1);
}

#[tokio::test]
async fn the_agreed_block_is_taken_signed_in_ssz_and_in_json_on_both_paths() {
    let k = keyed();
    let signed = k.signed(&k.proposes());
    let (ssz, version) = (
        ("content-type", "application/octet-stream"),
        ("eth-consensus-version", "fulu"),
    );
    for path in [
        "/eth/v1/beacon/blocks",
        "/eth/v2/beacon/blocks?broadcast_validation=gossip",
    ] {
        let got = k.bench.ask("POST", path, &[ssz, version], signed.to_ssz()).await;
        assert_eq!((got.status, got.body.len()), (StatusCode::OK, 0), "{got:?}");
        let mut out = Vec::new();
        signed
            .serialize_data(&mut serde_json::Serializer::new(&mut out))
            .unwrap();
        let got = k.bench.ask("POST", path, &[version], out).await;
        assert_eq!(got.status, StatusCode::OK, "{got:?}");
        let all = k.bench.submitted();
        assert_eq!(all.len(), 2);
        for (duty, set) in all {
            assert_eq!(duty, Duty::new(SLOT, DutyType::Proposer));
            let SignedData::Proposal(block) = &set.0[&k.groups[1]].data else {
                panic!("not a block")
            };
            assert_eq!(**block, signed);
        }
    }
}

#[tokio::test]
async fn a_block_with_another_shares_signature_is_refused_and_the_right_one_taken_afterwards() {
    let k = keyed();
    let agreed = k.proposes();
    let headers = [
        ("content-type", "application/octet-stream"),
        ("eth-consensus-version", "fulu"),
    ];
    let path = "/eth/v2/beacon/blocks";
    let foreign = BlsSignature(k.own[0].sign(&[7; 32]).to_bytes());
    let bad = agreed.as_ref().clone().sign(foreign);
    let lines = Lines::here();
    k.bench.ask("POST", path, &headers, bad.to_ssz()).await.error(500);
    let said = lines.take(Level::ERROR);
    let key = k.groups[1].to_string();
    assert!(
        matches!(&said[..], [line] if line.contains("signature") && line.contains(&key)),
        "{said:?}"
    );
    assert!(k.bench.submitted().is_empty());
    let good = k.signed(&agreed).to_ssz();
    assert_eq!(k.bench.ask("POST", path, &headers, good).await.status, StatusCode::OK);
    assert_eq!(k.bench.submitted().len(), 1);
}

#[tokio::test]
async fn another_block_than_the_agreed_one_is_refused() {
    let k = keyed();
    let agreed = k.proposes();
    let (ssz, version) = (
        ("content-type", "application/octet-stream"),
        ("eth-consensus-version", "fulu"),
    );
    let VersionedProposal::Full(ForkedBlock::Fulu(contents)) = &*agreed else {
        panic!("not that block")
    };
    let mut other_root = contents.clone();
    other_root.block.state_root = Root([8; 32]);
    let mut other_proposer = contents.clone();
    other_proposer.block.proposer_index = ValidatorIndex(100);
    for other in [other_root, other_proposer] {
        let signed = k.signed(&VersionedProposal::Full(ForkedBlock::Fulu(other)));
        k.bench
            .ask("POST", "/eth/v2/beacon/blocks", &[ssz, version], signed.to_ssz())
            .await
            .error(500);
    }
    // Another fork: Electra's contents have the same form.
    let electra = electra::BlockContents {
        block: contents.block.clone(),
        ..electra::BlockContents::default()
    };
    let signed = k.signed(&VersionedProposal::Full(ForkedBlock::Electra(electra)));
    let headers = [ssz, ("eth-consensus-version", "electra")];
    k.bench
        .ask("POST", "/eth/v2/beacon/blocks", &headers, signed.to_ssz())
        .await
        .error(500);
    // Blinded instead of full.
    let mut blinded = electra::BlindedBeaconBlock::default();
    (blinded.slot, blinded.proposer_index) = (SLOT, ValidatorIndex(101));
    let blinded = VersionedProposal::Blinded(trireme_eth2::ForkedBlindedBlock::Fulu(blinded));
    let signed = k.signed(&blinded);
    k.bench
        .ask(
            "POST",
            "/eth/v2/beacon/blinded_blocks",
            &[ssz, version],
            signed.to_ssz(),
        )
        .await
        .error(500);
    assert!(k.bench.submitted().is_empty());
    // Agreed on, it is taken.
    k.bench
        .know(|known| drop(known.proposals.insert(SLOT, Arc::new(blinded))));
    let got = k
        .bench
        .ask(
            "POST",
            "/eth/v1/beacon/blinded_blocks",
            &[ssz, version],
            signed.to_ssz(),
        )
        .await;
    assert_eq!(got.status, StatusCode::OK);
    assert_eq!(k.bench.submitted().len(), 1);
    // With a wrong signature it is not.
    let wrong = k.signed(&agreed).signature();
    let mut forged = signed;
    *forged.signature_mut() = wrong;
    k.bench
        .ask(
            "POST",
            "/eth/v1/beacon/blinded_blocks",
            &[ssz, version],
            forged.to_ssz(),
        )
        .await
        .error(500);
    assert!(k.bench.submitted().is_empty());
}

#[tokio::test]
async fn a_block_of_an_epoch_before_a_restart_is_too_late_and_no_internal_error() {
    let k = keyed();
    let signed = k.signed(&k.proposes());
    k.bench.know(|known| known.trimmed.push(SLOT));
    let headers = [
        ("content-type", "application/octet-stream"),
        ("eth-consensus-version", "fulu"),
    ];
    let got = k
        .bench
        .ask("POST", "/eth/v2/beacon/blocks", &headers, signed.to_ssz())
        .await;
    assert!(got.error(408).contains("trimmed"), "{got:?}");
    let path = format!("/eth/v3/validator/blocks/70?randao_reveal={}", k.randao());
    k.bench.get(&path).await.error(408);
    assert!(k.bench.submitted().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_randao_reveal_reaches_the_cluster_though_its_client_hangs_up() {
    let k = keyed();
    k.proposes();
    k.bench.know(|known| known.proposals.clear());
    let path = format!("/eth/v3/validator/blocks/70?randao_reveal={}", k.randao());
    let mut asking = Box::pin(k.bench.server.handle(Request::get(path).body(Body::empty()).unwrap()));
    // Gone after its first breath.
    assert!(futures::poll!(&mut asking).is_pending());
    drop(asking);
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    let [(duty, _)] = k.bench.submitted().try_into().unwrap();
    assert_eq!(duty, Duty::new(SLOT, DutyType::Randao));
}
