use axum::{Router, body::Bytes, http::HeaderMap, routing::post};
use tokio::{net::TcpListener, task::JoinSet};

use super::*;
use crate::metrics::ClusterLabels;

fn labels() -> ClusterLabels {
    ClusterLabels {
        cluster_hash: "b82bc4f".into(),
        cluster_name: "a \"test\"".into(),
        cluster_peer: "happy-cat".into(),
        nickname: String::new(),
        cluster_network: "hoodi".into(),
        charon_version: "v0.1.0".into(),
    }
}

/// A Loki that gives these answers, then success for ever; what it was sent comes out of the channel.
async fn loki(answers: &'static [StatusCode]) -> (Url, mpsc::Receiver<PushRequest>, JoinSet<()>) {
    let (tx, rx) = mpsc::channel(16);
    let asked = Arc::new(Mutex::new(0_usize));
    let handler = move |headers: HeaderMap, body: Bytes| {
        let (tx, asked) = (tx.clone(), Arc::clone(&asked));
        async move {
            assert_eq!(headers[header::CONTENT_TYPE], "application/x-protobuf");
            let bytes = snap::raw::Decoder::new().decompress_vec(&body).unwrap();
            tx.send(PushRequest::decode(&bytes[..]).unwrap()).await.unwrap();
            let mut asked = asked.lock().unwrap();
            let answer = answers.get(*asked).copied().unwrap_or(StatusCode::NO_CONTENT);
            *asked += 1;
            answer
        }
    };
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://user:secret@{}/loki/api/v1/push", listener.local_addr().unwrap());
    let router = Router::new().route("/loki/api/v1/push", post(handler));
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
    (url.parse().unwrap(), rx, tasks)
}

fn to(address: Url) -> Loki {
    Loki::new(LokiConfig {
        addresses: vec![address],
        service: "charon".into(),
    })
}

fn lines(request: &PushRequest) -> Vec<&str> {
    let [stream] = &request.streams[..] else {
        panic!("{request:?}")
    };
    stream.entries.iter().map(|e| e.line.as_str()).collect()
}

/// The only pusher, running.
fn run(loki: &Loki) -> tokio_stop::Running {
    let mut pushers = loki.pushers(&labels().pairs());
    let pusher = pushers.pop().unwrap();
    assert!(pushers.is_empty());
    tokio_stop::Running::start(|stop| pusher.run(stop))
}

mod tokio_stop {
    use tokio::{sync::oneshot, task::JoinSet};

    /// A task that can be asked to stop.
    pub(super) struct Running {
        stop: oneshot::Sender<()>,
        tasks: JoinSet<()>,
    }

    impl Running {
        pub(super) fn start<F>(make: impl FnOnce(std::pin::Pin<Box<dyn Future<Output = ()> + Send>>) -> F) -> Self
        where
            F: Future<Output = ()> + Send + 'static,
        {
            let (stop, stopped) = oneshot::channel();
            let mut tasks = JoinSet::new();
            tasks.spawn(make(Box::pin(async {
                let _ = stopped.await;
            })));
            Self { stop, tasks }
        }

        pub(super) async fn stop(mut self) {
            self.stop.send(()).unwrap();
            while let Some(ended) = self.tasks.join_next().await {
                ended.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn lines_from_before_the_labels_are_pushed_in_one_stream_with_them() {
    let (url, mut pushed, _tasks) = loki(&[]).await;
    let loki = to(url);
    loki.push("one\n");
    loki.push("two\n");
    let running = run(&loki);
    let request = pushed.recv().await.unwrap();
    assert_eq!(lines(&request), ["one", "two"]);
    assert_eq!(
        request.streams[0].labels,
        "{service=\"charon\",cluster_hash=\"b82bc4f\",cluster_name=\"a \\\"test\\\"\",cluster_peer=\"happy-cat\",nickname=\"\",cluster_network=\"hoodi\",charon_version=\"v0.1.0\"}"
    );
    running.stop().await;
}

#[tokio::test]
async fn a_batch_that_could_not_be_taken_comes_again_and_a_refused_one_does_not() {
    let (url, mut pushed, _tasks) = loki(&[
        StatusCode::INTERNAL_SERVER_ERROR,
        StatusCode::NO_CONTENT,
        StatusCode::BAD_REQUEST,
    ])
    .await;
    let loki = to(url);
    let running = run(&loki);
    loki.push("one");
    assert_eq!(lines(&pushed.recv().await.unwrap()), ["one"]);
    assert_eq!(lines(&pushed.recv().await.unwrap()), ["one"]);
    loki.push("refused");
    assert_eq!(lines(&pushed.recv().await.unwrap()), ["refused"]);
    loki.push("two");
    assert_eq!(lines(&pushed.recv().await.unwrap()), ["two"]);
    running.stop().await;
}

#[tokio::test]
async fn what_is_left_at_the_stop_is_pushed_be_it_collected_or_not() {
    let (url, mut pushed, _tasks) = loki(&[]).await;
    let loki = to(url);
    loki.push("last");
    let pusher = loki.pushers(&labels().pairs()).pop().unwrap();
    pusher.run(async {}).await;
    assert_eq!(lines(&pushed.recv().await.unwrap()), ["last"]);

    let (url, mut pushed, _tasks) = self::loki(&[StatusCode::INTERNAL_SERVER_ERROR]).await;
    let loki = to(url);
    loki.push("could not be pushed");
    let running = run(&loki);
    assert_eq!(lines(&pushed.recv().await.unwrap()), ["could not be pushed"]);
    running.stop().await;
    assert_eq!(lines(&pushed.recv().await.unwrap()), ["could not be pushed"]);
}

#[test]
fn more_lines_than_there_is_room_for_and_long_ones_are_dropped() {
    let loki = to("http://127.0.0.1:1/x".parse().unwrap());
    loki.push(&"x".repeat(LINE + 1));
    for _ in 0..LINES + 5 {
        loki.push("x");
    }
    let mut waiting = loki.waiting.lock().unwrap();
    let mut kept = 0;
    while let Ok(entry) = waiting[0].1.try_recv() {
        assert_eq!(entry.line, "x");
        kept += 1;
    }
    assert_eq!(kept, LINES);
}

#[test]
fn credentials_in_addresses_are_not_shown() {
    let loki = to("http://user:secret@loki/push".parse().unwrap());
    assert!(!format!("{loki:?}").contains("secret"));
}
