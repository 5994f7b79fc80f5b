//! What every `KeyValue` must do, as checks that panic. Call [`run`] with a way to open an empty store.

use trireme_core::ports::{Batch, Durability, Flow, KeyValue, Table};

fn write(table: Table, key: &[u8], value: Option<&[u8]>) -> (Table, Vec<u8>, Option<Vec<u8>>) {
    (table, key.to_vec(), value.map(<[u8]>::to_vec))
}

fn put(store: &dyn KeyValue, key: &[u8], value: &[u8], how: Durability) {
    commit(store, vec![write(Table::Duty, key, Some(value))], how);
}

fn commit(store: &dyn KeyValue, writes: Vec<(Table, Vec<u8>, Option<Vec<u8>>)>, how: Durability) {
    let done = store.commit(Batch { writes }, how);
    assert_eq!(done, Ok(()), "a commit is taken");
}

fn get(store: &dyn KeyValue, table: Table, key: &[u8]) -> Option<Vec<u8>> {
    match store.get(table, key) {
        Ok(found) => found,
        Err(e) => panic!("reading: {e}"),
    }
}

fn keys(store: &dyn KeyValue, prefix: &[u8], most: usize) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let visited = store.scan(Table::Duty, prefix, &mut |key, _| {
        found.push(key.to_vec());
        if found.len() < most { Flow::Continue } else { Flow::Stop }
    });
    assert_eq!(visited, Ok(()), "a scan comes to its end");
    found
}

/// Runs all checks, each on a store of its own.
///
/// # Panics
///
/// When the store does something else than the port says.
pub fn run<S: KeyValue>(mut empty: impl FnMut() -> S) {
    for how in [Durability::Durable, Durability::Buffered] {
        what_is_written_is_read(&empty(), how);
        a_later_write_in_a_batch_wins(&empty(), how);
        removal_removes(&empty(), how);
    }
    tables_are_apart(&empty());
    scans_are_in_key_order_and_keep_to_the_prefix(&empty());
    a_scan_ends_when_told(&empty());
    odd_keys_and_values_are_kept(&empty());
}

fn what_is_written_is_read(store: &dyn KeyValue, how: Durability) {
    assert_eq!(get(store, Table::Duty, b"a"), None);
    put(store, b"a", b"1", how);
    assert_eq!(get(store, Table::Duty, b"a").as_deref(), Some(&b"1"[..]));
    put(store, b"a", b"2", how);
    assert_eq!(get(store, Table::Duty, b"a").as_deref(), Some(&b"2"[..]));
}

fn a_later_write_in_a_batch_wins(store: &dyn KeyValue, how: Durability) {
    let (one, two) = (
        write(Table::Duty, b"a", Some(b"1")),
        write(Table::Duty, b"a", Some(b"2")),
    );
    commit(store, vec![one.clone(), two.clone()], how);
    assert_eq!(get(store, Table::Duty, b"a").as_deref(), Some(&b"2"[..]));
    commit(store, vec![two, one, write(Table::Duty, b"a", None)], how);
    assert_eq!(get(store, Table::Duty, b"a"), None);
}

fn removal_removes(store: &dyn KeyValue, how: Durability) {
    put(store, b"a", b"1", how);
    put(store, b"b", b"2", how);
    commit(
        store,
        vec![write(Table::Duty, b"a", None), write(Table::Duty, b"not there", None)],
        how,
    );
    assert_eq!(keys(store, b"", usize::MAX), [b"b"]);
}

fn tables_are_apart(store: &dyn KeyValue) {
    let writes = Table::ALL.map(|table| write(table, b"same", Some(table.name().as_bytes())));
    commit(store, writes.to_vec(), Durability::Durable);
    for table in Table::ALL {
        assert_eq!(get(store, table, b"same").as_deref(), Some(table.name().as_bytes()));
    }
    assert_eq!(keys(store, b"", usize::MAX), [b"same"]);
}

fn scans_are_in_key_order_and_keep_to_the_prefix(store: &dyn KeyValue) {
    for key in [&b"b"[..], b"ab", b"a", b"aa", b"a\xff\xff", b"\xff", b"\xff\xff"] {
        put(store, key, b"x", Durability::Buffered);
    }
    assert_eq!(keys(store, b"a", usize::MAX), [&b"a"[..], b"aa", b"ab", b"a\xff\xff"]);
    assert_eq!(keys(store, b"\xff", usize::MAX), [&b"\xff"[..], b"\xff\xff"]);
    assert_eq!(keys(store, b"c", usize::MAX), Vec::<Vec<u8>>::new());
    assert_eq!(keys(store, b"", usize::MAX).len(), 7);
}

fn a_scan_ends_when_told(store: &dyn KeyValue) {
    for key in [&b"a"[..], b"b", b"c"] {
        put(store, key, b"x", Durability::Durable);
    }
    assert_eq!(keys(store, b"", 2), [b"a", b"b"]);
}

fn odd_keys_and_values_are_kept(store: &dyn KeyValue) {
    let long = vec![7; 300_000];
    put(store, b"\0", b"", Durability::Durable);
    put(store, b"long", &long, Durability::Durable);
    assert_eq!(get(store, Table::Duty, b"\0").as_deref(), Some(&b""[..]));
    assert_eq!(get(store, Table::Duty, b"long"), Some(long));
}
