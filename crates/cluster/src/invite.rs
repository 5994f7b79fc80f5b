//! An invitation to a ceremony: the definition that operators sign and generate keys by (cluster.md section 12).
//!
//! Guarantees: an invitation that is built can be used: its hashes are right, its numbers are within their limits, and no
//! operator is there twice; time and randomness come from the caller.
//! Not here: flags, files and the server that an invitation is published on.

use std::collections::BTreeSet;

use trireme_keys::{Enr, EnrError, IdentityKey, PeerId};

use crate::{
    address::{self, AddressError},
    create::{MIN_NODES, MIN_THRESHOLD},
    definition::{Addresses, Creator, Definition, MAX_VALIDATORS, Operator},
    deposit::{self, AmountError},
    eip712::{self, Member, Message},
    merkle::HashError,
    network::Network,
    version::Version,
    view::MAX_OPERATORS,
};

/// Hash of the terms and conditions that a creator who publishes agrees to, as the text that is signed.
pub const TERMS_HASH: &str = "0xd33721644e8f3afab1495a74abe3523cec12d48b8da6cb760972492ca3f1a273";
/// Version of those terms.
pub const TERMS_VERSION: u64 = 1;

/// The algorithms of key generation that a definition may ask for.
pub const ALGORITHMS: [&str; 3] = ["default", "frost", "pedersen"];

/// Who is invited. All are known in the same way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invited {
    /// By their nodes' records; such a definition needs no signatures.
    Records(Vec<String>),
    /// By their wallets' addresses; each adds record and signatures later, on the launchpad.
    Wallets(Vec<String>),
}

/// What is proposed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Cosmetic.
    pub name: String,
    /// Schema.
    pub version: Version,
    /// In the order that gives peers their index.
    pub invited: Invited,
    /// Shares needed for a signature.
    pub threshold: u64,
    /// One pair per validator.
    pub validators: Vec<Addresses>,
    /// Whose genesis fork version the definition carries.
    pub network: Network,
    /// One of [`ALGORITHMS`].
    pub algorithm: String,
    /// Gwei, as given; `None` for the default.
    pub deposit_amounts: Option<Vec<u64>>,
    /// May be empty.
    pub consensus_protocol: String,
    /// Of the registrations.
    pub target_gas_limit: u64,
    /// Withdrawal credentials of type 0x02.
    pub compounding: bool,
    /// Fresh.
    pub uuid: String,
    /// Now, RFC 3339.
    pub timestamp: String,
}

/// Why nobody can be invited this way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InviteError {
    /// Too few or too many.
    #[error("a cluster has {MIN_NODES} to {MAX_OPERATORS} operators, got {0}")]
    Operators(usize),
    /// Not a record.
    #[error("operator {at}: {source}")]
    Record {
        /// Peer index.
        at: usize,
        /// What is wrong.
        source: EnrError,
    },
    /// The same node twice.
    #[error("operators {first} and {second} have the same key; each operator runs a node of its own")]
    Twice {
        /// Peer index.
        first: usize,
        /// Peer index.
        second: usize,
    },
    /// Not an address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// Out of range.
    #[error("threshold {threshold} must be at least {MIN_THRESHOLD} and at most the number of operators, {operators}")]
    Threshold {
        /// As given.
        threshold: u64,
        /// As given.
        operators: usize,
    },
    /// None, or too many.
    #[error("a cluster has 1 to {MAX_VALIDATORS} validators, got {0}")]
    Validators(usize),
    /// Money would be lost.
    #[error("the zero address may receive neither withdrawals nor tips on {0}")]
    ZeroAddress(String),
    /// Refused amounts.
    #[error(transparent)]
    Amounts(#[from] AmountError),
    /// Not one that nodes know.
    #[error("key generation algorithm {0:?} is none of default, frost and pedersen")]
    Algorithm(String),
    /// Registrations need one.
    #[error("the target gas limit must not be 0")]
    GasLimit,
    /// A field is too long, for example the name.
    #[error(transparent)]
    Hash(#[from] HashError),
}

impl Invitation {
    /// The definition: unsigned, its hashes computed.
    ///
    /// # Errors
    /// [`InviteError`] for the first thing that is not acceptable.
    pub fn definition(&self) -> Result<Definition, InviteError> {
        let operators = self.operators()?;
        let count = operators.len();
        if count < usize::from(MIN_NODES) || count > MAX_OPERATORS {
            return Err(InviteError::Operators(count));
        }
        let fits = u64::try_from(count).is_ok_and(|n| (MIN_THRESHOLD..=n).contains(&self.threshold));
        if !fits {
            return Err(InviteError::Threshold {
                threshold: self.threshold,
                operators: count,
            });
        }
        let num_validators = u64::try_from(self.validators.len())
            .ok()
            .filter(|n| (1..=MAX_VALIDATORS).contains(n))
            .ok_or(InviteError::Validators(self.validators.len()))?;
        self.check_addresses()?;
        deposit::check_amounts(self.deposit_amounts.as_deref().unwrap_or_default(), self.compounding)?;
        if !ALGORITHMS.contains(&self.algorithm.as_str()) {
            return Err(InviteError::Algorithm(self.algorithm.clone()));
        }
        if self.target_gas_limit == 0 {
            return Err(InviteError::GasLimit);
        }
        let mut definition = Definition {
            name: self.name.clone(),
            creator: Creator::default(),
            operators,
            uuid: self.uuid.clone(),
            version: self.version,
            timestamp: self.timestamp.clone(),
            num_validators,
            threshold: self.threshold,
            validators: self.validators.clone(),
            dkg_algorithm: self.algorithm.clone(),
            fork_version: self.network.genesis_fork_version.to_vec(),
            deposit_amounts: self.deposit_amounts.clone(),
            consensus_protocol: self.consensus_protocol.clone(),
            target_gas_limit: self.target_gas_limit,
            compounding: self.compounding,
            config_hash: Vec::new(),
            definition_hash: Vec::new(),
        };
        definition.update_hashes()?;
        Ok(definition)
    }

    fn operators(&self) -> Result<Vec<Operator>, InviteError> {
        match &self.invited {
            Invited::Records(records) => {
                let mut seen: Vec<PeerId> = Vec::with_capacity(records.len());
                for (at, text) in records.iter().enumerate() {
                    let record: Enr = text.parse().map_err(|source| InviteError::Record { at, source })?;
                    let id = PeerId::from_public_key(record.public_key());
                    if let Some(first) = seen.iter().position(|s| *s == id) {
                        return Err(InviteError::Twice { first, second: at });
                    }
                    seen.push(id);
                }
                Ok(records.iter().cloned().map(Operator::of_enr).collect())
            }
            Invited::Wallets(addresses) => addresses
                .iter()
                .map(|text| {
                    Ok(Operator {
                        address: address::checksummed(&address::parse(text)?),
                        ..Operator::default()
                    })
                })
                .collect(),
        }
    }

    fn check_addresses(&self) -> Result<(), InviteError> {
        let may_be_zero = !self.network.has_value();
        let pairs = self.validators.iter();
        let distinct: BTreeSet<_> = pairs.map(|v| (&v.fee_recipient, &v.withdrawal)).collect();
        for (tips, withdrawals) in distinct {
            let tips = address::parse(tips)?;
            let withdrawals = address::parse_checksummed(withdrawals)?;
            if !may_be_zero && [tips, withdrawals].contains(&[0; 20]) {
                return Err(InviteError::ZeroAddress(self.network.name.clone()));
            }
        }
        Ok(())
    }
}

impl Definition {
    /// Makes the key's wallet the creator and signs as such; hashes are right afterwards.
    ///
    /// # Errors
    /// If a field breaks the limits of the hash.
    pub fn sign_as_creator(&mut self, key: &IdentityKey, chain_id: u64) -> Result<(), HashError> {
        self.creator = Creator {
            address: address::checksummed(&key.public_key().eth_address()),
            config_signature: Vec::new(),
        };
        self.update_hashes()?;
        let digest = eip712::creator_config_digest(&self.config_hash, chain_id);
        self.creator.config_signature = key.sign_digest(&digest).to_vec();
        self.update_hashes()
    }
}

/// What is signed to agree to the terms and conditions; the same on every chain.
#[must_use]
pub fn terms_digest() -> [u8; 32] {
    Message {
        primary: "TermsAndConditions",
        members: &[
            ("terms_and_conditions_hash", Member::Text(TERMS_HASH)),
            ("version", Member::Number(TERMS_VERSION)),
        ],
        chain_id: None,
    }
    .digest()
}

#[cfg(test)]
mod tests {
    use trireme_keys::EnrAddress;

    use super::*;
    use crate::network::Networks;

    const ADDRESS: &str = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";

    fn key(n: u8) -> IdentityKey {
        IdentityKey::from_bytes(&[n; 32]).unwrap()
    }

    fn record(n: u8) -> String {
        Enr::create(&key(n), EnrAddress::default()).to_string()
    }

    fn invitation() -> Invitation {
        Invitation {
            name: "invited".to_owned(),
            version: Version::V1_10,
            invited: Invited::Records((1..=4).map(record).collect()),
            threshold: 3,
            validators: vec![Addresses {
                fee_recipient: ADDRESS.to_lowercase(),
                withdrawal: ADDRESS.to_owned(),
            }],
            network: Networks::known().by_name("mainnet").unwrap().clone(),
            algorithm: "frost".to_owned(),
            deposit_amounts: None,
            consensus_protocol: String::new(),
            target_gas_limit: 60_000_000,
            compounding: false,
            uuid: "1".to_owned(),
            timestamp: "now".to_owned(),
        }
    }

    #[test]
    fn an_invitation_verifies_unsigned_and_with_its_creators_signature() {
        let mut definition = invitation().definition().unwrap();
        definition.verify_hashes().unwrap();
        definition.verify_signatures(&Networks::known()).unwrap();
        let config_hash = definition.config_hash.clone();
        definition.sign_as_creator(&key(9), 1).unwrap();
        assert_ne!(
            definition.config_hash, config_hash,
            "the creator's address is part of it"
        );
        definition.verify_hashes().unwrap();
        definition.verify_signatures(&Networks::known()).unwrap();
    }

    #[test]
    fn wallets_are_invited_by_their_address_with_its_checksum() {
        let invited = Invited::Wallets(vec![ADDRESS.to_lowercase(); 3]);
        let definition = Invitation {
            invited,
            ..invitation()
        }
        .definition()
        .unwrap();
        assert!(
            definition
                .operators
                .iter()
                .all(|o| o.address == ADDRESS && o.enr.is_empty())
        );
    }

    /// A change, which may use the zero address, and whether the error is the right one.
    type Case = (fn(&mut Invitation, &str), fn(&InviteError) -> bool);

    #[test]
    fn what_nobody_could_use_is_refused() {
        let zero = format!("0x{}", "0".repeat(40));
        let cases: [Case; 9] = [
            (
                |i, _| i.invited = Invited::Records(vec![record(1), record(2)]),
                |e| *e == InviteError::Operators(2),
            ),
            (
                |i, _| i.invited = Invited::Records([1, 2, 3, 2].map(record).into()),
                |e| *e == InviteError::Twice { first: 1, second: 3 },
            ),
            (
                |i, _| i.invited = Invited::Records(vec!["enr:-".to_owned(); 3]),
                |e| matches!(e, InviteError::Record { at: 0, .. }),
            ),
            (|i, _| i.threshold = 5, |e| matches!(e, InviteError::Threshold { .. })),
            (|i, _| i.threshold = 1, |e| matches!(e, InviteError::Threshold { .. })),
            (|i, _| i.validators.clear(), |e| *e == InviteError::Validators(0)),
            (
                |i, zero| i.validators[0].withdrawal = zero.to_owned(),
                |e| matches!(e, InviteError::ZeroAddress(_)),
            ),
            (
                |i, _| i.algorithm = "gg20".to_owned(),
                |e| matches!(e, InviteError::Algorithm(_)),
            ),
            (|i, _| i.target_gas_limit = 0, |e| *e == InviteError::GasLimit),
        ];
        for (change, expected) in cases {
            let mut wrong = invitation();
            change(&mut wrong, &zero);
            let error = wrong.definition().unwrap_err();
            assert!(expected(&error), "{error}");
        }
        let mut long = invitation();
        long.name = "n".repeat(257);
        assert!(matches!(long.definition(), Err(InviteError::Hash(_))));
    }

    #[test]
    fn the_terms_are_those_that_charon_signs() {
        let digest = "68c4d0ff552bd6b14cb6d7f04aeed22f79b77fa6b0fd0a0188191fb856893805";
        assert_eq!(hex::encode(terms_digest()), digest);
    }
}
