//! The error answer `{"code":…,"message":…}` and how each error becomes one.
//!
//! An internal error is told to the validator client in general words, as it always was; its cause goes to the log.

use axum::{body::Body, response::Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use crate::accept::Encoding;

/// The text of every 500.
pub const INTERNAL: &str = "Internal server error";

/// What a validator client gets instead of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
    /// For the log only.
    pub(crate) cause: String,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    code: u16,
    message: &'a str,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            cause: String::new(),
        }
    }

    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "NotFound")
    }

    pub(crate) fn internal(cause: impl Into<String>) -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            message: INTERNAL.to_owned(),
            cause: cause.into(),
        }
    }

    pub(crate) fn response(&self) -> Response {
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            return plain(self.status, self.message.clone());
        }
        let body = ErrorBody {
            code: self.status.as_u16(),
            message: &self.message,
        };
        // A number and a text always serialise; an empty body would still carry the status.
        let mut response = json(self.status, serde_json::to_vec(&body).unwrap_or_default());
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// An answer with a JSON body.
pub(crate) fn json(status: StatusCode, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, Encoding::Json.header());
    response
}

/// An answer with a plain sentence, for what is no answer of the API: stopping, overload.
pub(crate) fn plain(status: StatusCode, text: impl Into<Body>) -> Response {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

/// 200 without a body and without a content type.
pub(crate) fn empty() -> Response {
    Response::new(Body::empty())
}
