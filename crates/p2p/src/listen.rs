//! Opening the listen ports of a host and finding out which ones they are.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use futures::StreamExt as _;
use libp2p::{
    Multiaddr, Swarm,
    multiaddr::Protocol,
    swarm::{NetworkBehaviour, SwarmEvent},
};

use crate::{addr, config::P2pError};

/// How long the system may take to open a port.
const OPENING: Duration = Duration::from_secs(5);

/// The address and port at the beginning of a TCP multiaddress.
pub(crate) fn socket_addr(addr: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = addr.iter();
    let ip: IpAddr = match parts.next()? {
        Protocol::Ip4(ip) => ip.into(),
        Protocol::Ip6(ip) => ip.into(),
        _ => return None,
    };
    match parts.next()? {
        Protocol::Tcp(port) => Some(SocketAddr::new(ip, port)),
        _ => None,
    }
}

/// Opens all ports and returns the addresses, port 0 replaced by the port taken, in the order given. An address that
/// stands for all interfaces stays what it is. Nothing else may happen on the swarm yet.
pub(crate) async fn open<B: NetworkBehaviour>(
    swarm: &mut Swarm<B>,
    addrs: &[SocketAddr],
) -> Result<Vec<SocketAddr>, P2pError> {
    let bad = |a: &SocketAddr, reason: String| P2pError::Listen {
        flag: "--p2p-tcp-address",
        addr: a.to_string(),
        reason,
    };
    let mut bound = Vec::new();
    for want in addrs {
        let listener = swarm
            .listen_on(addr::tcp(*want))
            .map_err(|e| bad(want, innermost(&e)))?;
        let opened = async {
            loop {
                match swarm.select_next_some().await {
                    SwarmEvent::NewListenAddr { listener_id, address } if listener_id == listener => {
                        return Ok(socket_addr(&address).map(|a| a.port()));
                    }
                    SwarmEvent::ListenerClosed {
                        listener_id, reason, ..
                    } if listener_id == listener => {
                        return Err(bad(
                            want,
                            reason.err().map_or_else(|| "closed".to_owned(), |e| e.to_string()),
                        ));
                    }
                    // Other listeners' addresses; connections are looked up in the table later.
                    _ => {}
                }
            }
        };
        let port = tokio::time::timeout(OPENING, opened)
            .await
            .map_err(|_| bad(want, format!("the system did not open it within {OPENING:?}")))??;
        bound.push(SocketAddr::new(want.ip(), port.unwrap_or(want.port())));
    }
    Ok(bound)
}

/// The cause at the bottom of an error, which says most.
pub(crate) fn innermost(e: &dyn std::error::Error) -> String {
    let mut at = e;
    while let Some(below) = at.source() {
        at = below;
    }
    at.to_string()
}

/// The addresses to announce for the bound ports besides the ports' own.
pub(crate) fn external(bound: &[SocketAddr], ip: Option<IpAddr>, host: Option<&str>) -> Vec<Multiaddr> {
    let ports: BTreeSet<u16> = bound.iter().map(SocketAddr::port).collect();
    let mut out = Vec::new();
    for port in ports {
        if let Some(ip) = ip {
            out.push(addr::tcp(SocketAddr::new(ip, port)));
        }
        if let Some(host) = host {
            out.push(
                Multiaddr::empty()
                    .with(Protocol::Dns(host.to_owned().into()))
                    .with(Protocol::Tcp(port)),
            );
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn external_addresses_take_every_port_once() {
        let bound = [
            "0.0.0.0:3610".parse().unwrap(),
            "[::]:3610".parse().unwrap(),
            "127.0.0.1:3611".parse().unwrap(),
        ];
        let texts: Vec<_> = external(&bound, Some([1, 2, 3, 4].into()), Some("node"))
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            texts,
            [
                "/ip4/1.2.3.4/tcp/3610",
                "/dns/node/tcp/3610",
                "/ip4/1.2.3.4/tcp/3611",
                "/dns/node/tcp/3611"
            ]
        );
    }
}
