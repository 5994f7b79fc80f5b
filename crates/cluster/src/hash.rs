//! Config hash, definition hash and lock hash of every schema (cluster.md section 3).
//!
//! The config hash names what was intended, the definition hash adds records and signatures, the lock hash adds the
//! validators. Field orders and encoders differ between three families of versions; each family is one function here.

use crate::{
    definition::{Addresses, Definition},
    deposit::DepositData,
    lock::{DistributedValidator, Lock, Registration},
    merkle::{Chunk, HashError, Leaves, address_bytes},
    version::{Deposits, Hashing, ValidatorHashing, Version},
};

const ENR: usize = 1024;
const NAME: usize = 256;
const UUID: usize = 64;
const VERSION: usize = 16;
const TIMESTAMP: usize = 32;
const ALGORITHM: usize = 32;
const PROTOCOL: usize = 256;
const OPERATORS: usize = 256;
const VALIDATORS: usize = 65_536;
const AMOUNTS: usize = 256;

/// Which of a definition's two hashes is meant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    Config,
    Definition,
}

impl Definition {
    /// The hash of what was intended.
    ///
    /// # Errors
    /// If a field breaks the limits of its schema.
    pub fn compute_config_hash(&self) -> Result<Chunk, HashError> {
        self.config_leaves().map(|leaves| leaves.root())
    }

    /// The hash of everything; the config hash within it is the one in memory.
    ///
    /// # Errors
    /// If a field breaks the limits of its schema.
    pub fn compute_definition_hash(&self) -> Result<Chunk, HashError> {
        self.definition_leaves().map(|leaves| leaves.root())
    }

    /// The leaves under the config hash.
    ///
    /// # Errors
    /// As [`Self::compute_config_hash`].
    pub fn config_leaves(&self) -> Result<Leaves, HashError> {
        self.leaves(Scope::Config)
    }

    /// The leaves under the definition hash.
    ///
    /// # Errors
    /// As [`Self::compute_definition_hash`].
    pub fn definition_leaves(&self) -> Result<Leaves, HashError> {
        self.leaves(Scope::Definition)
    }

    fn leaves(&self, scope: Scope) -> Result<Leaves, HashError> {
        match self.version.schema().hashing {
            Hashing::Texts => self.leaves_of_texts(scope),
            Hashing::Lengths => self.leaves_with_lengths(scope),
            Hashing::Widths | Hashing::SignatureLists => self.leaves_of_widths(scope),
        }
    }

    /// v1.0 to v1.2: texts are hashed as they stand, without their length.
    fn leaves_of_texts(&self, scope: Scope) -> Result<Leaves, HashError> {
        let Addresses {
            fee_recipient,
            withdrawal,
        } = self.validators.first().cloned().unwrap_or_default();
        let mut l = Leaves::default();
        l.raw(self.uuid.as_bytes());
        l.raw(self.name.as_bytes());
        l.raw(self.version.as_str().as_bytes());
        l.u64(self.num_validators);
        l.u64(self.threshold);
        l.raw(fee_recipient.as_bytes());
        l.raw(withdrawal.as_bytes());
        l.raw(self.dkg_algorithm.as_bytes());
        l.raw(format!("0x{}", hex::encode(&self.fork_version)).as_bytes());
        l.list(
            "operators",
            &self.operators,
            self.operators.len(),
            |l, operator| match scope {
                Scope::Config => {
                    l.raw(operator.address.as_bytes());
                    Ok(())
                }
                Scope::Definition => l.container(|l| {
                    l.raw(operator.address.as_bytes());
                    l.raw(operator.enr.as_bytes());
                    if self.version.schema().nonce {
                        // The nonce that was always zero.
                        l.u64(0);
                    }
                    l.raw(&operator.config_signature);
                    l.raw(&operator.enr_signature);
                    Ok(())
                }),
            },
        )?;
        // v1.0 forgets the timestamp in its definition hash.
        if scope == Scope::Config || self.version.schema().timestamp_hashed {
            l.raw(self.timestamp.as_bytes());
        }
        Ok(l)
    }

    fn head(&self) -> Result<Leaves, HashError> {
        let mut l = Leaves::default();
        l.byte_list("uuid", self.uuid.as_bytes(), UUID)?;
        l.byte_list("name", self.name.as_bytes(), NAME)?;
        l.byte_list("version", self.version.as_str().as_bytes(), VERSION)?;
        l.byte_list("timestamp", self.timestamp.as_bytes(), TIMESTAMP)?;
        l.u64(self.num_validators);
        l.u64(self.threshold);
        Ok(l)
    }

    /// v1.3 and v1.4: texts with their length, addresses and signatures without a leaf where they are empty.
    fn leaves_with_lengths(&self, scope: Scope) -> Result<Leaves, HashError> {
        let Addresses {
            fee_recipient,
            withdrawal,
        } = self.validators.first().cloned().unwrap_or_default();
        let mut l = self.head()?;
        l.raw(&address_bytes("fee_recipient_address", &fee_recipient)?);
        l.raw(&address_bytes("withdrawal_address", &withdrawal)?);
        l.byte_list("dkg_algorithm", self.dkg_algorithm.as_bytes(), ALGORITHM)?;
        l.raw(&self.fork_version);
        l.list("operators", &self.operators, OPERATORS, |l, operator| {
            l.container(|l| {
                l.raw(&address_bytes("operator address", &operator.address)?);
                if scope == Scope::Definition {
                    l.byte_list("enr", operator.enr.as_bytes(), ENR)?;
                    l.raw(&operator.config_signature);
                    l.raw(&operator.enr_signature);
                }
                Ok(())
            })
        })?;
        if self.version.schema().creator {
            l.container(|l| {
                l.raw(&address_bytes("creator address", &self.creator.address)?);
                if scope == Scope::Definition {
                    l.raw(&self.creator.config_signature);
                }
                Ok(())
            })?;
        }
        if scope == Scope::Definition {
            l.raw(&self.config_hash);
        }
        Ok(l)
    }

    /// v1.5 on: everything of full width; v1.11 hashes signatures as lists.
    fn leaves_of_widths(&self, scope: Scope) -> Result<Leaves, HashError> {
        let schema = self.version.schema();
        let mut l = self.head()?;
        l.byte_list("dkg_algorithm", self.dkg_algorithm.as_bytes(), ALGORITHM)?;
        l.fixed("fork_version", &self.fork_version, 4)?;
        l.list("operators", &self.operators, OPERATORS, |l, operator| {
            l.container(|l| {
                l.address("operator address", &operator.address)?;
                if scope == Scope::Definition {
                    l.byte_list("enr", operator.enr.as_bytes(), ENR)?;
                    self.signature(l, "operator config_signature", &operator.config_signature)?;
                    self.signature(l, "operator enr_signature", &operator.enr_signature)?;
                }
                Ok(())
            })
        })?;
        l.container(|l| {
            l.address("creator address", &self.creator.address)?;
            if scope == Scope::Definition {
                self.signature(l, "creator config_signature", &self.creator.config_signature)?;
            }
            Ok(())
        })?;
        l.list("validators", &self.validators, VALIDATORS, |l, pair| {
            l.container(|l| {
                l.address("fee_recipient_address", &pair.fee_recipient)?;
                l.address("withdrawal_address", &pair.withdrawal)
            })
        })?;
        if schema.amounts {
            l.u64_list(
                "deposit_amounts",
                self.deposit_amounts.iter().flatten().copied(),
                AMOUNTS,
            )?;
        }
        if schema.protocol {
            l.byte_list("consensus_protocol", self.consensus_protocol.as_bytes(), PROTOCOL)?;
        }
        if schema.gas_and_compounding {
            l.u64(self.target_gas_limit);
            l.bool(self.compounding);
        }
        if scope == Scope::Definition {
            if schema.hashing == Hashing::SignatureLists {
                l.raw(&self.config_hash);
            } else {
                l.fixed("config_hash", &self.config_hash, 32)?;
            }
        }
        Ok(l)
    }

    fn signature(&self, l: &mut Leaves, what: &'static str, bytes: &[u8]) -> Result<(), HashError> {
        if self.version.schema().hashing == Hashing::SignatureLists {
            l.signature_list(what, bytes)
        } else {
            l.fixed(what, bytes, 65)
        }
    }
}

impl Lock {
    /// The hash of definition and validators. The definition's config hash is the one in memory.
    ///
    /// # Errors
    /// If a field breaks the limits of its schema.
    pub fn compute_lock_hash(&self) -> Result<Chunk, HashError> {
        let version = self.definition.version;
        let mut l = Leaves::default();
        l.raw(&self.definition.compute_definition_hash()?);
        let limit = match version.schema().validators {
            ValidatorHashing::Texts => self.validators.len(),
            ValidatorHashing::Limits | ValidatorHashing::Widths => VALIDATORS,
        };
        l.list("distributed_validators", &self.validators, limit, |l, v| {
            l.raw(&v.leaves(version)?.root());
            Ok(())
        })?;
        Ok(l.root())
    }
}

impl DistributedValidator {
    /// The leaves of this validator under the lock hash.
    ///
    /// # Errors
    /// If a field breaks the limits of its schema.
    pub fn leaves(&self, version: Version) -> Result<Leaves, HashError> {
        let mut l = Leaves::default();
        let schema = version.schema();
        match schema.validators {
            ValidatorHashing::Texts => {
                l.raw(format!("0x{}", hex::encode(&self.public_key)).as_bytes());
                let shares = self.public_shares.len();
                l.list("public_shares", &self.public_shares, shares, |l, share| {
                    l.raw(share);
                    Ok(())
                })?;
                return Ok(l);
            }
            ValidatorHashing::Limits => l.raw(&self.public_key),
            ValidatorHashing::Widths => l.fixed("distributed_public_key", &self.public_key, 48)?,
        }
        l.list("public_shares", &self.public_shares, OPERATORS, |l, share| {
            l.fixed("public share", share, 48)
        })?;
        match schema.deposits {
            Deposits::None => {}
            // The deposit's fields stand directly among the validator's.
            Deposits::Flat => self.first_deposit().fields(&mut l)?,
            Deposits::One => l.container(|l| self.first_deposit().fields(l))?,
            Deposits::PerAmount => l.list("partial_deposit_data", &self.deposit_data, AMOUNTS, |l, deposit| {
                l.container(|l| deposit.fields(l))
            })?,
        }
        if schema.registrations {
            l.container(|l| self.registration.fields(l))?;
        }
        Ok(l)
    }

    fn first_deposit(&self) -> DepositData {
        self.deposit_data.first().cloned().unwrap_or_default()
    }
}

impl DepositData {
    fn fields(&self, l: &mut Leaves) -> Result<(), HashError> {
        self.message_fields(l)?;
        l.fixed("deposit signature", &self.signature, 96)
    }

    fn message_fields(&self, l: &mut Leaves) -> Result<(), HashError> {
        l.fixed("deposit pubkey", &self.pubkey, 48)?;
        l.fixed("withdrawal_credentials", &self.withdrawal_credentials, 32)?;
        l.u64(self.amount);
        Ok(())
    }

    /// Hash tree root of the deposit message: key, credentials, amount.
    ///
    /// # Errors
    /// If a field is too long.
    pub fn message_root(&self) -> Result<Chunk, HashError> {
        let mut l = Leaves::default();
        self.message_fields(&mut l)?;
        Ok(l.root())
    }

    /// Hash tree root of the deposit data: the message's fields and the signature.
    ///
    /// # Errors
    /// If a field is too long.
    pub fn data_root(&self) -> Result<Chunk, HashError> {
        let mut l = Leaves::default();
        self.fields(&mut l)?;
        Ok(l.root())
    }
}

impl Registration {
    fn fields(&self, l: &mut Leaves) -> Result<(), HashError> {
        l.container(|l| self.message_fields(l))?;
        l.fixed("registration signature", &self.signature, 96)
    }

    fn message_fields(&self, l: &mut Leaves) -> Result<(), HashError> {
        l.raw(&self.fee_recipient);
        l.u64(self.gas_limit);
        l.u64(self.timestamp.cast_unsigned());
        l.fixed("registration pubkey", &self.pubkey, 48)
    }

    /// Hash tree root of the message.
    ///
    /// # Errors
    /// If a field is too long.
    pub fn message_root(&self) -> Result<Chunk, HashError> {
        let mut l = Leaves::default();
        self.message_fields(&mut l)?;
        Ok(l.root())
    }
}
