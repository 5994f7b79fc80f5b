//! The requests of a stock client.

use std::time::Duration;

use reqwest::{Client, Method, Response, header};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use trireme_eth2::{
    AttestationData, AttesterDuty, BlsPubkey, BlsSignature, Epoch, Fork, ForkVersion, Genesis, ProposalResponse,
    ProposerDuty, Slot, ValidatorIndex, ValidatorInfo, VersionedProposal, VersionedSignedProposal,
};

use crate::judge::ChainConfig;

/// How long a client waits for an answer: nodes hold requests for up to ten seconds.
const PATIENCE: Duration = Duration::from_secs(12);

/// A request that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiFailure {
    /// No answer.
    #[error("{what}: {reason}")]
    NoAnswer {
        /// The request.
        what: &'static str,
        /// What happened, without numbers that differ each time.
        reason: &'static str,
    },
    /// An error.
    #[error("{what}: {status} {message}")]
    Status {
        /// The request.
        what: &'static str,
        /// HTTP status.
        status: u16,
        /// The node's message.
        message: String,
    },
    /// An answer that cannot be read.
    #[error("{what}: the answer cannot be read: {reason}")]
    Malformed {
        /// The request.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

/// A node's validator API.
#[derive(Debug)]
pub(super) struct Api {
    client: Client,
    base: String,
}

#[derive(Debug, Deserialize)]
struct Data<T> {
    data: T,
}

impl Api {
    #[expect(
        clippy::expect_used,
        reason = "a client without options is only refused without TLS provider, which is set before"
    )]
    pub(super) fn new(base: String) -> Self {
        // Somebody else may have installed one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .timeout(PATIENCE)
            .no_proxy()
            .build()
            .expect("a plain HTTP client");
        Self {
            client,
            base: base.trim_end_matches('/').to_owned(),
        }
    }

    async fn send(&self, what: &'static str, request: reqwest::RequestBuilder) -> Result<Response, ApiFailure> {
        let reason = |e: &reqwest::Error| match (e.is_timeout(), e.is_connect()) {
            (true, _) => "no answer in time",
            (false, true) => "no connection",
            (false, false) => "the connection broke",
        };
        let answer = request.send().await.map_err(|e| ApiFailure::NoAnswer {
            what,
            reason: reason(&e),
        })?;
        let status = answer.status().as_u16();
        if answer.status().is_success() {
            return Ok(answer);
        }
        let body = answer.text().await.unwrap_or_default();
        let message = serde_json::from_str::<Value>(&body)
            .ok()
            .and_then(|v| Some(v.get("message")?.as_str()?.to_owned()));
        Err(ApiFailure::Status {
            what,
            status,
            message: message.unwrap_or(body),
        })
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    async fn bytes(&self, what: &'static str, request: reqwest::RequestBuilder) -> Result<Vec<u8>, ApiFailure> {
        let answer = self.send(what, request).await?;
        let body = answer.bytes().await;
        Ok(body
            .map_err(|_| ApiFailure::NoAnswer {
                what,
                reason: "the answer broke off",
            })?
            .to_vec())
    }

    async fn get<T: DeserializeOwned>(&self, what: &'static str, path: &str) -> Result<T, ApiFailure> {
        let body = self.bytes(what, self.request(Method::GET, path)).await?;
        Ok(read::<Data<T>>(what, &body)?.data)
    }

    async fn post<T: DeserializeOwned>(&self, what: &'static str, path: &str, body: &Value) -> Result<T, ApiFailure> {
        let answer = self.bytes(what, self.request(Method::POST, path).json(body)).await?;
        Ok(read::<Data<T>>(what, &answer)?.data)
    }

    /// The chain as genesis and spec describe it, without validators.
    pub(super) async fn chain(&self) -> Result<ChainConfig, ApiFailure> {
        let genesis: Genesis = self.get("genesis", "/eth/v1/beacon/genesis").await?;
        let spec: Map<String, Value> = self.get("spec", "/eth/v1/config/spec").await?;
        let text = |key: &str| spec.get(key).and_then(Value::as_str);
        let missing = |key: &str| ApiFailure::Malformed {
            what: "spec",
            reason: format!("{key} is missing"),
        };
        let number = |key: &str| {
            text(key)
                .and_then(|v| v.parse::<u64>().ok())
                .ok_or_else(|| missing(key))
        };
        let mut forks = Vec::new();
        for fork in Fork::ALL {
            let name = fork.name().to_uppercase();
            let (version, epoch) = match fork {
                Fork::Phase0 => ("GENESIS_FORK_VERSION".to_owned(), 0),
                Fork::Altair | Fork::Bellatrix | Fork::Capella | Fork::Deneb | Fork::Electra | Fork::Fulu => {
                    (format!("{name}_FORK_VERSION"), number(&format!("{name}_FORK_EPOCH"))?)
                }
            };
            let version: ForkVersion = text(&version)
                .and_then(|v| v.parse().ok())
                .ok_or_else(|| missing(&version))?;
            forks.push((fork, version, Epoch(epoch)));
        }
        Ok(ChainConfig {
            name: text("CONFIG_NAME").unwrap_or_default().to_owned(),
            genesis_time: Duration::from_secs(genesis.genesis_time),
            seconds_per_slot: number("SECONDS_PER_SLOT")?.max(1),
            slots_per_epoch: number("SLOTS_PER_EPOCH")?.max(1),
            forks,
            genesis_validators_root: genesis.genesis_validators_root,
            validators: Vec::new(),
            blobs_per_block: 0,
            deposit_chain_id: 0,
        })
    }

    /// The validators with these keys, as the node sees them.
    pub(super) async fn validators(&self, keys: &[BlsPubkey]) -> Result<Vec<ValidatorInfo>, ApiFailure> {
        let ask = json!({"ids": keys, "statuses": ["active_ongoing"]});
        self.post("validators", "/eth/v1/beacon/states/head/validators", &ask)
            .await
    }

    pub(super) async fn attester_duties(
        &self,
        epoch: Epoch,
        indices: &[ValidatorIndex],
    ) -> Result<Vec<AttesterDuty>, ApiFailure> {
        let path = format!("/eth/v1/validator/duties/attester/{epoch}");
        self.post("attester duties", &path, &json!(indices)).await
    }

    pub(super) async fn proposer_duties(&self, epoch: Epoch) -> Result<Vec<ProposerDuty>, ApiFailure> {
        self.get("proposer duties", &format!("/eth/v1/validator/duties/proposer/{epoch}"))
            .await
    }

    /// The data with the body that it came in.
    pub(super) async fn attestation_data(
        &self,
        slot: Slot,
        committee: u64,
    ) -> Result<(AttestationData, Vec<u8>), ApiFailure> {
        let what = "attestation data";
        let path = format!("/eth/v1/validator/attestation_data?slot={slot}&committee_index={committee}");
        let body = self.bytes(what, self.request(Method::GET, &path)).await?;
        Ok((read::<Data<AttestationData>>(what, &body)?.data, body))
    }

    /// A block to sign with the body that it came in; SSZ is preferred.
    pub(super) async fn block(
        &self,
        slot: Slot,
        randao: BlsSignature,
    ) -> Result<(VersionedProposal, Vec<u8>), ApiFailure> {
        let what = "block";
        let malformed = |reason: String| ApiFailure::Malformed { what, reason };
        let path = format!("/eth/v3/validator/blocks/{slot}?randao_reveal={randao}&builder_boost_factor=0");
        let request = self.request(Method::GET, &path);
        let request = request.header(header::ACCEPT, "application/octet-stream;q=1.0,application/json;q=0.9");
        let answer = self.send(what, request).await?;
        let field = |name: &str| {
            answer
                .headers()
                .get(name)
                .and_then(|v| v.to_str().ok())
                .unwrap_or_default()
                .to_owned()
        };
        let is_ssz = field("content-type").starts_with("application/octet-stream");
        let (version, blinded) = (
            field("eth-consensus-version"),
            field("eth-execution-payload-blinded") == "true",
        );
        let body = answer.bytes().await;
        let body = body
            .map_err(|_| ApiFailure::NoAnswer {
                what,
                reason: "the answer broke off",
            })?
            .to_vec();
        let proposal = if is_ssz {
            let fork = version.parse().map_err(|e| malformed(format!("{e}")))?;
            VersionedProposal::decode_ssz(fork, blinded, &body).map_err(|e| malformed(e.to_string()))?
        } else {
            read::<ProposalResponse>(what, &body)?.proposal
        };
        Ok((proposal, body))
    }

    pub(super) async fn submit_attestations(&self, fork: Fork, list: &Value) -> Result<(), ApiFailure> {
        let request = self
            .request(Method::POST, "/eth/v2/beacon/pool/attestations")
            .json(list);
        self.send("attestations", request.header("eth-consensus-version", fork.name()))
            .await?;
        Ok(())
    }

    pub(super) async fn publish(&self, block: &VersionedSignedProposal) -> Result<(), ApiFailure> {
        let path = if block.is_blinded() {
            "/eth/v2/beacon/blinded_blocks"
        } else {
            "/eth/v2/beacon/blocks"
        };
        let request = self.request(Method::POST, path).body(block.to_ssz());
        let request = request.header(header::CONTENT_TYPE, "application/octet-stream");
        self.send("publish", request.header("eth-consensus-version", block.fork().name()))
            .await?;
        Ok(())
    }

    pub(super) async fn prepare(&self, indices: &[ValidatorIndex]) -> Result<(), ApiFailure> {
        let recipient = "0x4242424242424242424242424242424242424242";
        let entry = |index: &ValidatorIndex| json!({"validator_index": index, "fee_recipient": recipient});
        let list: Value = indices.iter().map(entry).collect();
        let request = self
            .request(Method::POST, "/eth/v1/validator/prepare_beacon_proposer")
            .json(&list);
        self.send("preparation", request).await?;
        Ok(())
    }

    /// Opens the stream of head events; it has no end of its own.
    pub(super) async fn events(&self) -> Result<Response, ApiFailure> {
        let request = self.request(Method::GET, "/eth/v1/events?topics=head");
        let request = request
            .header(header::ACCEPT, "text/event-stream")
            .timeout(Duration::from_secs(24 * 3600));
        self.send("events", request).await
    }
}

fn read<T: DeserializeOwned>(what: &'static str, body: &[u8]) -> Result<T, ApiFailure> {
    serde_json::from_slice(body).map_err(|e| ApiFailure::Malformed {
        what,
        reason: e.to_string(),
    })
}
