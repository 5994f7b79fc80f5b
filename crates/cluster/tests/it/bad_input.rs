//! Locks and keystores that are wrong, cut off or mixed up: each is refused with a sentence that says what and which.

use trireme_cluster::{
    Definition, Loaded, Lock, Networks, Strictness, VerifyError, Version,
    folder::{FolderError, KeystoreFile, match_shares, open_keystore},
    load_lock,
};
use trireme_keys::{KeystoreError, keystore::Cost};
use trireme_tbls::SecretKey;

use crate::created::{bytes_of, made, request};

fn refuse(lock: &Lock) -> VerifyError {
    lock.verify(&Networks::known()).map(drop).unwrap_err()
}

/// The lock with hashes and node signatures made right again after a change.
fn rehashed(mut lock: Lock) -> Lock {
    lock.definition.update_hashes().unwrap();
    lock.lock_hash = lock.compute_lock_hash().unwrap().to_vec();
    lock
}

#[test]
fn a_truncated_lock_or_definition_is_refused_at_every_length() {
    let lock = made(Version::DEFAULT, 3, 1).lock;
    let json = lock.to_json(1).unwrap();
    for end in (0..json.len()).step_by(97).chain([json.len() - 1]) {
        assert!(Lock::from_json(&json[..end]).is_err(), "{end}");
    }
    let json = lock.definition.to_json(1).unwrap();
    for end in (0..json.len()).step_by(31).chain([json.len() - 1]) {
        assert!(Definition::from_json(&json[..end]).is_err(), "{end}");
    }
}

#[test]
fn a_definition_is_not_taken_for_a_lock() {
    let definition = made(Version::DEFAULT, 3, 1).lock.definition.to_json(1).unwrap();
    let error = Lock::from_json(&definition).unwrap_err().to_string();
    assert!(
        error.contains("cluster_definition: missing; this is not a cluster lock"),
        "{error}"
    );
}

#[test]
fn any_change_of_a_lock_is_noticed() {
    let good = made(Version::DEFAULT, 3, 2).lock;
    let changed = |change: &dyn Fn(&mut Lock)| {
        let mut lock = good.clone();
        change(&mut lock);
        refuse(&lock)
    };
    assert!(matches!(
        changed(&|l| l.definition.name.push('x')),
        VerifyError::ConfigHash(None)
    ));
    assert!(matches!(
        changed(&|l| l.definition.operators.swap(0, 1)),
        VerifyError::DefinitionHash(None)
    ));
    assert!(matches!(
        changed(&|l| drop(l.validators.pop())),
        VerifyError::ValidatorCount { found: 1, expected: 2 }
    ));
    assert!(matches!(
        changed(&|l| l.validators.swap(0, 1)),
        VerifyError::LockHash(None)
    ));
    assert!(matches!(
        changed(&|l| l.signature_aggregate.clear()),
        VerifyError::Aggregate("missing")
    ));
    assert!(matches!(
        changed(&|l| l.signature_aggregate[5] ^= 1),
        VerifyError::Aggregate(_)
    ));
    assert!(matches!(
        changed(&|l| l.node_signatures.swap(0, 1)),
        VerifyError::NodeSignature { operator: 0 }
    ));
    assert!(matches!(
        changed(&|l| l.node_signatures.truncate(1)),
        VerifyError::NodeSignatureCount { found: 1, expected: 3 }
    ));

    let forged = |change: &dyn Fn(&mut Lock)| {
        let mut lock = good.clone();
        change(&mut lock);
        refuse(&rehashed(lock))
    };
    assert!(matches!(
        forged(&|l| l.definition.threshold = 1),
        VerifyError::Shares(0)
    ));
    assert!(matches!(
        forged(&|l| l.validators[1].public_shares.swap(0, 1)),
        VerifyError::Shares(1)
    ));
    assert!(matches!(
        forged(&|l| l.definition.timestamp.push('x')),
        VerifyError::Aggregate("wrong")
    ));
    let cluster = |error: VerifyError, words: &str| assert!(error.to_string().contains(words), "{error}");
    cluster(
        forged(&|l| l.validators[1] = l.validators[0].clone()),
        "validator 1 has the same public key",
    );
    cluster(
        forged(&|l| drop(l.validators[1].public_shares.pop())),
        "validator 1 has 2 public shares for 3 operators",
    );
    cluster(
        forged(&|l| l.validators[0].public_key = vec![0xff; 48]),
        "the public key of validator 0 is not a BLS public key",
    );
    cluster(
        forged(&|l| l.definition.fork_version = vec![9; 4]),
        "belongs to no known network",
    );

    let unusable = |change: &dyn Fn(&mut Lock), words: &str| {
        let mut lock = good.clone();
        change(&mut lock);
        let error = lock.cluster().map(drop).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    };
    unusable(
        &|l| l.definition.operators[1] = l.definition.operators[0].clone(),
        "operators 0 and 1 have the same node key",
    );
    unusable(
        &|l| l.definition.operators[2].enr.truncate(40),
        "ENR of operator 2 is unusable",
    );
}

#[test]
fn a_lock_that_does_not_verify_is_loaded_with_a_warning_if_that_is_asked_for() {
    let mut lock = made(Version::DEFAULT, 3, 1).lock;
    lock.node_signatures.swap(0, 1);
    let json = lock.to_json(1).unwrap();
    let error = load_lock(&json, &Networks::known(), Strictness::Refuse)
        .map(drop)
        .unwrap_err();
    assert!(
        error.to_string().contains("node signature 0 is not by the key"),
        "{error}"
    );
    let Loaded { warning, cluster, .. } = load_lock(&json, &Networks::known(), Strictness::Warn).unwrap();
    assert_eq!(warning, Some(VerifyError::NodeSignature { operator: 0 }));
    assert_eq!(cluster.operators.len(), 3);
}

fn shares(node: usize) -> Vec<(String, SecretKey)> {
    let created = made(Version::DEFAULT, 3, 3);
    let all = created.nodes[node].shares.iter().enumerate();
    all.map(|(at, s)| {
        (
            format!("keystore-{at}.json"),
            SecretKey::from_bytes(&s.secret.to_bytes()).unwrap(),
        )
    })
    .collect()
}

#[test]
fn more_fewer_foreign_and_mixed_up_keystores_are_refused() {
    let cluster = made(Version::DEFAULT, 3, 3).lock.cluster().unwrap();
    let matched = |shares| match_shares(&cluster, 1, shares).map(|found| found.len());
    assert_eq!(matched(shares(1)), Ok(3));
    assert_eq!(matched(Vec::new()), Err(FolderError::Empty));
    assert_eq!(
        matched(shares(1).into_iter().skip(1).collect()),
        Err(FolderError::Missing {
            missing: 1,
            validators: 3,
            first: 0
        })
    );
    assert_eq!(
        matched(shares(2)),
        Err(FolderError::OtherOperator {
            name: "keystore-0.json".into(),
            owner: 2,
            me: 1
        })
    );
    let mut more = shares(1);
    more.push(("keystore-3.json".into(), SecretKey::from_bytes(&[1; 32]).unwrap()));
    assert_eq!(matched(more), Err(FolderError::Foreign("keystore-3.json".into())));
    let mut twice = shares(1);
    twice.extend(shares(1).into_iter().take(1).map(|(_, k)| ("copy.json".to_owned(), k)));
    assert_eq!(
        matched(twice),
        Err(FolderError::Twice {
            first: "keystore-0.json".into(),
            second: "copy.json".into()
        })
    );
}

#[test]
fn a_keystore_without_its_password_or_cut_off_names_its_file() {
    let created = trireme_cluster::create::create(&request(Version::DEFAULT, 3, 1), &mut bytes_of(1)).unwrap();
    let [json, password] = created.nodes[0].keystore_files(0, Cost::Insecure).unwrap();
    let open = |json: &[u8], password: Option<&[u8]>| {
        open_keystore(KeystoreFile {
            name: "keystore-insecure-0.json",
            json,
            password,
        })
        .map(drop)
    };
    assert_eq!(open(&json.content, Some(&password.content)), Ok(()));
    assert_eq!(
        open(&json.content, None),
        Err(FolderError::NoPassword("keystore-insecure-0.json".into()))
    );
    let wrong = |error| match error {
        Err(FolderError::Keystore { name, source }) if name == "keystore-insecure-0.json" => source,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        wrong(open(&json.content, Some(&password.content[1..]))),
        KeystoreError::WrongPassword
    );
    assert!(matches!(
        wrong(open(&json.content[..300], Some(&password.content))),
        KeystoreError::Json(_)
    ));
    assert!(created.nodes[0].keystore_files(1, Cost::Insecure).is_none());
}

#[test]
fn no_change_of_bytes_in_a_file_makes_reading_or_verifying_panic() {
    let lock = made(Version::V1_11, 3, 1).lock;
    let mut random = bytes_of(9);
    let mut pick = |below: usize| {
        let mut bytes = [0; 8];
        random(&mut bytes);
        usize::try_from(u64::from_be_bytes(bytes) % u64::try_from(below).unwrap()).unwrap()
    };
    let json = lock.to_json(0).unwrap();
    // Characters that JSON and hex give a meaning to.
    let alphabet = b"0123456789abcdefx\"{}[],:-. ntu\\\xff";
    for _ in 0..600 {
        let mut changed = json.clone();
        for _ in 0..=pick(3) {
            let at = pick(changed.len());
            changed[at] = alphabet[pick(alphabet.len())];
        }
        if let Ok(lock) = Lock::from_json(&changed) {
            // Only what gets past the hashes could reach the rest, so that is called by itself.
            drop(lock.verify_hashes());
            drop(lock.definition.verify_signatures(&Networks::known()));
            drop(lock.cluster());
            drop(lock.to_json(1));
        }
    }
}
