//! Two hosts with a direct connection.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use prost::Message as _;
use trireme_core::{
    PeerIdx,
    ports::{NetError, ProtocolId},
};
use trireme_p2p::{Host, P2pError, P2pMetrics, Services, protocol::PEERINFO};
use trireme_proto::peerinfo::v1::PeerInfo;

use crate::cluster::{ANSWERED, ONE_WAY, PATIENCE, collect, config, echo, next, pair, start, until};

#[tokio::test]
async fn messages_and_requests_go_both_ways() {
    let (a, b) = pair().await;
    let (handler, mut got) = collect();
    let _served = (a.net.serve(ONE_WAY, handler), b.net.serve(ANSWERED, echo()));
    b.net
        .send(PeerIdx(0), ONE_WAY, Bytes::from_static(b"hello"))
        .await
        .unwrap();
    let m = next(&mut got).await;
    assert_eq!((m.from, &m.msg[..]), (Some(PeerIdx(1)), &b"hello"[..]));
    assert_eq!(&m.from_id, b.handle.peer_id());
    assert_eq!(
        a.net
            .request(PeerIdx(1), ANSWERED, Bytes::from_static(b"you?"))
            .await
            .unwrap(),
        "you?"
    );
}

#[tokio::test]
async fn row_12_a_burst_of_messages_is_read_whole_however_long_the_handlers_take() {
    // Pitfalls 2, 4 and 8: no stream is reset, refused or negotiated one after the other.
    let (a, b) = pair().await;
    let (count, gate) = (
        Arc::new(tokio::sync::Semaphore::new(0)),
        Arc::new(tokio::sync::Semaphore::new(0)),
    );
    let handler: trireme_core::ports::Handler = {
        let (count, gate) = (Arc::clone(&count), Arc::clone(&gate));
        Arc::new(move |_| {
            let (count, gate) = (Arc::clone(&count), Arc::clone(&gate));
            Box::pin(async move {
                gate.acquire().await?.forget();
                count.add_permits(1);
                Ok(None)
            })
        })
    };
    let _served = a.net.serve(ONE_WAY, handler);
    let message = Bytes::from(vec![1; 400]);
    let sends = (0..1_500).map(|_| b.net.send(PeerIdx(0), ONE_WAY, message.clone()));
    for sent in futures::future::join_all(sends).await {
        sent.unwrap();
    }
    gate.add_permits(1_500);
    let all = tokio::time::timeout(PATIENCE, count.acquire_many(1_500)).await;
    assert!(all.is_ok(), "{} of 1500 arrived", count.available_permits());
}

#[tokio::test]
async fn a_large_message_arrives() {
    let (a, b) = pair().await;
    let _served = a.net.serve(ANSWERED, echo());
    let message = Bytes::from(vec![9; 10 * 1024 * 1024]);
    assert_eq!(
        b.net.request(PeerIdx(0), ANSWERED, message.clone()).await.unwrap(),
        message
    );
}

#[tokio::test]
async fn an_oversized_message_is_refused_and_the_next_one_taken() {
    let (a, b) = pair().await;
    let (handler, mut got) = collect();
    let small = ProtocolId {
        name: ONE_WAY.name,
        max_frame: 100,
    };
    let _served = a.net.serve(small, handler);
    // The sender may or may not notice: nobody acknowledges.
    let _ = b.net.send(PeerIdx(0), ONE_WAY, Bytes::from(vec![0; 101])).await;
    b.net
        .send(PeerIdx(0), ONE_WAY, Bytes::from(vec![1; 100]))
        .await
        .unwrap();
    assert_eq!(next(&mut got).await.msg[0], 1);
    assert!(got.try_recv().is_err());
}

#[tokio::test]
async fn an_oversized_answer_is_refused() {
    let (a, b) = pair().await;
    let _served = a.net.serve(
        ANSWERED,
        Arc::new(|_| Box::pin(async { Ok(Some(Bytes::from(vec![0; 200]))) })),
    );
    let small = ProtocolId {
        name: ANSWERED.name,
        max_frame: 199,
    };
    let error = b.net.request(PeerIdx(0), small, Bytes::new()).await.unwrap_err();
    assert!(
        matches!(&error, NetError::Stream { reason, .. } if reason.contains("at most 199")),
        "{error}"
    );
}

#[tokio::test]
async fn a_handler_that_has_no_answer_or_fails_closes_the_stream() {
    let (a, b) = pair().await;
    let none = a.net.serve(ANSWERED, Arc::new(|_| Box::pin(async { Ok(None) })));
    let error = b.net.request(PeerIdx(0), ANSWERED, Bytes::new()).await.unwrap_err();
    assert!(
        matches!(&error, NetError::Stream { reason, .. } if reason.contains("without an answer")),
        "{error}"
    );
    drop(none);
    let _failing = a
        .net
        .serve(ANSWERED, Arc::new(|_| Box::pin(async { Err("no".into()) })));
    let error = b.net.request(PeerIdx(0), ANSWERED, Bytes::new()).await.unwrap_err();
    assert!(
        matches!(&error, NetError::Stream { reason, .. } if reason.contains("without an answer")),
        "{error}"
    );
}

#[tokio::test]
async fn a_protocol_is_served_only_while_its_guard_lives() {
    let (a, b) = pair().await;
    assert!(b.net.request(PeerIdx(0), ANSWERED, Bytes::new()).await.is_err());
    assert!(
        b.net.send(PeerIdx(0), ONE_WAY, Bytes::new()).await.is_err(),
        "one-way refusals are noticed as well"
    );
    let guard = a.net.serve(ANSWERED, echo());
    assert!(b.net.request(PeerIdx(0), ANSWERED, Bytes::new()).await.is_ok());
    drop(guard);
    assert!(b.net.request(PeerIdx(0), ANSWERED, Bytes::new()).await.is_err());
}

#[tokio::test]
async fn a_later_registration_outlives_the_guard_of_an_earlier_one() {
    let (a, b) = pair().await;
    let first = a.net.serve(ANSWERED, Arc::new(|_| Box::pin(async { Ok(None) })));
    let _second = a.net.serve(ANSWERED, echo());
    drop(first);
    assert_eq!(
        b.net
            .request(PeerIdx(0), ANSWERED, Bytes::from_static(b"x"))
            .await
            .unwrap(),
        "x"
    );
}

#[tokio::test]
async fn peer_information_is_answered_even_to_an_empty_question() {
    let (a, b) = pair().await;
    let info = PeerInfo::decode(b.net.request(PeerIdx(0), PEERINFO, Bytes::new()).await.unwrap()).unwrap();
    assert_eq!((info.dv_client.as_str(), info.nickname.as_str()), ("trireme", "node0"));
    assert_eq!(
        (info.charon_version.as_str(), info.git_hash.as_str()),
        ("v1.11.0", "abcdef0")
    );
    assert!(info.sent_at.is_some() && info.started_at.is_some(), "pitfall 32");
    assert_eq!(info.lock_hash, [7; 32].as_slice());
    drop(a);
}

#[tokio::test]
async fn nothing_is_sent_to_oneself_or_to_nobody() {
    let node = start(config(&[1, 2], 0)).await;
    for to in [0, 7] {
        let error = node.net.send(PeerIdx(to), ONE_WAY, Bytes::new()).await.unwrap_err();
        assert!(matches!(error, NetError::Unreachable { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_node_that_comes_back_is_found_again() {
    // Pitfall 22, and the place of addresses that are kept from run to run.
    let (a, b) = pair().await;
    until(b.handle.known_addrs(), |k| {
        k.get(&PeerIdx(0)).is_some_and(|l| l.contains(&a.addr()))
    })
    .await;
    let at = a.listen();
    a.handle.shutdown().await;
    b.connected_to(&[]).await;
    let mut again = config(&[1, 2], 0);
    again.listen = vec![at];
    let a = start(again).await;
    a.connected_to(&[1]).await;
    b.connected_to(&[0]).await;
}

#[tokio::test]
async fn shutdown_ends_every_task_and_says_goodbye() {
    let (a, b) = pair().await;
    a.handle.shutdown().await;
    assert_eq!(a.life.running().len(), 0);
    b.connected_to(&[]).await;
    assert_eq!(
        a.net.send(PeerIdx(1), ONE_WAY, Bytes::new()).await,
        Err(NetError::Stopped)
    );
}

#[tokio::test]
async fn a_stranger_gets_no_connection() {
    // Pitfall 20. The stranger believes to be operator 1 of a cluster with node 0 in it.
    let node = start(config(&[1, 2], 0)).await;
    let mut wrong = config(&[1, 9], 1);
    wrong.known.insert(PeerIdx(0), vec![node.addr()]);
    let stranger = start(wrong).await;
    let errors = |n: u64| {
        stranger
            .metrics
            .peer_connection
            .get_or_create(&label(&stranger, 0))
            .get()
            >= n
    };
    // The stranger's dials succeed and are closed at once, again and again, with growing waits.
    let tried = async {
        let mut connected = stranger.handle.connected();
        while !errors(2) {
            connected.changed().await.unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, tried).await.unwrap();
    let served = node.net.serve(ANSWERED, echo());
    assert!(node.handle.connected().borrow().is_empty());
    drop(served);
}

#[tokio::test]
async fn bytes_that_are_no_handshake_disturb_nobody() {
    use tokio::io::AsyncWriteExt as _;
    let (a, b) = pair().await;
    let _served = a.net.serve(ANSWERED, echo());
    let mut open = Vec::new();
    for bytes in [
        &b""[..],
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x13/multistream/1.0.0\n\xff\xff\xff\xff",
        &[0xff; 4096],
    ] {
        let mut stream = tokio::net::TcpStream::connect(a.listen()).await.unwrap();
        // The other side may have closed it already.
        let _ = stream.write_all(bytes).await;
        open.push(stream);
    }
    let question = Bytes::from_static(b"x");
    assert_eq!(
        b.net.request(PeerIdx(0), ANSWERED, question.clone()).await.unwrap(),
        "x"
    );
    // A connection that comes while those are open is taken as well.
    b.handle.shutdown().await;
    a.connected_to(&[]).await;
    let mut again = config(&[1, 2], 1);
    again.known.insert(PeerIdx(0), vec![a.addr()]);
    let b = start(again).await;
    b.connected_to(&[0]).await;
    assert_eq!(b.net.request(PeerIdx(0), ANSWERED, question).await.unwrap(), "x");
    drop(open);
}

fn label(node: &crate::cluster::Node, peer: usize) -> trireme_p2p::metrics::PeerLabel {
    trireme_p2p::metrics::PeerLabel {
        peer: node.net.peers()[peer].name.clone(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_cannot_be_reached_is_told_after_the_time_for_connecting() {
    let node = start(config(&[1, 2], 0)).await;
    let began = tokio::time::Instant::now();
    let error = node.net.send(PeerIdx(1), ONE_WAY, Bytes::new()).await.unwrap_err();
    assert!(matches!(error, NetError::Unreachable { .. }), "{error}");
    assert_eq!(began.elapsed().as_secs(), Duration::from_secs(10).as_secs());
}

#[tokio::test]
async fn a_port_in_use_and_a_foreign_key_are_errors_at_the_start() {
    let services = || Services {
        clock: Arc::new(trireme_core::clock::SystemClock),
        entropy: Arc::new(trireme_core::entropy::OsEntropy),
        life: trireme_core::life::Life::new(),
        metrics: P2pMetrics::new(),
    };
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut same = config(&[1, 2], 0);
    same.listen = vec![taken.local_addr().unwrap()];
    assert!(matches!(
        Host::start(same, services()).await,
        Err(P2pError::Listen { .. })
    ));
    let mut foreign = config(&[1, 2], 0);
    foreign.me = PeerIdx(1);
    assert!(matches!(
        Host::start(foreign, services()).await,
        Err(P2pError::NotMe { .. })
    ));
    let mut outside = config(&[1, 2], 0);
    outside.me = PeerIdx(2);
    assert!(matches!(
        Host::start(outside, services()).await,
        Err(P2pError::NoOperator(_))
    ));
}
