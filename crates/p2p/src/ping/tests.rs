//! Against real swarms where bytes count, against a hand-made table where time does.

use trireme_core::{PeerIdx, entropy::OsEntropy};
use trireme_keys::IdentityKey;

use super::*;
use crate::streams::tests::{open_named, pair, soon};

fn peer(n: u8) -> (PeerId, Peer) {
    let key = IdentityKey::from_bytes(&[n; 32]).unwrap();
    let id = trireme_keys::PeerId::from_public_key(key.public_key());
    let peer = Peer {
        idx: PeerIdx(n),
        name: trireme_keys::peer_name(&id),
        id,
    };
    (crate::identity::to_libp2p(&peer.id), peer)
}

fn route(n: usize, relayed: bool) -> (Route, mpsc::Receiver<Open>) {
    let (open, asked) = mpsc::channel(100);
    let route = Route {
        conn: ConnectionId::new_unchecked(n),
        relayed,
        transport: "tcp",
        open,
    };
    (route, asked)
}

fn pinger(operators: impl IntoIterator<Item = (PeerId, Peer)>) -> (Pinger, Arc<Table>, mpsc::Receiver<ConnectionId>) {
    let table = Arc::new(Table::new());
    let (dead, closing) = mpsc::channel(10);
    let pinger = Pinger {
        operators: operators.into_iter().collect(),
        table: Arc::clone(&table),
        metrics: P2pMetrics::new(),
        entropy: Arc::new(OsEntropy),
        dead,
    };
    (pinger, table, closing)
}

#[tokio::test]
async fn a_ping_comes_back_and_the_stream_is_used_again() {
    let (a, b, _tasks) = pair().await;
    let route = || b.table.best(&a.id).unwrap();
    let first = soon(ping(a.id, route(), None, [7; SIZE])).await;
    let (_, line) = first.result.unwrap();
    assert_eq!((line.used, line.conn), (1, route().conn));
    let second = soon(ping(a.id, route(), Some(line), [8; SIZE])).await;
    assert_eq!(second.result.unwrap().1.used, 2);
}

#[tokio::test]
async fn a_stream_that_the_peer_has_ended_is_replaced_without_a_failure() {
    let (a, b, _tasks) = pair().await;
    let route = b.table.best(&a.id).unwrap();
    let first = soon(ping(a.id, route.clone(), None, [7; SIZE])).await;
    let (_, mut line) = first.result.unwrap();
    line.stream.close().await.unwrap();
    let second = soon(ping(a.id, route, Some(line), [8; SIZE])).await;
    assert_eq!(second.result.unwrap().1.used, 1, "a new stream");
}

#[tokio::test]
async fn a_stream_per_ping_that_is_reset_is_served_as_go_nodes_need_it() {
    let (a, b, _tasks) = pair().await;
    let conn = a.table.best(&b.id).unwrap().conn;
    for n in 0..20 {
        let mut stream = open_named(&b, &a, NAME).await.unwrap();
        stream.write_all(&[n; SIZE]).await.unwrap();
        stream.flush().await.unwrap();
        let mut back = [0; SIZE];
        soon(stream.read_exact(&mut back)).await.unwrap();
        assert_eq!(back, [n; SIZE]);
    }
    assert_eq!(a.table.best(&b.id).unwrap().conn, conn);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_gives_no_answer_is_closed_after_ten_seconds() {
    let (id, operator) = peer(1);
    let (pinger, table, mut closing) = pinger([(id, operator)]);
    let (way, _held) = route(5, false);
    table.add(id, way);
    let name = metrics::peer(&pinger.operators[&id].name);
    let errors = pinger.metrics.ping_error.clone();
    let began = Instant::now();
    tokio::select! {
        () = pinger.run() => unreachable!("it never ends"),
        conn = closing.recv() => assert_eq!(conn, Some(ConnectionId::new_unchecked(5))),
    }
    assert_eq!(began.elapsed().as_secs(), TIMEOUT.as_secs());
    assert_eq!(errors.get_or_create(&name).get(), 1);
}

#[tokio::test(start_paused = true)]
async fn only_the_preferred_connection_is_pinged_and_relays_seldom() {
    let ((id, operator), (relay, _)) = (peer(1), peer(2));
    let (pinger, table, _closing) = pinger([(id, operator)]);
    let ((direct, mut on_direct), (circuit, mut on_circuit), (way, mut on_relay)) =
        (route(1, false), route(2, true), route(3, false));
    table.add(id, circuit);
    table.add(id, direct);
    table.add(relay, way);
    let mut run = Box::pin(pinger.run());
    let (mut operators, mut relays) = (0, 0);
    let end = Instant::now() + EVERY * 29 + EVERY / 2;
    loop {
        tokio::select! {
            () = &mut run => unreachable!("it never ends"),
            // Dropping a request refuses it, so that the next round asks again.
            Some(_) = on_direct.recv() => operators += 1,
            Some(_) = on_relay.recv() => relays += 1,
            () = tokio::time::sleep_until(end) => break,
        }
    }
    assert_eq!((operators, relays), (30, 2));
    assert!(on_circuit.try_recv().is_err(), "nothing went over the circuit");
    table.remove(&id, ConnectionId::new_unchecked(1));
    tokio::select! {
        () = &mut run => unreachable!("it never ends"),
        open = on_circuit.recv() => assert!(open.is_some(), "until the direct connection was gone"),
    }
}
