//! Consensus messages, rules and times of another implementation.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::Deserialize;
use trireme_core::{
    Duty, DutyType, UnixTime,
    consensus::{
        hash::{ValueHash, digest, signing_digest},
        leader,
        receive::{Checked, Refusal, Signers, open},
        timer::{RoundTimer, TimerKind},
        wire::{frame, seal, unsigned},
    },
    duty::Slot,
};
use trireme_keys::{IdentityKey, K1PublicKey};
use trireme_qbft::{Effect, Input, Instance, Kind, Msg, Nodes, Params, Process, Round, Vote};

fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text.strip_prefix("0x").unwrap_or(text)).unwrap()
}

fn kind_of(name: &str) -> Kind {
    Kind::ALL.into_iter().find(|k| k.name() == name).unwrap()
}

/// A frame without its length prefix.
fn content(frame: &str) -> Bytes {
    let mut frame = Bytes::from(bytes(frame));
    let length = prost::encoding::decode_varint(&mut frame).unwrap();
    assert_eq!(length, u64::try_from(frame.len()).unwrap());
    frame
}

/// Lets every duty of a known type in.
fn any_duty(slot: u64, kind: i64) -> Option<Duty> {
    Some(Duty::new(Slot(slot), DutyType::try_from(kind).ok()?))
}

fn check(frame: Bytes, signers: &Signers) -> Result<(Duty, Checked), Refusal> {
    let opened = open(frame, signers.count(), any_duty)?;
    let duty = opened.duty;
    Ok((duty, opened.verify(signers, &BTreeMap::new())?))
}

// === Hashes and signatures

#[derive(Deserialize)]
struct Digests {
    cases: Vec<Digest>,
}

#[derive(Deserialize)]
struct Digest {
    #[serde(alias = "proto_hex")]
    bytes_hex: String,
    #[serde(alias = "hash_hex")]
    digest: String,
}

fn digests(file: &Digests) {
    for case in &file.cases {
        assert_eq!(
            hex::encode(digest(&bytes(&case.bytes_hex))),
            case.digest,
            "{}",
            case.bytes_hex
        );
    }
}

#[test]
fn bytes_digest() {
    trireme_vectors::each("core", "bytes-digest", |e| digests(&e.parse()));
}

#[test]
fn hash_proto() {
    trireme_vectors::each("p2p", "hash-proto", |e| digests(&e.parse()));
}

#[derive(Deserialize)]
struct Signings {
    cases: Vec<Signing>,
}

#[derive(Deserialize)]
struct Signing {
    name: String,
    r#type: i64,
    duty: WireDuty,
    peer_idx: u8,
    round: u64,
    value_hash: String,
    prepared_round: u64,
    prepared_value_hash: String,
    unsigned_proto_hex: String,
    digest: String,
    signature: String,
    signed_proto_hex: String,
}

#[derive(Deserialize, Clone, Copy)]
struct WireDuty {
    slot: u64,
    r#type: i64,
}

impl WireDuty {
    fn duty(self) -> Duty {
        any_duty(self.slot, self.r#type).unwrap()
    }
}

/// The key of the signing cases: that of the `k1-signature` entry, as their file says.
const SIGNING_KEY: &str = "41d3ff12045b73c870529fe44f70dca2745bafbe1698ffc3c8759eef3cfbaee1";

#[test]
fn qbft_msg_signing() {
    use prost::Message as _;
    let key = IdentityKey::from_bytes(bytes(SIGNING_KEY).as_slice().try_into().unwrap()).unwrap();
    trireme_vectors::each("core", "qbft-msg-signing", |e| {
        let file: Signings = e.parse();
        for case in &file.cases {
            let vote = Vote {
                kind: Kind::try_from(case.r#type).unwrap(),
                source: Process(case.peer_idx),
                round: Round(case.round),
                value: ValueHash::from_wire(&bytes(&case.value_hash)),
                prepared_round: (case.prepared_round > 0).then_some(Round(case.prepared_round)),
                prepared_value: ValueHash::from_wire(&bytes(&case.prepared_value_hash)),
            };
            let duty = case.duty.duty();
            let msg = unsigned(duty, &vote);
            assert_eq!(
                hex::encode(msg.encode_to_vec()),
                case.unsigned_proto_hex,
                "{}",
                case.name
            );
            let digest = signing_digest(&msg);
            assert_eq!(hex::encode(digest), case.digest, "{}", case.name);
            assert_eq!(hex::encode(key.sign_digest(&digest)), case.signature, "{}", case.name);
            assert_eq!(
                hex::encode(seal(duty, &vote, &key)),
                case.signed_proto_hex,
                "{}",
                case.name
            );
        }
    });
}

// === Leaders and timers

#[derive(Deserialize)]
struct Leaders {
    cases: Vec<Leader>,
}

#[derive(Deserialize)]
struct Leader {
    slot: u64,
    duty_type: i64,
    round: u64,
    nodes: u8,
    leader: u8,
}

#[test]
fn qbft_leader() {
    trireme_vectors::each("core", "qbft-leader", |e| {
        let file: Leaders = e.parse();
        for case in &file.cases {
            let duty = WireDuty {
                slot: case.slot,
                r#type: case.duty_type,
            }
            .duty();
            let found = leader(duty, Round(case.round), Nodes::new(case.nodes).unwrap());
            assert_eq!(found.map(|p| p.0), Some(case.leader), "{duty} round {}", case.round);
        }
    });
}

#[derive(Deserialize)]
struct Timers {
    cases: Vec<Timer>,
}

#[derive(Deserialize)]
struct Timer {
    timer: String,
    duty: Option<String>,
    #[serde(default)]
    proposal_timeout: bool,
    round: Option<u64>,
    timeout: Option<u64>,
    deadline_after_duty_start: Option<u64>,
    #[serde(default)]
    sequence: Vec<Request>,
}

#[derive(Deserialize)]
struct Request {
    round: u64,
    requested_at: u64,
    expires_at: u64,
}

fn at(millis: u64) -> UnixTime {
    UnixTime::from_secs(1_000_000).after(std::time::Duration::from_millis(millis))
}

#[test]
fn round_timers() {
    let kinds = [TimerKind::EagerDoubleLinear, TimerKind::Increasing, TimerKind::Linear];
    trireme_vectors::each("core", "round-timers", |e| {
        let file: Timers = e.parse();
        for case in &file.cases {
            let kind = kinds.into_iter().find(|k| k.name() == case.timer).unwrap();
            let long = case.proposal_timeout && case.duty.as_deref() == Some(DutyType::Proposer.name());
            let fresh = |start| RoundTimer::new(kind, long, start);
            let mut checks = 0;
            if let (Some(round), Some(timeout)) = (case.round, case.timeout) {
                assert_eq!(
                    fresh(None).set(Round(round), at(300)),
                    at(300 + timeout),
                    "{kind:?} round {round}"
                );
                checks += 1;
            }
            if let (Some(round), Some(after)) = (case.round, case.deadline_after_duty_start) {
                assert_eq!(
                    fresh(Some(at(0))).set(Round(round), at(300)),
                    at(after),
                    "{kind:?} round {round}"
                );
                checks += 1;
            }
            let mut timer = fresh(None);
            for request in &case.sequence {
                let expires = timer.set(Round(request.round), at(request.requested_at));
                assert_eq!(expires, at(request.expires_at), "{kind:?} round {}", request.round);
                checks += 1;
            }
            assert!(checks > 0, "a case that says nothing");
        }
    });
}

// === Received messages

#[derive(Deserialize)]
struct ReceiveChecks {
    cases: Vec<ReceiveCase>,
    keys: Vec<ReceiveKey>,
    duty: WireDuty,
}

#[derive(Deserialize)]
struct ReceiveKey {
    peer_idx: usize,
    public_key: String,
}

#[derive(Deserialize)]
struct ReceiveCase {
    name: String,
    frame: String,
    accepted: bool,
    note: Option<String>,
}

#[test]
fn qbft_receive_checks() {
    trireme_vectors::each("core", "qbft-receive-checks", |e| {
        let file: ReceiveChecks = e.parse();
        let mut keys: Vec<&ReceiveKey> = file.keys.iter().collect();
        keys.sort_by_key(|k| k.peer_idx);
        let keys: Vec<K1PublicKey> = keys
            .iter()
            .map(|k| K1PublicKey::from_sec1(&bytes(&k.public_key)).unwrap())
            .collect();
        let nodes = Nodes::new(u8::try_from(keys.len()).unwrap()).unwrap();
        let signers = Signers::new(keys);
        let duty = file.duty.duty();
        let leader_offset = i64::try_from(duty.slot.0).unwrap() + i64::from(duty.kind.number());
        for case in &file.cases {
            let result = check(content(&case.frame), &signers);
            assert_eq!(result.is_ok(), case.accepted, "{}: {:?}", case.name, result.err());
            let Ok((found, checked)) = result else { continue };
            assert_eq!(found, duty, "{}", case.name);
            let params = Params {
                nodes,
                leader_offset,
                compare: false,
                abstain: true,
            };
            let mut instance = Instance::new(params, Process(0));
            let effects = instance.step(Input::Message(checked.msg));
            let dropped = effects
                .iter()
                .any(|e| matches!(e, Effect::Note(trireme_qbft::Trace::Dropped { .. })));
            let unjustified = case.note.as_deref().is_some_and(|n| n.contains("unjustified"));
            assert_eq!(dropped, unjustified, "{}: {:?}", case.name, case.note);
        }
    });
}

// === Whole instances

#[derive(Deserialize)]
struct Exchanges {
    instances: Vec<Exchange>,
}

#[derive(Deserialize)]
struct Exchange {
    name: String,
    nodes: u8,
    duty: WireDuty,
    keys: Vec<NodeKey>,
    inputs: Vec<OwnInput>,
    messages: Vec<Message>,
    processed: Vec<Processed>,
    decided_by: Vec<u8>,
    decided_round: u64,
    decided_value_hash: String,
}

#[derive(Deserialize)]
struct NodeKey {
    peer_idx: usize,
    enr_public_key: String,
}

#[derive(Deserialize)]
struct OwnInput {
    peer_idx: u8,
    set: String,
    value_hash: String,
}

#[derive(Deserialize)]
struct Processed {
    peer_idx: u8,
    processed_in_order: Vec<String>,
}

#[derive(Deserialize)]
struct Message {
    frame: String,
    from: u8,
    to: Vec<u8>,
    r#type: String,
    round: u64,
    prepared_round: u64,
    value_hash: String,
    prepared_value_hash: String,
    digest: String,
    signature: String,
    #[serde(default)]
    values_hashes: Option<Vec<String>>,
    #[serde(default)]
    justification: Option<Vec<Shown>>,
}

#[derive(Deserialize)]
struct Shown {
    peer_idx: u8,
    r#type: String,
    round: u64,
    prepared_round: u64,
    value_hash: String,
    prepared_value_hash: String,
    digest: String,
    signature: String,
}

fn signers(keys: &[NodeKey]) -> Signers {
    let mut keys: Vec<&NodeKey> = keys.iter().collect();
    keys.sort_by_key(|k| k.peer_idx);
    Signers::new(
        keys.iter()
            .map(|k| K1PublicKey::from_sec1(&bytes(&k.enr_public_key)).unwrap())
            .collect(),
    )
}

/// The parts that every message and every justification states: fields, digest, signature.
fn same_vote(vote: &Vote<ValueHash>, sealed: &Bytes, expected: &Shown) {
    use prost::Message as _;
    assert_eq!(vote.kind, kind_of(&expected.r#type));
    assert_eq!(
        (vote.source, vote.round),
        (Process(expected.peer_idx), Round(expected.round))
    );
    assert_eq!(vote.prepared_round.map_or(0, |r| r.0), expected.prepared_round);
    assert_eq!(vote.value, ValueHash::from_wire(&bytes(&expected.value_hash)));
    assert_eq!(
        vote.prepared_value,
        ValueHash::from_wire(&bytes(&expected.prepared_value_hash))
    );
    let msg = trireme_proto::core::v1::QbftMsg::decode(sealed.clone()).unwrap();
    assert_eq!(signing_digest(&msg).as_slice(), bytes(&expected.digest));
    assert_eq!(msg.signature, bytes(&expected.signature));
}

fn name_of(message: &Message) -> String {
    format!("{} r{} from {}", message.r#type, message.round, message.from)
}

/// Checks one recorded message and returns it.
fn recorded(duty: Duty, message: &Message, signers: &Signers) -> Msg<ValueHash> {
    let whole = content(&message.frame);
    let (found, checked) = check(whole.clone(), signers).unwrap();
    assert_eq!(found, duty);
    let msg = checked.msg;
    let main = Shown {
        peer_idx: message.from,
        r#type: message.r#type.clone(),
        round: message.round,
        prepared_round: message.prepared_round,
        value_hash: message.value_hash.clone(),
        prepared_value_hash: message.prepared_value_hash.clone(),
        digest: message.digest.clone(),
        signature: message.signature.clone(),
    };
    same_vote(&msg.signed.vote, &msg.signed.seal, &main);
    let shown = message.justification.as_deref().unwrap_or_default();
    assert_eq!(msg.justification.len(), shown.len());
    for (signed, expected) in msg.justification.iter().zip(shown) {
        same_vote(&signed.vote, &signed.seal, expected);
    }
    let carried: BTreeSet<Vec<u8>> = checked.values.keys().map(|h| h.as_bytes().to_vec()).collect();
    let expected: BTreeSet<Vec<u8>> = message.values_hashes.iter().flatten().map(|h| bytes(h)).collect();
    assert_eq!(carried, expected);
    if carried.len() <= 1 {
        assert_eq!(
            frame(&msg, &checked.values).unwrap(),
            whole,
            "we would write the same frame"
        );
    }
    msg
}

/// Whether the algorithm of a fresh node takes the message as justified.
fn is_justified(duty: Duty, nodes: u8, msg: &Msg<ValueHash>) -> bool {
    let leader_offset = i64::try_from(duty.slot.0).unwrap() + i64::from(duty.kind.number());
    let params = Params {
        nodes: Nodes::new(nodes).unwrap(),
        leader_offset,
        compare: false,
        abstain: true,
    };
    let effects = Instance::new(params, Process(0)).step(Input::Message(msg.clone()));
    !effects
        .iter()
        .any(|e| matches!(e, Effect::Note(trireme_qbft::Trace::Dropped { .. })))
}

/// One node that is fed a recorded order of messages.
struct Replay<'a> {
    me: u8,
    instance: Instance<ValueHash>,
    messages: &'a [(String, Msg<ValueHash>)],
    /// What it wanted to send, not yet handed back to it.
    drafts: Vec<Vote<ValueHash>>,
    sent: Vec<Vote<ValueHash>>,
    /// Own messages recorded before the message that made the node send them: it is logged after what it causes.
    early: Vec<String>,
    decided: Option<(ValueHash, Round)>,
}

impl Replay<'_> {
    fn step(&mut self, input: Input<ValueHash>) {
        for effect in self.instance.step(input) {
            match effect {
                Effect::Broadcast(draft) => {
                    self.drafts.push(draft.vote);
                    self.sent.push(draft.vote);
                }
                Effect::Decide { value, round, .. } => self.decided = Some((value, round)),
                Effect::SetTimer { .. } | Effect::StopTimer | Effect::Compare { .. } | Effect::Note(_) => {}
            }
        }
    }

    fn process(&mut self, name: &str) {
        if !name.ends_with(&format!(" from {}", self.me)) {
            let (_, msg) = self.messages.iter().find(|(n, _)| n == name).unwrap();
            self.step(Input::Message(msg.clone()));
        } else if !self.hand_back(name) {
            if name.starts_with("round_change") {
                let round = self.instance.round();
                self.step(Input::Timeout { round });
                assert!(self.hand_back(name), "node {} did not send {name}", self.me);
            } else {
                self.early.push(name.to_owned());
                return;
            }
        }
        let early = std::mem::take(&mut self.early);
        self.early = early.into_iter().filter(|name| !self.hand_back(name)).collect();
    }

    /// Hands an own message back to the instance, if it has been sent.
    fn hand_back(&mut self, name: &str) -> bool {
        let named = |vote: &Vote<ValueHash>| format!("{} r{} from {}", vote.kind, vote.round, vote.source) == name;
        let Some(at) = self.drafts.iter().position(named) else {
            return false;
        };
        let vote = self.drafts.remove(at);
        // Messages that were lost on the way are not recorded; our own copy of them is enough.
        let known = self.messages.iter().find(|(n, _)| n == name).map(|(_, m)| m.clone());
        let msg = known.unwrap_or_else(|| Msg {
            signed: trireme_qbft::Signed {
                vote,
                seal: Bytes::new(),
            },
            justification: std::sync::Arc::default(),
        });
        assert_eq!(msg.signed.vote, vote, "node {} sends the same", self.me);
        self.step(Input::Message(msg));
        true
    }
}

#[test]
fn qbft_exchanges() {
    trireme_vectors::each("core", "qbft-exchanges", |e| {
        let file: Exchanges = e.parse();
        for exchange in &file.instances {
            let duty = exchange.duty.duty();
            let signers = signers(&exchange.keys);
            assert_eq!(signers.count(), usize::from(exchange.nodes));
            let value = ValueHash::from_wire(&bytes(&exchange.decided_value_hash)).unwrap();
            let mut messages = Vec::new();
            for message in &exchange.messages {
                let msg = recorded(duty, message, &signers);
                assert!(is_justified(duty, exchange.nodes, &msg), "{}", exchange.name);
                messages.push((
                    format!("{} r{} from {}", message.r#type, message.round, message.from),
                    msg,
                ));
            }
            for processed in &exchange.processed {
                replay(exchange, processed, &messages, value);
            }
        }
    });
}

fn replay(exchange: &Exchange, processed: &Processed, messages: &[(String, Msg<ValueHash>)], value: ValueHash) {
    use trireme_core::consensus::hash::set_bytes;
    let (duty, me) = (exchange.duty.duty(), processed.peer_idx);
    let leader_offset = i64::try_from(duty.slot.0).unwrap() + i64::from(duty.kind.number());
    let nodes = Nodes::new(exchange.nodes).unwrap();
    let params = Params {
        nodes,
        leader_offset,
        compare: false,
        abstain: false,
    };
    let mut node = Replay {
        me,
        instance: Instance::new(params, Process(me)),
        messages,
        drafts: Vec::new(),
        sent: Vec::new(),
        early: Vec::new(),
        decided: None,
    };
    if let Some(input) = exchange.inputs.iter().find(|i| i.peer_idx == me) {
        let set = <trireme_proto::core::v1::UnsignedDataSet as prost::Message>::decode(bytes(&input.set).as_slice());
        let hash = digest(&set_bytes(&set.unwrap()));
        assert_eq!(hash.as_slice(), bytes(&input.value_hash));
        node.step(Input::Propose(ValueHash::from_wire(&hash).unwrap()));
    }
    node.step(Input::Start);
    for name in &processed.processed_in_order {
        node.process(name);
    }
    // The instance ends upon its decision, so the message that made it is missing at the end of some records.
    for message in exchange.messages.iter().filter(|m| m.to.contains(&me)) {
        let name = name_of(message);
        if node.decided.is_none() && !processed.processed_in_order.contains(&name) {
            node.process(&name);
        }
    }
    assert!(
        node.early.is_empty(),
        "{}: node {me} did not send {:?}",
        exchange.name,
        node.early
    );
    let expected = exchange
        .decided_by
        .contains(&me)
        .then_some((value, Round(exchange.decided_round)));
    assert_eq!(node.decided, expected, "{}: node {me}", exchange.name);
    // What it sent is what the recorded node sent, as far as that was recorded.
    let mine = messages
        .iter()
        .map(|(_, m)| m.signed.vote)
        .filter(|v| v.source == Process(me));
    for vote in mine {
        assert!(
            node.sent.contains(&vote),
            "{}: node {me} did not send {vote:?}",
            exchange.name
        );
    }
}

#[derive(Deserialize)]
struct LiveCluster {
    nodes: Vec<NodeKey>,
    instances: Vec<LiveInstance>,
}

#[derive(Deserialize)]
struct LiveInstance {
    duty: WireDuty,
    messages: Vec<Message>,
}

#[test]
fn qbft_live_cluster() {
    trireme_vectors::each("core", "qbft-live-cluster", |e| {
        let file: LiveCluster = e.parse();
        let signers = signers(&file.nodes);
        for instance in &file.instances {
            let duty = instance.duty.duty();
            for message in &instance.messages {
                let msg = recorded(duty, message, &signers);
                assert!(
                    is_justified(duty, u8::try_from(signers.count()).unwrap(), &msg),
                    "{duty}"
                );
            }
        }
    });
}
