//! The folders of several operators side by side.

use std::collections::BTreeMap;

use trireme_tbls::{PublicKey, SecretKey, recover};

use super::{Check, Fault, Findings, Folder, Outcome, Skipped, operator::Holding};

/// All locks are the same bytes.
pub(super) fn locks_identical(folders: &[Folder], findings: &mut Findings) {
    let mut locks = folders
        .iter()
        .filter_map(|folder| Some((folder, folder.lock.as_ref()?.as_ref().ok()?)));
    let Some((first, bytes)) = locks.next() else { return };
    if folders.len() < 2 {
        return;
    }
    for (folder, other) in locks {
        let place = folder.place("cluster-lock.json");
        let outcome = if bytes == other {
            Outcome::Passed
        } else {
            let first = first.place("cluster-lock.json");
            Outcome::Fault(Fault::OtherLock { first })
        };
        findings.push(Check::LocksIdentical, place, outcome);
    }
}

/// Each folder is another operator's, and any threshold of them can sign for every validator.
pub(super) fn operators(all: &[Holding<'_>], findings: &mut Findings) {
    if all.len() < 2 {
        return;
    }
    let mut seen: BTreeMap<usize, &Holding<'_>> = BTreeMap::new();
    for holding in all {
        let Some(operator) = holding.operator else { continue };
        if let Some(first) = seen.get(&operator) {
            let first = first.folder.place("charon-enr-private-key");
            let place = holding.folder.place("charon-enr-private-key");
            findings.fault(Check::IdentityKey, place, Fault::OperatorTwice { operator, first });
        } else {
            seen.insert(operator, holding);
        }
    }
    let Some(cluster) = all.iter().find_map(|h| h.cluster) else {
        return;
    };
    let check = Check::AnyThreshold;
    // Shares of another lock are told where the locks are compared.
    let same = seen
        .iter()
        .filter(|(_, h)| h.cluster.is_some_and(|c| c.lock_hash == cluster.lock_hash));
    let same: BTreeMap<usize, &Holding<'_>> = same.map(|(at, h)| (*at, *h)).collect();
    if same.len() < usize::from(cluster.threshold) {
        let (here, needed) = (same.len(), usize::from(cluster.threshold));
        findings.skip(check, "", Skipped::TooFewFolders { here, needed });
        return;
    }
    if same.values().flat_map(|h| h.shares.values()).any(Option::is_none) {
        findings.skip(check, "", Skipped::NotOpened);
        return;
    }
    let mut faults = Vec::new();
    let needed = usize::from(cluster.threshold);
    let mut fewest = usize::MAX;
    for (validator, of) in cluster.validators.iter().enumerate() {
        let shares: BTreeMap<u8, &SecretKey> = same
            .iter()
            .filter_map(|(operator, holding)| {
                let index = u8::try_from(operator.checked_add(1)?).ok()?;
                Some((index, (*holding.shares.get(&validator)?)?))
            })
            .collect();
        fewest = fewest.min(shares.len());
        if shares.len() >= needed && !any_threshold_fits(&of.public_key, &shares, cluster.threshold) {
            faults.push((String::new(), Fault::SharesDoNotFit { validator }));
        }
    }
    if fewest < needed {
        findings.skip(check, "", Skipped::TooFewFolders { here: fewest, needed });
    }
    if fewest >= needed || !faults.is_empty() {
        findings.settle(check, "", faults);
    }
}

/// Whether any `threshold` of these shares, keyed by their index from 1, give the key of `group`.
///
/// Shares lie on one polynomial of degree below the threshold t exactly if the first t give the value at zero, and so do
/// the first t - 1 with each of the others; so that many recoveries are enough for all choices. False for fewer than t.
#[must_use]
pub fn any_threshold_fits(group: &PublicKey, shares: &BTreeMap<u8, &SecretKey>, threshold: u8) -> bool {
    let threshold = usize::from(threshold);
    let Some(base) = threshold.checked_sub(1) else {
        return false;
    };
    if shares.len() < threshold {
        return false;
    }
    let base: BTreeMap<u8, SecretKey> = shares
        .iter()
        .take(base)
        .map(|(at, key)| (*at, (*key).clone()))
        .collect();
    let mut rest = shares.iter().skip(base.len());
    let fits = |(at, key): (&u8, &&SecretKey)| {
        let mut chosen = base.clone();
        chosen.insert(*at, (*key).clone());
        recover(&chosen).is_ok_and(|secret| secret.public_key() == *group)
    };
    rest.all(fits)
}
