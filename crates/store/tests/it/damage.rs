//! Files that were changed behind our back.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use trireme_core::ports::{Durability, Flow, KeyValue, StoreError, Table};
use trireme_store::SledStore;

use super::fixture::{OWNER, open, put};

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            out.extend(files(&path))
        } else {
            out.push(path)
        }
    }
    out.sort();
    out
}

fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(&file, target).unwrap();
    }
}

/// Everything in the store, or why it cannot be read.
fn read_all(path: &Path) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, StoreError> {
    let store = SledStore::open(path, &OWNER)?;
    let mut out = BTreeMap::new();
    store.scan(Table::Duty, b"", &mut |k, v| {
        out.insert(k.to_vec(), v.to_vec());
        Flow::Continue
    })?;
    Ok(out)
}

#[test]
fn damaged_files_give_an_error_or_older_content_and_never_other_data() {
    let dir = tempfile::tempdir().unwrap();
    let intact = dir.path().join("intact");
    let store = open(&intact);
    let value = |n: u8| vec![n; 200];
    for n in 0..50 {
        put(&store, Table::Duty, &[n], &value(n), Durability::Durable);
    }
    drop(store);

    let whole = read_all(&intact).unwrap();
    assert_eq!(whole.len(), 50);
    let mut refused = 0;
    let mut check = |case: String, change: &dyn Fn(&mut Vec<u8>), file: &Path| {
        let copied = dir.path().join(&case);
        copy(&intact, &copied);
        let target = copied.join(file);
        let mut bytes = fs::read(&target).unwrap();
        change(&mut bytes);
        fs::write(&target, bytes).unwrap();
        match read_all(&copied) {
            Err(_) => refused += 1,
            Ok(found) => {
                for (key, read) in found {
                    assert_eq!(read, value(key[0]), "{case}: other data came out");
                }
            }
        }
        fs::remove_dir_all(&copied).unwrap();
    };
    for file in files(&intact) {
        let relative = file.strip_prefix(&intact).unwrap();
        let len = fs::metadata(&file).unwrap().len();
        let content = fs::read(&file).unwrap();
        let used = content.iter().rposition(|b| *b != 0).map_or(0, |i| i + 1);
        for step in 0..12 {
            let at = used * step / 12;
            if at < used {
                check(format!("flip-{step}"), &|bytes| bytes[at] ^= 0x10, relative);
            }
        }
        for keep in [0, used / 3, used / 2, used.saturating_sub(1)] {
            if u64::try_from(keep).unwrap() < len {
                check(format!("cut-{keep}"), &|bytes| bytes.truncate(keep), relative);
            }
        }
    }
    assert!(refused > 0, "no damage was noticed at all");
}
