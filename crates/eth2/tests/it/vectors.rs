//! Roots, selections and API objects against values from elsewhere.

use serde::Deserialize;
use serde_json::{Map, Value};
use trireme_eth2::{
    AttestationData, AttesterDuty, BlsSignature, ChainSpec, Epoch, Fork, ForkedAttestation, Genesis, ProposerDuty,
    Root, Slot, Versioned as _, VersionedSignedAggregateAndProof, hash_tree_root, is_attestation_aggregator,
    is_sync_aggregator,
};

/// Hex with or without `0x`.
fn prefixed(text: &str) -> String {
    format!("0x{}", text.strip_prefix("0x").unwrap_or(text))
}

#[test]
fn slot_root() {
    #[derive(Deserialize)]
    struct Case {
        slot: Slot,
        root: String,
    }

    trireme_vectors::each("core", "slot-root", |e| {
        for c in serde_json::from_value::<Vec<Case>>(e.json()["cases"].clone()).unwrap() {
            let expected: Root = prefixed(&c.root).parse().unwrap();
            assert_eq!(hash_tree_root(&c.slot), expected);
            assert_eq!(hash_tree_root(&Epoch(c.slot.0)), expected);
        }
    });
}

#[test]
fn aggregator_selection() {
    #[derive(Deserialize)]
    struct Case {
        selection_proof: String,
        committee_length: Option<u64>,
        is_aggregator: bool,
    }

    #[derive(Deserialize)]
    struct File {
        spec: Map<String, Value>,
        attestation: Vec<Case>,
        sync: Vec<Case>,
    }

    trireme_vectors::each("core", "aggregator-selection", |e| {
        let mut file: File = e.parse();
        file.spec.insert("SECONDS_PER_SLOT".into(), 12.into());
        file.spec.insert("SLOTS_PER_EPOCH".into(), 32.into());
        let genesis = Genesis {
            genesis_time: 0,
            genesis_validators_root: Root::ZERO,
            genesis_fork_version: Default::default(),
        };
        let spec = ChainSpec::read(&file.spec, genesis).unwrap();
        let proof = |c: &Case| -> BlsSignature { prefixed(&c.selection_proof).parse().unwrap() };
        for c in &file.attestation {
            let length = c.committee_length.unwrap();
            assert_eq!(
                is_attestation_aggregator(&spec, length, &proof(c)),
                c.is_aggregator,
                "{}",
                c.selection_proof
            );
        }
        for c in &file.sync {
            assert_eq!(
                is_sync_aggregator(&spec, &proof(c)),
                c.is_aggregator,
                "{}",
                c.selection_proof
            );
        }
    });
}

#[test]
fn beaconmock_golden() {
    fn same<T: serde::de::DeserializeOwned + serde::Serialize>(json: &Value) -> T {
        let object: T = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(serde_json::to_value(&object).unwrap(), *json);
        object
    }

    trireme_vectors::each("validatorapi", "beaconmock-golden", |e| {
        let json = e.json();
        // The mock's epochs have 16 slots.
        let epoch = e.opt::<u64>("epoch");
        let in_epoch = |slot: Slot| epoch.is_none_or(|n| slot.0 / 16 == n);
        match e.field::<String>("type").as_str() {
            "attester-duties" => {
                let duties: Vec<AttesterDuty> = same(&json);
                let indices: Vec<u64> = e.field("indices");
                assert!(
                    duties
                        .iter()
                        .all(|d| in_epoch(d.slot) && indices.contains(&d.validator_index.0))
                );
            }
            "proposer-duties" => {
                let duties: Vec<ProposerDuty> = same(&json);
                assert!(duties.iter().all(|d| in_epoch(d.slot)));
            }
            "attestation-data" => {
                let data: AttestationData = same(&json);
                assert_eq!(data.slot.0, e.field::<u64>("slot"));
                assert_eq!(data.index.0, e.field::<u64>("committee_index"));
            }
            other => panic!("type {other} is not known"),
        }
    });
}

#[test]
fn validatormock_golden() {
    /// The object of the version that the entry names, besides the names of all other versions with null.
    fn inner(entry: &Value) -> (Fork, Value) {
        let fork: Fork = entry["Version"].as_str().unwrap().parse().unwrap();
        let of_fork = entry
            .as_object()
            .unwrap()
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(fork.name()));
        (fork, of_fork.unwrap().1.clone())
    }

    trireme_vectors::each("validatorapi", "validatormock-golden", |e| {
        let json = e.json();
        let mut validators = std::collections::BTreeSet::new();
        match e.field::<String>("type").as_str() {
            "attestations" => {
                for entry in json.as_array().unwrap() {
                    let (fork, object) = inner(entry);
                    let attestation = ForkedAttestation::decode_json(fork, &object.to_string()).unwrap();
                    assert_eq!(serde_json::to_value(attestation.data_only()).unwrap(), object);
                    validators.insert(entry["ValidatorIndex"].to_string());
                }
            }
            "aggregations" => {
                let list = json.get("SignedAggregateAndProofs").unwrap_or(&json);
                for entry in list.as_array().unwrap() {
                    let (fork, object) = inner(entry);
                    let a = VersionedSignedAggregateAndProof::decode_json(fork, &object.to_string()).unwrap();
                    assert_eq!(serde_json::to_value(a.data_only()).unwrap(), object);
                    validators.insert(a.aggregator_index().to_string());
                }
            }
            other => panic!("type {other} is not known"),
        }
        // In the first slot: one validator if they take turns, all of them if not.
        assert_eq!(
            validators.len() == 1,
            e.field::<u64>("duty_factor") == 1,
            "{validators:?}"
        );
    });
}
