//! Why a request of the validator client is not answered, and what to tell it.

use trireme_eth2::{BlsPubkey, CommitteeIndex, Epoch, Root, Slot, ValidatorIndex};

use super::selections::Incomplete;
use crate::{
    answers::NoAnswer,
    compute::Broken,
    data::DataError,
    duty::Duty,
    ids::{PeerIdx, PubKey},
    ports::BeaconError,
    scheduler::NotResolved,
    scheme::Refusal,
    step::{ErrorKind, StepError},
};

/// Everything that can go wrong with a request.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// A key that belongs to no share of the cluster.
    #[error("unknown public key {0}")]
    UnknownKey(BlsPubkey),
    /// A share of ours is wanted, this is another operator's. Both numbers count from 0.
    #[error(
        "mismatching validator client key share index, {key_share_index}th key share submitted to {charon_peer_index}th charon peer"
    )]
    OtherShare {
        /// Whose share it is.
        key_share_index: PeerIdx,
        /// Who we are.
        charon_peer_index: PeerIdx,
    },
    /// The beacon node speaks of a validator that is not in the cluster.
    #[error("pubshare not found for validator {0}")]
    NotOfCluster(PubKey),
    /// No validator of the cluster has an index on the chain yet.
    #[error("the beacon node knows no validator of this cluster yet")]
    NoValidators,
    /// Nobody of ours attests there, or it has not been decided.
    #[error("find pubkey: no decided attester duty of validator {validator} in committee {committee} of slot {slot}")]
    NoDecidedDuty {
        /// The slot of the attestation.
        slot: Slot,
        /// Its committee.
        committee: CommitteeIndex,
        /// Its validator.
        validator: ValidatorIndex,
    },
    /// An attestation from before Electra has not exactly one bit, or one that is nobody's of ours.
    #[error("attestation of slot {0} has not exactly one aggregation bit of a validator of this cluster")]
    NotOneBit(Slot),
    /// Two different objects of one validator for one duty in one request.
    #[error("validator {0} signed two different things for one duty in one request")]
    Twice(PubKey),
    /// No validator of the cluster has this index.
    #[error("validator not found: index {0} is not in this cluster")]
    UnknownValidator(ValidatorIndex),
    /// The epoch has no slots.
    #[error("epoch {} is past the end of time", .0.0)]
    NoSuchEpoch(Epoch),
    /// So far ahead that nothing is agreed or kept for it yet.
    #[error("slot {slot} is too far ahead, the current slot is {now}")]
    TooFarAhead {
        /// The slot asked about.
        slot: Slot,
        /// The slot now.
        now: Slot,
    },
    /// Nobody of the cluster has the duty, so nothing will ever be agreed for it.
    #[error("no validator of this cluster has duty {0}")]
    NoDuty(Duty),
    /// Nobody of the cluster is in the subcommittee, so nothing will ever be agreed for it.
    #[error("no validator of this cluster is in sync subcommittee {subcommittee} in slot {slot}")]
    ForeignSubcommittee {
        /// The slot asked about.
        slot: Slot,
        /// The subcommittee asked about.
        subcommittee: u64,
    },
    /// The selection proofs of all validators of the cluster are there, and none of them is selected.
    #[error("no validator of this cluster is selected to aggregate {what} {number} in slot {slot}")]
    NobodyAggregates {
        /// Of what.
        what: &'static str,
        /// Its number.
        number: u64,
        /// The slot.
        slot: Slot,
    },
    /// The cluster's agreement is there, and this is not part of it.
    #[error("the cluster has agreed on the {what} of slot {slot}: none of them is of {of} {number} and for {root}")]
    NotAgreed {
        /// On what.
        what: &'static str,
        /// The slot.
        slot: Slot,
        /// Kind of committee.
        of: &'static str,
        /// Its number.
        number: u64,
        /// The block or the attestation data asked for.
        root: Root,
    },
    /// Fewer operators than needed sent selection proofs.
    #[error(transparent)]
    Incomplete(Box<Incomplete>),
    /// The validator client made up the selection proof by itself.
    #[error(
        "the selection proof of validator {0} is this validator client's own, not the cluster's: start the validator \
        client with its flag for distributed validators"
    )]
    OwnProof(PubKey),
    /// It cannot be told what is signed.
    #[error(transparent)]
    NotSignable(#[from] DataError),
    /// The committee has no duty of ours, so nothing will ever be agreed for it.
    #[error("no validator of this cluster attests in committee {committee} of slot {slot}")]
    ForeignCommittee {
        /// The slot asked about.
        slot: Slot,
        /// The committee asked about.
        committee: CommitteeIndex,
    },
    /// There is not exactly one proposer of ours in the slot.
    #[error("{proposers} validators of this cluster propose in slot {slot}, expected one")]
    NotOneProposer {
        /// The slot.
        slot: Slot,
        /// How many there are.
        proposers: usize,
    },
    /// The block is not the one that the cluster agreed on.
    #[error("consensus proposal and VC-submitted one do not match: {0}")]
    OtherBlock(&'static str),
    /// The scheduler cannot tell the duties.
    #[error(transparent)]
    Definitions(#[from] NotResolved),
    /// What was awaited did not come.
    #[error("waited in vain for {awaited}: {why}")]
    NoAnswer {
        /// What was awaited, as a noun phrase.
        awaited: String,
        /// Why it did not come.
        why: NoAnswer,
    },
    /// The signature of a validator does not hold.
    #[error("partial signature of validator {validator}: {why}")]
    Signature {
        /// Whose it is said to be.
        validator: PubKey,
        /// What is wrong.
        why: Refusal,
    },
    /// The beacon node has no answer.
    #[error(transparent)]
    Beacon(#[from] BeaconError),
    /// A component did not take the partial signatures.
    #[error("partial signatures were not taken: {0}")]
    Publish(#[from] StepError),
    /// A computation panicked.
    #[error(transparent)]
    Compute(#[from] Broken),
}

/// What the validator client is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// The beacon node's own refusal, 400 to 499.
    Beacon {
        /// HTTP status.
        status: u16,
        /// The beacon node's text.
        message: String,
    },
    /// 400 with the error's text: the question itself makes no sense.
    BadRequest,
    /// 404 with the error's text: there is no such thing, and there will not be.
    NotFound,
    /// 408 with the error's text: waited in vain, or its time is over.
    TimedOut,
    /// 503: the node is stopping.
    Stopping,
    /// 500 in general words, the text to the log.
    Internal,
}

impl Refused {
    /// What the validator client is told.
    #[must_use]
    pub fn told(&self) -> Told {
        match self {
            Self::Beacon(BeaconError::Status {
                status: status @ 400..=499,
                message,
                ..
            }) => Told::Beacon {
                status: *status,
                message: message.clone(),
            },
            Self::ForeignCommittee { .. }
            | Self::ForeignSubcommittee { .. }
            | Self::TooFarAhead { .. }
            | Self::NoSuchEpoch(_)
            | Self::OwnProof(_) => Told::BadRequest,
            Self::NoDuty(_) | Self::NobodyAggregates { .. } | Self::NotAgreed { .. } => Told::NotFound,
            Self::NoAnswer {
                why: NoAnswer::Expired, ..
            }
            | Self::Definitions(NotResolved::Trimmed(_))
            | Self::Incomplete(_) => Told::TimedOut,
            Self::NoAnswer {
                why: NoAnswer::Stopped, ..
            } => Told::Stopping,
            Self::Publish(e) if e.kind == ErrorKind::Stopped => Told::Stopping,
            Self::Publish(e) if e.kind == ErrorKind::Expired => Told::TimedOut,
            Self::UnknownKey(_)
            | Self::OtherShare { .. }
            | Self::NotOfCluster(_)
            | Self::NoValidators
            | Self::NoDecidedDuty { .. }
            | Self::NotOneBit(_)
            | Self::Twice(_)
            | Self::NotOneProposer { .. }
            | Self::OtherBlock(_)
            | Self::UnknownValidator(_)
            | Self::NotSignable(_)
            | Self::Definitions(NotResolved::NotYet(_))
            | Self::Signature { .. }
            | Self::Beacon(_)
            | Self::Publish(_)
            | Self::Compute(_) => Told::Internal,
        }
    }
}

impl Refused {
    /// What its span says of it; nothing is done again for it here.
    pub(super) fn kind(&self) -> ErrorKind {
        match self.told() {
            Told::TimedOut => ErrorKind::Expired,
            Told::Stopping => ErrorKind::Stopped,
            Told::Beacon { .. } | Told::BadRequest | Told::NotFound | Told::Internal => ErrorKind::Permanent,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use trireme_eth2::Epoch;

    use super::*;

    fn publish(kind: ErrorKind) -> Refused {
        Refused::Publish(StepError {
            kind,
            step: None,
            beacon: false,
            source: Arc::new(Broken),
        })
    }

    #[test]
    fn what_is_over_is_a_408_and_what_is_not_known_yet_is_internal() {
        for over in [
            publish(ErrorKind::Expired),
            Refused::Definitions(NotResolved::Trimmed(Epoch(1))),
            Refused::NoAnswer {
                awaited: "x".to_owned(),
                why: NoAnswer::Expired,
            },
        ] {
            assert_eq!(over.told(), Told::TimedOut, "{over}");
        }
        for internal in [
            publish(ErrorKind::Temporary),
            publish(ErrorKind::Permanent),
            Refused::Definitions(NotResolved::NotYet(Epoch(1))),
            Refused::UnknownValidator(ValidatorIndex(1)),
        ] {
            assert_eq!(internal.told(), Told::Internal, "{internal}");
        }
        assert_eq!(publish(ErrorKind::Stopped).told(), Told::Stopping);
    }
}
