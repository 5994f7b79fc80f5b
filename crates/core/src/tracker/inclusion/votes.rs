//! Whether a block contains our votes: a pure comparison of bits.
//!
//! Guarantees: votes of equal data are merged over all attestations of a block; a vote counts only if every one of its
//! bits is there; sizes of committees that do not fit a block's bits make nothing included.
//! Not here: asking for blocks and committees (`inclusion`).

use std::collections::{BTreeMap, BTreeSet};

use trireme_eth2::{
    BeaconCommittee, ForkedAttestation, Root, Slot, ValidatorIndex, VersionedSignedAggregateAndProof,
    VersionedSignedBlock, hash_tree_root,
};

use crate::{data::SignedData, duty::DutyType, ids::PubKey};

/// Where a vote stands in its committee.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// The places, all of which have to be there.
    Known(Vec<usize>),
    /// That of this validator, which only the list of the committee's members tells.
    Of(ValidatorIndex),
}

/// A vote, or an aggregate of some, that should be on the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Vote {
    /// Attester or aggregator.
    pub(super) kind: DutyType,
    /// Whose duty it is.
    pub(super) validator: PubKey,
    /// Root of what was voted for.
    pub(super) data: Root,
    /// The committee.
    pub(super) committee: u64,
    /// Its place.
    pub(super) place: Place,
    /// From Electra on blocks join committees, so that their sizes have to be known.
    pub(super) joined: bool,
}

impl Vote {
    /// The vote in signed data; `None` if there is none, or if it belongs to no single committee.
    pub(super) fn of(validator: PubKey, data: &SignedData) -> Option<Self> {
        match data {
            SignedData::Attestation(a) => Self::from(DutyType::Attester, validator, a.validator_index, &a.attestation),
            SignedData::Aggregate(a) => Self::from(DutyType::Aggregator, validator, None, &aggregate(a)),
            SignedData::Proposal(_)
            | SignedData::UnversionedAttestation(_)
            | SignedData::Signature(_)
            | SignedData::Exit(_)
            | SignedData::Registration(_)
            | SignedData::Randao(_)
            | SignedData::BeaconCommitteeSelection(_)
            | SignedData::UnversionedAggregate(_)
            | SignedData::SyncMessage(_)
            | SignedData::SyncCommitteeSelection(_)
            | SignedData::Contribution(_) => None,
        }
    }

    fn from(
        kind: DutyType,
        validator: PubKey,
        index: Option<ValidatorIndex>,
        attestation: &ForkedAttestation,
    ) -> Option<Self> {
        let (committee, joined) = match attestation {
            ForkedAttestation::Phase0(a)
            | ForkedAttestation::Altair(a)
            | ForkedAttestation::Bellatrix(a)
            | ForkedAttestation::Capella(a)
            | ForkedAttestation::Deneb(a) => (a.data.index, false),
            ForkedAttestation::Electra(a) | ForkedAttestation::Fulu(a) => (a.committee()?, true),
        };
        let bits = attestation.set_bits();
        let place = if bits.is_empty() {
            Place::Of(index?)
        } else {
            Place::Known(bits)
        };
        Some(Self {
            kind,
            validator,
            data: hash_tree_root(attestation.data()),
            committee: committee.0,
            place,
            joined,
        })
    }

    /// Looks its place up, where only the members tell.
    pub(super) fn settle(&mut self, committees: &[BeaconCommittee]) {
        let Place::Of(index) = self.place else { return };
        let members = committees.iter().find(|c| c.index.0 == self.committee);
        if let Some(at) = members.and_then(|c| c.validators.iter().position(|v| *v == index)) {
            self.place = Place::Known(vec![at]);
        }
    }

    /// Whether a block with these votes contains it.
    pub(super) fn is_in(&self, votes: &Votes) -> bool {
        let Place::Known(bits) = &self.place else {
            return false;
        };
        votes
            .get(&(self.data, self.committee))
            .is_some_and(|there| bits.iter().all(|bit| there.contains(bit)))
    }
}

fn aggregate(signed: &VersionedSignedAggregateAndProof) -> ForkedAttestation {
    use VersionedSignedAggregateAndProof as A;
    match signed {
        A::Phase0(x) => ForkedAttestation::Phase0(x.message.aggregate.clone()),
        A::Altair(x) => ForkedAttestation::Altair(x.message.aggregate.clone()),
        A::Bellatrix(x) => ForkedAttestation::Bellatrix(x.message.aggregate.clone()),
        A::Capella(x) => ForkedAttestation::Capella(x.message.aggregate.clone()),
        A::Deneb(x) => ForkedAttestation::Deneb(x.message.aggregate.clone()),
        A::Electra(x) => ForkedAttestation::Electra(x.message.aggregate.clone()),
        A::Fulu(x) => ForkedAttestation::Fulu(x.message.aggregate.clone()),
    }
}

/// The places that voted, by root of what they voted for and committee.
pub(super) type Votes = BTreeMap<(Root, u64), BTreeSet<usize>>;

/// Members per committee of a slot, by the committee's number.
pub(super) type Sizes = BTreeMap<u64, usize>;

/// Counts the members.
pub(super) fn sizes(committees: &[BeaconCommittee]) -> Sizes {
    committees.iter().map(|c| (c.index.0, c.validators.len())).collect()
}

/// The slots whose votes a block holds.
pub(super) fn slots_of(block: &VersionedSignedBlock) -> BTreeSet<Slot> {
    block.attestations().iter().map(|a| a.data().slot).collect()
}

/// The votes that a block holds, for the data asked for.
pub(super) fn votes_in(
    block: &VersionedSignedBlock,
    wanted: &BTreeSet<Root>,
    committees: &BTreeMap<Slot, Sizes>,
) -> Votes {
    let mut votes = Votes::new();
    for attestation in block.attestations() {
        let data = hash_tree_root(attestation.data());
        if !wanted.contains(&data) {
            continue;
        }
        let slot = attestation.data().slot;
        let bits = attestation.set_bits();
        match &attestation {
            ForkedAttestation::Phase0(a)
            | ForkedAttestation::Altair(a)
            | ForkedAttestation::Bellatrix(a)
            | ForkedAttestation::Capella(a)
            | ForkedAttestation::Deneb(a) => votes.entry((data, a.data.index.0)).or_default().extend(bits),
            ForkedAttestation::Electra(a) | ForkedAttestation::Fulu(a) => {
                let Some(sizes) = committees.get(&slot) else { continue };
                let joined = a
                    .committee_bits
                    .iter()
                    .enumerate()
                    .filter_map(|(n, bit)| u64::try_from(n).ok().filter(|_| bit));
                let mut first = 0_usize;
                for committee in joined {
                    // A committee that the list does not have would shift all that follow.
                    let Some(size) = sizes.get(&committee) else { break };
                    let next = first.saturating_add(*size);
                    let places = bits
                        .iter()
                        .filter(|b| (first..next).contains(*b))
                        .filter_map(|b| b.checked_sub(first));
                    votes.entry((data, committee)).or_default().extend(places);
                    first = next;
                }
            }
        }
    }
    votes
}

#[cfg(test)]
mod tests;
