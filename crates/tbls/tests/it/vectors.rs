//! Decisions and values of another implementation.

use std::collections::BTreeMap;

use serde::Deserialize;
use trireme_tbls::{
    Check, Combiner, PublicKey, SecretKey, Signature, aggregate, combine, recover, verify, verify_aggregate, verify_set,
};

#[derive(Deserialize)]
struct File {
    cases: Vec<Case>,
    verify: Vec<Decision>,
    secret_keys: Vec<Secret>,
    plain_aggregate: Plain,
}

#[derive(Deserialize)]
struct Case {
    n: usize,
    threshold: usize,
    secret: String,
    pubkey: String,
    shares: Vec<Share>,
    messages: Vec<Message>,
    recover: Vec<Recover>,
}

#[derive(Deserialize)]
struct Share {
    share_idx: u8,
    secret: String,
    pubkey: String,
}

#[derive(Deserialize)]
struct Recover {
    share_idxs: Vec<u8>,
    secret: String,
    pubkey: String,
}

#[derive(Deserialize)]
struct Message {
    root: String,
    full_signature: String,
    partials: Vec<Partial>,
    aggregations: Vec<Aggregation>,
    invalid: Vec<Invalid>,
}

#[derive(Deserialize)]
struct Partial {
    share_idx: u8,
    signature: String,
    #[serde(default)]
    partial_verifies: bool,
}

#[derive(Deserialize)]
struct Aggregation {
    share_idxs: Vec<u8>,
    aggregate: String,
    verifies: bool,
}

#[derive(Deserialize)]
struct Invalid {
    name: String,
    partials: Vec<Partial>,
    aggregate: Option<String>,
    #[serde(default)]
    aggregation_error: bool,
    #[serde(default)]
    verifies: bool,
}

#[derive(Deserialize)]
struct Decision {
    name: String,
    pubkey: String,
    message: String,
    signature: String,
    valid: bool,
}

#[derive(Deserialize)]
struct Secret {
    name: String,
    secret: String,
    accepted: bool,
    pubkey: Option<String>,
}

#[derive(Deserialize)]
struct Plain {
    aggregate: String,
    message: String,
    pubkeys: Vec<String>,
    signatures: Vec<String>,
    verifies: bool,
    without_first_pubkey_verifies: bool,
}

fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text.strip_prefix("0x").unwrap_or(text)).unwrap()
}

fn secret(text: &str) -> Option<SecretKey> {
    SecretKey::from_bytes(bytes(text).as_slice().try_into().ok()?).ok()
}

fn public(text: &str) -> Option<PublicKey> {
    PublicKey::from_bytes(bytes(text).as_slice().try_into().ok()?).ok()
}

fn signature(text: &str) -> Option<Signature> {
    Signature::from_bytes(bytes(text).as_slice().try_into().ok()?).ok()
}

#[test]
fn bls_threshold() {
    trireme_vectors::each("core", "bls-threshold", |entry| {
        let file: File = entry.parse();
        let combiner = Combiner::default();
        for case in &file.cases {
            split_keys(case);
            for message in &case.messages {
                good_partials(case, message, &combiner);
                for invalid in &message.invalid {
                    bad_partials(case, message, invalid);
                }
            }
        }
        file.verify.iter().for_each(single_decision);
        file.secret_keys.iter().for_each(secret_key);
        plain_aggregate(&file.plain_aggregate);
    });
}

fn split_keys(case: &Case) {
    assert_eq!(case.shares.len(), case.n);
    let whole = secret(&case.secret).unwrap();
    assert_eq!(whole.public_key(), public(&case.pubkey).unwrap());
    for share in &case.shares {
        assert_eq!(
            secret(&share.secret).unwrap().public_key(),
            public(&share.pubkey).unwrap()
        );
    }
    for expected in &case.recover {
        let of = |i: &u8| secret(&case.shares.iter().find(|s| s.share_idx == *i).unwrap().secret).unwrap();
        let shares: BTreeMap<u8, SecretKey> = expected.share_idxs.iter().map(|i| (*i, of(i))).collect();
        let found = recover(&shares).unwrap();
        assert_eq!(found.to_bytes().as_slice(), bytes(&expected.secret));
        assert_eq!(found.public_key(), public(&expected.pubkey).unwrap());
    }
}

fn good_partials(case: &Case, message: &Message, combiner: &Combiner) {
    let root = bytes(&message.root);
    let group = public(&case.pubkey).unwrap();
    let full = secret(&case.secret).unwrap().sign(&root);
    assert_eq!(full, signature(&message.full_signature).unwrap());
    assert!(verify(&group, &root, &full));

    let mut partials = BTreeMap::new();
    let mut set = Vec::new();
    for partial in &message.partials {
        let share = case.shares.iter().find(|s| s.share_idx == partial.share_idx).unwrap();
        let made = secret(&share.secret).unwrap().sign(&root);
        assert_eq!(made, signature(&partial.signature).unwrap());
        set.push(Check {
            key: public(&share.pubkey).unwrap(),
            message: &root,
            signature: made,
        });
        partials.insert(partial.share_idx, made);
    }
    assert_eq!(verify_set(&set, &[7; 32]), Ok(()));
    for expected in &message.aggregations {
        let subset = expected.share_idxs.iter().map(|i| (*i, partials[i])).collect();
        let whole = combine(&subset).unwrap();
        assert_eq!(whole, signature(&expected.aggregate).unwrap());
        assert_eq!(whole, combiner.combine(&subset).unwrap());
        assert_eq!(verify(&group, &root, &whole), expected.verifies);
        assert_eq!(verify(&group, &root, &whole), subset.len() >= case.threshold);
    }
}

fn bad_partials(case: &Case, message: &Message, invalid: &Invalid) {
    let root = bytes(&message.root);
    let mut partials = BTreeMap::new();
    let mut refused = false;
    for partial in &invalid.partials {
        let share = case.shares.iter().find(|s| s.share_idx == partial.share_idx).unwrap();
        let key = public(&share.pubkey).unwrap();
        let Some(decoded) = signature(&partial.signature) else {
            assert!(!partial.partial_verifies, "{}", invalid.name);
            refused = true;
            continue;
        };
        assert_eq!(
            verify(&key, &root, &decoded),
            partial.partial_verifies,
            "{}",
            invalid.name
        );
        let alone = [Check {
            key,
            message: &root,
            signature: decoded,
        }];
        assert_eq!(
            verify_set(&alone, &[7; 32]).is_ok(),
            partial.partial_verifies,
            "{}",
            invalid.name
        );
        partials.insert(partial.share_idx, decoded);
    }
    if invalid.aggregation_error {
        assert!(refused, "{}: a partial must be refused", invalid.name);
    }
    if refused {
        // A refused partial never reaches a combination, so the wrong aggregate is never made.
        assert!(!invalid.verifies, "{}", invalid.name);
        return;
    }
    let whole = combine(&partials).unwrap();
    assert_eq!(
        Some(whole.to_bytes().to_vec()),
        invalid.aggregate.as_deref().map(bytes),
        "{}",
        invalid.name
    );
    assert_eq!(
        verify(&public(&case.pubkey).unwrap(), &root, &whole),
        invalid.verifies,
        "{}",
        invalid.name
    );
}

fn single_decision(decision: &Decision) {
    let message = bytes(&decision.message);
    let accepted = match (public(&decision.pubkey), signature(&decision.signature)) {
        (Some(key), Some(signature)) => {
            let alone = verify(&key, &message, &signature);
            let twice = [Check {
                key,
                message: &message,
                signature,
            }; 2];
            assert_eq!(verify_set(&twice, &[7; 32]).is_ok(), alone, "{}", decision.name);
            alone
        }
        (None, _) | (_, None) => false,
    };
    assert_eq!(accepted, decision.valid, "{}", decision.name);
}

fn secret_key(case: &Secret) {
    let key = secret(&case.secret);
    assert_eq!(key.is_some(), case.accepted, "{}", case.name);
    if let (Some(key), Some(expected)) = (key, &case.pubkey) {
        assert_eq!(key.public_key(), public(expected).unwrap(), "{}", case.name);
    }
}

fn plain_aggregate(case: &Plain) {
    let message = bytes(&case.message);
    let keys: Vec<PublicKey> = case.pubkeys.iter().map(|k| public(k).unwrap()).collect();
    let signatures: Vec<Signature> = case.signatures.iter().map(|s| signature(s).unwrap()).collect();
    let sum = aggregate(&signatures).unwrap();
    assert_eq!(sum, signature(&case.aggregate).unwrap());
    assert_eq!(verify_aggregate(&keys, &message, &sum), case.verifies);
    assert_eq!(
        verify_aggregate(&keys[1..], &message, &sum),
        case.without_first_pubkey_verifies
    );
    assert!(!verify_aggregate(&[], &message, &sum));
}
