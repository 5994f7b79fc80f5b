//! Cluster definitions: reading, hashing and verifying never panic.
#![no_main]
use libfuzzer_sys::fuzz_target;
use trireme_cluster::Definition;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(definition) = Definition::from_json(bytes) {
        let _ = definition.compute_config_hash();
        let _ = definition.compute_definition_hash();
    }
});
