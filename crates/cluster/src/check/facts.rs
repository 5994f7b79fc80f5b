//! What a lock or definition says, for people and programs.

use std::collections::{BTreeMap, BTreeSet};

use trireme_keys::{Enr, PeerId, peer_name};

use crate::{Addresses, Definition, Lock, Networks, Version};

/// What a cluster is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Cosmetic.
    pub name: String,
    /// Schema.
    pub version: Version,
    /// Of a lock.
    pub lock_hash: Option<Vec<u8>>,
    /// Genesis fork version.
    pub fork_version: Vec<u8>,
    /// Its name, if it is known.
    pub network: Option<String>,
    /// Shares needed for a signature.
    pub threshold: u64,
    /// Withdrawal credentials of type 0x02.
    pub compounding: bool,
    /// In the order of peer indices.
    pub operators: Vec<OperatorFacts>,
    /// In the lock's order; of a definition, without keys.
    pub validators: Vec<ValidatorFacts>,
}

/// One operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorFacts {
    /// Wallet; empty if the operator did not sign.
    pub address: String,
    /// Node record as text.
    pub enr: String,
    /// Peer name, if the record can be read.
    pub peer: Option<String>,
    /// The operator's folder is among those looked at.
    pub here: bool,
}

/// One validator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidatorFacts {
    /// Group key; none in a definition.
    pub public_key: Option<Vec<u8>>,
    /// As it stands there.
    pub withdrawal: String,
    /// As it stands there.
    pub fee_recipient: String,
    /// Gwei, each amount once: those of the lock and of the deposit files.
    pub amounts: BTreeSet<u64>,
}

impl Facts {
    /// Of a lock.
    #[must_use]
    pub fn of_lock(lock: &Lock, networks: &Networks) -> Self {
        let mut facts = Self::of_definition(&lock.definition, networks);
        facts.lock_hash = Some(lock.lock_hash.clone());
        let addresses = lock
            .definition
            .validators
            .iter()
            .cloned()
            .chain(std::iter::repeat(Addresses::default()));
        facts.validators = lock
            .validators
            .iter()
            .zip(addresses)
            .map(|(validator, pair)| ValidatorFacts {
                public_key: Some(validator.public_key.clone()),
                withdrawal: pair.withdrawal,
                fee_recipient: pair.fee_recipient,
                amounts: validator
                    .deposit_data
                    .iter()
                    .filter(|d| !d.signature.is_empty())
                    .map(|d| d.amount)
                    .collect(),
            })
            .collect();
        facts
    }

    /// Of a definition.
    #[must_use]
    pub fn of_definition(definition: &Definition, networks: &Networks) -> Self {
        let peer = |enr: &str| {
            let enr: Enr = enr.parse().ok()?;
            Some(peer_name(&PeerId::from_public_key(enr.public_key())))
        };
        Self {
            name: definition.name.clone(),
            version: definition.version,
            lock_hash: None,
            fork_version: definition.fork_version.clone(),
            network: networks
                .by_fork_version(&definition.fork_version)
                .map(|n| n.name.clone()),
            threshold: definition.threshold,
            compounding: definition.compounding,
            operators: definition
                .operators
                .iter()
                .map(|o| OperatorFacts {
                    address: o.address.clone(),
                    enr: o.enr.clone(),
                    peer: peer(&o.enr),
                    here: false,
                })
                .collect(),
            validators: definition
                .validators
                .iter()
                .map(|pair| ValidatorFacts {
                    public_key: None,
                    withdrawal: pair.withdrawal.clone(),
                    fee_recipient: pair.fee_recipient.clone(),
                    amounts: BTreeSet::new(),
                })
                .collect(),
        }
    }

    /// Says whose folders are here.
    pub(super) fn mark(&mut self, here: &BTreeSet<usize>) {
        for (at, operator) in self.operators.iter_mut().enumerate() {
            operator.here = here.contains(&at);
        }
    }

    /// Adds what the deposit files hold, by public key.
    pub(super) fn add_amounts(&mut self, amounts: &BTreeMap<Vec<u8>, BTreeSet<u64>>) {
        for validator in &mut self.validators {
            if let Some(found) = validator.public_key.as_ref().and_then(|key| amounts.get(key)) {
                validator.amounts.extend(found);
            }
        }
    }
}
