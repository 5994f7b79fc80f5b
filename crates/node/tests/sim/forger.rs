//! Votes of a villain under its genuine key: for two values in one round, COMMITs before their PREPAREs, rounds that have
//! not come, locks forgotten or invented, decisions that were none.
//!
//! Guarantees: every value is one that could have been proposed in good faith (attestations for an older head, blocks
//! with another graffiti), so that whichever is decided, the duty can be done.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use rand::{RngExt as _, seq::IndexedRandom as _};
use rand_chacha::ChaCha20Rng;
use trireme_core::{
    Duty, DutyType, PeerIdx,
    consensus::{
        hash::ValueHash,
        receive::{Checked, Signers, open},
        wire::{Carried, frame, seal},
    },
    data::{UnsignedData, UnsignedDataSet},
};
use trireme_eth2::{Root, Slot};
use trireme_keys::IdentityKey;
use trireme_qbft::{Kind, Msg, Process, Round, Signed, Vote};
use trireme_testutil::sim::SimNet;

use crate::{beacon::World, chain::NODES};

/// See the module.
pub(crate) struct Forger {
    me: PeerIdx,
    key: IdentityKey,
    signers: Signers,
    world: Arc<World>,
    known: Mutex<BTreeMap<Duty, Known>>,
}

/// What is known of an instance.
#[derive(Default)]
struct Known {
    values: BTreeMap<ValueHash, Carried>,
    votes: Vec<Signed<ValueHash>>,
}

impl Forger {
    pub(crate) fn new(net: &SimNet, me: PeerIdx, world: &Arc<World>) -> Self {
        let keys = (0..NODES).map(|n| net.key(PeerIdx(n)).unwrap().public_key());
        Self {
            me,
            key: net.key(me).unwrap().clone(),
            signers: Signers::new(keys.collect()),
            world: Arc::clone(world),
            known: Mutex::default(),
        }
    }

    /// Remembers a message, and makes a second value of the one that it brings.
    pub(crate) fn learn(&self, msg: &Bytes) -> Option<(Duty, Msg<ValueHash>)> {
        let duty = |slot, kind| Some(Duty::new(Slot(slot), DutyType::try_from(kind).ok()?));
        let opened = open(msg.clone(), usize::from(NODES), duty).ok()?;
        let duty = opened.duty;
        let mut all = self.known.lock().unwrap();
        // Two slots are enough to lie about.
        all.retain(|known, _| known.slot.0 + 2 > duty.slot.0);
        let known = all.entry(duty).or_default();
        let Checked { msg, values } = opened.verify(&self.signers, &known.values).ok()?;
        for (hash, value) in values {
            if known.values.insert(hash, value.clone()).is_none() && known.values.len() < 4 {
                let other = self.other(duty, &value);
                known
                    .values
                    .extend(other.and_then(|other| Some((other.hash().ok()??, other))));
            }
        }
        for signed in std::iter::once(&msg.signed).chain(msg.justification.iter()) {
            if known.votes.len() < 200 && known.votes.iter().all(|have| have.vote != signed.vote) {
                known.votes.push(signed.clone());
            }
        }
        Some((duty, msg))
    }

    /// Another value that is as good.
    fn other(&self, duty: Duty, value: &Carried) -> Option<Carried> {
        let mut set = UnsignedDataSet::from_proto(duty.kind, &value.set().ok()?).ok()?;
        for data in set.0.values_mut() {
            match data {
                UnsignedData::Attestation(att) => att.data.beacon_block_root = att.data.target.root,
                UnsignedData::Proposal(block) => *block = Arc::new(self.world.another_block(self.me, block)?),
                UnsignedData::Aggregate(_)
                | UnsignedData::UnversionedAggregate(_)
                | UnsignedData::Contribution(_)
                | UnsignedData::Contributions(_) => return None,
            }
        }
        Some(Carried::of_set(&set))
    }

    /// What one peer gets in place of an honest message.
    pub(crate) fn instead(&self, honest: &Bytes, rng: &mut ChaCha20Rng) -> Option<Vec<Bytes>> {
        let (duty, msg) = self.learn(honest)?;
        let all = self.known.lock().unwrap();
        let known = all.get(&duty)?;
        let vote = msg.signed.vote;
        let others: Vec<ValueHash> = known
            .values
            .keys()
            .copied()
            .filter(|hash| Some(*hash) != vote.value)
            .collect();
        let other = others.choose(rng).copied();
        let later = Round(vote.round.0 + rng.random_range(1..4));
        let plain = |kind, round, value| Vote {
            kind,
            source: Process(self.me.0),
            round,
            value,
            prepared_round: None,
            prepared_value: None,
        };
        let shown = |kind: Kind, round: Option<Round>, value: Option<ValueHash>| -> Arc<[Signed<ValueHash>]> {
            let fits = |v: &Vote<ValueHash>| {
                v.kind == kind && round.is_none_or(|r| r == v.round) && value.is_none_or(|x| Some(x) == v.value)
            };
            let votes = known.votes.iter().filter(|s| fits(&s.vote));
            votes.take(usize::from(NODES) * 2).cloned().collect()
        };
        let say = |vote: Vote<ValueHash>, justification: Arc<[Signed<ValueHash>]>| {
            let signed = Signed {
                vote,
                seal: seal(duty, &vote, &self.key),
            };
            frame(&Msg { signed, justification }, &known.values)
        };
        let none = Arc::default;
        let lies = match rng.random_range(0..9) {
            // Another value to this peer.
            0 | 1 => vec![say(Vote { value: other, ..vote }, Arc::clone(&msg.justification))],
            // Both.
            2 => vec![
                Some(honest.clone()),
                say(Vote { value: other, ..vote }, Arc::clone(&msg.justification)),
            ],
            // Bound to it before anybody supports it.
            3 => vec![
                Some(honest.clone()),
                say(plain(Kind::Commit, vote.round, vote.value), none()),
            ],
            4 => vec![
                say(plain(Kind::Prepare, vote.round, vote.value), none()),
                say(plain(Kind::Commit, vote.round, other), none()),
            ],
            // In a later round already, and bound to nothing.
            5 => vec![Some(honest.clone()), say(plain(Kind::RoundChange, later, None), none())],
            // Bound to what nobody supported.
            6 => {
                let claim = Vote {
                    prepared_round: Some(vote.round),
                    prepared_value: other,
                    ..plain(Kind::RoundChange, vote.round.next(), None)
                };
                vec![say(claim, shown(Kind::Prepare, None, None))]
            }
            // A proposal out of turn, or a second one.
            7 => vec![
                Some(honest.clone()),
                say(
                    plain(Kind::PrePrepare, later, other),
                    shown(Kind::RoundChange, Some(later), None),
                ),
            ],
            // A decision that was none.
            _ => vec![say(
                plain(Kind::Decided, vote.round, other.or(vote.value)),
                shown(Kind::Commit, None, None),
            )],
        };
        Some(lies.into_iter().flatten().collect())
    }
}

/// The graffiti of the villain's second blocks.
pub(crate) const GRAFFITI: Root = Root([0x66; 32]);
