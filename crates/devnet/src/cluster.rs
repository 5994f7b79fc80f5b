//! The cluster's processes: how each is started, as an operator would start it.
//!
//! Guarantees: nothing but loopback addresses; each node gets its own folder, log and ports. Not here: when they are
//! started and killed (`harness`).

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use crate::{
    config::{DevnetConfig, DevnetError},
    plan::{Implementation, Plan},
    ports,
    process::{Program, Watchdog},
};

/// Which program files are used.
#[derive(Debug, Clone)]
pub(crate) struct Binaries {
    ours: PathBuf,
    charon: Option<PathBuf>,
}

impl Binaries {
    pub(crate) fn of(config: &DevnetConfig) -> Result<Self, DevnetError> {
        let ours = match &config.binary {
            Some(path) => path.clone(),
            None => std::env::current_exe().map_err(DevnetError::io("finding our own binary"))?,
        };
        let absolute =
            |path: &PathBuf| std::path::absolute(path).map_err(DevnetError::io(format!("finding {}", path.display())));
        Ok(Self {
            ours: absolute(&ours)?,
            charon: config.charon.as_ref().map(absolute).transpose()?,
        })
    }

    fn path(&self, which: Implementation) -> PathBuf {
        match which {
            Implementation::Trireme => self.ours.clone(),
            Implementation::Charon => self.charon.clone().unwrap_or_else(|| self.ours.clone()),
        }
    }

    /// What the binary calls itself: the first word of its `version`.
    pub(crate) async fn version(&self, which: Implementation) -> String {
        let asked = tokio::process::Command::new(self.path(which)).arg("version").output();
        let Ok(Ok(output)) = tokio::time::timeout(std::time::Duration::from_secs(10), asked).await else {
            return String::new();
        };
        String::from_utf8_lossy(&output.stdout)
            .split_ascii_whitespace()
            .next()
            .unwrap_or_default()
            .to_owned()
    }
}

/// Where the parts of a run live.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    /// The run's folder.
    pub(crate) folder: PathBuf,
    relay: [SocketAddr; 2],
    nodes: Vec<[SocketAddr; 3]>,
}

impl Layout {
    pub(crate) fn new(folder: &Path, nodes: usize) -> Result<Self, DevnetError> {
        let mut free = ports::free(nodes.saturating_mul(3).saturating_add(2))?.into_iter();
        let mut next = || free.next().unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
        let relay = [next(), next()];
        Ok(Self {
            folder: folder.to_owned(),
            relay,
            nodes: (0..nodes).map(|_| [next(), next(), next()]).collect(),
        })
    }

    fn addresses(&self, node: usize) -> [SocketAddr; 3] {
        self.nodes
            .get(node)
            .copied()
            .unwrap_or([SocketAddr::from(([127, 0, 0, 1], 0)); 3])
    }

    /// A node's validator API.
    pub(crate) fn validator_api(&self, node: usize) -> String {
        let [api, _, _] = self.addresses(node);
        format!("http://{api}")
    }

    /// A node's metrics and probes.
    pub(crate) fn monitoring(&self, node: usize) -> String {
        let [_, monitoring, _] = self.addresses(node);
        format!("http://{monitoring}")
    }

    /// Where the relay answers with its record.
    pub(crate) fn relay_url(&self) -> String {
        let [http, _] = self.relay;
        format!("http://{http}")
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.join("logs").join(format!("{name}.log"))
    }

    /// Makes a cluster folder with the binary's own command.
    pub(crate) async fn create_cluster(
        &self,
        config: &DevnetConfig,
        binaries: &Binaries,
        watchdog: &Watchdog,
        target: &Path,
    ) -> Result<(), DevnetError> {
        let threshold = config.threshold.unwrap_or_else(|| crate::plan::quorum(config.nodes));
        let address = "0x4242424242424242424242424242424242424242";
        let args = [
            ("--name", "devnet".to_owned()),
            ("--cluster-dir", target.display().to_string()),
            ("--nodes", config.nodes.to_string()),
            ("--threshold", threshold.to_string()),
            ("--num-validators", config.validators.to_string()),
            ("--network", "hoodi".to_owned()),
            ("--fee-recipient-addresses", address.to_owned()),
            ("--withdrawal-addresses", address.to_owned()),
        ];
        let flags = args.into_iter().map(|(flag, value)| format!("{flag}={value}"));
        let begin = ["create", "cluster", "--insecure-keys"].map(str::to_owned);
        let program = Program {
            name: "create cluster".to_owned(),
            binary: binaries.ours.clone(),
            args: begin.into_iter().chain(flags).collect(),
            folder: self.folder.clone(),
            log: self.log("create-cluster"),
        };
        program.run(watchdog).await
    }

    /// The relay: ours, unless every node is the Go implementation.
    pub(crate) fn relay(&self, plan: &Plan, binaries: &Binaries) -> Program {
        let ours = plan.nodes.contains(&Implementation::Trireme);
        let which = if ours {
            Implementation::Trireme
        } else {
            Implementation::Charon
        };
        let [http, tcp] = self.relay;
        let args = [
            "relay".to_owned(),
            format!("--data-dir={}", self.folder.join("relay").display()),
            format!("--http-address={http}"),
            format!("--p2p-tcp-address={tcp}"),
            "--p2p-relays=".to_owned(),
            "--p2p-external-ip=127.0.0.1".to_owned(),
            "--p2p-advertise-private-addresses".to_owned(),
            "--log-color=disable".to_owned(),
        ];
        let binary = binaries.path(which);
        Program {
            name: "relay".to_owned(),
            binary,
            args: args.into(),
            folder: self.folder.clone(),
            log: self.log("relay"),
        }
    }

    /// Node `node`, with the cluster folder `cluster` and `flags` about the chain.
    pub(crate) fn node(
        &self,
        node: usize,
        plan: &Plan,
        binaries: &Binaries,
        cluster: &Path,
        flags: Vec<String>,
    ) -> Program {
        let which = plan.nodes.get(node).copied().unwrap_or(Implementation::Trireme);
        let [api, monitoring, p2p] = self.addresses(node);
        let folder = cluster.join(format!("node{node}"));
        let args = [
            "run".to_owned(),
            format!("--private-key-file={}", folder.join("charon-enr-private-key").display()),
            format!("--lock-file={}", folder.join("cluster-lock.json").display()),
            format!("--validator-api-address={api}"),
            format!("--monitoring-address={monitoring}"),
            format!("--p2p-tcp-address={p2p}"),
            format!("--p2p-relays={}", self.relay_url()),
            "--p2p-external-ip=127.0.0.1".to_owned(),
            "--log-format=logfmt".to_owned(),
            "--log-color=disable".to_owned(),
        ];
        let name = format!("node{node}");
        let log = self.log(&name);
        Program {
            name,
            binary: binaries.path(which),
            args: args.into_iter().chain(flags).collect(),
            folder,
            log,
        }
    }
}
