//! Existing validators' keystores, read to be split (cluster.md 8.2 and 13).
//!
//! Two orders: by number where each key has an address of its own, so that key N meets the N-th address; otherwise whatever
//! lies below the folder, opened with whichever password file fits.
//! Guarantees: files are bounded before they are read; no key is taken twice; messages name files, never contents.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use trireme_cluster::folder::{
    KeystoreFile, in_sequence, index_of, is_keystore_name, open_keystore, open_with_any, password_name,
};
use trireme_files::{FileError, FileSystem, Kind, read_secret};
use trireme_keys::{Keystore, keystore::MAX_FILE};
use trireme_tbls::SecretKey;
use zeroize::Zeroizing;

use crate::progress::on_all_processors;

/// Largest password file, in bytes.
const MAX_PASSWORD: u64 = 64 << 10;
/// How deep folders are looked into.
const MAX_DEPTH: usize = 16;
/// How many files are looked at.
const MAX_FILES: usize = 200_000;

/// Which keys there are and which comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// `keystore-0.json`, `keystore-1.json`, … in the folder itself, without gap.
    ByNumber,
    /// Every keystore in the folder and below, by the numbers in their names, then by name.
    Any,
}

/// A keystore with the passwords that may open it.
struct Found {
    path: PathBuf,
    own: Option<PathBuf>,
}

/// Opens the keystores in and, depending on the order, below `folder`.
///
/// # Errors
/// If there are none, one does not open, the numbers have a gap, or two hold the same key.
pub(crate) fn read(fs: &dyn FileSystem, folder: &Path, order: Order) -> anyhow::Result<Vec<SecretKey>> {
    let (found, passwords) = match order {
        Order::ByNumber => (numbered(fs, folder)?, Vec::new()),
        Order::Any => anywhere(fs, folder)?,
    };
    let others: Vec<Zeroizing<Vec<u8>>> = passwords
        .iter()
        .map(|path| read_secret(fs, path, MAX_PASSWORD))
        .collect::<Result<_, _>>()?;
    let others: Vec<&[u8]> = others.iter().map(|p| p.as_slice()).collect();
    let open = |at: usize| {
        let Found { path, own } = found.get(at).context("a keystore that was found")?;
        let json = read_secret(fs, path, u64::try_from(MAX_FILE)?)?;
        let password = own.as_ref().map(|p| read_secret(fs, p, MAX_PASSWORD)).transpose()?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let file = KeystoreFile {
            name: &name,
            json: &json,
            password: password.as_ref().map(|p| p.as_slice()),
        };
        let opened = match order {
            Order::ByNumber => open_keystore(file),
            Order::Any => open_with_any(file, &others),
        };
        opened.with_context(|| format!("in {}", path.parent().unwrap_or(folder).display()))
    };
    let keys = on_all_processors("Decrypting keystores", found.len(), open)?;
    let mut owners: BTreeMap<[u8; 48], &Path> = BTreeMap::new();
    for (key, Found { path, .. }) in keys.iter().zip(&found) {
        if let Some(first) = owners.insert(key.public_key().to_bytes(), path) {
            anyhow::bail!(
                "{} and {} hold the same key; remove one of them",
                first.display(),
                path.display()
            );
        }
    }
    Ok(keys)
}

fn numbered(fs: &dyn FileSystem, folder: &Path) -> anyhow::Result<Vec<Found>> {
    let names = fs.list(folder).with_context(|| cannot_be_read(folder))?;
    let names = in_sequence(names.into_iter().filter(|n| is_keystore_name(n)))
        .with_context(|| format!("{}: each key has its own address", folder.display()))?;
    let found = names.into_iter().map(|name| Found {
        own: Some(folder.join(password_name(&name))),
        path: folder.join(name),
    });
    Ok(found.collect())
}

/// All keystores below a folder, and all password files.
fn anywhere(fs: &dyn FileSystem, folder: &Path) -> anyhow::Result<(Vec<Found>, Vec<PathBuf>)> {
    let (mut json, mut txt) = (Vec::new(), Vec::new());
    let mut seen = 0_usize;
    let mut folders = vec![(folder.to_path_buf(), 0_usize)];
    while let Some((at, depth)) = folders.pop() {
        for name in fs.list(&at).with_context(|| cannot_be_read(&at))? {
            seen = seen.saturating_add(1);
            if seen > MAX_FILES {
                anyhow::bail!(
                    "{} holds more than {MAX_FILES} files; put the keystores into a folder of their own",
                    folder.display()
                );
            }
            let path = at.join(&name);
            let kind = fs.status(&path).with_context(|| cannot_be_read(&path))?.map(|s| s.kind);
            match kind {
                // `..data` and the like are how secrets are mounted: the same files once more.
                Some(Kind::Folder) if !name.starts_with("..") => {
                    if depth >= MAX_DEPTH {
                        anyhow::bail!("{} lies more than {MAX_DEPTH} folders deep", path.display());
                    }
                    folders.push((path, depth.saturating_add(1)));
                }
                Some(Kind::File | Kind::Link) if name.ends_with(".json") => json.push(path),
                Some(Kind::File | Kind::Link) if name.ends_with(".txt") => txt.push(path),
                Some(Kind::Folder | Kind::File | Kind::Link | Kind::Other) | None => {}
            }
        }
    }
    let number = |path: &Path| {
        path.file_name()
            .and_then(|n| index_of(&n.to_string_lossy()))
            .unwrap_or(u64::MAX)
    };
    json.sort_by(|a, b| (number(a), a).cmp(&(number(b), b)));
    txt.sort();
    let mut found = Vec::new();
    for path in json {
        // Deposit data and the like lie beside keystores and are none; but what is named like a keystore and cannot be read
        // is an error when it is opened, or a validator would be left out in silence.
        let named = path.file_name().is_some_and(|n| is_keystore_name(&n.to_string_lossy()));
        let bytes = match read_secret(fs, &path, u64::try_from(MAX_FILE)?) {
            Ok(bytes) => bytes,
            Err(FileError::TooLarge { .. }) if !named => continue,
            Err(error) => return Err(error.into()),
        };
        if named || Keystore::from_json(&bytes).is_ok() {
            let own = path.with_extension("txt");
            found.push(Found {
                own: txt.contains(&own).then_some(own),
                path,
            });
        }
    }
    if found.is_empty() {
        anyhow::bail!("no keystore in or below {}", folder.display());
    }
    Ok((found, txt))
}

fn cannot_be_read(path: &Path) -> String {
    format!("{} cannot be read", path.display())
}
