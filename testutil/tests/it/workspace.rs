//! The shape of the workspace, held mechanically: which crate may use which, and what pure crates may never name.
//!
//! A new arrow between two crates is a decision: it needs a record in `docs/decisions/` and a line in the table here.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What a crate of ours may depend on (normal dependencies), and which outside crates it must never name.
struct Room {
    name: &'static str,
    ours: &'static [&'static str],
    never: &'static [&'static str],
}

const IO: &[&str] = &["tokio", "hyper", "axum", "libp2p", "sled", "reqwest", "getrandom"];

const ROOMS: &[Room] = &[
    Room {
        name: "proto",
        ours: &[],
        never: IO,
    },
    Room {
        name: "eth2",
        ours: &[],
        never: IO,
    },
    Room {
        name: "tbls",
        ours: &[],
        never: &[
            "tokio",
            "hyper",
            "axum",
            "libp2p",
            "sled",
            "reqwest",
            "getrandom",
            "serde",
        ],
    },
    Room {
        name: "qbft",
        ours: &[],
        never: &[
            "tokio",
            "hyper",
            "axum",
            "libp2p",
            "sled",
            "reqwest",
            "getrandom",
            "serde",
            "prost",
            "bytes",
        ],
    },
    Room {
        name: "keys",
        ours: &[],
        never: IO,
    },
    Room {
        name: "files",
        ours: &[],
        never: IO,
    },
    Room {
        name: "cluster",
        ours: &["eth2", "tbls", "keys"],
        never: IO,
    },
    Room {
        name: "remote",
        ours: &["cluster"],
        never: &["axum", "libp2p", "sled", "clap"],
    },
    Room {
        name: "core",
        ours: &["proto", "eth2", "tbls", "qbft", "keys"],
        never: &["libp2p", "axum", "hyper", "sled", "reqwest"],
    },
    Room {
        name: "p2p",
        ours: &["core", "proto", "keys"],
        never: &["sled"],
    },
    Room {
        name: "beacon",
        ours: &["core", "eth2"],
        never: &["libp2p", "axum", "sled"],
    },
    Room {
        name: "vapi",
        ours: &["core", "eth2"],
        never: &["libp2p", "sled"],
    },
    Room {
        name: "store",
        ours: &["core"],
        never: &["libp2p", "axum", "hyper", "reqwest"],
    },
    Room {
        name: "telemetry",
        ours: &[],
        never: &["libp2p", "sled"],
    },
    Room {
        name: "node",
        ours: &[
            "core",
            "proto",
            "eth2",
            "tbls",
            "qbft",
            "keys",
            "cluster",
            "p2p",
            "beacon",
            "vapi",
            "store",
            "telemetry",
        ],
        never: &["clap"],
    },
    Room {
        name: "devnet",
        ours: &["testutil", "cluster", "keys", "eth2", "tbls"],
        never: &["libp2p", "sled", "clap"],
    },
    Room {
        name: "cli",
        ours: &[
            "node",
            "devnet",
            "cluster",
            "files",
            "remote",
            "keys",
            "eth2",
            "tbls",
            "p2p",
            "telemetry",
        ],
        never: &["libp2p", "sled"],
    },
    Room {
        name: "testutil",
        ours: &["vectors", "core", "eth2", "tbls", "keys", "cluster", "proto"],
        never: &["libp2p", "sled", "clap"],
    },
    Room {
        name: "vectors",
        ours: &[],
        never: IO,
    },
];

/// Crates without sockets, files, clocks or randomness; their folders hold a stricter `clippy.toml`.
const PURE: &[&str] = &[
    "proto",
    "crates/eth2",
    "crates/tbls",
    "crates/qbft",
    "crates/keys",
    "crates/cluster",
];

/// What the `clippy.toml` of a pure crate must ban, by path.
const BANNED_IN_PURE: &[&str] = &[
    "std::collections::HashMap",
    "std::collections::HashSet",
    "std::time::Instant",
    "std::time::SystemTime",
    "std::net::TcpStream",
    "std::net::TcpListener",
    "std::net::UdpSocket",
    "std::fs::File",
    "std::fs::read",
    "std::fs::write",
    "std::thread::spawn",
    "std::env::var",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("testutil lies in the workspace")
        .to_path_buf()
}

/// Every member with its normal dependencies, as cargo reads the manifests.
fn members() -> BTreeMap<String, BTreeSet<String>> {
    let out = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(
        out.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    let json: serde_json::Value = serde_json::from_slice(&out.stdout).expect("cargo metadata is JSON");
    json["packages"]
        .as_array()
        .expect("packages is a list")
        .iter()
        .map(|package| {
            let deps = package["dependencies"]
                .as_array()
                .expect("dependencies is a list")
                .iter()
                .filter(|dep| dep["kind"].is_null())
                .map(|dep| dep["name"].as_str().expect("a name").to_owned())
                .collect();
            (package["name"].as_str().expect("a name").to_owned(), deps)
        })
        .collect()
}

#[test]
fn crates_depend_only_on_what_the_table_allows() {
    let rooms: BTreeMap<String, &Room> = ROOMS
        .iter()
        .map(|room| (format!("trireme-{}", room.name), room))
        .collect();
    let mut wrong = Vec::new();
    for (member, deps) in members() {
        let Some(room) = rooms.get(&member) else {
            wrong.push(format!(
                "{member} is not in the table of this test: say there what it may depend on"
            ));
            continue;
        };
        for dep in deps {
            if let Some(ours) = dep.strip_prefix("trireme-") {
                if !room.ours.contains(&ours) {
                    wrong.push(format!(
                        "{member} must not depend on {dep}: arrows point down, and only where the table has them"
                    ));
                }
            } else if room.never.contains(&dep.as_str()) {
                wrong.push(format!(
                    "{member} must not depend on {dep}: it would break what this crate promises (docs/structure.md)"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_table_names_no_crate_that_is_gone() {
    let members = members();
    for room in ROOMS {
        assert!(
            members.contains_key(&format!("trireme-{}", room.name)),
            "{} is in the table but not in the workspace",
            room.name
        );
    }
}

#[test]
fn pure_crates_ban_clocks_sockets_files_and_hash_order() {
    for folder in PURE {
        let path = root().join(folder).join("clippy.toml");
        let text = fs::read_to_string(&path)
            .unwrap_or_else(|e| panic!("{folder} is a pure crate and needs a clippy.toml with the bans: {e}"));
        for banned in BANNED_IN_PURE {
            assert!(
                text.contains(&format!("\"{banned}\"")),
                "{folder}/clippy.toml does not ban {banned}"
            );
        }
    }
}

#[test]
fn the_released_binary_contains_no_simulation() {
    let out = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "-p",
            "trireme-cli",
            "--edges",
            "features,no-dev",
            "-i",
            "trireme-testutil",
        ])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(
        out.status.success(),
        "cargo tree: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    let tree = String::from_utf8_lossy(&out.stdout);
    assert!(
        tree.contains("trireme-testutil feature \"mocks\""),
        "devnet ships the mocks:\n{tree}"
    );
    assert!(
        !tree.contains("trireme-testutil feature \"sim\""),
        "toy signatures and crash stores are for tests only; only dev-dependencies may switch on testutil's feature sim:\n{tree}"
    );
}
