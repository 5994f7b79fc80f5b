//! The listener over real sockets: slow heads, idle connections, stopping.

use std::time::Duration;

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use trireme_core::{Duty, DutyType};
use trireme_eth2::Slot;
use trireme_vapi::{Tls, TlsError, connection, serve};

use crate::fixture::{Bench, PATIENCE, Plan};

struct Served {
    bench: Bench,
    address: std::net::SocketAddr,
    shutdown: CancellationToken,
}

async fn served() -> Served {
    served_with(Plan::synthetic(&[])).await
}

async fn served_with(plan: Plan) -> Served {
    let bench = Bench::new(plan);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let all = serve(
        listener,
        std::sync::Arc::clone(&bench.server),
        bench.life.clone(),
        shutdown.clone(),
    );
    bench.life.task("test.serve", all);
    Served {
        bench,
        address,
        shutdown,
    }
}

/// Reads one answer with a `Content-Length`.
async fn answer(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut text = Vec::new();
    let read = async {
        loop {
            let done = std::str::from_utf8(&text).ok().and_then(|t: &str| {
                let (head, body) = t.split_once("\r\n\r\n")?;
                let length = head
                    .lines()
                    .find_map(|l| l.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
                (body.len() >= length.unwrap_or(0_usize)).then_some(())
            });
            if done.is_some() {
                break;
            }
            let n = stream.read_buf(&mut text).await.unwrap();
            assert_ne!(n, 0, "closed after {:?}", String::from_utf8_lossy(&text));
        }
    };
    timeout(PATIENCE, read).await.unwrap();
    String::from_utf8(text).unwrap()
}

const VERSION: &[u8] = b"GET /eth/v1/node/version HTTP/1.1\r\nHost: x\r\n\r\n";

#[tokio::test]
async fn a_connection_serves_many_requests_and_each_is_counted_as_a_call() {
    let s = served().await;
    let mut stream = TcpStream::connect(s.address).await.unwrap();
    for _ in 0..3 {
        stream.write_all(VERSION).await.unwrap();
        assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200 OK"));
    }
    assert_eq!(s.bench.requests_seen(), 3);
    s.bench.life.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_come_in_a_second_ends_the_connection_and_an_idle_one_stays() {
    let bench = Bench::new(Plan::synthetic(&[]));
    let open = || {
        let (ours, theirs) = tokio::io::duplex(4096);
        let served = connection(theirs, std::sync::Arc::clone(&bench.server), CancellationToken::new());
        bench.life.task("test.connection", served);
        ours
    };
    let mut idle = open();
    idle.write_all(VERSION).await.unwrap();
    answer(&mut idle).await;
    let began = tokio::time::Instant::now();
    let mut silent = open();
    let mut slow = open();
    slow.write_all(b"GET /eth/v1/node/version HTTP/1.1\r\n").await.unwrap();
    // A byte now and then does not help.
    let mut rest = Vec::new();
    while slow.write_all(b"X").await.is_ok() && began.elapsed() < Duration::from_secs(5) {
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert!(began.elapsed() <= Duration::from_millis(1_300), "{:?}", began.elapsed());
    silent.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty() && began.elapsed() <= Duration::from_millis(1_300));
    // Minutes later the idle one is still good, but a second head must not be slow either.
    tokio::time::sleep(Duration::from_secs(600)).await;
    idle.write_all(VERSION).await.unwrap();
    assert!(answer(&mut idle).await.starts_with("HTTP/1.1 200 OK"));
    let again = tokio::time::Instant::now();
    idle.write_all(b"GET ").await.unwrap();
    idle.read_to_end(&mut rest).await.unwrap();
    assert_eq!(again.elapsed().as_secs(), 1);
    bench.life.stop().await;
}

#[tokio::test]
async fn while_stopping_waiting_requests_get_503_in_plain_words_and_nothing_new_is_accepted() {
    let s = served().await;
    s.bench.know(|k| {
        k.definitions
            .insert(Duty::new(Slot(5), DutyType::Attester), Default::default());
    });
    let mut waiting = TcpStream::connect(s.address).await.unwrap();
    waiting
        .write_all(b"GET /eth/v1/validator/attestation_data?slot=5&committee_index=0 HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let seen = async {
        while s.bench.requests_seen() == 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, seen).await.unwrap();
    s.shutdown.cancel();
    let text = answer(&mut waiting).await;
    assert!(text.starts_with("HTTP/1.1 503"), "{text}");
    assert!(text.ends_with("the node is stopping"), "{text}");
    assert!(text.to_lowercase().contains("content-type: text/plain"), "{text}");
    let left = timeout(PATIENCE, s.bench.life.finish(Duration::from_secs(10)))
        .await
        .unwrap();
    assert!(left.is_empty(), "{left:?}");
    assert!(TcpStream::connect(s.address).await.is_err());
}

#[tokio::test]
async fn with_a_certificate_connections_are_encrypted_and_others_are_closed() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.key_pair.serialize_pem()).unwrap();
    let mut plan = Plan::synthetic(&[]);
    plan.config.tls = Some(Tls::read(&cert, &key).unwrap());
    let s = served_with(plan).await;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(client));
    let stream = TcpStream::connect(s.address).await.unwrap();
    let mut stream = connector
        .connect("localhost".try_into().unwrap(), stream)
        .await
        .unwrap();
    for _ in 0..2 {
        stream.write_all(VERSION).await.unwrap();
        assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200 OK"));
    }
    // Plain text is no handshake.
    let mut plain = TcpStream::connect(s.address).await.unwrap();
    plain.write_all(VERSION).await.unwrap();
    let mut rest = Vec::new();
    let _ = timeout(PATIENCE, plain.read_to_end(&mut rest)).await.unwrap();
    assert!(!rest.starts_with(b"HTTP"), "{rest:?}");
    assert_eq!(s.bench.requests_seen(), 2);
    s.bench.life.stop().await;
}

#[test]
fn what_is_wrong_with_certificate_or_key_is_said_with_the_files_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let one = rcgen::generate_simple_self_signed(vec!["a".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(vec!["b".to_owned()]).unwrap();
    let (cert, key) = (
        file("cert", &one.cert.pem()),
        file("key", &one.key_pair.serialize_pem()),
    );
    let (empty, foreign) = (file("empty", ""), file("foreign", &other.key_pair.serialize_pem()));
    let why = |cert: &std::path::Path, key: &std::path::Path| Tls::read(cert, key).unwrap_err();
    assert!(matches!(why(&empty, &key), TlsError::Certificate { path, .. } if path.ends_with("empty")));
    assert!(matches!(
        why(&folder.path().join("none"), &key),
        TlsError::Certificate { .. }
    ));
    assert!(matches!(why(&cert, &empty), TlsError::Key { path, .. } if path.ends_with("empty")));
    assert!(matches!(why(&cert, &cert), TlsError::Key { .. }));
    assert!(matches!(why(&cert, &foreign), TlsError::Pair(_)));
    assert!(Tls::read(&cert, &key).is_ok());
}
