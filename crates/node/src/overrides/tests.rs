use std::collections::BTreeMap;

use trireme_core::{
    PeerIdx, PubKey, ShareIdx,
    cluster::{Cluster, Validator},
    entropy::OsEntropy,
    scheme::{CannotCombine, Claim, Refusal},
};
use trireme_eth2::{BlsSignature, ForkVersion, Genesis, Root};

use super::*;

/// Believes signatures that are not zero.
struct Believer;

impl Scheme for Believer {
    fn verify_set(&self, claims: &[Claim], _: &[u8; 32]) -> Vec<Result<(), Refusal>> {
        let verdict = |c: &Claim| {
            if c.signature.0 == [0; 96] {
                Err(Refusal::Wrong)
            } else {
                Ok(())
            }
        };
        claims.iter().map(verdict).collect()
    }
    fn combine(&self, _: &BTreeMap<ShareIdx, BlsSignature>) -> Result<BlsSignature, CannotCombine> {
        Ok(BlsSignature([0; 96]))
    }
}

const KEY: PubKey = PubKey([1; 48]);

fn overrides(path: PathBuf) -> Overrides {
    let validator = Validator {
        key: KEY,
        shares: vec![[1; 48]],
        fee_recipient: [5; 20],
    };
    let cluster = Arc::new(Cluster::new([0; 32], 1, 1, PeerIdx(0), vec![validator]));
    let lock = registrations::registration(KEY, 30_000_000, 10, [7; 96]);
    let spec = serde_json::json!({"SECONDS_PER_SLOT": "12", "SLOTS_PER_EPOCH": "32"});
    let genesis = Genesis {
        genesis_time: 0,
        genesis_validators_root: Root([0; 32]),
        genesis_fork_version: ForkVersion([0; 4]),
    };
    Overrides {
        path,
        updates: None,
        registrations: Arc::new(Registrations::new(Arc::clone(&cluster), vec![lock])),
        cluster,
        chain: Arc::new(ChainSpec::read(spec.as_object().unwrap(), genesis).unwrap()),
        scheme: Arc::new(Believer),
        entropy: Arc::new(OsEntropy),
        fetched: Mutex::default(),
        changed: Notify::new(),
    }
}

fn file(timestamp: u64, recipient: &str, signature: u8) -> String {
    let hex = |byte: u8, n: usize| format!("0x{}", hex::encode(vec![byte; n]));
    serde_json::json!([{"version": "v1", "v1": {
        "message": {
            "fee_recipient": recipient, "gas_limit": "36000000",
            "timestamp": timestamp.to_string(), "pubkey": hex(1, 48),
        },
        "signature": hex(signature, 96),
    }}])
    .to_string()
}

#[test]
fn a_missing_file_replaces_nothing_and_one_that_cannot_be_used_ends_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let overrides = overrides(dir.path().join("overrides.json"));
    overrides.load().unwrap();
    assert_eq!(overrides.registrations.fee_recipient(&KEY), Some([5; 20]));
    let recipient = format!("0x{}", "09".repeat(20));
    for bad in ["[".to_owned(), String::new(), file(11, &recipient, 0)] {
        std::fs::write(&overrides.path, bad).unwrap();
        let error = overrides.load().unwrap_err().to_string();
        assert!(error.contains("overrides.json"), "{error}");
    }
    std::fs::write(&overrides.path, file(11, &recipient, 3)).unwrap();
    overrides.load().unwrap();
    assert_eq!(overrides.registrations.fee_recipient(&KEY), Some([9; 20]));
}

#[test]
fn a_changed_file_is_taken_over_and_a_broken_one_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let overrides = overrides(dir.path().join("overrides.json"));
    let seen = Ok(overrides.load().unwrap());
    assert_eq!(overrides.look(&seen), None);
    std::fs::write(&overrides.path, file(11, &format!("0x{}", "09".repeat(20)), 3)).unwrap();
    let seen = overrides.look(&seen).unwrap();
    assert_eq!(overrides.registrations.fee_recipient(&KEY), Some([9; 20]));
    // Empty is what a file is while somebody writes it.
    let mut seen = seen;
    for broken in ["nonsense", ""] {
        std::fs::write(&overrides.path, broken).unwrap();
        seen = overrides.look(&seen).unwrap();
        assert_eq!(overrides.registrations.fee_recipient(&KEY), Some([9; 20]), "{broken:?}");
        assert_eq!(overrides.look(&seen), None, "told once");
    }
    std::fs::remove_file(&overrides.path).unwrap();
    assert!(overrides.look(&seen).is_some());
    assert_eq!(overrides.registrations.fee_recipient(&KEY), Some([5; 20]));
}

/// What the API brings: signed, paying to `recipient`.
fn fetched(timestamp: u64, recipient: u8) -> SignedValidatorRegistrationV1 {
    let mut signed = registrations::registration(KEY, 36_000_000, timestamp, [3; 96]);
    signed.message.fee_recipient = trireme_eth2::ExecutionAddress([recipient; 20]);
    signed
}

#[test]
fn of_file_and_api_the_newer_registration_counts_and_the_files_if_both_are_as_old() {
    let dir = tempfile::tempdir().unwrap();
    let overrides = overrides(dir.path().join("overrides.json"));
    std::fs::write(&overrides.path, file(20, &format!("0x{}", "09".repeat(20)), 3)).unwrap();
    for (timestamp, expected) in [(5, 9), (20, 9), (21, 6)] {
        *overrides.fetched.lock().unwrap() = vec![fetched(timestamp, 6)];
        overrides.load().unwrap();
        let recipient = overrides.registrations.fee_recipient(&KEY);
        assert_eq!(recipient, Some([expected; 20]), "{timestamp}");
    }
    // Without a file what the API says stays.
    std::fs::remove_file(&overrides.path).unwrap();
    assert!(overrides.look(&Ok(Some(b"something else".to_vec()))).is_some());
    assert_eq!(overrides.registrations.fee_recipient(&KEY), Some([6; 20]));
}
