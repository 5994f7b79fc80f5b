//! One run from start to end: folder, judge, relay, nodes, validator clients, counting, summary.
//!
//! Guarantees: whatever happens, no child is left: they are killed when this function's values are dropped, and by the
//! watchdog otherwise. Not here: what is counted (the judge), how it looks (`table`, `summary`).

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::signal::unix::{SignalKind, signal};
use trireme_eth2::{Fork, Slot};
use trireme_testutil::{
    judge::{ChainConfig, DutyKind, Judge, Server, due, report, wall_clock},
    vc::{ValidatorClient, VcConfig},
};

use crate::{
    cluster::{Binaries, Layout},
    config::{DevnetConfig, DevnetError},
    folder::{self, Folder},
    node::Nodes,
    plan::{Action, Plan},
    process::Watchdog,
    summary::Summary,
    table::Table,
};

/// Epochs that nodes have to become ready.
const PATIENCE_EPOCHS: u64 = 3;
/// Whole epochs that the chain is old when the nodes start.
const CHAIN_AGE_EPOCHS: u64 = 3;
/// Nodes are ready after some seconds; the chain's next epoch begins about then.
const START_SECONDS: u64 = 20;

/// Runs a local cluster; see the crate. With text output everything is printed on stdout as it happens, the summary
/// last; with JSON output progress goes to stderr and only the object to stdout.
///
/// # Errors
///
/// If the cluster could not be run. A run in which duties were missed is not an error: see [`Summary::exit_code`].
pub async fn run(config: DevnetConfig) -> Result<Summary, DevnetError> {
    let mut stop = Stop::new()?;
    tokio::select! {
        biased;
        () = stop.requested() => Err(DevnetError::Config("stopped before counting began".to_owned())),
        prepared = Devnet::prepare(&config) => {
            let (mut devnet, guard) = prepared?;
            let result = devnet.count(&config, &mut stop).await;
            drop(guard);
            result
        }
    }
}

/// Ctrl-C and SIGTERM.
struct Stop {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Stop {
    fn new() -> Result<Self, DevnetError> {
        let catch = |kind| signal(kind).map_err(DevnetError::io("catching signals"));
        Ok(Self {
            interrupt: catch(SignalKind::interrupt())?,
            terminate: catch(SignalKind::terminate())?,
        })
    }

    async fn requested(&mut self) {
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// The run's folder; a temporary one is deleted at the end.
#[derive(Debug)]
enum RunFolder {
    Kept(PathBuf),
    Temporary(tempfile::TempDir),
}

impl RunFolder {
    fn new(config: &DevnetConfig) -> Result<Self, DevnetError> {
        let Some(dir) = &config.dir else {
            let dir = tempfile::Builder::new().prefix("trireme-devnet-").tempdir();
            return dir
                .map(Self::Temporary)
                .map_err(DevnetError::io("making a temporary folder"));
        };
        let dir = std::path::absolute(dir).map_err(DevnetError::io(format!("finding {}", dir.display())))?;
        let in_use = dir.read_dir().is_ok_and(|mut items| items.next().is_some());
        if in_use {
            return Err(DevnetError::Config(format!(
                "--dir {} is not empty; each run needs its own",
                dir.display()
            )));
        }
        Ok(Self::Kept(dir))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Temporary(dir) => dir.path(),
        }
    }
}

/// Everything that runs.
struct Devnet {
    plan: Plan,
    judge: Server,
    nodes: Nodes,
    _clients: Vec<ValidatorClient>,
    _relay: crate::process::Child,
}

impl Devnet {
    async fn prepare(config: &DevnetConfig) -> Result<(Self, RunFolder), DevnetError> {
        let fork: Fork = config
            .fork
            .parse()
            .map_err(|e| DevnetError::Config(format!("--fork: {e}")))?;
        if config.cluster.is_none() {
            // Before anything is made: sizes and plan.
            let threshold = config.threshold.unwrap_or_else(|| crate::plan::quorum(config.nodes));
            Plan::new(config, config.nodes, threshold)?;
        }
        let run_folder = RunFolder::new(config)?;
        let path = run_folder.path();
        std::fs::create_dir_all(path.join("logs")).map_err(DevnetError::io(format!("making {}", path.display())))?;
        let (binaries, watchdog) = (Binaries::of(config)?, Watchdog::start()?);

        let target = path.join("cluster");
        match &config.cluster {
            Some(given) => folder::copy(given, &target)?,
            None => {
                Layout::new(path, 0)?
                    .create_cluster(config, &binaries, &watchdog, &target)
                    .await?
            }
        }
        let cluster = Folder::read(&target)?;
        let plan = Plan::new(config, cluster.nodes, cluster.threshold)?;
        let keys: Result<Vec<_>, _> = (0..cluster.nodes).map(|n| cluster.share_keys(n)).collect();
        let keys = keys?;

        let judge = start_judge(config, fork, &cluster).await?;
        let layout = Layout::new(path, cluster.nodes)?;
        let relay = layout.relay(&plan, &binaries).start(&watchdog)?;
        let mut nodes = Nodes::new(
            layout.clone(),
            plan.clone(),
            binaries,
            watchdog,
            cluster.path.clone(),
            judge.url(),
        );
        nodes.wait_for_relay().await?;
        nodes.learn_versions().await;
        nodes.start_all()?;
        let client = |(n, keys)| {
            let (url, now) = (layout.validator_api(n), wall_clock());
            ValidatorClient::start(VcConfig::new(url, keys, now))
        };
        let clients = keys.into_iter().enumerate().map(client).collect();
        Ok((
            Self {
                plan,
                judge,
                nodes,
                _clients: clients,
                _relay: relay,
            },
            run_folder,
        ))
    }

    fn now(&self) -> Duration {
        self.judge.now()
    }

    fn start_of(&self, slot: u64) -> Duration {
        self.judge.with(|j| j.chain().start(Slot(slot)))
    }

    fn slot_now(&self) -> u64 {
        let now = self.now();
        self.judge.with(|j| j.chain().slot_at(now).0)
    }

    /// Waits for a time of the judge's clock; whether it came, rather than a request to stop.
    async fn wait_until(&self, time: Duration, stop: &mut Stop) -> bool {
        let left = time.saturating_sub(self.now());
        tokio::select! {
            biased;
            () = stop.requested() => false,
            () = tokio::time::sleep(left) => true,
        }
    }

    /// Waits until every node is ready; then the first slot of the next epoch.
    async fn first_counted(&mut self, config: &DevnetConfig, table: &Table) -> Result<u64, DevnetError> {
        let begin = self.slot_now();
        let last = begin.saturating_add(PATIENCE_EPOCHS.saturating_mul(config.slots_per_epoch));
        loop {
            let waiting = self.nodes.not_ready().await;
            let slot = self.slot_now();
            if waiting.is_empty() {
                let epoch = slot.checked_div(config.slots_per_epoch).unwrap_or_default();
                return Ok(epoch.saturating_add(1).saturating_mul(config.slots_per_epoch));
            }
            if slot >= last {
                let nodes = waiting
                    .iter()
                    .map(|(n, why)| format!("node{n}: {why}"))
                    .collect::<Vec<_>>()
                    .join("; ");
                return Err(DevnetError::NotReady {
                    epochs: PATIENCE_EPOCHS,
                    nodes,
                });
            }
            self.nodes.check_alive()?;
            table.waiting(slot, &waiting);
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    async fn count(&mut self, config: &DevnetConfig, stop: &mut Stop) -> Result<Summary, DevnetError> {
        let mut table = Table::new(config.output, &self.plan, config.slots);
        for warning in &self.plan.warnings {
            table.note(&format!("warning: {warning}"));
        }
        let first = {
            let ready = self.first_counted(config, &table);
            tokio::select! {
                biased;
                () = stop.requested() => return Err(DevnetError::Config("stopped before counting began".to_owned())),
                first = ready => first?,
            }
        };
        table.announce(first, config.slots);
        let mut go_on = self.wait_until(self.start_of(first), stop).await;
        self.nodes.begin_counting();
        table.begin(&self.nodes.scrape().await);

        let mut slot = first;
        while go_on && (config.slots == 0 || slot < first.saturating_add(config.slots)) {
            go_on = self
                .one_slot(config, slot.saturating_sub(first), slot, stop, &mut table)
                .await?;
            if go_on {
                slot = slot.saturating_add(1);
            }
        }
        // The last attestations are due a little later. After Ctrl-C only slots that are over count.
        let last = Slot(slot.saturating_sub(1));
        let all_due = self.judge.with(|j| due(j, DutyKind::Attester, last));
        let end = if go_on { slot } else { slot.saturating_sub(1).max(first) };
        if go_on {
            self.wait_until(all_due, stop).await;
        }
        table.rows(&self.judge, end, true);
        table.end();

        let mut counted = self.judge.with(|judge| report(judge, first..end));
        self.nodes.add_last_steps(&mut counted);
        let slashable = self.judge.with(|judge| judge.slashable().to_vec());
        let summary = Summary::new(counted, slashable, self.nodes.summaries());
        table.summary(&summary, &self.judge);
        self.nodes.stop_all().await;
        Ok(summary)
    }

    /// From the start of a slot to its end: restarts, kills, the table's rows.
    async fn one_slot(
        &mut self,
        config: &DevnetConfig,
        counted: u64,
        slot: u64,
        stop: &mut Stop,
        table: &mut Table,
    ) -> Result<bool, DevnetError> {
        let of_slot = |action| {
            let steps = self
                .plan
                .steps
                .iter()
                .filter(move |s| s.slot == counted && s.action == action);
            steps.map(|s| s.node).collect::<Vec<_>>()
        };
        let (restarts, kills) = (of_slot(Action::Restart), of_slot(Action::Kill));
        for node in restarts {
            self.nodes.restart(node)?;
            table.note(&format!("node{node} is started again"));
        }
        table.rows(&self.judge, slot, false);
        let three_quarters = Duration::from_secs(config.slot_seconds).saturating_mul(3) / 4;
        if !self
            .wait_until(self.start_of(slot).saturating_add(three_quarters), stop)
            .await
        {
            return Ok(false);
        }
        table.observe(slot, &self.nodes.scrape().await);
        for node in kills {
            self.nodes.kill(node).await;
            table.note(&format!("node{node} is killed"));
        }
        self.nodes.sample();
        self.nodes.check_alive()?;
        Ok(self.wait_until(self.start_of(slot.saturating_add(1)), stop).await)
    }
}

/// A judge whose chain runs already.
async fn start_judge(config: &DevnetConfig, fork: Fork, cluster: &Folder) -> Result<Server, DevnetError> {
    let now = wall_clock();
    let left = START_SECONDS
        .div_ceil(config.slot_seconds.max(1))
        .min(config.slots_per_epoch);
    let age = config
        .slots_per_epoch
        .saturating_mul(CHAIN_AGE_EPOCHS.saturating_add(1))
        .saturating_sub(left);
    let genesis = now().as_secs().saturating_sub(age.saturating_mul(config.slot_seconds));
    let (versions, chain_id) = versions(cluster.fork_version)?;
    let mut chain = ChainConfig::new(Duration::from_secs(genesis), fork, versions, cluster.validators.clone());
    chain.seconds_per_slot = config.slot_seconds;
    chain.slots_per_epoch = config.slots_per_epoch;
    chain.deposit_chain_id = chain_id;
    Server::start(Judge::new(chain), now)
        .await
        .map_err(|e| DevnetError::Config(e.to_string()))
}

/// The fork versions of the network with this genesis version, phase0 to fulu, and its chain id.
fn versions(genesis: [u8; 4]) -> Result<([[u8; 4]; 7], u64), DevnetError> {
    let [a, b, c, d] = genesis;
    // Networks count their forks in the first byte, hoodi in its upper half, sepolia in the last byte.
    let step: fn([u8; 4], u8) -> [u8; 4] = match genesis {
        [0x10, 0, 0x09, 0x10] => |[a, b, c, d], n| [a.saturating_add(n.saturating_mul(0x10)), b, c, d],
        [0x90, 0, 0, 0x69] => |[a, b, c, d], n| {
            // Altair is 0x70; from there one by one.
            [a, b, c, if n == 0 { d } else { 0x6f_u8.saturating_add(n) }]
        },
        _ => |[a, b, c, d], n| [a.saturating_add(n), b, c, d],
    };
    let networks = trireme_cluster::Networks::known();
    let chain_id = networks.by_fork_version(&genesis).map_or(560_048, |n| n.chain_id);
    let mut all = [[0; 4]; 7];
    for (n, version) in (0..).zip(all.iter_mut()) {
        *version = step([a, b, c, d], n);
    }
    Ok((all, chain_id))
}

#[cfg(test)]
mod tests {
    use super::versions;

    #[test]
    fn fork_versions_follow_the_network() {
        let (hoodi, id) = versions([0x10, 0, 0x09, 0x10]).unwrap();
        assert_eq!((hoodi, id), (trireme_testutil::judge::HOODI, 560_048));
        let (mainnet, id) = versions([0; 4]).unwrap();
        assert_eq!((mainnet[6], id), ([6, 0, 0, 0], 1));
        let (sepolia, _) = versions([0x90, 0, 0, 0x69]).unwrap();
        assert_eq!((sepolia[1], sepolia[6]), ([0x90, 0, 0, 0x70], [0x90, 0, 0, 0x75]));
    }
}
