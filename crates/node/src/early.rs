//! The validator API before the chain is known: it says who we are, and to everything else that it is too early.
//!
//! A validator client that starts with us, or a start script that waits for `node/version`, need not wait for the
//! beacon node. The real server takes over the same listener as soon as its parts can be built.

use std::{future::Future, io};

use axum::{
    Router,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use serde_json::json;
use tokio::net::TcpListener;

/// Serves until `stop` ends, then closes its connections.
pub(crate) async fn serve(
    listener: TcpListener,
    node_version: String,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    axum::serve(listener, router(node_version))
        .with_graceful_shutdown(stop)
        .await
}

fn router(node_version: String) -> Router {
    let version = json!({"data": {"version": node_version}}).to_string();
    Router::new()
        .route(
            "/eth/v1/node/version",
            get(async move || answer(StatusCode::OK, version)),
        )
        .fallback(too_early)
}

async fn too_early() -> Response {
    let message = "the node is waiting for its beacon node";
    let status = StatusCode::SERVICE_UNAVAILABLE;
    answer(status, json!({"code": status.as_u16(), "message": message}).to_string())
}

fn answer(status: StatusCode, json: String) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], json).into_response()
}
