//! Test vectors: what validator clients send and what they must get.

mod api_samples;
mod exchanges;
mod live;
mod recorded;
mod session;

/// Routes of duties that a later stage brings, by label. Their requests are parsed and refused with 501; every other
/// assertion about them waits for that stage.
const LATER: [&str; 8] = [
    "submit_voluntary_exit",
    "aggregate_beacon_committee_selections",
    "aggregate_attestation_v2",
    "submit_aggregate_and_proofs_v2",
    "submit_sync_committee_messages",
    "sync_committee_contribution",
    "submit_contribution_and_proofs",
    "aggregate_sync_committee_selections",
];

/// Whether a request goes to a route of [`LATER`].
fn is_later(method: &str, path: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    match trireme_vapi::route(&method.parse().unwrap(), path) {
        trireme_vapi::Route::Here(endpoint, _) => LATER.contains(&endpoint.label()),
        _ => false,
    }
}

/// A current-thread runtime; `paused` for cases that wait for a time limit and touch no socket.
fn run<T>(paused: bool, test: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().start_paused(paused);
    builder.build().unwrap().block_on(test)
}

#[test]
fn proxy_path_labels() {
    trireme_vectors::each("validatorapi", "proxy-path-labels", |e| {
        for case in e.json().as_array().unwrap() {
            assert_eq!(
                Some(&*trireme_vapi::path_label(case["path"].as_str().unwrap())),
                case["label"].as_str(),
                "{case}"
            );
        }
    });
}
