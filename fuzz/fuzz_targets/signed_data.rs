//! Partial signatures' payloads of every duty type.
#![no_main]
use libfuzzer_sys::fuzz_target;
use trireme_core::{DutyType, data::SignedData};

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, rest)) = bytes.split_first() else { return };
    let Ok(kind) = DutyType::try_from(i64::from(*kind)) else { return };
    if let Ok(data) = SignedData::decode(kind, rest) {
        let _ = data.encode();
        let _ = data.to_json();
        let _ = data.message_root();
    }
});
