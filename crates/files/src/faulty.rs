//! A file system that stops in the middle, as a process that is killed or a machine that loses power.
//!
//! Only for tests. It works on the machine's own file system, in a folder that the test throws away. Not here: disks that
//! return wrong bytes, and a power cut that keeps a part of a rename.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use zeroize::Zeroizing;

use crate::{
    Disk,
    port::{FileSystem, FolderLock, Kind, Status},
};

/// The machine's file system until a number of calls have been made; every later call, or only the next one, fails and does
/// nothing, except that the first of them, if it writes a file, leaves half of it behind.
#[derive(Debug)]
pub struct StopsAfter {
    calls: usize,
    /// Whether only one call fails.
    once: bool,
    /// What relative paths are relative to.
    working_folder: PathBuf,
    made: AtomicUsize,
    /// What a power cut takes back, oldest first.
    unflushed: Mutex<Vec<Change>>,
}

/// A change that is not known to be on the disk.
#[derive(Debug)]
enum Change {
    Content(PathBuf),
    Made(PathBuf),
    Renamed { from: PathBuf, to: PathBuf },
}

impl StopsAfter {
    /// Stops after so many calls.
    #[must_use]
    pub fn new(calls: usize) -> Self {
        Self {
            calls,
            once: false,
            working_folder: PathBuf::new(),
            made: AtomicUsize::new(0),
            unflushed: Mutex::default(),
        }
    }

    /// Fails only the first call after so many, as a disk that is full for a moment; whoever meets that is alive and can clean up.
    #[must_use]
    pub fn once(mut self) -> Self {
        self.once = true;
        self
    }

    /// With a working folder of its own, so that tests can give relative paths.
    #[must_use]
    pub fn working_in(mut self, folder: &Path) -> Self {
        self.working_folder = folder.to_path_buf();
        self
    }

    /// Whether it has stopped.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.made.load(Ordering::SeqCst) > self.calls
    }

    /// How many calls were made or tried.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.made.load(Ordering::SeqCst)
    }

    /// Takes back what was not flushed, newest first, as after a power cut on a disk that keeps as little as it may. Removals
    /// are not taken back: a disk may have kept those.
    ///
    /// # Panics
    /// If the test's own files cannot be changed.
    #[expect(clippy::expect_used, reason = "only tests call it, on their own files")]
    pub fn lose_power(&self) {
        let mut changes = self.unflushed.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(change) = changes.pop() {
            match change {
                Change::Content(path) => {
                    if Disk.status(&path).expect("a look").is_some() {
                        std::fs::remove_file(&path).expect("a file to cut");
                        std::fs::write(&path, b"").expect("an empty file");
                    }
                }
                Change::Made(path) => match Disk.status(&path).expect("a look").map(|s| s.kind) {
                    Some(Kind::Folder) => std::fs::remove_dir_all(&path).expect("a folder to take back"),
                    Some(_) => std::fs::remove_file(&path).expect("a file to take back"),
                    None => {}
                },
                Change::Renamed { from, to } => {
                    if Disk.status(&to).expect("a look").is_some() {
                        std::fs::rename(&to, &from).expect("a rename to take back");
                    }
                }
            }
        }
    }

    fn at(&self, path: &Path) -> PathBuf {
        self.working_folder.join(path)
    }

    fn call(&self) -> io::Result<()> {
        let made = self.made.fetch_add(1, Ordering::SeqCst);
        if made == self.calls && self.once {
            Err(io::ErrorKind::StorageFull.into())
        } else if made < self.calls || self.once {
            Ok(())
        } else {
            Err(io::Error::other("the test stopped the file system"))
        }
    }

    fn changed(&self, change: Change) {
        self.unflushed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(change);
    }

    fn flushed(&self, is: impl Fn(&Change) -> bool) {
        self.unflushed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|change| !is(change));
    }
}

impl FileSystem for StopsAfter {
    fn user(&self) -> u32 {
        Disk.user()
    }

    fn status(&self, path: &Path) -> io::Result<Option<Status>> {
        let path = &*self.at(path);
        self.call()?;
        Disk.status(path)
    }

    fn real(&self, path: &Path) -> io::Result<PathBuf> {
        let path = &*self.at(path);
        self.call()?;
        Disk.real(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let folder = &*self.at(folder);
        self.call()?;
        Disk.list(folder)
    }

    fn read(&self, path: &Path, max: u64) -> io::Result<Zeroizing<Vec<u8>>> {
        let path = &*self.at(path);
        self.call()?;
        Disk.read(path, max)
    }

    fn create_folder(&self, path: &Path, mode: u32) -> io::Result<()> {
        let path = &*self.at(path);
        self.call()?;
        Disk.create_folder(path, mode)?;
        self.changed(Change::Made(path.to_path_buf()));
        Ok(())
    }

    fn create_file(&self, path: &Path, mode: u32, content: &[u8]) -> io::Result<()> {
        let path = &*self.at(path);
        let done = self.call();
        if done.is_err() && self.made.load(Ordering::SeqCst) != self.calls.saturating_add(1) {
            return done;
        }
        let (half, _) = content.split_at(content.len() / 2);
        Disk.create_file(path, mode, if done.is_ok() { content } else { half })?;
        self.changed(Change::Made(path.to_path_buf()));
        self.changed(Change::Content(path.to_path_buf()));
        done
    }

    fn sync_file(&self, path: &Path) -> io::Result<()> {
        let path = &*self.at(path);
        self.call()?;
        self.flushed(|change| matches!(change, Change::Content(p) if p == path));
        Ok(())
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let path = &*self.at(path);
        self.call()?;
        let below = |p: &PathBuf| p.parent().map(crate::commit::named).as_deref() == Some(path);
        self.flushed(|change| match change {
            Change::Content(_) => false,
            Change::Made(p) => below(p),
            Change::Renamed { to, .. } => below(to),
        });
        Ok(())
    }

    fn sync_tree(&self, root: &Path) -> io::Result<()> {
        let root = &*self.at(root);
        self.call()?;
        self.flushed(|change| match change {
            // The root's own name stands in the folder above.
            Change::Made(p) => p.starts_with(root) && p != root,
            Change::Content(p) | Change::Renamed { to: p, .. } => p.starts_with(root),
        });
        Ok(())
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (&*self.at(from), &*self.at(to));
        self.call()?;
        Disk.rename_new(from, to)?;
        self.changed(Change::Renamed {
            from: from.to_path_buf(),
            to: to.to_path_buf(),
        });
        Ok(())
    }

    fn replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (&*self.at(from), &*self.at(to));
        self.call()?;
        let fresh = Disk.status(to)?.is_none();
        Disk.replace(from, to)?;
        // What was replaced cannot be brought back here, so such a rename counts as kept.
        if fresh {
            self.changed(Change::Renamed {
                from: from.to_path_buf(),
                to: to.to_path_buf(),
            });
        }
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let path = &*self.at(path);
        self.call()?;
        Disk.remove_file(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        let path = &*self.at(path);
        self.call()?;
        Disk.remove_folder(path)
    }

    fn lock(&self, folder: &Path) -> io::Result<FolderLock> {
        let folder = &*self.at(folder);
        self.call()?;
        Disk.lock(folder)
    }
}
