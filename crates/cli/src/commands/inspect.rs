//! `trireme inspect`: what is in a file of a cluster, as tables or JSON. Nothing is verified, no secret is shown.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use comfy_table::{ContentArrangement, Table, TableComponent, presets::NOTHING};
use serde_json::{Value, json};
use trireme_cluster::{
    Definition, Lock, MAX_FILE, Network, Networks,
    check::{Facts, Kind, kind_of},
    deposit,
};
use trireme_files::{Disk, read_secret};
use trireme_keys::{Enr, EnrAddress, IdentityKey, Keystore, PeerId, peer_name};

use super::verify::{eth, facts};
use crate::{
    flags::InspectFlags,
    network::networks,
    output::{Output, write_json},
    values::Problems,
};

/// Checked settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InspectConfig {
    file: String,
    networks: Networks,
    output: Output,
}

/// Reads the flags.
///
/// # Errors
/// All problems together.
pub fn config(flags: &InspectFlags) -> Result<InspectConfig, Problems> {
    let mut problems = Problems::default();
    let config = InspectConfig {
        file: flags.file.clone(),
        networks: networks(&flags.testnet, &mut problems),
        output: problems.or_default("output", flags.output.output.parse()),
    };
    problems.finish(config)
}

/// What is in a file: single facts, and lists of things.
struct Shown {
    kind: &'static str,
    facts: Vec<(&'static str, String)>,
    lists: Vec<List>,
    json: Value,
}

/// A table: its title, the names of its columns, and its rows.
struct List {
    title: &'static str,
    head: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

/// Shows the file.
///
/// # Errors
/// If it cannot be read, or is of no known kind.
pub fn run(config: &InspectConfig, out: &mut dyn Write) -> anyhow::Result<()> {
    let shown = if config.file.starts_with("enr:") {
        enr(&config.file.parse().context("this ENR cannot be read")?)
    } else {
        of_file(Path::new(&config.file), &config.networks)?
    };
    match config.output {
        Output::Json => {
            let mut object = json!({ "kind": shown.kind });
            if let (Some(object), Value::Object(more)) = (object.as_object_mut(), shown.json) {
                object.extend(more);
            }
            write_json(out, &object)?;
        }
        Output::Text => text(&shown, out)?,
    }
    Ok(())
}

fn text(shown: &Shown, out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(out, "{}", shown.kind)?;
    let mut facts = table();
    for (label, value) in &shown.facts {
        facts.add_row([*label, value]);
    }
    writeln!(out, "{facts}")?;
    for List { title, head, rows } in &shown.lists {
        let mut list = table();
        list.set_header(head);
        for row in rows {
            list.add_row(row);
        }
        writeln!(out, "\n{title} ({})\n{list}", rows.len())?;
    }
    writeln!(out, "\nNothing of this is verified: `trireme verify` does that.")
}

/// Lines are as long as they must be, so that keys can be copied.
fn table() -> Table {
    let mut table = Table::new();
    table
        .load_preset(NOTHING)
        .set_style(TableComponent::HeaderLines, '─')
        .set_style(TableComponent::MiddleHeaderIntersections, '─')
        .set_content_arrangement(ContentArrangement::Disabled);
    table
}

fn of_file(path: &Path, networks: &Networks) -> anyhow::Result<Shown> {
    let limit = u64::try_from(MAX_FILE).unwrap_or(u64::MAX);
    let bytes = read_secret(&Disk, path, limit)?;
    let broken = || format!("{} cannot be shown", PathBuf::from(path).display());
    let text = std::str::from_utf8(&bytes).unwrap_or_default().trim();
    match kind_of(&bytes) {
        Kind::Lock => Ok(lock(&Lock::from_json(&bytes).with_context(broken)?, networks)),
        Kind::Definition => Ok(definition(
            &Definition::from_json(&bytes).with_context(broken)?,
            networks,
        )),
        Kind::Keystore => keystore(&Keystore::from_json(&bytes).with_context(broken)?, &bytes).with_context(broken),
        Kind::Deposits => deposits(&bytes, networks).with_context(broken),
        Kind::Enr => Ok(enr(&text.parse().with_context(broken)?)),
        Kind::IdentityKey => {
            let key = IdentityKey::from_file_text(text).with_context(broken)?;
            let mut shown = enr(&Enr::create(&key, EnrAddress::default()));
            shown.kind = "identity key (secret; shown is what follows from it)";
            Ok(shown)
        }
        Kind::Other(problem) => anyhow::bail!("{} is no file of a cluster: {problem}", path.display()),
    }
}

fn hex0x(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        "(none)".to_owned()
    } else {
        format!("0x{}", hex::encode(bytes))
    }
}

fn or_none(text: &str) -> String {
    if text.is_empty() { "(none)" } else { text }.to_owned()
}

fn definition(definition: &Definition, networks: &Networks) -> Shown {
    let all = Facts::of_definition(definition, networks);
    let validators = List {
        title: "Validators",
        head: vec!["#", "withdrawals to", "fees to"],
        rows: all
            .validators
            .iter()
            .enumerate()
            .map(|(at, v)| vec![at.to_string(), or_none(&v.withdrawal), or_none(&v.fee_recipient)])
            .collect(),
    };
    let mut out = plan(definition, &all);
    out.kind = "cluster definition";
    out.lists.push(validators);
    out
}

/// What definition and lock have in common.
fn plan(definition: &Definition, all: &Facts) -> Shown {
    let network = all.network.clone();
    let network = network.unwrap_or_else(|| format!("unknown, fork version {}", hex0x(&all.fork_version)));
    let amounts = definition.deposit_amounts.as_deref().unwrap_or_default();
    let amounts: Vec<String> = amounts.iter().map(|a| eth(*a)).collect();
    let signed = definition
        .operators
        .iter()
        .filter(|o| !o.config_signature.is_empty())
        .count();
    let operators = definition.operators.iter().zip(&all.operators).enumerate();
    let operators = operators.map(|(at, (o, of))| {
        vec![
            at.to_string(),
            of.peer.clone().unwrap_or_else(|| "(unreadable ENR)".to_owned()),
            or_none(&o.address),
            or_none(&o.enr),
        ]
    });
    let json = json!({
        "uuid": definition.uuid,
        "timestamp": definition.timestamp,
        "num_validators": definition.num_validators,
        "dkg_algorithm": definition.dkg_algorithm,
        "consensus_protocol": definition.consensus_protocol,
        "target_gas_limit": definition.target_gas_limit,
        "deposit_amounts_gwei": definition.deposit_amounts,
        "creator": definition.creator.address,
        "operators_signed": signed,
        "config_hash": hex0x(&definition.config_hash),
        "definition_hash": hex0x(&definition.definition_hash),
        "cluster": facts(all),
    });
    Shown {
        kind: "",
        facts: vec![
            ("name", or_none(&definition.name)),
            ("schema", definition.version.to_string()),
            ("uuid", definition.uuid.clone()),
            ("made at", or_none(&definition.timestamp)),
            ("network", network),
            ("operators", definition.operators.len().to_string()),
            ("threshold", definition.threshold.to_string()),
            ("validators", definition.num_validators.to_string()),
            ("deposit amounts", or_none(&amounts.join(", "))),
            ("compounding", definition.compounding.to_string()),
            ("gas limit", definition.target_gas_limit.to_string()),
            ("key generation", or_none(&definition.dkg_algorithm)),
            ("consensus protocol", or_none(&definition.consensus_protocol)),
            ("creator", or_none(&definition.creator.address)),
            ("operators that signed", signed.to_string()),
            ("config hash", hex0x(&definition.config_hash)),
            ("definition hash", hex0x(&definition.definition_hash)),
        ],
        lists: vec![List {
            title: "Operators",
            head: vec!["#", "node", "wallet", "ENR"],
            rows: operators.collect(),
        }],
        json,
    }
}

fn lock(lock: &Lock, networks: &Networks) -> Shown {
    let all = Facts::of_lock(lock, networks);
    let mut out = plan(&lock.definition, &all);
    out.kind = "cluster lock";
    out.facts.push(("lock hash", hex0x(&lock.lock_hash)));
    out.facts
        .push(("node signatures", lock.node_signatures.len().to_string()));
    let validators = all.validators.iter().zip(&lock.validators).enumerate();
    let rows = validators.map(|(at, (v, of))| {
        let amounts: Vec<String> = v.amounts.iter().map(|a| eth(*a)).collect();
        vec![
            at.to_string(),
            hex0x(&of.public_key),
            of.public_shares.len().to_string(),
            or_none(&v.withdrawal),
            or_none(&v.fee_recipient),
            or_none(&amounts.join(", ")),
        ]
    });
    let head = vec![
        "#",
        "public key",
        "shares",
        "withdrawals to",
        "fees to",
        "deposits in the lock",
    ];
    out.lists.push(List {
        title: "Validators",
        head,
        rows: rows.collect(),
    });
    if let Some(object) = out.json.as_object_mut() {
        object.insert("lock_hash".to_owned(), json!(hex0x(&lock.lock_hash)));
        object.insert("node_signatures".to_owned(), json!(lock.node_signatures.len()));
        let shares: Vec<Vec<String>> = lock
            .validators
            .iter()
            .map(|v| v.public_shares.iter().map(|s| hex0x(s)).collect())
            .collect();
        object.insert("public_shares".to_owned(), json!(shares));
    }
    out
}

/// How it is encrypted is read from the file itself; nothing in it is secret without the password.
fn keystore(keystore: &Keystore, bytes: &[u8]) -> anyhow::Result<Shown> {
    let raw: Value = serde_json::from_slice(bytes)?;
    let at = |way: &str| match raw.pointer(way) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    };
    let cost: Vec<String> = ["c", "n", "r", "p"]
        .iter()
        .filter_map(|key| Some(format!("{key}={}", raw.pointer(&format!("/crypto/kdf/params/{key}"))?)))
        .collect();
    let kdf = at("/crypto/kdf/function");
    let kdf = if kdf.is_empty() {
        "(none: the password is the key)".to_owned()
    } else {
        kdf
    };
    Ok(Shown {
        kind: "keystore (EIP-2335)",
        json: json!({
            "pubkey": keystore.pubkey(),
            "description": at("/description"),
            "path": at("/path"),
            "uuid": at("/uuid"),
            "kdf": kdf,
            "kdf_cost": cost.join(" "),
            "cipher": at("/crypto/cipher/function"),
        }),
        facts: vec![
            ("public key (as claimed)", or_none(keystore.pubkey())),
            ("description", or_none(&at("/description"))),
            ("path", or_none(&at("/path"))),
            ("uuid", or_none(&at("/uuid"))),
            ("key derivation", kdf),
            ("cost", or_none(&cost.join(" "))),
            ("cipher", or_none(&at("/crypto/cipher/function"))),
        ],
        lists: Vec::new(),
    })
}

fn deposits(bytes: &[u8], networks: &Networks) -> anyhow::Result<Shown> {
    let all = deposit::from_json(bytes)?;
    let raw: Vec<Value> = serde_json::from_slice(bytes)?;
    let network = |entry: &Value| -> String {
        let fork = entry.get("fork_version").and_then(Value::as_str).unwrap_or_default();
        let bytes = hex::decode(fork.trim_start_matches("0x")).unwrap_or_default();
        let name = entry.get("network_name").and_then(Value::as_str).unwrap_or_default();
        match networks.by_fork_version(&bytes) {
            Some(Network { name: known, .. }) if name.is_empty() || name == known => known.clone(),
            Some(_) | None => format!("{name} (fork version {fork})"),
        }
    };
    let sum = all.iter().fold(0_u64, |sum, d| sum.saturating_add(d.amount));
    let rows = all.iter().zip(&raw).map(|(d, entry)| {
        vec![
            hex0x(&d.pubkey),
            eth(d.amount),
            hex0x(&d.withdrawal_credentials),
            network(entry),
        ]
    });
    let entries: Vec<Value> = all
        .iter()
        .zip(&raw)
        .map(|(d, entry)| {
            json!({
                "pubkey": hex0x(&d.pubkey),
                "amount_gwei": d.amount,
                "withdrawal_credentials": hex0x(&d.withdrawal_credentials),
                "network": network(entry),
            })
        })
        .collect();
    Ok(Shown {
        kind: "deposit data",
        facts: vec![("deposits", all.len().to_string()), ("sum", eth(sum))],
        lists: vec![List {
            title: "Deposits",
            head: vec!["public key", "amount", "withdrawal credentials", "network"],
            rows: rows.collect(),
        }],
        json: json!({ "deposits": entries, "sum_gwei": sum }),
    })
}

fn enr(enr: &Enr) -> Shown {
    let peer = PeerId::from_public_key(enr.public_key());
    let ip = enr.ip().map(|ip| {
        let parts: Vec<String> = ip.iter().map(u8::to_string).collect();
        parts.join(".")
    });
    Shown {
        kind: "node record (ENR)",
        json: json!({
            "enr": enr.to_string(),
            "peer": peer_name(&peer),
            "peer_id": peer.to_string(),
            "secp256k1_pubkey": format!("0x{}", enr.public_key()),
            "ip": ip,
        }),
        facts: vec![
            ("node", peer_name(&peer)),
            ("peer id", peer.to_string()),
            ("public key", format!("0x{}", enr.public_key())),
            ("address", ip.unwrap_or_else(|| "(none)".to_owned())),
            ("ENR", enr.to_string()),
        ],
        lists: Vec::new(),
    }
}
