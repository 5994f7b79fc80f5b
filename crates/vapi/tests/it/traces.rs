//! In which trace a request is: all nodes of a cluster give a duty the same one.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
};

use axum::body::Body;
use serde_json::json;
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
    subscriber::DefaultGuard,
};
use trireme_core::{Duty, DutyType, cx::trace_id};
use trireme_eth2::{Slot, ValidatorIndex};

use crate::{
    fixture::CLUSTER_HASH,
    requests::{Keyed, SLOT, keyed},
};

/// A span as it was made.
#[derive(Debug, Clone)]
struct Made {
    name: &'static str,
    parent: Option<u64>,
    fields: BTreeMap<&'static str, String>,
}

impl Visit for Made {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.fields.insert(field.name(), format!("{value:?}"));
    }
}

/// Keeps all spans of this thread; a span's id is its place, from 1.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<Made>>>);

impl Spans {
    fn here() -> (Self, DefaultGuard) {
        trireme_testutil::sim::Lines::anywhere();
        let spans = Self::default();
        let guard = tracing::subscriber::set_default(spans.clone());
        (spans, guard)
    }

    /// The only span of a name, with the trace that its outermost span has.
    fn only(&self, name: &str) -> (Made, Option<String>) {
        let all = self.0.lock().unwrap();
        let found: Vec<_> = all.iter().filter(|s| s.name == name).collect();
        let [span] = found[..] else {
            panic!("{} spans named {name} in {all:?}", found.len())
        };
        let mut outermost = span;
        while let Some(parent) = outermost.parent {
            outermost = &all[usize::try_from(parent).unwrap() - 1];
        }
        (span.clone(), outermost.fields.get("trace_id").cloned())
    }
}

impl Subscriber for Spans {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && metadata.target().starts_with("trireme")
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut made = Made {
            name: attributes.metadata().name(),
            parent: attributes.parent().map(Id::into_u64),
            fields: BTreeMap::new(),
        };
        attributes.record(&mut made);
        let mut all = self.0.lock().unwrap();
        all.push(made);
        Id::from_u64(all.len() as u64)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// The trace of a duty in the cluster of the tests.
fn trace_of(slot: Slot, kind: DutyType) -> Option<String> {
    Some(format!("{:032x}", trace_id(&CLUSTER_HASH, Duty::new(slot, kind))))
}

fn busy() -> Keyed {
    let k = keyed();
    k.active();
    k.decided();
    k.proposes();
    k
}

#[tokio::test]
async fn every_request_about_a_duty_is_in_the_trace_that_the_duty_has_on_all_nodes() {
    let k = busy();
    let (spans, _guard) = Spans::here();
    k.bench
        .get("/eth/v1/validator/attestation_data?slot=70&committee_index=3")
        .await;
    k.attest(&[k.single(0, 3), k.single(1, 1)]).await;
    k.bench
        .get(&format!("/eth/v3/validator/blocks/70?randao_reveal={}", k.randao()))
        .await;
    let root = format!("0x{}", "11".repeat(32));
    let limit = std::time::Duration::from_millis(1);
    for path in [
        format!("/eth/v2/validator/aggregate_attestation?attestation_data_root={root}&slot=70&committee_index=2"),
        format!("/eth/v1/validator/sync_committee_contribution?slot=70&subcommittee_index=1&beacon_block_root={root}"),
    ] {
        // How it ends does not matter.
        let _ended = tokio::time::timeout(limit, k.bench.get(&path)).await;
    }
    let proof = format!("0x{}", "12".repeat(96));
    let selection =
        json!({ "validator_index": "100", "slot": "71", "selection_proof": proof, "subcommittee_index": "0" });
    let message = json!({ "slot": "72", "beacon_block_root": root, "validator_index": "100", "signature": proof });
    let exit = json!({ "message": { "epoch": "3", "validator_index": "100" }, "signature": proof });
    for (path, body) in [
        ("/eth/v1/validator/beacon_committee_selections", json!([selection])),
        ("/eth/v1/validator/sync_committee_selections", json!([selection])),
        ("/eth/v1/beacon/pool/sync_committees", json!([message])),
        ("/eth/v1/beacon/pool/voluntary_exits", exit),
    ] {
        // None of these signatures holds.
        k.bench.post(path, &[], &body).await.error(500);
    }
    use DutyType as D;
    let slots_per_epoch = k.chain.slots_per_epoch;
    for (name, slot, kind) in [
        ("AttestationData", SLOT, D::Attester),
        ("SubmitAttestations", SLOT, D::Attester),
        ("Proposal", SLOT, D::Proposer),
        ("AggregateAttestation", SLOT, D::Aggregator),
        ("SyncCommitteeContribution", SLOT, D::SyncContribution),
        ("BeaconCommitteeSelections", Slot(71), D::PrepareAggregator),
        ("SyncCommitteeSelections", Slot(71), D::PrepareSyncContribution),
        ("SubmitSyncCommitteeMessages", Slot(72), D::SyncMessage),
        ("SubmitVoluntaryExit", Slot(3 * slots_per_epoch), D::Exit),
    ] {
        let (_, trace) = spans.only(&format!("core/validatorapi.{name}"));
        assert_eq!(trace, trace_of(slot, kind), "{name}");
    }
    let count = |name: &str, field: &str| spans.only(name).0.fields[field].clone();
    assert_eq!(count("core/validatorapi.SubmitAttestations", "num_attestations"), "2");
    assert_eq!(count("core/validatorapi.AttestationData", "committee_index"), "3");
}

#[tokio::test]
async fn a_submitted_block_is_in_the_trace_of_its_proposal_and_named_after_its_kind() {
    let k = busy();
    let (spans, _guard) = Spans::here();
    let signed = k.signed(&k.proposes());
    let headers = [
        ("content-type", "application/octet-stream"),
        ("eth-consensus-version", "fulu"),
    ];
    k.bench
        .ask("POST", "/eth/v2/beacon/blocks", &headers, signed.to_ssz())
        .await;
    let mut blinded = trireme_eth2::electra::BlindedBeaconBlock::default();
    (blinded.slot, blinded.proposer_index) = (SLOT, ValidatorIndex(101));
    let blinded = trireme_eth2::VersionedProposal::Blinded(trireme_eth2::ForkedBlindedBlock::Fulu(blinded));
    let signed = k.signed(&blinded);
    k.bench
        .ask("POST", "/eth/v2/beacon/blinded_blocks", &headers, signed.to_ssz())
        .await;
    for name in ["SubmitProposal", "SubmitBlindedProposal"] {
        let (_, trace) = spans.only(&format!("core/validatorapi.{name}"));
        assert_eq!(trace, trace_of(SLOT, DutyType::Proposer), "{name}");
    }
}

#[tokio::test]
async fn questions_that_are_no_duty_have_traces_of_their_own_and_say_what_was_asked() {
    let k = busy();
    let (spans, _guard) = Spans::here();
    k.bench.get("/eth/v1/validator/duties/proposer/2").await;
    k.bench
        .post("/eth/v1/validator/duties/attester/2", &[], &json!(["100"]))
        .await;
    k.bench
        .ask(
            "GET",
            "/eth/v1/beacon/states/head/validators?id=100",
            &[],
            Body::empty(),
        )
        .await;
    for (name, field, value) in [
        ("ProposerDuties", "epoch", "2"),
        ("AttesterDuties", "epoch", "2"),
        ("Validators", "state", "head"),
    ] {
        let (span, trace) = spans.only(&format!("core/validatorapi.{name}"));
        assert_eq!((span.fields.get(field).map(String::as_str), trace), (Some(value), None));
    }
}
