//! How many bytes each client of a relay sends and receives, circuits included.
//!
//! Guarantees: every byte of every stream counts, once for the client that it comes from and once for the one that it
//! goes to; what is kept is bounded by the connections that there are.
//! Not here: whose cluster a client is of (`relay::monitor`); what the transport adds around streams is not counted.

use std::{
    collections::BTreeMap,
    io::{self, IoSlice, IoSliceMut},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use futures::{AsyncRead, AsyncWrite};
use libp2p::{
    PeerId,
    core::muxing::{StreamMuxer, StreamMuxerBox, StreamMuxerEvent, StreamMuxerExt as _, SubstreamBox},
};

/// Bytes of one client since the last look.
#[derive(Debug, Default)]
struct Count {
    received: AtomicU64,
    sent: AtomicU64,
}

impl Count {
    fn add(to: &AtomicU64, done: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(n)) = done {
            to.fetch_add(u64::try_from(*n).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }
}

/// What one client sent and received since the last look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Traffic {
    /// From the client.
    pub(crate) received: u64,
    /// To the client.
    pub(crate) sent: u64,
}

/// The counts of all clients. Clones are the same counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Meter(Arc<Mutex<BTreeMap<PeerId, Weak<Count>>>>);

impl Meter {
    /// Counts what goes through a client's connection.
    pub(crate) fn watch(&self, peer: PeerId, muxer: StreamMuxerBox) -> Watched {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = counts.entry(peer).or_default();
        let count = kept.upgrade().unwrap_or_else(|| {
            let count = Arc::new(Count::default());
            *kept = Arc::downgrade(&count);
            count
        });
        Watched { muxer, count }
    }

    /// Every client's bytes since the last call; forgets clients without connection.
    pub(crate) fn take(&self) -> Vec<(PeerId, Traffic)> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = Vec::with_capacity(counts.len());
        counts.retain(|peer, kept| {
            let Some(count) = kept.upgrade() else { return false };
            let traffic = Traffic {
                received: count.received.swap(0, Ordering::Relaxed),
                sent: count.sent.swap(0, Ordering::Relaxed),
            };
            all.push((*peer, traffic));
            true
        });
        all
    }
}

/// A connection whose streams are counted.
pub(crate) struct Watched {
    muxer: StreamMuxerBox,
    count: Arc<Count>,
}

impl Watched {
    fn stream(&self, inner: SubstreamBox) -> WatchedStream {
        WatchedStream {
            inner,
            count: Arc::clone(&self.count),
        }
    }
}

impl StreamMuxer for Watched {
    type Substream = WatchedStream;
    type Error = io::Error;

    fn poll_inbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<WatchedStream>> {
        let stream = self.muxer.poll_inbound_unpin(cx);
        stream.map_ok(|inner| self.stream(inner))
    }

    fn poll_outbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<WatchedStream>> {
        let stream = self.muxer.poll_outbound_unpin(cx);
        stream.map_ok(|inner| self.stream(inner))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.muxer.poll_close_unpin(cx)
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<StreamMuxerEvent>> {
        self.muxer.poll_unpin(cx)
    }
}

/// A stream whose bytes are counted.
pub(crate) struct WatchedStream {
    inner: SubstreamBox,
    count: Arc<Count>,
}

impl AsyncRead for WatchedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut [u8]) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.inner).poll_read(cx, to);
        Count::add(&self.count.received, &done);
        done
    }

    fn poll_read_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.inner).poll_read_vectored(cx, to);
        Count::add(&self.count.received, &done);
        done
    }
}

impl AsyncWrite for WatchedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.inner).poll_write(cx, from);
        Count::add(&self.count.sent, &done);
        done
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.inner).poll_write_vectored(cx, from);
        Count::add(&self.count.sent, &done);
        done
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use futures::{AsyncReadExt as _, AsyncWriteExt as _, FutureExt as _, StreamExt as _, future::poll_fn};
    use libp2p::{
        identity::Keypair,
        swarm::{SwarmEvent, dial_opts::DialOpts},
    };

    use super::*;
    use crate::{inbox::Inbox, metrics::P2pMetrics, swarm, table::Table};

    /// A connection whose streams hold these bytes and take any.
    struct Streams(VecDeque<Vec<u8>>);

    impl StreamMuxer for Streams {
        type Substream = futures::io::Cursor<Vec<u8>>;
        type Error = io::Error;

        fn poll_inbound(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<Self::Substream>> {
            self.0
                .pop_front()
                .map_or(Poll::Pending, |bytes| Poll::Ready(Ok(futures::io::Cursor::new(bytes))))
        }

        fn poll_outbound(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<Self::Substream>> {
            self.poll_inbound(cx)
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<StreamMuxerEvent>> {
            Poll::Pending
        }
    }

    fn connection(streams: &[usize]) -> StreamMuxerBox {
        StreamMuxerBox::new(Streams(streams.iter().map(|n| vec![7; *n]).collect()))
    }

    #[tokio::test]
    async fn bytes_of_all_streams_of_all_connections_of_a_client_add_up_until_they_are_taken() {
        let (meter, client, other) = (Meter::default(), PeerId::random(), PeerId::random());
        let mut first = meter.watch(client, connection(&[10, 20]));
        let mut second = meter.watch(client, connection(&[3]));
        let idle = meter.watch(other, connection(&[]));
        let mut read = Vec::new();
        let mut inbound = poll_fn(|cx| first.poll_inbound_unpin(cx)).await.unwrap();
        inbound.read_to_end(&mut read).await.unwrap();
        let mut outbound = poll_fn(|cx| first.poll_outbound_unpin(cx)).await.unwrap();
        outbound.write_all(&[1; 5]).await.unwrap();
        let mut of_second = poll_fn(|cx| second.poll_inbound_unpin(cx)).await.unwrap();
        of_second.read_to_end(&mut read).await.unwrap();
        drop((second, of_second));
        let taken = |meter: &Meter| meter.take().into_iter().collect::<BTreeMap<_, _>>();
        let nothing = Traffic { received: 0, sent: 0 };
        let some = Traffic { received: 13, sent: 5 };
        assert_eq!(taken(&meter), BTreeMap::from([(client, some), (other, nothing)]));
        assert_eq!(taken(&meter)[&client], nothing);
        drop((first, inbound, outbound, idle));
        assert_eq!(taken(&meter), BTreeMap::new());
        assert!(meter.0.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_relays_connections_are_watched() {
        let relay = |meter: &Meter| {
            let table = Arc::new(Table::new());
            let inbox = Inbox::new([], Arc::clone(&table), P2pMetrics::new());
            let key = Keypair::generate_secp256k1();
            swarm::relay_server(
                key,
                String::new(),
                libp2p::relay::Config::default(),
                table,
                inbox,
                meter.clone(),
            )
            .unwrap()
        };
        let (here, there) = (Meter::default(), Meter::default());
        let (mut listens, mut dials) = (relay(&here), relay(&there));
        listens.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
        let address = loop {
            if let SwarmEvent::NewListenAddr { address, .. } = listens.select_next_some().await {
                break address;
            }
        };
        let (server, client) = (*listens.local_peer_id(), *dials.local_peer_id());
        dials
            .dial(DialOpts::peer_id(server).addresses(vec![address]).build())
            .unwrap();
        // Both ask each other who they are.
        let (mut at_server, mut at_client) = (Traffic { received: 0, sent: 0 }, Traffic { received: 0, sent: 0 });
        let enough = |t: &Traffic| t.received > 100 && t.sent > 100;
        while !(enough(&at_server) && enough(&at_client)) {
            futures::select! {
                _ = listens.next().fuse() => {}
                _ = dials.next().fuse() => {}
            }
            for (meter, peer, sum) in [(&here, client, &mut at_server), (&there, server, &mut at_client)] {
                for (who, traffic) in meter.take() {
                    assert_eq!(who, peer);
                    sum.received += traffic.received;
                    sum.sent += traffic.sent;
                }
            }
        }
    }
}
