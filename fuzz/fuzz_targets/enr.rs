//! Node records: parsing never panics, and a parsed record written out parses to the same.
#![no_main]
use libfuzzer_sys::fuzz_target;
use trireme_keys::Enr;

fuzz_target!(|text: &str| {
    if let Ok(enr) = text.parse::<Enr>() {
        let again: Enr = enr.to_string().parse().expect("what we write, we read");
        assert_eq!(enr.to_string(), again.to_string());
    }
});
