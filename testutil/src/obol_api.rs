//! The remote API as commands meet it: takes definitions, terms and locks, and checks every one (cluster.md 15).
//!
//! Guarantees: what breaks a rule is answered with 400 and kept as a complaint, and nothing of it is stored; what is stored
//! already is answered with 409. Faults can be ordered.
//! Not here: exits, deposits, fee recipients.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::json;
use trireme_cluster::{Definition, Lock, Networks, address, eip712, invite};
use trireme_keys::recover;

use crate::served::{self, Faults, Serving, lock, serve};

/// Larger than any lock of a test.
const MAX_BODY: usize = 64 << 20;

/// What the server holds.
#[derive(Debug, Default)]
pub struct Held {
    /// By config hash as text.
    pub definitions: BTreeMap<String, Definition>,
    /// By lock hash as text.
    pub locks: BTreeMap<String, Lock>,
    /// Addresses that agreed to the terms, with the network's fork version as text.
    pub terms: BTreeMap<String, String>,
    /// What was sent and broke a rule.
    pub complaints: Vec<String>,
    /// Method and path of every request that met no fault, in order.
    pub requests: Vec<String>,
}

/// The server; it stops when this is dropped.
#[derive(Debug)]
pub struct ObolApi {
    /// What goes wrong next.
    pub faults: Faults,
    held: Arc<Mutex<Held>>,
    serving: Serving,
}

#[derive(Clone)]
struct Shared {
    held: Arc<Mutex<Held>>,
    networks: Networks,
}

impl ObolApi {
    /// Listens on a free port of 127.0.0.1; chain ids come from `networks`.
    ///
    /// # Errors
    /// If there is no port.
    pub async fn start(networks: Networks) -> std::io::Result<Self> {
        let (held, faults) = (Arc::new(Mutex::new(Held::default())), Faults::default());
        let shared = Shared {
            held: Arc::clone(&held),
            networks,
        };
        let router = Router::new()
            .route("/v1/definition", post(take_definition))
            .route("/v1/definition/{hash}", get(give_definition))
            .route("/v1/termsAndConditions", post(take_terms))
            .route("/lock", post(take_lock))
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .with_state(shared);
        let serving = serve(router, &faults).await?;
        Ok(Self { faults, held, serving })
    }

    /// Host and port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.serving.address
    }

    /// What `--publish-address` is given.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.serving.address)
    }

    /// Looks at what is held.
    pub fn look<T>(&self, at: impl FnOnce(&Held) -> T) -> T {
        at(&lock(&self.held))
    }

    /// Puts a definition there, as the launchpad does, and gives its URL.
    pub fn offer(&self, definition: Definition) -> String {
        let hash = text_of(&definition.config_hash);
        let url = format!("{}/definition/{hash}", self.url());
        lock(&self.held).definitions.insert(hash, definition);
        url
    }
}

fn text_of(hash: &[u8]) -> String {
    format!("0x{}", hex::encode(hash))
}

/// A rule that was broken.
struct Complaint(String);

type Taken = Result<StatusCode, Complaint>;

impl Shared {
    fn answer(&self, request: &str, take: impl FnOnce(&mut Held) -> Taken) -> Response {
        let mut held = lock(&self.held);
        held.requests.push(request.to_owned());
        match take(&mut held) {
            Ok(status) => status.into_response(),
            Err(Complaint(text)) => {
                held.complaints.push(format!("{request}: {text}"));
                served::answer(StatusCode::BAD_REQUEST, &json!({ "message": text }))
            }
        }
    }
}

fn rule(holds: bool, text: &str) -> Result<(), Complaint> {
    if holds { Ok(()) } else { Err(Complaint(text.to_owned())) }
}

fn is_json(headers: &HeaderMap) -> Result<(), Complaint> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
    rule(
        kind == Some("application/json"),
        "the content type is not application/json",
    )
}

/// The address whose key made the signature in the header.
fn signer(headers: &HeaderMap, digest: &[u8; 32]) -> Result<[u8; 20], Complaint> {
    let header = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
    let digits = header.and_then(|h| h.strip_prefix("Bearer 0x"));
    let signature = digits.and_then(|d| hex::decode(d).ok());
    let signature = signature.ok_or_else(|| Complaint("no Bearer 0x signature".to_owned()))?;
    rule(
        signature.len() == 65 && signature.last().is_some_and(|v| *v <= 1),
        "the signature is not R, S and a V of 0 or 1",
    )?;
    recover(digest, &signature)
        .map(|key| key.eth_address())
        .map_err(|e| Complaint(e.to_string()))
}

async fn take_definition(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let networks = shared.networks.clone();
    shared.answer("POST /v1/definition", |held| {
        is_json(&headers)?;
        let definition = Definition::from_json(&body).map_err(|e| Complaint(e.to_string()))?;
        definition.verify_hashes().map_err(|e| Complaint(e.to_string()))?;
        let network = networks.by_fork_version(&definition.fork_version);
        let chain_id = network.ok_or_else(|| Complaint("unknown network".to_owned()))?.chain_id;
        let digest = eip712::creator_config_digest(&definition.config_hash, chain_id);
        let creator = address::checksummed(&signer(&headers, &digest)?);
        rule(
            definition.creator.address == creator,
            "the creator did not sign the request",
        )?;
        let own =
            recover(&digest, &definition.creator.config_signature).map(|k| address::checksummed(&k.eth_address()));
        rule(own == Ok(creator), "the creator did not sign the definition")?;
        let one_kind = definition
            .operators
            .iter()
            .all(|o| o.address.is_empty() != o.enr.is_empty());
        rule(
            one_kind,
            "an operator has neither address nor ENR, or both without signing",
        )?;
        store(&mut held.definitions, text_of(&definition.config_hash), definition)
    })
}

async fn give_definition(State(shared): State<Shared>, Path(hash): Path<String>) -> Response {
    let mut held = lock(&shared.held);
    held.requests.push(format!("GET /v1/definition/{hash}"));
    let json = held.definitions.get(&hash).and_then(|d| d.to_json(0).ok());
    match json {
        Some(json) => ([(header::CONTENT_TYPE, "application/json")], json).into_response(),
        None => served::answer(StatusCode::NOT_FOUND, &json!({ "message": "no such definition" })),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Terms {
    address: String,
    version: u64,
    terms_and_conditions_hash: String,
    fork_version: String,
}

async fn take_terms(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let networks = shared.networks.clone();
    shared.answer("POST /v1/termsAndConditions", |held| {
        is_json(&headers)?;
        let terms: Terms = serde_json::from_slice(&body).map_err(|e| Complaint(e.to_string()))?;
        rule(terms.version == invite::TERMS_VERSION, "another version of the terms")?;
        rule(
            terms.terms_and_conditions_hash == invite::TERMS_HASH,
            "another hash of the terms",
        )?;
        let fork = terms.fork_version.strip_prefix("0x").and_then(|d| hex::decode(d).ok());
        let known = fork.is_some_and(|fork| networks.by_fork_version(&fork).is_some());
        rule(known, "unknown network")?;
        let signed = address::checksummed(&signer(&headers, &invite::terms_digest())?);
        rule(terms.address == signed, "another address signed")?;
        store(&mut held.terms, terms.address, terms.fork_version)
    })
}

async fn take_lock(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let networks = shared.networks.clone();
    shared.answer("POST /lock", |held| {
        is_json(&headers)?;
        rule(
            !headers.contains_key(header::AUTHORIZATION),
            "a lock is published without token",
        )?;
        rule(!body.contains(&b'\n'), "the lock is not in one line")?;
        let lock = Lock::from_json(&body).map_err(|e| Complaint(e.to_string()))?;
        lock.verify(&networks).map_err(|e| Complaint(e.to_string()))?;
        store(&mut held.locks, text_of(&lock.lock_hash), lock)
    })
}

fn store<T>(map: &mut BTreeMap<String, T>, key: String, value: T) -> Taken {
    if map.contains_key(&key) {
        return Ok(StatusCode::CONFLICT);
    }
    map.insert(key, value);
    Ok(StatusCode::CREATED)
}
