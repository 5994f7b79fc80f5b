//! Signed data: what a validator signs, with a partial or the aggregated signature (core.md 6).

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use trireme_eth2::{
    BeaconCommitteeSelection, BlsSignature, ChainSpec, DomainType, Epoch, ForkedAttestation, Root,
    SignedContributionAndProof, SignedValidatorRegistrationV1, SignedVoluntaryExit, SyncAggregatorSelectionData,
    SyncCommitteeMessage, SyncCommitteeSelection, Versioned, VersionedAttestation, VersionedSignedAggregateAndProof,
    VersionedSignedProposal, hash_tree_root, phase0, ssz,
};

use super::{
    DataError, envelope,
    json::{self, decode_bare_signature, encode_bare_signature},
    unsigned::{either, from_ssz},
};
use crate::duty::DutyType;

/// A randao reveal: an epoch, signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SignedRandao {
    /// What is signed.
    pub epoch: Epoch,
    /// The signature.
    pub signature: BlsSignature,
}

/// One signed object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignedData {
    /// For proposer duties.
    Proposal(Arc<VersionedSignedProposal>),
    /// For attester duties.
    Attestation(VersionedAttestation),
    /// For attester duties, without version: read from old peers, never sent.
    UnversionedAttestation(phase0::Attestation),
    /// For signature duties: the key generation ceremony's bare signatures.
    Signature(BlsSignature),
    /// For exit duties.
    Exit(SignedVoluntaryExit),
    /// For builder registration duties.
    Registration(SignedValidatorRegistrationV1),
    /// For randao duties.
    Randao(SignedRandao),
    /// For duties that prepare an aggregator.
    BeaconCommitteeSelection(BeaconCommitteeSelection),
    /// For aggregator duties.
    Aggregate(VersionedSignedAggregateAndProof),
    /// For aggregator duties, without version: read from old peers, never sent.
    UnversionedAggregate(phase0::SignedAggregateAndProof),
    /// For sync message duties.
    SyncMessage(SyncCommitteeMessage),
    /// For duties that prepare a sync contribution.
    SyncCommitteeSelection(SyncCommitteeSelection),
    /// For sync contribution duties.
    Contribution(SignedContributionAndProof),
}

impl SignedData {
    /// Reads a signed object of a duty: SSZ where the kind has such a form, or JSON.
    ///
    /// # Errors
    ///
    /// If the bytes are neither, or the duty has no signed data.
    pub fn decode(kind: DutyType, bytes: &[u8]) -> Result<Self, DataError> {
        match kind {
            DutyType::Proposer => {
                either(bytes, decode_proposal, json::read_signed_proposal).map(|p| Self::Proposal(Arc::new(p)))
            }
            DutyType::Attester => either(bytes, decode_attestation, json::read_attestation)
                .map(Self::Attestation)
                .or_else(|why| {
                    either(bytes, |b| from_ssz("attestation", b), |b| json::read("attestation", b))
                        .map(Self::UnversionedAttestation)
                        .map_err(|_| why)
                }),
            DutyType::Signature => {
                let bytes = decode_bare_signature(bytes)?;
                let signature = BlsSignature::from_slice(&bytes).ok_or(DataError::SignatureLength(bytes.len()))?;
                Ok(Self::Signature(signature))
            }
            DutyType::Exit => {
                const WHAT: &str = "voluntary exit";
                either(bytes, |b| from_ssz(WHAT, b), |b| json::read(WHAT, b)).map(Self::Exit)
            }
            DutyType::BuilderRegistration => json::read_registration(bytes).map(Self::Registration),
            DutyType::Randao => json::read("randao reveal", bytes).map(Self::Randao),
            DutyType::PrepareAggregator => {
                json::read("beacon committee selection", bytes).map(Self::BeaconCommitteeSelection)
            }
            DutyType::Aggregator => either(bytes, decode_aggregate, json::read_aggregate)
                .map(Self::Aggregate)
                .or_else(|why| {
                    const WHAT: &str = "signed aggregate and proof";
                    either(bytes, |b| from_ssz(WHAT, b), |b| json::read(WHAT, b))
                        .map(Self::UnversionedAggregate)
                        .map_err(|_| why)
                }),
            DutyType::SyncMessage => {
                const WHAT: &str = "sync committee message";
                either(bytes, |b| from_ssz(WHAT, b), |b| json::read(WHAT, b)).map(Self::SyncMessage)
            }
            DutyType::PrepareSyncContribution => {
                json::read("sync committee selection", bytes).map(Self::SyncCommitteeSelection)
            }
            DutyType::SyncContribution => {
                const WHAT: &str = "signed contribution and proof";
                either(bytes, |b| from_ssz(WHAT, b), |b| json::read(WHAT, b)).map(Self::Contribution)
            }
            DutyType::BuilderProposer | DutyType::InfoSync => Err(DataError::NoData(kind, "signed data")),
        }
    }

    /// The form in which it is sent: SSZ for some kinds, JSON for the others.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Proposal(p) => {
                let mut out = envelope::write_vb(p.fork(), p.is_blinded(), p.ssz_len());
                p.append_ssz(&mut out);
                out
            }
            Self::Attestation(a) => {
                let (fork, len) = (a.attestation.fork(), a.attestation.ssz_len());
                let mut out = match a.validator_index {
                    Some(index) => envelope::write_vi(fork, index, len),
                    None => envelope::write_v(fork, len),
                };
                a.attestation.append_ssz(&mut out);
                out
            }
            Self::Aggregate(a) => {
                let mut out = envelope::write_v(a.fork(), a.ssz_len());
                a.append_ssz(&mut out);
                out
            }
            Self::UnversionedAttestation(a) => ssz::Encode::as_ssz_bytes(a),
            Self::UnversionedAggregate(a) => ssz::Encode::as_ssz_bytes(a),
            Self::SyncMessage(m) => ssz::Encode::as_ssz_bytes(m),
            Self::Contribution(c) => ssz::Encode::as_ssz_bytes(c),
            Self::Signature(_)
            | Self::Exit(_)
            | Self::Registration(_)
            | Self::Randao(_)
            | Self::BeaconCommitteeSelection(_)
            | Self::SyncCommitteeSelection(_) => self.to_json().into_bytes(),
        }
    }

    /// The JSON form, compact; understood for every kind.
    #[must_use]
    pub fn to_json(&self) -> String {
        match self {
            Self::Proposal(p) => json::write_signed_proposal(p),
            Self::Attestation(a) => json::write_attestation(a),
            Self::UnversionedAttestation(a) => json::write(a),
            Self::Signature(s) => encode_bare_signature(s.as_slice()),
            Self::Exit(e) => json::write(e),
            Self::Registration(r) => json::write_registration(r),
            Self::Randao(r) => json::write(r),
            Self::BeaconCommitteeSelection(s) => json::write(s),
            Self::Aggregate(a) => json::write_aggregate(a),
            Self::UnversionedAggregate(a) => json::write(a),
            Self::SyncMessage(m) => json::write(m),
            Self::SyncCommitteeSelection(s) => json::write(s),
            Self::Contribution(c) => json::write(c),
        }
    }

    /// The signature that aggregation replaces.
    #[must_use]
    pub fn signature(&self) -> BlsSignature {
        match self {
            Self::Proposal(p) => p.signature(),
            Self::Attestation(a) => a.signature(),
            Self::UnversionedAttestation(a) => a.signature,
            Self::Signature(s) => *s,
            Self::Exit(e) => e.signature,
            Self::Registration(r) => r.signature,
            Self::Randao(r) => r.signature,
            Self::BeaconCommitteeSelection(s) => s.selection_proof,
            Self::Aggregate(a) => a.signature(),
            Self::UnversionedAggregate(a) => a.signature,
            Self::SyncMessage(m) => m.signature,
            Self::SyncCommitteeSelection(s) => s.selection_proof,
            Self::Contribution(c) => c.signature,
        }
    }

    /// The same object with another signature. Copies a shared proposal, blobs and all.
    #[must_use]
    pub fn with_signature(mut self, signature: BlsSignature) -> Self {
        let place = match &mut self {
            Self::Proposal(p) => Arc::make_mut(p).signature_mut(),
            Self::Attestation(a) => a.attestation.signature_mut(),
            Self::UnversionedAttestation(a) => &mut a.signature,
            Self::Signature(s) => s,
            Self::Exit(e) => &mut e.signature,
            Self::Registration(r) => &mut r.signature,
            Self::Randao(r) => &mut r.signature,
            Self::BeaconCommitteeSelection(s) => &mut s.selection_proof,
            Self::Aggregate(a) => a.signature_mut(),
            Self::UnversionedAggregate(a) => &mut a.signature,
            Self::SyncMessage(m) => &mut m.signature,
            Self::SyncCommitteeSelection(s) => &mut s.selection_proof,
            Self::Contribution(c) => &mut c.signature,
        };
        *place = signature;
        self
    }

    /// Root of what is signed, by mainnet's limits: equal for partials of the same message, and unequal otherwise, on
    /// every network. `None` for bare signatures. What a signature covers is [`Self::signing_root`].
    #[must_use]
    pub fn message_root(&self) -> Option<Root> {
        match self {
            Self::Proposal(p) => Some(p.block_root()),
            Self::Attestation(a) => Some(hash_tree_root(a.data())),
            Self::UnversionedAttestation(a) => Some(hash_tree_root(&a.data)),
            Self::Signature(_) => None,
            Self::Exit(e) => Some(hash_tree_root(&e.message)),
            Self::Registration(r) => Some(hash_tree_root(&r.message)),
            Self::Randao(r) => Some(hash_tree_root(&r.epoch)),
            Self::BeaconCommitteeSelection(s) => Some(hash_tree_root(&s.slot)),
            Self::Aggregate(a) => Some(a.message_root()),
            Self::UnversionedAggregate(a) => Some(hash_tree_root(&a.message)),
            Self::SyncMessage(m) => Some(m.beacon_block_root),
            Self::SyncCommitteeSelection(s) => Some(hash_tree_root(&SyncAggregatorSelectionData {
                slot: s.slot,
                subcommittee_index: s.subcommittee_index,
            })),
            Self::Contribution(c) => Some(hash_tree_root(&c.message)),
        }
    }

    /// The purpose of the signature; `None` for bare signatures.
    #[must_use]
    pub const fn domain_type(&self) -> Option<DomainType> {
        match self {
            Self::Proposal(_) => Some(DomainType::BeaconProposer),
            Self::Attestation(_) | Self::UnversionedAttestation(_) => Some(DomainType::BeaconAttester),
            Self::Signature(_) => None,
            Self::Exit(_) => Some(DomainType::VoluntaryExit),
            Self::Registration(_) => Some(DomainType::ApplicationBuilder),
            Self::Randao(_) => Some(DomainType::Randao),
            Self::BeaconCommitteeSelection(_) => Some(DomainType::SelectionProof),
            Self::Aggregate(_) | Self::UnversionedAggregate(_) => Some(DomainType::AggregateAndProof),
            Self::SyncMessage(_) => Some(DomainType::SyncCommittee),
            Self::SyncCommitteeSelection(_) => Some(DomainType::SyncCommitteeSelectionProof),
            Self::Contribution(_) => Some(DomainType::ContributionAndProof),
        }
    }

    /// The epoch whose fork the signature is made under. Registrations and bare signatures: 0, which is not used.
    #[must_use]
    pub fn epoch(&self, spec: &ChainSpec) -> Epoch {
        match self {
            Self::Proposal(p) => spec.epoch(p.slot()),
            Self::Attestation(a) => a.data().target.epoch,
            Self::UnversionedAttestation(a) => a.data.target.epoch,
            Self::Signature(_) | Self::Registration(_) => Epoch(0),
            Self::Exit(e) => e.message.epoch,
            Self::Randao(r) => r.epoch,
            Self::BeaconCommitteeSelection(s) => spec.epoch(s.slot),
            Self::Aggregate(a) => spec.epoch(a.data().slot),
            Self::UnversionedAggregate(a) => spec.epoch(a.message.aggregate.data.slot),
            Self::SyncMessage(m) => spec.epoch(m.slot),
            Self::SyncCommitteeSelection(s) => spec.epoch(s.slot),
            Self::Contribution(c) => spec.epoch(c.message.contribution.slot),
        }
    }

    /// What the signature covers on this chain.
    ///
    /// # Errors
    ///
    /// For bare signatures, and for blocks that break the network's limits.
    pub fn signing_root(&self, spec: &ChainSpec) -> Result<Root, DataError> {
        let root = if let Self::Proposal(p) = self {
            Some(p.block_root_in(spec.preset)?)
        } else {
            self.message_root()
        };
        let (root, kind) = root.zip(self.domain_type()).ok_or(DataError::NothingSigned)?;
        Ok(spec.signing_root(root, kind, self.epoch(spec)))
    }

    /// The sync subcommittee, for the two duties of which a validator may have several at once.
    #[must_use]
    pub const fn subcommittee(&self) -> Option<u64> {
        match self {
            Self::SyncCommitteeSelection(s) => Some(s.subcommittee_index),
            Self::Contribution(c) => Some(c.message.contribution.subcommittee_index),
            Self::Proposal(_)
            | Self::Attestation(_)
            | Self::UnversionedAttestation(_)
            | Self::Signature(_)
            | Self::Exit(_)
            | Self::Registration(_)
            | Self::Randao(_)
            | Self::BeaconCommitteeSelection(_)
            | Self::Aggregate(_)
            | Self::UnversionedAggregate(_)
            | Self::SyncMessage(_) => None,
        }
    }
}

fn decode_proposal(bytes: &[u8]) -> Result<VersionedSignedProposal, DataError> {
    let (fork, blinded, object) = envelope::read_vb(bytes)?;
    Ok(VersionedSignedProposal::decode_ssz(fork, blinded, object)?)
}

/// With a validator index if the offset says so, without otherwise.
fn decode_attestation(bytes: &[u8]) -> Result<VersionedAttestation, DataError> {
    let (fork, validator_index, object) = match envelope::read_vi(bytes) {
        Ok((fork, index, object)) => (fork, Some(index), object),
        Err(DataError::Offset { .. } | DataError::Short { .. }) => {
            let (fork, object) = envelope::read_v(bytes)?;
            (fork, None, object)
        }
        Err(why) => return Err(why),
    };
    Ok(VersionedAttestation {
        validator_index,
        attestation: ForkedAttestation::decode_ssz(fork, object)?,
    })
}

fn decode_aggregate(bytes: &[u8]) -> Result<VersionedSignedAggregateAndProof, DataError> {
    let (fork, object) = envelope::read_v(bytes)?;
    Ok(VersionedSignedAggregateAndProof::decode_ssz(fork, object)?)
}
