//! Whole clusters in one thread with virtual time: `n` nodes, their beacon nodes and validator clients, a network with
//! delays, stores that lose unflushed writes.
//!
//! After every run: no validator client was served two values for one duty, no share signed two messages, and every
//! signature that was published is the cluster's over one value.

mod node;
mod traces;
mod vc;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};

use trireme_core::{
    Duty, DutyType, PeerIdx, PubKey, ShareIdx, SlotTiming, UnixTime,
    data::{ParSignedData, encode_parsigex},
    life::Life,
    parsigex::PARSIGEX,
    ports::{BeaconError, Clock, PeerNet as _},
    validatorapi::ValidatorApi,
};
use trireme_eth2::{BlsSignature, Root, Slot};

use self::node::Node;
use crate::{
    fakes::{
        self, SLOT, SimClock,
        beacon::{FakeBeacon, attestation_data},
        key,
        net::Hub,
        store::CrashStore,
    },
    workflow::{partial, set, vote},
};

/// Slots in an epoch; one validator per slot.
const SPE: u64 = 4;
const VALIDATORS: u8 = 4;
/// Genesis; the nodes start five seconds before it.
const GENESIS: UnixTime = UnixTime::from_secs(1_000);

fn timing() -> SlotTiming {
    SlotTiming {
        genesis: GENESIS,
        slot_duration: SLOT,
        slots_per_epoch: SPE,
    }
}

/// Kind of object, validator, share, slot.
type Signing = (&'static str, PubKey, ShareIdx, Slot);

/// What is said once and must not be said otherwise.
#[derive(Default)]
struct Witness {
    /// Roots of attestation data and blocks that validator clients were given, by kind and slot.
    served: Mutex<BTreeMap<(&'static str, Slot), Root>>,
    clients: Mutex<BTreeSet<(&'static str, Slot, ShareIdx)>>,
    /// Roots that shares signed, by kind.
    signed: Mutex<BTreeMap<Signing, Root>>,
}

impl Witness {
    fn served(&self, kind: &'static str, slot: Slot, client: ShareIdx, root: Root) {
        self.clients.lock().unwrap().insert((kind, slot, client));
        let known = *self.served.lock().unwrap().entry((kind, slot)).or_insert(root);
        assert_eq!(known, root, "two values were served for slot {}, {kind}", slot.0);
    }

    fn clients_served(&self, kind: &'static str, slot: Slot) -> usize {
        self.clients
            .lock()
            .unwrap()
            .iter()
            .filter(|(k, s, _)| (*k, *s) == (kind, slot))
            .count()
    }

    fn signed(&self, kind: &'static str, validator: PubKey, share: ShareIdx, slot: Slot, root: Root) {
        let known = *self
            .signed
            .lock()
            .unwrap()
            .entry((kind, validator, share, slot))
            .or_insert(root);
        assert_eq!(known, root, "share {share} signed twice in slot {}, {kind}", slot.0);
    }
}

/// A cluster of four.
struct Sim {
    clock: Arc<SimClock>,
    hub: Arc<Hub>,
    wires: Life,
    beacons: Vec<Arc<FakeBeacon>>,
    stores: Vec<Arc<CrashStore>>,
    nodes: Vec<Option<Node>>,
    witness: Arc<Witness>,
}

impl Sim {
    async fn start() -> Self {
        let clock = SimClock::starting_at(GENESIS.before(Duration::from_secs(5)));
        let wires = Life::new();
        let hub = Hub::of(4, wires.clone());
        // Each node's beacon node sees another head.
        let beacons = (0..4).map(|i| FakeBeacon::new(VALIDATORS, SPE, i + 1)).collect();
        let stores = (0..4).map(|_| Arc::default()).collect();
        let mut sim = Self {
            clock,
            hub,
            wires,
            beacons,
            stores,
            nodes: Vec::new(),
            witness: Arc::default(),
        };
        for i in 0..4 {
            let node = sim.boot(i).await;
            sim.nodes.push(Some(node));
        }
        sim
    }

    async fn boot(&self, i: u8) -> Node {
        let n = usize::from(i);
        let (beacon, store) = (Arc::clone(&self.beacons[n]), Arc::clone(&self.stores[n]));
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        Node::boot(i, self.hub.node(i), beacon, store, clock, Arc::clone(&self.witness)).await
    }

    fn vapi(&self, i: u8) -> Arc<ValidatorApi> {
        self.nodes[usize::from(i)].as_ref().unwrap().vapi()
    }

    /// The node's process dies; of its unflushed writes the first `kept` survive.
    async fn crash(&mut self, i: u8, kept: usize) {
        self.hub.down(i);
        if let Some(node) = self.nodes[usize::from(i)].take() {
            node.die().await;
        }
        self.stores[usize::from(i)].crash(kept);
    }

    async fn restart(&mut self, i: u8) {
        self.hub.up(i);
        self.nodes[usize::from(i)] = Some(self.boot(i).await);
    }

    async fn until(&self, t: UnixTime) {
        self.clock.sleep_until(t).await;
    }

    /// Slots in which the beacon node of `i` got an attestation, in order.
    fn attested(&self, i: usize) -> Vec<u64> {
        let mut slots: Vec<_> = self.beacons[i]
            .submitted
            .lock()
            .unwrap()
            .iter()
            .map(|a| a.data().slot.0)
            .collect();
        slots.sort_unstable();
        slots.dedup();
        slots
    }

    fn proposed(&self, i: usize) -> Vec<u64> {
        let mut slots: Vec<_> = self.beacons[i]
            .blocks
            .lock()
            .unwrap()
            .iter()
            .map(|b| b.slot().0)
            .collect();
        slots.sort_unstable();
        slots.dedup();
        slots
    }

    /// Ends everything and looks for two values where there may be one.
    async fn end(mut self) {
        for node in self.nodes.iter_mut().filter_map(Option::take) {
            node.die().await;
        }
        self.wires.stop().await;
        let mut published = BTreeMap::new();
        for beacon in &self.beacons {
            for attestation in beacon.submitted.lock().unwrap().iter() {
                let slot = attestation.data().slot;
                let first = *published.entry(slot).or_insert(*attestation.data());
                assert_eq!(
                    first,
                    *attestation.data(),
                    "two attestations were published in slot {}",
                    slot.0
                );
                assert!(self.witness.served.lock().unwrap().contains_key(&("attestation", slot)));
            }
        }
    }
}

fn run<T>(sim: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(sim)
}

#[test]
fn four_nodes_whose_beacon_nodes_disagree_finish_every_attestation() {
    run(async {
        let sim = Sim::start().await;
        sim.until(timing().start(Slot(8))).await;
        for i in 0..4 {
            assert_eq!(sim.attested(i), [0, 1, 2, 3, 4, 5, 6, 7], "node {i}");
        }
        sim.end().await;
    });
}

#[test]
fn a_node_whose_beacon_node_fails_serves_its_client_and_the_others_finish_every_duty() {
    let unreachable = BeaconError::Unreachable {
        address: "http://bn".into(),
        reason: "connection refused".into(),
    };
    let garbage = BeaconError::Malformed {
        endpoint: "/",
        reason: "it is not JSON".into(),
    };
    for error in [unreachable, garbage] {
        run(async {
            let sim = Sim::start().await;
            // Of the slots 2 to 4 its beacon node does nothing; the duties of their epochs were asked for before, or are
            // asked for until there is an answer.
            sim.until(timing().start(Slot(2))).await;
            *sim.beacons[3].away.lock().unwrap() = Some(error);
            sim.until(timing().start(Slot(5)).before(Duration::from_secs(2))).await;
            *sim.beacons[3].away.lock().unwrap() = None;
            sim.until(timing().start(Slot(8))).await;
            for i in 0..3 {
                assert_eq!(sim.attested(i), [0, 1, 2, 3, 4, 5, 6, 7], "node {i}");
                assert_eq!(sim.proposed(i), [1, 2, 3, 4, 5, 6, 7], "node {i}");
            }
            for slot in (0..4).chain(5..8) {
                assert_eq!(sim.witness.clients_served("attestation", Slot(slot)), 4, "slot {slot}");
            }
            assert!(sim.attested(3).ends_with(&[5, 6, 7]), "{:?}", sim.attested(3));
            sim.end().await;
        });
    }
}

#[test]
fn four_nodes_finish_every_block() {
    run(async {
        let sim = Sim::start().await;
        sim.until(timing().start(Slot(8))).await;
        for i in 0..4 {
            assert_eq!(sim.proposed(i), [1, 2, 3, 4, 5, 6, 7], "node {i}");
        }
        sim.end().await;
    });
}

#[test]
fn vc_20_block_whose_publication_fails_is_published_again_and_never_made_again() {
    run(async {
        let sim = Sim::start().await;
        sim.until(timing().start(Slot(2))).await;
        for beacon in &sim.beacons {
            beacon.failing_publications.store(3, Ordering::Relaxed);
        }
        sim.until(timing().start(Slot(4))).await;
        let mut published = BTreeSet::new();
        for (i, beacon) in sim.beacons.iter().enumerate() {
            assert_eq!(
                beacon.failing_publications.load(Ordering::Relaxed),
                0,
                "node {i} tried again"
            );
            assert_eq!(sim.proposed(i), [1, 2, 3], "node {i}");
            let made = beacon
                .produced
                .lock()
                .unwrap()
                .iter()
                .filter(|s| **s == Slot(2))
                .count();
            assert_eq!(made, 1, "node {i}");
            let blocks = beacon.blocks.lock().unwrap();
            let of_slot = blocks.iter().filter(|b| b.slot() == Slot(2));
            published.extend(of_slot.map(|b| b.to_ssz()));
        }
        assert_eq!(
            published.len(),
            1,
            "one block with one signature, that of the leader's beacon node"
        );
        // No share signed another one: the witness looks at each.
        sim.end().await;
    });
}

#[test]
fn three_of_four_nodes_finish_every_attestation() {
    run(async {
        let mut sim = Sim::start().await;
        sim.crash(3, 0).await;
        sim.until(timing().start(Slot(8))).await;
        for i in 0..3 {
            assert_eq!(sim.attested(i), [0, 1, 2, 3, 4, 5, 6, 7], "node {i}");
        }
        sim.end().await;
    });
}

#[test]
fn a_node_that_crashes_at_any_moment_of_a_duty_never_serves_or_signs_another_value() {
    // The attestation of slot 5 begins four seconds into it and takes some hundred milliseconds.
    for (ms, kept) in (3_990..4_330).step_by(29).zip([0, usize::MAX, 1].into_iter().cycle()) {
        run(async {
            let mut sim = Sim::start().await;
            sim.until(timing().start(Slot(5)).after(Duration::from_millis(ms)))
                .await;
            sim.crash(1, kept).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            sim.restart(1).await;
            sim.until(timing().start(Slot(10))).await;
            for i in [0, 2, 3] {
                assert_eq!(
                    sim.attested(i),
                    (0..10).collect::<Vec<_>>(),
                    "node {i}, crash at {ms} ms"
                );
            }
            // After the boot barrier of two slots it takes part again, and publishes like the others.
            let after: Vec<_> = sim.attested(1).into_iter().filter(|slot| *slot >= 7).collect();
            assert_eq!(after, [7, 8, 9], "crash at {ms} ms");
            sim.end().await;
        });
    }
}

#[test]
fn a_cluster_that_loses_power_after_a_decision_finishes_the_duty_with_the_same_value() {
    let mut after_decision = 0_u32;
    for ms in (4_060..4_200).step_by(14) {
        run(async {
            let mut sim = Sim::start().await;
            sim.until(timing().start(Slot(5)).after(Duration::from_millis(ms)))
                .await;
            let decided = sim.witness.clients_served("attestation", Slot(5)) >= 3;
            for i in 0..4 {
                sim.crash(i, 0).await;
            }
            for beacon in &sim.beacons {
                beacon.submitted.lock().unwrap().retain(|a| a.data().slot.0 < 5);
            }
            for i in 0..4 {
                sim.restart(i).await;
            }
            sim.until(timing().start(Slot(9))).await;
            if decided {
                after_decision += 1;
                assert!(sim.attested(0).contains(&5), "crash at {ms} ms");
            }
            sim.end().await;
        });
    }
    assert!(after_decision > 0, "no crash came after a decision");
}

#[test]
fn a_peer_that_lies_about_signatures_stops_nobody() {
    run(async {
        let mut sim = Sim::start().await;
        sim.crash(3, 0).await;
        sim.hub.up(3);
        let (net, clock, chain) = (sim.hub.node(3), Arc::clone(&sim.clock), fakes::chain(SPE));
        sim.wires.task("liar", async move {
            for ms in (0..96_000).step_by(90) {
                clock.sleep_until(GENESIS.after(Duration::from_millis(ms))).await;
                let slot = timing().slot_at(clock.now()).unwrap();
                let n = u8::try_from(slot.0 % SPE + 1).unwrap();
                let duty = Duty::new(slot, DutyType::Attester);
                for to in 0..3 {
                    // Its own share, well signed, over another head for each peer; and somebody else's, not signed.
                    let own = partial(&chain, key(n), 4, vote(n, attestation_data(slot, SPE, 100 + to)));
                    let data = vote(n, attestation_data(slot, SPE, to + 1)).with_signature(BlsSignature([9; 96]));
                    let forged = ParSignedData {
                        data,
                        share: ShareIdx(to + 1),
                    };
                    for lie in [own, forged] {
                        let message = encode_parsigex(duty, &set([(key(n), lie)]));
                        net.send(PeerIdx(to), PARSIGEX, message.into()).await.unwrap();
                    }
                }
            }
        });
        sim.until(timing().start(Slot(8))).await;
        for i in 0..3 {
            assert_eq!(sim.attested(i), [0, 1, 2, 3, 4, 5, 6, 7], "node {i}");
        }
        sim.end().await;
    });
}

#[test]
fn when_all_duties_are_over_nothing_is_left_in_memory() {
    run(async {
        let sim = Sim::start().await;
        sim.until(timing().start(Slot(6))).await;
        for node in sim.nodes.iter().flatten() {
            node.stop_scheduling().await;
        }
        // Selections have the longest time, two epochs; attestations one.
        sim.until(timing().start(Slot(6 + 3 * SPE))).await;
        for node in sim.nodes.iter().flatten() {
            node.expect_empty();
        }
        sim.end().await;
    });
}

#[test]
fn the_same_run_twice_is_the_same_run() {
    let trace = || {
        run(async {
            let sim = Sim::start().await;
            sim.until(timing().start(Slot(4))).await;
            let order: Vec<_> = sim
                .beacons
                .iter()
                .map(|b| b.submitted.lock().unwrap().clone())
                .collect();
            sim.end().await;
            order
        })
    };
    assert_eq!(trace(), trace());
}
