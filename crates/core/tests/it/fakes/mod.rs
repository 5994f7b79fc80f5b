//! Stand-ins for everything outside the workflow: a clock, signatures, a network, a store, a beacon node.

pub(crate) mod beacon;
pub(crate) mod net;
pub(crate) mod scheme;
pub(crate) mod store;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use serde_json::json;
use trireme_core::{
    Duty, PeerIdx, PubKey, SlotTiming, UnixTime,
    cluster::{Cluster, Validator},
    cx::CxSource,
    definitions::{DutyDefinitionSet, KnownDuties},
    event::DutyCx,
    fees::{FeeCheck, FeeMismatches},
    life::Life,
    ports::{Clock, Entropy},
    registrations::Registrations,
    step::{Policy, StepError, StepMetrics, Subjects},
};
use trireme_eth2::{ChainSpec, ForkVersion, Genesis, Root};

/// Virtual time of a paused runtime.
pub(crate) struct SimClock {
    start: UnixTime,
    at: tokio::time::Instant,
}

impl SimClock {
    pub(crate) fn starting_at(start: UnixTime) -> Arc<Self> {
        Arc::new(Self {
            start,
            at: tokio::time::Instant::now(),
        })
    }
}

impl Clock for SimClock {
    fn now(&self) -> UnixTime {
        self.start.after(self.at.elapsed())
    }

    fn sleep_until(&self, t: UnixTime) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            while self.now() < t {
                tokio::time::sleep(t.since(self.now())).await;
            }
        })
    }
}

/// Always the same bytes; nothing here needs more.
pub(crate) struct NoEntropy;

impl Entropy for NoEntropy {
    fn fill(&self, out: &mut [u8]) {
        out.fill(7);
    }
}

pub(crate) const SLOT: Duration = Duration::from_secs(12);

/// Slots of 12 s, epochs of `slots_per_epoch`, genesis at zero.
pub(crate) fn timing(slots_per_epoch: u64) -> SlotTiming {
    SlotTiming {
        genesis: UnixTime(0),
        slot_duration: SLOT,
        slots_per_epoch,
    }
}

/// A chain that is in Fulu from the start.
pub(crate) fn chain(slots_per_epoch: u64) -> Arc<ChainSpec> {
    let spec = json!({
        "PRESET_BASE": "mainnet",
        "SECONDS_PER_SLOT": "12",
        "SLOTS_PER_EPOCH": slots_per_epoch.to_string(),
        "ALTAIR_FORK_EPOCH": "0", "ALTAIR_FORK_VERSION": "0x01000000",
        "BELLATRIX_FORK_EPOCH": "0", "BELLATRIX_FORK_VERSION": "0x02000000",
        "CAPELLA_FORK_EPOCH": "0", "CAPELLA_FORK_VERSION": "0x03000000",
        "DENEB_FORK_EPOCH": "0", "DENEB_FORK_VERSION": "0x04000000",
        "ELECTRA_FORK_EPOCH": "0", "ELECTRA_FORK_VERSION": "0x05000000",
        "FULU_FORK_EPOCH": "0", "FULU_FORK_VERSION": "0x06000000",
    });
    let genesis = Genesis {
        genesis_time: 0,
        genesis_validators_root: Root([9; 32]),
        genesis_fork_version: ForkVersion([0; 4]),
    };
    Arc::new(ChainSpec::read(spec.as_object().unwrap(), genesis).unwrap())
}

/// Validator number `n`, from 1.
pub(crate) fn key(n: u8) -> PubKey {
    PubKey([n; 48])
}

/// Four nodes of which three suffice, with validators 1 to `validators`.
pub(crate) fn cluster(me: u8, validators: u8) -> Arc<Cluster> {
    let validator = |n| Validator {
        key: key(n),
        shares: (1..=4).map(|share| scheme::public_share(key(n), share)).collect(),
        fee_recipient: [n; 20],
    };
    Arc::new(Cluster::new(
        [5; 32],
        4,
        3,
        PeerIdx(me),
        (1..=validators).map(validator).collect(),
    ))
}

/// Looks at fee recipients by the cluster's lock.
pub(crate) fn fees(cluster: &Arc<Cluster>, counter: FeeMismatches) -> FeeCheck {
    let registrations = Registrations::new(Arc::clone(cluster), Vec::new());
    FeeCheck::new(Arc::new(registrations), counter)
}

/// What is known of duties, by hand; of others nothing is.
#[derive(Default)]
pub(crate) struct Known(pub(crate) BTreeMap<Duty, DutyDefinitionSet>);

impl KnownDuties for Known {
    fn known(&self, duty: Duty) -> Option<DutyDefinitionSet> {
        self.0.get(&duty).cloned()
    }
}

/// Makes contexts that nobody cancels.
pub(crate) fn cx_source(timing: SlotTiming) -> CxSource {
    CxSource::new(timing, tokio_util::sync::CancellationToken::new(), [5; 32])
}

/// Steps that report to nobody.
pub(crate) fn policy(life: &Life, clock: Arc<dyn Clock>, timing: SlotTiming) -> Policy {
    let metrics = StepMetrics::register(&mut prometheus_client::registry::Registry::default());
    Policy::new(life.clone(), clock, timing, Arc::new(NoEntropy), None, metrics)
}

/// Remembers the events that it hears.
pub(crate) struct Captured<T>(std::sync::Mutex<Vec<(trireme_core::Duty, Arc<T>)>>);

impl<T: Subjects> Captured<T> {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(std::sync::Mutex::default()))
    }

    pub(crate) async fn record(self: Arc<Self>, cx: DutyCx, value: Arc<T>) -> Result<(), StepError> {
        self.0.lock().unwrap().push((cx.duty, value));
        Ok(())
    }

    pub(crate) fn take(&self) -> Vec<(trireme_core::Duty, Arc<T>)> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}
