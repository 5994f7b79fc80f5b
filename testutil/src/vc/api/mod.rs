//! The requests of a stock client: how they are sent. What is asked for is in `ask`, what is handed in in `submit`.

mod ask;
mod submit;

use std::time::Duration;

use reqwest::{Client, Method, Response, header};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

pub(super) use submit::RECIPIENT;

/// How long a client waits for an answer: nodes hold requests for up to ten seconds.
const PATIENCE: Duration = Duration::from_secs(12);

/// A request that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiFailure {
    /// No answer.
    #[error("{what}: {reason}")]
    NoAnswer {
        /// The request.
        what: &'static str,
        /// What happened, without numbers that differ each time.
        reason: &'static str,
    },
    /// An error.
    #[error("{what}: {status} {message}")]
    Status {
        /// The request.
        what: &'static str,
        /// HTTP status.
        status: u16,
        /// The node's message.
        message: String,
    },
    /// An answer that cannot be read.
    #[error("{what}: the answer cannot be read: {reason}")]
    Malformed {
        /// The request.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

/// A node's validator API.
#[derive(Debug)]
pub(super) struct Api {
    client: Client,
    base: String,
}

#[derive(Debug, Deserialize)]
struct Data<T> {
    data: T,
}

impl Api {
    #[expect(
        clippy::expect_used,
        reason = "a client without options is only refused without TLS provider, which is set before"
    )]
    pub(super) fn new(base: String) -> Self {
        // Somebody else may have installed one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .timeout(PATIENCE)
            .no_proxy()
            .build()
            .expect("a plain HTTP client");
        Self {
            client,
            base: base.trim_end_matches('/').to_owned(),
        }
    }

    async fn send(&self, what: &'static str, request: reqwest::RequestBuilder) -> Result<Response, ApiFailure> {
        let reason = |e: &reqwest::Error| match (e.is_timeout(), e.is_connect()) {
            (true, _) => "no answer in time",
            (false, true) => "no connection",
            (false, false) => "the connection broke",
        };
        let answer = request.send().await.map_err(|e| ApiFailure::NoAnswer {
            what,
            reason: reason(&e),
        })?;
        let status = answer.status().as_u16();
        if answer.status().is_success() {
            return Ok(answer);
        }
        let body = answer.text().await.unwrap_or_default();
        let message = serde_json::from_str::<Value>(&body)
            .ok()
            .and_then(|v| Some(v.get("message")?.as_str()?.to_owned()));
        Err(ApiFailure::Status {
            what,
            status,
            message: message.unwrap_or(body),
        })
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    async fn bytes(&self, what: &'static str, request: reqwest::RequestBuilder) -> Result<Vec<u8>, ApiFailure> {
        let answer = self.send(what, request).await?;
        let body = answer.bytes().await;
        Ok(body
            .map_err(|_| ApiFailure::NoAnswer {
                what,
                reason: "the answer broke off",
            })?
            .to_vec())
    }

    async fn get<T: DeserializeOwned>(&self, what: &'static str, path: &str) -> Result<T, ApiFailure> {
        let body = self.bytes(what, self.request(Method::GET, path)).await?;
        Ok(read::<Data<T>>(what, &body)?.data)
    }

    async fn post<T: DeserializeOwned>(&self, what: &'static str, path: &str, body: &Value) -> Result<T, ApiFailure> {
        let answer = self.bytes(what, self.request(Method::POST, path).json(body)).await?;
        Ok(read::<Data<T>>(what, &answer)?.data)
    }

    /// Opens the stream of head events; it has no end of its own.
    pub(super) async fn events(&self) -> Result<Response, ApiFailure> {
        let request = self.request(Method::GET, "/eth/v1/events?topics=head");
        let request = request
            .header(header::ACCEPT, "text/event-stream")
            .timeout(Duration::from_secs(24 * 3600));
        self.send("events", request).await
    }
}

fn read<T: DeserializeOwned>(what: &'static str, body: &[u8]) -> Result<T, ApiFailure> {
    serde_json::from_slice(body).map_err(|e| ApiFailure::Malformed {
        what,
        reason: e.to_string(),
    })
}
