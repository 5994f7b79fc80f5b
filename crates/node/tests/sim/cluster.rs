//! The cluster of a run: nodes that crash and come back, their beacon nodes, stores and clients.

use std::sync::{Arc, Mutex};

use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;
use trireme_core::{
    PeerIdx, ShareIdx, UnixTime,
    compute::Inline,
    consensus::ConsensusConfig,
    features::FeatureSet,
    fetcher::Graffiti,
    infosync::Wishes,
    journal::Journal,
    life::Life,
    metrics::CacheMetrics,
    ports::{BeaconNode, Clock, KeyValue},
    registrations::Registrations,
};
use trireme_eth2::Slot;
use trireme_node::workflow::{Lives, Ports, Settings, Workflow};
use trireme_testutil::{
    judge::Judge,
    sim::{CrashStore, SeededEntropy, SimClock, SimNet},
};

use crate::{
    beacon::{SimBeacon, World},
    chain::{Facts, NODES, SLOT},
    client::{Client, Door, Witness, start},
    forger::Forger,
    plan::Plan,
    run::Audit,
    villain::{Lies, Wire},
};

/// A running node.
struct Node {
    lives: Lives,
    _workflow: Workflow,
}

/// What belongs to one operator and outlives a crash of its node.
struct Operator {
    store: Arc<CrashStore>,
    beacon: Arc<SimBeacon>,
    door: Arc<Door>,
    lies: Option<Arc<Lies>>,
    node: Option<Node>,
    boots: u64,
}

/// See the module.
pub(crate) struct SimCluster {
    pub(crate) net: Arc<SimNet>,
    pub(crate) clock: SimClock,
    pub(crate) world: Arc<World>,
    pub(crate) witness: Arc<Witness>,
    facts: Facts,
    audit: Arc<Audit>,
    operators: Vec<Operator>,
    clients: Life,
    seed: u64,
}

impl SimCluster {
    /// All nodes and clients, started. The clients work in the slots before `end`.
    pub(crate) async fn start(seed: u64, now: UnixTime, end: u64, plan: &Plan, audit: &Arc<Audit>) -> Self {
        let facts = Facts::new(seed, plan);
        let clock = SimClock::starting_at(now);
        let world = World::new(Judge::with(facts.judge.clone()), Arc::clone(&facts.toy), clock.clone());
        let witness = Arc::<Witness>::default();
        let clients = Life::new();
        let (chain, of) = (Arc::clone(&world), clock.clone());
        clients.task("chain", async move {
            for slot in 1..end {
                of.sleep_until(start(Slot(slot)).before(SLOT / 8)).await;
                chain.passes();
            }
        });
        if let Some((slot, validator)) = plan.exit {
            world.judge().expect_exit(validator, slot);
        }
        let net = SimNet::new(NODES, seed);
        let mut operators = Vec::new();
        for me in 0..NODES {
            let beacon = SimBeacon::new(&world, me, seed ^ (0xbea0 + u64::from(me)), audit);
            let door = Arc::<Door>::default();
            let port = Arc::clone(&beacon) as Arc<dyn BeaconNode>;
            let share = ShareIdx(me + 1);
            let client = Client::new(share, &facts, Arc::clone(&door), port, clock.clone(), &witness, audit);
            client.start(&clients, end);
            if let Some((slot, validator)) = plan.exit {
                clients.task("vc.leave", client.leave(slot, validator));
            }
            let lies = || {
                let forger = plan.equivocates.then(|| Forger::new(&net, PeerIdx(me), &world));
                Lies::new(seed ^ 0x11e5, forger)
            };
            operators.push(Operator {
                store: Arc::new(CrashStore::new()),
                beacon,
                door,
                lies: (plan.villain == Some(me)).then(lies),
                node: None,
                boots: 0,
            });
        }
        let mut cluster = Self {
            net,
            clock,
            world,
            witness,
            facts,
            audit: Arc::clone(audit),
            operators,
            clients,
            seed,
        };
        for me in 0..NODES {
            cluster.boot(me).await;
        }
        cluster
    }

    /// Starts a node on what its store holds.
    pub(crate) async fn boot(&mut self, me: u8) {
        self.net.set_node(PeerIdx(me), true);
        let operator = &mut self.operators[usize::from(me)];
        operator.boots += 1;
        let entropy = self.seed ^ (operator.boots << 32) ^ (0xe4 << 8) ^ u64::from(me);
        let cluster = self.facts.cluster(me);
        let lives = Lives {
            scheduling: Life::new(),
            duties: Life::new(),
            duties_stop: CancellationToken::new(),
        };
        let features = FeatureSet::default();
        let ports = Ports {
            beacon: Arc::clone(&operator.beacon) as _,
            net: Wire::new(
                self.net.peer(PeerIdx(me)),
                self.clock.clone(),
                &self.audit,
                operator.lies.clone(),
            ),
            journal: Arc::new(Journal::inline(Arc::clone(&operator.store) as Arc<dyn KeyValue>)),
            clock: Arc::new(self.clock.clone()) as Arc<dyn Clock>,
            compute: Arc::new(Inline),
            entropy: Arc::new(SeededEntropy::new(entropy)),
            scheme: Arc::clone(&self.facts.toy) as _,
            caches: CacheMetrics::default(),
        };
        let settings = Settings {
            // Each node's blocks are its own.
            graffiti: Graffiti::new(&[format!("operator {me}")], "trireme", true, &cluster).unwrap(),
            chain: Arc::clone(&self.facts.spec),
            builder: self.facts.judge.builder,
            registrations: Arc::new(Registrations::new(
                Arc::clone(&cluster),
                self.facts.registrations.clone(),
            )),
            cluster,
            identity: Arc::new(self.net.key(PeerIdx(me)).unwrap().clone()),
            consensus: ConsensusConfig::default(),
            wishes: Wishes::new(
                vec!["v1.11".to_owned(), "v1.10".to_owned()],
                &[],
                false,
                false,
                &features,
            ),
            features,
        };
        let workflow = Workflow::start(ports, settings, &lives, &Mutex::new(Registry::default()))
            .await
            .unwrap();
        operator.door.open(Arc::clone(&workflow.vapi));
        operator.node = Some(Node {
            lives,
            _workflow: workflow,
        });
    }

    /// The node's process dies; a seed says which unflushed writes survive.
    pub(crate) async fn crash(&mut self, me: u8, seed: u64) {
        self.net.set_node(PeerIdx(me), false);
        let operator = &mut self.operators[usize::from(me)];
        operator.door.close();
        operator.store = Arc::new(operator.store.crash(seed));
        if let Some(node) = operator.node.take() {
            node.lives.scheduling.stop().await;
            node.lives.duties.stop().await;
        }
    }

    pub(crate) async fn until(&self, t: UnixTime) {
        self.clock.sleep_until(t).await;
    }

    /// No duty begins any more.
    pub(crate) async fn stop_scheduling(&self) {
        for node in self.operators.iter().filter_map(|o| o.node.as_ref()) {
            node.lives.scheduling.stop().await;
        }
    }

    /// The tasks of nodes and clients that run beside the standing ones.
    pub(crate) fn leftover(&self) -> Vec<String> {
        let standing = ["tracker", "inclusion", "dutydb", "aggsigdb", "parsigdb"];
        let mut left = Vec::new();
        let nodes = self.operators.iter().filter_map(|o| o.node.as_ref());
        let lives = nodes.map(|n| &n.lives.duties).chain([&self.clients]);
        for (n, life) in lives.enumerate() {
            let running = life.running().into_iter().filter(|(name, _)| !standing.contains(name));
            left.extend(running.map(|(name, count)| format!("{count} {name} of {n}")));
        }
        left
    }

    /// Ends everything.
    pub(crate) async fn end(mut self) {
        self.clients.stop().await;
        for me in 0..NODES {
            self.crash(me, 0).await;
        }
    }
}
