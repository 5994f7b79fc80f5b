//! Blocks of every fork, full and blinded, as SSZ: accepted bytes are written back the same.
#![no_main]
use libfuzzer_sys::fuzz_target;
use trireme_eth2::{Fork, VersionedProposal, VersionedSignedProposal};

fuzz_target!(|bytes: &[u8]| {
    let [fork, blinded, rest @ ..] = bytes else { return };
    let Some(fork) = Fork::ALL.get(usize::from(*fork) % Fork::ALL.len()) else { return };
    let blinded = blinded % 2 == 1;
    if let Ok(block) = VersionedSignedProposal::decode_ssz(*fork, blinded, rest) {
        assert_eq!(block.to_ssz(), rest);
    }
    if let Ok(block) = VersionedProposal::decode_ssz(*fork, blinded, rest) {
        assert_eq!(block.to_ssz(), rest);
    }
});
