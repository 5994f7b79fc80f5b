//! Beacon nodes that are away, slow, or talk nonsense.

use std::time::Duration;

use axum::body::{Body, Bytes};
use futures::stream;
use tracing::Level;
use trireme_beacon::{Client, Clients, Metrics};
use trireme_core::ports::{BeaconError, BeaconNode};
use trireme_eth2::{Epoch, ForkVersion, Slot, ValidatorIndex};
use trireme_testutil::sim::Lines;
use url::Url;

use super::{
    fleet::pool_config,
    replay::{Replay, client, client_with, config},
};

#[tokio::test]
async fn beacon_node_that_is_not_there_is_named_without_its_credentials() {
    let free = {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        listener.local_addr().unwrap()
    };
    let url = Url::parse(&format!("http://me:secret@{free}/")).unwrap();
    let config = config(&url, Duration::from_secs(30));
    let error = Client::new(&config, Metrics::default())
        .unwrap()
        .syncing()
        .await
        .unwrap_err();
    assert!(matches!(error, BeaconError::Unreachable { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains(&free.to_string()) && !text.contains("secret"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn beacon_node_that_never_answers_ends_in_a_time_out() {
    let server = Replay::start().await;
    let error = client_with(&server, Duration::from_secs(2))
        .syncing()
        .await
        .unwrap_err();
    let expected = BeaconError::Timeout {
        endpoint: "/eth/v1/node/syncing",
        after: Duration::from_secs(2),
    };
    assert_eq!(error, expected);
}

#[tokio::test(start_paused = true)]
async fn body_that_trickles_in_for_ever_ends_with_the_time_limit() {
    let server = Replay::start().await;
    let trickle = || {
        Body::from_stream(stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            Some((Ok::<_, std::io::Error>(Bytes::from_static(b" ")), ()))
        }))
    };
    server.plan_body(200, Vec::new(), Box::new(trickle));
    let began = tokio::time::Instant::now();
    let error = client_with(&server, Duration::from_secs(3))
        .syncing()
        .await
        .unwrap_err();
    assert!(matches!(error, BeaconError::Timeout { .. }), "{error}");
    assert_eq!(began.elapsed().as_secs(), 3);
}

#[tokio::test(start_paused = true)]
async fn vc_11_download_of_a_block_ends_with_its_time_limit_whether_nothing_comes_or_too_little() {
    let server = Replay::start().await;
    let trickle = || {
        Body::from_stream(stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            Some((Ok::<_, std::io::Error>(Bytes::from_static(&[0])), ()))
        }))
    };
    for trickles in [false, true] {
        if trickles {
            let headers = vec![("content-type".to_owned(), "application/octet-stream".to_owned())];
            server.plan_body(200, headers, Box::new(trickle));
        }
        let began = tokio::time::Instant::now();
        let error = client_with(&server, Duration::from_secs(3))
            .block(Slot(7))
            .await
            .unwrap_err();
        assert!(
            matches!(error, BeaconError::Timeout { after, .. } if after.as_secs() == 3),
            "{error}"
        );
        assert_eq!(began.elapsed().as_secs(), 3);
    }
}

#[tokio::test]
async fn garbage_is_malformed_and_says_where() {
    let server = Replay::start().await;
    for garbage in [
        "",
        "null",
        "[]",
        "{\"data\":",
        "<html>",
        "{\"data\":{\"head_slot\":\"x\"}}",
        "\u{0}\u{1}",
    ] {
        server.json(garbage);
        let error = client(&server).syncing().await.unwrap_err();
        assert!(
            matches!(
                error,
                BeaconError::Malformed {
                    endpoint: "/eth/v1/node/syncing",
                    ..
                }
            ),
            "{error}"
        );
    }
}

#[tokio::test]
async fn body_without_end_is_cut_off_at_the_limit() {
    let server = Replay::start().await;
    let endless = || {
        let chunk = Bytes::from(vec![b' '; 64 * 1024]);
        Body::from_stream(stream::repeat_with(move || Ok::<_, std::io::Error>(chunk.clone())))
    };
    server.plan_body(200, Vec::new(), Box::new(endless));
    let error = client(&server).syncing().await.unwrap_err();
    assert!(
        matches!(&error, BeaconError::Malformed { reason, .. } if reason.contains("longer than")),
        "{error}"
    );

    server.plan_body(500, Vec::new(), Box::new(endless));
    let error = client(&server).syncing().await.unwrap_err();
    assert!(matches!(error, BeaconError::Status { status: 500, .. }), "{error}");
}

#[tokio::test]
async fn announced_length_beyond_the_limit_is_refused_before_it_is_read() {
    let server = Replay::start().await;
    let ten_gib = (10_u64 << 30).to_string();
    let headers = vec![("content-length".to_owned(), ten_gib)];
    let never = || Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
    server.plan_body(200, headers, Box::new(never));
    let error = client(&server).syncing().await.unwrap_err();
    assert!(matches!(error, BeaconError::Malformed { .. }), "{error}");
}

#[tokio::test]
async fn refusal_keeps_status_and_words_of_the_beacon_node() {
    let server = Replay::start().await;
    server.plan(400, &[], r#"{"code":400,"message":"epoch 9 is too far ahead"}"#);
    let error = client(&server)
        .attester_duties(Epoch(9), &[ValidatorIndex(1)])
        .await
        .unwrap_err();
    let expected = BeaconError::Status {
        endpoint: "/eth/v1/validator/duties/attester/{epoch}",
        status: 400,
        message: "epoch 9 is too far ahead".into(),
    };
    assert_eq!(error, expected);
}

#[tokio::test]
async fn read_whose_answer_broke_off_is_sent_once_more() {
    let server = Replay::start().await;
    let broken = || {
        let parts = [
            Ok(Bytes::from_static(b"{\"data\":")),
            Err(std::io::Error::other("gone")),
        ];
        Body::from_stream(stream::iter(parts))
    };
    server.plan_body(200, Vec::new(), Box::new(broken));
    server.json(r#"{"data":{"version":"x"}}"#);
    assert_eq!(client(&server).node_version().await.unwrap(), "x");
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn submission_whose_answer_broke_off_is_not_repeated() {
    let server = Replay::start().await;
    let broken = || Body::from_stream(stream::iter([Err::<Bytes, _>(std::io::Error::other("gone"))]));
    server.plan_body(200, Vec::new(), Box::new(broken));
    let block = super::calls::block();
    client(&server).submit_proposal(block).await.unwrap_err();
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn chain_is_waited_for_while_the_beacon_node_is_down_and_the_wrong_one_is_an_end() {
    let server = Replay::start().await;
    let clients = Clients::new(&pool_config(vec![server.url()]), Metrics::default()).unwrap();
    let lines = Lines::here();
    server.plan(503, &[], "");
    server.json("garbage");
    server.json(super::calls::GENESIS);
    server.json(r#"{"data":{"nothing":"useful"}}"#);
    super::calls::plan_chain(&server);
    let chain = clients.wait_for_chain(ForkVersion([0x10, 0, 9, 0x10])).await.unwrap();
    assert_eq!(chain.slots_per_epoch, 16);
    // One line per attempt: what failed, where, and when it is tried again.
    let said = lines.take(Level::WARN);
    let reasons = ["503", "/eth/v1/beacon/genesis", "/eth/v1/config/spec"];
    assert_eq!(said.len(), reasons.len(), "{said:?}");
    for (line, reason) in said.iter().zip(reasons) {
        assert!(line.contains(reason) && line.contains("again_in"), "{line}");
    }

    super::calls::plan_chain(&server);
    let wrong = clients.wait_for_chain(ForkVersion([1, 2, 3, 4])).await.unwrap_err();
    assert_eq!(wrong.theirs, ForkVersion([0x10, 0, 9, 0x10]));
    assert!(
        wrong.to_string().contains("0x10000910") && wrong.to_string().contains("0x01020304"),
        "{wrong}"
    );
}

#[tokio::test]
async fn block_in_ssz_that_is_none_is_malformed() {
    let server = Replay::start().await;
    let ask = super::calls::ask(Slot(3));
    let ssz = ("content-type", "application/octet-stream");
    server.plan(200, &[ssz, ("eth-consensus-version", "fulu")], vec![0_u8; 100]);
    server.plan(200, &[ssz], vec![0_u8; 100]);
    server.plan(200, &[ssz, ("eth-consensus-version", "osaka")], vec![0_u8; 100]);
    for reason in ["SSZ", "eth-consensus-version", "osaka"] {
        let error = client(&server)
            .produce_block(ask.clone())
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains(reason), "{error}");
    }
}
