//! `trireme version`.

use std::io::Write;

use serde_json::json;

use crate::{
    about,
    flags::VersionFlags,
    output::{Output, write_json},
    values::Problems,
};

/// Every package of the build, as the lock file has them.
const PACKAGES: &str = include_str!("../../../../Cargo.lock");

/// Checked settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VersionConfig {
    verbose: bool,
    output: Output,
}

/// Reads the flags.
///
/// # Errors
/// All problems together.
pub fn config(flags: &VersionFlags) -> Result<VersionConfig, Problems> {
    let mut problems = Problems::default();
    let config = VersionConfig {
        verbose: problems.bool("verbose", &flags.verbose),
        output: problems.or_default("output", flags.output.output.parse()),
    };
    problems.finish(config)
}

/// Writes version and commit on one line; verbose also packages and consensus protocols.
///
/// # Errors
/// If `out` is closed.
pub fn run(config: VersionConfig, out: &mut dyn Write) -> anyhow::Result<()> {
    let version = about::version();
    let package = env!("CARGO_PKG_REPOSITORY").trim_start_matches("https://");
    if config.output == Output::Json {
        let mut facts = json!({
            "version": version.text,
            "git_commit_hash": version.git_hash,
            "git_commit_time": version.git_time,
        });
        if config.verbose {
            let dependencies: Vec<_> = packages(PACKAGES)
                .map(|(name, version)| json!({"name": name, "version": format!("v{version}")}))
                .collect();
            for (member, value) in [
                ("package", json!(package)),
                ("dependencies", json!(dependencies)),
                ("consensus_protocols", json!(about::CONSENSUS_PROTOCOLS)),
            ] {
                if let Some(map) = facts.as_object_mut() {
                    map.insert(member.to_owned(), value);
                }
            }
        }
        return Ok(write_json(out, &facts)?);
    }
    writeln!(
        out,
        "{} [git_commit_hash={},git_commit_time={}]",
        version.text, version.git_hash, version.git_time
    )?;
    if config.verbose {
        writeln!(out, "Package: {package}")?;
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
