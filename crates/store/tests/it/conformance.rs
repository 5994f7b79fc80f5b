//! The store does what an ordered map does.

use std::collections::BTreeMap;

use trireme_core::ports::{Batch, Durability, Flow, KeyValue, Table};
use trireme_store::SledStore;

use super::fixture::open;

/// Small, fixed pseudo-random numbers (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    fn bytes(&mut self, longest: u64) -> Vec<u8> {
        (0..self.below(longest + 1))
            .map(|_| u8::try_from(self.below(3)).unwrap())
            .collect()
    }
}

fn all(store: &SledStore, table: Table, prefix: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut out = Vec::new();
    store
        .scan(table, prefix, &mut |k, v| {
            out.push((k.to_vec(), v.to_vec()));
            Flow::Continue
        })
        .unwrap();
    out
}

#[test]
fn random_batches_leave_the_same_content_as_in_an_ordered_map() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let mut store = open(&path);
    let mut model: BTreeMap<(Table, Vec<u8>), Vec<u8>> = BTreeMap::new();
    let mut dice = Dice(1);
    let tables = [
        Table::Duty,
        Table::DutyFloor,
        Table::Partial,
        Table::Aggregate,
        Table::Slashing,
    ];
    for round in 0..200 {
        let mut batch = Batch::default();
        for _ in 0..dice.below(6) {
            let table = tables[usize::try_from(dice.below(5)).unwrap()];
            let key = dice.bytes(4);
            let value = (dice.below(3) > 0).then(|| dice.bytes(6));
            batch.writes.push((table, key, value));
        }
        for (table, key, value) in batch.writes.clone() {
            match value {
                Some(v) => drop(model.insert((table, key), v)),
                None => drop(model.remove(&(table, key))),
            }
        }
        let how = if dice.below(10) == 0 {
            Durability::Durable
        } else {
            Durability::Buffered
        };
        store.commit(batch, how).unwrap();
        if round % 50 == 49 {
            store.flush().unwrap();
            drop(store);
            store = open(&path);
        }
        let table = tables[usize::try_from(dice.below(5)).unwrap()];
        let prefix = dice.bytes(2);
        let expected: Vec<_> = model
            .iter()
            .filter(|((t, k), _)| *t == table && k.starts_with(&prefix))
            .map(|((_, k), v)| (k.clone(), v.clone()))
            .collect();
        assert_eq!(all(&store, table, &prefix), expected, "round {round}");
    }
    for ((table, key), value) in &model {
        assert_eq!(store.get(*table, key).unwrap().as_ref(), Some(value));
    }
}

#[test]
fn later_write_to_the_same_key_in_a_batch_wins() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("store"));
    let write = |v: Option<&[u8]>| (Table::Duty, b"k".to_vec(), v.map(<[u8]>::to_vec));
    store
        .commit(
            Batch {
                writes: vec![write(Some(b"1")), write(Some(b"2"))],
            },
            Durability::Durable,
        )
        .unwrap();
    assert_eq!(store.get(Table::Duty, b"k").unwrap().unwrap(), b"2");
    store
        .commit(
            Batch {
                writes: vec![write(Some(b"3")), write(None)],
            },
            Durability::Durable,
        )
        .unwrap();
    assert_eq!(store.get(Table::Duty, b"k").unwrap(), None);
}

#[test]
fn scan_stops_when_told() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("store"));
    let writes = (0_u8..5).map(|i| (Table::Duty, vec![i], Some(vec![i]))).collect();
    store.commit(Batch { writes }, Durability::Buffered).unwrap();
    let mut seen = 0;
    let each = &mut |_: &[u8], _: &[u8]| {
        seen += 1;
        if seen == 2 { Flow::Stop } else { Flow::Continue }
    };
    store.scan(Table::Duty, b"", each).unwrap();
    assert_eq!(seen, 2);
}
