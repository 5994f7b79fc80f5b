//! Agreement of the cluster on what to sign: the adapter around the QBFT algorithm of `trireme_qbft`.
//!
//! ```text
//!   participate / propose ──► one task per duty: Instance::step ──► decided ──► dutydb.store …
//!   peers' frames ──► receive: fields ──► inbox per duty ──► verified when they may matter ─┘
//! ```
//!
//! Guarantees: at most one instance per duty; a node never votes in an instance before its own clock has reached the
//! instance's slot, and after a start it sends nothing in instances up to one slot after the slot of its start (it may
//! have voted in them before; see `Consensus::abstains`); a decision is announced once. Memory is bounded per peer and
//! instance, and the number of instances is bounded.
//! Not here: the algorithm (`trireme_qbft`), storing decisions (`dutydb`, `infosync`), the exchange before an agreement on
//! priorities (`priority`).

mod compare;
pub mod hash;
mod inbox;
mod instance;
mod metrics;
pub mod receive;
mod sniffer;
pub mod timer;
mod value;
pub mod wire;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::future::BoxFuture;
use tokio::sync::{Notify, watch};
use trireme_keys::{IdentityKey, K1PublicKey};
use trireme_qbft::{NodeCountError, Nodes, Params, Process, Round};

use self::{
    hash::ValueHash,
    inbox::{Inbox, Waiting},
    receive::{Opened, Refusal, Signers},
    sniffer::Sniffer,
    timer::TimerFeatures,
    wire::{BadValue, Carried},
};
pub use self::{
    inbox::{BYTES_IN_ALL, BYTES_PER_PEER, PER_PEER},
    metrics::ConsensusMetrics,
    sniffer::KEPT as SNIFFED_BYTES,
    value::{ClusterValues, ValueCheck},
};
use crate::{
    compute::{Broken, call},
    cx::DutyCx,
    data::{DataError, UnsignedDataSet},
    deadline::deadline,
    definitions::DutyDefinitionSet,
    duty::{Duty, DutyType, Slot},
    event::Event,
    gate::DutyGate,
    ids::PeerIdx,
    life::Life,
    ports::{Clock, Compute, Inbound, Lane, PeerNet, ProtocolId, ServeGuard},
    priority::result::PriorityResult,
    step::{ErrorKind, Fault, StepError},
    time::{SlotTiming, UnixTime},
};

/// One message per stream, no answer.
pub const PROTOCOL: ProtocolId = ProtocolId {
    name: "/charon/consensus/qbft/2.0.0",
    max_frame: 32 << 20,
};

/// Instances at a time, running or waiting to begin; messages of further ones are dropped and counted.
pub const MAX_INSTANCES: usize = 1_024;

/// The leader of a round (consensus.md 2): `(slot + duty type + round) mod n` in signed 64-bit arithmetic. `None` where
/// that arithmetic overflows.
#[must_use]
pub fn leader(duty: Duty, round: Round, nodes: Nodes) -> Option<PeerIdx> {
    let params = Params {
        nodes,
        leader_offset: leader_offset(duty),
        compare: false,
        abstain: false,
    };
    params.leader(round).map(|p| PeerIdx(p.0))
}

fn leader_offset(duty: Duty) -> i64 {
    duty.slot.0.cast_signed().wrapping_add(duty.kind.number().into())
}

/// Whether nodes agree on data for duties of this kind.
const fn is_agreed_on(kind: DutyType) -> bool {
    match kind {
        DutyType::Proposer
        | DutyType::Attester
        | DutyType::Aggregator
        | DutyType::SyncContribution
        | DutyType::InfoSync => true,
        DutyType::Signature
        | DutyType::Exit
        | DutyType::BuilderProposer
        | DutyType::BuilderRegistration
        | DutyType::Randao
        | DutyType::PrepareAggregator
        | DutyType::SyncMessage
        | DutyType::PrepareSyncContribution => false,
    }
}

const fn lane(kind: DutyType) -> Lane {
    if matches!(kind, DutyType::Proposer) {
        Lane::Proposal
    } else {
        Lane::Attestation
    }
}

/// Switches of consensus; all nodes of a cluster must choose alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsensusConfig {
    /// Which round timers.
    pub timers: TimerFeatures,
    /// Feature `consensus_participate`, on by default: instances begin at the duty's offset, before own data is there.
    pub participate: bool,
    /// Feature `chain_split_halt`, off by default: a leader's attestations get no support if our own beacon node has
    /// another source or target.
    pub chain_split_halt: bool,
}

impl Default for ConsensusConfig {
    fn default() -> Self {
        Self {
            timers: TimerFeatures::default(),
            participate: true,
            chain_split_halt: false,
        }
    }
}

/// Why an instance, or a call, came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConsensusError {
    /// The same call a second time.
    #[error("duty {duty} has been {what} before")]
    Twice {
        /// The duty.
        duty: Duty,
        /// What was done before.
        what: &'static str,
    },
    /// Too many instances at a time.
    #[error("duty {0} cannot be agreed on: too many instances are open")]
    Full(Duty),
    /// No decision until the deadline.
    #[error("consensus timeout: no decision for duty {duty}, the last round was {round}: {reason}")]
    Timeout {
        /// The duty.
        duty: Duty,
        /// The round at the deadline.
        round: u64,
        /// What was missing in it.
        reason: String,
    },
    /// Our own proposal, or the decided value, cannot be used.
    #[error(transparent)]
    Value(#[from] BadValue),
    /// The decided value is no data of this duty.
    #[error("the decided data of duty {duty} cannot be read: {reason}")]
    Data {
        /// The duty.
        duty: Duty,
        /// What is wrong.
        reason: DataError,
    },
    /// A message of ours names a value that we do not have.
    #[error("a message of duty {0} names a value that is not known here")]
    UnknownValue(Duty),
    /// A computation broke off.
    #[error(transparent)]
    Broken(#[from] Broken),
}

impl Fault for ConsensusError {
    fn kind(&self) -> ErrorKind {
        match self {
            // The instance has told it, once for all who wait.
            Self::Timeout { .. } => ErrorKind::Expired,
            Self::Twice { .. }
            | Self::Full(_)
            | Self::Value(_)
            | Self::Data { .. }
            | Self::UnknownValue(_)
            | Self::Broken(_) => ErrorKind::Permanent,
        }
    }
}

/// Why a peer's message was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// Not from an operator.
    #[error("the sender is not an operator of this cluster")]
    Stranger,
    /// It fails a check.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The duty is over, or one without a deadline.
    #[error("duty {0} is over")]
    Over(Duty),
    /// Too many instances at a time.
    #[error("too many consensus instances are open to begin that of duty {0}")]
    Full(Duty),
}

/// What consensus is made of.
pub struct ConsensusParts {
    /// The peers.
    pub net: Arc<dyn PeerNet>,
    /// Signs our messages.
    pub key: Arc<IdentityKey>,
    /// The operators' keys in lock order.
    pub keys: Vec<K1PublicKey>,
    /// Which duties of peers are let in.
    pub gate: DutyGate,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Slots.
    pub timing: SlotTiming,
    /// Signatures and hashes.
    pub compute: Arc<dyn Compute>,
    /// Where instances run.
    pub life: Life,
    /// Switches.
    pub config: ConsensusConfig,
    /// Metrics.
    pub metrics: ConsensusMetrics,
}

/// See the module's description.
pub struct Consensus {
    /// What the cluster decided to sign.
    pub decided: Event<UnsignedDataSet>,
    /// What the nodes of the cluster decided to prefer.
    pub preferred: Event<PriorityResult>,
    parts: ConsensusParts,
    nodes: Nodes,
    signers: Arc<Signers>,
    /// The slot in which this node started; `None` if before genesis.
    started_in: Option<Slot>,
    entries: Mutex<BTreeMap<Duty, Arc<Entry>>>,
    /// Messages that wait in all entries.
    waiting: Arc<Waiting>,
    sniffer: Sniffer,
    check: Option<Arc<dyn ValueCheck>>,
}

/// One duty, from the first sign of it until its deadline.
struct Entry {
    duty: Duty,
    state: Mutex<EntryState>,
    /// Told about a new message or our proposal.
    wake: Notify,
    result: watch::Sender<Option<Result<(), ConsensusError>>>,
}

struct EntryState {
    inbox: Inbox,
    proposal: Option<Proposal>,
    participated: bool,
    proposed: bool,
    running: bool,
    /// The task has ended. The entry stays until the deadline, so that no second instance of the duty begins.
    ended: bool,
}

struct Proposal {
    hash: ValueHash,
    value: Carried,
    at: UnixTime,
}

impl Entry {
    fn state(&self) -> MutexGuard<'_, EntryState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn outcome(&self) -> Result<(), ConsensusError> {
        let mut result = self.result.subscribe();
        let ended = result.wait_for(Option::is_some).await;
        // The sender lives in `self`, so the channel cannot be closed here.
        ended.ok().and_then(|r| r.clone()).unwrap_or(Ok(()))
    }
}

impl Consensus {
    /// The component without subscribers; [`Consensus::serve`] opens it to peers. To be made when the node starts: the
    /// boot barrier counts from this moment.
    ///
    /// # Errors
    /// [`NodeCountError`] if there are no operators, or more than 255.
    pub fn new(parts: ConsensusParts) -> Result<Self, NodeCountError> {
        let nodes = Nodes::new(u8::try_from(parts.keys.len()).map_err(|_| NodeCountError)?)?;
        Ok(Self {
            decided: Event::new(),
            preferred: Event::new(),
            nodes,
            signers: Arc::new(Signers::new(parts.keys.clone())),
            started_in: parts.timing.slot_at(parts.clock.now()),
            entries: Mutex::default(),
            waiting: Arc::new(Waiting::new(parts.keys.len())),
            sniffer: Sniffer::default(),
            check: None,
            parts,
        })
    }

    /// With `check`, leaders' values are decoded and looked at before they are voted for. Without it every value is.
    #[must_use]
    pub fn checking(mut self, check: Arc<dyn ValueCheck>) -> Self {
        self.check = Some(check);
        self
    }

    /// Begins to take messages of peers; ends when the guard is dropped.
    #[must_use]
    pub fn serve(self: &Arc<Self>) -> ServeGuard {
        let this = Arc::clone(self);
        self.parts.net.serve(
            PROTOCOL,
            Arc::new(move |inbound| -> BoxFuture<'static, _> {
                let taken = this.receive(inbound);
                Box::pin(async move {
                    taken?;
                    Ok(None)
                })
            }),
        )
    }

    /// Begins the instance of a duty whose data is still being fetched, and waits for its end. Does nothing for duties
    /// that perhaps nobody was selected for, and when the feature is off.
    pub async fn participate(self: Arc<Self>, cx: DutyCx, _defs: Arc<DutyDefinitionSet>) -> Result<(), StepError> {
        let early = matches!(cx.duty.kind, DutyType::Proposer | DutyType::Attester);
        if !self.parts.config.participate || !early || self.skips(&cx) {
            return Ok(());
        }
        let entry = self.entry(cx.duty).ok_or(ConsensusError::Full(cx.duty))?;
        if std::mem::replace(&mut entry.state().participated, true) {
            return Err(ConsensusError::Twice {
                duty: cx.duty,
                what: "participated in",
            }
            .into());
        }
        self.begin(&entry, &cx);
        Ok(entry.outcome().await?)
    }

    /// Proposes our data for a duty, begins its instance if it does not run, and waits for its end.
    pub async fn propose(self: Arc<Self>, cx: DutyCx, set: Arc<UnsignedDataSet>) -> Result<(), StepError> {
        self.propose_value(cx, move || Carried::of_set(&set)).await
    }

    /// As [`Consensus::propose`], our view of what the nodes prefer. Nobody participates in such a duty before that.
    pub async fn propose_priorities(self: Arc<Self>, cx: DutyCx, result: Arc<PriorityResult>) -> Result<(), StepError> {
        self.propose_value(cx, move || Carried::of_priorities(&result)).await
    }

    async fn propose_value(
        self: Arc<Self>,
        cx: DutyCx,
        value: impl FnOnce() -> Carried + Send + 'static,
    ) -> Result<(), StepError> {
        if self.skips(&cx) {
            return Ok(());
        }
        let entry = self.entry(cx.duty).ok_or(ConsensusError::Full(cx.duty))?;
        if std::mem::replace(&mut entry.state().proposed, true) {
            return Err(ConsensusError::Twice {
                duty: cx.duty,
                what: "proposed",
            }
            .into());
        }
        let at = self.parts.clock.now();
        let hashed = call(self.parts.compute.as_ref(), lane(cx.duty.kind), move || {
            let value = value();
            value.hash().map(|hash| (hash, value))
        });
        let (hash, value) = hashed
            .await
            .map_err(ConsensusError::from)?
            .map_err(ConsensusError::from)?;
        let hash = hash.ok_or(ConsensusError::Value(BadValue::Empty))?;
        entry.state().proposal = Some(Proposal { hash, value, at });
        entry.wake.notify_one();
        self.begin(&entry, &cx);
        Ok(entry.outcome().await?)
    }

    /// Checks the fields of one message and puts it into its instance's inbox.
    ///
    /// # Errors
    /// [`NotTaken`] with the reason.
    pub fn receive(&self, inbound: Inbound) -> Result<(), NotTaken> {
        let taken = self.take(inbound);
        if let Err(reason) = &taken {
            self.parts.metrics.dropped(match reason {
                NotTaken::Stranger => "stranger",
                NotTaken::Refused(_) => "refused",
                NotTaken::Over(_) => "over",
                NotTaken::Full(_) => "instances",
            });
        }
        taken
    }

    fn take(&self, inbound: Inbound) -> Result<(), NotTaken> {
        let from = inbound.from.ok_or(NotTaken::Stranger)?;
        let frame = inbound.msg;
        let opened = receive::open(frame.clone(), self.signers.count(), |slot, kind| {
            self.parts.gate.admit(slot, kind)
        })?;
        let duty = opened.duty;
        let exempt = deadline(duty, &self.parts.timing).is_none();
        if exempt || self.is_over(duty) {
            return Err(NotTaken::Over(duty));
        }
        if is_agreed_on(duty.kind) {
            let entry = self.entry(duty).ok_or(NotTaken::Full(duty))?;
            let mut state = entry.state();
            let dropped = if state.ended {
                // Nobody reads any more.
                1
            } else {
                state.inbox.push(usize::from(from.0), opened)
            };
            drop(state);
            for _ in 0..dropped {
                self.parts.metrics.dropped("inbox");
            }
            entry.wake.notify_one();
        }
        Ok(())
    }

    /// The messages of finished instances as an encoded `SniffedConsensusInstances`, for `/debug/consensus`.
    #[must_use]
    pub fn sniffed(&self, git_hash: &str) -> Vec<u8> {
        self.sniffer.dump(self.nodes.count(), self.parts.net.me().0, git_hash)
    }

    /// Open instances now.
    #[must_use]
    pub fn instances(&self) -> usize {
        self.entries().len()
    }

    /// The boot barrier: whether this node, when it ran before, may have voted on the duty. Instances of a slot never
    /// begin before the slot; one more slot allows for a clock that was ahead then.
    #[must_use]
    pub fn abstains(&self, duty: Duty) -> bool {
        self.started_in
            .is_some_and(|slot| duty.slot.0 <= slot.0.saturating_add(1))
    }

    fn is_over(&self, duty: Duty) -> bool {
        deadline(duty, &self.parts.timing).is_some_and(|at| at <= self.parts.clock.now())
    }

    /// Whether the duty is over; then the trace says so in place of an instance.
    fn skips(&self, cx: &DutyCx) -> bool {
        let over = self.is_over(cx.duty);
        if over {
            instance::skipped(&cx.span);
        }
        over
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<Duty, Arc<Entry>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The entry of a duty, made if there is room. Duties that are over are cleared away here.
    fn entry(&self, duty: Duty) -> Option<Arc<Entry>> {
        let mut entries = self.entries();
        if let Some(entry) = entries.get(&duty) {
            return Some(Arc::clone(entry));
        }
        entries.retain(|duty, entry| {
            let state = entry.state();
            !self.is_over(*duty) || state.running && !state.ended
        });
        if entries.len() >= MAX_INSTANCES {
            return None;
        }
        let state = EntryState {
            inbox: Inbox::new(Arc::clone(&self.waiting)),
            proposal: None,
            participated: false,
            proposed: false,
            running: false,
            ended: false,
        };
        let entry = Arc::new(Entry {
            duty,
            state: Mutex::new(state),
            wake: Notify::new(),
            result: watch::Sender::new(None),
        });
        entries.insert(duty, Arc::clone(&entry));
        Some(entry)
    }

    /// Runs the instance unless it runs.
    fn begin(self: &Arc<Self>, entry: &Arc<Entry>, cx: &DutyCx) {
        if std::mem::replace(&mut entry.state().running, true) {
            return;
        }
        let abstain = self.abstains(entry.duty);
        if abstain {
            tracing::info!(duty = %entry.duty, "this node started too recently to vote on the duty; it only learns the decision");
        }
        let params = Params {
            nodes: self.nodes,
            leader_offset: leader_offset(entry.duty),
            compare: self.parts.config.chain_split_halt && entry.duty.kind == DutyType::Attester,
            abstain,
        };
        let me = Process(self.parts.net.me().0);
        // Standing: a decided instance stays until the duty's end, and a stopping node must not wait for that.
        self.parts.life.standing(
            "consensus.instance",
            instance::run(Arc::clone(self), Arc::clone(entry), cx.clone(), params, me),
        );
    }
}

/// A message that waits, as the instance takes it.
fn next_message(entry: &Entry, wanted: impl Fn(&trireme_qbft::Vote<ValueHash>) -> bool) -> Option<(usize, Opened)> {
    entry.state().inbox.pop(wanted)
}
