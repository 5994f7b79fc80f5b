//! `docs/configuration.md` and the pages of `docs/cli/`, made from the flags themselves. A test keeps files and texts equal.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use clap::{Arg, ArgAction, Command};

const HEAD: &str = "\
# Configuration

This file is made from the flags; a test keeps it true (`UPDATE=1 cargo test -p trireme-cli` rewrites it). Each command has
its own page in [cli/](cli/README.md).

A setting is taken from the first of these places that has it:

1. the command line: `--some-flag=value`
2. the environment: `TRIREME_SOME_FLAG`, then `CHARON_SOME_FLAG`; an empty variable counts as not set
3. a file in the working folder: `trireme.json`, `.toml`, `.yaml`, `.yml`, `.dotenv` or `.env`, then `charon.` with the same
   endings. The first of `trireme.*` in this order is read, and the first of `charon.*` for what that does not set. There is
   no flag for another place
4. the default

A variable or a line of a file belongs to a flag, not to a command: it sets the flag of that name in every command that has
it, and it counts as if the flag had been typed. A file that cannot be read ends any command; a line with a name that is no
flag of any command gets a warning.

```yaml
# trireme.yaml
beacon-node-endpoints: [http://localhost:5052, http://backup:5052]   # or one text with commas
validator-api-address: 0.0.0.0:3600
builder-api: true
testnet-fork-version: \"0x10000910\"   # hex in quotes: YAML would read a number
```

In `.env` and `.dotenv` the lines are `validator-api-address=0.0.0.0:3600` or, as for the environment,
`CHARON_VALIDATOR_API_ADDRESS=0.0.0.0:3600`.

Kinds of values: BOOL is `true` or `false`, and the flag alone means `true` (`--flag=false`, not `--flag false`). LIST holds
values separated by commas, in double quotes where a value contains a comma; on the command line it may be repeated and
grows, in a file it may be an array. DURATION is a number with its unit, `2s`, `1m30s`, `500ms`. A flag of another kind that
is given twice counts as it is given last.

All problems of a command's settings are reported together, each with its flag, its value, what to do, and the variable or
file it came from if that is not the command line.

| Exit code | |
| --- | --- |
| 0 | success, help, or an orderly stop after SIGINT or SIGTERM |
| 1 | any error: a flag, a setting, a failure while running. Its reason is the last line on standard error |

Commands whose exit code says more name it in their help (`verify`, `devnet`). Results go to standard output, log lines to
standard error; `--output=json`, where a command has it, makes the result one JSON object on one line.

## All flags

";

/// `docs/configuration.md`, with a line end behind it.
#[must_use]
pub fn configuration(root: &Command) -> String {
    let mut out = HEAD.to_owned();
    out.push_str("| Flag | Variable | Kind | Default | Commands |\n| --- | --- | --- | --- | --- |\n");
    for (flag, uses) in all_flags(&built(root)) {
        let variable = flag.to_uppercase().replace('-', "_");
        let kinds: BTreeSet<_> = uses.iter().map(|u| u.kind.as_str()).collect();
        let kinds = kinds.into_iter().collect::<Vec<_>>().join(" or ");
        let defaults: BTreeSet<_> = uses.iter().map(|u| u.default.as_str()).collect();
        let one_default = defaults.len() == 1;
        let default = if one_default {
            defaults.first().copied().unwrap_or_default()
        } else {
            "see the commands"
        };
        let commands: Vec<_> = uses
            .iter()
            .map(|u| {
                let link = format!("[{}](cli/{})", u.command, file_name(&u.command));
                if one_default || u.default.is_empty() {
                    link
                } else {
                    format!("{link} ({})", u.default)
                }
            })
            .collect();
        // Writing to a string does not fail.
        let _ = writeln!(
            out,
            "| `--{flag}` | `TRIREME_{variable}` | {kinds} | {default} | {} |",
            commands.join(", ")
        );
    }
    out
}

/// The pages of `docs/cli/`: file name and text, one per command, and `README.md`.
#[must_use]
pub fn pages(root: &Command) -> BTreeMap<String, String> {
    let root = built(root);
    let mut pages = BTreeMap::new();
    let mut index = String::from("# Commands\n\n");
    let _ = writeln!(index, "{}\n", long_about(&root));
    index.push_str("What all flags have in common is in [configuration.md](../configuration.md).\n\n");
    index.push_str("| Command | |\n| --- | --- |\n");
    visit(&root, "", &mut |command, name| {
        let _ = writeln!(index, "| [{name}]({}) | {} |", file_name(name), about(command));
        pages.insert(file_name(name), page(command, name));
    });
    pages.insert("README.md".to_owned(), index);
    pages
}

/// A copy in which every command knows its whole name.
fn built(root: &Command) -> Command {
    let mut root = root.clone();
    root.build();
    root
}

/// Every command below this one, with its name as it is typed, in the order of the help.
fn visit(command: &Command, prefix: &str, f: &mut dyn FnMut(&Command, &str)) {
    for inner in command
        .get_subcommands()
        .filter(|c| c.get_name() != "help" && !c.is_hide_set())
    {
        let name = format!("{prefix}{}", inner.get_name());
        f(inner, &name);
        visit(inner, &format!("{name} "), f);
    }
}

fn file_name(command: &str) -> String {
    format!("{}.md", command.replace(' ', "-"))
}

fn about(command: &Command) -> String {
    let text = command.get_about().map(ToString::to_string).unwrap_or_default();
    text.trim_end_matches('.').to_owned()
}

fn long_about(command: &Command) -> String {
    command
        .get_long_about()
        .or(command.get_about())
        .map(ToString::to_string)
        .unwrap_or_default()
}

fn page(command: &Command, name: &str) -> String {
    let mut out = format!("# `trireme {name}`\n\n");
    let about = long_about(command);
    let _ = writeln!(out, "{}.\n", about.trim_end_matches('.'));
    let usage = command.clone().render_usage().to_string();
    let _ = writeln!(out, "```text\n{}\n```", usage.trim_start_matches("Usage: ").trim_end());
    let aliases: Vec<_> = command.get_visible_aliases().map(|a| format!("`{a}`")).collect();
    if !aliases.is_empty() {
        let _ = writeln!(out, "\nAlso called {}.", aliases.join(", "));
    }
    let inner: Vec<_> = command.get_subcommands().filter(|c| c.get_name() != "help").collect();
    if !inner.is_empty() {
        out.push_str("\n| Command | |\n| --- | --- |\n");
        for inner in inner {
            let name = format!("{name} {}", inner.get_name());
            let _ = writeln!(out, "| [{name}]({}) | {} |", file_name(&name), self::about(inner));
        }
    }
    let words: Vec<_> = command.get_positionals().filter(|a| !a.is_hide_set()).collect();
    if !words.is_empty() {
        out.push_str("\n| Word | |\n| --- | --- |\n");
        for word in words {
            let _ = writeln!(out, "| {} | {} |", kind(word), help(word));
        }
    }
    let flags: Vec<_> = flags(command).collect();
    if !flags.is_empty() {
        out.push_str("\n| Flag | Kind | Default | |\n| --- | --- | --- | --- |\n");
        for flag in flags {
            let short = flag.get_short().map(|s| format!(", `-{s}`")).unwrap_or_default();
            let _ = writeln!(
                out,
                "| `--{}`{short} | {} | {} | {} |",
                flag.get_long().unwrap_or_default(),
                kind(flag),
                default(flag),
                help(flag)
            );
        }
    }
    if let Some(more) = command.get_after_long_help().or(command.get_after_help()) {
        let _ = writeln!(out, "\n{}", more.to_string().trim_end());
    }
    out
}

fn flags(command: &Command) -> impl Iterator<Item = &Arg> {
    command
        .get_arguments()
        .filter(|a| a.get_long().is_some_and(|l| l != "help") && !a.is_hide_set())
}

fn kind(flag: &Arg) -> String {
    let names = flag.get_value_names().unwrap_or_default();
    let name = names.iter().map(|n| n.as_str()).collect::<Vec<_>>().join(" ");
    let possible: Vec<_> = flag
        .get_possible_values()
        .iter()
        .map(|v| format!("`{}`", v.get_name()))
        .collect();
    let repeated = matches!(flag.get_action(), ArgAction::Append) && name != "LIST" && flag.get_long().is_some();
    match (possible.is_empty(), repeated) {
        (true, false) => name,
        (true, true) => format!("{name}, repeatable"),
        (false, _) => format!("{name}: {}", possible.join(", ")),
    }
}

fn default(flag: &Arg) -> String {
    let values: Vec<_> = flag.get_default_values().iter().map(|v| v.to_string_lossy()).collect();
    let text = values.join(",");
    if text.is_empty() {
        String::new()
    } else {
        format!("`{text}`")
    }
}

fn help(flag: &Arg) -> String {
    let text = flag.get_help().map(ToString::to_string).unwrap_or_default();
    text.trim_end_matches('.').replace('|', "\\|")
}

/// One command's use of a flag.
struct Use {
    command: String,
    kind: String,
    default: String,
}

fn all_flags(root: &Command) -> BTreeMap<String, Vec<Use>> {
    let mut all: BTreeMap<String, Vec<Use>> = BTreeMap::new();
    visit(root, "", &mut |command, name| {
        for flag in flags(command) {
            let long = flag.get_long().unwrap_or_default().to_owned();
            all.entry(long).or_default().push(Use {
                command: name.to_owned(),
                kind: kind(flag),
                default: default(flag),
            });
        }
    });
    all
}
