//! About the node itself and the chain's constants.

use axum::{Router, extract::State, routing::get};
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
        .route("/eth/v1/node/health", get(|| async {}))
        .route("/eth/v1/node/peer_count", get(peer_count))
        .route("/eth/v1/node/identity", get(identity))
        .route(
            "/eth/v1/config/spec",
            get(|State(s): Of| async move { data(spec::spec(s.judge().chain())) }),
        )
        .route(
            "/eth/v1/config/fork_schedule",
            get(|State(s): Of| async move { data(spec::fork_schedule(s.judge().chain())) }),
        )
        .route("/eth/v1/config/deposit_contract", get(deposit_contract))
        .route("/eth/v1/beacon/genesis", get(genesis))
}

/// In sync: it is the only node of its chain. A chain of empty slots has nothing to catch up with.
async fn syncing(State(shared): Of) -> Json<Value> {
    let slot = shared.judge().chain().slot_at(shared.now());
    data(json!({
        "head_slot": slot, "sync_distance": "0", "is_syncing": false, "is_optimistic": false, "el_offline": false,
    }))
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

async fn deposit_contract(State(shared): Of) -> Json<Value> {
    let chain_id = shared.judge().chain().deposit_chain_id.to_string();
    data(json!({"chain_id": chain_id, "address": "0x00000000219ab540356cbb839cbe05303d7705fa"}))
}

async fn genesis(State(shared): Of) -> Json<Value> {
    let judge = shared.judge();
    let chain = judge.chain();
    let version = chain.forks.first().map(|(_, version, _)| *version).unwrap_or_default();
    data(json!({
        "genesis_time": chain.genesis_time.as_secs().to_string(),
        "genesis_validators_root": chain.genesis_validators_root,
        "genesis_fork_version": version,
    }))
}
