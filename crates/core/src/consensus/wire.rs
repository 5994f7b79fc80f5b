//! The wire form of consensus messages: votes, signatures, and the values that travel with them.
//!
//! Guarantees: what is sent carries every value that it names, once; "none" is written as 32 zero bytes, which is part
//! of what is signed.
//! Not here: whether a received message is acceptable (`receive`).

use std::collections::BTreeMap;

use bytes::{BufMut as _, Bytes, BytesMut};
use prost::{Message, encoding::encode_varint};
use prost_types::Any;
use trireme_keys::IdentityKey;
use trireme_proto::core::v1 as pb;
use trireme_qbft::{Draft, Msg, Vote};

use super::hash::{ValueHash, digest, set_bytes, signing_digest};
use crate::{data::UnsignedDataSet, duty::Duty, priority::result::PriorityResult};

const UNSIGNED_DATA_SET: &str = "core.corepb.v1.UnsignedDataSet";
const PRIORITY_RESULT: &str = "core.corepb.v1.PriorityResult";

/// A value as it travels: its type's name, its bytes, and both wrapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried {
    url: String,
    bytes: Bytes,
    /// The encoded `Any`.
    wrapped: Bytes,
}

/// A value that cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadValue {
    /// A type that nobody here knows.
    #[error("value of unknown type {0:?}")]
    UnknownType(String),
    /// The bytes are not a message of that type.
    #[error("value is not a {name}: {reason}")]
    Undecodable {
        /// The type.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// The value hashes to nothing, so that no message can name it.
    #[error("the value is empty")]
    Empty,
    /// The decided value is no set of data.
    #[error("the value is a {0}, not a set of unsigned data")]
    NoSet(String),
    /// The decided value is no result of an exchange of priorities.
    #[error("the value is a {0}, not a result of priorities")]
    NoPriorities(String),
}

impl Carried {
    /// Wraps our own data.
    #[must_use]
    pub fn of_set(set: &UnsignedDataSet) -> Self {
        let url = format!("type.googleapis.com/{UNSIGNED_DATA_SET}");
        Self::new(Any {
            type_url: url,
            value: set_bytes(&set.to_proto()),
        })
    }

    /// Wraps our own view of the nodes' priorities.
    #[must_use]
    pub fn of_priorities(result: &PriorityResult) -> Self {
        Self::new(Any {
            type_url: format!("type.googleapis.com/{PRIORITY_RESULT}"),
            value: result.0.encode_to_vec(),
        })
    }

    pub(crate) fn new(any: Any) -> Self {
        let wrapped = any.encode_to_vec().into();
        Self {
            url: any.type_url,
            bytes: any.value.into(),
            wrapped,
        }
    }

    /// Whether `any` is this very value, byte for byte.
    pub(crate) fn is(&self, any: &Any) -> bool {
        self.url == any.type_url && self.bytes == any.value
    }

    /// Length of the value.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether the value has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The hash of the decoded value (consensus.md 3 and 4).
    ///
    /// # Errors
    /// [`BadValue`] for an unknown type and for bytes that are none of it. `Ok(None)` for a value without content.
    pub fn hash(&self) -> Result<Option<ValueHash>, BadValue> {
        let canonical = canonical(self.name(), &self.bytes)?;
        Ok(ValueHash::from_wire(&digest(&canonical)))
    }

    /// The set of unsigned data in this value.
    ///
    /// # Errors
    /// [`BadValue`] if it is something else.
    pub fn set(&self) -> Result<pb::UnsignedDataSet, BadValue> {
        if self.name() == UNSIGNED_DATA_SET {
            decode(UNSIGNED_DATA_SET, &self.bytes)
        } else {
            Err(BadValue::NoSet(self.name().to_owned()))
        }
    }

    /// The nodes' priorities in this value.
    ///
    /// # Errors
    /// [`BadValue`] if it is something else.
    pub fn priorities(&self) -> Result<PriorityResult, BadValue> {
        if self.name() == PRIORITY_RESULT {
            decode(PRIORITY_RESULT, &self.bytes).map(PriorityResult)
        } else {
            Err(BadValue::NoPriorities(self.name().to_owned()))
        }
    }

    fn name(&self) -> &str {
        self.url.rsplit('/').next().unwrap_or_default()
    }
}

fn decode<M: Message + Default>(name: &str, bytes: &Bytes) -> Result<M, BadValue> {
    M::decode(bytes.clone()).map_err(|e| BadValue::Undecodable {
        name: name.to_owned(),
        reason: e.to_string(),
    })
}

/// Decodes a value of any type that may occur and writes it in its canonical form.
fn canonical(name: &str, bytes: &Bytes) -> Result<Vec<u8>, BadValue> {
    fn again<M: Message + Default>(name: &str, bytes: &Bytes) -> Result<Vec<u8>, BadValue> {
        decode::<M>(name, bytes).map(|m| m.encode_to_vec())
    }
    match name {
        UNSIGNED_DATA_SET => decode(name, bytes).map(|set| set_bytes(&set)),
        PRIORITY_RESULT => again::<pb::PriorityResult>(name, bytes),
        "core.corepb.v1.PriorityMsg" => again::<pb::PriorityMsg>(name, bytes),
        "core.corepb.v1.PriorityTopicProposal" => again::<pb::PriorityTopicProposal>(name, bytes),
        "core.corepb.v1.PriorityTopicResult" => again::<pb::PriorityTopicResult>(name, bytes),
        "core.corepb.v1.PriorityScoredResult" => again::<pb::PriorityScoredResult>(name, bytes),
        "core.corepb.v1.Duty" => again::<pb::Duty>(name, bytes),
        "core.corepb.v1.ParSignedData" => again::<pb::ParSignedData>(name, bytes),
        "core.corepb.v1.ParSignedDataSet" => again::<pb::ParSignedDataSet>(name, bytes),
        "core.corepb.v1.ParSigExMsg" => again::<pb::ParSigExMsg>(name, bytes),
        "core.corepb.v1.QBFTMsg" => again::<pb::QbftMsg>(name, bytes),
        "core.corepb.v1.QBFTConsensusMsg" => again::<pb::QbftConsensusMsg>(name, bytes),
        "google.protobuf.Any" => again::<Any>(name, bytes),
        "google.protobuf.Duration" => again::<prost_types::Duration>(name, bytes),
        "google.protobuf.Empty" => again::<()>(name, bytes),
        "google.protobuf.ListValue" => again::<prost_types::ListValue>(name, bytes),
        "google.protobuf.Struct" => again::<prost_types::Struct>(name, bytes),
        "google.protobuf.Timestamp" => again::<prost_types::Timestamp>(name, bytes),
        "google.protobuf.Value" => again::<prost_types::Value>(name, bytes),
        "google.protobuf.BoolValue" => again::<bool>(name, bytes),
        "google.protobuf.BytesValue" => again::<Vec<u8>>(name, bytes),
        "google.protobuf.DoubleValue" => again::<f64>(name, bytes),
        "google.protobuf.FloatValue" => again::<f32>(name, bytes),
        "google.protobuf.Int32Value" => again::<i32>(name, bytes),
        "google.protobuf.Int64Value" => again::<i64>(name, bytes),
        "google.protobuf.StringValue" => again::<String>(name, bytes),
        "google.protobuf.UInt32Value" => again::<u32>(name, bytes),
        "google.protobuf.UInt64Value" => again::<u64>(name, bytes),
        _ => Err(BadValue::UnknownType(name.chars().take(120).collect())),
    }
}

/// The message of a vote, without signature.
#[must_use]
pub fn unsigned(duty: Duty, vote: &Vote<ValueHash>) -> pb::QbftMsg {
    let hash = |value: Option<ValueHash>| Bytes::copy_from_slice(&value.map_or([0; 32], |v| *v.as_bytes()));
    let round = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    pb::QbftMsg {
        r#type: vote.kind.number().into(),
        duty: Some(duty.to_proto()),
        peer_idx: vote.source.0.into(),
        round: round(vote.round.0),
        prepared_round: vote.prepared_round.map_or(0, |r| round(r.0)),
        signature: Bytes::new(),
        value_hash: hash(vote.value),
        prepared_value_hash: hash(vote.prepared_value),
    }
}

/// Signs a vote; the result is the seal that travels with it.
#[must_use]
pub fn seal(duty: Duty, vote: &Vote<ValueHash>, key: &IdentityKey) -> Bytes {
    let mut msg = unsigned(duty, vote);
    msg.signature = Bytes::copy_from_slice(&key.sign_digest(&signing_digest(&msg)));
    msg.encode_to_vec().into()
}

/// The values that a message must carry: every one that it or its justification names, once.
pub fn named(msg: &Msg<ValueHash>) -> impl Iterator<Item = ValueHash> {
    named_in(&msg.signed.vote, msg.justification.iter().map(|s| &s.vote))
}

/// As [`named`], of a message that is not sealed yet.
pub fn named_by(draft: &Draft<ValueHash>) -> impl Iterator<Item = ValueHash> {
    named_in(&draft.vote, draft.justification.iter().map(|s| &s.vote))
}

fn named_in<'a>(
    main: &'a Vote<ValueHash>,
    shown: impl Iterator<Item = &'a Vote<ValueHash>>,
) -> impl Iterator<Item = ValueHash> {
    let all: std::collections::BTreeSet<ValueHash> = std::iter::once(main)
        .chain(shown)
        .flat_map(|v| [v.value, v.prepared_value])
        .flatten()
        .collect();
    all.into_iter()
}

/// The whole frame of a message (without length prefix); `None` if a value that it names is not known.
#[must_use]
pub fn frame(msg: &Msg<ValueHash>, values: &BTreeMap<ValueHash, Carried>) -> Option<Bytes> {
    let carried: Vec<&Carried> = named(msg).map(|hash| values.get(&hash)).collect::<Option<_>>()?;
    let mut out = BytesMut::new();
    let mut field = |tag: u8, content: &[u8]| {
        out.put_u8(tag);
        encode_varint(u64::try_from(content.len()).unwrap_or(u64::MAX), &mut out);
        out.put_slice(content);
    };
    field(0x0a, &msg.signed.seal);
    for shown in msg.justification.iter() {
        field(0x12, &shown.seal);
    }
    for value in carried {
        field(0x1a, &value.wrapped);
    }
    Some(out.freeze())
}
