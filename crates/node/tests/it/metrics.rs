//! Every metric of a node, held against `docs/metrics.md` and against what operators' dashboards ask for.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::PathBuf,
};

use prometheus_client::{encoding::text::encode, registry::Registry};
use trireme_core::{
    bcast::BroadcastMetrics, consensus::ConsensusMetrics, fetcher::FetcherMetrics, infosync::InfoSyncMetrics,
    metrics::CacheMetrics, parsigdb::ParSigDbMetrics, parsigex::ParSigExMetrics, scheduler::SchedulerMetrics,
    sigagg::SigAggMetrics, step::StepMetrics, tracker::TrackerMetrics,
};
use trireme_p2p::{P2pMetrics, relay::RelayMetrics};
use trireme_telemetry::{
    health::HealthMetrics,
    logs::log_counters,
    metrics::{
        StackMetrics,
        text::{Sample, Samples, prometheus},
    },
};

use super::{
    fixture::{Beacon, Cluster, HOODI, get},
    start::with_node,
};

/// Labels on every series of a node.
const CONSTANT: [&str; 6] = [
    "cluster_hash",
    "cluster_name",
    "cluster_peer",
    "nickname",
    "cluster_network",
    "charon_version",
];
/// Labels that Prometheus, Grafana or the text format itself add.
const FROM_OUTSIDE: [&str; 4] = ["job", "instance", "le", "quantile"];

/// What is known of one metric.
#[derive(Debug, Clone, Default, PartialEq)]
struct Known {
    kind: String,
    help: String,
    labels: BTreeSet<String>,
    bounds: Vec<String>,
    /// Whether there was a series to see labels and bounds on.
    seen: bool,
}

/// The metrics of a text, by the name that dashboards use.
fn read(text: &str) -> BTreeMap<String, Known> {
    let samples = Samples::read(text, |_| true);
    let mut all: BTreeMap<String, Known> = BTreeMap::new();
    for line in text.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|l| l.split_once(' ')) {
            all.entry(name.to_owned()).or_default().help = help.trim_end_matches('.').to_owned();
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|l| l.split_once(' ')) {
            all.entry(name.to_owned()).or_default().kind = kind.to_owned();
        }
    }
    for (name, known) in &mut all {
        let is_histogram = known.kind == "histogram";
        let series = samples.of(&if is_histogram {
            format!("{name}_bucket")
        } else {
            name.clone()
        });
        known.seen = !series.is_empty();
        let labels = |s: &Sample| s.labels.keys().cloned().collect::<Vec<_>>();
        known.labels = series.iter().flat_map(labels).collect();
        if is_histogram {
            known.labels.remove("le");
            let first = series.first().map(|s| s.labels.clone()).unwrap_or_default();
            let same = |s: &&Sample| s.labels.iter().all(|(k, v)| k == "le" || first.get(k) == Some(v));
            known.bounds = series.iter().filter(same).map(|s| s.label("le").to_owned()).collect();
        }
    }
    all
}

/// The metrics of all components, each with a series.
fn components() -> BTreeMap<String, Known> {
    let mut registry = Registry::default();
    let r = &mut registry;
    BroadcastMetrics::register(r).touch();
    ConsensusMetrics::register(r).touch();
    let _ = FetcherMetrics::register(r);
    let _ = InfoSyncMetrics::register(r);
    CacheMetrics::register(r).touch();
    ParSigDbMetrics::register(r).touch();
    ParSigExMetrics::register(r).touch();
    SchedulerMetrics::register(r).touch();
    SigAggMetrics::register(r).touch();
    StepMetrics::register(r).touch();
    TrackerMetrics::register(r).touch();
    P2pMetrics::register(r).touch();
    trireme_beacon::Metrics::new(r).touch();
    trireme_vapi::Metrics::register(r).touch();
    HealthMetrics::register(r).touch();
    log_counters().touch();
    log_counters().register(r);
    let proc = tempfile::tempdir().unwrap();
    std::fs::create_dir(proc.path().join("1")).unwrap();
    std::fs::write(proc.path().join("1/cmdline"), "geth\0--http\0").unwrap();
    StackMetrics::new(proc.path()).register(r);
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    read(&prometheus(&text))
}

/// What a node that has just started serves, without the labels that all series have.
async fn served() -> BTreeMap<String, Known> {
    let (cluster, beacon) = (Cluster::new(), Beacon::start(HOODI, true).await);
    let mut config = cluster.config(0, &beacon).await;
    let (features, _) = trireme_node::FeatureSet::new(trireme_core::features::Status::Stable, &["linear".into()], &[]);
    config.features = features;
    config.nickname = "test".into();
    let (api, monitoring) = (
        config.validator_api.address.clone(),
        config.monitoring_address.clone().unwrap(),
    );
    let text = with_node(config, async {
        // What the beacon node does not know is passed on once everything is there.
        while get(&api, "/eth/v1/node/peer_count").await.0 != 404 {
            tokio::task::yield_now().await;
        }
        get(&monitoring, "/metrics").await.1
    })
    .await;
    let mut all = read(&text);
    for (name, known) in &mut all {
        if known.seen {
            for label in CONSTANT {
                assert!(known.labels.remove(label), "{name} has no label {label}");
            }
        }
    }
    all
}

/// All that is known of a node's metrics, from both.
async fn every_metric() -> BTreeMap<String, Known> {
    let (components, mut all) = (components(), served().await);
    for (name, known) in &mut all {
        let Some(component) = components.get(name) else {
            assert!(known.seen, "the component of {name} is missing in this test");
            continue;
        };
        assert_eq!(known.kind, component.kind, "{name}");
        assert!(
            component.seen,
            "{name} has no series: it is missing in its component's `touch`"
        );
        if known.seen {
            assert_eq!(known.labels, component.labels, "{name}");
        }
        known.clone_from(component);
    }
    // Families without series are not written, so a node that has just started does not show all.
    for (name, component) in components {
        assert!(
            component.seen,
            "{name} has no series: it is missing in its component's `touch`"
        );
        all.entry(name).or_insert(component);
    }
    all
}

fn document(all: &BTreeMap<String, Known>) -> String {
    let mut out = String::from(
        "# Metrics\n\nServed at `/metrics` of `--monitoring-address`. Every series also has the labels `cluster_hash`, `cluster_name`,\n`cluster_peer`, `nickname`, `cluster_network` and `charon_version`. Names that Charon has mean what they mean there, but\nfor the figures of the Go runtime: `go_goroutines` counts tasks, the heap figures are private memory.\n\nThis file is generated: `UPDATE=1 cargo test -p trireme-node metrics`.\n\n| name | type | labels | what it tells |\n| --- | --- | --- | --- |\n",
    );
    let mut buckets: BTreeMap<&[String], Vec<&str>> = BTreeMap::new();
    for (name, known) in all {
        let labels: Vec<String> = known.labels.iter().map(|l| format!("`{l}`")).collect();
        writeln!(
            out,
            "| `{name}` | {} | {} | {} |",
            known.kind,
            labels.join(", "),
            known.help
        )
        .unwrap();
        if known.bounds.len() > 1 {
            buckets.entry(&known.bounds).or_default().push(name);
        }
    }
    out.push_str("\n## Buckets\n\n| upper bounds | histograms |\n| --- | --- |\n");
    for (bounds, names) in buckets {
        let names: Vec<String> = names.iter().map(|n| format!("`{n}`")).collect();
        let bounds: Vec<&str> = bounds.iter().map(String::as_str).filter(|b| *b != "+Inf").collect();
        writeln!(out, "| {} | {} |", bounds.join(" "), names.join(", ")).unwrap();
    }
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn docs_metrics_md_is_what_a_node_registers() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
    let now = document(&every_metric().await);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == now,
        "docs/metrics.md is not up to date; `UPDATE=1 cargo test -p trireme-node metrics` rewrites it"
    );
}

mod vectors {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Catalogue {
        bucket_sets: BTreeMap<String, Vec<f64>>,
        metrics: Vec<Entry>,
    }

    #[derive(Deserialize)]
    struct Entry {
        name: String,
        r#type: String,
        labels: BTreeSet<String>,
        bucket_set: Option<String>,
    }

    /// The metrics that a relay registers.
    fn of_relay() -> BTreeMap<String, Known> {
        let mut registry = Registry::default();
        let key = trireme_keys::IdentityKey::from_bytes(&[1; 32]).unwrap().public_key();
        let peer = trireme_keys::PeerId::from_public_key(key);
        RelayMetrics::register(&mut registry, &peer).touch();
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        let mut all = read(&prometheus(&text));
        for known in all.values_mut() {
            known.labels.remove("relay_peer");
        }
        all
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn metric_catalogue() {
        let (node, relay) = (every_metric().await, of_relay());
        let mut wrong = Vec::new();
        trireme_vectors::each("dashboards", "metric-catalogue", |e| {
            let catalogue: Catalogue = e.parse();
            for entry in &catalogue.metrics {
                let Some(known) = node.get(&entry.name).or_else(|| relay.get(&entry.name)) else {
                    wrong.push(format!("{} is not exported", entry.name));
                    continue;
                };
                if known.kind != entry.r#type {
                    wrong.push(format!("{}: {} instead of {}", entry.name, known.kind, entry.r#type));
                }
                if !known.seen {
                    continue;
                }
                if known.labels != entry.labels {
                    wrong.push(format!(
                        "{}: {:?} instead of {:?}",
                        entry.name, known.labels, entry.labels
                    ));
                }
                let mut bounds: Vec<f64> = known.bounds.iter().map(|b| b.parse().unwrap()).collect();
                bounds.retain(|b| b.is_finite());
                let expected = entry.bucket_set.as_ref().map(|set| catalogue.bucket_sets[set].clone());
                let equal = bounds.len() == expected.as_ref().map_or(0, Vec::len)
                    && bounds
                        .iter()
                        .zip(expected.iter().flatten())
                        .all(|(a, b)| (a - b).abs() < 1e-9);
                if !equal {
                    wrong.push(format!("{}: buckets {bounds:?} instead of {expected:?}", entry.name));
                }
            }
        });
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    /// The metric that a series belongs to.
    fn metric_of<'a>(all: &'a BTreeMap<String, Known>, series: &str) -> Option<(&'a String, &'a Known)> {
        let bases = ["", "_bucket", "_sum", "_count"].map(|suffix| series.strip_suffix(suffix));
        bases.into_iter().flatten().find_map(|base| all.get_key_value(base))
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn metric_usage() {
        #[derive(Deserialize)]
        struct Usage {
            node_metrics: BTreeMap<String, BTreeMap<String, Vec<String>>>,
            other_scrape_targets: BTreeMap<String, serde::de::IgnoredAny>,
        }
        let node = every_metric().await;
        trireme_vectors::each("dashboards", "metric-usage", |e| {
            let usage: Usage = e.parse();
            assert!(!usage.node_metrics.is_empty());
            for (series, dashboards) in &usage.node_metrics {
                let Some((name, known)) = metric_of(&node, series) else {
                    panic!("{series} is not exported");
                };
                for label in dashboards.values().flatten() {
                    assert!(has(known, label), "{name} has no label {label}");
                }
            }
            for series in usage.other_scrape_targets.keys() {
                assert!(metric_of(&node, series).is_none(), "{series} is another program's");
            }
        });
    }

    fn has(known: &Known, label: &str) -> bool {
        known.labels.contains(label) || CONSTANT.contains(&label) || FROM_OUTSIDE.contains(&label)
    }

    /// Checks every metric of Charon's families that occurs in expressions: it is exported, with the labels of the selector
    /// that follows. Returns how many were found.
    fn check_expressions(node: &BTreeMap<String, Known>, text: &str) -> usize {
        const FAMILIES: [&str; 4] = ["app_", "core_", "p2p_", "cluster_"];
        // Labels and template variables that begin like metrics.
        const NO_METRICS: [&str; 5] = [
            "cluster_name",
            "cluster_hash",
            "cluster_peer",
            "cluster_network",
            "p2p_topic_peer_count",
        ];
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        let mut found = 0;
        let mut rest = text;
        while let Some(start) = rest.find(is_part) {
            let (token, after) =
                rest[start..].split_at(rest[start..].find(|c| !is_part(c)).unwrap_or(rest.len() - start));
            rest = after;
            let selector = after.strip_prefix('{');
            let is_name = FAMILIES.iter().any(|f| token.starts_with(f)) && !NO_METRICS.contains(&token);
            // A bare word may be a label; only with a selector or within a function is it certainly a series.
            if !is_name || (selector.is_none() && !after.starts_with(['[', ')', ' ', ',', '"', '\''])) {
                continue;
            }
            let Some((name, known)) = metric_of(node, token) else {
                // Names of panels and variables share the prefix; those with a selector are series.
                assert!(selector.is_none(), "{token} is not exported");
                continue;
            };
            found += 1;
            for pair in selector
                .and_then(|s| s.split_once('}'))
                .map_or("", |(inside, _)| inside)
                .split(',')
            {
                let label = pair.split(['=', '!']).next().unwrap_or_default().trim();
                let is_label =
                    !label.is_empty() && label.chars().all(is_part) && !label.starts_with(|c: char| c.is_ascii_digit());
                if is_label && pair.contains('=') {
                    assert!(has(known, label), "{name} has no label {label}");
                }
            }
        }
        found
    }

    /// All texts of a JSON document that stand under a name that holds expressions.
    fn expressions(value: &serde_json::Value, out: &mut Vec<String>) {
        match value {
            serde_json::Value::Object(members) => {
                for (name, member) in members {
                    match member {
                        serde_json::Value::String(text) if matches!(name.as_str(), "expr" | "query" | "definition") => {
                            out.push(text.clone());
                        }
                        other => expressions(other, out),
                    }
                }
            }
            serde_json::Value::Array(items) => items.iter().for_each(|item| expressions(item, out)),
            serde_json::Value::Null
            | serde_json::Value::Bool(_)
            | serde_json::Value::Number(_)
            | serde_json::Value::String(_) => {}
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn grafana_dashboard() {
        let node = every_metric().await;
        let (mut dashboards, mut found) = (0, 0);
        trireme_vectors::each("dashboards", "grafana-dashboard", |e| {
            let mut texts = Vec::new();
            expressions(&serde_json::from_str(&e.text()).unwrap(), &mut texts);
            dashboards += 1;
            found += texts.iter().map(|t| check_expressions(&node, t)).sum::<usize>();
        });
        // One may be of other things than a node's metrics; not all of them.
        assert!(dashboards == 0 || found > 0, "no metric was found in any dashboard");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn alert_rules() {
        let node = every_metric().await;
        trireme_vectors::each("dashboards", "alert-rules", |e| {
            let text = e.text();
            let lines = text.lines().filter(|l| l.trim_start().starts_with("expr:"));
            let found: usize = lines.map(|l| check_expressions(&node, l)).sum();
            assert!(found > 0, "no metric was found");
        });
    }
}
