//! `trireme run`.

use std::path::PathBuf;

use trireme_node::{
    BeaconConfig, CustomNetwork, FeatureSet, NodeConfig, P2pConfig, ProposalConfig, ValidatorApiConfig,
};
use trireme_telemetry::LogConfig;
use url::Url;

use super::{Given, not_built_yet};
use crate::{
    about,
    flags::{FeatureFlags, P2pFlags, RunFlags},
    logging::log_config,
    network::{Custom, custom},
    values::{Problems, given},
};

/// Longest nickname in bytes.
const NICKNAME: usize = 32;
/// Longest graffiti in bytes; four are kept for the client's token unless that is switched off.
const GRAFFITI: usize = 32;
const GRAFFITI_TOKEN: usize = 4;

const NOT_BUILT: [(&str, &str); 22] = [
    (
        "execution-client-rpc-endpoint",
        "signatures of smart-contract wallets are refused",
    ),
    ("synthetic-block-proposals", "there are real duties only"),
    ("proc-directory", "other programs of the stack are not looked for"),
    ("overrides-file", "the registrations in the lock are used"),
    ("fetch-feerecipient-updates", "the registrations in the lock are used"),
    ("publish-address", "no API is called"),
    ("publish-timeout", "no API is called"),
    ("otlp-address", "no traces are sent"),
    ("otlp-headers", "no traces are sent"),
    ("otlp-insecure", "no traces are sent"),
    ("otlp-service-name", "no traces are sent"),
    ("jaeger-address", "no traces are sent"),
    ("jaeger-service", "no traces are sent"),
    ("loki-addresses", "log lines go to standard error"),
    ("loki-service", "log lines go to standard error"),
    ("p2p-udp-address", "connections are made over TCP"),
    ("manifest-file", "the cluster lock is used"),
    ("simnet-beacon-mock", "`trireme devnet` runs against a mock beacon node"),
    ("simnet-beacon-mock-fuzz", "there is no embedded beacon node"),
    ("simnet-slot-duration", "there is no embedded beacon node"),
    ("simnet-validator-mock", "`trireme devnet` runs mock validator clients"),
    ("simnet-validator-keys-dir", "there is no embedded validator client"),
];

/// Checked settings of a node.
#[derive(Debug)]
pub struct RunConfig {
    /// For crate `node`.
    pub node: NodeConfig,
    /// Set up before anything else.
    pub log: LogConfig,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

/// Reads the flags.
///
/// # Errors
/// All problems together.
pub fn config(flags: &RunFlags, given_flags: &Given) -> Result<RunConfig, Problems> {
    let mut problems = Problems::default();
    let mut warnings = not_built_yet(given_flags, &NOT_BUILT);
    let p = &mut problems;
    let log = log_config(&flags.log, p);
    let private_key_file = PathBuf::from(&flags.private_key_file);
    if flags.nickname.len() > NICKNAME {
        p.add("nickname", format_args!("exceeds {NICKNAME} character limit"));
    }
    if !matches!(flags.consensus_protocol.to_lowercase().as_str(), "" | "qbft") {
        p.add(
            "consensus-protocol",
            format_args!("{:?} is not supported, only qbft", flags.consensus_protocol),
        );
    }
    let testnet = testnet(flags, p, &mut warnings);
    let node = NodeConfig {
        version: about::version(),
        lock_file: PathBuf::from(&flags.lock_file),
        no_verify: p.bool("no-verify", &flags.no_verify),
        private_key_file_lock: p.bool("private-key-file-lock", &flags.private_key_file_lock),
        data_dir: NodeConfig::data_dir_beside(&private_key_file),
        private_key_file,
        nickname: flags.nickname.clone(),
        beacon: beacon(flags, p),
        validator_api: validator_api(flags, p),
        monitoring_address: given(&flags.monitoring_address).map(|a| address("monitoring-address", a, p)),
        debug_address: given(&flags.debug_address).map(|a| address("debug-address", a, p)),
        p2p: p2p(&flags.p2p, p, &mut warnings),
        proposals: proposals(flags, p),
        consensus_protocol: given(&flags.consensus_protocol).map(str::to_lowercase),
        features: features(&flags.features, p, &mut warnings),
        testnet,
    };
    problems.finish(RunConfig { node, log, warnings })
}

fn features(flags: &FeatureFlags, problems: &mut Problems, warnings: &mut Vec<String>) -> FeatureSet {
    let enable = problems.list("feature-set-enable", &flags.feature_set_enable);
    let disable = problems.list("feature-set-disable", &flags.feature_set_disable);
    match flags.feature_set.parse() {
        Ok(min) => {
            let (set, remarks) = FeatureSet::new(min, &enable, &disable);
            warnings.extend(remarks.iter().map(ToString::to_string));
            set
        }
        Err(error) => {
            problems.add("feature-set", error);
            FeatureSet::default()
        }
    }
}

/// A listen address must say its host; it is resolved when it is bound.
fn address(flag: &str, text: &str, problems: &mut Problems) -> String {
    let fine = text
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if !fine {
        problems.add(flag, format_args!("{text:?} is not host:port"));
    }
    text.to_owned()
}

fn testnet(flags: &RunFlags, problems: &mut Problems, warnings: &mut Vec<String>) -> Option<CustomNetwork> {
    match custom(&flags.testnet, &flags.testnet_capella_hard_fork, problems) {
        Custom::None => None,
        Custom::Partly => {
            warnings.push(
                "--testnet-*: ignored, since a custom network needs name, fork version, chain id and genesis timestamp"
                    .to_owned(),
            );
            None
        }
        Custom::Network(network) => Some(CustomNetwork {
            name: network.name,
            genesis_fork_version: network.genesis_fork_version,
            chain_id: network.chain_id,
            genesis_time: network.genesis_time,
            capella_fork_version: network.capella_fork_version,
        }),
    }
}

fn beacon(flags: &RunFlags, problems: &mut Problems) -> BeaconConfig {
    let endpoints = urls("beacon-node-endpoints", &flags.beacon_node_endpoints, problems);
    if endpoints.is_empty() && flags.beacon_node_endpoints.is_empty() {
        problems.add(
            "beacon-node-endpoints",
            "missing: give the URL of a beacon node, for example http://localhost:5052",
        );
    }
    BeaconConfig {
        endpoints,
        fallbacks: urls(
            "fallback-beacon-node-endpoints",
            &flags.fallback_beacon_node_endpoints,
            problems,
        ),
        timeout: problems.duration("beacon-node-timeout", &flags.beacon_node_timeout),
        submit_timeout: problems.duration("beacon-node-submit-timeout", &flags.beacon_node_submit_timeout),
        headers: headers("beacon-node-headers", &flags.beacon_node_headers, problems),
    }
}

fn urls(flag: &str, texts: &[String], problems: &mut Problems) -> Vec<Url> {
    let list = problems.list(flag, texts);
    list.iter()
        .filter_map(|text| match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Some(url),
            Ok(_) | Err(_) => {
                // A text that is no URL at all may still hold credentials.
                let shown = if text.contains('@') {
                    trireme_telemetry::redacted(text)
                } else {
                    text.clone()
                };
                problems.add(flag, format_args!("{shown:?} is not an http:// or https:// URL"));
                None
            }
        })
        .collect()
}

/// `name=value`: neither is empty, the name holds no `=`.
fn headers(flag: &str, texts: &[String], problems: &mut Problems) -> Vec<(String, String)> {
    let list = problems.list(flag, texts);
    list.iter()
        .filter_map(|text| match text.split_once('=') {
            Some((name, value)) if !name.is_empty() && !value.is_empty() => Some((name.to_owned(), value.to_owned())),
            Some(_) | None => {
                // The text may hold a secret, so it is not shown.
                problems.add(flag, "each header must be name=value");
                None
            }
        })
        .collect()
}

fn validator_api(flags: &RunFlags, problems: &mut Problems) -> ValidatorApiConfig {
    let tls = match (given(&flags.vc_tls_cert_file), given(&flags.vc_tls_key_file)) {
        (Some(cert), Some(key)) => {
            for (flag, file) in [("vc-tls-cert-file", cert), ("vc-tls-key-file", key)] {
                if !std::path::Path::new(file).is_file() {
                    problems.add(flag, format_args!("{file} does not exist"));
                }
            }
            Some((cert.into(), key.into()))
        }
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => {
            problems.add(
                "vc-tls-cert-file",
                "goes together with --vc-tls-key-file: give both or none",
            );
            None
        }
    };
    ValidatorApiConfig {
        address: address("validator-api-address", &flags.validator_api_address, problems),
        tls,
    }
}

fn p2p(flags: &P2pFlags, problems: &mut Problems, warnings: &mut Vec<String>) -> P2pConfig {
    let relays = relays(flags, problems, warnings);
    P2pConfig {
        relays,
        external_ip: external_ip(flags, problems),
        external_hostname: given(&flags.p2p_external_hostname).map(str::to_owned),
        tcp_addresses: tcp_addresses(flags, problems),
        disable_reuseport: problems.bool("p2p-disable-reuseport", &flags.p2p_disable_reuseport),
    }
}

/// Relays, with a warning for each that is reached without TLS.
fn relays(flags: &P2pFlags, problems: &mut Problems, warnings: &mut Vec<String>) -> Vec<String> {
    let relays = problems.list("p2p-relays", &flags.p2p_relays);
    for relay in &relays {
        if relay.starts_with("http://") {
            warnings.push(format!(
                "Insecure relay address provided, not HTTPS: {}",
                trireme_telemetry::redacted(relay)
            ));
        } else if !relay.starts_with('/') && Url::parse(relay).is_err() {
            problems.add(
                "p2p-relays",
                format_args!("{relay:?} is neither a URL nor a multiaddress"),
            );
        }
    }
    relays
}

/// The IP address that others reach us at.
pub(crate) fn external_ip(flags: &P2pFlags, problems: &mut Problems) -> Option<std::net::IpAddr> {
    let text = given(&flags.p2p_external_ip)?;
    let ip = text.parse();
    if ip.is_err() {
        problems.add("p2p-external-ip", format_args!("{text:?} is not an IP address"));
    }
    ip.ok()
}

/// Listen addresses, each with its IP part.
pub(crate) fn tcp_addresses(flags: &P2pFlags, problems: &mut Problems) -> Vec<String> {
    let list = problems.list("p2p-tcp-address", &flags.p2p_tcp_address);
    for text in &list {
        if text.parse::<std::net::SocketAddr>().is_err() {
            problems.add(
                "p2p-tcp-address",
                format_args!("{text:?} is not ip:port; for every interface write 0.0.0.0:3610"),
            );
        }
    }
    list
}

fn proposals(flags: &RunFlags, problems: &mut Problems) -> ProposalConfig {
    let disable = problems.bool("graffiti-disable-client-append", &flags.graffiti_disable_client_append);
    let graffiti = problems.list("graffiti", &flags.graffiti);
    let most = if disable {
        GRAFFITI
    } else {
        GRAFFITI.saturating_sub(GRAFFITI_TOKEN)
    };
    for text in &graffiti {
        if text.len() > most {
            problems.add("graffiti", format_args!("graffiti string length is greater than maximum size: {text:?} has {} bytes, at most {most} are allowed", text.len()));
        }
    }
    ProposalConfig {
        builder_api: problems.bool("builder-api", &flags.builder_api),
        graffiti,
        graffiti_disable_client_append: disable,
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::*;

    #[derive(clap::Parser)]
    struct Only {
        #[command(flatten)]
        flags: RunFlags,
    }

    #[test]
    fn a_flag_with_nothing_behind_it_yet_is_accepted_with_one_warning() {
        let given = ["run", "--beacon-node-endpoints=http://bn:5052", "--otlp-address=x:1"];
        let flags = Only::try_parse_from(given).unwrap().flags;
        let warnings = |given: &[&str]| {
            let given = given.iter().map(|f| (*f).to_owned()).collect();
            config(&flags, &given).map_err(|p| p.to_string()).unwrap().warnings
        };
        assert_eq!(warnings(&["beacon-node-endpoints"]), [""; 0]);
        assert_eq!(
            warnings(&["beacon-node-endpoints", "otlp-address"]),
            ["--otlp-address has no effect yet: no traces are sent"]
        );
        let command = Only::command();
        for (flag, _) in NOT_BUILT {
            assert!(
                command.get_arguments().any(|a| a.get_long() == Some(flag)),
                "there is no --{flag}"
            );
        }
    }
}
