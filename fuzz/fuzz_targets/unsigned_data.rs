//! Consensus values of every duty type.
#![no_main]
use libfuzzer_sys::fuzz_target;
use trireme_core::{DutyType, data::UnsignedData};

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, rest)) = bytes.split_first() else { return };
    let Ok(kind) = DutyType::try_from(i64::from(*kind)) else { return };
    if let Ok(data) = UnsignedData::decode(kind, rest) {
        let again = UnsignedData::decode(kind, &data.encode()).expect("what we write, we read");
        assert_eq!(data.encode(), again.encode());
        let _ = data.to_json();
    }
});
