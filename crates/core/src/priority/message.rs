//! One node's message of an exchange: its topics, its name and its signature (p2p.md 8.1, 8.2).
//!
//! Guarantees: what [`open`] returns is complete and of the peer that it names; [`Opened::verify`] finds out whether that
//! peer signed it.
//! Not here: whether its duty is let in (`super`).

use bytes::Bytes;
use prost::Message as _;
use trireme_keys::{IdentityKey, PeerId, recover};
use trireme_proto::{core::v1 as pb, presence::Presence as _};

use super::{
    calculate::{Uncountable, countable},
    result::wrap,
};
use crate::{consensus::hash::digest, duty::Duty};

/// What a node wants for one topic, most wanted first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// The topic.
    pub name: String,
    /// Its priorities.
    pub priorities: Vec<String>,
}

/// Why a message is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadMessage {
    /// Not a message at all.
    #[error("the frame is not a priority message: {0}")]
    Undecodable(String),
    /// A required part is missing.
    #[error("{0}")]
    Missing(String),
    /// Sent in another's name.
    #[error("the message names the peer {0:?}, which did not send it")]
    Peer(String),
    /// It could never be counted.
    #[error(transparent)]
    Uncountable(#[from] Uncountable),
    /// Not signed by the peer that it names.
    #[error("the message is not signed by the peer that it names")]
    Signature,
}

/// The digest that the signature covers: the message without it.
#[must_use]
pub fn signing_digest(msg: &pb::PriorityMsg) -> [u8; 32] {
    let unsigned = pb::PriorityMsg {
        signature: Bytes::new(),
        ..msg.clone()
    };
    digest(&unsigned.encode_to_vec())
}

/// Our own message, signed.
#[must_use]
pub fn signed(duty: Duty, topics: &[Topic], key: &IdentityKey) -> pb::PriorityMsg {
    let proposal = |topic: &Topic| pb::PriorityTopicProposal {
        topic: Some(wrap(&topic.name)),
        priorities: topic.priorities.iter().map(|p| wrap(p)).collect(),
    };
    let mut msg = pb::PriorityMsg {
        duty: Some(duty.to_proto()),
        topics: topics.iter().map(proposal).collect(),
        peer_id: PeerId::from(key.public_key()).to_string(),
        signature: Bytes::new(),
    };
    msg.signature = Bytes::copy_from_slice(&key.sign_digest(&signing_digest(&msg)));
    msg
}

/// A message whose signature has not been looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct Opened {
    msg: pb::PriorityMsg,
    peer: PeerId,
}

/// Decodes a frame that `from` sent.
///
/// # Errors
/// [`BadMessage`] if it is no complete message of that peer.
pub fn open(frame: Bytes, from: PeerId) -> Result<Opened, BadMessage> {
    let msg = pb::PriorityMsg::decode(frame).map_err(|e| BadMessage::Undecodable(e.to_string()))?;
    msg.present().map_err(|e| BadMessage::Missing(e.to_string()))?;
    if msg.peer_id != from.to_string() {
        return Err(BadMessage::Peer(msg.peer_id.chars().take(64).collect()));
    }
    Ok(Opened { msg, peer: from })
}

impl Opened {
    /// Slot and type number of the exchange that it is for.
    #[must_use]
    pub fn duty(&self) -> (u64, i64) {
        self.msg.duty.as_ref().map_or((0, 0), |d| (d.slot, d.r#type.into()))
    }

    /// The message, if its peer signed it and it can be counted. Takes about 0.2 ms.
    ///
    /// # Errors
    /// [`BadMessage::Signature`] or [`BadMessage::Uncountable`].
    pub fn verify(self) -> Result<pb::PriorityMsg, BadMessage> {
        let signer = recover(&signing_digest(&self.msg), &self.msg.signature).map_err(|_| BadMessage::Signature)?;
        if signer != self.peer.public_key() {
            return Err(BadMessage::Signature);
        }
        countable(&self.msg)?;
        Ok(self.msg)
    }
}
