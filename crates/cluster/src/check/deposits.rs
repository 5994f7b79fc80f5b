//! Deposits against a lock: those in files, and those that the lock holds itself.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use trireme_tbls::{Check as Signed, PublicKey, Signature, verify_derived_set};

use super::{
    ByCheck, Check, Fault, Findings, Folder, Known, Outcome, Skipped,
    fault::DepositProblem,
    lock::{Checked, Locks, seed},
};
use crate::{Cluster, DepositData, Lock, deposit};

/// The checks of deposit files' content.
const CONTENT: [Check; 6] = [
    Check::DepositKeys,
    Check::DepositNetwork,
    Check::DepositCredentials,
    Check::DepositAmounts,
    Check::DepositSignatures,
    Check::DepositRoots,
];

/// Amounts in gwei by public key.
pub(super) type Amounts = BTreeMap<Vec<u8>, BTreeSet<u64>>;

/// What stands beside a deposit for those who send it.
#[derive(Deserialize)]
struct Beside {
    #[serde(default)]
    deposit_message_root: String,
    #[serde(default)]
    deposit_data_root: String,
    #[serde(default)]
    fork_version: String,
    #[serde(default)]
    network_name: String,
}

/// A deposit file that was looked at.
#[derive(Default)]
struct Looked {
    faults: ByCheck,
    deposits: Vec<(Vec<u8>, u64)>,
}

/// Checks every folder's deposit files; the same bytes under the same lock once.
pub(super) fn check(folders: &[Folder], locks: &Locks, known: Known<'_>, findings: &mut Findings) -> Amounts {
    let mut amounts = Amounts::new();
    let mut seen: BTreeMap<[u8; 32], Looked> = BTreeMap::new();
    for folder in folders {
        let usable = locks
            .of(folder)
            .and_then(|Checked { lock, cluster, .. }| Some((lock.as_ref()?, cluster.as_ref()?)));
        let Some((lock, cluster)) = usable else {
            for file in &folder.deposits {
                findings.skip(Check::DepositKeys, &folder.place(&file.name), Skipped::NoLock);
            }
            continue;
        };
        let mut held: Vec<(Vec<u8>, u64)> = Vec::new();
        for file in &folder.deposits {
            let place = folder.place(&file.name);
            let bytes = match &file.content {
                Ok(bytes) => bytes,
                Err(reason) => {
                    findings.fault(Check::DepositsReadable, place, Fault::Unreadable(reason.clone()));
                    continue;
                }
            };
            let key = Sha256::new()
                .chain_update(cluster.lock_hash)
                .chain_update(Sha256::digest(bytes.as_slice()))
                .finalize()
                .into();
            let looked = seen.entry(key).or_insert_with(|| look(bytes, lock, cluster, known));
            tell(looked, &place, findings);
            held.extend(looked.deposits.iter().cloned());
        }
        complete(folder, lock, &held, findings);
        for (pubkey, amount) in held {
            amounts.entry(pubkey).or_default().insert(amount);
        }
    }
    amounts
}

fn tell(looked: &Looked, place: &str, findings: &mut Findings) {
    if let Some(faults) = looked.faults.get(&Check::DepositsReadable) {
        for fault in faults {
            findings.fault(Check::DepositsReadable, place.to_owned(), fault.clone());
        }
        return;
    }
    findings.push(Check::DepositsReadable, place.to_owned(), Outcome::Passed);
    for check in CONTENT {
        let faults = looked.faults.get(&check).into_iter().flatten();
        findings.settle(check, place, faults.map(|f| (place.to_owned(), f.clone())).collect());
    }
}

fn look(bytes: &[u8], lock: &Lock, cluster: &Cluster, known: Known<'_>) -> Looked {
    let mut out = Looked::default();
    let read = deposit::from_json(bytes).and_then(|deposits| {
        let beside: Vec<Beside> =
            serde_json::from_slice(bytes).map_err(|e| deposit::DepositError::Json(e.to_string()))?;
        if deposits.is_empty() {
            return Err(deposit::DepositError::Empty);
        }
        Ok((deposits, beside))
    });
    let (deposits, beside) = match read {
        Ok(read) => read,
        Err(error) => {
            let fault = Fault::DepositFile(error);
            out.faults.insert(Check::DepositsReadable, vec![fault]);
            return out;
        }
    };
    let all: Vec<&DepositData> = deposits.iter().collect();
    let wrong = wrong_signatures(&all, cluster.fork_version, &seed(b"deposit file", bytes));
    let mut twice = BTreeSet::new();
    for (n, (deposit, beside)) in deposits.iter().zip(&beside).enumerate() {
        let mut found = problems(deposit, lock, cluster);
        if !twice.insert((&deposit.pubkey, deposit.amount)) {
            found.push(DepositProblem::Twice);
        }
        let other_network = network(deposit, beside, wrong.contains(&n), cluster, known);
        match other_network {
            Some(problem) => found.push(problem),
            None if wrong.contains(&n) => found.push(DepositProblem::Signature),
            None => {}
        }
        let fits = |text: &str, root: Result<[u8; 32], _>| {
            text.is_empty()
                || root.is_ok_and(|root| text.trim_start_matches("0x").eq_ignore_ascii_case(&hex::encode(root)))
        };
        if !fits(&beside.deposit_message_root, deposit.message_root())
            || !fits(&beside.deposit_data_root, deposit.data_root())
        {
            found.push(DepositProblem::Roots);
        }
        for problem in found {
            out.faults.entry(check_of(&problem)).or_default().push(Fault::Deposit {
                pubkey: hex::encode(&deposit.pubkey),
                amount: deposit.amount,
                problem,
            });
        }
        out.deposits.push((deposit.pubkey.clone(), deposit.amount));
    }
    out
}

const fn check_of(problem: &DepositProblem) -> Check {
    match problem {
        DepositProblem::Foreign => Check::DepositKeys,
        DepositProblem::Signature => Check::DepositSignatures,
        DepositProblem::Network { .. } => Check::DepositNetwork,
        DepositProblem::Credentials { .. } | DepositProblem::CredentialsUnknown => Check::DepositCredentials,
        DepositProblem::Amount | DepositProblem::Twice => Check::DepositAmounts,
        DepositProblem::Roots => Check::DepositRoots,
    }
}

/// Whether the deposit is for another network: by what it says, or by what its signature says.
fn network(
    deposit: &DepositData,
    beside: &Beside,
    signature_wrong: bool,
    cluster: &Cluster,
    known: Known<'_>,
) -> Option<DepositProblem> {
    let ours = hex::encode(cluster.fork_version);
    let name = known
        .networks
        .by_fork_version(&cluster.fork_version)
        .map(|n| n.name.as_str());
    let expected = name.map_or_else(|| format!("0x{ours}"), str::to_owned);
    let other = |found: String| {
        let expected = expected.clone();
        Some(DepositProblem::Network { found, expected })
    };
    let says = beside.fork_version.trim_start_matches("0x");
    let named = |fork: &str| {
        let known = hex::decode(fork).ok().and_then(|f| known.networks.by_fork_version(&f));
        known.map_or_else(|| format!("0x{fork}"), |n| n.name.clone())
    };
    if !says.is_empty() && !says.eq_ignore_ascii_case(&ours) {
        return other(named(says));
    }
    let other_name = !beside.network_name.is_empty() && name.is_some_and(|name| name != beside.network_name);
    if other_name {
        return other(beside.network_name.clone());
    }
    if !signature_wrong {
        return None;
    }
    let signed_for = known.networks.all().find(|n| {
        n.genesis_fork_version != cluster.fork_version && deposit.verifies(n.genesis_fork_version) == Ok(true)
    });
    signed_for.and_then(|n| other(n.name.clone()))
}

/// What is wrong with a deposit under this lock, but for its signature.
pub(super) fn problems(deposit: &DepositData, lock: &Lock, cluster: &Cluster) -> Vec<DepositProblem> {
    let mut out = Vec::new();
    let at = <[u8; 48]>::try_from(deposit.pubkey.as_slice())
        .ok()
        .and_then(|key| cluster.validator_of(&key));
    let validator = at.and_then(|at| Some((cluster.validators.get(at)?, lock.definition.validators.get(at)?)));
    match validator {
        None => out.push(DepositProblem::Foreign),
        Some((_, texts)) if texts.withdrawal.is_empty() => out.push(DepositProblem::CredentialsUnknown),
        Some((validator, _)) => {
            let expected = deposit::withdrawal_credentials(&validator.withdrawal_address, cluster.compounding);
            if deposit.withdrawal_credentials != expected {
                out.push(DepositProblem::Credentials {
                    found: hex::encode(&deposit.withdrawal_credentials),
                    expected: hex::encode(expected),
                });
            }
        }
    }
    // The sum is a matter of all files together, so only each amount is held to its limits.
    let most = if cluster.compounding { 2048 } else { 32 };
    if deposit.amount < deposit::ETH || deposit.amount > deposit::ETH.saturating_mul(most) {
        out.push(DepositProblem::Amount);
    }
    out
}

/// Positions of the deposits that their keys did not sign for this network.
pub(super) fn wrong_signatures(deposits: &[&DepositData], fork_version: [u8; 4], seed: &[u8; 32]) -> BTreeSet<usize> {
    let mut wrong = BTreeSet::new();
    let mut decoded: Vec<(usize, [u8; 32], PublicKey, Signature)> = Vec::new();
    for (n, deposit) in deposits.iter().enumerate() {
        let key = <[u8; 48]>::try_from(deposit.pubkey.as_slice()).ok();
        let key = key.and_then(|bytes| PublicKey::from_bytes(&bytes).ok());
        let signature = <[u8; 96]>::try_from(deposit.signature.as_slice()).ok();
        let signature = signature.and_then(|bytes| Signature::from_bytes(&bytes).ok());
        match (deposit.signing_root(fork_version), key, signature) {
            (Ok(root), Some(key), Some(signature)) => decoded.push((n, root, key, signature)),
            _ => {
                wrong.insert(n);
            }
        }
    }
    let checks: Vec<Signed<'_>> = decoded
        .iter()
        .map(|(_, root, key, signature)| Signed {
            key: *key,
            message: root,
            signature: *signature,
        })
        .collect();
    if let Err(culprits) = verify_derived_set(&checks, seed) {
        let positions = culprits.0.iter().filter_map(|at| decoded.get(*at));
        wrong.extend(positions.map(|(n, ..)| *n));
    }
    wrong
}

/// Every validator should have a deposit of each amount that any of them has, in the files or in the lock.
fn complete(folder: &Folder, lock: &Lock, held: &[(Vec<u8>, u64)], findings: &mut Findings) {
    let in_lock = lock
        .validators
        .iter()
        .flat_map(|v| v.deposit_data.iter())
        .filter(|d| !d.signature.is_empty())
        .map(|d| d.amount);
    let place = folder.place("deposit-data*.json");
    if folder.deposits.is_empty() {
        let in_lock = in_lock.count() > 0;
        findings.fault(Check::DepositsComplete, place, Fault::NoDeposits { in_lock });
        return;
    }
    let has: BTreeSet<(&[u8], u64)> = held.iter().map(|(key, amount)| (key.as_slice(), *amount)).collect();
    let amounts: BTreeSet<u64> = in_lock.chain(held.iter().map(|(_, amount)| *amount)).collect();
    let mut faults = Vec::new();
    for amount in amounts {
        let missing: Vec<usize> = lock
            .validators
            .iter()
            .enumerate()
            .filter(|(_, v)| !has.contains(&(v.public_key.as_slice(), amount)))
            .map(|(at, _)| at)
            .collect();
        if !missing.is_empty() {
            faults.push((
                place.clone(),
                Fault::DepositsMissing {
                    amount,
                    validators: missing,
                    of: lock.validators.len(),
                },
            ));
        }
    }
    findings.settle(Check::DepositsComplete, &place, faults);
}
