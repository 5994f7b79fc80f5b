//! What the servers for commands share: a free port, and faults on demand.
//!
//! Guarantees: a request that meets a fault has no other effect; faults are used up in the order in which they were
//! given, so a server that had one is well again afterwards.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse as _, Response},
};
use tokio::{net::TcpListener, task::JoinSet};

/// What goes wrong with one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// None: this request is served, and a later one meets the next fault.
    Pass,
    /// This status with this body.
    Status(u16, String),
    /// No answer, ever.
    Silent,
    /// The beginning of an answer, and never its end.
    Stalled,
    /// An answer without end.
    Endless,
    /// An answer that announces more than anybody has room for.
    Huge,
    /// Success, with a body that is nothing.
    Garbage,
    /// Sends whoever asks to another address.
    Elsewhere(String),
}

/// The faults that requests will meet, one each.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<VecDeque<Fault>>>);

impl Faults {
    /// The next request that has not been given a fault yet meets this one.
    pub fn then(&self, fault: Fault) {
        lock(&self.0).push_back(fault);
    }

    fn next(&self) -> Option<Fault> {
        lock(&self.0).pop_front()
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A server that listens; it stops when this is dropped.
#[derive(Debug)]
pub(crate) struct Serving {
    pub(crate) address: SocketAddr,
    _task: JoinSet<()>,
}

/// Serves on a free port of 127.0.0.1, every request through the faults first.
///
/// # Errors
/// If there is no port.
pub(crate) async fn serve(router: Router, faults: &Faults) -> std::io::Result<Serving> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let router = router.layer(from_fn_with_state(faults.clone(), door));
    let mut task = JoinSet::new();
    task.spawn(async move {
        // Ends with the test's runtime or when the server is dropped.
        let _ = axum::serve(listener, router).await;
    });
    Ok(Serving { address, _task: task })
}

/// An answer of JSON.
pub(crate) fn answer(status: StatusCode, body: &serde_json::Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

async fn door(State(faults): State<Faults>, request: Request, next: Next) -> Response {
    let Some(fault) = faults.next() else {
        return next.run(request).await;
    };
    let chunk = || Ok::<_, std::convert::Infallible>(Bytes::from_static(&[b' '; 64 * 1024]));
    match fault {
        Fault::Pass => next.run(request).await,
        Fault::Status(code, text) => {
            let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, text).into_response()
        }
        Fault::Silent => std::future::pending().await,
        Fault::Stalled => {
            use futures::StreamExt as _;
            let begun = futures::stream::once(async move { chunk() });
            Body::from_stream(begun.chain(futures::stream::pending())).into_response()
        }
        Fault::Endless => Body::from_stream(futures::stream::repeat_with(chunk)).into_response(),
        Fault::Huge => (
            [(header::CONTENT_LENGTH, "9000000000000000000")],
            Body::from_stream(futures::stream::repeat_with(chunk)),
        )
            .into_response(),
        Fault::Garbage => "<html>welcome</html>".into_response(),
        Fault::Elsewhere(to) => (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, to)]).into_response(),
    }
}
