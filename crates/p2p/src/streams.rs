//! Streams of all our protocols over every connection: one behaviour, one handler per connection.
//!
//! Guarantees: any number of outbound streams is negotiated at the same time, up to [`NEGOTIATING`] per connection;
//! requests to open one go straight to the connection's task, not through the swarm; an inbound stream is never
//! refused or dropped because somebody is busy: its reader runs in the connection's own task (pitfalls 4 and 8).
//! A name alone is negotiated lazily, with the data right behind it (pitfall 3); offering [`NOBODYS`] after it makes the
//! negotiation wait for the answer, for names that the peer has not announced.
//! Not here: frames, limits per peer, who answers (`inbox`), which connection is used (`table`).

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::Arc,
    task::{Context, Poll},
};

use futures::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use libp2p::{
    InboundUpgrade, Multiaddr, OutboundUpgrade, PeerId, Stream, StreamProtocol,
    core::{Endpoint, UpgradeInfo, transport::PortUse},
    swarm::{
        ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm, NetworkBehaviour,
        StreamUpgradeError, SubstreamProtocol, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
        handler::{ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound},
    },
};
use tokio::sync::{mpsc, oneshot};

use crate::table::{self, Open, OpenError, Route, Table};

/// Outbound streams being negotiated at once per connection. The muxer allows 256 unacknowledged ones.
const NEGOTIATING: usize = 200;
/// Requests for streams that wait per connection; further callers wait.
const WAITING: usize = 1_024;

/// A protocol that nobody serves. The library is lazy only about the last name of an offer.
const NOBODYS: StreamProtocol = StreamProtocol::new("/trireme/none");

/// What is done with inbound streams.
pub(crate) trait Accept: Send + Sync + 'static {
    /// The protocols served at present.
    fn served(&self) -> Vec<StreamProtocol>;
    /// Takes a stream; the future runs in the connection's task.
    fn accept(&self, peer: PeerId, protocol: StreamProtocol, stream: Stream) -> BoxFuture<'static, ()>;
}

/// An upgrade that gives the bare stream and the name settled on.
#[derive(Debug, Clone)]
pub(crate) struct Offer(Vec<StreamProtocol>);

impl UpgradeInfo for Offer {
    type Info = StreamProtocol;
    type InfoIter = std::vec::IntoIter<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.clone().into_iter()
    }
}

impl InboundUpgrade<Stream> for Offer {
    type Output = (Stream, StreamProtocol);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Self::Error>>;

    fn upgrade_inbound(self, stream: Stream, name: Self::Info) -> Self::Future {
        ready(Ok((stream, name)))
    }
}

impl OutboundUpgrade<Stream> for Offer {
    type Output = (Stream, StreamProtocol);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Self::Error>>;

    fn upgrade_outbound(self, stream: Stream, name: Self::Info) -> Self::Future {
        ready(Ok((stream, name)))
    }
}

// === The handler of one connection

/// Opens and accepts streams of one connection.
pub(crate) struct Handler {
    peer: PeerId,
    accept: Arc<dyn Accept>,
    requests: mpsc::Receiver<Open>,
    negotiating: usize,
    readers: FuturesUnordered<BoxFuture<'static, ()>>,
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Infallible;
    type ToBehaviour = Infallible;
    type InboundProtocol = Offer;
    type OutboundProtocol = Offer;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = oneshot::Sender<Result<Stream, OpenError>>;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(Offer(self.accept.served()), ()).with_timeout(table::NEGOTIATION)
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, Self::OutboundOpenInfo, Self::ToBehaviour>> {
        while let Poll::Ready(Some(())) = self.readers.poll_next_unpin(cx) {}
        while self.negotiating < NEGOTIATING {
            match self.requests.poll_recv(cx) {
                // Its caller has gone away.
                Poll::Ready(Some(open)) if open.reply.is_closed() => {}
                Poll::Ready(Some(open)) => {
                    self.negotiating = self.negotiating.saturating_add(1);
                    let offer = if open.lazy {
                        vec![open.name]
                    } else {
                        vec![open.name, NOBODYS]
                    };
                    let protocol = SubstreamProtocol::new(Offer(offer), open.reply).with_timeout(table::NEGOTIATION);
                    return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
                }
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, event: Self::FromBehaviour) {
        match event {}
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<
            '_,
            Self::InboundProtocol,
            Self::OutboundProtocol,
            Self::InboundOpenInfo,
            Self::OutboundOpenInfo,
        >,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: (stream, name),
                ..
            }) => {
                self.readers.push(self.accept.accept(self.peer, name, stream));
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: (stream, name),
                info,
            }) => {
                self.negotiating = self.negotiating.saturating_sub(1);
                // If the caller has gone away the stream is dropped, which resets it.
                let _ = info.send(if name == NOBODYS {
                    Err(OpenError::Unsupported)
                } else {
                    Ok(stream)
                });
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info, error }) => {
                self.negotiating = self.negotiating.saturating_sub(1);
                let error = match error {
                    StreamUpgradeError::NegotiationFailed => OpenError::Unsupported,
                    StreamUpgradeError::Timeout => OpenError::Timeout,
                    StreamUpgradeError::Io(e) => OpenError::Io(e),
                    StreamUpgradeError::Apply(never) => match never {},
                };
                let _ = info.send(Err(error));
            }
            // The library may add kinds; those of today that are left say nothing to us.
            _ => {}
        }
    }
}

// === The behaviour

/// Makes a handler for every connection and keeps the table of connections.
pub(crate) struct Behaviour {
    table: Arc<Table>,
    accept: Arc<dyn Accept>,
    /// Channels of connections that other behaviours may still refuse.
    fresh: std::collections::BTreeMap<ConnectionId, mpsc::Sender<Open>>,
}

impl Behaviour {
    pub(crate) fn new(table: Arc<Table>, accept: Arc<dyn Accept>) -> Self {
        Self {
            table,
            accept,
            fresh: std::collections::BTreeMap::new(),
        }
    }

    fn handler(&mut self, conn: ConnectionId, peer: PeerId) -> Handler {
        let (tx, requests) = mpsc::channel(WAITING);
        self.fresh.insert(conn, tx);
        Handler {
            peer,
            accept: Arc::clone(&self.accept),
            requests,
            negotiating: 0,
            readers: FuturesUnordered::new(),
        }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        conn: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(conn, peer))
    }

    fn handle_established_outbound_connection(
        &mut self,
        conn: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(conn, peer))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(e) => {
                if let Some(open) = self.fresh.remove(&e.connection_id) {
                    let route = Route {
                        conn: e.connection_id,
                        relayed: e.endpoint.is_relayed(),
                        transport: crate::addr::transport_label(e.endpoint.get_remote_address()),
                        open,
                    };
                    self.table.add(e.peer_id, route);
                }
            }
            FromSwarm::ConnectionClosed(e) => self.table.remove(&e.peer_id, e.connection_id),
            FromSwarm::DialFailure(e) => {
                self.fresh.remove(&e.connection_id);
            }
            FromSwarm::ListenFailure(e) => {
                self.fresh.remove(&e.connection_id);
            }
            // The library's other events, present and future, do not concern streams.
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
pub(crate) mod tests;
