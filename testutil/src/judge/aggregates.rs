//! Aggregates: the votes of a committee for the same data, put together.
//!
//! Guarantees: an aggregate is taken only from a selected member of its committee, and only if it holds exactly what
//! was sent: no vote that nobody sent, and every vote that was there when its time came, two thirds into the slot.
//! Not here: what becomes of votes in blocks (`inclusion`).

use std::time::Duration;

use ssz_types::{BitList, BitVector, typenum::Unsigned};
use trireme_eth2::{
    AttestationData, BlsSignature, CommitteeIndex, Fork, ForkedAttestation, Root, Slot, Versioned as _,
    VersionedSignedAggregateAndProof, electra, phase0,
};

use super::{
    chain::number,
    selection::{Role, selects},
    signing::{Claim, Purpose, domain, signing_root},
    state::{DutyKind, DutyOf, Judge, Refused, Taken, refuse},
};

/// The parts of an aggregate that the judge looks at, the same for every fork.
struct View {
    data: AttestationData,
    committee: Option<CommitteeIndex>,
    bits: usize,
    positions: Vec<usize>,
    signature: BlsSignature,
}

impl View {
    fn of(signed: &VersionedSignedAggregateAndProof) -> Self {
        match signed {
            VersionedSignedAggregateAndProof::Phase0(x)
            | VersionedSignedAggregateAndProof::Altair(x)
            | VersionedSignedAggregateAndProof::Bellatrix(x)
            | VersionedSignedAggregateAndProof::Capella(x)
            | VersionedSignedAggregateAndProof::Deneb(x) => {
                let aggregate = &x.message.aggregate;
                Self {
                    data: aggregate.data,
                    committee: Some(aggregate.data.index),
                    bits: aggregate.aggregation_bits.len(),
                    positions: set_bits(&aggregate.aggregation_bits),
                    signature: aggregate.signature,
                }
            }
            VersionedSignedAggregateAndProof::Electra(x) | VersionedSignedAggregateAndProof::Fulu(x) => {
                let aggregate = &x.message.aggregate;
                Self {
                    data: aggregate.data,
                    committee: aggregate.committee(),
                    bits: aggregate.aggregation_bits.len(),
                    positions: set_bits(&aggregate.aggregation_bits),
                    signature: aggregate.signature,
                }
            }
        }
    }
}

pub(super) fn set_bits<N: Unsigned + Clone>(bits: &BitList<N>) -> Vec<usize> {
    bits.iter()
        .enumerate()
        .filter_map(|(n, bit)| bit.then_some(n))
        .collect()
}

impl Judge {
    /// When aggregating begins: two thirds into the slot.
    pub(super) fn aggregation_time(&self, slot: Slot) -> Duration {
        let two_thirds = self.chain.slot_duration().saturating_mul(2) / 3;
        self.chain.start(slot).saturating_add(two_thirds)
    }

    /// The votes of a committee for the data with this root, aggregated. Before Electra the data names its committee.
    ///
    /// # Errors
    ///
    /// If there are none.
    pub fn aggregate(
        &mut self,
        face: usize,
        now: Duration,
        slot: Slot,
        root: Root,
        committee: Option<CommitteeIndex>,
    ) -> Result<ForkedAttestation, Refused> {
        let none = || refuse(format!("there are no votes for the data {root} of slot {}", slot.0));
        if self.admit(face, now, None, None).is_err() {
            return none();
        }
        let mut places = self.vote_pool.range((slot, root, CommitteeIndex(0))..);
        let found = places.find(|((s, r, c), _)| *s == slot && *r == root && committee.is_none_or(|want| want == *c));
        let Some((place, _)) = found else { return none() };
        let place = *place;
        let committees = self.committees(self.chain.epoch(slot));
        let members = committees.members(slot, place.2).map_or(0, <[_]>::len);
        let (sum, fork) = (self.config.sum, self.chain.fork(slot));
        let Some(votes) = self.vote_pool.get_mut(&place) else {
            return none();
        };
        let Some(signature) = votes.ballots.sum(sum) else {
            return none();
        };
        let positions: Vec<usize> = votes.ballots.iter().map(|(position, _)| position).collect();
        Ok(attestation(
            fork,
            votes.data,
            &[(place.2, members, &positions)],
            signature,
        ))
    }

    /// What the signatures of an aggregate must prove: the aggregator's, and its proof of selection.
    ///
    /// # Errors
    ///
    /// If the chain has no such validator. That is noted as a refusal.
    pub fn claims_of_aggregate(
        &mut self,
        now: Duration,
        signed: &VersionedSignedAggregateAndProof,
    ) -> Result<[Claim; 2], Refused> {
        let key = self.key_of(now, signed.aggregator_index())?;
        let slot = signed.data().slot;
        let domain = domain(&self.chain, Purpose::Aggregate, self.chain.epoch(slot));
        Ok([
            Claim {
                key,
                root: signing_root(signed.message_root(), domain),
                signature: signed.signature(),
            },
            Claim {
                key,
                root: self.selection_root(slot, Role::Votes),
                signature: signed.selection_proof(),
            },
        ])
    }

    /// Takes or refuses an aggregate. `genuine` says which of its two claims hold, `declared` the fork that its sender
    /// names.
    ///
    /// # Errors
    ///
    /// Says why it is not taken.
    pub fn aggregated(
        &mut self,
        face: usize,
        now: Duration,
        declared: Fork,
        signed: &VersionedSignedAggregateAndProof,
        genuine: [bool; 2],
    ) -> Result<Taken, Refused> {
        let duty = DutyOf {
            kind: DutyKind::Aggregator,
            slot: signed.data().slot,
            validator: signed.aggregator_index(),
        };
        let head = signed.data().beacon_block_root;
        self.admit(face, now, Some(head), Some((duty.slot, declared)))?;
        self.weigh_aggregate(now, declared, signed, genuine)
            .inspect_err(|why| self.note(now, Some(duty), why))?;
        self.note_alive(duty.slot, duty.validator);
        Ok(self.arrive(duty, now))
    }

    fn weigh_aggregate(
        &mut self,
        now: Duration,
        declared: Fork,
        signed: &VersionedSignedAggregateAndProof,
        [genuine, proven]: [bool; 2],
    ) -> Result<(), Refused> {
        let (validator, slot) = (signed.aggregator_index(), signed.data().slot);
        if !genuine {
            return refuse(format!(
                "the signature of validator {} does not verify under its key",
                validator.0
            ));
        }
        if !proven {
            return refuse(format!(
                "the selection proof of validator {} does not verify under its key",
                validator.0
            ));
        }
        self.note_proof(slot, validator, Role::Votes, signed.selection_proof());
        let (epoch, fork) = (self.chain.epoch(slot), self.chain.fork(slot));
        if declared != fork || signed.fork() != fork {
            return refuse(format!(
                "wrong fork: slot {} is in {fork:?}, the aggregate comes as {declared:?}",
                slot.0
            ));
        }
        if self.too_early(now, slot) {
            return refuse(format!("wrong slot: slot {} has not begun", slot.0));
        }
        let view = View::of(signed);
        let Some(committee) = view.committee else {
            return refuse("not exactly one committee bit is set; aggregates of gossip have one");
        };
        if fork >= Fork::Electra && view.data.index != CommitteeIndex(0) {
            return refuse(format!(
                "the index of the data is {}; since Electra it is 0",
                view.data.index.0
            ));
        }
        let committees = self.committees(epoch);
        let Some(members) = committees.members(slot, committee) else {
            return refuse(format!(
                "wrong committee: slot {} has no committee {}",
                slot.0, committee.0
            ));
        };
        if !members.contains(&validator) {
            return refuse(format!(
                "wrong committee: validator {} does not sit in {} of slot {}",
                validator.0, committee.0, slot.0
            ));
        }
        if !selects(&signed.selection_proof(), number(members.len())) {
            return refuse(format!(
                "validator {} is not selected: its proof does not make it an aggregator of slot {}",
                validator.0, slot.0
            ));
        }
        if view.bits != members.len() {
            return refuse(format!(
                "{} aggregation bits for committee {} of slot {}, which has {} members",
                view.bits,
                committee.0,
                slot.0,
                members.len()
            ));
        }
        self.check_chain(&view.data)?;
        let (until, sum) = (self.aggregation_time(slot), self.config.sum);
        let place = (slot, trireme_eth2::hash_tree_root(&view.data), committee);
        let Some(votes) = self.vote_pool.get_mut(&place) else {
            return refuse("wrong aggregate: nobody sent a vote for this data");
        };
        votes
            .ballots
            .check(&view.positions, view.signature, until, sum)
            .map_err(|why| Refused(format!("wrong aggregate: {why}")))?;
        if epoch.0.saturating_add(1) < self.chain.epoch(self.chain.slot_at(now)).0 {
            return refuse(self.late_text(now, slot));
        }
        Ok(())
    }
}

/// An attestation of committees, each with its size and the positions that voted; before Electra there is one.
pub(super) fn attestation(
    fork: Fork,
    data: AttestationData,
    committees: &[(CommitteeIndex, usize, &[usize])],
    signature: BlsSignature,
) -> ForkedAttestation {
    let size = committees.iter().map(|(_, members, _)| members).sum();
    let mut first = 0_usize;
    let mut set = Vec::new();
    for (_, members, positions) in committees {
        set.extend(positions.iter().map(|p| first.saturating_add(*p)));
        first = first.saturating_add(*members);
    }
    let old = || phase0::Attestation {
        aggregation_bits: bits(size, &set),
        data,
        signature,
    };
    let new = || {
        let mut committee_bits = BitVector::new();
        for (committee, _, _) in committees {
            // There are at most 64.
            let _ = committee_bits.set(usize::try_from(committee.0).unwrap_or(usize::MAX), true);
        }
        electra::Attestation {
            aggregation_bits: bits(size, &set),
            data,
            signature,
            committee_bits,
        }
    };
    match fork {
        Fork::Phase0 => ForkedAttestation::Phase0(old()),
        Fork::Altair => ForkedAttestation::Altair(old()),
        Fork::Bellatrix => ForkedAttestation::Bellatrix(old()),
        Fork::Capella => ForkedAttestation::Capella(old()),
        Fork::Deneb => ForkedAttestation::Deneb(old()),
        Fork::Electra => ForkedAttestation::Electra(new()),
        Fork::Fulu => ForkedAttestation::Fulu(new()),
    }
}

fn bits<N: Unsigned + Clone>(size: usize, set: &[usize]) -> BitList<N> {
    let mut bits = BitList::with_capacity(size).unwrap_or_else(|_| super::blocks::empty_bits());
    for bit in set {
        // Below the size.
        let _ = bits.set(*bit, true);
    }
    bits
}
