//! Keymanagers: keys arrive whole, each key's own status counts, and no secret is in any message.

use std::time::Duration;

use trireme_keys::{
    Keystore,
    keystore::{Cost, Nonces},
};
use trireme_remote::{
    KeyToImport, Keymanager, PushError, Pushed, RemoteError, Token,
    keymanager::{BATCH, check},
};
use trireme_tbls::SecretKey;
use trireme_testutil::{keymanager::KeymanagerMock, served::Fault};

const TOKEN: &str = "api-token-0x5ec4e7";

async fn server() -> KeymanagerMock {
    KeymanagerMock::start(TOKEN, "").await.unwrap()
}

fn client(url: &str, token: &str) -> Keymanager {
    Keymanager::new(url, Token::parse(token).unwrap()).unwrap()
}

fn keys(count: u8) -> Vec<KeyToImport> {
    let make = |n: u8| {
        let secret = SecretKey::from_bytes(&[n; 32]).unwrap();
        let public_key = secret.public_key().to_bytes();
        let nonces = Nonces {
            salt: [n; 32],
            iv: [n; 16],
            uuid: [n; 16],
        };
        let password = format!("{n:064x}");
        let keystore = Keystore::encrypt(&secret.to_bytes(), &public_key, &password, Cost::Insecure, &nonces);
        KeyToImport {
            public_key,
            keystore: String::from_utf8(keystore.to_json().to_vec()).unwrap().into(),
            password: password.into(),
        }
    };
    (1..=count).map(make).collect()
}

/// No message may show a token or a password.
fn without_secrets(text: &str, keys: &[KeyToImport]) {
    assert!(!text.contains("5ec4e7"), "{text}");
    assert!(keys.iter().all(|k| !text.contains(k.password.as_str())), "{text}");
}

#[tokio::test]
async fn keys_arrive_whole_in_batches_and_a_second_push_finds_them_there() {
    let server = server().await;
    let keys = keys(40);
    let client = client(&server.url(), TOKEN);
    let all = Pushed {
        imported: 40,
        already: 0,
    };
    assert_eq!(client.push(&keys).await.unwrap(), all);
    server.look(|held| {
        assert_eq!(held.imports, [BATCH, 40 - BATCH]);
        for (n, key) in (1_u8..).zip(&keys) {
            assert_eq!(held.keys.get(&hex::encode(key.public_key)), Some(&[n; 32]));
        }
    });
    let again = Pushed {
        imported: 0,
        already: 40,
    };
    assert_eq!(client.push(&keys).await.unwrap(), again);
    server.look(|held| assert_eq!(held.imports.len(), 2, "nothing was sent again"));
}

#[tokio::test]
async fn a_path_before_the_routes_and_a_line_end_behind_the_token_are_fine() {
    let server = KeymanagerMock::start(TOKEN, "/signer/1").await.unwrap();
    let keys = keys(2);
    let client = client(&format!("{}/", server.url()), &format!("{TOKEN}\n"));
    assert_eq!(client.push(&keys).await.unwrap().imported, 2);
}

#[tokio::test]
async fn before_anything_is_made_every_keymanager_that_is_not_ready_is_named_with_its_reason() {
    let (good, other, gone, web, silent) = (
        server().await,
        server().await,
        server().await,
        server().await,
        server().await,
    );
    let gone_url = gone.url();
    drop(gone);
    other.faults.then(Fault::Status(401, "who are you".to_owned()));
    web.faults.then(Fault::Garbage);
    silent.faults.then(Fault::Silent);
    let keymanagers = [
        client(&good.url(), TOKEN),
        client(&good.url(), "api-token-wrong"),
        client(&other.url(), TOKEN),
        client(&gone_url, TOKEN),
        client(&web.url(), TOKEN),
        client(&silent.url(), TOKEN).with_timeout(Duration::from_millis(200)),
        client(&format!("{}/nowhere", good.url()), TOKEN),
    ];
    let failures = check(&keymanagers).await.unwrap_err();
    assert_eq!(failures.keys().copied().collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    assert!(
        matches!(failures[&1], RemoteError::Forbidden { .. }),
        "{}",
        failures[&1]
    );
    assert_eq!(failures[&1].to_string().matches("***").count(), 1, "{}", failures[&1]);
    assert!(
        !failures[&1].to_string().contains("api-token-wrong"),
        "{}",
        failures[&1]
    );
    assert!(
        matches!(failures[&2], RemoteError::Unauthorised { .. }),
        "{}",
        failures[&2]
    );
    assert!(
        matches!(failures[&3], RemoteError::Unreachable { .. }),
        "{}",
        failures[&3]
    );
    assert!(
        matches!(failures[&4], RemoteError::Malformed { .. }),
        "{}",
        failures[&4]
    );
    assert!(matches!(failures[&5], RemoteError::Slow { .. }), "{}", failures[&5]);
    assert!(matches!(failures[&6], RemoteError::NotFound { .. }), "{}", failures[&6]);
    assert_eq!(
        check(&keymanagers[..1]).await.unwrap(),
        [std::collections::BTreeSet::new()]
    );
}

#[tokio::test]
async fn a_key_that_is_refused_with_status_200_is_not_pushed_and_the_others_are() {
    let server = server().await;
    let keys = keys(3);
    let client = client(&server.url(), TOKEN);
    let refused = hex::encode(keys[1].public_key);
    server.look(|held| held.refused.insert(refused.clone()));
    let error = client.push(&keys).await.unwrap_err();
    let PushError::Keys {
        refused: list, all: 3, ..
    } = &error
    else {
        panic!("{error}");
    };
    assert_eq!(list.len(), 1);
    assert_eq!(list[0].0, keys[1].public_key);
    let text = error.to_string();
    assert!(
        text.contains(&refused) && text.contains("could not store it with password ***"),
        "{text}"
    );
    without_secrets(&text, &keys);
    server.look(|held| {
        assert_eq!(held.keys.len(), 2);
        held.refused.clear();
    });
    let rest = Pushed {
        imported: 1,
        already: 2,
    };
    assert_eq!(client.push(&keys).await.unwrap(), rest);
}

#[tokio::test]
async fn a_push_that_broke_off_goes_on_with_the_missing_keys() {
    let server = server().await;
    let keys = keys(40);
    let client = client(&server.url(), TOKEN);
    // The list and the first batch are fine: their requests come before the fault is ordered.
    client.push(&keys[..BATCH]).await.unwrap();
    server.faults.then(Fault::Status(500, "disk full".to_owned()));
    let error = client.push(&keys).await.unwrap_err();
    assert!(
        matches!(error, PushError::Remote { there: 0, all: 40, .. }),
        "the list failed: {error}"
    );
    let rest = Pushed {
        imported: 40 - BATCH,
        already: BATCH,
    };
    assert_eq!(client.push(&keys).await.unwrap(), rest);
    server.look(|held| assert_eq!(held.keys.len(), 40));
}

#[tokio::test]
async fn answers_that_do_not_fit_the_question_are_errors() {
    let server = server().await;
    let keys = keys(2);
    let answer = |text: &str| Fault::Status(200, text.to_owned());
    for (listed, imported) in [
        (answer(r#"{"data":[]}"#), answer(r#"{"data":[{"status":"imported"}]}"#)),
        (
            answer(r#"{"data":[]}"#),
            answer(r#"{"data":[{"status":"imported"},{"status":"fine"}]}"#),
        ),
        (answer(r#"{"data":[]}"#), Fault::Garbage),
        (answer(r#"{"data":[]}"#), Fault::Endless),
        (answer(r#"{"data":[{"validating_pubkey":"0x12"}]}"#), Fault::Garbage),
    ] {
        server.faults.then(listed);
        server.faults.then(imported.clone());
        let error = client(&server.url(), TOKEN).push(&keys).await.unwrap_err();
        let PushError::Remote { error: inner, .. } = &error else {
            panic!("{error}");
        };
        let fits = match imported {
            Fault::Endless => matches!(inner, RemoteError::Endless { .. }),
            _ => matches!(inner, RemoteError::Malformed { .. }),
        };
        assert!(fits, "{error}");
        without_secrets(&error.to_string(), &keys);
        // A fault that was not reached waits for the next request.
        let _ = client(&server.url(), TOKEN).keys().await;
    }
    server.look(|held| assert!(held.keys.is_empty()));
}
