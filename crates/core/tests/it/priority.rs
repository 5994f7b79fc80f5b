//! Four nodes exchange what they prefer and agree on it, in virtual time: nodes that are down, late, old or lying.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::future::BoxFuture;
use prometheus_client::registry::Registry;
use prost::Message as _;
use trireme_core::{
    Duty, DutyType, PeerIdx, UnixTime,
    compute::Inline,
    consensus::{Consensus, ConsensusConfig, ConsensusMetrics, ConsensusParts},
    features::FeatureSet,
    gate::DutyGate,
    infosync::{InfoSync, InfoSyncMetrics, Wishes},
    life::Life,
    ports::{Clock, Handler, Inbound, NetError, Peer, PeerNet, ProtocolId, ServeGuard},
    priority::{PRIORITY, Priority, PriorityParts, Topic, message::signed},
    scheduler::SlotTick,
    wire::wire_info_sync,
};
use trireme_eth2::{Epoch, Slot};
use trireme_proto::core::v1::PriorityMsg;

use crate::fakes::{
    SimClock, cx_source,
    net::{self, Hub, identity},
    policy, timing,
};

const SPE: u64 = 4;
/// The last slot of an epoch, long after the start of every node.
const LAST: Slot = Slot(11);
const DUTY: Duty = Duty::new(LAST, DutyType::InfoSync);
const NODES: u8 = 4;

/// A node's network that knows which peers are too old for the protocol.
struct Knowing {
    inner: Arc<net::Node>,
    old: Vec<u8>,
}

impl PeerNet for Knowing {
    fn me(&self) -> PeerIdx {
        self.inner.me()
    }

    fn peers(&self) -> &[Peer] {
        self.inner.peers()
    }

    fn send(&self, to: PeerIdx, proto: ProtocolId, msg: Bytes) -> BoxFuture<'_, Result<(), NetError>> {
        self.inner.send(to, proto, msg)
    }

    fn request(&self, to: PeerIdx, proto: ProtocolId, msg: Bytes) -> BoxFuture<'_, Result<Bytes, NetError>> {
        assert!(!self.old.contains(&to.0), "an old peer must not be asked");
        self.inner.request(to, proto, msg)
    }

    fn announces(&self, peer: PeerIdx, _proto: ProtocolId) -> Option<bool> {
        Some(!self.old.contains(&peer.0))
    }

    fn serve(&self, proto: ProtocolId, handler: Handler) -> ServeGuard {
        self.inner.serve(proto, handler)
    }
}

struct Node {
    infosync: Arc<InfoSync>,
    _serving: Vec<ServeGuard>,
}

struct Bench {
    hub: Arc<Hub>,
    clock: Arc<dyn Clock>,
    nodes: BTreeMap<u8, Node>,
    life: Life,
}

/// Four nodes whose newest minors are `newest`; `old` ones have no exchange at all. The clock stands at slot 8.
fn bench(newest: [u64; 4], old: &[u8]) -> Bench {
    let life = Life::new();
    let clock: Arc<dyn Clock> = SimClock::starting_at(UnixTime::from_secs(96));
    let hub = Hub::of(NODES, life.clone());
    let mut nodes = BTreeMap::new();
    for me in (0..NODES).filter(|me| !old.contains(me)) {
        let net: Arc<dyn PeerNet> = Arc::new(Knowing {
            inner: hub.node(me),
            old: old.to_vec(),
        });
        let priority = Arc::new(Priority::new(PriorityParts {
            net: Arc::clone(&net),
            key: Arc::new(identity(me)),
            threshold: 3,
            gate: DutyGate::new(Arc::clone(&clock), timing(SPE)),
            clock: Arc::clone(&clock),
            timing: timing(SPE),
            compute: Arc::new(Inline),
            life: life.clone(),
            cx: cx_source(timing(SPE)),
        }));
        let consensus = Consensus::new(ConsensusParts {
            net,
            key: Arc::new(identity(me)),
            keys: hub.node(me).keys(),
            gate: DutyGate::new(Arc::clone(&clock), timing(SPE)),
            clock: Arc::clone(&clock),
            timing: timing(SPE),
            compute: Arc::new(Inline),
            life: life.clone(),
            config: ConsensusConfig::default(),
            metrics: ConsensusMetrics::register(&mut Registry::default()),
        });
        let consensus = Arc::new(consensus.unwrap());
        let versions = (0..=newest[usize::from(me)]).rev().map(|n| format!("v1.{n}"));
        let wishes = Wishes::new(versions.collect(), &[], false, false, &FeatureSet::default());
        let metrics = InfoSyncMetrics::register(&mut Registry::default());
        let infosync = Arc::new(InfoSync::new(wishes, Arc::clone(&priority), metrics));
        let steps = policy(&life, Arc::clone(&clock), timing(SPE));
        wire_info_sync(&priority, &consensus, &infosync, &steps);
        let _serving = vec![priority.serve(), consensus.serve()];
        nodes.insert(me, Node { infosync, _serving });
    }
    Bench {
        hub,
        clock,
        nodes,
        life,
    }
}

impl Bench {
    async fn until_millis(&self, millis: u64) {
        let at = UnixTime(0).after(Duration::from_millis(millis));
        self.clock.sleep_until(at).await;
    }

    /// The node's scheduler comes to `slot`.
    fn tick(&self, node: u8, slot: Slot) {
        self.nodes[&node].infosync.on_slot(SlotTick {
            slot,
            epoch: Epoch(slot.0 / SPE),
            first_in_epoch: slot.0.is_multiple_of(SPE),
            last_in_epoch: slot.0 % SPE == SPE - 1,
            first_seen: false,
        });
    }

    /// Nodes that have a result for the last slot, with what they answer about sync contributions.
    fn results(&self) -> BTreeMap<u8, bool> {
        let own = |node: &Node| node.infosync.protocols(Slot(0));
        let found = self
            .nodes
            .iter()
            .filter(|(_, node)| node.infosync.latest() == Some(LAST));
        found
            .map(|(me, node)| {
                assert_eq!(
                    node.infosync.protocols(LAST),
                    own(node),
                    "all nodes want the same protocols"
                );
                assert!(
                    !node.infosync.plural_contributions(Slot(LAST.0 - 1)),
                    "not before the result"
                );
                (*me, node.infosync.plural_contributions(Slot(LAST.0 + 100)))
            })
            .collect()
    }

    /// What `node` gets for `msg` sent in the name of node `from`, and when.
    async fn ask(&self, from: u8, node: u8, msg: Bytes) -> Option<PriorityMsg> {
        let answer = self.hub.node(from).request(PeerIdx(node), PRIORITY, msg).await.ok()?;
        PriorityMsg::decode(answer).ok()
    }
}

/// A good message of node `node`, which wants `v1.11` alone.
fn message(node: u8, duty: Duty) -> PriorityMsg {
    let topics = [Topic {
        name: "version".to_owned(),
        priorities: vec!["v1.11".to_owned()],
    }];
    signed(duty, &topics, &identity(node))
}

const START: u64 = LAST.0 * 12_000;

#[tokio::test(start_paused = true)]
async fn four_nodes_agree_within_a_second_and_the_gate_opens_when_all_have_the_version() {
    let b = bench([11; 4], &[]);
    b.until_millis(START).await;
    (0..NODES).for_each(|node| b.tick(node, LAST));
    b.until_millis(START + 1_000).await;
    assert_eq!(b.results(), [(0, true), (1, true), (2, true), (3, true)].into());
}

#[tokio::test(start_paused = true)]
async fn other_slots_than_the_last_of_an_epoch_begin_nothing() {
    let b = bench([11; 4], &[]);
    let before = Slot(LAST.0 - 1);
    b.until_millis(START - 12_000).await;
    (0..NODES).for_each(|node| b.tick(node, before));
    b.until_millis(START - 1).await;
    assert!(
        b.ask(
            1,
            0,
            message(1, Duty::new(before, DutyType::InfoSync)).encode_to_vec().into()
        )
        .await
        .is_none()
    );
    assert!(b.results().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_version_that_too_few_nodes_have_is_not_agreed_on() {
    let b = bench([11, 11, 10, 10], &[]);
    b.until_millis(START).await;
    (0..NODES).for_each(|node| b.tick(node, LAST));
    b.until_millis(START + 1_000).await;
    assert_eq!(b.results(), [(0, false), (1, false), (2, false), (3, false)].into());
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_down_delays_the_agreement_by_six_seconds() {
    let b = bench([11; 4], &[]);
    b.hub.down(3);
    b.until_millis(START).await;
    (0..3).for_each(|node| b.tick(node, LAST));
    b.until_millis(START + 5_900).await;
    assert!(b.results().is_empty(), "the fourth is still waited for");
    b.until_millis(START + 12_900).await;
    assert_eq!(b.results(), [(0, true), (1, true), (2, true)].into());
}

#[tokio::test(start_paused = true)]
async fn peers_with_an_older_protocol_are_not_asked_and_three_others_still_agree() {
    let b = bench([11; 4], &[2]);
    b.until_millis(START).await;
    [0, 1, 3].into_iter().for_each(|node| b.tick(node, LAST));
    b.until_millis(START + 12_900).await;
    assert_eq!(b.results(), [(0, true), (1, true), (3, true)].into());
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_clock_is_behind_is_waited_for_and_answered_when_it_begins() {
    let b = bench([11; 4], &[]);
    b.until_millis(START).await;
    (0..3).for_each(|node| b.tick(node, LAST));
    b.until_millis(START + 3_000).await;
    assert!(b.results().is_empty());
    b.tick(3, LAST);
    b.until_millis(START + 5_000).await;
    assert_eq!(b.results().len(), 4, "without the six seconds' wait");
}

#[tokio::test(start_paused = true)]
async fn a_request_is_answered_with_our_message_for_its_duty_until_the_duty_is_over() {
    let b = bench([11; 4], &[]);
    let own = || message(1, DUTY).encode_to_vec().into();
    b.until_millis(START - 10_000).await;
    assert!(b.ask(1, 0, own()).await.is_none(), "held, but not for ten seconds");
    b.until_millis(START - 2_000).await;
    let early = b.ask(1, 0, own());
    let begin = async {
        b.until_millis(START).await;
        b.tick(0, LAST);
    };
    let (answer, ()) = tokio::join!(early, begin);
    let answer = answer.unwrap();
    assert_eq!(answer.duty, Some(DUTY.to_proto()));
    assert_eq!(answer.peer_id, b.hub.node(0).peers()[0].id.to_string());
    b.until_millis(START + 12_900).await;
    assert_eq!(b.ask(1, 0, own()).await, Some(answer));
    b.until_millis(START + 13_000).await;
    assert!(b.ask(1, 0, own()).await.is_none(), "the duty is over");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_not_its_senders_own_is_refused() {
    let b = bench([11; 4], &[]);
    b.until_millis(START).await;
    b.tick(0, LAST);
    let good = message(1, DUTY);
    let ask = async |from: u8, msg: &PriorityMsg| b.ask(from, 0, msg.encode_to_vec().into()).await.is_some();

    assert!(!ask(2, &good).await, "sent by another operator");
    let forged = PriorityMsg {
        signature: message(2, DUTY).signature,
        ..good.clone()
    };
    assert!(!ask(1, &forged).await, "signed by another operator");
    let unsigned = PriorityMsg {
        signature: Bytes::new(),
        ..good.clone()
    };
    assert!(!ask(1, &unsigned).await);
    let no_duty = PriorityMsg {
        duty: None,
        ..good.clone()
    };
    assert!(!ask(1, &no_duty).await);
    assert!(
        !ask(1, &message(1, Duty::new(LAST, DutyType::Attester))).await,
        "another type"
    );
    assert!(
        !ask(1, &message(1, Duty::new(Slot(24), DutyType::InfoSync))).await,
        "too far in the future"
    );
    assert!(
        b.ask(1, 0, Bytes::from_static(b"\xff\xff")).await.is_none(),
        "no message at all"
    );
    assert!(ask(1, &good).await);
}

/// Lets `node` answer everybody with `msg`.
fn lie(b: &Bench, node: u8, msg: &PriorityMsg) -> ServeGuard {
    let msg = Bytes::from(msg.encode_to_vec());
    b.hub.node(node).serve(
        PRIORITY,
        Arc::new(move |_: Inbound| -> BoxFuture<'static, _> {
            let msg = msg.clone();
            Box::pin(async move { Ok(Some(msg)) })
        }),
    )
}

#[tokio::test(start_paused = true)]
async fn an_answer_for_another_duty_or_one_that_cannot_be_counted_changes_nothing_for_the_others() {
    let twice = [Topic {
        name: "version".to_owned(),
        priorities: vec!["v1.11".to_owned(), "v1.11".to_owned()],
    }];
    let other = Duty::new(Slot(LAST.0 - SPE), DutyType::InfoSync);
    for answer in [message(3, other), signed(DUTY, &twice, &identity(3)), message(2, DUTY)] {
        let b = bench([11; 4], &[]);
        let _lying = lie(&b, 3, &answer);
        b.until_millis(START).await;
        (0..3).for_each(|node| b.tick(node, LAST));
        b.until_millis(START + 12_900).await;
        assert_eq!(b.results(), [(0, true), (1, true), (2, true)].into());
    }
}

#[tokio::test(start_paused = true)]
async fn an_exchange_that_should_begin_after_its_deadline_does_not() {
    let b = bench([11; 4], &[]);
    b.until_millis(START + 13_000).await;
    (0..NODES).for_each(|node| b.tick(node, LAST));
    b.until_millis(START + 30_000).await;
    assert!(b.results().is_empty());
    assert!(!b.life.running().contains_key("priority.exchange"));
}
