//! What beacon nodes tell of the execution clients behind them.

use std::time::Duration;

use serde_json::{Value, json};
use trireme_beacon::Status;

use crate::fleet::{Bn, Fleet, Manner};

const PATH: &str = "/eth/v2/node/version";

fn says(bn: &Bn, execution_client: Value) {
    let answer = json!({"data": {"beacon_node": {"name": "Fake"}, "execution_client": execution_client}});
    bn.mind().manners.insert(PATH.to_owned(), Manner::Say(answer));
}

fn geth(version: &str) -> Value {
    json!({"code": "GE", "name": "Geth", "version": version, "commit": "0x01020304"})
}

fn shown(fleet: &Fleet) -> Vec<String> {
    let text = fleet.metrics();
    let series = text.lines().filter(|l| l.starts_with("app_execution_layer_version{"));
    series.map(str::to_owned).collect()
}

#[tokio::test(start_paused = true)]
async fn every_execution_client_is_shown_once_and_asked_for_every_ten_minutes() {
    let fleet = Fleet::with(4, |bns, _| {
        says(&bns[0], geth("v1.17.5"));
        says(&bns[1], geth("v1.17.5"));
        // It has none, and the last one does not know the question.
        says(&bns[2], Value::Null);
    })
    .await;
    let one = r#"app_execution_layer_version{version="Geth/v1.17.5"} 1"#;
    assert_eq!(shown(&fleet), [one]);
    fleet.bns.iter().for_each(Bn::forget);
    fleet.pool.refresh().await;
    assert!(fleet.bns.iter().all(|bn| bn.asked(PATH) == 0));

    says(&fleet.bns[0], geth("v1.18.0"));
    tokio::time::advance(Duration::from_secs(600)).await;
    fleet.pool.refresh().await;
    let other = r#"app_execution_layer_version{version="Geth/v1.18.0"} 1"#;
    let mut both = shown(&fleet);
    both.sort();
    assert_eq!(both, [one, other]);

    says(&fleet.bns[1], geth("v1.18.0"));
    tokio::time::advance(Duration::from_secs(600)).await;
    fleet.pool.refresh().await;
    assert_eq!(shown(&fleet), [other]);
}

#[tokio::test(start_paused = true)]
async fn a_beacon_node_that_fails_to_tell_is_used_all_the_same_and_a_long_text_is_cut() {
    let fleet = Fleet::with(2, |bns, _| {
        bns[0]
            .mind()
            .manners
            .insert(PATH.to_owned(), Manner::Refuse(500, String::new()));
        says(&bns[1], geth(&"9".repeat(10_000)));
    })
    .await;
    fleet.pool.refresh().await;
    let statuses = fleet.pool.statuses();
    assert!(statuses.iter().all(|(_, s)| *s == Status::Ok), "{statuses:?}");
    let [series] = &shown(&fleet)[..] else {
        panic!("{}", fleet.metrics())
    };
    assert!(series.contains("Geth/999") && series.len() < 250, "{series}");
}
