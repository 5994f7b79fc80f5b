//! The typed messages (EIP-712) that creators and operators sign with their wallets (cluster.md section 4).

use trireme_keys::keccak256;

/// A member's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Member<'a> {
    /// `string`.
    Text(&'a str),
    /// `uint256`.
    Number(u64),
}

/// One message: a primary type with its members in order. The domain is always name `Obol`, version `1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message<'a> {
    /// Name of the type.
    pub primary: &'a str,
    /// Names and values.
    pub members: &'a [(&'a str, Member<'a>)],
    /// Chain of the domain; the terms and conditions have none.
    pub chain_id: Option<u64>,
}

impl Message<'_> {
    /// Hash of the domain.
    #[must_use]
    pub fn domain_separator(&self) -> [u8; 32] {
        let mut members = vec![("name", Member::Text("Obol")), ("version", Member::Text("1"))];
        members.extend(self.chain_id.map(|id| ("chainId", Member::Number(id))));
        struct_hash("EIP712Domain", &members)
    }

    /// What is signed.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut bytes = vec![0x19, 0x01];
        bytes.extend(self.domain_separator());
        bytes.extend(struct_hash(self.primary, self.members));
        keccak256(&bytes)
    }
}

fn struct_hash(name: &str, members: &[(&str, Member<'_>)]) -> [u8; 32] {
    let types: Vec<String> = members
        .iter()
        .map(|(name, value)| match value {
            Member::Text(_) => format!("string {name}"),
            Member::Number(_) => format!("uint256 {name}"),
        })
        .collect();
    let mut bytes = keccak256(format!("{name}({})", types.join(",")).as_bytes()).to_vec();
    for (_, value) in members {
        match value {
            Member::Text(text) => bytes.extend(keccak256(text.as_bytes())),
            Member::Number(n) => {
                bytes.extend([0; 24]);
                bytes.extend(n.to_be_bytes());
            }
        }
    }
    keccak256(&bytes)
}

fn one(primary: &str, member: &str, value: &str, chain_id: u64) -> [u8; 32] {
    Message {
        primary,
        members: &[(member, Member::Text(value))],
        chain_id: Some(chain_id),
    }
    .digest()
}

/// The hash as it is signed: text of `0x` and lower-case digits.
fn hash_text(hash: &[u8]) -> String {
    format!("0x{}", hex::encode(hash))
}

/// What an operator signs of the config hash in schema v1.3.
#[must_use]
pub fn config_digest(config_hash: &[u8], chain_id: u64) -> [u8; 32] {
    one("ConfigHash", "config_hash", &hash_text(config_hash), chain_id)
}

/// What an operator signs of the config hash from schema v1.4 on.
#[must_use]
pub fn operator_config_digest(config_hash: &[u8], chain_id: u64) -> [u8; 32] {
    one(
        "OperatorConfigHash",
        "operator_config_hash",
        &hash_text(config_hash),
        chain_id,
    )
}

/// What the creator signs.
#[must_use]
pub fn creator_config_digest(config_hash: &[u8], chain_id: u64) -> [u8; 32] {
    one(
        "CreatorConfigHash",
        "creator_config_hash",
        &hash_text(config_hash),
        chain_id,
    )
}

/// What an operator signs of its ENR.
#[must_use]
pub fn enr_digest(enr: &str, chain_id: u64) -> [u8; 32] {
    one("ENR", "enr", enr, chain_id)
}
