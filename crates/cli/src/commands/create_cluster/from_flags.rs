//! The cluster that the flags of `create cluster` describe.

use std::collections::BTreeSet;

use trireme_cluster::{
    Addresses, Creator, Definition, MAX_VALIDATORS, Network, Version, address,
    create::{Request, usual_threshold},
    deposit,
};
use trireme_tbls::SecretKey;

use super::registration_time;
use crate::{commands::random, flags::CreateClusterFlags, values::Problems};

/// A cluster described by flags. The number of validators is not known yet when keys are split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FromFlags {
    name: String,
    version: Version,
    nodes: u8,
    threshold: u64,
    /// `None` when keys are split.
    validators: Option<u64>,
    network: Network,
    fee_recipients: Vec<String>,
    withdrawals: Vec<String>,
    amounts: Option<Vec<u64>>,
    compounding: bool,
    gas_limit: u64,
    protocol: String,
}

/// Reads the flags that describe a cluster. With `split`, the keys say how many validators there are.
pub(super) fn from_flags(
    flags: &CreateClusterFlags,
    network: Network,
    split: bool,
    problems: &mut Problems,
    warnings: &mut Vec<String>,
) -> FromFlags {
    let version = match flags.definition_version.parse() {
        Ok(version @ (Version::V1_10 | Version::V1_11)) => version,
        Ok(_) | Err(_) => {
            problems.add(
                "definition-version",
                format_args!("{:?} is neither v1.10.0 nor v1.11.0", flags.definition_version),
            );
            Version::DEFAULT
        }
    };
    let nodes: u8 = problems.number("nodes", &flags.nodes);
    match nodes {
        0 => problems.add(
            "nodes",
            "missing: say how many nodes, at least 3, or give a --definition-file",
        ),
        1 | 2 => problems.add("nodes", "a cluster needs at least 3 nodes"),
        3.. => {}
    }
    let threshold = threshold(&flags.threshold, nodes, problems, warnings);
    let validators: u64 = problems.number("num-validators", &flags.num_validators);
    match (split, validators) {
        (true, 1..) => problems.add(
            "num-validators",
            "not together with --split-existing-keys: there are as many as keys",
        ),
        (false, 0) => problems.add("num-validators", "missing: say how many validators"),
        (false, n) if n > MAX_VALIDATORS => problems.add("num-validators", format_args!("at most {MAX_VALIDATORS}")),
        _ => {}
    }
    let compounding = problems.bool("compounding", &flags.compounding);
    let expected = (!split).then_some(validators);
    let fee_recipients = addresses(
        "fee-recipient-addresses",
        &flags.fee_recipient_addresses,
        expected,
        &network,
        problems,
    );
    let withdrawals = addresses(
        "withdrawal-addresses",
        &flags.withdrawal_addresses,
        expected,
        &network,
        problems,
    );
    let gas_limit: u64 = problems.number("target-gas-limit", &flags.target_gas_limit);
    if gas_limit == 0 {
        problems.add("target-gas-limit", "must not be 0");
    }
    if !matches!(flags.consensus_protocol.to_lowercase().as_str(), "" | "qbft") {
        problems.add(
            "consensus-protocol",
            format_args!("{:?} is not supported, only qbft", flags.consensus_protocol),
        );
    }
    FromFlags {
        name: flags.name.clone(),
        version,
        nodes,
        threshold,
        validators: expected,
        network,
        fee_recipients,
        withdrawals,
        amounts: amounts(&flags.deposit_amounts, compounding, problems),
        compounding,
        gas_limit,
        protocol: flags.consensus_protocol.clone(),
    }
}

fn threshold(text: &str, nodes: u8, problems: &mut Problems, warnings: &mut Vec<String>) -> u64 {
    let usual = usual_threshold(nodes.into());
    match problems.number::<u64>("threshold", text) {
        0 => usual,
        1 => {
            problems.add("threshold", "threshold below minimum: it must be at least 2");
            usual
        }
        n if nodes >= 3 && n > nodes.into() => {
            problems.add(
                "threshold",
                format_args!("threshold exceeds number of nodes: {n} of {nodes}"),
            );
            usual
        }
        n => {
            if n != usual {
                warnings.push(format!("--threshold: {n} is not the usual {usual} for {nodes} nodes: the cluster may be less safe or less available"));
            }
            n
        }
    }
}

/// One address for all, or one per validator.
fn addresses(
    flag: &str,
    texts: &[String],
    validators: Option<u64>,
    network: &Network,
    problems: &mut Problems,
) -> Vec<String> {
    let list = problems.list(flag, texts);
    let count = u64::try_from(list.len()).unwrap_or(u64::MAX);
    if list.is_empty() {
        problems.add(flag, "missing: give one address for all validators, or one for each");
    } else if validators.is_some_and(|v| count != 1 && count != v) {
        problems.add(
            flag,
            format_args!(
                "{count} addresses for {} validators: give one, or one for each",
                validators.unwrap_or_default()
            ),
        );
    }
    for text in list.iter().collect::<BTreeSet<_>>() {
        match address::parse_unless_mistyped(text) {
            Ok(found) if found == [0; 20] && network.has_value() => problems.add(
                flag,
                format_args!(
                    "the zero address is refused on {}: what is sent there is lost",
                    network.name
                ),
            ),
            Ok(_) => {}
            Err(e) => problems.add(flag, e),
        }
    }
    list
}

fn amounts(texts: &[String], compounding: bool, problems: &mut Problems) -> Option<Vec<u64>> {
    let list = problems.list("deposit-amounts", texts);
    if list.is_empty() {
        return None;
    }
    let gwei: Vec<u64> = list
        .iter()
        .map(|text| {
            problems
                .number::<u64>("deposit-amounts", text)
                .saturating_mul(deposit::ETH)
        })
        .collect();
    if let Err(e) = deposit::check_amounts(&gwei, compounding) {
        problems.add("deposit-amounts", e);
    }
    Some(gwei)
}

impl FromFlags {
    /// The network, which may be that of the problem if the flags name none.
    pub(super) fn network(&self) -> &Network {
        &self.network
    }

    /// How many nodes.
    pub(super) fn nodes(&self) -> u8 {
        self.nodes
    }

    /// Whether each key has an address of its own, so that their order counts.
    pub(super) fn order_counts(&self) -> bool {
        self.fee_recipients.len() > 1 || self.withdrawals.len() > 1
    }

    /// What to create; `existing` are the keys to split.
    ///
    /// # Errors
    /// If there are not as many addresses as keys.
    pub(super) fn request(&self, existing: Option<Vec<SecretKey>>) -> anyhow::Result<Request> {
        let count = match &existing {
            Some(keys) => keys.len(),
            None => usize::try_from(self.validators.unwrap_or_default()).unwrap_or_default(),
        };
        let each = |list: &[String], flag: &str| match list {
            [one] => Ok(vec![one.clone(); count]),
            all if all.len() == count => Ok(all.to_vec()),
            all => Err(anyhow::anyhow!(
                "--{flag}: {} addresses for {count} validators: give one, or one for each",
                all.len()
            )),
        };
        let fee_recipients = each(&self.fee_recipients, "fee-recipient-addresses")?;
        let withdrawals = each(&self.withdrawals, "withdrawal-addresses")?;
        let pairs = fee_recipients.into_iter().zip(withdrawals);
        let now = jiff::Timestamp::now();
        let mut id = [0; 16];
        random(&mut id);
        let definition = Definition {
            name: self.name.clone(),
            creator: Creator::default(),
            operators: Vec::new(),
            uuid: uuid::Builder::from_random_bytes(id)
                .into_uuid()
                .to_string()
                .to_uppercase(),
            version: self.version,
            timestamp: now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            num_validators: u64::try_from(count).unwrap_or(u64::MAX),
            threshold: self.threshold,
            validators: pairs
                .map(|(fee_recipient, withdrawal)| Addresses {
                    fee_recipient,
                    withdrawal,
                })
                .collect(),
            dkg_algorithm: "default".to_owned(),
            fork_version: self.network.genesis_fork_version.to_vec(),
            deposit_amounts: self.amounts.clone(),
            consensus_protocol: self.protocol.clone(),
            target_gas_limit: self.gas_limit,
            compounding: self.compounding,
            config_hash: Vec::new(),
            definition_hash: Vec::new(),
        };
        Ok(Request {
            registration_time: registration_time(&self.network, existing.is_some()),
            definition,
            nodes: self.nodes,
            network: self.network.clone(),
            existing,
        })
    }
}
