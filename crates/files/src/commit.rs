//! Carrying out a journal, at once or after an interruption.
//!
//! Every step can be done again: a move whose source is gone and whose target is there has been done. So whoever finds the
//! journal begins at its first step.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{
    FileError, STAGING,
    journal::{Journal, Step},
    port::{FileSystem, FolderLock, Kind},
    staging::HELD,
};

/// Name of the journal in the staging folder.
pub(crate) const JOURNAL: &str = "journal";
/// Largest journal that is read, in bytes: a line for each of 65,536 validators' two files at 10 nodes.
const MAX_JOURNAL: u64 = 128 << 20;
/// Largest note of a held run that is read, in bytes.
const MAX_NOTE: u64 = 64 << 10;

/// What an earlier command had left in a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finished {
    /// Nothing.
    Nothing,
    /// Staged files of a run that had moved none of them; they were left as they are.
    Leftovers,
    /// A run that waits to be continued: what for, and how.
    Held(String),
    /// A run that was interrupted while it moved. Now it is finished: these paths, relative to the target, are in place.
    Moved(Vec<String>),
}

/// Finishes the moves of an interrupted run in `target`. A target that is not there is fine.
///
/// # Errors
/// If files are gone, something else stands in a place, another command is at work, or the disk refuses.
pub fn finish(fs: &dyn FileSystem, target: &Path) -> Result<Finished, FileError> {
    let target = named(target);
    let root = target.join(STAGING);
    let Some(status) = fs.status(&root).map_err(|e| FileError::of(fs, "looked at", &root, e))? else {
        return Ok(Finished::Nothing);
    };
    if status.kind != Kind::Folder || status.owner != fs.user() {
        return Err(FileError::ForeignStaging {
            path: root,
            owner: status.owner,
            me: fs.user(),
        });
    }
    let _lock = lock(fs, &target)?;
    let path = root.join(JOURNAL);
    let Some(text) = read_small(fs, &path, MAX_JOURNAL)? else {
        return Ok(match read_small(fs, &root.join(HELD), MAX_NOTE)? {
            Some(note) => Finished::Held(note),
            None if fs.list(&root).is_ok_and(|names| names.is_empty()) => {
                // All that a finished run can leave. Where we may not remove it, it is in nobody's way.
                let _ = fs.remove_folder(&root);
                Finished::Nothing
            }
            None => Finished::Leftovers,
        });
    };
    let journal = Journal::from_text(&text).map_err(|problem| FileError::Journal { path, problem })?;
    let missing = carry_out(fs, &target, &journal)?;
    if missing.is_empty() {
        let moved = journal.steps.iter().filter(|s| !matches!(s, Step::Remove(_)));
        Ok(Finished::Moved(moved.map(|s| s.path().to_owned()).collect()))
    } else {
        Err(FileError::Gone { target, missing })
    }
}

/// [`finish`] for a command that is given one file of a data folder, for example the lock: an interrupted run may have left
/// something in the file's folder, or in the folder above it.
///
/// # Errors
/// As [`finish`].
pub fn finish_around(fs: &dyn FileSystem, file: &Path) -> Result<Finished, FileError> {
    let folder = named(file.parent().unwrap_or(Path::new("")));
    // A folder that is not there may be one that waits to be moved in.
    let real = fs.real(&folder);
    let above = real.as_deref().unwrap_or(&folder).parent().map(named);
    let mut all = Vec::new();
    for target in [Some(folder), above].into_iter().flatten() {
        match finish(fs, &target)? {
            Finished::Nothing | Finished::Leftovers => {}
            held @ Finished::Held(_) => return Ok(held),
            Finished::Moved(paths) => all.extend(paths),
        }
    }
    Ok(if all.is_empty() {
        Finished::Nothing
    } else {
        Finished::Moved(all)
    })
}

/// Does every step that is not done yet, then removes the journal and all that is staged. Gives the files that are not in
/// their place then.
pub(crate) fn carry_out(fs: &dyn FileSystem, target: &Path, journal: &Journal) -> Result<Vec<String>, FileError> {
    let root = target.join(STAGING);
    let mut touched = Vec::from([target.to_path_buf()]);
    let mut removing = false;
    for step in &journal.steps {
        let (from, to) = (root.join(step.path()), target.join(step.path()));
        if let Some(folder) = to.parent()
            && !touched.iter().any(|t| t == folder)
        {
            touched.push(folder.to_path_buf());
        }
        let staged = status(fs, &from)?.is_some();
        match step {
            Step::Move(_) if staged => match fs.rename_new(&from, &to) {
                Ok(()) => {}
                Err(e) => {
                    return Err(match fs.status(&to) {
                        Ok(Some(_)) => FileError::Both { from, to },
                        Ok(None) | Err(_) => FileError::of(fs, "moved", &from, e),
                    });
                }
            },
            Step::Replace(_) if staged => fs
                .replace(&from, &to)
                .map_err(|e| FileError::of(fs, "moved", &from, e))?,
            // Done before the interruption; whether the file is in its place is seen at the end.
            Step::Move(_) | Step::Replace(_) => {}
            Step::Remove(_) => {
                // What replaces the old files must have its names on the disk before these go.
                if !std::mem::replace(&mut removing, true) {
                    sync_folders(fs, &touched)?;
                }
                if status(fs, &to)? == Some(Kind::File) {
                    fs.remove_file(&to).map_err(|e| FileError::of(fs, "removed", &to, e))?;
                }
            }
        }
    }
    sync_folders(fs, &touched)?;
    let mut missing = Vec::new();
    for (path, len) in &journal.files {
        let place = target.join(path);
        let found = fs
            .status(&place)
            .map_err(|e| FileError::of(fs, "looked at", &place, e))?;
        if found.is_none_or(|s| s.kind != Kind::File || s.len != *len) {
            missing.push(path.clone());
        }
    }
    // The journal goes last, and only when it is on the disk that everything else is gone: what is left must neither look
    // like a run that waits nor be forgotten here.
    let staged = fs.list(&root).map_err(|e| FileError::of(fs, "read", &root, e))?;
    for name in staged.iter().filter(|name| *name != JOURNAL) {
        remove_tree(fs, &root.join(name))?;
    }
    fs.sync_folder(&root)
        .map_err(|e| FileError::of(fs, "flushed", &root, e))?;
    remove_tree(fs, &root)?;
    // Everything is in place; a staging folder that comes back after a power cut is empty.
    fs.sync_folder(target)
        .map_err(|e| FileError::of(fs, "flushed", target, e))?;
    Ok(missing)
}

fn sync_folders(fs: &dyn FileSystem, folders: &[PathBuf]) -> Result<(), FileError> {
    for folder in folders {
        fs.sync_folder(folder)
            .map_err(|e| FileError::of(fs, "flushed", folder, e))?;
    }
    Ok(())
}

/// Removes what a run left that had moved nothing.
pub(crate) fn discard(fs: &dyn FileSystem, target: &Path) -> Result<(), FileError> {
    let _lock = lock(fs, target)?;
    remove_tree(fs, &target.join(STAGING))
}

/// Takes the staging folder for this process.
pub(crate) fn lock(fs: &dyn FileSystem, target: &Path) -> Result<FolderLock, FileError> {
    let root = target.join(STAGING);
    match fs.lock(&root) {
        Ok(lock) => Ok(lock),
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Err(FileError::Busy(target.to_path_buf())),
        Err(e) => Err(FileError::of(fs, "locked", &root, e)),
    }
}

/// Writes a file that is either whole under its name or not there.
pub(crate) fn write_small(fs: &dyn FileSystem, root: &Path, name: &str, content: &[u8]) -> Result<(), FileError> {
    let (new, place) = (root.join(format!("{name}.new")), root.join(name));
    if status(fs, &new)?.is_some() {
        fs.remove_file(&new)
            .map_err(|e| FileError::of(fs, "removed", &new, e))?;
    }
    fs.create_file(&new, 0o600, content)
        .map_err(|e| FileError::of(fs, "written", &new, e))?;
    fs.sync_file(&new)
        .and_then(|()| fs.replace(&new, &place))
        .and_then(|()| fs.sync_folder(root))
        .map_err(|e| FileError::of(fs, "written", &place, e))
}

fn read_small(fs: &dyn FileSystem, path: &Path, max: u64) -> Result<Option<String>, FileError> {
    match fs.read(path, max) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(FileError::of(fs, "read", path, e)),
    }
}

/// Removes a file, or a folder with all that is in it; links are removed, not followed. What is not there is removed.
pub(crate) fn remove_tree(fs: &dyn FileSystem, path: &Path) -> Result<(), FileError> {
    let removed = |e| FileError::of(fs, "removed", path, e);
    match status(fs, path)? {
        None => Ok(()),
        Some(Kind::Folder) => {
            for name in fs.list(path).map_err(removed)? {
                remove_tree(fs, &path.join(name))?;
            }
            fs.remove_folder(path).map_err(removed)
        }
        Some(Kind::File | Kind::Link | Kind::Other) => fs.remove_file(path).map_err(removed),
    }
}

fn status(fs: &dyn FileSystem, path: &Path) -> Result<Option<Kind>, FileError> {
    let found = fs.status(path).map_err(|e| FileError::of(fs, "looked at", path, e))?;
    Ok(found.map(|s| s.kind))
}

/// The empty path is the working folder.
pub(crate) fn named(folder: &Path) -> PathBuf {
    if folder.as_os_str().is_empty() {
        PathBuf::from(".")
    } else {
        folder.to_path_buf()
    }
}
