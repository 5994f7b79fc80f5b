//! The remote API: what arrives there, and how its failures are told.

use std::time::Duration;

use trireme_cluster::{Networks, address, invite::terms_digest};
use trireme_remote::{
    Api, Published, RemoteError, Terms,
    api::{FetchError, MAX_DEFINITION, PublishError, TIMEOUT, fetch_definition, fetch_definition_within},
};
use trireme_testutil::{obol_api::ObolApi, served::Fault};

use crate::material::{definition, hoodi, key, lock};

async fn server() -> ObolApi {
    ObolApi::start(Networks::known()).await.unwrap()
}

fn client(server: &ObolApi) -> Api {
    Api::new(&server.url(), TIMEOUT).unwrap()
}

fn terms() -> Terms {
    Terms {
        address: key(9).public_key().eth_address(),
        fork_version: hoodi().genesis_fork_version,
        signature: key(9).sign_digest(&terms_digest()),
    }
}

#[tokio::test]
async fn definition_terms_and_lock_arrive_at_their_paths_and_are_right() {
    let server = server().await;
    let (api, definition, lock) = (client(&server), definition(), lock());
    assert_eq!(api.sign_terms(&terms()).await.unwrap(), Published::New);
    assert_eq!(api.publish_definition(&definition).await.unwrap(), Published::New);
    assert_eq!(api.publish_lock(&lock).await.unwrap(), Published::New);
    server.look(|held| {
        assert_eq!(held.complaints, [""; 0]);
        assert_eq!(
            held.requests,
            ["POST /v1/termsAndConditions", "POST /v1/definition", "POST /lock"]
        );
        let creator = address::checksummed(&key(9).public_key().eth_address());
        assert_eq!(held.terms.get(&creator).map(String::as_str), Some("0x10000910"));
        assert_eq!(held.definitions.values().next(), Some(&definition));
        assert_eq!(held.locks.values().next().map(|l| &l.lock_hash), Some(&lock.lock_hash));
    });
}

#[tokio::test]
async fn what_is_there_already_counts_as_published() {
    let server = server().await;
    let api = client(&server);
    let lock = lock();
    assert_eq!(api.publish_lock(&lock).await.unwrap(), Published::New);
    assert_eq!(api.publish_lock(&lock).await.unwrap(), Published::Already);
    server.look(|held| assert_eq!(held.locks.len(), 1));
}

#[tokio::test]
async fn what_is_published_can_be_fetched_where_its_link_says() {
    let server = server().await;
    let api = client(&server);
    let definition = definition();
    api.publish_definition(&definition).await.unwrap();
    let url = api.definition_url(&definition.config_hash);
    let bytes = fetch_definition(&url).await.unwrap();
    assert_eq!(bytes, definition.to_json(0).unwrap());

    let missing = fetch_definition(&api.definition_url(&[7; 32])).await.unwrap_err();
    assert!(
        matches!(&missing, FetchError::Remote(RemoteError::NotFound { message, .. }) if message == "no such definition"),
        "{missing}"
    );
}

#[test]
fn the_launchpads_link_stands_in_place_of_the_path() {
    let api = Api::new("https://api.example/v1", TIMEOUT).unwrap();
    assert_eq!(
        api.launchpad(&[0xab, 0x01]),
        "https://api.example/lock/0xAB01/launchpad"
    );
    assert_eq!(api.definition_url(&[0xab]), "https://api.example/v1/definition/0xab");
}

#[tokio::test]
async fn every_refusal_of_a_lock_is_told_apart() {
    let server = server().await;
    let api = client(&server);
    let lock = lock();
    for (status, expected) in [
        (400, "refuses (400): no"),
        (401, "asks for a token and got none that it can read (401): no"),
        (403, "does not accept the token (403): no"),
        (404, "knows nothing at this path (404): no"),
        (429, "refuses (429): no"),
        (500, "has a fault (500): no; try again later"),
        (503, "has a fault (503): no; try again later"),
    ] {
        server
            .faults
            .then(Fault::Status(status, r#"{"message":"no"}"#.to_owned()));
        let error = api.publish_lock(&lock).await.unwrap_err().to_string();
        assert_eq!(
            error,
            format!("publishing the lock: http://{} {expected}", server.address())
        );
    }
    server.faults.then(Fault::Status(409, "duplicate".to_owned()));
    assert_eq!(api.publish_lock(&lock).await.unwrap(), Published::Already);
    server.look(|held| assert!(held.locks.is_empty(), "nothing of this arrived"));
}

#[tokio::test]
async fn a_server_that_does_not_answer_or_never_ends_is_given_up_in_time() {
    let server = server().await;
    let limit = Duration::from_millis(200);
    let api = Api::new(&server.url(), limit).unwrap();
    for fault in [Fault::Silent, Fault::Stalled] {
        server.faults.then(fault);
        let error = api.publish_lock(&lock()).await.unwrap_err();
        assert!(
            matches!(error, PublishError::Remote(RemoteError::Slow { after, .. }) if after == limit),
            "{error}"
        );
        server.faults.then(Fault::Silent);
        let error = fetch_definition_within(&server.url(), limit).await.unwrap_err();
        assert!(matches!(error, FetchError::Remote(RemoteError::Slow { .. })), "{error}");
    }
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_given_up_before_it_is_kept() {
    let server = server().await;
    for fault in [Fault::Endless, Fault::Huge] {
        server.faults.then(fault);
        let error = fetch_definition(&server.url()).await.unwrap_err();
        assert!(
            matches!(
                error,
                FetchError::Remote(RemoteError::Endless {
                    limit: MAX_DEFINITION,
                    ..
                })
            ),
            "{error}"
        );
        server.faults.then(Fault::Endless);
        let error = client(&server).publish_lock(&lock()).await.unwrap_err();
        assert!(
            matches!(error, PublishError::Remote(RemoteError::Endless { .. })),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unreachable() {
    let server = server().await;
    let url = server.url();
    drop(server);
    // The port was this test's own a moment ago; nobody else listens there.
    let error = Api::new(&url, TIMEOUT).unwrap().sign_terms(&terms()).await.unwrap_err();
    assert!(matches!(error, RemoteError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn what_is_sent_follows_no_redirection_but_a_document_does() {
    let (here, there) = (server().await, server().await);
    let published = there.offer(definition());
    here.faults
        .then(Fault::Elsewhere(format!("http://{}/lock", there.address())));
    let error = client(&here).publish_lock(&lock()).await.unwrap_err().to_string();
    assert!(error.contains("it redirects elsewhere"), "{error}");
    there.look(|held| assert!(held.locks.is_empty()));

    here.faults.then(Fault::Elsewhere(published));
    let bytes = fetch_definition(&here.url()).await.unwrap();
    assert_eq!(bytes, definition().to_json(0).unwrap());
}

#[tokio::test]
async fn what_breaks_a_rule_is_refused_by_the_mock_so_the_other_tests_can_fail() {
    let server = server().await;
    let api = client(&server);
    let mut foreign = definition();
    foreign.creator.config_signature[5] ^= 1;
    foreign.update_hashes().unwrap();
    assert!(api.publish_definition(&foreign).await.is_err());
    let mut other = terms();
    other.address = [1; 20];
    assert!(api.sign_terms(&other).await.is_err());
    let mut broken = lock();
    broken.node_signatures.swap(0, 1);
    assert!(api.publish_lock(&broken).await.is_err());
    server.look(|held| assert_eq!(held.complaints.len(), 3, "{:?}", held.complaints));
}
