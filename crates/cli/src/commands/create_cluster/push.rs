//! Shares that go to keymanagers, one for each node, and the lock to a launchpad.
//!
//! The shares wait in the staging folder until every keymanager has every one of its keys. A run that stops before that is
//! held there, and the same command goes on with it.

use std::{collections::BTreeMap, path::Path, time::Duration};

use anyhow::Context as _;
use trireme_cluster::{Lock, folder::password_name};
use trireme_files::{FileSystem, Staging};
use trireme_keys::Keystore;
use trireme_remote::{
    Api, Published, Token,
    keymanager::{KeyToImport, Keymanager, PublicKey, check},
};
use zeroize::Zeroizing;

use super::files::{SHARES, is_node};
use crate::commands::blocking;

/// Staged file with the keymanagers' addresses, a line each.
const ADDRESSES: &str = "keymanagers";
/// Time limit for publishing a lock.
const PUBLISHING: Duration = Duration::from_secs(10);

/// The keymanagers of all nodes, in their order.
pub(super) fn keymanagers(given: &[(String, Token)]) -> anyhow::Result<Vec<Keymanager>> {
    let one =
        |(address, token): &(String, Token)| Keymanager::new(address, token.clone()).context("--keymanager-addresses");
    given.iter().map(one).collect()
}

/// Makes sure, before any key is made, that each keymanager answers and takes its token.
///
/// # Errors
/// Every one that does not, with the reason.
pub(super) fn ask_all(keymanagers: &[Keymanager], nodes: usize) -> anyhow::Result<()> {
    if keymanagers.len() != nodes {
        anyhow::bail!(
            "--keymanager-addresses: {} addresses for {nodes} nodes: give one for each",
            keymanagers.len()
        );
    }
    for keymanager in keymanagers.iter().filter(|k| k.is_plain()) {
        tracing::warn!(
            topic = "cmd",
            address = keymanager.address(),
            "Token and key shares travel to this keymanager unencrypted; use https, or an address of this machine"
        );
    }
    let failures = |all: BTreeMap<usize, _>| {
        let lines = all.iter().map(|(at, error)| format!("node{at}: {error}"));
        anyhow::anyhow!("nothing was made:\n  {}", lines.collect::<Vec<_>>().join("\n  "))
    };
    blocking(check(keymanagers))?.map_err(failures)?;
    Ok(())
}

/// Holds the staged run until the keymanagers have all shares.
///
/// # Errors
/// If the disk refuses.
pub(super) fn hold(staging: &mut Staging<'_>, keymanagers: &[Keymanager]) -> anyhow::Result<()> {
    let addresses: Vec<&str> = keymanagers.iter().map(Keymanager::address).collect();
    let text = addresses.join("\n");
    staging.put(ADDRESSES, 0o600, Zeroizing::new(text.into_bytes()))?;
    staging.seal()?;
    staging.hold(&format!(
        "its key shares are on their way to the keymanagers {}. Run the same command again, with the same \
         --keymanager-addresses, to go on; the shares wait in the folder {}",
        addresses.join(", "),
        trireme_files::STAGING,
    ))?;
    Ok(())
}

/// The held run of an earlier command, if there is one, made sure to be for these keymanagers.
///
/// # Errors
/// If there is one for others.
pub(super) fn resume<'fs>(
    fs: &'fs dyn FileSystem,
    folder: &Path,
    keymanagers: &[Keymanager],
) -> anyhow::Result<Option<Staging<'fs>>> {
    if keymanagers.is_empty() {
        return Ok(None);
    }
    let Some(staging) = Staging::resume(fs, folder)? else {
        return Ok(None);
    };
    let addresses = staging.read(ADDRESSES)?;
    let addresses = String::from_utf8_lossy(&addresses);
    if !addresses.lines().eq(keymanagers.iter().map(Keymanager::address)) {
        anyhow::bail!(
            "{}: an earlier run sends its key shares to {}; give the same --keymanager-addresses, so that no share gets into two places",
            folder.display(),
            addresses.lines().collect::<Vec<_>>().join(", ")
        );
    }
    Ok(Some(staging))
}

/// Sends each node's shares to its keymanager: those that it has not yet.
///
/// # Errors
/// The first keymanager that does not have all of them then.
pub(super) fn push_all(staging: &Staging<'_>, keymanagers: &[Keymanager]) -> anyhow::Result<()> {
    let nodes = staging.list(SHARES)?;
    for (at, keymanager) in keymanagers.iter().enumerate() {
        let node = nodes
            .iter()
            .filter(|name| is_node(name))
            .find(|name| **name == format!("node{at}"));
        let node = node.with_context(|| format!("the staged shares of node{at} are gone"))?;
        let keys = shares(staging, &format!("{SHARES}/{node}/validator_keys"))?;
        let pushed = blocking(keymanager.push(&keys))?.with_context(|| format!("node{at}"))?;
        tracing::info!(
            topic = "cmd",
            address = keymanager.address(),
            imported = pushed.imported,
            there_before = pushed.already,
            "The keymanager of node{at} has all its key shares"
        );
    }
    Ok(())
}

fn shares(staging: &Staging<'_>, folder: &str) -> anyhow::Result<Vec<KeyToImport>> {
    let names = staging.list(folder)?;
    let text = |path: String| -> anyhow::Result<Zeroizing<String>> {
        let bytes = staging.read(&path)?;
        let text = std::str::from_utf8(&bytes).with_context(|| format!("the staged {path} is no text"))?;
        Ok(Zeroizing::new(text.to_owned()))
    };
    names
        .iter()
        .filter(|name| name.ends_with(".json"))
        .map(|name| {
            let keystore = text(format!("{folder}/{name}"))?;
            let mut public_key: PublicKey = [0; 48];
            hex::decode_to_slice(Keystore::from_json(keystore.as_bytes())?.pubkey(), &mut public_key)?;
            Ok(KeyToImport {
                public_key,
                password: text(format!("{folder}/{}", password_name(name)))?,
                keystore,
            })
        })
        .collect()
}

/// Publishes the lock and gives the address at which a launchpad shows it. A failure is a warning: the cluster is made.
pub(super) fn publish(address: &str, lock: &Lock) -> Option<String> {
    let publish = || -> anyhow::Result<String> {
        let api = Api::new(address, PUBLISHING)?;
        match blocking(api.publish_lock(lock))?? {
            Published::New => {}
            Published::Already => tracing::info!(topic = "cmd", "The lock was published before"),
        }
        Ok(api.launchpad(&lock.lock_hash))
    };
    publish()
        .inspect_err(|error| {
            tracing::warn!(
                topic = "cmd",
                "The lock is not published: {error:#}. The cluster is made and whole; the lock can be published later"
            );
        })
        .ok()
}
