//! Points of BLS12-381 from outside: checked points only, and the bytes of an accepted point are canonical.
#![no_main]
use libfuzzer_sys::fuzz_target;
use trireme_tbls::{PublicKey, Signature};

fuzz_target!(|bytes: &[u8]| {
    if let Some(first) = bytes.first_chunk::<48>() {
        if let Ok(key) = PublicKey::from_bytes(first) {
            assert_eq!(&key.to_bytes(), first);
        }
    }
    if let Some(first) = bytes.first_chunk::<96>() {
        if let Ok(signature) = Signature::from_bytes(first) {
            assert_eq!(&signature.to_bytes(), first);
        }
    }
});
