//! The judge's HTTP face: the part of the beacon API that a middleware and its validator clients use.
//!
//! Each face and asker has a port of its own (`door`).
//! Guarantees: what is not built answers 404; unknown event topics are ignored; signatures are verified off the async
//! executor and each distinct one once, so that the judge does not distort measurements. The arrival of a submission
//! is the time when its body was read.
//! Not here: what is right and wrong (`state`).

mod answer;
mod blocks;
mod chain;
mod door;
mod duties;
mod events;
mod node;
mod submissions;
mod validator;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, OriginalUri, State},
    http::Method,
    routing::get,
};
use tokio::{net::TcpListener, sync::broadcast, task::JoinSet};
use trireme_eth2::{Fork, VersionedSignedProposal};

use super::{
    events::ChainEvent,
    reads::Door,
    signing::{Claim, Verifier},
    state::Judge,
    view::BlockView,
};
use answer::ApiError;

/// Largest accepted body: a block with many blobs as JSON.
const MAX_BODY: usize = 64 * 1024 * 1024;
/// Events kept for a slow reader.
const EVENTS: usize = 256;

/// Where the judge's time comes from: the time since 1970.
pub type Now = Arc<dyn Fn() -> Duration + Send + Sync>;

/// The wall clock, for real clusters.
#[must_use]
pub fn wall_clock() -> Now {
    #[expect(clippy::disallowed_methods, reason = "this is the judge's clock")]
    let now = || {
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default()
    };
    Arc::new(now)
}

/// The judge could not listen.
#[derive(Debug, thiserror::Error)]
#[error("the judge cannot listen on 127.0.0.1: {0}")]
pub struct ServerError(#[from] std::io::Error);

/// A judge that listens; it stops when this is dropped.
#[derive(Debug)]
pub struct Server {
    addresses: BTreeMap<Door, SocketAddr>,
    address: SocketAddr,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

/// What the handlers share.
pub(super) struct Shared {
    judge: Mutex<Judge>,
    now: Now,
    verifier: Verifier,
    heads: broadcast::Sender<Arc<ChainEvent>>,
    unknown: Mutex<BTreeMap<String, u64>>,
    newest: tokio::sync::Mutex<Option<ReadBlock>>,
}

/// What a handler knows: the judge, and through which door it is asked.
#[derive(Clone)]
pub(super) struct At {
    shared: Arc<Shared>,
    door: Door,
}

impl std::ops::Deref for At {
    type Target = Arc<Shared>;

    fn deref(&self) -> &Arc<Shared> {
        &self.shared
    }
}

/// The block that came last, read and looked at: every node sends the same.
struct ReadBlock {
    body: Bytes,
    form: (Fork, bool, bool),
    block: (Arc<VersionedSignedProposal>, BlockView),
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Server {
    /// Listens on a free port of 127.0.0.1 for each face.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub async fn start(judge: Judge, now: Now) -> Result<Self, ServerError> {
        Self::start_for(judge, now, 1).await
    }

    /// Listens on a free port of 127.0.0.1 for each face and asker, so that it can tell who asks.
    ///
    /// # Errors
    ///
    /// If there are none left.
    pub async fn start_for(judge: Judge, now: Now, askers: usize) -> Result<Self, ServerError> {
        let faces = judge.config().faces.max(1);
        let doors = (0..faces).flat_map(|face| (0..askers.max(1)).map(move |asker| Door { face, asker }));
        let (heads, _) = broadcast::channel(EVENTS);
        let shared = Arc::new(Shared {
            judge: Mutex::new(judge),
            now,
            verifier: Verifier::default(),
            heads,
            unknown: Mutex::default(),
            newest: tokio::sync::Mutex::default(),
        });
        let (mut tasks, mut addresses) = (JoinSet::new(), BTreeMap::new());
        for door in doors {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
            addresses.insert(door, listener.local_addr()?);
            let app = routes(&At {
                shared: Arc::clone(&shared),
                door,
            });
            tasks.spawn(async move {
                // Ends with an error only if accepting is no longer possible; then every client notices.
                let _ = axum::serve(listener, app).await;
            });
        }
        if shared.judge().has_plans() {
            tasks.spawn(follow_plans(Arc::clone(&shared)));
        }
        let address = addresses.values().next().copied();
        Ok(Self {
            address: address.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::AddrNotAvailable))?,
            addresses,
            shared,
            _tasks: tasks,
        })
    }

    /// The base URL of a face for one asker; `None` if there is no such door.
    #[must_use]
    pub fn url_of(&self, door: Door) -> Option<String> {
        self.addresses.get(&door).map(|address| format!("http://{address}"))
    }

    /// Where the first face listens for the first asker.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base URL of that.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Looks into the judge, or changes it.
    pub fn with<T>(&self, look: impl FnOnce(&mut Judge) -> T) -> T {
        look(&mut self.shared.judge())
    }

    /// The judge's time.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.shared.now()
    }

    /// Requests for paths that the judge does not have, `METHOD path` with their number.
    #[must_use]
    pub fn unknown_requests(&self) -> BTreeMap<String, u64> {
        self.shared
            .unknown
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Shared {
    pub(super) fn judge(&self) -> MutexGuard<'_, Judge> {
        self.judge.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> Duration {
        (self.now)()
    }

    pub(super) fn subscribe(&self) -> broadcast::Receiver<Arc<ChainEvent>> {
        self.heads.subscribe()
    }

    /// Tells listeners what has happened.
    pub(super) fn announce(&self) {
        let events = self.judge().take_events();
        for event in events {
            // Nobody listening is fine.
            let _ = self.heads.send(Arc::new(event));
        }
    }

    /// Which of the claims hold.
    pub(super) async fn verify(self: &Arc<Self>, claims: Vec<Claim>) -> Result<Vec<bool>, ApiError> {
        if let Some(known) = self.verifier.recall(&claims) {
            return Ok(known);
        }
        self.blocking(move |shared| shared.verifier.verify(&claims)).await
    }

    /// Reads a block and looks at it, the same bytes once.
    pub(super) async fn read_once(
        self: &Arc<Self>,
        fork: Fork,
        blinded: bool,
        ssz: bool,
        body: Bytes,
    ) -> Result<Result<(Arc<VersionedSignedProposal>, BlockView), ApiError>, ApiError> {
        let mut newest = self.newest.lock().await;
        let form = (fork, blinded, ssz);
        if let Some(known) = newest.as_ref().filter(|k| k.form == form && k.body == body) {
            return Ok(Ok(known.block.clone()));
        }
        let bytes = body.clone();
        let read = move |_: &Self| {
            let signed = blocks::read_block(fork, blinded, ssz, &bytes)?;
            let view = BlockView::of(&signed);
            Ok((Arc::new(signed), view))
        };
        let read = self.blocking(read).await?;
        if let Ok(block) = &read {
            *newest = Some(ReadBlock {
                body,
                form,
                block: block.clone(),
            });
        }
        Ok(read)
    }

    /// Runs something that takes milliseconds where it blocks nobody.
    pub(super) async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let shared = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || work(&shared)).await;
        done.map_err(|e| ApiError::new(500, format!("the judge has a fault: {e}")))
    }
}

fn routes(at: &At) -> Router {
    let routes = Router::new()
        .merge(node::routes())
        .merge(chain::routes())
        .merge(blocks::routes())
        .merge(duties::routes())
        .merge(validator::routes())
        .merge(submissions::routes())
        .route("/eth/v1/events", get(events::events))
        .route("/up", get(|| async {}))
        .fallback(unknown)
        .layer(DefaultBodyLimit::max(MAX_BODY));
    routes
        .layer(axum::middleware::from_fn_with_state(at.clone(), door::enter))
        .with_state(at.clone())
}

/// Lets happen what is planned, also when nobody asks, and finds out who is selected before the report wants to know.
async fn follow_plans(shared: Arc<Shared>) {
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    loop {
        tick.tick().await;
        let work = |shared: &Shared| {
            let now = shared.now();
            let mut judge = shared.judge();
            judge.advance(now);
            let slot = judge.chain().slot_at(now);
            judge.prepare_selections(slot);
            drop(judge);
            shared.announce();
        };
        // A fault of the judge shows in the next answer.
        let _ = shared.blocking(work).await;
    }
}

async fn unknown(State(shared): State<At>, method: Method, OriginalUri(uri): OriginalUri) -> ApiError {
    let asked = format!("{method} {}", uri.path());
    let mut unknown = shared.unknown.lock().unwrap_or_else(PoisonError::into_inner);
    // A client that walks over numbers must not fill the memory.
    if unknown.len() < 1000 || unknown.contains_key(&asked) {
        let count = unknown.entry(asked.clone()).or_default();
        *count = count.saturating_add(1);
    }
    ApiError::new(404, format!("{asked}: this beacon node does not have it"))
}
