//! Who may connect (p2p.md 2.3): decided after the security handshake, when the identity is proven.
//!
//! Guarantees: the rule is asked anew for every connection, inbound, outbound and relayed; a refused connection never
//! reaches the other behaviours. A refused dialler sees a connection that closes at once.
//! Not here: the list (operators and current relays, kept by `host`); relays use no gate.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent,
        ToSwarm, dummy,
    },
};

/// Whether a peer may be connected.
pub(crate) type Rule = Arc<dyn Fn(&PeerId) -> bool + Send + Sync>;

/// A peer that is neither an operator nor a current relay.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("peer {0} is neither an operator of the cluster nor one of its relays")]
pub(crate) struct Stranger(pub(crate) String);

/// The gate as a behaviour.
pub(crate) struct Behaviour {
    rule: Rule,
}

impl Behaviour {
    pub(crate) fn new(rule: Rule) -> Self {
        Self { rule }
    }

    fn check(&self, peer: &PeerId) -> Result<dummy::ConnectionHandler, ConnectionDenied> {
        if (self.rule)(peer) {
            Ok(dummy::ConnectionHandler)
        } else {
            tracing::debug!(peer = %crate::identity::name(peer), "connection of a stranger refused");
            Err(ConnectionDenied::new(Stranger(peer.to_base58())))
        }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.check(&peer)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.check(&peer)
    }

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}
