//! `trireme run`.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use trireme_cluster::{Lock, MAX_FILE, Wallets};
use trireme_files::Disk;
use trireme_node::{
    BeaconConfig, CustomNetwork, FeatureSet, NodeConfig, P2pConfig, ProposalConfig, UpdatesConfig, ValidatorApiConfig,
};
use trireme_remote::{Execution, execution::STARTS_WITHIN};
use trireme_telemetry::{LogConfig, Loki, LokiConfig, Outlets, PushConfig, TraceConfig, Traces};
use url::Url;

use super::{Given, not_built_yet, simnet::Simnet};
use crate::{
    about,
    flags::{FeatureFlags, LokiFlags, P2pFlags, RunFlags},
    logging::{log_config, shown_endpoint},
    network::{Custom, custom},
    node_folder::{self, Recovered},
    values::{Problems, given},
};

/// Longest nickname in bytes.
const NICKNAME: usize = 32;
/// Longest graffiti in bytes; four are kept for the client's token unless that is switched off.
const GRAFFITI: usize = 32;
const GRAFFITI_TOKEN: usize = 4;

const NOT_BUILT: [(&str, &str); 4] = [
    ("jaeger-address", "no traces are sent"),
    ("jaeger-service", "no traces are sent"),
    ("p2p-udp-address", "connections are made over TCP"),
    ("manifest-file", "the cluster lock is used"),
];

/// Checked settings of a node.
#[derive(Debug)]
pub struct RunConfig {
    /// For crate `node`.
    pub node: NodeConfig,
    /// A beacon node in this process, instead of those outside.
    pub simnet: Option<Simnet>,
    /// Execution client that is asked about smart-contract wallets.
    pub execution: Option<String>,
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
        p.add(
            "nickname",
            format_args!(
                "exceeds {NICKNAME} character limit: {:?} has {} bytes, shorten it",
                flags.nickname,
                flags.nickname.len()
            ),
        );
    }
    if !matches!(flags.consensus_protocol.to_lowercase().as_str(), "" | "qbft") {
        p.add(
            "consensus-protocol",
            format_args!("{:?} is not supported, only qbft", flags.consensus_protocol),
        );
    }
    let testnet = testnet(flags, p, &mut warnings);
    let simnet = Simnet::config(flags, p);
    let node = NodeConfig {
        version: about::version(),
        lock_file: PathBuf::from(&flags.lock_file),
        wallets: Wallets::default(),
        no_verify: p.bool("no-verify", &flags.no_verify),
        private_key_file_lock: p.bool("private-key-file-lock", &flags.private_key_file_lock),
        data_dir: NodeConfig::data_dir_beside(&private_key_file),
        private_key_file,
        nickname: flags.nickname.clone(),
        beacon: beacon(flags, given_flags, simnet.is_some(), p),
        validator_api: validator_api(flags, p),
        monitoring_address: given(&flags.monitoring_address).map(|a| address("monitoring-address", a, p)),
        push: push(flags, given_flags, p),
        debug_address: given(&flags.debug_address).map(|a| address("debug-address", a, p)),
        proc_directory: given(&flags.proc_directory).map(Into::into),
        outlets: outlets(flags, p),
        p2p: p2p(&flags.p2p, p, &mut warnings),
        proposals: proposals(flags, p),
        consensus_protocol: given(&flags.consensus_protocol).map(str::to_lowercase),
        features: features(&flags.features, p, &mut warnings),
        testnet,
    };
    let execution = given(&flags.execution_client_rpc_endpoint).map(str::to_owned);
    if let Some(Err(e)) = execution.as_deref().map(Execution::new) {
        problems.add("execution-client-rpc-endpoint", e);
    }
    problems.finish(RunConfig {
        node,
        simnet,
        execution,
        log,
        warnings,
    })
}

/// Runs the node until it is told to stop.
///
/// # Errors
/// What stopped it, with what to do.
pub async fn run(config: RunConfig) -> anyhow::Result<()> {
    let RunConfig {
        mut node,
        simnet,
        execution,
        ..
    } = config;
    match node_folder::recover(&Disk, node.lock_file.parent().unwrap_or(Path::new(""))) {
        Recovered::Clean => {}
        Recovered::Moved(paths) => tracing::info!(
            topic = "cmd",
            paths,
            "An interrupted command had left files outside their places; they are in place now"
        ),
        // What the node needs may be whole all the same; if it is not, loading says what is missing.
        Recovered::Left(problem) => tracing::warn!(topic = "cmd", "{problem}"),
    }
    if let Some(endpoint) = execution {
        node.wallets = wallets(&endpoint, &node)
            .await
            .context("--execution-client-rpc-endpoint")?;
    }
    let _simnet = match simnet {
        Some(simnet) => Some(simnet.start(&mut node).await?),
        None => None,
    };
    trireme_node::run(node, trireme_node::Shutdown::on_signals()).await?;
    Ok(())
}

/// Asks smart-contract wallets about their signatures in the lock. The execution client must be there even if there is
/// nothing to ask; a lock that cannot be read is told of when the node loads it.
async fn wallets(endpoint: &str, node: &NodeConfig) -> anyhow::Result<Wallets> {
    let client = Execution::new(endpoint)?;
    client.ready(STARTS_WITHIN).await?;
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_FILE).unwrap_or(u64::MAX);
    let read = std::fs::File::open(&node.lock_file).and_then(|file| file.take(limit).read_to_end(&mut bytes));
    let Some(lock) = read.ok().and_then(|_| Lock::from_json(&bytes).ok()) else {
        return Ok(Wallets::default());
    };
    let networks = trireme_node::networks(node.testnet.as_ref());
    Ok(client.ask_wallets(&lock.definition, &networks).await?)
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

/// Where log lines and traces go besides.
fn outlets(flags: &RunFlags, problems: &mut Problems) -> Outlets {
    let insecure = problems.bool("otlp-insecure", &flags.otlp_insecure);
    let headers = headers("otlp-headers", &flags.otlp_headers, problems);
    let traces = given(&flags.otlp_address).map(|address| {
        Traces::new(TraceConfig {
            address: self::address("otlp-address", address, problems),
            headers,
            insecure,
            service_name: flags.otlp_service_name.clone(),
        })
    });
    Outlets {
        loki: loki(&flags.loki, problems),
        traces,
    }
}

pub(super) fn loki(flags: &LokiFlags, problems: &mut Problems) -> Option<Loki> {
    let addresses = urls("loki-addresses", &flags.loki_addresses, problems);
    (!addresses.is_empty()).then(|| {
        Loki::new(LokiConfig {
            addresses,
            service: flags.loki_service.clone(),
        })
    })
}

/// The service that figures are pushed to.
fn push(flags: &RunFlags, given_flags: &Given, problems: &mut Problems) -> Option<PushConfig> {
    const PERIOD: &str = "monitoring-endpoint-period";
    const FREQUENCY: &str = "monitoring-endpoint-frequency";
    let mut seconds = |flag: &str, text: &str| {
        let seconds: u32 = problems.number(flag, text);
        if text == "0" {
            problems.add(flag, "must be at least one second");
        }
        seconds
    };
    let period = seconds(PERIOD, &flags.monitoring_endpoint_period);
    let frequency = given(&flags.monitoring_endpoint_frequency).map(|text| seconds(FREQUENCY, text));
    let period = match frequency {
        Some(seconds) if !given_flags.contains(PERIOD) => seconds,
        Some(_) | None => period,
    };
    let endpoint = given(&flags.monitoring_endpoint)?.to_owned();
    let endpoint = urls("monitoring-endpoint", &[endpoint], problems).pop()?;
    Some(PushConfig {
        endpoint,
        period: Duration::from_secs(period.into()),
    })
}

/// Where new registrations are fetched from.
fn updates(flags: &RunFlags, problems: &mut Problems) -> Option<UpdatesConfig> {
    const FLAG: &str = "publish-address";
    let wanted = problems.bool("fetch-feerecipient-updates", &flags.fetch_feerecipient_updates);
    let timeout = problems.duration("publish-timeout", &flags.publish_timeout);
    if !wanted {
        return None;
    }
    if flags.publish_address.is_empty() {
        problems.add(
            FLAG,
            "missing: --fetch-feerecipient-updates asks the API at this address",
        );
    }
    let address = urls(FLAG, std::slice::from_ref(&flags.publish_address), problems).pop()?;
    Some(UpdatesConfig { address, timeout })
}

/// A listen address must say its host; it is resolved when it is bound.
fn address(flag: &str, text: &str, problems: &mut Problems) -> String {
    let fine = text
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if !fine {
        problems.add(flag, format_args!("{text:?} is not host:port, as in localhost:4000"));
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

/// A time limit that counts only if somebody set it.
fn limit(flag: &str, text: &str, given_flags: &Given, problems: &mut Problems) -> Option<std::time::Duration> {
    let limit = problems.duration(flag, text);
    given_flags.contains(flag).then_some(limit)
}

fn broadcast(texts: &[String], problems: &mut Problems) -> trireme_node::Broadcast {
    const FLAG: &str = "broadcast";
    let names = problems.list(FLAG, texts);
    trireme_node::Broadcast::parse(&names).unwrap_or_else(|unknown| {
        problems.add(FLAG, unknown);
        trireme_node::Broadcast::default()
    })
}

fn beacon(flags: &RunFlags, given_flags: &Given, embedded: bool, problems: &mut Problems) -> BeaconConfig {
    let endpoints = urls("beacon-node-endpoints", &flags.beacon_node_endpoints, problems);
    if endpoints.is_empty() && flags.beacon_node_endpoints.is_empty() && !embedded {
        problems.add(
            "beacon-node-endpoints",
            "missing: give the URL of a beacon node, for example http://localhost:5052, or --simnet-beacon-mock",
        );
    }
    BeaconConfig {
        endpoints,
        fallbacks: urls(
            "fallback-beacon-node-endpoints",
            &flags.fallback_beacon_node_endpoints,
            problems,
        ),
        timeout: limit("beacon-node-timeout", &flags.beacon_node_timeout, given_flags, problems),
        submit_timeout: limit(
            "beacon-node-submit-timeout",
            &flags.beacon_node_submit_timeout,
            given_flags,
            problems,
        ),
        certificates: problems
            .list("beacon-nodes-tls-certs", &flags.beacon_nodes_tls_certs)
            .into_iter()
            .map(Into::into)
            .collect(),
        broadcast: broadcast(&flags.broadcast, problems),
        best_head: problems.bool("beacon-node-best-head", &flags.beacon_node_best_head),
        allow_optimistic: problems.bool("beacon-node-allow-optimistic", &flags.beacon_node_allow_optimistic),
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
                let shown = if text.contains('@') || text.contains("://") {
                    shown_endpoint(text)
                } else {
                    text.clone()
                };
                problems.add(
                    flag,
                    format_args!("{shown:?} is not an http:// or https:// URL, as in http://localhost:4000"),
                );
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
                problems.add(
                    flag,
                    "each header must be name=value, and one is not (its text is not shown)",
                );
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
        token_file: given(&flags.vapi_token_file).map(Into::into),
        allow_list: problems.bool("vapi-allow-list", &flags.vapi_allow_list),
        json_only: problems.bool("vapi-json-only", &flags.vapi_json_only),
        origins: origins(&flags.vapi_allow_origin, problems),
    }
}

fn origins(texts: &[String], problems: &mut Problems) -> trireme_node::Origins {
    const FLAG: &str = "vapi-allow-origin";
    let list = problems.list(FLAG, texts);
    trireme_node::Origins::parse(&list).unwrap_or_else(|bad| {
        problems.add(FLAG, bad);
        trireme_node::Origins::default()
    })
}

fn p2p(flags: &P2pFlags, problems: &mut Problems, warnings: &mut Vec<String>) -> P2pConfig {
    let relays = relays(flags, problems, warnings);
    P2pConfig {
        relays,
        external_ip: external_ip(flags, problems),
        external_hostname: external_hostname(flags, problems),
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
        problems.add(
            "p2p-external-ip",
            format_args!("{text:?} is not an IP address; a host name goes into --p2p-external-hostname"),
        );
    }
    ip.ok()
}

/// The host name that others reach us at, which must be one that name servers can have.
pub(crate) fn external_hostname(flags: &P2pFlags, problems: &mut Problems) -> Option<String> {
    let text = given(&flags.p2p_external_hostname)?;
    if let Err(reason) = url::Host::parse(text) {
        problems.add(
            "p2p-external-hostname",
            format_args!(
                "invalid hostname {text:?}: {reason}; write it like node.example.org, without scheme and port"
            ),
        );
    }
    Some(text.to_owned())
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
        overrides_file: flags.overrides_file.clone().into(),
        updates: updates(flags, problems),
        synthetic: problems.bool("synthetic-block-proposals", &flags.synthetic_block_proposals),
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
        let given = [
            "run",
            "--beacon-node-endpoints=http://bn:5052",
            "--jaeger-address=there",
        ];
        let flags = Only::try_parse_from(given).unwrap().flags;
        let warnings = |given: &[&str]| {
            let given = given.iter().map(|f| (*f).to_owned()).collect();
            config(&flags, &given).map_err(|p| p.to_string()).unwrap().warnings
        };
        assert_eq!(warnings(&["beacon-node-endpoints"]), [""; 0]);
        assert_eq!(
            warnings(&["beacon-node-endpoints", "jaeger-address"]),
            ["--jaeger-address has no effect yet: no traces are sent"]
        );
        let command = Only::command();
        for (flag, _) in NOT_BUILT {
            assert!(
                command.get_arguments().any(|a| a.get_long() == Some(flag)),
                "there is no --{flag}"
            );
        }
    }

    fn read(more: &[&str]) -> Result<NodeConfig, String> {
        let given: Vec<_> = ["run", "--beacon-node-endpoints=http://bn:5052"]
            .iter()
            .chain(more)
            .collect();
        let flags = Only::try_parse_from(&given).unwrap().flags;
        let names = more.iter().map(|flag| flag.trim_start_matches("--"));
        let names = names
            .map(|flag| flag.split('=').next().unwrap_or(flag).to_owned())
            .collect();
        config(&flags, &names).map(|c| c.node).map_err(|p| p.to_string())
    }

    #[test]
    fn vc_112_period_is_taken_under_both_names_and_is_120_seconds_otherwise() {
        const TO: &str = "--monitoring-endpoint=https://monitor.example/api?apikey=1";
        let period = |more: &[&str]| read(&[&[TO], more].concat()).unwrap().push.unwrap().period.as_secs();
        assert_eq!(period(&[]), 120);
        assert_eq!(period(&["--monitoring-endpoint-frequency=60"]), 60);
        assert_eq!(period(&["--monitoring-endpoint-period=30"]), 30);
        assert_eq!(
            period(&["--monitoring-endpoint-frequency=60", "--monitoring-endpoint-period=30"]),
            30
        );
        assert_eq!(read(&[]).unwrap().push, None);
        for bad in ["--monitoring-endpoint-period=0", "--monitoring-endpoint-frequency=soon"] {
            assert!(read(&[TO, bad]).unwrap_err().contains("monitoring-endpoint-"));
        }
    }

    #[test]
    fn vc_111_origin_that_is_none_is_an_error_at_the_start() {
        assert!(read(&["--vapi-allow-origin=http://a,*"]).is_ok());
        let error = read(&["--vapi-allow-origin=http://a,pages"]).unwrap_err();
        assert!(
            error.contains("--vapi-allow-origin") && error.contains("pages"),
            "{error}"
        );
    }

    #[test]
    fn updates_of_registrations_need_an_address() {
        let updates = |more: &[&str]| read(more).map(|node| node.proposals.updates);
        assert_eq!(updates(&[]), Ok(None));
        let given = updates(&["--fetch-feerecipient-updates"]).unwrap().unwrap();
        assert_eq!(
            (given.address.as_str(), given.timeout.as_secs()),
            ("https://api.obol.tech/v1", 300)
        );
        let error = updates(&["--fetch-feerecipient-updates", "--publish-address="]).unwrap_err();
        assert!(error.contains("--publish-address"), "{error}");
    }
}
