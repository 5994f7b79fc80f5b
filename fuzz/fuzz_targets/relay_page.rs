//! What a relay's page answers.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = trireme_p2p::is_relay_page(bytes);
});
