//! EIP-2335 keystores: reading never panics, and what was read is written so that we read it again. Opening is tried where
//! the file asks for little work; what asks for too much must be refused at once, which the time limit of a run shows.
#![no_main]
use libfuzzer_sys::fuzz_target;
use trireme_keys::Keystore;

fuzz_target!(|bytes: &[u8]| {
    let Ok(keystore) = Keystore::from_json(bytes) else { return };
    let written = keystore.to_json();
    let again = Keystore::from_json(&written).expect("what we write, we read");
    assert_eq!(again.to_json(), written);
    if keystore.work() <= 1 << 12 {
        let _ = keystore.decrypt(b"password");
    }
});
