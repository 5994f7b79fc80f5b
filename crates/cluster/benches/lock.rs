//! Costs of a large lock: 1,000 validators of 10 operators.

#![expect(clippy::unwrap_used, reason = "a benchmark may stop at its own mistakes")]

use std::{
    hint::black_box,
    sync::{
        LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use divan::Bencher;
use trireme_cluster::{
    Addresses, Alone, Creator, Definition, Lock, Networks, Order, Version, Wallets, Workers,
    create::{Request, create},
};
use trireme_keys::keccak256;

fn main() {
    divan::main();
}

/// The lock and its file.
static LOCK: LazyLock<(Lock, Vec<u8>)> = LazyLock::new(|| {
    let network = Networks::known().by_name("hoodi").unwrap().clone();
    let pair = Addresses {
        fee_recipient: "0x388c818ca8b9251b393131c08a736a67ccb19297".into(),
        withdrawal: "0x6325253fec738dd7a9e28bf921119c160f070244".into(),
    };
    let definition = Definition {
        name: "large".into(),
        creator: Creator::default(),
        operators: Vec::new(),
        uuid: "05B4C5D0-9B1D-43C5-9911-CC7FBC027DAB".into(),
        version: Version::DEFAULT,
        timestamp: "2026-01-02T03:04:05Z".into(),
        num_validators: 1000,
        threshold: 7,
        validators: vec![pair; 1000],
        dkg_algorithm: "default".into(),
        fork_version: network.genesis_fork_version.to_vec(),
        deposit_amounts: None,
        consensus_protocol: String::new(),
        target_gas_limit: 60_000_000,
        compounding: false,
        config_hash: Vec::new(),
        definition_hash: Vec::new(),
    };
    let request = Request {
        registration_time: network.genesis_time,
        definition,
        nodes: 10,
        network,
        existing: None,
    };
    let mut count = 0_u64;
    let mut fill = |out: &mut [u8]| {
        for chunk in out.chunks_mut(32) {
            count += 1;
            for (to, from) in chunk.iter_mut().zip(keccak256(&count.to_be_bytes())) {
                *to = from;
            }
        }
    };
    let lock = create(&request, &mut fill).unwrap().lock;
    let json = lock.to_json(1).unwrap();
    (lock, json)
});

#[divan::bench(sample_count = 10)]
fn parse(bencher: Bencher<'_, '_>) {
    let (_, json) = &*LOCK;
    bencher.bench(|| Lock::from_json(black_box(json)).unwrap());
}

#[divan::bench(sample_count = 10)]
fn hash(bencher: Bencher<'_, '_>) {
    let (lock, _) = &*LOCK;
    bencher.bench(|| black_box(lock).verify_hashes().unwrap());
}

#[divan::bench(sample_count = 10)]
fn decode(bencher: Bencher<'_, '_>) {
    let (lock, _) = &*LOCK;
    bencher.bench(|| black_box(lock).cluster().unwrap());
}

#[divan::bench(sample_count = 10)]
fn signatures(bencher: Bencher<'_, '_>) {
    let (lock, _) = &*LOCK;
    bencher.bench(|| {
        black_box(lock)
            .verify_signatures(&Alone, &Networks::known(), &Wallets::default())
            .unwrap()
    });
}

/// From the file's bytes to a lock that may be used.
#[divan::bench(sample_count = 10)]
fn all(bencher: Bencher<'_, '_>) {
    let (_, json) = &*LOCK;
    bencher.bench(|| {
        let lock = Lock::from_json(black_box(json)).unwrap();
        lock.verify(&Networks::known()).unwrap()
    });
}

/// Two threads.
struct Two;

impl Workers for Two {
    fn parts(&self) -> usize {
        2
    }

    fn run(&self, count: usize, job: &(dyn Fn(usize) + Sync)) {
        let next = AtomicUsize::new(0);
        let work = || {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                if at >= count {
                    return;
                }
                job(at);
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(work);
            work();
        });
    }
}

/// As `all`, on two cores.
#[divan::bench(sample_count = 10)]
fn all_on_two_cores(bencher: Bencher<'_, '_>) {
    let (_, json) = &*LOCK;
    bencher.bench(|| {
        let lock = Lock::from_json(black_box(json)).unwrap();
        lock.verify_by(&Two, Order::HashesFirst, &Networks::known(), &Wallets::default())
            .unwrap()
    });
}
