//! `trireme combine`: the validators' whole keys from the shares in enough nodes' folders.
//!
//! Guarantees: a key is written only if it is that of the lock; the output folder holds the old keystores or all new ones,
//! however the command ends; nothing but `keystore-*.json` and `keystore-*.txt` is ever removed there, and only with
//! `--force`, after the new ones are complete and flushed.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde_json::json;
use trireme_cluster::{
    Cluster, LoadError, Loaded, Lock, Networks, Strictness,
    check::{Folder, Opened},
    combine::{FoundShare, combine},
};
use trireme_files::{Disk, FileError, FileSystem, Staging, Step};
use trireme_keys::{
    Keystore,
    keystore::{Cost, Nonces},
};
use trireme_tbls::SecretKey;
use zeroize::Zeroizing;

use super::{random, verify::answers};
use crate::{
    flags::CombineFlags,
    network::networks,
    node_folder::{self, KEYS_FOLDER, Opening, Place, Recovered},
    output::{Output, write_json},
    progress::on_all_processors,
    values::{Problems, given},
};

/// Checked settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CombineConfig {
    cluster_dir: PathBuf,
    output_dir: PathBuf,
    force: bool,
    strictness: Strictness,
    networks: Networks,
    execution_endpoint: Option<String>,
    output: Output,
}

/// Reads the flags.
///
/// # Errors
/// All problems together.
pub fn config(flags: &CombineFlags) -> Result<CombineConfig, Problems> {
    let mut problems = Problems::default();
    let config = CombineConfig {
        cluster_dir: PathBuf::from(&flags.cluster_dir),
        output_dir: PathBuf::from(&flags.output_dir),
        force: problems.bool("force", &flags.force),
        strictness: if problems.bool("no-verify", &flags.no_verify) {
            Strictness::Warn
        } else {
            Strictness::Refuse
        },
        networks: networks(&flags.testnet, &mut problems),
        execution_endpoint: given(&flags.execution_client_rpc_endpoint).map(str::to_owned),
        output: problems.or_default("output", flags.output.output.parse()),
    };
    problems.finish(config)
}

/// Combines and writes.
///
/// # Errors
/// If keystores would be overwritten, a lock does not verify, shares are missing or foreign, or the disk refuses.
pub fn run(config: &CombineConfig, out: &mut dyn Write) -> anyhow::Result<()> {
    run_on(config, &Disk, Cost::Full, out)
}

/// [`run`] on any file system.
///
/// # Errors
/// As [`run`].
pub fn run_on(config: &CombineConfig, fs: &dyn FileSystem, cost: Cost, out: &mut dyn Write) -> anyhow::Result<()> {
    let shown = config.output_dir.display();
    recovered(fs, &config.output_dir)?;
    let old = old_keystores(fs, &config.output_dir)?;
    if let (false, Some(first)) = (config.force, old.first()) {
        anyhow::bail!(
            "{} is there already; choose another --output-dir, or give --force to replace all keystores in {shown} once the new ones are complete",
            config.output_dir.join(first).display()
        );
    }
    let places = places(fs, &config.cluster_dir)?;
    let folders = node_folder::read(fs, &places, Opening::Decrypt)?;
    let cluster = lock_of(&folders, config)?;
    let shares = shares_of(&folders);
    let keys = combine(&cluster, &shares).context("the keys cannot be combined")?;
    write(fs, config, &keys, &old, cost)?;
    let folder = std::path::absolute(&config.output_dir).unwrap_or_else(|_| config.output_dir.clone());
    if config.output == Output::Json {
        let validators = (0..).zip(&cluster.validators).map(|(at, validator)| {
            json!({
                "public_key": format!("0x{}", hex::encode(validator.public_key_bytes)),
                "keystore": name(at, "json"),
                "password": name(at, "txt"),
            })
        });
        let facts = json!({
            "output_dir": folder.display().to_string(),
            "folders": folders.len(),
            "validators": validators.collect::<Vec<_>>(),
        });
        return Ok(write_json(out, &facts)?);
    }
    writeln!(
        out,
        "Combined the shares of {} folders into the whole keys of {} validators:\n",
        folders.len(),
        keys.len()
    )?;
    for (at, validator) in cluster.validators.iter().enumerate() {
        writeln!(
            out,
            " {}  0x{}",
            name(at, "json"),
            hex::encode(validator.public_key_bytes)
        )?;
    }
    writeln!(
        out,
        "\nThey are in {}, each with its password in a .txt file.\n",
        folder.display()
    )?;
    writeln!(
        out,
        "Whoever has these files has the validators: keep keystores and passwords apart, and back both up.\n\
         Stop every node and validator client of the cluster for good, wait at least 2 finalized epochs, and only then\n\
         import the keys elsewhere, in one place: two signers of one key get the validator slashed."
    )?;
    Ok(())
}

/// Finishes an interrupted command's moves; what cannot be finished stands in the way.
fn recovered(fs: &dyn FileSystem, folder: &Path) -> anyhow::Result<()> {
    match node_folder::recover(fs, folder) {
        Recovered::Clean => Ok(()),
        Recovered::Moved(paths) => {
            let folder = folder.display().to_string();
            tracing::info!(
                topic = "cmd",
                folder,
                paths,
                "Finished the moves of an interrupted command"
            );
            Ok(())
        }
        Recovered::Left(reason) => Err(anyhow::anyhow!(reason)),
    }
}

/// Names in the output folder that belong to keystores, sorted.
fn old_keystores(fs: &dyn FileSystem, folder: &Path) -> anyhow::Result<Vec<String>> {
    match fs.list(folder) {
        Ok(mut names) => {
            names.retain(|n| n.starts_with("keystore-") && (n.ends_with(".json") || n.ends_with(".txt")));
            Ok(names)
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(FileError::of(fs, "read", folder, e).into()),
    }
}

/// The nodes' folders: those in the cluster's folder that hold keystores.
fn places(fs: &dyn FileSystem, cluster_dir: &Path) -> anyhow::Result<Vec<Place>> {
    let shown = cluster_dir.display();
    recovered(fs, cluster_dir)?;
    let mut places =
        node_folder::node_folders(fs, cluster_dir).with_context(|| format!("the folder {shown} cannot be read"))?;
    places.retain(|place| node_folder::is_folder(fs, &place.path.join(KEYS_FOLDER)));
    if places.is_empty() {
        anyhow::bail!(
            "{shown} holds no folder of a node with {KEYS_FOLDER} in it; give the folder around them as --cluster-dir"
        );
    }
    for place in &mut places {
        recovered(fs, &place.path)?;
        place.name = place.path.display().to_string();
    }
    Ok(places)
}

/// The lock that all folders share. The same bytes are verified once.
fn lock_of(folders: &[Folder], config: &CombineConfig) -> anyhow::Result<Cluster> {
    let mut seen: Vec<(&[u8], Loaded, &str)> = Vec::new();
    let mut last = None;
    for folder in folders {
        let bytes = match &folder.lock {
            Some(Ok(bytes)) => bytes.as_slice(),
            Some(Err(reason)) => anyhow::bail!("{reason}"),
            None => anyhow::bail!("{} has no cluster lock; copy it from another operator", folder.name),
        };
        let known = seen.iter().position(|(known, ..)| *known == bytes);
        let at = match known {
            Some(at) => at,
            None => {
                let loaded = loaded(bytes, config).with_context(|| format!("in {}", folder.name))?;
                if let Some(warning) = &loaded.warning {
                    tracing::warn!(
                        topic = "cmd",
                        folder = folder.name,
                        "The lock does not verify: {warning}"
                    );
                }
                seen.push((bytes, loaded, &folder.name));
                seen.len().saturating_sub(1)
            }
        };
        last = Some(at);
    }
    if config.strictness == Strictness::Refuse
        && let Some((_, first, of_first)) = seen.first()
        && let Some((_, _, other)) = seen.iter().find(|(_, l, _)| l.lock.lock_hash != first.lock.lock_hash)
    {
        anyhow::bail!("{of_first} and {other} hold different cluster locks; move the folders of other clusters away");
    }
    let chosen = last.and_then(|at| seen.into_iter().nth(at));
    chosen.map(|(_, loaded, _)| loaded.cluster).context("no cluster lock")
}

fn loaded(bytes: &[u8], config: &CombineConfig) -> anyhow::Result<Loaded> {
    let lock = Lock::from_json(bytes).map_err(LoadError::from)?;
    let endpoint = config.execution_endpoint.as_deref();
    let wallets = answers(endpoint, Some(&lock.definition), &config.networks)?;
    match (lock.verify_with(&config.networks, &wallets), config.strictness) {
        (Ok(cluster), _) => Ok(Loaded {
            lock,
            cluster,
            warning: None,
        }),
        (Err(error), Strictness::Refuse) => Err(LoadError::from(error).into()),
        (Err(error), Strictness::Warn) => Ok(Loaded {
            cluster: lock.cluster().map_err(LoadError::from)?,
            lock,
            warning: Some(error),
        }),
    }
}

/// All shares that open. One that does not is told, and matters only if there are too few others.
fn shares_of(folders: &[Folder]) -> Vec<FoundShare> {
    let mut shares = Vec::new();
    for folder in folders {
        for keystore in &folder.keystores {
            let place = format!("{}/{}", folder.name, keystore.name);
            match &keystore.opened {
                Opened::Key(secret) => shares.push(FoundShare {
                    place,
                    secret: secret.clone(),
                }),
                Opened::Failed(error) => tracing::warn!(topic = "cmd", "{place} is left out: {error}"),
                Opened::Unreadable(reason) => tracing::warn!(topic = "cmd", "{place} is left out: {reason}"),
                Opened::NotTried => {}
            }
        }
    }
    shares
}

fn name(validator: usize, end: &str) -> String {
    format!("keystore-{validator}.{end}")
}

/// Stages every keystore, then gives them their places, then removes old ones.
fn write(
    fs: &dyn FileSystem,
    config: &CombineConfig,
    keys: &[SecretKey],
    old: &[String],
    cost: Cost,
) -> anyhow::Result<()> {
    let staging = Staging::begin(fs, &config.output_dir)?;
    encrypt(&staging, keys, cost)?;
    staging.seal()?;
    let new: Vec<String> = (0..keys.len())
        .flat_map(|at| [name(at, "txt"), name(at, "json")])
        .collect();
    let removed = old.iter().filter(|name| !new.contains(name)).cloned().map(Step::Remove);
    let placed = new.iter().map(|name| {
        if old.contains(name) {
            Step::Replace(name.clone())
        } else {
            Step::Move(name.clone())
        }
    });
    staging.commit(placed.chain(removed).collect())?;
    Ok(())
}

/// Encrypts on all processors, each key under a password of its own.
fn encrypt(staging: &Staging<'_>, keys: &[SecretKey], cost: Cost) -> anyhow::Result<()> {
    let one = |at: usize| {
        let Some(key) = keys.get(at) else { return Ok(()) };
        let mut bytes = Zeroizing::new([0; 16]);
        random(bytes.as_mut_slice());
        let password = Zeroizing::new(hex::encode(bytes.as_slice()));
        let public = key.public_key().to_bytes();
        let keystore = Keystore::encrypt(&key.to_bytes(), &public, &password, cost, &Nonces::generate(random));
        staging.put(&name(at, "json"), 0o444, Zeroizing::new(keystore.to_json()))?;
        staging.put(&name(at, "txt"), 0o400, Zeroizing::new(password.as_bytes().to_vec()))?;
        Ok(())
    };
    on_all_processors("Encrypting keystores", keys.len(), one).map(drop)
}
