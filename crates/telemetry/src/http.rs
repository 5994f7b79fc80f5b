//! The listener behind the monitoring and the debug address.
//!
//! Guarantees: a client has a second to say what it wants and a minute in all, and there are at most 64 of
//! them, so that nobody can use up the node; requests under way at the stop are finished.

use std::{convert::Infallible, future::Future, io, pin::pin, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};
use tower::ServiceExt as _;

/// Connections at a time; more wait in the listener's backlog.
const CONNECTIONS: usize = 64;
/// From the connection to the end of a request's head.
const HEAD: Duration = Duration::from_millis(if cfg!(test) { 50 } else { 1_000 });
/// Longest life of a connection.
const LIFE: Duration = Duration::from_secs(60);
/// Requests under way at the stop may take this long.
const LAST: Duration = Duration::from_secs(2);
/// Pause after a connection that could not be accepted: out of file descriptors, for example.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop` ends.
///
/// # Errors
///
/// None; the result is there for whoever runs it as an essential task.
pub(crate) async fn serve(listener: TcpListener, router: Router, stop: impl Future<Output = ()>) -> io::Result<()> {
    let (stopped, stopping) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        tokio::select! { biased;
            () = &mut stop => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, router.clone(), stopping.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "A connection cannot be accepted");
                    sleep(PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    // The receivers are there as long as connections are.
    let _ = stopped.send(true);
    let _ended = timeout(LAST, async { while connections.join_next().await.is_some() {} }).await;
    Ok(())
}

async fn connection(stream: TcpStream, router: Router, mut stopping: watch::Receiver<bool>) {
    let service = hyper::service::service_fn(move |request| {
        let router = router.clone();
        async move { Ok::<_, Infallible>(answer(router, request).await) }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .serve_connection(TokioIo::new(stream), service)
    );
    // Whatever goes wrong is the client's trouble.
    let _ = timeout(LIFE, async {
        tokio::select! { biased;
            ended = connection.as_mut() => return ended,
            _ = stopping.wait_for(|stopped| *stopped) => connection.as_mut().graceful_shutdown(),
        }
        connection.await
    })
    .await;
}

async fn answer(router: Router, request: hyper::Request<hyper::body::Incoming>) -> axum::response::Response {
    match router.oneshot(request.map(axum::body::Body::new)).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        sync::oneshot,
    };

    use super::*;

    async fn start() -> (std::net::SocketAddr, oneshot::Sender<()>, JoinSet<io::Result<()>>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let router = Router::new().route("/x", get(async || "y"));
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, router, async {
            let _ = stopped.await;
        }));
        (address, stop, tasks)
    }

    #[tokio::test]
    async fn requests_are_answered_until_the_stop() {
        let (address, stop, mut tasks) = start().await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        let mut answer = vec![0; 1_024];
        let n = stream.read(&mut answer).await.unwrap();
        let text = String::from_utf8_lossy(&answer[..n]).into_owned();
        assert!(text.starts_with("HTTP/1.1 200") && text.ends_with('y'), "{text}");
        stop.send(()).unwrap();
        tasks.join_next().await.unwrap().unwrap().unwrap();
        assert_eq!(
            stream.read(&mut answer).await.unwrap(),
            0,
            "the idle connection is closed"
        );
        assert!(TcpStream::connect(address).await.is_err());
    }

    #[tokio::test]
    async fn a_client_that_does_not_say_what_it_wants_is_hung_up_on() {
        let (address, _stop, _tasks) = start().await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /x HTT").await.unwrap();
        let mut answer = Vec::new();
        let ended = timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
        assert!(ended.is_ok(), "the connection stays open");
        assert!(!answer.starts_with(b"HTTP/1.1 200"));
    }
}
