//! `recorded-vc-session`: what real validator clients send to a node.

use std::collections::BTreeMap;

use base64::Engine as _;
use serde_json::{Value, json};
use trireme_eth2::{BlsPubkey, Genesis, Root, SyncingStatus, ValidatorIndex, ValidatorInfo};
use trireme_vapi::{Endpoint, Kind, Route};

use super::{
    run,
    session::{Exchange, Session, cluster, key},
};
use crate::fixture::{Bench, Got, chain};

#[test]
fn recorded_vc_session() {
    trireme_vectors::each("validatorapi", "recorded-vc-session", |e| {
        let lines: Vec<Value> = e.lines();
        let exchanges: Vec<Exchange> = lines.iter().filter_map(exchange).collect();
        let session = if e.has_input("lock") {
            let me = e.field::<u8>("node");
            of_cluster(me, &e.input("lock").json(), &e.input("chain_config").text(), exchanges)
        } else {
            of_unknown_cluster(exchanges)
        };
        let filter_ignored = e.flag("status_filter_ignored");
        let mut filtered = 0_usize;
        run(true, async {
            let bench = Bench::new(session.plan());
            session.teach(&bench);
            for one in &session.exchanges {
                match one.route() {
                    Route::Here(endpoint, _) => {
                        one.read_answer(endpoint);
                        replay(&bench, &session, one, endpoint, filter_ignored).await;
                        filtered = filtered.saturating_add(usize::from(filter_ignored && asks_for_slashed(one)));
                    }
                    Route::Events | Route::Proxy => read_proxied(one),
                    other => panic!("{}: {other:?}", one.name),
                }
            }
        });
        assert!(
            !filter_ignored || filtered > 0,
            "no request asks for slashed validators only"
        );
    });
}

fn exchange(line: &Value) -> Option<Exchange> {
    let text = |name: &str| line.get(name).and_then(Value::as_str);
    if matches!(text("event"), Some("stream_sample" | "stream_end")) {
        return None;
    }
    let bytes = |side: &str| {
        let body = text(&format!("{side}_body")).unwrap_or_default();
        match text(&format!("{side}_body_enc")) {
            Some("base64") => base64::engine::general_purpose::STANDARD.decode(body).unwrap(),
            _ => body.as_bytes().to_vec(),
        }
    };
    let cut = |side: &str| {
        line.get(format!("{side}_truncated"))
            .and_then(Value::as_bool)
            .unwrap_or_default()
    };
    let status = line["status"].as_u64().map(|s| u16::try_from(s).unwrap());
    let artefact = status == Some(502) && bytes("resp").is_empty();
    let headers = line["req_headers"].as_object().unwrap();
    let (method, path) = (text("method").unwrap(), text("path").unwrap());
    let query = text("query")
        .filter(|q| !q.is_empty())
        .map(|q| format!("?{q}"))
        .unwrap_or_default();
    (!cut("req")).then(|| Exchange {
        name: format!("line {}: {method} {path}", line["seq"]),
        method: method.to_owned(),
        path: format!("{path}{query}"),
        headers: headers
            .iter()
            .map(|(k, v)| (k.clone(), v.as_str().unwrap().to_owned()))
            .collect(),
        body: bytes("req"),
        status: status.filter(|_| !artefact),
        answer: (!cut("resp") && !artefact).then(|| unpacked(line, bytes("resp"))),
    })
}

/// Undoes the compression that the headers name.
fn unpacked(line: &Value, body: Vec<u8>) -> Vec<u8> {
    if line["resp_headers"]["Content-Encoding"] != "gzip" || body.is_empty() {
        return body;
    }
    let mut out = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&body[..]), &mut out).unwrap();
    out
}

/// Every validator that an answer names.
fn infos(exchanges: &[Exchange]) -> Vec<ValidatorInfo> {
    let asked = |e: &&Exchange| matches!(e.endpoint(), Some(Endpoint::GetValidators | Endpoint::GetValidator));
    let answers = exchanges.iter().filter(asked).filter_map(Exchange::ok_json);
    let lists = answers.map(|a| match &a["data"] {
        Value::Array(list) => list.clone(),
        one => vec![one.clone()],
    });
    lists.flatten().map(|v| serde_json::from_value(v).unwrap()).collect()
}

fn of_cluster(me: u8, lock: &Value, config: &str, exchanges: Vec<Exchange>) -> Session {
    let validators: Vec<_> = lock["distributed_validators"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| {
            let shares = v["public_shares"].as_array().unwrap().iter().map(key).collect();
            (key(&v["distributed_public_key"]), shares)
        })
        .collect();
    let threshold = usize::try_from(lock["cluster_definition"]["threshold"].as_u64().unwrap()).unwrap();
    let cluster = cluster(me, threshold, validators);
    // A flat file of `KEY: value` lines; nested lists are of no use here.
    let spec: serde_json::Map<String, Value> = config
        .lines()
        .filter(|line| !line.starts_with([' ', '-', '#']))
        .filter_map(|line| line.split_once(": "))
        .map(|(k, v)| (k.to_owned(), json!(v.trim())))
        .collect();
    let genesis = exchanges
        .iter()
        .find(|e| e.path == "/eth/v1/beacon/genesis")
        .and_then(Exchange::ok_json);
    let root: Root = serde_json::from_value(genesis.unwrap()["data"]["genesis_validators_root"].clone()).unwrap();
    let own = cluster.share();
    let group_of: BTreeMap<[u8; 48], _> = cluster
        .validators()
        .iter()
        .map(|v| (*v.share(own).unwrap(), v.key))
        .collect();
    // Every key that the node named is a share of it.
    let indices = infos(&exchanges)
        .into_iter()
        .map(|v| (v.index, group_of[&v.validator.pubkey.0]))
        .collect();
    Session {
        cluster,
        chain: chain(&Value::Object(spec), root),
        bls: true,
        indices,
        exchanges,
    }
}

/// The keys of the client are known, those of the cluster are made up, and every signature is believed.
fn of_unknown_cluster(exchanges: Vec<Exchange>) -> Session {
    let mut shares: BTreeMap<ValidatorIndex, BlsPubkey> = infos(&exchanges)
        .into_iter()
        .map(|v| (v.index, v.validator.pubkey))
        .collect();
    // A key that the client asks for and that the chain does not know.
    for one in exchanges
        .iter()
        .filter(|e| matches!(e.endpoint(), Some(Endpoint::GetValidators | Endpoint::GetValidator)))
    {
        let body: Value = serde_json::from_slice(&one.body).unwrap_or_default();
        let in_body = body["ids"].as_array().into_iter().flatten().filter_map(Value::as_str);
        // In the query or in the path.
        let path = one.path.replace("%2C", ",");
        let in_path = path.split(['?', '&', '=', ',', '/']);
        for id in in_body.chain(in_path) {
            if let Ok(key) = id.parse::<BlsPubkey>()
                && !shares.values().any(|known| *known == key)
            {
                let next = shares.keys().next_back().map_or(0, |i| i.0 + 1);
                shares.insert(ValidatorIndex(next.max(1 << 40)), key);
            }
        }
    }
    let group = |share: &BlsPubkey| {
        let mut key = *share;
        key.0[47] ^= 0xff;
        key
    };
    let indices = shares
        .iter()
        .map(|(i, s)| (*i, trireme_core::PubKey(group(s).0)))
        .collect();
    let validators = shares.values().map(|s| (group(s), vec![*s])).collect();
    Session {
        cluster: cluster(0, 1, validators),
        chain: chain(&json!({}), Root([0; 32])),
        bls: false,
        indices,
        exchanges,
    }
}

fn asks_for_slashed(one: &Exchange) -> bool {
    let body: Value = serde_json::from_slice(&one.body).unwrap_or_default();
    let statuses = body["statuses"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    let statuses: Vec<&str> = statuses.collect();
    !statuses.is_empty()
        && statuses
            .iter()
            .all(|s| s.ends_with("slashed") && !s.ends_with("unslashed"))
}

/// Where our answer differs from the recorded one and is meant to.
fn on_purpose(endpoint: Endpoint, recorded: Option<u16>, got: &Got) -> bool {
    let says = |status: u16, what: &str| got.status.as_u16() == status && got.error(status).contains(what);
    match (endpoint, recorded) {
        // The beacon node of the bench has duties of each epoch; the recorded one refused far epochs, which was passed
        // on as an internal error.
        (Endpoint::AttesterDuties | Endpoint::ProposerDuties | Endpoint::SyncCommitteeDuties, Some(500)) => {
            got.json()["data"].is_array()
        }
        // The client selected by itself. It is told the flag that is missing.
        (Endpoint::SubmitAggregateAndProofsV2 | Endpoint::SubmitContributionAndProofs, Some(500)) => {
            says(400, "flag for distributed validators")
        }
        // The recording ends before the answer. What the client brought is good.
        (Endpoint::SubmitContributionAndProofs, None) => got.status.as_u16() == 200,
        // The same; without the answer there is nothing that the cluster could have agreed on here.
        (Endpoint::SyncCommitteeContribution, None) => says(408, "the cluster's agreement on a contribution of slot"),
        (Endpoint::AggregateAttestationV2, None) => says(408, "the cluster's agreement on an aggregate of slot"),
        (Endpoint::AggregateBeaconCommitteeSelections | Endpoint::AggregateSyncCommitteeSelections, None) => {
            says(408, "none of ")
        }
        _ => false,
    }
}

async fn replay(bench: &Bench, session: &Session, one: &Exchange, endpoint: Endpoint, filter_ignored: bool) {
    let got = one.replay(bench).await;
    let status = got.status.as_u16();
    let known = match endpoint {
        Endpoint::SubmitAttestationsV2 => {
            // Validators of other clusters of the same machine may be in a request without a known lock.
            let votes: Vec<Value> = serde_json::from_slice(&one.body).unwrap();
            votes.iter().all(|v| session.knows(&v["attester_index"]))
        }
        // Without the recorded answer there is nothing that the cluster could have agreed on here.
        Endpoint::ProposeBlockV3
        | Endpoint::AttestationData
        | Endpoint::AggregateAttestationV2
        | Endpoint::SyncCommitteeContribution
        | Endpoint::AggregateBeaconCommitteeSelections
        | Endpoint::AggregateSyncCommitteeSelections => one.answer.is_some(),
        // Validators of other clusters of the same machine may be in a request without a known lock.
        Endpoint::SubmitSyncCommitteeMessages => {
            let votes: Vec<Value> = serde_json::from_slice(&one.body).unwrap();
            votes.iter().all(|v| session.knows(&v["validator_index"]))
        }
        _ => true,
    };
    if endpoint.kind() == Kind::Retired {
        got.error(404);
    } else if one.status == Some(200) && known {
        assert_eq!(status, 200, "{}: {got:?}", one.name);
    } else if one.status != Some(status) {
        let meant = on_purpose(endpoint, one.status, &got);
        assert!(meant, "{}: recorded {:?}, answered {got:?}", one.name, one.status);
    }
    if filter_ignored && asks_for_slashed(one) {
        assert_eq!(got.json()["data"], json!([]), "{}", one.name);
    }
}

/// Answers of the beacon node that a validator client relies on can be read with our types.
fn read_proxied(one: &Exchange) {
    let Some(answer) = one.ok_json() else {
        let body = one.answer.as_deref().unwrap_or_default();
        let stream = one.path.starts_with("/eth/v1/events");
        let empty = body.is_empty();
        let failed = one.status.is_none_or(|s| s >= 400);
        assert!(empty || stream || failed, "{}: an answer that is no JSON", one.name);
        return;
    };
    let data = answer["data"].clone();
    match one.path.split('?').next().unwrap() {
        "/eth/v1/beacon/genesis" => drop(serde_json::from_value::<Genesis>(data).unwrap()),
        "/eth/v1/node/syncing" => drop(serde_json::from_value::<SyncingStatus>(data).unwrap()),
        "/eth/v1/beacon/blocks/head/root" => drop(serde_json::from_value::<Root>(data["root"].clone()).unwrap()),
        _ => assert!(!data.is_null(), "{}", one.name),
    }
}
