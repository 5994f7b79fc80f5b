//! Which registrations with builders are in force, and when they are sent.

use std::{sync::Arc, time::Duration};

use trireme_core::{
    UnixTime,
    data::SignedData,
    life::Life,
    ports::Clock,
    registrations::{BadRegistrations, RegistrationMetrics, RegistrationSender, Registrations, read, registration},
    scheduler::{SlotTicker, each_slot},
};
use trireme_eth2::{ExecutionAddress, SignedValidatorRegistrationV1};

use super::SPE;
use crate::fakes::{NoEntropy, SimClock, beacon::FakeBeacon, chain, cluster, key, scheme, scheme::Toy, timing};

const TOY: Toy = Toy { threshold: 3 };

fn of_lock() -> Registrations {
    let all = (1..=2).map(|n| registration(key(n), 30_000_000, 100, [n; 96]));
    Registrations::new(cluster(0, 2), all.collect())
}

/// Signed by the group of validator `n`.
fn newer(n: u8, timestamp: u64, recipient: u8) -> SignedValidatorRegistrationV1 {
    let mut signed = registration(key(n), 36_000_000, timestamp, [0; 96]);
    signed.message.fee_recipient = ExecutionAddress([recipient; 20]);
    let root = SignedData::Registration(signed).signing_root(&chain(SPE)).unwrap();
    signed.signature = scheme::whole(key(n), root);
    signed
}

fn replace(of: &Registrations, list: Vec<SignedValidatorRegistrationV1>) -> Result<(), BadRegistrations> {
    of.replace(list, &chain(SPE), &TOY, &NoEntropy)
}

#[test]
fn vc_40_and_48_only_newer_registrations_of_our_validators_replace_those_of_the_lock() {
    let registrations = of_lock();
    assert_eq!(registrations.fee_recipient(&key(1)), Some([1; 20]), "the definition's");
    let before = registrations.generation();
    replace(&registrations, vec![newer(1, 100, 9), newer(7, 200, 9)]).unwrap();
    assert_eq!(
        (registrations.generation(), registrations.in_force().len()),
        (before, 2)
    );
    replace(
        &registrations,
        vec![newer(1, 102, 8), newer(1, 103, 9), newer(1, 101, 7)],
    )
    .unwrap();
    assert_ne!(registrations.generation(), before);
    assert_eq!(registrations.fee_recipient(&key(1)), Some([9; 20]));
    assert_eq!(registrations.fee_recipient(&key(2)), Some([2; 20]));
    assert_eq!(registrations.fee_recipient(&key(7)), None);
    let gas: Vec<_> = registrations.in_force().iter().map(|r| r.message.gas_limit).collect();
    assert_eq!(gas, [36_000_000, 30_000_000]);
    // What is taken away again no longer counts.
    replace(&registrations, Vec::new()).unwrap();
    assert_eq!(registrations.fee_recipient(&key(1)), Some([1; 20]));
}

#[test]
fn one_wrong_signature_leaves_everything_as_it_was() {
    let registrations = of_lock();
    replace(&registrations, vec![newer(2, 150, 5)]).unwrap();
    let mut forged = newer(1, 200, 9);
    forged.message.fee_recipient = ExecutionAddress([6; 20]);
    let error = replace(&registrations, vec![forged, newer(2, 300, 4)]).unwrap_err();
    assert_eq!(error, BadRegistrations::Signature(key(1)));
    assert_eq!(registrations.fee_recipient(&key(2)), Some([5; 20]));
}

#[test]
fn a_file_is_read_in_both_forms_and_what_is_none_is_refused() {
    let signed = serde_json::to_value(newer(1, 101, 9)).unwrap();
    for name in ["data", "v1"] {
        let file = serde_json::json!([{"version": "v1", name: signed}]).to_string();
        assert_eq!(read(file.as_bytes()), Ok(vec![newer(1, 101, 9)]), "{name}");
    }
    let other = serde_json::json!([{"version": "v2", "data": signed}]).to_string();
    assert_eq!(read(other.as_bytes()), Err(BadRegistrations::Version("v2".to_owned())));
    for text in ["", "{}", "[1]", "[{\"version\":\"v1\"}]"] {
        assert!(
            matches!(read(text.as_bytes()), Err(BadRegistrations::Form(_))),
            "{text}"
        );
    }
}

/// Sends from `start` on; says how many were taken by each of the seconds, at which, and at second 0 before, `at` is done.
async fn sent_until(start: u64, seconds: &[u64], at: impl Fn(u64, &FakeBeacon, &Registrations)) -> Vec<usize> {
    let (beacon, registrations) = (FakeBeacon::new(2, SPE, 0), Arc::new(of_lock()));
    let clock: Arc<dyn Clock> = SimClock::starting_at(UnixTime::from_secs(start));
    let sender = Arc::new(RegistrationSender::new(
        Arc::clone(&beacon) as _,
        Arc::clone(&clock),
        timing(SPE),
        Arc::clone(&registrations),
        RegistrationMetrics::default(),
    ));
    let call = each_slot(&sender, RegistrationSender::on_slot);
    let (life, tasks) = (Life::new(), Life::new());
    let mut ticker = SlotTicker::new(Arc::clone(&clock), timing(SPE));
    let running = tasks.clone();
    at(0, &beacon, &registrations);
    life.task("ticks", async move {
        loop {
            let (tick, _) = ticker.next().await;
            running.task("sender", call(tick));
        }
    });
    let mut counts = Vec::new();
    for second in seconds {
        clock
            .sleep_until(UnixTime::from_secs(*second).after(Duration::from_millis(1)))
            .await;
        counts.push(beacon.others.lock().unwrap().registrations.len());
        at(*second, &beacon, &registrations);
    }
    life.stop().await;
    tasks.stop().await;
    counts
}

#[tokio::test(start_paused = true)]
async fn vc_46_registrations_are_sent_at_the_start_and_three_quarters_into_every_epoch() {
    // Epochs of 48 s.
    let counts = sent_until(13, &[13, 56, 57, 104, 105], |_, _, _| {}).await;
    assert_eq!(counts, [2, 2, 4, 4, 6]);
}

#[tokio::test(start_paused = true)]
async fn vc_46_at_the_start_registrations_are_tried_again_every_slot_until_they_are_taken() {
    // Slots of 12 s. The beacon node is away in the first three.
    let away = |second, beacon: &FakeBeacon, _: &Registrations| match second {
        0 => beacon.refuse(503, "busy"),
        37 => *beacon.refusal.lock().unwrap() = None,
        _ => {}
    };
    let counts = sent_until(13, &[13, 24, 36, 37, 48, 56, 57], away).await;
    // Taken in this epoch already: not again at its usual time, 57 s.
    assert_eq!(counts, [0, 0, 0, 0, 2, 2, 2]);
}

#[tokio::test(start_paused = true)]
async fn vc_46_a_change_is_sent_with_the_next_slot_and_a_failure_tried_again_with_it() {
    let counts = sent_until(
        13,
        &[13, 23, 24, 35, 36, 48],
        |second, beacon, registrations| match second {
            13 => replace(registrations, vec![newer(1, 200, 9)]).unwrap(),
            24 => {
                replace(registrations, vec![newer(1, 300, 9)]).unwrap();
                beacon.refuse(503, "busy");
            }
            36 => *beacon.refusal.lock().unwrap() = None,
            _ => {}
        },
    )
    .await;
    assert_eq!(counts, [2, 2, 4, 4, 4, 6]);
}
