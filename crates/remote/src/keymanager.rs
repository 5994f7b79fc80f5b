//! Pushing key shares to keymanagers: validator clients and remote signers (keymanager.md 7.1).
//!
//! ```text
//!   check ── all addresses, before any key is made
//!     └────► push ── what is there already is left out, the rest goes in batches; each key's own status counts
//! ```
//!
//! Guarantees: a key counts as pushed only if the server says so of this very key, because failures come with status 200;
//! a push that broke off is continued by pushing the same keys again. Tokens, keystores and passwords stand in no message.
//! Not here: where keys wait until they are pushed.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bytes::Bytes;
use futures::future::join_all;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    http::{AddressError, Ask, Http, Reach, RemoteError, one_line},
    token::Token,
};

/// Keys per request: one answer in reasonable time, as each key's password is stretched there.
pub const BATCH: usize = 32;
/// Time limit of a question.
const TIMEOUT: Duration = Duration::from_secs(10);
/// What each key of a request adds to its time limit.
const TIMEOUT_PER_KEY: Duration = Duration::from_secs(2);
/// Room for the list of some 100,000 keys.
const MAX_LIST: usize = 64 << 20;
const MAX_STATUSES: usize = 1 << 20;
const PATH: &str = "/eth/v1/keystores";
const CHECKING: &str = "asking the keymanager for its keys";
const IMPORTING: &str = "importing keys into the keymanager";

/// A public key of BLS in its compressed form.
pub type PublicKey = [u8; 48];

/// One keymanager with its token.
pub struct Keymanager {
    http: Http,
    token: Token,
    time: Duration,
}

/// A key share with all that a keymanager needs.
pub struct KeyToImport {
    /// Of the share.
    pub public_key: PublicKey,
    /// The keystore file's text.
    pub keystore: Zeroizing<String>,
    /// What opens it.
    pub password: Zeroizing<String>,
}

/// How many keys a keymanager has now that were to be pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pushed {
    /// New there.
    pub imported: usize,
    /// There before.
    pub already: usize,
}

/// Why not every key was pushed. Those that were stay there; pushing the same keys again continues.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// The server failed; `there` of `all` keys are there.
    #[error("{error}; {there} of {all} keys are there, the same command again continues with the others")]
    Remote {
        /// How.
        error: RemoteError,
        /// Keys there.
        there: usize,
        /// Keys to push.
        all: usize,
    },
    /// The server took the request and refused keys.
    #[error(
        "the keymanager {address} refuses {} of {all} keys, the first is 0x{}: {}; the others are there, and the same command again tries these once more",
        .refused.len(), .refused.first().map(|(k, _)| hex::encode(k)).unwrap_or_default(), .refused.first().map(|(_, m)| m.as_str()).unwrap_or_default()
    )]
    Keys {
        /// Scheme, host and port.
        address: String,
        /// Which, and what the server says of each.
        refused: Vec<(PublicKey, String)>,
        /// Keys to push.
        all: usize,
    },
}

#[derive(Deserialize)]
struct Data<T> {
    data: Vec<T>,
}

#[derive(Deserialize)]
struct Listed {
    validating_pubkey: String,
}

#[derive(Deserialize)]
struct Item {
    status: String,
    #[serde(default)]
    message: Option<String>,
}

#[derive(Serialize)]
struct Import<'a> {
    keystores: Vec<&'a str>,
    passwords: Vec<&'a str>,
}

/// What a keymanager says of one key.
enum Status {
    Imported,
    Duplicate,
    Refused(String),
}

impl Keymanager {
    /// A keymanager by its address; a path in it stands before the API's own.
    ///
    /// # Errors
    /// [`AddressError`].
    pub fn new(address: &str, token: Token) -> Result<Self, AddressError> {
        let http = Http::new(address, Reach::Local)?;
        Ok(Self {
            http,
            token,
            time: TIMEOUT,
        })
    }

    /// With another time limit per request; keys to import add to it.
    #[must_use]
    pub fn with_timeout(mut self, time: Duration) -> Self {
        self.time = time;
        self
    }

    /// Scheme, host and port.
    #[must_use]
    pub fn address(&self) -> &str {
        self.http.address()
    }

    /// Whether token and keys would travel in the clear to another machine: worth a warning.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.http.is_plain()
    }

    /// The keys that are there.
    ///
    /// # Errors
    /// [`RemoteError`]; also if the token is not accepted, so this tells before any key is made whether a push can work.
    pub async fn keys(&self) -> Result<BTreeSet<PublicKey>, RemoteError> {
        let ask = Ask {
            doing: CHECKING,
            method: Method::GET,
            url: self.http.below(PATH),
            bearer: Some(self.token.secret()),
            body: None,
            time: self.time,
            limit: MAX_LIST,
            secrets: &[],
        };
        let bytes = self.http.ask(ask).await?;
        let list: Data<Listed> = serde_json::from_slice(&bytes).map_err(|_| {
            self.http
                .malformed(CHECKING, "it is no list of keys; is this the address of a keymanager?")
        })?;
        list.data
            .iter()
            .map(|listed| {
                let mut key = [0; 48];
                let text = &listed.validating_pubkey;
                hex::decode_to_slice(text.strip_prefix("0x").unwrap_or(text), &mut key)
                    .map_err(|_| self.http.malformed(CHECKING, "a key in the list is no public key"))?;
                Ok(key)
            })
            .collect()
    }

    /// Imports the keys that are not there yet. Each is tried, also after others were refused.
    ///
    /// # Errors
    /// [`PushError`] unless all keys are there now.
    pub async fn push(&self, keys: &[KeyToImport]) -> Result<Pushed, PushError> {
        let all = keys.len();
        let failed = |error, there| PushError::Remote { error, there, all };
        let held = self.keys().await.map_err(|e| failed(e, 0))?;
        let missing: Vec<&KeyToImport> = keys.iter().filter(|k| !held.contains(&k.public_key)).collect();
        let mut pushed = Pushed {
            imported: 0,
            already: all.saturating_sub(missing.len()),
        };
        let mut refused = Vec::new();
        for batch in missing.chunks(BATCH) {
            let there = pushed.imported.saturating_add(pushed.already);
            let statuses = self.import(batch).await.map_err(|e| failed(e, there))?;
            for (key, status) in batch.iter().zip(statuses) {
                match status {
                    Status::Imported => pushed.imported = pushed.imported.saturating_add(1),
                    Status::Duplicate => pushed.already = pushed.already.saturating_add(1),
                    Status::Refused(message) => refused.push((key.public_key, message)),
                }
            }
        }
        if refused.is_empty() {
            return Ok(pushed);
        }
        Err(PushError::Keys {
            address: self.address().to_owned(),
            refused,
            all,
        })
    }

    async fn import(&self, keys: &[&KeyToImport]) -> Result<Vec<Status>, RemoteError> {
        let passwords: Vec<&str> = keys.iter().map(|k| k.password.as_str()).collect();
        let body = Import {
            keystores: keys.iter().map(|k| k.keystore.as_str()).collect(),
            passwords: passwords.clone(),
        };
        let body = serde_json::to_vec(&body).map_err(|e| self.http.malformed(IMPORTING, e))?;
        let more = TIMEOUT_PER_KEY.saturating_mul(u32::try_from(keys.len()).unwrap_or(u32::MAX));
        let ask = Ask {
            doing: IMPORTING,
            method: Method::POST,
            url: self.http.below(PATH),
            bearer: Some(self.token.secret()),
            body: Some(Bytes::from_owner(Zeroizing::new(body))),
            time: self.time.saturating_add(more),
            limit: MAX_STATUSES,
            secrets: &passwords,
        };
        let bytes = self.http.ask(ask).await?;
        let answer: Data<Item> =
            serde_json::from_slice(&bytes).map_err(|_| self.http.malformed(IMPORTING, "it is no list of statuses"))?;
        if answer.data.len() != keys.len() {
            let reason = format!("{} statuses for {} keys", answer.data.len(), keys.len());
            return Err(self.http.malformed(IMPORTING, reason));
        }
        let hidden: Vec<&str> = passwords.iter().copied().chain([self.token.secret()]).collect();
        answer
            .data
            .into_iter()
            .map(|item| match item.status.as_str() {
                "imported" => Ok(Status::Imported),
                "duplicate" => Ok(Status::Duplicate),
                "error" => Ok(Status::Refused(one_line(
                    item.message.as_deref().unwrap_or("it does not say why"),
                    &hidden,
                ))),
                _ => Err(self
                    .http
                    .malformed(IMPORTING, "a status is none of imported, duplicate and error")),
            })
            .collect()
    }
}

/// Asks every keymanager for its keys, all at once, in the order of `keymanagers`.
///
/// # Errors
/// Every failure, by the position of its keymanager.
pub async fn check(keymanagers: &[Keymanager]) -> Result<Vec<BTreeSet<PublicKey>>, BTreeMap<usize, RemoteError>> {
    let answers = join_all(keymanagers.iter().map(Keymanager::keys)).await;
    let mut held = Vec::with_capacity(answers.len());
    let mut failures = BTreeMap::new();
    for (at, answer) in answers.into_iter().enumerate() {
        match answer {
            Ok(keys) => held.push(keys),
            Err(error) => {
                failures.insert(at, error);
            }
        }
    }
    if failures.is_empty() { Ok(held) } else { Err(failures) }
}
