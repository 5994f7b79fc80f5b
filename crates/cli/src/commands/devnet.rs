//! `trireme devnet`.

use std::path::PathBuf;

use trireme_devnet::{DevnetConfig, NodeAtSlot};
use trireme_telemetry::LogConfig;

use crate::{
    flags::DevnetFlags,
    logging::log_config,
    values::{Problems, given},
};

/// Checked settings of a local cluster.
#[derive(Debug)]
pub struct DevnetSettings {
    /// For crate `devnet`.
    pub devnet: DevnetConfig,
    /// Set up before anything else.
    pub log: LogConfig,
}

/// Reads the flags.
///
/// # Errors
/// All problems together.
pub fn config(flags: &DevnetFlags) -> Result<DevnetSettings, Problems> {
    let mut problems = Problems::default();
    let p = &mut problems;
    let threshold: usize = p.number("threshold", &flags.threshold);
    let devnet = DevnetConfig {
        nodes: p.number("nodes", &flags.nodes),
        threshold: (threshold != 0).then_some(threshold),
        validators: p.number("validators", &flags.validators),
        slots: p.number("slots", &flags.slots),
        slot_seconds: p.number("slot-duration", &flags.slot_duration),
        slots_per_epoch: p.number("slots-per-epoch", &flags.slots_per_epoch),
        fork: flags.fork.clone(),
        dir: given(&flags.dir).map(PathBuf::from),
        output: p.or_default("output", flags.output.parse()),
        kills: plan("kill", &flags.kill, p),
        restarts: plan("restart", &flags.restart, p),
        allow_loss: p.bool("allow-loss", &flags.allow_loss),
        charon: given(&flags.charon).map(PathBuf::from),
        charon_nodes: p.number("charon-nodes", &flags.charon_nodes),
        cluster: given(&flags.cluster).map(PathBuf::from),
        binary: None,
    };
    let log = log_config(&flags.log, p);
    problems.finish(DevnetSettings { devnet, log })
}

fn plan(flag: &str, texts: &[String], problems: &mut Problems) -> Vec<NodeAtSlot> {
    let list = problems.list(flag, texts);
    list.iter()
        .filter_map(|text| match text.parse() {
            Ok(at) => Some(at),
            Err(problem) => {
                problems.add(flag, problem);
                None
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use trireme_devnet::DevnetConfig;

    use crate::flags::{Cli, Command};

    #[test]
    fn the_defaults_of_the_flags_are_those_of_the_library() {
        let Some(Command::Devnet(flags)) = Cli::parse_from(["trireme", "devnet"]).command else {
            panic!("devnet is a command")
        };
        assert_eq!(super::config(&flags).unwrap().devnet, DevnetConfig::default());
    }

    #[test]
    fn plans_are_read_and_what_is_none_is_named() {
        let parse = |args: &[&str]| {
            let all = ["trireme", "devnet"].iter().chain(args);
            let Some(Command::Devnet(flags)) = Cli::parse_from(all).command else {
                panic!("devnet is a command")
            };
            super::config(&flags)
        };
        let plan = parse(&["--kill", "2@6", "--kill=5@8", "--restart", "2@14,5@16"])
            .unwrap()
            .devnet;
        assert_eq!(plan.kills.len(), 2);
        assert_eq!(
            plan.restarts.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["2@14", "5@16"]
        );
        let problems = parse(&["--kill", "2", "--output", "xml"]).unwrap_err().to_string();
        assert!(problems.contains("--kill: \"2\" is not NODE@SLOT"), "{problems}");
        assert!(problems.contains("--output"), "{problems}");
    }
}
