//! Frames recorded between running nodes: decoded, compared, encoded again, hashed, signatures checked.

use std::collections::BTreeMap;

use futures::{executor::block_on, io::Cursor};
use prost::Message;
use prost_types::{Any, Timestamp};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use trireme_core::consensus::hash::{digest, set_bytes, signing_digest};
use trireme_keys::{K1PublicKey, verify};
use trireme_p2p::frame;
use trireme_proto::{
    core::v1::{
        Duty, ParSigExMsg, ParSignedData, PriorityMsg, PriorityResult, PriorityScoredResult, PriorityTopicProposal,
        PriorityTopicResult, QbftConsensusMsg, QbftMsg, UnsignedDataSet,
    },
    peerinfo::v1::PeerInfo,
    presence::Presence,
};

/// A JSON object without the fields that have their default.
fn object(fields: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    let is_default = |v: &Value| match v {
        Value::Null => true,
        Value::Bool(b) => !b,
        Value::Number(n) => n.as_i64() == Some(0),
        Value::String(s) => s.is_empty() || s == "0x",
        Value::Array(a) => a.is_empty(),
        Value::Object(_) => false,
    };
    let kept = fields
        .into_iter()
        .filter(|(_, v)| !is_default(v))
        .map(|(k, v)| (k.to_owned(), v));
    Value::Object(kept.collect::<Map<_, _>>())
}

fn hex(bytes: &[u8]) -> Value {
    json!(format!("0x{}", hex::encode(bytes)))
}

fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text.strip_prefix("0x").unwrap()).unwrap()
}

fn option<T>(value: Option<&T>, show: impl Fn(&T) -> Value) -> Value {
    value.map_or(Value::Null, show)
}

fn list<T>(values: &[T], show: impl Fn(&T) -> Value) -> Value {
    values.iter().map(show).collect()
}

fn duty(d: &Duty) -> Value {
    object([("slot", json!(d.slot)), ("type", json!(d.r#type))])
}

fn time(t: &Timestamp) -> Value {
    object([("seconds", json!(t.seconds)), ("nanos", json!(t.nanos))])
}

fn qbft(m: &QbftMsg) -> Value {
    object([
        ("type", json!(m.r#type)),
        ("duty", option(m.duty.as_ref(), duty)),
        ("peer_idx", json!(m.peer_idx)),
        ("round", json!(m.round)),
        ("prepared_round", json!(m.prepared_round)),
        ("signature", hex(&m.signature)),
        ("value_hash", hex(&m.value_hash)),
        ("prepared_value_hash", hex(&m.prepared_value_hash)),
    ])
}

fn set(s: &UnsignedDataSet) -> Value {
    let map: Map<String, Value> = s.set.iter().map(|(k, v)| (k.clone(), hex(v))).collect();
    object([("set", Value::Object(map))])
}

fn partial(p: &ParSignedData) -> Value {
    object([
        ("data", hex(&p.data)),
        ("signature", hex(&p.signature)),
        ("share_idx", json!(p.share_idx)),
    ])
}

fn priority(m: &PriorityMsg) -> Value {
    let topic = |t: &PriorityTopicProposal| {
        object([
            ("topic", option(t.topic.as_ref(), any)),
            ("priorities", list(&t.priorities, any)),
        ])
    };
    object([
        ("duty", option(m.duty.as_ref(), duty)),
        ("topics", list(&m.topics, topic)),
        ("peer_id", json!(m.peer_id)),
        ("signature", hex(&m.signature)),
    ])
}

fn result(r: &PriorityResult) -> Value {
    let scored = |s: &PriorityScoredResult| {
        object([
            ("priority", option(s.priority.as_ref(), any)),
            ("score", json!(s.score)),
        ])
    };
    let topic = |t: &PriorityTopicResult| {
        object([
            ("topic", option(t.topic.as_ref(), any)),
            ("priorities", list(&t.priorities, scored)),
        ])
    };
    object([("msgs", list(&r.msgs, priority)), ("topics", list(&r.topics, topic))])
}

fn any(a: &Any) -> Value {
    let decoded = match a.type_url.as_str() {
        "type.googleapis.com/google.protobuf.Value" => {
            match prost_types::Value::decode(&a.value[..]).unwrap().kind.unwrap() {
                prost_types::value::Kind::StringValue(text) => json!({"string_value": text}),
                other => panic!("{other:?}"),
            }
        }
        "type.googleapis.com/core.corepb.v1.UnsignedDataSet" => set(&UnsignedDataSet::decode(&a.value[..]).unwrap()),
        "type.googleapis.com/core.corepb.v1.PriorityResult" => result(&PriorityResult::decode(&a.value[..]).unwrap()),
        other => panic!("no type {other}"),
    };
    json!({"type_url": a.type_url, "decoded": decoded})
}

fn parsigex(m: &ParSigExMsg) -> Value {
    let sets = |s: &trireme_proto::core::v1::ParSignedDataSet| {
        let map: Map<String, Value> = s.set.iter().map(|(k, v)| (k.clone(), partial(v))).collect();
        object([("set", Value::Object(map))])
    };
    object([
        ("duty", option(m.duty.as_ref(), duty)),
        ("data_set", option(m.data_set.as_ref(), sets)),
    ])
}

fn consensus(m: &QbftConsensusMsg) -> Value {
    object([
        ("msg", option(m.msg.as_ref(), qbft)),
        ("justification", list(&m.justification, qbft)),
        ("values", list(&m.values, any)),
    ])
}

fn peerinfo(m: &PeerInfo) -> Value {
    object([
        ("charon_version", json!(m.charon_version)),
        ("lock_hash", hex(&m.lock_hash)),
        ("sent_at", option(m.sent_at.as_ref(), time)),
        ("git_hash", json!(m.git_hash)),
        ("started_at", option(m.started_at.as_ref(), time)),
        ("builder_api_enabled", json!(m.builder_api_enabled)),
        ("nickname", json!(m.nickname)),
        ("dv_client", json!(m.dv_client)),
    ])
}

#[derive(Deserialize)]
struct File {
    nodes: Vec<Node>,
    frames: Vec<Frame>,
}

#[derive(Deserialize)]
struct Node {
    peer_id: String,
    enr_public_key: String,
}

#[derive(Deserialize)]
struct Frame {
    message: String,
    kind: String,
    frame: String,
    decoded: Value,
    digest: Option<String>,
    values_hashes: Option<Vec<String>>,
    justification_digests: Option<Vec<String>>,
    signature_valid: Option<bool>,
}

/// Decodes, compares with what is expected, and encodes again.
fn there_and_back<M: Message + Presence + Default>(
    f: &Frame,
    show: impl Fn(&M) -> Value,
    entries: impl Fn(&M) -> usize,
) -> M {
    let wire = bytes(&f.frame);
    let body = block_on(frame::read_frame(&mut Cursor::new(&wire), frame::MAX_FRAME)).unwrap();
    let msg = M::decode(body.clone()).unwrap();
    assert_eq!(msg.present(), Ok(()), "{}", f.kind);
    assert_eq!(show(&msg), f.decoded, "{}", f.kind);
    let again = msg.encode_to_vec();
    if entries(&msg) > 1 {
        // The sender writes maps in any order.
        assert_eq!(again.len(), body.len(), "{}", f.kind);
    } else {
        assert_eq!(again, body, "{}", f.kind);
        let mut framed = Vec::new();
        block_on(frame::write_frame(&mut framed, &again)).unwrap();
        assert_eq!(framed, wire, "{}", f.kind);
    }
    msg
}

fn check_signature(f: &Frame, key: &K1PublicKey, hash: &[u8; 32], signature: &[u8]) {
    if let Some(want) = &f.digest {
        assert_eq!(hash.as_slice(), bytes(want), "{}", f.kind);
    }
    if let Some(valid) = f.signature_valid {
        assert_eq!(verify(key, hash, signature).unwrap_or(false), valid, "{}", f.kind);
    }
}

#[test]
fn frames() {
    trireme_vectors::each("p2p", "frames", |e| {
        let file: File = e.parse();
        let keys: Vec<K1PublicKey> = file
            .nodes
            .iter()
            .map(|n| K1PublicKey::from_sec1(&bytes(&n.enr_public_key)).unwrap())
            .collect();
        let by_id: BTreeMap<&str, K1PublicKey> = file
            .nodes
            .iter()
            .map(|n| n.peer_id.as_str())
            .zip(keys.iter().copied())
            .collect();
        for f in &file.frames {
            match f.message.as_str() {
                "core.corepb.v1.QBFTConsensusMsg" => {
                    let m: QbftConsensusMsg = there_and_back(f, consensus, |_| 1);
                    let msg = m.msg.unwrap();
                    let key = &keys[usize::try_from(msg.peer_idx).unwrap()];
                    check_signature(f, key, &signing_digest(&msg), &msg.signature);
                    let justified: Vec<_> = m.justification.iter().map(|j| hex(&signing_digest(j))).collect();
                    assert_eq!(
                        json!(justified),
                        json!(f.justification_digests.as_deref().unwrap_or_default()),
                        "{}",
                        f.kind
                    );
                    let hash = |a: &Any| {
                        if a.type_url.ends_with("UnsignedDataSet") {
                            digest(&set_bytes(&UnsignedDataSet::decode(&a.value[..]).unwrap()))
                        } else {
                            digest(&PriorityResult::decode(&a.value[..]).unwrap().encode_to_vec())
                        }
                    };
                    let hashes: Vec<_> = m.values.iter().map(|a| hex(&hash(a))).collect();
                    assert_eq!(
                        json!(hashes),
                        json!(f.values_hashes.as_deref().unwrap_or_default()),
                        "{}",
                        f.kind
                    );
                }
                "core.corepb.v1.ParSigExMsg" => {
                    there_and_back(f, parsigex, |m| m.data_set.as_ref().map_or(0, |s| s.set.len()));
                }
                "core.corepb.v1.PriorityMsg" => {
                    let m: PriorityMsg = there_and_back(f, priority, |_| 1);
                    let unsigned = PriorityMsg {
                        signature: bytes::Bytes::new(),
                        ..m.clone()
                    };
                    check_signature(
                        f,
                        &by_id[m.peer_id.as_str()],
                        &digest(&unsigned.encode_to_vec()),
                        &m.signature,
                    );
                }
                "app.peerinfo.peerinfopb.v1.PeerInfo" => {
                    there_and_back(f, peerinfo, |_| 1);
                }
                other => panic!("no message {other}"),
            }
        }
    });
}
