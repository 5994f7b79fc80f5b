//! `trireme verify`: may money be sent to this cluster? Reads folders or a file and shows what the checks found.

mod show;
mod words;

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context as _;
use trireme_cluster::{
    Definition, Lock, MAX_FILE, Networks, Wallets,
    check::{
        self, Check, Fault, Finding, Kind, Known, Outcome, Report, Verdict, definition_alone, deposits_alone, kind_of,
        lock_alone,
    },
};
use trireme_files::{Disk, FileSystem, read_secret};
use trireme_remote::Execution;

pub(crate) use show::facts;
pub(crate) use words::eth;

use super::blocking;
use crate::{
    flags::VerifyFlags,
    network::networks,
    node_folder::{self, LOCK_FILE, Opening, Place, Recovered},
    output::{Output, write_json},
    values::{Problems, given},
};

/// How long an execution client may take to answer at first.
const CLIENT_STARTS: Duration = Duration::from_secs(10);

/// Checked settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyConfig {
    paths: Vec<PathBuf>,
    opening: Opening,
    networks: Networks,
    execution_endpoint: Option<String>,
    output: Output,
}

/// Reads the flags.
///
/// # Errors
/// All problems together.
pub fn config(flags: &VerifyFlags) -> Result<VerifyConfig, Problems> {
    let mut problems = Problems::default();
    let config = VerifyConfig {
        paths: flags.paths.iter().map(PathBuf::from).collect(),
        opening: if problems.bool("no-decrypt", &flags.no_decrypt) {
            Opening::Look
        } else {
            Opening::Decrypt
        },
        networks: networks(&flags.testnet, &mut problems),
        execution_endpoint: given(&flags.execution_client_rpc_endpoint).map(str::to_owned),
        output: problems.or_default("output", flags.output.output.parse()),
    };
    problems.finish(config)
}

/// Checks, and shows what was found. The exit code is the verdict: 0 verified, 1 something could not be checked, 2 wrong, 3
/// nothing wrong, but something unsigned or missing.
///
/// # Errors
/// If there is nothing that could be checked, or `out` is closed.
pub fn run(config: &VerifyConfig, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let report = report(config, &Disk)?;
    let code: u8 = match report.verdict() {
        Verdict::Verified => 0,
        Verdict::Unchecked => 1,
        Verdict::Wrong => 2,
        Verdict::Incomplete => 3,
    };
    let opened = config.opening == Opening::Decrypt;
    match config.output {
        Output::Text => show::text(&report, opened, out)?,
        Output::Json => write_json(out, &show::json(&report, opened, code))?,
    }
    Ok(ExitCode::from(code))
}

fn report(config: &VerifyConfig, fs: &dyn FileSystem) -> anyhow::Result<Report> {
    if let [one] = config.paths.as_slice()
        && one.is_file()
    {
        return of_file(one, fs, config);
    }
    let mut findings = Vec::new();
    let mut places = Vec::new();
    for path in &config.paths {
        places.extend(folders_of(path, fs, &mut findings)?);
    }
    for place in &places {
        note_recovery(&place.path, &place.name, fs, &mut findings);
    }
    let folders = node_folder::read(fs, &places, config.opening)?;
    let lock = folders.iter().find_map(|f| f.lock.as_ref()?.as_ref().ok());
    let definition = lock.and_then(|bytes| Lock::from_json(bytes).ok()).map(|l| l.definition);
    let wallets = answers(
        config.execution_endpoint.as_deref(),
        definition.as_ref(),
        &config.networks,
    )?;
    let known = Known {
        networks: &config.networks,
        wallets: &wallets,
    };
    let mut report = check::folders(&folders, known);
    for finding in findings {
        report.add(finding);
    }
    Ok(report)
}

/// What smart-contract wallets say to the definition's signatures, if there is an execution client to ask.
pub(crate) fn answers(
    endpoint: Option<&str>,
    definition: Option<&Definition>,
    networks: &Networks,
) -> anyhow::Result<Wallets> {
    let (Some(endpoint), Some(definition)) = (endpoint, definition) else {
        return Ok(Wallets::default());
    };
    let client = Execution::new(endpoint).context("--execution-client-rpc-endpoint")?;
    let asked = blocking(async {
        client.ready(CLIENT_STARTS).await?;
        client.ask_wallets(definition, networks).await
    })?;
    asked.context("smart-contract wallets cannot be asked")
}

fn of_file(path: &Path, fs: &dyn FileSystem, config: &VerifyConfig) -> anyhow::Result<Report> {
    let limit = u64::try_from(MAX_FILE).unwrap_or(u64::MAX);
    let bytes = read_secret(fs, path, limit).context("nothing can be checked")?;
    let place = path.display().to_string();
    let named = |name: &str| path.file_name().is_some_and(|n| n.to_string_lossy().contains(name));
    let kind = kind_of(&bytes);
    let definition = match kind {
        Kind::Lock => Lock::from_json(&bytes).ok().map(|lock| lock.definition),
        Kind::Definition => Definition::from_json(&bytes).ok(),
        Kind::Keystore | Kind::Deposits | Kind::Enr | Kind::IdentityKey | Kind::Other(_) => None,
    };
    let wallets = answers(
        config.execution_endpoint.as_deref(),
        definition.as_ref(),
        &config.networks,
    )?;
    let known = Known {
        networks: &config.networks,
        wallets: &wallets,
    };
    match kind {
        Kind::Lock => Ok(lock_alone(&place, &bytes, known)),
        Kind::Definition => Ok(definition_alone(&place, &bytes, known)),
        Kind::Deposits => Ok(deposits_alone(&place)),
        // What is broken is told by the check of what it should have been.
        Kind::Other(_) if named("lock") => Ok(lock_alone(&place, &bytes, known)),
        Kind::Other(_) if named("definition") => Ok(definition_alone(&place, &bytes, known)),
        Kind::Keystore | Kind::Enr | Kind::IdentityKey => anyhow::bail!(
            "{place} cannot be verified by itself: give the node's folder with the cluster lock, or look at it with `trireme inspect`"
        ),
        Kind::Other(problem) => anyhow::bail!("{place} is no file of a cluster: {problem}"),
    }
}

/// A path is a node's folder, or the folder around such folders.
fn folders_of(path: &Path, fs: &dyn FileSystem, findings: &mut Vec<Finding>) -> anyhow::Result<Vec<Place>> {
    let shown = path.display().to_string();
    if path.is_file() {
        anyhow::bail!("{shown} is a file: give either one file or folders");
    }
    let listed = fs.list(path);
    listed.with_context(|| format!("the folder {shown} cannot be read; give the folder of a node, or of the nodes"))?;
    if node_folder::is_node_folder(fs, path) {
        let name = shown.trim_end_matches('/').to_owned();
        let path = path.to_path_buf();
        return Ok(vec![Place { path, name }]);
    }
    note_recovery(path, &shown, fs, findings);
    let found = node_folder::node_folders(fs, path).with_context(|| format!("the folder {shown} cannot be read"))?;
    if found.is_empty() {
        anyhow::bail!(
            "{shown} holds no file of a node ({LOCK_FILE}, charon-enr-private-key, validator_keys, deposit-data*.json), and no folder that does"
        );
    }
    Ok(found)
}

/// Finishes what an interrupted command left, or says why that cannot be.
fn note_recovery(path: &Path, name: &str, fs: &dyn FileSystem, findings: &mut Vec<Finding>) {
    let outcome = match node_folder::recover(fs, path) {
        Recovered::Clean => return,
        Recovered::Moved(paths) => {
            tracing::info!(
                topic = "cmd",
                folder = name,
                paths,
                "Finished the moves of an interrupted command"
            );
            Outcome::Passed
        }
        Recovered::Left(reason) => Outcome::Fault(Fault::HalfMoved(reason)),
    };
    let place = name.to_owned();
    let finding = Finding {
        check: Check::FilesMoved,
        place,
        outcome,
    };
    if !findings.iter().any(|known| known.outcome == finding.outcome) {
        findings.push(finding);
    }
}
