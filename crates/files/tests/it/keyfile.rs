//! Single files.

use std::{fs, os::unix::fs::PermissionsExt as _};

use trireme_files::{Disk, FileError, FileSystem as _, ensure_absent_or_empty, read_secret, write_new};

#[test]
fn a_file_is_made_with_its_mode_and_never_over_another() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    write_new(&Disk, &path, 0o400, b"secret").unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o400);
    let error = write_new(&Disk, &path, 0o400, b"other").unwrap_err();
    assert!(matches!(&error, FileError::Exists(p) if *p == path), "{error}");
    assert_eq!(**read_secret(&Disk, &path, 6).unwrap(), *b"secret");
    assert!(matches!(
        read_secret(&Disk, &path, 5),
        Err(FileError::TooLarge { len: 6, max: 5, .. })
    ));
}

#[test]
fn a_dangling_link_does_not_lead_a_new_file_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let (link, elsewhere) = (dir.path().join("key"), dir.path().join("elsewhere"));
    std::os::unix::fs::symlink(&elsewhere, &link).unwrap();
    let error = write_new(&Disk, &link, 0o600, b"secret").unwrap_err();
    assert!(matches!(error, FileError::Exists(_)), "{error}");
    assert!(!elsewhere.exists());
}

#[test]
fn a_secret_mounted_as_a_link_is_read() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("real"), "secret").unwrap();
    std::os::unix::fs::symlink("real", dir.path().join("key")).unwrap();
    assert_eq!(**read_secret(&Disk, &dir.path().join("key"), 100).unwrap(), *b"secret");
}

#[test]
fn a_pipe_in_a_files_place_is_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("key");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let error = read_secret(&Disk, &pipe, 100).unwrap_err();
    assert!(error.to_string().contains("not a regular file"), "{error}");
}

#[test]
fn what_stands_in_a_folder_that_must_be_empty_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let node = dir.path().join("node0");
    ensure_absent_or_empty(&Disk, &node).unwrap();
    fs::create_dir(&node).unwrap();
    ensure_absent_or_empty(&Disk, &node).unwrap();
    fs::write(node.join("notes.txt"), "").unwrap();
    let error = ensure_absent_or_empty(&Disk, &node).unwrap_err().to_string();
    assert!(error.contains("node0 is not empty: it holds notes.txt"), "{error}");
    std::os::unix::fs::symlink("/nowhere", dir.path().join("node1")).unwrap();
    assert!(ensure_absent_or_empty(&Disk, &dir.path().join("node1")).is_err());
}

#[test]
fn a_refusal_for_owner_or_mode_says_whose_the_file_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    write_new(&Disk, &path, 0o400, b"secret").unwrap();
    let denied = || std::io::Error::from(std::io::ErrorKind::PermissionDenied);
    let me = Disk.user();
    let error = FileError::of(&Disk, "read", &path, denied()).to_string();
    assert!(
        error.contains(&format!(
            "belongs to user id {me} with mode 0400, and this process is user id {me}; change its mode"
        )),
        "{error}"
    );
    // One that is not there is explained by the folder around it.
    let error = FileError::of(&Disk, "made", &dir.path().join("a/b"), denied());
    assert!(
        matches!(&error, FileError::Denied { at, .. } if at == dir.path()),
        "{error}"
    );
}
