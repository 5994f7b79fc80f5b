//! `run` with a lock that smart-contract wallets signed: the contracts decide whether it verifies.

use std::{fs, path::Path};

use trireme_cluster::{
    Addresses, Lock, Network, Networks, Operator, Version, WalletRules, address,
    create::{Created, Request, create},
    eip712,
    invite::{Invitation, Invited},
};
use trireme_keys::{Enr, EnrAddress, IdentityKey};
use trireme_testutil::execution::{ExecutionMock, Wallet};

use crate::call::refused;

const SAFE: [u8; 20] = [0x5a; 20];
const ADDRESS: &str = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";

fn hoodi() -> Network {
    Networks::known().by_name("hoodi").unwrap().clone()
}

fn key(n: u8) -> IdentityKey {
    IdentityKey::from_bytes(&[n; 32]).unwrap()
}

/// A lock whose operators and creator signed: all with their own keys but operator 2, a contract of two owners.
fn lock() -> Lock {
    let record = |n| Enr::create(&key(n), EnrAddress::default()).to_string();
    let definition = Invitation {
        name: "wallets".to_owned(),
        version: Version::V1_11,
        invited: Invited::Records((1..=3).map(record).collect()),
        threshold: 2,
        validators: vec![Addresses {
            fee_recipient: ADDRESS.to_owned(),
            withdrawal: ADDRESS.to_owned(),
        }],
        network: hoodi(),
        algorithm: "default".to_owned(),
        deposit_amounts: None,
        consensus_protocol: String::new(),
        target_gas_limit: 60_000_000,
        compounding: false,
        uuid: "0194FDC2-FA2F-4CC0-81D3-FF12045B73C8".to_owned(),
        timestamp: "2026-01-01T00:00:00Z".to_owned(),
    };
    let mut next = 0_u8;
    let mut fill = |bytes: &mut [u8]| {
        for byte in bytes {
            next = next.wrapping_mul(5).wrapping_add(31);
            *byte = next;
        }
    };
    let request = Request {
        definition: definition.definition().unwrap(),
        nodes: 3,
        network: hoodi(),
        existing: None,
        registration_time: hoodi().genesis_time,
    };
    let created = create(&request, &mut fill).unwrap();
    signed(created)
}

/// Adds what wallets sign, and signs the lock anew.
fn signed(created: Created) -> Lock {
    let Created { mut lock, nodes } = created;
    let definition = &mut lock.definition;
    let chain_id = hoodi().chain_id;
    for (at, n) in (0..3).zip(1..) {
        let own = key(n).public_key().eth_address();
        definition.operators[at].address = address::checksummed(if at == 2 { &SAFE } else { &own });
    }
    definition.sign_as_creator(&key(9), chain_id).unwrap();
    let config = eip712::operator_config_digest(&definition.config_hash, chain_id);
    for (at, n) in (0..3).zip(1..) {
        let enr = eip712::enr_digest(&definition.operators[at].enr, chain_id);
        let sign = |digest: &[u8; 32]| match at {
            2 => [key(20).sign_digest(digest), key(21).sign_digest(digest)].concat(),
            _ => key(n).sign_digest(digest).to_vec(),
        };
        let operator: &mut Operator = &mut definition.operators[at];
        (operator.config_signature, operator.enr_signature) = (sign(&config), sign(&enr));
    }
    definition.update_hashes().unwrap();
    let hash = lock.compute_lock_hash().unwrap();
    let shares = nodes.iter().flat_map(|n| &n.shares);
    let signatures: Vec<_> = shares.map(|s| s.secret.sign(&hash)).collect();
    lock.signature_aggregate = trireme_tbls::aggregate(&signatures).unwrap().to_bytes().to_vec();
    lock.node_signatures = nodes.iter().map(|n| n.identity.sign_digest(&hash).to_vec()).collect();
    lock.lock_hash = hash.to_vec();
    lock
}

/// Why the node does not start. Its identity is nobody's in the cluster, so it never does.
fn why(folder: &Path, more: &[&str]) -> String {
    let all = [
        "run",
        &format!("--lock-file={}", folder.join("cluster-lock.json").display()),
        &format!("--private-key-file={}", folder.join("charon-enr-private-key").display()),
        "--beacon-node-endpoints=http://127.0.0.1:1",
        "--validator-api-address=127.0.0.1:0",
        "--monitoring-address=127.0.0.1:0",
        "--p2p-relays=",
    ];
    let all: Vec<&str> = all.into_iter().chain(more.iter().copied()).collect();
    refused(&all, folder)
}

#[test]
fn a_contract_decides_whether_the_lock_of_a_node_verifies() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let server = runtime.block_on(ExecutionMock::start(hoodi().chain_id)).unwrap();
    let endpoint = format!("--execution-client-rpc-endpoint={}", server.url());
    let dir = tempfile::tempdir().unwrap();
    let lock = lock();
    fs::write(dir.path().join("cluster-lock.json"), lock.to_json(1).unwrap()).unwrap();
    fs::write(dir.path().join("charon-enr-private-key"), "11".repeat(32)).unwrap();

    let unasked = why(dir.path(), &[]);
    assert!(unasked.contains("give --execution-client-rpc-endpoint"), "{unasked}");

    let refused = why(dir.path(), &[&endpoint]);
    assert!(
        refused.contains("nor accepted by a contract at that address"),
        "{refused}"
    );

    let questions = lock
        .definition
        .wallet_questions(&Networks::known(), WalletRules::default());
    assert_eq!(questions.len(), 2);
    let wallet = Wallet {
        accepts: questions.into_iter().map(|q| (q.digest, q.signature)).collect(),
        reverts: true,
    };
    server.look(|chain| chain.wallets.insert(SAFE, wallet));
    let verified = why(dir.path(), &[&endpoint]);
    assert!(
        !verified.contains("verify") && verified.contains("operator"),
        "{verified}"
    );

    let verify = |more: &[&str]| {
        let all: Vec<&str> = ["verify", "./cluster-lock.json"].iter().chain(more).copied().collect();
        let (code, text) = crate::verify::run(&all, dir.path()).unwrap();
        (code, text.lines().last().unwrap().to_owned())
    };
    let (code, sentence) = verify(&[&endpoint]);
    assert_eq!(code, std::process::ExitCode::SUCCESS, "{sentence}");
    let (code, sentence) = verify(&[]);
    assert_eq!(code, std::process::ExitCode::from(1), "{sentence}");
    assert!(
        sentence.starts_with("do not deposit: not everything could be checked"),
        "{sentence}"
    );

    server.look(|chain| chain.id = 1);
    let other = why(dir.path(), &[&endpoint]);
    assert!(other.contains("follows the chain with id 1"), "{other}");
}
