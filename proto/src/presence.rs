//! The check that required sub-messages are there (p2p.md 6.1).
//!
//! A singular message field that is not marked `optional` must be on the wire, if only with length zero; the same holds
//! inside lists and map values. Scalars, texts, bytes, lists and maps may be empty. The check runs after decoding and
//! before anything else looks at a message.
//! Not here: whether the content makes sense.

use crate::{
    core::v1::{
        ParSigExMsg, PriorityMsg, PriorityResult, PriorityScoredResult, PriorityTopicProposal, PriorityTopicResult,
        QbftConsensusMsg, QbftMsg,
    },
    dkg::v1::{
        BCastMessage, BCastSigRequest, BCastSigResponse, FrostRound1Cast, FrostRound1Casts, FrostRound1P2p,
        FrostRound1ShamirShare, FrostRound2Cast, FrostRound2Casts, MsgNodeSig, MsgSync, MsgSyncResponse,
        NodePubKeyMessage, PedersenDealBundle, PedersenJustificationBundle, PedersenResponseBundle,
        ValidatorPubKeyShareMessage,
    },
    peerinfo::v1::PeerInfo,
};

/// A required sub-message is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    /// The message that should hold it.
    pub message: &'static str,
    /// The empty field.
    pub field: &'static str,
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "message {} comes without its required field {}",
            self.message, self.field
        )
    }
}

impl std::error::Error for Missing {}

/// A message that can be checked for missing sub-messages.
pub trait Presence {
    /// Looks through the whole message.
    ///
    /// # Errors
    ///
    /// The first required field that is missing, in field order.
    fn present(&self) -> Result<(), Missing>;
}

/// The field, or what is missing.
fn required<'a, T>(field: Option<&'a T>, message: &'static str, name: &'static str) -> Result<&'a T, Missing> {
    field.ok_or(Missing { message, field: name })
}

fn all<T: Presence>(list: &[T]) -> Result<(), Missing> {
    list.iter().try_for_each(Presence::present)
}

impl Presence for ParSigExMsg {
    fn present(&self) -> Result<(), Missing> {
        required(self.duty.as_ref(), "ParSigExMsg", "duty")?;
        required(self.data_set.as_ref(), "ParSigExMsg", "data_set")?;
        Ok(())
    }
}

impl Presence for QbftMsg {
    fn present(&self) -> Result<(), Missing> {
        required(self.duty.as_ref(), "QBFTMsg", "duty")?;
        Ok(())
    }
}

impl Presence for QbftConsensusMsg {
    fn present(&self) -> Result<(), Missing> {
        required(self.msg.as_ref(), "QBFTConsensusMsg", "msg")?.present()?;
        all(&self.justification)
    }
}

impl Presence for PriorityMsg {
    fn present(&self) -> Result<(), Missing> {
        required(self.duty.as_ref(), "PriorityMsg", "duty")?;
        all(&self.topics)
    }
}

impl Presence for PriorityTopicProposal {
    fn present(&self) -> Result<(), Missing> {
        required(self.topic.as_ref(), "PriorityTopicProposal", "topic")?;
        Ok(())
    }
}

impl Presence for PriorityResult {
    fn present(&self) -> Result<(), Missing> {
        all(&self.msgs)?;
        all(&self.topics)
    }
}

impl Presence for PriorityTopicResult {
    fn present(&self) -> Result<(), Missing> {
        required(self.topic.as_ref(), "PriorityTopicResult", "topic")?;
        all(&self.priorities)
    }
}

impl Presence for PriorityScoredResult {
    fn present(&self) -> Result<(), Missing> {
        required(self.priority.as_ref(), "PriorityScoredResult", "priority")?;
        Ok(())
    }
}

impl Presence for BCastSigRequest {
    fn present(&self) -> Result<(), Missing> {
        required(self.message.as_ref(), "BCastSigRequest", "message")?;
        Ok(())
    }
}

impl Presence for BCastMessage {
    fn present(&self) -> Result<(), Missing> {
        required(self.message.as_ref(), "BCastMessage", "message")?;
        Ok(())
    }
}

impl Presence for FrostRound1Casts {
    fn present(&self) -> Result<(), Missing> {
        all(&self.casts)
    }
}

impl Presence for FrostRound1Cast {
    fn present(&self) -> Result<(), Missing> {
        required(self.key.as_ref(), "FrostRound1Cast", "key")?;
        Ok(())
    }
}

impl Presence for FrostRound1P2p {
    fn present(&self) -> Result<(), Missing> {
        all(&self.shares)
    }
}

impl Presence for FrostRound1ShamirShare {
    fn present(&self) -> Result<(), Missing> {
        required(self.key.as_ref(), "FrostRound1ShamirShare", "key")?;
        Ok(())
    }
}

impl Presence for FrostRound2Casts {
    fn present(&self) -> Result<(), Missing> {
        all(&self.casts)
    }
}

impl Presence for FrostRound2Cast {
    fn present(&self) -> Result<(), Missing> {
        required(self.key.as_ref(), "FrostRound2Cast", "key")?;
        Ok(())
    }
}

impl Presence for MsgSync {
    fn present(&self) -> Result<(), Missing> {
        required(self.timestamp.as_ref(), "MsgSync", "timestamp")?;
        Ok(())
    }
}

impl Presence for MsgSyncResponse {
    fn present(&self) -> Result<(), Missing> {
        required(self.sync_timestamp.as_ref(), "MsgSyncResponse", "sync_timestamp")?;
        Ok(())
    }
}

/// Messages that have no required sub-message anywhere.
macro_rules! nothing_required {
    ($($message:ty),* $(,)?) => {
        $(impl Presence for $message {
            fn present(&self) -> Result<(), Missing> {
                Ok(())
            }
        })*
    };
}

nothing_required!(
    PeerInfo,
    BCastSigResponse,
    MsgNodeSig,
    NodePubKeyMessage,
    PedersenDealBundle,
    PedersenJustificationBundle,
    PedersenResponseBundle,
    ValidatorPubKeyShareMessage,
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::v1::Duty;

    #[test]
    fn an_empty_duty_counts_as_present() {
        let msg = QbftConsensusMsg {
            msg: Some(QbftMsg {
                duty: Some(Duty::default()),
                ..QbftMsg::default()
            }),
            ..QbftConsensusMsg::default()
        };
        assert_eq!(msg.present(), Ok(()));
    }

    #[test]
    fn a_justification_without_duty_is_named() {
        let good = QbftMsg {
            duty: Some(Duty::default()),
            ..QbftMsg::default()
        };
        let msg = QbftConsensusMsg {
            msg: Some(good.clone()),
            justification: vec![good, QbftMsg::default()],
            ..QbftConsensusMsg::default()
        };
        assert_eq!(
            msg.present(),
            Err(Missing {
                message: "QBFTMsg",
                field: "duty"
            })
        );
    }

    #[test]
    fn elements_of_every_ceremony_list_are_looked_at() {
        let casts = FrostRound1Casts {
            casts: vec![FrostRound1Cast::default()],
        };
        assert_eq!(
            casts.present(),
            Err(Missing {
                message: "FrostRound1Cast",
                field: "key"
            })
        );
        let shares = FrostRound1P2p {
            shares: vec![FrostRound1ShamirShare::default()],
        };
        assert_eq!(
            shares.present(),
            Err(Missing {
                message: "FrostRound1ShamirShare",
                field: "key"
            })
        );
        let casts = FrostRound2Casts {
            casts: vec![FrostRound2Cast::default()],
        };
        assert_eq!(
            casts.present(),
            Err(Missing {
                message: "FrostRound2Cast",
                field: "key"
            })
        );
        assert_eq!(
            BCastMessage::default().present(),
            Err(Missing {
                message: "BCastMessage",
                field: "message"
            })
        );
    }

    #[test]
    fn a_topic_result_without_priority_is_named() {
        let result = PriorityResult {
            msgs: vec![],
            topics: vec![PriorityTopicResult {
                topic: Some(prost_types::Any::default()),
                priorities: vec![PriorityScoredResult::default()],
            }],
        };
        assert_eq!(
            result.present(),
            Err(Missing {
                message: "PriorityScoredResult",
                field: "priority"
            })
        );
    }
}
