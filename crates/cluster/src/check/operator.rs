//! One operator's folder against its lock: whose it is, and whether its keystores hold that operator's shares.

use std::collections::BTreeMap;

use trireme_keys::{Enr, EnrAddress, IdentityKey, KeyFileError};
use trireme_tbls::SecretKey;

use super::{
    Check, Fault, Findings, Folder, FoundKeystore, Mode, Opened, Outcome, Skipped,
    lock::{Checked, is_real},
};
use crate::{
    Cluster,
    folder::{FolderError, index_of},
};

/// What a folder turned out to hold.
pub(super) struct Holding<'a> {
    pub(super) folder: &'a Folder,
    pub(super) cluster: Option<&'a Cluster>,
    /// Whose folder it is, by its identity key.
    pub(super) operator: Option<usize>,
    /// Right shares by validator; without the secret where keystores were not to be opened.
    pub(super) shares: BTreeMap<usize, Option<&'a SecretKey>>,
}

/// Checks identity key and keystores.
pub(super) fn check<'a>(folder: &'a Folder, lock: Option<&'a Checked>, findings: &mut Findings) -> Holding<'a> {
    let cluster = lock.and_then(|checked| checked.cluster.as_ref());
    let operator = identity(folder, cluster, findings);
    let mut holding = Holding {
        folder,
        cluster,
        operator,
        shares: BTreeMap::new(),
    };
    keystores(&mut holding, findings);
    holding
}

fn identity(folder: &Folder, cluster: Option<&Cluster>, findings: &mut Findings) -> Option<usize> {
    let place = folder.place("charon-enr-private-key");
    let check = Check::IdentityKey;
    let key = match &folder.identity {
        None => Err(Fault::NoIdentity),
        Some(Err(reason)) => Err(Fault::Unreadable(reason.clone())),
        Some(Ok(bytes)) => std::str::from_utf8(bytes)
            .map_err(|_| KeyFileError::NotHex)
            .and_then(IdentityKey::from_file_text)
            .map_err(Fault::Identity),
    };
    let key = match key {
        Ok(key) => key,
        Err(fault) => {
            findings.fault(check, place, fault);
            return None;
        }
    };
    let Some(cluster) = cluster else {
        findings.skip(check, &place, Skipped::NoLock);
        return None;
    };
    let operator = cluster.operator_of(&key.public_key());
    let outcome = if operator.is_some() {
        Outcome::Passed
    } else {
        let enr = Enr::create(&key, EnrAddress::default()).to_string();
        Outcome::Fault(Fault::IdentityForeign { enr })
    };
    findings.push(check, place, outcome);
    operator
}

fn keystores(holding: &mut Holding<'_>, findings: &mut Findings) {
    let folder = holding.folder;
    let place = folder.place("validator_keys");
    if folder.keystores.is_empty() {
        findings.fault(Check::KeystoresComplete, place, Fault::NoKeystores);
        return;
    }
    let closed = opening(folder);
    let any = |wanted: fn(&Opened) -> bool| folder.keystores.iter().any(|k| wanted(&k.opened));
    if closed.is_empty() && any(|opened| matches!(opened, Opened::NotTried)) {
        findings.skip(Check::KeystoresOpen, &place, Skipped::NotOpened);
    } else if closed.is_empty() && any(|opened| !matches!(opened, Opened::Key(_))) {
        findings.skip(Check::KeystoresOpen, &place, Skipped::NoPassword);
    } else {
        findings.settle(Check::KeystoresOpen, &place, closed);
    }
    let Some(cluster) = holding.cluster else {
        findings.skip(Check::KeystoreShares, &place, Skipped::NoLock);
        findings.settle(Check::KeystoresComplete, &place, no_password(folder));
        return;
    };
    let mut faults = shares(holding, cluster);
    let insecure = folder.keystores.iter().find(|k| k.name.contains("keystore-insecure-"));
    if let Some(first) = insecure {
        let networks = crate::Networks::known();
        let network = networks.by_fork_version(&cluster.fork_version).map(|n| n.name.clone());
        let network = network.unwrap_or_else(|| "a custom network".to_owned());
        let real = is_real(&network);
        faults.push((folder.place(&first.name), Fault::InsecureKeystores { network, real }));
    }
    findings.settle(Check::KeystoreShares, &place, faults);
    let mut lacking = no_password(folder);
    let of = cluster.validators.len();
    let missing: Vec<usize> = (0..of).filter(|v| !holding.shares.contains_key(v)).collect();
    // Keystores that do not open or hold something else are told already; they may well be the missing ones.
    let spoilt = folder.keystores.len().saturating_sub(holding.shares.len());
    if missing.len() > spoilt {
        let validators = missing;
        lacking.push((place.clone(), Fault::SharesMissing { validators, of }));
    }
    findings.settle(Check::KeystoresComplete, &place, lacking);
}

fn no_password(folder: &Folder) -> Vec<(String, Fault)> {
    let without = folder.keystores.iter().filter(|k| !k.has_password);
    without.map(|k| (folder.place(&k.name), Fault::NoPassword)).collect()
}

/// What hinders opening, and keystores that say another key than they hold.
fn opening(folder: &Folder) -> Vec<(String, Fault)> {
    let fault = |keystore: &FoundKeystore| match &keystore.opened {
        Opened::Key(secret) => match keystore.claims {
            Some(claims) if claims == secret.public_key().to_bytes() => None,
            Some(_) | None => Some(Fault::ClaimDiffers),
        },
        Opened::NotTried => keystore.claims.is_none().then_some(Fault::NoClaim),
        // Told as missing.
        Opened::Failed(FolderError::NoPassword(_)) => None,
        Opened::Failed(error) => Some(Fault::Keystore(error.clone())),
        Opened::Unreadable(reason) => Some(Fault::Unreadable(reason.clone())),
    };
    let of = |k: &FoundKeystore| Some((folder.place(&k.name), fault(k)?));
    folder.keystores.iter().filter_map(of).collect()
}

/// Puts every key to its validator. Without an identity key the first share says whose folder it is.
fn shares(holding: &mut Holding<'_>, cluster: &Cluster) -> Vec<(String, Fault)> {
    let mut owners: BTreeMap<[u8; 48], (usize, usize)> = BTreeMap::new();
    for (validator, of_validator) in cluster.validators.iter().enumerate() {
        for (operator, share) in of_validator.public_shares.iter().enumerate() {
            owners.insert(share.to_bytes(), (validator, operator));
        }
    }
    let mut me = holding.operator;
    let mut first: BTreeMap<usize, &str> = BTreeMap::new();
    let mut faults = Vec::new();
    for keystore in &holding.folder.keystores {
        let (key, secret) = match &keystore.opened {
            Opened::Key(secret) => (Some(secret.public_key().to_bytes()), Some(secret)),
            Opened::NotTried => (keystore.claims, None),
            Opened::Failed(_) | Opened::Unreadable(_) => (None, None),
        };
        let Some(key) = key else { continue };
        let mut fault = |fault| faults.push((holding.folder.place(&keystore.name), fault));
        let Some(&(validator, owner)) = owners.get(&key) else {
            fault(Fault::ShareForeign);
            continue;
        };
        let mine = *me.get_or_insert(owner);
        if owner != mine {
            let me = mine;
            fault(Fault::ShareOfOther { validator, owner, me });
            continue;
        }
        if let Some(first) = first.insert(validator, &keystore.name) {
            let first = holding.folder.place(first);
            fault(Fault::ShareTwice { first });
            continue;
        }
        let name = keystore.name.rsplit('/').next().unwrap_or_default();
        if index_of(name) != u64::try_from(validator).ok() {
            fault(Fault::ShareOrder { validator });
        }
        holding.shares.insert(validator, secret);
    }
    faults
}

/// Files that more people can read or write than need be.
pub(super) fn modes(folder: &Folder, findings: &mut Findings) {
    let wide = |mode: &Mode| {
        let (found, widest) = (mode.found, mode.widest);
        let more = found & !widest;
        if more == 0 {
            return None;
        }
        // What the owner may do with his own file endangers nothing; what others may, does.
        let fault = if more & 0o077 == 0 {
            Fault::WiderThanUsual { found, widest }
        } else {
            Fault::Exposed { found, widest }
        };
        Some((folder.place(&mode.name), fault))
    };
    if folder.modes.is_empty() {
        return;
    }
    let place = folder.place("");
    findings.settle(Check::FileModes, &place, folder.modes.iter().filter_map(wide).collect());
}
