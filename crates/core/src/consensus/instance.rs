//! The task of one instance: feeds the algorithm and does what it says.
//!
//! Guarantees: messages are verified one at a time and only if they may still matter, so a decided instance verifies
//! nothing but what it may answer; a message that waits goes before a timer that is due. After deciding the task stays
//! until the duty's deadline, so that a node that is late can still learn.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use trireme_qbft::{Draft, Effect, Input, Instance, Kind, Params, Process, Round, Rule, Trace};

use super::{
    Consensus, ConsensusError, Entry, PROTOCOL, Proposal,
    compare::compare,
    hash::ValueHash,
    lane, next_message,
    receive::{Opened, Refusal},
    sniffer::Sniffed,
    timer::RoundTimer,
    value,
    wire::{self, Carried},
};
use crate::{
    compute::call, cx::DutyCx, data::UnsignedDataSet, deadline::deadline, duty::DutyType, spans::TRACE, time::UnixTime,
};

/// Values that messages delivered by one peer may bring into an instance. An honest peer brings one per leader.
const VALUES_PER_PEER: usize = 32;

/// Bytes of such values.
const VALUE_BYTES_PER_PEER: usize = 128 << 20;

/// Messages that may go before a timer that is due; then the timer has its turn.
const BEFORE_TIMER: usize = 64;

struct Runner {
    consensus: Arc<Consensus>,
    entry: Arc<Entry>,
    cx: DutyCx,
    params: Params,
    instance: Instance<ValueHash>,
    inputs: VecDeque<Input<ValueHash>>,
    values: BTreeMap<ValueHash, Carried>,
    /// Values brought by each peer, and their bytes.
    brought: Vec<(usize, usize)>,
    timer: RoundTimer,
    due: Option<(Round, UnixTime)>,
    /// Messages taken since the timer was due.
    overdue: usize,
    proposed_at: Option<UnixTime>,
    /// Our own proposal.
    own: Option<ValueHash>,
    /// A leader's proposal that waits to be compared with ours.
    comparing: Option<(Round, ValueHash)>,
    /// A round after the first ended with fewer than a quorum of ROUND-CHANGEs.
    few_round_changes: bool,
    decided: bool,
    /// Until the decision: what comes later is of no interest, and a decided instance should be small.
    sniffed: Option<Sniffed>,
}

pub(super) async fn run(consensus: Arc<Consensus>, entry: Arc<Entry>, mut cx: DutyCx, params: Params, me: Process) {
    use tracing::field::Empty;
    let parts = &consensus.parts;
    cx.span = tracing::info_span!(parent: &cx.span, "qbft", round = Empty, leader_index = Empty, leader_name = Empty);
    // Never before our own clock has come to the slot: the boot barrier rests on it.
    parts.clock.sleep_until(parts.timing.start(entry.duty.slot)).await;
    let mut runner = Runner {
        instance: Instance::new(params, me),
        inputs: VecDeque::from([Input::Start]),
        values: BTreeMap::new(),
        brought: vec![(0, 0); usize::from(params.nodes.count())],
        timer: RoundTimer::of(entry.duty, parts.config.timers, &parts.timing),
        due: None,
        overdue: 0,
        proposed_at: None,
        own: None,
        comparing: None,
        few_round_changes: false,
        decided: false,
        sniffed: Some(Sniffed::new(parts.clock.now())),
        consensus: Arc::clone(&consensus),
        entry: Arc::clone(&entry),
        cx,
        params,
    };
    let end = runner.until_deadline().await;
    runner.finish(end);
}

/// Tells the trace of a duty that came too late for an instance, or never has one.
pub(super) fn skipped(duty: &tracing::Span) {
    let span = tracing::debug_span!(target: TRACE, parent: duty, "qbft");
    tracing::debug!(target: TRACE, parent: &span, "Expired/exempt duty skipped");
}

impl Runner {
    async fn until_deadline(&mut self) -> Result<(), ConsensusError> {
        let consensus = Arc::clone(&self.consensus);
        let entry = Arc::clone(&self.entry);
        let clock = consensus.parts.clock.as_ref();
        let Some(end) = deadline(entry.duty, &consensus.parts.timing) else {
            skipped(&self.cx.span);
            return Ok(());
        };
        loop {
            self.take_proposal();
            while let Some(input) = self.inputs.pop_front() {
                for effect in self.instance.step(input) {
                    self.apply(effect).await?;
                }
                self.take_proposal();
            }
            let now = clock.now();
            if now >= end {
                return Ok(());
            }
            if let Some((round, at)) = self.due
                && now >= at
            {
                self.overdue = self.overdue.saturating_add(1);
                if self.overdue > BEFORE_TIMER {
                    self.expire(round);
                    continue;
                }
            }
            if let Some((from, opened)) = next_message(&entry, |vote| self.instance.wants(vote)) {
                self.verify(from, opened).await?;
                continue;
            }
            let due = self.due;
            let timer = async {
                match due {
                    Some((_, at)) => clock.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! { biased;
                () = entry.wake.notified() => {}
                () = timer => if let Some((round, _)) = due { self.expire(round) },
                () = clock.sleep_until(end) => return Ok(()),
            }
        }
    }

    fn expire(&mut self, round: Round) {
        self.due = None;
        self.overdue = 0;
        self.inputs.push_back(Input::Timeout { round });
    }

    fn take_proposal(&mut self) {
        let Some(Proposal { hash, value, at }) = self.entry.state().proposal.take() else {
            return;
        };
        self.values.insert(hash, value);
        self.proposed_at = Some(at);
        self.inputs.push_back(Input::Propose(hash));
        self.own = Some(hash);
        self.compare();
    }

    /// Answers the algorithm's question as soon as our own data is there. Until then the round's timer runs on; what is
    /// answered in a later round is of no effect.
    fn compare(&mut self) {
        let Some(own) = self.own.and_then(|hash| self.values.get(&hash)) else {
            return;
        };
        let Some((round, hash)) = self.comparing.take() else {
            return;
        };
        let duty = self.entry.duty;
        let Some(leaders) = self.values.get(&hash) else {
            return;
        };
        let found = compare(duty, leaders, own);
        if !found.agrees {
            tracing::warn!(parent: &self.cx.span, %duty, round = round.0,
                "the leader attests on another chain than our beacon node follows; its proposal is not supported");
        } else if found.missing > 0 {
            tracing::warn!(parent: &self.cx.span, %duty, round = round.0, validators = found.missing,
                "the leader attests for validators that we have no attestation for");
        }
        self.inputs.push_back(Input::Compared {
            round,
            agrees: found.agrees,
        });
    }

    async fn verify(&mut self, from: usize, opened: Opened) -> Result<(), ConsensusError> {
        let parts = &self.consensus.parts;
        let (signers, known) = (Arc::clone(&self.consensus.signers), self.values.clone());
        let vote = opened.vote;
        let (duty, check) = (self.entry.duty, self.consensus.check.clone());
        let job = move || {
            let checked = opened.verify(&signers, &known)?;
            // What others have voted for already is decided with them or not at all; `dutydb` looks at it again.
            if let (Some(check), Kind::PrePrepare, true) = (check, vote.kind, duty.kind != DutyType::InfoSync) {
                let proposed = vote.value.and_then(|hash| checked.values.get(&hash));
                if let Some(value) = proposed {
                    value::acceptable(duty, value, check.as_ref()).map_err(Refusal::Unacceptable)?;
                }
            }
            Ok(checked)
        };
        let checked = match call(parts.compute.as_ref(), lane(self.entry.duty.kind), job).await? {
            Ok(checked) => checked,
            Err(refusal) => {
                parts.metrics.dropped("refused");
                if let Refusal::Unacceptable(_) = refusal {
                    tracing::warn!(parent: &self.cx.span, %duty, peer = vote.source.0, round = vote.round.0, %refusal,
                        "A leader proposed data that cannot be right; they are not voted for");
                }
                tracing::debug!(parent: &self.cx.span, duty = %self.entry.duty, kind = %vote.kind, peer = vote.source.0, %refusal, "consensus message refused");
                return Ok(());
            }
        };
        // After the decision there is nothing more to say about other values.
        if !self.decided && !self.keep(from, checked.values) {
            self.consensus.parts.metrics.dropped("values");
            return Ok(());
        }
        let parts = &self.consensus.parts;
        if let (Some(sniffed), Some(frame)) = (&mut self.sniffed, wire::frame(&checked.msg, &self.values)) {
            sniffed.push(parts.clock.now(), frame);
        }
        self.inputs.push_back(Input::Message(checked.msg));
        Ok(())
    }

    /// Keeps the values that a message delivered by `from` brought; `false` if that peer has brought too many.
    fn keep(&mut self, from: usize, values: BTreeMap<ValueHash, Carried>) -> bool {
        let new = values.iter().filter(|(hash, _)| !self.values.contains_key(hash));
        let (n, bytes) = new.fold((0_usize, 0_usize), |(n, bytes), (_, value)| {
            (n.saturating_add(1), bytes.saturating_add(value.len()))
        });
        let Some(brought) = self.brought.get_mut(from) else {
            return false;
        };
        let sum = (brought.0.saturating_add(n), brought.1.saturating_add(bytes));
        if n > 0 && (sum.0 > VALUES_PER_PEER || sum.1 > VALUE_BYTES_PER_PEER) {
            return false;
        }
        *brought = sum;
        for (hash, value) in values {
            self.values.entry(hash).or_insert(value);
        }
        true
    }

    async fn apply(&mut self, effect: Effect<ValueHash>) -> Result<(), ConsensusError> {
        match effect {
            Effect::Broadcast(draft) => self.broadcast(draft),
            Effect::SetTimer { round } => {
                let at = self.timer.set(round, self.consensus.parts.clock.now());
                self.due = Some((round, at));
                self.overdue = 0;
                let (leader_index, leader_name) = self.leader(round);
                tracing::debug!(target: TRACE, parent: &self.cx.span, round = round.0, leader_index, leader_name);
                Ok(())
            }
            Effect::StopTimer => {
                self.due = None;
                Ok(())
            }
            Effect::Compare { round, value } => {
                self.comparing = Some((round, value));
                self.compare();
                Ok(())
            }
            Effect::Decide { value, round, .. } => {
                self.decided = true;
                // All that may be asked for from now on.
                self.values.retain(|hash, _| *hash == value);
                self.keep_sniffed();
                let outcome = self.decide(value, round).await;
                let ended = outcome.clone();
                self.entry.result.send_replace(Some(outcome));
                ended
            }
            Effect::Note(trace) => {
                self.note(trace);
                Ok(())
            }
        }
    }

    fn broadcast(&mut self, draft: Draft<ValueHash>) -> Result<(), ConsensusError> {
        let parts = &self.consensus.parts;
        let duty = self.entry.duty;
        // A signature takes less time than the way to the pool and back, which three messages of an instance would make.
        let seal = wire::seal(duty, &draft.vote, &parts.key);
        let msg = draft.sealed(seal);
        let frame = wire::frame(&msg, &self.values).ok_or(ConsensusError::UnknownValue(duty))?;
        if let Some(sniffed) = &mut self.sniffed {
            sniffed.push(parts.clock.now(), frame.clone());
        }
        for peer in parts.net.peers().iter().filter(|p| p.idx != parts.net.me()) {
            self.send(peer.idx, peer.name.clone(), frame.clone());
        }
        self.inputs.push_back(Input::Message(msg));
        Ok(())
    }

    /// In a task of its own: a peer that cannot be reached holds up nobody.
    fn send(&self, to: crate::ids::PeerIdx, name: String, frame: Bytes) {
        let (net, duty) = (Arc::clone(&self.consensus.parts.net), self.entry.duty);
        self.consensus.parts.life.task("consensus.send", async move {
            if let Err(error) = net.send(to, PROTOCOL, frame).await {
                tracing::debug!(%duty, peer = name, %error, "consensus message did not reach a peer");
            }
        });
    }

    async fn decide(&mut self, hash: ValueHash, round: Round) -> Result<(), ConsensusError> {
        let consensus = Arc::clone(&self.consensus);
        let (parts, duty) = (&consensus.parts, self.entry.duty);
        let seconds = self.proposed_at.map(|at| parts.clock.now().since(at).as_secs_f64());
        let leader = self.params.leader(round).map(|p| p.0);
        parts
            .metrics
            .decided(duty.kind, self.timer.kind().name(), round.0, leader, seconds);
        let span = &self.cx.span;
        tracing::debug!(parent: span, %duty, round = round.0, leader, "consensus decided");
        span.record("round", round.0);
        let leader_name = leader
            .and_then(|leader| parts.net.peers().get(usize::from(leader)))
            .map_or("", |peer| peer.name.as_str());
        if let Some(leader) = leader {
            span.record("leader_index", leader);
            span.record("leader_name", leader_name);
        }
        tracing::debug!(target: TRACE, parent: span, round = round.0, leader_index = leader, leader_name, "qbft.Decided");

        let value = self.values.get(&hash).ok_or(ConsensusError::UnknownValue(duty))?;
        let taken = if duty.kind == DutyType::InfoSync {
            let result = value.priorities()?;
            consensus.preferred.emit(&self.cx, Arc::new(result)).await
        } else {
            let set = UnsignedDataSet::from_proto(duty.kind, &value.set()?)
                .map_err(|reason| ConsensusError::Data { duty, reason })?;
            // What we fetched ourselves has been looked at.
            if let (Some(check), false) = (&consensus.check, self.own == Some(hash)) {
                check.decided(duty, &set, leader_name);
            }
            consensus.decided.emit(&self.cx, Arc::new(set)).await
        };
        if let Err(error) = taken {
            tracing::warn!(parent: &self.cx.span, %duty, %error, "decided data could not be taken over, the duty is lost here");
        }
        Ok(())
    }

    fn note(&mut self, trace: Trace) {
        let (duty, metrics) = (self.entry.duty, &self.consensus.parts.metrics);
        match trace {
            Trace::Fired { rule, round } => {
                tracing::debug!(parent: &self.cx.span, %duty, rule = rule.name(), round = round.0, "consensus rule");
            }
            Trace::RoundChanged { to, because, left } => {
                let [pre_prepare, prepare, commit, round_change] = left.steps();
                let reason = if because == Rule::Timeout {
                    left.reason()
                } else {
                    String::new()
                };
                tracing::debug!(
                    parent: &self.cx.span, %duty, round = to.0, rule = because.name(),
                    pre_prepare, prepare, commit, round_change, reason, "consensus round changed"
                );
                let (leader_index, leader_name) = self.leader(to);
                tracing::debug!(
                    target: TRACE, parent: &self.cx.span, round = left.round().0, new_round = to.0, leader_index, leader_name,
                    rule = because.name(), "Round Changed"
                );
                tracing::debug!(target: TRACE, parent: &self.cx.span, new_round = to.0);
                if because == Rule::Timeout && left.few_round_changes() {
                    self.few_round_changes = true;
                }
                if because == Rule::JustifiedDecided && (self.few_round_changes || left.few_round_changes()) {
                    metrics.few_round_changes(duty.kind, self.timer.kind().name(), "decided");
                }
            }
            Trace::Dropped {
                kind,
                source,
                round,
                reason,
            } => {
                metrics.dropped("unjustified");
                tracing::debug!(
                    parent: &self.cx.span, %duty, %kind, peer = source.0, round = round.0, %reason,
                    "unjustified consensus message dropped"
                );
            }
        }
    }

    /// Position and name of a round's leader.
    fn leader(&self, round: Round) -> (Option<u8>, &str) {
        let leader = self.params.leader(round).map(|p| p.0);
        let peer = leader.and_then(|leader| self.consensus.parts.net.peers().get(usize::from(leader)));
        (leader, peer.map_or("", |peer| peer.name.as_str()))
    }

    fn keep_sniffed(&mut self) {
        if let Some(sniffed) = self.sniffed.take() {
            self.consensus.sniffer.keep(sniffed);
        }
    }

    fn finish(mut self, end: Result<(), ConsensusError>) {
        self.keep_sniffed();
        let (consensus, duty, span) = (self.consensus, self.entry.duty, self.cx.span);
        let metrics = &consensus.parts.metrics;
        let outcome = match end {
            Err(error) => {
                metrics.failed();
                tracing::debug!(target: TRACE, parent: &span, error = %error, "qbft.Error");
                Err(error)
            }
            Ok(()) if self.decided => Ok(()),
            Ok(()) => {
                metrics.timed_out(duty.kind, self.timer.kind().name());
                if self.few_round_changes {
                    metrics.few_round_changes(duty.kind, self.timer.kind().name(), "timeout");
                }
                let (round, reason) = (self.instance.round().0, self.instance.report().reason());
                let meaning = if consensus.abstains(duty) {
                    "this node has just started and only listens in its first slots; it heard of no decision of the others"
                } else {
                    "nothing wrong was signed; the leader had nothing to propose, or peers were offline or slow"
                };
                tracing::warn!(
                    parent: &span, %duty, round, reason, meaning,
                    "consensus timeout: no decision until the duty's end, so it is not done here"
                );
                tracing::debug!(target: TRACE, parent: &span, round, reason, "qbft.Timeout");
                Err(ConsensusError::Timeout { duty, round, reason })
            }
        };
        self.entry.result.send_if_modified(|result| {
            let open = result.is_none();
            if open {
                *result = Some(outcome);
            }
            open
        });
        {
            let mut state = self.entry.state();
            state.ended = true;
            state.inbox.clear();
        }
        if consensus.is_over(duty) {
            consensus.entries().remove(&duty);
        }
    }
}
