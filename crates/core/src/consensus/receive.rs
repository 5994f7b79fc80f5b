//! The checks of a received message, in the order of consensus.md 6; the first that fails refuses it.
//!
//! Guarantees: what passes is signed by the operators that it names, belongs to one duty and carries every value that it
//! names. Counts are checked before anything is computed.
//! Not here: whether the duty is over (the caller asks its deadlines), what a message means (`trireme_qbft`).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
use prost::Message as _;
use trireme_keys::{K1PublicKey, recover};
use trireme_proto::{core::v1 as pb, presence::Presence as _};
use trireme_qbft::{Kind, Msg, Process, Round, Signed, UnknownKind, Vote};

use super::{
    hash::{ValueHash, signing_digest},
    wire::{BadValue, Carried, named},
};
use crate::duty::{Duty, DutyType};

/// Bytes of an encoded vote, of which an honest one has about 200.
pub const LONGEST_VOTE: usize = 1_024;

/// Why a message is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not a consensus message.
    #[error("the frame is not a consensus message: {0}")]
    Undecodable(String),
    /// A required part is missing.
    #[error("{0}")]
    Missing(String),
    /// Not a kind of message.
    #[error(transparent)]
    Kind(#[from] UnknownKind),
    /// Not a kind of duty.
    #[error("duty type {0} is not one of 1 to 13")]
    DutyType(i64),
    /// Rounds begin at 1.
    #[error("round {0} does not exist")]
    Round(i64),
    /// Prepared rounds begin at 0, for none.
    #[error("prepared round {0} does not exist")]
    PreparedRound(i64),
    /// Not an operator.
    #[error("peer index {0} is not an operator of this cluster")]
    Peer(i64),
    /// The signature is not that of the operator named.
    #[error("the message in the name of peer {0} is not signed by it")]
    Signature(u8),
    /// Too far in the future.
    #[error("the duty {slot}/{kind} is not let in: too far in the future")]
    Gated {
        /// Slot of the duty.
        slot: u64,
        /// Its type.
        kind: i64,
    },
    /// A vote has a handful of short fields; whatever makes it longer would be kept with it.
    #[error("a vote of {got} bytes, {LONGEST_VOTE} are the limit")]
    Long {
        /// Its length.
        got: usize,
    },
    /// Too many votes shown.
    #[error("{got} justifications, {limit} are the limit")]
    Justifications {
        /// How many there are.
        got: usize,
        /// How many there may be.
        limit: usize,
    },
    /// Too many values.
    #[error("{got} values, {limit} are the limit")]
    Values {
        /// How many there are.
        got: usize,
        /// How many there may be.
        limit: usize,
    },
    /// A vote of another instance is shown.
    #[error("a justification belongs to another duty")]
    OtherDuty,
    /// A value cannot be taken.
    #[error(transparent)]
    Value(#[from] BadValue),
    /// A leader's value that cannot be right.
    #[error("the proposed value is refused: {0}")]
    Unacceptable(String),
    /// A value that is named is not carried.
    #[error("the message names the value {0:?} and does not carry it")]
    Absent(ValueHash),
}

/// A message whose counts and fields are in order; nothing has been computed for it yet.
#[derive(Debug, Clone)]
pub struct Opened {
    /// The instance.
    pub duty: Duty,
    /// What the main message says.
    pub vote: Vote<ValueHash>,
    size: usize,
    main: pb::QbftMsg,
    shown: Vec<(Vote<ValueHash>, pb::QbftMsg)>,
    values: Vec<prost_types::Any>,
}

/// A message that passed all checks.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The message for the algorithm.
    pub msg: Msg<ValueHash>,
    /// The values that it names, nothing else.
    pub values: BTreeMap<ValueHash, Carried>,
}

/// Steps 1 to 5 without signatures: decodes the frame and looks at its fields. `gate` answers step 3.
///
/// # Errors
/// [`Refusal`] at the first field that is wrong.
pub fn open(frame: Bytes, nodes: usize, gate: impl Fn(u64, i64) -> Option<Duty>) -> Result<Opened, Refusal> {
    let size = frame.len();
    let whole = pb::QbftConsensusMsg::decode(frame).map_err(|e| Refusal::Undecodable(e.to_string()))?;
    whole.present().map_err(|e| Refusal::Missing(e.to_string()))?;
    let main = whole.msg.ok_or_else(|| Refusal::Missing("no message".to_owned()))?;
    let (slot, kind, vote) = fields(&main, nodes)?;
    let duty = gate(slot, kind).ok_or(Refusal::Gated { slot, kind })?;

    let (got, limit) = (whole.justification.len(), nodes.saturating_mul(2));
    if got > limit {
        return Err(Refusal::Justifications { got, limit });
    }
    let (values, limit) = (whole.values.len(), got.saturating_add(1).saturating_mul(2));
    if values > limit {
        return Err(Refusal::Values { got: values, limit });
    }
    let shown = whole.justification.into_iter().map(|msg| {
        let (its_slot, its_kind, vote) = fields(&msg, nodes)?;
        if (its_slot, its_kind) != (slot, kind) {
            return Err(Refusal::OtherDuty);
        }
        Ok((vote, msg))
    });
    Ok(Opened {
        duty,
        vote,
        size,
        shown: shown.collect::<Result<_, _>>()?,
        main,
        values: whole.values,
    })
}

/// Step 2 without the signature.
fn fields(msg: &pb::QbftMsg, nodes: usize) -> Result<(u64, i64, Vote<ValueHash>), Refusal> {
    let got = msg.encoded_len();
    if got > LONGEST_VOTE {
        return Err(Refusal::Long { got });
    }
    let kind = Kind::try_from(msg.r#type)?;
    let duty = msg
        .duty
        .as_ref()
        .ok_or_else(|| Refusal::Missing("no duty".to_owned()))?;
    let duty_type = i64::from(duty.r#type);
    DutyType::try_from(duty_type).map_err(|e| Refusal::DutyType(e.0))?;
    let round = u64::try_from(msg.round)
        .ok()
        .filter(|r| *r > 0)
        .ok_or(Refusal::Round(msg.round))?;
    let prepared = u64::try_from(msg.prepared_round).map_err(|_| Refusal::PreparedRound(msg.prepared_round))?;
    let source = u8::try_from(msg.peer_idx)
        .ok()
        .filter(|p| usize::from(*p) < nodes)
        .ok_or(Refusal::Peer(msg.peer_idx))?;
    let vote = Vote {
        kind,
        source: Process(source),
        round: Round(round),
        value: ValueHash::from_wire(&msg.value_hash),
        prepared_round: (prepared > 0).then_some(Round(prepared)),
        prepared_value: ValueHash::from_wire(&msg.prepared_value_hash),
    };
    Ok((duty.slot, duty_type, vote))
}

impl Opened {
    /// Bytes of the frame, which stays in memory as long as this does.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.size
    }

    /// The signatures of steps 2 and 5, then steps 6 and 7. Takes about 0.15 ms per signature that is new.
    ///
    /// `known` are values whose hash has been computed before; equal bytes are not hashed again.
    ///
    /// # Errors
    /// [`Refusal`] at the first thing that is wrong.
    pub fn verify(self, signers: &Signers, known: &BTreeMap<ValueHash, Carried>) -> Result<Checked, Refusal> {
        let signed = signers.check(self.vote, &self.main)?;
        let justification = self
            .shown
            .iter()
            .map(|(vote, msg)| signers.check(*vote, msg))
            .collect::<Result<_, _>>()?;
        let mut carried = BTreeMap::new();
        for any in self.values {
            let (hash, value) = match known.iter().find(|(_, value)| value.is(&any)) {
                Some((hash, value)) => (Some(*hash), value.clone()),
                None => {
                    let value = Carried::new(any);
                    (value.hash()?, value)
                }
            };
            if let Some(hash) = hash {
                carried.insert(hash, value);
            }
        }
        let msg = Msg { signed, justification };
        let wanted: BTreeSet<ValueHash> = named(&msg).collect();
        if let Some(absent) = wanted.iter().find(|hash| !carried.contains_key(hash)) {
            return Err(Refusal::Absent(*absent));
        }
        carried.retain(|hash, _| wanted.contains(hash));
        Ok(Checked { msg, values: carried })
    }
}

/// Signatures that were found good before, so that a vote shown again and again is verified once.
const REMEMBERED: usize = 8_192;

/// The operators' keys.
#[derive(Debug)]
pub struct Signers {
    keys: Vec<K1PublicKey>,
    /// Signer, digest and signature of good ones.
    good: Mutex<BTreeSet<(u8, [u8; 32], Bytes)>>,
}

impl Signers {
    /// The keys in lock order.
    #[must_use]
    pub fn new(keys: Vec<K1PublicKey>) -> Self {
        Self {
            keys,
            good: Mutex::default(),
        }
    }

    /// How many operators there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.keys.len()
    }

    fn check(&self, vote: Vote<ValueHash>, msg: &pb::QbftMsg) -> Result<Signed<ValueHash>, Refusal> {
        let refused = || Refusal::Signature(vote.source.0);
        if msg.signature.len() != 65 {
            return Err(refused());
        }
        let digest = signing_digest(msg);
        let entry = (vote.source.0, digest, msg.signature.clone());
        if !self
            .good
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&entry)
        {
            let signer = recover(&digest, &msg.signature).map_err(|_| refused())?;
            if self.keys.get(usize::from(vote.source.0)) != Some(&signer) {
                return Err(refused());
            }
            let mut good = self.good.lock().unwrap_or_else(PoisonError::into_inner);
            if good.len() >= REMEMBERED {
                good.clear();
            }
            // A copy: the slice would keep the whole frame in memory.
            good.insert((entry.0, entry.1, Bytes::copy_from_slice(&entry.2)));
        }
        Ok(Signed {
            vote,
            seal: msg.encode_to_vec().into(),
        })
    }
}
