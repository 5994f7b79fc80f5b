//! Help texts, the flags' names and defaults, and the documentation that is made from them.
//! `UPDATE=1` rewrites the golden files and `docs/configuration.md`.

use std::{fs, path::PathBuf};

use clap::CommandFactory as _;
use trireme_cli::{docs, flags::Cli};

/// Holds a text against a file of the repository, or rewrites the file.
fn golden(path: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        return;
    }
    let file = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        file == text,
        "{} is not up to date: run the tests of trireme-cli once with UPDATE=1 and look at the change",
        path.display()
    );
}

fn each_command(command: &clap::Command, name: &str, visit: &mut dyn FnMut(&str, &clap::Command)) {
    visit(name, command);
    for inner in command.get_subcommands().filter(|c| c.get_name() != "help") {
        each_command(inner, &format!("{name} {}", inner.get_name()), visit);
    }
}

#[test]
fn the_help_of_every_command_is_as_recorded() {
    let mut root = Cli::command().term_width(110);
    root.build();
    each_command(&root, "trireme", &mut |name, command| {
        let text = command.clone().term_width(110).render_long_help().to_string();
        golden(&format!("tests/help/{}.txt", name.replace(' ', "-")), &text);
    });
}

#[test]
fn the_configuration_document_is_made_from_the_flags() {
    golden("../../docs/configuration.md", &docs::configuration(&Cli::command()));
}

mod vectors {
    use std::collections::BTreeMap;

    use clap::{ArgAction, CommandFactory as _};
    use serde::Deserialize;
    use serde_json::Value;
    use trireme_cli::{flags::Cli, values};

    #[derive(Deserialize)]
    struct Flag {
        name: String,
        #[serde(rename = "type")]
        kind: String,
        default: Value,
        env: String,
        shorthand: Option<String>,
    }

    /// Commands of the table that are not built yet.
    const LATER: [&str; 14] = [
        "unsafe run",
        "dkg",
        "create dkg",
        "combine",
        "exit",
        "deposit",
        "feerecipient",
        "alpha edit",
        "alpha test",
        "exit sign",
        "exit fetch",
        "exit broadcast",
        "exit delete",
        "exit active-validator-list",
    ];

    fn later(command: &str) -> bool {
        LATER
            .iter()
            .any(|l| command == *l || command.starts_with(&format!("{l} ")))
    }

    /// The default as clap's text for it.
    fn default_text(flag: &Flag) -> String {
        match &flag.default {
            Value::String(s) => s.clone(),
            Value::Array(items) => items.iter().map(|i| i.as_str().unwrap()).collect::<Vec<_>>().join(","),
            other => other.to_string(),
        }
    }

    fn check(command: &clap::Command, name: &str, flag: &Flag) {
        let at = format!("{name} --{}", flag.name);
        let argument = command
            .get_arguments()
            .find(|a| a.get_long() == Some(&flag.name))
            .unwrap_or_else(|| panic!("{at} is not there"));
        let ours = argument
            .get_default_values()
            .iter()
            .map(|v| v.to_string_lossy())
            .collect::<Vec<_>>()
            .join(",");
        if flag.kind == "duration" {
            assert_eq!(values::duration(&ours), values::duration(&default_text(flag)), "{at}");
        } else {
            assert_eq!(ours, default_text(flag), "{at}");
        }
        let list = matches!(flag.kind.as_str(), "strings" | "ints" | "uints");
        assert_eq!(matches!(argument.get_action(), ArgAction::Append), list, "{at}");
        let alone = argument.get_num_args().is_some_and(|n| n.min_values() == 0);
        assert_eq!(alone, flag.kind == "bool", "{at}");
        assert_eq!(argument.get_short().map(String::from), flag.shorthand, "{at}");
        assert_eq!(
            flag.env,
            format!("CHARON_{}", flag.name.to_uppercase().replace('-', "_")),
            "{at}"
        );
    }

    #[test]
    fn cli_flags() {
        trireme_vectors::each("validatorapi", "cli-flags", |e| {
            let table: BTreeMap<String, Vec<Flag>> = e.parse();
            let mut root = Cli::command();
            root.build();
            let mut checked = 0;
            for (name, flags) in &table {
                if later(name) {
                    continue;
                }
                let command = name.split(' ').try_fold(&root, |c, part| c.find_subcommand(part));
                let command = command.unwrap_or_else(|| panic!("command {name} is not there"));
                for flag in flags {
                    check(command, name, flag);
                    checked += 1;
                }
            }
            assert!(checked > 0, "the table names none of our commands");
        });
    }
}
