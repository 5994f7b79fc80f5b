//! Relay pages that misbehave: the node runs on, with no relay.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use trireme_core::PeerIdx;
use trireme_p2p::P2pError;

use crate::cluster::{ANSWERED, config, echo, start, url};

/// A page that answers every request with `head` and then `body` for ever, or once. Returns how much it got rid of.
async fn page(head: &'static str, body: Vec<u8>, endless: bool) -> (SocketAddr, tokio::sync::watch::Receiver<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (tx, rx) = tokio::sync::watch::channel(0);
    let serve = async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(head.as_bytes()).await;
            let mut sent = 0;
            while stream.write_all(&body).await.is_ok() && endless {
                sent += body.len();
            }
            tx.send_replace(sent.max(1));
        }
    };
    #[expect(clippy::disallowed_methods, reason = "a test's server")]
    tokio::spawn(serve);
    (addr, rx)
}

/// A node with this page as its only relay runs, serves its other peer and says that it has no relay.
async fn survives(relay: SocketAddr) {
    let mut c = config(&[1, 2], 0);
    c.relays = vec![url(relay)];
    let a = start(c).await;
    let mut c = config(&[1, 2], 1);
    c.known.insert(PeerIdx(0), vec![a.addr()]);
    let b = start(c).await;
    let _served = a.net.serve(ANSWERED, echo());
    b.connected_to(&[0]).await;
    assert!(b.net.request(PeerIdx(0), ANSWERED, bytes::Bytes::new()).await.is_ok());
    let error = a.handle.wait_for_relay(Duration::from_millis(300)).await.unwrap_err();
    assert!(matches!(error, P2pError::NoRelay(_)));
}

#[tokio::test]
async fn a_relay_page_that_nobody_serves_is_tried_again_and_again() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    survives(unused).await;
}

#[tokio::test]
async fn a_relay_page_with_garbage_or_an_error_is_no_relay() {
    for head in [
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
        "HTTP/1.1 500 Oops\r\nConnection: close\r\n\r\n",
        "\0\0\0",
    ] {
        let (addr, mut asked) = page(head, b"<html>not a relay</html>".to_vec(), false).await;
        survives(addr).await;
        assert!(asked.wait_for(|n| *n > 0).await.is_ok());
    }
}

#[tokio::test]
async fn an_endless_relay_page_is_cut_off() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 10737418240\r\nConnection: close\r\n\r\n";
    let (addr, mut sent) = page(head, vec![b'['; 64 * 1024], true).await;
    survives(addr).await;
    let sent = *sent.wait_for(|n| *n > 0).await.unwrap();
    assert!(sent < 32 * 1024 * 1024, "only the sockets' buffers were filled: {sent}");
}

#[tokio::test]
async fn a_silent_relay_page_does_not_hold_up_the_node() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    survives(listener.local_addr().unwrap()).await;
}
