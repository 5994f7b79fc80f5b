//! JSON of the beacon API, from validator clients and beacon nodes.
#![no_main]
use libfuzzer_sys::fuzz_target;
use trireme_eth2::{
    AttesterDuty, Fork, ProposerDuty, SingleAttestation, SyncDuty, ValidatorInfo, VersionedSignedProposal, phase0,
};

fuzz_target!(|text: &str| {
    let _ = serde_json::from_str::<Vec<SingleAttestation>>(text);
    let _ = serde_json::from_str::<Vec<phase0::Attestation>>(text);
    let _ = serde_json::from_str::<Vec<AttesterDuty>>(text);
    let _ = serde_json::from_str::<Vec<ProposerDuty>>(text);
    let _ = serde_json::from_str::<Vec<SyncDuty>>(text);
    let _ = serde_json::from_str::<Vec<ValidatorInfo>>(text);
    for fork in Fork::ALL {
        let _ = VersionedSignedProposal::decode_json(fork, false, text);
        let _ = VersionedSignedProposal::decode_json(fork, true, text);
    }
});
