//! The command line of Trireme: flags, environment and file to checked settings, and the commands that use them.
//!
//! ```text
//!   arguments ─► flags (raw texts) ─┐
//!   environment, file ─► layers ────┴─► commands::*::config (checked, all problems together) ─► commands::*::run
//! ```
//!
//! Guarantees: results go to standard output, log lines and errors to standard error; exit code 0 for success, help and an
//! orderly stop, 1 for everything else (`devnet` and `verify` say more with theirs). Nothing below this crate sees a raw flag.

pub mod about;
mod archive;
pub mod arguments;
pub mod commands;
mod definition_source;
pub mod docs;
pub mod flags;
pub mod layers;
mod logging;
mod network;
mod node_folder;
pub mod output;
mod progress;
mod signals;
mod split_keys;
pub mod values;

use std::{collections::BTreeMap, ffi::OsString, io::Write, path::Path, process::ExitCode};

use arguments::Refused;
use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _, parser::ValueSource};
use commands::Given;
use flags::{Cli, Command, CreateCommand};
use layers::Surroundings;
use trireme_telemetry::{LogConfig, Outlets};
use values::Problems;

/// Why a command did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command line cannot be read, or help was asked for.
    #[error(transparent)]
    Arguments(#[from] Box<Refused>),
    /// The configuration file is of no use.
    #[error(transparent)]
    File(#[from] layers::FileError),
    /// Settings are wrong. The usage of the command is shown with them.
    #[error("{problems}")]
    Settings {
        /// All of them.
        problems: Problems,
        /// How to use the command.
        usage: String,
    },
    /// It went wrong while running.
    #[error("{0:#}")]
    Run(#[from] anyhow::Error),
}

/// Runs the program: `arguments` with its name first, `environment` as it is, `folder` for the configuration file. Results
/// are written to `out`.
///
/// # Errors
/// [`Failure`]; [`report`] shows it.
pub fn run(
    arguments: Vec<OsString>,
    environment: impl Iterator<Item = (String, String)>,
    folder: &Path,
    out: &mut dyn Write,
) -> Result<ExitCode, Failure> {
    let mut root = Cli::command();
    // Gives every command its whole name, for usage texts.
    root.build();
    let first = arguments::parse(&root, &arguments)?;
    let surroundings = Surroundings {
        environment: environment.collect(),
        file: layers::read_files(folder)?,
    };
    let added = layers::added(&root, &first, &surroundings);
    let matches = arguments::parse(&root, &layers::complete(&arguments, &root, &first, &added))?;
    let cli = Cli::from_arg_matches(&matches).map_err(anyhow::Error::from)?;
    let (command, inner, _) = layers::innermost(&root, &matches);
    let invocation = Invocation {
        given: given_flags(inner),
        origins: added.into_iter().map(|a| (a.flag, a.origin)).collect(),
        settings: logging::shown_settings(command, inner),
        usage: command.clone().render_usage().to_string(),
        unknown_keys: layers::unknown_keys(&root, &surroundings.file),
    };
    match cli.command {
        Some(command) => invocation.run(command, out),
        None => show_help(root, out),
    }
}

/// Shows a failure as the program does at its end: the reason through the logger, help and usage as plain text.
pub fn report(failure: &Failure) -> ExitCode {
    let usage = match failure {
        Failure::Arguments(refused) => {
            if let Some(help) = refused.help() {
                // Writing to a closed terminal is nobody's problem any more.
                let _ = help.print();
                return ExitCode::SUCCESS;
            }
            refused.usage()
        }
        Failure::Settings { usage, .. } => usage.clone(),
        Failure::File(_) | Failure::Run(_) => String::new(),
    };
    if !usage.is_empty() {
        eprintln!("{}\n", usage.trim_end());
    }
    // If the command did not come as far as setting up its own log.
    let _ = trireme_telemetry::logs::init(&LogConfig::default(), &Outlets::default());
    tracing::error!(topic = "cmd", "Application failed to start: {failure}");
    ExitCode::FAILURE
}

fn given_flags(matches: &ArgMatches) -> Given {
    matches
        .ids()
        .map(clap::Id::as_str)
        .filter(|id| matches.value_source(id) == Some(ValueSource::CommandLine))
        .map(|id| id.replace('_', "-"))
        .collect()
}

/// A command of the first level, with its whole name.
fn of_root(name: &str) -> clap::Command {
    let mut root = Cli::command();
    root.build();
    root.find_subcommand(name).cloned().unwrap_or_default()
}

fn show_help(mut command: clap::Command, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    write!(out, "{}", command.render_help()).map_err(anyhow::Error::from)?;
    Ok(ExitCode::SUCCESS)
}

/// What is known of a call besides its raw flags.
struct Invocation {
    given: Given,
    /// Variables and files by the flag that they set.
    origins: BTreeMap<String, String>,
    settings: String,
    usage: String,
    unknown_keys: Vec<String>,
}

impl Invocation {
    fn run(self, command: Command, out: &mut dyn Write) -> Result<ExitCode, Failure> {
        match command {
            Command::Version(flags) => {
                let config = self.checked(commands::version::config(&flags))?;
                commands::version::run(config, out)?;
            }
            Command::Enr(flags) => {
                let config = self.checked(commands::enr::config(&flags))?;
                self.begin(&LogConfig::default(), &Outlets::default(), &[], false)?;
                commands::enr::run(&config, out)?;
            }
            Command::Completion(flags) => match flags.shell {
                Some(shell) => commands::completion::run(&shell, out)?,
                None => return show_help(of_root("completion"), out),
            },
            Command::Man(flags) => {
                let config = self.checked(commands::man::config(&flags))?;
                commands::man::run(&config, out)?;
            }
            Command::Verify(flags) => {
                let config = self.checked(commands::verify::config(&flags))?;
                self.begin(&LogConfig::default(), &Outlets::default(), &[], false)?;
                return Ok(commands::verify::run(&config, out)?);
            }
            Command::Inspect(flags) => {
                let config = self.checked(commands::inspect::config(&flags))?;
                self.begin(&LogConfig::default(), &Outlets::default(), &[], false)?;
                commands::inspect::run(&config, out)?;
            }
            Command::Combine(flags) => {
                let config = self.checked(commands::combine::config(&flags))?;
                self.begin(&LogConfig::default(), &Outlets::default(), &[], false)?;
                commands::combine::run(&config, out)?;
            }
            Command::Create(create) => match create.command {
                Some(CreateCommand::Enr(flags)) => {
                    let config = self.checked(commands::create_enr::config(&flags))?;
                    self.begin(&LogConfig::default(), &Outlets::default(), &[], false)?;
                    commands::create_enr::run(&config, out)?;
                }
                Some(CreateCommand::Dkg(flags)) => {
                    let config = self.checked(commands::create_dkg::config(&flags))?;
                    self.begin(&LogConfig::default(), &Outlets::default(), &config.warnings, false)?;
                    commands::create_dkg::run(&config, out)?;
                }
                Some(CreateCommand::Cluster(flags)) => {
                    let config = self.checked(commands::create_cluster::config(&flags, &self.given))?;
                    self.begin(&LogConfig::default(), &Outlets::default(), &[], false)?;
                    commands::create_cluster::run(&config, out)?;
                }
                None => return show_help(of_root("create"), out),
            },
            Command::Run(flags) => {
                let config = self.checked(commands::run::config(&flags, &self.given))?;
                self.begin(&config.log, &config.node.outlets, &config.warnings, true)?;
                runtime()?.block_on(commands::run::run(config))?;
            }
            Command::Relay(flags) => {
                let config = self.checked(commands::relay::config(&flags, &self.given))?;
                self.begin(&config.log, &config.outlets, &config.warnings, true)?;
                runtime()?.block_on(commands::relay::run(config))?;
            }
            #[cfg(feature = "devnet")]
            Command::Devnet(flags) => {
                let config = self.checked(commands::devnet::config(&flags))?;
                self.begin(&config.log, &Outlets::default(), &[], false)?;
                let summary = runtime()?
                    .block_on(trireme_devnet::run(config.devnet))
                    .map_err(anyhow::Error::from)?;
                return Ok(ExitCode::from(summary.exit_code()));
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    fn checked<T>(&self, settings: Result<T, Problems>) -> Result<T, Failure> {
        settings.map_err(|problems| Failure::Settings {
            problems: problems.with_origins(&self.origins),
            usage: self.usage.clone(),
        })
    }

    /// Sets up logging and says what there is to say before the command begins.
    fn begin(
        &self,
        log: &LogConfig,
        outlets: &Outlets,
        warnings: &[String],
        show_settings: bool,
    ) -> Result<(), Failure> {
        // Set up already only where tests run several commands in one process.
        match trireme_telemetry::logs::init(log, outlets) {
            Ok(()) | Err(trireme_telemetry::LogError::Twice(_)) => {}
            Err(error @ trireme_telemetry::LogError::Open { .. }) => return Err(Failure::Run(error.into())),
        }
        if show_settings {
            tracing::info!(topic = "cmd", flags = self.settings, "Parsed config");
        }
        for warning in warnings {
            tracing::warn!(topic = "cmd", "{warning}");
        }
        for key in &self.unknown_keys {
            tracing::warn!(
                topic = "cmd",
                "The configuration file sets {key}, which is no flag of any command"
            );
        }
        Ok(())
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|e| Failure::Run(e.into()))
}
