//! Forms of answers and of questions: JSON bodies, errors, query parameters.

use std::str::FromStr;

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use trireme_eth2::Fork;

use crate::judge::state::Refused;

/// The header that names the fork of a body.
pub(super) const VERSION_HEADER: &str = "eth-consensus-version";

/// Parameters of a query in their order, also repeated ones.
pub(super) type Params = axum::extract::Query<Vec<(String, String)>>;

/// An error in the form of the beacon API.
#[derive(Debug)]
pub(in crate::judge) struct ApiError {
    status: u16,
    message: String,
    failures: Vec<(usize, String)>,
}

impl ApiError {
    pub(super) fn new(status: u16, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            failures: Vec::new(),
        }
    }

    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(400, message)
    }

    pub(super) fn indexed(message: impl Into<String>, failures: Vec<(usize, String)>) -> Self {
        Self {
            failures,
            ..Self::bad(message)
        }
    }

    pub(super) fn message(&self) -> &str {
        &self.message
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        Self::bad(refused.0)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut body = json!({"code": self.status, "message": self.message});
        if let (false, Some(map)) = (self.failures.is_empty(), body.as_object_mut()) {
            let list = self
                .failures
                .iter()
                .map(|(index, message)| json!({"index": index, "message": message}));
            map.insert("failures".to_owned(), list.collect());
        }
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
    }
}

/// An answer in JSON.
pub(super) struct Json<T>(pub(super) T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_string(&self.0) {
            Ok(text) => ([(header::CONTENT_TYPE, "application/json")], text).into_response(),
            Err(e) => ApiError::new(500, format!("the judge has a fault: {e}")).into_response(),
        }
    }
}

/// `{"data": …}`.
pub(super) fn data(value: impl Serialize) -> Json<Value> {
    Json(json!({"data": value}))
}

/// `{"data": …}` about a state or block.
pub(super) fn of_state(optimistic: bool, value: impl Serialize) -> Json<Value> {
    Json(json!({"execution_optimistic": optimistic, "finalized": false, "data": value}))
}

/// The same with the fork of the block.
pub(super) fn of_block(fork: Fork, optimistic: bool, value: impl Serialize) -> Value {
    json!({"version": fork, "execution_optimistic": optimistic, "finalized": false, "data": value})
}

/// A value as JSON.
pub(super) fn to_json(value: &impl Serialize) -> Result<Vec<u8>, ApiError> {
    serde_json::to_vec(value).map_err(|e| ApiError::new(500, format!("the judge has a fault: {e}")))
}

/// A body of SSZ or JSON, with the header that names its fork.
pub(super) fn in_form(ssz: bool, fork: Option<Fork>, body: Vec<u8>) -> impl IntoResponse {
    let kind = if ssz {
        "application/octet-stream"
    } else {
        "application/json"
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Some(fork) = fork {
        headers.insert(VERSION_HEADER, HeaderValue::from_static(fork.name()));
    }
    (headers, body)
}

/// A body in JSON.
pub(super) fn body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes).map_err(|e| ApiError::bad(format!("the body cannot be read: {e}")))
}

/// The one value of a parameter.
pub(super) fn param<T: FromStr>(params: &[(String, String)], name: &str) -> Result<T, ApiError> {
    let value = params.iter().find(|(key, _)| key == name).map(|(_, value)| value);
    let value = value.ok_or_else(|| ApiError::bad(format!("the parameter {name} is missing")))?;
    value
        .parse()
        .map_err(|_| ApiError::bad(format!("the parameter {name} cannot be read: {value}")))
}

/// The one value of a parameter that may be missing or empty.
pub(super) fn optional<T: FromStr>(params: &[(String, String)], name: &str) -> Result<Option<T>, ApiError> {
    let given = params.iter().any(|(key, value)| key == name && !value.is_empty());
    if given { param(params, name).map(Some) } else { Ok(None) }
}

/// The values of a parameter that may be repeated or separated by commas.
pub(super) fn list(params: &[(String, String)], name: &str) -> Vec<String> {
    let values = params
        .iter()
        .filter(|(key, _)| key == name)
        .flat_map(|(_, value)| value.split(','));
    values.map(|v| v.trim().to_owned()).filter(|v| !v.is_empty()).collect()
}

/// A part of the path.
pub(super) fn part<T: FromStr>(text: &str, what: &str) -> Result<T, ApiError> {
    text.parse()
        .map_err(|_| ApiError::bad(format!("{what} {text:?} in the path cannot be read")))
}

/// The fork that a request's header names.
pub(super) fn declared(headers: &HeaderMap) -> Result<Fork, ApiError> {
    let value = headers.get(VERSION_HEADER).and_then(|v| v.to_str().ok());
    let value = value.ok_or_else(|| ApiError::bad("the header Eth-Consensus-Version is missing"))?;
    value
        .parse()
        .map_err(|e| ApiError::bad(format!("the header Eth-Consensus-Version: {e}")))
}

/// Whether a body is SSZ; otherwise it must be JSON.
pub(super) fn is_ssz(headers: &HeaderMap) -> Result<bool, ApiError> {
    match headers
        .get(header::CONTENT_TYPE)
        .map(|v| v.to_str().unwrap_or_default())
    {
        None => Ok(false),
        Some(t) if t.starts_with("application/json") => Ok(false),
        Some(t) if t.starts_with("application/octet-stream") => Ok(true),
        Some(other) => Err(ApiError::new(
            415,
            format!("content type {other:?} is neither JSON nor SSZ"),
        )),
    }
}

/// Whether the client would rather have SSZ than JSON.
pub(super) fn wants_ssz(headers: &HeaderMap) -> bool {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default();
    let quality = |name: &str| {
        let offers = accept.split(',').map(str::trim).filter(|offer| offer.starts_with(name));
        let weights = offers.map(|offer| {
            let q = offer.split(';').find_map(|p| p.trim().strip_prefix("q="));
            q.map_or(1000, |q| {
                q.parse::<f32>().map_or(0, |q| if q >= 1.0 { 1000 } else { millis(q) })
            })
        });
        weights.max().unwrap_or(0)
    };
    let ssz = quality("application/octet-stream");
    ssz > 0 && ssz >= quality("application/json")
}

/// Thousandths of a quality between 0 and 1.
fn millis(q: f32) -> u32 {
    (0..1000_u16)
        .find(|n| f32::from(*n) / 1000.0 >= q)
        .map_or(1000, u32::from)
}
