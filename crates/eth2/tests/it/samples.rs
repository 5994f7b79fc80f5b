//! The samples of the official beacon API: what we read we can read, and what we write has the same member names.

use std::collections::BTreeSet;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use trireme_eth2::{
    AttestationData, AttesterDuty, BeaconCommitteeSelection, Fork, ForkInfo, ForkedAttestation, ForkedBlock,
    ForkedSignedBlindedBlock, ForkedSignedBlock, Genesis, ProposalResponse, ProposerDuty, SignedContributionAndProof,
    SignedValidatorRegistrationV1, SignedVoluntaryExit, SingleAttestation, SyncCommitteeContribution,
    SyncCommitteeMessage, SyncCommitteeSelection, SyncDuty, SyncingStatus, ValidatorInfo, Versioned,
    VersionedSignedAggregateAndProof,
};

/// The paths of all members, with `[]` for any element.
fn names(value: &Value) -> BTreeSet<String> {
    fn walk(value: &Value, at: &str, out: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    let path = format!("{at}.{name}");
                    walk(member, &path, out);
                    out.insert(path);
                }
            }
            Value::Array(list) => list.iter().for_each(|v| walk(v, &format!("{at}[]"), out)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut out = BTreeSet::new();
    walk(value, "", &mut out);
    out
}

/// Bit fields, proofs and blobs of the samples are too short for any type; give them their length.
fn mend(value: &mut Value) {
    match value {
        Value::Object(members) => {
            let contribution = members.contains_key("subcommittee_index");
            for (name, member) in members.iter_mut() {
                match name.as_str() {
                    "aggregation_bits" if contribution => *member = json!(format!("0x{}", "00".repeat(16))),
                    "sync_committee_bits" => *member = json!(format!("0x{}", "00".repeat(64))),
                    "committee_bits" => *member = json!(format!("0x{}", "00".repeat(8))),
                    "logs_bloom" => *member = json!(format!("0x{}", "00".repeat(256))),
                    "proof" => *member = json!(vec![format!("0x{}", "00".repeat(32)); 33]),
                    "blobs" => *member = json!([]),
                    _ => mend(member),
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(mend),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn round_trip<T: DeserializeOwned + Serialize>(sample: &Value) {
    let object: T = serde_json::from_value(sample.clone()).unwrap_or_else(|why| panic!("{why}: {sample}"));
    assert_eq!(names(&serde_json::to_value(object).unwrap()), names(sample));
}

/// Whether an object without version is of a fork that we know.
fn fits<T: Versioned>(sample: &Value) -> bool {
    let text = sample.to_string();
    let mut read = Fork::ALL
        .into_iter()
        .filter_map(|fork| T::decode_json(fork, &text).ok());
    read.any(|object| names(&serde_json::to_value(object.data_only()).unwrap()) == names(sample))
}

/// Whether an object is of a fork still to come, by what Gloas adds.
fn newer(sample: &Value) -> bool {
    let text = sample.to_string();
    ["signed_execution_payload_bid", "payload_attestations"]
        .iter()
        .any(|name| text.contains(name))
}

fn list<T: DeserializeOwned + Serialize>(sample: &Value) {
    sample.as_array().unwrap().iter().for_each(round_trip::<T>);
}

fn samples(of: &Value) -> Vec<Value> {
    let mut list = of.as_array().cloned().unwrap_or_default();
    list.iter_mut().for_each(mend);
    list
}

/// Operations whose objects we read or write, with the type of each.
fn check(operation: &str, requests: &[Value], answers: &[Value]) -> bool {
    let data = |each: fn(&Value)| answers.iter().for_each(|a| each(&a["data"]));
    match operation {
        "GET /eth/v1/beacon/genesis" => data(round_trip::<Genesis>),
        "GET /eth/v1/config/fork_schedule" => data(list::<ForkInfo>),
        "GET /eth/v1/node/syncing" => data(round_trip::<SyncingStatus>),
        "GET /eth/v1/beacon/states/{state_id}/validators" | "POST /eth/v1/beacon/states/{state_id}/validators" => {
            data(list::<ValidatorInfo>);
        }
        "GET /eth/v1/beacon/states/{state_id}/validators/{validator_id}" => data(round_trip::<ValidatorInfo>),
        "POST /eth/v1/validator/duties/attester/{epoch}" => data(list::<AttesterDuty>),
        "GET /eth/v1/validator/duties/proposer/{epoch}" | "GET /eth/v2/validator/duties/proposer/{epoch}" => {
            data(list::<ProposerDuty>);
        }
        "POST /eth/v1/validator/duties/sync/{epoch}" => data(list::<SyncDuty>),
        "GET /eth/v1/validator/attestation_data" => data(round_trip::<AttestationData>),
        "GET /eth/v1/validator/sync_committee_contribution" => data(round_trip::<SyncCommitteeContribution>),
        "POST /eth/v1/validator/beacon_committee_selections" => {
            requests.iter().for_each(list::<BeaconCommitteeSelection>);
            data(list::<BeaconCommitteeSelection>);
        }
        "POST /eth/v1/validator/sync_committee_selections" => {
            requests.iter().for_each(list::<SyncCommitteeSelection>);
            data(list::<SyncCommitteeSelection>);
        }
        "POST /eth/v1/validator/contribution_and_proofs" => {
            requests.iter().for_each(list::<SignedContributionAndProof>);
        }
        "POST /eth/v1/validator/register_validator" => {
            requests.iter().for_each(list::<SignedValidatorRegistrationV1>);
        }
        "POST /eth/v1/beacon/pool/sync_committees" => requests.iter().for_each(list::<SyncCommitteeMessage>),
        "POST /eth/v1/beacon/pool/voluntary_exits" => requests.iter().for_each(round_trip::<SignedVoluntaryExit>),
        "GET /eth/v1/beacon/pool/voluntary_exits" => data(list::<SignedVoluntaryExit>),
        "GET /eth/v2/validator/aggregate_attestation" => {
            assert!(answers.iter().all(|a| fits::<ForkedAttestation>(&a["data"])));
        }
        "POST /eth/v2/beacon/pool/attestations" => {
            for attestation in requests.iter().flat_map(|r| r.as_array().unwrap()) {
                if attestation.get("attester_index").is_some() {
                    round_trip::<SingleAttestation>(attestation);
                } else {
                    assert!(fits::<ForkedAttestation>(attestation), "{attestation}");
                }
            }
        }
        "POST /eth/v2/validator/aggregate_and_proofs" => {
            let mut all = requests.iter().flat_map(|r| r.as_array().unwrap());
            assert!(all.all(fits::<VersionedSignedAggregateAndProof>));
        }
        "POST /eth/v2/beacon/blocks" => {
            assert!(requests.iter().all(|b| newer(b) || fits::<ForkedSignedBlock>(b)));
        }
        // Its samples show blocks of forks that have no blinded ones, too.
        "POST /eth/v2/beacon/blinded_blocks" => {
            let known = |b: &Value| fits::<ForkedSignedBlindedBlock>(b) || fits::<ForkedSignedBlock>(b);
            assert!(requests.iter().all(|b| newer(b) || known(b)));
            assert!(requests.iter().any(fits::<ForkedSignedBlindedBlock>));
        }
        // The version in a sample is not always that of its block.
        "GET /eth/v3/validator/blocks/{slot}" => {
            let (read, others): (Vec<_>, Vec<_>) = answers
                .iter()
                .partition(|a| serde_json::from_value::<ProposalResponse>((*a).clone()).is_ok());
            assert!(!read.is_empty());
            read.into_iter().for_each(round_trip::<ProposalResponse>);
            assert!(
                others
                    .iter()
                    .all(|a| newer(&a["data"]) || fits::<ForkedBlock>(&a["data"]))
            );
        }
        _ => return false,
    }
    true
}

mod vectors {
    use super::*;

    #[test]
    fn api_samples() {
        trireme_vectors::each("validatorapi", "api-samples", |e| {
            let mut ours = 0;
            for o in e.json().as_array().unwrap() {
                let operation = format!("{} {}", o["method"].as_str().unwrap(), o["path"].as_str().unwrap());
                println!("{operation}");
                let (requests, answers) = (
                    samples(&o["request_samples"]),
                    samples(&o["responses"]["200"]["samples"]),
                );
                ours += usize::from(check(&operation, &requests, &answers));
            }
            assert!(ours > 0, "none of the operations is one that we read or write");
        });
    }
}
