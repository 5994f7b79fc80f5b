//! Files that hold keys: made whole or not at all, never over another file, readable by their owner.
//!
//! ```text
//!   Staging::begin ─► put, put, put ─► seal ─► commit ─────────────────────────────► done
//!   (a folder 0700     (final modes,    (flushed, (journal, renames, journal removed)
//!    in the target)     nothing exists)  compared)       │ stopped here
//!                                                        ▼
//!                                                 finish, by the next command
//! ```
//!
//! Guarantees: before the journal is on disk, the target holds what it held; from then on the next command that looks at the
//! target finishes the work, or says which files are gone. No key is removed before what replaces it is flushed and
//! compared. No symbolic link is followed below the target.
//! Not here: what the files mean; encryption; the store of a running node.

mod commit;
mod disk;
#[cfg(feature = "faulty")]
pub mod faulty;
mod journal;
mod keyfile;
mod port;
mod staging;

use std::{io, path::PathBuf};

pub use commit::{Finished, finish, finish_around};
pub use disk::Disk;
pub use journal::Step;
pub use keyfile::{create_folder_all, ensure_absent, ensure_absent_or_empty, read_secret, write_new};
pub use port::{FileSystem, FolderLock, Kind, Status};
pub use staging::Staging;

/// Name of the folder, within the target, where files wait until all are whole.
pub const STAGING: &str = ".trireme-staging";

/// Why files are not as they should be. Every message names the file and, where there is one, the remedy.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system refused.
    #[error("{path} cannot be {action}: {source}", path = path.display())]
    Io {
        /// What was tried: read, made, written, flushed, moved, removed, locked.
        action: &'static str,
        /// Of what.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The system refused because of owner or mode.
    #[error(
        "{path} cannot be {action}: {at} belongs to user id {owner} with mode {mode:04o}, and this process is user id {me}; \
         {remedy}", path = path.display(), at = at.display(),
        remedy = if owner == me { "change its mode with chmod" } else { "run as that user, or give it to yours with chown" }
    )]
    Denied {
        /// What was tried.
        action: &'static str,
        /// Of what.
        path: PathBuf,
        /// The file or folder that stands in the way: `path` or the nearest folder above it that can be looked at.
        at: PathBuf,
        /// Its owner's user id.
        owner: u32,
        /// Its permission bits.
        mode: u32,
        /// Our user id.
        me: u32,
    },
    /// It would be overwritten.
    #[error("{} is there already and would be overwritten; move it away, or choose another folder", .0.display())]
    Exists(PathBuf),
    /// A folder that must be empty is not.
    #[error(
        "{folder} is not empty: it holds {first}; move it away, or choose another folder",
        folder = folder.display()
    )]
    NotEmpty {
        /// The folder.
        folder: PathBuf,
        /// Name of its first entry.
        first: String,
    },
    /// Something else than a folder.
    #[error("{} is not a folder", .0.display())]
    NotAFolder(PathBuf),
    /// Something else than a file, for example a symbolic link.
    #[error("{} is not a plain file (symbolic links are not followed here)", .0.display())]
    NotAFile(PathBuf),
    /// Beyond the limit.
    #[error("{path} has {len} bytes, more than the {max} that are looked at", path = path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        len: u64,
        /// The limit in bytes.
        max: u64,
    },
    /// A run waits to be continued by the command that began it.
    #[error("{}: an earlier run is not finished: {note}", target.display())]
    Held {
        /// The target folder.
        target: PathBuf,
        /// What it waits for and how to go on.
        note: String,
    },
    /// Another process holds the staging folder.
    #[error("another command is at work in {}; wait until it has ended", .0.display())]
    Busy(PathBuf),
    /// What was read back is not what was written.
    #[error("{} does not hold what was written; the disk may be failing. Nothing was put into place", .0.display())]
    Different(PathBuf),
    /// The journal is not one of ours.
    #[error("{path} is no journal of this program: {problem}; the files beside it are an interrupted run's, keep them", path = path.display())]
    Journal {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: &'static str,
    },
    /// An interrupted move can be finished only by a person.
    #[error(
        "an interrupted run left {from}, and {to} is there, too: neither is touched. Look which one you want, and move the other away",
        from = from.display(), to = to.display()
    )]
    Both {
        /// Staged.
        from: PathBuf,
        /// In its place.
        to: PathBuf,
    },
    /// A file is there neither in the staging folder nor in its place.
    #[error(
        "an earlier run was interrupted in {target}, and since then {count} of its files are gone, the first is {first}",
        target = target.display(), count = missing.len(), first = missing.first().map(String::as_str).unwrap_or_default()
    )]
    Gone {
        /// The target folder.
        target: PathBuf,
        /// Relative to it.
        missing: Vec<String>,
    },
    /// The staging folder is somebody else's, or no folder.
    #[error(
        "{path} is no folder of ours (owner: user id {owner}, we are {me}); look what it is, and move it away",
        path = path.display()
    )]
    ForeignStaging {
        /// The staging folder.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Our user id.
        me: u32,
    },
    /// A path that leads out of its folder. Not to be expected of our own commands.
    #[error("{0:?} is not a plain relative path")]
    Path(String),
}

impl FileError {
    /// The error of an action; owner and mode are looked up where they explain it.
    pub fn of(fs: &dyn FileSystem, action: &'static str, path: &std::path::Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        if source.kind() == io::ErrorKind::PermissionDenied {
            let me = fs.user();
            for at in path.ancestors() {
                if let Ok(Some(status)) = fs.status(at) {
                    // A folder of ours that we may write to explains nothing about what is below it.
                    return Self::Denied {
                        action,
                        at: at.to_path_buf(),
                        owner: status.owner,
                        mode: status.mode,
                        me,
                        path,
                    };
                }
            }
        }
        Self::Io { action, path, source }
    }
}
