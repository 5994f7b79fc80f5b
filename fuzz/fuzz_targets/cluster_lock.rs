//! Cluster locks: reading and hashing never panic.
#![no_main]
use libfuzzer_sys::fuzz_target;
use trireme_cluster::Lock;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(lock) = Lock::from_json(bytes) {
        let _ = lock.compute_lock_hash();
    }
});
