//! What went wrong beside real validator clients and is the workflow's affair, one test per case and named after it.
//! The cases that are seen in HTTP are tested where HTTP is.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use std::{collections::BTreeMap, time::Duration};

use prometheus_client::registry::Registry;
use trireme_core::{
    Duty, DutyType, PeerIdx, ShareIdx, SlotTiming, UnixTime,
    compute::Inline,
    data::encode_parsigex,
    deadline::deadline,
    gate::DutyGate,
    life::Life,
    parsigex::{ParSigEx, ParSigExMetrics, ParSigExParts, Verifier},
    ports::{Clock, Inbound, PeerNet as _},
    scheduler::start_offset,
    scheme::{CannotCombine, Claim, Refusal, Scheme},
};
use trireme_eth2::{BlsSignature, Slot};

use crate::{
    fakes::{
        NoEntropy, SimClock, beacon::attestation_data, chain, cluster, cx_source, key, net::Hub, scheme::Toy, timing,
    },
    workflow::{SPE, partial, set, vote},
};

#[test]
fn row_11_all_times_scale_with_the_slots_of_the_chain() {
    let of = |seconds: u64| SlotTiming {
        genesis: UnixTime::from_secs(1_000),
        slot_duration: Duration::from_secs(seconds),
        slots_per_epoch: 32,
    };
    let twelve = of(12);
    for seconds in [1, 2, 4, 6] {
        let short = of(seconds);
        let factor = u32::try_from(12 / seconds).unwrap();
        // Also in the first slots of a chain.
        for slot in [Slot(0), Slot(1), Slot(37), Slot(1_000)] {
            for kind in DutyType::ALL {
                let duty = Duty::new(slot, kind);
                let after = |t: &SlotTiming| deadline(duty, t).map(|at| at.since(t.start(slot)));
                let (ours, theirs) = (after(&short).map(|d| d * factor), after(&twelve));
                assert_eq!(ours.is_some(), theirs.is_some(), "{duty}");
                // Thirds and twelfths are rounded to nanoseconds.
                let near = |a: Duration, b: Duration| a.abs_diff(b) < Duration::from_micros(1);
                assert!(
                    near(ours.unwrap_or_default(), theirs.unwrap_or_default()),
                    "{duty} in slots of {seconds} s: {ours:?} for {theirs:?}"
                );
                assert!(
                    near(start_offset(kind, &short) * factor, start_offset(kind, &twelve)),
                    "{duty}"
                );
            }
        }
    }
}

/// Counts how often it is asked and how much at once.
struct Counting {
    toy: Toy,
    asked: AtomicUsize,
    largest: AtomicUsize,
}

impl Scheme for Counting {
    fn verify_set(&self, claims: &[Claim], seed: &[u8; 32]) -> Vec<Result<(), Refusal>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.largest.fetch_max(claims.len(), Ordering::Relaxed);
        self.toy.verify_set(claims, seed)
    }
    fn combine(&self, partials: &BTreeMap<ShareIdx, BlsSignature>) -> Result<BlsSignature, CannotCombine> {
        self.toy.combine(partials)
    }
}

#[tokio::test(start_paused = true)]
async fn row_12_a_large_set_of_a_peer_is_verified_as_one() {
    const VALIDATORS: u8 = 250;
    let hub = Hub::of(4, Life::new());
    let clock: Arc<dyn Clock> = SimClock::starting_at(UnixTime(0));
    let scheme = Arc::new(Counting {
        toy: Toy { threshold: 3 },
        asked: AtomicUsize::new(0),
        largest: AtomicUsize::new(0),
    });
    let ex = Arc::new(ParSigEx::new(ParSigExParts {
        net: hub.node(0),
        gate: DutyGate::new(Arc::clone(&clock), timing(SPE)),
        cluster: cluster(0, VALIDATORS),
        chain: chain(SPE),
        verifier: Verifier::new(
            Arc::clone(&scheme) as _,
            Arc::new(Inline),
            Arc::new(NoEntropy),
            Arc::clone(&clock),
            Duration::from_secs(48),
        ),
        clock,
        cx: cx_source(timing(SPE)),
        metrics: ParSigExMetrics::register(&mut Registry::default()),
    }));
    let duty = Duty::new(Slot(1), DutyType::Attester);
    let data = attestation_data(duty.slot, SPE, 9);
    let all = (1..=VALIDATORS).map(|n| (key(n), partial(&chain(SPE), key(n), 2, vote(n % 64, data))));
    let inbound = Inbound {
        from: Some(PeerIdx(1)),
        from_id: hub.node(1).peers()[1].id,
        msg: encode_parsigex(duty, &set(all)).into(),
    };
    ex.receive(inbound).await.unwrap();
    assert_eq!(scheme.asked.load(Ordering::Relaxed), 1);
    assert_eq!(scheme.largest.load(Ordering::Relaxed), usize::from(VALIDATORS));
}
