//! `live-exchanges`: good and bad requests to a running node with its complete answers.

use serde_json::Value;
use trireme_eth2::{Root, ValidatorIndex};
use trireme_vapi::{Endpoint, Route};

use super::{
    run,
    session::{Exchange, Session, cluster, key},
};
use crate::{
    fixture::{Bench, chain},
    upstream::{FakeBeacon, response},
};

/// Answers that the recorded node gave and that we better by design: the label and why.
fn bettered(endpoint: Option<Endpoint>, status: u16) -> Option<&'static str> {
    match (endpoint, status) {
        (_, 408) => Some("the message says what was awaited"),
        _ => None,
    }
}

#[test]
fn live_exchanges() {
    trireme_vectors::each("validatorapi", "live-exchanges", |e| {
        let file = e.json();
        let session = read(&file, &e.input("cluster").json());
        let count = file["cases"].as_array().unwrap().len();
        for (n, one) in session.exchanges.iter().enumerate() {
            match one.route() {
                // Nothing is waited for in vain unless the recorded node did.
                Route::Here(endpoint, _) => run(true, served(&session, one, endpoint, n < count)),
                Route::Proxy | Route::Events => run(false, proxied(&session, one, &file)),
                // Closed by design, whatever the recorded node made of it.
                Route::Denied => run(true, async {
                    let got = one.replay(&Bench::new(session.plan())).await;
                    assert_eq!(got.error(404), "NotFound", "{}", one.name);
                }),
                Route::Redirect(_) => run(true, async {
                    let got = one.replay(&Bench::new(session.plan())).await;
                    assert_eq!(Some(got.status.as_u16()), one.status, "{}", one.name);
                }),
            }
        }
    });
}

fn read(file: &Value, keys: &Value) -> Session {
    let all = || {
        ["cases", "validator_client"]
            .iter()
            .flat_map(|list| file[*list].as_array().unwrap())
    };
    let exchanges: Vec<Exchange> = all()
        .filter(|e| e["request"].get("body_omitted").is_none())
        .enumerate()
        .map(|(n, e)| exchange(n, e))
        .collect();
    let answer = |path: &str| {
        let found = exchanges.iter().find(|e| e.path == path).and_then(Exchange::ok_json);
        found.unwrap_or_else(|| panic!("{path} is not in the recording"))["data"].clone()
    };
    let genesis = answer("/eth/v1/beacon/genesis");
    let mut spec = answer("/eth/v1/config/spec");
    spec["GENESIS_FORK_VERSION"] = genesis["genesis_fork_version"].clone();
    // The recorded mock's spec and fork schedule disagree about Fulu; signatures follow the schedule.
    let map = spec.as_object_mut().unwrap();
    for fork in answer("/eth/v1/config/fork_schedule").as_array().unwrap() {
        let named = |(name, value): (&String, &Value)| {
            (*value == fork["current_version"]).then(|| name.strip_suffix("_FORK_VERSION").map(str::to_owned))?
        };
        if let Some(name) = map.iter().find_map(named).filter(|n| n != "GENESIS") {
            map.insert(format!("{name}_FORK_EPOCH"), fork["epoch"].clone());
        }
    }
    let root: Root = serde_json::from_value(genesis["genesis_validators_root"].clone()).unwrap();
    let validators = keys["validators"].as_array().unwrap().iter().map(|v| {
        (
            key(&v["pubkey"]),
            v["shares"]
                .as_array()
                .unwrap()
                .iter()
                .map(|s| key(&s["pubkey"]))
                .collect(),
        )
    });
    let me = u8::try_from(file["cluster"]["node"].as_u64().unwrap()).unwrap();
    let threshold = usize::try_from(keys["threshold"].as_u64().unwrap()).unwrap();
    let names = |list: &str| file["cluster"][list].as_array().unwrap().iter();
    Session {
        cluster: cluster(me, threshold, validators.collect()),
        chain: chain(&spec, root),
        bls: true,
        indices: names("indices")
            .zip(names("root_keys"))
            .map(|(i, k)| {
                (
                    ValidatorIndex(i.as_str().unwrap().parse().unwrap()),
                    trireme_core::PubKey(key(k).0),
                )
            })
            .collect(),
        exchanges,
    }
}

fn exchange(n: usize, e: &Value) -> Exchange {
    let (request, response) = (&e["request"], &e["response"]);
    // `None`: left out of the recording.
    let bytes = |side: &Value| {
        if side.get("body_omitted").is_some() {
            return None;
        }
        if let Some(text) = side.get("body_hex").and_then(Value::as_str) {
            return Some(hex::decode(text.trim_start_matches("0x")).unwrap());
        }
        let json = side.get("json").map(|json| json.to_string().into_bytes());
        let text = || {
            side.get("body")
                .and_then(Value::as_str)
                .map(|text| text.as_bytes().to_vec())
        };
        Some(json.or_else(text).unwrap_or_default())
    };
    let (method, path) = (request["method"].as_str().unwrap(), request["path"].as_str().unwrap());
    let name = e["name"]
        .as_str()
        .map_or_else(|| format!("{n}: {method} {path:.60}"), str::to_owned);
    let headers = request["headers"].as_object().unwrap();
    Exchange {
        name,
        method: method.to_owned(),
        path: path.to_owned(),
        headers: headers
            .iter()
            .map(|(k, v)| (k.clone(), v.as_str().unwrap().to_owned()))
            .collect(),
        body: bytes(request).unwrap_or_default(),
        status: response["status"].as_u64().map(|s| u16::try_from(s).unwrap()),
        answer: bytes(response),
    }
}

/// The beacon node's answer comes through as it is.
async fn proxied(session: &Session, one: &Exchange, file: &Value) {
    let recorded = ["cases", "validator_client"]
        .iter()
        .flat_map(|list| file[*list].as_array().unwrap())
        .find(|e| e["request"]["path"] == one.path.as_str() && e["request"]["method"] == one.method.as_str())
        .unwrap()["response"]
        .clone();
    let headers = recorded["headers"].as_object().unwrap().clone();
    let content_type = headers.get("Content-Type").and_then(Value::as_str).map(str::to_owned);
    let (status, body) = (one.status.unwrap(), one.answer.clone().unwrap_or_default());
    let said = body.clone();
    let beacon = FakeBeacon::start(move |_| {
        let headers: Vec<_> = content_type.iter().map(|t| ("content-type", t.as_str())).collect();
        response(status, &headers, said.clone())
    })
    .await;
    let bench = Bench::new(session.plan().upstream(&beacon.url));
    let got = one.replay(&bench).await;
    assert_eq!(
        (got.status.as_u16(), &got.body[..]),
        (status, &body[..]),
        "{}",
        one.name
    );
    assert_eq!(
        got.header("content-type"),
        headers.get("Content-Type").and_then(Value::as_str),
        "{}",
        one.name
    );
    let [sent] = beacon.sent().try_into().unwrap();
    assert_eq!(
        (sent.method.as_str(), &*sent.path_and_query, &sent.body[..]),
        (&*one.method, &*one.path, &one.body[..])
    );
}

async fn served(session: &Session, one: &Exchange, endpoint: Endpoint, is_case: bool) {
    one.read_answer(endpoint);
    let bench = Bench::new(session.plan());
    session.teach(&bench);
    let got = one.replay(&bench).await;
    let (ours, theirs) = (got.status.as_u16(), one.status.unwrap());
    let Some(recorded) = one.answer.clone() else {
        // What was answered is not in the recording, so this bench may wait for it in vain.
        assert!(ours == theirs || ours == 408, "{}: {got:?}", one.name);
        return;
    };
    assert_eq!(ours, theirs, "{}: {got:?}", one.name);
    if theirs >= 400 {
        assert_eq!(got.header("content-type"), Some("application/json"), "{}", one.name);
        let (mut mine, want) = (got.json(), serde_json::from_slice::<Value>(&recorded).unwrap());
        if bettered(Some(endpoint), theirs).is_some() {
            assert!(
                mine["message"].as_str().unwrap().contains("waiting for"),
                "{}: {mine}",
                one.name
            );
            mine["message"] = want["message"].clone();
        }
        assert_eq!(mine, want, "{}", one.name);
    } else if recorded.is_empty() {
        assert_eq!((got.body.len(), got.header("content-type")), (0, None), "{}", one.name);
    } else if endpoint == Endpoint::ProposeBlockV3 && got.header("content-type") != Some("application/json") {
        // The client prefers SSZ; the recorded node never gave it.
        assert!(
            !is_case && got.header("eth-consensus-version").is_some(),
            "{}",
            one.name
        );
    } else {
        assert_eq!(got.header("content-type"), Some("application/json"), "{}", one.name);
        let want: Value = serde_json::from_slice(&recorded).unwrap();
        let mine = got.json();
        // A status filter, which the recorded node ignores, may leave nothing.
        let filtered = one.path.contains("status") || String::from_utf8_lossy(&one.body).contains("statuses");
        if !(filtered && mine["data"] == Value::Array(Vec::new())) {
            assert_eq!(shape(&mine), shape(&want), "{}", one.name);
        }
    }
}

/// Member names only; of a list its first element.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(map) => map.iter().map(|(k, v)| (k.clone(), shape(v))).collect(),
        Value::Array(list) => list.iter().take(1).map(shape).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Value::Null,
    }
}
