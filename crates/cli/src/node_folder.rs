//! Folders of nodes as they lie on disk: which files count, what is in them, and opening their keystores.
//!
//! Guarantees: nothing is written, except that moves which an interrupted command left are finished first; a file is read
//! only up to the size that its kind can have; keystores are opened on all processors (at most two scrypt at once, which is
//! the business of crate `keys`). What cannot be read is said per file and hides nothing else.
//! Not here: whether the content is right (`trireme_cluster::check`).

use std::path::{Path, PathBuf};

use trireme_cluster::{
    MAX_FILE,
    check::{Content, Folder, FoundKeystore, Mode, NamedContent, Opened},
    deposit,
    folder::{KeystoreFile, is_keystore_name, open_keystore, password_name},
};
use trireme_files::{FileError, FileSystem, Finished, Kind, STAGING, finish, finish_around, read_secret};
use trireme_keys::{Keystore, keystore};

use crate::{commands::KEY_FILE, progress::on_all_processors};

/// Name of the lock.
pub(crate) const LOCK_FILE: &str = "cluster-lock.json";
/// Name of the folder of keystores.
pub(crate) const KEYS_FOLDER: &str = "validator_keys";
/// Largest key or password file, in bytes.
const MAX_SECRET: u64 = 64 << 10;

/// Files of a data folder with the widest mode that each may have (cluster.md section 10).
const WIDEST: [(&str, u32); 5] = [
    (KEY_FILE, 0o600),
    (LOCK_FILE, 0o444),
    ("cluster-definition.json", 0o444),
    ("builder_registrations_overrides.json", 0o644),
    ("charon-enr-private-key.lock", 0o666),
];

/// A folder with the name that it has in messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    pub(crate) name: String,
}

/// Whether a keystore is opened, or only looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opening {
    /// With its password.
    Decrypt,
    /// Its `pubkey` field is believed.
    Look,
}

fn max(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// Whether a folder stands at `path`, perhaps through a link.
pub(crate) fn is_folder(fs: &dyn FileSystem, path: &Path) -> bool {
    let real = fs.real(path).and_then(|real| fs.status(&real));
    matches!(real, Ok(Some(status)) if status.kind == Kind::Folder)
}

/// Whether something in the folder belongs to a node.
pub(crate) fn is_node_folder(fs: &dyn FileSystem, folder: &Path) -> bool {
    let names = fs.list(folder).unwrap_or_default();
    names.iter().any(|name| match name.as_str() {
        LOCK_FILE | KEY_FILE => true,
        KEYS_FOLDER => is_folder(fs, &folder.join(name)),
        other => is_deposit_name(other),
    })
}

/// The node folders directly in `parent`, `node2` before `node10`.
pub(crate) fn node_folders(fs: &dyn FileSystem, parent: &Path) -> std::io::Result<Vec<Place>> {
    let mut found: Vec<Place> = fs
        .list(parent)?
        .into_iter()
        .filter(|name| name != STAGING)
        .map(|name| Place {
            path: parent.join(&name),
            name,
        })
        .filter(|place| is_folder(fs, &place.path) && is_node_folder(fs, &place.path))
        .collect();
    found.sort_by_key(|place| natural(&place.name));
    Ok(found)
}

/// Sorts by the number at a name's end, where there is one.
fn natural(name: &str) -> (String, u64, String) {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = name.get(stem.len()..).unwrap_or_default();
    (stem.to_owned(), digits.parse().unwrap_or_default(), name.to_owned())
}

fn is_deposit_name(name: &str) -> bool {
    name.starts_with("deposit-data") && name.ends_with(".json")
}

/// What an interrupted command had left, and what became of it.
pub(crate) enum Recovered {
    /// Nothing was left.
    Clean,
    /// Its moves are finished now: this many paths.
    Moved(usize),
    /// It cannot be finished without a person, and why.
    Left(String),
}

/// Finishes the moves that an interrupted command left in a folder of a node, or in the folder around it.
pub(crate) fn recover(fs: &dyn FileSystem, folder: &Path) -> Recovered {
    let mut moved = 0_usize;
    for finished in [
        finish(fs, folder),
        finish(fs, &folder.join(KEYS_FOLDER)),
        finish_around(fs, &folder.join(LOCK_FILE)),
    ] {
        match finished {
            Ok(Finished::Nothing | Finished::Leftovers) => {}
            Ok(Finished::Moved(paths)) => moved = moved.saturating_add(paths.len()),
            Ok(Finished::Held(note)) => return Recovered::Left(format!("an earlier run is not finished: {note}")),
            Err(error) => return Recovered::Left(error.to_string()),
        }
    }
    match moved {
        0 => Recovered::Clean,
        paths => Recovered::Moved(paths),
    }
}

/// Reads the folders, and opens or looks at their keystores.
///
/// # Errors
/// Only if a thread panicked; what cannot be read is said within.
pub(crate) fn read(fs: &dyn FileSystem, places: &[Place], opening: Opening) -> anyhow::Result<Vec<Folder>> {
    let mut jobs: Vec<Job> = Vec::new();
    let mut folders: Vec<Folder> = Vec::new();
    for (at, place) in places.iter().enumerate() {
        let mut folder = all_but_keystores(fs, place);
        let keys = keystore_names(fs, &place.path).unwrap_or_else(|reason| {
            folder.keystores.push(FoundKeystore {
                name: KEYS_FOLDER.to_owned(),
                claims: None,
                has_password: true,
                opened: Opened::Unreadable(reason.to_string()),
            });
            Vec::new()
        });
        jobs.extend(keys.into_iter().map(|name| Job {
            folder: at,
            path: place.path.join(KEYS_FOLDER).join(&name),
            name,
        }));
        folders.push(folder);
    }
    for (job, found, modes) in open_all(fs, jobs, opening)? {
        if let Some(folder) = folders.get_mut(job.folder) {
            folder.keystores.push(found);
            folder.modes.extend(modes);
        }
    }
    Ok(folders)
}

fn all_but_keystores(fs: &dyn FileSystem, place: &Place) -> Folder {
    let at = |name: &str| place.path.join(name);
    let content = |name: &str, limit: u64| -> Option<Content> {
        let path = at(name);
        match fs.status(&path) {
            Ok(None) => None,
            Ok(Some(_)) | Err(_) => Some(read_secret(fs, &path, limit).map_err(|e| e.to_string())),
        }
    };
    let deposits: Vec<NamedContent> = match fs.list(&place.path) {
        Ok(names) => names
            .into_iter()
            .filter(|name| is_deposit_name(name))
            .filter_map(|name| {
                let content = content(&name, max(deposit::MAX_FILE))?;
                Some(NamedContent { name, content })
            })
            .collect(),
        Err(e) => Vec::from([NamedContent {
            name: "deposit-data*.json".to_owned(),
            content: Err(FileError::of(fs, "read", &place.path, e).to_string()),
        }]),
    };
    let known = WIDEST.iter().map(|(name, widest)| ((*name).to_owned(), *widest));
    let of_deposits = deposits.iter().map(|d| (d.name.clone(), 0o444));
    Folder {
        name: place.name.clone(),
        lock: content(LOCK_FILE, max(MAX_FILE)),
        identity: content(KEY_FILE, MAX_SECRET),
        keystores: Vec::new(),
        modes: known
            .chain(of_deposits)
            .filter_map(|(name, widest)| mode(fs, &at(&name), name, widest))
            .collect(),
        deposits,
    }
}

/// The mode of the file itself, where the path is a link.
fn mode(fs: &dyn FileSystem, path: &Path, name: String, widest: u32) -> Option<Mode> {
    let status = match fs.status(path).ok()?? {
        link if link.kind == Kind::Link => fs.status(&fs.real(path).ok()?).ok()??,
        other => other,
    };
    Some(Mode {
        name,
        found: status.mode & 0o777,
        widest,
    })
}

/// Sorted by the number in the name; none if there is no folder of keystores.
fn keystore_names(fs: &dyn FileSystem, folder: &Path) -> Result<Vec<String>, FileError> {
    let folder = folder.join(KEYS_FOLDER);
    let mut names = match fs.list(&folder) {
        Ok(names) => names,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(e) => return Err(FileError::of(fs, "read", &folder, e)),
    };
    names.retain(|name| is_keystore_name(name));
    names.sort_by_key(|name| natural(name.trim_end_matches(".json")));
    Ok(names)
}

struct Job {
    folder: usize,
    path: PathBuf,
    name: String,
}

/// On all processors; the order stays.
fn open_all(
    fs: &dyn FileSystem,
    jobs: Vec<Job>,
    opening: Opening,
) -> anyhow::Result<Vec<(Job, FoundKeystore, Vec<Mode>)>> {
    let open = |at: usize| Ok(jobs.get(at).map(|job| open_one(fs, job, opening)));
    let opened = on_all_processors("Opening keystores", jobs.len(), open)?;
    let all = jobs.into_iter().zip(opened);
    Ok(all
        .filter_map(|(job, opened)| opened.map(|(found, modes)| (job, found, modes)))
        .collect())
}

fn open_one(fs: &dyn FileSystem, job: &Job, opening: Opening) -> (FoundKeystore, Vec<Mode>) {
    let in_folder = |name: &str| format!("{KEYS_FOLDER}/{name}");
    let password_file = job.path.with_file_name(password_name(&job.name));
    let modes = [
        mode(fs, &job.path, in_folder(&job.name), 0o444),
        mode(fs, &password_file, in_folder(&password_name(&job.name)), 0o400),
    ];
    let has_password = !matches!(fs.status(&password_file), Ok(None));
    let mut found = FoundKeystore {
        name: in_folder(&job.name),
        claims: None,
        has_password,
        opened: Opened::NotTried,
    };
    let modes = modes.into_iter().flatten().collect();
    let json = match read_secret(fs, &job.path, max(keystore::MAX_FILE)) {
        Ok(json) => json,
        Err(error) => {
            found.opened = Opened::Unreadable(error.to_string());
            return (found, modes);
        }
    };
    found.claims = Keystore::from_json(&json).ok().and_then(|k| claimed(k.pubkey()));
    if opening == Opening::Look {
        return (found, modes);
    }
    let password = if has_password {
        match read_secret(fs, &password_file, MAX_SECRET) {
            Ok(password) => Some(password),
            Err(error) => {
                found.opened = Opened::Unreadable(error.to_string());
                return (found, modes);
            }
        }
    } else {
        None
    };
    let file = KeystoreFile {
        name: &job.name,
        json: &json,
        password: password.as_ref().map(|p| p.as_slice()),
    };
    found.opened = open_keystore(file).map_or_else(Opened::Failed, Opened::Key);
    (found, modes)
}

fn claimed(text: &str) -> Option<[u8; 48]> {
    let mut out = [0; 48];
    hex::decode_to_slice(text.strip_prefix("0x").unwrap_or(text), &mut out).ok()?;
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbered_names_are_sorted_by_their_number() {
        let mut names = ["node10", "node2", "b", "node1"].map(str::to_owned);
        names.sort_by_key(|name| natural(name));
        assert_eq!(names, ["b", "node1", "node2", "node10"]);
    }
}
