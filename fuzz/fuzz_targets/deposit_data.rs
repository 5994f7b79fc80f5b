//! Deposit data files.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = trireme_cluster::deposit::from_json(bytes);
});
