//! Identity key files: a key that is read is written back to the same key.
#![no_main]
use libfuzzer_sys::fuzz_target;
use trireme_keys::IdentityKey;

fuzz_target!(|text: &str| {
    if let Ok(key) = IdentityKey::from_file_text(text) {
        let again = IdentityKey::from_file_text(&key.to_file_text()).expect("what we write, we read");
        assert_eq!(*key.secret_bytes(), *again.secret_bytes());
    }
});
