//! Attestation data out, attestations in.

use axum::response::Response;
use serde_json::value::RawValue;
use ssz::{Decode as _, Encode as _};
use trireme_core::validatorapi::{Awaited, SingleFork, SubmittedAttestations};
use trireme_eth2::{CommitteeIndex, Fork, ForkedAttestation, SingleAttestation, Slot, Versioned as _, phase0};

use crate::{
    accept::Encoding,
    asked::{Asked, Data, ok, ssz},
    behind::Behind,
    error::{ApiError, empty},
    params::Query,
};

pub(super) async fn attestation_data(behind: &Behind, asked: &Asked, awaited: &Awaited) -> Result<Response, ApiError> {
    let query = Query::parse(&asked.query);
    let slot = Slot(query.uint("slot")?);
    let committee = CommitteeIndex(query.uint("committee_index")?);
    let data = behind.api.attestation_data(slot, committee, awaited).await?;
    if asked.prefers_ssz {
        return Ok(ssz(data.as_ssz_bytes()));
    }
    ok(&Data { data })
}

pub(super) async fn submit_attestations(
    behind: &Behind,
    asked: &Asked,
    awaited: &Awaited,
) -> Result<Response, ApiError> {
    let fork = asked.fork()?;
    // The reference answers all of these with 500; the cause goes to the log.
    let bad = |why: String| ApiError::internal(format!("invalid {fork} attestations: {why}"));
    let submitted = match (SingleFork::of(fork), asked.encoding) {
        (Some(single), Encoding::Json) => SubmittedAttestations::Single(
            single,
            serde_json::from_slice(&asked.body).map_err(|e| bad(e.to_string()))?,
        ),
        (Some(single), Encoding::Ssz) => SubmittedAttestations::Single(
            single,
            Vec::<SingleAttestation>::from_ssz_bytes(&asked.body).map_err(|e| bad(format!("{e:?}")))?,
        ),
        (None, Encoding::Json) => {
            let raw: Vec<&RawValue> = serde_json::from_slice(&asked.body).map_err(|e| bad(e.to_string()))?;
            let all = raw
                .into_iter()
                .map(|one| ForkedAttestation::decode_json(fork, one.get()));
            SubmittedAttestations::Full(all.collect::<Result<_, _>>().map_err(|e| bad(e.to_string()))?)
        }
        (None, Encoding::Ssz) => {
            let all = Vec::<phase0::Attestation>::from_ssz_bytes(&asked.body).map_err(|e| bad(format!("{e:?}")))?;
            let wrap = |a: phase0::Attestation| match fork {
                Fork::Phase0 => Some(ForkedAttestation::Phase0(a)),
                Fork::Altair => Some(ForkedAttestation::Altair(a)),
                Fork::Bellatrix => Some(ForkedAttestation::Bellatrix(a)),
                Fork::Capella => Some(ForkedAttestation::Capella(a)),
                Fork::Deneb => Some(ForkedAttestation::Deneb(a)),
                Fork::Electra | Fork::Fulu => None,
            };
            SubmittedAttestations::Full(all.into_iter().filter_map(wrap).collect())
        }
    };
    let slot = submitted.first_slot();
    behind.api.submit_attestations(submitted, awaited).await?;
    if let Some(slot) = slot {
        behind.clients.attested(behind.api.epoch(slot));
    }
    Ok(empty())
}
