//! The cluster definition: what the operators intend to create, schemas v1.0 to v1.11 (cluster.md 1.1).
//!
//! Guarantees: any file of a known version is read into one form and written back in its version's own keys, order and
//! encodings; hashes are recomputed when writing, never echoed.
//! Not here: whether hashes and signatures are right (`verify`).

use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::{
    deposit,
    json::{self, Bytes, Node, ParseError, text_of},
    merkle::HashError,
    version::{Schema, Version},
};

/// Most validators of one cluster, by the hash's own limit.
pub const MAX_VALIDATORS: u64 = 65_536;

/// Longest text that is taken for an address. Whether it is one is for the checks to say.
const MAX_ADDRESS: usize = 128;

/// What a cluster is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// Cosmetic.
    pub name: String,
    /// Who proposed it; empty before schema v1.4.
    pub creator: Creator,
    /// In the order that gives peers their index.
    pub operators: Vec<Operator>,
    /// Opaque.
    pub uuid: String,
    /// Schema.
    pub version: Version,
    /// Opaque text, usually RFC 3339; may be empty in old schemas.
    pub timestamp: String,
    /// As many as `validators` has entries.
    pub num_validators: u64,
    /// Shares needed for a signature.
    pub threshold: u64,
    /// One pair of addresses per validator; before schema v1.5 all are equal.
    pub validators: Vec<Addresses>,
    /// `default`, `frost` or `pedersen`.
    pub dkg_algorithm: String,
    /// Genesis fork version of the network; four bytes in any file that verifies.
    pub fork_version: Vec<u8>,
    /// Gwei, the user's own list with repetitions; `None` if none was given or before schema v1.8.
    pub deposit_amounts: Option<Vec<u64>>,
    /// Preferred consensus protocol; may be empty. From schema v1.9 on.
    pub consensus_protocol: String,
    /// Gas limit of the registrations. From schema v1.10 on; 0 means the default.
    pub target_gas_limit: u64,
    /// Withdrawal credentials of type 0x02. From schema v1.10 on.
    pub compounding: bool,
    /// As read or last computed.
    pub config_hash: Vec<u8>,
    /// As read or last computed.
    pub definition_hash: Vec<u8>,
}

/// Who proposed the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Creator {
    /// Ethereum address as typed; empty if nobody signed.
    pub address: String,
    /// Wallet's signature over the config hash.
    pub config_signature: Vec<u8>,
}

/// One operator.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Operator {
    /// Ethereum address as typed; empty if the operator did not sign.
    pub address: String,
    /// Node record as text.
    pub enr: String,
    /// Wallet's signature over the config hash.
    pub config_signature: Vec<u8>,
    /// Wallet's signature over the ENR.
    pub enr_signature: Vec<u8>,
    /// Which of both the file gives as `null` instead of empty; kept so that the oldest schemas are written as read.
    pub(crate) nulls: Nulls,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Nulls {
    config: bool,
    enr: bool,
}

/// Where a validator's money goes; addresses as typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    /// Receives tips of proposed blocks.
    pub fee_recipient: String,
    /// Receives withdrawals.
    pub withdrawal: String,
}

/// Why a definition cannot be written in its schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// A field breaks the limits of the hash.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// Before v1.5 there is one pair of addresses for all validators.
    #[error("cluster file version {0} has one pair of addresses for all validators, but they differ")]
    AddressesDiffer(Version),
}

impl Definition {
    /// Reads a file's content. Hashes and signatures are not checked.
    ///
    /// # Errors
    /// [`ParseError`] with the way to the field.
    pub fn from_json(bytes: &[u8]) -> Result<Self, ParseError> {
        Self::read(&Node::root(&json::parse(bytes)?))
    }

    pub(crate) fn read(node: &Node<'_>) -> Result<Self, ParseError> {
        let version: Version = node.get("version")?.string()?.parse()?;
        let schema = version.schema();
        let form = schema.bytes;
        let num_validators = node.get("num_validators")?.u64()?;
        if num_validators > MAX_VALIDATORS {
            return Err(node
                .get("num_validators")?
                .bad(format_args!("more than {MAX_VALIDATORS} validators")));
        }
        let compounding = schema.gas_and_compounding && node.get("compounding")?.bool()?;
        let validators = if schema.addresses_each {
            read_addresses(&node.get("validators")?, num_validators)?
        } else {
            let pair = Addresses {
                fee_recipient: address_text(&node.get("fee_recipient_address")?)?,
                withdrawal: address_text(&node.get("withdrawal_address")?)?,
            };
            (0..num_validators).map(|_| pair.clone()).collect()
        };
        let deposit_amounts = if schema.amounts {
            read_amounts(&node.get("deposit_amounts")?, compounding)?
        } else {
            None
        };
        Ok(Self {
            name: node.get("name")?.string()?,
            creator: if schema.creator {
                Creator::read(&node.get("creator")?)?
            } else {
                Creator::default()
            },
            operators: node.get("operators")?.each(|o| Operator::read(o, schema))?,
            uuid: node.get("uuid")?.string()?,
            version,
            timestamp: node.get("timestamp")?.string()?,
            num_validators,
            threshold: node.get("threshold")?.u64()?,
            validators,
            dkg_algorithm: node.get("dkg_algorithm")?.string()?,
            fork_version: node.get("fork_version")?.bytes(Bytes::Hex)?,
            deposit_amounts,
            consensus_protocol: if schema.protocol {
                node.get("consensus_protocol")?.string()?
            } else {
                String::new()
            },
            target_gas_limit: if schema.gas_and_compounding {
                node.get("target_gas_limit")?.u64()?
            } else {
                0
            },
            compounding,
            config_hash: node.get("config_hash")?.bytes(form)?,
            definition_hash: node.get("definition_hash")?.bytes(form)?,
        })
    }

    /// Writes the file's content with `indent` spaces per level (1 in the files of nodes, 0 for one line), its hashes
    /// computed anew; no line end behind it.
    ///
    /// # Errors
    /// If the definition does not fit its schema.
    pub fn to_json(&self, indent: usize) -> Result<Vec<u8>, WriteError> {
        Ok(json::write(&self.checked_for_writing()?, indent))
    }

    /// A copy with fresh hashes that its schema can express.
    pub(crate) fn checked_for_writing(&self) -> Result<Self, WriteError> {
        let mut out = self.clone();
        out.update_hashes()?;
        if !self.version.schema().addresses_each
            && self.validators.windows(2).any(|pair| matches!(pair, [a, b] if a != b))
        {
            return Err(WriteError::AddressesDiffer(self.version));
        }
        Ok(out)
    }

    /// Computes both hashes and keeps them.
    ///
    /// # Errors
    /// If a field breaks the limits of the hash.
    pub fn update_hashes(&mut self) -> Result<(), HashError> {
        self.config_hash = self.compute_config_hash()?.to_vec();
        self.definition_hash = self.compute_definition_hash()?.to_vec();
        Ok(())
    }
}

/// The one address of all validators. It is kept once per validator, so its length is looked at first.
fn address_text(node: &Node<'_>) -> Result<String, ParseError> {
    let text = node.string()?;
    if text.len() > MAX_ADDRESS {
        return Err(node.bad(format_args!("{} characters, more than any address", text.len())));
    }
    Ok(text)
}

fn read_addresses(node: &Node<'_>, expected: u64) -> Result<Vec<Addresses>, ParseError> {
    let list = node.each(|v| {
        Ok(Addresses {
            fee_recipient: v.get("fee_recipient_address")?.string()?,
            withdrawal: v.get("withdrawal_address")?.string()?,
        })
    })?;
    if u64::try_from(list.len()) != Ok(expected) {
        return Err(node.bad(format_args!("{} entries, but num_validators is {expected}", list.len())));
    }
    Ok(list)
}

fn read_amounts(node: &Node<'_>, compounding: bool) -> Result<Option<Vec<u64>>, ParseError> {
    let Some(items) = node.list()? else { return Ok(None) };
    let amounts = items.iter().map(Node::quoted_u64).collect::<Result<Vec<_>, _>>()?;
    deposit::check_amounts(&amounts, compounding).map_err(|e| node.bad(e))?;
    Ok(Some(amounts))
}

impl Creator {
    fn read(node: &Node<'_>) -> Result<Self, ParseError> {
        Ok(Self {
            address: node.get("address")?.string()?,
            config_signature: node.get("config_signature")?.bytes(Bytes::Hex)?,
        })
    }
}

impl Operator {
    fn read(node: &Node<'_>, schema: &Schema) -> Result<Self, ParseError> {
        if schema.nonce && node.get("nonce")?.i64()? != 0 {
            return Err(node.get("nonce")?.bad("only 0 is supported"));
        }
        let form = schema.bytes;
        Ok(Self {
            address: node.get("address")?.string()?,
            enr: node.get("enr")?.string()?,
            config_signature: node.get("config_signature")?.bytes(form)?,
            enr_signature: node.get("enr_signature")?.bytes(form)?,
            nulls: Nulls {
                config: node.get("config_signature")?.is_absent(),
                enr: node.get("enr_signature")?.is_absent(),
            },
        })
    }

    /// An operator who is known by its record alone.
    #[must_use]
    pub fn of_enr(enr: String) -> Self {
        Self { enr, ..Self::default() }
    }
}

/// In the order of the table in cluster.md 1.1.
impl Serialize for Definition {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let schema = self.version.schema();
        let form = schema.bytes;
        let mut m = s.serialize_map(None)?;
        if !self.name.is_empty() {
            m.serialize_entry("name", &self.name)?;
        }
        if schema.creator {
            m.serialize_entry("creator", &self.creator)?;
        }
        let operators: Vec<_> = self.operators.iter().map(|o| Versioned((o, schema))).collect();
        m.serialize_entry("operators", &null_if_empty(&operators))?;
        m.serialize_entry("uuid", &self.uuid)?;
        m.serialize_entry("version", self.version.as_str())?;
        if !self.timestamp.is_empty() {
            m.serialize_entry("timestamp", &self.timestamp)?;
        }
        m.serialize_entry("num_validators", &self.num_validators)?;
        m.serialize_entry("threshold", &self.threshold)?;
        if schema.addresses_each {
            m.serialize_entry("validators", &null_if_empty(&self.validators))?;
        } else {
            let Addresses {
                fee_recipient,
                withdrawal,
            } = self.validators.first().cloned().unwrap_or_default();
            for (key, address) in [
                ("fee_recipient_address", fee_recipient),
                ("withdrawal_address", withdrawal),
            ] {
                if !address.is_empty() {
                    m.serialize_entry(key, &address)?;
                }
            }
        }
        m.serialize_entry("dkg_algorithm", &self.dkg_algorithm)?;
        m.serialize_entry("fork_version", &text_of(&self.fork_version, Bytes::Hex))?;
        if schema.amounts {
            let texts = |list: &Vec<u64>| list.iter().map(u64::to_string).collect::<Vec<_>>();
            m.serialize_entry("deposit_amounts", &self.deposit_amounts.as_ref().map(texts))?;
        }
        if schema.protocol {
            m.serialize_entry("consensus_protocol", &self.consensus_protocol)?;
        }
        if schema.gas_and_compounding {
            m.serialize_entry("target_gas_limit", &self.target_gas_limit)?;
            m.serialize_entry("compounding", &self.compounding)?;
        }
        m.serialize_entry("config_hash", &text_of(&self.config_hash, form))?;
        m.serialize_entry("definition_hash", &text_of(&self.definition_hash, form))?;
        m.end()
    }
}

impl Serialize for Creator {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut m = s.serialize_map(None)?;
        m.serialize_entry("address", &self.address)?;
        m.serialize_entry("config_signature", &text_of(&self.config_signature, Bytes::Hex))?;
        m.end()
    }
}

impl Serialize for Addresses {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut m = s.serialize_map(None)?;
        m.serialize_entry("fee_recipient_address", &self.fee_recipient)?;
        m.serialize_entry("withdrawal_address", &self.withdrawal)?;
        m.end()
    }
}

/// A part whose form depends on the file's version.
pub(crate) struct Versioned<T>(pub(crate) (T, &'static Schema));

/// Go writes an empty list that was never made as `null`; ours are empty only then.
pub(crate) fn null_if_empty<T>(list: &[T]) -> Option<&[T]> {
    Some(list).filter(|list| !list.is_empty())
}

impl Serialize for Versioned<&Operator> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let (operator, schema) = self.0;
        let text = |bytes: &[u8], null: bool| {
            let null = null && bytes.is_empty() && schema.bytes == Bytes::Base64;
            (!null).then(|| text_of(bytes, schema.bytes))
        };
        let mut m = s.serialize_map(None)?;
        m.serialize_entry("address", &operator.address)?;
        m.serialize_entry("enr", &operator.enr)?;
        if schema.nonce {
            m.serialize_entry("nonce", &0)?;
        }
        m.serialize_entry(
            "config_signature",
            &text(&operator.config_signature, operator.nulls.config),
        )?;
        m.serialize_entry("enr_signature", &text(&operator.enr_signature, operator.nulls.enr))?;
        m.end()
    }
}
