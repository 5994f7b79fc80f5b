//! The exchange of priorities: nodes tell each other what they want, count, and agree on the result by consensus.
//!
//! ```text
//!   begin ──► own message to every peer ──► answers ─┐
//!   peers' requests ──► (wait for begin) ────────────┴► all there, or 6 s ──► calculated ──► consensus
//! ```
//!
//! Guarantees: of each peer the first good message counts, and a bad one changes nothing for the others; the result is
//! calculated once; a peer's request is answered with our message for the very duty that it asks for, or not at all.
//! Not here: what is agreed on (`infosync`), the agreement (`consensus`). Peers of v1.10 and older, whose name for this
//! protocol cannot be negotiated, are left out.

pub mod calculate;
pub mod message;
pub mod result;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures::future::{BoxFuture, join, join_all};
use prost::Message as _;
use tokio::sync::{Notify, watch};
use trireme_keys::{IdentityKey, PeerId};
use trireme_proto::core::v1 as pb;

pub use self::message::Topic;
use self::{
    calculate::calculate,
    message::{BadMessage, open, signed},
    result::PriorityResult,
};
use crate::{
    compute::{Broken, call},
    cx::CxSource,
    deadline::deadline,
    duty::{Duty, DutyType},
    event::Event,
    gate::DutyGate,
    ids::PeerIdx,
    life::Life,
    ports::{Clock, Compute, Inbound, Lane, Peer, PeerNet, ProtocolId, ServeGuard},
    time::{SlotTiming, UnixTime},
};

/// A message and its answer. Honest messages have some kilobytes.
pub const PRIORITY: ProtocolId = ProtocolId {
    name: "/charon/priority/2.0.0",
    max_frame: 1 << 20,
};

/// How long the messages of all peers are waited for.
const EXCHANGE: Duration = Duration::from_secs(6);

/// How long a request waits for our own exchange: a little less than the network gives a handler.
const HOLD: Duration = Duration::from_millis(4_900);

/// Why a peer's message was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// Not from an operator.
    #[error("the sender is not an operator of this cluster")]
    Stranger,
    /// It is wrong by itself.
    #[error(transparent)]
    Bad(#[from] BadMessage),
    /// Another exchange than the one asked about, one that is too far in the future, or none.
    #[error("an exchange for slot {slot} and duty type {kind} is not wanted")]
    Duty {
        /// The slot.
        slot: u64,
        /// The number of the type.
        kind: i64,
    },
    /// Too late.
    #[error("duty {0} is over")]
    Over(Duty),
    /// The verification broke off.
    #[error(transparent)]
    Broken(#[from] Broken),
}

/// What the exchange is made of.
pub struct PriorityParts {
    /// The peers.
    pub net: Arc<dyn PeerNet>,
    /// Signs our messages.
    pub key: Arc<IdentityKey>,
    /// How many nodes must want something.
    pub threshold: usize,
    /// Which duties of peers are let in.
    pub gate: DutyGate,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Slots.
    pub timing: SlotTiming,
    /// Signatures.
    pub compute: Arc<dyn Compute>,
    /// Where exchanges run.
    pub life: Life,
    /// Makes the duties' contexts.
    pub cx: CxSource,
}

/// See the module's description.
pub struct Priority {
    /// Our view of the result, to be proposed.
    pub calculated: Event<PriorityResult>,
    parts: PriorityParts,
    /// Until their deadlines; there is one per epoch.
    exchanges: Mutex<BTreeMap<Duty, Arc<Exchange>>>,
    /// Changes when an exchange begins.
    begun: watch::Sender<()>,
}

/// One duty's messages.
struct Exchange {
    duty: Duty,
    /// Our message, encoded.
    own: Bytes,
    got: Mutex<Got>,
    /// Told about every message.
    more: Notify,
}

struct Got {
    from: BTreeSet<PeerIdx>,
    /// Ours, then in the order of arrival.
    msgs: Vec<pb::PriorityMsg>,
}

impl Exchange {
    fn got(&self) -> MutexGuard<'_, Got> {
        self.got.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts the first message of a peer.
    fn take(&self, from: PeerIdx, msg: pb::PriorityMsg) {
        let mut got = self.got();
        if got.from.insert(from) {
            got.msgs.push(msg);
            drop(got);
            self.more.notify_one();
        }
    }

    /// Waits until messages of `nodes` nodes are there. Drop-safe; for one reader.
    async fn complete(&self, nodes: usize) {
        while self.got().msgs.len() < nodes {
            self.more.notified().await;
        }
    }
}

impl Priority {
    /// The component without subscribers; [`Priority::serve`] opens it to peers.
    #[must_use]
    pub fn new(parts: PriorityParts) -> Self {
        Self {
            calculated: Event::new(),
            parts,
            exchanges: Mutex::default(),
            begun: watch::Sender::new(()),
        }
    }

    /// Begins to answer peers; ends when the guard is dropped.
    #[must_use]
    pub fn serve(self: &Arc<Self>) -> ServeGuard {
        let this = Arc::clone(self);
        self.parts.net.serve(
            PRIORITY,
            Arc::new(move |inbound| -> BoxFuture<'static, _> {
                let this = Arc::clone(&this);
                Box::pin(async move { Ok(this.answer(inbound).await?) })
            }),
        )
    }

    /// Begins the exchange for `duty`; its result comes as `calculated`. Once per duty.
    pub fn begin(self: &Arc<Self>, duty: Duty, topics: &[Topic]) {
        let began = self.parts.clock.now();
        let Some(end) = deadline(duty, &self.parts.timing).filter(|end| *end > began) else {
            tracing::warn!(%duty, "the time to exchange priorities is over; the cluster goes on with what it agreed on before");
            return;
        };
        let msg = signed(duty, topics, &self.parts.key);
        let exchange = Arc::new(Exchange {
            duty,
            own: msg.encode_to_vec().into(),
            got: Mutex::new(Got {
                from: BTreeSet::from([self.parts.net.me()]),
                msgs: vec![msg],
            }),
            more: Notify::new(),
        });
        {
            let mut exchanges = self.exchanges();
            exchanges.retain(|duty, _| !self.is_over(*duty));
            if exchanges.contains_key(&duty) {
                return;
            }
            exchanges.insert(duty, Arc::clone(&exchange));
        }
        self.begun.send_replace(());
        // Standing: an exchange answers until its deadline, and a stopping node must not wait for that.
        let this = Arc::clone(self);
        self.parts.life.standing("priority.exchange", async move {
            tokio::select! { biased;
                () = this.parts.clock.sleep_until(end) => {}
                () = this.exchange(&exchange, began) => this.parts.clock.sleep_until(end).await,
            }
            this.exchanges().remove(&duty);
        });
    }

    async fn exchange(&self, exchange: &Exchange, began: UnixTime) {
        let net = &self.parts.net;
        let others = || net.peers().iter().filter(|p| p.idx != net.me());
        let (asked, left_out): (Vec<&Peer>, Vec<&Peer>) =
            others().partition(|p| net.announces(p.idx, PRIORITY) != Some(false));
        if !left_out.is_empty() {
            let peers: Vec<&str> = left_out.iter().map(|p| p.name.as_str()).collect();
            tracing::info!(duty = %exchange.duty, peers = peers.join(","),
                "Peers speak an older priority protocol and are left out of the exchange; duties do not depend on it");
        }
        let asking = join_all(asked.into_iter().map(|peer| self.ask(peer, exchange)));
        let counting = async {
            let limit = self.parts.clock.sleep_until(began.after(EXCHANGE));
            tokio::select! { biased;
                () = exchange.complete(net.peers().len()) => {}
                () = limit => {}
            }
            self.count(exchange).await;
        };
        join(asking, counting).await;
    }

    /// Sends our message to a peer and takes its own.
    async fn ask(&self, peer: &Peer, exchange: &Exchange) {
        let duty = exchange.duty;
        let answer = match self.parts.net.request(peer.idx, PRIORITY, exchange.own.clone()).await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::debug!(%duty, peer = peer.name, %error, "peer did not answer with its priorities");
                return;
            }
        };
        match self.check(answer, peer.id, |asked| asked == duty).await {
            Ok((_, msg)) => exchange.take(peer.idx, msg),
            Err(error) => tracing::warn!(%duty, peer = peer.name, %error, "peer's priorities do not count"),
        }
    }

    async fn count(&self, exchange: &Exchange) {
        let (msgs, threshold) = (exchange.got().msgs.clone(), self.parts.threshold);
        let duty = exchange.duty;
        tracing::debug!(%duty, messages = msgs.len(), "priorities of the nodes are counted");
        let counted = call(self.parts.compute.as_ref(), Lane::Other, move || {
            calculate(&msgs, threshold)
        });
        match counted.await {
            Ok(Ok(result)) => {
                if let Err(error) = self.calculated.emit(&self.parts.cx.cx(duty), Arc::new(result)).await {
                    tracing::warn!(%duty, %error, "the nodes' priorities could not be proposed");
                }
            }
            // Every message was looked at before it was taken.
            Ok(Err(error)) => tracing::error!(%duty, %error, "the nodes' priorities cannot be counted"),
            Err(error) => tracing::error!(%duty, %error, "the nodes' priorities were not counted"),
        }
    }

    /// Takes a peer's message and answers with our own for the same duty, when there is one.
    async fn answer(&self, inbound: Inbound) -> Result<Option<Bytes>, NotTaken> {
        let from = inbound.from.ok_or(NotTaken::Stranger)?;
        let admitted = |duty: Duty| self.parts.gate.allows(duty);
        let (duty, msg) = self.check(inbound.msg, inbound.from_id, admitted).await?;
        if self.is_over(duty) {
            return Err(NotTaken::Over(duty));
        }
        let until = self.parts.clock.now().after(HOLD);
        let exchange = tokio::select! { biased;
            exchange = self.begun(duty) => exchange,
            () = self.parts.clock.sleep_until(until) => return Ok(None),
        };
        exchange.take(from, msg);
        Ok(Some(exchange.own.clone()))
    }

    /// All checks of one message of the peer `from`.
    async fn check(
        &self,
        frame: Bytes,
        from: PeerId,
        wanted: impl Fn(Duty) -> bool,
    ) -> Result<(Duty, pb::PriorityMsg), NotTaken> {
        let opened = open(frame, from)?;
        let (slot, kind) = opened.duty();
        let duty = DutyType::try_from(kind)
            .ok()
            .filter(|kind| *kind == DutyType::InfoSync)
            .map(|kind| Duty::new(trireme_eth2::Slot(slot), kind))
            .filter(|duty| wanted(*duty))
            .ok_or(NotTaken::Duty { slot, kind })?;
        let msg = call(self.parts.compute.as_ref(), Lane::Other, move || opened.verify()).await??;
        Ok((duty, msg))
    }

    /// The exchange of `duty`, as soon as it has begun. Drop-safe.
    async fn begun(&self, duty: Duty) -> Arc<Exchange> {
        let mut changes = self.begun.subscribe();
        loop {
            changes.mark_unchanged();
            let found = self.exchanges().get(&duty).cloned();
            if let Some(exchange) = found {
                return exchange;
            }
            if changes.changed().await.is_err() {
                // The sender lives in `self`, so this is never reached.
                return std::future::pending().await;
            }
        }
    }

    fn is_over(&self, duty: Duty) -> bool {
        deadline(duty, &self.parts.timing).is_some_and(|end| end <= self.parts.clock.now())
    }

    fn exchanges(&self) -> MutexGuard<'_, BTreeMap<Duty, Arc<Exchange>>> {
        self.exchanges.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
