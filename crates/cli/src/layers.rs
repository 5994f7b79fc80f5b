//! Where a flag's value comes from: command line, then `TRIREME_*`, then `CHARON_*`, then the file, then the default.
//!
//! Missing flags are appended to the command line as if they had been typed, and clap reads the whole once more; so a value
//! counts the same wherever it came from. An empty environment variable counts as not set, for compose files define many.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    path::Path,
};

use clap::{ArgAction, ArgMatches, Command, parser::ValueSource};
use serde_json::Value;

use crate::values::quoted_item;

/// What surrounds the program, read once at its start.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// Environment variables; those that are not UTF-8 are left out.
    pub environment: BTreeMap<String, String>,
    /// Settings of the file, flag name to text.
    pub file: FileSettings,
}

/// Settings from a file: flag name without dashes to its value as text.
pub type FileSettings = BTreeMap<String, String>;

/// Files that are looked for in the working folder; the first of each row that is there counts, and rows before others.
const FILES: [[&str; 4]; 2] = [
    ["trireme.json", "trireme.toml", "trireme.yaml", "trireme.yml"],
    ["charon.json", "charon.toml", "charon.yaml", "charon.yml"],
];
/// Largest file that is looked at.
const MAX_FILE: u64 = 1 << 20;

/// Why the configuration file is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("read config: {file}: {reason}")]
pub struct FileError {
    /// Its name.
    pub file: String,
    /// What is wrong.
    pub reason: String,
}

/// Reads the configuration files of a folder; none is fine.
///
/// # Errors
/// [`FileError`] if one is there and cannot be read.
pub fn read_files(folder: &Path) -> Result<FileSettings, FileError> {
    let mut all = FileSettings::new();
    for row in FILES {
        let Some(name) = row.into_iter().find(|name| folder.join(name).is_file()) else {
            continue;
        };
        let bad = |reason: String| FileError {
            file: name.to_owned(),
            reason,
        };
        let path = folder.join(name);
        if path.metadata().map_err(|e| bad(e.to_string()))?.len() > MAX_FILE {
            return Err(bad("larger than any configuration".to_owned()));
        }
        let text = std::fs::read_to_string(&path).map_err(|e| bad(e.to_string()))?;
        for (key, value) in parse_file(name, &text).map_err(bad)? {
            all.entry(key).or_insert(value);
        }
    }
    Ok(all)
}

fn parse_file(name: &str, text: &str) -> Result<FileSettings, String> {
    if text.trim().is_empty() {
        return Ok(FileSettings::new());
    }
    let value: Value = match name.rsplit_once('.') {
        Some((_, "json")) => serde_json::from_str(text).map_err(|e| e.to_string())?,
        Some((_, "toml")) => toml::from_str(text).map_err(|e| e.to_string())?,
        Some(_) | None => serde_saphyr::from_str(text).map_err(|e| e.to_string())?,
    };
    let Value::Object(map) = value else {
        return Err("expected flag names with values".to_owned());
    };
    let mut out = FileSettings::new();
    for (key, value) in map {
        let text = scalar(&value).or_else(|| match &value {
            Value::Array(items) => items
                .iter()
                .map(|i| scalar(i).map(|s| quoted_item(&s)))
                .collect::<Option<Vec<_>>>()
                .map(|v| v.join(",")),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => None,
        });
        let text = text.ok_or_else(|| format!("{key}: expected a text, a number, true or false, or a list of them"))?;
        out.insert(key.to_lowercase(), text);
    }
    Ok(out)
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::Bool(b) => Some(b.to_string()),
        Value::Number(n) => Some(n.to_string()),
        Value::String(s) => Some(s.clone()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

/// Arguments that stand for the flags that `matches` has from nowhere but their default, where environment or file give
/// them; and the file's keys that no command of `root` knows.
#[must_use]
pub fn missing_arguments(root: &Command, matches: &ArgMatches, from: &Surroundings) -> Vec<OsString> {
    let mut command = root;
    let mut matches = matches;
    while let Some((name, inner)) = matches.subcommand() {
        let Some(found) = command.find_subcommand(name) else {
            break;
        };
        command = found;
        matches = inner;
    }
    let mut out = Vec::new();
    for argument in command.get_arguments() {
        let Some(flag) = argument.get_long() else { continue };
        if !matches!(argument.get_action(), ArgAction::Set | ArgAction::Append)
            || matches.value_source(argument.get_id().as_str()) == Some(ValueSource::CommandLine)
        {
            continue;
        }
        if let Some(value) = lookup(flag, from) {
            out.push(format!("--{flag}={value}").into());
        }
    }
    out
}

/// A flag's value from environment or file.
fn lookup(flag: &str, from: &Surroundings) -> Option<String> {
    let name = flag.to_uppercase().replace('-', "_");
    let variable = |prefix: &str| {
        from.environment
            .get(&format!("{prefix}_{name}"))
            .filter(|v| !v.is_empty())
    };
    variable("TRIREME")
        .or_else(|| variable("CHARON"))
        .or_else(|| from.file.get(flag))
        .cloned()
}

/// The file's keys that are no flag of any command: most likely mistyped.
#[must_use]
pub fn unknown_keys(root: &Command, file: &FileSettings) -> Vec<String> {
    fn collect<'a>(command: &'a Command, names: &mut BTreeSet<&'a str>) {
        names.extend(command.get_arguments().filter_map(clap::Arg::get_long));
        command.get_subcommands().for_each(|c| collect(c, names));
    }
    let mut known = BTreeSet::new();
    collect(root, &mut known);
    file.keys()
        .filter(|key| !known.contains(key.as_str()))
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_every_form_give_the_same_settings() {
        let expected: FileSettings = [
            ("builder-api", "true"),
            ("nickname", "blue"),
            ("p2p-tcp-address", "127.0.0.1:1,127.0.0.1:2"),
            ("testnet-chain-id", "7"),
        ]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .into();
        let yaml = "builder-api: true\nnickname: blue\np2p-tcp-address: [\"127.0.0.1:1\", \"127.0.0.1:2\"]\ntestnet-chain-id: 7\n";
        let toml = "builder-api = true\nnickname = \"blue\"\np2p-tcp-address = [\"127.0.0.1:1\", \"127.0.0.1:2\"]\ntestnet-chain-id = 7\n";
        let json = r#"{"builder-api": true, "nickname": "blue", "p2p-tcp-address": "127.0.0.1:1,127.0.0.1:2", "testnet-chain-id": 7}"#;
        assert_eq!(parse_file("charon.yaml", yaml), Ok(expected.clone()));
        assert_eq!(parse_file("charon.toml", toml), Ok(expected.clone()));
        assert_eq!(parse_file("charon.json", json), Ok(expected));
        assert_eq!(parse_file("charon.yml", " \n"), Ok(FileSettings::new()));
    }

    #[test]
    fn files_that_hold_something_else_are_refused() {
        assert!(parse_file("charon.yaml", "a: {b: c}").is_err());
        assert!(parse_file("charon.yaml", "- a\n- b").is_err());
        assert!(parse_file("charon.toml", "a = ").is_err());
        assert!(parse_file("charon.json", "{").is_err());
    }
}
