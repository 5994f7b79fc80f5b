//! A beacon node that answers with nonsense, in front of one that does not.
//!
//! What a node needs to begin goes through as it is: what the beacon node is, its chain, the validators, the events. Of all
//! other answers half are something else: an error, bytes, or the true answer with random values in it. Submissions are
//! taken and go nowhere.
//!
//! Guarantees: one seed gives one sequence of choices; a body is read only up to [`MOST`].
//! Not here: true answers (`http`).

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Method, Request, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Number, Value};
use tokio::{net::TcpListener, task::JoinSet};

use super::ServerError;

/// Largest body that is read.
const MOST: usize = 64 * 1024 * 1024;
/// Of so many values of a garbled answer one is another.
const VALUES: u64 = 6;

/// It stops when this is dropped.
#[derive(Debug)]
pub struct Garbler {
    address: SocketAddr,
    _tasks: JoinSet<()>,
}

struct Shared {
    behind: String,
    client: reqwest::Client,
    random: Mutex<StdRng>,
}

impl Garbler {
    /// Listens on a free port of 127.0.0.1, in front of the beacon node at this base URL.
    ///
    /// # Errors
    ///
    /// If there is no port.
    pub async fn start(behind: String, seed: u64) -> Result<Self, ServerError> {
        // An error means that a provider is there already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let shared = Arc::new(Shared {
            behind,
            client: reqwest::Client::new(),
            random: Mutex::new(StdRng::seed_from_u64(seed)),
        });
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let app = Router::new().fallback(serve).with_state(shared);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            // Ends with an error only if accepting is no longer possible; then every client notices.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self { address, _tasks: tasks })
    }

    /// Its base URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// Whether the answer must be true: without it a node does not begin.
fn must_be_true(path: &str) -> bool {
    let (path, _) = path.split_once('?').unwrap_or((path, ""));
    let about_the_node = ["/eth/v1/node/", "/eth/v2/node/", "/eth/v1/config/", "/eth/v1/events"];
    about_the_node.iter().any(|start| path.starts_with(start))
        || path == "/eth/v1/beacon/genesis"
        || path.ends_with("/validators")
}

fn is_submission(method: &Method, path: &str) -> bool {
    let asks = ["/duties/", "/states/", "/liveness/"];
    method == Method::POST && !asks.iter().any(|part| path.contains(part))
}

async fn serve(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |p| p.as_str()).to_owned();
    let Ok(body) = axum::body::to_bytes(body, MOST).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    if is_submission(&parts.method, &path) {
        return StatusCode::OK.into_response();
    }
    let genuine = must_be_true(&path);
    let Ok(answer) = shared.ask(parts.method, &path, &parts.headers, body, genuine).await else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    let status = StatusCode::from_u16(answer.status().as_u16()).unwrap_or(StatusCode::BAD_GATEWAY);
    let kind = answer.headers().get(header::CONTENT_TYPE).cloned();
    let mut response = if genuine {
        Response::new(Body::from_stream(answer.bytes_stream()))
    } else {
        let Ok(body) = answer.bytes().await else {
            return StatusCode::BAD_GATEWAY.into_response();
        };
        let (status, body) = shared.garbled(status, &body);
        (status, body).into_response()
    };
    if genuine {
        *response.status_mut() = status;
    }
    if let Some(kind) = kind {
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    response
}

impl Shared {
    /// Asks the true one; for what may be garbled in JSON.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &HeaderMap,
        body: Bytes,
        genuine: bool,
    ) -> Result<reqwest::Response, reqwest::Error> {
        let mut request = self.client.request(method, format!("{}{path}", self.behind));
        if let Some(kind) = headers.get(header::CONTENT_TYPE) {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        if let (true, Some(accepted)) = (genuine, headers.get(header::ACCEPT)) {
            request = request.header(header::ACCEPT, accepted);
        }
        request.body(body).send().await
    }

    fn random(&self) -> MutexGuard<'_, StdRng> {
        self.random.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn garbled(&self, status: StatusCode, body: &[u8]) -> (StatusCode, Vec<u8>) {
        let random = &mut *self.random();
        match below(random, 8) {
            0..4 => (status, body.to_vec()),
            4 => (
                StatusCode::INTERNAL_SERVER_ERROR,
                br#"{"code":500,"message":"nonsense"}"#.to_vec(),
            ),
            5 => {
                let mut bytes = vec![0; 64];
                random.fill_bytes(&mut bytes);
                (status, bytes)
            }
            _ => match serde_json::from_slice::<Value>(body) {
                Ok(mut value) => {
                    garble(&mut value, random);
                    (status, value.to_string().into_bytes())
                }
                Err(_) => (status, Vec::new()),
            },
        }
    }
}

/// A number below `end`, or 0.
fn below(random: &mut StdRng, end: u64) -> u64 {
    random.next_u64().checked_rem(end).unwrap_or_default()
}

/// Replaces some values by others of their form.
fn garble(value: &mut Value, random: &mut StdRng) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(|v| garble(v, random)),
        Value::Object(map) => map.values_mut().for_each(|v| garble(v, random)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) if below(random, VALUES) != 0 => {}
        Value::Null => *value = Value::Bool(true),
        Value::Bool(flag) => *flag = !*flag,
        Value::Number(number) => *number = Number::from(random.next_u64()),
        Value::String(text) => *text = other(text, random),
    }
}

fn other(text: &str, random: &mut StdRng) -> String {
    if let Some(digits) = text.strip_prefix("0x") {
        let digit = |_| char::from_digit(u32::try_from(below(random, 16)).unwrap_or_default(), 16).unwrap_or('0');
        return format!("0x{}", digits.chars().map(digit).collect::<String>());
    }
    match text.parse::<u64>() {
        // One that is near may be believed.
        Ok(number) if below(random, 2) == 0 => number.wrapping_add(below(random, 3)).wrapping_sub(1).to_string(),
        Ok(_) => random.next_u64().to_string(),
        Err(_) => "nonsense".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_node_needs_to_begin_is_true_and_the_rest_is_not() {
        for path in [
            "/eth/v1/node/syncing",
            "/eth/v1/config/spec",
            "/eth/v1/beacon/genesis",
            "/eth/v1/events?topics=head",
            "/eth/v1/beacon/states/head/validators",
        ] {
            assert!(must_be_true(path), "{path}");
        }
        assert!(!must_be_true("/eth/v1/validator/attestation_data?slot=1"));
        assert!(is_submission(&Method::POST, "/eth/v2/beacon/blocks"));
        assert!(!is_submission(&Method::POST, "/eth/v1/validator/duties/sync/1"));
    }

    #[test]
    fn garbled_values_keep_their_form() {
        let answer = json!({"data": [{"slot": "7", "root": "0x00ff", "flag": false, "n": 3}, null]});
        let mut random = StdRng::seed_from_u64(1);
        let mut changed = 0;
        for _ in 0..200 {
            let mut value = answer.clone();
            garble(&mut value, &mut random);
            changed += usize::from(value != answer);
            let first = &value["data"][0];
            assert_eq!(first["root"].as_str().unwrap().len(), 6);
            assert!(first["slot"].as_str().unwrap().parse::<u64>().is_ok());
            assert!(first["flag"].is_boolean() && first["n"].is_u64());
        }
        assert!((50..200).contains(&changed), "{changed}");
    }

    #[tokio::test]
    async fn half_of_the_answers_are_something_else_and_submissions_go_nowhere() {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        let app = Router::new().fallback(move |method: Method, uri: axum::http::Uri| {
            seen.lock().unwrap().push(format!("{method} {}", uri.path()));
            async { r#"{"data":{"root":"0x0000000000000000"}}"# }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let behind = format!("http://{}", listener.local_addr().unwrap());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, app).await.unwrap() });
        let garbler = Garbler::start(behind, 3).await.unwrap();
        let client = reqwest::Client::new();
        let get = async |path: &str| {
            let answer = client.get(format!("{}{path}", garbler.url())).send().await.unwrap();
            answer.bytes().await.unwrap()
        };
        let truth = get("/eth/v1/config/spec").await;
        let mut same = 0;
        for _ in 0..100 {
            assert_eq!(get("/eth/v1/config/spec").await, truth);
            same += usize::from(get("/eth/v1/beacon/blocks/head/root").await == truth);
        }
        assert!((30..80).contains(&same), "{same}");
        let sent = client
            .post(format!("{}/eth/v2/beacon/blocks", garbler.url()))
            .send()
            .await
            .unwrap();
        assert_eq!(sent.status().as_u16(), 200);
        assert!(asked.lock().unwrap().iter().all(|line| line.starts_with("GET")));
    }
}
