//! Which votes a block takes in, and which its ancestors have already.
//!
//! Guarantees: a vote is taken in once on each branch, at most an epoch after its slot, and only on the branch whose
//! checkpoints it names. Not here: the pool's rules (`votes`).

use std::collections::{BTreeMap, BTreeSet};

use trireme_eth2::{
    AttestationData, CommitteeIndex, Fork, ForkedAttestation, ForkedSignedBlock, Root, Slot, VersionedSignedProposal,
    electra, hash_tree_root, phase0,
};

use super::{
    aggregates::{attestation, set_bits},
    chain::Committees,
    state::Judge,
};

/// `MAX_ATTESTATIONS` and `MAX_ATTESTATIONS_ELECTRA`.
const MOST: usize = 128;
const MOST_ELECTRA: usize = 8;

/// One vote: root of its data, committee and position there.
pub(super) type Included = (Root, CommitteeIndex, usize);

/// A committee of an attestation: its size, and who of it voted.
type Part = (CommitteeIndex, usize, Vec<usize>);

impl Judge {
    /// The attestations of a block for `slot` on `parent`: everything that gossip brought and no ancestor has, the
    /// newest first.
    pub(super) fn attestations_for(&mut self, slot: Slot, parent: Root) -> Vec<ForkedAttestation> {
        let known = self.included_until(parent, slot);
        let first = Slot(slot.0.saturating_sub(self.chain.slots_per_epoch));
        let fork = self.chain.fork(slot);
        let places: Vec<_> = self
            .vote_pool
            .range((first, Root::ZERO, CommitteeIndex(0))..(slot, Root::ZERO, CommitteeIndex(0)))
            .map(|(place, votes)| (*place, votes.data))
            .collect();
        // Since Electra one attestation holds all committees that voted for the same data.
        let mut groups: BTreeMap<(Slot, Root, CommitteeIndex), (AttestationData, Vec<Part>)> = BTreeMap::new();
        for ((of, root, committee), data) in places {
            let same_shape = (self.chain.fork(of) >= Fork::Electra) == (fork >= Fork::Electra);
            if !same_shape || self.checkpoints(self.chain.epoch(of), parent) != (data.source, data.target) {
                continue;
            }
            let Some(votes) = self.vote_pool.get(&(of, root, committee)) else {
                continue;
            };
            let positions: Vec<usize> = votes.ballots.iter().map(|(position, _)| position).collect();
            if positions.iter().all(|p| known.contains(&(root, committee, *p))) {
                continue;
            }
            let committees = self.committees(self.chain.epoch(of));
            let members = committees.members(of, committee).map_or(0, <[_]>::len);
            let key = if fork >= Fork::Electra {
                (of, root, CommitteeIndex(0))
            } else {
                (of, root, committee)
            };
            let (_, parts) = groups.entry(key).or_insert((data, Vec::new()));
            parts.push((committee, members, positions));
        }
        let most = if fork >= Fork::Electra { MOST_ELECTRA } else { MOST };
        let mut made = Vec::new();
        for ((of, root, _), (data, parts)) in groups.into_iter().rev().take(most) {
            made.extend(self.put_together(fork, (of, root, data), &parts));
        }
        made
    }

    fn put_together(
        &mut self,
        fork: Fork,
        (of, root, data): (Slot, Root, AttestationData),
        parts: &[Part],
    ) -> Option<ForkedAttestation> {
        let add_up = self.config.sum;
        let mut signatures = Vec::new();
        for (committee, _, _) in parts {
            let votes = self.vote_pool.get_mut(&(of, root, *committee))?;
            signatures.push(votes.ballots.sum(add_up)?);
        }
        let parts: Vec<_> = parts.iter().map(|(c, size, set)| (*c, *size, set.as_slice())).collect();
        Some(attestation(fork, data, &parts, add_up(&signatures)?))
    }

    /// Every vote in `block` and its ancestors that a block for `slot` could hold.
    fn included_until(&self, block: Root, slot: Slot) -> BTreeSet<Included> {
        let first = slot.0.saturating_sub(self.chain.slots_per_epoch);
        let (mut at, mut known) = (block, BTreeSet::new());
        while let Some(block) = self.blocks.get(&at) {
            known.extend(block.included.iter().copied());
            if block.slot.0 < first || block.slot.0 == 0 {
                break;
            }
            at = block.parent;
        }
        known
    }

    /// The votes in a block.
    pub(super) fn included_in(&mut self, signed: &VersionedSignedProposal) -> Vec<Included> {
        let mut found = Vec::new();
        for attestation in attestations(signed) {
            let data = *attestation.data();
            let root = hash_tree_root(&data);
            let committees = self.committees(self.chain.epoch(data.slot));
            found.extend(
                votes_in(&committees, &attestation)
                    .into_iter()
                    .map(|(c, p)| (root, c, p)),
            );
        }
        found
    }
}

/// Committee and position of each vote in an attestation.
fn votes_in(committees: &Committees, attestation: &ForkedAttestation) -> Vec<(CommitteeIndex, usize)> {
    let old = |a: &phase0::Attestation| {
        let set = set_bits(&a.aggregation_bits).into_iter();
        set.map(|p| (a.data.index, p)).collect()
    };
    let new = |a: &electra::Attestation| {
        let named = a.committee_bits.iter().zip(0..).filter(|(bit, _)| *bit);
        let set = set_bits(&a.aggregation_bits);
        let (mut first, mut found) = (0_usize, Vec::new());
        for committee in named.map(|(_, n)| CommitteeIndex(n)) {
            let size = committees.members(a.data.slot, committee).map_or(0, <[_]>::len);
            let end = first.saturating_add(size);
            let here = set.iter().filter(|bit| (first..end).contains(*bit));
            found.extend(here.map(|bit| (committee, bit.saturating_sub(first))));
            first = end;
        }
        found
    };
    match attestation {
        ForkedAttestation::Phase0(a)
        | ForkedAttestation::Altair(a)
        | ForkedAttestation::Bellatrix(a)
        | ForkedAttestation::Capella(a)
        | ForkedAttestation::Deneb(a) => old(a),
        ForkedAttestation::Electra(a) | ForkedAttestation::Fulu(a) => new(a),
    }
}

/// The attestations of a block of the chain; those have their payload.
pub(super) fn attestations(signed: &VersionedSignedProposal) -> Vec<ForkedAttestation> {
    let VersionedSignedProposal::Full(full) = signed else {
        return Vec::new();
    };
    match full {
        ForkedSignedBlock::Phase0(x) => wrap(&x.message.body.attestations, ForkedAttestation::Phase0),
        ForkedSignedBlock::Altair(x) => wrap(&x.message.body.attestations, ForkedAttestation::Altair),
        ForkedSignedBlock::Bellatrix(x) => wrap(&x.message.body.attestations, ForkedAttestation::Bellatrix),
        ForkedSignedBlock::Capella(x) => wrap(&x.message.body.attestations, ForkedAttestation::Capella),
        ForkedSignedBlock::Deneb(x) => wrap(&x.signed_block.message.body.attestations, ForkedAttestation::Deneb),
        ForkedSignedBlock::Electra(x) => wrap(&x.signed_block.message.body.attestations, ForkedAttestation::Electra),
        ForkedSignedBlock::Fulu(x) => wrap(&x.signed_block.message.body.attestations, ForkedAttestation::Fulu),
    }
}

fn wrap<T: Clone>(list: &[T], form: fn(T) -> ForkedAttestation) -> Vec<ForkedAttestation> {
    list.iter().cloned().map(form).collect()
}
