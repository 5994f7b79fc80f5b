//! One run from start to end: folder, judge, relay, nodes, validator clients, counting, summary.
//!
//! Guarantees: whatever happens, no child is left: they are killed when this function's values are dropped, and by the
//! watchdog otherwise. Not here: what came of it (`outcome`), what is counted (the judge), how it looks (`table`,
//! `summary`).

mod outcome;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::signal::unix::{SignalKind, signal};
use trireme_eth2::{Fork, Slot, ValidatorIndex};
use trireme_testutil::{
    judge::{DutyKind, due, wall_clock},
    vc::{ValidatorClient, VcConfig},
};

use crate::{
    beacon::{Beacon, Clock},
    cluster::{Binaries, Layout},
    config::{Clients, DevnetConfig, DevnetError},
    folder::{self, Folder},
    infosync::{self, InfoSync},
    metrics::Scrape,
    node::Nodes,
    plan::{Action, Plan},
    process::Watchdog,
    said::Said,
    summary::Summary,
    table::Table,
};

/// Epochs that nodes have to become ready.
const PATIENCE_EPOCHS: u64 = 3;

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
    beacon: Beacon,
    clock: Clock,
    nodes: Nodes,
    clients: Vec<ValidatorClient>,
    counted: Counted,
    _relay: crate::process::Child,
}

/// What is gathered while slots are counted.
#[derive(Debug, Default)]
struct Counted {
    /// If agreements on versions count.
    info_sync: Option<InfoSync>,
    said: Said,
    /// What clients had failed at before counting began, and how often.
    failures_before: BTreeMap<String, u64>,
}

impl Devnet {
    async fn prepare(config: &DevnetConfig) -> Result<(Self, RunFolder), DevnetError> {
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

        let beacon = Beacon::of(config, &cluster, &keys).await?;
        let layout = Layout::new(path, cluster.nodes)?;
        let relay = layout.relay(&plan, &binaries).start(&watchdog)?;
        let flags = |node| {
            let builder = config.builder.then(|| "--builder-api".to_owned());
            beacon.flags(node).into_iter().chain(builder).collect()
        };
        let mut nodes = Nodes::new(
            layout.clone(),
            plan.clone(),
            binaries,
            watchdog,
            cluster.path.clone(),
            flags,
        );
        nodes.wait_for_relay().await?;
        nodes.learn_versions().await;
        nodes.start_all()?;
        let client = |(n, keys)| {
            ValidatorClient::start(VcConfig {
                builder: config.builder,
                ..VcConfig::new(layout.validator_api(n), keys, wall_clock())
            })
        };
        let clients = match config.vc {
            Clients::Mock => keys.into_iter().enumerate().map(client).collect(),
            Clients::None => Vec::new(),
        };
        let clock = beacon.clock();
        let info_sync = infosync::is_counted(&clock, &nodes.versions()).then(InfoSync::default);
        Ok((
            Self {
                plan,
                beacon,
                clock,
                nodes,
                clients,
                counted: Counted {
                    info_sync,
                    ..Counted::default()
                },
                _relay: relay,
            },
            run_folder,
        ))
    }

    /// Waits for a time; whether it came, rather than a request to stop.
    async fn wait_until(&self, time: Duration, stop: &mut Stop) -> bool {
        let left = time.saturating_sub(self.clock.now());
        tokio::select! {
            biased;
            () = stop.requested() => false,
            () = tokio::time::sleep(left) => true,
        }
    }

    /// Waits until every node is ready; then the first slot of the next epoch. Somebody who has to start validator clients
    /// by hand gets all the time.
    async fn first_counted(&mut self, config: &DevnetConfig, table: &Table) -> Result<u64, DevnetError> {
        let begin = self.clock.slot_now();
        let last = match config.vc {
            Clients::Mock => begin.saturating_add(PATIENCE_EPOCHS.saturating_mul(self.clock.slots_per_epoch)),
            Clients::None => u64::MAX,
        };
        loop {
            let waiting = self.nodes.not_ready().await;
            if waiting.is_empty() {
                return Ok(self.clock.next_epoch());
            }
            let slot = self.clock.slot_now();
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
        if config.vc == Clients::None {
            self.nodes
                .each_for_clients(|node, api, keys| table.for_clients(node, api, keys));
        }
        let first = {
            let ready = self.first_counted(config, &table);
            tokio::select! {
                biased;
                () = stop.requested() => return Err(DevnetError::Config("stopped before counting began".to_owned())),
                first = ready => first?,
            }
        };
        table.announce(first, config.slots, self.beacon.judge().is_some());
        self.plan_chain(config, first);
        let mut go_on = self.wait_until(self.clock.start(first), stop).await;
        self.begin_counting(&mut table).await;

        let mut slot = first;
        while go_on && (config.slots == 0 || slot < first.saturating_add(config.slots)) {
            go_on = self
                .one_slot(slot.saturating_sub(first), slot, stop, &mut table)
                .await?;
            if go_on {
                slot = slot.saturating_add(1);
            }
        }
        // After Ctrl-C only slots that are over count.
        let end = if go_on { slot } else { slot.saturating_sub(1).max(first) };
        if go_on {
            self.wait_until(self.all_known(slot), stop).await;
        }
        let summary = self.conclude(first..end, &mut table).await;
        self.nodes.stop_all().await;
        Ok(summary)
    }

    /// What happens to the chain in the counted slots: faults of beacon nodes, and an exit at three quarters of the run.
    /// Before Capella nobody exits: nodes sign exits for the version of that fork only.
    fn plan_chain(&self, config: &DevnetConfig, first: u64) {
        let Some(server) = self.beacon.judge() else { return };
        for fault in &config.bn_faults {
            server.with(|judge| judge.inject(fault.clone().later(first)));
        }
        let (validators, fork) = server.with(|judge| (judge.chain().validators.len(), judge.chain().fork(Slot(first))));
        let last = u64::try_from(validators).ok().and_then(|n| n.checked_sub(1));
        let last = last.filter(|_| fork >= Fork::Capella);
        let (Some(leaving), false, false) = (last, config.slots == 0, self.clients.is_empty()) else {
            return;
        };
        let (leaving, slot) = (
            ValidatorIndex(leaving),
            Slot(first.saturating_add(config.slots.saturating_mul(3) / 4)),
        );
        for client in &self.clients {
            client.sign_exit(slot, leaving);
        }
        server.with(|judge| judge.expect_exit(leaving, slot));
    }

    async fn begin_counting(&mut self, table: &mut Table) {
        self.nodes.begin_counting();
        let scrapes = self.nodes.scrape().await;
        table.begin(&scrapes);
        self.counted.said.begin(&scrapes);
        if let Some(info_sync) = &mut self.counted.info_sync {
            info_sync.begin(&scrapes);
        }
        self.counted.failures_before = self.client_failures();
    }

    /// When everything about the slots before `end` is known.
    fn all_known(&self, end: u64) -> Duration {
        let last = end.saturating_sub(1);
        match self.beacon.judge() {
            // The last attestations are due a little later.
            Some(server) => server.with(|j| due(j, DutyKind::Attester, Slot(last))),
            // Nodes look at a duty when its time is over, for attestations an epoch later.
            None => {
                let slots = self.clock.slots_per_epoch.saturating_add(3);
                self.clock.start(last.saturating_add(slots))
            }
        }
    }

    /// From the start of a slot to its end: restarts, kills, the table's rows.
    async fn one_slot(
        &mut self,
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
        if let Some(server) = self.beacon.judge() {
            table.rows(server, slot, false);
        }
        let three_quarters = self.clock.slot().saturating_mul(3) / 4;
        if !self
            .wait_until(self.clock.start(slot).saturating_add(three_quarters), stop)
            .await
        {
            return Ok(false);
        }
        let scrapes = self.nodes.scrape().await;
        self.observe(slot, &scrapes, table);
        for node in kills {
            self.nodes.kill(node).await;
            table.note(&format!("node{node} is killed"));
        }
        self.nodes.sample();
        self.nodes.check_alive()?;
        Ok(self.wait_until(self.clock.start(slot.saturating_add(1)), stop).await)
    }

    /// What nodes say near the end of a slot.
    fn observe(&mut self, slot: u64, scrapes: &BTreeMap<usize, Scrape>, table: &mut Table) {
        if self.beacon.judge().is_some() {
            table.observe(slot, scrapes);
        } else {
            table.said(slot, &self.counted.said.observe(scrapes));
        }
        if let Some(info_sync) = &mut self.counted.info_sync {
            info_sync.observe(slot, scrapes);
            let before = slot.saturating_sub(1);
            if self.clock.ends_epoch(before) {
                table.agreed(before, infosync::NAME, info_sync.is_done(before));
            }
        }
    }
}
