//! The validator client mock: does over HTTP what a stock client does, and keeps everything it was served.
//!
//! It knows only a base URL and the share keys. Each slot it asks for the epoch's duties again and drops duplicates; each
//! kind of duty is a file: blocks (`blocks`), attestations (`votes`), their aggregation (`aggregates`), the sync committee
//! (`sync`), and once per epoch what is no duty (`chores`). It knows that it holds shares: it exchanges its partial
//! selection proofs for whole ones, as clients with a flag for distributed validators do.
//!
//! Guarantees: a node that refuses connections or answers errors costs the duties of that time, nothing else; nothing
//! is signed twice for one duty. Not here: slashing protection on disk.

mod aggregates;
mod answers;
mod api;
mod blocks;
mod chain;
mod chores;
mod head;
mod slot;
mod sync;
#[cfg(test)]
mod tests;
mod votes;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
};
use trireme_eth2::{BlsPubkey, BlsSignature, CommitteeIndex, Epoch, Root, Slot, ValidatorIndex};
use trireme_tbls::SecretKey;

use crate::judge::Now;
pub use answers::{Answer, Answers, Question};
pub use api::ApiFailure;

/// What a client is given.
pub struct VcConfig {
    /// The node's validator API.
    pub url: String,
    /// The share keys.
    pub keys: Vec<SecretKey>,
    /// Its clock.
    pub now: Now,
    /// Whether to keep everything it is served; a run without end should not.
    pub keep: bool,
    /// When it asks for its proofs of selection.
    pub selections: Selections,
    /// Whether it would have its blocks from builders.
    pub builder: bool,
}

impl VcConfig {
    /// A client as most are: proofs once per epoch, no builder, nothing kept.
    #[must_use]
    pub const fn new(url: String, keys: Vec<SecretKey>, now: Now) -> Self {
        Self {
            url,
            keys,
            now,
            keep: false,
            selections: Selections::Epoch,
            builder: false,
        }
    }
}

/// When a client asks for its proofs that it may aggregate attestations. Those of the sync committee are asked for each
/// slot, by every client that asks for any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Selections {
    /// For the whole epoch at its start: Prysm, Teku, newer Lighthouse and Lodestar.
    #[default]
    Epoch,
    /// For each slot at its start: older Lodestar.
    Slot,
    /// Not at all: Vouch, Vero. Such a client never aggregates.
    Never,
}

impl std::fmt::Debug for VcConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VcConfig")
            .field("url", &self.url)
            .field("keys", &self.keys.len())
            .finish_non_exhaustive()
    }
}

/// What was served, by duty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ServedKind {
    /// Attestation data of this committee.
    AttestationData {
        /// The committee asked for.
        committee: u64,
    },
    /// A block to propose.
    Block,
    /// An aggregate of the votes for some data.
    Aggregate {
        /// The committee asked for.
        committee: u64,
        /// Root of the data.
        root: Root,
    },
    /// A contribution of a sync subcommittee.
    Contribution {
        /// Which one.
        subcommittee: u64,
        /// For which block.
        root: Root,
    },
}

/// Something that a client was served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// When, since 1970.
    pub at: Duration,
    /// For which slot.
    pub slot: Slot,
    /// What.
    pub kind: ServedKind,
    /// The body of the answer.
    pub body: Vec<u8>,
}

/// What a client has done and what went wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Activity {
    /// Everything served, in order, if it is to be kept.
    pub served: Vec<Served>,
    /// When it was served what it was to sign.
    pub answers: Answers,
    /// Attestations that the node took.
    pub attested: u64,
    /// Blocks that the node took.
    pub proposed: u64,
    /// Those of them that were blinded.
    pub blinded: u64,
    /// Aggregates that the node took.
    pub aggregated: u64,
    /// Sync committee messages that the node took.
    pub sync_messages: u64,
    /// Sync committee contributions that the node took.
    pub contributions: u64,
    /// Exits that the node took.
    pub exits: u64,
    /// The last epoch asked about, and how many of its validators the node says were seen at work in it.
    pub live: Option<(Epoch, u64)>,
    /// Requests that did not succeed: what, and how often.
    pub failures: BTreeMap<String, u64>,
}

/// A running client; it stops when this is dropped.
#[derive(Debug)]
pub struct ValidatorClient {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Drop for ValidatorClient {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ValidatorClient {
    /// Starts a client. It waits by itself for its node to answer.
    ///
    /// # Panics
    ///
    /// Never for want of a node; only if the process has no TLS provider and cannot install one.
    #[must_use]
    pub fn start(config: VcConfig) -> Self {
        let shared = Arc::new(Shared::new(config));
        let run = Arc::clone(&shared);
        #[expect(
            clippy::disallowed_methods,
            reason = "a mock has one task of its own, aborted when it is dropped"
        )]
        let task = tokio::spawn(run.run());
        Self { shared, task }
    }

    /// Tells it to sign the exit of a validator in `slot`, for that slot's epoch. A new order replaces an older one.
    pub fn sign_exit(&self, slot: Slot, validator: ValidatorIndex) {
        self.shared.state().exit = Some(ExitOrder { slot, validator });
    }

    /// What it has done so far.
    #[must_use]
    pub fn activity(&self) -> Activity {
        self.shared.activity().clone()
    }
}

/// What the client's tasks share.
pub(super) struct Shared {
    api: api::Api,
    keys: BTreeMap<BlsPubkey, SecretKey>,
    now: Now,
    keep: bool,
    selections: Selections,
    builder: bool,
    state: Mutex<State>,
    activity: Mutex<Activity>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// An exit to be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ExitOrder {
    slot: Slot,
    validator: ValidatorIndex,
}

/// What it has learnt and what it has signed already.
#[derive(Debug, Default)]
struct State {
    indices: BTreeMap<ValidatorIndex, BlsPubkey>,
    /// Whole proofs of selection.
    proofs: BTreeMap<(Slot, ValidatorIndex), BlsSignature>,
    /// Proofs that are being asked for.
    asked: BTreeSet<(Slot, ValidatorIndex)>,
    /// Root of what a committee voted for.
    voted: BTreeMap<(Slot, CommitteeIndex), Root>,
    proposed: BTreeSet<Slot>,
    attested: BTreeSet<(Slot, ValidatorIndex)>,
    aggregated: BTreeSet<(Slot, ValidatorIndex)>,
    messaged: BTreeSet<(Slot, ValidatorIndex)>,
    chores_of: Option<Epoch>,
    exit: Option<ExitOrder>,
}

/// Slots for which the client remembers what it signed: longer than any request takes.
const REMEMBERED: u64 = 64;

impl State {
    /// Forgets what is too old to matter, so that a long run does not fill the memory.
    fn forget_before(&mut self, now: Slot) {
        let oldest = Slot(now.0.saturating_sub(REMEMBERED));
        self.proofs.retain(|(slot, _), _| *slot >= oldest);
        self.voted.retain(|(slot, _), _| *slot >= oldest);
        self.proposed.retain(|slot| *slot >= oldest);
        for set in [
            &mut self.asked,
            &mut self.attested,
            &mut self.aggregated,
            &mut self.messaged,
        ] {
            set.retain(|(slot, _)| *slot >= oldest);
        }
    }
}

fn count<T>(list: &[T]) -> u64 {
    u64::try_from(list.len()).unwrap_or(u64::MAX)
}

impl Shared {
    fn new(config: VcConfig) -> Self {
        let keys = config
            .keys
            .into_iter()
            .map(|key| (BlsPubkey(key.public_key().to_bytes()), key))
            .collect();
        Self {
            api: api::Api::new(config.url),
            keys,
            now: config.now,
            keep: config.keep,
            selections: config.selections,
            builder: config.builder,
            state: Mutex::default(),
            activity: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn activity(&self) -> MutexGuard<'_, Activity> {
        self.activity.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, failure: &ApiFailure) {
        let mut activity = self.activity();
        let text = failure.to_string();
        if activity.failures.len() < 1000 || activity.failures.contains_key(&text) {
            let count = activity.failures.entry(text).or_default();
            *count = count.saturating_add(1);
        }
    }

    fn keep(&self, slot: Slot, kind: ServedKind, body: &[u8]) {
        if self.keep {
            let at = (self.now)();
            self.activity().served.push(Served {
                at,
                slot,
                kind,
                body: body.to_vec(),
            });
        }
    }

    async fn sleep_until(&self, time: Duration) {
        let left = time.saturating_sub((self.now)());
        tokio::time::sleep(left).await;
    }

    async fn run(self: Arc<Self>) {
        let chain = Arc::new(self.learn_chain().await);
        let (heads, _) = watch::channel(None);
        let mut tasks = JoinSet::new();
        tasks.spawn(head::listen(Arc::clone(&self), heads.clone()));
        let mut slot = chain.slot_at((self.now)());
        loop {
            let work = slot::Slotwork {
                shared: Arc::clone(&self),
                chain: Arc::clone(&chain),
                slot,
            };
            let heads = heads.subscribe();
            tasks.spawn(work.run(heads));
            // Collects what has ended, so that the set does not grow.
            while tasks.try_join_next().is_some() {}
            let next = chain.slot_at((self.now)()).0.max(slot.0).saturating_add(1);
            slot = Slot(next);
            self.sleep_until(chain.start(slot)).await;
        }
    }

    /// Asks until the node answers; a client that starts before its node waits.
    async fn learn_chain(&self) -> chain::Chain {
        loop {
            match self.api.chain().await {
                Ok(spec) => return chain::Chain::new(spec),
                Err(failure) => self.failed(&failure),
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }
}
