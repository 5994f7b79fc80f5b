//! Blocks: published, and given out again.

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::HeaderMap,
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use trireme_eth2::{Fork, ForkedAttestation, ForkedSignedBlock, VersionedSignedProposal};

use super::{
    At,
    answer::{ApiError, Json, declared, in_form, is_ssz, of_block, to_json, wants_ssz},
    chain::find_block,
};
use crate::judge::inclusion;

type Of = State<At>;

pub(super) fn routes() -> Router<At> {
    Router::new()
        .route("/eth/v1/beacon/blocks", post(publish))
        .route("/eth/v2/beacon/blocks", post(publish))
        .route("/eth/v1/beacon/blinded_blocks", post(publish_blinded))
        .route("/eth/v2/beacon/blinded_blocks", post(publish_blinded))
        .route("/eth/v2/beacon/blocks/{block}", get(block))
        .route("/eth/v1/beacon/blocks/{block}/attestations", get(attestations_v1))
        .route("/eth/v2/beacon/blocks/{block}/attestations", get(attestations_v2))
}

// === Published

async fn publish(State(at): Of, headers: HeaderMap, bytes: Bytes) -> Result<(), ApiError> {
    take_block(&at, &headers, bytes, false).await
}

async fn publish_blinded(State(at): Of, headers: HeaderMap, bytes: Bytes) -> Result<(), ApiError> {
    take_block(&at, &headers, bytes, true).await
}

async fn take_block(at: &At, headers: &HeaderMap, bytes: Bytes, blinded: bool) -> Result<(), ApiError> {
    let now = at.now();
    let unread = |e: &ApiError| at.judge().refuse_unread(now, e.message());
    let fork = declared(headers).inspect_err(unread)?;
    let ssz = is_ssz(headers).inspect_err(unread)?;
    let read = at.read_once(fork, blinded, ssz, bytes).await?;
    let (signed, view) = read.inspect_err(unread)?;
    let claims = at.judge().claims_of_block(now, &view)?;
    let genuine = at.verify(claims.to_vec()).await?;
    let genuine = [
        genuine.first().copied().unwrap_or(false),
        genuine.get(1).copied().unwrap_or(false),
    ];
    // Completing a blinded block makes its payload again.
    let face = at.door.face;
    at.blocking(move |shared| {
        shared.judge().propose(face, now, fork, signed, &view, genuine)?;
        shared.announce();
        Ok(())
    })
    .await?
}

pub(super) fn read_block(
    fork: Fork,
    blinded: bool,
    ssz: bool,
    bytes: &[u8],
) -> Result<VersionedSignedProposal, ApiError> {
    let unreadable = |e: trireme_eth2::VersionedError| ApiError::bad(format!("the block cannot be read: {e}"));
    if ssz {
        return VersionedSignedProposal::decode_ssz(fork, blinded, bytes).map_err(unreadable);
    }
    let text = std::str::from_utf8(bytes).map_err(|e| ApiError::bad(format!("the block cannot be read: {e}")))?;
    VersionedSignedProposal::decode_json(fork, blinded, text).map_err(unreadable)
}

// === Given out

/// A block of the chain as `/eth/v2/beacon/blocks` gives it: without blobs.
fn published_form(signed: &VersionedSignedProposal, ssz: bool, optimistic: bool) -> Result<Vec<u8>, ApiError> {
    fn form<B: trireme_eth2::Container>(
        fork: Fork,
        block: &trireme_eth2::SignedBeaconBlock<B>,
        ssz: bool,
        optimistic: bool,
    ) -> Result<Vec<u8>, ApiError> {
        if ssz {
            return Ok(ssz::Encode::as_ssz_bytes(block));
        }
        to_json(&json!({"version": fork, "execution_optimistic": optimistic, "finalized": false, "data": block}))
    }
    let fork = signed.fork();
    match signed {
        VersionedSignedProposal::Blinded(_) => Err(ApiError::new(404, "the chain has no blinded blocks")),
        VersionedSignedProposal::Full(full) => match full {
            ForkedSignedBlock::Phase0(x) => form(fork, x, ssz, optimistic),
            ForkedSignedBlock::Altair(x) => form(fork, x, ssz, optimistic),
            ForkedSignedBlock::Bellatrix(x) => form(fork, x, ssz, optimistic),
            ForkedSignedBlock::Capella(x) => form(fork, x, ssz, optimistic),
            ForkedSignedBlock::Deneb(x) => form(fork, &x.signed_block, ssz, optimistic),
            ForkedSignedBlock::Electra(x) => form(fork, &x.signed_block, ssz, optimistic),
            ForkedSignedBlock::Fulu(x) => form(fork, &x.signed_block, ssz, optimistic),
        },
    }
}

/// The block that a path names, with its content, and whether the answer is optimistic.
fn content(at: &At, id: &str) -> Result<(Arc<VersionedSignedProposal>, bool), ApiError> {
    let judge = at.judge();
    let view = judge.view(at.door.face, at.now());
    let signed = find_block(&view, id)?.block.clone();
    let signed = signed.ok_or_else(|| ApiError::new(404, "the genesis block has no content here"))?;
    Ok((signed, view.is_optimistic()))
}

async fn block(State(at): Of, Path(id): Path<String>, asked: HeaderMap) -> Result<Response, ApiError> {
    let (signed, optimistic) = content(&at, &id)?;
    let ssz = wants_ssz(&asked);
    let fork = signed.fork();
    let body = at.blocking(move |_| published_form(&signed, ssz, optimistic)).await??;
    Ok(in_form(ssz, Some(fork), body).into_response())
}

/// The form of before Electra, for whose blocks it is still there.
async fn attestations_v1(State(at): Of, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    let (signed, optimistic) = content(&at, &id)?;
    if signed.fork() >= Fork::Electra {
        return Err(ApiError::bad("since Electra attestations are given by /eth/v2"));
    }
    let list = list(&signed)?;
    Ok(Json(
        json!({"execution_optimistic": optimistic, "finalized": false, "data": list}),
    ))
}

async fn attestations_v2(State(at): Of, Path(id): Path<String>) -> Result<Response, ApiError> {
    let (signed, optimistic) = content(&at, &id)?;
    let body = to_json(&of_block(signed.fork(), optimistic, list(&signed)?))?;
    Ok(in_form(false, Some(signed.fork()), body).into_response())
}

fn list(signed: &VersionedSignedProposal) -> Result<Vec<Value>, ApiError> {
    let untagged = |attestation: &ForkedAttestation| {
        let value = serde_json::to_value(trireme_eth2::DataOnly(attestation));
        value.map_err(|e| ApiError::new(500, format!("the judge has a fault: {e}")))
    };
    inclusion::attestations(signed).iter().map(untagged).collect()
}
