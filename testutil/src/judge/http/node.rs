//! About the node itself and the chain's constants.

use axum::{Router, extract::State, http::StatusCode, routing::get};
use serde_json::{Value, json};

use super::{
    At,
    answer::{Json, data},
};
use crate::judge::spec;

type Of = State<At>;

pub(super) fn routes() -> Router<At> {
    Router::new()
        .route(
            "/eth/v1/node/version",
            get(|| async { data(json!({"version": "trireme-judge/v1.0.0"})) }),
        )
        .route("/eth/v1/node/syncing", get(syncing))
        .route("/eth/v1/node/health", get(health))
        .route("/eth/v1/node/peer_count", get(peer_count))
        .route("/eth/v1/node/identity", get(identity))
        .route("/eth/v1/config/spec", get(constants))
        .route("/eth/v1/config/fork_schedule", get(fork_schedule))
        .route("/eth/v1/config/deposit_contract", get(deposit_contract))
        .route("/eth/v1/beacon/genesis", get(genesis))
}

async fn syncing(State(at): Of) -> Json<Value> {
    data(at.judge().view(at.door.face, at.now()).syncing())
}

/// 206 while it is syncing.
async fn health(State(at): Of) -> StatusCode {
    if at.judge().view(at.door.face, at.now()).is_behind() {
        StatusCode::PARTIAL_CONTENT
    } else {
        StatusCode::OK
    }
}

async fn constants(State(at): Of) -> Json<Value> {
    let judge = at.judge();
    let view = judge.view(at.door.face, at.now());
    data(spec::spec(view.chain(), judge.config().epochs_per_sync_period))
}

async fn fork_schedule(State(at): Of) -> Json<Value> {
    data(spec::fork_schedule(at.judge().view(at.door.face, at.now()).chain()))
}

async fn peer_count() -> Json<Value> {
    data(json!({"disconnected": "0", "connecting": "0", "connected": "8", "disconnecting": "0"}))
}

async fn identity() -> Json<Value> {
    data(json!({
        "peer_id": "16Uiu2HAm4QjuPEZsNMrZK5zVvKMZr9vGdVKvXQAnZ2XrNvuGZ8mk",
        "enr": "enr:-",
        "p2p_addresses": ["/ip4/127.0.0.1/tcp/9000"],
        "discovery_addresses": [],
        "metadata": {"seq_number": "1", "attnets": "0x0000000000000000", "syncnets": "0x00"},
    }))
}

async fn deposit_contract(State(at): Of) -> Json<Value> {
    let judge = at.judge();
    let chain_id = judge.view(at.door.face, at.now()).chain().deposit_chain_id.to_string();
    data(json!({"chain_id": chain_id, "address": "0x00000000219ab540356cbb839cbe05303d7705fa"}))
}

async fn genesis(State(at): Of) -> Json<Value> {
    let judge = at.judge();
    let view = judge.view(at.door.face, at.now());
    let chain = view.chain();
    let version = chain.forks.first().map(|(_, version, _)| *version).unwrap_or_default();
    data(json!({
        "genesis_time": chain.genesis_time.as_secs().to_string(),
        "genesis_validators_root": chain.genesis_validators_root,
        "genesis_fork_version": version,
    }))
}
