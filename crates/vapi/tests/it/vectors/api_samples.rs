//! `api-samples`: every operation of the official beacon API.

use serde_json::{Value, json};
use trireme_eth2::{
    AttesterDuty, BeaconCommitteeSelection, ProposerDuty, SignedContributionAndProof, SignedVoluntaryExit,
    SingleAttestation, SyncCommitteeContribution, SyncCommitteeMessage, SyncCommitteeSelection, SyncDuty,
    ValidatorInfo,
};
use trireme_vapi::{Route, route};

/// What this node answers itself, from the route table of the protocol's description; `{}` is a parameter.
const SERVED: &[(&str, &str)] = &[
    ("POST", "/eth/v1/validator/duties/attester/{}"),
    ("GET", "/eth/v1/validator/duties/proposer/{}"),
    ("GET", "/eth/v2/validator/duties/proposer/{}"),
    ("POST", "/eth/v1/validator/duties/sync/{}"),
    ("GET", "/eth/v1/validator/attestation_data"),
    ("POST", "/eth/v1/beacon/pool/attestations"),
    ("POST", "/eth/v2/beacon/pool/attestations"),
    ("GET", "/eth/v1/beacon/states/{}/validators"),
    ("POST", "/eth/v1/beacon/states/{}/validators"),
    ("GET", "/eth/v1/beacon/states/{}/validators/{}"),
    ("GET", "/eth/v2/validator/blocks/{}"),
    ("GET", "/eth/v1/validator/blinded_blocks/{}"),
    ("GET", "/eth/v3/validator/blocks/{}"),
    ("POST", "/eth/v1/beacon/blocks"),
    ("POST", "/eth/v2/beacon/blocks"),
    ("POST", "/eth/v1/beacon/blinded_blocks"),
    ("POST", "/eth/v2/beacon/blinded_blocks"),
    ("POST", "/eth/v1/validator/register_validator"),
    ("POST", "/eth/v1/beacon/pool/voluntary_exits"),
    ("POST", "/eth/v1/validator/beacon_committee_selections"),
    ("GET", "/eth/v1/validator/aggregate_attestation"),
    ("GET", "/eth/v2/validator/aggregate_attestation"),
    ("POST", "/eth/v1/validator/aggregate_and_proofs"),
    ("POST", "/eth/v2/validator/aggregate_and_proofs"),
    ("POST", "/eth/v1/beacon/pool/sync_committees"),
    ("GET", "/eth/v1/validator/sync_committee_contribution"),
    ("POST", "/eth/v1/validator/contribution_and_proofs"),
    ("POST", "/eth/v1/validator/prepare_beacon_proposer"),
    ("POST", "/eth/v1/validator/sync_committee_selections"),
    ("POST", "/eth/v1/validator/liveness/{}"),
    ("GET", "/eth/v1/node/version"),
];

#[test]
fn api_samples() {
    trireme_vectors::each("validatorapi", "api-samples", |e| {
        for operation in e.json().as_array().unwrap() {
            let (method, path) = (
                operation["method"].as_str().unwrap(),
                operation["path"].as_str().unwrap(),
            );
            let template: Vec<&str> = path
                .split('/')
                .map(|s| if s.starts_with('{') { "{}" } else { s })
                .collect();
            let template = template.join("/");
            let found = route(&method.parse().unwrap(), &template.replace("{}", "7"));
            let debug = path.split('/').nth(3) == Some("debug");
            match found {
                Route::Here(..) => assert!(SERVED.contains(&(method, &template)), "{method} {path} is served"),
                Route::Events => assert_eq!((method, &*template), ("GET", "/eth/v1/events")),
                // Behind the proxy, debug endpoints would be open to whoever reaches the validator API.
                Route::Denied => assert!(debug, "{method} {path} is denied"),
                Route::Proxy => assert!(
                    !debug && !SERVED.contains(&(method, &template)),
                    "{method} {path} is proxied"
                ),
                Route::Redirect(to) => panic!("{path} is redirected to {to}"),
            }
            for sample in operation["responses"]["200"]["samples"]
                .as_array()
                .into_iter()
                .flatten()
            {
                answer(method, &template, sample);
            }
            for sample in operation["request_samples"].as_array().into_iter().flatten() {
                request(method, &template, sample);
            }
        }
    });
}

/// Reads each element and writes it again: the member names must be those of the sample.
fn again<T: serde::Serialize + serde::de::DeserializeOwned>(value: &Value) {
    let elements = value
        .as_array()
        .map_or_else(|| std::slice::from_ref(value), Vec::as_slice);
    for one in elements {
        let read: T = serde_json::from_value(one.clone()).unwrap_or_else(|e| panic!("{e}: {one}"));
        let (ours, theirs) = (names(&json!(read)), names(one));
        assert_eq!(ours, theirs);
    }
}

/// The samples show contributions with one byte of bits, where there are always sixteen.
fn full_length(value: &Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .map(|(name, inner)| match name.as_str() {
                "aggregation_bits" => (name.clone(), json!(format!("0x{}", "01".repeat(16)))),
                _ => (name.clone(), full_length(inner)),
            })
            .collect(),
        Value::Array(list) => list.iter().map(full_length).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// All member names, as paths.
fn names(value: &Value) -> std::collections::BTreeSet<String> {
    fn walk(value: &Value, at: &str, out: &mut std::collections::BTreeSet<String>) {
        match value {
            Value::Object(map) => {
                for (name, inner) in map {
                    let path = format!("{at}/{name}");
                    walk(inner, &path, out);
                    out.insert(path);
                }
            }
            Value::Array(list) => list.iter().for_each(|one| walk(one, at, out)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut out = std::collections::BTreeSet::new();
    walk(value, "", &mut out);
    out
}

fn members(sample: &Value) -> Vec<&str> {
    let mut all: Vec<&str> = sample.as_object().unwrap().keys().map(String::as_str).collect();
    all.sort_unstable();
    all
}

fn answer(method: &str, path: &str, sample: &Value) {
    let data = &sample["data"];
    match (method, path) {
        ("POST", "/eth/v1/validator/duties/attester/{}") => {
            again::<AttesterDuty>(data);
            assert_eq!(members(sample), ["data", "dependent_root", "execution_optimistic"]);
        }
        ("GET", "/eth/v1/validator/duties/proposer/{}" | "/eth/v2/validator/duties/proposer/{}") => {
            again::<ProposerDuty>(data);
            assert_eq!(members(sample), ["data", "dependent_root", "execution_optimistic"]);
        }
        ("POST", "/eth/v1/validator/duties/sync/{}") => {
            again::<SyncDuty>(data);
            assert_eq!(members(sample), ["data", "execution_optimistic"]);
        }
        ("GET", "/eth/v1/validator/attestation_data") => {
            again::<trireme_eth2::AttestationData>(data);
            assert_eq!(members(sample), ["data"]);
        }
        (_, "/eth/v1/beacon/states/{}/validators" | "/eth/v1/beacon/states/{}/validators/{}") => {
            again::<ValidatorInfo>(data);
            assert_eq!(members(sample), ["data", "execution_optimistic", "finalized"]);
        }
        ("GET", "/eth/v3/validator/blocks/{}") => {
            let ours = [
                "consensus_block_value",
                "data",
                "execution_payload_blinded",
                "execution_payload_value",
                "version",
            ];
            assert_eq!(members(sample), ours);
        }
        ("POST", "/eth/v1/validator/beacon_committee_selections") => again::<BeaconCommitteeSelection>(data),
        ("POST", "/eth/v1/validator/sync_committee_selections") => again::<SyncCommitteeSelection>(data),
        // The samples' committee bits are too short to be read.
        ("GET", "/eth/v2/validator/aggregate_attestation") => assert_eq!(members(sample), ["data", "version"]),
        ("GET", "/eth/v1/validator/sync_committee_contribution") => {
            again::<SyncCommitteeContribution>(&full_length(data));
            assert_eq!(members(sample), ["data"]);
        }
        ("GET", "/eth/v1/node/version") => assert_eq!(members(data), ["version"]),
        _ => {}
    }
}

fn request(method: &str, path: &str, sample: &Value) {
    match (method, path) {
        ("POST", "/eth/v2/beacon/pool/attestations") => {
            // The samples show either form; the one with its committee is what travels from Electra on.
            let single = sample
                .as_array()
                .is_some_and(|list| list.iter().all(|a| a.get("attester_index").is_some()));
            if single {
                again::<SingleAttestation>(sample);
            }
        }
        (
            "POST",
            "/eth/v1/validator/duties/attester/{}"
            | "/eth/v1/validator/duties/sync/{}"
            | "/eth/v1/validator/liveness/{}",
        ) => again::<trireme_eth2::ValidatorIndex>(sample),
        ("POST", "/eth/v1/validator/beacon_committee_selections") => again::<BeaconCommitteeSelection>(sample),
        ("POST", "/eth/v1/validator/sync_committee_selections") => again::<SyncCommitteeSelection>(sample),
        ("POST", "/eth/v1/beacon/pool/sync_committees") => again::<SyncCommitteeMessage>(sample),
        ("POST", "/eth/v1/validator/contribution_and_proofs") => {
            again::<SignedContributionAndProof>(&full_length(sample))
        }
        ("POST", "/eth/v1/beacon/pool/voluntary_exits") => again::<SignedVoluntaryExit>(sample),
        _ => {}
    }
}
