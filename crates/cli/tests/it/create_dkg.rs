//! `create dkg`: the definition it makes, what it refuses, and what it publishes.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use clap::Parser as _;
use trireme_cli::{
    Failure,
    commands::create_dkg,
    flags::{Cli, Command, CreateCommand},
};
use trireme_cluster::{Definition, Networks, address};
use trireme_files::{Disk, FileSystem, STAGING, faulty::StopsAfter};
use trireme_keys::{Enr, EnrAddress, IdentityKey};
use trireme_testutil::{execution::ExecutionMock, obol_api::ObolApi, served::Fault};

use crate::call::{refused, trireme};

const FEE: &str = "0x388C818CA8B9251b393131C08a736A67ccB19297";
const WITHDRAWAL: &str = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";

fn enrs(count: u8) -> String {
    let enr = |n| Enr::create(&IdentityKey::from_bytes(&[n; 32]).unwrap(), EnrAddress::default()).to_string();
    format!("--operator-enrs={}", (1..=count).map(enr).collect::<Vec<_>>().join(","))
}

fn arguments(folder: &Path, more: &[&str]) -> Vec<String> {
    let base = [
        "create".to_owned(),
        "dkg".to_owned(),
        "--network=hoodi".to_owned(),
        format!("--output-dir={}", folder.display()),
        format!("--fee-recipient-addresses={FEE}"),
        format!("--withdrawal-addresses={WITHDRAWAL}"),
    ];
    base.into_iter().chain(more.iter().map(|m| (*m).to_owned())).collect()
}

fn create(folder: &Path, more: &[&str]) -> Result<String, Failure> {
    let all = arguments(folder, more);
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    trireme(&all, &[], folder)
}

fn definition(folder: &Path) -> Definition {
    let bytes = fs::read(folder.join("cluster-definition.json")).unwrap();
    let definition = Definition::from_json(&bytes).unwrap();
    assert_eq!(definition.to_json(1).unwrap(), bytes);
    definition.verify_hashes().unwrap();
    definition
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// A runtime on a thread of its own, for the servers that a command speaks to.
fn servers() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
}

#[test]
fn the_file_is_whole_read_only_and_says_who_can_take_part() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join(".charon");
    let printed = create(&folder, &[&enrs(4), "--name=ours", "--num-validators=2"]).unwrap();
    let definition = definition(&folder);
    definition.verify_signatures(&Networks::known()).unwrap();
    assert_eq!(definition.version.as_str(), "v1.10.0");
    assert_eq!((definition.threshold, definition.num_validators), (3, 2));
    assert_eq!(definition.dkg_algorithm, "default");
    assert_eq!(
        (definition.target_gas_limit, definition.compounding),
        (60_000_000, false)
    );
    assert_eq!(definition.deposit_amounts, None);
    assert!(definition.operators.iter().all(|o| o.address.is_empty()));
    assert_eq!(definition.uuid, definition.uuid.to_uppercase());
    assert_eq!(names(&folder), ["cluster-definition.json"]);
    let mode = fs::metadata(folder.join("cluster-definition.json"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o444);
    assert!(
        printed.contains("Who can take part (v1.10.0): Charon v1.9, v1.10 and v1.11, besides Trireme."),
        "{printed}"
    );
    assert!(printed.contains(&hex::encode(&definition.definition_hash)), "{printed}");
}

#[test]
fn the_newer_schema_names_the_only_charon_line_that_reads_it_and_json_holds_the_facts() {
    let dir = tempfile::tempdir().unwrap();
    let more = [
        &enrs(3),
        "--definition-version=v1.11.0",
        "--output=json",
        "-t=3",
        "--compounding",
        "--deposit-amounts=1,256",
    ];
    let printed = create(dir.path(), &more).unwrap();
    let definition = definition(dir.path());
    let facts: serde_json::Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(facts["charon_versions"], serde_json::json!(["v1.11"]));
    assert_eq!(
        facts["config_hash"],
        format!("0x{}", hex::encode(&definition.config_hash))
    );
    assert_eq!(facts["threshold"], 3);
    assert_eq!(definition.version.as_str(), "v1.11.0");
    assert_eq!(definition.deposit_amounts, Some(vec![1_000_000_000, 256_000_000_000]));
    assert!(definition.compounding);
}

#[test]
fn a_definition_that_is_there_is_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("cluster-definition.json"), "mine").unwrap();
    let error = create(dir.path(), &[&enrs(3)]).unwrap_err().to_string();
    assert!(
        error.contains("existing cluster-definition.json found. Try again after deleting it"),
        "{error}"
    );
    assert_eq!(fs::read(dir.path().join("cluster-definition.json")).unwrap(), b"mine");
    assert_eq!(names(dir.path()), ["cluster-definition.json"]);
}

#[test]
fn wrong_settings_are_told_together() {
    let dir = tempfile::tempdir().unwrap();
    let lower = format!("--withdrawal-addresses={}", WITHDRAWAL.to_lowercase());
    let mistyped = format!("--fee-recipient-addresses={}", FEE.replace("18C", "18c"));
    let error = refused(
        &[
            "create",
            "dkg",
            "--num-validators=0",
            "--threshold=1",
            "--network=nowhere",
            "--deposit-amounts=16,8",
            "--target-gas-limit=0",
            "--dkg-algorithm=gg20",
            "--consensus-protocol=abft",
            "--definition-version=v1.7.0",
            "--operator-enrs=enr:-abc,enr:-abc",
            "--execution-client-rpc-endpoint=localhost",
            &lower,
            &mistyped,
        ],
        dir.path(),
    );
    for problem in [
        "--num-validators: 0 validators; a cluster has 1 to 65536",
        "--threshold: threshold below minimum",
        "--network: \"nowhere\" is not one of mainnet",
        "--deposit-amounts: the deposit amounts must add up to at least 32 ETH",
        "--target-gas-limit: target gas limit not set",
        "--dkg-algorithm: \"gg20\" is not one of default, frost, pedersen",
        "--consensus-protocol: \"abft\" is not supported",
        "--definition-version: \"v1.7.0\" is neither v1.10.0 nor v1.11.0",
        "--operator-enrs: 2 operators; a cluster has 3 to 255",
        "--operator-enrs: operator 0:",
        "--execution-client-rpc-endpoint: it is not an address",
        &format!("if it is right, write it as {WITHDRAWAL}"),
        &format!("if it is right, write it as {FEE}"),
    ] {
        assert!(error.contains(problem), "{problem}\n{error}");
    }
}

#[test]
fn each_way_to_name_operators_wrongly_is_refused_with_its_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let twice = enrs(3) + "," + enrs(1).trim_start_matches("--operator-enrs=");
    let addresses = format!("--operator-addresses={FEE},{WITHDRAWAL},{FEE}");
    let four = enrs(4);
    for (more, expected) in [
        (vec![], "--operator-enrs: missing: give the ENR"),
        (
            vec![twice.as_str()],
            "--operator-enrs: operator 3: its key is an earlier operator's",
        ),
        (vec![addresses.as_str()], "--operator-addresses: only with --publish"),
        (
            vec![addresses.as_str(), four.as_str(), "--publish"],
            "--operator-addresses: not together with --operator-enrs",
        ),
        (
            vec!["--publish"],
            "--operator-enrs: missing: give --operator-enrs or --operator-addresses",
        ),
        (
            vec![four.as_str(), "--threshold=5"],
            "--threshold: threshold exceeds number of nodes: 5 of 4",
        ),
    ] {
        let error = create(dir.path(), &more).unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}\n{error}");
        assert_eq!(names(dir.path()), [""; 0]);
    }
}

#[test]
fn the_zero_address_is_refused_where_money_is_at_stake() {
    let dir = tempfile::tempdir().unwrap();
    let zero = "0x0000000000000000000000000000000000000000";
    for network in ["mainnet", "gnosis"] {
        for flag in ["withdrawal-addresses", "fee-recipient-addresses"] {
            let other = if flag == "withdrawal-addresses" {
                "fee-recipient-addresses"
            } else {
                "withdrawal-addresses"
            };
            let error = refused(
                &[
                    "create",
                    "dkg",
                    &enrs(3),
                    &format!("--network={network}"),
                    &format!("--{flag}={zero}"),
                    &format!("--{other}={WITHDRAWAL}"),
                    &format!("--output-dir={}", dir.path().display()),
                ],
                dir.path(),
            );
            assert!(
                error.contains(&format!("--{flag}: the zero address is refused on {network}")),
                "{error}"
            );
        }
    }
}

#[test]
fn published_records_are_signed_by_a_creator_made_for_it_and_nothing_is_written() {
    let runtime = servers();
    let server = runtime.block_on(ObolApi::start(Networks::known())).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let address = format!("--publish-address={}", server.url());
    let printed = create(dir.path(), &[&enrs(4), "--publish", &address]).unwrap();
    server.look(|held| {
        assert_eq!(held.complaints, [""; 0]);
        assert_eq!(held.requests, ["POST /v1/termsAndConditions", "POST /v1/definition"]);
        let (hash, definition) = held.definitions.first_key_value().unwrap();
        definition.verify_signatures(&Networks::known()).unwrap();
        assert_eq!(held.terms.keys().next(), Some(&definition.creator.address));
        let link = format!("--definition-file={}/definition/{hash}", server.url());
        assert!(printed.contains(&link), "{printed}");
    });
    assert_eq!(names(dir.path()), [""; 0]);
    // Each invitation has a creator of its own.
    create(dir.path(), &[&enrs(4), "--publish", &address]).unwrap();
    server.look(|held| assert_eq!((held.definitions.len(), held.terms.len()), (2, 2)));
}

#[test]
fn published_addresses_give_the_launchpads_link() {
    let runtime = servers();
    let server = runtime.block_on(ObolApi::start(Networks::known())).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let lower = WITHDRAWAL.to_lowercase();
    let printed = create(
        dir.path(),
        &[
            &format!("--operator-addresses={FEE},{lower},0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"),
            "--publish",
            "--threshold=2",
            &format!("--publish-address={}", server.url()),
        ],
    )
    .unwrap();
    server.look(|held| {
        assert_eq!(held.complaints, [""; 0]);
        let (hash, definition) = held.definitions.first_key_value().unwrap();
        assert_eq!(definition.operators[1].address, WITHDRAWAL, "kept with its checksum");
        assert!(definition.operators.iter().all(|o| o.enr.is_empty()));
        assert!(
            printed.contains(&format!("https://hoodi.launchpad.obol.org/dv#{hash}")),
            "{printed}"
        );
        assert!(address::parse_checksummed(&definition.creator.address).is_ok());
    });
}

#[test]
fn a_server_that_fails_is_told_and_what_it_has_already_is_fine() {
    let runtime = servers();
    let server = runtime.block_on(ObolApi::start(Networks::known())).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let address = format!("--publish-address={}", server.url());
    for (fault, expected) in [
        (Fault::Status(404, String::new()), "(404)"),
        (Fault::Status(500, "oops".to_owned()), "has a fault (500): oops"),
        (Fault::Endless, "is longer than"),
    ] {
        server.faults.then(fault);
        let error = create(dir.path(), &[&enrs(3), "--publish", &address])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("the definition is not published, and nothing was written"),
            "{error}"
        );
        assert!(error.contains(expected), "{error}");
    }
    server.faults.then(Fault::Status(409, "agreed before".to_owned()));
    create(dir.path(), &[&enrs(3), "--publish", &address]).unwrap();
    assert_eq!(names(dir.path()), [""; 0]);
}

#[test]
fn an_execution_client_must_follow_the_networks_chain() {
    let runtime = servers();
    let dir = tempfile::tempdir().unwrap();
    let server = runtime.block_on(ExecutionMock::start(1)).unwrap();
    let endpoint = format!("--execution-client-rpc-endpoint={}", server.url());
    let error = create(dir.path(), &[&enrs(3), &endpoint]).unwrap_err().to_string();
    assert!(
        error.contains("follows the chain with id 1, but the cluster's network hoodi has 560048"),
        "{error}"
    );
    assert!(!error.contains("KEY"), "{error}");
    assert_eq!(names(dir.path()), [""; 0]);
    server.look(|chain| chain.id = 560_048);
    create(dir.path(), &[&enrs(3), &endpoint]).unwrap();
}

/// Stops after the k-th call on the file system, for every k; then the command runs once more on a sound one.
fn stopped_everywhere(prepare: fn(&Path), power: bool) {
    for calls in 0.. {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("out");
        prepare(&folder);
        let before = if folder.exists() { names(&folder) } else { Vec::new() };
        let all = std::iter::once("trireme".to_owned()).chain(arguments(&folder, &[&enrs(3)]));
        let Some(Command::Create(create)) = Cli::parse_from(all).command else {
            panic!("another command");
        };
        let Some(CreateCommand::Dkg(flags)) = create.command else {
            panic!("another command");
        };
        let config = create_dkg::config(&flags).unwrap();
        let broken = StopsAfter::new(calls);
        let first = create_dkg::run_on(&broken, &config, &mut Vec::new());
        if !broken.stopped() {
            first.unwrap();
            assert!(calls > 5, "the command must have used the file system");
            return;
        }
        if power {
            broken.lose_power();
        }
        // Either the old state, so that it succeeds now, or the new one, which it finds and leaves as it is.
        if let Err(error) = create_dkg::run_on(&Disk as &dyn FileSystem, &config, &mut Vec::new()) {
            let error = format!("{error:#}");
            assert!(error.contains("there already"), "after {calls} calls: {error}");
        }
        definition(&folder);
        let mut expected = before;
        expected.push("cluster-definition.json".to_owned());
        expected.sort();
        assert_eq!(names(&folder), expected, "after {calls} calls");
        assert!(!folder.join(STAGING).exists());
    }
}

#[test]
fn wherever_it_stops_the_next_run_finds_the_old_state_or_the_new_one() {
    for power in [false, true] {
        stopped_everywhere(|_| {}, power);
        stopped_everywhere(
            |folder| {
                fs::create_dir(folder).unwrap();
                fs::write(folder.join("charon-enr-private-key"), "untouched").unwrap();
            },
            power,
        );
    }
}

mod vectors {
    use serde::Deserialize;
    use trireme_cluster::{Definition, address};
    use trireme_vectors::each;

    use crate::call::trireme;

    #[derive(Deserialize)]
    struct Made {
        command: String,
        enrs: Vec<String>,
        config_hash: String,
        definition_hash: String,
    }

    /// Words of a command line, double quotes taken off.
    fn words(line: &str) -> Vec<String> {
        let mut out = vec![String::new()];
        let mut quoted = false;
        for c in line.chars() {
            match c {
                '"' => quoted = !quoted,
                ' ' if !quoted => out.push(String::new()),
                c => out.last_mut().unwrap().push(c),
            }
        }
        out.retain(|w| !w.is_empty());
        out
    }

    /// The flag with every withdrawal address as its checksum has it.
    fn checksummed(word: &str) -> String {
        let Some((flag, list)) = word.split_once("withdrawal-addresses=") else {
            return word.to_owned();
        };
        let right = |text: &str| address::checksummed(&address::parse(text).unwrap());
        let list: Vec<String> = list.split(',').map(right).collect();
        format!("{flag}withdrawal-addresses={}", list.join(","))
    }

    #[test]
    fn create_dkg() {
        each("cluster", "create-dkg", |e| {
            let made: Made = e.parse();
            let theirs = Definition::from_json(&e.input("definition").bytes()).unwrap();
            let dir = tempfile::tempdir().unwrap();
            let command = made.command.replace("<the ENRs>", &made.enrs.join(","));
            let mut all = words(&command);
            all.remove(0);
            // A later flag of the same name wins.
            all.push(format!("--output-dir={}", dir.path().display()));
            all.push(format!("--definition-version={}", theirs.version));
            let run = |all: &[String]| {
                let all: Vec<&str> = all.iter().map(String::as_str).collect();
                trireme(&all, &[], dir.path())
            };
            // Where a withdrawal address stands with wrong letters, it is refused with the right ones, which the definition has.
            let right: Vec<String> = all.iter().map(|w| checksummed(w)).collect();
            if right != all {
                let error = run(&all).unwrap_err().to_string();
                assert!(error.contains("if it is right, write it as"), "{e}: {error}");
            }
            run(&right).unwrap_or_else(|err| panic!("{e}: {err}"));
            let bytes = std::fs::read(dir.path().join("cluster-definition.json")).unwrap();
            let mut ours = Definition::from_json(&bytes).unwrap();
            assert_ne!(ours.uuid, theirs.uuid);
            ours.uuid.clone_from(&theirs.uuid);
            ours.timestamp.clone_from(&theirs.timestamp);
            ours.update_hashes().unwrap();
            assert_eq!(ours, theirs, "{e}");
            let text = |hash: &[u8]| format!("0x{}", hex::encode(hash));
            assert_eq!(text(&ours.config_hash), made.config_hash, "{e}");
            assert_eq!(text(&ours.definition_hash), made.definition_hash, "{e}");
            assert_eq!(ours.to_json(1).unwrap(), e.input("definition").bytes(), "{e}");
        });
    }
}
