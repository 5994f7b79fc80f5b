//! A validator API whose neighbours are tables: the cluster, its duties, what it has agreed on, the beacon node.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderMap, Request, StatusCode};
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use trireme_beacon::{DutiesOnce, Pool, Topic};
use trireme_core::{
    Duty, PeerIdx, PubKey, ShareIdx, SlotTiming, UnixTime,
    answers::{AwaitAggregated, NoAnswer},
    clock::SystemClock,
    cluster::{Cluster, Validator},
    compute::Inline,
    data::{ParSignedDataSet, SignedData},
    definitions::{DutyDefinition, DutyDefinitionSet},
    entropy::OsEntropy,
    event::{CxSource, DutyCx},
    gate::DutyGate,
    life::Life,
    metrics::CacheMetrics,
    ports::{BeaconError, BeaconNode, Clock, Duties, ProduceBlock},
    scheduler::NotResolved,
    scheme::{Bls, CannotCombine, Claim, Refusal, Scheme},
    step::{Policy, StepError, StepMetrics, StepName},
    validatorapi::{
        AwaitAggregates, AwaitUnsigned, DutyDefinitions, PartialsHeld, Parts, PubKeyByAttestation, ValidatorApi,
    },
};
use trireme_eth2::{
    AttestationData, AttesterDuty, BeaconCommittee, BlsSignature, ChainEvent, ChainSpec, CommitteeIndex, Epoch,
    Genesis, HeadEvent, ProposalResponse, ProposerDuty, Root, SignedContributionAndProof,
    SignedValidatorRegistrationV1, SignedVoluntaryExit, Slot, SyncCommitteeContribution, SyncCommitteeMessage,
    SyncDuty, SyncingStatus, ValidatorIndex, ValidatorInfo, VersionedAttestation, VersionedProposal,
    VersionedSignedAggregateAndProof, VersionedSignedBlock, VersionedSignedProposal,
};
use trireme_vapi::{Config, Metrics, Proxy, Server, Upstream};
use url::Url;

pub(crate) const CLUSTER_HASH: [u8; 32] = [7; 32];
pub(crate) const NODE_VERSION: &str = "obolnetwork/charon/v1.11.0-abcdef0/amd64-linux";

/// What the neighbours know. Tests fill it before they ask.
#[derive(Default)]
pub(crate) struct Known {
    /// By the key that the chain knows.
    pub(crate) validators: Vec<ValidatorInfo>,
    pub(crate) attesters: Vec<AttesterDuty>,
    pub(crate) proposers: Vec<ProposerDuty>,
    /// The beacon node's sync committee duties, by epoch.
    pub(crate) syncers: Vec<(Epoch, SyncDuty)>,
    /// Who is in the sync committee in which slot, as the scheduler has it.
    pub(crate) contributors: Vec<(Slot, SyncDuty)>,
    pub(crate) dependent_root: Root,
    /// The scheduler's view; filled from `attesters` and `proposers` by [`Bench::resolve`].
    pub(crate) definitions: BTreeMap<Duty, DutyDefinitionSet>,
    /// Slots of epochs that the scheduler has not resolved.
    pub(crate) unresolved: Vec<Slot>,
    /// Slots of epochs that the scheduler has forgotten, or that were over when it started.
    pub(crate) trimmed: Vec<Slot>,
    pub(crate) attestation_data: BTreeMap<(Slot, CommitteeIndex), AttestationData>,
    pub(crate) pubkeys: BTreeMap<(Slot, CommitteeIndex, ValidatorIndex), PubKey>,
    pub(crate) proposals: BTreeMap<Slot, Arc<VersionedProposal>>,
    pub(crate) aggregates: BTreeMap<(Slot, Root, CommitteeIndex), Arc<VersionedAttestation>>,
    pub(crate) contributions: BTreeMap<(Slot, u64, Root), Arc<SyncCommitteeContribution>>,
    /// Duties on all of which the cluster has agreed.
    pub(crate) decided: Vec<Duty>,
    /// Whole selection proofs; the last is the subcommittee.
    pub(crate) selections: BTreeMap<(Duty, PubKey, u64), Arc<SignedData>>,
    /// Whose partial signatures are there.
    pub(crate) partials: BTreeMap<(Duty, PubKey), Vec<ShareIdx>>,
    /// The time.
    pub(crate) now: UnixTime,
    /// Length of a slot.
    pub(crate) slot_duration: Duration,
    /// The beacon node's own attestation data, for slots without a duty of ours.
    pub(crate) beacon_data: Option<AttestationData>,
    /// The beacon node refuses everything with this.
    pub(crate) refusal: Option<BeaconError>,
    /// The store of partial signatures refuses those of this slot.
    pub(crate) refused_slot: Option<Slot>,
    /// Waiting questions end with this instead of waiting.
    pub(crate) no_answer: Option<NoAnswer>,
}

/// All neighbours in one.
pub(crate) struct Neighbours {
    /// The beacon node's events.
    pub(crate) events: tokio::sync::broadcast::Sender<ChainEvent>,
    pub(crate) known: Mutex<Known>,
    /// What the beacon node was asked, as text.
    pub(crate) asked: Mutex<Vec<String>>,
    /// What was announced.
    pub(crate) submitted: Mutex<Vec<(Duty, Arc<ParSignedDataSet>)>>,
}

impl Default for Neighbours {
    fn default() -> Self {
        Self {
            events: tokio::sync::broadcast::Sender::new(16),
            known: Mutex::default(),
            asked: Mutex::default(),
            submitted: Mutex::default(),
        }
    }
}

impl Neighbours {
    /// The beacon node tells of a new head.
    pub(crate) fn new_head(&self) {
        let (one, two) = (Root([1; 32]), Root([2; 32]));
        let head = ChainEvent::Head(HeadEvent {
            slot: Slot(1),
            block: one,
            state: two,
            epoch_transition: false,
            previous_duty_dependent_root: two,
            current_duty_dependent_root: two,
            execution_optimistic: false,
        });
        // Nobody listening is fine.
        let _ = self.events.send(head);
    }

    async fn hear(self: Arc<Self>, cx: DutyCx, set: Arc<ParSignedDataSet>) -> Result<(), StepError> {
        if self.known.lock().unwrap().refused_slot == Some(cx.duty.slot) {
            return Err(trireme_core::compute::Broken.into());
        }
        self.submitted.lock().unwrap().push((cx.duty, set));
        Ok(())
    }

    fn ask<T: Send + 'static>(
        &self,
        question: String,
        answer: impl FnOnce(&Known) -> T,
    ) -> BoxFuture<'_, Result<T, BeaconError>> {
        self.asked.lock().unwrap().push(question);
        let known = self.known.lock().unwrap();
        let answer = known.refusal.clone().map_or_else(|| Ok(answer(&known)), Err);
        Box::pin(async { answer })
    }

    fn nowhere<T: Send + 'static>(&self, endpoint: &'static str) -> BoxFuture<'_, Result<T, BeaconError>> {
        Box::pin(async move {
            Err(BeaconError::Malformed {
                endpoint,
                reason: "not asked by the validator API".into(),
            })
        })
    }
}

impl BeaconNode for Neighbours {
    fn node_version(&self) -> BoxFuture<'_, Result<String, BeaconError>> {
        self.nowhere("version")
    }
    fn syncing(&self) -> BoxFuture<'_, Result<SyncingStatus, BeaconError>> {
        self.nowhere("syncing")
    }
    fn validators(&self, state: &str, keys: &[PubKey]) -> BoxFuture<'_, Result<Vec<ValidatorInfo>, BeaconError>> {
        let names: Vec<String> = keys.iter().map(ToString::to_string).collect();
        let keys = keys.to_vec();
        self.ask(format!("validators {state} {}", names.join(",")), move |known| {
            known
                .validators
                .iter()
                .filter(|v| keys.contains(&PubKey(v.validator.pubkey.0)))
                .cloned()
                .collect()
        })
    }
    fn attester_duties(
        &self,
        epoch: Epoch,
        indices: &[ValidatorIndex],
    ) -> BoxFuture<'_, Result<Duties<AttesterDuty>, BeaconError>> {
        let wanted = indices.to_vec();
        self.ask(format!("attester_duties {} {indices:?}", epoch.0), move |known| {
            Duties {
                dependent_root: known.dependent_root,
                execution_optimistic: false,
                duties: known
                    .attesters
                    .iter()
                    .filter(|d| wanted.contains(&d.validator_index))
                    .copied()
                    .collect(),
            }
        })
    }
    fn proposer_duties(&self, epoch: Epoch) -> BoxFuture<'_, Result<Duties<ProposerDuty>, BeaconError>> {
        self.ask(format!("proposer_duties {}", epoch.0), |known| Duties {
            dependent_root: known.dependent_root,
            execution_optimistic: false,
            duties: known.proposers.clone(),
        })
    }
    fn attestation_data(&self, slot: Slot, committee: u64) -> BoxFuture<'_, Result<AttestationData, BeaconError>> {
        self.ask(format!("attestation_data {} {committee}", slot.0), |known| {
            known.beacon_data.unwrap()
        })
    }
    fn produce_block(&self, _: ProduceBlock) -> BoxFuture<'_, Result<ProposalResponse, BeaconError>> {
        self.nowhere("produce_block")
    }
    fn submit_attestations(&self, _: Vec<VersionedAttestation>) -> BoxFuture<'_, Result<(), BeaconError>> {
        self.nowhere("submit_attestations")
    }
    fn submit_proposal(&self, _: Arc<VersionedSignedProposal>) -> BoxFuture<'_, Result<(), BeaconError>> {
        self.nowhere("submit_proposal")
    }
    fn prepare_proposers(&self, _: Vec<(ValidatorIndex, [u8; 20])>) -> BoxFuture<'_, Result<(), BeaconError>> {
        self.nowhere("prepare_proposers")
    }
    fn block_root(&self, _: Slot) -> BoxFuture<'_, Result<Option<Root>, BeaconError>> {
        self.nowhere("block_root")
    }
    fn sync_duties(
        &self,
        epoch: Epoch,
        indices: &[ValidatorIndex],
    ) -> BoxFuture<'_, Result<Duties<SyncDuty>, BeaconError>> {
        let wanted = indices.to_vec();
        self.ask(format!("sync_duties {} {indices:?}", epoch.0), move |known| Duties {
            dependent_root: Root::ZERO,
            execution_optimistic: false,
            duties: known
                .syncers
                .iter()
                .filter(|(e, d)| *e == epoch && wanted.contains(&d.validator_index))
                .map(|(_, d)| d.clone())
                .collect(),
        })
    }
    fn aggregate_attestation(
        &self,
        _: Slot,
        _: Root,
        _: u64,
    ) -> BoxFuture<'_, Result<VersionedAttestation, BeaconError>> {
        self.nowhere("aggregate_attestation")
    }
    fn sync_contribution(
        &self,
        _: Slot,
        _: u64,
        _: Root,
    ) -> BoxFuture<'_, Result<SyncCommitteeContribution, BeaconError>> {
        self.nowhere("sync_contribution")
    }
    fn submit_aggregates(&self, _: Vec<VersionedSignedAggregateAndProof>) -> BoxFuture<'_, Result<(), BeaconError>> {
        self.nowhere("submit_aggregates")
    }
    fn submit_sync_messages(&self, _: Vec<SyncCommitteeMessage>) -> BoxFuture<'_, Result<(), BeaconError>> {
        self.nowhere("submit_sync_messages")
    }
    fn submit_contributions(&self, _: Vec<SignedContributionAndProof>) -> BoxFuture<'_, Result<(), BeaconError>> {
        self.nowhere("submit_contributions")
    }
    fn submit_exit(&self, _: SignedVoluntaryExit) -> BoxFuture<'_, Result<(), BeaconError>> {
        self.nowhere("submit_exit")
    }
    fn submit_registrations(&self, _: Vec<SignedValidatorRegistrationV1>) -> BoxFuture<'_, Result<(), BeaconError>> {
        self.nowhere("submit_registrations")
    }
    fn head_root(&self) -> BoxFuture<'_, Result<Root, BeaconError>> {
        self.nowhere("head_root")
    }
    fn block(&self, _: Slot) -> BoxFuture<'_, Result<Option<Arc<VersionedSignedBlock>>, BeaconError>> {
        self.nowhere("block")
    }
    fn committees(&self, _: Slot) -> BoxFuture<'_, Result<Vec<BeaconCommittee>, BeaconError>> {
        self.nowhere("committees")
    }
    fn events(&self) -> tokio::sync::broadcast::Receiver<ChainEvent> {
        self.events.subscribe()
    }
}

impl AwaitUnsigned for Neighbours {
    fn attestation_data(
        &self,
        slot: Slot,
        committee: CommitteeIndex,
    ) -> BoxFuture<'_, Result<Arc<AttestationData>, NoAnswer>> {
        let known = self.known.lock().unwrap();
        let found = known.attestation_data.get(&(slot, committee)).copied().map(Arc::new);
        or_wait(found, known.no_answer.clone())
    }
    fn proposal(&self, slot: Slot) -> BoxFuture<'_, Result<Arc<VersionedProposal>, NoAnswer>> {
        let known = self.known.lock().unwrap();
        or_wait(known.proposals.get(&slot).cloned(), known.no_answer.clone())
    }
}

impl AwaitAggregates for Neighbours {
    fn aggregate(
        &self,
        slot: Slot,
        data_root: Root,
        committee: CommitteeIndex,
    ) -> BoxFuture<'_, Result<Arc<VersionedAttestation>, NoAnswer>> {
        let known = self.known.lock().unwrap();
        let found = known.aggregates.get(&(slot, data_root, committee)).cloned();
        or_wait(found, known.no_answer.clone())
    }
    fn contribution(
        &self,
        slot: Slot,
        subcommittee: u64,
        block: Root,
    ) -> BoxFuture<'_, Result<Arc<SyncCommitteeContribution>, NoAnswer>> {
        let known = self.known.lock().unwrap();
        let found = known.contributions.get(&(slot, subcommittee, block)).cloned();
        or_wait(found, known.no_answer.clone())
    }
    fn decided(&self, duty: Duty) -> BoxFuture<'_, ()> {
        let decided = self.known.lock().unwrap().decided.contains(&duty);
        Box::pin(async move {
            if !decided {
                std::future::pending().await
            }
        })
    }
}

impl AwaitAggregated for Neighbours {
    fn aggregated_in(
        &self,
        duty: Duty,
        validator: PubKey,
        subcommittee: u64,
    ) -> BoxFuture<'_, Result<Arc<SignedData>, NoAnswer>> {
        let known = self.known.lock().unwrap();
        let found = known.selections.get(&(duty, validator, subcommittee)).cloned();
        or_wait(found, known.no_answer.clone())
    }
}

impl PartialsHeld for Neighbours {
    fn shares(&self, duty: Duty, validator: PubKey, _: u64) -> Vec<ShareIdx> {
        let known = self.known.lock().unwrap();
        known.partials.get(&(duty, validator)).cloned().unwrap_or_default()
    }
}

/// The time is what a test says; it grows by a slot whenever the neighbours learn something.
impl Clock for Neighbours {
    fn now(&self) -> UnixTime {
        self.known.lock().unwrap().now
    }
    fn sleep_until(&self, _: UnixTime) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }
}

fn or_wait<T: Send + 'static>(found: Option<T>, no: Option<NoAnswer>) -> BoxFuture<'static, Result<T, NoAnswer>> {
    Box::pin(async move {
        match (found, no) {
            (Some(found), _) => Ok(found),
            (None, Some(no)) => Err(no),
            (None, None) => std::future::pending().await,
        }
    })
}

impl PubKeyByAttestation for Neighbours {
    fn pubkey_by_attestation(
        &self,
        slot: Slot,
        committee: CommitteeIndex,
        validator: ValidatorIndex,
    ) -> Option<PubKey> {
        self.known
            .lock()
            .unwrap()
            .pubkeys
            .get(&(slot, committee, validator))
            .copied()
    }
}

impl DutyDefinitions for Neighbours {
    fn definitions(&self, duty: Duty) -> BoxFuture<'_, Result<Option<DutyDefinitionSet>, NotResolved>> {
        let known = self.known.lock().unwrap();
        let answer = if known.unresolved.contains(&duty.slot) {
            Err(NotResolved::NotYet(Epoch(0)))
        } else if known.trimmed.contains(&duty.slot) {
            Err(NotResolved::Trimmed(Epoch(0)))
        } else {
            Ok(known.definitions.get(&duty).cloned())
        };
        Box::pin(async { answer })
    }
}

/// Believes every signature: for cases whose keys are no points.
pub(crate) struct Credulous;

impl Scheme for Credulous {
    fn verify_set(&self, claims: &[Claim], _: &[u8; 32]) -> Vec<Result<(), Refusal>> {
        vec![Ok(()); claims.len()]
    }
    fn combine(&self, _: &BTreeMap<trireme_core::ShareIdx, BlsSignature>) -> Result<BlsSignature, CannotCombine> {
        Ok(BlsSignature([0; 96]))
    }
}

/// The server under test.
pub(crate) struct Bench {
    pub(crate) server: Arc<Server>,
    pub(crate) neighbours: Arc<Neighbours>,
    pub(crate) registry: Registry,
    pub(crate) seen: Arc<AtomicU64>,
    pub(crate) life: Life,
}

/// What a bench is made of.
pub(crate) struct Plan {
    pub(crate) cluster: Cluster,
    pub(crate) chain: ChainSpec,
    /// Real signatures; with `false` all are believed.
    pub(crate) bls: bool,
    pub(crate) upstreams: Vec<Upstream>,
    pub(crate) fallbacks: Vec<Upstream>,
    pub(crate) config: Config,
    /// With the cache of duties that a node has.
    pub(crate) cached: bool,
    /// What is known of the beacon nodes, and who asks them for the head.
    pub(crate) pool: Option<Arc<Pool>>,
}

/// The beacon nodes as a node knows them.
struct Standing(Arc<Pool>);

impl trireme_vapi::Standing for Standing {
    fn groups(&self) -> Vec<Vec<usize>> {
        self.0.groups()
    }
    fn look_again(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.0.look_again())
    }
    fn subscribes_all(&self) -> bool {
        self.0.broadcasts(Topic::Subscriptions)
    }
}

/// Settings without anything special.
pub(crate) fn config() -> Config {
    Config::new(NODE_VERSION.to_owned())
}

impl Plan {
    /// Four nodes, of which this is the first, with synthetic keys `(group, own share, index)`.
    pub(crate) fn synthetic(keys: &[([u8; 48], [u8; 48])]) -> Self {
        let validators = keys.iter().map(|(key, own)| Validator {
            key: PubKey(*key),
            shares: vec![*own, [0xe1; 48], [0xe2; 48], [0xe3; 48]],
            fee_recipient: [0; 20],
        });
        Self {
            cluster: Cluster::new(CLUSTER_HASH, 4, 3, PeerIdx(0), validators.collect()),
            chain: chain(&json!({}), Root([0; 32])),
            bls: false,
            upstreams: Vec::new(),
            fallbacks: Vec::new(),
            config: config(),
            cached: false,
            pool: None,
        }
    }

    pub(crate) fn upstream(mut self, url: &str) -> Self {
        self.upstreams.push(Upstream {
            url: Url::parse(url).unwrap(),
            headers: HeaderMap::new(),
        });
        self
    }

    /// One more fallback.
    pub(crate) fn fallback(mut self, url: &str) -> Self {
        self.fallbacks.push(Upstream {
            url: Url::parse(url).unwrap(),
            headers: HeaderMap::new(),
        });
        self
    }
}

/// Beacon nodes whose events are those that a test tells.
struct Heard {
    pool: Arc<Pool>,
    neighbours: Arc<Neighbours>,
}

impl trireme_core::ports::BeaconLayer for Heard {
    fn inner(&self) -> &dyn BeaconNode {
        self.pool.as_ref()
    }
    fn events(&self) -> tokio::sync::broadcast::Receiver<ChainEvent> {
        self.neighbours.events.subscribe()
    }
}

/// A chain with every fork at epoch 0, changed by `spec`.
pub(crate) fn chain(spec: &Value, genesis_validators_root: Root) -> ChainSpec {
    let mut all = json!({
        "SECONDS_PER_SLOT": "12", "SLOTS_PER_EPOCH": "32",
        "ALTAIR_FORK_VERSION": "0x01000000", "ALTAIR_FORK_EPOCH": "0",
        "BELLATRIX_FORK_VERSION": "0x02000000", "BELLATRIX_FORK_EPOCH": "0",
        "CAPELLA_FORK_VERSION": "0x03000000", "CAPELLA_FORK_EPOCH": "0",
        "DENEB_FORK_VERSION": "0x04000000", "DENEB_FORK_EPOCH": "0",
        "ELECTRA_FORK_VERSION": "0x05000000", "ELECTRA_FORK_EPOCH": "0",
        "FULU_FORK_VERSION": "0x06000000", "FULU_FORK_EPOCH": "0",
    });
    let map = all.as_object_mut().unwrap();
    map.extend(spec.as_object().unwrap().clone());
    let version = map
        .get("GENESIS_FORK_VERSION")
        .and_then(Value::as_str)
        .unwrap_or("0x00000000");
    let genesis = Genesis {
        genesis_time: 0,
        genesis_validators_root,
        genesis_fork_version: version.parse().unwrap(),
    };
    ChainSpec::read(map, genesis).unwrap()
}

impl Bench {
    pub(crate) fn new(plan: Plan) -> Self {
        let Plan {
            cluster,
            chain,
            bls,
            upstreams,
            fallbacks,
            config,
            cached,
            pool,
        } = plan;
        trireme_testutil::sim::Lines::anywhere();
        let life = Life::new();
        let mut registry = Registry::default();
        let timing = SlotTiming {
            genesis: UnixTime(0),
            slot_duration: chain.slot_duration(),
            slots_per_epoch: chain.slots_per_epoch,
        };
        let neighbours = Arc::new(Neighbours::default());
        {
            let mut known = neighbours.known.lock().unwrap();
            // Far enough that no slot of a test or recording is in the future.
            (known.now, known.slot_duration) = (UnixTime(u64::MAX / 2), timing.slot_duration);
        }
        let scheme: Arc<dyn Scheme> = if bls {
            Arc::new(Bls::new(&cluster).unwrap())
        } else {
            Arc::new(Credulous)
        };
        let beacon: Arc<dyn BeaconNode> = match (&pool, cached) {
            (Some(pool), _) => Arc::new(Heard {
                pool: Arc::clone(pool),
                neighbours: Arc::clone(&neighbours),
            }),
            (None, false) => Arc::clone(&neighbours) as _,
            (None, true) => {
                let inner = Arc::clone(&neighbours) as _;
                Arc::new(DutiesOnce::new(inner, chain.slots_per_epoch, CacheMetrics::default()))
            }
        };
        let api = ValidatorApi::new(Parts {
            cluster: Arc::new(cluster),
            chain: Arc::new(chain),
            beacon,
            unsigned: Arc::clone(&neighbours) as _,
            aggregates: Arc::clone(&neighbours) as _,
            selections: Arc::clone(&neighbours) as _,
            partials: Arc::clone(&neighbours) as _,
            gate: DutyGate::new(Arc::clone(&neighbours) as _, timing),
            pubkeys: Arc::clone(&neighbours) as _,
            definitions: Arc::clone(&neighbours) as _,
            scheme,
            compute: Arc::new(Inline),
            entropy: Arc::new(OsEntropy),
            cx: CxSource::new(timing, CancellationToken::new(), CLUSTER_HASH),
        });
        let policy = Policy::new(
            life.clone(),
            Arc::new(SystemClock),
            timing,
            Arc::new(OsEntropy),
            None,
            StepMetrics::register(&mut registry),
        );
        api.submitted.to(
            policy.inline(StepName::ParSigDbStoreInternal),
            &neighbours,
            Neighbours::hear,
        );
        let seen = Arc::new(AtomicU64::new(0));
        let server = Server::new(
            Arc::new(api),
            Proxy::new(
                upstreams,
                fallbacks,
                pool.map(|pool| Arc::new(Standing(pool)) as _),
                &[],
            )
            .unwrap(),
            config,
            Metrics::register(&mut registry),
            Arc::clone(&seen),
            life.clone(),
        );
        Self {
            server: Arc::new(server),
            neighbours,
            registry,
            seen,
            life,
        }
    }

    pub(crate) fn know(&self, change: impl FnOnce(&mut Known)) {
        let mut known = self.neighbours.known.lock().unwrap();
        change(&mut known);
        known.now = known.now.after(known.slot_duration);
        // The scheduler resolves what the beacon node says.
        let mut definitions = std::mem::take(&mut known.definitions);
        for duty in &known.attesters {
            let set = definitions
                .entry(Duty::new(duty.slot, trireme_core::DutyType::Attester))
                .or_default();
            set.0.insert(PubKey(duty.pubkey.0), DutyDefinition::Attester(*duty));
        }
        for duty in &known.proposers {
            let set = definitions
                .entry(Duty::new(duty.slot, trireme_core::DutyType::Proposer))
                .or_default();
            set.0.insert(PubKey(duty.pubkey.0), DutyDefinition::Proposer(*duty));
        }
        for (slot, duty) in &known.contributors {
            let set = definitions
                .entry(Duty::new(*slot, trireme_core::DutyType::SyncContribution))
                .or_default();
            set.0.insert(PubKey(duty.pubkey.0), DutyDefinition::Sync(duty.clone()));
        }
        known.definitions = definitions;
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.neighbours.asked.lock().unwrap())
    }

    pub(crate) fn submitted(&self) -> Vec<(Duty, Arc<ParSignedDataSet>)> {
        std::mem::take(&mut self.neighbours.submitted.lock().unwrap())
    }

    pub(crate) fn requests_seen(&self) -> u64 {
        self.seen.load(Ordering::Relaxed)
    }

    pub(crate) fn metrics(&self) -> String {
        let mut out = String::new();
        prometheus_client::encoding::text::encode(&mut out, &self.registry).unwrap();
        out
    }

    /// Asks without a socket.
    pub(crate) async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Got {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Got::read(self.server.handle(request.body(body.into()).unwrap()).await).await
    }

    pub(crate) async fn get(&self, path: &str) -> Got {
        self.ask("GET", path, &[], Body::empty()).await
    }

    pub(crate) async fn post(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Got {
        let headers: Vec<_> = [("content-type", "application/json")]
            .iter()
            .chain(headers)
            .copied()
            .collect();
        self.ask("POST", path, &headers, body.to_string()).await
    }
}

/// An answer that has been read.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Got {
    pub(crate) async fn read(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        Self {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|v| v.to_str().ok())
    }

    /// Checks that this is an error body of the API; returns its message.
    pub(crate) fn error(&self, status: u16) -> String {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/json"));
        let body = self.json();
        assert_eq!(body["code"], json!(status), "{body}");
        assert_eq!(body.as_object().unwrap().len(), 2, "{body}");
        body["message"].as_str().unwrap().to_owned()
    }
}

/// Time limit of tests that wait for sockets.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
