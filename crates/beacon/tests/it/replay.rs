//! A server that answers what it is told and remembers what it was asked.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{Request, Response},
};
use tokio::{net::TcpListener, task::JoinSet};
use trireme_beacon::{Client, Config, GivenTimeouts, Metrics, Timeouts};
use url::Url;

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path_and_query: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

type MakeBody = Box<dyn FnOnce() -> Body + Send>;

struct Planned {
    status: u16,
    headers: Vec<(String, String)>,
    body: MakeBody,
}

#[derive(Default)]
struct Shared {
    planned: Mutex<VecDeque<Planned>>,
    seen: Mutex<Vec<Seen>>,
}

pub(crate) struct Replay {
    address: std::net::SocketAddr,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let header = |(n, v): (&axum::http::HeaderName, &axum::http::HeaderValue)| {
        (n.to_string(), String::from_utf8_lossy(v.as_bytes()).into_owned())
    };
    shared.seen.lock().unwrap().push(Seen {
        method: parts.method.to_string(),
        path_and_query: parts.uri.to_string(),
        headers: parts.headers.iter().map(header).collect(),
        body,
    });
    let Some(planned) = shared.planned.lock().unwrap().pop_front() else {
        // Nothing planned: never answer.
        std::future::pending::<()>().await;
        unreachable!("pending never ends")
    };
    let mut response = Response::builder().status(planned.status);
    for (name, value) in planned.headers {
        response = response.header(name, value);
    }
    response.body((planned.body)()).unwrap()
}

impl Replay {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let app = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self {
            address,
            shared,
            _tasks: tasks,
        }
    }

    pub(crate) fn url(&self) -> Url {
        Url::parse(&format!("http://{}/", self.address)).unwrap()
    }

    /// The next request gets this.
    pub(crate) fn plan(&self, status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) {
        let body = body.into();
        let headers: Vec<_> = headers
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect();
        self.plan_body(status, headers, Box::new(move || Body::from(body)));
    }

    /// The next request gets a body that is made when it is asked for.
    pub(crate) fn plan_body(&self, status: u16, headers: Vec<(String, String)>, body: MakeBody) {
        self.shared
            .planned
            .lock()
            .unwrap()
            .push_back(Planned { status, headers, body });
    }

    pub(crate) fn json(&self, body: &str) {
        self.plan(200, &[("content-type", "application/json")], body.to_owned());
    }

    /// What is planned and was not asked for is dropped.
    pub(crate) fn forget(&self) {
        self.shared.planned.lock().unwrap().clear();
    }

    /// Everything that was asked since the last call.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.shared.seen.lock().unwrap())
    }
}

/// A client of a server, with limits that no working test reaches.
pub(crate) fn client(server: &Replay) -> Client {
    client_with(server, Duration::from_secs(30))
}

pub(crate) fn client_with(server: &Replay, limit: Duration) -> Client {
    Client::new(&config(&server.url(), limit), Metrics::default()).unwrap()
}

/// Every request may take this long; in slots of a year no class's own limit is shorter.
pub(crate) fn config(url: &Url, limit: Duration) -> Config {
    let given = GivenTimeouts {
        read: Some(limit),
        submit: Some(limit),
    };
    Config {
        url: url.clone(),
        headers: Vec::new(),
        certificates: Vec::new(),
        timeouts: Timeouts::of_slot(Duration::from_secs(365 * 86_400), true, given),
        refuse_optimistic: true,
    }
}
