//! `docs/configuration.md`, made from the flags themselves. A test keeps the file and this text equal.

use std::fmt::Write as _;

use clap::{ArgAction, Command};

const HEAD: &str = "\
# Configuration

This file is made from the flags; a test keeps it true (`UPDATE=1 cargo test -p trireme-cli` rewrites it).

A setting is taken from the first of these places that has it:

1. the command line: `--some-flag=value`
2. the environment: `TRIREME_SOME_FLAG`, then `CHARON_SOME_FLAG`; an empty variable counts as not set
3. a file in the working folder: `trireme.json`, `.toml`, `.yaml` or `.yml`, then `charon.` with the same endings; keys are
   the flags' names, `some-flag: value`
4. the default

Kinds of values: BOOL is `true` or `false`, and the flag alone means `true` (`--flag=false`, not `--flag false`). LIST holds
values separated by commas, in double quotes where a value contains a comma; on the command line it may be repeated, in a
file it may be an array. DURATION is a number with its unit, `2s`, `1m30s`, `500ms`. Quote hex values in YAML.

All problems of a command's settings are reported together, and the program ends with code 1.
";

/// The whole text, with a line end behind it.
#[must_use]
pub fn configuration(root: &Command) -> String {
    let mut out = HEAD.to_owned();
    let mut root = root.clone();
    root.build();
    section(&root, "", &mut out);
    out
}

fn section(command: &Command, prefix: &str, out: &mut String) {
    for inner in command.get_subcommands().filter(|c| c.get_name() != "help") {
        let name = format!("{prefix}{}", inner.get_name());
        let flags: Vec<_> = inner
            .get_arguments()
            .filter(|a| a.get_long().is_some_and(|l| l != "help"))
            .collect();
        if !flags.is_empty() {
            let about = inner.get_about().map(ToString::to_string).unwrap_or_default();
            // Writing to a string does not fail.
            let _ = write!(out, "\n## `trireme {name}`\n\n{}.\n\n", about.trim_end_matches('.'));
            out.push_str("| Flag | Kind | Default | |\n| --- | --- | --- | --- |\n");
            for flag in flags {
                row(flag, out);
            }
        }
        section(inner, &format!("{name} "), out);
    }
}

fn row(flag: &clap::Arg, out: &mut String) {
    let long = flag.get_long().unwrap_or_default();
    let kind = flag
        .get_value_names()
        .unwrap_or_default()
        .iter()
        .map(|n| n.as_str())
        .collect::<Vec<_>>()
        .join(" ");
    let default = flag
        .get_default_values()
        .iter()
        .map(|v| v.to_string_lossy())
        .collect::<Vec<_>>()
        .join(",");
    let default = if default.is_empty() {
        String::new()
    } else {
        format!("`{default}`")
    };
    let help = flag.get_help().map(ToString::to_string).unwrap_or_default();
    let repeated = if matches!(flag.get_action(), ArgAction::Append) && kind != "LIST" {
        ", repeatable"
    } else {
        ""
    };
    let _ = writeln!(
        out,
        "| `--{long}` | {kind}{repeated} | {default} | {} |",
        help.trim_end_matches('.').replace('|', "\\|")
    );
}
