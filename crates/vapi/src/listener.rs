//! Connections: accepting them, the time that a request's head may take, and their end.
//!
//! Guarantees: a client that sends its request's head slowly, or none, is cut off after a second; an idle connection
//! between two requests is not. When the node stops, no connection is accepted any more, those that are open get the
//! answers that are due and close.
//! With TLS the handshake comes first, within its own time limit.
//! Not here: certificates (`tls`).

use std::{
    convert::Infallible,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::body::{Body, Bytes};
use http_body::{Frame, SizeHint};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::Sleep,
};
use tokio_util::sync::CancellationToken;
use trireme_core::life::Life;

use crate::{limits, server::Server};

/// How long to wait after an error of `accept`, for example because there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves the validator API on a bound listener until `shutdown` is cancelled, and then until its open connections have
/// ended, at most [`limits::STOP_GRACE`]. Connections are tasks of `life`.
pub async fn serve(listener: TcpListener, server: Arc<Server>, life: Life, shutdown: CancellationToken) {
    let part = life.child();
    let room = Arc::new(Semaphore::new(limits::MAX_CONNECTIONS));
    loop {
        let stream = tokio::select! { biased;
            () = shutdown.cancelled() => break,
            accepted = accept(&listener, &room) => accepted,
        };
        match stream {
            Ok((stream, permit)) => {
                let (server, shutdown) = (Arc::clone(&server), shutdown.clone());
                part.task("vapi.connection", async move {
                    // Small answers, each waited for: do not hold them back.
                    let _ = stream.set_nodelay(true);
                    secured(stream, server, shutdown).await;
                    drop(permit);
                });
            }
            Err(e) => {
                tracing::warn!(topic = "vapi", error = %e, "validator API cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    server.stop();
    drop(listener);
    part.finish(limits::STOP_GRACE).await;
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(room).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, permit))
}

/// Serves one connection, after its handshake if the server has a certificate.
async fn secured(stream: TcpStream, server: Arc<Server>, shutdown: CancellationToken) {
    let Some(tls) = server.tls() else {
        return connection(stream, server, shutdown).await;
    };
    let handshake = tokio::select! { biased;
        () = shutdown.cancelled() => return,
        done = tls.accept(stream) => done,
    };
    match handshake {
        Ok(stream) => connection(stream, server, shutdown).await,
        Err(e) => tracing::debug!(topic = "vapi", error = %e, "a connection to the validator API is no TLS"),
    }
}

/// Serves one connection until it ends; once `shutdown` is cancelled it ends after the answer that is due.
pub async fn connection<S>(stream: S, server: Arc<Server>, shutdown: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let phase = Arc::new(Phase::default());
    let io = TokioIo::new(HeadTimer::new(stream, Arc::clone(&phase)));
    let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
        phase.set(Phase::REQUEST);
        let (server, phase) = (Arc::clone(&server), Arc::clone(&phase));
        async move {
            let response = server.handle(request.map(Body::new)).await;
            Ok::<_, Infallible>(response.map(|inner| Watched { inner, phase }))
        }
    });
    // hyper's own header time limit would also end idle connections, so it stays off.
    let connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size(limits::MAX_HEAD)
        .keep_alive(true)
        .serve_connection(io, service);
    let mut connection = std::pin::pin!(connection);
    let end = tokio::select! { biased;
        end = connection.as_mut() => end,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(e) = end {
        // Clients hang up all the time; nothing is lost by it.
        tracing::debug!(topic = "vapi", error = %e, "connection of a validator client broke off");
    }
}

/// What a connection is doing, as far as time limits are concerned.
#[derive(Debug, Default)]
struct Phase(AtomicU8);

impl Phase {
    /// Waiting for the first head, or in the middle of a head.
    const HEAD: u8 = 0;
    /// From the end of a head to the end of the answer.
    const REQUEST: u8 = 1;
    /// Between an answer and the first byte of the next head.
    const IDLE: u8 = 2;

    fn set(&self, phase: u8) {
        self.0.store(phase, Ordering::Release);
    }

    fn get(&self) -> u8 {
        self.0.load(Ordering::Acquire)
    }
}

/// A byte stream whose reads fail when a request's head takes longer than the limit.
struct HeadTimer<S> {
    inner: S,
    phase: Arc<Phase>,
    /// Runs while the phase is `HEAD`.
    limit: Option<Pin<Box<Sleep>>>,
}

impl<S> HeadTimer<S> {
    fn new(inner: S, phase: Arc<Phase>) -> Self {
        Self {
            inner,
            phase,
            limit: None,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for HeadTimer<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.phase.get() == Phase::HEAD {
            let limit = this
                .limit
                .get_or_insert_with(|| Box::pin(tokio::time::sleep(limits::HEADER_READ_TIMEOUT)));
            if limit.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the request's head took too long",
                )));
            }
        } else {
            this.limit = None;
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut this.inner).poll_read(cx, buf);
        if this.phase.get() == Phase::IDLE && buf.filled().len() > before {
            this.phase.set(Phase::HEAD);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for HeadTimer<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

/// An answer's body that tells when it has been sent.
struct Watched {
    inner: Body,
    phase: Arc<Phase>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.phase.set(Phase::IDLE);
    }
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
