//! `/debug/consensus` on an address of its own: what the peers and we said to each other, for whoever looks for a defect.
//!
//! Not here: recording it.

use std::{future::Future, io, io::Write as _, sync::Arc};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use flate2::{Compression, write::GzEncoder};
use tokio::net::TcpListener;

use crate::http;

/// What the debug address serves.
#[derive(Clone)]
pub struct Debug {
    /// The recorded consensus instances as protobuf. Called on a thread that may be kept busy.
    pub consensus: Arc<dyn Fn() -> Vec<u8> + Send + Sync>,
}

impl Debug {
    /// Serves until `stop` ends, then finishes the requests under way.
    ///
    /// # Errors
    ///
    /// If the listener breaks.
    pub async fn serve(self, listener: TcpListener, stop: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        http::serve(listener, self.router(), stop).await
    }

    fn router(self) -> Router {
        Router::new().route("/debug/consensus", get(consensus)).with_state(self)
    }
}

async fn consensus(State(debug): State<Debug>) -> Response {
    let packed = tokio::task::spawn_blocking(move || {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(&(debug.consensus)())?;
        gzip.finish()
    });
    match packed.await {
        Ok(Ok(bytes)) => (
            [
                (header::CONTENT_TYPE, "application/octet-stream"),
                (
                    header::CONTENT_DISPOSITION,
                    "attachment; filename=\"consensus_messages.pb.gz\"",
                ),
            ],
            bytes,
        )
            .into_response(),
        Ok(Err(_)) | Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "the messages could not be packed").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use axum::{body::Body, http::Request};
    use tower::ServiceExt as _;

    use super::*;

    fn debug() -> Router {
        let consensus = Arc::new(|| b"instances".to_vec());
        Debug { consensus }.router()
    }

    #[tokio::test]
    async fn instances_come_packed_with_the_name_of_a_file() {
        let request = Request::get("/debug/consensus").body(Body::empty()).unwrap();
        let answer = debug().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let name = answer.headers()[header::CONTENT_DISPOSITION]
            .to_str()
            .unwrap()
            .to_owned();
        assert!(name.contains("consensus_messages.pb.gz"), "{name}");
        let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        let mut plain = String::new();
        flate2::read::GzDecoder::new(&body[..])
            .read_to_string(&mut plain)
            .unwrap();
        assert_eq!(plain, "instances");
    }

    #[tokio::test]
    async fn there_is_nothing_else() {
        for path in ["/", "/debug/pprof/", "/metrics"] {
            let request = Request::get(path).body(Body::empty()).unwrap();
            assert_eq!(debug().oneshot(request).await.unwrap().status(), StatusCode::NOT_FOUND);
        }
    }
}
