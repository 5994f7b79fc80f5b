//! The run itself.

use std::{collections::BTreeMap, time::Duration};

use trireme_eth2::{BlsPubkey, Fork, Slot};
use trireme_tbls::SecretKey;
use trireme_testutil::{
    judge::{ChainConfig, HOODI, Judge, Now, Server, report, wall_clock},
    vc::{ValidatorClient, VcConfig},
};

use crate::{
    cluster::{Cluster, until_answered},
    history::{Again, Asker, History},
    peer::ListeningPeer,
    plan::{Instant, Kill, Kills},
    setting,
};

/// Operators; the last one is the listening peer.
const SEATS: usize = 6;
/// Real nodes. One more than the quorum, so that duties go on while one is down.
const NODES: usize = 5;
const THRESHOLD: usize = 4;
/// Two attest in each slot.
const VALIDATORS: usize = 16;
const SLOTS_PER_EPOCH: u64 = 8;
/// The cluster's first duties must come within this time.
const START: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes; run it with `just kill-test`"]
async fn a_killed_node_never_contradicts_what_it_said_before() {
    let now = wall_clock();
    let kills = setting("KILLS").unwrap_or(50);
    let seed = setting("SEED").unwrap_or_else(|| now().as_secs());
    let slot_seconds = setting("SLOT_SECONDS").unwrap_or(2);
    eprintln!("KILLS={kills} SEED={seed} SLOT_SECONDS={slot_seconds}");

    let mut run = Run::start(slot_seconds, now).await;
    let mut plan = Kills::new(seed, NODES, Duration::from_secs(slot_seconds));
    let first = run.slot();
    for number in 1..=kills {
        let kill = plan.next();
        run.kill(kill).await;
        eprintln!("{number}/{kills}: {kill:?}; {}", run.progress());
        if !run.wrong().is_empty() {
            break;
        }
    }
    run.settle().await;
    run.tell(first);

    let wrong = run.wrong();
    if !wrong.is_empty() {
        let folder = run.cluster.keep();
        panic!("logs in {}; SEED={seed}\n{}", folder.display(), wrong.join("\n"));
    }
    // The run was one under load, and the questions were real ones.
    let killed = &run.killed;
    assert!(
        run.again.same_data >= kills,
        "too little was served again to say anything"
    );
    for (node, count) in killed {
        let operator = u8::try_from(*node).unwrap();
        let (votes, partials) = run.peer.with(|r| r.totals(operator));
        assert!(
            votes > 0 && partials > 0,
            "node{node}, killed {count} times, said nothing"
        );
    }
    let working = |n: &usize| {
        run.peer
            .with(|r| r.worked_since(u8::try_from(*n).unwrap(), run.last_kill.0))
    };
    let idle: Vec<usize> = (0..NODES).filter(|n| !working(n)).collect();
    assert_eq!(idle, Vec::<usize>::new(), "nodes that do not vote any more");
}

struct Run {
    cluster: Cluster,
    judge: Server,
    chain: ChainConfig,
    peer: ListeningPeer,
    clients: BTreeMap<usize, ValidatorClient>,
    keys: Vec<BTreeMap<BlsPubkey, SecretKey>>,
    client: reqwest::Client,
    now: Now,
    history: History,
    again: Again,
    killed: BTreeMap<usize, u64>,
    last_kill: Slot,
}

impl Run {
    async fn start(slot_seconds: u64, now: Now) -> Self {
        let mut cluster = Cluster::create(SEATS, THRESHOLD, VALIDATORS).await;
        // The chain is some epochs old.
        let age = slot_seconds * SLOTS_PER_EPOCH * 3;
        let genesis = Duration::from_secs(now().as_secs() - age);
        let mut chain = ChainConfig::new(genesis, Fork::Fulu, HOODI, cluster.validators());
        chain.seconds_per_slot = slot_seconds;
        chain.slots_per_epoch = SLOTS_PER_EPOCH;
        let judge = Server::start(Judge::new(chain.clone()), now.clone()).await.unwrap();
        cluster.use_beacon(judge.url());

        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        cluster.start_relay();
        let relay = cluster.relay_url();
        let answered = tokio::time::timeout(START, until_answered(&client, &relay)).await;
        answered.expect("the relay answers");
        let seat = NODES;
        let peer = ListeningPeer::start(&cluster.seat(seat), u8::try_from(seat).unwrap(), &relay).await;
        for node in 0..NODES {
            cluster.start_node(node);
        }
        let keys = (0..NODES).map(|node| cluster.share_keys(node)).collect();
        let mut run = Self {
            cluster,
            judge,
            chain,
            peer,
            clients: BTreeMap::new(),
            keys,
            client,
            now,
            history: History::default(),
            again: Again::default(),
            killed: BTreeMap::new(),
            last_kill: Slot(0),
        };
        for node in 0..NODES {
            run.start_client(node);
        }
        let all = tokio::time::timeout(START, run.ready()).await;
        all.expect("all nodes become ready");
        run
    }

    /// Until every node is ready, connected to the listening peer, and has voted.
    async fn ready(&mut self) {
        for node in 0..NODES {
            until_answered(&self.client, &self.cluster.readiness(node)).await;
        }
        let voted = |peer: &ListeningPeer| (0..NODES).all(|n| peer.with(|r| r.totals(u8::try_from(n).unwrap()).1 > 0));
        while self.peer.connected() < NODES || !voted(&self.peer) {
            self.cluster.check_alive();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn slot(&self) -> Slot {
        self.chain.slot_at((self.now)())
    }

    /// A client without memory.
    fn start_client(&mut self, node: usize) {
        let keys = self.keys[node].values().cloned().collect();
        let config = VcConfig {
            keep: true,
            ..VcConfig::new(self.cluster.validator_api(node), keys, self.now.clone())
        };
        self.clients.insert(node, ValidatorClient::start(config));
    }

    async fn kill(&mut self, kill: Kill) {
        match kill.instant {
            Instant::After(rest) => tokio::time::sleep(rest).await,
            Instant::MidWork { rest, sent, delay } => {
                tokio::time::sleep(rest).await;
                let operator = u8::try_from(kill.node).unwrap();
                // A node that says nothing for so long sits something out; that is a random instant as well.
                let limit = self.chain.slot_duration() * 4;
                self.peer.next_message(operator, sent, limit).await;
                tokio::time::sleep(delay).await;
            }
        }
        self.cluster.check_alive();
        self.cluster.kill(kill.node).await;
        self.last_kill = self.slot();
        *self.killed.entry(kill.node).or_default() += 1;
        // Whatever the client still has in its socket has been served.
        tokio::time::sleep(Duration::from_millis(50)).await;
        self.collect(kill.node);
        self.clients.remove(&kill.node);

        tokio::time::sleep(kill.down).await;
        self.cluster.start_node(kill.node);
        self.start_client(kill.node);
        let since = Slot(self.slot().0.saturating_sub(3 * SLOTS_PER_EPOCH));
        let asker = Asker {
            url: self.cluster.validator_api(kill.node),
            keys: self.keys[kill.node].clone(),
            chain: self.chain.clone(),
            now: self.now.clone(),
            client: self.client.clone(),
        };
        let again = asker.ask(self.history.of(kill.node, since)).await;
        self.again.add(again);
    }

    fn collect(&mut self, node: usize) {
        let served = self.clients[&node].activity().served;
        self.history.add(node, &served);
    }

    /// Lets the node killed last take part again, and collects what all clients were served.
    async fn settle(&mut self) {
        let slots = u32::try_from(SLOTS_PER_EPOCH).unwrap();
        tokio::time::sleep(self.chain.slot_duration() * slots).await;
        self.cluster.check_alive();
        for node in 0..NODES {
            self.collect(node);
        }
    }

    /// Everything that must not have happened and did.
    fn wrong(&self) -> Vec<String> {
        let mut all = [self.history.wrong.clone(), self.again.wrong.clone()].concat();
        all.extend(self.peer.with(|r| r.wrong.clone()));
        all.extend(
            self.judge
                .with(|j| j.slashable().iter().map(|s| format!("{s:?}")).collect::<Vec<_>>()),
        );
        all.extend(self.cluster.panics());
        all
    }

    fn progress(&self) -> String {
        format!(
            "served again: {} data, {} blocks",
            self.again.same_data, self.again.same_blocks
        )
    }

    /// The figures of the run.
    fn tell(&self, first: Slot) {
        let (data, blocks) = self.history.totals();
        eprintln!("kills by node: {:?}", self.killed);
        eprintln!("clients were served {data} attestation data and {blocks} blocks");
        eprintln!("asked again: {}; refused: {:#?}", self.progress(), self.again.refused);
        for n in 0..u8::try_from(NODES).unwrap() {
            let (votes, partials) = self.peer.with(|r| r.totals(n));
            eprintln!("operator {n}: {votes} different consensus messages, {partials} partials");
        }
        let end = self.slot().0.saturating_sub(SLOTS_PER_EPOCH);
        for (kind, duty) in self.judge.with(|j| report(j, first.0..end)).duties {
            eprintln!("{kind:?}: {} of {} completed", duty.completed, duty.expected);
        }
        let mut refusals: BTreeMap<String, u64> = BTreeMap::new();
        self.judge.with(|j| {
            for refusal in j.refusals() {
                let why: String = refusal.reason.chars().filter(|c| !c.is_ascii_digit()).collect();
                *refusals.entry(why).or_default() += 1;
            }
        });
        eprintln!("refused by the judge: {refusals:#?}");
    }
}
