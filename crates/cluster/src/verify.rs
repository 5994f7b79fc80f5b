//! Verification of definitions, and what can be wrong with definitions and locks (cluster.md 4.1 and section 5).
//!
//! Guarantees: checks run in the order in which other nodes run them, so the first failure is the same.
//! Not here: asking smart-contract wallets (`wallets` says what to ask and takes the answers); locks (`verify_lock`).

use std::fmt;

use crate::{
    address,
    definition::{Creator, Definition, Operator},
    eip712,
    merkle::HashError,
    network::Networks,
    version::{self, Version},
    view::ClusterError,
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

pub(crate) fn fits(
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
