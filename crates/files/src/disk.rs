//! The file system of the machine.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{CWD, FlockOperation, OFlags, RenameFlags},
    io::Errno,
};
use zeroize::Zeroizing;

use crate::port::{FileSystem, FolderLock, Kind, Status};

/// The machine's own.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

impl FileSystem for Disk {
    fn user(&self) -> u32 {
        rustix::process::geteuid().as_raw()
    }

    fn status(&self, path: &Path) -> io::Result<Option<Status>> {
        let found = match std::fs::symlink_metadata(path) {
            Ok(found) => found,
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(None),
            Err(e) => return Err(e),
        };
        let kind = match found.file_type() {
            t if t.is_symlink() => Kind::Link,
            t if t.is_dir() => Kind::Folder,
            t if t.is_file() => Kind::File,
            _ => Kind::Other,
        };
        Ok(Some(Status {
            kind,
            mode: found.permissions().mode() & 0o7777,
            owner: found.uid(),
            len: found.len(),
        }))
    }

    fn real(&self, path: &Path) -> io::Result<PathBuf> {
        std::fs::canonicalize(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let names = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        let mut names = names.collect::<io::Result<Vec<String>>>()?;
        names.sort();
        Ok(names)
    }

    fn read(&self, path: &Path, max: u64) -> io::Result<Zeroizing<Vec<u8>>> {
        // NONBLOCK, so that opening a pipe that somebody put there does not wait for ever.
        let mut options = OpenOptions::new();
        options
            .read(true)
            .custom_flags(flags(OFlags::NOFOLLOW | OFlags::NONBLOCK));
        let file = options.open(path)?;
        let found = file.metadata()?;
        if !found.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        if found.len() > max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        // One byte more than it has, so that the buffer need not grow, which would leave copies of secrets behind.
        let room = usize::try_from(found.len().saturating_add(1)).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let mut content = Zeroizing::new(Vec::with_capacity(room));
        file.take(max.saturating_add(1)).read_to_end(&mut content)?;
        if u64::try_from(content.len()).unwrap_or(u64::MAX) > max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(content)
    }

    fn create_folder(&self, path: &Path, mode: u32) -> io::Result<()> {
        std::fs::DirBuilder::new().mode(mode).create(path)
    }

    fn create_file(&self, path: &Path, mode: u32, content: &[u8]) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options
            .write(true)
            .create_new(true)
            .mode(mode)
            .custom_flags(flags(OFlags::NOFOLLOW));
        options.open(path)?.write_all(content)
    }

    fn sync_file(&self, path: &Path) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(flags(OFlags::NOFOLLOW));
        options.open(path)?.sync_all()
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    #[cfg(target_os = "linux")]
    fn sync_tree(&self, root: &Path) -> io::Result<()> {
        Ok(rustix::fs::syncfs(File::open(root)?)?)
    }

    #[cfg(not(target_os = "linux"))]
    fn sync_tree(&self, root: &Path) -> io::Result<()> {
        for name in self.list(root)? {
            let path = root.join(name);
            match self.status(&path)?.map(|s| s.kind) {
                Some(Kind::Folder) => self.sync_tree(&path)?,
                Some(Kind::File) => self.sync_file(&path)?,
                Some(Kind::Link | Kind::Other) | None => {}
            }
        }
        self.sync_folder(root)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        if std::fs::symlink_metadata(from)?.is_dir() {
            // The system itself refuses a folder that is not empty, and anything that is no folder.
            return std::fs::rename(from, to);
        }
        match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            Ok(()) => Ok(()),
            // Network and old file systems do not know this way of renaming: a second name refuses to overwrite as well.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                std::fs::hard_link(from, to)?;
                std::fs::remove_file(from)
            }
            Err(e) => Err(e.into()),
        }
    }

    fn replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_dir(path)
    }

    fn lock(&self, folder: &Path) -> io::Result<FolderLock> {
        let mut options = OpenOptions::new();
        options
            .read(true)
            .custom_flags(flags(OFlags::NOFOLLOW | OFlags::DIRECTORY));
        let file = options.open(folder)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(FolderLock(Some(file.into()))),
            // Some network file systems have no locks; two commands at once on one of them are the user's to avoid.
            Err(Errno::NOTSUP | Errno::NOLCK | Errno::NOSYS) => Ok(FolderLock(None)),
            Err(e) => Err(e.into()),
        }
    }
}

fn flags(flags: OFlags) -> i32 {
    flags.bits().cast_signed()
}
