//! Verdicts on vectors, and on folders that are broken in one way each.

use std::{fs, path::Path};

use trireme_cluster::{
    Networks, Wallets,
    check::{
        Check, DepositProblem, Fault, Finding, Folder, FoundKeystore, Known, Mode, NamedContent, Opened, Outcome,
        Report, Severity, Verdict, definition_alone, deposits_alone, folders, lock_alone,
    },
    create::{NodeFolder, create},
    deposit,
    folder::{KeystoreFile, is_keystore_name, open_keystore, password_name},
};
use trireme_keys::{Keystore, keystore::Cost};
use trireme_vectors::Entry;
use zeroize::Zeroizing;

use crate::created::{bytes_of, made, request};

/// The names of the checks that found something wrong, in order.
fn wrong(report: &Report) -> Vec<&'static str> {
    let mut names: Vec<_> = report
        .faults()
        .filter(|(_, fault)| fault.severity() == Severity::Wrong)
        .map(|(finding, _)| finding.check.name())
        .collect();
    names.dedup();
    names
}

/// The check in the words of the vectors' README, which has fewer.
fn stage(check: &str) -> &str {
    match check {
        "readable" => "parse",
        "validator_count" => "lock_hash",
        "keys" | "public_shares" | "builder_registrations" => "signature_aggregate",
        other => other,
    }
}

fn known<R>(networks: &Networks, look: impl FnOnce(Known<'_>) -> R) -> R {
    let wallets = Wallets::default();
    look(Known {
        networks,
        wallets: &wallets,
    })
}

/// Holds the verdict on a lock or definition against the index.
pub(crate) fn is_as_the_index_says(e: &Entry, lock: bool) {
    let report = known(&Networks::known(), |known| {
        if lock {
            lock_alone("file", &e.bytes(), known)
        } else {
            definition_alone("file", &e.bytes(), known)
        }
    });
    let faults: Vec<_> = report.faults().collect();
    let expected = match e.field::<String>("expect").as_str() {
        "all-signatures-verify" => Verdict::Verified,
        "unsigned" => Verdict::Incomplete,
        "hashes-only" | "refused" => Verdict::Wrong,
        other => panic!("{e}: unknown verdict {other}"),
    };
    assert_eq!(report.verdict(), expected, "{e}: {faults:?}");
    if let Some(first) = e.opt::<String>("first_failure") {
        let found = wrong(&report);
        assert_eq!(stage(found[0]), first, "{e}: {faults:?}");
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the crate takes bytes; its tests get them from the vectors' folders"
)]
fn read(path: &Path) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn keystore(name: &str, json: &[u8], password: Option<&[u8]>) -> FoundKeystore {
    let mut claims = [0; 48];
    hex::decode_to_slice(Keystore::from_json(json).unwrap().pubkey(), &mut claims).unwrap();
    let opened = open_keystore(KeystoreFile { name, json, password });
    FoundKeystore {
        name: format!("validator_keys/{name}"),
        claims: Some(claims),
        has_password: password.is_some(),
        opened: opened.map_or_else(Opened::Failed, Opened::Key),
    }
}

/// All folders `node0`, `node1`, … as bytes. Modes are not looked at: copies of vectors have others.
fn on_disk(dir: &Path, nodes: usize) -> Vec<Folder> {
    let one = |at: usize| {
        let name = format!("node{at}");
        let folder = dir.join(&name);
        let keys = folder.join("validator_keys");
        Folder {
            lock: Some(Ok(read(&folder.join("cluster-lock.json")))),
            identity: Some(Ok(read(&folder.join("charon-enr-private-key")))),
            keystores: names(&keys)
                .iter()
                .filter(|n| is_keystore_name(n))
                .map(|n| keystore(n, &read(&keys.join(n)), Some(&read(&keys.join(password_name(n))))))
                .collect(),
            deposits: names(&folder)
                .into_iter()
                .filter(|n| n.starts_with("deposit-data"))
                .map(|n| NamedContent {
                    content: Ok(read(&folder.join(&n))),
                    name: n,
                })
                .collect(),
            modes: Vec::new(),
            name,
        }
    };
    (0..nodes).map(one).collect()
}

/// Holds the verdict on a whole cluster: all is right, together and folder by folder.
pub(crate) fn a_cluster_is_right(e: &Entry, networks: &Networks) {
    let all = on_disk(&e.dir(), e.field("nodes"));
    let whole = known(networks, |known| folders(&all, known));
    assert_eq!(
        whole.verdict(),
        Verdict::Verified,
        "{e}: {:?}",
        whole.faults().collect::<Vec<_>>()
    );
    assert!(passed(&whole, Check::AnyThreshold), "{e}");
    assert!(passed(&whole, Check::LocksIdentical), "{e}");
    for folder in &all {
        let one = known(networks, |known| folders(std::slice::from_ref(folder), known));
        assert_eq!(
            one.verdict(),
            Verdict::Verified,
            "{e}: {:?}",
            one.faults().collect::<Vec<_>>()
        );
    }
}

fn passed(report: &Report, check: Check) -> bool {
    let note = |outcome: &Outcome| matches!(outcome, Outcome::Fault(fault) if fault.severity() == Severity::Note);
    let of: Vec<_> = report.findings.iter().filter(|f| f.check == check).collect();
    let fine = of.iter().filter(|f| f.outcome == Outcome::Passed).count();
    fine > 0 && of.iter().all(|f| f.outcome == Outcome::Passed || note(&f.outcome))
}

/// A cluster of our own making: three nodes, any two of which sign, and two validators.
fn cluster() -> Vec<Folder> {
    let created = made(trireme_cluster::Version::V1_10, 3, 2);
    created.nodes.into_iter().enumerate().map(of_node).collect()
}

fn of_node((at, node): (usize, NodeFolder)) -> Folder {
    let mut folder = Folder {
        name: format!("node{at}"),
        ..Folder::default()
    };
    let files = node.files(Cost::Insecure);
    let content = |path: &str| files.iter().find(|f| f.path == path).map(|f| f.content.clone());
    for file in &files {
        folder.modes.push(Mode {
            name: file.path.clone(),
            found: file.mode,
            widest: if file.path == "cluster-lock.json" {
                0o444
            } else {
                file.mode
            },
        });
        match file.path.as_str() {
            "cluster-lock.json" => folder.lock = Some(Ok(file.content.clone())),
            "charon-enr-private-key" => folder.identity = Some(Ok(file.content.clone())),
            path if path.starts_with("deposit-data") => folder.deposits.push(NamedContent {
                name: path.to_owned(),
                content: Ok(file.content.clone()),
            }),
            path if path.ends_with(".json") => {
                let name = path.trim_start_matches("validator_keys/");
                let password = content(&password_name(path)).unwrap();
                folder.keystores.push(keystore(name, &file.content, Some(&password)));
            }
            _ => {}
        }
    }
    folder
}

fn report(all: &[Folder]) -> Report {
    known(&Networks::known(), |known| folders(all, known))
}

fn one_fault(report: &Report, check: Check, wanted: impl Fn(&Fault) -> bool) -> &Finding {
    let found = report
        .faults()
        .find(|(finding, fault)| finding.check == check && wanted(fault));
    found
        .unwrap_or_else(|| panic!("{:?}", report.faults().collect::<Vec<_>>()))
        .0
}

#[test]
fn a_new_cluster_is_right_and_every_check_was_made() {
    let report = report(&cluster());
    assert_eq!(
        report.verdict(),
        Verdict::Verified,
        "{:?}",
        report.faults().collect::<Vec<_>>()
    );
    for check in Check::ALL {
        // Nothing was interrupted here.
        assert!(check == Check::FilesMoved || passed(&report, check), "{check:?}");
    }
    let facts = report.facts.unwrap();
    assert!(facts.operators.iter().all(|o| o.here));
    assert!(facts.validators.iter().all(|v| v.amounts.len() == 2));
}

#[test]
fn every_check_has_a_name_of_its_own_and_comes_in_order() {
    let mut names: Vec<_> = Check::ALL.iter().map(|c| c.name()).collect();
    assert!(Check::ALL.is_sorted());
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Check::ALL.len());
}

#[test]
fn swapped_keystores_are_found_in_both_folders() {
    let mut all = cluster();
    let (one, two) = (all[0].keystores.clone(), all[1].keystores.clone());
    (all[0].keystores, all[1].keystores) = (two, one);
    let report = report(&all);
    assert_eq!(report.verdict(), Verdict::Wrong);
    assert_eq!(wrong(&report), ["keystore_shares"]);
    let faults = report.faults().filter(|(_, fault)| fault.severity() == Severity::Wrong);
    let faults: Vec<_> = faults.map(|(finding, fault)| (finding.place.as_str(), fault)).collect();
    assert_eq!(faults.len(), 4, "{faults:?}");
    let of_first = Fault::ShareOfOther {
        validator: 0,
        owner: 1,
        me: 0,
    };
    assert_eq!(faults[0], ("node0/validator_keys/keystore-insecure-0.json", &of_first));
}

#[test]
fn folders_under_other_names_are_fine_but_the_same_twice_is_not() {
    let mut all = cluster();
    all.swap(0, 2);
    assert_eq!(report(&all).verdict(), Verdict::Verified);
    all[1] = all[0].clone();
    let report = report(&all);
    assert_eq!(wrong(&report), ["identity_key"]);
    one_fault(&report, Check::IdentityKey, |f| {
        matches!(f, Fault::OperatorTwice { operator: 2, .. })
    });
}

#[test]
fn a_missing_keystore_makes_the_backup_incomplete_and_names_the_validator() {
    let mut all = cluster();
    all[2].keystores.pop();
    let report = report(&all[2..]);
    assert_eq!(report.verdict(), Verdict::Incomplete);
    let wanted = Fault::SharesMissing {
        validators: vec![1],
        of: 2,
    };
    assert_eq!(
        one_fault(&report, Check::KeystoresComplete, |f| *f == wanted).place,
        "node2/validator_keys"
    );
}

#[test]
fn every_missing_thing_is_told_at_once() {
    let mut all = cluster();
    let folder = &mut all[0];
    folder.identity = None;
    folder.keystores[1].has_password = false;
    folder.keystores[1].opened = Opened::Failed(trireme_cluster::folder::FolderError::NoPassword("x".into()));
    folder.deposits.clear();
    let report = report(&all[..1]);
    assert_eq!(
        report.verdict(),
        Verdict::Incomplete,
        "{:?}",
        report.faults().collect::<Vec<_>>()
    );
    let lacking = report
        .faults()
        .filter(|(_, fault)| fault.severity() == Severity::Lacking);
    let told: Vec<_> = lacking.map(|(_, fault)| fault.clone()).collect();
    assert_eq!(
        told,
        [
            Fault::NoIdentity,
            Fault::NoPassword,
            Fault::NoDeposits { in_lock: true }
        ]
    );
}

#[test]
fn a_password_of_another_keystore_does_not_open_this_one() {
    let mut all = cluster();
    all[0].keystores[0].opened = Opened::Failed(trireme_cluster::folder::FolderError::Keystore {
        name: "keystore-0.json".into(),
        source: trireme_keys::KeystoreError::WrongPassword,
    });
    assert_eq!(wrong(&report(&all)), ["keystores_open"]);
}

#[test]
fn a_keystore_that_names_another_key_is_found() {
    let mut all = cluster();
    all[0].keystores[0].claims = all[0].keystores[1].claims;
    let report = report(&all[..1]);
    assert_eq!(wrong(&report), ["keystores_open"]);
    one_fault(&report, Check::KeystoresOpen, |f| *f == Fault::ClaimDiffers);
}

#[test]
fn unopened_keystores_are_compared_by_the_key_that_they_name() {
    let mut all = cluster();
    for keystore in all.iter_mut().flat_map(|f| &mut f.keystores) {
        keystore.opened = Opened::NotTried;
    }
    let fine = report(&all);
    assert_eq!(fine.verdict(), Verdict::Verified);
    assert!(!passed(&fine, Check::KeystoresOpen) && !passed(&fine, Check::AnyThreshold));
    let other = all[1].keystores[0].claims;
    all[0].keystores[0].claims = other;
    assert_eq!(wrong(&report(&all)), ["keystore_shares"]);
}

/// Changes the deposits of every file in the first folder.
fn with_deposits(change: impl Fn(&str) -> String) -> Report {
    let mut all = cluster();
    for file in &mut all[0].deposits {
        let text = String::from_utf8(file.content.clone().unwrap().to_vec()).unwrap();
        file.content = Ok(Zeroizing::new(change(&text).into_bytes()));
    }
    report(&all[..1])
}

#[test]
fn a_deposit_to_other_withdrawal_credentials_is_found_even_if_the_validator_signed_it() {
    let mut all = cluster();
    let thief = [7; 20];
    // Validators made with the same randomness, but another withdrawal address: same keys, right signatures.
    let mut request = request(trireme_cluster::Version::V1_10, 3, 2);
    for pair in &mut request.definition.validators {
        pair.withdrawal = trireme_cluster::address::checksummed(&thief);
    }
    let other = create(&request, &mut bytes_of(1)).unwrap();
    let other: Vec<Folder> = other.nodes.into_iter().enumerate().map(of_node).collect();
    all[0].deposits = other[0].deposits.clone();
    let report = report(&all[..1]);
    assert_eq!(wrong(&report), ["deposit_credentials"]);
    let expected = hex::encode(deposit::withdrawal_credentials(&thief, false));
    one_fault(
        &report,
        Check::DepositCredentials,
        |f| matches!(f, Fault::Deposit { problem: DepositProblem::Credentials { found, .. }, .. } if *found == expected),
    );
}

#[test]
fn changed_credentials_also_break_signature_and_roots() {
    let report =
        with_deposits(|text| text.replace("\"withdrawal_credentials\": \"01", "\"withdrawal_credentials\": \"02"));
    assert_eq!(
        wrong(&report),
        ["deposit_credentials", "deposit_signatures", "deposit_roots"]
    );
}

#[test]
fn a_deposit_for_another_network_is_found_by_what_it_says() {
    let report = with_deposits(|text| {
        text.replace("\"fork_version\": \"10000910\"", "\"fork_version\": \"00000000\"")
            .replace("\"fork_version\": \"00001020\"", "\"fork_version\": \"00000000\"")
    });
    assert_eq!(wrong(&report), ["deposit_network"]);
    one_fault(
        &report,
        Check::DepositNetwork,
        |f| matches!(f, Fault::Deposit { problem: DepositProblem::Network { found, .. }, .. } if found == "mainnet"),
    );
}

#[test]
fn a_deposit_that_comes_twice_is_found() {
    let mut all = cluster();
    let file = &mut all[0].deposits[0];
    let text = String::from_utf8(file.content.clone().unwrap().to_vec()).unwrap();
    let entries: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    let doubled: Vec<_> = entries.iter().chain(&entries[..1]).collect();
    file.content = Ok(Zeroizing::new(serde_json::to_vec(&doubled).unwrap()));
    assert_eq!(wrong(&report(&all[..1])), ["deposit_amounts"]);
}

#[test]
fn a_deposit_of_somebody_elses_validator_is_found() {
    let mut all = cluster();
    let other = made(trireme_cluster::Version::V1_10, 4, 3);
    let other: Vec<Folder> = other.nodes.into_iter().enumerate().map(of_node).collect();
    all[0].deposits = other[0].deposits.clone();
    let report = report(&all[..1]);
    assert!(wrong(&report).contains(&"deposit_keys"), "{:?}", wrong(&report));
}

#[test]
fn deposits_without_a_lock_are_nobodys() {
    let mut all = cluster();
    all[0].lock = None;
    let with_keys = report(&all[..1]);
    assert_eq!(wrong(&with_keys), ["lock_present"]);
    assert_eq!(deposits_alone("deposit-data.json").verdict(), Verdict::Wrong);
    all[0].deposits.clear();
    let without = report(&all[..1]);
    assert_eq!(without.verdict(), Verdict::Incomplete);
}

#[test]
fn two_locks_are_told_with_what_follows_from_them() {
    let mut all = cluster();
    let other = made(trireme_cluster::Version::V1_10, 4, 2);
    let other: Vec<Folder> = other.nodes.into_iter().enumerate().map(of_node).collect();
    all[1].lock = other[1].lock.clone();
    let report = report(&all);
    assert_eq!(report.verdict(), Verdict::Wrong);
    let finding = one_fault(&report, Check::LocksIdentical, |f| matches!(f, Fault::OtherLock { .. }));
    assert_eq!(finding.place, "node1/cluster-lock.json");
}

#[test]
fn a_changed_lock_is_taken_apart_and_the_other_checks_go_on() {
    let mut all = cluster();
    let text = String::from_utf8(all[0].lock.clone().unwrap().unwrap().to_vec()).unwrap();
    let at = text.find("\"lock_hash\": \"0x").unwrap() + 16;
    let mut changed = text.into_bytes();
    changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
    all[0].lock = Some(Ok(Zeroizing::new(changed)));
    let report = report(&all[..1]);
    assert_eq!(wrong(&report), ["lock_hash"]);
    for check in [
        Check::SignatureAggregate,
        Check::NodeSignatures,
        Check::KeystoreShares,
        Check::DepositSignatures,
    ] {
        assert!(passed(&report, check), "{check:?}");
    }
}

#[test]
fn modes_that_others_can_use_are_wrong_and_those_of_the_owner_are_not() {
    let mut all = cluster();
    let mode = |folder: &mut Folder, name: &str, found| {
        folder.modes.iter_mut().find(|m| m.name == name).unwrap().found = found;
    };
    mode(&mut all[0], "cluster-lock.json", 0o644);
    let own = report(&all);
    assert_eq!(own.verdict(), Verdict::Verified);
    one_fault(&own, Check::FileModes, |f| {
        matches!(f, Fault::WiderThanUsual { found: 0o644, .. })
    });
    mode(&mut all[0], "charon-enr-private-key", 0o640);
    let open = report(&all);
    assert_eq!(wrong(&open), ["file_modes"]);
    let wanted = Fault::Exposed {
        found: 0o640,
        widest: 0o600,
    };
    assert_eq!(
        one_fault(&open, Check::FileModes, |f| *f == wanted).place,
        "node0/charon-enr-private-key"
    );
}

#[test]
fn an_unreadable_file_is_told_and_nothing_else_suffers() {
    let mut all = cluster();
    all[0].identity = Some(Err("permission denied".into()));
    let report = report(&all[..1]);
    assert_eq!(report.verdict(), Verdict::Unchecked);
    assert!(passed(&report, Check::KeystoreShares));
}

#[test]
fn a_network_that_nobody_named_is_not_known_to_be_wrong() {
    let all = cluster();
    let lock = all[0].lock.clone().unwrap().unwrap();
    let text = String::from_utf8(lock.to_vec())
        .unwrap()
        .replace("0x10000910", "0x7f000001");
    let report = known(&Networks::known(), |known| lock_alone("lock", text.as_bytes(), known));
    one_fault(&report, Check::DefinitionSignatures, |f| {
        matches!(f, Fault::UnknownNetwork(_))
    });
    assert_eq!(report.verdict(), Verdict::Wrong, "its hashes do not fit any more");
}
