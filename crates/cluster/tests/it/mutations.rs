//! Files that are wrong in one place are refused at exactly that check, in either order of checks and in every schema.

use std::collections::BTreeSet;

use trireme_cluster::{Definition, Lock, Networks, Order, Stage, Version, Wallets, Workers};
use trireme_testutil::mutations::{MUTATIONS, Signed};

const ORDERS: [Order; 2] = [Order::HashesFirst, Order::SignaturesFirst];

/// Does one part per validator, the last job first.
struct Backwards;

impl Workers for Backwards {
    fn parts(&self) -> usize {
        2
    }

    fn run(&self, count: usize, job: &(dyn Fn(usize) + Sync)) {
        (0..count).rev().for_each(job);
    }
}

#[test]
fn what_is_changed_by_a_mutation_is_right_before() {
    let networks = Networks::known();
    for version in Version::ALL {
        let lock = Signed::new(version).lock;
        for order in ORDERS {
            let verdict = lock.verify_in(order, &networks, &Wallets::default()).map(drop);
            assert_eq!(verdict, Ok(()), "{version} {order:?}");
            let verdict = lock.definition.verify(order, &networks, &Wallets::default());
            assert_eq!(verdict, Ok(()), "{version} {order:?}");
        }
    }
}

#[test]
fn each_mutation_fails_first_at_its_own_check() {
    let networks = Networks::known();
    let mut wrong = Vec::new();
    for version in Version::ALL {
        let right = Signed::new(version);
        for mutation in MUTATIONS {
            let orders: Vec<Order> = ORDERS.into_iter().filter(|o| mutation.reaches(version, *o)).collect();
            if orders.is_empty() {
                continue;
            }
            let mutant = mutation.apply(&right);
            for order in orders {
                let mut check = |of: &str, verdict: Option<Stage>| {
                    if verdict != Some(mutation.stage) {
                        wrong.push(format!(
                            "{version} {of} {order:?} {:?}: {verdict:?}, expected {:?}",
                            mutation.name, mutation.stage
                        ));
                    }
                };
                let lock = Lock::from_json(&mutant.lock_json()).unwrap();
                let verdict = lock.verify_in(order, &networks, &mutant.wallets).map(drop);
                if order == Order::HashesFirst && version == Version::V1_11 {
                    let shared = lock.verify_by(&Backwards, order, &networks, &mutant.wallets).map(drop);
                    assert_eq!(shared, verdict, "whoever does the work, the verdict is the same");
                }
                check("lock", verdict.err().map(|e| e.stage()));
                if mutation.of_definition {
                    let definition = Definition::from_json(&mutant.definition_json()).unwrap();
                    let verdict = definition.verify(order, &networks, &mutant.wallets);
                    check("definition", verdict.err().map(|e| e.stage()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// `Usable` is no check of the chapter: what it says could not be hashed or written, or stands in no verified file.
#[test]
fn every_check_has_a_mutation_in_every_schema_that_makes_it() {
    for version in Version::ALL {
        let reached: BTreeSet<Stage> = MUTATIONS
            .iter()
            .filter(|m| ORDERS.iter().any(|order| m.reaches(version, *order)))
            .map(|m| m.stage)
            .collect();
        let missing: Vec<Stage> = Stage::ALL
            .into_iter()
            .filter(|stage| makes(version, *stage) && !reached.contains(stage))
            .collect();
        assert_eq!(missing, [], "{version}");
    }
}

/// Whether a file of this version can fail the check.
fn makes(version: Version, stage: Stage) -> bool {
    match stage {
        Stage::ConfigHash
        | Stage::DefinitionHash
        | Stage::ValidatorCount
        | Stage::LockHash
        | Stage::ShareCount
        | Stage::Keys
        | Stage::DuplicateKey
        | Stage::DuplicateShare
        | Stage::Threshold
        | Stage::Shares
        | Stage::Aggregate
        | Stage::Operators => true,
        Stage::OldSignatures => !version.has_wallet_signatures(),
        Stage::Network
        | Stage::EnrSignatureMissing
        | Stage::ConfigSignatureMissing
        | Stage::OperatorLength
        | Stage::ConfigSignature
        | Stage::EnrSignature
        | Stage::Partly => version.has_wallet_signatures(),
        Stage::CreatorLength | Stage::CreatorMissing | Stage::CreatorSignature => version.has_creator(),
        Stage::AggregateMissing => version >= Version::V1_2,
        Stage::RegistrationMissing | Stage::Registration => version.has_registrations(),
        Stage::NodeSignatureCount | Stage::NodeSignature => version.has_node_signatures(),
        Stage::Usable => false,
    }
}
