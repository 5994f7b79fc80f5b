//! A keymanager as commands meet it: opens every keystore that it is given (keymanager.md 3).
//!
//! Guarantees: a key is held only if its keystore opened with its password and holds the key that it names; without token
//! the answer is 401, with another one 403. Faults can be ordered, and keys refused.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode, header},
    response::Response,
    routing::get,
};
use serde::Deserialize;
use serde_json::{Value, json};
use trireme_keys::Keystore;
use trireme_tbls::SecretKey;

use crate::served::{self, Faults, Serving, lock, serve};

/// Larger than any request of a test.
const MAX_BODY: usize = 16 << 20;

/// What the server holds.
#[derive(Debug, Default)]
pub struct Held {
    /// Secrets by public key, as hex without `0x`.
    pub keys: BTreeMap<String, [u8; 32]>,
    /// Keys that are answered with `error`, until they are taken out of here.
    pub refused: BTreeSet<String>,
    /// How many keystores each import held.
    pub imports: Vec<usize>,
    /// What was sent and is no import.
    pub complaints: Vec<String>,
}

/// The server; it stops when this is dropped.
#[derive(Debug)]
pub struct KeymanagerMock {
    /// What goes wrong next.
    pub faults: Faults,
    held: Arc<Mutex<Held>>,
    serving: Serving,
    path: String,
}

#[derive(Clone)]
struct Shared {
    held: Arc<Mutex<Held>>,
    token: String,
}

impl KeymanagerMock {
    /// Listens on a free port of 127.0.0.1, for whoever has the token; its routes stand below `path`, which may be empty.
    ///
    /// # Errors
    /// If there is no port.
    pub async fn start(token: &str, path: &str) -> std::io::Result<Self> {
        let (held, faults) = (Arc::new(Mutex::new(Held::default())), Faults::default());
        let shared = Shared {
            held: Arc::clone(&held),
            token: token.to_owned(),
        };
        let router = Router::new()
            .route(&format!("{path}/eth/v1/keystores"), get(list).post(import))
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .with_state(shared);
        let serving = serve(router, &faults).await?;
        Ok(Self {
            faults,
            held,
            serving,
            path: path.to_owned(),
        })
    }

    /// Host and port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.serving.address
    }

    /// What `--keymanager-addresses` is given.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}{}", self.serving.address, self.path)
    }

    /// Looks at what is held, or changes it.
    pub fn look<T>(&self, at: impl FnOnce(&mut Held) -> T) -> T {
        at(&mut lock(&self.held))
    }
}

fn refusal(status: StatusCode, text: &str) -> Response {
    served::answer(status, &json!({ "message": text }))
}

/// `None` if the token is right.
fn stranger(headers: &HeaderMap, token: &str) -> Option<Response> {
    let header = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
    match header.and_then(|h| h.strip_prefix("Bearer ")) {
        Some(given) if given == token => None,
        // Repeats what it got, as careless servers do: it must not reach any log.
        Some(given) => Some(refusal(StatusCode::FORBIDDEN, &format!("invalid token {given}"))),
        None => Some(refusal(StatusCode::UNAUTHORIZED, "no token")),
    }
}

async fn list(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    if let Some(refused) = stranger(&headers, &shared.token) {
        return refused;
    }
    let held = lock(&shared.held);
    let data: Vec<Value> = held
        .keys
        .keys()
        .map(|key| json!({ "validating_pubkey": format!("0x{key}"), "derivation_path": "", "readonly": false }))
        .collect();
    served::answer(StatusCode::OK, &json!({ "data": data }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Import {
    keystores: Vec<String>,
    passwords: Vec<String>,
}

async fn import(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    if let Some(refused) = stranger(&headers, &shared.token) {
        return refused;
    }
    let mut held = lock(&shared.held);
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
    let import = serde_json::from_slice::<Import>(&body)
        .ok()
        .filter(|i| i.keystores.len() == i.passwords.len() && kind == Some("application/json"));
    let Some(import) = import else {
        held.complaints.push(String::from_utf8_lossy(&body).into_owned());
        return refusal(StatusCode::BAD_REQUEST, "not an import");
    };
    held.imports.push(import.keystores.len());
    let pairs = import.keystores.iter().zip(&import.passwords);
    let data: Vec<Value> = pairs
        .map(|(keystore, password)| match take(&mut held, keystore, password) {
            Ok(status) => json!({ "status": status, "message": "" }),
            Err(why) => json!({ "status": "error", "message": why }),
        })
        .collect();
    served::answer(StatusCode::OK, &json!({ "data": data }))
}

fn take(held: &mut Held, keystore: &str, password: &str) -> Result<&'static str, String> {
    #[derive(Deserialize)]
    struct Named {
        pubkey: String,
    }
    let named: Named = serde_json::from_str(keystore).map_err(|e| e.to_string())?;
    if held.refused.contains(&named.pubkey) {
        // Repeats the password: it must not reach any log.
        return Err(format!("could not store it with password {password}"));
    }
    let opened = Keystore::from_json(keystore.as_bytes()).map_err(|e| e.to_string())?;
    let secret = opened.decrypt(password.as_bytes()).map_err(|e| e.to_string())?;
    let key = SecretKey::from_bytes(&secret).map_err(|_| "no secret key".to_owned())?;
    let public = hex::encode(key.public_key().to_bytes());
    if public != named.pubkey {
        return Err("the keystore names another key".to_owned());
    }
    match held.keys.insert(public, *key.to_bytes()) {
        None => Ok("imported"),
        Some(_) => Ok("duplicate"),
    }
}
