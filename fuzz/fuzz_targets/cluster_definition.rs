//! Cluster definitions: reading, hashing and verifying never panic, and what we write means the same to us.
#![no_main]
use libfuzzer_sys::fuzz_target;
use trireme_cluster::{Definition, Networks, WalletRules};

fuzz_target!(|bytes: &[u8]| {
    let Ok(definition) = Definition::from_json(bytes) else { return };
    let config = definition.compute_config_hash();
    let _ = definition.compute_definition_hash();
    let _ = definition.verify_signatures(&Networks::known());
    let _ = definition.wallet_questions(&Networks::known(), WalletRules::default());
    if let Ok(written) = definition.to_json(1) {
        let again = Definition::from_json(&written).expect("what we write, we read");
        assert_eq!(again.config_hash, config.expect("what is written was hashed"));
        assert_eq!(again.to_json(1).expect("what was written once"), written);
    }
});
