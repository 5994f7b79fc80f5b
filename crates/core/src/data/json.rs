//! The JSON forms (core.md 4.3): wrappers around the beacon API's objects, compact, with bare version numbers.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize, Serializer, de::DeserializeOwned};
use serde_json::value::RawValue;
use trireme_eth2::{
    AttestationData, AttesterDuty, DataOnly, ForkedAttestation, SignedValidatorRegistrationV1, ValidatorIndex,
    Versioned, VersionedAttestation, VersionedProposal, VersionedSignedAggregateAndProof, VersionedSignedProposal,
};

use super::{
    AttestationDuty, DataError,
    envelope::{fork_of, version_of},
};

/// Reads an object that stands in JSON as it is.
pub(super) fn read<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, DataError> {
    serde_json::from_slice(bytes).map_err(|e| DataError::Json {
        what,
        reason: e.to_string(),
    })
}

/// Compact JSON.
#[expect(
    clippy::expect_used,
    reason = "maps have text keys and writing to memory does not end early"
)]
pub(super) fn write<T: Serialize>(object: &T) -> String {
    serde_json::to_string(object).expect("values of ours have a JSON form")
}

/// Whether the bytes are taken for JSON once they are not SSZ.
pub(super) fn looks_like_object(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().first() == Some(&b'{')
}

#[derive(Deserialize)]
struct BlockIn {
    version: u64,
    block: Box<RawValue>,
    #[serde(default)]
    blinded: bool,
}

#[derive(Serialize)]
struct BlockOut<T> {
    version: u64,
    block: T,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    blinded: bool,
}

struct Proposal<'a>(&'a VersionedProposal);

impl Serialize for Proposal<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.0.serialize_data(s)
    }
}

struct SignedProposal<'a>(&'a VersionedSignedProposal);

impl Serialize for SignedProposal<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.0.serialize_data(s)
    }
}

pub(super) fn read_proposal(bytes: &[u8]) -> Result<VersionedProposal, DataError> {
    let wrapper: BlockIn = read("proposal", bytes)?;
    Ok(VersionedProposal::decode_json(
        fork_of(wrapper.version)?,
        wrapper.blinded,
        wrapper.block.get(),
    )?)
}

pub(super) fn write_proposal(proposal: &VersionedProposal) -> String {
    write(&BlockOut {
        version: version_of(proposal.fork()),
        block: Proposal(proposal),
        blinded: proposal.is_blinded(),
    })
}

pub(super) fn read_signed_proposal(bytes: &[u8]) -> Result<VersionedSignedProposal, DataError> {
    let wrapper: BlockIn = read("signed proposal", bytes)?;
    Ok(VersionedSignedProposal::decode_json(
        fork_of(wrapper.version)?,
        wrapper.blinded,
        wrapper.block.get(),
    )?)
}

pub(super) fn write_signed_proposal(proposal: &VersionedSignedProposal) -> String {
    write(&BlockOut {
        version: version_of(proposal.fork()),
        block: SignedProposal(proposal),
        blinded: proposal.is_blinded(),
    })
}

#[derive(Deserialize)]
struct AttestationIn {
    version: u64,
    #[serde(default)]
    validator_index: Option<ValidatorIndex>,
    attestation: Box<RawValue>,
}

#[derive(Serialize)]
struct AttestationOut<'a> {
    version: u64,
    validator_index: Option<ValidatorIndex>,
    attestation: DataOnly<'a, ForkedAttestation>,
}

pub(super) fn read_attestation(bytes: &[u8]) -> Result<VersionedAttestation, DataError> {
    let wrapper: AttestationIn = read("attestation", bytes)?;
    let attestation = ForkedAttestation::decode_json(fork_of(wrapper.version)?, wrapper.attestation.get())?;
    Ok(VersionedAttestation {
        validator_index: wrapper.validator_index,
        attestation,
    })
}

pub(super) fn write_attestation(a: &VersionedAttestation) -> String {
    write(&AttestationOut {
        version: version_of(a.attestation.fork()),
        validator_index: a.validator_index,
        attestation: a.attestation.data_only(),
    })
}

#[derive(Deserialize)]
struct AggregateIn {
    version: u64,
    aggregate_and_proof: Box<RawValue>,
}

#[derive(Serialize)]
struct AggregateOut<'a> {
    version: u64,
    aggregate_and_proof: DataOnly<'a, VersionedSignedAggregateAndProof>,
}

pub(super) fn read_aggregate(bytes: &[u8]) -> Result<VersionedSignedAggregateAndProof, DataError> {
    let wrapper: AggregateIn = read("signed aggregate and proof", bytes)?;
    let fork = fork_of(wrapper.version)?;
    Ok(VersionedSignedAggregateAndProof::decode_json(
        fork,
        wrapper.aggregate_and_proof.get(),
    )?)
}

pub(super) fn write_aggregate(a: &VersionedSignedAggregateAndProof) -> String {
    write(&AggregateOut {
        version: version_of(a.fork()),
        aggregate_and_proof: a.data_only(),
    })
}

/// Registrations have versions of their own: `v1` is 0.
#[derive(Serialize, Deserialize)]
struct RegistrationWrapper<T> {
    version: u64,
    registration: T,
}

pub(super) fn read_registration(bytes: &[u8]) -> Result<SignedValidatorRegistrationV1, DataError> {
    let wrapper: RegistrationWrapper<Box<RawValue>> = read("registration", bytes)?;
    if wrapper.version != 0 {
        return Err(DataError::RegistrationVersion(wrapper.version));
    }
    read("registration", wrapper.registration.get().as_bytes())
}

pub(super) fn write_registration(registration: &SignedValidatorRegistrationV1) -> String {
    write(&RegistrationWrapper {
        version: 0,
        registration,
    })
}

#[derive(Serialize, Deserialize)]
struct AttestationDutyWrapper {
    attestation_data: AttestationData,
    attestation_duty: AttesterDuty,
}

pub(super) fn read_attestation_duty(bytes: &[u8]) -> Result<AttestationDuty, DataError> {
    let AttestationDutyWrapper {
        attestation_data: data,
        attestation_duty: duty,
    } = read("attestation data", bytes)?;
    Ok(AttestationDuty { data, duty })
}

pub(super) fn write_attestation_duty(a: &AttestationDuty) -> String {
    write(&AttestationDutyWrapper {
        attestation_data: a.data,
        attestation_duty: a.duty,
    })
}

/// Reads a bare signature: a JSON string of padded base64. Its length is not checked.
///
/// # Errors
///
/// If the bytes are anything else.
pub fn decode_bare_signature(bytes: &[u8]) -> Result<Vec<u8>, DataError> {
    let text: std::borrow::Cow<'_, str> = serde_json::from_slice(bytes).map_err(|e| DataError::Json {
        what: "signature",
        reason: e.to_string(),
    })?;
    STANDARD.decode(text.as_bytes()).map_err(|e| DataError::Json {
        what: "signature",
        reason: e.to_string(),
    })
}

/// Writes a bare signature: a JSON string of padded base64.
#[must_use]
pub fn encode_bare_signature(signature: &[u8]) -> String {
    write(&STANDARD.encode(signature))
}
