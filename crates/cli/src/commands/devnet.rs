//! `trireme devnet`.

use std::path::PathBuf;

use trireme_devnet::DevnetConfig;
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
        kills: each("kill", &flags.kill, p),
        restarts: each("restart", &flags.restart, p),
        allow_loss: p.bool("allow-loss", &flags.allow_loss),
        charon: given(&flags.charon).map(PathBuf::from),
        charon_nodes: p.number("charon-nodes", &flags.charon_nodes),
        cluster: given(&flags.cluster).map(PathBuf::from),
        beacon_nodes: p.number("beacon-nodes", &flags.beacon_nodes),
        bn_faults: each("bn-fault", &flags.bn_fault, p),
        blobs: p.number("blobs", &flags.blobs),
        transactions_kib: p.number("transactions", &flags.transactions),
        builder: p.bool("builder", &flags.builder),
        sync_committee: p.number("sync-committee", &flags.sync_committee),
        beacon_node: p.list("beacon-node", &flags.beacon_node),
        vc: p.or_default("vc", flags.vc.parse()),
        binary: None,
    };
    let log = log_config(&flags.log, p);
    problems.finish(DevnetSettings { devnet, log })
}

/// Every item of a list, read; what cannot be read is a problem.
fn each<T>(flag: &str, texts: &[String], problems: &mut Problems) -> Vec<T>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
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
    use trireme_devnet::{Clients, DevnetConfig};

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
        let faults = parse(&["--bn-fault", "0:hang@20..40", "--bn-fault=1:error@30..50", "--vc=none"]).unwrap();
        assert_eq!(faults.devnet.bn_faults.len(), 2);
        assert_eq!(faults.devnet.vc, Clients::None);
        let problems = parse(&["--bn-fault", "0:gone@1..2"]).unwrap_err().to_string();
        assert!(problems.contains("--bn-fault: there is no fault"), "{problems}");
        let problems = parse(&["--kill", "2", "--output", "xml"]).unwrap_err().to_string();
        assert!(problems.contains("--kill: \"2\" is not NODE@SLOT"), "{problems}");
        assert!(problems.contains("--output"), "{problems}");
    }
}
