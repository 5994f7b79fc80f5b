//! Ping (p2p.md 5): every second to each operator over the connection that its messages take, now and then to relays.
//!
//! Guarantees: of several connections to a peer only the preferred one is pinged, so that spare ones cost nothing; a
//! connection whose pings fail is closed, so that a dead way is not preferred for ever; inbound pings are echoed on any
//! number of streams, each for as long as the peer keeps it busy.
//! Not here: making connections (`links`).

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
    time::Duration,
};

use futures::{
    AsyncReadExt as _, AsyncWriteExt as _, FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered,
};
use libp2p::{PeerId, Stream, StreamProtocol, swarm::ConnectionId};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use trireme_core::ports::{Entropy, Peer};

use crate::{
    inbox::Inbox,
    metrics::{self, P2pMetrics},
    streams::Accept,
    table::{Open, OpenError, Route, Table},
};

/// The protocol's name.
const NAME: StreamProtocol = StreamProtocol::new("/ipfs/ping/1.0.0");
/// Bytes sent and echoed.
const SIZE: usize = 32;
/// How often each operator is pinged.
const EVERY: Duration = Duration::from_secs(1);
/// Relays are pinged each so many rounds: they are only a way to others.
const RELAYS: u64 = 15;
/// Longest wait for a pong.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Pings on one stream: Go nodes end a stream after 30 s, answered pings or not.
const PER_STREAM: u32 = 20;
/// Longest silence on an inbound stream.
const SILENCE: Duration = Duration::from_secs(60);

// === Inbound

/// Inbound streams: pings are echoed here, everything else goes to the inbox.
pub(crate) struct Doors(pub(crate) Arc<Inbox>);

impl Accept for Doors {
    fn served(&self) -> Vec<StreamProtocol> {
        let mut names = self.0.served();
        names.push(NAME);
        names
    }

    fn accept(&self, peer: PeerId, protocol: StreamProtocol, stream: Stream) -> BoxFuture<'static, ()> {
        if protocol == NAME {
            echo(stream).boxed()
        } else {
            self.0.accept(peer, protocol, stream)
        }
    }
}

/// Sends each block back until the peer ends the stream. Go nodes reset it after one block, which is no error.
async fn echo(mut stream: Stream) {
    let mut block = [0; SIZE];
    loop {
        match timeout(SILENCE, stream.read_exact(&mut block)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return,
        }
        let answer = async {
            stream.write_all(&block).await?;
            stream.flush().await
        };
        match timeout(TIMEOUT, answer).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
}

// === Outbound

/// A stream kept for the next pings.
struct Line {
    conn: ConnectionId,
    stream: Stream,
    used: u32,
}

/// What came of one ping.
struct Outcome {
    peer: PeerId,
    conn: ConnectionId,
    result: Result<(Duration, Line), String>,
}

/// Pings everybody who is connected.
pub(crate) struct Pinger {
    /// Operators by identity, ourselves not among them.
    pub(crate) operators: BTreeMap<PeerId, Peer>,
    pub(crate) table: Arc<Table>,
    pub(crate) metrics: P2pMetrics,
    pub(crate) entropy: Arc<dyn Entropy>,
    /// Tells the host of connections to close.
    pub(crate) dead: mpsc::Sender<ConnectionId>,
}

impl Pinger {
    /// Never ends.
    pub(crate) async fn run(self) {
        let mut lines: BTreeMap<PeerId, Line> = BTreeMap::new();
        let mut busy: BTreeSet<PeerId> = BTreeSet::new();
        let mut reachable: BTreeSet<PeerId> = BTreeSet::new();
        let mut running = FuturesUnordered::new();
        // One tick for all, so that an idle node wakes once and not once per peer.
        let mut tick = interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut round = 0_u64;
        loop {
            tokio::select! { biased;
                Some(outcome) = running.next(), if !running.is_empty() => {
                    let Outcome { peer, conn, result } = outcome;
                    busy.remove(&peer);
                    if let Some(line) = self.note(&mut reachable, peer, conn, result) {
                        lines.insert(peer, line);
                    }
                }
                _ = tick.tick() => {
                    let best = self.table.preferred();
                    lines.retain(|peer, line| best.get(peer).is_some_and(|r| r.conn == line.conn));
                    reachable.retain(|peer| best.contains_key(peer));
                    for (peer, route) in best {
                        let due = self.operators.contains_key(&peer) || round.is_multiple_of(RELAYS);
                        if due && busy.insert(peer) {
                            let mut block = [0; SIZE];
                            self.entropy.fill(&mut block);
                            running.push(ping(peer, route, lines.remove(&peer), block));
                        }
                    }
                    round = round.wrapping_add(1);
                }
            }
        }
    }

    /// Tells and counts an outcome; gives back the stream if it can be used again.
    fn note(
        &self,
        reachable: &mut BTreeSet<PeerId>,
        peer: PeerId,
        conn: ConnectionId,
        result: Result<(Duration, Line), String>,
    ) -> Option<Line> {
        let operator = self.operators.get(&peer);
        match result {
            Ok((rtt, line)) => {
                if let Some(p) = operator {
                    let label = metrics::peer(&p.name);
                    self.metrics
                        .ping_latency
                        .get_or_create(&label)
                        .observe(rtt.as_secs_f64());
                    self.metrics.ping_success.get_or_create(&label).set(1);
                    if reachable.insert(peer) {
                        tracing::info!(peer = %p.name, ?rtt, "peer reachable");
                    }
                }
                (line.used < PER_STREAM).then_some(line)
            }
            Err(reason) => {
                // A connection that is gone already needs no closing, and its peer is told of elsewhere.
                if self.table.has(&peer, conn) {
                    let name = operator.map_or_else(|| crate::identity::name(&peer), |p| p.name.clone());
                    if operator.is_some() {
                        self.metrics.ping_error.get_or_create(&metrics::peer(&name)).inc();
                        self.metrics.ping_success.get_or_create(&metrics::peer(&name)).set(0);
                    }
                    reachable.remove(&peer);
                    tracing::warn!(peer = %name, %reason, "pings get no answer; the connection is closed and made anew");
                    // If the channel is full the connection is pinged and told of again.
                    let _ = self.dead.try_send(conn);
                }
                None
            }
        }
    }
}

/// One ping, on the kept stream if it still works, else on a new one.
async fn ping(peer: PeerId, route: Route, line: Option<Line>, block: [u8; SIZE]) -> Outcome {
    let conn = route.conn;
    let exchange = async {
        if let Some(line) = line {
            // The peer may have ended the stream since; that says nothing about the connection.
            if let Ok(done) = once(line, &block).await {
                return Ok(done);
            }
        }
        let stream = match open(&route).await {
            Ok(stream) => stream,
            Err(reason) => return Err(reason),
        };
        let line = Line { conn, stream, used: 0 };
        once(line, &block).await.map_err(|e| e.to_string())
    };
    let result = match timeout(TIMEOUT, exchange).await {
        Ok(result) => result,
        Err(_) => Err(format!("no answer within {TIMEOUT:?}")),
    };
    Outcome { peer, conn, result }
}

async fn open(route: &Route) -> Result<Stream, String> {
    let (reply, stream) = oneshot::channel();
    let open = Open {
        name: NAME,
        lazy: true,
        reply,
    };
    let closed = || "the connection closed".to_owned();
    route.open.send(open).await.map_err(|_| closed())?;
    match stream.await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(e @ (OpenError::Unsupported | OpenError::Timeout | OpenError::Io(_)))) => Err(e.to_string()),
        Err(_) => Err(closed()),
    }
}

async fn once(mut line: Line, block: &[u8; SIZE]) -> io::Result<(Duration, Line)> {
    let began = Instant::now();
    line.stream.write_all(block).await?;
    line.stream.flush().await?;
    let mut back = [0; SIZE];
    line.stream.read_exact(&mut back).await?;
    if back != *block {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the peer sent other bytes back",
        ));
    }
    line.used = line.used.saturating_add(1);
    Ok((began.elapsed(), line))
}

#[cfg(test)]
mod tests;
