//! Completions and manual pages: made from the flags, so what is asked is whether they are of use.

use std::{fs, path::Path, process::Command};

use clap::CommandFactory as _;
use trireme_cli::flags::Cli;

use crate::call::{refused, trireme};

/// Names of all commands and flags that a user may type.
fn words() -> Vec<String> {
    fn collect(command: &clap::Command, words: &mut Vec<String>) {
        let flags = command.get_arguments().filter(|a| !a.is_hide_set());
        words.extend(flags.filter_map(clap::Arg::get_long).map(str::to_owned));
        for inner in command.get_subcommands() {
            words.push(inner.get_name().to_owned());
            collect(inner, words);
        }
    }
    let mut words = Vec::new();
    collect(&Cli::command(), &mut words);
    words
}

#[test]
fn the_scripts_of_all_shells_know_every_command_and_every_flag() {
    let dir = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = trireme(&["completion", shell], &[], dir.path()).unwrap();
        for word in words() {
            assert!(script.contains(&word), "{shell} does not know {word}");
        }
        assert_eq!(trireme(&["completions", shell], &[], dir.path()).unwrap(), script);
    }
    let error = refused(&["completion", "csh"], dir.path());
    assert!(error.contains("csh") && error.contains("powershell"), "{error}");
    assert!(
        trireme(&["completion"], &[], dir.path())
            .unwrap()
            .contains("Usage: trireme completion")
    );
}

/// What bash offers for the last word of a command line.
fn offered(folder: &Path, line: &str) -> String {
    let script = folder.join("trireme.bash");
    if !script.exists() {
        fs::write(&script, trireme(&["completion", "bash"], &[], folder).unwrap()).unwrap();
    }
    let words: Vec<&str> = line.split(' ').collect();
    let last = words.len() - 1;
    let previous = words[last.saturating_sub(1)];
    let ask = format!(
        "source {}; COMP_WORDS=({line} ''); COMP_WORDS=(\"${{COMP_WORDS[@]:0:{}}}\"); COMP_CWORD={last}; _trireme trireme '{}' '{previous}'; echo \"${{COMPREPLY[*]}}\"",
        script.display(),
        words.len(),
        words[last],
    );
    let output = Command::new("bash").args(["--norc", "-c", &ask]).output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn bash_completes_commands_and_flags() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(offered(dir.path(), "trireme rel"), "relay");
    assert_eq!(offered(dir.path(), "trireme create clu"), "cluster");
    assert_eq!(
        offered(dir.path(), "trireme create cluster --split-k"),
        "--split-keys-dir"
    );
    assert_eq!(offered(dir.path(), "trireme completion po"), "powershell");
}

#[test]
fn every_command_has_a_manual_page_with_its_flags() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("man1");
    let flag = format!("--man-dir={}", folder.display());
    trireme(&["man", &flag], &[], dir.path()).unwrap();
    let page = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    assert!(page("trireme.1").contains("relay"));
    let cluster = page("trireme-create-cluster.1");
    // Troff writes a dash as \\-.
    assert!(cluster.contains("split\\-keys\\-dir"), "{cluster}");
    assert!(cluster.contains("trireme\\-create\\-cluster"), "{cluster}");
    let shown = trireme(&["man", "create", "cluster"], &[], dir.path()).unwrap();
    assert_eq!(shown, cluster);

    let again = refused(&["man", &flag], dir.path());
    assert!(again.contains("trireme.1 is there already"), "{again}");
    let unknown = refused(&["man", "create", "house"], dir.path());
    assert!(unknown.contains("there is no command \"create house\""), "{unknown}");
    let both = refused(&["man", "run", &flag], dir.path());
    assert!(both.contains("--man-dir: "), "{both}");
}
