//! What `create cluster` says when it is done: what was made, as Charon lists it, then what to do with it.

use std::{io::Write, path::Path};

use serde_json::{Value, json};
use trireme_cluster::Lock;

/// What there is to tell.
pub(super) struct Made<'a> {
    pub(super) folder: &'a Path,
    pub(super) nodes: usize,
    pub(super) threshold: u64,
    pub(super) validators: u64,
    /// The folder of the keys that were split.
    pub(super) split: Option<&'a Path>,
    pub(super) zipped: bool,
    /// Whether the shares went to keymanagers.
    pub(super) pushed: bool,
    pub(super) insecure: bool,
    /// Where a launchpad shows the lock.
    pub(super) dashboard: Option<String>,
}

/// Says it all.
///
/// # Errors
/// If `out` is closed.
pub(super) fn say(out: &mut dyn Write, made: &Made<'_>) -> std::io::Result<()> {
    listing(out, made)?;
    closing(out, made)
}

/// The same for programs.
pub(super) fn facts(made: &Made<'_>, lock: &Lock) -> Value {
    let hex0x = |bytes: &[u8]| format!("0x{}", hex::encode(bytes));
    let path = |path: &Path| path.display().to_string();
    json!({
        "cluster_dir": path(made.folder),
        "archive": made.zipped.then(|| path(&made.folder.join(super::files::ARCHIVE))),
        "version": lock.definition.version.as_str(),
        "lock_hash": hex0x(&lock.lock_hash),
        "fork_version": hex0x(&lock.definition.fork_version),
        "nodes": made.nodes,
        "threshold": made.threshold,
        "validators": lock.validators.iter().map(|v| hex0x(&v.public_key)).collect::<Vec<_>>(),
        "split_keys_dir": made.split.map(path),
        "shares_in_keymanagers": made.pushed,
        "insecure_keys": made.insecure,
        "published": made.dashboard,
    })
}

/// Charon's words, byte for byte.
fn listing(out: &mut dyn Write, made: &Made<'_>) -> std::io::Result<()> {
    let split = made.split.is_some();
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
    let last = made.nodes.saturating_sub(1);
    writeln!(out, "Created charon cluster:\n --split-existing-keys={split}\n")?;
    writeln!(out, "{}/", made.folder.display().to_string().trim_end_matches('/'))?;
    writeln!(out, "├─ node[0-{last}]/\t\t\tDirectory for each node")?;
    let lines = [
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
    ];
    let keystores = [
        ("├─ validator_keys\t\t", "Validator keystores and password"),
        (
            "│  ├─ keystore-*.json\t",
            "Validator private share key for duty signing",
        ),
        (
            "│  ├─ keystore-*.txt\t\t",
            "Keystore password files for keystore-*.json",
        ),
    ];
    let shown = if made.pushed { &[][..] } else { &keystores[..] };
    for (name, what) in lines.iter().chain(shown) {
        writeln!(out, "│  {name}{what}")?;
    }
    Ok(())
}

/// Ours: what to back up, what to keep apart, what to do next.
fn closing(out: &mut dyn Write, made: &Made<'_>) -> std::io::Result<()> {
    let Made {
        threshold,
        nodes,
        validators,
        ..
    } = made;
    let archive = made.folder.join(super::files::ARCHIVE);
    writeln!(out)?;
    if made.zipped {
        writeln!(
            out,
            "All folders are in {}; they are nowhere else.\n",
            archive.display()
        )?;
    }
    if let Some(dashboard) = &made.dashboard {
        writeln!(out, "The lock is published: {dashboard}\n")?;
    }
    match made.pushed {
        true => writeln!(
            out,
            "Back up:    every node folder. The key shares are in the keymanagers alone: back them up there. Nobody can make any of\n\
             \x20           them again."
        )?,
        false => writeln!(
            out,
            "Back up:    every node folder, whole, in a safe place. Nobody can make these keys again."
        )?,
    }
    let what = if made.pushed { "shares" } else { "folders" };
    writeln!(
        out,
        "Keep apart: the {what}. Whoever has {threshold} of the {nodes} has the keys of {validators} validator{}. One to each\n\
         \x20           operator, as .charon on its own machine; then remove them here.",
        if *validators == 1 { "" } else { "s" }
    )?;
    if let Some(keys) = made.split {
        writeln!(
            out,
            "            The whole keys still lie in {}: they must never sign again beside the cluster. Keep them offline.",
            keys.display()
        )?;
    }
    if made.insecure {
        writeln!(
            out,
            "            The keystores are insecure (--insecure-keys): anybody who reads one has the key. For tests only."
        )?;
    }
    writeln!(
        out,
        "Next:       check with `trireme verify` before anything is deposited, start the nodes with `trireme run`, and make the\n\
         \x20           deposits from deposit-data*.json only when all nodes are up."
    )
}
