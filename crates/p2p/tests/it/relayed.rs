//! Hosts that meet at our relay.

use std::net::SocketAddr;

use bytes::Bytes;
use trireme_core::{PeerIdx, life::Life};
use trireme_p2p::{
    RelayAddr,
    relay::{RelayConfig, RelayHandle, RelayMetrics, serve},
};

use crate::cluster::{ANSWERED, Node, PATIENCE, ascending_keys, config, echo, key, start, until, url};

fn relay_config(listen: SocketAddr, http: SocketAddr) -> RelayConfig {
    RelayConfig {
        identity: key(200),
        listen: vec![listen],
        http: Some(http),
        external_ip: None,
        external_host: None,
        advertise_private: true,
        max_reservations: 512,
        max_connections: 16_384,
        version: "v1.11.0".into(),
    }
}

fn any() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

async fn relay() -> RelayHandle {
    serve(relay_config(any(), any()), RelayMetrics::new(), &Life::new())
        .await
        .unwrap()
}

async fn node(seeds: &[u8], me: u8, relay: RelayAddr, listens: bool) -> Node {
    let mut c = config(seeds, me);
    c.relays = vec![relay];
    if !listens {
        c.listen = vec![];
    }
    start(c).await
}

#[tokio::test]
async fn a_port_in_use_ends_the_relay_with_address_and_flag() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap();
    for (listen, http, flag) in [(addr, any(), "--p2p-tcp-address"), (any(), addr, "--http-address")] {
        let refused = serve(relay_config(listen, http), RelayMetrics::new(), &Life::new()).await;
        let text = refused.map(drop).unwrap_err().to_string();
        assert!(text.contains(&addr.to_string()) && text.contains(flag), "{text}");
    }
}

#[tokio::test]
async fn nodes_that_cannot_listen_meet_at_the_relay() {
    // Pitfalls 6, 23, 24, 24a, 25 and 27: reservation at a relay without public address, then a circuit.
    let relay = relay().await;
    let seeds = ascending_keys(3);
    let page = || url(relay.http_addr().unwrap());
    let (a, b, c) = (
        node(&seeds, 0, page(), false).await,
        node(&seeds, 1, page(), false).await,
        node(&seeds, 2, page(), false).await,
    );
    a.handle.wait_for_relay(PATIENCE).await.unwrap();
    a.connected_to(&[1, 2]).await;
    b.connected_to(&[0, 2]).await;
    c.connected_to(&[0, 1]).await;
    let _served = (a.net.serve(ANSWERED, echo()), c.net.serve(ANSWERED, echo()));
    for (from, to) in [(&a, 2), (&c, 0), (&b, 0)] {
        let answer = from
            .net
            .request(PeerIdx(to), ANSWERED, Bytes::from_static(b"over the relay"))
            .await
            .unwrap();
        assert_eq!(answer, "over the relay");
    }
}

#[tokio::test]
async fn a_relayed_pair_gets_a_direct_connection_that_outlives_the_relay() {
    let relay = relay().await;
    let seeds = ascending_keys(2);
    let fixed = RelayAddr::Fixed(relay.multiaddrs()[0].clone());
    // The larger ID listens, so the smaller one, which dials through the relay, learns the address and dials it.
    let a = node(&seeds, 0, fixed.clone(), false).await;
    let b = node(&seeds, 1, fixed, true).await;
    a.connected_to(&[1]).await;
    // Identify over the circuit tells the listen address.
    until(a.handle.known_addrs(), |k| {
        k.get(&PeerIdx(1)).is_some_and(|l| !l.is_empty())
    })
    .await;
    let _served = b.net.serve(ANSWERED, echo());
    assert!(a.net.request(PeerIdx(1), ANSWERED, Bytes::new()).await.is_ok());
    relay.shutdown().await;
    // Both ways at the moment of the loss: the direct connection, or a redial of the address just learnt.
    a.connected_to(&[1]).await;
    assert_eq!(
        a.net
            .request(PeerIdx(1), ANSWERED, Bytes::from_static(b"x"))
            .await
            .unwrap(),
        "x"
    );
}

#[tokio::test]
async fn a_relay_that_comes_back_is_used_again() {
    // Pitfalls 24 and 25: the reservation is made anew on the new connection.
    let life = Life::new();
    let first = serve(relay_config(any(), any()), RelayMetrics::new(), &life)
        .await
        .unwrap();
    let (at, page) = (first.listen_addrs()[0], first.http_addr().unwrap());
    let seeds = ascending_keys(2);
    let a = node(&seeds, 0, url(page), false).await;
    let b = node(&seeds, 1, url(page), false).await;
    a.connected_to(&[1]).await;
    first.shutdown().await;
    a.connected_to(&[]).await;
    b.connected_to(&[]).await;
    let again = serve(relay_config(at, any()), RelayMetrics::new(), &Life::new())
        .await
        .unwrap();
    a.connected_to(&[1]).await;
    b.connected_to(&[0]).await;
    again.shutdown().await;
}

#[tokio::test]
async fn the_page_tells_addresses_and_the_record() {
    let relay = relay().await;
    let http = relay.http_addr().unwrap();
    let get = async |path: &str| {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut stream = tokio::net::TcpStream::connect(http).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let want = format!(
        "[\"/ip4/127.0.0.1/tcp/{}/p2p/{}\"]",
        relay.listen_addrs()[0].port(),
        relay.peer_id()
    );
    for path in ["/", "/whatever"] {
        let answer = get(path).await;
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.ends_with(&want),
            "{answer}"
        );
    }
    let answer = get("/enr").await;
    let record: trireme_keys::Enr = answer.rsplit("\r\n\r\n").next().unwrap().parse().unwrap();
    assert_eq!(record.ip(), Some(&[127, 0, 0, 1][..]));
    assert_eq!(record.tcp(), Some(u64::from(relay.listen_addrs()[0].port())));
}

#[tokio::test]
async fn a_relay_without_public_addresses_says_so_but_still_serves_reservations() {
    let mut c = relay_config(any(), any());
    c.advertise_private = false;
    let relay = serve(c, RelayMetrics::new(), &Life::new()).await.unwrap();
    assert!(relay.multiaddrs().is_empty());
    let id = trireme_p2p::identity::to_libp2p(relay.peer_id());
    let fixed =
        RelayAddr::Fixed(trireme_p2p::addr::tcp(relay.listen_addrs()[0]).with(libp2p::multiaddr::Protocol::P2p(id)));
    let seeds = ascending_keys(2);
    let a = node(&seeds, 0, fixed.clone(), false).await;
    let b = node(&seeds, 1, fixed, false).await;
    a.connected_to(&[1]).await;
    b.connected_to(&[0]).await;
}
