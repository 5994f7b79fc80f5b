//! `/metrics`, `/livez` and `/readyz` on a listener that somebody else bound.

use std::{future::Future, io, sync::Arc};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::net::TcpListener;

use crate::{
    health::Readiness,
    http,
    metrics::{PROMETHEUS, SharedRegistry, exposition},
};

/// What the monitoring address serves.
#[derive(Clone)]
pub struct Monitoring {
    /// The metrics.
    pub registry: SharedRegistry,
    /// Tells the state of the last check.
    pub readiness: Arc<dyn Fn() -> Readiness + Send + Sync>,
}

impl Monitoring {
    /// Serves until `stop` ends, then finishes the requests under way.
    ///
    /// # Errors
    ///
    /// If the listener breaks.
    pub async fn serve(self, listener: TcpListener, stop: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        http::serve(listener, self.router(), stop).await
    }

    fn router(self) -> Router {
        Router::new()
            .route("/metrics", get(metrics))
            .route("/livez", get(async || "ok"))
            .route("/readyz", get(readyz))
            .with_state(self)
    }
}

async fn metrics(State(monitoring): State<Monitoring>) -> Response {
    match exposition(&monitoring.registry) {
        Ok(text) => ([(header::CONTENT_TYPE, PROMETHEUS)], text).into_response(),
        Err(e) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("a metric cannot be written: {e}"),
        )
            .into_response(),
    }
}

async fn readyz(State(monitoring): State<Monitoring>) -> Response {
    let state = (monitoring.readiness)();
    let status = if state == Readiness::Ready {
        StatusCode::OK
    } else {
        StatusCode::INTERNAL_SERVER_ERROR
    };
    (status, state.text()).into_response()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use axum::{body::Body, http::Request};
    use prometheus_client::registry::Registry;
    use tower::ServiceExt;

    use super::*;

    async fn get(state: Readiness, path: &str) -> (StatusCode, String, Option<String>) {
        let monitoring = Monitoring {
            registry: Arc::new(Mutex::new(Registry::default())),
            readiness: Arc::new(move || state),
        };
        let request = Request::get(path).body(Body::empty()).unwrap();
        let answer = monitoring.router().oneshot(request).await.unwrap();
        let kind = answer
            .headers()
            .get(header::CONTENT_TYPE)
            .map(|v| v.to_str().unwrap().to_owned());
        let status = answer.status();
        let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap(), kind)
    }

    #[tokio::test]
    async fn livez_is_always_ok() {
        let (status, body, _) = get(Readiness::BeaconNodeDown, "/livez").await;
        assert_eq!((status, body.as_str()), (StatusCode::OK, "ok"));
    }

    #[tokio::test]
    async fn readyz_tells_the_reason_with_500() {
        let (status, body, _) = get(Readiness::Ready, "/readyz").await;
        assert_eq!((status, body.as_str()), (StatusCode::OK, "ok"));
        let (status, body, _) = get(Readiness::BeaconNodeDown, "/readyz").await;
        assert_eq!(
            (status, body.as_str()),
            (StatusCode::INTERNAL_SERVER_ERROR, "beacon node down")
        );
    }

    #[tokio::test]
    async fn metrics_are_prometheus_text_and_unknown_paths_are_404() {
        let (status, body, kind) = get(Readiness::Ready, "/metrics").await;
        assert_eq!((status, body.as_str()), (StatusCode::OK, ""));
        assert_eq!(kind.as_deref(), Some(PROMETHEUS));
        assert_eq!(get(Readiness::Ready, "/nothing").await.0, StatusCode::NOT_FOUND);
    }
}
