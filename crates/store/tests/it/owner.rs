use std::fs;

use trireme_core::{
    ids::ShareIdx,
    ports::{Durability, KeyValue, StoreError, Table},
};
use trireme_store::{Owner, SledStore};

use super::fixture::{OWNER, open, put};

#[test]
fn what_was_written_is_there_after_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = open(&path);
    put(&store, Table::Duty, b"a", b"1", Durability::Durable);
    put(&store, Table::Partial, b"a", b"2", Durability::Buffered);
    store.flush().unwrap();
    drop(store);
    let store = open(&path);
    assert_eq!(store.get(Table::Duty, b"a").unwrap().unwrap(), b"1");
    assert_eq!(store.get(Table::Partial, b"a").unwrap().unwrap(), b"2");
    assert_eq!(store.get(Table::Aggregate, b"a").unwrap(), None);
}

#[test]
fn store_of_another_cluster_or_share_is_refused_with_a_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    drop(open(&path));
    for other in [
        Owner {
            cluster: [8; 32],
            ..OWNER
        },
        Owner {
            share: ShareIdx(2),
            ..OWNER
        },
    ] {
        let err = SledStore::open(&path, &other).err().unwrap();
        assert!(matches!(err, StoreError::OtherCluster { .. }), "{err}");
        assert!(err.to_string().contains("belongs to another cluster"), "{err}");
        assert!(err.to_string().contains("data folder"), "{err}");
    }
    drop(open(&path));
}

#[test]
fn store_that_is_open_cannot_be_opened_a_second_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let first = open(&path);
    assert!(matches!(
        SledStore::open(&path, &OWNER).err().unwrap(),
        StoreError::Io { .. }
    ));
    drop(first);
    drop(open(&path));
}

#[test]
fn draft_left_by_a_crash_while_creating_is_thrown_away() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("store.new")).unwrap();
    fs::write(dir.path().join("store.new/db"), b"half").unwrap();
    drop(open(&dir.path().join("store")));
    assert!(!dir.path().join("store.new").exists());
}

#[test]
fn folder_without_our_records_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    fs::create_dir(&path).unwrap();
    let err = SledStore::open(&path, &OWNER).err().unwrap();
    assert!(matches!(err, StoreError::Corrupt { .. }), "{err}");
    let err = SledStore::open(&path, &OWNER).err().unwrap();
    assert!(matches!(err, StoreError::Corrupt { .. }), "{err}");
}
