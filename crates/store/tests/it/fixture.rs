//! What the store's tests share.

use std::path::Path;

use trireme_core::{
    ids::ShareIdx,
    ports::{Batch, Durability, KeyValue, Table},
};
use trireme_store::{Owner, SledStore};

pub(crate) const OWNER: Owner = Owner {
    cluster: [7; 32],
    share: ShareIdx(1),
};

pub(crate) fn open(path: &Path) -> SledStore {
    SledStore::open(path, &OWNER).unwrap()
}

pub(crate) fn put(store: &SledStore, table: Table, key: &[u8], value: &[u8], how: Durability) {
    store
        .commit(
            Batch {
                writes: vec![(table, key.to_vec(), Some(value.to_vec()))],
            },
            how,
        )
        .unwrap();
}
