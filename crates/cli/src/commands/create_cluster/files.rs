//! The files of a created cluster: staged, checked as they came back from the disk, packed if asked for.

use std::path::Path;

use anyhow::Context as _;
use trireme_cluster::{
    Lock, Networks, Order, Wallets,
    create::{Created, KeystoreCheck},
};
use trireme_files::{FileSystem, Finished, Staging, Step, ensure_absent, ensure_absent_or_empty, finish};
use trireme_keys::keystore::Cost;

use crate::{
    archive::{Member, pack},
    progress::{Cores, on_all_processors},
};

/// Name of the packed folders.
pub(super) const ARCHIVE: &str = "cluster.tar.gz";
/// Name of the lock.
const LOCK_FILE: &str = "cluster-lock.json";
/// Staged folder of shares that go to keymanagers only; it gets no place.
pub(super) const SHARES: &str = "shares";
/// What the name of a node's folder begins with.
const NODE: &str = "node";

/// `node0`, `node1`, …
fn node_name(at: usize) -> String {
    format!("{NODE}{at}")
}

/// Whether a name is that of a node's folder.
pub(super) fn is_node(name: &str) -> bool {
    name.strip_prefix(NODE)
        .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}

/// Finishes what an interrupted run left in the folder, and makes sure that nothing stands where files are to be: no node's
/// folder that holds anything, whatever its number, and no archive.
///
/// # Errors
/// If something does, naming it. Also if an interrupted run was finished: what is in place is that run's cluster.
pub(super) fn ensure_free(fs: &dyn FileSystem, folder: &Path) -> anyhow::Result<()> {
    match finish(fs, folder)? {
        Finished::Nothing | Finished::Leftovers => {}
        Finished::Held(note) => anyhow::bail!("{}: an earlier run is not finished: {note}", folder.display()),
        Finished::Moved(paths) => anyhow::bail!(
            "an earlier run of this command was interrupted in {}; it is finished now, and these are its files: {}. Nothing else \
             was made. If that is the cluster you want, go on with it; for another one choose another --cluster-dir",
            folder.display(),
            paths.join(", ")
        ),
    }
    let names = match fs.list(folder) {
        Ok(names) => names,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(trireme_files::FileError::of(fs, "read", folder, e).into()),
    };
    let taken = "choose another --cluster-dir, or move the old cluster away";
    for name in names.iter().filter(|name| is_node(name)) {
        ensure_absent_or_empty(fs, &folder.join(name)).context(taken)?;
    }
    ensure_absent(fs, &folder.join(ARCHIVE)).context(taken)
}

/// Writes everything into the staging folder, flushes it, and checks it as it came back: bytes, keystores, the lock in full.
/// With `apart` the shares go into a folder of their own, for keymanagers.
///
/// # Errors
/// If something cannot be written, or is not right.
pub(super) fn stage(
    staging: &Staging<'_>,
    created: Created,
    cost: Cost,
    apart: bool,
    known: (&Networks, &Wallets),
) -> anyhow::Result<()> {
    if apart {
        staging.folder(SHARES, 0o700)?;
    }
    let mut homes = Vec::with_capacity(created.nodes.len());
    for at in 0..created.nodes.len() {
        let node = node_name(at);
        staging.folder(&node, 0o755)?;
        let home = if apart { format!("{SHARES}/{node}") } else { node };
        if apart {
            staging.folder(&home, 0o700)?;
        }
        staging.folder(&format!("{home}/validator_keys"), 0o700)?;
        homes.push(home);
    }
    let checks = stage_keystores(staging, &created, &homes, cost)?;
    for (at, node) in created.nodes.into_iter().enumerate() {
        for file in node.into_common_files() {
            staging.put(&format!("{}/{}", node_name(at), file.path), file.mode, file.content)?;
        }
    }
    staging.seal()?;
    let wrong = |path: &str| anyhow::anyhow!("{path} came back from the disk wrong; nothing was put into place");
    for (path, check) in &checks {
        if !check.holds(&staging.read(path)?) {
            return Err(wrong(path));
        }
    }
    // All locks hold the same bytes, which was compared, so one stands for all.
    let lock = Lock::from_json(&staging.read(&lock_path())?).context("the new lock")?;
    lock.verify_by(&Cores, Order::HashesFirst, known.0, known.1)
        .context("the new lock does not verify; nothing was put into place")?;
    Ok(())
}

/// Where the first node's lock is staged.
pub(super) fn lock_path() -> String {
    format!("{}/{LOCK_FILE}", node_name(0))
}

fn stage_keystores(
    staging: &Staging<'_>,
    created: &Created,
    homes: &[String],
    cost: Cost,
) -> anyhow::Result<Vec<(String, KeystoreCheck)>> {
    let validators = created.lock.validators.len();
    let total = homes.len().saturating_mul(validators);
    let checks = on_all_processors("Encrypting keystores", total, |job| {
        let (validator, at) = (job.checked_rem(validators), job.checked_div(validators));
        let (Some(validator), Some(at)) = (validator, at) else {
            return Ok(None);
        };
        let (Some(node), Some(home)) = (created.nodes.get(at), homes.get(at)) else {
            return Ok(None);
        };
        let Some(sealed) = node.sealed_keystore(validator, cost) else {
            return Ok(None);
        };
        let [keystore, password] = sealed.files;
        let path = format!("{home}/{}", keystore.path);
        staging.put(&path, keystore.mode, keystore.content)?;
        staging.put(&format!("{home}/{}", password.path), password.mode, password.content)?;
        Ok(Some((path, sealed.check)))
    })?;
    Ok(checks.into_iter().flatten().collect())
}

/// Packs the staged nodes' folders into the archive, beside them.
///
/// # Errors
/// If something cannot be read, packed or written, or the archive does not hold it.
pub(super) fn pack_staged(staging: &Staging<'_>) -> anyhow::Result<()> {
    let mut members = Vec::new();
    for node in staging.list("")?.into_iter().filter(|name| is_node(name)) {
        collect(staging, &node, &mut members)?;
    }
    let now = u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or_default();
    let packed = pack(&members, now, |path| Ok(staging.read(path)?))?;
    staging.put(ARCHIVE, 0o600, packed)?;
    Ok(staging.seal()?)
}

fn collect(staging: &Staging<'_>, path: &str, members: &mut Vec<Member>) -> anyhow::Result<()> {
    let Some(status) = staging.status(path)? else {
        return Ok(());
    };
    let folder = status.kind == trireme_files::Kind::Folder;
    members.push(Member {
        path: path.to_owned(),
        mode: status.mode,
        folder,
    });
    if folder {
        for name in staging.list(path)? {
            collect(staging, &format!("{path}/{name}"), members)?;
        }
    }
    Ok(())
}

/// What is to be moved into place: the archive if there is one, else each node's folder.
///
/// # Errors
/// If the staging folder cannot be read.
pub(super) fn steps(staging: &Staging<'_>) -> anyhow::Result<Vec<Step>> {
    let names = staging.list("")?;
    if names.iter().any(|name| name == ARCHIVE) {
        return Ok(vec![Step::Move(ARCHIVE.to_owned())]);
    }
    Ok(names.into_iter().filter(|name| is_node(name)).map(Step::Move).collect())
}
