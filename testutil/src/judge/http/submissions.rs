//! What comes back signed, apart from blocks.
//!
//! Guarantees: each item of a list is taken or refused by itself; a refusal of some is answered 400 with the reason of
//! each.

use std::time::Duration;

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
use serde_json::value::RawValue;
use ssz::Decode as _;
use trireme_eth2::{
    Fork, SignedContributionAndProof, SignedValidatorRegistrationV1, SignedVoluntaryExit, SingleAttestation,
    SyncCommitteeMessage, Versioned as _, VersionedSignedAggregateAndProof, phase0,
};

use super::{
    At,
    answer::{ApiError, body, declared, is_ssz},
};
use crate::judge::{
    signing::Claim,
    state::{Judge, Refused, SubmittedVote, Taken},
};

type Of = State<At>;

pub(super) fn routes() -> Router<At> {
    let pool = |kind: &str| format!("/eth/v1/beacon/pool/{kind}");
    Router::new()
        .route("/eth/v2/beacon/pool/attestations", post(attestations))
        .route("/eth/v1/validator/aggregate_and_proofs", post(aggregates_v1))
        .route("/eth/v2/validator/aggregate_and_proofs", post(aggregates_v2))
        .route(&pool("sync_committees"), post(sync_messages))
        .route("/eth/v1/validator/contribution_and_proofs", post(contributions))
        .route(&pool("voluntary_exits"), post(exit))
        .route("/eth/v1/validator/register_validator", post(registrations))
}

/// Verifies everything at once, and lets the judge decide about each item.
async fn take_all<T, Of>(
    at: &At,
    what: &str,
    items: Vec<T>,
    claims: impl Fn(&mut Judge, &T) -> Result<(Of, Vec<Claim>), Refused>,
    take: impl Fn(&mut Judge, &T, Of, &[bool]) -> Result<Taken, Refused>,
) -> Result<(), ApiError> {
    let (mut failures, mut weighed, mut all) = (Vec::new(), Vec::new(), Vec::new());
    for (index, item) in items.into_iter().enumerate() {
        match claims(&mut at.judge(), &item) {
            Ok((of, claims)) => {
                weighed.push((index, item, of, claims.len()));
                all.extend(claims);
            }
            Err(why) => failures.push((index, why.0)),
        }
    }
    let genuine = at.verify(all).await?;
    let mut genuine = genuine.as_slice();
    let mut judge = at.judge();
    for (index, item, of, count) in weighed {
        let (own, rest) = genuine.split_at_checked(count).unwrap_or_default();
        genuine = rest;
        if let Err(why) = take(&mut judge, &item, of, own) {
            failures.push((index, why.0));
        }
    }
    drop(judge);
    let Some((_, first)) = failures.first() else {
        return Ok(());
    };
    let message = format!("{} {what} are refused; the first: {first}", failures.len());
    Err(ApiError::indexed(message, failures))
}

fn one(genuine: &[bool]) -> bool {
    genuine.first().copied().unwrap_or(false)
}

fn two(genuine: &[bool]) -> [bool; 2] {
    [one(genuine), genuine.get(1).copied().unwrap_or(false)]
}

/// A body that must be JSON; what cannot be read is noted.
fn read<T>(
    at: &At,
    now: Duration,
    headers: &HeaderMap,
    what: &str,
    decode: impl FnOnce() -> Result<T, ApiError>,
) -> Result<T, ApiError> {
    let read = || {
        if is_ssz(headers)? {
            return Err(ApiError::new(415, format!("{what} are taken as JSON")));
        }
        decode()
    };
    read().inspect_err(|e| at.judge().refuse_unread(now, e.message()))
}

async fn attestations(State(at): Of, headers: HeaderMap, bytes: Bytes) -> Result<(), ApiError> {
    let (now, face) = (at.now(), at.door.face);
    let decode = || {
        let fork = declared(&headers)?;
        Ok((fork, read_votes(fork, &bytes)?))
    };
    let (fork, votes) = read(&at, now, &headers, "attestations", decode)?;
    let claims = |judge: &mut Judge, vote: &SubmittedVote| {
        let (validator, claim) = judge.claims_of_vote(now, vote)?;
        Ok((validator, vec![claim]))
    };
    let take = |judge: &mut Judge, vote: &SubmittedVote, validator, genuine: &[bool]| {
        judge.vote(face, now, fork, vote, validator, one(genuine))
    };
    take_all(&at, "attestations", votes, claims, take).await
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

async fn aggregates_v1(State(at): Of, headers: HeaderMap, bytes: Bytes) -> Result<(), ApiError> {
    // The old form names no fork; it is that of the chain, and there is none since Electra.
    let fork = {
        let judge = at.judge();
        judge.chain().fork(judge.chain().slot_at(at.now()))
    };
    if fork >= Fork::Electra {
        return Err(ApiError::bad("since Electra aggregates are taken by /eth/v2"));
    }
    aggregates(&at, &headers, || Ok(fork), &bytes).await
}

async fn aggregates_v2(State(at): Of, headers: HeaderMap, bytes: Bytes) -> Result<(), ApiError> {
    aggregates(&at, &headers, || declared(&headers), &bytes).await
}

async fn aggregates(
    at: &At,
    headers: &HeaderMap,
    fork: impl FnOnce() -> Result<Fork, ApiError>,
    bytes: &Bytes,
) -> Result<(), ApiError> {
    let (now, face) = (at.now(), at.door.face);
    let decode = || {
        let fork = fork()?;
        let list: Vec<Box<RawValue>> = body(bytes)?;
        let item = |item: Box<RawValue>| {
            VersionedSignedAggregateAndProof::decode_json(fork, item.get())
                .map_err(|e| ApiError::bad(format!("the body cannot be read: {e}")))
        };
        let list: Result<Vec<_>, ApiError> = list.into_iter().map(item).collect();
        Ok((fork, list?))
    };
    let (fork, list) = read(at, now, headers, "aggregates", decode)?;
    let claims = |judge: &mut Judge, signed: &VersionedSignedAggregateAndProof| {
        Ok(((), judge.claims_of_aggregate(now, signed)?.to_vec()))
    };
    let take = |judge: &mut Judge, signed: &VersionedSignedAggregateAndProof, (), genuine: &[bool]| {
        judge.aggregated(face, now, fork, signed, two(genuine))
    };
    take_all(at, "aggregates", list, claims, take).await
}

async fn sync_messages(State(at): Of, headers: HeaderMap, bytes: Bytes) -> Result<(), ApiError> {
    let (now, face) = (at.now(), at.door.face);
    let list: Vec<SyncCommitteeMessage> = read(&at, now, &headers, "sync committee messages", || body(&bytes))?;
    let claims =
        |judge: &mut Judge, message: &SyncCommitteeMessage| Ok(((), vec![judge.claim_of_sync_message(now, message)?]));
    let take = |judge: &mut Judge, message: &SyncCommitteeMessage, (), genuine: &[bool]| {
        judge.sync_message(face, now, message, one(genuine))
    };
    take_all(&at, "sync committee messages", list, claims, take).await
}

async fn contributions(State(at): Of, headers: HeaderMap, bytes: Bytes) -> Result<(), ApiError> {
    let (now, face) = (at.now(), at.door.face);
    let list: Vec<SignedContributionAndProof> = read(&at, now, &headers, "contributions", || body(&bytes))?;
    let claims = |judge: &mut Judge, signed: &SignedContributionAndProof| {
        Ok(((), judge.claims_of_contribution(now, signed)?.to_vec()))
    };
    let take = |judge: &mut Judge, signed: &SignedContributionAndProof, (), genuine: &[bool]| {
        judge.contribute(face, now, signed, two(genuine))
    };
    take_all(&at, "contributions", list, claims, take).await
}

async fn exit(State(at): Of, headers: HeaderMap, bytes: Bytes) -> Result<(), ApiError> {
    let (now, face) = (at.now(), at.door.face);
    let signed: SignedVoluntaryExit = read(&at, now, &headers, "exits", || body(&bytes))?;
    let claim = at.judge().claim_of_exit(now, &signed)?;
    let genuine = one(&at.verify(vec![claim]).await?);
    at.judge().exit(face, now, &signed, genuine)?;
    Ok(())
}

/// Registrations come as JSON or, since all are of one size, as SSZ one after the other.
async fn registrations(State(at): Of, headers: HeaderMap, bytes: Bytes) -> Result<(), ApiError> {
    let (now, face) = (at.now(), at.door.face);
    let decode = || {
        if is_ssz(&headers)? {
            return Vec::<SignedValidatorRegistrationV1>::from_ssz_bytes(&bytes)
                .map_err(|e| ApiError::bad(format!("the body cannot be read: {e:?}")));
        }
        body(&bytes)
    };
    let list = decode().inspect_err(|e| at.judge().refuse_unread(now, e.message()))?;
    let claims =
        |judge: &mut Judge, signed: &SignedValidatorRegistrationV1| Ok(((), vec![judge.claim_of_registration(signed)]));
    let take = |judge: &mut Judge, signed: &SignedValidatorRegistrationV1, (), genuine: &[bool]| {
        judge.register(face, now, signed, one(genuine))
    };
    take_all(&at, "registrations", list, claims, take).await
}
