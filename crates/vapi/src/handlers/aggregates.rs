//! Aggregates and contributions: what was agreed on out, what was signed in.

use axum::response::Response;
use serde::Serialize;
use serde_json::value::RawValue;
use ssz::Encode as _;
use trireme_core::validatorapi::{Awaited, Refused};
use trireme_eth2::{
    CommitteeIndex, DataOnly, Fork, ForkedAttestation, Root, SignedContributionAndProof, Slot, Versioned as _,
    VersionedSignedAggregateAndProof,
};

use crate::{
    asked::{Asked, Data, ok, ssz, with_version},
    behind::Behind,
    error::{ApiError, empty},
    params::Query,
};

#[derive(Serialize)]
struct AggregateAnswer<'a> {
    version: Fork,
    data: DataOnly<'a, ForkedAttestation>,
}

pub(super) async fn aggregate(behind: &Behind, asked: &Asked, awaited: &Awaited) -> Result<Response, ApiError> {
    let query = Query::parse(&asked.query);
    let root = Root(query.hex("attestation_data_root")?);
    let slot = Slot(query.uint("slot")?);
    let committee = CommitteeIndex(query.uint("committee_index")?);
    let agreed = behind.api.aggregate_attestation(slot, root, committee, awaited).await?;
    let attestation = &agreed.attestation;
    let response = if asked.prefers_ssz {
        ssz(attestation.to_ssz())
    } else {
        ok(&AggregateAnswer {
            version: attestation.fork(),
            data: attestation.data_only(),
        })?
    };
    Ok(with_version(response, attestation.fork()))
}

pub(super) async fn submit_aggregates(behind: &Behind, asked: &Asked, awaited: &Awaited) -> Result<Response, ApiError> {
    let fork = asked.fork()?;
    let raw: Vec<Box<RawValue>> = asked.json()?;
    let list = raw
        .iter()
        .map(|one| VersionedSignedAggregateAndProof::decode_json(fork, one.get()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| Asked::not_json(e.to_string()))?;
    taken(behind, behind.api.submit_aggregates(list, awaited).await)
}

pub(super) async fn contribution(behind: &Behind, asked: &Asked, awaited: &Awaited) -> Result<Response, ApiError> {
    let query = Query::parse(&asked.query);
    let slot = Slot(query.uint("slot")?);
    let subcommittee = query.uint("subcommittee_index")?;
    let block = Root(query.hex("beacon_block_root")?);
    let agreed = behind
        .api
        .sync_committee_contribution(slot, subcommittee, block, awaited)
        .await?;
    if asked.prefers_ssz {
        return Ok(ssz(agreed.as_ssz_bytes()));
    }
    ok(&Data { data: &*agreed })
}

pub(super) async fn submit_contributions(
    behind: &Behind,
    asked: &Asked,
    awaited: &Awaited,
) -> Result<Response, ApiError> {
    let list: Vec<SignedContributionAndProof> = asked.json()?;
    taken(behind, behind.api.submit_contributions(list, awaited).await)
}

/// A proof of the validator client's own says that it does not know of the cluster.
fn taken(behind: &Behind, result: Result<(), Refused>) -> Result<Response, ApiError> {
    if let Err(Refused::OwnProof(_)) = &result {
        behind.clients.own_proof();
    }
    result?;
    Ok(empty())
}
