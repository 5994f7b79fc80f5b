//! Cluster locks: reading, hashing, decoding and verifying never panic, and what we write means the same to us.
#![no_main]
use libfuzzer_sys::fuzz_target;
use trireme_cluster::{Lock, Networks, Order, Wallets};

/// Verifying takes a millisecond per point, so only of small locks.
const FEW: usize = 4;

fuzz_target!(|bytes: &[u8]| {
    let Ok(lock) = Lock::from_json(bytes) else { return };
    let hash = lock.compute_lock_hash();
    if let Ok(written) = lock.to_json(1) {
        let again = Lock::from_json(&written).expect("what we write, we read");
        assert_eq!(again.lock_hash, hash.expect("what is written was hashed"));
        // Writing mends a wrong config hash, which the lock hash of the second writing then covers (cluster.md 3.5).
        let mended = again.to_json(1).expect("what was written once");
        let third = Lock::from_json(&mended).expect("what we write, we read");
        assert_eq!(third.to_json(1).expect("what was written twice"), mended);
    }
    if lock.validators.len() <= FEW && lock.definition.operators.len() <= FEW {
        // What stands behind a wrong hash is reached only with signatures first.
        for order in [Order::HashesFirst, Order::SignaturesFirst] {
            let _ = lock.verify_in(order, &Networks::known(), &Wallets::default());
        }
        let _ = lock.cluster();
    }
});
