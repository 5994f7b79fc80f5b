//! The vector kinds of cluster files; one test per kind.

use serde::Deserialize;
use serde_json::Value;
use trireme_cluster::{
    Chunk, Definition, DefinitionError, HashError, Leaves, Lock, Networks, ParseError, VerifyError, Version, deposit,
    eip712::{self, Member, Message},
    exit::{self, SignedExit},
};
use trireme_keys::{IdentityKey, PeerId, peer_name};
use trireme_tbls::SecretKey;
use trireme_vectors::{Entry, each};

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    hex::decode(text.trim_start_matches("0x")).unwrap_or_else(|e| panic!("{text}: {e}"))
}

pub(crate) fn array<const N: usize>(text: &str) -> [u8; N] {
    unhex(text)
        .try_into()
        .unwrap_or_else(|_| panic!("{text}: not {N} bytes"))
}

fn hex_chunks(chunks: &[Chunk]) -> Vec<String> {
    chunks.iter().map(hex::encode).collect()
}

/// The stage names of the vectors' README.
fn stage(error: &VerifyError) -> &'static str {
    match error {
        VerifyError::ConfigHash(_) => "config_hash",
        VerifyError::DefinitionHash(_) => "definition_hash",
        VerifyError::ValidatorCount { .. } | VerifyError::LockHash(_) => "lock_hash",
        VerifyError::Definition(_) => "definition_signatures",
        VerifyError::Cluster(_)
        | VerifyError::Shares(_)
        | VerifyError::Aggregate(_)
        | VerifyError::Registration { .. } => "signature_aggregate",
        VerifyError::NodeSignatureCount { .. } | VerifyError::NodeSignature { .. } => "node_signatures",
    }
}

/// Checks one file against the verdict in the index.
fn check_verdict(
    e: &Entry,
    parsed: Result<(), ParseError>,
    hashes: impl FnOnce() -> Result<(), VerifyError>,
    verify: impl FnOnce() -> Result<(), VerifyError>,
) {
    let expect: String = e.field("expect");
    let first_failure: Option<String> = e.opt("first_failure");
    if first_failure.as_deref() == Some("parse") {
        assert!(parsed.is_err(), "{e}: should not parse");
        return;
    }
    parsed.unwrap_or_else(|err| panic!("{e}: {err}"));
    match expect.as_str() {
        "all-signatures-verify" | "unsigned" => {
            hashes().unwrap_or_else(|err| panic!("{e}: {err}"));
            verify().unwrap_or_else(|err| panic!("{e}: {err}"));
        }
        "hashes-only" => {
            hashes().unwrap_or_else(|err| panic!("{e}: {err}"));
            assert!(verify().is_err(), "{e}: random signatures verified");
        }
        "refused" => {
            let error = verify().expect_err("should be refused");
            assert_eq!(Some(stage(&error)), first_failure.as_deref(), "{e}: {error}");
        }
        other => panic!("{e}: unknown verdict {other}"),
    }
}

/// Checks that writing gives the file's own bytes, where the index promises it.
fn check_bytes(e: &Entry, write: impl FnOnce(usize) -> Vec<u8>) {
    let Some(indent) = e.opt::<usize>("indent") else { return };
    let mut written = String::from_utf8(write(indent)).unwrap();
    if e.flag("final_newline") {
        written.push('\n');
    }
    let file = e.text();
    if written != file {
        let line = written.lines().zip(file.lines()).position(|(a, b)| a != b);
        panic!("{e}: written bytes differ, first at line {line:?}");
    }
}

#[test]
fn cluster_definition() {
    each("cluster", "cluster-definition", |e| {
        crate::verdicts::is_as_the_index_says(e, false);
        let parsed = Definition::from_json(&e.bytes());
        crate::schemas::agree(e.name(), false, &e.bytes(), parsed.as_ref().map(drop));
        check_verdict(
            e,
            parsed.clone().map(drop),
            || parsed.as_ref().unwrap().verify_hashes(),
            || {
                let definition = parsed.as_ref().unwrap();
                definition.verify_hashes()?;
                Ok(definition.verify_signatures(&Networks::known())?)
            },
        );
        if let Ok(definition) = &parsed {
            assert_eq!(definition.version.as_str(), e.field::<String>("version"));
            check_bytes(e, |indent| definition.to_json(indent).unwrap());
        }
    });
}

#[test]
fn cluster_lock() {
    each("cluster", "cluster-lock", |e| {
        crate::verdicts::is_as_the_index_says(e, true);
        let parsed = Lock::from_json(&e.bytes());
        crate::schemas::agree(e.name(), true, &e.bytes(), parsed.as_ref().map(drop));
        check_verdict(
            e,
            parsed.clone().map(drop),
            || parsed.as_ref().unwrap().verify_hashes(),
            || parsed.as_ref().unwrap().verify(&Networks::known()).map(drop),
        );
        if let Ok(lock) = &parsed {
            assert_eq!(lock.definition.version.as_str(), e.field::<String>("version"));
            check_bytes(e, |indent| lock.to_json(indent).unwrap());
        }
    });
}

#[derive(Deserialize)]
struct Trace {
    file: String,
    config_hash: String,
    config_hash_leaves: Vec<String>,
    definition_hash: String,
    definition_hash_leaves: Vec<String>,
    lock_hash: Option<String>,
    validator_roots: Option<Vec<String>>,
}

#[test]
fn hash_trace() {
    each("cluster", "hash-trace", |e| {
        let files = e.input_list("files");
        let traces: Vec<Trace> = e.parse();
        for trace in traces {
            let file = files
                .iter()
                .find(|f| f.path().ends_with(&trace.file))
                .unwrap_or_else(|| panic!("{}", trace.file));
            let lock = trace
                .lock_hash
                .as_ref()
                .map(|_| Lock::from_json(&file.bytes()).unwrap());
            let definition = match &lock {
                Some(lock) => lock.definition.clone(),
                None => Definition::from_json(&file.bytes()).unwrap(),
            };
            let leaves = definition.config_leaves().unwrap();
            assert_eq!(hex_chunks(leaves.chunks()), trace.config_hash_leaves, "{}", trace.file);
            assert_eq!(hex::encode(leaves.root()), trace.config_hash, "{}", trace.file);
            let leaves = definition.definition_leaves().unwrap();
            assert_eq!(
                hex_chunks(leaves.chunks()),
                trace.definition_hash_leaves,
                "{}",
                trace.file
            );
            assert_eq!(hex::encode(leaves.root()), trace.definition_hash, "{}", trace.file);
            let Some(lock) = lock else { continue };
            let roots: Vec<Chunk> = lock
                .validators
                .iter()
                .map(|v| v.leaves(definition.version).unwrap().root())
                .collect();
            assert_eq!(hex_chunks(&roots), trace.validator_roots.unwrap(), "{}", trace.file);
            assert_eq!(
                hex::encode(lock.compute_lock_hash().unwrap()),
                trace.lock_hash.unwrap(),
                "{}",
                trace.file
            );
        }
    });
}

#[derive(Deserialize)]
struct Pair {
    config_hash: String,
    definition_hash: String,
    lock_hash: String,
    definition_file: String,
    lock_file: String,
    fork_version: String,
    creator: Value,
    nodes: Vec<PairNode>,
    validators: Vec<PairValidator>,
}

#[derive(Deserialize)]
struct PairNode {
    enr: String,
    enr_private_key: String,
    peer_id: String,
    peer_name: String,
}

#[derive(Deserialize)]
struct PairValidator {
    pubkey: String,
    secret: String,
    shares: Vec<PairShare>,
}

#[derive(Deserialize)]
struct PairShare {
    pubkey: String,
    secret: String,
}

fn secret(text: &str) -> SecretKey {
    SecretKey::from_bytes(&array(text)).unwrap()
}

fn identity(text: &str) -> IdentityKey {
    IdentityKey::from_bytes(&array(text)).unwrap()
}

/// Signs the definition again with every wallet whose signature it carries; the wallet of an operator is its ENR key.
fn signed_again(definition: &Definition, pair: &Pair) -> Definition {
    let mut again = definition.clone();
    let Some(chain_id) = Networks::known()
        .by_fork_version(&unhex(&pair.fork_version))
        .map(|n| n.chain_id)
    else {
        panic!("unknown network {}", pair.fork_version)
    };
    for (operator, node) in again.operators.iter_mut().zip(&pair.nodes) {
        assert_eq!(operator.enr, node.enr);
        let wallet = identity(&node.enr_private_key);
        let config = match definition.version {
            Version::V1_3 => eip712::config_digest(&definition.config_hash, chain_id),
            _ => eip712::operator_config_digest(&definition.config_hash, chain_id),
        };
        if !operator.config_signature.is_empty() {
            operator.config_signature = wallet.sign_digest(&config).to_vec();
        }
        if !operator.enr_signature.is_empty() {
            operator.enr_signature = wallet.sign_digest(&eip712::enr_digest(&node.enr, chain_id)).to_vec();
        }
    }
    if !again.creator.config_signature.is_empty() {
        // The creator's wallet is that of the first operator, unless the file gives its key.
        let own = pair.creator["private_key"].as_str();
        let wallet = identity(own.unwrap_or(&pair.nodes[0].enr_private_key));
        let digest = eip712::creator_config_digest(&definition.config_hash, chain_id);
        again.creator.config_signature = wallet.sign_digest(&digest).to_vec();
    }
    again
}

#[test]
fn signed_pairs() {
    each("cluster", "signed-pairs", |e| {
        let files = e.input_list("files");
        let file = |name: &str| {
            files
                .iter()
                .find(|f| f.path().ends_with(name))
                .unwrap_or_else(|| panic!("{name}"))
        };
        for pair in e.parse::<Vec<Pair>>() {
            let definition = Definition::from_json(&file(&pair.definition_file).bytes()).unwrap();
            assert_eq!(
                definition.compute_config_hash().unwrap().to_vec(),
                unhex(&pair.config_hash)
            );
            assert_eq!(
                definition.compute_definition_hash().unwrap().to_vec(),
                unhex(&pair.definition_hash)
            );
            assert_eq!(signed_again(&definition, &pair), definition);

            let lock = Lock::from_json(&file(&pair.lock_file).bytes()).unwrap();
            let lock_hash = lock.compute_lock_hash().unwrap();
            assert_eq!(lock_hash.to_vec(), unhex(&pair.lock_hash));
            let mut again = lock.clone();
            again.definition = signed_again(&lock.definition, &pair);
            let mut all = Vec::new();
            for (validator, keys) in again.validators.iter_mut().zip(&pair.validators) {
                assert_eq!(validator.public_key, unhex(&keys.pubkey));
                assert_eq!(
                    secret(&keys.secret).public_key().to_bytes().to_vec(),
                    validator.public_key
                );
                for (public, share) in validator.public_shares.iter().zip(&keys.shares) {
                    assert_eq!(*public, unhex(&share.pubkey));
                    all.push(secret(&share.secret).sign(&lock_hash));
                }
                if !validator.registration.signature.is_empty() {
                    let fork = array(&pair.fork_version);
                    let root = validator.registration.signing_root(fork).unwrap();
                    validator.registration.signature = secret(&keys.secret).sign(&root).to_bytes().to_vec();
                }
            }
            again.signature_aggregate = trireme_tbls::aggregate(&all).unwrap().to_bytes().to_vec();
            for (signature, node) in again.node_signatures.iter_mut().zip(&pair.nodes) {
                *signature = identity(&node.enr_private_key).sign_digest(&lock_hash).to_vec();
            }
            assert_eq!(again, lock);
            let cluster = lock.verify(&Networks::known()).unwrap();
            for (operator, node) in cluster.operators.iter().zip(&pair.nodes) {
                let id = PeerId::from_public_key(identity(&node.enr_private_key).public_key());
                assert_eq!((operator.peer_id, &operator.name), (id, &node.peer_name));
                assert_eq!(
                    (id.to_string(), peer_name(&id)),
                    (node.peer_id.clone(), node.peer_name.clone())
                );
            }
        }
    });
}

#[test]
fn deposit_data() {
    each("cluster", "deposit-data", |e| {
        let networks = Networks::known();
        let network = networks
            .by_name(&e.field::<String>("network"))
            .expect("a known network");
        let deposits = deposit::from_json(&e.bytes()).unwrap();
        let file: Vec<Value> = e.parse();
        assert_eq!(deposits.len(), file.len());
        for (deposit, entry) in deposits.iter().zip(&file) {
            assert_eq!(
                hex::encode(deposit.message_root().unwrap()),
                entry["deposit_message_root"]
            );
            assert_eq!(hex::encode(deposit.data_root().unwrap()), entry["deposit_data_root"]);
            assert_eq!(deposit.verifies(network.genesis_fork_version), Ok(true));
        }
        assert_eq!(e.field::<usize>("indent"), 1, "files are written with one space");
        let mut written = String::from_utf8(deposit::to_json(&deposits, network).unwrap()).unwrap();
        if e.flag("final_newline") {
            written.push('\n');
        }
        assert_eq!(written, e.text());
    });
}

#[derive(Deserialize)]
struct TypedData {
    signer_private_key: String,
    signer_address: String,
    node_private_key: String,
    node_enr: String,
    enr_unsigned_rlp: String,
    messages: Vec<TypedMessage>,
}

#[derive(Deserialize)]
struct TypedMessage {
    network: Option<String>,
    chain_id: Option<u64>,
    primary_type: String,
    field: String,
    value: Value,
    domain_separator: String,
    digest: String,
    signature: String,
}

#[test]
fn eip712_cases() {
    each("cluster", "eip712-cases", |e| {
        let case: TypedData = e.parse();
        let enr = trireme_keys::Enr::create(&identity(&case.node_private_key), trireme_keys::EnrAddress::default());
        assert_eq!(enr.to_string(), case.node_enr);
        assert_eq!(hex::encode(enr.content()), case.enr_unsigned_rlp);
        let signer = identity(&case.signer_private_key);
        assert_eq!(
            trireme_cluster::address::checksummed(&signer.public_key().eth_address()),
            case.signer_address
        );
        for message in &case.messages {
            if let Some(network) = &message.network {
                let chain_id = Networks::known().by_name(network).map(|n| n.chain_id);
                assert_eq!(chain_id, message.chain_id, "{network}");
            }
            let values = match &message.value {
                Value::Array(list) => list.clone(),
                one => vec![one.clone()],
            };
            let members: Vec<(&str, Member<'_>)> = message
                .field
                .split(',')
                .zip(&values)
                .map(|(name, value)| {
                    (
                        name,
                        value
                            .as_str()
                            .map_or_else(|| Member::Number(value.as_u64().unwrap()), Member::Text),
                    )
                })
                .collect();
            let typed = Message {
                primary: &message.primary_type,
                members: &members,
                chain_id: message.chain_id,
            };
            assert_eq!(hex::encode(typed.domain_separator()), message.domain_separator);
            assert_eq!(hex::encode(typed.digest()), message.digest, "{}", message.primary_type);
            assert_eq!(hex::encode(signer.sign_digest(&typed.digest())), message.signature);

            // The named functions give the same.
            if let (Some(chain), Some(text)) = (message.chain_id, message.value.as_str()) {
                let named = match message.primary_type.as_str() {
                    "ConfigHash" => eip712::config_digest(&unhex(text), chain),
                    "OperatorConfigHash" => eip712::operator_config_digest(&unhex(text), chain),
                    "CreatorConfigHash" => eip712::creator_config_digest(&unhex(text), chain),
                    "ENR" => eip712::enr_digest(text, chain),
                    other => panic!("unknown type {other}"),
                };
                assert_eq!(hex::encode(named), message.digest);
            }
        }
    });
}

#[derive(Deserialize)]
struct Roots {
    exit_blob: Vec<ExitBlob>,
    partial_exits: Vec<BlobList>,
    partial_exit_request: Vec<BlobList>,
    full_exit_auth: Vec<ExitAuth>,
    byte_list: Vec<ByteList>,
    eip712: Vec<DigestCase>,
}

#[derive(Deserialize)]
struct ExitBlob {
    public_key: String,
    epoch: u64,
    validator_index: u64,
    signature: String,
    root: String,
}

#[derive(Deserialize)]
struct BlobList {
    blobs: Vec<usize>,
    #[serde(default)]
    share_idx: u64,
    root: String,
}

#[derive(Deserialize)]
struct ExitAuth {
    lock_hash: String,
    validator_pubkey: String,
    share_index: u64,
    root: String,
}

#[derive(Deserialize)]
struct ByteList {
    hex: String,
    limit: usize,
    root: String,
}

#[derive(Deserialize)]
struct DigestCase {
    chain_id: u64,
    #[serde(rename = "type")]
    primary: String,
    field: String,
    value: String,
    digest: String,
}

impl ExitBlob {
    fn exit(&self) -> SignedExit {
        SignedExit {
            public_key: array(&self.public_key),
            epoch: self.epoch,
            validator_index: self.validator_index,
            signature: array(&self.signature),
        }
    }
}

/// The root of what `add` adds as one leaf.
fn leaf(add: impl FnOnce(&mut Leaves) -> Result<(), HashError>) -> String {
    let mut l = Leaves::default();
    add(&mut l).unwrap();
    assert_eq!(l.chunks().len(), 1);
    hex::encode(l.chunks()[0])
}

#[derive(Deserialize)]
struct ExitApi {
    identity_private_key: String,
    lock_hash: String,
    validator_pubkey: String,
    share_index: u64,
    signed_voluntary_exit: ApiExit,
    voluntary_exit_root: String,
    exit_blob_root: String,
    partial_exits_root: String,
    partial_exit_request_root: String,
    partial_exit_request_signature: String,
    full_exit_auth_root: String,
    authorization_header: String,
}

#[derive(Deserialize)]
struct ApiExit {
    message: ApiExitMessage,
    signature: String,
}

#[derive(Deserialize)]
struct ApiExitMessage {
    epoch: String,
    validator_index: String,
}

#[test]
fn exit_api() {
    each("cluster", "exit-api", |e| {
        let case: ExitApi = e.parse();
        let message = &case.signed_voluntary_exit.message;
        let signed = SignedExit {
            public_key: array(&case.validator_pubkey),
            epoch: message.epoch.parse().unwrap(),
            validator_index: message.validator_index.parse().unwrap(),
            signature: array(&case.signed_voluntary_exit.signature),
        };
        assert_eq!(hex::encode(signed.message_root().unwrap()), case.voluntary_exit_root);
        assert_eq!(hex::encode(signed.root().unwrap()), case.exit_blob_root);
        let exits = [signed];
        assert_eq!(hex::encode(exit::exits_root(&exits).unwrap()), case.partial_exits_root);
        let key = identity(&case.identity_private_key);
        let request = exit::partial_exits_digest(&exits, case.share_index).unwrap();
        assert_eq!(hex::encode(request), case.partial_exit_request_root);
        assert_eq!(
            key.sign_digest(&request).to_vec(),
            unhex(&case.partial_exit_request_signature)
        );
        let public_key = array(&case.validator_pubkey);
        let digest = exit::full_exit_digest(&array(&case.lock_hash), &public_key, case.share_index).unwrap();
        assert_eq!(hex::encode(digest), case.full_exit_auth_root);
        assert_eq!(exit::authorization(&key, &digest), case.authorization_header);
    });
}

#[test]
fn ssz_roots() {
    each("cluster", "ssz-roots", |e| {
        let roots: Roots = e.parse();
        let exits: Vec<SignedExit> = roots.exit_blob.iter().map(ExitBlob::exit).collect();
        for (exit, blob) in exits.iter().zip(&roots.exit_blob) {
            assert_eq!(hex::encode(exit.root().unwrap()), blob.root);
        }
        let some = |list: &[usize]| list.iter().map(|at| exits[*at].clone()).collect::<Vec<_>>();
        for case in &roots.partial_exits {
            assert_eq!(hex::encode(exit::exits_root(&some(&case.blobs)).unwrap()), case.root);
        }
        for case in &roots.partial_exit_request {
            let root = exit::partial_exits_digest(&some(&case.blobs), case.share_idx).unwrap();
            assert_eq!(hex::encode(root), case.root);
        }
        for case in &roots.full_exit_auth {
            let key = array(&case.validator_pubkey);
            let root = exit::full_exit_digest(&array(&case.lock_hash), &key, case.share_index).unwrap();
            assert_eq!(hex::encode(root), case.root);
        }
        for case in &roots.byte_list {
            assert_eq!(leaf(|l| l.byte_list("bytes", &unhex(&case.hex), case.limit)), case.root);
        }
        for case in &roots.eip712 {
            let members = [(case.field.as_str(), Member::Text(&case.value))];
            let message = Message {
                primary: &case.primary,
                members: &members,
                chain_id: Some(case.chain_id),
            };
            assert_eq!(hex::encode(message.digest()), case.digest);
        }
    });
}

#[test]
fn an_unknown_network_is_named_in_the_message() {
    let error = DefinitionError::UnknownNetwork(vec![1, 2, 3, 4]);
    assert!(error.to_string().contains("0x01020304"), "{error}");
}
