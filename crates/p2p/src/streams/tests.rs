//! Two swarms over 127.0.0.1, with streams opened by hand.

use std::{collections::BTreeMap, future::Future, time::Duration};

use bytes::Bytes;
use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use libp2p::{
    Swarm,
    identity::Keypair,
    swarm::{SwarmEvent, dial_opts::DialOpts},
};
use tokio::task::JoinSet;
use trireme_core::ports::{Handler, ProtocolId};
use trireme_keys::IdentityKey;

use super::*;
use crate::{
    frame, identity,
    inbox::Inbox,
    metrics::P2pMetrics,
    swarm::{NodeBehaviour, node},
};

const PATIENCE: Duration = Duration::from_secs(30);
const ONE_WAY: ProtocolId = ProtocolId {
    name: "/charon/parsigex/2.0.0",
    max_frame: 1024,
};
const ANSWERED: ProtocolId = ProtocolId {
    name: "/test/echo/1.0.0",
    max_frame: 1024,
};

pub(crate) struct End {
    pub(crate) table: Arc<Table>,
    inbox: Arc<Inbox>,
    pub(crate) id: PeerId,
}

/// Two connected swarms. Dropping the set ends their tasks.
pub(crate) async fn pair() -> (End, End, JoinSet<()>) {
    let keys: Vec<Keypair> = [1, 2]
        .iter()
        .map(|n| identity::keypair(&IdentityKey::from_bytes(&[*n; 32]).unwrap()).unwrap())
        .collect();
    let ids: Vec<PeerId> = keys.iter().map(|k| k.public().to_peer_id()).collect();
    let mut tasks = JoinSet::new();
    let mut make = |at: usize| {
        let table = Arc::new(Table::new());
        let other = ids[1 - at];
        let idx = trireme_core::PeerIdx(u8::try_from(1 - at).unwrap());
        let inbox = Inbox::new(
            [(other, idx, "other".to_owned())],
            Arc::clone(&table),
            P2pMetrics::new(),
        );
        for worker in inbox.workers() {
            tasks.spawn(worker);
        }
        let swarm = node(
            keys[at].clone(),
            "test".into(),
            Arc::new(|_| true),
            Arc::clone(&table),
            Arc::clone(&inbox),
        )
        .unwrap();
        (
            swarm,
            End {
                table,
                inbox,
                id: ids[at],
            },
        )
    };
    let (mut first, a) = make(0);
    let (mut second, b) = make(1);
    let bound = crate::listen::open(&mut first, &["127.0.0.1:0".parse().unwrap()])
        .await
        .unwrap();
    second
        .dial(
            DialOpts::peer_id(a.id)
                .addresses(vec![crate::addr::tcp(bound[0])])
                .build(),
        )
        .unwrap();
    tasks.spawn(drive(first));
    tasks.spawn(drive(second));
    for (own, other) in [(&a, &b), (&b, &a)] {
        soon(async {
            let mut changes = own.table.watch();
            while !own.table.serves(&other.id, "/ipfs/ping/1.0.0") {
                changes.changed().await.unwrap();
            }
        })
        .await;
    }
    (a, b, tasks)
}

async fn drive(mut swarm: Swarm<NodeBehaviour>) {
    let table = Arc::clone(&swarm.behaviour().streams().table);
    loop {
        use crate::swarm::NodeBehaviourEvent::Identify;
        if let SwarmEvent::Behaviour(Identify(libp2p::identify::Event::Received { peer_id, info, .. })) =
            swarm.select_next_some().await
        {
            table.set_served(&peer_id, &info.protocols);
        }
    }
}

pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it did not happen")
}

async fn open(from: &End, to: &End, protocol: ProtocolId, lazy: bool) -> Result<Stream, OpenError> {
    ask(from, to, StreamProtocol::new(protocol.name), lazy).await
}

pub(crate) async fn open_named(from: &End, to: &End, name: StreamProtocol) -> Result<Stream, OpenError> {
    ask(from, to, name, true).await
}

async fn ask(from: &End, to: &End, name: StreamProtocol, lazy: bool) -> Result<Stream, OpenError> {
    let (reply, stream) = oneshot::channel();
    let route = from.table.best(&to.id).expect("connected");
    route.open.send(Open { name, lazy, reply }).await.expect("connected");
    soon(stream).await.expect("the connection stays")
}

fn collect() -> (Handler, mpsc::Receiver<Bytes>) {
    let (tx, rx) = mpsc::channel(10_000);
    let handler: Handler = Arc::new(move |m| {
        let tx = tx.clone();
        Box::pin(async move {
            tx.send(m.msg).await?;
            Ok(None)
        })
    });
    (handler, rx)
}

#[tokio::test]
async fn a_stalled_stream_holds_up_nothing_else() {
    let (a, b, _tasks) = pair().await;
    let (handler, mut got) = collect();
    a.inbox.register(ONE_WAY, handler);
    let mut stalled = Vec::new();
    for half in [&b""[..], b"\x80", b"\x05", b"\x05ab"] {
        let mut stream = open(&b, &a, ONE_WAY, true).await.unwrap();
        stream.write_all(half).await.unwrap();
        stream.flush().await.unwrap();
        stalled.push(stream);
    }
    let mut stream = open(&b, &a, ONE_WAY, true).await.unwrap();
    frame::write_frame(&mut stream, b"whole").await.unwrap();
    stream.close().await.unwrap();
    assert_eq!(soon(got.recv()).await.unwrap(), "whole");
    drop(stalled);
}

#[tokio::test]
async fn a_stalled_stream_is_given_up_after_five_seconds_and_the_connection_stays() {
    let (a, b, _tasks) = pair().await;
    let (handler, mut got) = collect();
    a.inbox.register(ONE_WAY, handler);
    let conn = a.table.best(&b.id).unwrap().conn;
    let mut stalled = open(&b, &a, ONE_WAY, true).await.unwrap();
    stalled.write_all(b"\x05ab").await.unwrap();
    stalled.flush().await.unwrap();
    for round in 0..2 {
        // It came after the stalled one, which is therefore being read.
        let mut stream = open(&b, &a, ONE_WAY, true).await.unwrap();
        frame::write_frame(&mut stream, b"whole").await.unwrap();
        stream.close().await.unwrap();
        assert_eq!(soon(got.recv()).await.unwrap(), "whole");
        if round == 0 {
            // Virtual time: it advances when nothing else is to be done.
            tokio::time::pause();
            let began = tokio::time::Instant::now();
            assert!(!matches!(soon(stalled.read(&mut [0])).await, Ok(n) if n > 0));
            let limit = crate::protocol::READ + Duration::from_millis(10);
            assert!(began.elapsed() <= limit, "{:?}", began.elapsed());
            tokio::time::resume();
        }
    }
    assert_eq!(a.table.best(&b.id).unwrap().conn, conn);
}

#[tokio::test]
async fn more_than_512_open_streams_each_way_leave_the_connection_whole() {
    // Pitfall 8.
    let (a, b, _tasks) = pair().await;
    let (handler, mut got) = collect();
    a.inbox.register(ONE_WAY, handler.clone());
    b.inbox.register(ONE_WAY, handler);
    let conn = a.table.best(&b.id).unwrap().conn;
    let mut held = Vec::new();
    for _ in 0..600 {
        for (from, to) in [(&a, &b), (&b, &a)] {
            let mut stream = open(from, to, ONE_WAY, true).await.unwrap();
            // The length only: the reader waits for the body.
            stream.write_all(b"\x01").await.unwrap();
            stream.flush().await.unwrap();
            held.push(stream);
        }
    }
    let sent = held.len();
    for mut stream in held {
        stream.write_all(b"x").await.unwrap();
        stream.close().await.unwrap();
    }
    for _ in 0..sent {
        soon(got.recv()).await.unwrap();
    }
    assert_eq!(a.table.best(&b.id).unwrap().conn, conn);
}

#[tokio::test]
async fn a_refusal_shows_at_once_when_asked_for_and_on_the_first_read_otherwise() {
    // Pitfall 3.
    let (a, b, _tasks) = pair().await;
    assert!(matches!(
        open(&b, &a, ANSWERED, false).await,
        Err(OpenError::Unsupported)
    ));
    let mut lazy = open(&b, &a, ANSWERED, true).await.unwrap();
    frame::write_frame(&mut lazy, b"").await.unwrap();
    lazy.close().await.unwrap();
    let error = soon(lazy.read(&mut [0])).await.unwrap_err();
    assert!(!frame::is_reset(&error), "a refusal is not tried again: {error}");
}

#[tokio::test]
async fn a_one_way_stream_ends_in_order_on_both_sides() {
    // Pitfall 2: neither end sees a reset.
    let (a, b, _tasks) = pair().await;
    let (handler, mut got) = collect();
    a.inbox.register(ONE_WAY, handler);
    let mut stream = open(&b, &a, ONE_WAY, true).await.unwrap();
    frame::write_frame(&mut stream, b"m").await.unwrap();
    assert_eq!(soon(got.recv()).await.unwrap(), "m");
    // The reader has closed its side although ours is still open.
    assert_eq!(soon(stream.read(&mut [0])).await.unwrap(), 0);
    stream.close().await.unwrap();
}

#[tokio::test]
async fn a_waiting_handler_leaves_room_for_the_other_protocols() {
    // Pitfall 33: an early request is held, up to its limit, and nothing else is.
    let (a, b, _tasks) = pair().await;
    let early: Handler = Arc::new(|_| Box::pin(std::future::pending()));
    a.inbox.register(ANSWERED, early);
    let (handler, mut got) = collect();
    a.inbox.register(ONE_WAY, handler);
    let mut waiting = BTreeMap::new();
    for n in 0..100 {
        let mut stream = open(&b, &a, ANSWERED, true).await.unwrap();
        frame::write_frame(&mut stream, b"early").await.unwrap();
        waiting.insert(n, stream);
    }
    let mut stream = open(&b, &a, ONE_WAY, true).await.unwrap();
    frame::write_frame(&mut stream, b"now").await.unwrap();
    stream.close().await.unwrap();
    assert_eq!(soon(got.recv()).await.unwrap(), "now");
}
