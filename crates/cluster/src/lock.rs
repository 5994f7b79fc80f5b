//! The cluster lock: the definition and the validators that came of it, schemas v1.0 to v1.11 (cluster.md 1.2).
//!
//! Guarantees as for the definition: one form in memory, each version's own form in files, hashes recomputed when writing.
//! Not here: whether hashes, keys and signatures are right (`verify`).

use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::{
    definition::{Definition, Versioned, WriteError, null_if_empty},
    deposit::DepositData,
    json::{self, Bytes, Node, ParseError, text_of},
    version::{Deposits, Schema},
};

/// A created cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// What was intended.
    pub definition: Definition,
    /// In the order of the definition's addresses.
    pub validators: Vec<DistributedValidator>,
    /// Sum of the signatures of every share over the lock hash.
    pub signature_aggregate: Vec<u8>,
    /// As read or last computed.
    pub lock_hash: Vec<u8>,
    /// secp256k1 signatures of the operators' nodes over the lock hash; from schema v1.7 on.
    pub node_signatures: Vec<Vec<u8>>,
    /// Whether the file gives the aggregate as `null`, which the oldest schemas may; kept for writing.
    pub(crate) null_aggregate: bool,
}

/// One validator of a lock. Bytes as they stand there: lengths and points are checked by verification.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DistributedValidator {
    /// Group key, 48 bytes.
    pub public_key: Vec<u8>,
    /// Public shares, 48 bytes each, in the order of the operators.
    pub public_shares: Vec<Vec<u8>>,
    /// From schema v1.6 on. Up to v1.7 exactly one, all zero where there is none; later one per amount, ascending.
    pub deposit_data: Vec<DepositData>,
    /// From schema v1.7 on.
    pub registration: Registration,
}

/// A registration with builders, signed by the group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registration {
    /// 20 bytes.
    pub fee_recipient: Vec<u8>,
    /// Gas limit asked for.
    pub gas_limit: u64,
    /// Seconds since 1970; negative in files without a registration.
    pub timestamp: i64,
    /// Group key.
    pub pubkey: Vec<u8>,
    /// BLS signature.
    pub signature: Vec<u8>,
}

impl Lock {
    /// Reads a file's content. Hashes, keys and signatures are not checked.
    ///
    /// # Errors
    /// [`ParseError`] with the way to the field.
    pub fn from_json(bytes: &[u8]) -> Result<Self, ParseError> {
        let value = json::parse(bytes)?;
        let node = Node::root(&value);
        let definition = node.get("cluster_definition")?;
        if definition.is_absent() {
            return Err(definition.bad("missing; this is not a cluster lock"));
        }
        let definition = Definition::read(&definition)?;
        let schema = definition.version.schema();
        let form = schema.bytes;
        let node_signatures = if schema.node_signatures {
            node.get("node_signatures")?.each(|s| s.bytes(Bytes::Hex))?
        } else {
            Vec::new()
        };
        Ok(Self {
            validators: node
                .get("distributed_validators")?
                .each(|v| DistributedValidator::read(v, schema))?,
            signature_aggregate: node.get("signature_aggregate")?.bytes(form)?,
            lock_hash: node.get("lock_hash")?.bytes(form)?,
            null_aggregate: node.get("signature_aggregate")?.is_absent(),
            node_signatures,
            definition,
        })
    }

    /// Writes the file's content with `indent` spaces per level (1 in the files of nodes), its hashes computed anew; no
    /// line end behind it.
    ///
    /// # Errors
    /// If the lock does not fit its schema.
    pub fn to_json(&self, indent: usize) -> Result<Vec<u8>, WriteError> {
        // The lock hash covers the config hash that is in memory, not the one that is written.
        let lock_hash = self.compute_lock_hash()?.to_vec();
        let lock = Self {
            definition: self.definition.checked_for_writing()?,
            lock_hash,
            ..self.clone()
        };
        Ok(json::write(&lock, indent))
    }
}

impl DistributedValidator {
    fn read(node: &Node<'_>, schema: &Schema) -> Result<Self, ParseError> {
        if schema.old_fee_recipient && !node.get("fee_recipient_address")?.string()?.is_empty() {
            return Err(node.get("fee_recipient_address")?.bad("not supported any more"));
        }
        let deposit_data = match schema.deposits {
            Deposits::None => Vec::new(),
            Deposits::Flat | Deposits::One => vec![DepositData::read(&node.get("deposit_data")?)?],
            Deposits::PerAmount => node.get("partial_deposit_data")?.each(DepositData::read)?,
        };
        let registration = if schema.registrations {
            Registration::read(&node.get("builder_registration")?)?
        } else {
            Registration::default()
        };
        Ok(Self {
            public_key: node.get("distributed_public_key")?.bytes(Bytes::Hex)?,
            public_shares: node.get("public_shares")?.each(|s| s.bytes(schema.bytes))?,
            deposit_data,
            registration,
        })
    }
}

impl DepositData {
    fn read(node: &Node<'_>) -> Result<Self, ParseError> {
        Ok(Self {
            pubkey: node.get("pubkey")?.bytes(Bytes::Hex)?,
            withdrawal_credentials: node.get("withdrawal_credentials")?.bytes(Bytes::Hex)?,
            amount: node.get("amount")?.quoted_u64()?,
            signature: node.get("signature")?.bytes(Bytes::Hex)?,
        })
    }
}

impl Registration {
    fn read(node: &Node<'_>) -> Result<Self, ParseError> {
        let message = node.get("message")?;
        Ok(Self {
            fee_recipient: message.get("fee_recipient")?.bytes(Bytes::Hex)?,
            gas_limit: message.get("gas_limit")?.u64()?,
            timestamp: message.get("timestamp")?.i64()?,
            pubkey: message.get("pubkey")?.bytes(Bytes::Hex)?,
            signature: node.get("signature")?.bytes(Bytes::Hex)?,
        })
    }
}

/// In the order of the table in cluster.md 1.2.
impl Serialize for Lock {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let schema = self.definition.version.schema();
        let form = schema.bytes;
        let mut m = s.serialize_map(None)?;
        m.serialize_entry("cluster_definition", &self.definition)?;
        let validators: Vec<_> = self.validators.iter().map(|v| Versioned((v, schema))).collect();
        m.serialize_entry("distributed_validators", &null_if_empty(&validators))?;
        let null = self.null_aggregate && self.signature_aggregate.is_empty() && form == Bytes::Base64;
        let aggregate = (!null).then(|| text_of(&self.signature_aggregate, form));
        m.serialize_entry("signature_aggregate", &aggregate)?;
        m.serialize_entry("lock_hash", &text_of(&self.lock_hash, form))?;
        if schema.node_signatures {
            let texts: Vec<_> = self.node_signatures.iter().map(|s| text_of(s, Bytes::Hex)).collect();
            m.serialize_entry("node_signatures", &texts)?;
        }
        m.end()
    }
}

impl Serialize for Versioned<&DistributedValidator> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let (validator, schema) = self.0;
        let mut m = s.serialize_map(None)?;
        m.serialize_entry("distributed_public_key", &text_of(&validator.public_key, Bytes::Hex))?;
        if !validator.public_shares.is_empty() {
            let shares: Vec<_> = validator
                .public_shares
                .iter()
                .map(|s| text_of(s, schema.bytes))
                .collect();
            m.serialize_entry("public_shares", &shares)?;
        }
        if matches!(schema.deposits, Deposits::Flat | Deposits::One) {
            let first = validator.deposit_data.first().cloned().unwrap_or_default();
            m.serialize_entry("deposit_data", &first)?;
        }
        if schema.registrations {
            m.serialize_entry("builder_registration", &validator.registration)?;
        }
        if schema.deposits == Deposits::PerAmount && !validator.deposit_data.is_empty() {
            m.serialize_entry("partial_deposit_data", &validator.deposit_data)?;
        }
        m.end()
    }
}

impl Serialize for DepositData {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut m = s.serialize_map(None)?;
        m.serialize_entry("pubkey", &text_of(&self.pubkey, Bytes::Hex))?;
        m.serialize_entry(
            "withdrawal_credentials",
            &text_of(&self.withdrawal_credentials, Bytes::Hex),
        )?;
        m.serialize_entry("amount", &self.amount.to_string())?;
        m.serialize_entry("signature", &text_of(&self.signature, Bytes::Hex))?;
        m.end()
    }
}

impl Serialize for Registration {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Message {
            fee_recipient: String,
            gas_limit: u64,
            timestamp: i64,
            pubkey: String,
        }
        let message = Message {
            fee_recipient: text_of(&self.fee_recipient, Bytes::Hex),
            gas_limit: self.gas_limit,
            timestamp: self.timestamp,
            pubkey: text_of(&self.pubkey, Bytes::Hex),
        };
        let mut m = s.serialize_map(None)?;
        m.serialize_entry("message", &message)?;
        m.serialize_entry("signature", &text_of(&self.signature, Bytes::Hex))?;
        m.end()
    }
}
