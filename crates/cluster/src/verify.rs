//! Verification of definitions and locks: hashes first, then every signature (cluster.md 4.1 and section 5).
//!
//! Guarantees: checks run in the order in which other nodes run them, so the first failure is the same; a lock that passes
//! names keys whose shares interpolate to the group key, signed by every share, by every operator's node and, where they
//! signed, by the operators' wallets. The same file always gets the same verdict: the random weights of batch verification
//! are drawn from the lock hash, which covers all that is checked with them.
//! Not here: asking smart-contract wallets (`wallets` says what to ask and takes the answers); deposit data, which the
//! lock's own verification does not check either.

use std::fmt;

use sha2::{Digest as _, Sha256};
use trireme_keys::recover;
use trireme_tbls::{Check, PublicKey, Signature, verify_aggregate, verify_set};

use crate::{
    address,
    definition::{Creator, Definition, Operator},
    eip712,
    lock::{Lock, Registration},
    merkle::HashError,
    network::Networks,
    version::{self, Version},
    view::{Cluster, ClusterError},
    wallets::{Standing, Wallets},
};

/// The first check that a definition or lock did not pass.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The config hash in the file is not that of its content.
    #[error("the config hash does not fit the definition: the file was changed after it was made{}", Hashes(.0.as_ref()))]
    ConfigHash(Option<HashError>),
    /// The definition hash in the file is not that of its content.
    #[error("the definition hash does not fit the definition: the file was changed after it was made{}", Hashes(.0.as_ref()))]
    DefinitionHash(Option<HashError>),
    /// The lock lists another number of validators than the definition.
    #[error("the lock holds {found} validators, its definition says {expected}")]
    ValidatorCount {
        /// In the lock.
        found: usize,
        /// In the definition.
        expected: u64,
    },
    /// The lock hash in the file is not that of its content.
    #[error("the lock hash does not fit the lock: the file was changed after it was made{}", Hashes(.0.as_ref()))]
    LockHash(Option<HashError>),
    /// A wallet's signature is wrong or missing.
    #[error("signatures of the definition: {0}")]
    Definition(#[from] DefinitionError),
    /// Keys, shares or peers that no cluster can have.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Shares that do not interpolate to the group key.
    #[error("the public shares of validator {0} do not interpolate to its public key")]
    Shares(usize),
    /// The signature of all shares is wrong or missing.
    #[error("the aggregate signature of all shares over the lock hash is {0}")]
    Aggregate(&'static str),
    /// A registration is wrong, missing, or there although the version has none.
    #[error("the builder registration of validator {validator} is {problem}")]
    Registration {
        /// Position in the lock.
        validator: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// Another number of node signatures than operators.
    #[error("the lock holds {found} node signatures, expected {expected}")]
    NodeSignatureCount {
        /// In the lock.
        found: usize,
        /// One per operator, none before schema v1.7.
        expected: usize,
    },
    /// A node's signature is not that of the operator's ENR key.
    #[error("node signature {operator} is not by the key of that operator's ENR")]
    NodeSignature {
        /// Peer index.
        operator: usize,
    },
}

/// What comes first. Every check is made either way; only which of several faults is named depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As a node that starts, and as a ceremony.
    HashesFirst,
    /// As `create cluster` with a definition.
    SignaturesFirst,
}

pub(crate) const MISSING: &str = "missing";
pub(crate) const UNEXPECTED: &str = "there although this schema has none";

struct Hashes<'a>(Option<&'a HashError>);

impl fmt::Display for Hashes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |e| write!(f, " ({e})"))
    }
}

/// What is wrong with the signatures of a definition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DefinitionError {
    /// Schemas up to v1.2 signed in a way that nobody verifies any more.
    #[error("those of schema {0} are not supported any more")]
    Unsupported(Version),
    /// The chain id that signatures cover is unknown.
    #[error("fork version 0x{} belongs to no known network; name it with the --testnet flags", hex::encode(.0))]
    UnknownNetwork(Vec<u8>),
    /// Not 65 bytes.
    #[error("{who}: {what} has {len} bytes, which no signature has")]
    Length {
        /// Whose.
        who: Who,
        /// Which.
        what: What,
        /// Bytes.
        len: usize,
    },
    /// Nothing there although there should be.
    #[error("{who}: {what} is missing")]
    Missing {
        /// Whose.
        who: Who,
        /// Which.
        what: What,
    },
    /// There although the schema has none.
    #[error("{who}: {what} is there although schema {version} has none")]
    Unexpected {
        /// Whose.
        who: Who,
        /// Which.
        what: What,
        /// Of the file.
        version: Version,
    },
    /// Made by another key, or for other content; and no smart-contract wallet was asked.
    #[error(
        "{who}: {what} is not by the key of the wallet {address}; if that is a smart-contract wallet, it must be asked: give --execution-client-rpc-endpoint"
    )]
    Wrong {
        /// Whose.
        who: Who,
        /// Which.
        what: What,
        /// The wallet.
        address: String,
    },
    /// Made by another key, and the contract at the address, if there is one, does not accept it.
    #[error("{who}: {what} is neither by the key of the wallet {address} nor accepted by a contract at that address")]
    Refused {
        /// Whose.
        who: Who,
        /// Which.
        what: What,
        /// The wallet.
        address: String,
    },
    /// The wallet's address is not one.
    #[error("{who}: {source}")]
    Address {
        /// Whose.
        who: Who,
        /// What is wrong.
        source: address::AddressError,
    },
    /// Some signed and some did not.
    #[error("{signed} of {operators} operators signed; all must sign, or none")]
    Partly {
        /// How many signed.
        signed: usize,
        /// How many there are.
        operators: usize,
    },
}

/// Whose signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// The creator's.
    Creator,
    /// That of the operator at this position.
    Operator(usize),
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Creator => f.write_str("creator"),
            Self::Operator(at) => write!(f, "operator {at}"),
        }
    }
}

/// Which signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Over the config hash.
    Config,
    /// Over the ENR.
    Enr,
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Config => "the config signature",
            Self::Enr => "the ENR signature",
        })
    }
}

fn fits(
    stored: &[u8],
    computed: Result<[u8; 32], HashError>,
    error: fn(Option<HashError>) -> VerifyError,
) -> Result<(), VerifyError> {
    match computed {
        Ok(hash) if hash == stored => Ok(()),
        Ok(_) => Err(error(None)),
        Err(e) => Err(error(Some(e))),
    }
}

impl Definition {
    /// Checks hashes and wallets' signatures, in the given order.
    ///
    /// # Errors
    /// [`VerifyError`] for the first check that fails.
    pub fn verify(&self, order: Order, networks: &Networks, wallets: &Wallets) -> Result<(), VerifyError> {
        match order {
            Order::HashesFirst => {
                self.verify_hashes()?;
                Ok(self.verify_signatures_with(networks, wallets)?)
            }
            Order::SignaturesFirst => {
                self.verify_signatures_with(networks, wallets)?;
                self.verify_hashes()
            }
        }
    }

    /// Checks both hashes.
    ///
    /// # Errors
    /// [`VerifyError::ConfigHash`] or [`VerifyError::DefinitionHash`].
    pub fn verify_hashes(&self) -> Result<(), VerifyError> {
        fits(&self.config_hash, self.compute_config_hash(), VerifyError::ConfigHash)?;
        fits(
            &self.definition_hash,
            self.compute_definition_hash(),
            VerifyError::DefinitionHash,
        )
    }

    /// Checks the wallets' signatures: nobody signed, only the creator, or everybody. Smart-contract wallets are refused.
    ///
    /// # Errors
    /// [`DefinitionError`] for the first that is wrong.
    pub fn verify_signatures(&self, networks: &Networks) -> Result<(), DefinitionError> {
        self.verify_signatures_with(networks, &Wallets::default())
    }

    /// As [`Definition::verify_signatures`], with what smart-contract wallets answered.
    ///
    /// # Errors
    /// [`DefinitionError`] for the first that is wrong.
    pub fn verify_signatures_with(&self, networks: &Networks, wallets: &Wallets) -> Result<(), DefinitionError> {
        if self.version.schema().wallets == version::Wallets::Forgotten {
            let none = self
                .operators
                .iter()
                .all(|o| o.config_signature.is_empty() && o.enr_signature.is_empty());
            return if none {
                Ok(())
            } else {
                Err(DefinitionError::Unsupported(self.version))
            };
        }
        self.check_length(Who::Creator, What::Config, &self.creator.config_signature)?;
        let chain_id = networks
            .by_fork_version(&self.fork_version)
            .ok_or_else(|| DefinitionError::UnknownNetwork(self.fork_version.clone()))?
            .chain_id;
        let mut unsigned = 0_usize;
        for (at, operator) in self.operators.iter().enumerate() {
            if self.operator_signed(Who::Operator(at), operator, chain_id, wallets)? {
                continue;
            }
            unsigned = unsigned.saturating_add(1);
        }
        let operators = self.operators.len();
        if unsigned != 0 && unsigned != operators {
            return Err(DefinitionError::Partly {
                signed: operators.saturating_sub(unsigned),
                operators,
            });
        }
        self.verify_creator(chain_id, unsigned == operators, wallets)
    }

    /// Whether the operator signed, rightly; `Ok(false)` if it neither has an address nor signed.
    fn operator_signed(
        &self,
        who: Who,
        operator: &Operator,
        chain_id: u64,
        wallets: &Wallets,
    ) -> Result<bool, DefinitionError> {
        let Operator {
            address,
            enr: _,
            config_signature,
            enr_signature,
            nulls: _,
        } = operator;
        if address.is_empty() && config_signature.is_empty() && enr_signature.is_empty() {
            return Ok(false);
        }
        for (what, signature) in [(What::Enr, enr_signature), (What::Config, config_signature)] {
            if signature.is_empty() {
                return Err(DefinitionError::Missing { who, what });
            }
        }
        self.check_length(who, What::Config, config_signature)?;
        self.check_length(who, What::Enr, enr_signature)?;
        self.check_wallet(who, What::Config, chain_id, (address, config_signature), wallets)?;
        self.check_wallet(who, What::Enr, chain_id, (address, enr_signature), wallets)?;
        Ok(true)
    }

    /// What the wallet signs; `None` if the schema has no such signature.
    pub(crate) fn wallet_digest(&self, who: Who, what: What, chain_id: u64) -> Option<[u8; 32]> {
        let (hash, wallets) = (&self.config_hash, self.version.schema().wallets);
        match (who, what, wallets) {
            (_, _, version::Wallets::Forgotten)
            | (Who::Creator, What::Config, version::Wallets::ConfigHash)
            | (Who::Creator, What::Enr, _) => None,
            (Who::Operator(_), What::Config, version::Wallets::ConfigHash) => {
                Some(eip712::config_digest(hash, chain_id))
            }
            (Who::Operator(_), What::Config, version::Wallets::Typed | version::Wallets::Several) => {
                Some(eip712::operator_config_digest(hash, chain_id))
            }
            (Who::Operator(at), What::Enr, _) => Some(eip712::enr_digest(&self.operators.get(at)?.enr, chain_id)),
            (Who::Creator, What::Config, version::Wallets::Typed | version::Wallets::Several) => {
                Some(eip712::creator_config_digest(hash, chain_id))
            }
        }
    }

    fn check_wallet(
        &self,
        who: Who,
        what: What,
        chain_id: u64,
        (wallet, signature): (&str, &[u8]),
        wallets: &Wallets,
    ) -> Result<(), DefinitionError> {
        let expected = address::parse(wallet).map_err(|source| DefinitionError::Address { who, source })?;
        let address = wallet.to_owned();
        let standing = self
            .wallet_digest(who, what, chain_id)
            .map(|digest| wallets.standing(who, expected, &digest, signature));
        match standing {
            Some(Standing::Right) => Ok(()),
            Some(Standing::Refused | Standing::Wrong) => Err(DefinitionError::Refused { who, what, address }),
            Some(Standing::NotAsked) | None => Err(DefinitionError::Wrong { who, what, address }),
        }
    }

    fn verify_creator(&self, chain_id: u64, nobody_signed: bool, wallets: &Wallets) -> Result<(), DefinitionError> {
        let Creator {
            address,
            config_signature,
        } = &self.creator;
        let (who, what) = (Who::Creator, What::Config);
        if !self.version.schema().creator {
            return match config_signature.is_empty() {
                true => Ok(()),
                false => Err(DefinitionError::Unexpected {
                    who,
                    what,
                    version: self.version,
                }),
            };
        }
        if config_signature.is_empty() {
            let fine = address.is_empty() && nobody_signed;
            return if fine {
                Ok(())
            } else {
                Err(DefinitionError::Missing { who, what })
            };
        }
        self.check_wallet(who, what, chain_id, (address, config_signature), wallets)
    }

    fn check_length(&self, who: Who, what: What, signature: &[u8]) -> Result<(), DefinitionError> {
        if self.length_fits(signature) {
            Ok(())
        } else {
            let len = signature.len();
            Err(DefinitionError::Length { who, what, len })
        }
    }

    /// Empty, or 65 bytes, or from schema v1.11 on up to 32 signatures side by side (of a smart-contract wallet).
    pub(crate) fn length_fits(&self, signature: &[u8]) -> bool {
        let most = match self.version.schema().wallets {
            version::Wallets::Several => 32,
            version::Wallets::Forgotten | version::Wallets::ConfigHash | version::Wallets::Typed => 1,
        };
        signature.len().is_multiple_of(65) && signature.len() <= most * 65
    }
}

impl Lock {
    /// Checks the definition's hashes, the number of validators and the lock hash.
    ///
    /// # Errors
    /// [`VerifyError`] for the first that does not fit.
    pub fn verify_hashes(&self) -> Result<(), VerifyError> {
        self.definition.verify_hashes()?;
        let (found, expected) = (self.validators.len(), self.definition.num_validators);
        if u64::try_from(found) != Ok(expected) {
            return Err(VerifyError::ValidatorCount { found, expected });
        }
        fits(&self.lock_hash, self.compute_lock_hash(), VerifyError::LockHash)
    }

    /// Checks everything and gives the lock in the form for use. Smart-contract wallets are refused.
    ///
    /// Takes about a second for 1,000 validators; the points are decoded once.
    ///
    /// # Errors
    /// [`VerifyError`] for the first check that fails.
    pub fn verify(&self, networks: &Networks) -> Result<Cluster, VerifyError> {
        self.verify_with(networks, &Wallets::default())
    }

    /// As [`Lock::verify`], with what smart-contract wallets answered.
    ///
    /// # Errors
    /// [`VerifyError`] for the first check that fails.
    pub fn verify_with(&self, networks: &Networks, wallets: &Wallets) -> Result<Cluster, VerifyError> {
        self.verify_in(Order::HashesFirst, networks, wallets)
    }

    /// As [`Lock::verify_with`], in the given order.
    ///
    /// # Errors
    /// [`VerifyError`] for the first check that fails.
    pub fn verify_in(&self, order: Order, networks: &Networks, wallets: &Wallets) -> Result<Cluster, VerifyError> {
        match order {
            Order::HashesFirst => {
                self.verify_hashes()?;
                self.verify_signatures(networks, wallets)
            }
            Order::SignaturesFirst => {
                let cluster = self.verify_signatures(networks, wallets)?;
                self.verify_hashes()?;
                Ok(cluster)
            }
        }
    }

    /// Checks every signature, and that the public shares fit the public keys. The lock hash that was signed is computed
    /// anew; the config hash that wallets signed is the one in memory.
    ///
    /// # Errors
    /// [`VerifyError`] for the first check that fails.
    pub fn verify_signatures(&self, networks: &Networks, wallets: &Wallets) -> Result<Cluster, VerifyError> {
        self.definition.verify_signatures_with(networks, wallets)?;
        if self.signature_aggregate.is_empty() {
            return if self.definition.version.schema().aggregate_optional {
                Ok(self.cluster()?)
            } else {
                Err(VerifyError::Aggregate(MISSING))
            };
        }
        let (threshold, keys) = self.decoded_keys()?;
        // It covers all that is checked with the weights. A lock that cannot be hashed is refused below in any case.
        let lock_hash = self.compute_lock_hash();
        let seed: [u8; 32] = Sha256::new()
            .chain_update(b"weights of a batch over lock ")
            .chain_update(lock_hash.as_ref().unwrap_or(&[0; 32]))
            .finalize()
            .into();
        let all: Vec<(PublicKey, &[PublicKey])> = keys
            .iter()
            .map(|v| (v.public_key, v.public_shares.as_slice()))
            .collect();
        trireme_tbls::shares_fit(&all, threshold, &seed).map_err(VerifyError::Shares)?;
        drop(all);
        let lock_hash = lock_hash.map_err(|e| VerifyError::LockHash(Some(e)))?;
        let mut cluster = self.without_operators(threshold, keys)?;
        self.verify_aggregate(&cluster, &lock_hash)?;
        self.verify_registrations(&cluster, &seed)?;
        self.verify_node_signature_count()?;
        cluster.operators = self.operators()?;
        self.verify_node_signatures(&cluster, &lock_hash)?;
        Ok(cluster)
    }

    pub(crate) fn verify_aggregate(&self, cluster: &Cluster, lock_hash: &[u8; 32]) -> Result<(), VerifyError> {
        let signature =
            decode_signature(&self.signature_aggregate).ok_or(VerifyError::Aggregate("not a BLS signature"))?;
        let keys: Vec<PublicKey> = cluster
            .validators
            .iter()
            .flat_map(|v| v.public_shares.iter().copied())
            .collect();
        if verify_aggregate(&keys, lock_hash, &signature) {
            Ok(())
        } else {
            Err(VerifyError::Aggregate("wrong"))
        }
    }

    pub(crate) fn verify_registrations(&self, cluster: &Cluster, seed: &[u8; 32]) -> Result<(), VerifyError> {
        let has_registrations = self.definition.version.schema().registrations;
        let mut signed: Vec<([u8; 32], PublicKey, Signature)> = Vec::new();
        for (validator, (raw, decoded)) in self.validators.iter().zip(&cluster.validators).enumerate() {
            let error = |problem| VerifyError::Registration { validator, problem };
            let registration = &raw.registration;
            if !has_registrations {
                if *registration != Registration::default() {
                    return Err(error(UNEXPECTED));
                }
                continue;
            }
            if registration.signature.is_empty()
                || registration.fee_recipient.is_empty()
                || registration.pubkey.is_empty()
            {
                return Err(error(MISSING));
            }
            // The message is rebuilt: what counts is the definition's fee recipient and the group key.
            let message = Registration {
                fee_recipient: decoded.fee_recipient.to_vec(),
                pubkey: decoded.public_key_bytes.to_vec(),
                ..registration.clone()
            };
            let root = message
                .signing_root(cluster.fork_version)
                .map_err(|_| error("too long"))?;
            let signature =
                decode_signature(&registration.signature).ok_or_else(|| error("not signed with a BLS signature"))?;
            signed.push((root, decoded.public_key, signature));
        }
        let checks: Vec<Check<'_>> = signed
            .iter()
            .map(|(root, key, signature)| Check {
                key: *key,
                message: root,
                signature: *signature,
            })
            .collect();
        verify_set(&checks, seed).map_err(|culprits| VerifyError::Registration {
            validator: culprits.0.first().copied().unwrap_or_default(),
            problem: "not signed by the validator's key for this fee recipient",
        })
    }

    fn verify_node_signature_count(&self) -> Result<(), VerifyError> {
        let expected = if self.definition.version.schema().node_signatures {
            self.definition.operators.len()
        } else {
            0
        };
        let found = self.node_signatures.len();
        if found == expected {
            Ok(())
        } else {
            Err(VerifyError::NodeSignatureCount { found, expected })
        }
    }

    pub(crate) fn verify_node_signatures(&self, cluster: &Cluster, lock_hash: &[u8; 32]) -> Result<(), VerifyError> {
        self.verify_node_signature_count()?;
        for (at, (signature, operator)) in self.node_signatures.iter().zip(&cluster.operators).enumerate() {
            if recover(lock_hash, signature) != Ok(operator.peer_id.public_key()) {
                return Err(VerifyError::NodeSignature { operator: at });
            }
        }
        Ok(())
    }
}

fn decode_signature(bytes: &[u8]) -> Option<Signature> {
    Signature::from_bytes(&<[u8; 96]>::try_from(bytes).ok()?).ok()
}
