//! Help texts, the flags' names and defaults, and the documentation that is made from them.
//! `UPDATE=1` rewrites the golden files, `docs/configuration.md` and `docs/cli/`.

use std::{collections::BTreeSet, fs, path::PathBuf};

use clap::CommandFactory as _;
use trireme_cli::{docs, flags::Cli};

fn of_repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn updating() -> bool {
    std::env::var_os("UPDATE").is_some()
}

/// Holds a text against a file of the repository, or rewrites the file.
fn golden(path: &str, text: &str) {
    let path = of_repository(path);
    if updating() {
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

/// A folder holds these files and no others, or the others are removed.
fn nothing_else(folder: &str, names: &BTreeSet<String>) {
    let folder = of_repository(folder);
    for entry in fs::read_dir(&folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if names.contains(&name) {
            continue;
        }
        assert!(
            updating(),
            "{} is about a command that is not there",
            folder.join(&name).display()
        );
        fs::remove_file(folder.join(name)).unwrap();
    }
}

fn each_command(command: &clap::Command, name: &str, visit: &mut dyn FnMut(&str, &clap::Command)) {
    visit(name, command);
    for inner in command.get_subcommands().filter(|c| c.get_name() != "help") {
        each_command(inner, &format!("{name} {}", inner.get_name()), visit);
    }
}

fn root() -> clap::Command {
    let mut root = Cli::command().term_width(110);
    root.build();
    root
}

#[test]
fn the_help_of_every_command_is_as_recorded() {
    let mut names = BTreeSet::new();
    each_command(&root(), "trireme", &mut |name, command| {
        let text = command.clone().term_width(110).render_long_help().to_string();
        let file = format!("{}.txt", name.replace(' ', "-"));
        golden(&format!("tests/help/{file}"), &text);
        names.insert(file);
    });
    nothing_else("tests/help", &names);
}

#[test]
fn the_help_of_a_command_says_all_that_stands_at_its_flags() {
    let root = root();
    let help = |name: &str| {
        let command = root.find_subcommand(name).unwrap();
        command.clone().render_long_help().to_string()
    };
    assert!(help("verify").contains("Exit code: 0 "), "{}", help("verify"));
    assert!(help("completion").contains("bash_completion.d"));
}

#[test]
fn the_configuration_document_is_made_from_the_flags() {
    golden("../../docs/configuration.md", &docs::configuration(&Cli::command()));
}

#[test]
fn every_command_has_a_page_made_from_its_flags() {
    let pages = docs::pages(&Cli::command());
    for (name, text) in &pages {
        golden(&format!("../../docs/cli/{name}"), text);
    }
    nothing_else("../../docs/cli", &pages.into_keys().collect());
}

#[test]
fn a_variable_fits_every_command_that_it_feeds() {
    // One variable sets the flag of its name in all commands, so the flag must be of one kind everywhere.
    let mut kinds = std::collections::BTreeMap::new();
    each_command(&root(), "trireme", &mut |name, command| {
        for flag in command.get_arguments() {
            let Some(long) = flag.get_long() else { continue };
            let kind: Vec<String> = flag
                .get_value_names()
                .unwrap_or_default()
                .iter()
                .map(ToString::to_string)
                .collect();
            let shape = (kind, flag.get_num_args().map(|n| n.min_values()));
            let (first, known) = kinds
                .entry(long.to_owned())
                .or_insert_with(|| (name.to_owned(), shape.clone()));
            assert_eq!(*known, shape, "--{long} of {first} and of {name}");
        }
    });
}

#[test]
fn every_command_that_shows_facts_shows_them_to_programs_too() {
    // These run until they are stopped, or their result is a text by itself.
    let without = ["trireme run", "trireme relay", "trireme completion", "trireme man"];
    each_command(&root(), "trireme", &mut |name, command| {
        let has = command.get_arguments().any(|a| a.get_long() == Some("output"));
        let group = command.has_subcommands();
        assert_eq!(has, !group && !without.contains(&name), "{name} --output");
    });
}

/// A value that means nothing for the flag; none for those whose every text means something.
fn nonsense(flag: &clap::Arg) -> Option<&'static str> {
    let kind = flag.get_value_names()?.first()?.as_str();
    match kind {
        "BOOL" => Some("perhaps"),
        "NUMBER" => Some("many"),
        "DURATION" => Some("soon"),
        _ if flag.get_long() == Some("output") => Some("paper"),
        "TEXT" | "LIST" => None,
        other => panic!("--{} is of kind {other}, which no document explains", flag.get_long()?),
    }
}

#[test]
fn a_value_that_does_not_convert_is_refused_with_flag_and_value_and_all_others_with_it() {
    each_command(&root(), "trireme", &mut |name, command| {
        let wrong: Vec<(String, &str)> = command
            .get_arguments()
            .filter_map(|flag| Some((flag.get_long()?.to_owned(), nonsense(flag)?)))
            .collect();
        if wrong.is_empty() {
            return;
        }
        let mut words: Vec<String> = name.split(' ').skip(1).map(str::to_owned).collect();
        words.extend(wrong.iter().map(|(flag, value)| format!("--{flag}={value}")));
        let needed = command.get_positionals().filter(|a| a.is_required_set());
        words.extend(needed.map(|_| "nowhere".to_owned()));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let dir = tempfile::tempdir().unwrap();
        let error = crate::call::refused(&words, dir.path());
        for (flag, value) in &wrong {
            assert!(
                error
                    .lines()
                    .any(|l| l.contains(&format!("--{flag}: ")) && l.contains(&format!("\"{value}\""))),
                "{name} --{flag}={value}:\n{error}"
            );
        }
        assert!(
            fs::read_dir(dir.path()).unwrap().next().is_none(),
            "{name} wrote something"
        );
    });
}

mod vectors {
    use std::{collections::BTreeMap, ffi::OsString};

    use clap::{ArgAction, CommandFactory as _};
    use serde::Deserialize;
    use serde_json::Value;
    use trireme_cli::{
        flags::Cli,
        layers::{self, FileSetting, Surroundings},
        values,
    };

    #[derive(Deserialize)]
    struct Flag {
        name: String,
        #[serde(rename = "type")]
        kind: String,
        default: Value,
        env: String,
        shorthand: Option<String>,
        #[serde(default)]
        required: bool,
    }

    /// Commands of the table that are not built yet. One that is there is checked all the same.
    const LATER: [&str; 7] = [
        "unsafe",
        "dkg",
        "exit",
        "deposit",
        "feerecipient",
        "alpha edit",
        "alpha test",
    ];

    fn later(command: &str) -> bool {
        LATER
            .iter()
            .any(|l| command == *l || command.starts_with(&format!("{l} ")))
    }

    /// A value that is right for its type.
    fn example(flag: &Flag) -> &'static str {
        match flag.kind.as_str() {
            "bool" => "true",
            "duration" => "1m30s",
            "string" | "strings" => "a",
            _ => "7",
        }
    }

    /// Whether clap takes these words behind the command's name, and what it makes of the flag.
    fn values_of(root: &clap::Command, name: &str, flag: &str, words: &[String]) -> Option<Vec<String>> {
        let words = ["trireme"]
            .into_iter()
            .chain(name.split(' '))
            .map(str::to_owned)
            .chain(words.iter().cloned());
        let matches = root.clone().try_get_matches_from(words).ok()?;
        let mut inner = &matches;
        while let Some((_, deeper)) = inner.subcommand() {
            inner = deeper;
        }
        let id = flag.replace('-', "_");
        Some(inner.get_raw(&id)?.map(|v| v.to_string_lossy().into_owned()).collect())
    }

    /// Both notations of a value, a list that grows, a truth value that stands alone and takes no word behind it.
    fn check_notations(root: &clap::Command, name: &str, flag: &Flag) {
        let at = format!("{name} --{}", flag.name);
        let long = format!("--{}", flag.name);
        let value = example(flag);
        let of = |words: &[String]| values_of(root, name, &flag.name, words);
        let with_equals = format!("{long}={value}");
        assert_eq!(
            of(std::slice::from_ref(&with_equals)),
            Some(vec![value.to_owned()]),
            "{at}"
        );
        if flag.kind == "bool" {
            assert_eq!(of(std::slice::from_ref(&long)), Some(vec!["true".to_owned()]), "{at}");
            assert_ne!(of(&[long, "false".to_owned()]), Some(vec!["false".to_owned()]), "{at}");
        } else {
            assert_eq!(of(&[long, value.to_owned()]), Some(vec![value.to_owned()]), "{at}");
        }
        let list = matches!(flag.kind.as_str(), "strings" | "ints" | "uints");
        let twice = of(&[with_equals.clone(), with_equals]).unwrap_or_else(|| panic!("{at} twice"));
        assert_eq!(twice.len(), if list { 2 } else { 1 }, "{at}");
    }

    /// The default as clap's text for it.
    fn default_text(flag: &Flag) -> String {
        match &flag.default {
            Value::String(s) => s.clone(),
            Value::Array(items) => items
                .iter()
                .map(|i| i.as_str().map_or_else(|| i.to_string(), str::to_owned))
                .collect::<Vec<_>>()
                .join(","),
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
        if flag.required {
            assert!(default_text(flag).is_empty() || default_text(flag) == "0", "{at}");
        }
        assert_eq!(
            flag.env,
            format!("CHARON_{}", flag.name.to_uppercase().replace('-', "_")),
            "{at}"
        );
    }

    /// The variable of the table feeds the flag, ours wins over it, and a file sets it where no variable does.
    fn check_sources(root: &clap::Command, name: &str, flag: &Flag) {
        let at = format!("{name} --{}", flag.name);
        let words: Vec<OsString> = ["trireme"].into_iter().chain(name.split(' ')).map(Into::into).collect();
        let value = example(flag);
        let other = if flag.kind == "bool" { "false" } else { "0" };
        let of = |environment: &[(&str, &str)]| {
            let matches = root
                .clone()
                .try_get_matches_from(&words)
                .unwrap_or_else(|e| panic!("{at}: {e}"));
            let setting = FileSetting {
                value: other.to_owned(),
                file: "charon.yaml",
            };
            let from = Surroundings {
                environment: environment
                    .iter()
                    .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                    .collect(),
                file: [(flag.name.clone(), setting)].into(),
            };
            let added = layers::added(root, &matches, &from);
            let words = layers::complete(&words, root, &matches, &added);
            let words: Vec<String> = words
                .iter()
                .skip(1 + name.split(' ').count())
                .map(|w| w.to_str().unwrap().to_owned())
                .collect();
            values_of(root, name, &flag.name, &words)
        };
        let ours = flag.env.replace("CHARON_", "TRIREME_");
        assert_eq!(of(&[(&flag.env, value)]), Some(vec![value.to_owned()]), "{at}");
        assert_eq!(
            of(&[(&flag.env, other), (&ours, value)]),
            Some(vec![value.to_owned()]),
            "{at}"
        );
        assert_eq!(of(&[(&flag.env, "")]), Some(vec![other.to_owned()]), "{at}");
    }

    #[test]
    fn cli_flags() {
        trireme_vectors::each("validatorapi", "cli-flags", |e| {
            let table: BTreeMap<String, Vec<Flag>> = e.parse();
            let mut root = Cli::command();
            root.build();
            let mut checked = 0;
            for (name, flags) in &table {
                let command = name.split(' ').try_fold(&root, |c, part| c.find_subcommand(part));
                let Some(command) = command else {
                    assert!(later(name), "command {name} is not there");
                    continue;
                };
                for flag in flags {
                    check(command, name, flag);
                    check_notations(&root, name, flag);
                    check_sources(&root, name, flag);
                    checked += 1;
                }
            }
            assert!(checked > 0, "the table names none of our commands");
        });
    }
}
