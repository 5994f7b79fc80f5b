//! Network addresses: reading them, judging where they can be reached from, circuits, names in log lines.
//!
//! Pure. Not here: which address is dialled when (`links`).

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use trireme_keys::{Enr, peer_name_of_text};

/// Why an address cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddrError {
    /// `:port` or the like.
    #[error("listen address {0:?} needs an IP address and a port, for example 0.0.0.0:3610")]
    Listen(String),
    /// Not a multiaddress.
    #[error("{0:?} is not a multiaddress, for example /ip4/10.0.0.1/tcp/3610/p2p/16Uiu2HA...")]
    Multiaddr(String),
    /// A relay's multiaddress without identity.
    #[error("relay address {0:?} must end in /p2p/ and the relay's peer ID")]
    NoPeerId(String),
    /// A relay's record that cannot be dialled.
    #[error("the relay's record has no IPv4 or IPv6 address, or neither a TCP nor a UDP port")]
    Record,
}

/// Who can reach an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// This machine.
    Loopback,
    /// The local network.
    Private,
    /// Nobody: documentation, multicast and other reserved ranges.
    Unroutable,
    /// Everybody, or a host name.
    Public,
}

fn scope4(ip: Ipv4Addr) -> Scope {
    let [a, b, c, _] = ip.octets();
    match (a, b, c) {
        (127, _, _) => Scope::Loopback,
        (10, _, _) | (192, 168, _) | (169, 254, _) => Scope::Private,
        (172, 16..=31, _) | (100, 64..=127, _) => Scope::Private,
        (0 | 224..=255, _, _) | (192, 0, 0 | 2) | (192, 88, 99) => Scope::Unroutable,
        (198, 18 | 19, _) | (198, 51, 100) | (203, 0, 113) => Scope::Unroutable,
        _ => Scope::Public,
    }
}

fn scope6(ip: Ipv6Addr) -> Scope {
    if let Some(v4) = ip.to_ipv4_mapped() {
        return scope4(v4);
    }
    let [first, second, ..] = ip.segments();
    match first {
        _ if ip.is_loopback() => Scope::Loopback,
        _ if ip.is_unspecified() => Scope::Unroutable,
        0xfc00..=0xfdff | 0xfe80..=0xfebf => Scope::Private,
        0xff00..=0xffff => Scope::Unroutable,
        0x2001 if second == 0x0db8 => Scope::Unroutable,
        _ => Scope::Public,
    }
}

/// Endings of host names that never leave the local network.
const LOCAL_NAMES: [&str; 5] = ["localhost", "local", "test", "invalid", "home.arpa"];

/// Who can reach `addr`, judged by its first part.
#[must_use]
pub fn scope(addr: &Multiaddr) -> Scope {
    match addr.iter().next() {
        Some(Protocol::Ip4(ip)) => scope4(ip),
        Some(Protocol::Ip6(ip)) => scope6(ip),
        Some(Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) | Protocol::Dnsaddr(name)) => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            let local = LOCAL_NAMES
                .iter()
                .any(|l| name == *l || name.ends_with(&format!(".{l}")));
            if local { Scope::Private } else { Scope::Public }
        }
        _ => Scope::Unroutable,
    }
}

/// Whether the address leads through a relay.
#[must_use]
pub fn is_relayed(addr: &Multiaddr) -> bool {
    addr.iter().any(|p| matches!(p, Protocol::P2pCircuit))
}

/// Whether our transports can dial the address: TCP to an IP address or a name.
#[must_use]
pub fn is_dialable(addr: &Multiaddr) -> bool {
    let mut parts = addr.iter();
    let host = matches!(
        parts.next(),
        Some(Protocol::Ip4(_) | Protocol::Ip6(_) | Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_))
    );
    let port = matches!(parts.next(), Some(Protocol::Tcp(p)) if p != 0);
    let ends = match parts.next() {
        None => true,
        // With more behind it the identity is that of a relay.
        Some(last) => matches!(last, Protocol::P2p(_)) && parts.next().is_none(),
    };
    host && port && ends
}

/// Reads a multiaddress. `/ipfs/` is taken for `/p2p/`, and a peer ID may be written as a base36 CID.
///
/// # Errors
///
/// If the text is not a multiaddress.
pub fn parse(text: &str) -> Result<Multiaddr, AddrError> {
    let mut parts: Vec<String> = Vec::new();
    let mut after_id = false;
    for part in text.split('/') {
        let part = match part {
            "ipfs" if !after_id => "p2p".to_owned(),
            id if after_id => cid_to_base58(id).unwrap_or_else(|| id.to_owned()),
            other => other.to_owned(),
        };
        after_id = part == "p2p";
        parts.push(part);
    }
    parts
        .join("/")
        .parse()
        .map_err(|_| AddrError::Multiaddr(text.chars().take(200).collect()))
}

/// A base36 CID of a libp2p key as the base58 text of its multihash.
fn cid_to_base58(text: &str) -> Option<String> {
    let digits = text.strip_prefix('k')?;
    if digits.len() > 100 {
        return None;
    }
    // Base 36 to base 256, least significant byte first.
    let mut bytes: Vec<u8> = Vec::new();
    for c in digits.chars() {
        let mut carry = c.to_digit(36)?;
        for b in &mut bytes {
            let v = u32::from(*b).checked_mul(36)?.checked_add(carry)?;
            let [low, ..] = v.to_le_bytes();
            *b = low;
            carry = v >> 8;
        }
        while carry > 0 {
            let [low, ..] = carry.to_le_bytes();
            bytes.push(low);
            carry >>= 8;
        }
    }
    bytes.reverse();
    // CID version 1, codec libp2p-key.
    Some(bs58::encode(bytes.strip_prefix(&[0x01, 0x72])?).into_string())
}

/// The address as operators know it: every peer ID replaced by the peer's name.
#[must_use]
pub fn named(addr: &Multiaddr) -> String {
    let mut out = String::new();
    for part in addr {
        match part {
            Protocol::P2p(id) => {
                out.push_str("/p2p/");
                out.push_str(&peer_name_of_text(&id.to_base58()));
            }
            other => out.push_str(&other.to_string()),
        }
    }
    out
}

/// Reads `ip:port`.
///
/// # Errors
///
/// If the IP address or the port is missing.
pub fn parse_listen(text: &str) -> Result<SocketAddr, AddrError> {
    text.parse().map_err(|_| AddrError::Listen(text.to_owned()))
}

/// The multiaddress of a TCP address.
#[must_use]
pub fn tcp(addr: SocketAddr) -> Multiaddr {
    Multiaddr::from(addr.ip()).with(Protocol::Tcp(addr.port()))
}

/// The multiaddress of a QUIC address.
#[must_use]
pub fn quic(addr: SocketAddr) -> Multiaddr {
    Multiaddr::from(addr.ip())
        .with(Protocol::Udp(addr.port()))
        .with(Protocol::QuicV1)
}

/// What a node says that it can be reached at: external addresses first, then its own, each once; private ones of its
/// own only if `private` is not to be excluded.
#[must_use]
pub fn advertised(internal: &[Multiaddr], external: &[Multiaddr], exclude_private: bool) -> Vec<Multiaddr> {
    let own = internal
        .iter()
        .filter(|a| !exclude_private || !matches!(scope(a), Scope::Private | Scope::Loopback));
    let mut seen = BTreeSet::new();
    external
        .iter()
        .chain(own)
        .filter(|a| seen.insert(a.to_string()))
        .cloned()
        .collect()
}

/// Metric label of the transport.
#[must_use]
pub fn transport_label(addr: &Multiaddr) -> &'static str {
    for part in addr {
        match part {
            Protocol::Tcp(_) => return "tcp",
            Protocol::Quic | Protocol::QuicV1 => return "quic",
            _ => {}
        }
    }
    "unknown"
}

/// A relay's addresses from its record: QUIC, then TCP, as far as there are ports.
///
/// # Errors
///
/// Without an IP address or any port.
pub fn of_relay_record(enr: &Enr) -> Result<Vec<Multiaddr>, AddrError> {
    let ip = enr.ip().ok_or(AddrError::Record)?;
    let ip = if let Ok(v4) = <[u8; 4]>::try_from(ip) {
        IpAddr::from(v4)
    } else {
        IpAddr::from(<[u8; 16]>::try_from(ip).map_err(|_| AddrError::Record)?)
    };
    let port = |p: Option<u64>| p.map(u16::try_from).transpose().map_err(|_| AddrError::Record);
    let id = crate::identity::to_libp2p(&trireme_keys::PeerId::from_public_key(enr.public_key()));
    let mut out = Vec::new();
    if let Some(udp) = port(enr.udp())? {
        out.push(quic(SocketAddr::new(ip, udp)).with(Protocol::P2p(id)));
    }
    if let Some(port) = port(enr.tcp())? {
        out.push(tcp(SocketAddr::new(ip, port)).with(Protocol::P2p(id)));
    }
    if out.is_empty() {
        Err(AddrError::Record)
    } else {
        Ok(out)
    }
}

/// The peer ID at the end of an address, and the address without it.
#[must_use]
pub fn split_peer(addr: &Multiaddr) -> Option<(Multiaddr, PeerId)> {
    let mut rest = addr.clone();
    match rest.pop() {
        Some(Protocol::P2p(id)) => Some((rest, id)),
        _ => None,
    }
}

/// The way to `peer` over a relay, one per address of the relay (given without its peer ID).
#[must_use]
pub fn circuits(relay: PeerId, relay_addrs: &[Multiaddr], peer: PeerId) -> Vec<Multiaddr> {
    relay_addrs
        .iter()
        .map(|a| {
            a.clone()
                .with(Protocol::P2p(relay))
                .with(Protocol::P2pCircuit)
                .with(Protocol::P2p(peer))
        })
        .collect()
}

/// Whether we are the side of the pair that dials through relays: the one with the smaller ID (p2p.md 2.6).
#[must_use]
pub fn dials_through_relay(own: &PeerId, peer: &PeerId) -> bool {
    own.to_bytes() < peer.to_bytes()
}

/// The name under which a Go node announces one handler for several protocols: their common beginning and a star.
#[must_use]
pub fn shared_name(protocols: &[&str]) -> String {
    let Some((first, others)) = protocols.split_first() else {
        return String::new();
    };
    if others.is_empty() {
        return (*first).to_owned();
    }
    let common: String = first
        .char_indices()
        .take_while(|(i, c)| others.iter().all(|o| o.get(*i..).is_some_and(|o| o.starts_with(*c))))
        .map(|(_, c)| c)
        .collect();
    format!("{common}*")
}

/// Whether a name from a peer's identify is such a shared name, which says nothing about single protocols.
#[must_use]
pub fn is_shared_name(protocol: &str) -> bool {
    protocol.ends_with('*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    #[test]
    fn scopes_follow_the_reserved_ranges() {
        for (text, want) in [
            ("/ip4/127.9.9.9/tcp/1", Scope::Loopback),
            ("/ip6/::1/tcp/1", Scope::Loopback),
            ("/ip4/10.0.0.1/tcp/1", Scope::Private),
            ("/ip4/172.31.255.255/tcp/1", Scope::Private),
            ("/ip4/172.32.0.1/tcp/1", Scope::Public),
            ("/ip4/100.64.0.1/tcp/1", Scope::Private),
            ("/ip4/192.0.2.1/tcp/1", Scope::Unroutable),
            ("/ip4/0.0.0.0/tcp/1", Scope::Unroutable),
            ("/ip4/8.8.8.8/tcp/1", Scope::Public),
            ("/ip6/fe80::1/tcp/1", Scope::Private),
            ("/ip6/2a00::1/tcp/1", Scope::Public),
            ("/ip6/::ffff:192.168.0.1/tcp/1", Scope::Private),
            ("/dns/relay/tcp/1", Scope::Public),
            ("/dns/relay.localhost/tcp/1", Scope::Private),
        ] {
            assert_eq!(scope(&addr(text)), want, "{text}");
        }
    }

    #[test]
    fn only_tcp_to_a_host_can_be_dialled() {
        assert!(is_dialable(&addr("/ip4/10.0.0.1/tcp/3610")));
        assert!(is_dialable(&addr("/dns/relay/tcp/3610")));
        for text in [
            "/ip4/10.0.0.1/udp/3610/quic-v1",
            "/ip4/10.0.0.1/tcp/0",
            "/unix/stdio",
            "/ip4/1.2.3.4/tcp/1/ws",
            "/ip4/1.2.3.4/tcp/1/p2p/16Uiu2HAm3sLawqCgETJwhkssn96bXiaBHb9mnhLVA3LjbNRURwMY/p2p-circuit",
        ] {
            assert!(!is_dialable(&addr(text)), "{text}");
        }
    }

    #[test]
    fn the_path_of_an_inbound_circuit_is_no_address_to_dial() {
        // Pitfall 24b: such a connection's remote address is the peer ID alone.
        let id = PeerId::random();
        assert!(!is_dialable(&Multiaddr::empty().with(Protocol::P2p(id))));
    }

    #[test]
    fn a_shared_name_is_recognised() {
        assert!(is_shared_name(&shared_name(&[
            "charon/priority/1.0.0",
            "charon/priority/1.1.0"
        ])));
        assert!(!is_shared_name("/charon/parsigex/2.0.0"));
    }
}
