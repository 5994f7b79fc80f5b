//! What each served endpoint does with a request: parameters, body, component, answer.
//!
//! Guarantees: a client's mistake is named as such, with the status and text that validator clients know; nothing that was
//! submitted is silently dropped.
//! Not here: what comes before and after every handler (`server`), the meaning of the calls (`core::validatorapi`).

mod aggregates;
mod attestations;
mod blocks;
mod duties;
mod liveness;
mod selections;
mod simple;
mod validators;

use axum::response::Response;
use serde::Serialize;
use trireme_core::validatorapi::Awaited;

use crate::{
    asked::{Asked, Data, ok},
    behind::Behind,
    error::ApiError,
    route::Endpoint,
};

#[derive(Serialize)]
struct Version<'a> {
    version: &'a str,
}

/// Answers a request of a served endpoint.
pub(crate) async fn answer(behind: &Behind, asked: Asked, awaited: &Awaited) -> Result<Response, ApiError> {
    match asked.endpoint {
        Endpoint::AttesterDuties => duties::attester_duties(behind, &asked, awaited).await,
        Endpoint::ProposerDuties | Endpoint::ProposerDutiesV2 => duties::proposer_duties(behind, &asked, awaited).await,
        Endpoint::SyncCommitteeDuties => duties::sync_duties(behind, &asked, awaited).await,
        Endpoint::AttestationData => attestations::attestation_data(behind, &asked, awaited).await,
        Endpoint::SubmitAttestationsV2 => attestations::submit_attestations(behind, &asked, awaited).await,
        Endpoint::GetValidators => validators::validators(behind, &asked, awaited).await,
        Endpoint::GetValidator => validators::validator(behind, &asked, awaited).await,
        Endpoint::ProposeBlockV3 => blocks::produce_block(behind, &asked, awaited).await,
        Endpoint::SubmitProposalV1 | Endpoint::SubmitProposalV2 => {
            blocks::submit_block(behind, &asked, false, awaited).await
        }
        Endpoint::SubmitBlindedBlockV1 | Endpoint::SubmitBlindedBlockV2 => {
            blocks::submit_block(behind, &asked, true, awaited).await
        }
        Endpoint::AggregateBeaconCommitteeSelections => selections::beacon(behind, &asked, awaited).await,
        Endpoint::AggregateSyncCommitteeSelections => selections::sync(behind, &asked, awaited).await,
        Endpoint::AggregateAttestationV2 => aggregates::aggregate(behind, &asked, awaited).await,
        Endpoint::SubmitAggregateAndProofsV2 => aggregates::submit_aggregates(behind, &asked, awaited).await,
        Endpoint::SyncCommitteeContribution => aggregates::contribution(behind, &asked, awaited).await,
        Endpoint::SubmitContributionAndProofs => aggregates::submit_contributions(behind, &asked, awaited).await,
        Endpoint::SubmitSyncCommitteeMessages => simple::sync_messages(behind, &asked, awaited).await,
        Endpoint::SubmitVoluntaryExit => simple::exit(behind, &asked, awaited).await,
        Endpoint::Liveness => liveness::liveness(behind, &asked, awaited).await,
        Endpoint::NodeVersion => ok(&Data {
            data: Version {
                version: &behind.config.node_version,
            },
        }),
        // The pipeline answers these itself.
        Endpoint::SubmitAttestations
        | Endpoint::ProposeBlock
        | Endpoint::ProposeBlindedBlock
        | Endpoint::SubmitValidatorRegistration
        | Endpoint::TekuProposerConfig
        | Endpoint::ProposerConfig
        | Endpoint::AggregateAttestation
        | Endpoint::SubmitAggregateAndProofs
        | Endpoint::SubmitProposalPreparations => Err(ApiError::not_found()),
    }
}
