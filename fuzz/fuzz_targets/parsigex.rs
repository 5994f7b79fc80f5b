//! Partial signatures from peers.
#![no_main]
use libfuzzer_sys::fuzz_target;
use trireme_core::data::{decode_parsigex, encode_parsigex};

fuzz_target!(|bytes: &[u8]| {
    if let Ok((duty, set)) = decode_parsigex(bytes.to_vec().into()) {
        let again = encode_parsigex(duty, &set);
        let (duty_again, set_again) = decode_parsigex(again.into()).expect("what we write, we read");
        assert_eq!((duty, set), (duty_again, set_again));
    }
});
