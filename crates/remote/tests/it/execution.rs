//! Smart-contract wallets: contracts decide, and an execution client that cannot say is an error.

use std::time::Duration;

use trireme_cluster::{Definition, DefinitionError, Networks, Operator, Version, WalletRules, address, eip712};
use trireme_remote::{Execution, ExecutionError, RemoteError};
use trireme_testutil::{
    execution::{ExecutionMock, Wallet},
    served::Fault,
};

use crate::material::{hoodi, invitation, key};

const SAFE: [u8; 20] = [0x5a; 20];

/// Operators 0 and 1 sign with their own keys, operator 2's wallet is a contract of two owners; so is the creator's.
fn definition(version: Version) -> Definition {
    let mut definition = invitation(version).definition().unwrap();
    let chain_id = hoodi().chain_id;
    for (at, n) in (0..3).zip(1..) {
        let own = key(n).public_key().eth_address();
        definition.operators[at].address = address::checksummed(if at == 2 { &SAFE } else { &own });
    }
    definition.creator.address = address::checksummed(&SAFE);
    definition.update_hashes().unwrap();
    let config = eip712::operator_config_digest(&definition.config_hash, chain_id);
    let twice = |digest: &[u8; 32]| [key(20).sign_digest(digest), key(21).sign_digest(digest)].concat();
    for (at, n) in (0..3).zip(1..) {
        let enr = eip712::enr_digest(&definition.operators[at].enr, chain_id);
        let sign = |digest: &[u8; 32]| {
            if at == 2 {
                of_contract(version, twice(digest))
            } else {
                key(n).sign_digest(digest).to_vec()
            }
        };
        let (config, enr) = (sign(&config), sign(&enr));
        let operator: &mut Operator = &mut definition.operators[at];
        operator.config_signature = config;
        operator.enr_signature = enr;
    }
    let creator = eip712::creator_config_digest(&definition.config_hash, chain_id);
    definition.creator.config_signature = of_contract(version, twice(&creator));
    definition.update_hashes().unwrap();
    definition
}

/// Before schema v1.11 there is room for one owner's signature.
fn of_contract(version: Version, both: Vec<u8>) -> Vec<u8> {
    let len = if version >= Version::V1_11 { 130 } else { 65 };
    both[..len].to_vec()
}

/// A chain with the contract, which accepts all that the definition has of it.
async fn chain(definition: &Definition) -> ExecutionMock {
    let server = ExecutionMock::start(hoodi().chain_id).await.unwrap();
    let questions = definition.wallet_questions(&Networks::known(), WalletRules::default());
    assert_eq!(questions.len(), 3);
    let wallet = Wallet {
        accepts: questions.into_iter().map(|q| (q.digest, q.signature)).collect(),
        reverts: false,
    };
    server.look(|chain| chain.wallets.insert(SAFE, wallet));
    server
}

async fn verdict(server: &ExecutionMock, definition: &Definition) -> Result<(), DefinitionError> {
    let networks = Networks::known();
    let client = Execution::new(&server.url()).unwrap();
    let wallets = client.ask_wallets(definition, &networks).await.unwrap();
    server.look(|chain| assert_eq!(chain.complaints, [""; 0]));
    definition.verify_signatures_with(&networks, &wallets)
}

#[tokio::test]
async fn signatures_of_one_and_of_several_owners_are_accepted_if_the_contract_does() {
    for version in [Version::V1_10, Version::V1_11] {
        let definition = definition(version);
        let server = chain(&definition).await;
        verdict(&server, &definition).await.unwrap();
        server.look(|chain| assert_eq!(chain.calls, ["eth_chainId", "eth_call", "eth_call", "eth_call"]));
    }
}

#[tokio::test]
async fn a_contract_that_refuses_reverts_or_is_not_there_makes_the_definition_wrong() {
    let definition = definition(Version::V1_11);
    let server = chain(&definition).await;
    for reverts in [false, true] {
        server.look(|chain| {
            let wallet = chain.wallets.get_mut(&SAFE).unwrap();
            wallet.accepts.clear();
            wallet.reverts = reverts;
        });
        let error = verdict(&server, &definition).await.unwrap_err();
        assert!(matches!(error, DefinitionError::Refused { .. }), "{error}");
    }
    server.look(|chain| chain.wallets.clear());
    let error = verdict(&server, &definition).await.unwrap_err();
    assert!(
        error.to_string().contains("nor accepted by a contract at that address"),
        "{error}"
    );
}

#[tokio::test]
async fn nobody_is_asked_where_every_wallet_signed_itself() {
    let mut definition = invitation(Version::V1_10).definition().unwrap();
    definition.sign_as_creator(&key(9), hoodi().chain_id).unwrap();
    let client = Execution::new("http://127.0.0.1:1").unwrap();
    client.ask_wallets(&definition, &Networks::known()).await.unwrap();
}

#[tokio::test]
async fn contracts_of_another_chain_do_not_count() {
    let definition = definition(Version::V1_11);
    let server = chain(&definition).await;
    server.look(|chain| chain.id = 1);
    let client = Execution::new(&server.url()).unwrap();
    let error = client.ask_wallets(&definition, &Networks::known()).await.unwrap_err();
    assert!(
        matches!(
            error,
            ExecutionError::OtherChain {
                found: 1,
                expected: 560_048,
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn an_execution_client_that_cannot_say_is_an_error_and_not_a_verdict() {
    let definition = definition(Version::V1_11);
    let server = chain(&definition).await;
    let client = || Execution::new(&server.url()).unwrap();
    let busy = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32005,"message":"limit exceeded"}}"#;
    let id = r#"{"jsonrpc":"2.0","id":1,"result":"0x88bb0"}"#;
    for fault in [
        Fault::Status(200, busy.to_owned()),
        Fault::Status(429, "slower".to_owned()),
        Fault::Status(500, "oops".to_owned()),
        Fault::Garbage,
        Fault::Endless,
        Fault::Silent,
    ] {
        let silent = fault == Fault::Silent;
        let client = if silent {
            client().with_timeout(Duration::from_millis(200))
        } else {
            server.faults.then(Fault::Status(200, id.to_owned()));
            client()
        };
        server.faults.then(fault.clone());
        let error = client.ask_wallets(&definition, &Networks::known()).await.unwrap_err();
        let fits = matches!(
            (&fault, &error),
            (Fault::Status(200, _), ExecutionError::Rpc { code: -32005, .. })
                | (
                    Fault::Status(429, _),
                    ExecutionError::Remote(RemoteError::Refused { .. })
                )
                | (Fault::Status(500, _), ExecutionError::Remote(RemoteError::Fault { .. }))
                | (Fault::Garbage, ExecutionError::Remote(RemoteError::Malformed { .. }))
                | (Fault::Endless, ExecutionError::Remote(RemoteError::Endless { .. }))
                | (Fault::Silent, ExecutionError::Remote(RemoteError::Slow { .. }))
        );
        assert!(fits, "{fault:?}: {error}");
        assert!(!error.to_string().contains("KEY"), "the path may hold a key: {error}");
    }
}

#[tokio::test]
async fn an_execution_client_that_is_just_starting_is_waited_for() {
    let server = ExecutionMock::start(1).await.unwrap();
    server.faults.then(Fault::Status(503, String::new()));
    let client = Execution::new(&server.url()).unwrap();
    assert_eq!(client.ready(Duration::from_secs(10)).await.unwrap(), "mock/v1");

    let url = server.url();
    drop(server);
    let error = Execution::new(&url).unwrap().ready(Duration::ZERO).await.unwrap_err();
    assert!(
        matches!(error, ExecutionError::Remote(RemoteError::Unreachable { .. })),
        "{error}"
    );
}
