//! Test vectors: what validator clients send and what they must get.

mod api_samples;
mod exchanges;
mod live;
mod recorded;
mod session;

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
