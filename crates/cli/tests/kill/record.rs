//! Everything that operators signed towards their peers, and whether any of it contradicts itself.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message as _;
use prost::bytes::Bytes;
use trireme_core::consensus::hash::signing_digest;
use trireme_keys::{K1PublicKey, recover};
use trireme_proto::core::v1::{Duty, ParSigExMsg, QbftConsensusMsg, QbftMsg};

/// Slot and number of the type.
type DutyKey = (u64, i32);

/// Which vote of which operator: operator, duty, message type, round.
type VoteKey = (i64, DutyKey, i64, i64);

/// How many messages came, by sender, and by the number of the duty's type if they hold partials.
pub(crate) type Messages = BTreeMap<(u8, Option<i32>), u64>;

/// The record.
#[derive(Debug, Default)]
pub(crate) struct Record {
    keys: Vec<K1PublicKey>,
    /// What was signed: the message without its signature.
    votes: BTreeMap<VoteKey, Vec<u8>>,
    /// By duty, validator and share.
    partials: BTreeMap<(DutyKey, String, i32), Bytes>,
    /// Messages that came, by sender and kind.
    pub(crate) messages: Messages,
    /// What must not have happened.
    pub(crate) wrong: Vec<String>,
}

fn duty_key(duty: Option<&Duty>) -> DutyKey {
    duty.map_or((0, 0), |d| (d.slot, d.r#type))
}

impl Record {
    /// With the operators' keys in lock order.
    pub(crate) fn new(keys: Vec<K1PublicKey>) -> Self {
        Self {
            keys,
            ..Self::default()
        }
    }

    /// A frame of the consensus protocol. The votes in the justification count as much as the message itself.
    pub(crate) fn consensus(&mut self, from: u8, frame: &[u8]) {
        *self.messages.entry((from, None)).or_default() += 1;
        let Ok(whole) = QbftConsensusMsg::decode(frame) else {
            return self
                .wrong
                .push(format!("operator {from} sent an unreadable consensus message"));
        };
        if whole.msg.as_ref().is_none_or(|m| m.peer_idx != i64::from(from)) {
            self.wrong
                .push(format!("operator {from} sent another one's message as its own"));
        }
        for vote in whole.msg.iter().chain(&whole.justification) {
            self.vote(vote);
        }
    }

    fn vote(&mut self, vote: &QbftMsg) {
        let duty = duty_key(vote.duty.as_ref());
        let key: VoteKey = (vote.peer_idx, duty, vote.r#type, vote.round);
        let signed = QbftMsg {
            signature: Bytes::new(),
            ..vote.clone()
        };
        let signed = signed.encode_to_vec();
        match self.votes.get(&key) {
            Some(known) if *known == signed => {}
            Some(known) => self.wrong.push(format!(
                "operator {} signed two messages of type {} for duty {duty:?} in round {}: {known:02x?} and {signed:02x?}",
                vote.peer_idx, vote.r#type, vote.round
            )),
            None => {
                let signer = recover(&signing_digest(vote), &vote.signature).ok();
                let expected = usize::try_from(vote.peer_idx).ok().and_then(|n| self.keys.get(n));
                if signer.is_none() || signer.as_ref() != expected {
                    self.wrong
                        .push(format!("a vote of operator {} is not signed by it", vote.peer_idx));
                }
                self.votes.insert(key, signed);
            }
        }
    }

    /// A frame of the exchange of partial signatures.
    pub(crate) fn partials(&mut self, from: u8, frame: &[u8]) {
        let Ok(message) = ParSigExMsg::decode(frame) else {
            return self
                .wrong
                .push(format!("operator {from} sent unreadable partial signatures"));
        };
        let duty = duty_key(message.duty.as_ref());
        *self.messages.entry((from, Some(duty.1))).or_default() += 1;
        for (validator, partial) in message.data_set.unwrap_or_default().set {
            if partial.share_idx != i32::from(from) + 1 {
                self.wrong
                    .push(format!("operator {from} sent partials of share {}", partial.share_idx));
            }
            let key = (duty, validator, partial.share_idx);
            match self.partials.get(&key) {
                Some(known) if *known == partial.data => {}
                Some(known) => self.wrong.push(format!(
                    "share {} signed twice for duty {duty:?} of {}: {known:02x?} and {:02x?}",
                    partial.share_idx, key.1, partial.data
                )),
                None => {
                    self.partials.insert(key, partial.data);
                }
            }
        }
    }

    /// Different votes and partials of one operator.
    pub(crate) fn totals(&self, operator: u8) -> (usize, usize) {
        let votes = self.votes.keys().filter(|k| k.0 == i64::from(operator)).count();
        let share = i32::from(operator) + 1;
        (votes, self.partials.keys().filter(|k| k.2 == share).count())
    }

    /// Duties with a vote or partial of the operator at or after `slot`.
    pub(crate) fn worked_since(&self, operator: u8, slot: u64) -> bool {
        let mut slots: BTreeSet<u64> = BTreeSet::new();
        slots.extend(self.votes.keys().filter(|k| k.0 == i64::from(operator)).map(|k| k.1.0));
        slots.last().is_some_and(|last| *last >= slot)
    }
}

#[test]
fn a_second_different_vote_or_partial_is_noticed() {
    use trireme_keys::IdentityKey;
    use trireme_proto::core::v1::{ParSignedData, ParSignedDataSet};

    let key = IdentityKey::from_bytes(&[7; 32]).unwrap();
    let vote = |value: u8, round: i64| {
        let mut msg = QbftMsg {
            r#type: 2,
            duty: Some(Duty { slot: 9, r#type: 2 }),
            round,
            value_hash: vec![value; 32].into(),
            prepared_value_hash: vec![0; 32].into(),
            ..QbftMsg::default()
        };
        msg.signature = key.sign_digest(&signing_digest(&msg)).to_vec().into();
        msg
    };
    let frame = |msg: QbftMsg| {
        QbftConsensusMsg {
            msg: Some(msg),
            ..QbftConsensusMsg::default()
        }
        .encode_to_vec()
    };
    let mut record = Record::new(vec![key.public_key()]);
    for msg in [vote(1, 1), vote(1, 1), vote(2, 2)] {
        record.consensus(0, &frame(msg));
    }
    assert_eq!(record.wrong, Vec::<String>::new());
    record.consensus(0, &frame(vote(2, 1)));
    assert_eq!(record.wrong.len(), 1);
    // In a justification, too.
    let shown = QbftConsensusMsg {
        msg: Some(vote(1, 1)),
        justification: vec![vote(3, 2)],
        values: vec![],
    };
    record.consensus(0, &shown.encode_to_vec());
    assert_eq!(record.wrong.len(), 2);
    let mut forged = vote(1, 3);
    forged.round = 4;
    record.consensus(0, &frame(forged));
    assert_eq!(record.wrong.len(), 3);

    let partial = |data: &'static [u8]| {
        let data = ParSignedData {
            data: Bytes::from_static(data),
            signature: Bytes::new(),
            share_idx: 1,
        };
        let set = [("0xaa".to_owned(), data)].into();
        ParSigExMsg {
            duty: Some(Duty { slot: 9, r#type: 2 }),
            data_set: Some(ParSignedDataSet { set }),
        }
        .encode_to_vec()
    };
    record.partials(0, &partial(b"a"));
    record.partials(0, &partial(b"a"));
    assert_eq!(record.wrong.len(), 3);
    record.partials(0, &partial(b"b"));
    assert_eq!(record.wrong.len(), 4);
    assert_eq!(record.totals(0), (3, 1));
}
