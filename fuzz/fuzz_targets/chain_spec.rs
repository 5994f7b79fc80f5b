//! The beacon node's description of its chain: reading it never panics, and what was read can be calculated with.
#![no_main]
use libfuzzer_sys::fuzz_target;
use trireme_eth2::{ChainSpec, DomainType, Epoch, ForkVersion, Genesis, Root, Slot};

fuzz_target!(|text: &str| {
    let Ok(spec) = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text) else { return };
    let genesis = Genesis {
        genesis_time: 1,
        genesis_validators_root: Root::ZERO,
        genesis_fork_version: ForkVersion([0; 4]),
    };
    if let Ok(spec) = ChainSpec::read(&spec, genesis) {
        for n in [0, 1, 31, 32, u64::MAX / 2, u64::MAX] {
            let _ = spec.fork_at(Slot(n));
            let _ = spec.epoch(Slot(n));
            let _ = spec.domain(DomainType::BeaconAttester, Epoch(n));
        }
        let _ = (spec.slot_duration(), spec.sync_subcommittee_size());
    }
});
