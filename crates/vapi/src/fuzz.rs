//! What a validator client sends, read as the server reads it: plain functions for fuzz targets.
//!
//! Nothing here is part of the API. The functions return what was understood, so that nothing is optimised away.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use crate::{
    accept::{body_encoding, prefers_ssz},
    allow::allowed,
    config::Token,
    params::{Query, uint},
    route::{Route, path_label, route},
};

/// A request line: where it goes, and its parameters in every form in which handlers read them.
#[must_use]
pub fn request_line(method: &str, target: &str) -> usize {
    let Ok(method) = Method::from_bytes(method.as_bytes()) else {
        return 0;
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut understood = path_label(path).len();
    understood = understood.wrapping_add(usize::from(allowed(&method, path)));
    match route(&method, path) {
        Route::Here(_, params) => {
            let numbers = params.iter().filter(|p| uint("fuzz", p).is_ok());
            understood = understood.wrapping_add(numbers.count());
        }
        Route::Redirect(to) => {
            // A redirect must lead to its end, or clients go round in circles.
            let again = route(&method, &to);
            assert!(!matches!(again, Route::Redirect(_)), "{path:?} leads to {to:?} and on");
        }
        Route::Events | Route::Proxy | Route::Denied => {}
    }
    let query = Query::parse(query);
    for name in ["slot", "committee_index", "epoch"] {
        understood = understood.wrapping_add(usize::from(query.uint(name).is_ok()));
    }
    understood = understood.wrapping_add(usize::from(query.hex::<32>("beacon_block_root").is_ok()));
    understood = understood.wrapping_add(usize::from(query.hex::<96>("randao_reveal").is_ok()));
    understood.wrapping_add(query.list("id").count())
}

/// The headers that say what a body is, what the client would like to get, and who it is.
#[must_use]
pub fn headers(content_type: &[u8], accept: &[u8], authorization: &[u8]) -> bool {
    let mut map = HeaderMap::new();
    let given: [(HeaderName, &[u8]); 3] = [
        (header::CONTENT_TYPE, content_type),
        (header::ACCEPT, accept),
        (header::AUTHORIZATION, authorization),
    ];
    for (name, value) in given {
        if let Ok(value) = HeaderValue::from_maybe_shared(Bytes::copy_from_slice(value)) {
            map.insert(name, value);
        }
    }
    let known = Token::new("0123456789abcdef").is_ok_and(|token| token.is_in(&map));
    body_encoding(&map).is_ok() && prefers_ssz(&map) && known
}
