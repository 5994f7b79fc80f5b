//! `trireme version`.

use std::io::Write;

use crate::{about, values::Problems};

/// Every package of the build, as the lock file has them.
const PACKAGES: &str = include_str!("../../../../Cargo.lock");

/// Writes version and commit on one line; verbose also packages and consensus protocols.
///
/// # Errors
/// If `verbose` is no truth value or `out` is closed.
pub fn run(flags: &crate::flags::VersionFlags, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut problems = Problems::default();
    let verbose = problems.bool("verbose", &flags.verbose);
    problems.finish(())?;
    let version = about::version();
    writeln!(
        out,
        "{} [git_commit_hash={},git_commit_time={}]",
        version.text, version.git_hash, version.git_time
    )?;
    if verbose {
        writeln!(
            out,
            "Package: {}",
            env!("CARGO_PKG_REPOSITORY").trim_start_matches("https://")
        )?;
        writeln!(out, "Dependencies:")?;
        for (name, version) in packages(PACKAGES) {
            writeln!(out, "\t{name} v{version}")?;
        }
        writeln!(out, "Consensus protocols:")?;
        for protocol in about::CONSENSUS_PROTOCOLS {
            writeln!(out, "\t{protocol}")?;
        }
    }
    Ok(())
}

/// Names and versions in a lock file of cargo; our own crates left out.
fn packages(lock: &str) -> impl Iterator<Item = (&str, &str)> {
    lock.split("[[package]]").filter_map(|block| {
        let field = |key: &str| {
            block
                .lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"'))
        };
        Some((field("name").filter(|n| !n.starts_with("trireme-"))?, field("version")?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_read_from_the_lock_file_without_our_own() {
        let all: Vec<_> = packages(PACKAGES).collect();
        assert!(all.iter().any(|(name, _)| *name == "clap"));
        assert!(!all.iter().any(|(name, _)| name.starts_with("trireme-")));
    }
}
