//! The beacon node's event stream, in pieces of every size.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((piece, rest)) = bytes.split_first() else { return };
    let whole = trireme_beacon::count_events(rest.chunks(usize::MAX));
    let pieces = trireme_beacon::count_events(rest.chunks(usize::from(*piece).max(1)));
    assert_eq!(whole, pieces, "events do not depend on how they are cut");
});
