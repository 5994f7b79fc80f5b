//! The checks of a lock or a definition by itself.
//!
//! A lock that verifies passes them all at once. One that does not is taken apart: each check is made by itself, so that
//! all that is wrong is told, in the order in which verification goes.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};
use trireme_tbls::PublicKey;

use super::{
    Check, Fault, Findings, Folder, Known, Outcome, Skipped,
    deposits::{problems, wrong_signatures},
    fault::DepositProblem,
};
use crate::{Cluster, Definition, DefinitionError, HashError, Lock, Networks, VerifyError, What, Who, address};

/// Those that verification makes, in its order.
const VERIFIED: [Check; 10] = [
    Check::ConfigHash,
    Check::DefinitionHash,
    Check::ValidatorCount,
    Check::LockHash,
    Check::DefinitionSignatures,
    Check::Keys,
    Check::PublicShares,
    Check::SignatureAggregate,
    Check::BuilderRegistrations,
    Check::NodeSignatures,
];

/// Those among them that every key's point is needed for.
const WITH_KEYS: [Check; 4] = [
    Check::PublicShares,
    Check::SignatureAggregate,
    Check::BuilderRegistrations,
    Check::NodeSignatures,
];

/// A lock file that was looked at.
#[derive(Default)]
pub(super) struct Checked {
    /// If it can be read.
    pub(super) lock: Option<Lock>,
    /// If its keys can be used, whether it verifies or not.
    pub(super) cluster: Option<Cluster>,
    outcomes: Vec<(Check, Outcome)>,
}

impl Checked {
    fn add(&mut self, check: Check, fault: Option<Fault>) {
        self.outcomes
            .push((check, fault.map_or(Outcome::Passed, Outcome::Fault)));
    }

    fn skip(&mut self, checks: &[Check], why: Skipped) {
        self.outcomes
            .extend(checks.iter().map(|check| (*check, Outcome::Skipped(why))));
    }
}

/// The different locks of some folders; there should be one.
#[derive(Default)]
pub(super) struct Locks(Vec<(Vec<u8>, Checked)>);

impl Locks {
    /// The lock of this folder, after [`of_folder`].
    pub(super) fn of(&self, folder: &Folder) -> Option<&Checked> {
        let bytes = folder.lock.as_ref()?.as_ref().ok()?;
        self.0
            .iter()
            .find(|(known, _)| known.as_slice() == bytes.as_slice())
            .map(|(_, checked)| checked)
    }

    /// The first that can be read.
    pub(super) fn first(&self) -> Option<&Lock> {
        self.0.iter().find_map(|(_, checked)| checked.lock.as_ref())
    }
}

/// Checks a folder's lock, unless the same bytes were checked before.
pub(super) fn of_folder(folder: &Folder, known: Known<'_>, locks: &mut Locks, findings: &mut Findings) {
    let place = folder.place("cluster-lock.json");
    let bytes = match &folder.lock {
        None => {
            let deposits = !folder.deposits.is_empty();
            findings.fault(Check::LockPresent, place, Fault::NoLock { deposits });
            return;
        }
        Some(Err(reason)) => {
            findings.fault(Check::LockPresent, place, Fault::Unreadable(reason.clone()));
            return;
        }
        Some(Ok(bytes)) => bytes,
    };
    findings.push(Check::LockPresent, place.clone(), Outcome::Passed);
    if locks.of(folder).is_none() {
        locks.0.push((bytes.to_vec(), checked(bytes, known)));
    }
    for (check, outcome) in locks.of(folder).iter().flat_map(|checked| &checked.outcomes) {
        findings.push(*check, place.clone(), outcome.clone());
    }
}

/// Checks a lock by itself.
pub(super) fn check(place: &str, bytes: &[u8], known: Known<'_>, findings: &mut Findings) -> Checked {
    let checked = checked(bytes, known);
    for (check, outcome) in &checked.outcomes {
        findings.push(*check, place.to_owned(), outcome.clone());
    }
    checked
}

fn checked(bytes: &[u8], known: Known<'_>) -> Checked {
    let mut out = Checked::default();
    let lock = match Lock::from_json(bytes) {
        Ok(lock) => lock,
        Err(error) => {
            out.add(Check::Readable, Some(Fault::Parse(error)));
            out.skip(&VERIFIED, Skipped::NoLock);
            out.skip(&[Check::LockDeposits, Check::Addresses], Skipped::NoLock);
            return out;
        }
    };
    out.add(Check::Readable, None);
    match lock.verify_with(known.networks, known.wallets) {
        Ok(cluster) => {
            let signed = !lock.signature_aggregate.is_empty();
            for check in VERIFIED {
                let with_keys = WITH_KEYS.contains(&check);
                match check {
                    _ if signed || !with_keys => out.add(check, None),
                    Check::SignatureAggregate => {
                        out.add(check, Some(Fault::UnsignedLock(lock.definition.version)));
                    }
                    other => out.skip(&[other], Skipped::Unsigned),
                }
            }
            out.cluster = Some(cluster);
        }
        Err(_) => take_apart(&lock, known, &mut out),
    }
    lock_deposits(&lock, &mut out);
    addresses(&lock.definition, known.networks, &mut |outcome| {
        out.outcomes.push((Check::Addresses, outcome));
    });
    out.lock = Some(lock);
    out
}

/// Makes every check by itself.
fn take_apart(lock: &Lock, known: Known<'_>, out: &mut Checked) {
    let definition = &lock.definition;
    let hash = |stored: &[u8], computed: Result<[u8; 32], HashError>, error: fn(Option<HashError>) -> VerifyError| {
        match computed {
            Ok(hash) if hash == stored => None,
            Ok(_) => Some(Fault::Verify(error(None))),
            Err(e) => Some(Fault::Verify(error(Some(e)))),
        }
    };
    let config = definition.compute_config_hash();
    out.add(
        Check::ConfigHash,
        hash(&definition.config_hash, config, VerifyError::ConfigHash),
    );
    let whole = definition.compute_definition_hash();
    out.add(
        Check::DefinitionHash,
        hash(&definition.definition_hash, whole, VerifyError::DefinitionHash),
    );
    let (found, expected) = (lock.validators.len(), definition.num_validators);
    let count = u64::try_from(found) == Ok(expected);
    out.add(
        Check::ValidatorCount,
        (!count).then_some(Fault::Verify(VerifyError::ValidatorCount { found, expected })),
    );
    let lock_hash = lock.compute_lock_hash();
    out.add(
        Check::LockHash,
        hash(&lock.lock_hash, lock_hash.clone(), VerifyError::LockHash),
    );
    let signatures = definition.verify_signatures_with(known.networks, known.wallets);
    out.add(
        Check::DefinitionSignatures,
        signatures.err().map(|error| signature_fault(definition, error)),
    );
    let (cluster, lock_hash) = match (lock.cluster(), lock_hash) {
        (Ok(cluster), Ok(lock_hash)) => (cluster, lock_hash),
        (cluster, _) => {
            out.add(Check::Keys, cluster.err().map(|e| Fault::Verify(e.into())));
            out.skip(&WITH_KEYS, Skipped::NothingToCheck);
            return;
        }
    };
    out.add(Check::Keys, None);
    let seed = seed(b"weights of the checks of lock ", &lock_hash);
    let shares: Vec<(PublicKey, &[PublicKey])> = cluster
        .validators
        .iter()
        .map(|v| (v.public_key, v.public_shares.as_slice()))
        .collect();
    let fit = trireme_tbls::shares_fit(&shares, cluster.threshold, &seed).map_err(VerifyError::Shares);
    out.add(Check::PublicShares, fit.err().map(Fault::Verify));
    let results = [
        (Check::SignatureAggregate, lock.verify_aggregate(&cluster, &lock_hash)),
        (Check::BuilderRegistrations, lock.verify_registrations(&cluster, &seed)),
        (Check::NodeSignatures, lock.verify_node_signatures(&cluster, &lock_hash)),
    ];
    for (check, result) in results {
        out.add(check, result.err().map(Fault::Verify));
    }
    out.cluster = Some(cluster);
}

/// A seed that nobody chooses freely: it is a hash over what is checked.
pub(super) fn seed(purpose: &[u8], over: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(purpose).chain_update(over).finalize().into()
}

/// Wallets that are contracts, and networks that nobody named, are not known to be wrong.
fn signature_fault(definition: &Definition, error: DefinitionError) -> Fault {
    match &error {
        DefinitionError::UnknownNetwork(fork_version) => Fault::UnknownNetwork(fork_version.clone()),
        DefinitionError::Wrong { who, what, .. } if several(definition, *who, *what) => Fault::ContractNotAsked(error),
        _ => Fault::Definition(error),
    }
}

/// Whether it is several signatures side by side, as only contracts take them.
fn several(definition: &Definition, who: Who, what: What) -> bool {
    let signature = match (who, what) {
        (Who::Creator, _) => Some(&definition.creator.config_signature),
        (Who::Operator(at), What::Config) => definition.operators.get(at).map(|o| &o.config_signature),
        (Who::Operator(at), What::Enr) => definition.operators.get(at).map(|o| &o.enr_signature),
    };
    signature.is_some_and(|s| s.len() > 65)
}

/// The deposits that newer schemas keep in the lock.
fn lock_deposits(lock: &Lock, out: &mut Checked) {
    let Some(cluster) = &out.cluster else {
        out.skip(&[Check::LockDeposits], Skipped::NothingToCheck);
        return;
    };
    let all: Vec<_> = lock
        .validators
        .iter()
        .enumerate()
        .flat_map(|(at, v)| v.deposit_data.iter().map(move |d| (at, d)))
        // Schemas 1.6 and 1.7 write an empty one where there is none.
        .filter(|(_, d)| !(d.signature.is_empty() && d.pubkey.is_empty() && d.amount == 0))
        .collect();
    let deposits: Vec<_> = all.iter().map(|(_, d)| *d).collect();
    let wrong = wrong_signatures(
        &deposits,
        cluster.fork_version,
        &seed(b"lock deposits", &cluster.lock_hash),
    );
    let mut faults = Vec::new();
    for (n, (validator, deposit)) in all.into_iter().enumerate() {
        let own = lock
            .validators
            .get(validator)
            .is_some_and(|v| v.public_key == deposit.pubkey);
        let others = if own {
            problems(deposit, lock, cluster)
        } else {
            vec![DepositProblem::Foreign]
        };
        let signature = wrong.contains(&n).then_some(DepositProblem::Signature);
        faults.extend(others.into_iter().chain(signature).map(|problem| Fault::LockDeposit {
            validator,
            amount: deposit.amount,
            problem,
        }));
    }
    if faults.is_empty() {
        out.add(Check::LockDeposits, None);
    }
    for fault in faults {
        out.add(Check::LockDeposits, Some(fault));
    }
}

/// Each different address once.
fn addresses(definition: &Definition, networks: &Networks, told: &mut dyn FnMut(Outcome)) {
    let network = networks
        .by_fork_version(&definition.fork_version)
        .map_or("an unknown network", |n| n.name.as_str());
    let real = is_real(network);
    let mut seen = BTreeSet::new();
    let mut wrong = false;
    for (validator, pair) in definition.validators.iter().enumerate() {
        for (withdrawal, text) in [(true, &pair.withdrawal), (false, &pair.fee_recipient)] {
            // What is no address at all is found when the lock's keys are decoded.
            let Ok(bytes) = address::parse(text) else { continue };
            if !seen.insert((withdrawal, text)) {
                continue;
            }
            let fault = if bytes == [0; 20] {
                Fault::ZeroAddress {
                    validator,
                    withdrawal,
                    network: network.to_owned(),
                    real,
                }
            } else if mixed(text) && address::parse_checksummed(text).is_err() {
                Fault::AddressChecksum {
                    validator,
                    found: text.clone(),
                }
            } else {
                continue;
            };
            wrong |= fault.severity() > super::Severity::Note;
            told(Outcome::Fault(fault));
        }
    }
    if !wrong {
        told(Outcome::Passed);
    }
}

/// Networks whose money is worth something.
pub(super) fn is_real(network: &str) -> bool {
    matches!(network, "mainnet" | "gnosis")
}

fn mixed(text: &str) -> bool {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    digits.bytes().any(|b| b.is_ascii_uppercase()) && digits.bytes().any(|b| b.is_ascii_lowercase())
}

/// Checks a definition by itself.
pub(super) fn definition(place: &str, bytes: &[u8], known: Known<'_>, findings: &mut Findings) -> Option<Definition> {
    let checks = [
        Check::ConfigHash,
        Check::DefinitionHash,
        Check::DefinitionSignatures,
        Check::Addresses,
    ];
    let at = || place.to_owned();
    let definition = match Definition::from_json(bytes) {
        Ok(definition) => definition,
        Err(error) => {
            findings.fault(Check::Readable, at(), Fault::Parse(error));
            for check in checks {
                findings.skip(check, place, Skipped::NothingToCheck);
            }
            return None;
        }
    };
    findings.push(Check::Readable, at(), Outcome::Passed);
    let hashes = [
        (
            Check::ConfigHash,
            definition.compute_config_hash(),
            &definition.config_hash,
            VerifyError::ConfigHash as fn(Option<HashError>) -> VerifyError,
        ),
        (
            Check::DefinitionHash,
            definition.compute_definition_hash(),
            &definition.definition_hash,
            VerifyError::DefinitionHash,
        ),
    ];
    for (check, computed, stored, error) in hashes {
        let outcome = match computed {
            Ok(hash) if hash == stored.as_slice() => Outcome::Passed,
            // The API's definitions come without it, and every reader computes it then.
            Ok(_) if stored.is_empty() && check == Check::DefinitionHash => Outcome::Passed,
            Ok(_) => Outcome::Fault(Fault::Verify(error(None))),
            Err(e) => Outcome::Fault(Fault::Verify(error(Some(e)))),
        };
        findings.push(check, at(), outcome);
    }
    let outcome = match definition.verify_signatures_with(known.networks, known.wallets) {
        Ok(()) if signed(&definition) => Outcome::Passed,
        Ok(()) => Outcome::Fault(Fault::UnsignedDefinition),
        Err(error) => Outcome::Fault(signature_fault(&definition, error)),
    };
    findings.push(Check::DefinitionSignatures, at(), outcome);
    addresses(&definition, known.networks, &mut |outcome| {
        findings.push(Check::Addresses, at(), outcome);
    });
    Some(definition)
}

fn signed(definition: &Definition) -> bool {
    let operators = definition
        .operators
        .iter()
        .flat_map(|o| [&o.config_signature, &o.enr_signature]);
    operators
        .chain([&definition.creator.config_signature])
        .any(|signature| !signature.is_empty())
}
