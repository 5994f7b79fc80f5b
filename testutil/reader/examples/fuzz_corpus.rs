//! Makes the first corpus of every fuzz target from the vectors: `just fuzz-corpus`, or
//! `cargo run -p trireme-vectors --example fuzz_corpus`, writes to `fuzz/corpus/<target>/`, which git ignores.
//!
//! Every file of every root is taken apart: texts as they are, texts that are hex or base64 as their bytes, every JSON
//! object and array as JSON, every line of a text file. Each piece becomes a seed of the targets that read such a thing;
//! the fuzzer itself throws away what adds no coverage. Nothing is copied elsewhere: upstream vectors stay where they are.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

/// Seeds above this size slow the fuzzer down more than they help.
const LARGEST: usize = 48 * 1024;
/// Seeds of one target.
const MOST: usize = 6_000;

/// What a target reads.
#[derive(Clone, Copy)]
enum Diet {
    /// Short texts.
    Text,
    /// JSON values.
    Json,
    /// Bytes.
    Bytes,
    /// Bytes or JSON after that many choices of one byte each, the numbers up to the given one.
    Chosen(&'static [u8]),
    /// Whole files and whole lines.
    Whole,
}

/// The targets and what they read; the same names as in `fuzz/Cargo.toml`.
const TARGETS: &[(&str, Diet)] = &[
    ("beacon_json", Diet::Json),
    ("beacon_sse", Diet::Whole),
    ("blocks", Diet::Chosen(&[7, 2])),
    ("bls_points", Diet::Bytes),
    ("chain_spec", Diet::Json),
    ("cluster_definition", Diet::Json),
    ("cluster_lock", Diet::Json),
    ("consensus", Diet::Bytes),
    ("deposit_data", Diet::Json),
    ("enr", Diet::Text),
    ("frame", Diet::Bytes),
    ("key_file", Diet::Text),
    ("keystore", Diet::Json),
    ("multiaddr", Diet::Text),
    ("parsigex", Diet::Bytes),
    ("priorities", Diet::Bytes),
    ("protobuf", Diet::Chosen(&[8])),
    ("relay_page", Diet::Whole),
    ("signed_data", Diet::Chosen(&[14])),
    ("store_entries", Diet::Chosen(&[14])),
    ("unsigned_data", Diet::Chosen(&[14])),
    ("vapi_bodies", Diet::Chosen(&[8])),
    ("vapi_paths", Diet::Text),
];

#[derive(Default)]
struct Pieces {
    texts: BTreeSet<String>,
    json: BTreeSet<String>,
    bytes: BTreeSet<Vec<u8>>,
    whole: BTreeSet<Vec<u8>>,
}

impl Pieces {
    fn file(&mut self, content: &[u8]) {
        self.whole.insert(content.to_vec());
        let Ok(text) = std::str::from_utf8(content) else {
            self.bytes.insert(content.to_vec());
            return;
        };
        if let Ok(value) = serde_json::from_str(text) {
            self.value(&value);
            return;
        }
        for line in text.lines() {
            self.whole.insert(line.as_bytes().to_vec());
            match serde_json::from_str(line) {
                Ok(value) => self.value(&value),
                Err(_) => self.text(line),
            }
        }
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
            Value::String(text) => self.text(text),
            Value::Array(list) => {
                self.json.insert(value.to_string());
                list.iter().for_each(|v| self.value(v));
            }
            Value::Object(map) => {
                self.json.insert(value.to_string());
                map.values().for_each(|v| self.value(v));
            }
        }
    }

    fn text(&mut self, text: &str) {
        if text.len() <= LARGEST {
            self.texts.insert(text.to_owned());
        }
        self.bytes.extend(
            [hex(text), base64(text)]
                .into_iter()
                .flatten()
                .filter(|b| !b.is_empty()),
        );
        // JSON in a text, for example a recorded body.
        if text.starts_with(['{', '['])
            && let Ok(value) = serde_json::from_str(text)
        {
            self.value(&value);
        }
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    ::hex::decode(text.strip_prefix("0x").unwrap_or(text)).ok()
}

/// Both alphabets, with padding or without.
fn base64(text: &str) -> Option<Vec<u8>> {
    use ::base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD, Engine as _};
    let text = text.trim_end_matches('=');
    BASE64_STANDARD_NO_PAD
        .decode(text)
        .or_else(|_| BASE64_URL_SAFE_NO_PAD.decode(text))
        .ok()
}

fn walk(folder: &Path, pieces: &mut Pieces) {
    let Ok(list) = fs::read_dir(folder) else { return };
    let mut paths: Vec<PathBuf> = list.filter_map(Result::ok).map(|d| d.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            walk(&path, pieces);
        } else if let Ok(content) = fs::read(&path) {
            pieces.file(&content);
        }
    }
}

/// Every combination of choices in front of `seed`.
fn chosen(choices: &[u8], seed: &[u8]) -> Vec<Vec<u8>> {
    let mut all = vec![Vec::new()];
    for most in choices {
        all = all
            .iter()
            .flat_map(|head: &Vec<u8>| (0..*most).map(move |n| [head.as_slice(), &[n]].concat()))
            .collect();
    }
    all.iter().map(|head| [head.as_slice(), seed].concat()).collect()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut pieces = Pieces::default();
    for root in trireme_vectors::roots() {
        walk(&root.path, &mut pieces);
    }
    let json = || pieces.json.iter().map(|t| t.as_bytes().to_vec());
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let mut report = BTreeMap::new();
    for (target, diet) in TARGETS {
        let mut seeds: Vec<Vec<u8>> = match diet {
            Diet::Text => pieces.texts.iter().map(|t| t.as_bytes().to_vec()).collect(),
            Diet::Json => json().collect(),
            Diet::Bytes => pieces.bytes.iter().cloned().collect(),
            Diet::Whole => pieces.whole.iter().cloned().collect(),
            Diet::Chosen(choices) => {
                let plain = pieces.bytes.iter().cloned().chain(json());
                // Many choices of many seeds are too many: the larger and rarer structures matter most.
                plain
                    .filter(|s| s.len() >= 24)
                    .flat_map(|s| chosen(choices, &s))
                    .collect()
            }
        };
        seeds.retain(|s| s.len() <= LARGEST);
        // Evenly over all sizes.
        seeds.sort_by_key(Vec::len);
        let step = seeds.len().div_ceil(MOST).max(1);
        let folder = corpus.join(target);
        fs::create_dir_all(&folder)?;
        let mut written = 0_usize;
        for (n, seed) in seeds.iter().step_by(step).enumerate() {
            fs::write(folder.join(format!("vector-{n:05}")), seed)?;
            written = written.saturating_add(1);
        }
        report.insert(target, written);
    }
    for (target, count) in report {
        println!("{count:>6} {target}");
    }
    Ok(())
}
