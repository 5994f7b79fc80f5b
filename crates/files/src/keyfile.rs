//! Single files that hold secrets, and the question whether a place is free.

use std::{
    io,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use crate::{
    FileError,
    port::{FileSystem, Kind},
};

/// Reads a file of at most `max` bytes that may be secret. Here the user's own symbolic links are followed, as secrets are
/// often mounted that way.
///
/// # Errors
/// [`FileError`] naming file, owner and mode where these are the reason.
pub fn read_secret(fs: &dyn FileSystem, path: &Path, max: u64) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let real = match fs.status(path) {
        Ok(Some(status)) if status.kind == Kind::Link => fs.real(path),
        _ => Ok(path.to_path_buf()),
    };
    let read = real.and_then(|real| match fs.read(&real, max) {
        Err(e) if e.kind() == io::ErrorKind::FileTooLarge => Ok(Err(real)),
        other => other.map(Ok),
    });
    match read {
        Ok(Ok(content)) => Ok(content),
        Ok(Err(real)) => Err(FileError::TooLarge {
            path: path.to_path_buf(),
            len: fs.status(&real).ok().flatten().map_or(0, |s| s.len),
            max,
        }),
        Err(e) => Err(FileError::of(fs, "read", path, e)),
    }
}

/// Makes one file that must not be there, with its final mode, and waits until it and its name are on the disk.
///
/// # Errors
/// [`FileError::Exists`], or why it cannot be made.
pub fn write_new(fs: &dyn FileSystem, path: &Path, mode: u32, content: &[u8]) -> Result<(), FileError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    };
    match fs.create_file(path, mode, content) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Err(FileError::Exists(path.to_path_buf())),
        Err(e) => {
            return Err(FileError::of(fs, "made", path, e));
        }
    }
    fs.sync_file(path)
        .and_then(|()| fs.sync_folder(folder))
        .map_err(|e| FileError::of(fs, "flushed", path, e))
}

/// Makes a folder and those above it, and gives those that were not there, outermost first.
///
/// # Errors
/// [`FileError`] if something else stands there, or it cannot be made.
pub fn create_folder_all(fs: &dyn FileSystem, folder: &Path, mode: u32) -> Result<Vec<PathBuf>, FileError> {
    let mut made = Vec::new();
    let all: Vec<&Path> = folder.ancestors().filter(|p| !p.as_os_str().is_empty()).collect();
    for path in all.into_iter().rev() {
        match fs.create_folder(path, mode) {
            Ok(()) => made.push(path.to_path_buf()),
            Err(e) => match fs.list_exists(path) {
                Some(true) => {}
                Some(false) => return Err(FileError::NotAFolder(path.to_path_buf())),
                None => return Err(FileError::of(fs, "made", path, e)),
            },
        }
    }
    Ok(made)
}

impl dyn FileSystem + '_ {
    /// Whether a folder stands at `path`, perhaps through a link; `None` if nothing does that can be looked at.
    fn list_exists(&self, path: &Path) -> Option<bool> {
        match self.status(path).ok().flatten()?.kind {
            Kind::Folder => Some(true),
            Kind::File | Kind::Other => Some(false),
            Kind::Link => Some(self.list(path).is_ok()),
        }
    }
}

/// Nothing may stand at `path`.
///
/// # Errors
/// [`FileError::Exists`], or if it cannot be looked at.
pub fn ensure_absent(fs: &dyn FileSystem, path: &Path) -> Result<(), FileError> {
    match fs.status(path) {
        Ok(None) => Ok(()),
        Ok(Some(_)) => Err(FileError::Exists(path.to_path_buf())),
        Err(e) => Err(FileError::of(fs, "looked at", path, e)),
    }
}

/// Nothing, or an empty folder, may stand at `path`.
///
/// # Errors
/// [`FileError::NotEmpty`] with the first thing in it, [`FileError::Exists`], or if it cannot be looked at.
pub fn ensure_absent_or_empty(fs: &dyn FileSystem, path: &Path) -> Result<(), FileError> {
    let status = fs.status(path).map_err(|e| FileError::of(fs, "looked at", path, e))?;
    match status.map(|s| s.kind) {
        None => Ok(()),
        Some(Kind::Folder) => {
            let names = fs.list(path).map_err(|e| FileError::of(fs, "read", path, e))?;
            match names.into_iter().next() {
                None => Ok(()),
                Some(first) => Err(FileError::NotEmpty {
                    folder: path.to_path_buf(),
                    first,
                }),
            }
        }
        Some(Kind::File | Kind::Link | Kind::Other) => Err(FileError::Exists(path.to_path_buf())),
    }
}
