//! Writing a created cluster's folders to disk.
//!
//! Guarantees: nothing that is there is overwritten; a folder gets its lock last, so a folder with a lock is whole.
//! Keystores are encrypted on all processors, with a progress bar where there is a terminal.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use trireme_cluster::create::{Created, File, NodeFolder};
use trireme_keys::keystore::Cost;

use crate::commands::{write_new, write_new_soon};

/// The folders to be, checked to be free.
#[derive(Debug)]
pub(crate) struct Folders(Vec<PathBuf>);

impl Folders {
    /// `node0`, `node1`, … in `parent`.
    ///
    /// # Errors
    /// If one of them holds a lock, an identity key or keystores already.
    pub(crate) fn new(parent: &Path, nodes: u8) -> anyhow::Result<Self> {
        let folders: Vec<PathBuf> = (0..nodes).map(|n| parent.join(format!("node{n}"))).collect();
        for folder in &folders {
            for name in ["cluster-lock.json", crate::commands::KEY_FILE] {
                if folder.join(name).exists() {
                    anyhow::bail!(
                        "{} exists already; choose another --cluster-dir, or move the old cluster away",
                        folder.join(name).display()
                    );
                }
            }
            let keys = folder.join("validator_keys");
            if std::fs::read_dir(&keys).is_ok_and(|mut entries| entries.next().is_some()) {
                anyhow::bail!(
                    "{} is not empty; choose another --cluster-dir, or move the old cluster away",
                    keys.display()
                );
            }
        }
        Ok(Self(folders))
    }
}

/// Writes everything.
///
/// # Errors
/// If something cannot be written; what is written so far stays, without locks.
pub(crate) fn write(folders: &Folders, created: Created, cost: Cost) -> anyhow::Result<()> {
    for folder in &folders.0 {
        let keys = folder.join("validator_keys");
        std::fs::create_dir_all(&keys).with_context(|| format!("the folder {} cannot be made", keys.display()))?;
    }
    let nodes: Vec<(&PathBuf, NodeFolder)> = folders.0.iter().zip(created.nodes).collect();
    write_keystores(&nodes, created.lock.validators.len(), cost)?;
    for (folder, node) in &nodes {
        for file in node.common_files() {
            write_new(&folder.join(&file.path), file.mode, &file.content)?;
        }
    }
    Ok(())
}

fn write_keystores(nodes: &[(&PathBuf, NodeFolder)], validators: usize, cost: Cost) -> anyhow::Result<()> {
    let total = nodes.len().saturating_mul(validators);
    let bar = match cost {
        Cost::Insecure => ProgressBar::hidden(),
        Cost::Full => ProgressBar::new(u64::try_from(total).unwrap_or(u64::MAX)),
    };
    if let Ok(style) = ProgressStyle::with_template("Encrypting keystores {wide_bar} {pos}/{len}") {
        bar.set_style(style);
    }
    let next = AtomicUsize::new(0);
    let work = || -> anyhow::Result<()> {
        loop {
            let job = next.fetch_add(1, Ordering::Relaxed);
            let (Some(validator), Some(at)) = (job.checked_rem(validators), job.checked_div(validators)) else {
                return Ok(());
            };
            let Some((folder, node)) = nodes.get(at) else {
                return Ok(());
            };
            for file in node.keystore_files(validator, cost).into_iter().flatten() {
                write_keystore(folder, &file, cost)?;
            }
            bar.inc(1);
        }
    };
    let threads = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(total.max(1));
    let results: Vec<anyhow::Result<()>> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let panicked = || anyhow::anyhow!("a thread that encrypts keystores panicked");
        running
            .into_iter()
            .map(|t| t.join().unwrap_or_else(|_| Err(panicked())))
            .collect()
    });
    bar.finish_and_clear();
    results.into_iter().collect()
}

/// Keystores of insecure clusters are many and worth nothing, so nobody waits for the disk.
fn write_keystore(folder: &Path, file: &File, cost: Cost) -> anyhow::Result<()> {
    let path = folder.join(&file.path);
    match cost {
        Cost::Full => write_new(&path, file.mode, &file.content),
        Cost::Insecure => write_new_soon(&path, file.mode, &file.content).map(drop),
    }
}
