//! All beacon nodes behind one face (vc-behaviours.md 1, validator-api.md 3.3).
//!
//! Guarantees: a question goes to synced beacon nodes first, in their order, then to unsynced ones, then to those that
//! were left out and answer again (`read`); a submission goes to all (`submit`); fallbacks are asked only while every
//! primary one fails; an answer that does not fit its question is refused and the next one is asked (`answers`).
//! Not here: caches (`once`), one beacon node's books (`endpoint`).

mod attestation;
mod config;
mod face;
mod order;
mod parent;
mod read;
mod submit;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::broadcast;
use trireme_core::{
    heads::Heads,
    life::Life,
    ports::{BeaconError, Clock},
    time::SlotTiming,
};
use trireme_eth2::{ChainEvent, ChainSpec, Epoch, ForkVersion, Root, Slot, ValidatorIndex};

pub use config::{Broadcast, PoolConfig, PoolError, Topic, UnknownTopic};

use crate::{
    Client, Config, Counts, Metrics, Status, WrongNetwork,
    calls::{Call, GivenTimeouts, Timeouts},
    chain,
    endpoint::{Endpoint, Role},
    score::{self, Score},
};

/// Events that a slow reader may be behind.
const EVENTS: usize = 64;
/// Events of several beacon nodes are told apart over this many.
const SEEN: usize = 128;
/// Epochs whose proposers are remembered.
const PROPOSERS: u64 = 3;
/// Beacon nodes are looked at this part of a slot before the next one begins: 2 of 12 seconds.
const LOOK_AHEAD: u32 = 6;

/// The configured beacon nodes before their chain is known.
pub struct Clients {
    primaries: Vec<Client>,
    fallbacks: Vec<Client>,
    given: GivenTimeouts,
    broadcast: Broadcast,
    best_head: bool,
    refuse_optimistic: bool,
    metrics: Metrics,
}

impl Clients {
    /// Makes no connection yet.
    ///
    /// # Errors
    ///
    /// If an address, a header or a certificate cannot be used.
    pub fn new(config: &PoolConfig, metrics: Metrics) -> Result<Self, PoolError> {
        let certificates = config::read_certificates(&config.certificates)?;
        let client = |url: &url::Url| {
            let one = Config {
                url: url.clone(),
                headers: config.headers.clone(),
                certificates: certificates.clone(),
                timeouts: Timeouts::at_start(config.timeouts),
                refuse_optimistic: config.refuse_optimistic,
            };
            Client::new(&one, metrics.clone()).map_err(PoolError::Address)
        };
        if config.endpoints.is_empty() {
            return Err(PoolError::None);
        }
        Ok(Self {
            primaries: config.endpoints.iter().map(client).collect::<Result<_, _>>()?,
            fallbacks: config.fallbacks.iter().map(client).collect::<Result<_, _>>()?,
            given: config.timeouts,
            broadcast: config.broadcast.clone(),
            best_head: config.best_head,
            refuse_optimistic: config.refuse_optimistic,
            metrics,
        })
    }

    /// Waits until a beacon node tells its chain, and checks that it is the one of this genesis fork version. Drop-safe.
    ///
    /// # Errors
    ///
    /// [`WrongNetwork`] if all of them are of another chain.
    pub async fn wait_for_chain(&self, ours: ForkVersion) -> Result<ChainSpec, WrongNetwork> {
        let all: Vec<&Client> = self.primaries.iter().chain(&self.fallbacks).collect();
        chain::wait_for_chain(&all, ours).await
    }
}

pub(crate) struct Shared {
    /// Primary ones first, each kind as configured.
    endpoints: Vec<Arc<Endpoint>>,
    chain: Arc<ChainSpec>,
    timing: SlotTiming,
    clock: Arc<dyn Clock>,
    life: Life,
    metrics: Metrics,
    broadcast: Broadcast,
    best_head: bool,
    refuse_optimistic: bool,
    events: broadcast::Sender<ChainEvent>,
    seen: Mutex<Seen>,
    /// Of the latest epochs, as a beacon node told them.
    proposers: Mutex<BTreeMap<Epoch, BTreeMap<Slot, ValidatorIndex>>>,
    told: Mutex<Option<(Counts, Epoch)>>,
}

/// What the beacon nodes' events said.
#[derive(Default)]
struct Seen {
    heads: Heads,
    /// Kind and root of events that were handed on.
    events: BTreeSet<(u8, Root)>,
    order: std::collections::VecDeque<(u8, Root)>,
    last_head: Option<Root>,
}

impl Seen {
    fn is_new(&mut self, kind: u8, root: Root) -> bool {
        if !self.events.insert((kind, root)) {
            return false;
        }
        self.order.push_back((kind, root));
        if self.order.len() > SEEN
            && let Some(oldest) = self.order.pop_front()
        {
            self.events.remove(&oldest);
        }
        true
    }
}

/// Several beacon nodes as one.
pub struct Pool {
    shared: Arc<Shared>,
}

impl Pool {
    /// Looks at all beacon nodes once and starts the tasks that follow them.
    pub async fn start(
        clients: &Clients,
        chain: Arc<ChainSpec>,
        timing: SlotTiming,
        clock: Arc<dyn Clock>,
        life: &Life,
    ) -> Self {
        let all = clients.primaries.len().saturating_add(clients.fallbacks.len());
        let roles = clients.primaries.iter().map(|c| (Role::Primary, c));
        let roles = roles.chain(clients.fallbacks.iter().map(|c| (Role::Fallback, c)));
        let endpoint = |(at, (role, client)): (usize, (Role, &Client))| {
            let last = at.saturating_add(1) == all;
            let timeouts = Timeouts::of_slot(timing.slot_duration, last, clients.given);
            let client = Arc::new(client.with_timeouts(timeouts));
            Arc::new(Endpoint::new(role, client, clients.metrics.clone()))
        };
        let shared = Arc::new(Shared {
            endpoints: roles.enumerate().map(endpoint).collect(),
            chain,
            timing,
            clock,
            life: life.clone(),
            metrics: clients.metrics.clone(),
            broadcast: clients.broadcast.clone(),
            best_head: clients.best_head,
            refuse_optimistic: clients.refuse_optimistic,
            events: broadcast::channel(EVENTS).0,
            seen: Mutex::default(),
            proposers: Mutex::default(),
            told: Mutex::default(),
        });
        shared.look_at_all().await;
        for endpoint in &shared.endpoints {
            let (shared, endpoint) = (Arc::clone(&shared), Arc::clone(endpoint));
            life.standing("beacon node's events", async move { shared.follow(&endpoint).await });
        }
        let looking = Arc::clone(&shared);
        life.standing("beacon nodes' status", async move { looking.keep_looking().await });
        Self { shared }
    }

    /// How many beacon nodes are how far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.counts()
    }

    /// Address and status of each beacon node, as configured.
    #[must_use]
    pub fn statuses(&self) -> Vec<(String, Status)> {
        let all = self.shared.endpoints.iter();
        all.map(|e| (e.address().to_owned(), e.status())).collect()
    }

    /// Peers that the best beacon node is connected with.
    ///
    /// # Errors
    ///
    /// If none tells.
    pub async fn peer_count(&self) -> Result<u64, BeaconError> {
        let ask = read::asking(|endpoint| async move { endpoint.client.peer_count().await });
        self.shared.first(Call::PeerCount, &ask).await
    }

    /// Looks at all beacon nodes now.
    pub async fn refresh(&self) {
        self.shared.look_at_all().await;
    }

    /// Warns of each beacon node whose clock is more than a second from ours.
    pub async fn check_clocks(&self) {
        let shared = &self.shared;
        let usable = shared.endpoints.iter().filter(|e| e.status().usable());
        let differences = usable.map(|endpoint| async {
            let difference = endpoint.client.clock_difference(shared.clock.as_ref()).await;
            chain::tell_clock(endpoint.address(), difference);
        });
        futures::future::join_all(differences).await;
    }
}

fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn now(&self) -> Option<Slot> {
        self.timing.slot_at(self.clock.now())
    }

    fn counts(&self) -> Counts {
        Counts::of(self.endpoints.iter().map(|e| e.status()))
    }

    async fn look_at_all(&self) {
        let now = self.now();
        futures::future::join_all(self.endpoints.iter().map(|e| e.refresh(&self.chain, now))).await;
        self.tell_counts();
    }

    /// Metrics at every look, a line when something changed and once per epoch.
    fn tell_counts(&self) {
        let counts = self.counts();
        self.metrics.counts(counts);
        let epoch = self.now().map_or(Epoch(0), |slot| self.timing.epoch(slot));
        if lock(&self.told).replace((counts, epoch)) == Some((counts, epoch)) {
            return;
        }
        let Counts {
            synced,
            available,
            total,
        } = counts;
        if synced == 0 {
            tracing::warn!(
                synced,
                available,
                total,
                "Connected to beacon nodes, none of which is synced"
            );
        } else {
            tracing::info!(synced, available, total, "Connected to beacon nodes");
        }
    }

    /// Looks at all of them shortly before each slot. Drop-safe.
    async fn keep_looking(&self) {
        let ahead = self
            .timing
            .slot_duration
            .checked_div(LOOK_AHEAD)
            .unwrap_or(Duration::ZERO);
        loop {
            let now = self.clock.now();
            let next = self.now().map_or(Slot(0), |slot| Slot(slot.0.saturating_add(1)));
            let mut at = self.timing.start(next).before(ahead);
            if self.now().is_none() {
                // Before genesis, which may be long.
                at = at.min(now.after(self.timing.slot_duration));
            }
            if at <= now {
                at = at.after(self.timing.slot_duration);
            }
            self.clock.sleep_until(at).await;
            self.look_at_all().await;
        }
    }

    async fn follow(&self, endpoint: &Endpoint) {
        let take = |event| self.take_event(endpoint, event);
        endpoint.client.follow(self.clock.as_ref(), self.timing, &take).await;
    }

    /// Hands on what the best one says, and of the others what nobody has said yet.
    fn take_event(&self, endpoint: &Endpoint, event: ChainEvent) {
        if let ChainEvent::Head(head) = &event {
            endpoint.note_head(head.slot, head.block);
        }
        match endpoint.status() {
            Status::Ok | Status::Offline | Status::Uninitialized => {}
            Status::NotSynced | Status::Incompatible => return,
        }
        let leads = self
            .leader()
            .is_some_and(|leader| std::ptr::eq(leader.as_ref(), endpoint));
        let new = {
            let mut seen = lock(&self.seen);
            match &event {
                ChainEvent::Head(head) => {
                    seen.heads.note(head.slot, head.block);
                    let new = seen.is_new(0, head.block);
                    // The leader may go back to a head that it had before.
                    let again = leads && seen.last_head != Some(head.block);
                    if new || again {
                        seen.last_head = Some(head.block);
                    }
                    new || again
                }
                ChainEvent::Reorg(reorg) => seen.is_new(1, reorg.new_head_block) || leads,
                ChainEvent::Block(block) => seen.is_new(2, block.block),
            }
        };
        if new {
            // Nobody listening is fine.
            let _receivers = self.events.send(event);
        }
    }

    fn leader(&self) -> Option<&Arc<Endpoint>> {
        self.endpoints.iter().find(|e| e.status() == Status::Ok)
    }

    fn slot_of(&self, block: Root) -> Option<Slot> {
        lock(&self.seen).heads.slot_of(block)
    }

    /// The slot of the newest head that any of them told of.
    fn best_head(&self) -> Option<Slot> {
        let heads = self.endpoints.iter().filter_map(|e| e.head());
        heads.map(|(slot, _)| slot).max()
    }

    /// All of them, the better ones first: by role, status, score, and the operator's order.
    fn ranked(&self, call: Call) -> Vec<Arc<Endpoint>> {
        let best_head = self.best_head();
        let quickest = |role: Role| {
            let usable = self
                .endpoints
                .iter()
                .filter(|e| e.role == role && e.status() == Status::Ok);
            usable.filter_map(|e| e.latencies.p95(call)).min()
        };
        let (primary, fallback) = (quickest(Role::Primary), quickest(Role::Fallback));
        let rank = |endpoint: &Endpoint| -> (Role, Status, Score) {
            let quickest = match endpoint.role {
                Role::Primary => primary,
                Role::Fallback => fallback,
            };
            let slow = score::is_slow(endpoint.latencies.p95(call), quickest);
            (endpoint.role, endpoint.status(), endpoint.score(best_head, slow))
        };
        let mut all: Vec<_> = self.endpoints.iter().map(|e| (rank(e), Arc::clone(e))).collect();
        all.sort_by_key(|(rank, _)| *rank);
        all.into_iter().map(|(_, endpoint)| endpoint).collect()
    }

    /// Remembers who proposes in an epoch.
    fn note_proposers(&self, epoch: Epoch, proposers: BTreeMap<Slot, ValidatorIndex>) {
        let mut all = lock(&self.proposers);
        all.retain(|e, _| e.0.saturating_add(PROPOSERS) >= epoch.0);
        if !proposers.is_empty() {
            all.insert(epoch, proposers);
        }
    }

    fn proposer_of(&self, slot: Slot) -> Option<ValidatorIndex> {
        lock(&self.proposers).get(&self.chain.epoch(slot))?.get(&slot).copied()
    }
}
