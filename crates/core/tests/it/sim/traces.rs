//! What a cluster at work tells its collector: every span of `docs/traces.md`, and none that is not there.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::atomic::Ordering,
    time::Duration,
};

use tracing::{Dispatch, callsite::rebuild_interest_cache};
use tracing_subscriber::layer::SubscriberExt as _;
use trireme_core::{
    Duty, DutyType,
    cx::trace_id,
    data::UnsignedDataSet,
    validatorapi::{Awaited, Ids, ValidatorApi},
};
use trireme_eth2::{
    BlsSignature, CommitteeIndex, Epoch, ForkedBlindedBlock, Root, Slot, ValidatorIndex, VersionedProposal,
    VersionedSignedAggregateAndProof, electra, fulu,
    ssz_types::{BitList, BitVector},
};
use trireme_telemetry::{
    TraceConfig, Traces,
    traces::{Memory, Seen},
};

use super::{SPE, Sim, attestation_data, run, timing};
use crate::{consensus, fakes::key, workflow};

/// The slot of the duties that are looked at. Its block is agreed on in the second round.
const SLOT: Slot = Slot(5);
/// No block is agreed on in this slot.
const SILENT: Slot = Slot(7);
const LOCK_HASH: [u8; 32] = [5; 32];

/// A row of the document.
struct Row {
    name: String,
    /// Which duty needs it.
    trace: String,
    attributes: BTreeSet<String>,
    events: BTreeMap<String, BTreeSet<String>>,
}

/// The document's two tables.
fn tables() -> (Vec<Row>, Vec<Row>) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/traces.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, tables) = text.split_once("## As in Charon").unwrap();
    let (shared, own) = tables.split_once("## Trireme's own").unwrap();
    (rows(shared), rows(own))
}

fn rows(text: &str) -> Vec<Row> {
    let row = |line: &str| {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let [_, name, trace, attributes, events, _] = cells[..] else {
            panic!("{line}")
        };
        let event = |text: &str| {
            let mut words = quoted(text).into_iter();
            Some((words.next()?, words.collect()))
        };
        Row {
            name: quoted(name).remove(0),
            trace: trace.to_owned(),
            attributes: quoted(attributes).into_iter().collect(),
            events: events.split(';').filter_map(event).collect(),
        }
    };
    text.lines().filter(|line| line.starts_with("| `")).map(row).collect()
}

/// What stands between backquotes.
fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// All spans that `work` makes.
fn spans(work: impl FnOnce()) -> Vec<Seen> {
    let traces = Traces::new(TraceConfig {
        address: "nowhere".into(),
        headers: Vec::new(),
        insecure: true,
        service_name: "charon".into(),
    });
    let memory: Memory = traces.remember("abcdef0");
    // As long as there is one subscriber only, `tracing` asks the thread that comes to a span first whether anybody wants
    // it, and that may be another test's, which has none.
    let _second = Dispatch::new(tracing_subscriber::registry());
    let recording = Dispatch::new(tracing_subscriber::registry().with(traces.layer()));
    rebuild_interest_cache();
    tracing::dispatcher::with_default(&recording, work);
    memory.spans()
}

/// A cluster in which the first leader of one block is away, another block is never agreed on, and beacon nodes take
/// blocks only at the fourth attempt.
async fn a_cluster_with_troubles() {
    let sim = Sim::start().await;
    sim.until(timing().start(Slot(2))).await;
    for beacon in &sim.beacons {
        beacon.failing_publications.store(3, Ordering::Relaxed);
    }
    let before = |slot| timing().start(slot).before(Duration::from_secs(1));
    sim.until(before(SLOT)).await;
    let leader = consensus::leads(Duty::new(SLOT, DutyType::Proposer), 1);
    sim.hub.down(leader);
    sim.until(timing().start(SLOT).after(Duration::from_secs(3))).await;
    sim.hub.up(leader);
    Box::pin(ask_everything(&sim.vapi((leader + 1) % 4))).await;

    sim.until(before(SILENT)).await;
    sim.hub.down(0);
    sim.hub.down(1);
    sim.until(timing().start(SILENT).after(Duration::from_secs(6))).await;
    sim.end().await;
}

/// What a validator client asks that the simulated ones do not. What is answered does not matter here.
async fn ask_everything(vapi: &ValidatorApi) {
    let awaited = Awaited::new("");
    let signature = BlsSignature([1; 96]);
    let aggregate = electra::SignedAggregateAndProof {
        message: electra::AggregateAndProof {
            aggregator_index: ValidatorIndex(1),
            aggregate: electra::Attestation {
                aggregation_bits: BitList::with_capacity(4).unwrap(),
                data: attestation_data(SLOT, SPE, 1),
                signature,
                committee_bits: BitVector::new(),
            },
            selection_proof: signature,
        },
        signature,
    };
    let blinded = fulu::BlindedBeaconBlock {
        slot: SLOT,
        ..Default::default()
    };
    let blinded = VersionedProposal::Blinded(ForkedBlindedBlock::Fulu(blinded)).sign(signature);
    let asked = async {
        let _ = vapi.proposer_duties(Epoch(1), &awaited).await;
        let _ = vapi.attester_duties(Epoch(1), Vec::new(), &awaited).await;
        let _ = vapi.sync_duties(Epoch(1), Vec::new(), &awaited).await;
        let _ = vapi.validators("head", Ids::All, &[], &awaited).await;
        let _ = vapi
            .submit_aggregates(vec![VersionedSignedAggregateAndProof::Fulu(aggregate)], &awaited)
            .await;
        let _ = vapi.submit_proposal(blinded, &awaited).await;
    };
    Box::pin(asked).await;
    let never = vapi.aggregate_attestation(SLOT, Root::ZERO, CommitteeIndex(2), &awaited);
    let _ = tokio::time::timeout(Duration::from_secs(1), never).await;
}

/// A node that decides on what is no attestation data, and then comes too late for a block.
async fn an_instance_that_fails() {
    let bench = consensus::bench(1, 0);
    let attester = Duty::new(Slot(9), DutyType::Attester);
    bench.until(9 * 12 + 4).await;
    let no_attestation = UnsignedDataSet([(key(1), workflow::block(Slot(9), 1, 1))].into());
    bench.propose_set(0, attester, no_attestation);
    bench.propose_set(0, Duty::new(Slot(2), DutyType::Proposer), UnsignedDataSet::default());
    bench.until(9 * 12 + 6).await;
}

fn trace_of(slot: Slot, kind: DutyType) -> String {
    format!("{:032x}", trace_id(&LOCK_HASH, Duty::new(slot, kind)))
}

/// The duty of a text like `5/proposer`.
fn duty(text: &str) -> Duty {
    let (slot, kind) = text.split_once('/').unwrap();
    let kind = DutyType::ALL.into_iter().find(|k| k.name() == kind).unwrap();
    Duty::new(Slot(slot.parse().unwrap()), kind)
}

#[test]
fn every_span_of_the_table_is_made() {
    let seen = spans(|| {
        run(a_cluster_with_troubles());
        run(an_instance_that_fails());
    });
    let (shared, own) = tables();
    assert!(shared.len() > 20, "the table was not found");
    for row in &shared {
        let named: Vec<_> = seen.iter().filter(|s| s.name == row.name).collect();
        let needed_by: &[DutyType] = match row.trace.as_str() {
            "every duty" => &[DutyType::Attester, DutyType::Proposer],
            "its own" => &[],
            one => &[DutyType::ALL.into_iter().find(|k| k.name() == one).unwrap()],
        };
        assert!(!named.is_empty(), "no span {}", row.name);
        for kind in needed_by {
            let trace = trace_of(SLOT, *kind);
            assert!(
                named.iter().any(|s| s.trace == trace),
                "no span {} for {}",
                row.name,
                kind.name()
            );
        }
        for attribute in &row.attributes {
            let has = |s: &&&Seen| s.attributes.contains_key(attribute);
            assert!(named.iter().any(|s| has(&s)), "no {attribute} on {}", row.name);
        }
        for (event, attributes) in &row.events {
            let found: Vec<_> = named.iter().flat_map(|s| &s.events).filter(|e| e.0 == *event).collect();
            assert!(!found.is_empty(), "no event {event} in {}", row.name);
            for (_, has) in found {
                let has: BTreeSet<_> = has.keys().cloned().collect();
                assert_eq!(has, *attributes, "{event} in {}", row.name);
            }
        }
    }
    for span in seen.iter().filter(|s| !s.name.starts_with("core/duty.")) {
        let row = shared.iter().chain(&own).find(|row| row.name == span.name);
        let row = row.unwrap_or_else(|| panic!("{} is not in docs/traces.md", span.name));
        for attribute in span.attributes.keys() {
            assert!(
                row.attributes.contains(attribute),
                "{attribute} of {} is not in docs/traces.md",
                span.name
            );
        }
        for (event, _) in span
            .events
            .iter()
            .filter(|e| !e.0.starts_with("log.") && e.0 != "exception")
        {
            assert!(
                row.events.contains_key(event),
                "{event} of {} is not in docs/traces.md",
                span.name
            );
        }
    }
}

#[test]
fn a_duty_has_one_trace_with_its_spans_in_each_other_and_how_they_ended() {
    let seen = spans(|| run(a_cluster_with_troubles()));
    let by_id: BTreeMap<_, _> = seen.iter().map(|s| (s.id.as_str(), s)).collect();
    let (shared, own) = tables();
    let alone: BTreeSet<_> = shared
        .iter()
        .chain(&own)
        .filter(|r| r.trace == "its own")
        .map(|r| r.name.as_str())
        .collect();
    for span in &seen {
        let parent = span.parent.as_deref().map(|id| by_id[id]);
        if let Some(text) = span.attributes.get("service.instance.id") {
            let duty = duty(text);
            assert_eq!(span.name, format!("core/duty.{}", duty.kind.name()));
            assert_eq!((&span.trace, parent), (&trace_of(duty.slot, duty.kind), None));
        } else if let Some(parent) = parent {
            assert_eq!(parent.trace, span.trace, "{} in {}", span.name, parent.name);
        } else {
            assert!(
                alone.contains(span.name.as_str()),
                "{} has no span around it",
                span.name
            );
        }
    }
    let of = |slot, kind, name: &str| {
        let trace = trace_of(slot, kind);
        let found: Vec<_> = seen.iter().filter(|s| s.trace == trace && s.name == name).collect();
        assert!(!found.is_empty(), "{name}");
        found
    };

    // Fetching is within the step, the step within its attempts.
    let fetches = of(SLOT, DutyType::Attester, "core/fetcher.Fetch");
    let above = |s: &Seen| by_id[s.parent.as_deref().unwrap()].name.clone();
    let mut around: Vec<_> = fetches.iter().map(|s| above(s)).collect();
    around.sort_unstable();
    let expected = ["app/retry.DoAsync"; 4].into_iter().chain(["core/fetcher.Fetch"; 4]);
    assert!(around.iter().map(String::as_str).eq(expected), "{around:?}");

    // Three attempts to publish fail, each with its error; the fourth is good, and so is the whole.
    let attempts = of(Slot(2), DutyType::Proposer, "app/retry.DoAsync");
    let attempts = attempts
        .iter()
        .find(|s| s.attributes["name"] == "broadcast" && s.attributes["topic"] == "bcast");
    let attempts = attempts.unwrap();
    let starts = attempts.events.iter().filter(|e| e.0 == "retry.attempt.start");
    let numbers: Vec<_> = starts.map(|e| e.1["attempt"].as_str()).collect();
    assert_eq!((&numbers[..], &attempts.error), (&["1", "2", "3", "4"][..], &None));
    let tries = of(Slot(2), DutyType::Proposer, "core/broadcaster.Broadcast");
    let tries: Vec<_> = tries
        .into_iter()
        .filter(|s| s.parent.as_ref() == Some(&attempts.id))
        .collect();
    assert_eq!(tries.len(), 4);
    for span in &tries {
        let exceptions = span.events.iter().filter(|e| e.0 == "exception").count();
        assert_eq!(exceptions, usize::from(span.error.is_some()), "{span:?}");
    }
    assert_eq!(tries.iter().filter(|s| s.error.is_some()).count(), 3);

    // A second round, told in the span of the instance with the round in which it ended.
    let instances = of(SLOT, DutyType::Proposer, "core/qbft.runInstance");
    let second = Duty::new(SLOT, DutyType::Proposer);
    let decided: Vec<_> = instances
        .iter()
        .filter(|s| s.events.iter().any(|e| e.0 == "qbft.Decided"))
        .collect();
    assert!(decided.len() >= 3);
    for span in decided {
        assert_eq!((&*span.attributes["round"], &*span.attributes["new_round"]), ("2", "2"));
        assert_eq!(span.attributes["leader_index"], consensus::leads(second, 2).to_string());
        let line = span
            .events
            .iter()
            .find(|e| e.0 == "log.Debug: consensus decided")
            .unwrap();
        assert_eq!((&*line.1["duty"], &*line.1["round"]), ("5/proposer", "2"));
    }

    // What a request is refused for, its span says.
    let refused = of(SLOT, DutyType::Proposer, "core/validatorapi.SubmitBlindedProposal");
    let said = |s: &&Seen| s.error.as_deref().is_some_and(|e| e.contains("do not match"));
    assert!(refused.iter().all(said), "{refused:?}");

    // That time was over is no error of the duty.
    let late = of(SILENT, DutyType::Proposer, "app/retry.DoAsync");
    let late: Vec<_> = late.iter().filter(|s| s.attributes["name"] == "participate").collect();
    assert!(late.iter().any(|s| s.events.iter().any(|e| e.0 == "exception")));
    assert!(late.iter().all(|s| s.error.is_none()), "{late:?}");
}
