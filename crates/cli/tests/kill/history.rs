//! What validator clients were served, and asking for it again.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures::StreamExt as _;
use trireme_eth2::{BlsPubkey, BlsSignature, Slot, hash_tree_root};
use trireme_tbls::SecretKey;
use trireme_testutil::{
    judge::{ChainConfig, Now, Purpose, domain, signing_root},
    vc::{Served, ServedKind},
};

/// A question that a client may ask.
pub(crate) type Question = (Slot, ServedKind);

/// How long a client waits for an answer; nodes hold requests for up to ten seconds.
const PATIENCE: Duration = Duration::from_secs(12);
/// Longest time from a start to the first answer.
const START: Duration = Duration::from_secs(60);
/// Requests at a time.
const AT_ONCE: usize = 64;
/// A duty must be open for so long after the node began to answer before a refusal counts as a loss.
const OPEN: Duration = Duration::from_secs(1);

/// Every answer so far.
#[derive(Debug, Default)]
pub(crate) struct History {
    answers: BTreeMap<Question, Vec<u8>>,
    by_node: BTreeMap<usize, BTreeSet<Question>>,
    /// What must not have happened.
    pub(crate) wrong: Vec<String>,
}

impl History {
    /// Adds what the client of `node` was served. All clients must have been served the same.
    pub(crate) fn add(&mut self, node: usize, served: &[Served]) {
        for one in served {
            let question = (one.slot, one.kind);
            let known = self.answers.entry(question).or_insert_with(|| one.body.clone());
            if *known != one.body {
                self.wrong.push(format!(
                    "node{node} served {question:?} otherwise than it was served before: {} and {}",
                    shown(known),
                    shown(&one.body)
                ));
            }
            self.by_node.entry(node).or_default().insert(question);
        }
    }

    /// What `node` served for `since` and later slots, and some of what it served before.
    pub(crate) fn of(&self, node: usize, since: Slot) -> Vec<(Question, Vec<u8>)> {
        const OLD: usize = 12;
        let Some(all) = self.by_node.get(&node) else {
            return Vec::new();
        };
        let (old, new): (Vec<Question>, Vec<Question>) = all.iter().partition(|(slot, _)| *slot < since);
        let old = old.iter().step_by(old.len().div_ceil(OLD).max(1));
        let answer = |q: &Question| (*q, self.answers.get(q).unwrap().clone());
        new.iter().chain(old).map(answer).collect()
    }

    /// Different answers: attestation data, blocks.
    pub(crate) fn totals(&self) -> (usize, usize) {
        let kinds = || self.answers.keys().map(|(_, kind)| *kind);
        let blocks = kinds().filter(|kind| *kind == ServedKind::Block).count();
        let data = kinds().filter(|kind| matches!(kind, ServedKind::AttestationData { .. }));
        (data.count(), blocks)
    }
}

/// The begin of a body, for messages.
fn shown(body: &[u8]) -> String {
    match std::str::from_utf8(body) {
        Ok(text) => text.chars().take(600).collect(),
        Err(_) => format!("{} bytes beginning {:02x?}", body.len(), &body[..body.len().min(64)]),
    }
}

/// What came of asking again.
#[derive(Debug, Default)]
pub(crate) struct Again {
    /// Attestation data served again byte for byte.
    pub(crate) same_data: u64,
    /// Blocks served again byte for byte.
    pub(crate) same_blocks: u64,
    /// Aggregates and contributions served again byte for byte.
    pub(crate) same_aggregates: u64,
    /// Refusals of duties that are over, by status and text without numbers.
    pub(crate) refused: BTreeMap<String, u64>,
    /// What must not have happened.
    pub(crate) wrong: Vec<String>,
}

impl Again {
    pub(crate) fn add(&mut self, other: Self) {
        self.same_data += other.same_data;
        self.same_blocks += other.same_blocks;
        self.same_aggregates += other.same_aggregates;
        for (why, count) in other.refused {
            *self.refused.entry(why).or_default() += count;
        }
        self.wrong.extend(other.wrong);
    }
}

enum Answer {
    Same,
    Refused(String),
    Wrong(String),
}

/// A client that asks one node again.
pub(crate) struct Asker {
    /// The node's validator API.
    pub(crate) url: String,
    /// The node's share keys by group key.
    pub(crate) keys: BTreeMap<BlsPubkey, SecretKey>,
    /// The chain with its validators.
    pub(crate) chain: ChainConfig,
    pub(crate) now: Now,
    pub(crate) client: reqwest::Client,
}

impl Asker {
    /// Asks everything again and compares.
    pub(crate) async fn ask(&self, questions: Vec<(Question, Vec<u8>)>) -> Again {
        let began = (self.now)();
        let each = questions
            .into_iter()
            .map(|(question, body)| async move { (question, self.ask_one(question, &body, began).await) });
        let answers: Vec<_> = futures::stream::iter(each).buffer_unordered(AT_ONCE).collect().await;
        let mut again = Again::default();
        for ((_, kind), answer) in answers {
            match (answer, kind) {
                (Answer::Same, ServedKind::Block) => again.same_blocks += 1,
                (Answer::Same, ServedKind::AttestationData { .. }) => again.same_data += 1,
                (Answer::Same, ServedKind::Aggregate { .. } | ServedKind::Contribution { .. }) => {
                    again.same_aggregates += 1;
                }
                (Answer::Refused(why), _) => *again.refused.entry(why).or_default() += 1,
                (Answer::Wrong(why), _) => again.wrong.push(why),
            }
        }
        again
    }

    /// Asks until the node answers or, if it refuses, until the duty is over.
    async fn ask_one(&self, question: Question, body: &[u8], began: Duration) -> Answer {
        let over = self.end_of(question);
        let mut open_since = None;
        loop {
            let asked = (self.now)();
            let (status, text) = match self.get(question).await {
                Ok((200, got)) if got == body => return Answer::Same,
                Ok((200, got)) => {
                    let (was, is) = (shown(body), shown(&got));
                    return Answer::Wrong(format!("{}: {question:?} was {was} and now is {is}", self.url));
                }
                Ok((status, got)) => (status, shown(&got)),
                Err(_) if asked < began.saturating_add(START) => (503, String::new()),
                Err(why) => return Answer::Wrong(format!("{}: no answer to {question:?}: {why}", self.url)),
            };
            // 503: not there yet, or starting.
            if status != 503 {
                if asked >= over {
                    let lost = open_since.is_some_and(|since| over.saturating_sub(since) >= OPEN);
                    let why = format!("{status} {}", without_numbers(&text));
                    return if lost {
                        Answer::Wrong(format!("{}: {question:?} is lost though still open: {why}", self.url))
                    } else {
                        Answer::Refused(why)
                    };
                }
                open_since.get_or_insert(asked);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Until when the duty can be done: an epoch for attestations, a third of the slot for blocks, a slot for what is
    /// aggregated in it, and a margin.
    fn end_of(&self, (slot, kind): Question) -> Duration {
        let length = self.chain.slot_duration();
        let open = match kind {
            ServedKind::AttestationData { .. } => {
                length.saturating_mul(u32::try_from(self.chain.slots_per_epoch).unwrap())
            }
            ServedKind::Block => length / 3,
            ServedKind::Aggregate { .. } | ServedKind::Contribution { .. } => length,
        };
        self.chain.start(slot) + open + length / 12
    }

    async fn get(&self, (slot, kind): Question) -> Result<(u16, Vec<u8>), reqwest::Error> {
        let base = &self.url;
        let path = match kind {
            ServedKind::AttestationData { committee } => {
                format!("/eth/v1/validator/attestation_data?slot={slot}&committee_index={committee}")
            }
            ServedKind::Aggregate { committee, root } => format!(
                "/eth/v2/validator/aggregate_attestation?slot={slot}&committee_index={committee}&attestation_data_root={root}"
            ),
            ServedKind::Contribution { subcommittee, root } => format!(
                "/eth/v1/validator/sync_committee_contribution?slot={slot}&subcommittee_index={subcommittee}&beacon_block_root={root}"
            ),
            ServedKind::Block => {
                let randao = self.randao(slot);
                format!("/eth/v3/validator/blocks/{slot}?randao_reveal={randao}&builder_boost_factor=0")
            }
        };
        let mut request = self.client.get(format!("{base}{path}")).timeout(PATIENCE);
        if kind == ServedKind::Block {
            request = request.header("accept", "application/octet-stream;q=1.0,application/json;q=0.9");
        }
        let answer = request.send().await?;
        let status = answer.status().as_u16();
        Ok((status, answer.bytes().await?.to_vec()))
    }

    /// The reveal that the node's own client signs.
    fn randao(&self, slot: Slot) -> BlsSignature {
        let proposer = self.chain.key(self.chain.proposer(slot)).unwrap();
        let epoch = self.chain.epoch(slot);
        let root = signing_root(hash_tree_root(&epoch), domain(&self.chain, Purpose::Randao, epoch));
        BlsSignature(self.keys[&proposer].sign(root.as_slice()).to_bytes())
    }
}

fn without_numbers(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars().map(|c| if c.is_ascii_digit() { 'N' } else { c }) {
        if c != 'N' || !out.ends_with('N') {
            out.push(c);
        }
    }
    out
}
