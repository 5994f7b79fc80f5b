//! What the rest of this crate asks of a file system.
//!
//! A port, so that tests can stop it after any call. Paths are as the caller gives them; no call but `real`, `list` and `sync_folder`
//! follows a symbolic link in the last component.

use std::{
    fmt, io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link, whatever it leads to.
    Link,
    /// A socket, a device, …
    Other,
}

/// What is known of a path without opening it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// What it is.
    pub kind: Kind,
    /// Permission bits, at most 0o7777.
    pub mode: u32,
    /// User id of the owner.
    pub owner: u32,
    /// Size in bytes.
    pub len: u64,
}

/// Holds a folder for one process until it is dropped, or the process ends.
#[derive(Debug)]
pub struct FolderLock(#[expect(dead_code, reason = "held, not read")] pub(crate) Option<OwnedFd>);

/// The calls. Each does one thing that either happened or did not, except where it says otherwise.
pub trait FileSystem: Send + Sync + fmt::Debug {
    /// Our user id.
    fn user(&self) -> u32;

    /// What stands at `path`; `None` for nothing. A link is not followed.
    ///
    /// # Errors
    /// If it cannot be looked at.
    fn status(&self, path: &Path) -> io::Result<Option<Status>>;

    /// The path that links lead to.
    ///
    /// # Errors
    /// If it leads nowhere.
    fn real(&self, path: &Path) -> io::Result<PathBuf>;

    /// Names in a folder, sorted. Names that are not UTF-8 are given with replacement characters.
    ///
    /// # Errors
    /// If it is no folder or cannot be read.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;

    /// A regular file's content.
    ///
    /// # Errors
    /// If it is not a regular file, larger than `max` bytes (`FileTooLarge`), or cannot be read.
    fn read(&self, path: &Path, max: u64) -> io::Result<Zeroizing<Vec<u8>>>;

    /// Makes one folder with these permission bits (less the process's mask).
    ///
    /// # Errors
    /// `AlreadyExists`, or if it cannot be made.
    fn create_folder(&self, path: &Path, mode: u32) -> io::Result<()>;

    /// Makes a file with these permission bits (less the process's mask) and this content. When it is interrupted, a part of the
    /// content may be there. It is not flushed.
    ///
    /// # Errors
    /// `AlreadyExists` for whatever is there, be it a dangling link; or if it cannot be made or written.
    fn create_file(&self, path: &Path, mode: u32, content: &[u8]) -> io::Result<()>;

    /// Waits until a file's content is on the disk.
    ///
    /// # Errors
    /// If the disk refuses.
    fn sync_file(&self, path: &Path) -> io::Result<()>;

    /// Waits until a folder's entries are on the disk, not the contents of its files.
    ///
    /// # Errors
    /// If the disk refuses.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;

    /// Waits until everything below a folder, itself included, is on the disk.
    ///
    /// # Errors
    /// If the disk refuses.
    fn sync_tree(&self, root: &Path) -> io::Result<()>;

    /// Gives a file or folder another name in the same file system. An empty folder may stand at `to` if `from` is a folder.
    ///
    /// # Errors
    /// `AlreadyExists` or `DirectoryNotEmpty` if something stands at `to`; or if it cannot be done.
    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives a file another name, in place of the file that stands there.
    ///
    /// # Errors
    /// If it cannot be done.
    fn replace(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file or link.
    ///
    /// # Errors
    /// If it cannot be done.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes an empty folder.
    ///
    /// # Errors
    /// If it is not empty, or it cannot be done.
    fn remove_folder(&self, path: &Path) -> io::Result<()>;

    /// Holds a folder against other processes that ask.
    ///
    /// # Errors
    /// `WouldBlock` if another one holds it.
    fn lock(&self, folder: &Path) -> io::Result<FolderLock>;
}
