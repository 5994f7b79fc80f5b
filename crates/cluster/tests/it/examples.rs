//! `cluster-lock-examples`: a definition and a lock of our own making in every schema, with their hashes. They hold the
//! formats still: whoever changes a byte of them has to mean it (`UPDATE=1` rewrites them).

use std::{fs, path::PathBuf};

use trireme_cluster::{Definition, Lock, Networks, Version};
use trireme_testutil::mutations::Signed;

#[expect(
    clippy::disallowed_methods,
    reason = "the crate takes bytes; its tests get them from the examples' folders"
)]
fn golden(folder: &str, name: &str, text: &[u8]) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../cluster-lock-examples")
        .join(folder);
    let path = folder.join(name);
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(&folder).unwrap();
        fs::write(&path, text).unwrap();
    }
    fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}; UPDATE=1 writes it", path.display()))
}

fn hex(hash: [u8; 32]) -> String {
    format!("0x{}", hex::encode(hash))
}

#[test]
fn examples_of_every_schema_are_what_we_write_and_verify() {
    for version in Version::ALL {
        let lock = Signed::new(version).lock;
        let definition = lock.definition.to_json(1).unwrap();
        let hashes = format!(
            "{{\n \"config_hash\": \"{}\",\n \"definition_hash\": \"{}\",\n \"lock_hash\": \"{}\"\n}}\n",
            hex(lock.definition.compute_config_hash().unwrap()),
            hex(lock.definition.compute_definition_hash().unwrap()),
            hex(lock.compute_lock_hash().unwrap()),
        );
        let file = golden(version.as_str(), "cluster-definition.json", &definition);
        assert_eq!(file, definition, "{version}");
        let read = Definition::from_json(&file).unwrap();
        assert_eq!(read.to_json(1).unwrap(), file, "{version}");
        read.verify_hashes().unwrap();
        read.verify_signatures(&Networks::known()).unwrap();
        let signed = read
            .operators
            .iter()
            .filter(|o| !o.config_signature.is_empty() && !o.enr_signature.is_empty());
        let expected = if version.has_wallet_signatures() { 4 } else { 0 };
        assert_eq!(signed.count(), expected, "{version}");
        assert_eq!(
            read.creator.config_signature.is_empty(),
            !version.has_creator(),
            "{version}"
        );

        let file = golden(version.as_str(), "cluster-lock.json", &lock.to_json(1).unwrap());
        let read = Lock::from_json(&file).unwrap();
        assert_eq!(read.to_json(1).unwrap(), file, "{version}");
        assert_eq!(read.lock_hash, lock.lock_hash, "{version}");
        assert!(!read.signature_aggregate.is_empty(), "{version}");
        for deposit in read.validators.iter().flat_map(|v| &v.deposit_data) {
            assert_eq!(deposit.verifies([0x10, 0, 0x09, 0x10]), Ok(true), "{version}");
        }
        read.verify(&Networks::known())
            .unwrap_or_else(|e| panic!("{version}: {e}"));
        let text = golden(version.as_str(), "hashes.json", hashes.as_bytes());
        assert_eq!(String::from_utf8(text).unwrap(), hashes, "{version}");
    }
}

#[test]
fn the_table_of_the_examples_is_what_the_schemas_have() {
    let yes = |has: bool| if has { "yes" } else { "" };
    let mut text = README.to_owned();
    for version in Version::ALL {
        let lock = Signed::new(version).lock;
        text.push_str(&format!(
            "| [{version}]({version}) | {} | {} | {} | {} | {} | `{}` |\n",
            yes(version.has_wallet_signatures()),
            yes(version.has_creator()),
            match lock.validators[0].deposit_data.len() {
                0 => String::new(),
                n => n.to_string(),
            },
            yes(version.has_registrations()),
            yes(version.has_node_signatures()),
            hex(lock.compute_lock_hash().unwrap()),
        ));
    }
    let file = golden("", "README.md", text.as_bytes());
    assert_eq!(String::from_utf8(file).unwrap(), text);
}

const README: &str = "\
# Examples of cluster files

One folder per schema version, each with a definition, a lock and their hashes: four operators with threshold three, two
validators, on hoodi. Every signature that the schema has is there and verifies: the creator's and the operators' wallets,
all shares, deposits, registrations, and the operators' nodes.

They come from this project's own writer and from fixed randomness (`testutil/src/mutations/signed.rs`), so the keys behind
them are worthless. A test (`crates/cluster/tests/it/examples.rs`) holds them byte for byte against what we write, reads them
back and verifies them; `UPDATE=1 cargo test -p trireme-cluster examples` rewrites them, this file included.

| version | wallets sign | creator | deposits per validator | registrations | node signatures | lock hash |
| --- | --- | --- | --- | --- | --- | --- |
";
