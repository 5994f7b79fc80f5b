//! The world of one schedule: processes, network, time. A queue of events ordered by time, then by sequence.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use trireme_qbft::{
    Draft, Effect, Input, Instance, Kind, Msg, Nodes, Params, Process, Round, Signed, Trace, Value, Vote,
};

use crate::cast::{Heard, Role, Villain, Voice};

/// What is agreed on: process `i` proposes `Word(i)`, villains anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Word(pub(crate) u8);

/// Proof that the source cast the vote. Only this module makes one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seal(());

impl Value for Word {
    type Seal = Seal;
}

pub(crate) type M = Msg<Word>;
pub(crate) type S = Signed<Word>;

/// Milliseconds.
pub(crate) type Time = u64;

/// A process's own hand: it seals votes of this process only.
pub(crate) struct Hand(Process);

impl Hand {
    pub(crate) fn seal(&self, vote: Vote<Word>) -> S {
        assert_eq!(vote.source, self.0, "nobody can sign for another");
        Signed { vote, seal: Seal(()) }
    }
}

/// After this much calm every honest process must have decided.
const PATIENCE: Time = 150_000;

/// A schedule with more events than this does not end.
const MANY_EVENTS: u64 = 300_000;

/// Largest delay once the network is calm.
const CALM_DELAY: Time = 40;

enum Event {
    Start,
    Propose,
    Deliver(M),
    Timer { round: Round, generation: u64 },
    Tick,
}

struct Entry {
    at: Time,
    seq: u64,
    to: u8,
    event: Event,
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.seq).cmp(&(other.at, other.seq))
    }
}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Entry {}

struct Actor {
    instance: Instance<Word>,
    villain: Option<Box<dyn Villain>>,
    /// Votes seen, for villains to misuse.
    library: Vec<S>,
    known: BTreeSet<Vote<Word>>,
    generation: u64,
    crashed: bool,
    /// Events after which it crashes, and whether it comes back abstaining.
    crash: Option<(u64, bool)>,
    handled: u64,
    decided: Option<Word>,
    must_decide: bool,
}

/// What the network keeps from arriving in one round before it is calm, so that the round is almost decided.
#[derive(Clone, Copy)]
pub(crate) enum Squeeze {
    /// Nothing.
    Open,
    /// PREPAREs reach villains only: a value has its quorum, and no honest process knows.
    Unheard,
    /// COMMITs reach one honest process only, and its DECIDED nobody: it decides alone.
    Alone(u8),
    /// PREPAREs reach villains and, from this one on around the circle, only as many honest processes as with all
    /// villains make a quorum: these are bound to the value, the others are not.
    Few(u8),
    /// The proposal reaches villains only.
    Mute,
}

/// What the network does until it calms down.
struct Weather {
    calm_at: Time,
    loss: f64,
    delay: Time,
    /// In this time, processes in different groups do not hear each other.
    split: std::ops::Range<Time>,
    group: u16,
    /// By round, from the first.
    squeezes: Vec<Squeeze>,
}

pub(crate) struct World {
    nodes: Nodes,
    params: Params,
    rng: ChaCha8Rng,
    now: Time,
    seq: u64,
    queue: BinaryHeap<Reverse<Entry>>,
    actors: Vec<Actor>,
    weather: Weather,
    proposed: BTreeSet<Word>,
    record: Record,
    /// What an honest process should never have done.
    wrong: Option<String>,
    trace: Option<Vec<String>>,
}

/// What a schedule came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) decided: BTreeMap<u8, Word>,
    pub(crate) events: u64,
}

/// Runs the schedule of `seed`. On failure it is run again for its trace.
pub(crate) fn check(seed: u64, count: u8, roles: &dyn Fn(&mut ChaCha8Rng) -> Vec<Role>) -> Outcome {
    match World::new(seed, count, roles, false).run() {
        Ok(outcome) => outcome,
        Err((reason, _)) => {
            let trace = World::new(seed, count, roles, true)
                .run()
                .err()
                .map(|(_, t)| t)
                .unwrap_or_default();
            let last = trace.len().saturating_sub(400);
            panic!("{}\nseed {seed}, {count} processes: {reason}", trace[last..].join("\n"));
        }
    }
}

impl Weather {
    /// Loss, delay and a split, for some time.
    fn of(rng: &mut ChaCha8Rng) -> Self {
        let stormy = rng.random_bool(0.7);
        let calm_at = if stormy { rng.random_range(1..8_000) } else { 0 };
        Self {
            calm_at,
            loss: if rng.random_bool(0.5) {
                rng.random_range(0.0..0.5)
            } else {
                0.0
            },
            delay: *[50, 400, 1_500, 4_000].get(rng.random_range(0..4_usize)).unwrap(),
            split: {
                let (one, other) = (rng.random_range(0..=calm_at), rng.random_range(0..=calm_at));
                if rng.random_bool(0.5) {
                    one.min(other)..one.max(other)
                } else {
                    0..0
                }
            },
            group: rng.random(),
            squeezes: Vec::new(),
        }
    }

    /// Fast and without loss, but in the first rounds just that is missing which would make a decision known.
    fn almost_decided(rng: &mut ChaCha8Rng, count: u8) -> Self {
        // A leader that comes to its turn again, nobody in between, and a first round that binds some.
        let twice = rng.random_bool(0.3);
        let rounds = if twice { 4 } else { rng.random_range(1..6) };
        let squeezes = (0..rounds)
            .map(|n| match rng.random_range(0..12) {
                _ if twice && n > 0 => Squeeze::Mute,
                0..6 if twice => Squeeze::Few(rng.random_range(0..count)),
                _ if twice => Squeeze::Alone(rng.random_range(0..count)),
                0..4 => Squeeze::Unheard,
                4..8 => Squeeze::Alone(rng.random_range(0..count)),
                8..10 => Squeeze::Few(rng.random_range(0..count)),
                10 => Squeeze::Mute,
                _ => Squeeze::Open,
            })
            .collect();
        Self {
            calm_at: rng.random_range(4_000..12_000),
            loss: 0.0,
            delay: 50,
            split: 0..0,
            group: 0,
            squeezes,
        }
    }

    /// Whether the squeeze of its round keeps `vote` from an honest process.
    fn squeezed(&self, vote: &Vote<Word>, to: u8, nodes: Nodes) -> bool {
        let round = usize::try_from(vote.round.0 - 1).unwrap_or(usize::MAX);
        match self.squeezes.get(round) {
            None | Some(Squeeze::Open) => false,
            Some(Squeeze::Unheard) => vote.kind == Kind::Prepare,
            Some(Squeeze::Alone(lucky)) => match vote.kind {
                Kind::Commit => to != *lucky,
                Kind::Decided => true,
                Kind::PrePrepare | Kind::Prepare | Kind::RoundChange => false,
            },
            Some(Squeeze::Few(first)) => match vote.kind {
                Kind::Prepare => {
                    let place = (to + nodes.count() - first) % nodes.count();
                    usize::from(place) >= nodes.quorum() - nodes.faulty()
                }
                Kind::Commit | Kind::Decided => true,
                Kind::PrePrepare | Kind::RoundChange => false,
            },
            Some(Squeeze::Mute) => vote.kind == Kind::PrePrepare,
        }
    }
}

/// What honest processes have said, as far as safety hangs on it.
#[derive(Default)]
struct Record {
    /// By round and value, the honest processes that sent a PREPARE or a COMMIT.
    prepared: BTreeMap<(Round, Word), BTreeSet<u8>>,
    committed: BTreeMap<(Round, Word), BTreeSet<u8>>,
}

impl Record {
    /// Notes a vote of an honest process. An error if it supports a value although another one may have been decided
    /// in an earlier round: as many honest processes were bound to that as, with all villains, make a quorum.
    fn note(&mut self, vote: &Vote<Word>, nodes: Nodes) -> Result<(), String> {
        let (round, Some(value)) = (vote.round, vote.value) else {
            return Ok(());
        };
        let said = match vote.kind {
            Kind::Prepare => &mut self.prepared,
            Kind::Commit => &mut self.committed,
            Kind::PrePrepare | Kind::RoundChange | Kind::Decided => return Ok(()),
        };
        said.entry((round, value)).or_default().insert(vote.source.0);
        let bound = self.committed.range(..(round, Word(0)));
        for ((earlier, other), processes) in bound {
            if *other != value && processes.len() >= nodes.quorum() - nodes.faulty() {
                return Err(format!(
                    "process {} supports {value:?} in round {round} although {other:?} may be decided in round {earlier}",
                    vote.source
                ));
            }
        }
        Ok(())
    }

    /// Whether a quorum can have supported what a believed ROUND-CHANGE claims.
    fn believable(&self, claim: &Vote<Word>, nodes: Nodes) -> bool {
        let (Some(round), Some(value)) = (claim.prepared_round, claim.prepared_value) else {
            return claim.nothing_prepared();
        };
        let honest = self.prepared.get(&(round, value)).map_or(0, BTreeSet::len);
        honest >= nodes.quorum() - nodes.faulty()
    }
}

impl World {
    pub(crate) fn new(seed: u64, count: u8, roles: &dyn Fn(&mut ChaCha8Rng) -> Vec<Role>, traced: bool) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let nodes = Nodes::new(count).unwrap();
        let params = Params {
            nodes,
            leader_offset: rng.random_range(0..1000),
            compare: false,
            abstain: false,
        };
        let weather = if rng.random_bool(0.3) {
            Weather::almost_decided(&mut rng, count)
        } else {
            Weather::of(&mut rng)
        };
        let roles = roles(&mut rng);
        assert_eq!(roles.len(), usize::from(count));
        let mut world = Self {
            nodes,
            params,
            now: 0,
            seq: 0,
            queue: BinaryHeap::new(),
            actors: Vec::new(),
            weather,
            proposed: BTreeSet::new(),
            record: Record::default(),
            wrong: None,
            trace: traced.then(Vec::new),
            rng,
        };
        for (me, role) in (0..count).zip(roles) {
            world.add(me, role);
        }
        world
    }

    fn add(&mut self, me: u8, role: Role) {
        let late = self.rng.random_bool(0.3);
        let start = if late { self.rng.random_range(0..2_000) } else { 0 };
        let value = self.rng.random_range(0..1_500_u64);
        let (mut villain, mut crash, mut must_decide) = (None, None, true);
        match role {
            Role::Honest => {}
            Role::Villain(v) => (villain, must_decide) = (Some(v), false),
            Role::Crashes { after, returns } => (crash, must_decide) = (Some((after, returns)), false),
        }
        if villain.is_some() {
            for tick in 0..24 {
                let jitter = self.rng.random_range(0..400);
                self.push(tick * 400 + jitter, me, Event::Tick);
            }
        }
        self.actors.push(Actor {
            instance: Instance::new(self.params, Process(me)),
            villain,
            library: Vec::new(),
            known: BTreeSet::new(),
            generation: 0,
            crashed: false,
            crash,
            handled: 0,
            decided: None,
            must_decide,
        });
        self.push(start, me, Event::Start);
        self.push(start.max(value), me, Event::Propose);
    }

    fn push(&mut self, at: Time, to: u8, event: Event) {
        self.seq += 1;
        self.queue.push(Reverse(Entry {
            at,
            seq: self.seq,
            to,
            event,
        }));
    }

    pub(crate) fn run(mut self) -> Result<Outcome, (String, Vec<String>)> {
        let end = self.weather.calm_at + PATIENCE;
        let mut events = 0;
        let mut waiting = self.actors.iter().filter(|a| a.must_decide).count();
        let mut failed = None;
        while let Some(Reverse(Entry { at, to, event, .. })) = self.queue.pop() {
            self.now = at;
            if at > end {
                break;
            }
            events += 1;
            if events > MANY_EVENTS {
                break;
            }
            let before = self.actors[usize::from(to)].decided;
            self.handle(to, event);
            if self.wrong.is_some() {
                failed = self.wrong.take();
                break;
            }
            let actor = &self.actors[usize::from(to)];
            if before.is_none() && actor.decided.is_some() {
                if let Err(reason) = self.judge(to) {
                    failed = Some(reason);
                    break;
                }
                waiting -= usize::from(self.actors[usize::from(to)].must_decide);
                if waiting == 0 {
                    break;
                }
            }
        }
        let trace = self.trace.take().unwrap_or_default();
        if let Some(reason) = failed {
            return Err((reason, trace));
        }
        if waiting > 0 {
            let late = (0_u8..)
                .zip(&self.actors)
                .filter(|(_, a)| a.must_decide && a.decided.is_none());
            return Err((
                format!("no decision at {:?}", late.map(|(i, _)| i).collect::<Vec<_>>()),
                trace,
            ));
        }
        let decided = (0_u8..).zip(&self.actors).filter(|(_, a)| a.villain.is_none());
        Ok(Outcome {
            decided: decided.filter_map(|(i, a)| Some((i, a.decided?))).collect(),
            events,
        })
    }

    /// Agreement and validity of the decision that `who` has just made.
    fn judge(&self, who: u8) -> Result<(), String> {
        let value = self.actors[usize::from(who)].decided.unwrap();
        if self.actors[usize::from(who)].villain.is_some() {
            return Ok(());
        }
        for (other, actor) in (0_u8..).zip(&self.actors).filter(|(_, a)| a.villain.is_none()) {
            if actor.decided.is_some_and(|d| d != value) {
                return Err(format!(
                    "process {who} decided {value:?}, process {other} {:?}",
                    actor.decided
                ));
            }
        }
        if self.proposed.contains(&value) {
            Ok(())
        } else {
            Err(format!("nobody proposed {value:?}"))
        }
    }

    fn handle(&mut self, to: u8, event: Event) {
        let actor = &mut self.actors[usize::from(to)];
        if actor.crashed {
            return;
        }
        actor.handled += 1;
        if let Some((after, returns)) = actor.crash
            && actor.handled > after
        {
            actor.crash = None;
            actor.generation += 1;
            actor.crashed = !returns;
            self.note(|| format!("{to} crashes, returns: {returns}"));
            if returns {
                let params = Params {
                    abstain: true,
                    ..self.params
                };
                self.actors[usize::from(to)].instance = Instance::new(params, Process(to));
                self.push(self.now + 1, to, Event::Start);
            }
            return;
        }
        match event {
            Event::Start => self.step(to, Input::Start),
            Event::Propose => {
                self.proposed.insert(Word(to));
                self.step(to, Input::Propose(Word(to)));
            }
            Event::Deliver(msg) => {
                self.learn(to, &msg);
                self.misbehave(to, &Heard::Message(&msg));
                self.step(to, Input::Message(msg));
            }
            Event::Timer { round, generation } => {
                if actor.generation == generation {
                    self.step(to, Input::Timeout { round });
                }
            }
            Event::Tick => self.misbehave(to, &Heard::Tick),
        }
    }

    fn step(&mut self, me: u8, input: Input<Word>) {
        // A process hands its own messages back to itself before anything else happens.
        let mut inputs = std::collections::VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            self.note(|| format!("{me} <- {}", describe(&input)));
            let claim = match &input {
                Input::Message(m) if m.signed.vote.kind == Kind::RoundChange => Some(m.signed.vote),
                Input::Message(_)
                | Input::Start
                | Input::Propose(_)
                | Input::Timeout { .. }
                | Input::Compared { .. } => None,
            };
            let actor = &mut self.actors[usize::from(me)];
            let listens = actor.villain.is_none() && actor.instance.decision().is_none();
            let effects = actor.instance.step(input);
            if let Some(claim) = claim.filter(|_| listens)
                && !effects.iter().any(|e| matches!(e, Effect::Note(Trace::Dropped { .. })))
                && !self.record.believable(&claim, self.nodes)
            {
                self.wrong = Some(format!("process {me} believes a lock that nobody can have: {claim:?}"));
            }
            for effect in effects {
                match effect {
                    Effect::Broadcast(draft) => {
                        let msg = draft.clone().sealed(Seal(()));
                        self.learn(me, &msg);
                        self.speak(me, &draft, &msg);
                        inputs.push_back(Input::Message(msg));
                    }
                    Effect::SetTimer { round } => {
                        let actor = &mut self.actors[usize::from(me)];
                        actor.generation += 1;
                        let generation = actor.generation;
                        let at = self.now + 750 + 250 * round.0.min(1_000);
                        self.push(at, me, Event::Timer { round, generation });
                    }
                    Effect::StopTimer => self.actors[usize::from(me)].generation += 1,
                    Effect::Decide { value, round, commits } => {
                        let actor = &mut self.actors[usize::from(me)];
                        assert!(actor.decided.is_none() || actor.crash.is_none(), "decided twice");
                        assert!(commits.len() >= self.nodes.quorum());
                        assert!(commits.iter().all(|s| {
                            (s.vote.kind, s.vote.value, s.vote.round) == (Kind::Commit, Some(value), round)
                        }));
                        actor.decided = actor.decided.or(Some(value));
                        self.note(|| format!("{me} DECIDES {value:?} in round {round}"));
                    }
                    Effect::Compare { .. } => unreachable!("comparison is off"),
                    Effect::Note(note) => self.note(|| format!("{me} .. {note:?}")),
                }
            }
        }
    }

    /// An honest process says what its instance says; a villain whatever it likes.
    fn speak(&mut self, me: u8, draft: &Draft<Word>, msg: &M) {
        if self.actors[usize::from(me)].villain.is_some() {
            self.misbehave(me, &Heard::Draft(draft));
        } else {
            if let Err(reason) = self.record.note(&draft.vote, self.nodes) {
                self.wrong = Some(reason);
            }
            for to in self.nodes.all().filter(|p| p.0 != me) {
                self.send(me, to.0, msg.clone(), 0);
            }
        }
    }

    fn misbehave(&mut self, me: u8, heard: &Heard<'_>) {
        let actor = &mut self.actors[usize::from(me)];
        let Some(mut villain) = actor.villain.take() else {
            return;
        };
        let mut voice = Voice {
            me: Process(me),
            params: self.params,
            round: actor.instance.round(),
            hand: Hand(Process(me)),
            rng: &mut self.rng,
            library: &actor.library,
            outbox: Vec::new(),
        };
        villain.react(&mut voice, heard);
        let outbox = std::mem::take(&mut voice.outbox);
        self.actors[usize::from(me)].villain = Some(villain);
        for (to, msg, hold) in outbox {
            if msg.signed.vote.source.0 == me
                && msg.signed.vote.kind == Kind::PrePrepare
                && let Some(value) = msg.signed.vote.value
            {
                self.proposed.insert(value);
            }
            self.send(me, to.0, msg, hold);
        }
    }

    fn send(&mut self, from: u8, to: u8, msg: M, hold: Time) {
        let weather = &self.weather;
        let side = |p: u8| weather.group >> (p & 15) & 1;
        let calm = self.now >= weather.calm_at;
        // Villains are well connected: they hear everything early and are heard by everyone.
        let villainous = [from, to]
            .iter()
            .any(|p| self.actors[usize::from(*p)].villain.is_some());
        let split = weather.split.contains(&self.now) && side(from) != side(to);
        if !calm && !villainous && (self.rng.random_bool(weather.loss) || split) {
            return;
        }
        // What a villain sends is never kept back, only what reaches it besides.
        if !calm && !villainous && weather.squeezed(&msg.signed.vote, to, self.nodes) {
            return;
        }
        let limit = if calm || villainous { CALM_DELAY } else { weather.delay };
        let at = self.now + hold + self.rng.random_range(1..=limit);
        self.push(at, to, Event::Deliver(msg));
    }

    fn learn(&mut self, me: u8, msg: &M) {
        let actor = &mut self.actors[usize::from(me)];
        if actor.villain.is_none() {
            return;
        }
        for signed in std::iter::once(&msg.signed).chain(msg.justification.iter()) {
            if actor.known.insert(signed.vote) {
                actor.library.push(signed.clone());
            }
        }
    }

    fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>6} {}", self.now, line()));
        }
    }
}

fn describe(input: &Input<Word>) -> String {
    match input {
        Input::Message(m) => {
            let v = &m.signed.vote;
            let lock = v
                .prepared_round
                .map(|r| format!(" lock {:?}@{r}", v.prepared_value))
                .unwrap_or_default();
            let shown: Vec<String> = m
                .justification
                .iter()
                .map(|s| format!("{}/{}@{}:{:?}", s.vote.kind, s.vote.source, s.vote.round, s.vote.value))
                .collect();
            format!(
                "{} of {} in round {}: {:?}{lock} {}",
                v.kind,
                v.source,
                v.round,
                v.value,
                shown.join(" ")
            )
        }
        Input::Start | Input::Propose(_) | Input::Timeout { .. } | Input::Compared { .. } => format!("{input:?}"),
    }
}
