//! Sending: the `PeerNet` port over the host's connections.
//!
//! Guarantees (p2p.md 3.3 to 3.6): every message has a stream of its own, whose write side is closed in order before it
//! is dropped (pitfall 2); a reset or a lost connection is tried once more after 100 ms, nothing else is; at most
//! [`STREAMS`] streams to one peer are open, further callers wait.
//! Cancellation: dropping a send abandons its stream; the message may or may not arrive.
//! Not here: reading inbound streams (`inbox`).

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures::{AsyncWriteExt as _, FutureExt as _, future::BoxFuture};
use libp2p::{PeerId, Stream, StreamProtocol};
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;
use trireme_core::{
    PeerIdx,
    ports::{Handler, NetError, Peer, PeerNet, ProtocolId, ServeGuard},
};

use crate::{
    frame::{self, FrameError},
    hysteresis::{Change, SendState},
    inbox::Inbox,
    metrics::{BytesLabel, P2pMetrics, SendLabel},
    protocol,
    table::{Open, OpenError, Table},
    topic::topic,
};

/// Outbound streams open to one peer.
pub(crate) const STREAMS: usize = 1_024;
/// How long a message waits for a connection and a stream.
const CONNECT: Duration = Duration::from_secs(10);
/// Pause before the second try.
const RETRY: Duration = Duration::from_millis(100);

/// What went wrong in one attempt.
enum Failure {
    /// No connection.
    Unreachable(String),
    /// A reset or a lost connection: routine, worth a second try.
    Reset(String),
    /// Anything else.
    Broken(String),
}

impl From<io::Error> for Failure {
    fn from(e: io::Error) -> Self {
        if frame::is_reset(&e) {
            Self::Reset(e.to_string())
        } else {
            Self::Broken(e.to_string())
        }
    }
}

impl From<FrameError> for Failure {
    fn from(e: FrameError) -> Self {
        match e {
            FrameError::Io(e) => e.into(),
            FrameError::Empty => Self::Broken("the peer closed the stream without an answer".to_owned()),
            FrameError::Cut | FrameError::BadLength | FrameError::TooLarge { .. } => Self::Broken(e.to_string()),
        }
    }
}

/// One peer as the sender sees it.
struct Lane {
    id: PeerId,
    streams: Semaphore,
    state: Mutex<SendState>,
}

/// The operators' nodes, reachable.
pub(crate) struct Net {
    me: PeerIdx,
    peers: Vec<Peer>,
    lanes: Vec<Lane>,
    table: Arc<Table>,
    inbox: Arc<Inbox>,
    /// Tells the host that somebody waits for a connection.
    want: mpsc::Sender<PeerId>,
    metrics: P2pMetrics,
    stop: CancellationToken,
}

impl Net {
    pub(crate) fn new(
        me: PeerIdx,
        peers: Vec<Peer>,
        table: Arc<Table>,
        inbox: Arc<Inbox>,
        want: mpsc::Sender<PeerId>,
        metrics: P2pMetrics,
        stop: CancellationToken,
    ) -> Self {
        let lane = |p: &Peer| Lane {
            id: crate::identity::to_libp2p(&p.id),
            streams: Semaphore::new(STREAMS),
            state: Mutex::default(),
        };
        let lanes = peers.iter().map(lane).collect();
        Self {
            me,
            peers,
            lanes,
            table,
            inbox,
            want,
            metrics,
            stop,
        }
    }

    /// Sends, and waits for an answer if one is wanted. The duration of the exchange comes with the answer.
    pub(crate) async fn exchange(
        &self,
        to: PeerIdx,
        proto: ProtocolId,
        msg: Bytes,
        answer: bool,
    ) -> Result<(Bytes, Duration), NetError> {
        let unknown = || NetError::Unreachable {
            peer: to.to_string(),
            reason: "no such operator".to_owned(),
        };
        let peer = self.peers.get(usize::from(to.0)).ok_or_else(unknown)?;
        let lane = self.lanes.get(usize::from(to.0)).ok_or_else(unknown)?;
        if to == self.me {
            let reason = "it is this node; messages to oneself take no network".to_owned();
            return Err(NetError::Unreachable {
                peer: peer.name.clone(),
                reason,
            });
        }
        let began = Instant::now();
        let result = tokio::select! { biased;
            () = self.stop.cancelled() => return Err(NetError::Stopped),
            result = self.try_twice(peer, lane, proto, &msg, answer) => result,
        };
        let label = SendLabel {
            peer: peer.name.clone(),
            protocol: proto.name,
            topic: topic(proto.name, &msg),
        };
        self.metrics
            .send_duration
            .get_or_create(&label)
            .observe(began.elapsed().as_secs_f64());
        self.note(peer, lane, proto, &result);
        result.map_err(|f| match f {
            Failure::Unreachable(reason) => NetError::Unreachable {
                peer: peer.name.clone(),
                reason,
            },
            Failure::Reset(reason) | Failure::Broken(reason) => NetError::Stream {
                peer: peer.name.clone(),
                protocol: proto.name,
                reason,
            },
        })
    }

    async fn try_twice(
        &self,
        peer: &Peer,
        lane: &Lane,
        proto: ProtocolId,
        msg: &Bytes,
        answer: bool,
    ) -> Result<(Bytes, Duration), Failure> {
        // The semaphore is never closed, so this waits and does not fail.
        let _slot = lane.streams.acquire().await;
        match self.attempt(peer, lane, proto, msg, answer).await {
            Err(Failure::Reset(_)) => {
                tokio::time::sleep(RETRY).await;
                self.attempt(peer, lane, proto, msg, answer).await
            }
            other => other,
        }
    }

    async fn attempt(
        &self,
        peer: &Peer,
        lane: &Lane,
        proto: ProtocolId,
        msg: &Bytes,
        answer: bool,
    ) -> Result<(Bytes, Duration), Failure> {
        let (mut stream, transport) = timeout(CONNECT, self.open(lane, proto, answer))
            .await
            .map_err(|_| Failure::Unreachable(format!("no connection within {CONNECT:?}")))??;
        let _open = self.metrics.open_stream(&peer.name, "Outbound", proto.name, transport);
        let limit = protocol::send_limit(proto.name);
        let began = Instant::now();
        let exchange = async {
            frame::write_frame(&mut stream, msg).await?;
            stream.close().await?;
            if answer {
                frame::read_frame(&mut stream, proto.max_frame)
                    .await
                    .map_err(Failure::from)
            } else {
                Ok(Bytes::new())
            }
        };
        let got = timeout(limit, exchange)
            .await
            .map_err(|_| Failure::Broken(format!("the peer did not take or answer the message within {limit:?}")))??;
        let bytes = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let label = BytesLabel {
            peer: peer.name.clone(),
            protocol: proto.name.to_owned(),
            transport,
        };
        self.metrics.sent_bytes.get_or_create(&label).inc_by(bytes(msg.len()));
        if answer {
            self.metrics
                .receive_bytes
                .get_or_create(&label)
                .inc_by(bytes(got.len()));
        }
        Ok((got, began.elapsed()))
    }

    /// Opens a stream on the best connection, waiting for one if there is none.
    async fn open(&self, lane: &Lane, proto: ProtocolId, answer: bool) -> Result<(Stream, &'static str), Failure> {
        let name = StreamProtocol::try_from_owned(proto.name.to_owned())
            .map_err(|_| Failure::Broken("the library negotiates only names that begin with a slash".to_owned()))?;
        let mut changes = self.table.watch();
        loop {
            changes.mark_unchanged();
            let Some(route) = self.table.best(&lane.id) else {
                // If the channel is full the host already knows that somebody waits.
                let _ = self.want.try_send(lane.id);
                changes
                    .changed()
                    .await
                    .map_err(|_| Failure::Unreachable("the network is shut down".to_owned()))?;
                continue;
            };
            // A refusal of a lazily negotiated stream shows only when reading; so a message that nobody answers is
            // negotiated in full unless the peer has announced the protocol (pitfall 3).
            let lazy = answer || self.table.serves(&lane.id, proto.name);
            let (reply, stream) = oneshot::channel();
            if route
                .open
                .send(Open {
                    name: name.clone(),
                    lazy,
                    reply,
                })
                .await
                .is_err()
            {
                // The connection has just gone; its removal from the table is on its way.
                self.table.remove(&lane.id, route.conn);
                continue;
            }
            return match stream.await {
                Ok(Ok(stream)) => Ok((stream, route.transport)),
                Ok(Err(OpenError::Io(e))) => Err(e.into()),
                Ok(Err(e @ (OpenError::Unsupported | OpenError::Timeout))) => Err(Failure::Broken(e.to_string())),
                Err(_) => Err(Failure::Reset("the connection closed".to_owned())),
            };
        }
    }

    /// Says when sending to a peer begins to fail and when it works again. Dial failures are told by the dial loop.
    fn note(&self, peer: &Peer, lane: &Lane, proto: ProtocolId, result: &Result<(Bytes, Duration), Failure>) {
        let change = lane
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .note(result.is_ok());
        match (change, result) {
            (Some(Change::Failing), Err(Failure::Reset(reason) | Failure::Broken(reason))) => {
                tracing::warn!(peer = %peer.name, protocol = proto.name, %reason, "sending to the peer fails; duties may lack this node");
            }
            (Some(Change::Recovered), _) => {
                tracing::info!(peer = %peer.name, protocol = proto.name, "sending to the peer works again");
            }
            (Some(Change::Failing) | None, _) => {}
        }
    }
}

impl PeerNet for Net {
    fn me(&self) -> PeerIdx {
        self.me
    }

    fn peers(&self) -> &[Peer] {
        &self.peers
    }

    fn send(&self, to: PeerIdx, proto: ProtocolId, msg: Bytes) -> BoxFuture<'_, Result<(), NetError>> {
        async move { self.exchange(to, proto, msg, false).await.map(|_| ()) }.boxed()
    }

    fn request(&self, to: PeerIdx, proto: ProtocolId, msg: Bytes) -> BoxFuture<'_, Result<Bytes, NetError>> {
        async move { self.exchange(to, proto, msg, true).await.map(|(answer, _)| answer) }.boxed()
    }

    fn announces(&self, peer: PeerIdx, proto: ProtocolId) -> Option<bool> {
        let lane = self.lanes.get(usize::from(peer.0))?;
        self.table.announces(&lane.id, proto.name)
    }

    fn serve(&self, proto: ProtocolId, handler: Handler) -> ServeGuard {
        let number = self.inbox.register(proto, handler);
        let inbox = Arc::clone(&self.inbox);
        ServeGuard(Some(Box::new(move || inbox.unregister(proto.name, number))))
    }
}
