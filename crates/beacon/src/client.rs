//! The beacon API's calls of a node, over one beacon node.
//!
//! Guarantees: an answer is checked for its form before it is returned; a refusal keeps the beacon node's status and
//! words; reads that broke on the way are sent once more, submissions only if they were not received.
//! Not here: caches (`cache`), several beacon nodes.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures::future::BoxFuture;
use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::sync::broadcast;
use trireme_core::{
    ids::PubKey,
    ports::{BeaconError, BeaconNode, Duties, ProduceBlock},
};
use trireme_eth2::{
    AttestationData, AttesterDuty, BeaconCommittee, ChainEvent, Epoch, ExecutionAddress, Fork, ForkedAttestation,
    ProposalResponse, ProposerDuty, Root, SignedContributionAndProof, SignedValidatorRegistrationV1,
    SignedVoluntaryExit, SingleAttestation, Slot, SyncCommitteeContribution, SyncCommitteeMessage, SyncDuty,
    SyncingStatus, Uint256, ValidatorIndex, ValidatorInfo, Versioned as _, VersionedAttestation, VersionedProposal,
    VersionedSignedAggregateAndProof, VersionedSignedBlock, VersionedSignedProposal,
};
use url::Url;

use crate::{
    http::{AddressError, Again, Answer, Ask, Http, JSON, SSZ, SSZ_PREFERRED},
    metrics::Metrics,
};

/// Largest answers in bytes: most; lists of an epoch; blocks with blobs.
const SMALL: usize = 1024 * 1024;
const LIST: usize = 64 * 1024 * 1024;
const BLOCK: usize = 64 * 1024 * 1024;
/// A validator in an answer has about 450 bytes.
const VALIDATOR: usize = 2 * 1024;
/// Validators beyond this number get more time, each this much (validator-api.md 3.1).
const MANY_VALIDATORS: usize = 200;
const PER_VALIDATOR: Duration = Duration::from_millis(50);
/// Events that a slow reader may be behind.
const EVENTS: usize = 64;
/// Error texts of a beacon node that had the attestation already, which is what we want.
const KNOWN_ATTESTATION: &str = "PriorAttestationKnown";

/// How one beacon node is talked to.
#[derive(Clone)]
pub struct Config {
    /// Its address. User info becomes basic authentication.
    pub url: Url,
    /// Sent with every request.
    pub headers: Vec<(String, String)>,
    /// Time limits.
    pub timeouts: Timeouts,
}

/// Time limits of the classes of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Reads.
    pub read: Duration,
    /// Submissions.
    pub submit: Duration,
    /// Producing a block, for which the beacon node may have to wait for builders.
    pub block: Duration,
    /// What is asked once at start.
    pub start: Duration,
}

impl Timeouts {
    /// From the two that an operator sets: a block gets twice the time of a read.
    #[must_use]
    pub fn from_flags(read: Duration, submit: Duration) -> Self {
        Self {
            read,
            submit,
            block: read.saturating_mul(2),
            start: read.max(Duration::from_secs(10)),
        }
    }
}

/// One beacon node.
pub struct Client {
    pub(crate) http: Http,
    pub(crate) events: broadcast::Sender<ChainEvent>,
    pub(crate) metrics: Metrics,
    timeouts: Timeouts,
}

#[derive(Deserialize)]
pub(crate) struct Data<T> {
    pub(crate) data: T,
}

#[derive(Deserialize)]
struct DutiesAnswer<T> {
    /// Sync committee duties have none.
    #[serde(default)]
    dependent_root: Root,
    #[serde(default)]
    execution_optimistic: bool,
    data: Vec<T>,
}

impl<T> From<DutiesAnswer<T>> for Duties<T> {
    fn from(answer: DutiesAnswer<T>) -> Self {
        Self {
            dependent_root: answer.dependent_root,
            execution_optimistic: answer.execution_optimistic,
            duties: answer.data,
        }
    }
}

#[derive(Deserialize)]
struct Version {
    version: String,
}

#[derive(Deserialize)]
struct Peers {
    connected: String,
}

#[derive(Deserialize)]
struct BlockRoot {
    root: Root,
}

#[derive(Serialize)]
struct Ids {
    ids: Vec<String>,
}

#[derive(Serialize)]
struct Preparation {
    validator_index: ValidatorIndex,
    fee_recipient: ExecutionAddress,
}

impl Client {
    /// Makes no connection yet.
    ///
    /// # Errors
    ///
    /// If the address or a header cannot be used.
    pub fn new(config: &Config, metrics: Metrics) -> Result<Self, AddressError> {
        Ok(Self {
            http: Http::new(&config.url, &config.headers, metrics.clone())?,
            events: broadcast::channel(EVENTS).0,
            metrics,
            timeouts: config.timeouts,
        })
    }

    /// Address without credentials.
    #[must_use]
    pub fn address(&self) -> &str {
        self.http.address()
    }

    pub(crate) fn get(&self, endpoint: &'static str, label: &'static str) -> Ask {
        Ask {
            endpoint,
            label,
            method: Method::GET,
            path: endpoint.trim_start_matches('/').to_owned(),
            query: Vec::new(),
            body: None,
            headers: Vec::new(),
            accept: JSON,
            limit: SMALL,
            time: self.timeouts.read,
            again: Again::Always,
        }
    }

    pub(crate) const fn start_time(&self) -> Duration {
        self.timeouts.start
    }

    /// A question whose parts are in a body.
    fn question<T: Serialize>(
        &self,
        endpoint: &'static str,
        label: &'static str,
        body: &T,
    ) -> Result<Ask, BeaconError> {
        let body = json_body(endpoint, body)?;
        Ok(Ask {
            method: Method::POST,
            body: Some((JSON, body)),
            ..self.get(endpoint, label)
        })
    }

    fn submission(&self, endpoint: &'static str, label: &'static str, kind: &'static str, body: Bytes) -> Ask {
        Ask {
            method: Method::POST,
            body: Some((kind, body)),
            time: self.timeouts.submit,
            again: Again::Unsent,
            ..self.get(endpoint, label)
        }
    }

    pub(crate) async fn read<T: DeserializeOwned>(&self, ask: Ask) -> Result<T, BeaconError> {
        let endpoint = ask.endpoint;
        let answer = self.http.ask(ask).await?;
        from_json(endpoint, &answer.body)
    }

    async fn version(&self) -> Result<String, BeaconError> {
        let Data {
            data: Version { version },
        } = self.read(self.get("/eth/v1/node/version", "node_version")).await?;
        self.metrics.version(self.address(), &version);
        Ok(version)
    }

    /// `GET /eth/v1/node/peer_count`: peers that the beacon node is connected with.
    ///
    /// # Errors
    ///
    /// If the answer cannot be had or read.
    pub async fn peer_count(&self) -> Result<u64, BeaconError> {
        const ENDPOINT: &str = "/eth/v1/node/peer_count";
        let Data {
            data: Peers { connected },
        } = self.read(self.get(ENDPOINT, "node_peer_count")).await?;
        let bad = |_| BeaconError::Malformed {
            endpoint: ENDPOINT,
            reason: "the number is none".to_owned(),
        };
        let connected = connected.parse().map_err(bad)?;
        self.metrics.peers(connected);
        Ok(connected)
    }

    async fn find_validators(&self, state: String, keys: Vec<PubKey>) -> Result<Vec<ValidatorInfo>, BeaconError> {
        const ENDPOINT: &str = "/eth/v1/beacon/states/{state}/validators";
        let ids = Ids {
            ids: keys.iter().map(ToString::to_string).collect(),
        };
        let more = u32::try_from(keys.len().saturating_sub(MANY_VALIDATORS)).unwrap_or(u32::MAX);
        let ask = Ask {
            path: format!("eth/v1/beacon/states/{state}/validators"),
            limit: keys.len().saturating_mul(VALIDATOR).saturating_add(SMALL),
            time: self.timeouts.read.saturating_add(PER_VALIDATOR.saturating_mul(more)),
            ..self.question(ENDPOINT, "validators", &ids)?
        };
        let Data { data: mut found } = self.read::<Data<Vec<ValidatorInfo>>>(ask).await?;
        // A beacon node that ignores the list would hand us the whole chain's.
        let asked: BTreeSet<[u8; 48]> = keys.iter().map(|k| k.0).collect();
        found.retain(|v| asked.contains(&v.validator.pubkey.0));
        Ok(found)
    }

    async fn find_attester_duties(
        &self,
        epoch: Epoch,
        indices: Vec<ValidatorIndex>,
    ) -> Result<Duties<AttesterDuty>, BeaconError> {
        const ENDPOINT: &str = "/eth/v1/validator/duties/attester/{epoch}";
        let ask = Ask {
            path: format!("eth/v1/validator/duties/attester/{}", epoch.0),
            limit: LIST,
            ..self.question(ENDPOINT, "attester_duties", &indices)?
        };
        self.read::<DutiesAnswer<AttesterDuty>>(ask).await.map(Duties::from)
    }

    async fn find_proposer_duties(&self, epoch: Epoch) -> Result<Duties<ProposerDuty>, BeaconError> {
        let ask = Ask {
            path: format!("eth/v1/validator/duties/proposer/{}", epoch.0),
            ..self.get("/eth/v1/validator/duties/proposer/{epoch}", "proposer_duties")
        };
        self.read::<DutiesAnswer<ProposerDuty>>(ask).await.map(Duties::from)
    }

    async fn find_sync_duties(
        &self,
        epoch: Epoch,
        indices: Vec<ValidatorIndex>,
    ) -> Result<Duties<SyncDuty>, BeaconError> {
        let ask = Ask {
            path: format!("eth/v1/validator/duties/sync/{}", epoch.0),
            limit: LIST,
            ..self.question(
                "/eth/v1/validator/duties/sync/{epoch}",
                "sync_committee_duties",
                &indices,
            )?
        };
        self.read::<DutiesAnswer<SyncDuty>>(ask).await.map(Duties::from)
    }

    async fn find_aggregate(
        &self,
        slot: Slot,
        data_root: Root,
        committee: u64,
    ) -> Result<VersionedAttestation, BeaconError> {
        let ask = Ask {
            query: vec![
                ("slot", slot.0.to_string()),
                ("attestation_data_root", hex(&data_root)),
                ("committee_index", committee.to_string()),
            ],
            ..self.get("/eth/v2/validator/aggregate_attestation", "aggregate_attestation")
        };
        let attestation: ForkedAttestation = self.read(ask).await?;
        Ok(VersionedAttestation {
            validator_index: None,
            attestation,
        })
    }

    async fn find_contribution(
        &self,
        slot: Slot,
        subcommittee: u64,
        block: Root,
    ) -> Result<SyncCommitteeContribution, BeaconError> {
        let ask = Ask {
            query: vec![
                ("slot", slot.0.to_string()),
                ("subcommittee_index", subcommittee.to_string()),
                ("beacon_block_root", hex(&block)),
            ],
            ..self.get(
                "/eth/v1/validator/sync_committee_contribution",
                "sync_committee_contribution",
            )
        };
        self.read(ask).await.map(|Data { data }| data)
    }

    async fn find_attestation_data(&self, slot: Slot, committee: u64) -> Result<AttestationData, BeaconError> {
        let ask = Ask {
            query: vec![("slot", slot.0.to_string()), ("committee_index", committee.to_string())],
            ..self.get("/eth/v1/validator/attestation_data", "attestation_data")
        };
        self.read(ask).await.map(|Data { data }| data)
    }

    async fn make_block(&self, wish: ProduceBlock) -> Result<ProposalResponse, BeaconError> {
        const ENDPOINT: &str = "/eth/v3/validator/blocks/{slot}";
        let ask = Ask {
            path: format!("eth/v3/validator/blocks/{}", wish.slot.0),
            query: vec![
                ("randao_reveal", format!("0x{}", hex::encode(wish.randao_reveal.0))),
                ("graffiti", hex(&wish.graffiti)),
                ("builder_boost_factor", wish.builder_boost_factor.to_string()),
            ],
            accept: SSZ_PREFERRED,
            limit: BLOCK,
            time: self.timeouts.block,
            ..self.get(ENDPOINT, "proposal")
        };
        let answer = self.http.ask(ask).await?;
        if answer.is_ssz() {
            block_from_ssz(ENDPOINT, &answer)
        } else {
            from_json(ENDPOINT, &answer.body)
        }
    }

    async fn send_attestations(&self, atts: Vec<VersionedAttestation>) -> Result<(), BeaconError> {
        const ENDPOINT: &str = "/eth/v2/beacon/pool/attestations";
        for (fork, body) in attestation_bodies(ENDPOINT, &atts)? {
            let mut ask = self.submission(ENDPOINT, "submit_attestations", JSON, body);
            ask.headers.push(("eth-consensus-version", fork.name().to_owned()));
            match self.http.ask(ask).await {
                Ok(_) => {}
                Err(BeaconError::Status { message, .. }) if message.contains(KNOWN_ATTESTATION) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    async fn send_block(&self, block: Arc<VersionedSignedProposal>) -> Result<(), BeaconError> {
        let (endpoint, label) = if block.is_blinded() {
            ("/eth/v2/beacon/blinded_blocks", "submit_blinded_proposal")
        } else {
            ("/eth/v2/beacon/blocks", "submit_proposal")
        };
        let version = ("eth-consensus-version", block.fork().name().to_owned());
        let mut ask = self.submission(endpoint, label, SSZ, Bytes::from(block.to_ssz()));
        ask.headers.push(version.clone());
        let result = match self.http.ask(ask).await {
            Err(BeaconError::Status { status: 415, .. }) => {
                let body = json_body(endpoint, &BlockOnly(&block))?;
                let mut ask = self.submission(endpoint, label, JSON, body);
                ask.headers.push(version);
                self.http.ask(ask).await
            }
            result => result,
        };
        let answer = result?;
        if answer.status == StatusCode::ACCEPTED {
            let slot = block.slot().0;
            tracing::warn!(
                slot,
                "The beacon node sent the block on but could not validate it; it may not be included"
            );
        }
        Ok(())
    }

    async fn send_aggregates(&self, all: Vec<VersionedSignedAggregateAndProof>) -> Result<(), BeaconError> {
        const ENDPOINT: &str = "/eth/v2/validator/aggregate_and_proofs";
        let mut by_fork: BTreeMap<Fork, Vec<_>> = BTreeMap::new();
        for aggregate in &all {
            by_fork.entry(aggregate.fork()).or_default().push(aggregate.data_only());
        }
        for (fork, list) in by_fork {
            let mut ask = self.submission(
                ENDPOINT,
                "submit_aggregate_attestations",
                JSON,
                json_body(ENDPOINT, &list)?,
            );
            ask.headers.push(("eth-consensus-version", fork.name().to_owned()));
            self.http.ask(ask).await?;
        }
        Ok(())
    }

    /// Sends a JSON document of which the answer says nothing.
    async fn send<T: Serialize + Sync>(
        &self,
        endpoint: &'static str,
        label: &'static str,
        value: &T,
    ) -> Result<(), BeaconError> {
        let ask = self.submission(endpoint, label, JSON, json_body(endpoint, value)?);
        self.http.ask(ask).await.map(drop)
    }

    async fn send_preparations(&self, prep: Vec<(ValidatorIndex, [u8; 20])>) -> Result<(), BeaconError> {
        const ENDPOINT: &str = "/eth/v1/validator/prepare_beacon_proposer";
        let list: Vec<_> = prep
            .into_iter()
            .map(|(validator_index, to)| Preparation {
                validator_index,
                fee_recipient: ExecutionAddress(to),
            })
            .collect();
        let ask = self.submission(
            ENDPOINT,
            "submit_proposal_preparations",
            JSON,
            json_body(ENDPOINT, &list)?,
        );
        // The newest preparation counts: sending it twice changes nothing.
        self.http
            .ask(Ask {
                again: Again::Always,
                ..ask
            })
            .await
            .map(drop)
    }

    /// The root of the block with this name: a slot, or `head`.
    async fn find_block_root(&self, block: String) -> Result<Option<Root>, BeaconError> {
        let ask = Ask {
            path: format!("eth/v1/beacon/blocks/{block}/root"),
            ..self.get("/eth/v1/beacon/blocks/{slot}/root", "beacon_block_root")
        };
        let found = self.read::<Data<BlockRoot>>(ask).await;
        or_none(found.map(|Data { data }| data.root))
    }

    async fn find_head_root(&self) -> Result<Root, BeaconError> {
        let found = self.find_block_root("head".to_owned()).await?;
        found.ok_or_else(|| BeaconError::Malformed {
            endpoint: "/eth/v1/beacon/blocks/head/root",
            reason: "it says that there is no head".to_owned(),
        })
    }

    async fn find_block(&self, slot: Slot) -> Result<Option<Arc<VersionedSignedBlock>>, BeaconError> {
        const ENDPOINT: &str = "/eth/v2/beacon/blocks/{slot}";
        let ask = Ask {
            path: format!("eth/v2/beacon/blocks/{}", slot.0),
            accept: SSZ_PREFERRED,
            limit: BLOCK,
            ..self.get(ENDPOINT, "signed_beacon_block")
        };
        let Some(answer) = or_none(self.http.ask(ask).await)? else {
            return Ok(None);
        };
        let block = if answer.is_ssz() {
            VersionedSignedBlock::decode_ssz(fork_of(ENDPOINT, &answer)?, &answer.body)
                .map_err(|e| malformed(ENDPOINT, e.to_string()))?
        } else {
            from_json(ENDPOINT, &answer.body)?
        };
        Ok(Some(Arc::new(block)))
    }

    async fn find_committees(&self, slot: Slot) -> Result<Vec<BeaconCommittee>, BeaconError> {
        let ask = Ask {
            path: format!("eth/v1/beacon/states/{}/committees", slot.0),
            query: vec![("slot", slot.0.to_string())],
            limit: LIST,
            ..self.get("/eth/v1/beacon/states/{slot}/committees", "beacon_committees")
        };
        self.read(ask).await.map(|Data { data }| data)
    }
}

/// What is not there is an answer.
fn or_none<T>(result: Result<T, BeaconError>) -> Result<Option<T>, BeaconError> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(BeaconError::Status { status: 404, .. }) => Ok(None),
        Err(e) => Err(e),
    }
}

fn hex(root: &Root) -> String {
    format!("0x{}", hex::encode(root.0))
}

const fn malformed(endpoint: &'static str, reason: String) -> BeaconError {
    BeaconError::Malformed { endpoint, reason }
}

/// The fork that an answer in SSZ names in its header.
fn fork_of(endpoint: &'static str, answer: &Answer) -> Result<Fork, BeaconError> {
    const HEADER: &str = "eth-consensus-version";
    let name = answer
        .header(HEADER)
        .ok_or_else(|| malformed(endpoint, format!("the header {HEADER} is missing")))?;
    name.parse()
        .map_err(|e: trireme_eth2::UnknownFork| malformed(endpoint, e.to_string()))
}

/// Serialises as the signed block alone, without version.
struct BlockOnly<'a>(&'a VersionedSignedProposal);

impl Serialize for BlockOnly<'_> {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.0.serialize_data(s)
    }
}

pub(crate) fn from_json<T: DeserializeOwned>(endpoint: &'static str, body: &[u8]) -> Result<T, BeaconError> {
    serde_json::from_slice(body).map_err(|e| BeaconError::Malformed {
        endpoint,
        reason: e.to_string(),
    })
}

fn json_body<T: Serialize>(endpoint: &'static str, value: &T) -> Result<Bytes, BeaconError> {
    let reason = |e: serde_json::Error| BeaconError::Malformed {
        endpoint,
        reason: format!("the request: {e}"),
    };
    serde_json::to_vec(value).map(Bytes::from).map_err(reason)
}

/// A block in SSZ; what JSON says beside it is in headers.
pub(crate) fn block_from_ssz(endpoint: &'static str, answer: &Answer) -> Result<ProposalResponse, BeaconError> {
    let bad = |reason: String| malformed(endpoint, reason);
    let fork = fork_of(endpoint, answer)?;
    let blinded = answer
        .header("eth-execution-payload-blinded")
        .is_some_and(|v| v.eq_ignore_ascii_case("true"));
    let value = |name: &str| match answer.header(name) {
        Some(text) => text
            .parse::<Uint256>()
            .map_err(|e| bad(format!("the header {name}: {e}"))),
        None => Ok(Uint256::default()),
    };
    Ok(ProposalResponse {
        proposal: VersionedProposal::decode_ssz(fork, blinded, &answer.body).map_err(|e| bad(e.to_string()))?,
        execution_payload_value: value("eth-execution-payload-value")?,
        consensus_block_value: value("eth-consensus-block-value")?,
    })
}

/// One body per fork; from Electra on in the form of single votes.
fn attestation_bodies(
    endpoint: &'static str,
    atts: &[VersionedAttestation],
) -> Result<BTreeMap<Fork, Bytes>, BeaconError> {
    let mut by_fork: BTreeMap<Fork, Vec<&VersionedAttestation>> = BTreeMap::new();
    for att in atts {
        by_fork.entry(att.attestation.fork()).or_default().push(att);
    }
    let body = |(fork, atts): (Fork, Vec<&VersionedAttestation>)| {
        let bytes = if fork < Fork::Electra {
            json_body(
                endpoint,
                &atts.iter().map(|a| a.attestation.data_only()).collect::<Vec<_>>(),
            )?
        } else {
            let singles: Option<Vec<SingleAttestation>> = atts.iter().map(|a| a.to_single()).collect();
            let singles = singles.ok_or_else(|| BeaconError::Malformed {
                endpoint,
                reason: "the request: an attestation names no single validator and committee".to_owned(),
            })?;
            json_body(endpoint, &singles)?
        };
        Ok((fork, bytes))
    };
    by_fork.into_iter().map(body).collect()
}

impl BeaconNode for Client {
    fn node_version(&self) -> BoxFuture<'_, Result<String, BeaconError>> {
        Box::pin(self.version())
    }

    fn syncing(&self) -> BoxFuture<'_, Result<SyncingStatus, BeaconError>> {
        Box::pin(async {
            self.read(self.get("/eth/v1/node/syncing", "node_syncing"))
                .await
                .map(|Data { data }| data)
        })
    }

    fn validators(&self, state: &str, keys: &[PubKey]) -> BoxFuture<'_, Result<Vec<ValidatorInfo>, BeaconError>> {
        Box::pin(self.find_validators(state.to_owned(), keys.to_vec()))
    }

    fn attester_duties(
        &self,
        epoch: Epoch,
        indices: &[ValidatorIndex],
    ) -> BoxFuture<'_, Result<Duties<AttesterDuty>, BeaconError>> {
        Box::pin(self.find_attester_duties(epoch, indices.to_vec()))
    }

    fn proposer_duties(&self, epoch: Epoch) -> BoxFuture<'_, Result<Duties<ProposerDuty>, BeaconError>> {
        Box::pin(self.find_proposer_duties(epoch))
    }

    fn sync_duties(
        &self,
        epoch: Epoch,
        indices: &[ValidatorIndex],
    ) -> BoxFuture<'_, Result<Duties<SyncDuty>, BeaconError>> {
        Box::pin(self.find_sync_duties(epoch, indices.to_vec()))
    }

    fn aggregate_attestation(
        &self,
        slot: Slot,
        data_root: Root,
        committee: u64,
    ) -> BoxFuture<'_, Result<VersionedAttestation, BeaconError>> {
        Box::pin(self.find_aggregate(slot, data_root, committee))
    }

    fn sync_contribution(
        &self,
        slot: Slot,
        subcommittee: u64,
        block: Root,
    ) -> BoxFuture<'_, Result<SyncCommitteeContribution, BeaconError>> {
        Box::pin(self.find_contribution(slot, subcommittee, block))
    }

    fn attestation_data(&self, slot: Slot, committee: u64) -> BoxFuture<'_, Result<AttestationData, BeaconError>> {
        Box::pin(self.find_attestation_data(slot, committee))
    }

    fn produce_block(&self, ask: ProduceBlock) -> BoxFuture<'_, Result<ProposalResponse, BeaconError>> {
        Box::pin(self.make_block(ask))
    }

    fn submit_attestations(&self, atts: Vec<VersionedAttestation>) -> BoxFuture<'_, Result<(), BeaconError>> {
        Box::pin(self.send_attestations(atts))
    }

    fn submit_proposal(&self, block: Arc<VersionedSignedProposal>) -> BoxFuture<'_, Result<(), BeaconError>> {
        Box::pin(self.send_block(block))
    }

    fn prepare_proposers(&self, prep: Vec<(ValidatorIndex, [u8; 20])>) -> BoxFuture<'_, Result<(), BeaconError>> {
        Box::pin(self.send_preparations(prep))
    }

    fn submit_aggregates(
        &self,
        aggregates: Vec<VersionedSignedAggregateAndProof>,
    ) -> BoxFuture<'_, Result<(), BeaconError>> {
        Box::pin(self.send_aggregates(aggregates))
    }

    fn submit_sync_messages(&self, messages: Vec<SyncCommitteeMessage>) -> BoxFuture<'_, Result<(), BeaconError>> {
        const ENDPOINT: &str = "/eth/v1/beacon/pool/sync_committees";
        Box::pin(async move { self.send(ENDPOINT, "submit_sync_committee_messages", &messages).await })
    }

    fn submit_contributions(
        &self,
        contributions: Vec<SignedContributionAndProof>,
    ) -> BoxFuture<'_, Result<(), BeaconError>> {
        const ENDPOINT: &str = "/eth/v1/validator/contribution_and_proofs";
        Box::pin(async move {
            self.send(ENDPOINT, "submit_sync_committee_contributions", &contributions)
                .await
        })
    }

    fn submit_exit(&self, exit: SignedVoluntaryExit) -> BoxFuture<'_, Result<(), BeaconError>> {
        const ENDPOINT: &str = "/eth/v1/beacon/pool/voluntary_exits";
        Box::pin(async move { self.send(ENDPOINT, "submit_voluntary_exit", &exit).await })
    }

    fn submit_registrations(
        &self,
        registrations: Vec<SignedValidatorRegistrationV1>,
    ) -> BoxFuture<'_, Result<(), BeaconError>> {
        const ENDPOINT: &str = "/eth/v1/validator/register_validator";
        Box::pin(async move {
            self.send(ENDPOINT, "submit_validator_registrations", &registrations)
                .await
        })
    }

    fn block_root(&self, slot: Slot) -> BoxFuture<'_, Result<Option<Root>, BeaconError>> {
        Box::pin(self.find_block_root(slot.0.to_string()))
    }

    fn head_root(&self) -> BoxFuture<'_, Result<Root, BeaconError>> {
        Box::pin(self.find_head_root())
    }

    fn block(&self, slot: Slot) -> BoxFuture<'_, Result<Option<Arc<VersionedSignedBlock>>, BeaconError>> {
        Box::pin(self.find_block(slot))
    }

    fn committees(&self, slot: Slot) -> BoxFuture<'_, Result<Vec<BeaconCommittee>, BeaconError>> {
        Box::pin(self.find_committees(slot))
    }

    fn events(&self) -> broadcast::Receiver<ChainEvent> {
        self.events.subscribe()
    }
}
