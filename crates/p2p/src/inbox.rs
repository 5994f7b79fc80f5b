//! Inbound messages: read and their streams closed at once, then queued per peer, then handled.
//!
//! Guarantees (pitfalls 2, 8 and 9): a message is read within 5 s without regard to how busy the handlers are; a
//! one-way stream is closed in order before its message is queued; the frames being read from one peer take at most
//! [`READING`] bytes; the queue of one peer holds at most [`QUEUED`] messages and [`QUEUED_BYTES`] bytes, the oldest
//! making room for new ones and being counted; handlers of one protocol never hold up those of another.
//! Not here: what a message means. Relays share one queue.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use futures::{
    AsyncReadExt as _, AsyncWriteExt as _, FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered,
};
use libp2p::{PeerId, Stream, StreamProtocol};
use tokio::{
    sync::{Notify, Semaphore},
    time::{Instant, timeout, timeout_at},
};
use trireme_core::{
    PeerIdx,
    ports::{Handler, Inbound, ProtocolId},
};

use crate::{
    frame::{self, FrameError},
    identity,
    metrics::{self, BytesLabel, P2pMetrics, StreamLabel},
    protocol,
    streams::Accept,
    table::Table,
};

/// Messages that wait per peer.
pub(crate) const QUEUED: usize = 2_048;
/// Bytes that wait per peer.
pub(crate) const QUEUED_BYTES: usize = 64 * 1024 * 1024;
/// Bytes of frames being read per peer; one frame of the largest kind fits.
const READING: usize = frame::MAX_FRAME;
/// Unit in which [`READING`] is handed out.
const GRAIN: usize = 1024;
/// Handlers of one protocol that run at once per peer.
const HANDLERS: usize = 64;

/// A message waiting for its handler. `stream` is there if an answer may be written.
struct Item<S> {
    protocol: ProtocolId,
    handler: Handler,
    message: Inbound,
    stream: Option<S>,
    arrived: Instant,
}

/// The queue of one peer.
struct Queue<S> {
    name: String,
    items: Mutex<(VecDeque<Item<S>>, usize)>,
    news: Notify,
    reading: Semaphore,
}

impl<S> Queue<S> {
    fn new(name: String) -> Self {
        let reading = Semaphore::new(READING.div_ceil(GRAIN).saturating_add(1));
        Self {
            name,
            items: Mutex::new((VecDeque::new(), 0)),
            news: Notify::new(),
            reading,
        }
    }

    fn lock(&self) -> MutexGuard<'_, (VecDeque<Item<S>>, usize)> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a message and returns how many older ones had to go.
    fn push(&self, item: Item<S>) -> u64 {
        let mut guard = self.lock();
        let (items, bytes) = &mut *guard;
        *bytes = bytes.saturating_add(item.message.msg.len());
        items.push_back(item);
        let mut dropped = 0_u64;
        while items.len() > QUEUED || (*bytes > QUEUED_BYTES && items.len() > 1) {
            let Some(old) = items.pop_front() else { break };
            *bytes = bytes.saturating_sub(old.message.msg.len());
            dropped = dropped.saturating_add(1);
        }
        drop(guard);
        self.news.notify_one();
        dropped
    }

    /// The oldest message of a protocol that `may` run.
    fn take(&self, may: impl Fn(&str) -> bool) -> Option<Item<S>> {
        let mut guard = self.lock();
        let (items, bytes) = &mut *guard;
        let at = items.iter().position(|i| may(i.protocol.name))?;
        let item = items.remove(at)?;
        *bytes = bytes.saturating_sub(item.message.msg.len());
        Some(item)
    }
}

struct Registration {
    number: u64,
    protocol: ProtocolId,
    handler: Handler,
}

/// The served protocols and the queues of all peers.
pub(crate) struct Inbox {
    served: Mutex<BTreeMap<&'static str, Registration>>,
    numbers: std::sync::atomic::AtomicU64,
    operators: BTreeMap<PeerId, (PeerIdx, Arc<Queue<Stream>>)>,
    /// Of everybody who is no operator: relays on a node, clients on a relay.
    others: Arc<Queue<Stream>>,
    table: Arc<Table>,
    metrics: P2pMetrics,
}

impl Inbox {
    pub(crate) fn new(
        operators: impl IntoIterator<Item = (PeerId, PeerIdx, String)>,
        table: Arc<Table>,
        metrics: P2pMetrics,
    ) -> Arc<Self> {
        let operators = operators
            .into_iter()
            .map(|(id, idx, name)| (id, (idx, Arc::new(Queue::new(name)))))
            .collect();
        Arc::new(Self {
            served: Mutex::default(),
            numbers: std::sync::atomic::AtomicU64::new(0),
            operators,
            others: Arc::new(Queue::new("relay".to_owned())),
            table,
            metrics,
        })
    }

    fn registrations(&self) -> MutexGuard<'_, BTreeMap<&'static str, Registration>> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves a protocol; the number unregisters it. A later registration of the same name takes the place of this.
    pub(crate) fn register(&self, protocol: ProtocolId, handler: Handler) -> u64 {
        let number = self.numbers.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.registrations().insert(
            protocol.name,
            Registration {
                number,
                protocol,
                handler,
            },
        );
        number
    }

    pub(crate) fn unregister(&self, name: &str, number: u64) {
        let mut served = self.registrations();
        if served.get(name).is_some_and(|r| r.number == number) {
            served.remove(name);
        }
    }

    /// The tasks that run the handlers, one per peer; they never end.
    pub(crate) fn workers(&self) -> Vec<BoxFuture<'static, ()>> {
        let queues = self
            .operators
            .values()
            .map(|(_, q)| Arc::clone(q))
            .chain([Arc::clone(&self.others)]);
        queues.map(|q| work(q).boxed()).collect()
    }

    /// Reads the message of one stream and queues it.
    async fn receive(self: Arc<Self>, peer: PeerId, name: StreamProtocol, mut stream: Stream) {
        let arrived = Instant::now();
        let (protocol, handler) = {
            let served = self.registrations();
            let Some(r) = served.get(name.as_ref()) else { return };
            (r.protocol, Arc::clone(&r.handler))
        };
        let (from, queue) = match self.operators.get(&peer) {
            Some((idx, queue)) => (Some(*idx), queue),
            None => (None, &self.others),
        };
        let label = if from.is_some() {
            queue.name.clone()
        } else {
            identity::name(&peer)
        };
        let transport = self.table.best(&peer).map_or("unknown", |r| r.transport);
        let _open = self.metrics.open_stream(&label, "Inbound", protocol.name, transport);
        let msg = match timeout(protocol::READ, read(queue, &mut stream, protocol.max_frame)).await {
            Ok(Ok(msg)) => msg,
            Ok(Err(e)) if e.is_reset() => return,
            Ok(Err(error)) => {
                tracing::warn!(peer = %label, protocol = protocol.name, %error, "message cannot be read and is lost");
                // Closed, not reset: the other side may wait for an answer.
                let _ = timeout(protocol::READ, stream.close()).await;
                return;
            }
            Err(_) => {
                tracing::error!(peer = %label, protocol = protocol.name, limit = ?protocol::READ, "message did not arrive in time and is lost");
                return;
            }
        };
        let Some(from_id) = identity::from_libp2p(&peer) else {
            return;
        };
        self.metrics
            .receive_bytes
            .get_or_create(&BytesLabel {
                peer: label.clone(),
                protocol: protocol.name.to_owned(),
                transport,
            })
            .inc_by(u64::try_from(msg.len()).unwrap_or(u64::MAX));
        let message = Inbound { from, from_id, msg };
        let (kept, mut rest) = if protocol::is_answered(protocol.name) {
            (Some(stream), None)
        } else {
            (None, Some(stream))
        };
        if let Some(stream) = &mut rest {
            // Errors of closing are routine: the message is here.
            let _ = timeout(protocol::READ, stream.close()).await;
        }
        let dropped = queue.push(Item {
            protocol,
            handler,
            message,
            stream: kept,
            arrived,
        });
        if dropped > 0 {
            self.metrics
                .dropped
                .get_or_create(&metrics::peer(&label))
                .inc_by(dropped);
            tracing::warn!(peer = %label, dropped, "too many messages wait; the oldest are lost");
        }
        if let Some(mut stream) = rest {
            // The other side's end of the stream usually comes right behind; dropped before, it would be a reset.
            let mut byte = [0];
            let until_end = async { while matches!(stream.read(&mut byte).await, Ok(n) if n > 0) {} };
            let _ = timeout_at(arrived + protocol::READ, until_end).await;
        }
    }
}

impl Accept for Arc<Inbox> {
    fn served(&self) -> Vec<StreamProtocol> {
        self.registrations()
            .keys()
            .filter_map(|name| StreamProtocol::try_from_owned((*name).to_owned()).ok())
            .collect()
    }

    fn accept(&self, peer: PeerId, protocol: StreamProtocol, stream: Stream) -> BoxFuture<'static, ()> {
        Arc::clone(self).receive(peer, protocol, stream).boxed()
    }
}

async fn read<S>(queue: &Queue<S>, stream: &mut Stream, max: usize) -> Result<Bytes, FrameError> {
    let len = frame::read_len(stream, max.min(frame::MAX_FRAME)).await?;
    let grains = u32::try_from(len.div_ceil(GRAIN)).unwrap_or(u32::MAX);
    // The semaphore is never closed, so this waits and does not fail.
    let _room = queue.reading.acquire_many(grains).await;
    frame::read_body(stream, len).await
}

/// Runs the handlers of one queue.
async fn work(queue: Arc<Queue<Stream>>) {
    let mut running = FuturesUnordered::new();
    let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
    loop {
        while let Some(item) = queue.take(|name| counts.get(name).copied().unwrap_or_default() < HANDLERS) {
            let count = counts.entry(item.protocol.name).or_default();
            *count = count.saturating_add(1);
            running.push(handle(&queue.name, item));
        }
        tokio::select! { biased;
            Some(name) = running.next(), if !running.is_empty() => {
                if let Some(count) = counts.get_mut(name) {
                    *count = count.saturating_sub(1);
                }
            }
            () = queue.news.notified() => {}
        }
    }
}

/// Runs one handler and writes its answer.
async fn handle(peer: &str, item: Item<Stream>) -> &'static str {
    let name = item.protocol.name;
    let limit = protocol::handler_limit(name);
    // Whoever waits for an answer began to wait when the message arrived.
    let deadline = if item.stream.is_some() {
        item.arrived + limit
    } else {
        Instant::now() + limit
    };
    let answer = match timeout_at(deadline, (item.handler)(item.message)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => {
            tracing::warn!(peer, protocol = name, %error, duration = ?item.arrived.elapsed(), "message refused");
            None
        }
        Err(_) => {
            tracing::warn!(
                peer,
                protocol = name,
                ?limit,
                "message was not handled in time and is lost"
            );
            None
        }
    };
    if let Some(mut stream) = item.stream {
        let write = async {
            if let Some(answer) = answer {
                frame::write_frame(&mut stream, &answer).await?;
            }
            stream.close().await
        };
        match timeout(protocol::send_limit(name), write).await {
            Ok(Err(error)) => tracing::debug!(peer, protocol = name, %error, "the asker did not take the answer"),
            Err(_) => tracing::debug!(peer, protocol = name, "the asker did not take the answer in time"),
            Ok(Ok(())) => {}
        }
    }
    name
}

/// Counts a stream as open until dropped.
pub(crate) struct OpenStream(prometheus_client::metrics::gauge::Gauge);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl P2pMetrics {
    pub(crate) fn open_stream(
        &self,
        peer: &str,
        direction: &'static str,
        protocol: &str,
        transport: &'static str,
    ) -> OpenStream {
        let label = StreamLabel {
            peer: peer.to_owned(),
            direction,
            protocol: protocol.to_owned(),
            transport,
        };
        let gauge = self.peer_streams.get_or_create(&label).clone();
        gauge.inc();
        OpenStream(gauge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(protocol: &'static str, bytes: usize, first: u8) -> Item<()> {
        let mut msg = vec![0; bytes];
        if let Some(b) = msg.first_mut() {
            *b = first;
        }
        Item {
            protocol: ProtocolId {
                name: protocol,
                max_frame: 0,
            },
            handler: Arc::new(|_| Box::pin(async { Ok(None) })),
            message: Inbound {
                from: None,
                from_id: trireme_keys::PeerId::from_public_key(
                    trireme_keys::IdentityKey::from_bytes(&[1; 32]).unwrap().public_key(),
                ),
                msg: msg.into(),
            },
            stream: None,
            arrived: Instant::now(),
        }
    }

    #[tokio::test]
    async fn the_oldest_messages_make_room_when_too_many_wait() {
        let q = Queue::new("a".into());
        for _ in 0..QUEUED {
            assert_eq!(q.push(item("/a", 1, 0)), 0);
        }
        assert_eq!(q.push(item("/a", 1, 9)), 1);
        assert_eq!(q.lock().0.len(), QUEUED);
        assert_eq!(q.lock().0.back().unwrap().message.msg[0], 9);
    }

    #[tokio::test]
    async fn the_oldest_messages_make_room_when_too_many_bytes_wait() {
        let q = Queue::new("a".into());
        let half = QUEUED_BYTES / 2;
        assert_eq!(q.push(item("/a", half, 1)), 0);
        assert_eq!(q.push(item("/a", half, 2)), 0);
        assert_eq!(q.push(item("/a", half, 3)), 1);
        assert_eq!(q.take(|_| true).unwrap().message.msg[0], 2);
        assert_eq!(q.lock().1, half);
    }

    #[tokio::test]
    async fn one_message_above_the_byte_limit_is_kept_alone() {
        let q = Queue::new("a".into());
        q.push(item("/a", 1, 1));
        assert_eq!(q.push(item("/a", QUEUED_BYTES + 1, 2)), 1);
        assert_eq!(q.lock().0.len(), 1);
    }

    #[tokio::test]
    async fn a_busy_protocol_does_not_hold_up_another() {
        let q = Queue::new("a".into());
        q.push(item("/busy", 1, 1));
        q.push(item("/free", 1, 2));
        assert_eq!(q.take(|name| name != "/busy").unwrap().protocol.name, "/free");
        assert!(q.take(|name| name != "/busy").is_none());
    }
}
