//! Bodies of requests and answers: JSON and SSZ to values and back.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use trireme_core::ports::BeaconError;
use trireme_eth2::{
    Fork, ProposalResponse, Root, SingleAttestation, Uint256, Versioned as _, VersionedAttestation, VersionedProposal,
    VersionedSignedProposal,
};

use crate::{calls::Call, http::Answer};

/// What most answers are wrapped in.
#[derive(Deserialize)]
pub(crate) struct Data<T> {
    pub(crate) data: T,
}

/// What is not there is an answer.
pub(crate) fn or_none<T>(result: Result<T, BeaconError>) -> Result<Option<T>, BeaconError> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(BeaconError::Status { status: 404, .. }) => Ok(None),
        Err(e) => Err(e),
    }
}

pub(crate) fn hex(root: &Root) -> String {
    format!("0x{}", hex::encode(root.0))
}

pub(crate) const fn malformed(call: Call, reason: String) -> BeaconError {
    BeaconError::Malformed {
        endpoint: call.endpoint(),
        reason,
    }
}

/// The fork that an answer in SSZ names in its header.
pub(crate) fn fork_of(call: Call, answer: &Answer) -> Result<Fork, BeaconError> {
    const HEADER: &str = "eth-consensus-version";
    let name = answer
        .header(HEADER)
        .ok_or_else(|| malformed(call, format!("the header {HEADER} is missing")))?;
    name.parse()
        .map_err(|e: trireme_eth2::UnknownFork| malformed(call, e.to_string()))
}

/// Serialises as the signed block alone, without version.
pub(crate) struct BlockOnly<'a>(pub(crate) &'a VersionedSignedProposal);

impl Serialize for BlockOnly<'_> {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.0.serialize_data(s)
    }
}

pub(crate) fn from_json<T: DeserializeOwned>(call: Call, body: &[u8]) -> Result<T, BeaconError> {
    serde_json::from_slice(body).map_err(|e| malformed(call, e.to_string()))
}

pub(crate) fn json_body<T: Serialize>(call: Call, value: &T) -> Result<Bytes, BeaconError> {
    let reason = |e: serde_json::Error| malformed(call, format!("the request: {e}"));
    serde_json::to_vec(value).map(Bytes::from).map_err(reason)
}

/// A block in SSZ; what JSON says beside it is in headers.
pub(crate) fn block_from_ssz(call: Call, answer: &Answer) -> Result<ProposalResponse, BeaconError> {
    let bad = |reason: String| malformed(call, reason);
    let fork = fork_of(call, answer)?;
    let blinded = answer
        .header("eth-execution-payload-blinded")
        .is_some_and(|v| v.eq_ignore_ascii_case("true"));
    let value = |name: &str| match answer.header(name) {
        Some(text) => text
            .parse::<Uint256>()
            .map_err(|e| bad(format!("the header {name}: {e}"))),
        None => Ok(Uint256::default()),
    };
    Ok(ProposalResponse {
        proposal: VersionedProposal::decode_ssz(fork, blinded, &answer.body).map_err(|e| bad(e.to_string()))?,
        execution_payload_value: value("eth-execution-payload-value")?,
        consensus_block_value: value("eth-consensus-block-value")?,
    })
}

/// One body per fork; from Electra on in the form of single votes.
pub(crate) fn attestation_bodies(
    call: Call,
    atts: &[VersionedAttestation],
) -> Result<BTreeMap<Fork, Bytes>, BeaconError> {
    let mut by_fork: BTreeMap<Fork, Vec<&VersionedAttestation>> = BTreeMap::new();
    for att in atts {
        by_fork.entry(att.attestation.fork()).or_default().push(att);
    }
    let body = |(fork, atts): (Fork, Vec<&VersionedAttestation>)| {
        let bytes = if fork < Fork::Electra {
            json_body(
                call,
                &atts.iter().map(|a| a.attestation.data_only()).collect::<Vec<_>>(),
            )?
        } else {
            let singles: Option<Vec<SingleAttestation>> = atts.iter().map(|a| a.to_single()).collect();
            let singles = singles.ok_or_else(|| {
                malformed(
                    call,
                    "the request: an attestation names no single validator and committee".to_owned(),
                )
            })?;
            json_body(call, &singles)?
        };
        Ok((fork, bytes))
    };
    by_fork.into_iter().map(body).collect()
}
