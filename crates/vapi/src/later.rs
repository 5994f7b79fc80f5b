//! Endpoints of duties that the node does not perform yet: exits, aggregation, the sync committee.
//!
//! Guarantees: parameters and bodies are checked as they will be, so that a client's mistake is named as such; an empty
//! submission is accepted, as there is nothing to lose; everything else is refused with 501 and a sentence, never
//! silently dropped. Sync committee duties are the beacon node's, with our public shares.

use axum::response::Response;
use http::{HeaderMap, Method, StatusCode, header};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use trireme_core::validatorapi::Awaited;
use trireme_eth2::{
    BeaconCommitteeSelection, SignedContributionAndProof, SignedVoluntaryExit, SyncCommitteeMessage,
    SyncCommitteeSelection, SyncDuty, ValidatorIndex, Versioned as _, VersionedSignedAggregateAndProof,
};

use crate::{
    accept::Encoding,
    error::{ApiError, empty},
    handlers::{Asked, Data, ok},
    limits,
    params::Query,
    proxy::Passed,
    route::Endpoint,
    server::Server,
};

pub(crate) async fn answer(server: &Server, asked: &Asked, awaited: &Awaited) -> Result<Response, ApiError> {
    match asked.endpoint {
        Endpoint::SyncCommitteeDuties => sync_duties(server, asked, awaited).await,
        Endpoint::SubmitVoluntaryExit => {
            let _: SignedVoluntaryExit = asked.json()?;
            Err(not_yet("voluntary exits"))
        }
        Endpoint::AggregateBeaconCommitteeSelections => {
            selections::<BeaconCommitteeSelection>(asked, "beacon committee selections")
        }
        Endpoint::AggregateSyncCommitteeSelections => {
            selections::<SyncCommitteeSelection>(asked, "sync committee selections")
        }
        Endpoint::AggregateAttestationV2 => {
            let query = Query::parse(&asked.query);
            query.hex::<32>("attestation_data_root")?;
            query.uint("slot")?;
            query.uint("committee_index")?;
            Err(not_yet("aggregate attestations"))
        }
        Endpoint::SubmitAggregateAndProofsV2 => {
            let fork = asked.fork()?;
            let raw: Vec<Box<RawValue>> = asked.json()?;
            for one in &raw {
                VersionedSignedAggregateAndProof::decode_json(fork, one.get())
                    .map_err(|_| ApiError::bad("failed parsing json request body"))?;
            }
            submission(raw.is_empty(), "aggregates and proofs")
        }
        Endpoint::SubmitSyncCommitteeMessages => submission(
            asked.json::<Vec<SyncCommitteeMessage>>()?.is_empty(),
            "sync committee messages",
        ),
        Endpoint::SyncCommitteeContribution => {
            let query = Query::parse(&asked.query);
            query.uint("slot")?;
            query.uint("subcommittee_index")?;
            query.hex::<32>("beacon_block_root")?;
            Err(not_yet("sync committee contributions"))
        }
        Endpoint::SubmitContributionAndProofs => submission(
            asked.json::<Vec<SignedContributionAndProof>>()?.is_empty(),
            "contributions and proofs",
        ),
        Endpoint::AttesterDuties
        | Endpoint::ProposerDuties
        | Endpoint::ProposerDutiesV2
        | Endpoint::AttestationData
        | Endpoint::SubmitAttestations
        | Endpoint::SubmitAttestationsV2
        | Endpoint::GetValidators
        | Endpoint::GetValidator
        | Endpoint::ProposeBlock
        | Endpoint::ProposeBlindedBlock
        | Endpoint::ProposeBlockV3
        | Endpoint::SubmitProposalV1
        | Endpoint::SubmitProposalV2
        | Endpoint::SubmitBlindedBlockV1
        | Endpoint::SubmitBlindedBlockV2
        | Endpoint::SubmitValidatorRegistration
        | Endpoint::TekuProposerConfig
        | Endpoint::ProposerConfig
        | Endpoint::AggregateAttestation
        | Endpoint::SubmitAggregateAndProofs
        | Endpoint::SubmitProposalPreparations
        | Endpoint::NodeVersion => Err(ApiError::not_found()),
    }
}

fn not_yet(what: &str) -> ApiError {
    ApiError::new(
        StatusCode::NOT_IMPLEMENTED,
        format!("this version of the node does not handle {what}"),
    )
}

fn submission(nothing: bool, what: &str) -> Result<Response, ApiError> {
    if nothing { Ok(empty()) } else { Err(not_yet(what)) }
}

fn selections<T: DeserializeOwned + Serialize>(asked: &Asked, what: &str) -> Result<Response, ApiError> {
    let list: Vec<T> = asked.json()?;
    if list.is_empty() {
        ok(&Data { data: list })
    } else {
        Err(not_yet(what))
    }
}

#[derive(Deserialize)]
struct SyncDuties {
    data: Vec<SyncDuty>,
}

#[derive(Serialize)]
struct SyncDutiesAnswer {
    execution_optimistic: bool,
    data: Vec<SyncDuty>,
}

#[derive(Deserialize)]
struct Message {
    message: String,
}

async fn sync_duties(server: &Server, asked: &Asked, awaited: &Awaited) -> Result<Response, ApiError> {
    let epoch = asked.param(0, "epoch")?;
    let mut indices: Vec<ValidatorIndex> = asked.json()?;
    if indices.is_empty() {
        indices = server.api.own_indices(awaited).await?;
    }
    awaited.set(format!("the beacon node's sync committee duties of epoch {epoch}"));
    let body = serde_json::to_vec(&indices).map_err(|e| ApiError::internal(e.to_string()))?;
    let headers = HeaderMap::from_iter([
        (header::CONTENT_TYPE, Encoding::Json.header()),
        (header::ACCEPT, Encoding::Json.header()),
    ]);
    let passed = Passed {
        method: Method::POST,
        path_and_query: format!("/eth/v1/validator/duties/sync/{epoch}"),
        headers,
        body: body.into(),
    };
    let answer = server
        .proxy
        .pass(&passed)
        .await
        .map_err(|e| ApiError::internal(e.to_string()))?;
    let status = answer.status();
    let body = axum::body::to_bytes(answer.into_body(), limits::MAX_BODY)
        .await
        .map_err(|e| ApiError::internal(format!("the beacon node's sync committee duties: {e}")))?;
    if status.is_client_error() {
        let message = serde_json::from_slice::<Message>(&body).map(|m| m.message);
        return Err(ApiError::new(
            status,
            message.unwrap_or_else(|_| "the beacon node refused".to_owned()),
        ));
    }
    let mut duties: SyncDuties = serde_json::from_slice(&body)
        .map_err(|e| ApiError::internal(format!("the beacon node's sync committee duties ({status}): {e}")))?;
    for duty in &mut duties.data {
        duty.pubkey = server.api.share_of(duty.pubkey)?;
    }
    ok(&SyncDutiesAnswer {
        execution_optimistic: false,
        data: duties.data,
    })
}
