//! Paths and queries at the validator API: a route for each, and labels that stay short.
#![no_main]
use http::Method;
use libfuzzer_sys::fuzz_target;
use trireme_vapi::{path_label, query, route};

fuzz_target!(|text: &str| {
    let (path, rest) = text.split_once('?').unwrap_or((text, ""));
    for method in [Method::GET, Method::POST, Method::DELETE] {
        let _ = route(&method, path);
    }
    let _ = path_label(path);
    query(rest);
});
