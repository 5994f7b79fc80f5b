//! Unsigned data: what the operators agree on (core.md 5).

use std::sync::Arc;

use trireme_eth2::{
    AttestationData, AttesterDuty, BlsPubkey, CommitteeIndex, ForkedAttestation, Root, Slot, SyncCommitteeContribution,
    ValidatorIndex, Versioned, VersionedAttestation, VersionedProposal, hash_tree_root, phase0, ssz,
};

use super::{DataError, envelope, json};
use crate::duty::DutyType;

/// Attestation data with the duty that it is for. The duty is part of what is agreed: every node maps its validator
/// client's attestation to a validator by what the leader wrote there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttestationDuty {
    /// What to attest.
    pub data: AttestationData,
    /// Whose duty.
    pub duty: AttesterDuty,
}

/// One validator's unsigned data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnsignedData {
    /// For attester duties.
    Attestation(AttestationDuty),
    /// For proposer duties.
    Proposal(Arc<VersionedProposal>),
    /// For aggregator duties.
    Aggregate(VersionedAttestation),
    /// For aggregator duties, without version. Peers may send it; nothing is done with it.
    UnversionedAggregate(phase0::Attestation),
    /// For sync contribution duties: one subcommittee.
    Contribution(SyncCommitteeContribution),
    /// For sync contribution duties: several subcommittees, ascending.
    Contributions(Vec<SyncCommitteeContribution>),
}

impl UnsignedData {
    /// Reads data of a duty: SSZ, or JSON where the text begins with a brace (for lists of contributions: a bracket).
    ///
    /// # Errors
    ///
    /// If the bytes are neither, or the duty has no unsigned data.
    pub fn decode(kind: DutyType, bytes: &[u8]) -> Result<Self, DataError> {
        match kind {
            DutyType::Attester => {
                either(bytes, decode_attestation_duty, json::read_attestation_duty).map(Self::Attestation)
            }
            DutyType::Proposer => {
                either(bytes, decode_proposal, json::read_proposal).map(|p| Self::Proposal(Arc::new(p)))
            }
            DutyType::Aggregator => either(bytes, decode_aggregate, json::read_attestation)
                .map(Self::Aggregate)
                .or_else(|why| decode_unversioned(bytes).map_err(|_| why)),
            DutyType::SyncContribution => {
                if bytes.trim_ascii_start().first() == Some(&b'[')
                    && let Ok(list) = json::read("list of contributions", bytes)
                {
                    return Ok(Self::Contributions(list));
                }
                either(
                    bytes,
                    |b| from_ssz("sync contribution", b),
                    |b| json::read("sync contribution", b),
                )
                .map(Self::Contribution)
            }
            DutyType::Signature
            | DutyType::Exit
            | DutyType::BuilderProposer
            | DutyType::BuilderRegistration
            | DutyType::Randao
            | DutyType::PrepareAggregator
            | DutyType::SyncMessage
            | DutyType::PrepareSyncContribution
            | DutyType::InfoSync => Err(DataError::NoData(kind, "unsigned data")),
        }
    }

    /// The form in which it is sent.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Attestation(a) => encode_attestation_duty(a),
            Self::Proposal(p) => {
                let mut out = envelope::write_vb(p.fork(), p.is_blinded(), p.ssz_len());
                p.append_ssz(&mut out);
                out
            }
            Self::Aggregate(a) => {
                let mut out = envelope::write_v(a.attestation.fork(), a.attestation.ssz_len());
                a.attestation.append_ssz(&mut out);
                out
            }
            Self::UnversionedAggregate(a) => ssz::Encode::as_ssz_bytes(a),
            Self::Contribution(c) => ssz::Encode::as_ssz_bytes(c),
            Self::Contributions(list) => json::write(list).into_bytes(),
        }
    }

    /// The JSON form, compact. Sent for lists of contributions only, understood for all.
    #[must_use]
    pub fn to_json(&self) -> String {
        match self {
            Self::Attestation(a) => json::write_attestation_duty(a),
            Self::Proposal(p) => json::write_proposal(p),
            Self::Aggregate(a) => json::write_attestation(a),
            Self::UnversionedAggregate(a) => json::write(a),
            Self::Contribution(c) => json::write(c),
            Self::Contributions(list) => json::write(list),
        }
    }

    /// Hash tree root of what it is about: the attestation data without duty, the block without blobs (by mainnet's
    /// limits), the attestation, the contribution; `None` for lists.
    #[must_use]
    pub fn root(&self) -> Option<Root> {
        match self {
            Self::Attestation(a) => Some(hash_tree_root(&a.data)),
            Self::Proposal(p) => Some(p.block_root()),
            Self::Aggregate(a) => Some(a.attestation.tree_root()),
            Self::UnversionedAggregate(a) => Some(hash_tree_root(a)),
            Self::Contribution(c) => Some(hash_tree_root(c)),
            Self::Contributions(_) => None,
        }
    }

    /// The slot that it is for; `None` for an empty list.
    #[must_use]
    pub fn slot(&self) -> Option<Slot> {
        match self {
            Self::Attestation(a) => Some(a.data.slot),
            Self::Proposal(p) => Some(p.slot()),
            Self::Aggregate(a) => Some(a.data().slot),
            Self::UnversionedAggregate(a) => Some(a.data.slot),
            Self::Contribution(c) => Some(c.slot),
            Self::Contributions(list) => list.first().map(|c| c.slot),
        }
    }
}

/// SSZ first; JSON if that does not fit and the text begins with a brace. The error is that of the form meant.
pub(super) fn either<T>(
    bytes: &[u8],
    ssz: impl FnOnce(&[u8]) -> Result<T, DataError>,
    json: impl FnOnce(&[u8]) -> Result<T, DataError>,
) -> Result<T, DataError> {
    match ssz(bytes) {
        Err(_) if json::looks_like_object(bytes) => json(bytes),
        result => result,
    }
}

pub(super) fn from_ssz<T: ssz::Decode>(what: &'static str, bytes: &[u8]) -> Result<T, DataError> {
    T::from_ssz_bytes(bytes).map_err(|e| DataError::Ssz {
        what,
        reason: format!("{e:?}"),
    })
}

fn decode_proposal(bytes: &[u8]) -> Result<VersionedProposal, DataError> {
    let (fork, blinded, object) = envelope::read_vb(bytes)?;
    Ok(VersionedProposal::decode_ssz(fork, blinded, object)?)
}

fn decode_aggregate(bytes: &[u8]) -> Result<VersionedAttestation, DataError> {
    let (fork, object) = envelope::read_v(bytes)?;
    Ok(VersionedAttestation {
        validator_index: None,
        attestation: ForkedAttestation::decode_ssz(fork, object)?,
    })
}

fn decode_unversioned(bytes: &[u8]) -> Result<UnsignedData, DataError> {
    either(bytes, |b| from_ssz("attestation", b), |b| json::read("attestation", b))
        .map(UnsignedData::UnversionedAggregate)
}

/// The duty's SSZ form: seven fields of fixed size, 96 bytes.
#[derive(trireme_eth2::ssz_derive::Encode, trireme_eth2::ssz_derive::Decode)]
struct DutyForm {
    pubkey: BlsPubkey,
    slot: Slot,
    validator_index: ValidatorIndex,
    committee_index: CommitteeIndex,
    committee_length: u64,
    committees_at_slot: u64,
    validator_committee_index: u64,
}

const DUTY_LEN: usize = 96;

/// Two offsets, though both parts have a fixed size.
fn encode_attestation_duty(a: &AttestationDuty) -> Vec<u8> {
    let d = &a.duty;
    let duty = DutyForm {
        pubkey: d.pubkey,
        slot: d.slot,
        validator_index: d.validator_index,
        committee_index: d.committee_index,
        committee_length: d.committee_length,
        committees_at_slot: d.committees_at_slot,
        validator_committee_index: d.validator_committee_index,
    };
    let mut out = Vec::with_capacity(232);
    out.extend_from_slice(&8_u32.to_le_bytes());
    out.extend_from_slice(&136_u32.to_le_bytes());
    ssz::Encode::ssz_append(&a.data, &mut out);
    ssz::Encode::ssz_append(&duty, &mut out);
    out
}

fn decode_attestation_duty(bytes: &[u8]) -> Result<AttestationDuty, DataError> {
    let len = bytes.len();
    let short = || DataError::Short { got: len, needed: 8 };
    let (first, rest) = bytes.split_first_chunk::<4>().ok_or_else(short)?;
    let (second, _) = rest.split_first_chunk::<4>().ok_or_else(short)?;
    let (first, second) = (u32::from_le_bytes(*first), u32::from_le_bytes(*second));
    let position = |offset: u32, least: usize| {
        let at = usize::try_from(offset).ok().filter(|o| *o >= least && *o <= len);
        at.ok_or(DataError::Offset { offset, len })
    };
    let data_at = position(first, 8)?;
    let duty_at = position(second, data_at)?;
    let data = bytes.get(data_at..duty_at).unwrap_or_default();
    let duty = bytes.get(duty_at..).unwrap_or_default();
    let duty = duty.get(..DUTY_LEN).ok_or(DataError::Short {
        got: duty.len(),
        needed: DUTY_LEN,
    })?;
    let d: DutyForm = from_ssz("attester duty", duty)?;
    Ok(AttestationDuty {
        data: from_ssz("attestation data", data)?,
        duty: AttesterDuty {
            pubkey: d.pubkey,
            slot: d.slot,
            validator_index: d.validator_index,
            committee_index: d.committee_index,
            committee_length: d.committee_length,
            committees_at_slot: d.committees_at_slot,
            validator_committee_index: d.validator_committee_index,
        },
    })
}
