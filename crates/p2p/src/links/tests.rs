use super::*;

const S: Duration = Duration::from_secs(1);

fn addr(text: &str) -> Multiaddr {
    text.parse().unwrap()
}

fn conn(n: usize) -> ConnectionId {
    ConnectionId::new_unchecked(n)
}

/// Three identities in ascending order.
fn ids() -> [PeerId; 3] {
    let mut ids = [PeerId::random(), PeerId::random(), PeerId::random()];
    ids.sort_by_key(|id| id.to_bytes());
    ids
}

fn links(own: PeerId, peers: &[PeerId]) -> Links {
    Links::new(own, peers.iter().map(|p| (*p, vec![])), Box::new(|| 0.5))
}

fn relay_addr() -> Multiaddr {
    addr("/ip4/5.5.5.5/tcp/3610")
}

/// A node with a relay that is connected and holds a reservation.
fn with_relay(own: PeerId, peers: &[PeerId]) -> (Links, PeerId) {
    let relay = PeerId::random();
    let mut l = links(own, peers);
    l.set_relay(Duration::ZERO, 0, relay, vec![relay_addr()]);
    l.poll(Duration::ZERO);
    l.connected(Duration::ZERO, relay, conn(1), &relay_addr(), false, Some(Dial::Relay));
    l.poll(Duration::ZERO);
    l.reserved(Duration::ZERO, relay);
    (l, relay)
}

fn dials(actions: &[Action]) -> Vec<(PeerId, Dial, Vec<String>)> {
    let text = |addrs: &[Multiaddr]| addrs.iter().map(ToString::to_string).collect();
    actions
        .iter()
        .filter_map(|a| match a {
            Action::Dial { peer, addrs, what } => Some((*peer, *what, text(addrs))),
            _ => None,
        })
        .collect()
}

#[test]
fn the_relay_is_connected_then_asked_for_a_reservation_then_used_for_circuits() {
    // Pitfalls 24a and 25.
    let [own, peer, relay] = ids();
    let mut l = links(own, &[peer]);
    l.set_relay(Duration::ZERO, 0, relay, vec![relay_addr()]);
    assert_eq!(
        l.poll(S),
        [Action::Dial {
            peer: relay,
            addrs: vec![relay_addr()],
            what: Dial::Relay
        }]
    );
    assert_eq!(l.poll(S * 100), [], "one dial at a time");
    l.connected(S, relay, conn(1), &relay_addr(), false, Some(Dial::Relay));
    assert_eq!(
        l.poll(S),
        [Action::Reserve {
            relay,
            addr: relay_addr()
        }]
    );
    assert_eq!(l.poll(S * 100), [], "no circuit before the reservation is answered");
    l.reserved(S, relay);
    let circuit = format!("/ip4/5.5.5.5/tcp/3610/p2p/{relay}/p2p-circuit/p2p/{peer}");
    assert_eq!(dials(&l.poll(S)), [(peer, Dial::Peer, vec![circuit])]);
}

#[test]
fn the_larger_id_waits_for_the_smaller_one_to_dial_through_the_relay() {
    let [small, own, large] = ids();
    let (mut l, _) = with_relay(own, &[small, large]);
    let dialled: Vec<_> = dials(&l.poll(S)).into_iter().map(|(p, _, _)| p).collect();
    assert_eq!(dialled, [large]);
}

#[test]
fn a_reservation_is_asked_for_again_after_every_reconnect() {
    // Pitfall 25.
    let [own, ..] = ids();
    let (mut l, relay) = with_relay(own, &[]);
    assert!(l.closed(S * 10, relay, conn(1)));
    l.reservation_lost(S * 10, relay);
    let at = l.next().unwrap();
    assert!(at > S * 10 && at <= S * 11);
    assert_eq!(dials(&l.poll(at)).len(), 1);
    l.connected(at, relay, conn(2), &relay_addr(), false, Some(Dial::Relay));
    let later = at + S * 2;
    assert_eq!(
        l.poll(later),
        [Action::Reserve {
            relay,
            addr: relay_addr()
        }]
    );
}

#[test]
fn a_refused_reservation_is_retried_with_growing_waits_and_circuits_still_go_out() {
    let [own, peer, relay] = ids();
    let mut l = links(own, &[peer]);
    l.set_relay(Duration::ZERO, 0, relay, vec![relay_addr()]);
    l.poll(S);
    l.connected(S, relay, conn(1), &relay_addr(), false, Some(Dial::Relay));
    l.poll(S);
    l.reservation_lost(S, relay);
    let actions = l.poll(S);
    assert_eq!(dials(&actions).len(), 1, "the peer is dialled: {actions:?}");
    assert_eq!(l.next(), Some(S * 2));
    assert_eq!(
        l.poll(S * 2),
        [Action::Reserve {
            relay,
            addr: relay_addr()
        }]
    );
    l.reservation_lost(S * 2, relay);
    assert_eq!(l.next(), Some(S * 2 + Duration::from_millis(1600)));
}

#[test]
fn a_relayed_peer_is_dialled_directly_right_after_identify_and_then_every_minute() {
    let [own, peer, _] = ids();
    let (mut l, _) = with_relay(own, &[peer]);
    l.poll(S);
    l.connected(S, peer, conn(5), &Multiaddr::empty(), true, Some(Dial::Peer));
    assert_eq!(l.reach(&peer), Reach::Relayed);
    assert_eq!(l.poll(S * 2), [], "nothing to dial before identify");
    let listens = [
        addr("/ip4/9.9.9.9/tcp/1"),
        addr("/ip4/9.9.9.9/udp/1/quic-v1"),
        addr("/ip4/127.0.0.1/tcp/1"),
    ];
    l.identified(S * 3, peer, conn(5), &listens);
    assert_eq!(
        dials(&l.poll(S * 3)),
        [(peer, Dial::Upgrade, vec!["/ip4/9.9.9.9/tcp/1".to_owned()])]
    );
    l.dial_failed(S * 4, peer, Dial::Upgrade);
    assert_eq!(l.poll(S * 62), []);
    assert_eq!(l.next(), Some(S * 63));
    assert_eq!(dials(&l.poll(S * 63)).len(), 1);
    l.connected(
        S * 64,
        peer,
        conn(6),
        &addr("/ip4/9.9.9.9/tcp/1"),
        false,
        Some(Dial::Upgrade),
    );
    assert_eq!(l.reach(&peer), Reach::Direct);
    assert_eq!(
        l.next(),
        None,
        "the relayed connection stays and nothing more is dialled"
    );
}

#[test]
fn the_loss_of_the_direct_connection_leaves_the_relayed_one_in_use() {
    // Pitfall 21: connected while any connection is left.
    let [own, peer, _] = ids();
    let (mut l, _) = with_relay(own, &[peer]);
    l.poll(S);
    l.connected(S, peer, conn(5), &Multiaddr::empty(), true, Some(Dial::Peer));
    l.connected(S, peer, conn(6), &addr("/ip4/9.9.9.9/tcp/1"), false, None);
    assert!(!l.closed(S * 2, peer, conn(6)), "one is left");
    assert_eq!(l.reach(&peer), Reach::Relayed);
    assert!(l.closed(S * 3, peer, conn(5)));
    assert_eq!(l.reach(&peer), Reach::Unknown);
}

#[test]
fn a_connection_that_the_other_gate_closes_counts_as_a_failed_dial() {
    // Pitfall 20.
    let [own, peer, _] = ids();
    let known = addr("/ip4/9.9.9.9/tcp/1");
    let mut l = Links::new(own, [(peer, vec![known.clone()])], Box::new(|| 0.5));
    let mut now = Duration::ZERO;
    let mut waits = Vec::new();
    for n in 0..4 {
        assert_eq!(dials(&l.poll(now)).len(), 1);
        l.connected(now, peer, conn(n), &known, false, Some(Dial::Peer));
        assert!(l.closed(now, peer, conn(n)));
        let next = l.next().unwrap();
        waits.push(next - now);
        now = next;
    }
    assert!(waits.windows(2).all(|w| w[0] < w[1]), "{waits:?}");
}

#[test]
fn a_lost_peer_is_redialled_at_once_over_its_known_address() {
    // Pitfall 22: no address book but ours, no redial but ours.
    let [small, own, _] = ids();
    let mut l = links(own, &[small]);
    l.connected(S, small, conn(1), &addr("/ip4/9.9.9.9/tcp/50000"), false, None);
    l.identified(S, small, conn(1), &[addr("/ip4/9.9.9.9/tcp/3610")]);
    l.closed(S * 9, small, conn(1));
    assert_eq!(l.next(), Some(S * 9));
    assert_eq!(
        dials(&l.poll(S * 9)),
        [(small, Dial::Peer, vec!["/ip4/9.9.9.9/tcp/3610".to_owned()])]
    );
    l.dial_failed(S * 9, small, Dial::Peer);
    assert_eq!(l.next(), Some(S * 10), "then with the waits of the ping profile");
}

#[test]
fn addresses_on_this_machine_are_used_only_if_the_peer_is_on_it() {
    let [own, near, far] = ids();
    let mut l = links(own, &[near, far]);
    let home = addr("/ip4/127.0.0.1/tcp/3610");
    l.connected(S, near, conn(1), &addr("/ip4/127.0.0.1/tcp/50000"), false, None);
    l.identified(S, near, conn(1), std::slice::from_ref(&home));
    l.connected(S, far, conn(2), &addr("/ip4/9.9.9.9/tcp/50000"), false, None);
    l.identified(S, far, conn(2), std::slice::from_ref(&home));
    assert_eq!((l.known(&near), l.known(&far)), (vec![home], vec![]));
}

#[test]
fn a_relay_that_changes_its_identity_is_left() {
    let [own, ..] = ids();
    let (mut l, old) = with_relay(own, &[]);
    let new = PeerId::random();
    l.set_relay(S, 0, new, vec![relay_addr()]);
    let actions = l.poll(S);
    assert!(actions.contains(&Action::Leave { relay: old }), "{actions:?}");
    assert_eq!(dials(&actions).len(), 1);
    assert!(!l.is_relay(&old) && l.is_relay(&new));
}

#[test]
fn two_entries_for_one_relay_make_one_reservation() {
    // Pitfall 24: one listener per relay.
    let [own, relay, _] = ids();
    let mut l = links(own, &[]);
    l.set_relay(S, 0, relay, vec![relay_addr()]);
    l.set_relay(
        S,
        1,
        relay,
        vec![
            relay_addr(),
            addr("/dns/relay/tcp/1"),
            addr("/ip4/5.5.5.5/udp/1/quic-v1"),
        ],
    );
    let dialled = dials(&l.poll(S));
    assert_eq!(dialled.len(), 1);
    assert_eq!(
        dialled[0].2,
        ["/ip4/5.5.5.5/tcp/3610", "/dns/relay/tcp/1"],
        "addresses we cannot dial are left out"
    );
    l.connected(S, relay, conn(1), &relay_addr(), false, Some(Dial::Relay));
    assert_eq!(l.poll(S).len(), 1);
    assert_eq!(l.poll(S), []);
}

#[test]
fn a_waiting_message_hastens_the_dial_but_not_without_pause() {
    let [own, peer, _] = ids();
    let known = addr("/ip4/9.9.9.9/tcp/1");
    let mut l = Links::new(own, [(peer, vec![known])], Box::new(|| 0.5));
    for n in 0..8 {
        let now = S * 100 * n;
        l.poll(now);
        l.dial_failed(now, peer, Dial::Peer);
    }
    let now = S * 700;
    l.hasten(now, &peer);
    assert_eq!(l.next(), Some(now + HASTEN));
}

#[test]
fn a_long_list_of_announced_addresses_is_cut() {
    let [own, peer, _] = ids();
    let mut l = links(own, &[peer]);
    l.connected(S, peer, conn(1), &addr("/ip4/9.9.9.9/tcp/50000"), false, None);
    let many: Vec<_> = (1..200).map(|n| addr(&format!("/ip4/9.9.9.9/tcp/{n}"))).collect();
    l.identified(S, peer, conn(1), &many);
    assert_eq!(l.known(&peer).len(), MAX_ADDRS);
}
