//! Beacon nodes behind TLS (VC-12).

use std::{path::Path, sync::Arc, time::Duration};

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinSet,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};
use trireme_beacon::{Clients, GivenTimeouts, Metrics, Pool};
use trireme_core::{
    clock::SystemClock,
    life::Life,
    time::{SlotTiming, UnixTime},
};
use url::Url;

use super::fleet::{VERSION, pool_config};

/// Answers every request on a port of its own with the same version, whatever was asked, and closes.
struct Server {
    url: Url,
    authority: String,
    _tasks: JoinSet<()>,
}

async fn start() -> Server {
    let authority_key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&authority_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])
        .unwrap()
        .signed_by(&key, &authority, &authority_key)
        .unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = Url::parse(&format!("https://127.0.0.1:{}/", listener.local_addr().unwrap().port())).unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                return;
            };
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut seen = vec![0; 4096];
            let n = stream.read(&mut seen).await.unwrap_or_default();
            let asked = String::from_utf8_lossy(&seen[..n]).into_owned();
            let body = if asked.contains("/beacon/genesis") {
                super::calls::GENESIS.to_owned()
            } else if asked.contains("/config/spec") {
                r#"{"data":{"SECONDS_PER_SLOT":"12","SLOTS_PER_EPOCH":"32"}}"#.to_owned()
            } else {
                r#"{"data":{"version":"x","connected":"7"}}"#.to_owned()
            };
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(head.as_bytes()).await;
            let _ = stream.write_all(body.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    Server {
        url,
        authority: authority.pem(),
        _tasks: tasks,
    }
}

fn clients(url: &Url, certificates: &[&Path]) -> Clients {
    let mut config = pool_config(vec![url.clone()]);
    config.certificates = certificates.iter().map(|p| p.to_path_buf()).collect();
    config.timeouts = GivenTimeouts {
        read: Some(Duration::from_secs(20)),
        submit: None,
    };
    Clients::new(&config, Metrics::default()).unwrap()
}

#[tokio::test]
async fn vc_12_beacon_node_of_a_private_authority_is_used_with_its_certificate_and_not_without() {
    let server = start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("authority.pem");
    std::fs::write(&path, &server.authority).unwrap();
    let trusting = clients(&server.url, &[&path]);
    let chain = trusting.wait_for_chain(VERSION).await.unwrap();
    let timing = SlotTiming {
        genesis: UnixTime::from_secs(1),
        slot_duration: Duration::from_secs(12),
        slots_per_epoch: 32,
    };
    let life = Life::new();
    let pool = Pool::start(&trusting, Arc::new(chain), timing, Arc::new(SystemClock), &life).await;
    life.stop().await;
    drop(pool);

    // Nobody answers who is not trusted; it would be asked again for ever.
    let lines = trireme_testutil::sim::Lines::here();
    let strangers = clients(&server.url, &[]);
    let waiting = strangers.wait_for_chain(VERSION);
    tokio::pin!(waiting);
    let said = loop {
        tokio::select! { biased;
            _ = &mut waiting => panic!("a certificate of nobody was trusted"),
            () = tokio::task::yield_now() => {
                let said = lines.take(tracing::Level::WARN);
                if !said.is_empty() {
                    break said;
                }
            }
        }
    };
    assert!(said[0].to_lowercase().contains("certificate"), "{said:?}");
}
