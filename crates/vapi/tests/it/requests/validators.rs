//! Validators and duties.

use super::*;

#[tokio::test]
async fn validators_are_asked_for_and_named_by_our_shares() {
    let k = keyed();
    k.bench.know(|known| {
        known.validators = vec![
            info(k.groups[0], 100, ValidatorStatus::ActiveOngoing),
            info(k.groups[1], 101, ValidatorStatus::PendingQueued),
        ];
    });
    let path = format!("/eth/v1/beacon/states/head/validators?id={},{}", k.share(0), k.share(1));
    let got = k.bench.get(&path).await.json();
    assert_eq!(
        (&got["execution_optimistic"], &got["finalized"]),
        (&json!(false), &json!(false))
    );
    assert_eq!(got["data"][0]["validator"]["pubkey"], json!(k.share(0)));
    assert_eq!(got["data"][1]["status"], json!("pending_queued"));
    let asked = k.bench.asked();
    assert!(
        asked[0].contains(&k.groups[0].to_string()) && !asked[0].contains(&k.share(0)),
        "{asked:?}"
    );
    // By index, in a body, in another state.
    let got = k
        .bench
        .post(
            "/eth/v1/beacon/states/64/validators",
            &[],
            &json!({ "ids": ["101", "999"] }),
        )
        .await
        .json();
    assert_eq!(got["data"].as_array().unwrap().len(), 1);
    assert_eq!(got["data"][0]["validator"]["pubkey"], json!(k.share(1)));
    assert!(k.bench.asked()[0].starts_with("validators 64 "));
    // One alone; one that the chain does not know.
    let one = k
        .bench
        .get(&format!("/eth/v1/beacon/states/head/validators/{}", k.share(1)))
        .await
        .json();
    assert_eq!(one["data"]["index"], json!("101"));
    assert_eq!(
        k.bench
            .get("/eth/v1/beacon/states/head/validators/102")
            .await
            .error(404),
        "NotFound"
    );
}

#[tokio::test]
async fn the_status_filter_filters() {
    let k = keyed();
    k.bench.know(|known| {
        known.validators = vec![
            info(k.groups[0], 100, ValidatorStatus::ActiveOngoing),
            info(k.groups[1], 101, ValidatorStatus::ExitedSlashed),
        ];
    });
    let path = "/eth/v1/beacon/states/head/validators";
    let indices = |got: &Value| -> Vec<String> {
        got["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v["index"].as_str().unwrap().to_owned())
            .collect()
    };
    let ids = json!([k.share(0), k.share(1)]);
    for (statuses, wanted) in [
        (json!(["active_slashed", "exited_slashed"]), vec!["101"]),
        (json!(["active_slashed"]), vec![]),
        (json!(["active"]), vec!["100"]),
        (json!([]), vec!["100", "101"]),
        (json!(null), vec!["100", "101"]),
    ] {
        let got = k
            .bench
            .post(path, &[], &json!({ "ids": ids, "statuses": statuses }))
            .await
            .json();
        assert_eq!(indices(&got), wanted, "{statuses}");
    }
    let got = k
        .bench
        .get(&format!(
            "{path}?id={}&status=exited_slashed&status=pending",
            k.share(1)
        ))
        .await
        .json();
    assert_eq!(indices(&got), ["101"]);
}

#[tokio::test]
async fn duties_are_the_beacon_nodes_each_time_anew_and_none_twice() {
    let k = keyed();
    let path = "/eth/v1/validator/duties/attester/2";
    k.bench.know(|known| known.dependent_root = Root([5; 32]));
    // Before the beacon node knows anything of the validators, nothing can be said about them.
    assert_eq!(
        k.bench.post(path, &[], &json!([])).await.error(500),
        "Internal server error"
    );
    // Known, but not active yet: the beacon node decides.
    k.bench
        .know(|known| known.validators = vec![info(k.groups[0], 100, ValidatorStatus::PendingQueued)]);
    let got = k.bench.post(path, &[], &json!([])).await.json();
    assert_eq!(
        got,
        json!({ "dependent_root": Root([5; 32]), "data": [], "execution_optimistic": false })
    );
    assert_eq!(
        k.bench.asked().last().unwrap(),
        "attester_duties 2 [ValidatorIndex(100)]"
    );
    // Active now, and the beacon node names a duty twice.
    k.bench.know(|known| {
        known.validators = vec![
            info(k.groups[0], 100, ValidatorStatus::ActiveOngoing),
            info(k.groups[1], 101, ValidatorStatus::ExitedUnslashed),
        ];
        known.attesters = vec![k.duty(0, 3), k.duty(0, 3)];
    });
    for body in [json!([]), json!(["100"]), json!([100])] {
        let got = k.bench.post(path, &[], &body).await.json();
        assert_eq!(got["data"].as_array().unwrap().len(), 1, "{got}");
        assert_eq!(got["data"][0]["pubkey"], json!(k.share(0)));
        assert_eq!(
            k.bench.asked().last().unwrap(),
            "attester_duties 2 [ValidatorIndex(100)]"
        );
    }
}

#[tokio::test]
async fn proposer_duties_are_those_of_the_cluster_on_both_paths() {
    let k = keyed();
    let foreign = ProposerDuty {
        pubkey: BlsPubkey([0xee; 48]),
        slot: Slot(71),
        validator_index: ValidatorIndex(9),
    };
    k.proposes();
    k.bench.know(|known| known.proposers.push(foreign));
    for path in [
        "/eth/v1/validator/duties/proposer/2",
        "/eth/v2/validator/duties/proposer/2",
    ] {
        let got = k.bench.get(path).await.json();
        assert_eq!(
            got["data"],
            json!([{ "pubkey": k.share(1), "slot": "70", "validator_index": "101" }])
        );
    }
}

#[tokio::test]
async fn a_refusal_of_the_beacon_node_keeps_its_status_and_message_and_its_failure_is_internal() {
    let k = keyed();
    let status = |status, message: &str| BeaconError::Status {
        endpoint: "x",
        status,
        message: message.to_owned(),
    };
    k.bench
        .know(|known| known.refusal = Some(status(400, "epoch 9 is more than one epoch past the current one")));
    let got = k.bench.get("/eth/v1/validator/duties/proposer/9").await;
    assert_eq!(got.error(400), "epoch 9 is more than one epoch past the current one");
    k.bench.know(|known| known.refusal = Some(status(503, "syncing")));
    assert_eq!(
        k.bench.get("/eth/v1/validator/duties/proposer/9").await.error(500),
        "Internal server error"
    );
}
