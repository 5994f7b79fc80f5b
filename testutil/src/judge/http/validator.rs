//! What there is to sign.

use axum::{
    Router,
    extract::{Path, State},
    http::HeaderMap,
    response::{IntoResponse as _, Response},
    routing::get,
};
use serde_json::Value;
use trireme_eth2::{BlsSignature, CommitteeIndex, Fork, ProposalResponse, Root, Slot, Uint256, Versioned as _};

use super::{
    At, Shared,
    answer::{ApiError, Json, Params, VERSION_HEADER, data, in_form, optional, param, part, to_json, wants_ssz},
};

type Of = State<At>;

pub(super) fn routes() -> Router<At> {
    Router::new()
        .route("/eth/v1/validator/attestation_data", get(attestation_data))
        .route("/eth/v3/validator/blocks/{slot}", get(produce))
        .route("/eth/v1/validator/aggregate_attestation", get(aggregate_v1))
        .route("/eth/v2/validator/aggregate_attestation", get(aggregate_v2))
        .route("/eth/v1/validator/sync_committee_contribution", get(contribution))
}

async fn attestation_data(State(at): Of, params: Params) -> Result<Json<Value>, ApiError> {
    let (slot, committee): (Slot, CommitteeIndex) = (param(&params.0, "slot")?, param(&params.0, "committee_index")?);
    let now = at.now();
    Ok(data(at.judge().attestation_data(at.door.face, now, slot, committee)?))
}

async fn aggregate_v1(State(at): Of, params: Params) -> Result<Response, ApiError> {
    aggregate(&at, &params, None, false)
}

async fn aggregate_v2(State(at): Of, params: Params) -> Result<Response, ApiError> {
    let committee = param(&params.0, "committee_index")?;
    aggregate(&at, &params, Some(committee), true)
}

fn aggregate(at: &At, params: &Params, committee: Option<CommitteeIndex>, tagged: bool) -> Result<Response, ApiError> {
    let (root, slot): (Root, Slot) = (param(&params.0, "attestation_data_root")?, param(&params.0, "slot")?);
    let now = at.now();
    let found = at.judge().aggregate(at.door.face, now, slot, root, committee);
    let found = found.map_err(|why| ApiError::new(404, why.0))?;
    let fork = found.fork();
    if tagged {
        return Ok(in_form(false, Some(fork), to_json(&found)?).into_response());
    }
    if fork >= Fork::Electra {
        return Err(ApiError::bad("since Electra aggregates are given by /eth/v2"));
    }
    Ok(data(trireme_eth2::DataOnly(&found)).into_response())
}

async fn contribution(State(at): Of, params: Params) -> Result<Json<Value>, ApiError> {
    let (slot, subcommittee): (Slot, u64) = (param(&params.0, "slot")?, param(&params.0, "subcommittee_index")?);
    let root: Root = param(&params.0, "beacon_block_root")?;
    let now = at.now();
    let found = at.judge().contribution(at.door.face, now, slot, subcommittee, root);
    Ok(data(found.map_err(|why| ApiError::new(404, why.0))?))
}

async fn produce(
    State(at): Of,
    Path(slot): Path<String>,
    params: Params,
    asked: HeaderMap,
) -> Result<Response, ApiError> {
    let slot: Slot = part(&slot, "slot")?;
    let randao: BlsSignature = param(&params.0, "randao_reveal")?;
    let graffiti: Root = optional(&params.0, "graffiti")?.unwrap_or(Root::ZERO);
    let boost: u64 = optional(&params.0, "builder_boost_factor")?.unwrap_or(100);
    let (now, face) = (at.now(), at.door.face);
    if at.judge().view(face, now).is_optimistic() {
        return Err(ApiError::new(
            503,
            "the execution client is syncing; it makes no payload",
        ));
    }
    let claim = at.judge().claim_of_randao(slot, randao)?;
    let genuine = at.verify(vec![claim]).await?.first().copied().unwrap_or(false);
    let ssz = wants_ssz(&asked);
    let made = move |shared: &Shared| {
        // The lock is given back before the block is made.
        let asked = shared
            .judge()
            .produce(face, now, slot, (randao, genuine), graffiti, boost);
        let ingredients = asked?;
        let proposal = ingredients.proposal();
        let (fork, blinded) = (proposal.fork(), proposal.is_blinded());
        if blinded {
            shared.judge().offer(proposal.block_root(), ingredients);
        }
        let value = Uint256::from(1_000_000_000_u64);
        let answer = ProposalResponse {
            proposal,
            execution_payload_value: value,
            consensus_block_value: value,
        };
        let body = if ssz {
            answer.proposal.to_ssz()
        } else {
            to_json(&answer)?
        };
        Ok::<_, ApiError>((fork, blinded, body))
    };
    let (fork, blinded, body) = at.blocking(made).await??;
    let headers = [
        (VERSION_HEADER, fork.name()),
        ("eth-execution-payload-blinded", if blinded { "true" } else { "false" }),
        ("eth-execution-payload-value", "1000000000"),
        ("eth-consensus-block-value", "1000000000"),
    ];
    Ok((headers, in_form(ssz, None, body)).into_response())
}
