//! `trireme completion`: a script for a shell that completes commands and flags.

use std::{io::Write, str::FromStr as _};

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::flags::Cli;

/// Writes the script for a shell, one of those that the flag admits.
///
/// # Errors
/// If there is no such shell, or `out` is closed.
pub fn run(shell: &str, out: &mut dyn Write) -> anyhow::Result<()> {
    let shell = Shell::from_str(shell).map_err(|reason| anyhow::anyhow!("no completion for {shell:?}: {reason}"))?;
    let mut script = Vec::new();
    // The generator ends the program if it cannot write, so it writes to memory.
    clap_complete::generate(shell, &mut Cli::command(), "trireme", &mut script);
    out.write_all(&script)?;
    Ok(())
}
