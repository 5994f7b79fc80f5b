//! The cluster's nodes as seen from outside: started, killed, asked whether they are ready, what they cost and say.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use trireme_testutil::judge::DutyReport;

use crate::{
    cluster::{Binaries, Layout},
    config::DevnetError,
    metrics::Scrape,
    plan::{Implementation, Plan},
    process::{Child, Cost, Program, Watchdog, tail},
    steps::failed_duties,
    summary::NodeSummary,
};

/// How long a node has to answer a probe.
const PROBE: Duration = Duration::from_secs(2);
/// What a node says on `/readyz` of a beacon node that is alone on its chain, as that of a private chain is.
const ALONE: &str = "beacon node has zero peers";

/// All nodes.
pub(crate) struct Nodes {
    layout: Layout,
    plan: Plan,
    binaries: Binaries,
    watchdog: Watchdog,
    client: reqwest::Client,
    nodes: Vec<Node>,
    versions: BTreeMap<Implementation, String>,
}

/// One node.
struct Node {
    program: Program,
    implementation: Implementation,
    child: Option<Child>,
    restarts: u64,
    /// Cost of processes of this node that have ended.
    before: Cost,
    /// Newest sample of the running process.
    latest: Cost,
    /// CPU time at the begin of counting.
    uncounted: Duration,
}

impl Node {
    fn total(&self) -> Cost {
        Cost {
            cpu: self.before.cpu.saturating_add(self.latest.cpu),
            max_rss_kib: self.before.max_rss_kib.max(self.latest.max_rss_kib),
        }
    }

    fn sample(&mut self) {
        if let Some(cost) = self.child.as_ref().and_then(Child::cost) {
            self.latest = cost;
        }
    }
}

impl Nodes {
    pub(crate) fn new(
        layout: Layout,
        plan: Plan,
        binaries: Binaries,
        watchdog: Watchdog,
        cluster: PathBuf,
        flags: impl Fn(usize) -> Vec<String>,
    ) -> Self {
        let node = |(n, implementation): (usize, &Implementation)| Node {
            program: layout.node(n, &plan, &binaries, &cluster, flags(n)),
            implementation: *implementation,
            child: None,
            restarts: 0,
            before: Cost::default(),
            latest: Cost::default(),
            uncounted: Duration::ZERO,
        };
        let nodes = plan.nodes.iter().enumerate().map(node).collect();
        // Installed already by the validator clients' side, if that came first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .timeout(PROBE)
            .no_proxy()
            .build()
            .unwrap_or_default();
        Self {
            layout,
            plan,
            binaries,
            watchdog,
            client,
            nodes,
            versions: BTreeMap::new(),
        }
    }

    /// Nodes learn the relay's record at their start; an early start costs them a retry.
    pub(crate) async fn wait_for_relay(&self) -> Result<(), DevnetError> {
        for _ in 0..100 {
            if self
                .client
                .get(self.layout.relay_url())
                .send()
                .await
                .is_ok_and(|a| a.status().is_success())
            {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let log = self.layout.folder.join("logs/relay.log");
        let reason = format!("no answer at {} within 10 s: {}", self.layout.relay_url(), tail(&log));
        Err(DevnetError::Child {
            what: "relay".to_owned(),
            reason,
            log,
        })
    }

    pub(crate) async fn learn_versions(&mut self) {
        for which in self
            .plan
            .nodes
            .iter()
            .copied()
            .collect::<std::collections::BTreeSet<_>>()
        {
            let version = self.binaries.version(which).await;
            self.versions.insert(which, version);
        }
    }

    pub(crate) fn start_all(&mut self) -> Result<(), DevnetError> {
        for node in &mut self.nodes {
            node.child = Some(node.program.start(&self.watchdog)?);
        }
        Ok(())
    }

    pub(crate) fn restart(&mut self, n: usize) -> Result<(), DevnetError> {
        if let Some(node) = self.nodes.get_mut(n) {
            node.restarts = node.restarts.saturating_add(1);
            node.child = Some(node.program.start(&self.watchdog)?);
        }
        Ok(())
    }

    pub(crate) async fn kill(&mut self, n: usize) {
        if let Some(node) = self.nodes.get_mut(n) {
            node.sample();
            node.before = node.total();
            node.latest = Cost::default();
            if let Some(mut child) = node.child.take() {
                child.kill().await;
            }
        }
    }

    pub(crate) async fn stop_all(&mut self) {
        for n in 0..self.nodes.len() {
            self.kill(n).await;
        }
    }

    /// A node that ended by itself is a failure of the run.
    pub(crate) fn check_alive(&mut self) -> Result<(), DevnetError> {
        for node in &mut self.nodes {
            if let Some(status) = node.child.as_mut().and_then(Child::ended) {
                let (what, log) = (node.program.name.clone(), node.program.log.clone());
                return Err(DevnetError::Child {
                    what,
                    reason: format!("it ended with {status}: {}", tail(&log)),
                    log,
                });
            }
        }
        Ok(())
    }

    pub(crate) fn is_running(&self, n: usize) -> bool {
        self.nodes.get(n).is_some_and(|node| node.child.is_some())
    }

    /// The nodes that do not answer `/readyz` with 200, with what they say. A beacon node without peers is no reason to
    /// wait: it will not get any.
    pub(crate) async fn not_ready(&self) -> Vec<(usize, String)> {
        let ask = |n: usize| async move {
            let answer = self
                .client
                .get(format!("{}/readyz", self.layout.monitoring(n)))
                .send()
                .await;
            match answer {
                Ok(answer) if answer.status().as_u16() == 200 => None,
                Ok(answer) => reason(&answer.text().await.unwrap_or_default()).map(|why| (n, why)),
                Err(_) => Some((n, "no answer yet".to_owned())),
            }
        };
        futures::future::join_all((0..self.nodes.len()).map(ask))
            .await
            .into_iter()
            .flatten()
            .collect()
    }

    /// What the running nodes say on `/metrics`.
    pub(crate) async fn scrape(&self) -> BTreeMap<usize, Scrape> {
        let ask = |n: usize| async move {
            let answer = self
                .client
                .get(format!("{}/metrics", self.layout.monitoring(n)))
                .send()
                .await
                .ok()?;
            Some((n, Scrape::read(&answer.text().await.ok()?)))
        };
        let running = (0..self.nodes.len()).filter(|n| self.is_running(*n));
        futures::future::join_all(running.map(ask))
            .await
            .into_iter()
            .flatten()
            .collect()
    }

    pub(crate) fn sample(&mut self) {
        for node in &mut self.nodes {
            node.sample();
        }
    }

    pub(crate) fn begin_counting(&mut self) {
        for node in &mut self.nodes {
            node.sample();
            node.uncounted = node.total().cpu;
        }
    }

    /// Duties of each node that its log says failed, as text (`123/attester`), with where and why.
    pub(crate) fn failures(&self) -> BTreeMap<usize, BTreeMap<String, String>> {
        let of = |(n, node): (usize, &Node)| (n, failed_duties(&node.program.log));
        self.nodes.iter().enumerate().map(of).collect()
    }

    /// Adds to the reasons of missed duties where our own nodes say that they got stuck.
    pub(crate) fn add_last_steps(&self, duties: &mut BTreeMap<String, DutyReport>) {
        if duties.values().all(|d| d.missed.is_empty()) {
            return;
        }
        let mut failures = self.failures();
        failures.retain(|n, _| {
            let node = self.nodes.get(*n);
            node.is_some_and(|node| node.implementation == Implementation::Trireme)
        });
        for (kind, duty) in duties {
            for missed in &mut duty.missed {
                let text = format!("{}/{kind}", missed.slot);
                for (node, step) in failures.iter().filter_map(|(n, failed)| Some((n, failed.get(&text)?))) {
                    missed.reason = format!("{}; node{node} stopped at {step}", missed.reason);
                }
            }
        }
    }

    /// Where the clients of each node find its validator API and their share keys.
    pub(crate) fn each_for_clients(&self, mut tell: impl FnMut(usize, &str, &std::path::Path)) {
        for (n, node) in self.nodes.iter().enumerate() {
            let keys = node.program.folder.join("validator_keys");
            tell(n, &self.layout.validator_api(n), &keys);
        }
    }

    /// What the nodes' binaries call themselves.
    pub(crate) fn versions(&self) -> Vec<String> {
        self.versions.values().cloned().collect()
    }

    pub(crate) fn summaries(&mut self) -> Vec<NodeSummary> {
        self.sample();
        let summary = |node: &Node| NodeSummary {
            implementation: node.implementation.name(),
            version: self.versions.get(&node.implementation).cloned().unwrap_or_default(),
            cpu_seconds: node.total().cpu.saturating_sub(node.uncounted).as_secs_f64(),
            max_rss_kib: node.total().max_rss_kib,
            restarts: node.restarts,
        };
        self.nodes.iter().map(summary).collect()
    }
}

/// Why a node is not ready, unless its answer is nothing to wait for.
fn reason(answer: &str) -> Option<String> {
    let why = answer.trim();
    (why != ALONE).then(|| why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::reason;

    #[test]
    fn a_beacon_node_that_is_alone_on_its_chain_holds_nobody_up() {
        assert_eq!(reason("beacon node has zero peers\n"), None);
        assert_eq!(reason("vc not connected").as_deref(), Some("vc not connected"));
    }
}
