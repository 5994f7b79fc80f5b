//! Every kind of wrong request with the answer that validator clients know, on every route where it can be asked.

use axum::body::Body;
use http::Method;
use serde_json::{Value, json};
use tracing::Level;
use trireme_eth2::{BlsPubkey, ProposerDuty, ValidatorStatus};
use trireme_tbls::split;
use trireme_testutil::sim::Lines;
use trireme_vapi::{Kind, table};

use crate::requests::{Keyed, SLOT, info, keyed};

const INTERNAL: &str = "Internal server error";
const FULU: [(&str, &str); 1] = [("eth-consensus-version", "fulu")];
const DUTIES: [&str; 2] = ["/eth/v1/validator/duties/attester/2", "/eth/v1/validator/duties/sync/2"];
const SIGNED: [&str; 6] = [
    "/eth/v1/beacon/pool/voluntary_exits",
    "/eth/v1/validator/beacon_committee_selections",
    "/eth/v1/validator/sync_committee_selections",
    "/eth/v1/beacon/pool/sync_committees",
    "/eth/v1/validator/contribution_and_proofs",
    "/eth/v2/validator/aggregate_and_proofs",
];
/// What is wrong with these bodies is told to the operator only.
const OPAQUE: [&str; 5] = [
    "/eth/v2/beacon/pool/attestations",
    "/eth/v1/beacon/blocks",
    "/eth/v2/beacon/blocks",
    "/eth/v1/beacon/blinded_blocks",
    "/eth/v2/beacon/blinded_blocks",
];

#[tokio::test]
async fn a_body_that_is_missing_or_no_json_is_named_but_for_attestations_and_blocks() {
    let k = keyed();
    for (body, message) in [
        ("", "empty request body"),
        ("{\"not\":", "failed parsing json request body"),
        ("7", "failed parsing json request body"),
    ] {
        for path in DUTIES.into_iter().chain(SIGNED) {
            let got = k.bench.ask("POST", path, &FULU, body).await;
            assert_eq!(got.error(400), message, "{path} {body:?}");
        }
        for path in OPAQUE {
            let got = k.bench.ask("POST", path, &FULU, body).await;
            assert_eq!(got.error(500), INTERNAL, "{path} {body:?}");
        }
    }
    assert!(k.bench.submitted().is_empty());
}

#[tokio::test]
async fn without_a_version_that_it_knows_nothing_versioned_is_read() {
    let k = keyed();
    for headers in [
        &[][..],
        &[("eth-consensus-version", "gloas")],
        &[("eth-consensus-version", "")],
    ] {
        for path in OPAQUE.into_iter().chain(["/eth/v2/validator/aggregate_and_proofs"]) {
            let got = k.bench.ask("POST", path, headers, "[]").await;
            assert_eq!(got.error(500), INTERNAL, "{path} {headers:?}");
        }
    }
}

#[tokio::test]
async fn every_parameter_that_is_missing_or_malformed_is_named() {
    let k = keyed();
    let root = "11".repeat(32);
    let aggregate = format!("/eth/v2/validator/aggregate_attestation?attestation_data_root={root}");
    let contribution = "/eth/v1/validator/sync_committee_contribution?slot=1&subcommittee_index=1";
    let data = "/eth/v1/validator/attestation_data";
    for (path, message) in [
        (
            "/eth/v1/validator/duties/proposer/x".to_owned(),
            "invalid uint path parameter epoch [x]",
        ),
        (
            "/eth/v2/validator/duties/proposer/-1".to_owned(),
            "invalid uint path parameter epoch [-1]",
        ),
        (
            "/eth/v3/validator/blocks/1.5".to_owned(),
            "invalid uint path parameter slot [1.5]",
        ),
        (format!("{data}?committee_index=0"), "missing query parameter slot"),
        (format!("{data}?slot=1"), "missing query parameter committee_index"),
        (
            format!("{data}?slot=one&committee_index=0"),
            "invalid uint path parameter slot [one]",
        ),
        (
            format!("{data}?slot=1&committee_index="),
            "invalid uint path parameter committee_index []",
        ),
        (format!("{aggregate}&committee_index=0"), "missing query parameter slot"),
        (format!("{aggregate}&slot=1"), "missing query parameter committee_index"),
        (
            format!("{aggregate}&attestation_data_root={root}&slot=1&committee_index=0"),
            "missing 0x-hex query parameter attestation_data_root",
        ),
        (
            contribution.to_owned(),
            "missing 0x-hex query parameter beacon_block_root",
        ),
        (
            format!("{contribution}&beacon_block_root=0xgg"),
            "invalid 0x-hex query parameter beacon_block_root [0xgg]",
        ),
        (
            format!("{contribution}&beacon_block_root=0x11"),
            "invalid length for 0x-hex query parameter beacon_block_root, expect 32 bytes",
        ),
        (
            format!("/eth/v1/validator/sync_committee_contribution?slot=1&beacon_block_root={root}"),
            "missing query parameter subcommittee_index",
        ),
        (
            "/eth/v3/validator/blocks/1".to_owned(),
            "missing 0x-hex query parameter randao_reveal",
        ),
        (
            "/eth/v3/validator/blocks/1?randao_reveal=0x11".to_owned(),
            "invalid length for 0x-hex query parameter randao_reveal, expect 96 bytes",
        ),
    ] {
        assert_eq!(k.bench.get(&path).await.error(400), message, "{path}");
    }
    for path in ["/eth/v1/validator/duties/attester/x", "/eth/v1/validator/duties/sync/x"] {
        let got = k.bench.post(path, &[], &json!([])).await;
        assert_eq!(got.error(400), "invalid uint path parameter epoch [x]");
    }
    assert!(k.bench.asked().is_empty());
}

#[tokio::test]
async fn every_retired_route_is_not_found_and_every_swallowed_one_fine() {
    let k = keyed();
    let (mut retired, mut swallowed) = (0, 0);
    for (method, path, endpoint) in table() {
        let path = format!("/{}", path.replace("{}", "7"));
        match endpoint.kind() {
            Kind::Served => {}
            Kind::Retired => {
                retired += 1;
                let got = k.bench.ask(method.as_str(), &path, &[], Body::empty()).await;
                assert_eq!(got.error(404), "NotFound", "{path}");
            }
            Kind::Swallowed => {
                swallowed += 1;
                assert_eq!(method, Method::POST);
                let got = k.bench.ask("POST", &path, &[], "not even json").await;
                assert_eq!((got.status.as_u16(), got.body.len()), (200, 0), "{path}");
            }
        }
    }
    assert_eq!((retired, swallowed), (7, 2));
    assert!(k.bench.asked().is_empty() && k.bench.submitted().is_empty());
}

/// Asks and expects an internal error whose cause stands in the log.
async fn internal(k: &Keyed, path: &str, body: Option<&Value>, cause: &str) {
    let lines = Lines::here();
    let got = match body {
        Some(body) => k.bench.post(path, &FULU, body).await,
        None => k.bench.get(path).await,
    };
    assert_eq!(got.error(500), INTERNAL, "{path}");
    let said = lines.take(Level::ERROR);
    assert!(
        matches!(&said[..], [line] if line.contains(cause)),
        "{path}: {said:?}, expected {cause:?}"
    );
}

#[tokio::test]
async fn keys_and_validators_that_are_not_ours_are_internal_errors_with_the_cause_in_the_log() {
    let k = keyed();
    k.active();
    let states = "/eth/v1/beacon/states/head/validators";
    let foreign = format!("0x{}", "c0".repeat(48));
    internal(&k, &format!("{states}?id={foreign}"), None, "unknown public key").await;
    internal(&k, &format!("{states}/{foreign}"), None, "unknown public key").await;
    // This node is the second of four; the third operator's share belongs to another.
    let shares = split(&k.whole[0], 3, 4, &mut |out: &mut [u8; 64]| out.fill(11)).unwrap();
    assert_eq!(shares[&2].public_key(), k.own[0].public_key());
    let others = format!("0x{}", hex::encode(shares[&3].public_key().to_bytes()));
    let cause = "mismatching validator client key share index, 2th key share submitted to 1th charon peer";
    internal(&k, &format!("{states}?id={others}"), None, cause).await;
    // Indices that the cluster does not have.
    let signature = format!("0x{}", "12".repeat(96));
    let exit = json!({ "message": { "epoch": "2", "validator_index": "999" }, "signature": signature });
    let message = json!([{ "slot": "70", "beacon_block_root": format!("0x{}", "11".repeat(32)),
        "validator_index": "999", "signature": signature }]);
    let selection = json!([{ "validator_index": "999", "slot": "71", "subcommittee_index": "0",
        "selection_proof": signature }]);
    for (path, body) in [
        (SIGNED[0], &exit),
        (SIGNED[1], &selection),
        (SIGNED[2], &selection),
        (SIGNED[3], &message),
    ] {
        internal(&k, path, Some(body), "999").await;
    }
    // A duty of somebody else's key in the beacon node's answer.
    k.bench.know(|known| {
        let mut duty = k.duty(0, 3);
        duty.pubkey = BlsPubkey([0xc0; 48]);
        known.attesters = vec![duty];
    });
    internal(&k, DUTIES[0], Some(&json!(["100"])), &foreign).await;
    assert!(k.bench.submitted().is_empty());
}

#[tokio::test]
async fn a_signature_of_nothing_or_of_another_key_is_an_internal_error_and_names_the_validator() {
    let k = keyed();
    k.active();
    let key = k.groups[0].to_string();
    for signature in ["00".repeat(96), format!("c0{}", "00".repeat(95)), "12".repeat(96)] {
        let exit =
            json!({ "message": { "epoch": "2", "validator_index": "100" }, "signature": format!("0x{signature}") });
        internal(&k, SIGNED[0], Some(&exit), &key).await;
    }
    assert!(k.bench.submitted().is_empty());
}

#[tokio::test]
async fn a_single_validator_that_the_chain_does_not_know_is_not_found() {
    let k = keyed();
    k.bench
        .know(|known| known.validators = vec![info(k.groups[1], 101, ValidatorStatus::ActiveOngoing)]);
    let path = format!("/eth/v1/beacon/states/head/validators/{}", k.share(0));
    assert_eq!(k.bench.get(&path).await.error(404), "NotFound");
}

#[tokio::test]
async fn a_slot_with_two_proposers_of_the_cluster_is_an_internal_error() {
    let k = keyed();
    k.proposes();
    k.bench.know(|known| {
        let mut other = known.proposers[0];
        other.pubkey = BlsPubkey(k.groups[0].0);
        known.proposers.push(ProposerDuty { slot: SLOT, ..other });
    });
    let path = format!("/eth/v3/validator/blocks/{}?randao_reveal={}", SLOT.0, k.randao());
    internal(&k, &path, None, "70").await;
}
