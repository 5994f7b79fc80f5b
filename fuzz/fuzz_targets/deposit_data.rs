//! Deposit data files: reading, hashing and merging never panic, and what we write means the same to us.
#![no_main]
use libfuzzer_sys::fuzz_target;
use trireme_cluster::{Networks, deposit};

/// Writing verifies each signature, so only of small files.
const FEW: usize = 3;

fuzz_target!(|bytes: &[u8]| {
    let Ok(deposits) = deposit::from_json(bytes) else { return };
    for deposit in &deposits {
        let _ = deposit.message_root();
        let _ = deposit.data_root();
    }
    if deposits.len() > FEW {
        return;
    }
    let networks = Networks::known();
    let network = networks.by_name("hoodi").expect("a known network");
    if let Ok(files) = deposit::files(&deposits, network) {
        for (_, file) in &files {
            deposit::from_json(file).expect("what we write, we read");
        }
        let texts = files.iter().map(|(_, text)| text.as_slice());
        assert_eq!(deposit::merged(texts, &deposits, network), Ok(files));
    }
});
