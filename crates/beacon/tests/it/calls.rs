//! What the client sends, and how it reads good answers.

use std::{sync::Arc, time::Duration};

use trireme_beacon::{Client, Config, Metrics};
use trireme_core::{
    PubKey,
    clock::SystemClock,
    ports::{BeaconNode, ProduceBlock},
    time::{SlotTiming, UnixTime},
};
use trireme_eth2::{
    AttestationData, BlsSignature, ChainEvent, CommitteeIndex, Fork, ForkedAttestation, Root, SingleAttestation, Slot,
    ValidatorIndex, VersionedAttestation, VersionedSignedProposal, electra, phase0,
};

use super::replay::{Replay, client, config};

pub(crate) const GENESIS: &str = r#"{"data":{"genesis_time":"1742213400",
    "genesis_validators_root":"0x212f13fc4df078b6cb7db228f1c8307566dcecf900867401a92023d7ba99cb5f",
    "genesis_fork_version":"0x10000910"}}"#;

pub(crate) fn plan_chain(server: &Replay) {
    server.json(GENESIS);
    server.json(r#"{"data":{"SECONDS_PER_SLOT":"4","SLOTS_PER_EPOCH":"16","PRESET_BASE":"mainnet"}}"#);
}

pub(crate) fn ask(slot: Slot) -> ProduceBlock {
    ProduceBlock {
        slot,
        randao_reveal: BlsSignature([0xab; 96]),
        graffiti: Root([0xcd; 32]),
        builder_boost_factor: u64::MAX,
    }
}

/// The smallest signed block.
pub(crate) fn block() -> Arc<VersionedSignedProposal> {
    let block = phase0::SignedBeaconBlock::default();
    Arc::new(VersionedSignedProposal::Full(trireme_eth2::ForkedSignedBlock::Phase0(
        block,
    )))
}

#[tokio::test]
async fn key_in_path_or_query_of_the_address_goes_with_every_request_and_is_shown_nowhere() {
    let server = Replay::start().await;
    let mut url = server.url();
    url.set_path("/K3Y");
    url.set_query(Some("apikey=S3CRET"));
    let mut registry = prometheus_client::registry::Registry::default();
    let client = Client::new(&config(&url, Duration::from_secs(30)), Metrics::new(&mut registry)).unwrap();
    server.json(r#"{"data":{"version":"x"}}"#);
    client.node_version().await.unwrap();
    server.json(r#"{"data":{"root":"0x1111111111111111111111111111111111111111111111111111111111111111"}}"#);
    client.attestation_data(Slot(7), 1).await.unwrap_err();
    let asked: Vec<String> = server.seen().into_iter().map(|s| s.path_and_query).collect();
    let data = "/K3Y/eth/v1/validator/attestation_data?apikey=S3CRET&slot=7&committee_index=1";
    assert_eq!(asked, ["/K3Y/eth/v1/node/version?apikey=S3CRET", data]);
    let mut text = client.address().to_owned();
    assert!(text.starts_with(server.url().as_str()), "{text}");
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    assert!(
        text.contains("beacon_id") && !text.contains("K3Y") && !text.contains("S3CRET"),
        "{text}"
    );
}

#[tokio::test]
async fn redirection_is_followed_within_the_host_and_nobody_else_gets_the_headers() {
    let (server, other) = (Replay::start().await, Replay::start().await);
    let config = Config {
        headers: vec![("x-key".into(), "k".into())],
        ..config(&server.url(), Duration::from_secs(30))
    };
    let client = Client::new(&config, Metrics::default()).unwrap();
    let within = format!("{}other/path", server.url());
    server.plan(307, &[("location", &within)], "");
    server.json(r#"{"data":{"version":"x"}}"#);
    client.node_version().await.unwrap();
    assert_eq!(server.seen()[1].path_and_query, "/other/path");
    let away = format!("{}eth/v1/node/version", other.url());
    server.plan(307, &[("location", &away)], "");
    other.json(r#"{"data":{"version":"x"}}"#);
    let error = client.node_version().await.unwrap_err().to_string();
    assert!(error.contains("redirects to another host"), "{error}");
    assert!(other.seen().is_empty());
}

#[tokio::test]
async fn credentials_and_headers_go_with_every_request() {
    let server = Replay::start().await;
    let mut url = server.url();
    url.set_username("me").unwrap();
    url.set_password(Some("p:w")).unwrap();
    url.set_path("/base");
    let config = Config {
        headers: vec![("x-key".into(), "k".into())],
        ..config(&url, Duration::from_secs(30))
    };
    let client = Client::new(&config, Metrics::default()).unwrap();
    server.json(r#"{"data":{"version":"x"}}"#);
    client.node_version().await.unwrap();
    let [seen] = <[_; 1]>::try_from(server.seen()).unwrap();
    assert_eq!(seen.path_and_query, "/base/eth/v1/node/version");
    assert_eq!(seen.header("authorization"), Some("Basic bWU6cDp3"));
    assert_eq!(seen.header("x-key"), Some("k"));
}

#[tokio::test]
async fn foreign_validators_in_the_answer_are_left_out() {
    let server = Replay::start().await;
    let one = |byte: &str| {
        format!(
            r#"{{"index":"1","balance":"1","status":"active_ongoing","validator":{{"pubkey":"0x{}",
            "withdrawal_credentials":"0x{}","effective_balance":"1","slashed":false,"activation_eligibility_epoch":"0",
            "activation_epoch":"0","exit_epoch":"1","withdrawable_epoch":"1"}}}}"#,
            byte.repeat(48),
            "00".repeat(32)
        )
    };
    server.json(&format!(r#"{{"data":[{},{}]}}"#, one("aa"), one("bb")));
    let found = client(&server).validators("head", &[PubKey([0xbb; 48])]).await.unwrap();
    assert_eq!(found.len(), 1);
    let [seen] = <[_; 1]>::try_from(server.seen()).unwrap();
    assert_eq!(
        (seen.method.as_str(), seen.path_and_query.as_str()),
        ("POST", "/eth/v1/beacon/states/head/validators")
    );
    assert_eq!(seen.body, format!(r#"{{"ids":["0x{}"]}}"#, "bb".repeat(48)));
}

#[tokio::test]
async fn block_is_asked_for_in_ssz_and_read_from_either_form() {
    let server = Replay::start().await;
    let unsigned = phase0::BeaconBlock {
        slot: Slot(3),
        ..Default::default()
    };
    let proposal = trireme_eth2::VersionedProposal::Full(trireme_eth2::ForkedBlock::Phase0(unsigned));
    let headers = [
        ("content-type", "application/octet-stream"),
        ("eth-consensus-version", "phase0"),
        ("eth-execution-payload-blinded", "false"),
        ("eth-execution-payload-value", "17"),
    ];
    server.plan(200, &headers, proposal.to_ssz());
    let answer = client(&server).produce_block(ask(Slot(3))).await.unwrap();
    assert_eq!(answer.proposal, proposal);
    assert_eq!(answer.execution_payload_value.to_u64(), Some(17));
    let [seen] = <[_; 1]>::try_from(server.seen()).unwrap();
    assert!(
        seen.header("accept")
            .unwrap()
            .starts_with("application/octet-stream;q=1")
    );
    assert!(
        seen.path_and_query
            .contains("builder_boost_factor=18446744073709551615"),
        "{}",
        seen.path_and_query
    );
    assert!(seen.path_and_query.contains(&format!("graffiti=0x{}", "cd".repeat(32))));

    server.json(&serde_json::to_string(&answer).unwrap());
    assert_eq!(client(&server).produce_block(ask(Slot(3))).await.unwrap(), answer);
}

#[tokio::test]
async fn block_is_sent_in_ssz_and_in_json_to_a_node_that_knows_no_ssz() {
    let server = Replay::start().await;
    server.plan(415, &[], "");
    server.plan(200, &[], "");
    client(&server).submit_proposal(block()).await.unwrap();
    let seen = server.seen();
    assert_eq!(seen[0].header("content-type"), Some("application/octet-stream"));
    assert_eq!(seen[0].body, block().to_ssz());
    assert_eq!(seen[1].header("content-type"), Some("application/json"));
    for request in &seen {
        assert_eq!(request.header("eth-consensus-version"), Some("phase0"));
        assert_eq!(request.path_and_query, "/eth/v2/beacon/blocks");
    }
    assert!(serde_json::from_slice::<serde_json::Value>(&seen[1].body).unwrap()["message"].is_object());
}

pub(crate) fn vote(fork: Fork) -> VersionedAttestation {
    let single = SingleAttestation {
        committee_index: CommitteeIndex(2),
        attester_index: ValidatorIndex(7),
        data: AttestationData::default(),
        signature: BlsSignature([1; 96]),
    };
    let attestation = match fork {
        Fork::Fulu => ForkedAttestation::Fulu(electra::Attestation::from_single(&single).unwrap()),
        _ => ForkedAttestation::Deneb(phase0::Attestation {
            aggregation_bits: ssz_types::BitList::with_capacity(8).unwrap(),
            data: single.data,
            signature: single.signature,
        }),
    };
    VersionedAttestation {
        validator_index: Some(ValidatorIndex(7)),
        attestation,
    }
}

#[tokio::test]
async fn votes_are_sent_in_the_form_of_their_fork() {
    let server = Replay::start().await;
    server.plan(200, &[], "");
    client(&server)
        .submit_attestations(vec![vote(Fork::Fulu), vote(Fork::Fulu)])
        .await
        .unwrap();
    let [seen] = <[_; 1]>::try_from(server.seen()).unwrap();
    assert_eq!(seen.header("eth-consensus-version"), Some("fulu"));
    let sent: Vec<SingleAttestation> = serde_json::from_slice(&seen.body).unwrap();
    assert_eq!(
        (sent.len(), sent[0].attester_index, sent[0].committee_index),
        (2, ValidatorIndex(7), CommitteeIndex(2))
    );

    server.plan(200, &[], "");
    client(&server)
        .submit_attestations(vec![vote(Fork::Deneb)])
        .await
        .unwrap();
    let [seen] = <[_; 1]>::try_from(server.seen()).unwrap();
    assert_eq!(seen.header("eth-consensus-version"), Some("deneb"));
    assert!(String::from_utf8_lossy(&seen.body).contains("aggregation_bits"));
}

#[tokio::test]
async fn vote_that_the_node_had_already_is_a_success() {
    let server = Replay::start().await;
    let body = r#"{"code":400,"message":"x","failures":[{"index":"0","message":"PriorAttestationKnown"}]}"#;
    server.plan(400, &[], body);
    client(&server)
        .submit_attestations(vec![vote(Fork::Fulu)])
        .await
        .unwrap();
}

#[tokio::test]
async fn empty_slot_has_no_root() {
    let server = Replay::start().await;
    server.plan(404, &[], r#"{"code":404,"message":"not found"}"#);
    assert_eq!(client(&server).block_root(Slot(3)).await.unwrap(), None);
    server.json(&format!(r#"{{"data":{{"root":"0x{}"}}}}"#, "07".repeat(32)));
    assert_eq!(client(&server).block_root(Slot(3)).await.unwrap(), Some(Root([7; 32])));
}

#[tokio::test(start_paused = true)]
async fn heads_go_on_after_the_stream_was_refused_and_broke() {
    let server = Replay::start().await;
    let head = |slot: u64| {
        format!(
            "event: head\ndata: {{\"slot\":\"{slot}\",\"block\":\"0x{r}\",\"state\":\"0x{r}\",\"epoch_transition\":false}}\n\n",
            r = "01".repeat(32)
        )
    };
    let stream = [("content-type", "text/event-stream")];
    server.plan(400, &[], "no such topic");
    server.plan(
        200,
        &stream,
        format!("{}event: head\ndata: nonsense\n\n{}", head(1), head(2)),
    );
    server.plan(200, &stream, head(3));
    let client = client(&server);
    let mut events = client.events();
    let timing = SlotTiming {
        genesis: UnixTime::from_secs(1),
        slot_duration: Duration::from_secs(12),
        slots_per_epoch: 32,
    };
    let read = async {
        for slot in 1..=3 {
            let ChainEvent::Head(head) = events.recv().await.unwrap() else {
                panic!("only heads were sent");
            };
            assert_eq!(head.slot, Slot(slot));
        }
    };
    tokio::select! { biased;
        () = read => {}
        () = client.follow_events(&SystemClock, timing) => {}
    }
    assert!(
        server
            .seen()
            .iter()
            .all(|s| s.path_and_query.starts_with("/eth/v1/events?topics=head"))
    );
}
