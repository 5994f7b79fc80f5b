//! Who has to do what when; what clients announce; who is alive.

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};
use trireme_eth2::{CommitteeIndex, Epoch, ExecutionAddress, Slot, SyncDuty, ValidatorIndex};

use super::{
    At,
    answer::{ApiError, Json, body, data, part},
};
use crate::judge::{sight::View, state::Judge};

type Of = State<At>;

pub(super) fn routes() -> Router<At> {
    let subscriptions = |kind: &str| format!("/eth/v1/validator/{kind}_subscriptions");
    Router::new()
        .route("/eth/v1/validator/duties/attester/{epoch}", post(attester))
        .route("/eth/v1/validator/duties/proposer/{epoch}", get(proposer))
        .route("/eth/v2/validator/duties/proposer/{epoch}", get(proposer_v2))
        .route("/eth/v1/validator/duties/sync/{epoch}", post(sync))
        .route("/eth/v1/validator/liveness/{epoch}", post(liveness))
        .route(&subscriptions("beacon_committee"), post(subscribe_committees))
        .route(&subscriptions("sync_committee"), post(subscribe_sync))
        .route("/eth/v1/validator/prepare_beacon_proposer", post(prepare))
}

// === Duties

/// Duties are known until the end of the next epoch.
fn check_epoch(judge: &Judge, at: &At, epoch: Epoch) -> Result<(), ApiError> {
    let current = judge.chain().epoch(judge.chain().slot_at(at.now()));
    if epoch.0 > current.0.saturating_add(1) {
        return Err(ApiError::bad(format!(
            "epoch {} is more than one epoch after the current one, {}",
            epoch.0, current.0
        )));
    }
    Ok(())
}

/// Duties that hang on the last block before `epoch`. A node of another network knows none of the validators.
fn answer(view: &View<'_>, epoch: Epoch, duties: Vec<Value>) -> Json<Value> {
    let duties = if view.is_foreign() { Vec::new() } else { duties };
    Json(json!({
        "dependent_root": view.dependent_root(epoch), "execution_optimistic": view.is_optimistic(), "data": duties,
    }))
}

async fn attester(State(at): Of, Path(epoch): Path<String>, bytes: Bytes) -> Result<Json<Value>, ApiError> {
    let epoch: Epoch = part(&epoch, "epoch")?;
    let asked: Vec<ValidatorIndex> = body(&bytes)?;
    let mut judge = at.judge();
    check_epoch(&judge, &at, epoch)?;
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
    let duties = asked.into_iter().filter_map(duty).collect();
    let view = judge.view(at.door.face, at.now());
    Ok(answer(&view, Epoch(epoch.0.saturating_sub(1)), duties))
}

async fn proposer(State(at): Of, Path(epoch): Path<String>) -> Result<Json<Value>, ApiError> {
    proposers(&at, &epoch, 0)
}

/// The same with a root that decides earlier: that of the epoch before (beacon API, v2).
async fn proposer_v2(State(at): Of, Path(epoch): Path<String>) -> Result<Json<Value>, ApiError> {
    proposers(&at, &epoch, 1)
}

fn proposers(at: &At, epoch: &str, back: u64) -> Result<Json<Value>, ApiError> {
    let epoch: Epoch = part(epoch, "epoch")?;
    let judge = at.judge();
    check_epoch(&judge, at, epoch)?;
    let first = judge.chain().first_slot(epoch).0;
    let slots = (0..judge.chain().slots_per_epoch).map(|n| Slot(first.saturating_add(n)));
    let duty = |slot: Slot| {
        let validator = judge.proposer(slot);
        let key = judge.chain().key(validator).unwrap_or(STRANGER);
        json!({"pubkey": key, "validator_index": validator, "slot": slot})
    };
    let view = judge.view(at.door.face, at.now());
    Ok(answer(
        &view,
        Epoch(epoch.0.saturating_sub(back)),
        slots.map(duty).collect(),
    ))
}

/// The key of whoever proposes in a stranger's slot.
const STRANGER: trireme_eth2::BlsPubkey = trireme_eth2::BlsPubkey([0xaa; 48]);

async fn sync(State(at): Of, Path(epoch): Path<String>, bytes: Bytes) -> Result<Json<Value>, ApiError> {
    let epoch: Epoch = part(&epoch, "epoch")?;
    let asked: Vec<ValidatorIndex> = body(&bytes)?;
    let mut judge = at.judge();
    let current = judge.chain().epoch(judge.chain().slot_at(at.now()));
    // Committees are drawn a period ahead.
    if judge.sync_period(epoch) > judge.sync_period(current).saturating_add(1) {
        return Err(ApiError::bad(format!(
            "epoch {} is after the next sync committee period",
            epoch.0
        )));
    }
    let members = judge.sync_committee(epoch);
    let duty = |validator: ValidatorIndex| {
        Some(SyncDuty {
            pubkey: judge.chain().key(validator)?,
            validator_index: validator,
            validator_sync_committee_indices: vec![*members.get(&validator)?],
        })
    };
    let mut duties: Vec<SyncDuty> = asked.into_iter().filter_map(duty).collect();
    let view = judge.view(at.door.face, at.now());
    if view.is_foreign() {
        duties.clear();
    }
    Ok(Json(
        json!({"execution_optimistic": view.is_optimistic(), "data": duties}),
    ))
}

// === Announcements

/// Who gets the fees of a validator's blocks.
#[derive(Debug, Deserialize)]
struct Preparation {
    validator_index: ValidatorIndex,
    fee_recipient: ExecutionAddress,
}

async fn prepare(State(at): Of, bytes: Bytes) -> Result<(), ApiError> {
    let list: Vec<Preparation> = body(&bytes)?;
    let mut judge = at.judge();
    for Preparation {
        validator_index,
        fee_recipient,
    } in list
    {
        judge.prepare(validator_index, fee_recipient);
    }
    Ok(())
}

/// Which committee's votes are to be gathered. The judge gathers all; it reads the list, and that is all.
#[derive(Debug, Deserialize)]
struct CommitteeSubscription {
    #[serde(rename = "validator_index")]
    _validator_index: ValidatorIndex,
    #[serde(rename = "committee_index")]
    _committee_index: CommitteeIndex,
    #[serde(rename = "slot")]
    _slot: Slot,
    #[serde(rename = "is_aggregator")]
    _is_aggregator: bool,
}

/// Which seats of the sync committee's messages are to be gathered.
#[derive(Debug, Deserialize)]
struct SyncSubscription {
    #[serde(rename = "validator_index")]
    _validator_index: ValidatorIndex,
    #[serde(rename = "sync_committee_indices")]
    _sync_committee_indices: Vec<CommitteeIndex>,
    #[serde(rename = "until_epoch")]
    _until_epoch: Epoch,
}

async fn subscribe_committees(State(at): Of, bytes: Bytes) -> Result<(), ApiError> {
    let read: Result<Vec<CommitteeSubscription>, _> = body(&bytes);
    read.map(drop)
        .inspect_err(|e| at.judge().refuse_unread(at.now(), e.message()))
}

async fn subscribe_sync(State(at): Of, bytes: Bytes) -> Result<(), ApiError> {
    let read: Result<Vec<SyncSubscription>, _> = body(&bytes);
    read.map(drop)
        .inspect_err(|e| at.judge().refuse_unread(at.now(), e.message()))
}

// === Liveness

/// Whether anything signed by these validators in an epoch was seen; known for the epochs around the current one.
async fn liveness(State(at): Of, Path(epoch): Path<String>, bytes: Bytes) -> Result<Json<Value>, ApiError> {
    let epoch: Epoch = part(&epoch, "epoch")?;
    let asked: Vec<ValidatorIndex> = body(&bytes)?;
    let judge = at.judge();
    let current = judge.chain().epoch(judge.chain().slot_at(at.now())).0;
    if epoch.0.saturating_add(1) < current || epoch.0 > current.saturating_add(1) {
        return Err(ApiError::bad(format!(
            "epoch {} is more than one away from the current one, {current}",
            epoch.0
        )));
    }
    let is_foreign = judge.view(at.door.face, at.now()).is_foreign();
    let known = asked
        .into_iter()
        .filter(|v| !is_foreign && judge.chain().key(*v).is_some());
    let list = known.map(|v| json!({"index": v, "is_live": judge.is_live(epoch, v)}));
    Ok(data(list.collect::<Vec<_>>()))
}
