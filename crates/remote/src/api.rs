//! The remote API: where definitions and locks are published, and the launchpad shows them (cluster.md 15).
//!
//! Guarantees: what is posted is made of values that were checked, and each path is in the API's own style: `/definition`
//! and `/termsAndConditions` stand behind the address's path, `/lock` in its place. What is there already counts as
//! published.
//! Not here: exits, deposits and fee recipients.

use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use serde::Serialize;
use trireme_cluster::{Definition, Lock, WriteError, address, invite};

use crate::http::{AddressError, Ask, Http, Reach, RemoteError};

/// Time limit of an exchange, where no flag gives another.
pub const TIMEOUT: Duration = Duration::from_secs(10);
/// Largest definition that is fetched, in bytes.
pub const MAX_DEFINITION: usize = 16 << 20;
/// Largest answer to something posted; its content is of no interest.
const MAX_RECEIPT: usize = 1 << 20;

/// One server of the API.
pub struct Api {
    http: Http,
    time: Duration,
}

/// How a server took what was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// It is new there.
    New,
    /// It was there already.
    Already,
}

/// The creator's agreement to the terms and conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Of the creator.
    pub address: [u8; 20],
    /// Genesis fork version of the network.
    pub fork_version: [u8; 4],
    /// Over [`invite::terms_digest`].
    pub signature: [u8; 65],
}

/// Why something is not published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The server.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// It does not fit its own schema.
    #[error(transparent)]
    Write(#[from] WriteError),
}

#[derive(Serialize)]
struct TermsBody {
    address: String,
    version: u64,
    terms_and_conditions_hash: &'static str,
    fork_version: String,
}

impl Api {
    /// A server by its address, for example `https://api.obol.tech/v1`.
    ///
    /// # Errors
    /// [`AddressError`].
    pub fn new(address: &str, time: Duration) -> Result<Self, AddressError> {
        let http = Http::new(address, Reach::World)?;
        Ok(Self { http, time })
    }

    /// Scheme, host and port.
    #[must_use]
    pub fn address(&self) -> &str {
        self.http.address()
    }

    /// Publishes a lock.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn publish_lock(&self, lock: &Lock) -> Result<Published, PublishError> {
        let url = self.http.instead("/lock");
        Ok(self.post("publishing the lock", url, None, lock.to_json(0)?).await?)
    }

    /// Publishes a definition under the creator's signature of it.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn publish_definition(&self, definition: &Definition) -> Result<Published, PublishError> {
        let url = self.http.below("/definition");
        let token = bearer(&definition.creator.config_signature);
        let body = definition.to_json(0)?;
        Ok(self.post("publishing the definition", url, Some(&token), body).await?)
    }

    /// Tells the server that the creator agrees to its terms.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub async fn sign_terms(&self, terms: &Terms) -> Result<Published, RemoteError> {
        const DOING: &str = "signing the terms and conditions";
        let body = TermsBody {
            address: address::checksummed(&terms.address),
            version: invite::TERMS_VERSION,
            terms_and_conditions_hash: invite::TERMS_HASH,
            fork_version: format!("0x{}", hex::encode(terms.fork_version)),
        };
        let body = serde_json::to_vec(&body).map_err(|e| self.http.malformed(DOING, e))?;
        let url = self.http.below("/termsAndConditions");
        self.post(DOING, url, Some(&bearer(&terms.signature)), body).await
    }

    /// Where a published definition is found by its config hash: the URL for `--definition-file`.
    #[must_use]
    pub fn definition_url(&self, config_hash: &[u8]) -> String {
        let path = format!("/definition/0x{}", hex::encode(config_hash));
        self.http.below(&path).to_string()
    }

    /// Where the launchpad shows a published lock.
    #[must_use]
    pub fn launchpad(&self, lock_hash: &[u8]) -> String {
        let path = format!("/lock/0x{}/launchpad", hex::encode_upper(lock_hash));
        self.http.instead(&path).to_string()
    }

    async fn post(
        &self,
        doing: &'static str,
        url: url::Url,
        bearer: Option<&str>,
        body: Vec<u8>,
    ) -> Result<Published, RemoteError> {
        let ask = Ask {
            doing,
            method: Method::POST,
            url,
            bearer,
            body: Some(Bytes::from(body)),
            time: self.time,
            limit: MAX_RECEIPT,
            secrets: &[],
        };
        match self.http.ask(ask).await {
            Ok(_) => Ok(Published::New),
            Err(RemoteError::Conflict { .. }) => Ok(Published::Already),
            Err(error) => Err(error),
        }
    }
}

fn bearer(signature: &[u8]) -> String {
    format!("0x{}", hex::encode(signature))
}

/// Fetches a definition from whatever URL it is at, at most [`MAX_DEFINITION`] bytes within [`TIMEOUT`]. It is not looked
/// into.
///
/// # Errors
/// [`FetchError`].
pub async fn fetch_definition(url: &str) -> Result<Bytes, FetchError> {
    fetch_definition_within(url, TIMEOUT).await
}

/// As [`fetch_definition`], within another time.
///
/// # Errors
/// [`FetchError`].
pub async fn fetch_definition_within(url: &str, time: Duration) -> Result<Bytes, FetchError> {
    let http = Http::new(url, Reach::Document)?;
    let ask = Ask {
        doing: "fetching the cluster definition",
        method: Method::GET,
        url: http.base().clone(),
        bearer: None,
        body: None,
        time,
        limit: MAX_DEFINITION,
        secrets: &[],
    };
    Ok(http.ask(ask).await?)
}

/// Why no definition is fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// Not a URL.
    #[error("fetching the cluster definition: {0}")]
    Address(#[from] AddressError),
    /// The server.
    #[error(transparent)]
    Remote(#[from] RemoteError),
}
