//! `create cluster`: what it prints and makes, as the golden files have it.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use trireme_cluster::{Lock, Networks};

use crate::call::{refused, trireme};

const ZERO: &str = "0x0000000000000000000000000000000000000000";

pub(crate) fn create(folder: &Path, more: &[&str]) -> Result<String, trireme_cli::Failure> {
    let cluster_dir = format!("--cluster-dir={}", folder.display());
    let (fee, withdrawal) = (
        format!("--fee-recipient-addresses={ZERO}"),
        format!("--withdrawal-addresses={ZERO}"),
    );
    let base = [
        "create",
        "cluster",
        "--insecure-keys",
        "--name=test",
        "--network=hoodi",
        &cluster_dir,
        &fee,
        &withdrawal,
    ];
    let all: Vec<&str> = base.iter().chain(more).copied().collect();
    trireme(&all, &[], folder)
}

/// Paths one level deep, then two levels deep, each part sorted.
fn tree(folder: &Path) -> Vec<String> {
    let names = |folder: &Path| {
        let mut all: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        all.sort();
        all
    };
    let first = names(folder);
    let second = first
        .iter()
        .flat_map(|f| names(&folder.join(f)).into_iter().map(move |n| format!("{f}/{n}")));
    first.iter().cloned().chain(second).collect()
}

#[test]
fn the_default_schema_is_one_that_both_charon_lines_read_and_the_other_can_be_asked_for() {
    for (flags, version) in [(&[][..], "v1.10.0"), (&["--definition-version=v1.11.0"], "v1.11.0")] {
        let dir = tempfile::tempdir().unwrap();
        let more: Vec<&str> = ["--nodes=3", "--num-validators=1"]
            .iter()
            .chain(flags)
            .copied()
            .collect();
        create(dir.path(), &more).unwrap();
        let lock = Lock::from_json(&fs::read(dir.path().join("node2/cluster-lock.json")).unwrap()).unwrap();
        assert_eq!(lock.definition.version.as_str(), version);
        lock.verify(&Networks::known()).unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    let error = create(
        dir.path(),
        &["--nodes=3", "--num-validators=1", "--definition-version=v1.9.0"],
    )
    .unwrap_err();
    assert!(error.to_string().contains("neither v1.10.0 nor v1.11.0"), "{error}");
}

#[test]
fn files_carry_their_permissions_and_keystores_their_passwords() {
    let dir = tempfile::tempdir().unwrap();
    create(dir.path(), &["--nodes=3", "--num-validators=1"]).unwrap();
    let mode = |name: &str| {
        fs::metadata(dir.path().join("node0").join(name))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(mode("charon-enr-private-key"), 0o600);
    assert_eq!(mode("cluster-lock.json"), 0o400);
    assert_eq!(mode("deposit-data.json"), 0o444);
    assert_eq!(mode("validator_keys/keystore-insecure-0.json"), 0o444);
    assert_eq!(mode("validator_keys/keystore-insecure-0.txt"), 0o400);
    let password = fs::read(dir.path().join("node0/validator_keys/keystore-insecure-0.txt")).unwrap();
    assert_eq!(password.len(), 32);
}

#[test]
fn a_cluster_that_is_there_is_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    create(dir.path(), &["--nodes=3", "--num-validators=1"]).unwrap();
    let before = fs::read(dir.path().join("node1/cluster-lock.json")).unwrap();
    let error = create(dir.path(), &["--nodes=3", "--num-validators=1"]).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("node0 is not empty: it holds charon-enr-private-key"),
        "{error}"
    );
    assert_eq!(fs::read(dir.path().join("node1/cluster-lock.json")).unwrap(), before);
}

#[test]
fn wrong_settings_are_told_together() {
    let dir = tempfile::tempdir().unwrap();
    let error = refused(
        &[
            "create",
            "cluster",
            "--nodes=2",
            "--network=nowhere",
            "--deposit-amounts=16,8",
            "--target-gas-limit=0",
            "--fee-recipient-addresses=0x12",
            "--consensus-protocol=abft",
            "--split-keys-dir=x",
        ],
        dir.path(),
    );
    for problem in [
        "--nodes: a cluster needs at least 3 nodes",
        "--num-validators: missing",
        "--network: \"nowhere\" is not one of mainnet",
        "--deposit-amounts: the deposit amounts must add up to at least 32 ETH",
        "--target-gas-limit: must not be 0",
        "--fee-recipient-addresses: \"0x12\" is not an Ethereum address",
        "--withdrawal-addresses: missing",
        "--consensus-protocol: \"abft\" is not supported",
        "--split-keys-dir: given without --split-existing-keys",
    ] {
        assert!(error.contains(problem), "{problem}\n{error}");
    }
    let missing = refused(&["create", "cluster"], dir.path());
    assert!(missing.contains("--nodes: missing"), "{missing}");
}

mod vectors {
    use std::{
        fs,
        io::{Read as _, Write as _},
        net::TcpListener,
        path::Path,
    };

    use serde::Deserialize;
    use trireme_cluster::{Lock, Network, Networks};
    use trireme_keys::{
        Keystore,
        keystore::{Cost, Nonces},
    };
    use trireme_tbls::SecretKey;
    use trireme_vectors::{Entry, each};

    use super::{ZERO, tree};
    use crate::call::trireme;

    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Flags {
        nodes: Option<u64>,
        threshold: Option<u64>,
        num_validators: Option<u64>,
        network: Option<String>,
        deposit_amounts: Vec<u64>,
        target_gas_limit: Option<u64>,
        split_keys: Option<u8>,
        testnet: Option<Testnet>,
        definition_file: bool,
        definition_over_http: bool,
        compounding: bool,
        consensus_protocol: Option<String>,
    }

    #[derive(Deserialize)]
    struct Testnet {
        name: String,
        chain_id: u64,
        fork_version: String,
        genesis_timestamp: Option<u64>,
    }

    impl Testnet {
        fn genesis(&self) -> u64 {
            self.genesis_timestamp.unwrap_or(1_700_000_000)
        }
    }

    /// Some keys as a validator client keeps them.
    fn write_keys(folder: &Path, count: u8) {
        for n in 0..count {
            let secret = SecretKey::from_bytes(&[n + 1; 32]).unwrap();
            let nonces = Nonces {
                salt: [n; 32],
                iv: [n; 16],
                uuid: [n; 16],
            };
            let public = secret.public_key().to_bytes();
            let keystore = Keystore::encrypt(&secret.to_bytes(), &public, "password", Cost::Insecure, &nonces);
            fs::write(folder.join(format!("keystore-{n}.json")), keystore.to_json()).unwrap();
            fs::write(folder.join(format!("keystore-{n}.txt")), "password").unwrap();
        }
    }

    /// Serves `body` once at the URL that it gives.
    fn serve_once(body: Vec<u8>) -> (String, std::thread::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/definition.json", listener.local_addr().unwrap());
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).unwrap();
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            )
            .unwrap();
            stream.write_all(&body).unwrap();
        });
        (url, thread)
    }

    fn check(e: &Entry) {
        let flags: Flags = e.field("flags");
        let (dir, keys) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut all: Vec<String> = ["create", "cluster", "--insecure-keys"].map(str::to_owned).into();
        let mut flag = |name: &str, value: String| all.push(format!("--{name}={value}"));
        flag("cluster-dir", dir.path().display().to_string());
        flag("name", "golden".to_owned());
        let mut networks = Networks::known();
        let mut server = None;
        if flags.definition_file || flags.definition_over_http {
            let file = e.input("definition");
            if flags.definition_over_http {
                let (url, thread) = serve_once(file.bytes());
                flag("definition-file", url);
                server = Some(thread);
            } else {
                flag("definition-file", file.path().display().to_string());
            }
        } else {
            for name in ["fee-recipient-addresses", "withdrawal-addresses"] {
                flag(name, ZERO.to_owned());
            }
        }
        let amounts: Vec<String> = flags.deposit_amounts.iter().map(ToString::to_string).collect();
        let number = |n: Option<u64>| n.map(|n| n.to_string());
        for (name, value) in [
            ("nodes", number(flags.nodes)),
            ("threshold", number(flags.threshold)),
            ("num-validators", number(flags.num_validators)),
            ("target-gas-limit", number(flags.target_gas_limit)),
            ("network", flags.network.clone()),
            ("consensus-protocol", flags.consensus_protocol.clone()),
            ("deposit-amounts", (!amounts.is_empty()).then(|| amounts.join(","))),
            ("compounding", flags.compounding.then(|| "true".to_owned())),
        ] {
            if let Some(value) = value {
                flag(name, value);
            }
        }
        if let Some(count) = flags.split_keys {
            write_keys(keys.path(), count);
            flag("split-existing-keys", "true".to_owned());
            flag("split-keys-dir", keys.path().display().to_string());
        }
        if let Some(testnet) = &flags.testnet {
            flag("testnet-name", testnet.name.clone());
            flag("testnet-chain-id", testnet.chain_id.to_string());
            flag("testnet-fork-version", testnet.fork_version.clone());
            flag("testnet-genesis-timestamp", testnet.genesis().to_string());
            let mut fork = [0; 4];
            hex::decode_to_slice(testnet.fork_version.trim_start_matches("0x"), &mut fork).unwrap();
            networks = networks.with(Network {
                name: testnet.name.clone(),
                genesis_fork_version: fork,
                chain_id: testnet.chain_id,
                genesis_time: testnet.genesis(),
                capella_fork_version: None,
            });
        }
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let printed = trireme(&all, &[], dir.path()).unwrap_or_else(|err| panic!("{e}: {err}"));
        if let Some(thread) = server {
            thread.join().unwrap();
        }
        let folder = std::path::absolute(dir.path()).unwrap();
        let printed = printed.replace(&format!("{}/", folder.display()), "charon/");
        let ours = printed.strip_prefix(&e.text());
        let ours = ours.unwrap_or_else(|| panic!("{e}: Charon's words come first, but: {printed}"));
        // What we say beyond that is in docs/key-files.md.
        for word in ["\nBack up: ", "\nKeep apart: ", "\nNext: "] {
            assert_eq!(ours.matches(word).count(), 1, "{e}: {ours}");
        }
        let paths: Vec<String> = e.twin().expect("the list of paths").parse();
        assert_eq!(tree(dir.path()), paths, "{e}");
        let lock = Lock::from_json(&fs::read(dir.path().join("node0/cluster-lock.json")).unwrap()).unwrap();
        let cluster = lock.verify(&networks).unwrap_or_else(|err| panic!("{e}: {err}"));
        if let Some(threshold) = flags.threshold {
            assert_eq!(u64::from(cluster.threshold), threshold);
        }
        if let Some(gas_limit) = flags.target_gas_limit {
            assert!(
                lock.validators.iter().all(|v| v.registration.gas_limit == gas_limit),
                "{e}"
            );
        }
        if let Some(count) = flags.split_keys {
            assert_eq!(cluster.validators.len(), usize::from(count));
        }
    }

    #[test]
    fn create_cluster_golden() {
        each("cluster", "create-cluster-golden", check);
    }
}
