//! `trireme create cluster`: a cluster made in one place, by a definition or by flags; what is made is in crate `cluster`.
//!
//! ```text
//!   places free? ─► keymanagers answer? ─► keys, lock ─► staged, flushed, checked ─► packed? pushed? ─► into place
//! ```
//!
//! Guarantees: what is in the way is named before anything is made; interrupted anywhere, the folder holds no part of a
//! cluster, or the next command makes it whole.

mod files;
mod from_definition;
mod from_flags;
mod push;
mod words;

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use trireme_cluster::{
    Lock, Network, Networks, Wallets,
    create::{Request, create_by},
};
use trireme_files::{Disk, FileSystem, Staging};
use trireme_keys::keystore::Cost;
use trireme_remote::{Api, Token, keymanager::Keymanager};

pub use self::from_flags::FromFlags;
use self::{
    from_definition::{FromDefinition, from_definition},
    from_flags::from_flags,
    words::Made,
};
use super::{Given, random};
use crate::{
    flags::CreateClusterFlags,
    network::{Custom, custom},
    output::{Output, write_json},
    progress::Cores,
    split_keys::{self, Order},
    values::{Problems, given},
};

/// Largest file that a token is read from, in bytes.
const MAX_TOKEN_FILE: u64 = 64 << 10;

/// From so many validators on, making their keys takes so long that it is announced.
const MANY: u64 = 200;

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
    /// Address and token of each node's keymanager; empty to write the shares into the folders.
    pub keymanagers: Vec<(String, Token)>,
    /// Where the lock is published, if it is.
    pub publish: Option<String>,
    /// Whether the folders are packed.
    pub zipped: bool,
    /// An execution client's endpoint, to ask wallets that are contracts.
    pub execution: Option<String>,
    /// How the facts of what was made are shown.
    pub output: Output,
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

/// Reads the flags.
///
/// # Errors
/// All problems together.
pub fn config(flags: &CreateClusterFlags, _given: &Given) -> Result<CreateClusterConfig, Problems> {
    let mut problems = Problems::default();
    let mut warnings = Vec::new();
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
    if let Source::Flags(from) = &source
        && insecure
        && from.network().has_value()
    {
        problems.add("insecure-keys", format_args!("refused on {}", from.network().name));
    }
    let keymanagers = keymanagers(flags, &source, &mut problems);
    let publish = problems
        .bool("publish", &flags.publish)
        .then(|| flags.publish_address.clone());
    if let Some(address) = &publish
        && let Err(error) = Api::new(address, std::time::Duration::ZERO)
    {
        problems.add("publish-address", error);
    }
    if insecure {
        warnings.push(
            "--insecure-keys: anybody who gets a keystore opens it; never use these keys with real funds".to_owned(),
        );
    }
    let config = CreateClusterConfig {
        folder: PathBuf::from(&flags.cluster_dir),
        source,
        split,
        insecure,
        keymanagers,
        publish,
        zipped: problems.bool("zipped", &flags.zipped),
        execution: given(&flags.execution_client_rpc_endpoint).map(str::to_owned),
        output: problems.or_default("output", flags.output.output.parse()),
        networks,
        warnings,
    };
    problems.finish(config)
}

/// One keymanager for each node, with its token. A token `@path` stands in that file.
fn keymanagers(flags: &CreateClusterFlags, source: &Source, problems: &mut Problems) -> Vec<(String, Token)> {
    let addresses = problems.list("keymanager-addresses", &flags.keymanager_addresses);
    let tokens = problems.list("keymanager-auth-tokens", &flags.keymanager_auth_tokens);
    if addresses.len() != tokens.len() {
        problems.add(
            "keymanager-auth-tokens",
            format_args!("{} tokens for {} keymanager addresses", tokens.len(), addresses.len()),
        );
        return Vec::new();
    }
    if let Source::Flags(from) = source
        && !addresses.is_empty()
        && addresses.len() != usize::from(from.nodes())
    {
        problems.add(
            "keymanager-addresses",
            format_args!(
                "{} addresses for {} nodes: give one for each",
                addresses.len(),
                from.nodes()
            ),
        );
    }
    let mut all = Vec::with_capacity(addresses.len());
    for (address, token) in addresses.into_iter().zip(tokens) {
        let token = match token.strip_prefix('@') {
            Some(path) => token_file(path),
            None => Token::parse(&token).map_err(|e| e.to_string()),
        };
        match token {
            Ok(token) => {
                if let Err(error) = Keymanager::new(&address, token.clone()) {
                    problems.add("keymanager-addresses", error);
                }
                all.push((address, token));
            }
            Err(problem) => problems.add("keymanager-auth-tokens", problem),
        }
    }
    all
}

fn token_file(path: &str) -> Result<Token, String> {
    let bytes = trireme_files::read_secret(&Disk, Path::new(path), MAX_TOKEN_FILE).map_err(|e| e.to_string())?;
    let text = std::str::from_utf8(&bytes).map_err(|_| format!("{path} is no text"))?;
    Token::parse(text).map_err(|e| format!("{path}: {e}"))
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

/// Makes the cluster, writes its folders, and says so on `out`.
///
/// # Errors
/// If something stands in the way of what is to be written, or the definition or the keys to split are of no use.
pub fn run(config: &CreateClusterConfig, out: &mut dyn Write) -> anyhow::Result<()> {
    run_on(&Disk, config, out)
}

/// [`run`] on a file system of the caller's.
///
/// # Errors
/// As [`run`].
pub fn run_on(fs: &dyn FileSystem, config: &CreateClusterConfig, out: &mut dyn Write) -> anyhow::Result<()> {
    for warning in &config.warnings {
        tracing::warn!(topic = "cmd", "{warning}");
    }
    let keymanagers = push::keymanagers(&config.keymanagers)?;
    let staging = match push::resume(fs, &config.folder, &keymanagers)? {
        Some(staging) => {
            tracing::info!(
                topic = "cmd",
                "Going on with an earlier run whose key shares are not all pushed; other settings do not count now"
            );
            staging
        }
        None => {
            files::ensure_free(fs, &config.folder)?;
            make(fs, config, &keymanagers)?
        }
    };
    if !keymanagers.is_empty() {
        push::push_all(&staging, &keymanagers)?;
    }
    let lock = Lock::from_json(&staging.read(&files::lock_path())?).context("the new lock")?;
    let steps = files::steps(&staging)?;
    let zipped = steps.iter().any(|step| step.path() == files::ARCHIVE);
    staging.commit(steps)?;
    // Only now, so that no launchpad ever shows a cluster whose keys are not safe.
    let dashboard = config
        .publish
        .as_ref()
        .and_then(|address| push::publish(address, &lock));
    let folder = std::path::absolute(&config.folder).unwrap_or_else(|_| config.folder.clone());
    let made = Made {
        folder: &folder,
        nodes: lock.definition.operators.len(),
        threshold: lock.definition.threshold,
        validators: lock.definition.num_validators,
        split: config.split.as_deref(),
        zipped,
        pushed: !keymanagers.is_empty(),
        insecure: config.insecure,
        dashboard,
    };
    match config.output {
        Output::Text => Ok(words::say(out, &made)?),
        Output::Json => Ok(write_json(out, &words::facts(&made, &lock))?),
    }
}

/// Makes the cluster and stages its files; with keymanagers the run is held from then on.
fn make<'fs>(
    fs: &'fs dyn FileSystem,
    config: &CreateClusterConfig,
    keymanagers: &[Keymanager],
) -> anyhow::Result<Staging<'fs>> {
    let mut wallets = Wallets::default();
    let described = match &config.source {
        Source::File(file) => {
            let from = from_definition(file, &config.networks, config.execution.as_deref())?;
            if config.insecure && from.network.has_value() {
                anyhow::bail!("--insecure-keys is refused on {}", from.network.name);
            }
            Some(from)
        }
        Source::Flags(_) => None,
    };
    let order_counts = match (&described, &config.source) {
        (Some(from), _) => from.order_counts(),
        (None, Source::Flags(from)) => from.order_counts(),
        (None, Source::File(_)) => true,
    };
    let order = if order_counts { Order::ByNumber } else { Order::Any };
    let existing = match &config.split {
        Some(folder) => Some(split_keys::read(fs, folder, order)?),
        None => None,
    };
    let request = match (described, &config.source) {
        (Some(from), _) => {
            let FromDefinition {
                definition,
                network,
                nodes,
                wallets: answers,
            } = from;
            wallets = answers;
            Request {
                registration_time: registration_time(&network, existing.is_some()),
                definition,
                nodes,
                network,
                existing,
            }
        }
        (None, Source::Flags(from)) => from.request(existing)?,
        (None, Source::File(file)) => anyhow::bail!("{file} was not read"),
    };
    if !keymanagers.is_empty() {
        push::ask_all(keymanagers, usize::from(request.nodes))?;
    }
    let mut staging = Staging::begin(fs, &config.folder)?;
    if request.definition.num_validators >= MANY {
        tracing::info!(
            topic = "cmd",
            validators = request.definition.num_validators,
            "Making keys, deposits and registrations"
        );
    }
    let created = create_by(&Cores, &request, &mut random).context("the cluster cannot be created")?;
    let cost = if config.insecure { Cost::Insecure } else { Cost::Full };
    let apart = !keymanagers.is_empty();
    files::stage(&staging, created, cost, apart, (&config.networks, &wallets))?;
    if config.zipped {
        files::pack_staged(&staging)?;
    }
    if apart {
        push::hold(&mut staging, keymanagers)?;
    }
    Ok(staging)
}

/// Genesis for new validators, so that all sign the same; now for those that may have registered before.
fn registration_time(network: &Network, existing: bool) -> u64 {
    if existing {
        u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or_default()
    } else {
        network.genesis_time
    }
}
