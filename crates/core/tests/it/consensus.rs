//! Four nodes agree over a network, in virtual time: leaders that are down, restarts, loud and lying peers.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::future::BoxFuture;
use prometheus_client::registry::Registry;
use trireme_core::{
    Duty, DutyType, PeerIdx, UnixTime,
    compute::Inline,
    consensus::{
        ClusterValues, Consensus, ConsensusConfig, ConsensusError, ConsensusMetrics, ConsensusParts, NotTaken,
        PER_PEER, PROTOCOL,
        hash::ValueHash,
        leader,
        receive::{Refusal, Signers, open},
        wire::{Carried, frame, seal},
    },
    data::{UnsignedData, UnsignedDataSet},
    definitions::DutyDefinitionSet,
    fees::{BlockSource, FeeMismatches},
    gate::DutyGate,
    heads::SharedHeads,
    life::Life,
    ports::{Clock, Handler, Inbound, NetError, Peer, PeerNet, ProtocolId, ServeGuard},
    step::{StepError, StepName},
    validators::ValidatorCache,
};
use trireme_eth2::{Root, Slot};
use trireme_keys::{IdentityKey, PeerId};
use trireme_qbft::{Kind, Msg, Nodes, Process, Round, Signed, Vote};

use crate::{
    fakes::{
        Captured, Known, SimClock,
        beacon::FakeBeacon,
        chain, cluster, cx_source, fees, key as validator,
        net::{self, Hub},
        policy, timing,
    },
    workflow::{SPE, block, block_on, decided as data},
};

/// Long after the start of every node.
const DUTY: Duty = Duty::new(Slot(9), DutyType::Attester);

fn key(node: u8) -> IdentityKey {
    IdentityKey::from_bytes(&[node + 1; 32]).unwrap()
}

struct Node {
    consensus: Arc<Consensus>,
    heard: Arc<Captured<UnsignedDataSet>>,
    life: Life,
    _serves: ServeGuard,
}

/// A node's network that counts what it sends.
struct Counted {
    inner: Arc<net::Node>,
    sent: Arc<AtomicUsize>,
}

impl PeerNet for Counted {
    fn me(&self) -> PeerIdx {
        self.inner.me()
    }

    fn peers(&self) -> &[Peer] {
        self.inner.peers()
    }

    fn send(&self, to: PeerIdx, proto: ProtocolId, msg: Bytes) -> BoxFuture<'_, Result<(), NetError>> {
        self.sent.fetch_add(1, Ordering::Relaxed);
        self.inner.send(to, proto, msg)
    }

    fn request(&self, to: PeerIdx, proto: ProtocolId, msg: Bytes) -> BoxFuture<'_, Result<Bytes, NetError>> {
        self.inner.request(to, proto, msg)
    }

    fn serve(&self, proto: ProtocolId, handler: Handler) -> ServeGuard {
        self.inner.serve(proto, handler)
    }
}

pub(crate) struct Bench {
    /// Messages sent by each node.
    sent: Vec<Arc<AtomicUsize>>,
    hub: Arc<Hub>,
    clock: Arc<dyn Clock>,
    life: Life,
    config: ConsensusConfig,
    /// Whether leaders' values are looked at.
    checking: bool,
    /// Blocks that pay somebody else, as the nodes counted them.
    mismatches: Vec<FeeMismatches>,
    /// The heads that every node has been told of.
    heads: Arc<SharedHeads>,
    nodes: BTreeMap<u8, Node>,
}

/// `count` nodes started at second `start`; slots are 12 s, genesis is at zero.
pub(crate) fn bench(count: u8, start: u64) -> Bench {
    bench_with(count, start, ConsensusConfig::default())
}

fn bench_with(count: u8, start: u64, config: ConsensusConfig) -> Bench {
    bench_of(count, start, config, false)
}

fn bench_of(count: u8, start: u64, config: ConsensusConfig, checking: bool) -> Bench {
    let life = Life::new();
    let clock: Arc<dyn Clock> = SimClock::starting_at(UnixTime::from_secs(start));
    let mut bench = Bench {
        sent: (0..count).map(|_| Arc::default()).collect(),
        hub: Hub::of(count, life.clone()),
        clock,
        life,
        config,
        checking,
        mismatches: (0..count).map(|_| FeeMismatches::default()).collect(),
        heads: Arc::default(),
        nodes: BTreeMap::new(),
    };
    for me in 0..count {
        bench.start(me, count);
    }
    bench
}

impl Bench {
    fn start(&mut self, me: u8, count: u8) {
        // The old node's guard would unregister the new handler.
        self.nodes.remove(&me);
        let life = self.life.child();
        let parts = ConsensusParts {
            net: Arc::new(Counted {
                inner: self.hub.node(me),
                sent: Arc::clone(&self.sent[usize::from(me)]),
            }),
            key: Arc::new(key(me)),
            keys: (0..count).map(|n| key(n).public_key()).collect(),
            gate: DutyGate::new(Arc::clone(&self.clock), timing(SPE)),
            clock: Arc::clone(&self.clock),
            timing: timing(SPE),
            compute: Arc::new(Inline),
            life: life.clone(),
            config: self.config,
            metrics: ConsensusMetrics::register(&mut Registry::default()),
        };
        let mut consensus = Consensus::new(parts).unwrap();
        if self.checking {
            let cluster = cluster(me, 2);
            let beacon = FakeBeacon::new(2, SPE, 0);
            let validators = Arc::new(ValidatorCache::new(beacon, &cluster, Default::default()));
            consensus = consensus.checking(Arc::new(ClusterValues {
                fees: fees(&cluster, self.mismatches[usize::from(me)].clone()),
                cluster,
                chain: chain(SPE),
                timing: timing(SPE),
                validators,
                duties: Arc::new(Known::default()),
                heads: Arc::clone(&self.heads),
            }));
        }
        let consensus = Arc::new(consensus);
        let heard = Captured::new();
        let policy = policy(&life, Arc::clone(&self.clock), timing(SPE));
        consensus
            .decided
            .to(policy.inline(StepName::DutyDbStore), &heard, Captured::record);
        let serves = consensus.serve();
        let node = Node {
            consensus,
            heard,
            life,
            _serves: serves,
        };
        self.nodes.insert(me, node);
    }

    fn sent_by(&self, node: u8) -> usize {
        self.sent[usize::from(node)].load(Ordering::Relaxed)
    }

    fn all_sent(&self) -> usize {
        self.sent.iter().map(|n| n.load(Ordering::Relaxed)).sum()
    }

    pub(crate) async fn until(&self, secs: u64) {
        self.clock.sleep_until(UnixTime::from_secs(secs)).await;
    }

    async fn until_millis(&self, millis: u64) {
        let at = UnixTime(0).after(Duration::from_millis(millis));
        self.clock.sleep_until(at).await;
    }

    /// Lets `node` propose its own view in the background, as the workflow does.
    fn propose(&self, node: u8, duty: Duty) {
        self.propose_set(node, duty, data(duty.slot, 2, node + 1));
    }

    pub(crate) fn propose_set(&self, node: u8, duty: Duty, set: UnsignedDataSet) {
        let consensus = Arc::clone(&self.nodes[&node].consensus);
        let cx = cx_source(timing(SPE)).cx(duty);
        self.nodes[&node].life.task("propose", async move {
            let _ = consensus.propose(cx, Arc::new(set)).await;
        });
    }

    fn participate(&self, node: u8, duty: Duty) {
        let consensus = Arc::clone(&self.nodes[&node].consensus);
        let cx = cx_source(timing(SPE)).cx(duty);
        self.nodes[&node].life.task("participate", async move {
            let _ = consensus.participate(cx, Arc::new(DutyDefinitionSet::default())).await;
        });
    }

    /// What the nodes decided, each at most once.
    fn decisions(&self) -> BTreeMap<u8, Arc<UnsignedDataSet>> {
        let mut found = BTreeMap::new();
        for (me, node) in &self.nodes {
            let mut heard = node.heard.take();
            assert!(heard.len() <= 1, "node {me} decided {} times", heard.len());
            if let Some((_, set)) = heard.pop() {
                found.insert(*me, set);
            }
        }
        found
    }
}

pub(crate) fn leads(duty: Duty, round: u64) -> u8 {
    leader(duty, Round(round), Nodes::new(4).unwrap()).unwrap().0
}

fn view(node: u8) -> UnsignedDataSet {
    data(DUTY.slot, 2, node + 1)
}

/// Start of the duty in seconds.
const BEGIN: u64 = 9 * 12 + 4;

#[tokio::test(start_paused = true)]
async fn four_nodes_agree_on_the_leaders_data_within_its_first_round() {
    let bench = bench(4, 0);
    bench.until(BEGIN).await;
    for node in 0..4 {
        bench.participate(node, DUTY);
        bench.propose(node, DUTY);
    }
    bench.until_millis(BEGIN * 1000 + 500).await;
    let decisions = bench.decisions();
    assert_eq!(decisions.len(), 4);
    for set in decisions.values() {
        assert_eq!(**set, view(leads(DUTY, 1)));
    }
    let kept = bench.nodes[&0].consensus.sniffed("unknown").len();
    assert!(kept > 1_000, "its messages are kept for the operator, {kept} bytes");
}

#[tokio::test(start_paused = true)]
async fn without_the_first_leader_the_second_rounds_leader_decides() {
    let bench = bench(4, 0);
    bench.hub.down(leads(DUTY, 1));
    bench.until(BEGIN).await;
    let alive: Vec<u8> = (0..4).filter(|n| *n != leads(DUTY, 1)).collect();
    for node in &alive {
        bench.participate(*node, DUTY);
        bench.propose(*node, DUTY);
    }
    bench.until_millis(BEGIN * 1000 + 900).await;
    assert!(bench.decisions().is_empty(), "round 1 lasts a second");
    bench.until_millis(BEGIN * 1000 + 1_500).await;
    let decisions = bench.decisions();
    assert_eq!(decisions.keys().copied().collect::<Vec<_>>(), alive);
    for set in decisions.values() {
        assert_eq!(**set, view(leads(DUTY, 2)));
    }
}

#[tokio::test(start_paused = true)]
async fn nodes_without_data_of_their_own_decide_too() {
    let bench = bench(4, 0);
    bench.until(BEGIN).await;
    for node in 0..4 {
        bench.participate(node, DUTY);
    }
    bench.propose(leads(DUTY, 1), DUTY);
    bench.until_millis(BEGIN * 1000 + 500).await;
    assert_eq!(bench.decisions().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_leaders_impossible_data_get_no_vote_and_the_next_leader_decides() {
    let bench = bench_of(4, 0, ConsensusConfig::default(), true);
    let first = leads(DUTY, 1);
    bench.until(BEGIN).await;
    for node in 0..4 {
        bench.participate(node, DUTY);
        // Attestation data of the slot before, for which the validators have signed something else.
        let slot = if node == first {
            Slot(DUTY.slot.0 - 1)
        } else {
            DUTY.slot
        };
        bench.propose_set(node, DUTY, data(slot, 2, node + 1));
    }
    bench.until_millis(BEGIN * 1000 + 900).await;
    assert!(bench.decisions().is_empty());
    bench.until_millis(BEGIN * 1000 + 1_500).await;
    let decisions = bench.decisions();
    assert_eq!(decisions.len(), 4, "the liar learns what the others decided");
    for set in decisions.values() {
        assert_eq!(**set, view(leads(DUTY, 2)));
    }
}

#[tokio::test(start_paused = true)]
async fn possible_data_are_voted_for_in_the_first_round() {
    let bench = bench_of(4, 0, ConsensusConfig::default(), true);
    bench.until(BEGIN).await;
    for node in 0..4 {
        bench.participate(node, DUTY);
        bench.propose(node, DUTY);
    }
    bench.until_millis(BEGIN * 1000 + 500).await;
    assert_eq!(bench.decisions().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn vc_23_a_peers_block_that_pays_somebody_else_is_counted_by_every_other_node_and_decided() {
    let duty = Duty::new(Slot(9), DutyType::Proposer);
    let bench = bench_of(4, 0, ConsensusConfig::default(), true);
    bench.until(9 * 12).await;
    let thief = leads(duty, 1);
    for node in 0..4 {
        bench.participate(node, duty);
        let recipient = if node == thief { 66 } else { 1 };
        let set = UnsignedDataSet([(validator(1), block(duty.slot, 1, recipient))].into());
        bench.propose_set(node, duty, set);
    }
    bench.until_millis(9 * 12_000 + 500).await;
    let decisions = bench.decisions();
    assert_eq!(decisions.len(), 4, "in the leader's round");
    for (node, set) in decisions {
        assert_eq!(set.0[&validator(1)], block(duty.slot, 1, 66));
        let counted = bench.mismatches[usize::from(node)].count(BlockSource::Peer(""));
        assert_eq!(counted, u64::from(node != thief), "node {node}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_block_that_the_chain_has_left_behind_gets_no_vote_and_the_next_leader_decides() {
    let duty = Duty::new(Slot(9), DutyType::Proposer);
    let root = |slot: u8| Root([slot; 32]);
    // The leader's beacon node stopped at slot 5; or it passes over the late block of slot 8; or it is on a branch that
    // nobody else has seen.
    for (parent, round) in [(root(5), 2), (root(7), 1), (root(99), 1)] {
        let bench = bench_of(4, 0, ConsensusConfig::default(), true);
        for slot in 1..=8 {
            bench.heads.note(Slot(slot.into()), root(slot));
        }
        bench.until(9 * 12).await;
        let leader = leads(duty, 1);
        for node in 0..4 {
            bench.participate(node, duty);
            let parent = if node == leader { parent } else { root(8) };
            let set = UnsignedDataSet([(validator(1), block_on(parent, duty.slot, 1, node))].into());
            bench.propose_set(node, duty, set);
        }
        bench.until_millis(9 * 12_000 + 2_500).await;
        let decisions = bench.decisions();
        assert_eq!(decisions.len(), 4);
        for set in decisions.values() {
            let UnsignedData::Proposal(block) = &set.0[&validator(1)] else {
                panic!("a block only")
            };
            let whose = if round == 1 { parent } else { root(8) };
            assert_eq!(block.parent_root(), whose);
        }
    }
}

/// A view with this target; heads differ by node in any case.
fn on_chain(node: u8, target: u8) -> UnsignedDataSet {
    let mut set = view(node);
    for data in set.0.values_mut() {
        let UnsignedData::Attestation(attestation) = data else {
            panic!("attestations only")
        };
        attestation.data.target.root = Root([target; 32]);
    }
    set
}

/// All nodes compare; the first leader is on chain 9, the others on chain 8.
fn split() -> Bench {
    let config = ConsensusConfig {
        chain_split_halt: true,
        ..ConsensusConfig::default()
    };
    bench_with(4, 0, config)
}

#[tokio::test(start_paused = true)]
async fn with_the_feature_a_leader_on_another_chain_gets_no_support_and_a_later_one_decides() {
    let bench = split();
    let first = leads(DUTY, 1);
    bench.until(BEGIN).await;
    for node in 0..4 {
        bench.participate(node, DUTY);
        bench.propose_set(node, DUTY, on_chain(node, if node == first { 9 } else { 8 }));
    }
    bench.until_millis(BEGIN * 1000 + 1_900).await;
    assert!(
        bench.decisions().is_empty(),
        "round 1 ends with a proposal, so after two seconds"
    );
    bench.until(BEGIN + 8).await;
    let decisions = bench.decisions();
    assert_eq!(decisions.len(), 4, "the odd one learns what the others decided");
    // Round 2's time is over when round 1 ends, so whether its leader or the third decides is a matter of milliseconds.
    let others: Vec<_> = (0..4).filter(|n| *n != first).map(|n| on_chain(n, 8)).collect();
    for set in decisions.values() {
        assert_eq!(*set, decisions[&first]);
        assert!(others.contains(set));
    }
}

#[tokio::test(start_paused = true)]
async fn with_the_feature_a_proposal_waits_for_our_own_data_and_different_heads_are_one_chain() {
    let bench = split();
    let first = leads(DUTY, 1);
    bench.until(BEGIN).await;
    for node in 0..4 {
        bench.participate(node, DUTY);
    }
    bench.propose_set(first, DUTY, on_chain(first, 8));
    bench.until_millis(BEGIN * 1000 + 700).await;
    assert!(bench.decisions().is_empty(), "nobody else can compare");
    for node in (0..4).filter(|n| *n != first) {
        bench.propose_set(node, DUTY, on_chain(node, 8));
    }
    bench.until_millis(BEGIN * 1000 + 1_200).await;
    let decisions = bench.decisions();
    assert_eq!(decisions.len(), 4);
    for set in decisions.values() {
        assert_eq!(**set, on_chain(first, 8));
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_comes_late_learns_from_those_that_have_decided() {
    let mut bench = bench(4, 0);
    bench.until(BEGIN).await;
    bench.hub.down(3);
    for node in 0..3 {
        bench.propose(node, DUTY);
    }
    bench.until(BEGIN + 3).await;
    assert_eq!(bench.decisions().len(), 3);
    // Everything sent so far is lost to node 3; only its ROUND-CHANGEs can bring it the decision.
    bench.hub.up(3);
    let node = bench.nodes.get_mut(&3).unwrap();
    node._serves = ServeGuard(None);
    node._serves = node.consensus.serve();
    bench.propose(3, DUTY);
    bench.until(BEGIN + 5).await;
    assert_eq!(bench.decisions().into_keys().collect::<Vec<_>>(), [3]);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_started_in_the_slot_or_the_one_before_sends_nothing_and_learns() {
    for started in [DUTY.slot.0, DUTY.slot.0 - 1] {
        let mut bench = bench(4, 0);
        let quiet = leads(DUTY, 2);
        bench.until(started * 12 + 1).await;
        bench.nodes[&quiet].life.stop().await;
        bench.start(quiet, 4);
        assert!(bench.nodes[&quiet].consensus.abstains(DUTY));
        assert!(
            !bench.nodes[&quiet]
                .consensus
                .abstains(Duty::new(Slot(started + 2), DutyType::Attester))
        );
        bench.until(BEGIN).await;
        let sent = bench.sent_by(quiet);
        for node in 0..4 {
            bench.participate(node, DUTY);
            bench.propose(node, DUTY);
        }
        bench.until(BEGIN + 8).await;
        assert_eq!(bench.decisions().len(), 4, "the others are a quorum, and it listens");
        assert_eq!(bench.sent_by(quiet), sent, "it sends nothing for this duty");
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_after_every_message_never_brings_two_decisions() {
    for after in 0..24 {
        let mut bench = bench(4, 0);
        bench.until(BEGIN).await;
        for node in 0..4 {
            bench.participate(node, DUTY);
            bench.propose(node, DUTY);
        }
        let victim = leads(DUTY, 1);
        let before = bench.all_sent();
        while bench.all_sent() < before + after {
            tokio::time::sleep(Duration::from_millis(1)).await;
            if bench.clock.now() > UnixTime::from_secs(BEGIN + 20) {
                break;
            }
        }
        bench.nodes[&victim].life.stop().await;
        let first = bench.decisions();
        bench.start(victim, 4);
        // The restarted node has other data now and would propose it if it could.
        bench.participate(victim, DUTY);
        bench.propose(victim, DUTY);
        bench.until(BEGIN + 30).await;
        let mut all = first;
        for (node, set) in bench.decisions() {
            let known = all.entry(node).or_insert_with(|| Arc::clone(&set));
            assert_eq!(*known, set);
        }
        let values: Vec<_> = all.values().collect();
        assert!(
            values.windows(2).all(|w| w[0] == w[1]),
            "restart after {after} messages"
        );
        assert!(
            values.len() >= 3,
            "the other three decide, restart after {after} messages"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn no_vote_is_cast_before_our_own_clock_has_reached_the_slot() {
    let bench = bench(4, 0);
    bench.until(9 * 12 - 3).await;
    for node in 0..4 {
        bench.participate(node, DUTY);
        bench.propose(node, DUTY);
    }
    bench.until_millis((9 * 12 - 1) * 1000).await;
    assert_eq!(bench.all_sent(), 0);
    bench.until_millis(9 * 12 * 1000 + 500).await;
    assert_eq!(bench.decisions().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn an_instance_ends_at_its_deadline_with_a_reason() {
    let bench = bench(4, 0);
    for node in 1..4 {
        bench.hub.down(node);
    }
    let duty = Duty::new(Slot(9), DutyType::Proposer);
    bench.until(9 * 12).await;
    let consensus = Arc::clone(&bench.nodes[&0].consensus);
    let ended = consensus
        .clone()
        .propose(cx_source(timing(SPE)).cx(duty), Arc::new(data(duty.slot, 1, 1)))
        .await;
    assert_eq!(bench.clock.now().secs(), 9 * 12 + 5);
    let error = ended.unwrap_err();
    let Some(ConsensusError::Timeout { round, .. }) = consensus_error(&error) else {
        panic!("{error}")
    };
    assert!(*round > 2);
    assert_eq!(consensus.instances(), 0);
    assert!(
        consensus.sniffed("unknown").len() > 200,
        "its messages are kept for the operator"
    );
}

fn consensus_error(error: &StepError) -> Option<&ConsensusError> {
    error.source.downcast_ref()
}

#[tokio::test(start_paused = true)]
async fn the_same_call_twice_is_an_error() {
    let bench = bench(4, 0);
    bench.until(BEGIN).await;
    bench.propose(0, DUTY);
    bench.participate(0, DUTY);
    tokio::time::sleep(Duration::from_millis(1)).await;
    let consensus = &bench.nodes[&0].consensus;
    let cx = || cx_source(timing(SPE)).cx(DUTY);
    let again = Arc::clone(consensus)
        .propose(cx(), Arc::new(view(0)))
        .await
        .unwrap_err();
    assert!(matches!(consensus_error(&again), Some(ConsensusError::Twice { .. })));
    let again = Arc::clone(consensus)
        .participate(cx(), Arc::default())
        .await
        .unwrap_err();
    assert!(matches!(consensus_error(&again), Some(ConsensusError::Twice { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_duty_that_is_over_is_left_alone() {
    let bench = bench(4, 0);
    bench.until(9 * 12 + 6).await;
    let duty = Duty::new(Slot(9), DutyType::Proposer);
    let consensus = &bench.nodes[&0].consensus;
    let cx = cx_source(timing(SPE)).cx(duty);
    Arc::clone(consensus).propose(cx, Arc::new(view(0))).await.unwrap();
    assert_eq!(
        consensus.receive(inbound(1, prepare(1, 1, duty, 1))),
        Err(NotTaken::Over(duty))
    );
    assert_eq!(consensus.instances(), 0);
}

// === Messages by hand

fn inbound(from: u8, msg: Bytes) -> Inbound {
    let id = PeerId::from(key(from).public_key());
    Inbound {
        from: Some(PeerIdx(from)),
        from_id: id,
        msg,
    }
}

/// A PREPARE that names `source`, signed by `signer`.
fn prepare(source: u8, signer: u8, duty: Duty, round: u64) -> Bytes {
    let value = Carried::of_set(&view(source));
    let hash: ValueHash = value.hash().unwrap().unwrap();
    let vote = Vote {
        kind: Kind::Prepare,
        source: Process(source),
        round: Round(round),
        value: Some(hash),
        prepared_round: None,
        prepared_value: None,
    };
    let seal = seal(duty, &vote, &key(signer));
    let msg = Msg {
        signed: Signed { vote, seal },
        justification: Arc::default(),
    };
    frame(&msg, &[(hash, value)].into()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_liar_and_a_loud_peer_do_not_keep_the_others_from_agreeing() {
    let bench = bench(4, 0);
    bench.until(BEGIN).await;
    let liar = leads(DUTY, 4);
    bench.hub.down(liar);
    for node in (0..4).filter(|n| *n != liar) {
        let consensus = &bench.nodes[&node].consensus;
        for round in 1..=(3 * u64::try_from(PER_PEER).unwrap()) {
            // In the name of others, with its own signature, and in its own name for all rounds.
            for source in 0..4 {
                consensus
                    .receive(inbound(liar, prepare(source, liar, DUTY, round)))
                    .unwrap();
            }
        }
        bench.participate(node, DUTY);
        bench.propose(node, DUTY);
    }
    bench.until_millis(BEGIN * 1000 + 900).await;
    let decisions = bench.decisions();
    assert_eq!(decisions.len(), 3);
    for set in decisions.values() {
        assert_eq!(**set, view(leads(DUTY, 1)));
    }
}

#[test]
fn a_message_in_the_name_of_another_peer_or_of_none_is_refused_and_names_it() {
    let signers = Signers::new((0..4).map(|n| key(n).public_key()).collect());
    let checked = |frame| {
        let opened = open(frame, 4, |_, _| Some(DUTY))?;
        opened.verify(&signers, &BTreeMap::new()).map(drop)
    };
    assert_eq!(checked(prepare(1, 1, DUTY, 1)), Ok(()));
    assert_eq!(checked(prepare(1, 2, DUTY, 1)), Err(Refusal::Signature(1)));
    assert_eq!(checked(prepare(1, 9, DUTY, 1)), Err(Refusal::Signature(1)));
    assert_eq!(checked(prepare(4, 4, DUTY, 1)), Err(Refusal::Peer(4)));
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_at_once_begins_no_instance() {
    let bench = bench(4, 0);
    bench.until(BEGIN).await;
    let consensus = &bench.nodes[&0].consensus;
    let far = Duty::new(Slot(9 + 4 * SPE), DutyType::Attester);
    let refused = consensus.receive(inbound(1, prepare(1, 1, far, 1)));
    assert!(matches!(refused, Err(NotTaken::Refused(Refusal::Gated { .. }))));
    let stranger = Inbound {
        from: None,
        ..inbound(1, prepare(1, 1, DUTY, 1))
    };
    assert_eq!(consensus.receive(stranger), Err(NotTaken::Stranger));
    assert!(consensus.receive(inbound(1, Bytes::from_static(&[1, 2, 3]))).is_err());
    let exempt = Duty::new(Slot(9), DutyType::Exit);
    assert_eq!(
        consensus.receive(inbound(1, prepare(1, 1, exempt, 1))),
        Err(NotTaken::Over(exempt))
    );
    assert_eq!(consensus.instances(), 0);
    let net = bench.hub.node(1);
    net.send(PeerIdx(0), PROTOCOL, prepare(1, 1, DUTY, 1)).await.unwrap();
    bench.until(BEGIN + 1).await;
    assert_eq!(consensus.instances(), 1);
}
