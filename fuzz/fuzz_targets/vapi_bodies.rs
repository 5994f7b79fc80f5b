//! Bodies of submissions at the validator API, in every form that the routes take.
#![no_main]
use libfuzzer_sys::fuzz_target;
use trireme_eth2::{
    BeaconCommitteeSelection, Fork, SignedContributionAndProof, SignedValidatorRegistrationV1, SignedVoluntaryExit,
    SingleAttestation, SyncCommitteeMessage, SyncCommitteeSelection, Versioned as _, VersionedSignedAggregateAndProof,
    VersionedSignedProposal, phase0,
};

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, rest)) = bytes.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else {
        let fork = Fork::ALL[usize::from(*kind) % Fork::ALL.len()];
        let _ = VersionedSignedProposal::decode_ssz(fork, kind % 2 == 0, rest);
        return;
    };
    match kind % 8 {
        0 => drop(serde_json::from_str::<Vec<SingleAttestation>>(text)),
        1 => drop(serde_json::from_str::<Vec<phase0::Attestation>>(text)),
        2 => drop(serde_json::from_str::<Vec<SyncCommitteeMessage>>(text)),
        3 => drop(serde_json::from_str::<Vec<SignedContributionAndProof>>(text)),
        4 => drop(serde_json::from_str::<Vec<BeaconCommitteeSelection>>(text)),
        5 => drop(serde_json::from_str::<Vec<SyncCommitteeSelection>>(text)),
        6 => drop(serde_json::from_str::<(SignedVoluntaryExit, Vec<SignedValidatorRegistrationV1>)>(text)),
        _ => {
            for fork in Fork::ALL {
                let _ = VersionedSignedAggregateAndProof::decode_json(fork, text);
                let _ = VersionedSignedProposal::decode_json(fork, false, text);
                let _ = VersionedSignedProposal::decode_json(fork, true, text);
            }
        }
    }
});
