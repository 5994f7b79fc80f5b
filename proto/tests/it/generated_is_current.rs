//! The Rust in `src/generated` is what the `.proto` files say. `UPDATE=1 cargo test -p trireme-proto` rewrites it.

use std::{collections::BTreeMap, fs, path::Path};

use prost_build::Module;

const FILES: [&str; 10] = [
    "core/corepb/v1/core.proto",
    "core/corepb/v1/parsigex.proto",
    "core/corepb/v1/consensus.proto",
    "core/corepb/v1/priority.proto",
    "app/peerinfo/peerinfopb/v1/peerinfo.proto",
    "dkg/dkgpb/v1/sync.proto",
    "dkg/dkgpb/v1/bcast.proto",
    "dkg/dkgpb/v1/frost.proto",
    "dkg/dkgpb/v1/pedersen.proto",
    "dkg/dkgpb/v1/nodesigs.proto",
];

/// Package name to Rust text.
fn generate(root: &Path) -> Result<BTreeMap<String, String>, Box<dyn std::error::Error>> {
    let set = protox::compile(FILES, [root])?;
    let mut config = prost_build::Config::new();
    config.btree_map(["."]).bytes(["."]);
    let requests = set
        .file
        .into_iter()
        .map(|f| (Module::from_protobuf_package_name(f.package()), f))
        .collect::<Vec<_>>();
    let made = config.generate(requests)?;
    Ok(made
        .into_iter()
        .map(|(module, text)| (module.parts().collect::<Vec<_>>().join("."), text))
        .filter(|(name, _)| !name.starts_with("google"))
        .collect())
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "this test compares and rewrites files; the library reads none"
)]
fn generated_rust_is_what_the_proto_files_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (package, fresh) in generate(root).expect("the .proto files turn into Rust") {
        let path = root.join(format!("src/generated/{package}.rs"));
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&path, &fresh).expect("the generated file is writable");
        }
        let kept = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            kept == fresh,
            "{} is out of date; run UPDATE=1 cargo test -p trireme-proto",
            path.display()
        );
    }
}

#[test]
fn every_proto_file_is_compiled() {
    fn walk(dir: &Path, found: &mut Vec<String>, root: &Path) {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, found, root);
            } else if path.extension().is_some_and(|e| e == "proto")
                && let Ok(below) = path.strip_prefix(root)
            {
                found.push(below.to_string_lossy().into_owned());
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for top in ["core", "app", "dkg"] {
        walk(&root.join(top), &mut found, root);
    }
    found.sort();
    let mut listed = FILES.map(str::to_owned).to_vec();
    listed.sort();
    assert_eq!(found, listed);
}
