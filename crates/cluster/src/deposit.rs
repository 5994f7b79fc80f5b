//! Deposits: amounts, withdrawal credentials, and the files that the launchpad reads (cluster.md section 6).

use serde::{Deserialize, Serialize};
use trireme_tbls::{PublicKey, Signature};

use crate::{json, merkle::HashError, network::Network};

/// A deposit, signed by the group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DepositData {
    /// Group key.
    pub pubkey: Vec<u8>,
    /// 32 bytes.
    pub withdrawal_credentials: Vec<u8>,
    /// Gwei.
    pub amount: u64,
    /// BLS signature.
    pub signature: Vec<u8>,
}

/// Gwei of one ETH.
pub const ETH: u64 = 1_000_000_000;
/// What activates a validator.
const ACTIVATION: u64 = 32 * ETH;
/// Most that a compounding validator holds.
const COMPOUNDING_MAX: u64 = 2048 * ETH;
/// Version of the deposit tool whose format this is.
const TOOL_VERSION: &str = "2.7.0";

/// Why a list of amounts is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// Below 1 ETH.
    #[error("each deposit amount must be at least 1 ETH, got {0} gwei")]
    TooSmall(u64),
    /// Above the limit.
    #[error("each deposit amount must be at most {max} ETH, got {amount} gwei")]
    TooLarge {
        /// Gwei.
        amount: u64,
        /// ETH.
        max: u64,
    },
    /// Together not enough to activate.
    #[error("the deposit amounts must add up to at least 32 ETH, got {0} gwei")]
    Sum(u64),
}

/// Checks amounts in gwei. An empty list is fine: it stands for the default.
///
/// # Errors
/// [`AmountError`] for the first rule that is broken.
pub fn check_amounts(amounts: &[u64], compounding: bool) -> Result<(), AmountError> {
    let max = if compounding { COMPOUNDING_MAX } else { ACTIVATION };
    for &amount in amounts {
        if amount < ETH {
            return Err(AmountError::TooSmall(amount));
        }
        if amount > max {
            return Err(AmountError::TooLarge { amount, max: max / ETH });
        }
    }
    let sum = amounts.iter().fold(0_u64, |sum, a| sum.saturating_add(*a));
    if !amounts.is_empty() && sum < ACTIVATION {
        return Err(AmountError::Sum(sum));
    }
    Ok(())
}

/// The amounts to sign, in gwei: each once, ascending; the default if none are given.
#[must_use]
pub fn amounts_to_sign(given: &[u64], compounding: bool) -> Vec<u64> {
    let mut amounts = match (given, compounding) {
        ([], false) => vec![ETH, ACTIVATION],
        ([], true) => vec![ETH, 8 * ETH, ACTIVATION, 256 * ETH],
        (given, _) => given.to_vec(),
    };
    amounts.sort_unstable();
    amounts.dedup();
    amounts
}

/// Withdrawal credentials for an address: type 0x02 if compounding, else 0x01.
#[must_use]
pub fn withdrawal_credentials(address: &[u8; 20], compounding: bool) -> [u8; 32] {
    let mut out = [0; 32];
    let (head, tail) = out.split_at_mut(12);
    tail.copy_from_slice(address);
    if let Some(kind) = head.first_mut() {
        *kind = if compounding { 2 } else { 1 };
    }
    out
}

/// The name of the file for an amount in gwei: `deposit-data.json` for 32 ETH, else with the amount in ETH.
#[must_use]
pub fn file_name(amount: u64) -> String {
    if amount == ACTIVATION {
        return "deposit-data.json".to_owned();
    }
    let whole = amount / ETH;
    let fraction = format!("{:09}", amount % ETH);
    match fraction.trim_end_matches('0') {
        "" => format!("deposit-data-{whole}eth.json"),
        digits => format!("deposit-data-{whole}.{digits}eth.json"),
    }
}

/// Why a deposit file is not written or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DepositError {
    /// No entries.
    #[error("there is no deposit to write")]
    Empty,
    /// Several amounts in one file.
    #[error("deposits of different amounts do not belong into one file")]
    Amounts,
    /// A field is too long.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The signature does not verify.
    #[error("the signature of the deposit for validator 0x{0} is wrong")]
    Signature(String),
    /// Not a file of this form.
    #[error("the file is no deposit data: {0}")]
    Json(String),
}

#[derive(Serialize, Deserialize)]
struct Entry {
    pubkey: String,
    withdrawal_credentials: String,
    amount: u64,
    signature: String,
    #[serde(default)]
    deposit_message_root: String,
    #[serde(default)]
    deposit_data_root: String,
    #[serde(default)]
    fork_version: String,
    #[serde(default)]
    network_name: String,
    #[serde(default)]
    deposit_cli_version: String,
}

/// The content of one file: deposits of one amount, sorted by public key, one space per level. Every signature is
/// verified first.
///
/// # Errors
/// If there is nothing to write, the amounts differ, or a signature is wrong.
pub fn to_json(deposits: &[DepositData], network: &Network) -> Result<Vec<u8>, DepositError> {
    let first = deposits.first().ok_or(DepositError::Empty)?;
    if deposits.iter().any(|d| d.amount != first.amount) {
        return Err(DepositError::Amounts);
    }
    let mut entries = deposits
        .iter()
        .map(|d| {
            if !d.verifies(network.genesis_fork_version)? {
                return Err(DepositError::Signature(hex::encode(&d.pubkey)));
            }
            Ok(Entry {
                pubkey: hex::encode(&d.pubkey),
                withdrawal_credentials: hex::encode(&d.withdrawal_credentials),
                amount: d.amount,
                signature: hex::encode(&d.signature),
                deposit_message_root: hex::encode(d.message_root()?),
                deposit_data_root: hex::encode(d.data_root()?),
                fork_version: hex::encode(network.genesis_fork_version),
                network_name: network.name.clone(),
                deposit_cli_version: TOOL_VERSION.to_owned(),
            })
        })
        .collect::<Result<Vec<_>, DepositError>>()?;
    entries.sort_by(|a, b| a.pubkey.cmp(&b.pubkey));
    Ok(json::write(&entries, 1))
}

/// Reads a file back; key, credentials, amount and signature count, the rest is ignored.
///
/// # Errors
/// If it is not a list of deposits.
pub fn from_json(bytes: &[u8]) -> Result<Vec<DepositData>, DepositError> {
    let entries: Vec<Entry> = serde_json::from_slice(bytes).map_err(|e| DepositError::Json(e.to_string()))?;
    let read = |text: &str, len: usize| {
        let bytes = hex::decode(text.strip_prefix("0x").unwrap_or(text))
            .ok()
            .filter(|b| b.len() == len);
        bytes.ok_or_else(|| DepositError::Json(format!("expected {len} bytes of hex, got {} characters", text.len())))
    };
    entries
        .iter()
        .map(|e| {
            Ok(DepositData {
                pubkey: read(&e.pubkey, 48)?,
                withdrawal_credentials: read(&e.withdrawal_credentials, 32)?,
                amount: e.amount,
                signature: read(&e.signature, 96)?,
            })
        })
        .collect()
}

impl DepositData {
    /// Whether the signature is that of the deposit's key, on the network of that genesis fork version.
    ///
    /// # Errors
    /// If a field is too long to be hashed.
    pub fn verifies(&self, genesis_fork_version: [u8; 4]) -> Result<bool, HashError> {
        let root = self.signing_root(genesis_fork_version)?;
        let key = <[u8; 48]>::try_from(self.pubkey.as_slice())
            .ok()
            .and_then(|b| PublicKey::from_bytes(&b).ok());
        let signature = <[u8; 96]>::try_from(self.signature.as_slice())
            .ok()
            .and_then(|b| Signature::from_bytes(&b).ok());
        Ok(matches!((key, signature), (Some(k), Some(s)) if trireme_tbls::verify(&k, &root, &s)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_held_to_their_limits() {
        let eth = |list: &[u64]| list.iter().map(|a| a * ETH).collect::<Vec<_>>();
        assert_eq!(check_amounts(&[], false), Ok(()));
        assert_eq!(check_amounts(&eth(&[8, 8, 8, 8]), false), Ok(()));
        assert_eq!(check_amounts(&eth(&[31]), false), Err(AmountError::Sum(31 * ETH)));
        assert_eq!(
            check_amounts(&eth(&[33]), false),
            Err(AmountError::TooLarge {
                amount: 33 * ETH,
                max: 32
            })
        );
        assert_eq!(check_amounts(&eth(&[2048]), true), Ok(()));
        assert_eq!(
            check_amounts(&eth(&[2049]), true),
            Err(AmountError::TooLarge {
                amount: 2049 * ETH,
                max: 2048
            })
        );
        assert_eq!(check_amounts(&[ETH - 1], false), Err(AmountError::TooSmall(ETH - 1)));
    }

    #[test]
    fn each_distinct_amount_is_signed_once() {
        assert_eq!(
            amounts_to_sign(&[16 * ETH, 8 * ETH, 8 * ETH], false),
            [8 * ETH, 16 * ETH]
        );
        assert_eq!(amounts_to_sign(&[], false), [ETH, 32 * ETH]);
        assert_eq!(amounts_to_sign(&[], true), [ETH, 8 * ETH, 32 * ETH, 256 * ETH]);
    }

    #[test]
    fn files_are_named_by_their_amount() {
        assert_eq!(file_name(32 * ETH), "deposit-data.json");
        assert_eq!(file_name(ETH), "deposit-data-1eth.json");
        assert_eq!(file_name(256 * ETH), "deposit-data-256eth.json");
        assert_eq!(file_name(ETH + ETH / 2), "deposit-data-1.5eth.json");
    }
}
