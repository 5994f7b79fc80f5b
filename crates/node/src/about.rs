//! What a node tells about itself from its start: constant metrics and texts.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};
use trireme_core::time::UnixTime;
use trireme_telemetry::ClusterLabels;

use crate::{NodeConfig, Version, cluster::Loaded};

/// The release of Charon whose protocols we speak. Peers refuse versions that they do not know.
pub(crate) const CHARON_LEVEL: &str = "v1.11.0";

/// The constant labels of all metrics.
pub(crate) fn labels(config: &NodeConfig, loaded: &Loaded) -> ClusterLabels {
    ClusterLabels {
        cluster_hash: loaded.short_hash(),
        cluster_name: loaded.name.clone(),
        cluster_peer: loaded.my_name().to_owned(),
        nickname: config.nickname.clone(),
        cluster_network: loaded.network.clone(),
        charon_version: config.version.text.clone(),
    }
}

/// What `node/version` answers at the validator API. It contains `charon`, because some validator clients then skip a
/// comparison that cannot hold behind a middleware.
pub(crate) fn node_version(version: &Version) -> String {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!(
        "trireme/charon/{}-{}/{arch}-{}",
        version.text,
        version.git_hash,
        std::env::consts::OS
    )
}

/// What is written into blocks unless `--graffiti` says otherwise.
pub(crate) fn default_graffiti(version: &Version) -> String {
    format!("trireme/{}-{}", version.text, version.git_hash)
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VersionLabel {
    version: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct GitLabel {
    git_hash: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PeerNameLabel {
    peer_name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NetworkLabel {
    network: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FeatureLabel {
    feature_flags: String,
}

/// Registers the gauges that never change.
pub(crate) fn register(registry: &mut Registry, config: &NodeConfig, loaded: &Loaded, now: UnixTime) {
    let git_hash = config.version.git_hash.clone();
    constant(
        registry,
        "app_version",
        "Constant 1 with our version",
        [VersionLabel {
            version: config.version.text.clone(),
        }],
    );
    constant(
        registry,
        "app_git_commit",
        "Constant 1 with our commit",
        [GitLabel { git_hash }],
    );
    let peer_name = loaded.my_name().to_owned();
    constant(
        registry,
        "app_peer_name",
        "Constant 1 with our name",
        [PeerNameLabel { peer_name }],
    );
    let network = loaded.network.clone();
    constant(
        registry,
        "cluster_network",
        "Constant 1 with the network's name",
        [NetworkLabel { network }],
    );
    let features = config.features.named().map(|f| FeatureLabel {
        feature_flags: f.name().to_owned(),
    });
    constant(
        registry,
        "app_feature_flags",
        "Constant 1 for each feature that was switched on",
        features,
    );
    number(
        registry,
        "app_start_time_secs",
        "Start of the node, Unix seconds",
        now.secs(),
    );
    let cluster = &loaded.cluster;
    let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    number(
        registry,
        "cluster_operators",
        "Operators in the lock",
        count(cluster.nodes),
    );
    number(
        registry,
        "cluster_threshold",
        "Threshold in the lock",
        count(cluster.threshold),
    );
    number(
        registry,
        "cluster_validators",
        "Validators in the lock",
        count(cluster.validators().len()),
    );
}

fn constant<L>(registry: &mut Registry, name: &str, help: &str, labels: impl IntoIterator<Item = L>)
where
    L: EncodeLabelSet + Clone + std::hash::Hash + Eq + std::fmt::Debug + Send + Sync + 'static,
{
    let family = Family::<L, Gauge>::default();
    for label in labels {
        family.get_or_create(&label).set(1);
    }
    registry.register(name, help, family);
}

fn number(registry: &mut Registry, name: &str, help: &str, value: u64) {
    let gauge = Gauge::<i64>::default();
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
    registry.register(name, help, gauge);
}
