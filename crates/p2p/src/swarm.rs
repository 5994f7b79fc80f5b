//! Setting up the library: transports, limits, behaviours, as p2p.md 13 found them to work.

use std::{num::NonZeroU8, sync::Arc, time::Duration};

use libp2p::{
    Swarm, SwarmBuilder,
    core::{Transport as _, muxing::StreamMuxerBox, upgrade::Version},
    identify,
    identity::Keypair,
    noise, ping, relay,
    swarm::NetworkBehaviour,
    tcp, yamux,
};

use crate::{config::P2pError, gate, inbox::Inbox, ping::Doors, streams, table::Table, traffic::Meter};

/// Streams per connection, both ways together. More than this the multiplexer does not take.
const MAX_STREAMS: usize = 4_096;
/// How long a connection without streams is kept. Go nodes never close idle connections (pitfall 7).
const IDLE: Duration = Duration::from_secs(7 * 24 * 3600);
/// How often a relay server pings its clients: only to notice those that are gone.
const PING_EVERY: Duration = Duration::from_secs(15);
/// Longest wait for a pong.
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest set-up of a connection, security included.
const SETUP: Duration = Duration::from_secs(15);
/// Addresses of one peer that are dialled at once.
const DIALS: NonZeroU8 = NonZeroU8::new(8).unwrap();
/// Inbound streams negotiated at once per connection; the rest waits in the multiplexer.
const NEGOTIATING: usize = 256;

/// The behaviours of a node.
#[derive(NetworkBehaviour)]
pub(crate) struct NodeBehaviour {
    // The gate comes first, so that nothing is set up for strangers.
    gate: gate::Behaviour,
    relay: relay::client::Behaviour,
    identify: identify::Behaviour,
    streams: streams::Behaviour,
}

#[cfg(test)]
impl NodeBehaviour {
    pub(crate) fn streams(&self) -> &streams::Behaviour {
        &self.streams
    }
}

/// The behaviours of a relay server.
#[derive(NetworkBehaviour)]
pub(crate) struct RelayBehaviour {
    pub(crate) relay: relay::Behaviour,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    streams: streams::Behaviour,
}

fn muxer() -> yamux::Config {
    let mut config = yamux::Config::default();
    config.set_max_num_streams(MAX_STREAMS);
    config
}

fn identify_config(key: &Keypair, agent: String) -> identify::Behaviour {
    // The protocol version is empty, as Charon's is; pushes keep the peers' address books current.
    let config = identify::Config::new(String::new(), key.public());
    identify::Behaviour::new(config.with_agent_version(agent).with_push_listen_addr_updates(true))
}

fn pinger() -> ping::Behaviour {
    ping::Behaviour::new(ping::Config::new().with_interval(PING_EVERY).with_timeout(PING_TIMEOUT))
}

fn tuned(config: libp2p::swarm::Config) -> libp2p::swarm::Config {
    config
        .with_idle_connection_timeout(IDLE)
        .with_substream_upgrade_protocol_override(Version::V1Lazy)
        .with_max_negotiating_inbound_streams(NEGOTIATING)
        .with_dial_concurrency_factor(DIALS)
}

fn stack(e: impl std::fmt::Display) -> P2pError {
    P2pError::Stack(e.to_string())
}

/// A node's swarm.
pub(crate) fn node(
    key: Keypair,
    agent: String,
    rule: gate::Rule,
    table: Arc<Table>,
    inbox: Arc<Inbox>,
) -> Result<Swarm<NodeBehaviour>, P2pError> {
    let swarm = SwarmBuilder::with_existing_identity(key)
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, muxer)
        .map_err(stack)?
        .with_dns()
        .map_err(stack)?
        .with_relay_client(noise::Config::new, muxer)
        .map_err(stack)?
        .with_behaviour(|key, relay| NodeBehaviour {
            gate: gate::Behaviour::new(rule),
            relay,
            identify: identify_config(key, agent),
            streams: streams::Behaviour::new(table, Arc::new(Doors(inbox))),
        })
        .map_err(stack)?
        .with_swarm_config(tuned)
        .with_connection_timeout(SETUP)
        .build();
    Ok(swarm)
}

/// A relay server's swarm. `meter` counts what goes through its connections.
pub(crate) fn relay_server(
    key: Keypair,
    agent: String,
    limits: relay::Config,
    table: Arc<Table>,
    inbox: Arc<Inbox>,
    meter: Meter,
) -> Result<Swarm<RelayBehaviour>, P2pError> {
    let swarm = SwarmBuilder::with_existing_identity(key)
        .with_tokio()
        .with_other_transport(|key| {
            let secured = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
                .upgrade(Version::V1Lazy)
                .authenticate(noise::Config::new(key)?);
            let connected = secured.multiplex(muxer());
            Ok(connected.map(move |(peer, muxer), _| (peer, meter.watch(peer, StreamMuxerBox::new(muxer)))))
        })
        .map_err(stack)?
        .with_dns()
        .map_err(stack)?
        .with_behaviour(|key| {
            let mut relay = relay::Behaviour::new(key.public().to_peer_id(), limits);
            // Without external addresses the library would keep it off (pitfall 27).
            relay.set_status(Some(relay::Status::Enable));
            RelayBehaviour {
                relay,
                identify: identify_config(key, agent),
                ping: pinger(),
                streams: streams::Behaviour::new(table, Arc::new(inbox)),
            }
        })
        .map_err(stack)?
        .with_swarm_config(tuned)
        .with_connection_timeout(SETUP)
        .build();
    Ok(swarm)
}
