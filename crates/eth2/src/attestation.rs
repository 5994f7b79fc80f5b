//! Attestations and aggregates of every fork.

use ssz_types::{BitList, BitVector, typenum::U64};

use crate::{
    BlsSignature, CommitteeIndex, Root, ValidatorIndex, electra, electra::SingleAttestation, hash_tree_root, phase0,
    phase0::AttestationData, versioned::versioned,
};

versioned! {
    /// An attestation container.
    pub enum ForkedAttestation {
        Phase0 => phase0::Attestation,
        Altair => phase0::Attestation,
        Bellatrix => phase0::Attestation,
        Capella => phase0::Attestation,
        Deneb => phase0::Attestation,
        Electra => electra::Attestation,
        Fulu => electra::Attestation,
    }
    get {
        /// What is voted for; its root is what the voters sign.
        fn data(&self) -> &AttestationData = |a| &a.data;
        /// The signature.
        fn signature(&self) -> BlsSignature = |a| a.signature;
        /// The numbers of the bits that are set, ascending.
        fn set_bits(&self) -> Vec<usize> = |a| {
            a.aggregation_bits.iter().enumerate().filter_map(|(n, bit)| bit.then_some(n)).collect()
        };
    }
    set {
        /// The signature, to be replaced.
        fn signature_mut(&mut self) -> &mut BlsSignature = |a| &mut a.signature;
    }
}

/// An attestation with, from Electra on, the index of the one validator that made it.
///
/// From Electra on a single vote has an empty aggregation bit list and one committee bit; together with the index that
/// is all of a [`SingleAttestation`]. Aggregates have no index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionedAttestation {
    /// Who voted, where known.
    pub validator_index: Option<ValidatorIndex>,
    /// The attestation.
    pub attestation: ForkedAttestation,
}

impl VersionedAttestation {
    /// What is voted for; its root is what the voter signs.
    #[must_use]
    pub fn data(&self) -> &AttestationData {
        self.attestation.data()
    }

    /// The signature.
    #[must_use]
    pub fn signature(&self) -> BlsSignature {
        self.attestation.signature()
    }

    /// The committee of a vote or aggregate: from Electra on the one whose bit is set, before it the one that the data
    /// names. `None` if not exactly one bit is set.
    #[must_use]
    pub fn committee(&self) -> Option<CommitteeIndex> {
        match &self.attestation {
            ForkedAttestation::Phase0(a)
            | ForkedAttestation::Altair(a)
            | ForkedAttestation::Bellatrix(a)
            | ForkedAttestation::Capella(a)
            | ForkedAttestation::Deneb(a) => Some(a.data.index),
            ForkedAttestation::Electra(a) | ForkedAttestation::Fulu(a) => a.committee(),
        }
    }

    /// The form that a beacon node takes from Electra on; `None` before it, if the validator is not known, or if not
    /// exactly one committee bit is set.
    #[must_use]
    pub fn to_single(&self) -> Option<SingleAttestation> {
        let attester_index = self.validator_index?;
        match &self.attestation {
            ForkedAttestation::Phase0(_)
            | ForkedAttestation::Altair(_)
            | ForkedAttestation::Bellatrix(_)
            | ForkedAttestation::Capella(_)
            | ForkedAttestation::Deneb(_) => None,
            ForkedAttestation::Electra(a) | ForkedAttestation::Fulu(a) => Some(SingleAttestation {
                committee_index: a.committee()?,
                attester_index,
                data: a.data,
                signature: a.signature,
            }),
        }
    }
}

impl electra::Attestation {
    /// A single validator's vote in the form that travels between the operators: no aggregation bits, one committee
    /// bit. `None` if there is no such committee.
    #[must_use]
    pub fn from_single(single: &SingleAttestation) -> Option<Self> {
        let mut committee_bits = BitVector::<U64>::new();
        committee_bits
            .set(usize::try_from(single.committee_index.0).ok()?, true)
            .ok()?;
        Some(Self {
            aggregation_bits: BitList::with_capacity(0).ok()?,
            data: single.data,
            signature: single.signature,
            committee_bits,
        })
    }

    /// The committee, if there is exactly one.
    #[must_use]
    pub fn committee(&self) -> Option<CommitteeIndex> {
        let n = self
            .committee_bits
            .highest_set_bit()
            .filter(|_| self.committee_bits.num_set_bits() == 1)?;
        u64::try_from(n).ok().map(CommitteeIndex)
    }
}

versioned! {
    /// An aggregate, its aggregator's proof and signature.
    pub enum VersionedSignedAggregateAndProof {
        Phase0 => phase0::SignedAggregateAndProof,
        Altair => phase0::SignedAggregateAndProof,
        Bellatrix => phase0::SignedAggregateAndProof,
        Capella => phase0::SignedAggregateAndProof,
        Deneb => phase0::SignedAggregateAndProof,
        Electra => electra::SignedAggregateAndProof,
        Fulu => electra::SignedAggregateAndProof,
    }
    get {
        /// What the aggregate's voters voted for.
        fn data(&self) -> &AttestationData = |a| &a.message.aggregate.data;
        /// Who aggregates.
        fn aggregator_index(&self) -> ValidatorIndex = |a| a.message.aggregator_index;
        /// The proof that it may.
        fn selection_proof(&self) -> BlsSignature = |a| a.message.selection_proof;
        /// The aggregator's signature.
        fn signature(&self) -> BlsSignature = |a| a.signature;
        /// Root of the `AggregateAndProof`, which the aggregator signs.
        fn message_root(&self) -> Root = |a| hash_tree_root(&a.message);
    }
    set {
        /// The aggregator's signature, to be replaced.
        fn signature_mut(&mut self) -> &mut BlsSignature = |a| &mut a.signature;
    }
}
