//! One run: the plan is carried out, then everything is looked at.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use sha2::{Digest as _, Sha256};
use trireme_core::{PeerIdx, UnixTime};
use trireme_eth2::{ForkedSignedBlock, Slot, VersionedSignedProposal};
use trireme_testutil::{
    judge::{self, BEHIND, DutyKind, Fault, Judge},
    sim::Link,
};

use crate::{
    chain::{GAS_LIMIT, GENESIS},
    client,
    cluster::SimCluster,
    plan::{Plan, Trouble},
};

/// Two epochs and a half.
pub(crate) const SLOTS: u64 = 20;

/// Everything that can be seen from outside, in one hash; and a log for people.
pub(crate) struct Audit {
    hash: Mutex<Sha256>,
    log: Option<Mutex<Vec<String>>>,
    /// The slot whose messages and requests are logged, too.
    traced: Option<u64>,
    sent: Mutex<u64>,
}

impl Audit {
    fn new(logged: bool) -> Arc<Self> {
        Arc::new(Self {
            hash: Mutex::new(Sha256::new()),
            log: logged.then(Mutex::default),
            traced: crate::number("SIM_TRACE").filter(|_| logged),
            sent: Mutex::default(),
        })
    }

    /// Something happened.
    pub(crate) fn note(&self, now: Duration, what: &str, bytes: &[u8]) {
        let mut hash = self.hash.lock().unwrap();
        hash.update(now.as_nanos().to_be_bytes());
        hash.update(what.as_bytes());
        hash.update(bytes);
    }

    /// A message went out.
    pub(crate) fn sent(&self, from: PeerIdx, to: PeerIdx, proto: &str, msg: &[u8]) {
        *self.sent.lock().unwrap() += 1;
        let mut hash = self.hash.lock().unwrap();
        hash.update([from.0, to.0]);
        hash.update(proto.as_bytes());
        hash.update(msg);
    }

    /// Whether what is done for a slot is to be logged message by message.
    pub(crate) fn traces(&self, slot: u64) -> bool {
        self.traced == Some(slot)
    }

    /// Whether that is so for any slot.
    pub(crate) const fn traces_any(&self) -> bool {
        self.traced.is_some()
    }

    /// A line for people.
    pub(crate) fn say(&self, now: UnixTime, line: impl FnOnce() -> String) {
        if let Some(log) = &self.log {
            let ms = now.since(GENESIS).as_millis();
            log.lock()
                .unwrap()
                .push(format!("slot {:>2} + {:>5} ms: {}", ms / 12_000, ms % 12_000, line()));
        }
    }
}

/// What a run came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) audit: [u8; 32],
    pub(crate) messages: u64,
    /// Duties that were done.
    pub(crate) done: BTreeMap<DutyKind, u64>,
    /// Duties that were missed where more went wrong than the cluster can bear.
    pub(crate) excused: u64,
}

/// Runs a plan.
///
/// # Errors
///
/// Everything that should not have happened, one line each, and then the log.
pub(crate) fn run(seed: u64, plan: &Plan, logged: bool) -> Result<Outcome, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let audit = Audit::new(logged);
    let (mut wrong, mut outcome) = runtime.block_on(played(seed, plan, &audit));
    outcome.audit = audit.hash.lock().unwrap().clone().finalize().into();
    outcome.messages = *audit.sent.lock().unwrap();
    if wrong.is_empty() {
        return Ok(outcome);
    }
    if let Some(log) = &audit.log {
        wrong.extend(log.lock().unwrap().iter().cloned());
    }
    Err(wrong.join("\n"))
}

async fn played(seed: u64, plan: &Plan, audit: &Arc<Audit>) -> (Vec<String>, Outcome) {
    let ms = |ms: u64| GENESIS.after(Duration::from_millis(ms));
    let mut cluster = SimCluster::start(seed, GENESIS.before(Duration::from_secs(5)), SLOTS, plan, audit).await;
    let calm = Link {
        latency: Duration::from_millis(2),
        jitter: Duration::from_millis(18),
        ..Link::default()
    };
    cluster.net.set_all(calm);

    for window in &plan.windows {
        let node = PeerIdx(window.node);
        cluster.until(ms(window.from)).await;
        audit.say(ms(window.from), || format!("{window:?}"));
        match &window.trouble {
            Trouble::Crash => cluster.crash(window.node, seed ^ window.from).await,
            Trouble::Blackout(nodes) => {
                for node in nodes {
                    cluster.crash(*node, seed ^ window.from ^ u64::from(*node)).await;
                }
            }
            Trouble::Cut => cluster.net.set_node(node, false),
            Trouble::Split => cluster
                .net
                .partition(&[&[PeerIdx(0), PeerIdx(1)], &[PeerIdx(2), PeerIdx(3)]]),
            Trouble::Lossy(loss) => {
                let link = Link {
                    loss: *loss,
                    duplication: 100,
                    jitter: Duration::from_millis(300),
                    ..calm
                };
                for other in (0..crate::chain::NODES).map(PeerIdx).filter(|o| *o != node) {
                    cluster.net.set_link(node, other, link);
                    cluster.net.set_link(other, node, link);
                }
            }
            Trouble::Beacon(kind) => {
                cluster.world.judge().inject(Fault {
                    face: usize::from(window.node),
                    kind: *kind,
                    slots: window.slots(),
                });
            }
        }
        cluster.until(ms(window.until)).await;
        match &window.trouble {
            Trouble::Crash => cluster.boot(window.node).await,
            Trouble::Blackout(nodes) => {
                for node in nodes {
                    cluster.boot(*node).await;
                }
            }
            Trouble::Cut | Trouble::Split => cluster.net.heal(),
            Trouble::Lossy(_) => cluster.net.set_all(calm),
            Trouble::Beacon(_) => {}
        }
    }
    cluster.until(client::start(Slot(SLOTS + 2))).await;
    let found = look(&cluster, plan);
    // Selections have the longest time, two epochs.
    cluster.stop_scheduling().await;
    cluster.until(client::start(Slot(SLOTS + 2 + 3 * 8))).await;
    let (mut wrong, outcome) = found;
    wrong.extend(
        cluster
            .leftover()
            .into_iter()
            .map(|task| format!("a task is left: {task}")),
    );
    cluster.end().await;
    (wrong, outcome)
}

/// The invariants.
fn look(cluster: &SimCluster, plan: &Plan) -> (Vec<String>, Outcome) {
    let mut wrong = cluster.witness.wrong.lock().unwrap().clone();
    let mut judge = cluster.world.judge();
    wrong.extend(judge.slashable().iter().map(|s| format!("slashable: {s:?}")));
    for refusal in judge.refusals() {
        let at = refusal.at.saturating_sub(Duration::from_nanos(GENESIS.0)).as_millis();
        let slot = u64::try_from(at / 12_000).unwrap();
        // What comes too late has been missed; that is told below. A node that hears late of a reveal may ask for a block
        // that the others have published.
        let known = refusal.reason.starts_with("late")
            || refusal.reason.ends_with("has a block already")
            || is_on_an_unheard_block(plan, slot, &refusal.reason);
        if !plan.excuses(slot) && !known {
            wrong.push(format!(
                "refused at slot {slot} + {} ms: {}",
                at % 12_000,
                refusal.reason
            ));
        }
    }
    let report = judge::report(&mut judge, 1..SLOTS);
    wrong.extend(payloads(&judge, plan));
    let (mut done, mut excused) = (BTreeMap::new(), 0);
    for (kind, duties) in &report.duties {
        done.insert(*kind, duties.completed);
        for missed in &duties.missed {
            if plan.excuses(missed.slot) || is_on_an_unheard_block(plan, missed.slot, &missed.reason) {
                excused += 1;
            } else {
                wrong.push(format!("missed in slot {}: {kind:?}, {}", missed.slot, missed.reason));
            }
        }
    }
    let outcome = Outcome {
        audit: [0; 32],
        messages: 0,
        done,
        excused,
    };
    (wrong, outcome)
}

/// Whether a block was refused because its maker, whose beacon node is behind, built on one that the others cannot know as
/// old: the chain's first, which nobody was told of as a head, or one from before a blackout, as a node that starts has
/// been told of none.
fn is_on_an_unheard_block(plan: &Plan, slot: u64, reason: &str) -> bool {
    let unheard = slot <= BEHIND || plan.is_after_blackout(slot);
    unheard && plan.has_behind(slot) && reason.contains("wrong parent")
}

/// Blocks whose payload is not made by whom it should be; the builder keeps to the registered gas limit.
fn payloads(judge: &Judge, plan: &Plan) -> Vec<String> {
    let mut wrong = Vec::new();
    for slot in 1..SLOTS {
        let block = judge.block_at(Slot(slot)).and_then(|b| b.block.as_ref());
        let of_cluster = !judge.is_strangers(Slot(slot));
        let Some(VersionedSignedProposal::Full(ForkedSignedBlock::Fulu(block))) =
            block.filter(|_| of_cluster).map(AsRef::as_ref)
        else {
            continue;
        };
        let payload = &block.signed_block.message.body.execution_payload;
        if plan.builder != (payload.gas_limit == GAS_LIMIT) {
            wrong.push(format!(
                "the block of slot {slot} has another's payload, with gas limit {}",
                payload.gas_limit
            ));
        }
    }
    wrong
}
