//! A request that has been read, and the forms of an answer. What all handlers have in common.

use axum::response::Response;
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::Instant;
use trireme_core::validatorapi::{Refused, Told};
use trireme_eth2::Fork;

use crate::{
    accept::Encoding,
    error::{ApiError, json},
    params::uint,
    route::Endpoint,
};

/// A request whose body has been read.
pub(crate) struct Asked {
    pub(crate) endpoint: Endpoint,
    pub(crate) params: Vec<String>,
    pub(crate) query: String,
    /// `Eth-Consensus-Version`.
    pub(crate) version: Option<HeaderValue>,
    pub(crate) encoding: Encoding,
    pub(crate) prefers_ssz: bool,
    pub(crate) body: Bytes,
    /// When the client is told that what it waits for did not come.
    pub(crate) until: Instant,
}

#[derive(Serialize)]
pub(crate) struct Data<T> {
    pub(crate) data: T,
}

/// 200 with a JSON body.
pub(crate) fn ok<T: Serialize>(value: &T) -> Result<Response, ApiError> {
    serde_json::to_vec(value)
        .map(|body| json(StatusCode::OK, body))
        .map_err(|e| ApiError::internal(format!("answer cannot be written as JSON: {e}")))
}

impl Asked {
    /// A path parameter as text; the route has as many as its handler asks for.
    pub(crate) fn text(&self, at: usize) -> &str {
        self.params.get(at).map_or("", String::as_str)
    }

    /// A path parameter that is a number.
    pub(crate) fn param(&self, at: usize, name: &str) -> Result<u64, ApiError> {
        uint(name, self.text(at))
    }

    /// The body as JSON, for handlers whose decoding errors reach the client.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        if self.body.is_empty() {
            return Err(ApiError::bad("empty request body"));
        }
        serde_json::from_slice(&self.body).map_err(|e| Self::not_json(e.to_string()))
    }

    /// What a body that is not the JSON asked for is answered with.
    pub(crate) fn not_json(cause: String) -> ApiError {
        let mut error = ApiError::bad("failed parsing json request body");
        error.cause = cause;
        error
    }

    /// The fork that the version header names. Without one the reference answers 500, where the official API has 400.
    pub(crate) fn fork(&self) -> Result<Fork, ApiError> {
        header_text(self.version.as_ref())
            .ok_or_else(|| ApiError::internal("missing consensus version header"))?
            .parse()
            .map_err(|e: trireme_eth2::UnknownFork| {
                ApiError::internal(format!("missing consensus version header: {e}"))
            })
    }
}

/// 200 with a body in SSZ.
pub(crate) fn ssz(body: Vec<u8>) -> Response {
    let mut response = json(StatusCode::OK, body);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, Encoding::Ssz.header());
    response
}

/// Says of which fork the answer is.
pub(crate) fn with_version(mut response: Response, fork: Fork) -> Response {
    response
        .headers_mut()
        .insert("eth-consensus-version", HeaderValue::from_static(fork.name()));
    response
}

/// The version header of a request, as text.
fn header_text(value: Option<&HeaderValue>) -> Option<&str> {
    value.and_then(|v| v.to_str().ok())
}

impl From<Refused> for ApiError {
    fn from(e: Refused) -> Self {
        match e.told() {
            Told::Beacon { status, message } => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
                Self {
                    status,
                    message,
                    cause: e.to_string(),
                }
            }
            Told::BadRequest => Self::bad(e.to_string()),
            Told::NotFound => Self::new(StatusCode::NOT_FOUND, e.to_string()),
            Told::TimedOut => Self::new(StatusCode::REQUEST_TIMEOUT, e.to_string()),
            Told::Stopping => Self::new(StatusCode::SERVICE_UNAVAILABLE, "the node is stopping"),
            Told::Internal => Self::internal(e.to_string()),
        }
    }
}
