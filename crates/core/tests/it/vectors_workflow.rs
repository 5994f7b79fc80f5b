//! Vectors of the workflow: duty gate, threshold of partial signatures, scheduling.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use serde::Deserialize;
use trireme_core::{
    Duty, DutyType, PeerIdx, PubKey, UnixTime,
    cluster::{Cluster, Validator},
    definitions::{DutyDefinition, DutyDefinitionSet},
    event::DutyCx,
    gate::admit,
    life::Life,
    parsigdb::matching,
    ports::Clock,
    scheduler::{Scheduler, SchedulerMetrics, SchedulerParts, start_offset},
    step::{StepError, StepName},
    validators::ValidatorCache,
};
use trireme_eth2::{AttesterDuty, BlsPubkey, CommitteeIndex, ProposerDuty, Slot, ValidatorIndex};

use crate::fakes::{
    self, NoEntropy, SimClock,
    beacon::{FakeBeacon, Given},
    timing,
};

mod vectors {
    use super::*;

    #[test]
    fn core_duty_gater() {
        #[derive(Deserialize)]
        struct Case {
            slot: u64,
            r#type: i64,
            allowed: bool,
        }
        #[derive(Deserialize)]
        struct File {
            slots_per_epoch: u64,
            current_slot: u64,
            cases: Vec<Case>,
        }
        trireme_vectors::each("core", "duty-gater", |e| {
            let file: File = e.parse();
            for Case { slot, r#type, allowed } in file.cases {
                let admitted = admit(Slot(slot), r#type, Slot(file.current_slot), file.slots_per_epoch);
                assert_eq!(admitted.is_some(), allowed, "slot {slot}, type {}", r#type);
            }
        });
    }

    #[test]
    fn p2p_duty_gater() {
        #[derive(Deserialize)]
        struct Case {
            now_slot: u64,
            slots_per_epoch: u64,
            slot: u64,
            r#type: i64,
            allowed: bool,
        }
        #[derive(Deserialize)]
        struct File {
            cases: Vec<Case>,
        }
        trireme_vectors::each("p2p", "duty-gater", |e| {
            let file: File = e.parse();
            for case in file.cases {
                let admitted = admit(Slot(case.slot), case.r#type, Slot(case.now_slot), case.slots_per_epoch);
                assert_eq!(
                    admitted.is_some(),
                    case.allowed,
                    "slot {}, type {}",
                    case.slot,
                    case.r#type
                );
            }
        });
    }

    #[test]
    fn parsig_threshold() {
        #[derive(Deserialize)]
        struct Case {
            input: Vec<u64>,
            output: Option<Vec<usize>>,
        }
        #[derive(Deserialize)]
        struct File {
            threshold: usize,
            cases: Vec<Case>,
        }
        trireme_vectors::each("core", "parsig-threshold", |e| {
            let file: File = e.parse();
            for Case { input, output } in file.cases {
                assert_eq!(matching(&input, file.threshold), output, "{input:?}");
            }
        });
    }

    #[test]
    fn scheduler_duties() {
        trireme_vectors::each("core", "scheduler-duties", |e| {
            let expected: Vec<Announced> = e.parse();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build();
            let got = runtime.unwrap().block_on(scheduled(
                &expected,
                e.field("duty_factor"),
                e.field("failing_proposer_queries"),
                e.field("slots"),
            ));
            assert_eq!(got, expected);
        });
    }
}

/// One entry of the file, and what our scheduler makes of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
struct Announced {
    duty: String,
    #[serde(rename = "Time")]
    time: String,
    #[serde(rename = "DutyDefSet")]
    definitions: BTreeMap<String, String>,
}

/// Slots in an epoch of the mock's chain.
const SPE: u64 = 16;

/// The mock's answers: those that the file shows, and for validators that it does not show the ones that its formula
/// gives (validator `i` in slot `i * factor`; a second proposer of a slot is left out).
fn given(expected: &[Announced], validators: &BTreeMap<ValidatorIndex, PubKey>, factor: u64) -> Given {
    let shown = |kind: &str| {
        let of_kind = expected.iter().filter(|a| a.duty.ends_with(kind));
        of_kind
            .flat_map(|a| a.definitions.values().cloned())
            .collect::<Vec<_>>()
    };
    let mut attesters: Vec<AttesterDuty> = shown("/attester")
        .iter()
        .map(|text| serde_json::from_str(text).unwrap())
        .collect();
    let mut proposers: Vec<ProposerDuty> = shown("/proposer")
        .iter()
        .map(|text| serde_json::from_str(text).unwrap())
        .collect();
    for (i, (index, key)) in (0_u64..).zip(validators) {
        let (slot, pubkey) = (Slot(i * factor % SPE), BlsPubkey(key.0));
        if !attesters.iter().any(|d| d.validator_index == *index) {
            attesters.push(AttesterDuty {
                pubkey,
                slot,
                validator_index: *index,
                committee_index: CommitteeIndex(index.0),
                committee_length: factor,
                committees_at_slot: SPE,
                validator_committee_index: 0,
            });
        }
        if !proposers.iter().any(|d| d.validator_index == *index || d.slot == slot) {
            proposers.push(ProposerDuty {
                pubkey,
                slot,
                validator_index: *index,
            });
        }
    }
    Given {
        attesters,
        proposers,
        ..Given::default()
    }
}

/// Runs the scheduler over `slots` slots of the mock's chain and returns what it announced, in the order of the file:
/// by slot, and in a slot by the number of the type.
async fn scheduled(expected: &[Announced], factor: u64, failing: u32, slots: u64) -> Vec<Announced> {
    // The mock's validators have indices from 1; their keys are those of the file.
    let mut validators = BTreeMap::new();
    for (key, text) in expected.iter().flat_map(|a| &a.definitions) {
        let index = serde_json::from_str::<serde_json::Value>(text).unwrap()["validator_index"]
            .as_str()
            .unwrap()
            .parse();
        validators.insert(ValidatorIndex(index.unwrap()), key.parse::<PubKey>().unwrap());
    }
    for n in 1..=3 {
        validators
            .entry(ValidatorIndex(n))
            .or_insert(PubKey([u8::try_from(n).unwrap(); 48]));
    }
    let timing = timing(SPE);
    let clock = SimClock::starting_at(UnixTime(0));
    let shared: Arc<dyn Clock> = Arc::clone(&clock) as _;
    let life = Life::new();
    let validator = |key: &PubKey| Validator {
        key: *key,
        shares: Vec::new(),
        fee_recipient: [0; 20],
    };
    let cluster = Arc::new(Cluster::new(
        [0; 32],
        4,
        3,
        PeerIdx(0),
        validators.values().map(validator).collect(),
    ));
    let given = given(expected, &validators, factor);
    let mut beacon = FakeBeacon::with(validators, SPE, 0);
    beacon.given = Some(given);
    beacon.failing_proposer_queries.store(failing, Ordering::Relaxed);
    let beacon = Arc::new(beacon);
    let cache = Arc::new(ValidatorCache::new(
        Arc::clone(&beacon) as _,
        &cluster,
        Default::default(),
    ));
    let scheduler = Arc::new(Scheduler::new(SchedulerParts {
        beacon,
        validators: cache,
        cluster,
        clock: Arc::clone(&shared),
        timing,
        entropy: Arc::new(NoEntropy),
        life: life.clone(),
        cx: fakes::cx_source(timing),
        heads: Default::default(),
        features: Default::default(),
        metrics: SchedulerMetrics::default(),
    }));
    let heard = Arc::new(Heard {
        clock: Arc::clone(&shared),
        announced: std::sync::Mutex::default(),
    });
    let policy = fakes::policy(&life, Arc::clone(&shared), timing);
    scheduler
        .on_duty
        .to(policy.inline(StepName::FetcherFetch), &heard, Heard::hear);
    life.task("scheduler", Arc::clone(&scheduler).run());
    clock
        .sleep_until(timing.start(Slot(slots)).before(Duration::from_millis(1)))
        .await;
    life.stop().await;
    let mut announced = heard.announced.lock().unwrap().clone();
    announced.sort_by_key(|(duty, _)| (duty.slot, duty.kind));
    announced.into_iter().map(|(_, a)| a).collect()
}

struct Heard {
    clock: Arc<dyn Clock>,
    announced: std::sync::Mutex<Vec<(Duty, Announced)>>,
}

impl Heard {
    async fn hear(self: Arc<Self>, cx: DutyCx, set: Arc<DutyDefinitionSet>) -> Result<(), StepError> {
        let definition = |(key, definition): (&PubKey, &DutyDefinition)| {
            let text = match definition {
                DutyDefinition::Attester(duty) => serde_json::to_string(duty),
                DutyDefinition::Proposer(duty) => serde_json::to_string(duty),
                DutyDefinition::Sync(duty) => serde_json::to_string(duty),
            };
            (key.to_string(), text.unwrap())
        };
        // Times of duties without offset are not part of the file.
        let at = if start_offset(cx.duty.kind, &timing(SPE)).is_zero() {
            UnixTime(0)
        } else {
            self.clock.now()
        };
        let ms = at.since(UnixTime(0)).as_millis();
        let time = format!("{:02}:{:02}.{:03}", ms / 60_000, ms / 1_000 % 60, ms % 1_000);
        let announced = Announced {
            time,
            duty: cx.duty.to_string(),
            definitions: set.0.iter().map(definition).collect(),
        };
        assert_ne!(cx.duty.kind, DutyType::BuilderProposer);
        self.announced.lock().unwrap().push((cx.duty, announced));
        Ok(())
    }
}
