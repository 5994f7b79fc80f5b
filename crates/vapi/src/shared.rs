//! Answers of the beacon node that every validator client asks for again and again, given to many for one question.
//!
//! Guarantees: at most one question per path is under way; an answer about the head is at most [`Shared::fresh`] old and
//! never older than the last head that the node has heard of; only good answers are given twice; memory is bounded by
//! the list of paths. The root of the head, which sync committee members sign, comes from a beacon node that says that it
//! has verified it, as long as there is one (VC-61); otherwise the answer says so itself.
//! Not here: questions whose answer depends on who asks, or on parameters.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures::{
    FutureExt as _,
    future::{BoxFuture, Shared as Flight},
};
use http::{HeaderMap, Method, StatusCode, header};
use prometheus_client::metrics::counter::Counter;
use serde::{Deserialize, Serialize};
use tokio::{sync::broadcast, time::Instant};
use trireme_eth2::{ChainEvent, Root};

use crate::{
    accept::{Encoding, prefers_ssz},
    behind::Behind,
    limits,
    proxy::{NoneAnswered, Passed},
};

/// How long what never changes is kept. A beacon node may be replaced by one with a newer spec.
const STATIC: Duration = Duration::from_secs(60);
/// Longest time that an answer about the head is kept.
const HEAD: Duration = Duration::from_secs(1);

/// What an answer depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Static,
    Head,
    /// As [`Kind::Head`], and verified.
    Root,
}

/// The paths whose answers are shared.
const PATHS: [(&str, Kind); 13] = [
    ("/eth/v1/beacon/genesis", Kind::Static),
    ("/eth/v1/config/spec", Kind::Static),
    ("/eth/v1/config/fork_schedule", Kind::Static),
    ("/eth/v1/config/deposit_contract", Kind::Static),
    ("/eth/v2/node/version", Kind::Static),
    ("/eth/v1/beacon/blocks/head/root", Kind::Root),
    ("/eth/v1/beacon/headers/head", Kind::Head),
    ("/eth/v1/beacon/headers", Kind::Head),
    ("/eth/v1/beacon/states/head/fork", Kind::Head),
    ("/eth/v1/beacon/states/head/finality_checkpoints", Kind::Head),
    ("/eth/v1/node/syncing", Kind::Head),
    ("/eth/v1/node/health", Kind::Head),
    ("/eth/v1/node/peer_count", Kind::Head),
];

/// An answer that has been read.
#[derive(Debug)]
struct Whole {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

type Asking = Flight<BoxFuture<'static, Result<Arc<Whole>, NoneAnswered>>>;

struct Entry {
    asking: Asking,
    began: Instant,
    kind: Kind,
}

struct State {
    entries: BTreeMap<&'static str, Entry>,
    events: broadcast::Receiver<ChainEvent>,
}

/// See the module's description.
pub(crate) struct Shared {
    state: Mutex<State>,
    /// How old an answer about the head may be.
    fresh: Duration,
    unverified: Unverified,
}

/// Heads that no beacon node would say to be verified.
#[derive(Debug, Clone)]
struct Unverified {
    count: Counter,
    /// Whether the last answer was one, so that the log says it once.
    now: Arc<AtomicBool>,
}

impl Unverified {
    fn is(&self, unverified: bool) {
        if unverified {
            self.count.inc();
        }
        if unverified && !self.now.swap(unverified, Ordering::Relaxed) {
            tracing::warn!(
                topic = "vapi",
                "No beacon node says that its head is verified; sync committee members must not sign it"
            );
        }
        self.now.store(unverified, Ordering::Relaxed);
    }
}

/// The root of the head as the beacon API tells it.
#[derive(Serialize, Deserialize)]
struct HeadRoot {
    execution_optimistic: Option<bool>,
    #[serde(default)]
    finalized: bool,
    data: RootOnly,
}

#[derive(Serialize, Deserialize)]
struct RootOnly {
    root: Root,
}

impl Shared {
    /// `events` tells of new heads; slots are `slot` long; `unverified` counts heads that nobody says to be verified.
    pub(crate) fn new(events: broadcast::Receiver<ChainEvent>, slot: Duration, unverified: Counter) -> Self {
        let entries = BTreeMap::new();
        Self {
            state: Mutex::new(State { entries, events }),
            fresh: HEAD.min(slot.checked_div(8).unwrap_or_default()),
            unverified: Unverified {
                count: unverified,
                now: Arc::default(),
            },
        }
    }

    /// The answer, if this is a question whose answers are shared.
    pub(crate) async fn answer(&self, behind: &Arc<Behind>, asked: &Passed) -> Option<Result<Response, NoneAnswered>> {
        let (path, kind) = *PATHS.iter().find(|(path, _)| *path == asked.path_and_query)?;
        if asked.method != Method::GET || !asked.body.is_empty() {
            return None;
        }
        // A root has no other form than JSON.
        if prefers_ssz(&asked.headers) && kind != Kind::Root {
            return None;
        }
        let asking = self.asking(behind, path, kind);
        Some(asking.await.map(|whole| whole.response()))
    }

    fn asking(&self, behind: &Arc<Behind>, path: &'static str, kind: Kind) -> Asking {
        let mut state = self.state();
        if let Some(entry) = state.entries.get(path)
            && self.is_good(entry)
        {
            return entry.asking.clone();
        }
        let behind = Arc::clone(behind);
        let asking = match kind {
            Kind::Static | Kind::Head => ask(behind, path).boxed().shared(),
            Kind::Root => head_root(behind, path, self.unverified.clone()).boxed().shared(),
        };
        let entry = Entry {
            asking: asking.clone(),
            began: Instant::now(),
            kind,
        };
        state.entries.insert(path, entry);
        asking
    }

    fn is_good(&self, entry: &Entry) -> bool {
        let limit = match entry.kind {
            Kind::Static => STATIC,
            Kind::Head | Kind::Root => self.fresh,
        };
        match entry.asking.peek() {
            None => entry.began.elapsed() < limits::HANDLER_DEADLINE,
            Some(Ok(whole)) => whole.status.is_success() && entry.began.elapsed() < limit,
            Some(Err(_)) => false,
        }
    }

    /// The state, without what a new head made old.
    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match state.events.try_recv() {
                Ok(_) | Err(broadcast::error::TryRecvError::Lagged(_)) => {
                    state.entries.retain(|_, entry| entry.kind == Kind::Static);
                }
                Err(broadcast::error::TryRecvError::Empty | broadcast::error::TryRecvError::Closed) => return state,
            }
        }
    }
}

/// A root that may be signed, or what the beacon nodes say of theirs.
async fn head_root(
    behind: Arc<Behind>,
    path: &'static str,
    unverified: Unverified,
) -> Result<Arc<Whole>, NoneAnswered> {
    let verified = behind.api.verified_head().await.ok().and_then(|root| {
        let said = HeadRoot {
            execution_optimistic: Some(false),
            finalized: false,
            data: RootOnly { root },
        };
        serde_json::to_vec(&said).ok()
    });
    if let Some(body) = verified {
        unverified.is(false);
        return Ok(Arc::new(Whole {
            status: StatusCode::OK,
            headers: HeaderMap::from_iter([(header::CONTENT_TYPE, Encoding::Json.header())]),
            body: body.into(),
        }));
    }
    let whole = ask(behind, path).await?;
    let said = serde_json::from_slice::<HeadRoot>(&whole.body);
    unverified.is(said.is_ok_and(|said| said.execution_optimistic != Some(false)));
    Ok(whole)
}

/// Asks in our own name: an answer for many must not depend on the headers of one.
async fn ask(behind: Arc<Behind>, path: &'static str) -> Result<Arc<Whole>, NoneAnswered> {
    let passed = Passed {
        method: Method::GET,
        path_and_query: path.to_owned(),
        headers: HeaderMap::from_iter([(header::ACCEPT, Encoding::Json.header())]),
        body: Bytes::new(),
    };
    let (parts, body) = behind.proxy.pass(&passed).await?.into_parts();
    let body = axum::body::to_bytes(body, limits::MAX_READ_ANSWER)
        .await
        .map_err(|e| NoneAnswered::of(vec![format!("the answer to {path} cannot be read: {e}")]))?;
    let mut headers = parts.headers;
    headers.remove(header::CONTENT_LENGTH);
    Ok(Arc::new(Whole {
        status: parts.status,
        headers,
        body,
    }))
}

impl Whole {
    fn response(&self) -> Response {
        let mut response = Response::new(Body::from(self.body.clone()));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers.clone();
        response
    }
}
