//! The state machine: what a process does upon each event.
//!
//! Every `upon_…` function is one rule of the table in the crate's documentation: its condition, then its action. A
//! rule fires once per round; coming to another round makes all rules fire anew.

use std::sync::Arc;

use crate::{
    buffer::Buffer,
    justify::{self, Context, Unjustified, commits, highest_lock_is, is_prepare, uniform_prepares},
    message::{Draft, Kind, Msg, Process, Round, Signed, Value, Vote},
    quorum::{Nodes, Senders},
    report::RoundReport,
};

/// How often one peer that is late is answered with the decision.
pub const DECIDED_RESENDS: u8 = 16;

/// What an instance is about and how it takes part.
#[derive(Debug, Clone, Copy)]
pub struct Params {
    /// The processes.
    pub nodes: Nodes,
    /// The leader of round `r` is process `(leader_offset + r) mod n`, in signed 64-bit arithmetic as on the wire.
    pub leader_offset: i64,
    /// Whether to ask for [`Effect::Compare`] before supporting a proposal.
    pub compare: bool,
    /// Whether to send nothing and only learn the decision, as a process must that may have voted before a restart.
    pub abstain: bool,
}

impl Params {
    /// The leader of `round`; `None` where the arithmetic leaves the range of processes.
    #[must_use]
    pub fn leader(&self, round: Round) -> Option<Process> {
        let round = i64::try_from(round.0).ok()?;
        let sum = self.leader_offset.wrapping_add(round);
        u8::try_from(sum.checked_rem(i64::from(self.nodes.count()))?)
            .ok()
            .map(Process)
    }
}

/// What happened.
#[derive(Debug, Clone)]
pub enum Input<V: Value> {
    /// The instance begins. Once, before anything else that should have an effect.
    Start,
    /// Our own proposal is known. The first counts.
    Propose(V),
    /// A verified message of anyone, our own included.
    Message(Msg<V>),
    /// The timer of this round expired.
    Timeout {
        /// The round that the timer was set for.
        round: Round,
    },
    /// The answer to [`Effect::Compare`].
    Compared {
        /// The round of the question.
        round: Round,
        /// Whether our own data agrees with the proposal.
        agrees: bool,
    },
}

/// What must be done, in order.
#[derive(Debug, Clone)]
pub enum Effect<V: Value> {
    /// Seal the message, send it to all others, and hand it back as [`Input::Message`].
    Broadcast(Draft<V>),
    /// Stop any timer and run that of `round`. Setting the same round again means that a proposal was accepted in it.
    SetTimer {
        /// The round.
        round: Round,
    },
    /// Stop the timer.
    StopTimer,
    /// Compare the proposal with our own data and answer with [`Input::Compared`].
    Compare {
        /// The round of the proposal.
        round: Round,
        /// The proposal.
        value: V,
    },
    /// The decision. Exactly once.
    Decide {
        /// What was decided.
        value: V,
        /// In which round.
        round: Round,
        /// The COMMITs that decided it, one per process, at least a quorum.
        commits: Arc<[Signed<V>]>,
    },
    /// Something to log or count.
    Note(Trace),
}

/// The effects of one step. Empty without allocation in most steps.
pub type Effects<V> = Vec<Effect<V>>;

/// The rules that messages trigger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is explained in the table of the crate's documentation")]
pub enum Rule {
    JustifiedPrePrepare,
    QuorumPrepares,
    QuorumCommits,
    FPlus1RoundChanges,
    QuorumRoundChanges,
    UnjustQuorumRoundChanges,
    JustifiedDecided,
    Timeout,
}

impl Rule {
    /// The name in logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::JustifiedPrePrepare => "justified_pre_prepare",
            Self::QuorumPrepares => "quorum_prepares",
            Self::QuorumCommits => "quorum_commits",
            Self::FPlus1RoundChanges => "f_plus_1_round_changes",
            Self::QuorumRoundChanges => "quorum_round_changes",
            Self::UnjustQuorumRoundChanges => "unjust_quorum_round_changes",
            Self::JustifiedDecided => "justified_decided",
            Self::Timeout => "round_timeout",
        }
    }
}

/// What happened inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trace {
    /// A rule fired.
    Fired {
        /// The rule.
        rule: Rule,
        /// The round of the message that made it fire.
        round: Round,
    },
    /// The process left a round.
    RoundChanged {
        /// The round now.
        to: Round,
        /// Why.
        because: Rule,
        /// Who was heard in the round that was left.
        left: RoundReport,
    },
    /// A message was dropped.
    Dropped {
        /// Its kind.
        kind: Kind,
        /// Its sender.
        source: Process,
        /// Its round.
        round: Round,
        /// Why.
        reason: Unjustified,
    },
}

/// The value this process is bound to: a quorum of PREPAREs it has seen.
#[derive(Debug, Clone)]
struct Lock<V: Value> {
    round: Round,
    value: V,
    prepares: Arc<[Signed<V>]>,
}

/// How often a peer was told the decision, and for which round last.
#[derive(Debug, Clone, Copy, Default)]
struct Served {
    round: Option<Round>,
    count: u8,
}

/// One instance at one process.
#[derive(Debug)]
pub struct Instance<V: Value> {
    params: Params,
    me: Process,
    round: Round,
    /// Our own proposal.
    input: Option<V>,
    /// The justification of a proposal that waits for `input`.
    turn: Option<Arc<[Signed<V>]>>,
    lock: Option<Lock<V>>,
    /// The proposal whose comparison is awaited.
    comparing: Option<(Round, V)>,
    compare_failed: Option<Round>,
    decided: Option<(V, Arc<[Signed<V>]>)>,
    buffer: Buffer<V>,
    /// Rules that have fired since the last change of round, with the round of their message.
    fired: Vec<(Rule, Round)>,
    /// By process.
    served: Vec<Served>,
}

impl<V: Value> Instance<V> {
    /// An instance that has seen nothing.
    #[must_use]
    pub fn new(params: Params, me: Process) -> Self {
        Self {
            params,
            me,
            round: Round::FIRST,
            input: None,
            turn: None,
            lock: None,
            comparing: None,
            compare_failed: None,
            decided: None,
            buffer: Buffer::new(params.nodes),
            fired: Vec::with_capacity(8),
            served: vec![Served::default(); usize::from(params.nodes.count())],
        }
    }

    /// The round now.
    #[must_use]
    pub const fn round(&self) -> Round {
        self.round
    }

    /// The decision, if there is one.
    #[must_use]
    pub fn decision(&self) -> Option<V> {
        self.decided.as_ref().map(|(value, _)| *value)
    }

    /// Who was heard in the present round.
    #[must_use]
    pub fn report(&self) -> RoundReport {
        let round = self.round;
        RoundReport::collect(self.params.nodes, round, self.params.leader(round), |k| {
            self.buffer.senders_of(k, round)
        })
    }

    /// Whether a message with this vote could still have an effect. What is not wanted need not be verified.
    #[must_use]
    pub fn wants(&self, vote: &Vote<V>) -> bool {
        if self.decided.is_some() {
            return vote.kind == Kind::RoundChange && self.may_serve(vote);
        }
        match vote.kind {
            Kind::PrePrepare => vote.round >= self.round && !self.has_fired(Rule::JustifiedPrePrepare, vote.round),
            // Once locked, more support for the same round says nothing new.
            Kind::Prepare => !(vote.round == self.round && self.has_fired(Rule::QuorumPrepares, vote.round)),
            Kind::RoundChange => vote.round >= self.round,
            Kind::Commit | Kind::Decided => true,
        }
    }

    /// Takes one input and says what to do about it.
    pub fn step(&mut self, input: Input<V>) -> Effects<V> {
        let mut fx = Effects::new();
        match input {
            Input::Start => self.upon_start(&mut fx),
            Input::Propose(value) => self.upon_own_value(value, &mut fx),
            Input::Message(msg) => self.upon_message(&msg, &mut fx),
            Input::Timeout { round } => self.upon_timeout(round, &mut fx),
            Input::Compared { round, agrees } => self.upon_compared(round, agrees, &mut fx),
        }
        fx
    }

    // === Rules without a message

    /// 1:11. The leader of round 1 proposes; everyone's timer runs.
    fn upon_start(&mut self, fx: &mut Effects<V>) {
        if self.params.leader(Round::FIRST) == Some(self.me) {
            self.propose_own(Arc::default(), fx);
        }
        fx.push(Effect::SetTimer { round: self.round });
    }

    /// 1:11, later: our own value has come, and perhaps it was waited for.
    fn upon_own_value(&mut self, value: V, fx: &mut Effects<V>) {
        if self.input.is_some() || self.decided.is_some() {
            return;
        }
        self.input = Some(value);
        if let Some(justification) = self.turn.take() {
            self.propose(value, justification, fx);
        }
    }

    /// 3:1. The round took too long: come to the next one and say what we are bound to.
    fn upon_timeout(&mut self, round: Round, fx: &mut Effects<V>) {
        if round != self.round || self.decided.is_some() {
            return;
        }
        self.change_round(round.next(), Rule::Timeout, fx);
        fx.push(Effect::SetTimer { round: self.round });
        self.broadcast_round_change(fx);
    }

    /// 2:1, continued: our own data agrees with the proposal, or it does not.
    fn upon_compared(&mut self, round: Round, agrees: bool, fx: &mut Effects<V>) {
        if self.decided.is_some() || self.round != round {
            return;
        }
        let Some((_, value)) = self.comparing.take_if(|(asked, _)| *asked == round) else {
            return;
        };
        if agrees {
            self.vote(Kind::Prepare, Some(value), fx);
        } else {
            self.compare_failed = Some(round);
        }
    }

    // === Rules upon messages

    fn upon_message(&mut self, msg: &Msg<V>, fx: &mut Effects<V>) {
        let vote = &msg.signed.vote;
        let known = |s: &Signed<V>| self.params.nodes.has(s.vote.source);
        if !known(&msg.signed) || !msg.justification.iter().all(known) {
            return;
        }
        if self.decided.is_some() {
            self.upon_late_round_change(vote, fx);
            return;
        }
        let cx = Context {
            nodes: self.params.nodes,
            leader: self.params.leader(vote.round),
            compare_failed: self.compare_failed,
        };
        if let Err(reason) = justify::check(msg, cx) {
            let dropped = Trace::Dropped {
                kind: vote.kind,
                source: vote.source,
                round: vote.round,
                reason,
            };
            fx.push(Effect::Note(dropped));
            return;
        }
        self.buffer.insert(msg);
        match vote.kind {
            Kind::PrePrepare => self.upon_justified_pre_prepare(vote, fx),
            Kind::Prepare => self.upon_quorum_prepares(vote, fx),
            Kind::Commit => self.upon_quorum_commits(vote, fx),
            Kind::RoundChange if vote.round > self.round => self.upon_f_plus_1_round_changes(vote, fx),
            Kind::RoundChange => self.upon_quorum_round_changes(vote, fx),
            Kind::Decided => self.upon_justified_decided(msg, fx),
        }
    }

    /// 2:1. A justified proposal for this round or a later one: come to its round and support it, once per round.
    fn upon_justified_pre_prepare(&mut self, vote: &Vote<V>, fx: &mut Effects<V>) {
        let Some(value) = vote.value else { return };
        if vote.round < self.round || !self.fire(Rule::JustifiedPrePrepare, vote.round, fx) {
            return;
        }
        self.change_round(vote.round, Rule::JustifiedPrePrepare, fx);
        // Again after the change of round has cleared it: an equivocating leader's second proposal gets no support.
        self.mark(Rule::JustifiedPrePrepare, vote.round);
        fx.push(Effect::SetTimer { round: self.round });
        if self.params.compare {
            self.comparing = Some((self.round, value));
            fx.push(Effect::Compare {
                round: self.round,
                value,
            });
        } else {
            self.vote(Kind::Prepare, Some(value), fx);
        }
    }

    /// 2:4. A quorum supports a value in this round: we are bound to it and say so.
    fn upon_quorum_prepares(&mut self, vote: &Vote<V>, fx: &mut Effects<V>) {
        let (round, Some(value)) = (vote.round, vote.value) else {
            return;
        };
        let wanted = |v: &Vote<V>| is_prepare(v, round, value);
        if round != self.round
            || self.has_fired(Rule::QuorumPrepares, round)
            || !self.buffer.has(self.params.nodes.quorum(), wanted)
            || !self.fire(Rule::QuorumPrepares, round, fx)
        {
            return;
        }
        let prepares = self.buffer.one_each(wanted).cloned().collect();
        self.lock = Some(Lock { round, value, prepares });
        self.vote(Kind::Commit, Some(value), fx);
    }

    /// 2:8. A quorum is bound to a value in one round: it is decided, whichever round we are in.
    fn upon_quorum_commits(&mut self, vote: &Vote<V>, fx: &mut Effects<V>) {
        let (round, Some(value)) = (vote.round, vote.value) else {
            return;
        };
        if !self
            .buffer
            .has(self.params.nodes.quorum(), |v| justify::is_commit(v, round, value))
            || !self.fire(Rule::QuorumCommits, round, fx)
        {
            return;
        }
        let quorum = commits(self.buffer.votes(), round, value).cloned().collect();
        self.decide(Rule::QuorumCommits, round, value, quorum, fx);
    }

    /// 3:17, the receiving side: someone shows us the quorum of COMMITs.
    fn upon_justified_decided(&mut self, msg: &Msg<V>, fx: &mut Effects<V>) {
        let (round, Some(value)) = (msg.signed.vote.round, msg.signed.vote.value) else {
            return;
        };
        if self.fire(Rule::JustifiedDecided, round, fx) {
            let quorum = commits(msg.justification.iter(), round, value).cloned().collect();
            self.decide(Rule::JustifiedDecided, round, value, quorum, fx);
        }
    }

    /// 3:5. More processes than can be faulty are in later rounds: come to the lowest of these.
    fn upon_f_plus_1_round_changes(&mut self, vote: &Vote<V>, fx: &mut Effects<V>) {
        let Some(lowest) = self.lowest_of_f_plus_1_later_rounds() else {
            return;
        };
        if !self.fire(Rule::FPlus1RoundChanges, vote.round, fx) {
            return;
        }
        self.change_round(lowest, Rule::FPlus1RoundChanges, fx);
        fx.push(Effect::SetTimer { round: self.round });
        self.broadcast_round_change(fx);
    }

    /// 3:11. A quorum has come to this round and it is our turn: propose the highest lock shown, else our own value.
    fn upon_quorum_round_changes(&mut self, vote: &Vote<V>, fx: &mut Effects<V>) {
        let round = vote.round;
        let here = |v: &Vote<V>| v.kind == Kind::RoundChange && v.round == round;
        if round != self.round
            || self.has_fired(Rule::QuorumRoundChanges, round)
            || !self.buffer.has(self.params.nodes.quorum(), here)
        {
            return;
        }
        let Some(justification) = self.justified_round_changes(round) else {
            self.fire(Rule::UnjustQuorumRoundChanges, round, fx);
            return;
        };
        if self.params.leader(round) != Some(self.me) || !self.fire(Rule::QuorumRoundChanges, round, fx) {
            return;
        }
        match uniform_prepares(&justification, self.params.nodes) {
            Some((locked, value)) if Some(locked) != self.compare_failed => self.propose(value, justification, fx),
            Some(_) | None => self.propose_own(justification, fx),
        }
    }

    /// 3:17. After deciding: whoever still changes rounds is told the decision, within limits.
    fn upon_late_round_change(&mut self, vote: &Vote<V>, fx: &mut Effects<V>) {
        if vote.kind != Kind::RoundChange || !self.may_serve(vote) {
            return;
        }
        let Some((value, commits)) = self.decided.clone() else {
            return;
        };
        if let Some(served) = self.served.get_mut(usize::from(vote.source.0)) {
            *served = Served {
                round: Some(vote.round),
                count: served.count.saturating_add(1),
            };
        }
        let said = self.plain(Kind::Decided, Some(value));
        self.broadcast(
            Draft {
                vote: said,
                justification: commits,
            },
            fx,
        );
    }

    // === Pieces of rules

    /// The lowest round among the first `f + 1` senders found in rounds above ours, each with its highest.
    fn lowest_of_f_plus_1_later_rounds(&self) -> Option<Round> {
        let needed = self.params.nodes.faulty().saturating_add(1);
        let mut seen = Senders::default();
        let mut lowest: Option<Round> = None;
        for process in self.params.nodes.all() {
            let later = self
                .buffer
                .votes()
                .map(|s| &s.vote)
                .filter(|v| v.source == process && v.kind == Kind::RoundChange && v.round > self.round)
                .map(|v| v.round)
                .max();
            if let Some(round) = later {
                seen.insert(process);
                lowest = Some(lowest.map_or(round, |l| l.min(round)));
                if seen.count() == needed {
                    return lowest;
                }
            }
        }
        None
    }

    /// What justifies a proposal in `round`: a quorum of ROUND-CHANGEs without a lock, or a quorum whose highest lock
    /// is proven by a quorum of PREPAREs, which follow.
    fn justified_round_changes(&self, round: Round) -> Option<Arc<[Signed<V>]>> {
        let quorum = self.params.nodes.quorum();
        let here = move |v: &Vote<V>| v.kind == Kind::RoundChange && v.round == round;
        let free = move |v: &Vote<V>| here(v) && v.nothing_prepared();
        if self.buffer.has(quorum, free) {
            return Some(self.buffer.one_each(free).cloned().collect());
        }
        let mut locks: Vec<(Round, V)> = self
            .buffer
            .votes()
            .filter(|s| here(&s.vote))
            .filter_map(|s| Some((s.vote.prepared_round?, s.vote.prepared_value?)))
            .collect();
        locks.sort_unstable_by(|a, b| b.cmp(a));
        locks.dedup();
        locks.into_iter().find_map(|(locked, value)| {
            let prepare = move |v: &Vote<V>| is_prepare(v, locked, value);
            let below = move |v: &Vote<V>| here(v) && v.prepared_round <= Some(locked);
            let mut changes: Vec<Signed<V>> = self.buffer.one_each(below).cloned().collect();
            let proven = changes.len() >= quorum
                && highest_lock_is(changes.iter().map(|s| &s.vote), locked, value)
                && self.buffer.has(quorum, prepare);
            proven.then(|| {
                changes.extend(self.buffer.one_each(prepare).cloned());
                changes.into()
            })
        })
    }

    fn decide(&mut self, rule: Rule, round: Round, value: V, commits: Arc<[Signed<V>]>, fx: &mut Effects<V>) {
        self.change_round(round, rule, fx);
        self.decided = Some((value, Arc::clone(&commits)));
        fx.push(Effect::StopTimer);
        // Whoever is shown the decision before the PREPAREs still owes the others its COMMIT: a quorum may need every
        // honest one, and a liar's COMMIT may have come to us alone. It is as safe as one upon PREPAREs, since more than
        // `f` honest processes are bound to the value.
        if self.lock.as_ref().is_none_or(|lock| lock.round != round) {
            self.vote(Kind::Commit, Some(value), fx);
        }
        fx.push(Effect::Decide { value, round, commits });
    }

    fn change_round(&mut self, to: Round, because: Rule, fx: &mut Effects<V>) {
        if to == self.round {
            return;
        }
        fx.push(Effect::Note(Trace::RoundChanged {
            to,
            because,
            left: self.report(),
        }));
        self.round = to;
        self.fired.clear();
        self.turn = None;
        self.comparing = None;
    }

    /// Whether a peer that is late may be told the decision (again).
    fn may_serve(&self, vote: &Vote<V>) -> bool {
        let served = self.served.get(usize::from(vote.source.0)).copied().unwrap_or_default();
        vote.source != self.me && Some(vote.round) > served.round && served.count < DECIDED_RESENDS
    }

    fn has_fired(&self, rule: Rule, round: Round) -> bool {
        self.fired.contains(&(rule, round))
    }

    fn mark(&mut self, rule: Rule, round: Round) {
        if !self.has_fired(rule, round) {
            self.fired.push((rule, round));
        }
    }

    /// Notes that a rule fires; `false` if it has fired before.
    fn fire(&mut self, rule: Rule, round: Round, fx: &mut Effects<V>) -> bool {
        if self.has_fired(rule, round) {
            return false;
        }
        self.mark(rule, round);
        fx.push(Effect::Note(Trace::Fired { rule, round }));
        true
    }

    // === Sending

    /// Proposes our own value, now or when it comes.
    fn propose_own(&mut self, justification: Arc<[Signed<V>]>, fx: &mut Effects<V>) {
        match self.input {
            Some(value) => self.propose(value, justification, fx),
            None => self.turn = Some(justification),
        }
    }

    fn propose(&mut self, value: V, justification: Arc<[Signed<V>]>, fx: &mut Effects<V>) {
        let vote = self.plain(Kind::PrePrepare, Some(value));
        self.broadcast(Draft { vote, justification }, fx);
    }

    fn vote(&mut self, kind: Kind, value: Option<V>, fx: &mut Effects<V>) {
        let vote = self.plain(kind, value);
        self.broadcast(
            Draft {
                vote,
                justification: Arc::default(),
            },
            fx,
        );
    }

    fn broadcast_round_change(&mut self, fx: &mut Effects<V>) {
        let mut vote = self.plain(Kind::RoundChange, None);
        let mut justification = Arc::default();
        if let Some(lock) = &self.lock {
            vote.prepared_round = Some(lock.round);
            vote.prepared_value = Some(lock.value);
            justification = Arc::clone(&lock.prepares);
        }
        self.broadcast(Draft { vote, justification }, fx);
    }

    const fn plain(&self, kind: Kind, value: Option<V>) -> Vote<V> {
        Vote {
            kind,
            source: self.me,
            round: self.round,
            value,
            prepared_round: None,
            prepared_value: None,
        }
    }

    fn broadcast(&self, draft: Draft<V>, fx: &mut Effects<V>) {
        if !self.params.abstain {
            fx.push(Effect::Broadcast(draft));
        }
    }
}

#[cfg(test)]
mod tests;
