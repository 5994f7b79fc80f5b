//! The staging folder: where files are made, flushed and compared before any of them gets its place.
//!
//! It lies inside the target, because the target is often a mount point and a rename cannot leave a file system. Its mode is
//! 0700. One process at a time has it. Dropped before its commit it is removed, unless it is held.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use zeroize::Zeroizing;

use crate::{
    FileError, STAGING,
    commit::{self, Finished, JOURNAL},
    journal::{Journal, Step, is_plain},
    keyfile::{create_folder_all, ensure_absent_or_empty},
    port::{FileSystem, FolderLock, Kind, Status},
};

/// Name, in the staging folder, of the note on what a held run waits for.
pub(crate) const HELD: &str = "held";
/// Largest staged file that is read back, in bytes.
const MAX_STAGED: u64 = 1 << 30;

/// Files on their way into a target folder.
#[derive(Debug)]
pub struct Staging<'fs> {
    fs: &'fs dyn FileSystem,
    target: PathBuf,
    root: PathBuf,
    /// Folders above and including the target that were not there before, outermost first.
    made: Vec<PathBuf>,
    written: Mutex<Vec<(String, Zeroizing<Vec<u8>>)>>,
    /// Whether it stays when this value is dropped.
    keep: bool,
    _lock: FolderLock,
}

impl<'fs> Staging<'fs> {
    /// Makes the target, if need be, and the staging folder in it. Leftovers of a run that had moved nothing are removed; one
    /// that had is finished first, which then usually means that places are taken.
    ///
    /// # Errors
    /// If another command is at work, a held run waits, an interrupted one cannot be finished, or the disk refuses.
    pub fn begin(fs: &'fs dyn FileSystem, target: &Path) -> Result<Self, FileError> {
        let target = commit::named(target);
        match commit::finish(fs, &target)? {
            Finished::Nothing => {}
            Finished::Moved(paths) => {
                let first = paths.first().map_or_else(|| target.clone(), |p| target.join(p));
                return Err(FileError::Exists(first));
            }
            Finished::Held(note) => return Err(FileError::Held { target, note }),
            Finished::Leftovers => commit::discard(fs, &target)?,
        }
        let made = create_folder_all(fs, &target, 0o755)?;
        let root = target.join(STAGING);
        match fs.create_folder(&root, 0o700) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Err(FileError::Busy(target)),
            Err(e) => return Err(FileError::of(fs, "made", &root, e)),
        }
        let lock = commit::lock(fs, &target)?;
        Ok(Self {
            fs,
            target,
            root,
            made,
            written: Mutex::default(),
            keep: false,
            _lock: lock,
        })
    }

    /// The held run of a target, to go on with it; `None` if there is none.
    ///
    /// # Errors
    /// If another command is at work, or the disk refuses.
    pub fn resume(fs: &'fs dyn FileSystem, target: &Path) -> Result<Option<Self>, FileError> {
        let target = commit::named(target);
        match commit::finish(fs, &target)? {
            Finished::Held(_) => {}
            Finished::Nothing | Finished::Moved(_) | Finished::Leftovers => return Ok(None),
        }
        let lock = commit::lock(fs, &target)?;
        Ok(Some(Self {
            fs,
            root: target.join(STAGING),
            target,
            made: Vec::new(),
            written: Mutex::default(),
            keep: true,
            _lock: lock,
        }))
    }

    /// The target folder.
    #[must_use]
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Makes a folder, whose parent must be there. `path` is relative, with `/`.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn folder(&self, path: &str, mode: u32) -> Result<(), FileError> {
        let path = self.place(path)?;
        self.fs
            .create_folder(&path, mode)
            .map_err(|e| FileError::of(self.fs, "made", &path, e))
    }

    /// Writes a file, whose folder must be there, with its final mode. From any thread.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn put(&self, path: &str, mode: u32, content: Zeroizing<Vec<u8>>) -> Result<(), FileError> {
        let place = self.place(path)?;
        self.fs
            .create_file(&place, mode, &content)
            .map_err(|e| FileError::of(self.fs, "written", &place, e))?;
        self.written
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((path.to_owned(), content));
        Ok(())
    }

    /// Reads a staged file.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(&self, path: &str) -> Result<Zeroizing<Vec<u8>>, FileError> {
        let place = self.place(path)?;
        self.fs
            .read(&place, MAX_STAGED)
            .map_err(|e| FileError::of(self.fs, "read", &place, e))
    }

    /// What is staged at a path; `None` for nothing.
    ///
    /// # Errors
    /// If it cannot be looked at.
    pub fn status(&self, path: &str) -> Result<Option<Status>, FileError> {
        let place = self.place(path)?;
        self.fs
            .status(&place)
            .map_err(|e| FileError::of(self.fs, "looked at", &place, e))
    }

    /// Names in a staged folder, sorted; none if it is not there. The empty path stands for all that is staged.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn list(&self, path: &str) -> Result<Vec<String>, FileError> {
        let place = if path.is_empty() {
            self.root.clone()
        } else {
            self.place(path)?
        };
        match self.fs.list(&place) {
            Ok(names) => Ok(names),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(e) => Err(FileError::of(self.fs, "read", &place, e)),
        }
    }

    /// Removes a staged file or folder with all that is in it, which then gets no place.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn remove(&self, path: &str) -> Result<(), FileError> {
        let place = self.place(path)?;
        commit::remove_tree(self.fs, &place)
    }

    /// Waits until everything written since the last call is on the disk, and reads it back.
    ///
    /// # Errors
    /// [`FileError::Different`] naming the file, or if the disk refuses.
    pub fn seal(&self) -> Result<(), FileError> {
        let flushed = |path: &Path, done: io::Result<()>| done.map_err(|e| FileError::of(self.fs, "flushed", path, e));
        flushed(&self.root, self.fs.sync_tree(&self.root))?;
        flushed(&self.target, self.fs.sync_folder(&self.target))?;
        for folder in self.made.iter().rev() {
            let above = commit::named(folder.parent().unwrap_or(Path::new("")));
            flushed(&above, self.fs.sync_folder(&above))?;
        }
        let written = std::mem::take(&mut *self.written.lock().unwrap_or_else(PoisonError::into_inner));
        for (path, content) in written {
            if *self.read(&path)? != *content {
                return Err(FileError::Different(self.place(&path)?));
            }
        }
        Ok(())
    }

    /// Keeps what is sealed until a later run of the same command has done what is outside this machine. `note` says what it
    /// waits for and how to go on; it must hold no secret.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn hold(&mut self, note: &str) -> Result<(), FileError> {
        commit::write_small(self.fs, &self.root, HELD, note.as_bytes())?;
        self.keep = true;
        Ok(())
    }

    /// Gives everything its place: the journal, the steps, then the staging folder is gone. What no step names is removed.
    /// Call [`Staging::seal`] before.
    ///
    /// # Errors
    /// If a place is taken, or the disk refuses. Before the journal is written, nothing has changed; afterwards the next
    /// command goes on.
    pub fn commit(mut self, steps: Vec<Step>) -> Result<(), FileError> {
        let mut files = Vec::new();
        for step in &steps {
            let place = self.place(step.path())?;
            match step {
                Step::Move(path) => {
                    ensure_absent_or_empty(self.fs, &self.target.join(path))?;
                    self.files_below(path, &place, &mut files)?;
                }
                Step::Replace(path) => self.files_below(path, &place, &mut files)?,
                Step::Remove(_) => {}
            }
        }
        let journal = Journal { steps, files };
        // From the journal's rename on, dropping this value must not remove anything, and whether a failed rename happened
        // is not known.
        self.keep = true;
        if let Err(e) = commit::write_small(self.fs, &self.root, JOURNAL, journal.to_text().as_bytes()) {
            self.keep = !matches!(self.fs.status(&self.root.join(JOURNAL)), Ok(None));
            return Err(e);
        }
        commit::carry_out(self.fs, &self.target, &journal).map(drop)
    }

    /// A staged path.
    fn place(&self, path: &str) -> Result<PathBuf, FileError> {
        if is_plain(path) {
            Ok(self.root.join(path))
        } else {
            Err(FileError::Path(path.to_owned()))
        }
    }

    fn files_below(&self, path: &str, place: &Path, files: &mut Vec<(String, u64)>) -> Result<(), FileError> {
        let read = |e| FileError::of(self.fs, "read", place, e);
        let status = self.fs.status(place).map_err(read)?;
        match status.map(|s| (s.kind, s.len)) {
            Some((Kind::File, len)) => files.push((path.to_owned(), len)),
            Some((Kind::Folder, _)) => {
                for name in self.fs.list(place).map_err(read)? {
                    self.files_below(&format!("{path}/{name}"), &place.join(&name), files)?;
                }
            }
            Some((Kind::Link | Kind::Other, _)) | None => return Err(FileError::NotAFile(place.to_path_buf())),
        }
        Ok(())
    }
}

impl Drop for Staging<'_> {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        // Nobody waits for this: what stays is removed by the next command.
        let _ = commit::remove_tree(self.fs, &self.root);
        for folder in self.made.iter().rev() {
            let _ = self.fs.remove_folder(folder);
        }
    }
}
