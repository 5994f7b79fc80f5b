//! `cluster-lock-examples`: a definition and a lock of our own making in every schema, with their hashes. They hold the
//! formats still: whoever changes a byte of them has to mean it (`UPDATE=1` rewrites them).

use std::{fs, path::PathBuf};

use trireme_cluster::{Definition, Lock, Networks, Version};

use crate::created::made;

#[expect(
    clippy::disallowed_methods,
    reason = "the crate takes bytes; its tests get them from the examples' folders"
)]
fn golden(version: Version, name: &str, text: &[u8]) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../cluster-lock-examples")
        .join(version.as_str());
    let path = folder.join(name);
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(&folder).unwrap();
        fs::write(&path, text).unwrap();
    }
    fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}; UPDATE=1 writes it", path.display()))
}

#[test]
fn examples_of_every_schema_are_what_we_write_and_verify() {
    for version in Version::ALL {
        let lock = made(version, 4, 2).lock;
        let definition = lock.definition.to_json(1).unwrap();
        let hashes = format!(
            "{{\n \"config_hash\": \"0x{}\",\n \"definition_hash\": \"0x{}\",\n \"lock_hash\": \"0x{}\"\n}}\n",
            hex::encode(lock.definition.compute_config_hash().unwrap()),
            hex::encode(lock.definition.compute_definition_hash().unwrap()),
            hex::encode(lock.compute_lock_hash().unwrap()),
        );
        let file = golden(version, "cluster-definition.json", &definition);
        assert_eq!(file, definition, "{version}");
        assert_eq!(
            Definition::from_json(&file).unwrap().to_json(1).unwrap(),
            file,
            "{version}"
        );
        let file = golden(version, "cluster-lock.json", &lock.to_json(1).unwrap());
        let read = Lock::from_json(&file).unwrap();
        assert_eq!(read.to_json(1).unwrap(), file, "{version}");
        assert_eq!(read.lock_hash, lock.lock_hash, "{version}");
        read.verify(&Networks::known())
            .unwrap_or_else(|e| panic!("{version}: {e}"));
        assert_eq!(
            String::from_utf8(golden(version, "hashes.json", hashes.as_bytes())).unwrap(),
            hashes,
            "{version}"
        );
    }
}
