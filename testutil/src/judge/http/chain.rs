//! Questions about the chain: validators, committees, headers, blocks. Every state is the head's: nothing of it changes.

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Deserialize;
use serde_json::{Value, json};
use trireme_eth2::{BlsPubkey, Epoch, Root, Slot, ValidatorIndex};

use super::{
    At, Shared,
    answer::{ApiError, Json, Params, VERSION_HEADER, body, list, of_state, param, part, wants_ssz},
};
use crate::judge::{
    chain::{ChainConfig, FAR_FUTURE},
    state::{ChainBlock, Judge},
};

type Of = State<At>;

pub(super) fn routes() -> Router<At> {
    let state = |rest: &str| format!("/eth/v1/beacon/states/{{state}}/{rest}");
    Router::new()
        .route(&state("fork"), get(fork))
        .route(&state("root"), get(root_of_state))
        .route(&state("finality_checkpoints"), get(finality))
        .route(&state("committees"), get(committees))
        .route(&state("validators"), get(validators).post(validators_by_body))
        .route(&state("validators/{validator}"), get(validator))
        .route("/eth/v1/beacon/headers", get(headers))
        .route("/eth/v1/beacon/headers/{block}", get(one_header))
        .route("/eth/v1/beacon/blocks/{block}/root", get(block_root))
        .route("/eth/v2/beacon/blocks/{block}", get(block))
}

/// Whether the state that a path names exists.
fn check_state(judge: &Judge, id: &str, now: std::time::Duration) -> Result<Slot, ApiError> {
    let missing = || ApiError::new(404, format!("there is no state {id}"));
    match id {
        "head" => Ok(judge.chain().slot_at(now)),
        "genesis" | "finalized" | "justified" => Ok(Slot(0)),
        id if id.starts_with("0x") => {
            let root: Root = part(id, "state")?;
            let block = Some(judge.head()).filter(|b| b.state_root == root);
            block.map(|b| b.slot).ok_or_else(missing)
        }
        id => {
            let slot: Slot = part(id, "state")?;
            // A node that starts its slot a little early asks for it.
            let last = judge.chain().slot_at(now).0.saturating_add(1);
            if slot.0 <= last { Ok(slot) } else { Err(missing()) }
        }
    }
}

async fn fork(State(shared): Of, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    let judge = shared.judge();
    let slot = check_state(&judge, &id, shared.now())?;
    let at = judge.chain().fork_at(judge.chain().epoch(slot));
    Ok(of_state(
        json!({"previous_version": at.previous, "current_version": at.current, "epoch": at.since}),
    ))
}

async fn root_of_state(State(shared): Of, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    let judge = shared.judge();
    check_state(&judge, &id, shared.now())?;
    Ok(of_state(json!({"root": judge.head().state_root})))
}

async fn finality(State(shared): Of, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    let judge = shared.judge();
    let slot = check_state(&judge, &id, shared.now())?;
    let epoch = judge.chain().epoch(slot).0;
    let checkpoint = |back: u64| {
        let epoch = Epoch(epoch.saturating_sub(back));
        let root = if epoch.0 == 0 {
            Root::ZERO
        } else {
            judge.root_until(judge.chain().first_slot(epoch))
        };
        json!({"epoch": epoch, "root": root})
    };
    Ok(of_state(json!({
        "previous_justified": checkpoint(2), "current_justified": checkpoint(1), "finalized": checkpoint(2),
    })))
}

async fn committees(State(shared): Of, Path(id): Path<String>, params: Params) -> Result<Json<Value>, ApiError> {
    let mut judge = shared.judge();
    let slot = check_state(&judge, &id, shared.now())?;
    let has = |name: &str| params.0.iter().any(|(key, _)| key == name);
    let epoch = if has("epoch") {
        param(&params.0, "epoch")?
    } else {
        judge.chain().epoch(slot)
    };
    let only: Option<Slot> = if has("slot") {
        Some(param(&params.0, "slot")?)
    } else {
        None
    };
    let index: Option<u64> = if has("index") {
        Some(param(&params.0, "index")?)
    } else {
        None
    };
    let committees = judge.committees(epoch);
    let wanted = committees
        .all()
        .filter(|(slot, committee, _)| only.is_none_or(|s| s == *slot) && index.is_none_or(|i| i == committee.0));
    let list = wanted.map(|(slot, index, members)| json!({"index": index, "slot": slot, "validators": members}));
    Ok(of_state(list.collect::<Vec<_>>()))
}

// === Validators

/// The body of the POST form.
#[derive(Debug, Default, Deserialize)]
struct ValidatorsAsked {
    ids: Option<Vec<String>>,
    statuses: Option<Vec<String>>,
}

async fn validators(State(shared): Of, Path(id): Path<String>, params: Params) -> Result<Json<Value>, ApiError> {
    let asked = ValidatorsAsked {
        ids: Some(list(&params.0, "id")),
        statuses: Some(list(&params.0, "status")),
    };
    select(&shared, &id, asked)
}

async fn validators_by_body(State(shared): Of, Path(id): Path<String>, bytes: Bytes) -> Result<Json<Value>, ApiError> {
    let asked = if bytes.is_empty() {
        ValidatorsAsked::default()
    } else {
        body(&bytes)?
    };
    select(&shared, &id, asked)
}

fn select(shared: &Shared, state: &str, asked: ValidatorsAsked) -> Result<Json<Value>, ApiError> {
    let judge = shared.judge();
    check_state(&judge, state, shared.now())?;
    let chain = judge.chain();
    let statuses = asked.statuses.unwrap_or_default();
    // All validators of this chain are of one status, which two words name.
    if !statuses.is_empty() && !statuses.iter().any(|s| s == "active_ongoing" || s == "active") {
        return Ok(of_state(json!([])));
    }
    let ids = asked.ids.unwrap_or_default();
    let everyone = || {
        (0..chain.validators.len())
            .map(|n| ValidatorIndex(crate::judge::chain::number(n)))
            .collect()
    };
    let indices: Vec<ValidatorIndex> = if ids.is_empty() {
        everyone()
    } else {
        let positions: std::collections::BTreeMap<BlsPubkey, ValidatorIndex> = chain
            .validators
            .iter()
            .copied()
            .zip((0..).map(ValidatorIndex))
            .collect();
        let found: Result<Vec<_>, ApiError> = ids.iter().map(|id| find(chain, &positions, id)).collect();
        // Unknown validators are left out.
        found?.into_iter().flatten().collect()
    };
    Ok(of_state(
        indices
            .into_iter()
            .filter_map(|i| validator_json(chain, i))
            .collect::<Vec<_>>(),
    ))
}

fn find(
    chain: &ChainConfig,
    positions: &std::collections::BTreeMap<BlsPubkey, ValidatorIndex>,
    id: &str,
) -> Result<Option<ValidatorIndex>, ApiError> {
    if id.starts_with("0x") {
        let key: BlsPubkey = part(id, "validator")?;
        return Ok(positions.get(&key).copied());
    }
    let index: ValidatorIndex = part(id, "validator")?;
    Ok(chain.key(index).map(|_| index))
}

async fn validator(State(shared): Of, Path((state, id)): Path<(String, String)>) -> Result<Json<Value>, ApiError> {
    let judge = shared.judge();
    check_state(&judge, &state, shared.now())?;
    let chain = judge.chain();
    let positions = chain
        .validators
        .iter()
        .copied()
        .zip((0..).map(ValidatorIndex))
        .collect();
    let found = find(chain, &positions, &id)?.and_then(|index| validator_json(chain, index));
    found
        .map(of_state)
        .ok_or_else(|| ApiError::new(404, format!("there is no validator {id}")))
}

fn validator_json(chain: &ChainConfig, index: ValidatorIndex) -> Option<Value> {
    let key = chain.key(index)?;
    let mut credentials = Root([0x55; 32]);
    let [kind, zeros @ ..] = &mut credentials.0;
    *kind = 1;
    zeros.iter_mut().take(11).for_each(|b| *b = 0);
    Some(json!({
        "index": index,
        "balance": "32000000000",
        "status": "active_ongoing",
        "validator": {
            "pubkey": key,
            "withdrawal_credentials": credentials,
            "effective_balance": "32000000000",
            "slashed": false,
            "activation_eligibility_epoch": "0",
            "activation_epoch": "0",
            "exit_epoch": FAR_FUTURE,
            "withdrawable_epoch": FAR_FUTURE,
        },
    }))
}

// === Blocks

fn find_block<'a>(judge: &'a Judge, id: &str) -> Result<&'a ChainBlock, ApiError> {
    let epoch_start = |back: u64| {
        let epoch = judge.chain().epoch(judge.head().slot).0.saturating_sub(back);
        judge.block(judge.root_until(judge.chain().first_slot(Epoch(epoch))))
    };
    let found = match id {
        "head" => Some(judge.head()),
        "genesis" => judge.block_at(Slot(0)),
        "justified" => epoch_start(1),
        "finalized" => epoch_start(2),
        id if id.starts_with("0x") => judge.block(part(id, "block")?),
        id => judge.block_at(part(id, "block")?),
    };
    found.ok_or_else(|| ApiError::new(404, format!("there is no block {id}")))
}

fn header_json(block: &ChainBlock) -> Value {
    let (message, signature) = match &block.block {
        Some(signed) => (json!(signed.header()), json!(signed.signature())),
        None => (
            json!({
                "slot": block.slot, "proposer_index": "0", "parent_root": block.parent, "state_root": block.state_root,
                "body_root": Root::ZERO,
            }),
            json!(trireme_eth2::BlsSignature::default()),
        ),
    };
    json!({"root": block.root, "canonical": true, "header": {"message": message, "signature": signature}})
}

async fn headers(State(shared): Of, params: Params) -> Result<Json<Value>, ApiError> {
    let judge = shared.judge();
    let slot = params
        .0
        .iter()
        .find(|(key, _)| key == "slot")
        .map(|(_, value)| value.clone());
    let found = find_block(&judge, slot.as_deref().unwrap_or("head"));
    Ok(of_state(found.ok().map(header_json).into_iter().collect::<Vec<_>>()))
}

async fn one_header(State(shared): Of, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    Ok(of_state(header_json(find_block(&shared.judge(), &id)?)))
}

async fn block_root(State(shared): Of, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    Ok(of_state(json!({"root": find_block(&shared.judge(), &id)?.root})))
}

async fn block(State(shared): Of, Path(id): Path<String>, asked: HeaderMap) -> Result<Response, ApiError> {
    let signed = find_block(&shared.judge(), &id)?.block.clone();
    let signed = signed.ok_or_else(|| ApiError::new(404, "the genesis block has no content here"))?;
    let ssz = wants_ssz(&asked);
    let made = move |_: &Shared| super::validator::published_form(&signed, ssz).map(|body| (signed.fork(), body));
    let (fork, body) = shared.blocking(made).await??;
    let kind = if ssz {
        "application/octet-stream"
    } else {
        "application/json"
    };
    Ok((
        [(header::CONTENT_TYPE.as_str(), kind), (VERSION_HEADER, fork.name())],
        body,
    )
        .into_response())
}
