//! Staging, journal and what the next command makes of an interruption.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use trireme_files::{
    Disk, FileError, FileSystem, Finished, STAGING, Staging, Step, faulty::StopsAfter, finish, finish_around,
};
use zeroize::Zeroizing;

/// Every file below a folder with its content.
fn tree(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut out = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(&at).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_path_buf();
                out.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    out
}

fn content(text: &str) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(text.as_bytes().to_vec())
}

/// Two folders of two files.
fn two_folders(fs: &dyn FileSystem, target: &Path) -> Result<(), FileError> {
    let staging = Staging::begin(fs, target)?;
    for node in ["node0", "node1"] {
        staging.folder(node, 0o755)?;
        staging.put(&format!("{node}/key"), 0o400, content(&format!("key of {node}")))?;
        staging.folder(&format!("{node}/keys"), 0o700)?;
        staging.put(&format!("{node}/keys/0"), 0o444, content("keystore"))?;
    }
    staging.put("scratch", 0o600, content("gets no place"))?;
    staging.seal()?;
    staging.commit(vec![Step::Move("node0".into()), Step::Move("node1".into())])
}

fn whole() -> BTreeMap<PathBuf, String> {
    [
        ("node0/key", "key of node0"),
        ("node0/keys/0", "keystore"),
        ("node1/key", "key of node1"),
        ("node1/keys/0", "keystore"),
    ]
    .map(|(path, text)| (path.into(), text.into()))
    .into()
}

/// A new set of files in place of an old one.
fn new_for_old(fs: &dyn FileSystem, target: &Path) -> Result<(), FileError> {
    let staging = Staging::begin(fs, target)?;
    staging.put("keystore-0.json", 0o444, content("new 0"))?;
    staging.put("keystore-1.json", 0o444, content("new 1"))?;
    staging.seal()?;
    staging.commit(vec![
        Step::Replace("keystore-0.json".into()),
        Step::Replace("keystore-1.json".into()),
        Step::Remove("keystore-2.json".into()),
        Step::Remove("keystore-3.json".into()),
    ])
}

fn old_set(target: &Path) {
    for name in ["keystore-0.json", "keystore-2.json", "keystore-3.json", "notes.txt"] {
        fs::write(target.join(name), format!("old {name}")).unwrap();
    }
}

fn files(of: &[(&str, &str)]) -> BTreeMap<PathBuf, String> {
    of.iter().map(|(path, text)| (path.into(), (*text).into())).collect()
}

#[test]
fn files_get_their_places_and_modes_and_nothing_stays_behind() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("a/b");
    two_folders(&Disk, &target).unwrap();
    assert_eq!(
        tree(dir.path()),
        whole()
            .into_iter()
            .map(|(p, c)| (Path::new("a/b").join(p), c))
            .collect()
    );
    let mode = |name: &str| fs::metadata(target.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("node0/keys"), 0o700);
    assert_eq!(mode("node1/key"), 0o400);
    assert!(!target.join(STAGING).exists());
    assert_eq!(finish(&Disk, &target).unwrap(), Finished::Nothing);
}

#[test]
fn an_empty_folder_in_a_place_is_fine_and_any_other_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("node1")).unwrap();
    two_folders(&Disk, dir.path()).unwrap();
    assert_eq!(tree(dir.path()), whole());
    let error = two_folders(&Disk, dir.path()).unwrap_err();
    assert!(matches!(error, FileError::NotEmpty { .. }), "{error}");
    assert_eq!(tree(dir.path()), whole());
}

#[test]
fn what_came_into_a_place_after_an_interruption_is_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let staging = dir.path().join(STAGING);
    fs::create_dir_all(staging.join("node0")).unwrap();
    fs::write(staging.join("node0/key"), "staged").unwrap();
    fs::write(
        staging.join("journal"),
        "trireme journal 1\nmove node0\nfile 6 node0/key\nend\n",
    )
    .unwrap();
    fs::create_dir(dir.path().join("node0")).unwrap();
    fs::write(dir.path().join("node0/key"), "newer").unwrap();
    let before = tree(dir.path());
    assert!(matches!(finish(&Disk, dir.path()), Err(FileError::Both { .. })));
    assert_eq!(tree(dir.path()), before);
    // Moved away by a person, the interrupted run can be finished.
    fs::rename(dir.path().join("node0"), dir.path().join("mine")).unwrap();
    assert_eq!(
        finish(&Disk, dir.path()).unwrap(),
        Finished::Moved(vec!["node0".into()])
    );
    assert_eq!(
        tree(dir.path()),
        files(&[("node0/key", "staged"), ("mine/key", "newer")])
    );
}

#[test]
fn a_run_that_gives_up_leaves_no_trace() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("new");
    let staging = Staging::begin(&Disk, &target).unwrap();
    staging.put("key", 0o400, content("x")).unwrap();
    assert!(matches!(
        staging.put("../key", 0o400, content("x")),
        Err(FileError::Path(_))
    ));
    drop(staging);
    assert!(!target.exists());
}

#[test]
fn two_commands_at_once_do_not_share_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let staging = Staging::begin(&Disk, dir.path()).unwrap();
    assert!(matches!(Staging::begin(&Disk, dir.path()), Err(FileError::Busy(_))));
    assert!(matches!(finish(&Disk, dir.path()), Err(FileError::Busy(_))));
    drop(staging);
    assert!(Staging::begin(&Disk, dir.path()).is_ok());
}

#[test]
fn a_held_run_waits_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut staging = Staging::begin(&Disk, dir.path()).unwrap();
    staging.put("key", 0o400, content("x")).unwrap();
    staging.seal().unwrap();
    staging.hold("run it again").unwrap();
    drop(staging);
    assert_eq!(
        finish(&Disk, dir.path()).unwrap(),
        Finished::Held("run it again".into())
    );
    assert!(matches!(Staging::begin(&Disk, dir.path()), Err(FileError::Held { .. })));
    let staging = Staging::resume(&Disk, dir.path()).unwrap().unwrap();
    assert_eq!(**staging.read("key").unwrap(), *b"x");
    staging.commit(vec![Step::Move("key".into())]).unwrap();
    assert_eq!(tree(dir.path()), files(&[("key", "x")]));
    assert!(Staging::resume(&Disk, dir.path()).unwrap().is_none());
}

#[test]
fn a_file_that_is_gone_after_an_interruption_is_named_once() {
    for calls in 0.. {
        let dir = tempfile::tempdir().unwrap();
        let fs = StopsAfter::new(calls);
        if two_folders(&fs, dir.path()).is_ok() {
            panic!("no call leaves the journal and both folders in place");
        }
        if !dir.path().join(STAGING).join("journal").exists() || !dir.path().join("node1").exists() {
            continue;
        }
        fs::remove_file(dir.path().join("node1/keys/0")).unwrap();
        let error = finish_around(&Disk, &dir.path().join("node0/cluster-lock.json")).unwrap_err();
        assert!(error.to_string().contains("the first is node1/keys/0"), "{error}");
        assert_eq!(finish(&Disk, dir.path()).unwrap(), Finished::Nothing);
        return;
    }
}

#[test]
fn a_journal_that_is_not_ours_moves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let staging = dir.path().join(STAGING);
    fs::create_dir(&staging).unwrap();
    fs::write(staging.join("journal"), "trireme journal 1\nmove ../../etc\nend\n").unwrap();
    let error = finish(&Disk, dir.path()).unwrap_err();
    assert!(
        error.to_string().contains("it names a path outside its folder"),
        "{error}"
    );
    fs::remove_dir_all(&staging).unwrap();
    std::os::unix::fs::symlink("/", &staging).unwrap();
    assert!(matches!(
        finish(&Disk, dir.path()),
        Err(FileError::ForeignStaging { .. })
    ));
}

/// Runs `command` so often that it is stopped after each of its calls, lets `finish` look at what is left, and compares.
fn stopped_everywhere(
    before: impl Fn(&Path),
    command: fn(&dyn FileSystem, &Path) -> Result<(), FileError>,
    old: &BTreeMap<PathBuf, String>,
    new: &BTreeMap<PathBuf, String>,
) {
    let (mut kept, mut finished) = (0, 0);
    for power_cut in [false, true] {
        for calls in 0.. {
            let dir = tempfile::tempdir().unwrap();
            before(dir.path());
            let fs = StopsAfter::new(calls);
            let done = command(&fs, dir.path());
            if done.is_ok() {
                assert!(!fs.stopped());
                break;
            }
            if power_cut {
                fs.lose_power();
            }
            let what = finish(&Disk, dir.path()).unwrap_or_else(|e| panic!("after {calls} calls: {e}"));
            let now = tree(dir.path());
            let placed: BTreeMap<_, _> = now.iter().filter(|(p, _)| !p.starts_with(STAGING)).collect();
            match what {
                Finished::Moved(_) => {
                    assert_eq!(now, *new, "after {calls} calls");
                    finished += 1;
                }
                Finished::Leftovers | Finished::Nothing
                    if placed.iter().all(|(p, c)| new.get(*p) == Some(*c)) && placed.len() == new.len() =>
                {
                    finished += 1;
                }
                Finished::Leftovers | Finished::Nothing => {
                    let old: BTreeMap<_, _> = old.iter().collect();
                    assert_eq!(placed, old, "after {calls} calls");
                    kept += 1;
                    // The same command again gives the new state.
                    command(&Disk, dir.path()).unwrap();
                    assert_eq!(tree(dir.path()), *new, "again after {calls} calls");
                }
                Finished::Held(_) => panic!("nothing is held here"),
            }
        }
    }
    assert!(kept > 10 && finished > 5, "{kept} kept, {finished} finished");
}

#[test]
fn stopped_after_any_call_a_new_set_is_there_whole_or_not_at_all() {
    stopped_everywhere(|_| {}, two_folders, &files(&[]), &whole());
}

#[test]
fn stopped_after_any_call_a_replaced_set_is_the_old_or_the_new_one() {
    let old = [
        ("keystore-0.json", "old keystore-0.json"),
        ("keystore-2.json", "old keystore-2.json"),
        ("keystore-3.json", "old keystore-3.json"),
        ("notes.txt", "old notes.txt"),
    ];
    let new = [
        ("keystore-0.json", "new 0"),
        ("keystore-1.json", "new 1"),
        ("notes.txt", "old notes.txt"),
    ];
    stopped_everywhere(old_set, new_for_old, &files(&old), &files(&new));
}

/// Fails each call once, and compares what is there afterwards: the caller is alive, so nothing may lie about.
#[test]
fn a_failure_at_any_call_leaves_the_old_set_or_a_journal_for_the_new_one() {
    let old = files(&[
        ("keystore-0.json", "old keystore-0.json"),
        ("keystore-2.json", "old keystore-2.json"),
        ("keystore-3.json", "old keystore-3.json"),
        ("notes.txt", "old notes.txt"),
    ]);
    let new = files(&[
        ("keystore-0.json", "new 0"),
        ("keystore-1.json", "new 1"),
        ("notes.txt", "old notes.txt"),
    ]);
    let (mut kept, mut journals) = (0, 0);
    for calls in 0.. {
        let dir = tempfile::tempdir().unwrap();
        old_set(dir.path());
        let fs = StopsAfter::new(calls).once();
        let done = new_for_old(&fs, dir.path());
        if fs.calls() <= calls {
            done.unwrap();
            break;
        }
        if done.is_ok() {
            // The last calls only tidy up.
            assert_eq!(tree(dir.path()), new, "call {calls}");
        } else if dir.path().join(STAGING).join("journal").exists() {
            assert!(matches!(finish(&Disk, dir.path()).unwrap(), Finished::Moved(_)));
            assert_eq!(tree(dir.path()), new, "call {calls}");
            journals += 1;
        } else if tree(dir.path()) == new {
            journals += 1;
        } else {
            assert_eq!(tree(dir.path()), old, "call {calls}");
            kept += 1;
        }
    }
    assert!(kept > 8 && journals > 5, "{kept} kept, {journals} with a journal");
}
