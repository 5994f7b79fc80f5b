//! Folders as `create cluster` of other implementations wrote them.

mod vectors {
    use std::{collections::BTreeMap, fs, path::Path};

    use serde::Deserialize;
    use trireme_cluster::{
        Definition, Lock, Network, Networks, deposit,
        folder::{KeystoreFile, index_of, match_shares, open_keystore, password_name},
    };
    use trireme_keys::IdentityKey;
    use trireme_tbls::SecretKey;
    use trireme_vectors::each;

    use crate::vectors::{array, unhex};

    #[derive(Deserialize)]
    struct Index {
        config_hash: String,
        definition_hash: String,
        lock_hash: String,
        fork_version: String,
        compounding: bool,
        deposit_amounts: Option<Vec<serde_json::Value>>,
        nodes: Vec<Node>,
        validators: Vec<Validator>,
    }

    #[derive(Deserialize)]
    struct Node {
        enr: String,
        enr_private_key: String,
    }

    #[derive(Deserialize)]
    struct Validator {
        pubkey: String,
        secret: String,
        shares: Vec<Share>,
    }

    #[derive(Deserialize)]
    struct Share {
        pubkey: String,
        secret: String,
        share_idx: u8,
    }

    #[derive(Deserialize)]
    struct Testnet {
        name: String,
        chain_id: u64,
        fork_version: String,
        genesis_timestamp: u64,
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the crate takes bytes; its tests get them from the vectors' folders"
    )]
    fn read(path: &Path) -> Vec<u8> {
        fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    /// Every keystore of a folder, in the order of the index in its name.
    fn keystores(dir: &Path) -> Vec<(String, SecretKey)> {
        let mut names: Vec<String> = fs::read_dir(dir)
            .unwrap_or_else(|e| panic!("{}: {e}", dir.display()))
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| index_of(name).is_some())
            .collect();
        names.sort_by_key(|name| index_of(name));
        names
            .into_iter()
            .map(|name| {
                let (json, password) = (read(&dir.join(&name)), read(&dir.join(password_name(&name))));
                let file = KeystoreFile {
                    name: &name,
                    json: &json,
                    password: Some(&password),
                };
                let key = open_keystore(file).unwrap_or_else(|e| panic!("{e}"));
                (name, key)
            })
            .collect()
    }

    fn same(key: &SecretKey, hex: &str) {
        assert_eq!(key.to_bytes().to_vec(), unhex(hex));
    }

    #[test]
    fn cluster_folder() {
        each("cluster", "cluster-folder", |e| {
            let dir = e.dir();
            let index: Index = serde_json::from_slice(&read(&dir.join("index.json"))).unwrap();
            let mut networks = Networks::known();
            if let Some(testnet) = e.opt::<Testnet>("testnet") {
                networks = networks.with(Network {
                    name: testnet.name,
                    genesis_fork_version: array(&testnet.fork_version),
                    chain_id: testnet.chain_id,
                    genesis_time: testnet.genesis_timestamp,
                    capella_fork_version: None,
                });
            }
            let network = networks
                .by_fork_version(&unhex(&index.fork_version))
                .expect("a known network")
                .clone();
            crate::verdicts::a_cluster_is_right(e, &networks);
            let lock_bytes = read(&dir.join("node0/cluster-lock.json"));
            let lock = Lock::from_json(&lock_bytes).unwrap();
            crate::schemas::agree(e.name(), true, &lock_bytes, Ok(()));
            let cluster = lock.verify(&networks).unwrap_or_else(|err| panic!("{e}: {err}"));
            assert_eq!(lock.to_json(1).unwrap(), lock_bytes, "{e}: written bytes differ");
            assert_eq!(lock.definition.version.as_str(), e.field::<String>("version"));
            assert_eq!(cluster.operators.len(), e.field::<usize>("nodes"));
            assert_eq!(cluster.threshold, e.field::<u8>("threshold"));
            assert_eq!(cluster.validators.len(), e.field::<usize>("validators"));
            assert_eq!(cluster.compounding, index.compounding);
            assert_eq!(lock.definition.config_hash, unhex(&index.config_hash));
            assert_eq!(lock.definition.definition_hash, unhex(&index.definition_hash));
            assert_eq!(lock.lock_hash, unhex(&index.lock_hash));

            let amounts = deposit::amounts_to_sign(
                lock.definition.deposit_amounts.as_deref().unwrap_or_default(),
                cluster.compounding,
            );
            assert_eq!(
                lock.definition.deposit_amounts.as_ref().map(Vec::len),
                index.deposit_amounts.map(|a| a.len())
            );
            let mut shares: Vec<BTreeMap<u8, SecretKey>> = index.validators.iter().map(|_| BTreeMap::new()).collect();
            for (me, node) in index.nodes.iter().enumerate() {
                let folder = dir.join(format!("node{me}"));
                assert_eq!(read(&folder.join("cluster-lock.json")), lock_bytes);
                let text = String::from_utf8(read(&folder.join("charon-enr-private-key"))).unwrap();
                let identity = IdentityKey::from_file_text(&text).unwrap();
                assert_eq!(identity.secret_bytes().to_vec(), unhex(&node.enr_private_key));
                assert_eq!(cluster.operator_of(&identity.public_key()), Some(me));
                assert_eq!(cluster.operators[me].enr.to_string(), node.enr);
                for (validator, key) in match_shares(&cluster, me, keystores(&folder.join("validator_keys"))).unwrap() {
                    let expected = &index.validators[validator].shares[me];
                    same(&key, &expected.secret);
                    assert_eq!(key.public_key().to_bytes().to_vec(), unhex(&expected.pubkey));
                    shares[validator].insert(expected.share_idx, key);
                }
                for amount in &amounts {
                    let bytes = read(&folder.join(deposit::file_name(*amount)));
                    let deposits = deposit::from_json(&bytes).unwrap();
                    assert_eq!(deposits.len(), cluster.validators.len());
                    assert_eq!(
                        deposit::to_json(&deposits, &network).unwrap(),
                        bytes,
                        "{e}: deposit file"
                    );
                }
            }
            let combined = e.flag("combined").then(|| keystores(&dir.join("combined")));
            for (at, (validator, of_validator)) in index.validators.iter().zip(&shares).enumerate() {
                let whole = trireme_tbls::recover(of_validator).unwrap();
                same(&whole, &validator.secret);
                assert_eq!(whole.public_key(), cluster.validators[at].public_key);
                assert_eq!(unhex(&validator.pubkey), cluster.validators[at].public_key_bytes);
                if let Some(combined) = &combined {
                    same(&combined[at].1, &validator.secret);
                }
            }
            // Keys that were split without an order of addresses come in any order.
            if e.flag("split_input") {
                let sorted = |mut keys: Vec<Vec<u8>>| {
                    keys.sort();
                    keys
                };
                let given = keystores(&dir.join("split_input"))
                    .into_iter()
                    .map(|(_, k)| k.to_bytes().to_vec());
                let used = index.validators.iter().map(|v| unhex(&v.secret));
                assert_eq!(sorted(given.collect()), sorted(used.collect()));
            }
            if e.flag("definition") {
                let given = Definition::from_json(&read(&dir.join("definition.json"))).unwrap();
                let used = &lock.definition;
                assert_eq!(
                    (&used.name, &used.uuid, &used.timestamp),
                    (&given.name, &given.uuid, &given.timestamp)
                );
                assert_eq!(
                    (&used.deposit_amounts, used.target_gas_limit),
                    (&given.deposit_amounts, given.target_gas_limit)
                );
                assert!(used.operators.iter().zip(&given.operators).all(|(a, b)| a.enr != b.enr));
            }
        });
    }
}
