//! Where a flag's value comes from: command line, then `TRIREME_*`, then `CHARON_*`, then the file, then the default.
//!
//! Missing flags are added to the command line as if they had been typed, and clap reads the whole once more; so a value
//! counts the same wherever it came from. An empty environment variable counts as not set, for compose files define many.
//! Where each such value came from is kept, so that a complaint about it can say where to look.

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
    /// Environment variables; what is no UTF-8 in a value is replaced by U+FFFD.
    pub environment: BTreeMap<String, String>,
    /// Settings of the files.
    pub file: FileSettings,
}

/// Settings from files, by flag name without dashes.
pub type FileSettings = BTreeMap<String, FileSetting>;

/// One setting of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSetting {
    /// As it would stand on the command line.
    pub value: String,
    /// The file's name.
    pub file: &'static str,
}

/// Files that are looked for in the working folder; the first of each row that is there counts, and rows before others.
const FILES: [[&str; 6]; 2] = [
    [
        "trireme.json",
        "trireme.toml",
        "trireme.yaml",
        "trireme.yml",
        "trireme.dotenv",
        "trireme.env",
    ],
    [
        "charon.json",
        "charon.toml",
        "charon.yaml",
        "charon.yml",
        "charon.dotenv",
        "charon.env",
    ],
];
/// Prefixes of environment variables, the stronger first.
const PREFIXES: [&str; 2] = ["TRIREME", "CHARON"];
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
        let Some(file) = row.into_iter().find(|name| folder.join(name).is_file()) else {
            continue;
        };
        let bad = |reason: String| FileError {
            file: file.to_owned(),
            reason,
        };
        let path = folder.join(file);
        if path.metadata().map_err(|e| bad(e.to_string()))?.len() > MAX_FILE {
            return Err(bad("larger than any configuration".to_owned()));
        }
        let text = std::fs::read_to_string(&path).map_err(|e| bad(e.to_string()))?;
        for (key, value) in parse_file(file, &text).map_err(bad)? {
            all.entry(key).or_insert(FileSetting { value, file });
        }
    }
    Ok(all)
}

fn parse_file(name: &str, text: &str) -> Result<BTreeMap<String, String>, String> {
    if text.trim().is_empty() {
        return Ok(BTreeMap::new());
    }
    let value: Value = match name.rsplit_once('.') {
        Some((_, "json")) => serde_json::from_str(text).map_err(|e| e.to_string())?,
        Some((_, "toml")) => toml::from_str(text).map_err(|e| e.to_string())?,
        Some((_, "dotenv" | "env")) => return parse_assignments(text),
        Some(_) | None => serde_saphyr::from_str(text).map_err(|e| e.to_string())?,
    };
    let Value::Object(map) = value else {
        return Err("expected flag names with values, for example nickname: blue".to_owned());
    };
    let mut out = BTreeMap::new();
    for (key, value) in map {
        let text = match &value {
            // As if the line were not there.
            Value::Null => continue,
            Value::Array(items) => items
                .iter()
                .map(|i| scalar(i).map(|s| quoted_item(&s)))
                .collect::<Option<Vec<_>>>()
                .map(|v| v.join(",")),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => scalar(&value),
        };
        let text = text.ok_or_else(|| format!("{key}: expected a text, a number, true or false, or a list of them"))?;
        out.insert(key.to_lowercase(), text);
    }
    Ok(out)
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Bool(b) => Some(b.to_string()),
        Value::Number(n) => Some(n.to_string()),
        Value::String(s) => Some(s.clone()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Lines of `name=value`, as files of environment variables have them: names in any case, with `-` or `_`, with or without
/// `TRIREME_` or `CHARON_`; values bare, in single or in double quotes; `#` begins a comment.
fn parse_assignments(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut out = BTreeMap::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let bad = |what: &str| format!("line {number}: {what}");
        let (name, value) = line.split_once('=').ok_or_else(|| bad("expected name=value"))?;
        let name = name.trim().to_lowercase().replace('_', "-");
        let bare = PREFIXES
            .iter()
            .find_map(|p| name.strip_prefix(&format!("{}-", p.to_lowercase())));
        let name = bare.unwrap_or(&name).to_owned();
        let value = unquoted(value.trim()).ok_or_else(|| bad("the quote does not end"))?;
        out.insert(name, value);
    }
    Ok(out)
}

/// A value without its quotes or the comment behind it; `None` for a quote that does not end.
fn unquoted(value: &str) -> Option<String> {
    for quote in ['"', '\''] {
        if let Some(rest) = value.strip_prefix(quote) {
            return rest.split_once(quote).map(|(inner, _)| inner.to_owned());
        }
    }
    let bare = value.split_once(" #").map_or(value, |(before, _)| before);
    Some(bare.trim_end().to_owned())
}

/// A value that environment or file give for a flag that is not on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// The flag, without dashes.
    pub flag: String,
    /// As it would stand on the command line.
    pub value: String,
    /// The variable or the file that it came from.
    pub origin: String,
}

/// What stands for the flags of the called command that are not on the command line.
#[must_use]
pub fn added(root: &Command, matches: &ArgMatches, from: &Surroundings) -> Vec<Added> {
    let (command, matches, _) = innermost(root, matches);
    let mut out = Vec::new();
    for argument in command.get_arguments() {
        let Some(flag) = argument.get_long() else { continue };
        if !matches!(argument.get_action(), ArgAction::Set | ArgAction::Append)
            || matches.value_source(argument.get_id().as_str()) == Some(ValueSource::CommandLine)
        {
            continue;
        }
        if let Some((value, origin)) = lookup(flag, from) {
            out.push(Added {
                flag: flag.to_owned(),
                value,
                origin,
            });
        }
    }
    out
}

/// The command line with the added flags: right behind the command's own name, for what stands behind `--` is no flag.
#[must_use]
pub fn complete(arguments: &[OsString], root: &Command, matches: &ArgMatches, added: &[Added]) -> Vec<OsString> {
    let (_, _, depth) = innermost(root, matches);
    let (names, rest) = arguments
        .split_at_checked(depth.saturating_add(1))
        .unwrap_or((arguments, &[]));
    let between = added.iter().map(|a| format!("--{}={}", a.flag, a.value).into());
    names
        .iter()
        .cloned()
        .chain(between)
        .chain(rest.iter().cloned())
        .collect()
}

/// The command that was called, its own arguments, and how many words name it. Only the innermost command has flags of its
/// own, so these words come first.
#[must_use]
pub(crate) fn innermost<'a>(root: &'a Command, matches: &'a ArgMatches) -> (&'a Command, &'a ArgMatches, usize) {
    let (mut command, mut inner, mut depth) = (root, matches, 0_usize);
    while let Some((name, deeper)) = inner.subcommand() {
        let Some(found) = command.find_subcommand(name) else {
            break;
        };
        (command, inner, depth) = (found, deeper, depth.saturating_add(1));
    }
    (command, inner, depth)
}

/// A flag's value from environment or file, and the variable's or the file's name.
fn lookup(flag: &str, from: &Surroundings) -> Option<(String, String)> {
    let name = flag.to_uppercase().replace('-', "_");
    let variable = PREFIXES.into_iter().find_map(|prefix| {
        let variable = format!("{prefix}_{name}");
        let value = from.environment.get(&variable).filter(|v| !v.is_empty())?;
        Some((value.clone(), variable))
    });
    variable.or_else(|| {
        let setting = from.file.get(flag)?;
        Some((setting.value.clone(), setting.file.to_owned()))
    })
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

    fn settings(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn files_of_every_form_give_the_same_settings() {
        let expected = settings(&[
            ("builder-api", "true"),
            ("nickname", "blue"),
            ("p2p-tcp-address", "127.0.0.1:1,127.0.0.1:2"),
            ("testnet-chain-id", "7"),
        ]);
        let yaml = "builder-api: true\nnickname: blue\np2p-tcp-address: [\"127.0.0.1:1\", \"127.0.0.1:2\"]\ntestnet-chain-id: 7\n";
        let toml = "builder-api = true\nnickname = \"blue\"\np2p-tcp-address = [\"127.0.0.1:1\", \"127.0.0.1:2\"]\ntestnet-chain-id = 7\n";
        let json = r#"{"builder-api": true, "nickname": "blue", "p2p-tcp-address": "127.0.0.1:1,127.0.0.1:2", "testnet-chain-id": 7}"#;
        let env = "# ours\nexport CHARON_BUILDER_API=true\nnickname = 'blue' # mine\n\nP2P_TCP_ADDRESS=\"127.0.0.1:1,127.0.0.1:2\"\ntestnet-chain-id=7 # seven\n";
        assert_eq!(parse_file("charon.yaml", yaml), Ok(expected.clone()));
        assert_eq!(parse_file("charon.toml", toml), Ok(expected.clone()));
        assert_eq!(parse_file("charon.json", json), Ok(expected.clone()));
        assert_eq!(parse_file("charon.env", env), Ok(expected.clone()));
        assert_eq!(parse_file("charon.dotenv", env), Ok(expected));
        assert_eq!(parse_file("charon.yml", " \n"), Ok(BTreeMap::new()));
    }

    #[test]
    fn a_key_without_value_is_as_if_it_were_not_there() {
        let expected = settings(&[("name", "a")]);
        assert_eq!(
            parse_file("charon.yaml", "nickname:\nverbose: null\nname: a\n"),
            Ok(expected)
        );
    }

    #[test]
    fn files_that_hold_something_else_are_refused() {
        assert!(parse_file("charon.yaml", "a: {b: c}").is_err());
        assert!(parse_file("charon.yaml", "a: [[b]]").is_err());
        assert!(parse_file("charon.yaml", "- a\n- b").is_err());
        assert!(parse_file("charon.toml", "a = ").is_err());
        assert!(parse_file("charon.json", "{").is_err());
        let error = parse_file("charon.env", "a=b\nc\n").unwrap_err();
        assert_eq!(error, "line 2: expected name=value");
        assert!(parse_file("charon.env", "a='b\n").is_err());
    }
}
