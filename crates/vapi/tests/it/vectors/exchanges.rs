//! `exchange-cases`: single requests with the answer and with what the beacon node is asked.

use serde_json::Value;
use trireme_core::{Duty, DutyType};
use trireme_eth2::{AttesterDuty, BlsPubkey, ProposerDuty, Slot, ValidatorInfo};

use super::run;
use crate::{
    fixture::{Bench, Known, Plan},
    upstream::{FakeBeacon, response},
};

/// What the fake beacon node says where the case leaves it open.
const OWN_WORDS: &str = "{\"data\":\"the beacon node's own words\"}";

#[test]
fn exchange_cases() {
    trireme_vectors::each("validatorapi", "exchange-cases", |e| {
        let file = e.json();
        let mut wrong = Vec::new();
        for case in file["cases"].as_array().unwrap() {
            // A case that waits for the time limit runs on virtual time.
            let waits = case["response"].get("after_seconds").is_some();
            if let Err(why) = run(waits, check(&file, case, waits)) {
                wrong.push(format!("{}: {why}", case["id"]));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
}

fn plan(cluster: &Value) -> Plan {
    let bytes = |v: &Value| v.as_str().unwrap().parse::<BlsPubkey>().unwrap().0;
    let validators = cluster["validators"].as_array().unwrap();
    let keys: Vec<_> = validators
        .iter()
        .map(|v| (bytes(&v["dv_root"]), bytes(&v["own_pubshare"])))
        .collect();
    Plan::synthetic(&keys)
}

/// Puts the beacon node's answer where our side asks for it.
fn learn(known: &mut Known, answer: &Value) {
    if let Some(root) = answer.get("dependent_root") {
        known.dependent_root = serde_json::from_value(root.clone()).unwrap();
    }
    for one in answer["data"].as_array().unwrap() {
        let one = one.clone();
        if one.get("validator").is_some() {
            known
                .validators
                .push(serde_json::from_value::<ValidatorInfo>(one).unwrap());
        } else if one.get("committee_length").is_some() {
            known
                .attesters
                .push(serde_json::from_value::<AttesterDuty>(one).unwrap());
        } else if one.get("slot").is_some() {
            known
                .proposers
                .push(serde_json::from_value::<ProposerDuty>(one).unwrap());
        }
    }
}

async fn check(file: &Value, case: &Value, waits: bool) -> Result<(), String> {
    let (request, wanted) = (&case["request"], &case["response"]);
    let none = Vec::new();
    let upstreams = case["upstream"].as_array().unwrap_or(&none);
    let mut plan = plan(&file["cluster"]);
    let mut beacon = None;
    if !waits {
        let told: Vec<Value> = upstreams.clone();
        let stream = wanted.get("stream").and_then(Value::as_str).map(str::to_owned);
        let fake = FakeBeacon::start(move |sent| {
            let about = told.iter().find(|u| {
                u.get("path")
                    .and_then(Value::as_str)
                    .is_none_or(|p| p == sent.path_and_query)
            });
            let Some(about) = about else {
                return response(404, &[], "");
            };
            if let Some(text) = &stream {
                return response(
                    200,
                    &[("content-type", "text/event-stream")],
                    format!("{text}data: {{}}\n\n"),
                );
            }
            let status = about["status"].as_u64().map_or(200, |s| u16::try_from(s).unwrap());
            let body = about
                .get("response")
                .map_or_else(|| OWN_WORDS.to_owned(), ToString::to_string);
            response(status, &[("content-type", "application/json")], body)
        })
        .await;
        plan = plan.upstream(&fake.url);
        beacon = Some(fake);
    }
    let bench = Bench::new(plan);
    bench.know(|known| {
        for upstream in upstreams.iter().filter(|u| u["response"]["data"].is_array()) {
            learn(known, &upstream["response"]);
        }
        // What is waited for must be a duty of ours, or nobody would wait.
        let path = request["path"].as_str().unwrap();
        if let Some(slot) = path
            .split_once("slot=")
            .and_then(|(_, s)| s.split('&').next()?.parse().ok())
        {
            known
                .definitions
                .insert(Duty::new(Slot(slot), DutyType::Attester), Default::default());
        }
    });

    let (method, path) = (request["method"].as_str().unwrap(), request["path"].as_str().unwrap());
    let headers: Vec<(&str, &str)> = request["headers"]
        .as_object()
        .map(|h| h.iter().map(|(k, v)| (k.as_str(), v.as_str().unwrap())).collect())
        .unwrap_or_default();
    let body = request["body"].as_str().unwrap_or_default().to_owned();
    let began = tokio::time::Instant::now();
    let got = bench.ask(method, path, &headers, body).await;
    let took = began.elapsed();

    // The beacon node was asked what the case says.
    let sent = beacon.map(|b| b.sent()).unwrap_or_default();
    for upstream in upstreams {
        let asked = bench.asked();
        for list in ["request_keys", "request_indices"] {
            for one in upstream[list].as_array().unwrap_or(&none) {
                let one = one.as_str().map_or_else(|| one.to_string(), str::to_owned);
                let heard = asked.iter().any(|a| a.contains(&one))
                    || sent.iter().any(|s| String::from_utf8_lossy(&s.body).contains(&one));
                ensure(heard, || format!("the beacon node was not asked for {one}: {asked:?}"))?;
            }
        }
        if let Some(path) = upstream.get("path").and_then(Value::as_str) {
            let one = sent.iter().find(|s| s.path_and_query == path).ok_or("not passed on")?;
            ensure(one.method.as_str() == method, || format!("method {}", one.method))?;
            if let Some(body) = upstream.get("body").and_then(Value::as_str) {
                ensure(one.body == body.as_bytes(), || format!("body {:?} passed on", one.body))?;
            }
        }
    }

    let status = wanted["status"]
        .as_u64()
        .or_else(|| upstreams.first()?["status"].as_u64())
        .unwrap_or(200);
    ensure(u64::from(got.status.as_u16()) == status, || {
        format!("status {} for {status}", got.status)
    })?;
    for (name, value) in wanted["headers"].as_object().into_iter().flatten() {
        ensure(got.header(name) == value.as_str(), || {
            format!("{name}: {:?} for {value}", got.header(name))
        })?;
    }
    if let Some(seconds) = wanted["after_seconds"].as_u64() {
        ensure(took.as_secs() == seconds, || format!("took {took:?}"))?;
    }
    if let Some(text) = wanted["stream"].as_str() {
        ensure(got.body.starts_with(text.as_bytes()), || {
            format!("stream {:?}", got.body)
        })?;
    }
    if let Some(text) = wanted["body"].as_str() {
        ensure(got.body == text.as_bytes(), || format!("body {:?}", got.body))?;
    }
    if wanted["body_from_upstream"].as_bool() == Some(true) {
        let said = upstreams[0]
            .get("response")
            .map_or_else(|| OWN_WORDS.to_owned(), ToString::to_string);
        ensure(got.body == said.as_bytes(), || {
            format!("body {:?} for {said}", got.body)
        })?;
    }
    if let Some(pattern) = wanted.get("json_pattern") {
        matches(pattern, &got.json())?;
    }
    if let Some(json) = wanted.get("json") {
        let free = case["notes"].as_str().is_some_and(|n| n.contains("order of data"));
        let (mut ours, mut theirs) = (got.json(), json.clone());
        if free {
            sort(&mut ours);
            sort(&mut theirs);
        }
        if status == 408 {
            // Ours says what was awaited instead.
            let text = ours["message"].as_str().unwrap_or_default().to_owned();
            ensure(text.contains("waiting for"), || format!("message {text:?}"))?;
            theirs["message"] = ours["message"].clone();
        }
        ensure(ours == theirs, || format!("{ours}\n for {theirs}"))?;
    }
    Ok(())
}

fn ensure(holds: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why()) }
}

fn sort(answer: &mut Value) {
    if let Some(list) = answer["data"].as_array_mut() {
        list.sort_by_key(ToString::to_string);
    }
}

/// Regular expressions at the leaves.
fn matches(pattern: &Value, value: &Value) -> Result<(), String> {
    match pattern {
        Value::Object(map) => {
            ensure(value.as_object().map(serde_json::Map::len) == Some(map.len()), || {
                format!("{value}")
            })?;
            map.iter().try_for_each(|(name, p)| matches(p, &value[name]))
        }
        Value::Array(list) => list.iter().enumerate().try_for_each(|(n, p)| matches(p, &value[n])),
        Value::String(p) => {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            ensure(regex_lite::Regex::new(p).unwrap().is_match(&text), || {
                format!("{text} does not match {p}")
            })
        }
        other => ensure(other == value, || format!("{value} for {other}")),
    }
}
