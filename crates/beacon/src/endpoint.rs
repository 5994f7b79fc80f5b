//! One of several beacon nodes: its client, its status, how long its answers take.
//!
//! Guarantees: a look at a beacon node holds no lock that another request needs (VC-03), and there is one look at a time; a failure
//! counts for this beacon node, and leaves it out until the next look if the call says so (VC-04, VC-06).
//! Not here: which beacon node is asked (`pool`).

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::future::BoxFuture;
use serde_json::{Map, Value};
use tokio::time::Instant;
use trireme_core::ports::{BeaconError, BeaconNode as _};
use trireme_eth2::{ChainSpec, Fork, Genesis, Root, Slot, SyncingStatus};

use crate::{
    Client,
    calls::Call,
    client::{Data, optimistic},
    metrics::Metrics,
    score::{Behind, Latencies, Score},
    status::{self, Difference, Status},
};

/// Whether it is used always or only when no other answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    Primary,
    Fallback,
}

/// How often a beacon node is asked for its execution client.
const EXECUTION_EVERY: Duration = Duration::from_secs(600);

/// What is known of a beacon node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Standing {
    status: Status,
    /// Its own word at the last look.
    said: Option<SyncingStatus>,
    /// Its head by its last event.
    head: Option<(Slot, Root)>,
    /// Number of the last look.
    look: u64,
    /// When it ended.
    looked: Option<Instant>,
    /// When its execution client was asked for last.
    execution: Option<Instant>,
}

/// One of several beacon nodes.
pub(crate) struct Endpoint {
    pub(crate) role: Role,
    pub(crate) client: Arc<Client>,
    pub(crate) latencies: Latencies,
    standing: Mutex<Standing>,
    looking: tokio::sync::Mutex<()>,
    metrics: Metrics,
}

impl Endpoint {
    pub(crate) fn new(role: Role, client: Arc<Client>, metrics: Metrics) -> Self {
        let standing = Standing {
            status: Status::Uninitialized,
            said: None,
            head: None,
            look: 0,
            looked: None,
            execution: None,
        };
        Self {
            role,
            client,
            latencies: Latencies::default(),
            standing: Mutex::new(standing),
            looking: tokio::sync::Mutex::default(),
            metrics,
        }
    }

    pub(crate) fn address(&self) -> &str {
        self.client.address()
    }

    fn lock(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn status(&self) -> Status {
        self.lock().status
    }

    /// How long ago the last look ended.
    pub(crate) fn looked_ago(&self) -> Option<Duration> {
        self.lock().looked.map(|at| at.elapsed())
    }

    /// Its own word at the last look, if it may be asked.
    pub(crate) fn said(&self) -> Option<SyncingStatus> {
        let standing = *self.lock();
        standing.said.filter(|_| standing.status.usable())
    }

    pub(crate) fn is_optimistic(&self) -> bool {
        self.said().is_some_and(|said| said.is_optimistic)
    }

    /// Its head by its events.
    pub(crate) fn head(&self) -> Option<(Slot, Root)> {
        self.lock().head
    }

    pub(crate) fn note_head(&self, slot: Slot, root: Root) {
        self.lock().head = Some((slot, root));
    }

    /// How good it is when the best head is in `best` and `slow` is known.
    pub(crate) fn score(&self, best: Option<Slot>, slow: bool) -> Score {
        let standing = *self.lock();
        let told = standing.head.map(|(slot, _)| slot);
        let head = told.max(standing.said.map(|said| said.head_slot));
        let behind = match (best, head) {
            (Some(best), Some(head)) => best.0.saturating_sub(head.0),
            (None, _) | (_, None) => 0,
        };
        Score {
            el_offline: standing.said.is_some_and(|said| said.el_offline),
            behind: Behind::of(behind),
            optimistic: standing.said.is_some_and(|said| said.is_optimistic),
            slow,
        }
    }

    /// Asks, and keeps the books: how long it took, and what a failure means for the beacon node.
    pub(crate) async fn ask<T>(
        &self,
        call: Call,
        ask: impl FnOnce(Arc<Client>) -> BoxFuture<'static, Result<T, BeaconError>>,
    ) -> Result<T, BeaconError> {
        self.metrics.node_request(self.address());
        let timed = Timed {
            endpoint: self,
            call,
            began: Instant::now(),
        };
        let result = ask(Arc::clone(&self.client)).await;
        drop(timed);
        if let Err(error) = &result {
            self.failed(call, error);
        }
        result
    }

    fn failed(&self, call: Call, error: &BeaconError) {
        self.metrics.node_error(self.address());
        tracing::debug!(address = self.address(), call = call.label(), %error, "A beacon node gave no good answer");
        // An unverified head is known to the score; a beacon node that has one is good for everything else.
        if !(call.offline_on_failure() && is_its_own(error)) || *error == optimistic(call) {
            return;
        }
        let before = {
            let mut standing = self.lock();
            let before = standing.status;
            if before.usable() {
                standing.status = Status::Offline;
            }
            before
        };
        if before.usable() {
            tracing::warn!(
                address = self.address(), call = call.label(), %error,
                "A beacon node failed and is left out until it has been looked at again"
            );
        }
    }

    /// Looks at the beacon node again, unless another look ended meanwhile, and returns its status. Drop-safe.
    pub(crate) async fn refresh(&self, chain: &ChainSpec, now: Option<Slot>) -> Status {
        let seen = self.lock().look;
        let _one_at_a_time = self.looking.lock().await;
        {
            let standing = self.lock();
            if standing.look != seen {
                return standing.status;
            }
        }
        let look = self.look(chain, now).await;
        let (before, after) = {
            let mut standing = self.lock();
            let before = standing.status;
            standing.status = look.status;
            standing.said = look.said.or(standing.said);
            standing.look = standing.look.wrapping_add(1);
            standing.looked = Some(Instant::now());
            (before, look.status)
        };
        if before != after {
            self.tell(before, after, look.why.as_deref());
        }
        after
    }

    fn tell(&self, before: Status, after: Status, why: Option<&str>) {
        let (address, why) = (self.address(), why.unwrap_or_default());
        match after {
            Status::Ok => tracing::info!(address, before = before.name(), "Beacon node is synced and used"),
            Status::NotSynced | Status::Offline | Status::Uninitialized => tracing::warn!(
                address,
                status = after.name(),
                why,
                "Beacon node is used only if no other can be"
            ),
            Status::Incompatible => tracing::error!(
                address,
                why,
                "Beacon node is of another chain and never used; take it out of the configuration"
            ),
        }
    }

    async fn look(&self, chain: &ChainSpec, now: Option<Slot>) -> Look {
        let began = Instant::now();
        let version = self.counted(Call::NodeVersion, async {
            let version = self.client.node_version().await;
            if version.is_ok() {
                self.metrics.node_latency(self.address(), began.elapsed());
            }
            version
        });
        let spec = self.counted(Call::Spec, self.client.read_spec());
        let syncing = self.counted(Call::Syncing, self.client.syncing());
        let execution = async {
            if self.execution_is_due() {
                self.client.note_execution_client().await;
            }
        };
        let (version, spec, syncing, ()) = futures::join!(version, spec, syncing, execution);
        let offline = |e: BeaconError| Look {
            status: Status::Offline,
            said: None,
            why: Some(e.to_string()),
        };
        if let Err(e) = version {
            return offline(e);
        }
        let spec = match spec {
            Ok(spec) => spec,
            Err(e) => return offline(e),
        };
        if let Some(why) = self.compare(&spec, chain) {
            return Look {
                status: Status::Incompatible,
                said: None,
                why: Some(why),
            };
        }
        if !spec.contains_key("GENESIS_FORK_VERSION") {
            match self.other_genesis(chain).await {
                Ok(None) => {}
                Ok(Some(why)) => {
                    return Look {
                        status: Status::Incompatible,
                        said: None,
                        why: Some(why),
                    };
                }
                Err(e) => return offline(e),
            }
        }
        let said = match syncing {
            Ok(said) => said,
            Err(e) => return offline(e),
        };
        if let Some(apart) = now.and_then(|now| status::clock_apart(&said, now)) {
            tracing::error!(
                address = self.address(),
                slots_apart = apart,
                "Our clock and the beacon node's differ by more than a slot; check time synchronisation on both machines"
            );
        }
        let status = status::sync_status(&said);
        let why = (status != Status::Ok).then(|| {
            if said.el_offline {
                "its execution client does not answer".to_owned()
            } else {
                format!("it lacks {} slots", said.sync_distance)
            }
        });
        Look {
            status,
            said: Some(said),
            why,
        }
    }

    /// Whether to ask for the execution client again; if so, that counts as asked.
    fn execution_is_due(&self) -> bool {
        let mut standing = self.lock();
        let due = standing
            .execution
            .is_none_or(|asked| asked.elapsed() >= EXECUTION_EVERY);
        if due {
            standing.execution = Some(Instant::now());
        }
        due
    }

    async fn counted<T>(
        &self,
        call: Call,
        ask: impl Future<Output = Result<T, BeaconError>>,
    ) -> Result<T, BeaconError> {
        self.metrics.node_request(self.address());
        let timed = Timed {
            endpoint: self,
            call,
            began: Instant::now(),
        };
        let result = ask.await;
        drop(timed);
        if result.is_err() {
            self.metrics.node_error(self.address());
        }
        result
    }

    /// Why it is of another chain. Forks at other times are told and tolerated (VC-07).
    fn compare(&self, spec: &Map<String, Value>, chain: &ChainSpec) -> Option<String> {
        for difference in status::differences(spec, chain) {
            match difference {
                Difference::OtherChain(why) => return Some(why),
                Difference::Fork { fork, theirs, ours } => self.tell_fork(fork, theirs, ours),
            }
        }
        None
    }

    fn tell_fork(&self, fork: Fork, theirs: trireme_eth2::Epoch, ours: trireme_eth2::Epoch) {
        tracing::warn!(
            address = self.address(),
            fork = fork.name(),
            theirs = status::epoch_text(theirs),
            ours = status::epoch_text(ours),
            "Beacon node plans a fork at another time than the first one asked; update whichever is out of date"
        );
    }

    async fn other_genesis(&self, chain: &ChainSpec) -> Result<Option<String>, BeaconError> {
        let Data { data } = self
            .client
            .read::<Data<Genesis>>(self.client.get(Call::Genesis))
            .await?;
        let (theirs, ours) = (data.genesis_fork_version, chain.genesis.genesis_fork_version);
        Ok((theirs != ours).then(|| format!("its genesis fork version is {theirs}, the cluster's {ours}")))
    }
}

/// What a look showed.
struct Look {
    status: Status,
    said: Option<SyncingStatus>,
    why: Option<String>,
}

/// Notes how long a request took, also if it is given up.
struct Timed<'a> {
    endpoint: &'a Endpoint,
    call: Call,
    began: Instant,
}

impl Drop for Timed<'_> {
    fn drop(&mut self) {
        let took: Duration = self.began.elapsed();
        self.endpoint.latencies.note(self.call, took);
    }
}

/// Whether a failure says something about the beacon node rather than about the question: what it refuses because of
/// the question (4xx) it refuses rightly, and for others it may be as good as before.
const fn is_its_own(error: &BeaconError) -> bool {
    match error {
        BeaconError::Status { status, .. } => {
            *status < 400 || *status >= 500 || matches!(*status, 401 | 403 | 408 | 429)
        }
        BeaconError::Timeout { .. } | BeaconError::Unreachable { .. } | BeaconError::Malformed { .. } => true,
    }
}
