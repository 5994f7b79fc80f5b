use std::sync::{Arc, Mutex};

use axum::{Router, extract::State, http::HeaderMap, routing::post};
use prometheus_client::{metrics::gauge::Gauge, registry::Registry};
use tokio::{net::TcpListener, sync::mpsc, task::JoinSet};

use super::*;

type Sent = (HeaderMap, Value);

/// A service that hands on what it is sent, and its address.
async fn collector() -> (Url, mpsc::Receiver<Sent>, JoinSet<()>) {
    async fn take(State(sent): State<mpsc::Sender<Sent>>, headers: HeaderMap, body: String) {
        sent.send((headers, serde_json::from_str(&body).unwrap()))
            .await
            .unwrap();
    }
    let (tx, rx) = mpsc::channel(4);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!(
        "http://{}/api/v1/client/metrics?apikey=secret",
        listener.local_addr().unwrap()
    );
    let app = Router::new().route("/api/v1/client/metrics", post(take)).with_state(tx);
    let mut serving = JoinSet::new();
    serving.spawn(async move { axum::serve(listener, app).await.unwrap() });
    (url.parse().unwrap(), rx, serving)
}

fn push(endpoint: Url) -> Push {
    let mut registry = Registry::default();
    for (name, value) in [
        (VALIDATORS, 5),
        (ACTIVE, 4),
        (BEACON_NODES, 3),
        (BEACON_NODES_AVAILABLE, 1),
    ] {
        let gauge = Gauge::<i64>::default();
        gauge.set(value);
        registry.register(name, "x", gauge);
    }
    crate::metrics::ProcessMetrics::new(|| 1).register(&mut registry);
    Push {
        config: PushConfig {
            endpoint,
            period: Duration::from_secs(120),
        },
        registry: Arc::new(Mutex::new(registry)),
        version: "v0.1.0".to_owned(),
        build: 1_700_000_000,
        disk: std::env::temp_dir(),
    }
}

/// Name and kind of each field of the service's form.
const PROCESS: [(&str, &str); 9] = [
    ("cpu_process_seconds_total", "n"),
    ("memory_process_bytes", "n"),
    ("client_name", "s"),
    ("client_version", "s"),
    ("client_build", "n"),
    ("validator_total", "n"),
    ("validator_active", "n"),
    ("sync_eth2_fallback_configured", "b"),
    ("sync_eth2_fallback_connected", "b"),
];
const SYSTEM: [(&str, &str); 19] = [
    ("cpu_cores", "n"),
    ("cpu_threads", "n"),
    ("cpu_node_system_seconds_total", "n"),
    ("cpu_node_user_seconds_total", "n"),
    ("cpu_node_iowait_seconds_total", "n"),
    ("cpu_node_idle_seconds_total", "n"),
    ("memory_node_bytes_total", "n"),
    ("memory_node_bytes_free", "n"),
    ("memory_node_bytes_cached", "n"),
    ("memory_node_bytes_buffers", "n"),
    ("disk_node_bytes_total", "n"),
    ("disk_node_bytes_free", "n"),
    ("disk_node_io_seconds", "n"),
    ("disk_node_reads_total", "n"),
    ("disk_node_writes_total", "n"),
    ("network_node_bytes_total_receive", "n"),
    ("network_node_bytes_total_transmit", "n"),
    ("misc_node_boot_ts_seconds", "n"),
    ("misc_os", "s"),
];

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Number(n) if n.is_u64() => "n",
        Value::String(_) => "s",
        Value::Bool(_) => "b",
        Value::Number(_) | Value::Null | Value::Array(_) | Value::Object(_) => "?",
    }
}

#[tokio::test]
async fn vc_113_body_is_an_array_with_an_object_of_the_process_and_one_of_the_machine() {
    let (url, mut sent, _serving) = collector().await;
    push(url).push(&reqwest_client()).await;
    let (headers, body) = sent.recv().await.unwrap();
    assert_eq!(headers["content-type"], "application/json");
    let [process, system] = &body.as_array().unwrap()[..] else {
        panic!("two objects: {body}");
    };
    for (object, name) in [(process, "validator"), (system, "system")] {
        assert_eq!((&object["process"], &object["version"]), (&json!(name), &json!(1)));
        assert!(
            object["timestamp"].as_u64().unwrap() > 1_700_000_000_000,
            "milliseconds"
        );
    }
    for (field, expected) in PROCESS {
        assert_eq!(kind(&process[field]), expected, "{field}: {process}");
    }
    assert_eq!(
        (&process["validator_total"], &process["validator_active"]),
        (&json!(5), &json!(4))
    );
    assert_eq!(process["sync_eth2_fallback_configured"], json!(true));
    assert_eq!(process["sync_eth2_fallback_connected"], json!(false));
    assert!(process["memory_process_bytes"].as_u64().unwrap() > 0);
    // Containers may hide disks and networks of the machine; what is there has the right form.
    for (field, expected) in SYSTEM {
        let value = &system[field];
        let may_be_missing = field.starts_with("disk_node_") || field.starts_with("network_");
        assert!(
            kind(value) == expected || value.is_null() && may_be_missing,
            "{field}: {system}"
        );
    }
    assert_eq!(system["misc_os"].as_str().unwrap().len(), 3);
}

fn reqwest_client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().timeout(LIMIT).build().unwrap()
}

#[tokio::test]
async fn vc_112_service_that_is_away_is_no_failure_and_its_key_is_not_shown() {
    let (url, _sent, mut serving) = collector().await;
    serving.shutdown().await;
    let push = push(url);
    push.push(&reqwest_client()).await;
    assert!(!format!("{push:?}").contains("secret"));
}

#[tokio::test(start_paused = true)]
async fn vc_112_first_push_comes_after_25_seconds_and_then_one_each_period() {
    let began = tokio::time::Instant::now();
    let times = Mutex::new(Vec::new());
    let pushing = each(Duration::from_secs(120), || async {
        times.lock().unwrap().push(began.elapsed().as_secs());
        // However long one takes.
        tokio::time::sleep(Duration::from_secs(5)).await;
    });
    let _ = tokio::time::timeout(Duration::from_secs(400), pushing).await;
    assert_eq!(*times.lock().unwrap(), [25, 145, 265, 385]);
}
