//! Who holds a reservation from where: at most so many peers per IP address (p2p.md 11).
//!
//! Guarantees: a peer counts once, at the address of its last request; whoever is gone or whose reservation has run
//! out does not count. The map holds no more peers than the library holds reservations, as each is admitted by both.
//! Not here: the limits per peer and in total, which the library keeps.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol, relay::RateLimiter};

#[derive(Debug, Default)]
struct Held(BTreeMap<PeerId, (Option<IpAddr>, Instant)>);

impl Held {
    fn admit(&mut self, peer: PeerId, ip: Option<IpAddr>, now: Instant, life: Duration, limit: usize) -> bool {
        self.0.retain(|_, (_, until)| *until > now);
        let others = self
            .0
            .iter()
            .filter(|(p, (from, _))| **p != peer && *from == ip)
            .count();
        if ip.is_some() && others >= limit {
            return false;
        }
        self.0.insert(peer, (ip, now.checked_add(life).unwrap_or(now)));
        true
    }
}

/// The reservations held. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Reservations(Arc<Mutex<Held>>);

impl Reservations {
    /// Admits reservations that live for `life`, `limit` per address.
    pub(super) fn limiter(&self, life: Duration, limit: usize) -> Box<dyn RateLimiter> {
        let held = Arc::clone(&self.0);
        Box::new(move |peer: PeerId, addr: &Multiaddr, now: Instant| {
            let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
            held.admit(peer, ip_of(addr), now, life, limit)
        })
    }

    /// The peer has no connection left, so its reservation is void.
    pub(super) fn forget(&self, peer: &PeerId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.remove(peer);
    }
}

fn ip_of(addr: &Multiaddr) -> Option<IpAddr> {
    addr.iter().find_map(|part| match part {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(ip.into()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: Duration = Duration::from_secs(3600);

    fn now() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn at(ip: &str) -> Multiaddr {
        format!("/ip4/{ip}/tcp/4001").parse().unwrap()
    }

    #[test]
    fn an_address_has_so_many_reservations_and_no_more() {
        let held = Reservations::default();
        let mut limiter = held.limiter(LIFE, 2);
        let (a, b, c, now) = (PeerId::random(), PeerId::random(), PeerId::random(), now());
        assert!(limiter.try_next(a, &at("10.0.0.1"), now));
        assert!(limiter.try_next(b, &at("10.0.0.1"), now));
        assert!(!limiter.try_next(c, &at("10.0.0.1"), now));
        assert!(limiter.try_next(a, &at("10.0.0.1"), now), "a renewal is no further one");
        assert!(limiter.try_next(c, &at("10.0.0.2"), now), "each address has its own");
    }

    #[test]
    fn a_peer_that_is_gone_or_late_makes_room() {
        let held = Reservations::default();
        let mut limiter = held.limiter(LIFE, 1);
        let (a, b, c, now) = (PeerId::random(), PeerId::random(), PeerId::random(), now());
        assert!(limiter.try_next(a, &at("10.0.0.1"), now));
        held.forget(&a);
        assert!(limiter.try_next(b, &at("10.0.0.1"), now));
        assert!(!limiter.try_next(c, &at("10.0.0.1"), now));
        assert!(limiter.try_next(c, &at("10.0.0.1"), now + LIFE));
    }
}
