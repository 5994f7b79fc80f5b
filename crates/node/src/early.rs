//! The validator API before the chain is known: it says who we are, and to everything else that it is too early.
//!
//! A validator client that starts with us, or a start script that waits for `node/version`, need not wait for the
//! beacon node. The real server takes over the same listener as soon as its parts can be built.

use std::{future::Future, io};

use axum::{
    Json, Router,
    http::StatusCode,
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
    axum::serve(listener, router(node_version)).with_graceful_shutdown(stop).await
}

fn router(node_version: String) -> Router {
    let version = json!({"data": {"version": node_version}});
    Router::new()
        .route("/eth/v1/node/version", get(async move || Json(version)))
        .fallback(too_early)
}

async fn too_early() -> Response {
    let message = "the node is waiting for its beacon node";
    let body = json!({"code": StatusCode::SERVICE_UNAVAILABLE.as_u16(), "message": message});
    (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
}
