//! Consensus messages from peers, up to the point where signatures are verified.
#![no_main]
use libfuzzer_sys::fuzz_target;
use trireme_core::{Duty, DutyType, consensus::receive::open, duty::Slot};

fuzz_target!(|bytes: &[u8]| {
    let gate = |slot, kind| DutyType::try_from(kind).ok().map(|kind| Duty::new(Slot(slot), kind));
    if let Ok(opened) = open(bytes.to_vec().into(), 4, gate) {
        assert!(opened.size() <= bytes.len());
    }
});
