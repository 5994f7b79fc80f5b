//! The way in through a door: what is read is counted, and the faults that need no answer take effect.
//!
//! Guarantees: a request that fails or hangs has no effect on the judge. Not here: faults of content (`sight`).

use axum::{
    extract::{Request, State},
    http::Method,
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use super::{At, answer::ApiError};
use crate::judge::faces::Manner;

/// See the module.
pub(super) async fn enter(State(at): State<At>, request: Request, next: Next) -> Response {
    let (now, path) = (at.now(), request.uri().path());
    let manner = {
        let mut judge = at.judge();
        judge.advance(now);
        if is_read(request.method(), path) {
            judge.note_read(now, at.door, request.method().as_str(), path);
        }
        judge.manner(at.door.face, now)
    };
    at.announce();
    match manner {
        Manner::Answer => next.run(request).await,
        Manner::After(wait) => {
            tokio::time::sleep(wait).await;
            next.run(request).await
        }
        Manner::Fail => ApiError::new(500, "this beacon node has a fault").into_response(),
        // Until the asker gives up: its closed connection drops this.
        Manner::Never => std::future::pending().await,
    }
}

/// Whether a request asks rather than tells; some questions are posted.
fn is_read(method: &Method, path: &str) -> bool {
    let posted = path.contains("/duties/") || path.contains("/liveness/") || path.contains("/states/");
    *method == Method::GET || (*method == Method::POST && posted)
}
