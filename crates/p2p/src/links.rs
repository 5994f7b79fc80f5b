//! Which connections to make: relays first, then reservations, then peers; direct ones where that is possible.
//!
//! Sans-I/O: events and the time go in through methods, [`Links::poll`] gives what is to be done now, [`Links::next`]
//! when to ask again. Times are durations since the start.
//!
//! Guarantees (p2p.md 2.5 to 2.7, 13): a relay is connected before anything is asked of it, and circuits are dialled
//! only after the reservation was answered (24a); of a pair, the smaller ID dials through relays (2.6); a direct dial
//! follows identify at once and then every minute while a peer is only relayed; no connection is closed here (2.7); a
//! dial counts as success only when identify came through or the connection lasted (20); each peer and relay has at
//! most one dial of a kind under way.
//! Not here: sockets, the choice of a connection for a stream (`table`), relay look-ups (`relays`).

use std::{collections::BTreeMap, time::Duration};

use libp2p::{Multiaddr, PeerId, swarm::ConnectionId};

use crate::{
    addr::{self, Scope},
    backoff::{Backoff, Profile},
};

/// A connection without identify counts as success after this time.
const LASTING: Duration = Duration::from_secs(5);
/// How often a direct connection is tried while a peer is only relayed.
const UPGRADE_EVERY: Duration = Duration::from_secs(60);
/// How soon after its loss a relay is dialled again.
const RELAY_REDIAL: Duration = Duration::from_millis(500);
/// A message that waits for a connection may hasten the next dial, but not more often than this.
const HASTEN: Duration = Duration::from_secs(1);
/// Addresses kept per peer and per relay.
const MAX_ADDRS: usize = 16;

/// How a peer can be reached now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reach {
    /// Not at all.
    Unknown,
    /// Only over relays.
    Relayed,
    /// Over a direct connection.
    Direct,
}

/// What a dial is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Dial {
    /// A relay.
    Relay,
    /// A peer without connection, by any way.
    Peer,
    /// A direct connection to a peer that is only relayed.
    Upgrade,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Dial; the outcome comes back as [`Links::connected`] or [`Links::dial_failed`].
    Dial {
        peer: PeerId,
        addrs: Vec<Multiaddr>,
        what: Dial,
    },
    /// Listen over the relay at this address (without `/p2p-circuit`); the outcome comes back as [`Links::reserved`]
    /// or [`Links::reservation_lost`].
    Reserve { relay: PeerId, addr: Multiaddr },
    /// The relay is not ours any more: give up its reservation and its connections.
    Leave { relay: PeerId },
}

struct Conn {
    relayed: bool,
    since: Duration,
    identified: bool,
    /// Whether both ends are on this machine, as far as we can see.
    loopback: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reservation {
    /// Not asked for yet on this connection.
    Open,
    Asked,
    Held,
    Refused,
}

struct Relay {
    addrs: Vec<Multiaddr>,
    conns: BTreeMap<ConnectionId, Conn>,
    /// The address of the connection.
    used: Option<Multiaddr>,
    dialing: bool,
    dials: Backoff,
    next_dial: Duration,
    reservation: Reservation,
    reservations: Backoff,
    next_reserve: Duration,
}

struct Peer {
    conns: BTreeMap<ConnectionId, Conn>,
    /// Ways without a relay.
    direct: Vec<Multiaddr>,
    dialing: Option<Dial>,
    dials: Backoff,
    next_dial: Duration,
    last_dial: Option<Duration>,
    next_upgrade: Duration,
}

/// The connections of one node.
pub(crate) struct Links {
    own: PeerId,
    peers: BTreeMap<PeerId, Peer>,
    relays: BTreeMap<PeerId, Relay>,
    /// What each entry of the relay list stands for at present.
    slots: BTreeMap<usize, (PeerId, Vec<Multiaddr>)>,
    leaving: Vec<PeerId>,
    random: Box<dyn FnMut() -> f64 + Send>,
}

impl Links {
    /// `random` gives numbers in `[0, 1)` for the waits between dials.
    pub(crate) fn new(
        own: PeerId,
        peers: impl IntoIterator<Item = (PeerId, Vec<Multiaddr>)>,
        random: Box<dyn FnMut() -> f64 + Send>,
    ) -> Self {
        let peer = |known: Vec<Multiaddr>| Peer {
            conns: BTreeMap::new(),
            direct: known,
            dialing: None,
            dials: Backoff::new(Profile::PING),
            next_dial: Duration::ZERO,
            last_dial: None,
            next_upgrade: Duration::ZERO,
        };
        let peers = peers
            .into_iter()
            .filter(|(id, _)| *id != own)
            .map(|(id, known)| (id, peer(known)))
            .collect();
        Self {
            own,
            peers,
            relays: BTreeMap::new(),
            slots: BTreeMap::new(),
            leaving: Vec::new(),
            random,
        }
    }

    /// Entry `slot` of the relay list stands for this relay from now on. Addresses come without peer ID.
    pub(crate) fn set_relay(&mut self, now: Duration, slot: usize, relay: PeerId, addrs: Vec<Multiaddr>) {
        self.slots.insert(slot, (relay, addrs));
        let mut wanted: BTreeMap<PeerId, Vec<Multiaddr>> = BTreeMap::new();
        for (id, addrs) in self.slots.values() {
            let list = wanted.entry(*id).or_default();
            for a in addrs.iter().filter(|a| addr::is_dialable(a)).take(MAX_ADDRS) {
                if !list.contains(a) {
                    list.push(a.clone());
                }
            }
        }
        let gone: Vec<_> = self
            .relays
            .keys()
            .filter(|id| !wanted.contains_key(id))
            .copied()
            .collect();
        for id in gone {
            self.relays.remove(&id);
            self.leaving.push(id);
        }
        for (id, addrs) in wanted {
            match self.relays.get_mut(&id) {
                Some(known) if known.addrs == addrs => {}
                Some(known) => {
                    known.addrs = addrs;
                    known.next_dial = known.next_dial.min(now);
                }
                None => {
                    self.relays.insert(id, Relay::new(addrs, now));
                }
            }
        }
    }

    /// Whether `peer` is one of the current relays.
    pub(crate) fn is_relay(&self, peer: &PeerId) -> bool {
        self.relays.contains_key(peer)
    }

    /// How the peer can be reached.
    #[cfg(test)]
    pub(crate) fn reach(&self, peer: &PeerId) -> Reach {
        let Some(p) = self.peers.get(peer) else {
            return Reach::Unknown;
        };
        p.reach()
    }

    /// The direct ways to a peer, to be kept for the next run.
    pub(crate) fn known(&self, peer: &PeerId) -> Vec<Multiaddr> {
        self.peers.get(peer).map(|p| p.direct.clone()).unwrap_or_default()
    }

    /// A connection stands. `remote` is the other end's address, `dialed` what our dial was for if we dialled.
    pub(crate) fn connected(
        &mut self,
        now: Duration,
        peer: PeerId,
        conn: ConnectionId,
        remote: &Multiaddr,
        relayed: bool,
        dialed: Option<Dial>,
    ) {
        let loopback = if relayed {
            // The address of an inbound circuit tells nothing about its path (24b).
            self.relays
                .values()
                .any(|r| r.used.as_ref().is_some_and(|a| addr::scope(a) == Scope::Loopback))
        } else {
            addr::scope(remote) == Scope::Loopback
        };
        let entry = Conn {
            relayed,
            since: now,
            identified: false,
            loopback,
        };
        if let Some(r) = self.relays.get_mut(&peer) {
            if dialed.is_some() {
                r.dialing = false;
                r.used = Some(addr::split_peer(remote).map_or_else(|| remote.clone(), |(a, _)| a));
            }
            r.conns.insert(conn, entry);
        } else if let Some(p) = self.peers.get_mut(&peer) {
            if dialed.is_some() {
                p.dialing = None;
            }
            p.conns.insert(conn, entry);
        }
    }

    /// A connection is gone. Returns whether it was the last one to that peer.
    pub(crate) fn closed(&mut self, now: Duration, peer: PeerId, conn: ConnectionId) -> bool {
        if let Some(r) = self.relays.get_mut(&peer) {
            let Some(old) = r.conns.remove(&conn) else { return false };
            if !r.conns.is_empty() {
                return false;
            }
            r.reservation = Reservation::Open;
            r.next_reserve = now;
            r.next_dial = if old.was_good(now) {
                r.dials.reset();
                now.saturating_add(RELAY_REDIAL)
            } else {
                now.saturating_add(r.dials.failed((self.random)()))
            };
            return true;
        }
        let Some(p) = self.peers.get_mut(&peer) else {
            return false;
        };
        let Some(old) = p.conns.remove(&conn) else { return false };
        if !p.conns.is_empty() {
            return false;
        }
        p.next_dial = if old.was_good(now) {
            p.dials.reset();
            now
        } else {
            now.saturating_add(p.dials.failed((self.random)()))
        };
        true
    }

    /// The peer told us where it listens.
    pub(crate) fn identified(&mut self, now: Duration, peer: PeerId, conn: ConnectionId, addrs: &[Multiaddr]) {
        if let Some(r) = self.relays.get_mut(&peer) {
            if let Some(c) = r.conns.get_mut(&conn) {
                c.identified = true;
                r.dials.reset();
            }
            return;
        }
        let Some(p) = self.peers.get_mut(&peer) else { return };
        let Some(c) = p.conns.get_mut(&conn) else { return };
        let first = !c.identified;
        c.identified = true;
        let loopback = c.loopback;
        p.dials.reset();
        let mut usable = Vec::new();
        for a in addrs {
            let a = addr::split_peer(a).map_or_else(|| a.clone(), |(rest, _)| rest);
            let scope = addr::scope(&a);
            let far = scope == Scope::Private || scope == Scope::Public;
            if addr::is_dialable(&a) && (far || (scope == Scope::Loopback && loopback)) && !usable.contains(&a) {
                usable.push(a);
            }
        }
        usable.truncate(MAX_ADDRS);
        if !usable.is_empty() {
            p.direct = usable;
        }
        if first && p.reach() == Reach::Relayed {
            p.next_upgrade = now;
        }
    }

    /// A dial came to nothing.
    pub(crate) fn dial_failed(&mut self, now: Duration, peer: PeerId, what: Dial) {
        match what {
            Dial::Relay => {
                if let Some(r) = self.relays.get_mut(&peer) {
                    r.dialing = false;
                    r.next_dial = now.saturating_add(r.dials.failed((self.random)()));
                }
            }
            Dial::Peer | Dial::Upgrade => {
                let Some(p) = self.peers.get_mut(&peer) else { return };
                if p.dialing == Some(what) {
                    p.dialing = None;
                }
                if what == Dial::Peer {
                    p.next_dial = now.saturating_add(p.dials.failed((self.random)()));
                }
            }
        }
    }

    /// The relay granted a reservation, or renewed it.
    pub(crate) fn reserved(&mut self, now: Duration, relay: PeerId) {
        let Some(r) = self.relays.get_mut(&relay) else { return };
        if r.conns.is_empty() {
            return;
        }
        let news = r.reservation != Reservation::Held;
        r.reservation = Reservation::Held;
        r.reservations.reset();
        if news {
            self.hasten_all(now);
        }
    }

    /// The relay refused a reservation, or it ended.
    pub(crate) fn reservation_lost(&mut self, now: Duration, relay: PeerId) {
        let Some(r) = self.relays.get_mut(&relay) else { return };
        r.next_reserve = now.saturating_add(r.reservations.failed((self.random)()));
        r.reservation = if r.conns.is_empty() {
            Reservation::Open
        } else {
            Reservation::Refused
        };
    }

    /// A message waits for a connection to the peer.
    pub(crate) fn hasten(&mut self, now: Duration, peer: &PeerId) {
        if let Some(p) = self.peers.get_mut(peer) {
            p.hasten(now);
        }
    }

    fn hasten_all(&mut self, now: Duration) {
        for p in self.peers.values_mut() {
            p.hasten(now);
        }
    }

    /// What is to be done now.
    pub(crate) fn poll(&mut self, now: Duration) -> Vec<Action> {
        let mut actions: Vec<_> = self.leaving.drain(..).map(|relay| Action::Leave { relay }).collect();
        for (id, r) in &mut self.relays {
            actions.extend(r.poll(now, *id));
        }
        let ways: Vec<(PeerId, Multiaddr)> = self
            .relays
            .iter()
            .filter_map(|(id, r)| Some((*id, r.way()?.clone())))
            .collect();
        for (id, p) in &mut self.peers {
            let circuits = if addr::dials_through_relay(&self.own, id) {
                &ways[..]
            } else {
                &[]
            };
            actions.extend(p.poll(now, *id, circuits));
        }
        actions
    }

    /// When [`Links::poll`] next has something to do if nothing happens until then.
    pub(crate) fn next(&self) -> Option<Duration> {
        let relays = self.relays.values().filter_map(Relay::due);
        let circuits = self.relays.values().any(|r| r.way().is_some());
        let peers = self
            .peers
            .iter()
            .filter_map(|(id, p)| p.due(circuits && addr::dials_through_relay(&self.own, id)));
        relays.chain(peers).min()
    }
}

impl Conn {
    fn was_good(&self, now: Duration) -> bool {
        self.identified || now.saturating_sub(self.since) >= LASTING
    }
}

impl Relay {
    fn new(addrs: Vec<Multiaddr>, now: Duration) -> Self {
        Self {
            addrs,
            conns: BTreeMap::new(),
            used: None,
            dialing: false,
            dials: Backoff::new(Profile::DEFAULT),
            next_dial: now,
            reservation: Reservation::Open,
            reservations: Backoff::new(Profile::DEFAULT),
            next_reserve: now,
        }
    }

    /// The address over which circuits go, once the relay has answered our reservation.
    fn way(&self) -> Option<&Multiaddr> {
        let settled = matches!(self.reservation, Reservation::Held | Reservation::Refused);
        if self.conns.is_empty() || !settled {
            None
        } else {
            self.used.as_ref().or(self.addrs.first())
        }
    }

    fn wants_reservation(&self) -> bool {
        !self.conns.is_empty() && matches!(self.reservation, Reservation::Open | Reservation::Refused)
    }

    fn due(&self) -> Option<Duration> {
        if self.wants_reservation() {
            Some(self.next_reserve)
        } else if self.conns.is_empty() && !self.dialing && !self.addrs.is_empty() {
            Some(self.next_dial)
        } else {
            None
        }
    }

    fn poll(&mut self, now: Duration, relay: PeerId) -> Option<Action> {
        if self.due()? > now {
            return None;
        }
        if self.wants_reservation() {
            self.reservation = Reservation::Asked;
            let addr = self.used.clone().or_else(|| self.addrs.first().cloned())?;
            return Some(Action::Reserve { relay, addr });
        }
        self.dialing = true;
        Some(Action::Dial {
            peer: relay,
            addrs: self.addrs.clone(),
            what: Dial::Relay,
        })
    }
}

impl Peer {
    fn reach(&self) -> Reach {
        let best = self
            .conns
            .values()
            .map(|c| if c.relayed { Reach::Relayed } else { Reach::Direct })
            .max();
        best.unwrap_or(Reach::Unknown)
    }

    fn hasten(&mut self, now: Duration) {
        let earliest = self.last_dial.map_or(now, |t| t.saturating_add(HASTEN)).max(now);
        self.next_dial = self.next_dial.min(earliest);
    }

    fn due(&self, circuits: bool) -> Option<Duration> {
        if self.dialing.is_some() {
            return None;
        }
        match self.reach() {
            Reach::Unknown => (circuits || !self.direct.is_empty()).then_some(self.next_dial),
            // Before identify there is nothing to dial directly that is not being dialled already.
            Reach::Relayed => {
                let identified = self.conns.values().any(|c| c.identified);
                (identified && !self.direct.is_empty()).then_some(self.next_upgrade)
            }
            Reach::Direct => None,
        }
    }

    fn poll(&mut self, now: Duration, peer: PeerId, ways: &[(PeerId, Multiaddr)]) -> Option<Action> {
        if self.due(!ways.is_empty())? > now {
            return None;
        }
        let mut addrs = self.direct.clone();
        let what = if self.conns.is_empty() {
            for (relay, way) in ways {
                addrs.extend(addr::circuits(*relay, std::slice::from_ref(way), peer));
            }
            self.last_dial = Some(now);
            Dial::Peer
        } else {
            self.next_upgrade = now.saturating_add(UPGRADE_EVERY);
            Dial::Upgrade
        };
        self.dialing = Some(what);
        Some(Action::Dial { peer, addrs, what })
    }
}

#[cfg(test)]
mod tests;
