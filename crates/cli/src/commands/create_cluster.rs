//! `trireme create cluster`: settings from the flags or a definition file; what is made from them is in crate `cluster`.

use std::{
    collections::BTreeSet,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use trireme_cluster::{
    Addresses, Creator, Definition, MAX_VALIDATORS, Network, Networks, Version, address,
    create::{Created, Request, create, usual_threshold},
    deposit,
    folder::{KeystoreFile, index_of, open_keystore, password_name},
};
use trireme_keys::keystore::Cost;
use trireme_tbls::SecretKey;

use super::{Given, not_built_yet, random};
use crate::{
    definition_source,
    flags::CreateClusterFlags,
    network::{Custom, custom},
    values::{Problems, given},
    writer::{self, Folders},
};

const NOT_BUILT: [(&str, &str); 5] = [
    ("keymanager-addresses", "the key shares are written into the folders"),
    ("keymanager-auth-tokens", "the key shares are written into the folders"),
    ("publish", "the lock is only written into the folders"),
    (
        "execution-client-rpc-endpoint",
        "signatures of smart-contract wallets are refused",
    ),
    ("zipped", "the folders are left as they are"),
];

/// Checked settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateClusterConfig {
    /// Where the folders go.
    pub folder: PathBuf,
    /// What to create.
    pub source: Source,
    /// The keys of existing validators, if they are to be split.
    pub split: Option<PathBuf>,
    /// What keystores cost.
    pub insecure: bool,
    /// Networks by name and fork version.
    pub networks: Networks,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// Where a cluster's description comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A definition file's path or URL.
    File(String),
    /// The flags.
    Flags(Box<FromFlags>),
}

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

/// Reads the flags.
///
/// # Errors
/// All problems together.
pub fn config(flags: &CreateClusterFlags, given_flags: &Given) -> Result<CreateClusterConfig, Problems> {
    let mut problems = Problems::default();
    let mut warnings = not_built_yet(given_flags, &NOT_BUILT);
    let (networks, network) = networks(flags, &mut problems);
    let insecure = problems.bool("insecure-keys", &flags.insecure_keys);
    let split = problems.bool("split-existing-keys", &flags.split_existing_keys);
    let split = match (split, given(&flags.split_keys_dir)) {
        (true, Some(folder)) => Some(PathBuf::from(folder)),
        (true, None) => {
            problems.add(
                "split-keys-dir",
                "needed with --split-existing-keys: the folder with the keys to split",
            );
            None
        }
        (false, Some(_)) => {
            problems.add("split-keys-dir", "given without --split-existing-keys");
            None
        }
        (false, None) => None,
    };
    let source = match given(&flags.definition_file) {
        Some(file) => Source::File(file.to_owned()),
        None => Source::Flags(Box::new(from_flags(
            flags,
            network,
            split.is_some(),
            &mut problems,
            &mut warnings,
        ))),
    };
    if insecure {
        warnings.push(
            "--insecure-keys: anybody who gets a keystore opens it; never use these keys with real funds".to_owned(),
        );
    }
    problems.finish(CreateClusterConfig {
        folder: PathBuf::from(&flags.cluster_dir),
        source,
        split,
        insecure,
        networks,
        warnings,
    })
}

/// The known networks with the custom one, and the one that is meant.
fn networks(flags: &CreateClusterFlags, problems: &mut Problems) -> (Networks, Network) {
    let known = Networks::known();
    let unknown = Network {
        name: String::new(),
        genesis_fork_version: [0; 4],
        chain_id: 0,
        genesis_time: 0,
        capella_fork_version: None,
    };
    match custom(&flags.testnet, "", problems) {
        Custom::Network(network) => (known.with(network.clone()), network),
        Custom::Partly => {
            problems.add(
                "testnet-name",
                "a custom network needs name, fork version, chain id and genesis timestamp",
            );
            (known, unknown)
        }
        Custom::None => {
            let named = known.by_name(&flags.network).cloned();
            let network = named.unwrap_or_else(|| {
                problems.add(
                    "network",
                    format_args!("{:?} is not one of {}", flags.network, known.names()),
                );
                unknown
            });
            (known, network)
        }
    }
}

fn from_flags(
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
        problems,
    );
    let withdrawals = addresses("withdrawal-addresses", &flags.withdrawal_addresses, expected, problems);
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
fn addresses(flag: &str, texts: &[String], validators: Option<u64>, problems: &mut Problems) -> Vec<String> {
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
    for text in &list {
        if let Err(e) = address::parse(text) {
            problems.add(flag, e);
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

/// Makes the cluster, writes its folders, and says so on `out`.
///
/// # Errors
/// If something stands in the way of what is to be written, or the definition or the keys to split are of no use.
pub fn run(config: &CreateClusterConfig, out: &mut dyn Write) -> anyhow::Result<()> {
    for warning in &config.warnings {
        tracing::warn!(topic = "cmd", "{warning}");
    }
    let existing = config
        .split
        .as_deref()
        .map(|folder| read_split_keys(folder, &config.source))
        .transpose()?;
    let request = match &config.source {
        Source::File(file) => from_definition(file, config, existing)?,
        Source::Flags(flags) => flags.request(existing)?,
    };
    let folders = Folders::new(&config.folder, request.nodes)?;
    let created: Created = create(&request, &mut random).context("the cluster cannot be created")?;
    let cost = if config.insecure { Cost::Insecure } else { Cost::Full };
    writer::write(&folders, created, cost)?;
    let folder = std::path::absolute(&config.folder).unwrap_or_else(|_| config.folder.clone());
    listing(out, &folder, request.nodes, config.split.is_some())
}

impl FromFlags {
    fn request(&self, existing: Option<Vec<SecretKey>>) -> anyhow::Result<Request> {
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

/// Genesis for new validators, so that all sign the same; now for those that may have registered before.
fn registration_time(network: &Network, existing: bool) -> u64 {
    if existing {
        u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or_default()
    } else {
        network.genesis_time
    }
}

/// A definition from a file or URL, checked as a launchpad's solo flow makes it.
fn from_definition(
    file: &str,
    config: &CreateClusterConfig,
    existing: Option<Vec<SecretKey>>,
) -> anyhow::Result<Request> {
    let bytes = definition_source::read(file)?;
    let definition =
        Definition::from_json(&bytes).with_context(|| format!("the cluster definition {file} cannot be read"))?;
    let wrong = || format!("the cluster definition {file} does not verify");
    definition.verify_signatures(&config.networks).with_context(wrong)?;
    definition.verify_hashes().with_context(wrong)?;
    let network = config
        .networks
        .by_fork_version(&definition.fork_version)
        .with_context(|| {
            format!("the cluster definition {file} names no known network; name it with the --testnet flags")
        })?
        .clone();
    if definition.name.is_empty() {
        anyhow::bail!("the cluster definition {file} has no name");
    }
    if !matches!(definition.consensus_protocol.to_lowercase().as_str(), "" | "qbft") {
        anyhow::bail!(
            "the cluster definition {file} asks for consensus protocol {:?}, which is not supported",
            definition.consensus_protocol
        );
    }
    if config.insecure && matches!(network.name.as_str(), "mainnet" | "gnosis") {
        anyhow::bail!("--insecure-keys is refused for {}", network.name);
    }
    for pair in &definition.validators {
        address::parse_checksummed(&pair.withdrawal).with_context(|| format!("the cluster definition {file}"))?;
    }
    let nodes = u8::try_from(definition.operators.len()).with_context(|| {
        format!(
            "the cluster definition {file} has {} operators",
            definition.operators.len()
        )
    })?;
    Ok(Request {
        registration_time: registration_time(&network, existing.is_some()),
        definition,
        nodes,
        network,
        existing,
    })
}

/// Opens the keystores to split. Where each has an address of its own they must be numbered 0, 1, 2, ... without gap.
fn read_split_keys(folder: &Path, source: &Source) -> anyhow::Result<Vec<SecretKey>> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("the folder {} cannot be read", folder.display()))?;
    let mut names: Vec<(u64, String)> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| Some((index_of(&name)?, name)))
        .collect();
    names.sort();
    if names.is_empty() {
        anyhow::bail!("no keystore-*.json in {}", folder.display());
    }
    let distinct = |list: &[String]| list.iter().collect::<BTreeSet<_>>().len() > 1;
    let strict = match source {
        Source::File(_) => true,
        Source::Flags(flags) => distinct(&flags.fee_recipients) || distinct(&flags.withdrawals),
    };
    if strict {
        for (expected, (index, name)) in (0_u64..).zip(&names) {
            if expected != *index {
                anyhow::bail!(
                    "{} holds {name} where keystore-{expected}.json should be: each key has its own address, so they are numbered from 0 without gap",
                    folder.display()
                );
            }
        }
    }
    let read = |name: &str| {
        let path = folder.join(name);
        std::fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))
    };
    names
        .iter()
        .map(|(_, name)| {
            let (json, password) = (read(name)?, zeroize::Zeroizing::new(read(&password_name(name))?));
            let file = KeystoreFile {
                name,
                json: &json,
                password: Some(&password),
            };
            open_keystore(file).with_context(|| format!("in {}", folder.display()))
        })
        .collect()
}

/// What was made, as Charon lists it.
fn listing(out: &mut dyn Write, folder: &Path, nodes: u8, split: bool) -> anyhow::Result<()> {
    if split {
        writeln!(
            out,
            "\n***************** WARNING: Splitting keys **********************"
        )?;
        writeln!(out, " Please make sure any existing validator has been shut down for")?;
        writeln!(out, " at least 2 finalized epochs before starting the charon cluster,")?;
        writeln!(out, " otherwise slashing could occur.                               ")?;
        writeln!(
            out,
            "****************************************************************\n"
        )?;
    }
    let last = nodes.saturating_sub(1);
    writeln!(out, "Created charon cluster:\n --split-existing-keys={split}\n")?;
    writeln!(out, "{}/", folder.display().to_string().trim_end_matches('/'))?;
    writeln!(out, "├─ node[0-{last}]/\t\t\tDirectory for each node")?;
    for (name, what) in [
        (
            "├─ charon-enr-private-key\t",
            "Charon networking private key for node authentication",
        ),
        (
            "├─ cluster-lock.json\t\t",
            "Cluster lock defines the cluster lock file which is signed by all nodes",
        ),
        (
            "├─ deposit-data-*.json\t",
            "Deposit data files are used to activate a Distributed Validator on the DV Launchpad",
        ),
        ("├─ validator_keys\t\t", "Validator keystores and password"),
        (
            "│  ├─ keystore-*.json\t",
            "Validator private share key for duty signing",
        ),
        (
            "│  ├─ keystore-*.txt\t\t",
            "Keystore password files for keystore-*.json",
        ),
    ] {
        writeln!(out, "│  {name}{what}")?;
    }
    Ok(())
}
