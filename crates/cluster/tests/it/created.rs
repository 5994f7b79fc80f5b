//! Clusters of our own making: they verify, in every schema, and their folders hold what belongs there.

use std::collections::BTreeMap;

use trireme_cluster::{
    Addresses, Definition, Lock, Networks, Version,
    create::{Created, Request, create, usual_threshold},
    deposit,
    folder::{KeystoreFile, match_shares, open_keystore},
};
use trireme_keys::{IdentityKey, keystore::Cost};
use trireme_tbls::SecretKey;

/// Deterministic bytes: a counter hashed.
pub(crate) fn bytes_of(seed: u8) -> impl FnMut(&mut [u8]) {
    let mut count = 0_u64;
    move |out: &mut [u8]| {
        for chunk in out.chunks_mut(32) {
            let mut text = vec![seed];
            text.extend(count.to_be_bytes());
            chunk.copy_from_slice(&trireme_keys::keccak256(&text)[..chunk.len()]);
            count += 1;
        }
    }
}

pub(crate) fn request(version: Version, nodes: u8, validators: u8) -> Request {
    let network = Networks::known().by_name("hoodi").unwrap().clone();
    let pair = Addresses {
        fee_recipient: "0x388c818ca8b9251b393131c08a736a67ccb19297".into(),
        withdrawal: "0x6325253fec738dd7a9e28bf921119c160f070244".into(),
    };
    let definition = Definition {
        name: "a <test> & more".into(),
        creator: trireme_cluster::Creator::default(),
        operators: Vec::new(),
        uuid: "05B4C5D0-9B1D-43C5-9911-CC7FBC027DAB".into(),
        version,
        timestamp: "2026-01-02T03:04:05Z".into(),
        num_validators: validators.into(),
        threshold: usual_threshold(nodes.into()),
        validators: vec![pair; validators.into()],
        dkg_algorithm: "default".into(),
        fork_version: network.genesis_fork_version.to_vec(),
        deposit_amounts: None,
        consensus_protocol: String::new(),
        target_gas_limit: 60_000_000,
        compounding: false,
        config_hash: Vec::new(),
        definition_hash: Vec::new(),
    };
    Request {
        registration_time: network.genesis_time,
        definition,
        nodes,
        network,
        existing: None,
    }
}

pub(crate) fn made(version: Version, nodes: u8, validators: u8) -> Created {
    create(&request(version, nodes, validators), &mut bytes_of(1)).unwrap()
}

#[test]
fn a_created_lock_verifies_in_every_schema_also_after_writing_and_reading() {
    for version in Version::ALL {
        let created = made(version, 4, 2);
        let json = created.lock.to_json(1).unwrap();
        let read = Lock::from_json(&json).unwrap();
        let cluster = read
            .verify(&Networks::known())
            .unwrap_or_else(|e| panic!("{version}: {e}"));
        assert_eq!(cluster.threshold, 3);
        assert_eq!(cluster.operators.len(), 4);
        for (at, node) in created.nodes.iter().enumerate() {
            assert_eq!(cluster.operator_of(&node.identity.public_key()), Some(at));
        }
        assert_eq!(read.to_json(1).unwrap(), json, "{version}");
    }
}

#[test]
fn the_same_randomness_gives_the_same_files_and_other_randomness_gives_others() {
    let files = |seed: u8| -> Vec<(String, Vec<u8>)> {
        let created = create(&request(Version::DEFAULT, 3, 1), &mut bytes_of(seed)).unwrap();
        let all = created.nodes.into_iter().flat_map(|n| n.files(Cost::Insecure));
        all.map(|f| (f.path.clone(), f.content.to_vec())).collect()
    };
    assert_eq!(files(1), files(1));
    assert_ne!(files(1), files(2));
}

#[test]
fn a_folder_holds_key_lock_deposits_and_the_shares_of_its_own_node() {
    let created = made(Version::DEFAULT, 4, 2);
    let cluster = created.lock.verify(&Networks::known()).unwrap();
    let mut secrets: Vec<BTreeMap<u8, SecretKey>> = vec![BTreeMap::new(), BTreeMap::new()];
    for (me, node) in created.nodes.into_iter().enumerate() {
        let identity = node.identity.public_key();
        let files: BTreeMap<String, (u32, Vec<u8>)> = node
            .files(Cost::Insecure)
            .into_iter()
            .map(|f| (f.path.clone(), (f.mode, f.content.to_vec())))
            .collect();
        let names: Vec<&str> = files.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "charon-enr-private-key",
                "cluster-lock.json",
                "deposit-data-1eth.json",
                "deposit-data.json",
                "validator_keys/keystore-insecure-0.json",
                "validator_keys/keystore-insecure-0.txt",
                "validator_keys/keystore-insecure-1.json",
                "validator_keys/keystore-insecure-1.txt",
            ]
        );
        let modes: Vec<u32> = files.values().map(|(mode, _)| *mode).collect();
        assert_eq!(modes, [0o600, 0o400, 0o444, 0o444, 0o444, 0o400, 0o444, 0o400]);
        let key = String::from_utf8(files["charon-enr-private-key"].1.clone()).unwrap();
        assert_eq!(IdentityKey::from_file_text(&key).unwrap().public_key(), identity);
        for name in ["deposit-data-1eth.json", "deposit-data.json"] {
            let deposits = deposit::from_json(&files[name].1).unwrap();
            assert_eq!(deposits.len(), 2);
            assert!(deposits.iter().all(|d| d.verifies(cluster.fork_version) == Ok(true)));
        }
        let opened = (0..2)
            .map(|v| {
                let name = format!("keystore-insecure-{v}.json");
                let file = KeystoreFile {
                    name: &name,
                    json: &files[&format!("validator_keys/keystore-insecure-{v}.json")].1,
                    password: Some(&files[&format!("validator_keys/keystore-insecure-{v}.txt")].1),
                };
                (name.clone(), open_keystore(file).unwrap())
            })
            .collect();
        for (validator, share) in match_shares(&cluster, me, opened).unwrap() {
            secrets[validator].insert(u8::try_from(me).unwrap() + 1, share);
        }
    }
    for (shares, validator) in secrets.iter().zip(&cluster.validators) {
        assert_eq!(
            trireme_tbls::recover(shares).unwrap().public_key(),
            validator.public_key
        );
    }
}

#[test]
fn existing_keys_are_split_in_the_order_of_their_addresses() {
    let keys: Vec<SecretKey> = (1..3).map(|n| SecretKey::from_bytes(&[n; 32]).unwrap()).collect();
    let publics: Vec<Vec<u8>> = keys.iter().map(|k| k.public_key().to_bytes().to_vec()).collect();
    let mut request = request(Version::V1_11, 3, 2);
    request.existing = Some(keys);
    request.registration_time = 1_795_240_360;
    let created = create(&request, &mut bytes_of(5)).unwrap();
    created.lock.verify(&Networks::known()).unwrap();
    for (validator, public) in created.lock.validators.iter().zip(publics) {
        assert_eq!(validator.public_key, public);
        assert_eq!(validator.registration.timestamp, 1_795_240_360);
    }
}

#[test]
fn each_distinct_amount_has_a_deposit_file_and_a_place_in_the_lock() {
    let mut request = request(Version::V1_11, 3, 1);
    request.definition.deposit_amounts = Some(vec![16 * deposit::ETH, 8 * deposit::ETH, 8 * deposit::ETH]);
    request.definition.compounding = true;
    let created = create(&request, &mut bytes_of(5)).unwrap();
    created.lock.verify(&Networks::known()).unwrap();
    let amounts: Vec<u64> = created.lock.validators[0]
        .deposit_data
        .iter()
        .map(|d| d.amount / deposit::ETH)
        .collect();
    assert_eq!(amounts, [8, 16]);
    assert!(
        created.lock.validators[0]
            .deposit_data
            .iter()
            .all(|d| d.withdrawal_credentials[0] == 2)
    );
    let names: Vec<&str> = created.nodes[0]
        .common_files()
        .iter()
        .map(|f| f.path.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "charon-enr-private-key",
            "deposit-data-8eth.json",
            "deposit-data-16eth.json",
            "cluster-lock.json"
        ]
    );
}

#[test]
fn operators_of_the_definition_are_replaced_and_the_lock_still_verifies() {
    let mut request = request(Version::V1_10, 3, 1);
    let mut operator = trireme_cluster::Operator::of_enr("enr:-none".into());
    operator.address = "0x6325253fec738dd7a9e28bf921119c160f070244".into();
    request.definition.operators = vec![operator; 3];
    request.definition.creator.address = "0x6325253fec738dd7a9e28bf921119c160f070244".into();
    request.definition.creator.config_signature = vec![1; 65];
    request.definition.update_hashes().unwrap();
    let created = create(&request, &mut bytes_of(5)).unwrap();
    created.lock.verify(&Networks::known()).unwrap();
}

#[test]
fn what_cannot_be_created_is_refused_with_a_reason() {
    let refused = |change: &dyn Fn(&mut Request)| {
        let mut request = request(Version::DEFAULT, 4, 2);
        change(&mut request);
        create(&request, &mut bytes_of(1))
            .err()
            .map(|e| e.to_string())
            .unwrap_or_default()
    };
    assert_eq!(refused(&|_| ()), "");
    assert!(refused(&|r| r.nodes = 2).contains("at least 3 nodes"));
    assert!(refused(&|r| r.definition.threshold = 5).contains("threshold 5"));
    assert!(refused(&|r| r.definition.threshold = 1).contains("threshold 1"));
    assert!(refused(&|r| r.definition.num_validators = 0).contains("at least one validator"));
    assert!(refused(&|r| r.definition.num_validators = 3).contains("2 pairs of addresses for 3 validators"));
    assert!(refused(&|r| r.existing = Some(Vec::new())).contains("0 keys for 2 validators"));
    assert!(
        refused(&|r| r.definition.validators[1].withdrawal = "0x12".into())
            .contains("\"0x12\" is not an Ethereum address")
    );
    assert!(refused(&|r| r.definition.deposit_amounts = Some(vec![1])).contains("at least 1 ETH"));
    assert!(refused(&|r| r.definition.name = "x".repeat(257)).contains("name has 257 bytes"));
    assert!(refused(&|r| r.definition.fork_version = vec![0; 4]).contains("fork version"));
    let zero = |r: &mut Request| {
        r.network = Networks::known().by_name("mainnet").unwrap().clone();
        r.definition.fork_version = vec![0; 4];
        r.definition.validators[0].withdrawal = format!("0x{}", "0".repeat(40));
    };
    assert!(refused(&zero).contains("zero address"));
}
