//! `trireme create dkg`: the definition that operators generate keys by, into a file or onto the remote API.
//!
//! ```text
//!   flags ─► Invitation ─► definition, verified ─┬─► cluster-definition.json, staged and moved
//!                                                └─► signed by a creator made for it, terms and definition posted
//! ```
//!
//! Guarantees: an old definition is never overwritten, and a new one is whole or not there; what is published is signed by
//! a key that is used once and kept nowhere.
//! Not here: the ceremony; what makes a definition right (`trireme_cluster::invite`).

use std::{
    collections::BTreeSet,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde_json::json;
use trireme_cluster::{
    Addresses, Definition, MAX_OPERATORS, MAX_VALIDATORS, Network, Networks, Version, address,
    create::{MIN_NODES, usual_threshold},
    deposit,
    invite::{ALGORITHMS, Invitation, Invited, terms_digest},
};
use trireme_files::{Disk, FileError, FileSystem, Staging, Step, ensure_absent};
use trireme_keys::{Enr, IdentityKey};
use trireme_remote::{Api, Execution, Terms, api, execution::STARTS_WITHIN};
use zeroize::Zeroizing;

use super::{blocking, random};
use crate::{
    flags::CreateDkgFlags,
    network::networks,
    output::{Output, write_json},
    values::{Problems, given},
};

/// Name of the file that is made.
pub const DEFINITION_FILE: &str = "cluster-definition.json";
/// Longest name, by the hash's own limit.
const MAX_NAME: usize = 256;

/// Checked settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateDkgConfig {
    /// What is proposed; UUID and time are made when it is.
    invitation: Invitation,
    networks: Networks,
    target: Target,
    execution: Option<String>,
    output: Output,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// Where the definition goes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    Folder(PathBuf),
    /// The API at this address.
    Api(String),
}

/// Reads the flags.
///
/// # Errors
/// All problems together.
pub fn config(flags: &CreateDkgFlags) -> Result<CreateDkgConfig, Problems> {
    let mut problems = Problems::default();
    let mut warnings = Vec::new();
    let networks = networks(&flags.testnet, &mut problems);
    let network = network(
        &flags.network,
        given(&flags.testnet.testnet_name),
        &networks,
        &mut problems,
    );
    let publish = problems.bool("publish", &flags.publish);
    let invited = invited(flags, publish, &mut problems);
    let operators = match &invited {
        Invited::Records(list) | Invited::Wallets(list) => list.len(),
    };
    let version = match flags.definition_version.parse() {
        Ok(version @ (Version::V1_10 | Version::V1_11)) => version,
        Ok(_) | Err(_) => {
            let problem = format_args!("{:?} is neither v1.10.0 nor v1.11.0", flags.definition_version);
            problems.add("definition-version", problem);
            Version::DEFAULT
        }
    };
    if network.name == "holesky" && version > Version::V1_10 {
        warnings
            .push("--definition-version: no Charon takes part, as those that read v1.11.0 know holesky no more".into());
    }
    let compounding = problems.bool("compounding", &flags.compounding);
    let target_gas_limit: u64 = problems.number("target-gas-limit", &flags.target_gas_limit);
    if target_gas_limit == 0 {
        problems.add("target-gas-limit", "target gas limit not set: it must not be 0");
    }
    if !ALGORITHMS.contains(&flags.dkg_algorithm.as_str()) {
        let problem = format_args!("{:?} is not one of {}", flags.dkg_algorithm, ALGORITHMS.join(", "));
        problems.add("dkg-algorithm", problem);
    }
    if !matches!(flags.consensus_protocol.to_lowercase().as_str(), "" | "qbft") {
        let problem = format_args!("{:?} is not supported, only qbft", flags.consensus_protocol);
        problems.add("consensus-protocol", problem);
    }
    if flags.name.len() > MAX_NAME {
        problems.add(
            "name",
            format_args!("{} bytes; at most {MAX_NAME} fit a definition", flags.name.len()),
        );
    }
    let execution = given(&flags.execution_client_rpc_endpoint).map(str::to_owned);
    if let Some(Err(e)) = execution.as_deref().map(Execution::new) {
        problems.add("execution-client-rpc-endpoint", e);
    }
    if let (true, Err(e)) = (publish, Api::new(&flags.publish_address, api::TIMEOUT)) {
        problems.add("publish-address", e);
    }
    let config = CreateDkgConfig {
        invitation: Invitation {
            name: flags.name.clone(),
            version,
            threshold: threshold(&flags.threshold, operators, &mut problems, &mut warnings),
            invited,
            validators: validators(flags, &network, &mut problems),
            network,
            algorithm: flags.dkg_algorithm.clone(),
            deposit_amounts: amounts(&flags.deposit_amounts, compounding, &mut problems),
            consensus_protocol: flags.consensus_protocol.clone(),
            target_gas_limit,
            compounding,
            uuid: String::new(),
            timestamp: String::new(),
        },
        networks,
        target: if publish {
            Target::Api(flags.publish_address.clone())
        } else {
            Target::Folder(PathBuf::from(&flags.output_dir))
        },
        execution,
        output: problems.or_default("output", flags.output.output.parse()),
        warnings,
    };
    problems.finish(config)
}

/// The custom network if there is one, else the one that is named.
fn network(name: &str, custom: Option<&str>, networks: &Networks, problems: &mut Problems) -> Network {
    let found = match custom {
        // A custom network stands behind the known ones.
        Some(custom) => networks.all().filter(|n| n.name == custom).last(),
        None => networks.by_name(name),
    };
    found.cloned().unwrap_or_else(|| {
        if custom.is_none() {
            problems.add("network", format_args!("{name:?} is not one of {}", networks.names()));
        }
        Network {
            name: String::new(),
            genesis_fork_version: [0xff; 4],
            chain_id: 0,
            genesis_time: 0,
            capella_fork_version: None,
        }
    })
}

fn invited(flags: &CreateDkgFlags, publish: bool, problems: &mut Problems) -> Invited {
    const ENRS: &str = "operator-enrs";
    const ADDRESSES: &str = "operator-addresses";
    let enrs = problems.list(ENRS, &flags.operator_enrs);
    let addresses = problems.list(ADDRESSES, &flags.operator_addresses);
    let few = |flag: &str, count: usize, problems: &mut Problems| {
        if !(usize::from(MIN_NODES)..=MAX_OPERATORS).contains(&count) {
            let problem = format_args!("{count} operators; a cluster has {MIN_NODES} to {MAX_OPERATORS}");
            problems.add(flag, problem);
        }
    };
    match (enrs.is_empty(), addresses.is_empty(), publish) {
        (false, false, _) => problems.add(ADDRESSES, "not together with --operator-enrs: give one of them"),
        (true, false, false) => problems.add(
            ADDRESSES,
            "only with --publish: operators who have an address alone join on the launchpad; else give --operator-enrs",
        ),
        (true, true, false) => problems.add(ENRS, "missing: give the ENR of every operator's node"),
        (true, true, true) => problems.add(ENRS, "missing: give --operator-enrs or --operator-addresses"),
        (false, true, _) => {
            few(ENRS, enrs.len(), problems);
            let mut seen = BTreeSet::new();
            for (at, text) in enrs.iter().enumerate() {
                match text.parse::<Enr>() {
                    Err(e) => problems.add(ENRS, format_args!("operator {at}: {e}")),
                    Ok(enr) if !seen.insert(*enr.public_key().as_bytes()) => {
                        let problem = "its key is an earlier operator's; each operator runs a node of its own";
                        problems.add(ENRS, format_args!("operator {at}: {problem}"));
                    }
                    Ok(_) => {}
                }
            }
        }
        (true, false, true) => {
            few(ADDRESSES, addresses.len(), problems);
            for text in &addresses {
                if let Err(e) = address::parse_unless_mistyped(text) {
                    problems.add(ADDRESSES, e);
                }
            }
        }
    }
    if addresses.is_empty() {
        Invited::Records(enrs)
    } else {
        Invited::Wallets(addresses)
    }
}

fn threshold(text: &str, operators: usize, problems: &mut Problems, warnings: &mut Vec<String>) -> u64 {
    let count = u64::try_from(operators).unwrap_or(u64::MAX);
    let usual = usual_threshold(count);
    match problems.number::<u64>("threshold", text) {
        0 => usual,
        1 => {
            problems.add("threshold", "threshold below minimum: it must be at least 2");
            usual
        }
        given if given > count && operators != 0 => {
            let problem = format_args!("threshold exceeds number of nodes: {given} of {operators}");
            problems.add("threshold", problem);
            usual
        }
        given => {
            if given != usual && operators != 0 {
                warnings.push(format!(
                    "--threshold: {given} is not the usual {usual} for {operators} nodes: the cluster may be less safe or less available"
                ));
            }
            given
        }
    }
}

fn validators(flags: &CreateDkgFlags, network: &Network, problems: &mut Problems) -> Vec<Addresses> {
    let count: u64 = problems.number("num-validators", &flags.num_validators);
    if !(1..=MAX_VALIDATORS).contains(&count) {
        problems.add(
            "num-validators",
            format_args!("{count} validators; a cluster has 1 to {MAX_VALIDATORS}"),
        );
    }
    let count = usize::try_from(count.min(MAX_VALIDATORS)).unwrap_or_default();
    let mut read = |flag: &str, texts: &[String], parse: fn(&str) -> Result<[u8; 20], address::AddressError>| {
        let list = problems.list(flag, texts);
        for text in list.iter().collect::<BTreeSet<_>>() {
            match parse(text) {
                Ok(found) if found == [0; 20] && network.has_value() => {
                    let problem = format_args!(
                        "the zero address is refused on {}: what is sent there is lost",
                        network.name
                    );
                    problems.add(flag, problem);
                }
                Ok(_) => {}
                Err(e) => problems.add(flag, e),
            }
        }
        match list.as_slice() {
            [] => problems.add(flag, "missing: give one address for all validators, or one for each"),
            [one] => return vec![one.clone(); count],
            many if many.len() != count => problems.add(
                flag,
                format_args!(
                    "{} addresses for {count} validators: give one, or one for each",
                    many.len()
                ),
            ),
            _ => {}
        }
        list
    };
    let fee_recipients = read(
        "fee-recipient-addresses",
        &flags.fee_recipient_addresses,
        address::parse_unless_mistyped,
    );
    let withdrawals = read(
        "withdrawal-addresses",
        &flags.withdrawal_addresses,
        address::parse_checksummed,
    );
    let pairs = fee_recipients.into_iter().zip(withdrawals);
    pairs
        .map(|(fee_recipient, withdrawal)| Addresses {
            fee_recipient,
            withdrawal,
        })
        .collect()
}

fn amounts(texts: &[String], compounding: bool, problems: &mut Problems) -> Option<Vec<u64>> {
    const FLAG: &str = "deposit-amounts";
    let list = problems.list(FLAG, texts);
    if list.is_empty() {
        return None;
    }
    let mut gwei = |text: &String| problems.number::<u64>(FLAG, text).saturating_mul(deposit::ETH);
    let amounts: Vec<u64> = list.iter().map(&mut gwei).collect();
    if let Err(e) = deposit::check_amounts(&amounts, compounding) {
        problems.add(FLAG, e);
    }
    Some(amounts)
}

/// How the definition gets to its target.
enum Way<'a> {
    Into(Staging<'a>, &'a Path),
    Onto(&'a str),
}

/// Makes the definition and says so on `out`.
///
/// # Errors
/// If there is one already, it cannot be written, or a server does not do its part.
pub fn run(config: &CreateDkgConfig, out: &mut dyn Write) -> anyhow::Result<()> {
    run_on(&Disk, config, out)
}

/// As [`run`], on this file system.
///
/// # Errors
/// As [`run`].
pub fn run_on(fs: &dyn FileSystem, config: &CreateDkgConfig, out: &mut dyn Write) -> anyhow::Result<()> {
    let way = match &config.target {
        Target::Folder(folder) => Way::Into(begin(fs, folder)?, folder),
        Target::Api(address) => Way::Onto(address),
    };
    if let Some(endpoint) = &config.execution {
        let client = Execution::new(endpoint).context("--execution-client-rpc-endpoint")?;
        let reached = blocking(async {
            client.ready(STARTS_WITHIN).await?;
            client.follows(&config.invitation.network).await
        })?;
        reached.context("--execution-client-rpc-endpoint")?;
    }
    let mut id = [0; 16];
    random(&mut id);
    let invitation = Invitation {
        uuid: uuid::Builder::from_random_bytes(id)
            .into_uuid()
            .to_string()
            .to_uppercase(),
        timestamp: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        ..config.invitation.clone()
    };
    let mut definition = invitation.definition().context("the definition cannot be made")?;
    let made = match way {
        Way::Into(staging, folder) => {
            verify(&definition, config)?;
            staging.put(DEFINITION_FILE, 0o444, Zeroizing::new(definition.to_json(1)?))?;
            staging.seal()?;
            staging.commit(vec![Step::Move(DEFINITION_FILE.to_owned())])?;
            Made::File(folder.join(DEFINITION_FILE))
        }
        Way::Onto(address) => publish(address, &mut definition, config)?,
    };
    show(&made, &definition, config, out)
}

/// The way into the folder, if no definition is there. An interrupted run is finished first, so that what it made is found.
fn begin<'fs>(fs: &'fs dyn FileSystem, folder: &Path) -> anyhow::Result<Staging<'fs>> {
    let existing =
        || format!("existing {DEFINITION_FILE} found. Try again after deleting it, or give another --output-dir");
    let staging = match Staging::begin(fs, folder) {
        Err(error @ FileError::Exists(_)) => return Err(error).with_context(existing),
        other => other?,
    };
    ensure_absent(fs, &folder.join(DEFINITION_FILE)).with_context(existing)?;
    Ok(staging)
}

/// Our own work is checked as any other's. Operators who are known by their address have not signed yet, so there the
/// hashes alone are right.
fn verify(definition: &Definition, config: &CreateDkgConfig) -> anyhow::Result<()> {
    definition
        .verify_hashes()
        .context("our own definition does not verify")?;
    if let Invited::Records(_) = config.invitation.invited {
        definition
            .verify_signatures(&config.networks)
            .context("our own definition does not verify")?;
    }
    Ok(())
}

/// Where the definition is now.
enum Made {
    File(PathBuf),
    /// The link that operators follow: an URL for `--definition-file`, or the launchpad's page.
    Published {
        url: String,
        launchpad: Option<String>,
    },
}

fn publish(address: &str, definition: &mut Definition, config: &CreateDkgConfig) -> anyhow::Result<Made> {
    let network = &config.invitation.network;
    let creator = IdentityKey::generate(random);
    definition.sign_as_creator(&creator, network.chain_id)?;
    verify(definition, config)?;
    let api = Api::new(address, api::TIMEOUT).context("--publish-address")?;
    let terms = Terms {
        address: creator.public_key().eth_address(),
        fork_version: network.genesis_fork_version,
        signature: creator.sign_digest(&terms_digest()),
    };
    blocking(async {
        api.sign_terms(&terms).await?;
        api.publish_definition(definition).await
    })?
    .context("the definition is not published, and nothing was written")?;
    let launchpad = match &config.invitation.invited {
        Invited::Records(_) => None,
        Invited::Wallets(_) => Some(launchpad(&network.name, &definition.config_hash)),
    };
    Ok(Made::Published {
        url: api.definition_url(&definition.config_hash),
        launchpad,
    })
}

/// The page on which operators join.
fn launchpad(network: &str, config_hash: &[u8]) -> String {
    let prefix = match network {
        "hoodi" => "hoodi.",
        "sepolia" => "sepolia.",
        _ => "",
    };
    format!("https://{prefix}launchpad.obol.org/dv#0x{}", hex::encode(config_hash))
}

/// The Charon lines that read the schema and know the network, newest last.
fn charon_lines(version: Version, network: &str) -> &'static [&'static str] {
    match (version >= Version::V1_11, network == "holesky") {
        (false, false) => &["v1.9", "v1.10", "v1.11"],
        (false, true) => &["v1.9", "v1.10"],
        (true, false) => &["v1.11"],
        (true, true) => &[],
    }
}

fn show(made: &Made, definition: &Definition, config: &CreateDkgConfig, out: &mut dyn Write) -> anyhow::Result<()> {
    let lines = charon_lines(definition.version, &config.invitation.network.name);
    let text_of = |hash: &[u8]| format!("0x{}", hex::encode(hash));
    if config.output == Output::Json {
        let mut facts = json!({
            "charon_versions": lines,
            "config_hash": text_of(&definition.config_hash),
            "definition_hash": text_of(&definition.definition_hash),
            "operators": definition.operators.len(),
            "threshold": definition.threshold,
            "validators": definition.num_validators,
            "version": definition.version.as_str(),
        });
        let mut add = |key: &str, value: String| {
            if let Some(map) = facts.as_object_mut() {
                map.insert(key.to_owned(), value.into());
            }
        };
        match made {
            Made::File(path) => add("definition_file", path.display().to_string()),
            Made::Published { url, launchpad } => {
                add("definition_url", url.clone());
                if let Some(link) = launchpad {
                    add("launchpad", link.clone());
                }
            }
        }
        return Ok(write_json(out, &facts)?);
    }
    match made {
        Made::File(path) => {
            writeln!(out, "Created cluster definition: {}", path.display())?;
            writeln!(out, "Definition hash: {}", text_of(&definition.definition_hash))?;
            writeln!(
                out,
                "\nSend this file to every operator. Each puts it into the folder of its identity key and, all at the same time,\n\
                 runs the ceremony: trireme dkg (or charon dkg)"
            )?;
        }
        Made::Published { url, launchpad: None } => {
            writeln!(out, "Published cluster definition: {url}")?;
            writeln!(out, "Definition hash: {}", text_of(&definition.definition_hash))?;
            writeln!(
                out,
                "\nEvery operator runs the ceremony, all at the same time: trireme dkg --definition-file={url}"
            )?;
        }
        Made::Published {
            url,
            launchpad: Some(link),
        } => {
            writeln!(out, "Published invitation: {link}")?;
            writeln!(
                out,
                "\nEvery operator opens this link and signs with the wallet of its address. When all have signed, each runs the\n\
                 ceremony, all at the same time: trireme dkg --definition-file={url}"
            )?;
            if definition.version < Version::V1_11 {
                writeln!(
                    out,
                    "Wallets of several owners (Safe) that put signatures side by side need --definition-version=v1.11.0."
                )?;
            }
        }
    }
    let who = match lines {
        [] => "no Charon; Trireme alone".to_owned(),
        [one] => format!("Charon {one} alone, besides Trireme"),
        [several @ .., last] => format!("Charon {} and {last}, besides Trireme", several.join(", ")),
    };
    writeln!(
        out,
        "\nWho can take part ({}): {who}. All operators need the same minor version.",
        definition.version
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_launchpads_page_is_that_of_the_network() {
        assert_eq!(launchpad("mainnet", &[1, 2]), "https://launchpad.obol.org/dv#0x0102");
        assert_eq!(launchpad("hoodi", &[1]), "https://hoodi.launchpad.obol.org/dv#0x01");
        assert_eq!(launchpad("sepolia", &[1]), "https://sepolia.launchpad.obol.org/dv#0x01");
    }

    #[test]
    fn lines_of_charon_that_do_not_read_the_file_are_not_named() {
        assert_eq!(charon_lines(Version::V1_10, "hoodi"), ["v1.9", "v1.10", "v1.11"]);
        assert_eq!(charon_lines(Version::V1_10, "holesky"), ["v1.9", "v1.10"]);
        assert_eq!(charon_lines(Version::V1_11, "mainnet"), ["v1.11"]);
        assert!(charon_lines(Version::V1_11, "holesky").is_empty());
    }
}
