//! Questions about the chain: validators, committees, headers. Every state is the head's: nothing of it changes.

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    routing::get,
};
use serde::Deserialize;
use serde_json::{Value, json};
use trireme_eth2::{BlsPubkey, Epoch, Root, Slot, ValidatorIndex};

use super::{
    At,
    answer::{ApiError, Json, Params, body, list, of_state, optional, part},
};
use crate::judge::{
    chain::{ChainConfig, FAR_FUTURE},
    sight::View,
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
}

/// Whether the state that a path names exists.
fn check_state(judge: &Judge, at: &At, id: &str) -> Result<Slot, ApiError> {
    let now = at.now();
    let missing = || ApiError::new(404, format!("there is no state {id}"));
    match id {
        "head" => Ok(judge.chain().slot_at(now)),
        "genesis" | "finalized" | "justified" => Ok(Slot(0)),
        id if id.starts_with("0x") => {
            let root: Root = part(id, "state")?;
            let view = judge.view(at.door.face, now);
            let block = Some(view.head()).filter(|b| b.state_root == root);
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

async fn fork(State(at): Of, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    let judge = at.judge();
    let slot = check_state(&judge, &at, &id)?;
    let view = judge.view(at.door.face, at.now());
    let fork = view.chain().fork_at(judge.chain().epoch(slot));
    Ok(of_state(
        view.is_optimistic(),
        json!({"previous_version": fork.previous, "current_version": fork.current, "epoch": fork.since}),
    ))
}

async fn root_of_state(State(at): Of, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    let judge = at.judge();
    check_state(&judge, &at, &id)?;
    let view = judge.view(at.door.face, at.now());
    Ok(of_state(view.is_optimistic(), json!({"root": view.head().state_root})))
}

async fn finality(State(at): Of, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    let judge = at.judge();
    let slot = check_state(&judge, &at, &id)?;
    let view = judge.view(at.door.face, at.now());
    let epoch = judge.chain().epoch(slot).0;
    let checkpoint = |back: u64| {
        let epoch = Epoch(epoch.saturating_sub(back));
        let root = if epoch.0 == 0 {
            Root::ZERO
        } else {
            view.root_until(judge.chain().first_slot(epoch))
        };
        json!({"epoch": epoch, "root": root})
    };
    Ok(of_state(
        view.is_optimistic(),
        json!({
            "previous_justified": checkpoint(2), "current_justified": checkpoint(1), "finalized": checkpoint(2),
        }),
    ))
}

async fn committees(State(at): Of, Path(id): Path<String>, params: Params) -> Result<Json<Value>, ApiError> {
    let mut judge = at.judge();
    let slot = check_state(&judge, &at, &id)?;
    let epoch = optional(&params.0, "epoch")?.unwrap_or_else(|| judge.chain().epoch(slot));
    let only: Option<Slot> = optional(&params.0, "slot")?;
    let index: Option<u64> = optional(&params.0, "index")?;
    let committees = judge.committees(epoch);
    let wanted = committees
        .all()
        .filter(|(slot, committee, _)| only.is_none_or(|s| s == *slot) && index.is_none_or(|i| i == committee.0));
    let list = wanted.map(|(slot, index, members)| json!({"index": index, "slot": slot, "validators": members}));
    let view = judge.view(at.door.face, at.now());
    Ok(of_state(view.is_optimistic(), list.collect::<Vec<_>>()))
}

// === Validators

/// The body of the POST form.
#[derive(Debug, Default, Deserialize)]
struct ValidatorsAsked {
    ids: Option<Vec<String>>,
    statuses: Option<Vec<String>>,
}

async fn validators(State(at): Of, Path(id): Path<String>, params: Params) -> Result<Json<Value>, ApiError> {
    let asked = ValidatorsAsked {
        ids: Some(list(&params.0, "id")),
        statuses: Some(list(&params.0, "status")),
    };
    select(&at, &id, asked)
}

async fn validators_by_body(State(at): Of, Path(id): Path<String>, bytes: Bytes) -> Result<Json<Value>, ApiError> {
    let asked = if bytes.is_empty() {
        ValidatorsAsked::default()
    } else {
        body(&bytes)?
    };
    select(&at, &id, asked)
}

fn select(at: &At, state: &str, asked: ValidatorsAsked) -> Result<Json<Value>, ApiError> {
    let judge = at.judge();
    check_state(&judge, at, state)?;
    let view = judge.view(at.door.face, at.now());
    let (chain, optimistic) = (view.chain(), view.is_optimistic());
    let statuses = asked.statuses.unwrap_or_default();
    // All validators of this chain are of one status, which two words name.
    if !statuses.is_empty() && !statuses.iter().any(|s| s == "active_ongoing" || s == "active") {
        return Ok(of_state(optimistic, json!([])));
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
        let found: Result<Vec<_>, ApiError> = ids.iter().map(|id| find(&judge, chain, id)).collect();
        // Unknown validators are left out.
        found?.into_iter().flatten().collect()
    };
    Ok(of_state(
        optimistic,
        indices
            .into_iter()
            .filter_map(|i| validator_json(chain, i))
            .collect::<Vec<_>>(),
    ))
}

/// The validator that an id names, if the chain has it.
fn find(judge: &Judge, chain: &ChainConfig, id: &str) -> Result<Option<ValidatorIndex>, ApiError> {
    let index = if id.starts_with("0x") {
        let key: BlsPubkey = part(id, "validator")?;
        judge.index_of(&key)
    } else {
        Some(part(id, "validator")?)
    };
    Ok(index.filter(|index| chain.key(*index).is_some()))
}

async fn validator(State(at): Of, Path((state, id)): Path<(String, String)>) -> Result<Json<Value>, ApiError> {
    let judge = at.judge();
    check_state(&judge, &at, &state)?;
    let view = judge.view(at.door.face, at.now());
    let chain = view.chain();
    let found = find(&judge, chain, &id)?.and_then(|index| validator_json(chain, index));
    found
        .map(|found| of_state(view.is_optimistic(), found))
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

pub(super) fn find_block<'a>(view: &'a View<'_>, id: &str) -> Result<&'a ChainBlock, ApiError> {
    let epoch_start = |back: u64| {
        let epoch = view.chain().epoch(view.head().slot).0.saturating_sub(back);
        view.block(view.root_until(view.chain().first_slot(Epoch(epoch))))
    };
    let found = match id {
        "head" => Some(view.head()),
        "genesis" => view.block_at(Slot(0)),
        "justified" => epoch_start(1),
        "finalized" => epoch_start(2),
        id if id.starts_with("0x") => view.block(part(id, "block")?),
        id => view.block_at(part(id, "block")?),
    };
    found.ok_or_else(|| ApiError::new(404, format!("there is no block {id}")))
}

fn header_json(view: &View<'_>, block: &ChainBlock) -> Value {
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
    json!({"root": block.root, "canonical": view.is_canonical(block), "header": {"message": message, "signature": signature}})
}

/// By slot or by parent; the head if nothing is named.
async fn headers(State(at): Of, params: Params) -> Result<Json<Value>, ApiError> {
    let (slot, parent): (Option<Slot>, Option<Root>) =
        (optional(&params.0, "slot")?, optional(&params.0, "parent_root")?);
    let judge = at.judge();
    let view = judge.view(at.door.face, at.now());
    let found: Vec<_> = if slot.is_none() && parent.is_none() {
        vec![header_json(&view, view.head())]
    } else {
        let known = judge.all_blocks().filter_map(|block| view.block(block.root));
        let wanted = known.filter(|b| slot.is_none_or(|s| s == b.slot) && parent.is_none_or(|p| p == b.parent));
        wanted.map(|block| header_json(&view, block)).collect()
    };
    Ok(of_state(view.is_optimistic(), found))
}

async fn one_header(State(at): Of, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    let judge = at.judge();
    let view = judge.view(at.door.face, at.now());
    let found = header_json(&view, find_block(&view, &id)?);
    Ok(of_state(view.is_optimistic(), found))
}

async fn block_root(State(at): Of, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    let judge = at.judge();
    let view = judge.view(at.door.face, at.now());
    let root = find_block(&view, &id)?.root;
    Ok(of_state(view.is_optimistic(), json!({"root": root})))
}
