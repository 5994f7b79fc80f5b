//! Addresses from flags, relays and peers.
#![no_main]
use libfuzzer_sys::fuzz_target;
use trireme_p2p::addr;

fuzz_target!(|text: &str| {
    if let Ok(parsed) = addr::parse(text) {
        let _ = addr::scope(&parsed);
        let _ = addr::named(&parsed);
        let _ = addr::split_peer(&parsed);
    }
    let _ = addr::parse_listen(text);
});
