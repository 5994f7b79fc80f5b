//! Duties, what to sign, and what comes back signed.

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use trireme_eth2::{
    BlsSignature, CommitteeIndex, Epoch, ExecutionAddress, Fork, ForkedSignedBlock, ProposalResponse, Root,
    SignedValidatorRegistrationV1, SingleAttestation, Slot, Uint256, ValidatorIndex, VersionedSignedProposal,
    hash_tree_root, phase0,
};

use super::{
    At, HeadChange, Shared,
    answer::{ApiError, Json, Params, VERSION_HEADER, body, data, declared, is_ssz, param, part, wants_ssz},
};
use crate::judge::{
    chain::number,
    signing::{Claim, Purpose, domain, signing_root},
    state::{Judge, SubmittedVote, Taken},
};

type Of = State<At>;

pub(super) fn routes() -> Router<At> {
    Router::new()
        .route("/eth/v1/validator/duties/attester/{epoch}", post(attester_duties))
        .route("/eth/v1/validator/duties/proposer/{epoch}", get(proposer_duties))
        .route("/eth/v1/validator/duties/sync/{epoch}", post(sync_duties))
        .route("/eth/v1/validator/attestation_data", get(attestation_data))
        .route("/eth/v3/validator/blocks/{slot}", get(produce))
        .route("/eth/v2/beacon/pool/attestations", post(attestations))
        .route("/eth/v1/beacon/blocks", post(publish))
        .route("/eth/v2/beacon/blocks", post(publish))
        .route("/eth/v1/beacon/blinded_blocks", post(publish_blinded))
        .route("/eth/v2/beacon/blinded_blocks", post(publish_blinded))
        .route("/eth/v1/validator/prepare_beacon_proposer", post(prepare))
        .route("/eth/v1/validator/register_validator", post(register))
}

// === Duties

/// Duties are known until the end of the next epoch.
fn check_epoch(judge: &Judge, shared: &Shared, epoch: Epoch) -> Result<(), ApiError> {
    let current = judge.chain().epoch(judge.chain().slot_at(shared.now()));
    if epoch.0 > current.0.saturating_add(1) {
        return Err(ApiError::bad(format!(
            "epoch {} is more than one epoch after the current one, {}",
            epoch.0, current.0
        )));
    }
    Ok(())
}

/// Root of the last block before an epoch begins, which decides the duties that hang on it.
pub(super) fn dependent_root(judge: &Judge, epoch: Epoch) -> Root {
    judge.root_until(Slot(judge.chain().first_slot(epoch).0.saturating_sub(1)))
}

async fn attester_duties(State(shared): Of, Path(epoch): Path<String>, bytes: Bytes) -> Result<Json<Value>, ApiError> {
    let epoch: Epoch = part(&epoch, "epoch")?;
    let asked: Vec<ValidatorIndex> = body(&bytes)?;
    let mut judge = shared.judge();
    check_epoch(&judge, &shared, epoch)?;
    let committees = judge.committees(epoch);
    let duty = |validator: ValidatorIndex| {
        let seat = committees.seat(validator)?;
        let length = committees.members(seat.slot, seat.committee).map_or(0, <[_]>::len);
        Some(json!({
            "pubkey": judge.chain().key(validator)?,
            "validator_index": validator,
            "committee_index": seat.committee,
            "committee_length": length.to_string(),
            "committees_at_slot": committees.per_slot.to_string(),
            "validator_committee_index": seat.position.to_string(),
            "slot": seat.slot,
        }))
    };
    let duties: Vec<Value> = asked.into_iter().filter_map(duty).collect();
    let root = dependent_root(&judge, Epoch(epoch.0.saturating_sub(1)));
    Ok(Json(
        json!({"dependent_root": root, "execution_optimistic": false, "data": duties}),
    ))
}

async fn proposer_duties(State(shared): Of, Path(epoch): Path<String>) -> Result<Json<Value>, ApiError> {
    let epoch: Epoch = part(&epoch, "epoch")?;
    let judge = shared.judge();
    check_epoch(&judge, &shared, epoch)?;
    let first = judge.chain().first_slot(epoch).0;
    let slots = (0..judge.chain().slots_per_epoch).map(|n| Slot(first.saturating_add(n)));
    let duty = |slot: Slot| {
        let validator = judge.chain().proposer(slot);
        Some(json!({"pubkey": judge.chain().key(validator)?, "validator_index": validator, "slot": slot}))
    };
    let duties: Vec<Value> = slots.filter_map(duty).collect();
    let root = dependent_root(&judge, epoch);
    Ok(Json(
        json!({"dependent_root": root, "execution_optimistic": false, "data": duties}),
    ))
}

/// Nobody is in a sync committee.
async fn sync_duties(Path(epoch): Path<String>) -> Result<Json<Value>, ApiError> {
    let _: Epoch = part(&epoch, "epoch")?;
    Ok(Json(json!({"execution_optimistic": false, "data": []})))
}

// === What to sign

async fn attestation_data(State(shared): Of, params: Params) -> Result<Json<Value>, ApiError> {
    let (slot, committee): (Slot, CommitteeIndex) = (param(&params.0, "slot")?, param(&params.0, "committee_index")?);
    let now = shared.now();
    Ok(data(shared.judge().attestation_data(now, slot, committee)?))
}

async fn produce(
    State(shared): Of,
    Path(slot): Path<String>,
    params: Params,
    asked: HeaderMap,
) -> Result<Response, ApiError> {
    let slot: Slot = part(&slot, "slot")?;
    let randao: BlsSignature = param(&params.0, "randao_reveal")?;
    let has_graffiti = params
        .0
        .iter()
        .any(|(key, value)| key == "graffiti" && !value.is_empty());
    let graffiti = if has_graffiti {
        param(&params.0, "graffiti")?
    } else {
        Root::ZERO
    };
    let now = shared.now();
    let claim = shared.judge().claim_of_randao(slot, randao)?;
    let genuine = shared.verify(vec![claim]).await?.first().copied().unwrap_or(false);
    let ssz = wants_ssz(&asked);
    let made = move |shared: &Shared| {
        // The lock is given back before the block is made.
        let ingredients = shared.judge().produce(now, slot, randao, graffiti, genuine)?;
        let proposal = ingredients.proposal();
        let fork = proposal.fork();
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
        Ok::<_, ApiError>((fork, body))
    };
    let (fork, body) = shared.blocking(made).await??;
    let kind = if ssz {
        "application/octet-stream"
    } else {
        "application/json"
    };
    let headers = [
        (header::CONTENT_TYPE.as_str(), kind),
        (VERSION_HEADER, fork.name()),
        ("eth-execution-payload-blinded", "false"),
        ("eth-execution-payload-value", "1000000000"),
        ("eth-consensus-block-value", "1000000000"),
    ];
    Ok((headers, body).into_response())
}

fn to_json(value: &impl Serialize) -> Result<Vec<u8>, ApiError> {
    serde_json::to_vec(value).map_err(|e| ApiError::new(500, format!("the judge has a fault: {e}")))
}

// === What comes back

async fn attestations(State(shared): Of, headers: HeaderMap, bytes: Bytes) -> Result<(), ApiError> {
    let now = shared.now();
    let read = || {
        let fork = declared(&headers)?;
        if is_ssz(&headers)? {
            return Err(ApiError::new(415, "attestations are taken as JSON"));
        }
        Ok((fork, read_votes(fork, &bytes)?))
    };
    let (fork, votes) = read().inspect_err(|e| shared.judge().refuse_unread(now, e.message()))?;

    let (mut failures, mut weighed) = (Vec::new(), Vec::new());
    for (index, vote) in votes.into_iter().enumerate() {
        match shared.judge().claims_of_vote(now, &vote) {
            Ok((validator, claim)) => weighed.push((index, vote, validator, claim)),
            Err(why) => failures.push((index, why.0)),
        }
    }
    let genuine = shared
        .verify(weighed.iter().map(|(_, _, _, claim)| *claim).collect())
        .await?;
    let mut judge = shared.judge();
    for ((index, vote, validator, _), genuine) in weighed.iter().zip(genuine) {
        if let Err(why) = judge.vote(now, fork, vote, *validator, genuine) {
            failures.push((*index, why.0));
        }
    }
    drop(judge);
    if let Some((_, first)) = failures.first() {
        let message = format!("{} attestations are refused; the first: {first}", failures.len());
        return Err(ApiError::indexed(message, failures));
    }
    Ok(())
}

fn read_votes(fork: Fork, bytes: &[u8]) -> Result<Vec<SubmittedVote>, ApiError> {
    Ok(if fork >= Fork::Electra {
        body::<Vec<SingleAttestation>>(bytes)?
            .into_iter()
            .map(SubmittedVote::Single)
            .collect()
    } else {
        body::<Vec<phase0::Attestation>>(bytes)?
            .into_iter()
            .map(SubmittedVote::Bits)
            .collect()
    })
}

async fn publish(State(shared): Of, headers: HeaderMap, bytes: Bytes) -> Result<(), ApiError> {
    take_block(&shared, &headers, bytes, false).await
}

async fn publish_blinded(State(shared): Of, headers: HeaderMap, bytes: Bytes) -> Result<(), ApiError> {
    take_block(&shared, &headers, bytes, true).await
}

async fn take_block(shared: &Arc<Shared>, headers: &HeaderMap, bytes: Bytes, blinded: bool) -> Result<(), ApiError> {
    let now = shared.now();
    let unread = |e: &ApiError| shared.judge().refuse_unread(now, e.message());
    let fork = declared(headers).inspect_err(unread)?;
    let ssz = is_ssz(headers).inspect_err(unread)?;
    let read = shared.read_once(fork, blinded, ssz, bytes).await?;
    let (signed, view) = read.inspect_err(unread)?;
    let claims = shared.judge().claims_of_block(now, &view)?;
    let genuine = shared.verify(claims.to_vec()).await?;
    let genuine = [
        genuine.first().copied().unwrap_or(false),
        genuine.get(1).copied().unwrap_or(false),
    ];
    let mut judge = shared.judge();
    let before = judge.head().slot;
    if judge.propose(now, fork, signed, &view, genuine)? == Taken::First {
        let change = head_change(&judge, before);
        drop(judge);
        shared.announce(change);
    }
    Ok(())
}

fn head_change(judge: &Judge, before: Slot) -> HeadChange {
    let block = judge.head().clone();
    let epoch = judge.chain().epoch(block.slot);
    HeadChange {
        epoch_transition: judge.chain().epoch(before) != epoch,
        previous_dependent: dependent_root(judge, Epoch(epoch.0.saturating_sub(1))),
        current_dependent: dependent_root(judge, epoch),
        block,
    }
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

/// A block of the chain as `/eth/v2/beacon/blocks` gives it: without blobs.
pub(super) fn published_form(signed: &VersionedSignedProposal, ssz: bool) -> Result<Vec<u8>, ApiError> {
    fn form<B: trireme_eth2::Container>(
        fork: Fork,
        block: &trireme_eth2::SignedBeaconBlock<B>,
        ssz: bool,
    ) -> Result<Vec<u8>, ApiError> {
        if ssz {
            return Ok(ssz::Encode::as_ssz_bytes(block));
        }
        to_json(&json!({"version": fork, "execution_optimistic": false, "finalized": false, "data": block}))
    }
    let fork = signed.fork();
    match signed {
        VersionedSignedProposal::Blinded(_) => Err(ApiError::new(404, "the chain has no blinded blocks")),
        VersionedSignedProposal::Full(full) => match full {
            ForkedSignedBlock::Phase0(x) => form(fork, x, ssz),
            ForkedSignedBlock::Altair(x) => form(fork, x, ssz),
            ForkedSignedBlock::Bellatrix(x) => form(fork, x, ssz),
            ForkedSignedBlock::Capella(x) => form(fork, x, ssz),
            ForkedSignedBlock::Deneb(x) => form(fork, &x.signed_block, ssz),
            ForkedSignedBlock::Electra(x) => form(fork, &x.signed_block, ssz),
            ForkedSignedBlock::Fulu(x) => form(fork, &x.signed_block, ssz),
        },
    }
}

/// Who gets the fees of a validator's blocks.
#[derive(Debug, Deserialize)]
struct Preparation {
    validator_index: ValidatorIndex,
    fee_recipient: ExecutionAddress,
}

async fn prepare(State(shared): Of, bytes: Bytes) -> Result<(), ApiError> {
    let list: Vec<Preparation> = body(&bytes)?;
    let mut judge = shared.judge();
    for Preparation {
        validator_index,
        fee_recipient,
    } in list
    {
        judge.prepare(validator_index, fee_recipient);
    }
    Ok(())
}

async fn register(State(shared): Of, bytes: Bytes) -> Result<(), ApiError> {
    let list: Vec<SignedValidatorRegistrationV1> = body(&bytes)?;
    let claims: Vec<Claim> = {
        let judge = shared.judge();
        let domain = domain(judge.chain(), Purpose::Builder, Epoch(0));
        let claim = |signed: &SignedValidatorRegistrationV1| Claim {
            key: signed.message.pubkey,
            root: signing_root(hash_tree_root(&signed.message), domain),
            signature: signed.signature,
        };
        list.iter().map(claim).collect()
    };
    let holds = shared.verify(claims).await?;
    let now = shared.now();
    match holds.iter().position(|holds| !holds) {
        None => Ok(()),
        Some(nth) => {
            let why = format!(
                "registration {}: its signature does not verify under its key",
                number(nth)
            );
            shared.judge().refuse_unread(now, &why);
            Err(ApiError::bad(why))
        }
    }
}
