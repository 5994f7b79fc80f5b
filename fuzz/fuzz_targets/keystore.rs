//! EIP-2335 keystores: parsing never panics. Decryption is left out, since its cost is the file's choice.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = trireme_keys::Keystore::from_json(bytes);
});
