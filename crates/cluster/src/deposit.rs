//! Deposits: amounts, withdrawal credentials, and the files that the launchpad reads (cluster.md section 6).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use trireme_tbls::{Check, PublicKey, Signature, verify_derived_set};

use crate::{
    json,
    merkle::HashError,
    network::Network,
    version::{Deposits, Version},
};

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
pub(crate) const ACTIVATION: u64 = 32 * ETH;
/// Most that a compounding validator holds.
pub(crate) const COMPOUNDING_MAX: u64 = 2048 * ETH;
/// Version of the deposit tool whose format this is.
const TOOL_VERSION: &str = "2.7.0";
/// Largest file that is looked at, in bytes: 65,536 validators take half of it.
pub const MAX_FILE: usize = 128 << 20;

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

/// As [`amounts_to_sign`], for a ceremony: schemas that keep one deposit per validator get 32 ETH if none are given.
#[must_use]
pub fn amounts_of_ceremony(given: &[u64], compounding: bool, version: Version) -> Vec<u64> {
    match (given, version.schema().deposits) {
        ([], Deposits::None | Deposits::Flat | Deposits::One) => vec![ACTIVATION],
        (given, _) => amounts_to_sign(given, compounding),
    }
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
    /// Larger than [`MAX_FILE`].
    #[error("the file has {0} bytes, more than any deposit data")]
    TooLarge(usize),
    /// Not a file of this form.
    #[error("the file is no deposit data: {0}; it may be truncated")]
    Json(String),
    /// A field is not the hex that it should be.
    #[error("entry {entry} of the deposit data: {field} is not {bytes} bytes of hex")]
    Field {
        /// Position in the file.
        entry: usize,
        /// Name of the field.
        field: &'static str,
        /// Length that it should have.
        bytes: usize,
    },
    /// Two deposits of one amount for one validator that are not the same.
    #[error("there are two different deposits of {amount} gwei for validator 0x{pubkey}")]
    Conflict {
        /// Hex of the key.
        pubkey: String,
        /// Gwei.
        amount: u64,
    },
    /// Validators that are added need deposits of exactly the amounts that are there.
    #[error("the deposit files are of {old}, the new deposits of {new}; both must have the same amounts")]
    OtherAmounts {
        /// Among the files.
        old: String,
        /// Among the new deposits.
        new: String,
    },
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
    all_verify(deposits, network.genesis_fork_version)?;
    let mut entries = deposits
        .iter()
        .map(|d| {
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

/// Verifies many deposits' signatures at once.
fn all_verify(deposits: &[DepositData], genesis_fork_version: [u8; 4]) -> Result<(), DepositError> {
    let wrong = |d: &DepositData| DepositError::Signature(hex::encode(&d.pubkey));
    // Whoever made the signatures must not know the weights of the batch beforehand.
    let mut seed = Sha256::new_with_prefix(b"weights of a batch of deposits ");
    let mut roots = Vec::with_capacity(deposits.len());
    for deposit in deposits {
        roots.push(deposit.signing_root(genesis_fork_version)?);
        seed.update(deposit.data_root()?);
    }
    let checks = deposits.iter().zip(&roots).map(|(d, root)| {
        let (key, signature) = d.points().ok_or_else(|| wrong(d))?;
        Ok(Check {
            key,
            message: root,
            signature,
        })
    });
    let checks = checks.collect::<Result<Vec<_>, DepositError>>()?;
    verify_derived_set(&checks, &seed.finalize().into()).map_err(|culprits| {
        let first = culprits.0.first().and_then(|at| deposits.get(*at));
        first.map_or_else(|| DepositError::Signature(String::new()), wrong)
    })
}

/// Reads a file back; key, credentials, amount and signature count, the rest is ignored.
///
/// # Errors
/// If it is not a list of deposits.
pub fn from_json(bytes: &[u8]) -> Result<Vec<DepositData>, DepositError> {
    if bytes.len() > MAX_FILE {
        return Err(DepositError::TooLarge(bytes.len()));
    }
    let entries: Vec<Entry> = serde_json::from_slice(bytes).map_err(|e| DepositError::Json(e.to_string()))?;
    let read = |entry: usize, field: &'static str, text: &str, len: usize| {
        let bytes = hex::decode(text.strip_prefix("0x").unwrap_or(text))
            .ok()
            .filter(|b| b.len() == len);
        bytes.ok_or(DepositError::Field {
            entry,
            field,
            bytes: len,
        })
    };
    entries
        .iter()
        .enumerate()
        .map(|(at, e)| {
            Ok(DepositData {
                pubkey: read(at, "pubkey", &e.pubkey, 48)?,
                withdrawal_credentials: read(at, "withdrawal_credentials", &e.withdrawal_credentials, 32)?,
                amount: e.amount,
                signature: read(at, "signature", &e.signature, 96)?,
            })
        })
        .collect()
}

/// Every deposit by its amount and its validator's key.
type Sorted = BTreeMap<u64, BTreeMap<Vec<u8>, DepositData>>;

fn sorted<'a>(deposits: impl IntoIterator<Item = &'a DepositData>) -> Result<Sorted, DepositError> {
    let mut out = Sorted::new();
    for deposit in deposits {
        let before = out
            .entry(deposit.amount)
            .or_default()
            .insert(deposit.pubkey.clone(), deposit.clone());
        if before.is_some_and(|b| b != *deposit) {
            return Err(DepositError::Conflict {
                pubkey: hex::encode(&deposit.pubkey),
                amount: deposit.amount,
            });
        }
    }
    Ok(out)
}

/// The files of these deposits: one per amount, ascending, each with its name. A deposit that comes twice is written once.
///
/// # Errors
/// As [`to_json`], and if there are two different deposits of one amount for one validator.
pub fn files(deposits: &[DepositData], network: &Network) -> Result<Vec<(String, Vec<u8>)>, DepositError> {
    files_of(sorted(deposits)?, network)
}

fn files_of(sorted: Sorted, network: &Network) -> Result<Vec<(String, Vec<u8>)>, DepositError> {
    if sorted.is_empty() {
        return Err(DepositError::Empty);
    }
    sorted
        .into_iter()
        .map(|(amount, of_amount)| {
            let deposits: Vec<DepositData> = of_amount.into_values().collect();
            Ok((file_name(amount), to_json(&deposits, network)?))
        })
        .collect()
}

/// Old files, by content and in any order, with the deposits of validators that were added: one file per amount again.
///
/// # Errors
/// As [`files`] and [`from_json`]; if there is no old file, and if old and new deposits do not have the same amounts.
pub fn merged<'a>(
    old: impl IntoIterator<Item = &'a [u8]>,
    new: &[DepositData],
    network: &Network,
) -> Result<Vec<(String, Vec<u8>)>, DepositError> {
    let mut all = Vec::new();
    for file in old {
        all.extend(from_json(file)?);
    }
    if all.is_empty() {
        return Err(DepositError::Empty);
    }
    let amounts = |deposits: &[DepositData]| deposits.iter().map(|d| d.amount).collect::<BTreeSet<_>>();
    let (before, after) = (amounts(&all), amounts(new));
    if before != after {
        let text = |set: BTreeSet<u64>| {
            let gwei: Vec<String> = set.iter().map(|a| format!("{a} gwei")).collect();
            if gwei.is_empty() {
                "nothing".to_owned()
            } else {
                gwei.join(", ")
            }
        };
        return Err(DepositError::OtherAmounts {
            old: text(before),
            new: text(after),
        });
    }
    all.extend_from_slice(new);
    files_of(sorted(&all)?, network)
}

impl DepositData {
    /// Whether the signature is that of the deposit's key, on the network of that genesis fork version.
    ///
    /// # Errors
    /// If a field is too long to be hashed.
    pub fn verifies(&self, genesis_fork_version: [u8; 4]) -> Result<bool, HashError> {
        let root = self.signing_root(genesis_fork_version)?;
        let points = self.points();
        Ok(points.is_some_and(|(key, signature)| trireme_tbls::verify(&key, &root, &signature)))
    }

    /// Key and signature as points of the curves; `None` if they are none.
    fn points(&self) -> Option<(PublicKey, Signature)> {
        let key = <[u8; 48]>::try_from(self.pubkey.as_slice()).ok()?;
        let signature = <[u8; 96]>::try_from(self.signature.as_slice()).ok()?;
        Some((
            PublicKey::from_bytes(&key).ok()?,
            Signature::from_bytes(&signature).ok()?,
        ))
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
    fn ceremonies_of_old_schemas_sign_32_eth_unless_told_otherwise() {
        assert_eq!(amounts_of_ceremony(&[], false, Version::V1_7), [32 * ETH]);
        assert_eq!(amounts_of_ceremony(&[], false, Version::V1_8), [ETH, 32 * ETH]);
        assert_eq!(
            amounts_of_ceremony(&[], true, Version::V1_10),
            [ETH, 8 * ETH, 32 * ETH, 256 * ETH]
        );
        assert_eq!(amounts_of_ceremony(&[16 * ETH; 2], false, Version::V1_6), [16 * ETH]);
    }

    fn network() -> Network {
        crate::Networks::known().by_name("hoodi").unwrap().clone()
    }

    fn deposit(key: u8, amount: u64) -> DepositData {
        let secret = trireme_tbls::SecretKey::from_bytes(&[key; 32]).unwrap();
        let mut out = DepositData {
            pubkey: secret.public_key().to_bytes().to_vec(),
            withdrawal_credentials: withdrawal_credentials(&[1; 20], false).to_vec(),
            amount,
            signature: Vec::new(),
        };
        let root = out.signing_root(network().genesis_fork_version).unwrap();
        out.signature = secret.sign(&root).to_bytes().to_vec();
        out
    }

    #[test]
    fn added_deposits_are_merged_per_amount_and_sorted_by_key() {
        let network = network();
        let of = |keys: &[u8]| -> Vec<DepositData> {
            let each = keys.iter().flat_map(|k| [deposit(*k, ETH), deposit(*k, 32 * ETH)]);
            each.collect()
        };
        let old = files(&of(&[1, 3]), &network).unwrap();
        let texts: Vec<&[u8]> = old.iter().rev().map(|(_, text)| text.as_slice()).collect();
        let both = merged(texts.clone(), &of(&[2]), &network).unwrap();
        assert_eq!(both, files(&of(&[3, 2, 1, 1]), &network).unwrap());
        let names: Vec<&str> = both.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["deposit-data-1eth.json", "deposit-data.json"]);
        let keys: Vec<Vec<u8>> = from_json(&both[0].1).unwrap().into_iter().map(|d| d.pubkey).collect();
        assert!(keys.is_sorted() && keys.len() == 3);

        let fewer = merged(texts.clone(), &[deposit(2, ETH)], &network).unwrap_err();
        assert!(matches!(fewer, DepositError::OtherAmounts { .. }), "{fewer}");
        assert_eq!(merged([], &of(&[2]), &network), Err(DepositError::Empty));
        let mut other = of(&[3]);
        other[0].withdrawal_credentials[31] = 9;
        let error = merged(texts, &other, &network).unwrap_err();
        assert!(matches!(error, DepositError::Conflict { amount: ETH, .. }), "{error}");
    }

    #[test]
    fn a_truncated_or_odd_deposit_file_is_refused_with_its_place() {
        let text = to_json(&[deposit(1, 32 * ETH)], &network()).unwrap();
        for end in 0..text.len() {
            assert!(from_json(&text[..end]).is_err(), "{end}");
        }
        let change = |from: &str, to: &str| {
            let text = String::from_utf8(text.clone()).unwrap().replacen(from, to, 1);
            from_json(text.as_bytes()).unwrap_err().to_string()
        };
        let error = change("\"signature\": \"", "\"signature\": \"00");
        assert_eq!(error, "entry 0 of the deposit data: signature is not 96 bytes of hex");
        assert!(change("32000000000", "\"32000000000\"").contains("no deposit data"));
        assert!(change("\"amount\"", "\"other\"").contains("missing field `amount`"));
    }

    #[test]
    fn files_are_named_by_their_amount() {
        assert_eq!(file_name(32 * ETH), "deposit-data.json");
        assert_eq!(file_name(ETH), "deposit-data-1eth.json");
        assert_eq!(file_name(256 * ETH), "deposit-data-256eth.json");
        assert_eq!(file_name(ETH + ETH / 2), "deposit-data-1.5eth.json");
    }
}
