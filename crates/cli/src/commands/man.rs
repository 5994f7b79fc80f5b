//! `trireme man`: manual pages, one per command, made from the same flags as the help.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::CommandFactory as _;
use clap_mangen::Man;

use crate::{
    flags::{Cli, ManFlags},
    values::{Problems, given},
};

/// Checked settings: what is made.
#[derive(Debug, Clone)]
pub enum ManConfig {
    /// One page, on standard output.
    Page(Box<clap::Command>),
    /// All pages, into a folder.
    Folder(PathBuf),
}

/// Reads the flags.
///
/// # Errors
/// All problems together.
pub fn config(flags: &ManFlags) -> Result<ManConfig, Problems> {
    let mut problems = Problems::default();
    let root = built();
    let called = flags.name.iter().try_fold(&root, |c, name| c.find_subcommand(name));
    let folder = given(&flags.man_dir).map(PathBuf::from);
    if called.is_none() {
        problems.add_word(format_args!(
            "there is no command {:?}; `trireme help` lists them",
            flags.name.join(" ")
        ));
    } else if folder.is_some() && !flags.name.is_empty() {
        problems.add(
            "man-dir",
            "takes the pages of all commands: leave out the name of one, or the folder",
        );
    }
    let page = Box::new(called.cloned().unwrap_or_default());
    problems.finish(folder.map_or(ManConfig::Page(page), ManConfig::Folder))
}

/// Writes what is wanted.
///
/// # Errors
/// If `out` is closed, the folder cannot be written, or holds one of the pages already.
pub fn run(config: &ManConfig, out: &mut dyn Write) -> anyhow::Result<()> {
    match config {
        ManConfig::Page(command) => Ok(out.write_all(&page(command)?)?),
        ManConfig::Folder(folder) => {
            let mut pages = Vec::new();
            collect(&built(), "trireme", &mut pages)?;
            write_all(folder, &pages)?;
            writeln!(out, "{} pages in {}", pages.len(), folder.display())?;
            Ok(())
        }
    }
}

/// The whole tree, each command with its whole name.
fn built() -> clap::Command {
    let mut root = Cli::command();
    root.build();
    root
}

fn page(command: &clap::Command) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    Man::new(command.clone())
        .title(name.to_uppercase())
        .source(format!("Trireme {}", env!("CARGO_PKG_VERSION")))
        .manual("Trireme")
        .render(&mut text)?;
    Ok(text)
}

/// File names with their pages.
fn collect(command: &clap::Command, name: &str, pages: &mut Vec<(String, Vec<u8>)>) -> std::io::Result<()> {
    pages.push((format!("{name}.1"), page(command)?));
    command
        .get_subcommands()
        .filter(|c| c.get_name() != "help" && !c.is_hide_set())
        .try_for_each(|inner| collect(inner, &format!("{name}-{}", inner.get_name()), pages))
}

fn write_all(folder: &Path, pages: &[(String, Vec<u8>)]) -> anyhow::Result<()> {
    if let Some((name, _)) = pages.iter().find(|(name, _)| folder.join(name).exists()) {
        anyhow::bail!(
            "{} is there already; take another --man-dir, or remove the old pages",
            folder.join(name).display()
        );
    }
    std::fs::create_dir_all(folder).with_context(|| format!("the folder {} cannot be made", folder.display()))?;
    for (name, text) in pages {
        let path = folder.join(name);
        let cannot = || format!("the file {} cannot be written", path.display());
        let mut file = std::fs::File::create_new(&path).with_context(cannot)?;
        file.write_all(text).with_context(cannot)?;
    }
    Ok(())
}
