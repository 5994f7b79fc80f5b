//! The questions of one beacon node's client.
//!
//! Guarantees: what comes back has the form asked for; what is not verified by an execution client is refused where the
//! node must not sign it (VC-61, VC-62).
//! Not here: whether an answer fits the question (`answers`), several beacon nodes (`pool`).

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use reqwest::Method;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use trireme_core::{
    ids::PubKey,
    ports::{BeaconError, Duties, ProduceBlock},
};
use trireme_eth2::{
    AttestationData, AttesterDuty, BeaconCommittee, Epoch, ForkedAttestation, ProposalResponse, ProposerDuty, Root,
    Slot, SyncCommitteeContribution, SyncDuty, SyncingStatus, ValidatorIndex, ValidatorInfo, Versioned as _,
    VersionedAttestation, VersionedSignedBlock,
};

use super::{
    Client, SMALL,
    forms::{Data, block_from_ssz, fork_of, from_json, hex, json_body, malformed, or_none},
};
use crate::{
    calls::Call,
    http::{Answer, Ask, JSON, SSZ_PREFERRED},
};

/// Largest answers in bytes: lists of an epoch; blocks with blobs.
const LIST: usize = 64 * 1024 * 1024;
const BLOCK: usize = 64 * 1024 * 1024;
/// A validator in an answer has about 450 bytes.
const VALIDATOR: usize = 2 * 1024;
/// Validators beyond this number get more time, each this much (validator-api.md 3.1).
const MANY_VALIDATORS: usize = 200;
const PER_VALIDATOR: Duration = Duration::from_millis(50);
/// A beacon node whose head is not verified is treated as one that is not synced.
const NOT_NOW: u16 = 503;

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

/// An answer with the flag that beacon nodes set when no execution client has verified their head.
#[derive(Deserialize)]
struct Flagged<T> {
    execution_optimistic: Option<bool>,
    data: T,
}

#[derive(Deserialize)]
struct Versions {
    execution_client: Option<ExecutionClient>,
}

/// The engine API's `ClientVersionV1`, without code and commit.
#[derive(Deserialize)]
struct ExecutionClient {
    name: String,
    version: String,
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

#[derive(Deserialize)]
struct Header {
    header: SignedHeader,
}

#[derive(Deserialize)]
struct SignedHeader {
    message: HeaderMessage,
}

#[derive(Deserialize)]
struct HeaderMessage {
    slot: Slot,
}

#[derive(Serialize)]
struct Ids {
    ids: Vec<String>,
}

impl Client {
    pub(crate) fn get(&self, call: Call) -> Ask {
        Ask {
            call,
            method: Method::GET,
            path: call.endpoint().trim_start_matches('/').to_owned(),
            query: Vec::new(),
            body: None,
            headers: Vec::new(),
            accept: JSON,
            limit: SMALL,
            time: self.timeouts.of(call),
            again: crate::http::Again::Always,
        }
    }

    /// A question whose parts are in a body.
    fn question<T: Serialize>(&self, call: Call, body: &T) -> Result<Ask, BeaconError> {
        let body = json_body(call, body)?;
        Ok(Ask {
            method: Method::POST,
            body: Some((JSON, body)),
            ..self.get(call)
        })
    }

    pub(crate) async fn read<T: DeserializeOwned>(&self, ask: Ask) -> Result<T, BeaconError> {
        let call = ask.call;
        let answer = self.http.ask(ask).await?;
        from_json(call, &answer.body)
    }

    pub(super) async fn version(&self) -> Result<String, BeaconError> {
        let Data {
            data: Version { version },
        } = self.read(self.get(Call::NodeVersion)).await?;
        self.metrics.version(self.address(), &version);
        Ok(version)
    }

    /// `GET /eth/v2/node/version`: notes the execution client behind the beacon node, if it tells. Many beacon nodes do not
    /// know the question, which is no failure.
    pub(crate) async fn note_execution_client(&self) {
        let answer = self.read(self.get(Call::ExecutionVersion)).await;
        if let Ok(Data {
            data: Versions {
                execution_client: Some(ExecutionClient { name, version }),
            },
        }) = answer
        {
            self.metrics.execution(self.address(), &format!("{name}/{version}"));
        }
    }

    pub(super) async fn sync_status(&self) -> Result<SyncingStatus, BeaconError> {
        self.read(self.get(Call::Syncing)).await.map(|Data { data }| data)
    }

    /// `GET /eth/v1/node/peer_count`: peers that the beacon node is connected with.
    ///
    /// # Errors
    ///
    /// If the answer cannot be had or read.
    pub async fn peer_count(&self) -> Result<u64, BeaconError> {
        let Data {
            data: Peers { connected },
        } = self.read(self.get(Call::PeerCount)).await?;
        let bad = |_| malformed(Call::PeerCount, "the number is none".to_owned());
        let connected = connected.parse().map_err(bad)?;
        self.metrics.peers(connected);
        Ok(connected)
    }

    pub(super) async fn find_validators(
        &self,
        state: String,
        keys: Vec<PubKey>,
    ) -> Result<Vec<ValidatorInfo>, BeaconError> {
        let ids = Ids {
            ids: keys.iter().map(ToString::to_string).collect(),
        };
        let more = u32::try_from(keys.len().saturating_sub(MANY_VALIDATORS)).unwrap_or(u32::MAX);
        let ask = Ask {
            path: format!("eth/v1/beacon/states/{state}/validators"),
            limit: keys.len().saturating_mul(VALIDATOR).saturating_add(SMALL),
            time: self
                .timeouts
                .of(Call::Validators)
                .saturating_add(PER_VALIDATOR.saturating_mul(more)),
            ..self.question(Call::Validators, &ids)?
        };
        let Data { data: mut found } = self.read::<Data<Vec<ValidatorInfo>>>(ask).await?;
        // A beacon node that ignores the list would hand us the whole chain's.
        let asked: BTreeSet<[u8; 48]> = keys.iter().map(|k| k.0).collect();
        found.retain(|v| asked.contains(&v.validator.pubkey.0));
        let found_keys: BTreeSet<[u8; 48]> = found.iter().map(|v| v.validator.pubkey.0).collect();
        if found_keys.len() != found.len() {
            return Err(malformed(Call::Validators, "a validator is in it twice".to_owned()));
        }
        Ok(found)
    }

    pub(super) async fn find_attester_duties(
        &self,
        epoch: Epoch,
        indices: Vec<ValidatorIndex>,
    ) -> Result<Duties<AttesterDuty>, BeaconError> {
        let ask = Ask {
            path: format!("eth/v1/validator/duties/attester/{}", epoch.0),
            limit: LIST,
            ..self.question(Call::AttesterDuties, &indices)?
        };
        self.read::<DutiesAnswer<AttesterDuty>>(ask).await.map(Duties::from)
    }

    pub(super) async fn find_proposer_duties(&self, epoch: Epoch) -> Result<Duties<ProposerDuty>, BeaconError> {
        let ask = Ask {
            path: format!("eth/v1/validator/duties/proposer/{}", epoch.0),
            ..self.get(Call::ProposerDuties)
        };
        self.read::<DutiesAnswer<ProposerDuty>>(ask).await.map(Duties::from)
    }

    pub(super) async fn find_sync_duties(
        &self,
        epoch: Epoch,
        indices: Vec<ValidatorIndex>,
    ) -> Result<Duties<SyncDuty>, BeaconError> {
        let ask = Ask {
            path: format!("eth/v1/validator/duties/sync/{}", epoch.0),
            limit: LIST,
            ..self.question(Call::SyncDuties, &indices)?
        };
        self.read::<DutiesAnswer<SyncDuty>>(ask).await.map(Duties::from)
    }

    pub(super) async fn find_aggregate(
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
            ..self.get(Call::Aggregate)
        };
        let attestation: ForkedAttestation = self.read(ask).await?;
        Ok(VersionedAttestation {
            validator_index: None,
            attestation,
        })
    }

    pub(super) async fn find_contribution(
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
            ..self.get(Call::Contribution)
        };
        self.read(ask).await.map(|Data { data }| data)
    }

    pub(super) async fn find_attestation_data(
        &self,
        slot: Slot,
        committee: u64,
    ) -> Result<AttestationData, BeaconError> {
        let ask = Ask {
            query: vec![("slot", slot.0.to_string()), ("committee_index", committee.to_string())],
            ..self.get(Call::AttestationData)
        };
        let answer: Flagged<AttestationData> = self.read(ask).await?;
        if self.refuse_optimistic && answer.execution_optimistic == Some(true) {
            return Err(optimistic(Call::AttestationData));
        }
        Ok(answer.data)
    }

    pub(super) async fn make_block(&self, wish: ProduceBlock) -> Result<ProposalResponse, BeaconError> {
        let mut ask = Ask {
            path: format!("eth/v3/validator/blocks/{}", wish.slot.0),
            query: vec![
                ("randao_reveal", format!("0x{}", hex::encode(wish.randao_reveal.0))),
                ("graffiti", hex(&wish.graffiti)),
                ("builder_boost_factor", wish.builder_boost_factor.to_string()),
            ],
            accept: SSZ_PREFERRED,
            limit: BLOCK,
            ..self.get(Call::ProduceBlock)
        };
        match self.http.ask(ask.clone()).await {
            Ok(answer) => block_of(&answer),
            // A beacon node from before the third version: its second one makes full blocks only (VC-26).
            Err(refusal @ BeaconError::Status { status: 404 | 405, .. }) => {
                ask.path = format!("eth/v2/validator/blocks/{}", wish.slot.0);
                ask.query.retain(|(name, _)| *name != "builder_boost_factor");
                match self.http.ask(ask).await {
                    Ok(answer) => block_of(&answer),
                    Err(_) => Err(refusal),
                }
            }
            Err(e) => Err(e),
        }
    }

    pub(super) async fn find_block_root(&self, slot: Slot) -> Result<Option<Root>, BeaconError> {
        let ask = Ask {
            path: format!("eth/v1/beacon/blocks/{}/root", slot.0),
            ..self.get(Call::BlockRoot)
        };
        let found = self.read::<Data<BlockRoot>>(ask).await;
        or_none(found.map(|Data { data }| data.root))
    }

    /// A head of which the beacon node does not say that it is verified is none to sign (VC-61).
    pub(super) async fn find_head_root(&self) -> Result<Root, BeaconError> {
        let found: Flagged<BlockRoot> = self.read(self.get(Call::HeadRoot)).await?;
        if found.execution_optimistic == Some(false) {
            Ok(found.data.root)
        } else {
            Err(optimistic(Call::HeadRoot))
        }
    }

    /// The slot of the block of this root, if the answer has it in its place; `None` if there is no such block.
    pub(crate) async fn find_header(&self, root: Root) -> Result<Option<Option<Slot>>, BeaconError> {
        let ask = Ask {
            path: format!("eth/v1/beacon/headers/{}", hex(&root)),
            ..self.get(Call::Header)
        };
        let Some(answer) = or_none(self.http.ask(ask).await)? else {
            return Ok(None);
        };
        let header = serde_json::from_slice::<Data<Header>>(&answer.body).ok();
        Ok(Some(header.map(|Data { data }| data.header.message.slot)))
    }

    pub(super) async fn find_block(&self, slot: Slot) -> Result<Option<Arc<VersionedSignedBlock>>, BeaconError> {
        let ask = Ask {
            path: format!("eth/v2/beacon/blocks/{}", slot.0),
            accept: SSZ_PREFERRED,
            limit: BLOCK,
            ..self.get(Call::Block)
        };
        let Some(answer) = or_none(self.http.ask(ask).await)? else {
            return Ok(None);
        };
        let block = if answer.is_ssz() {
            VersionedSignedBlock::decode_ssz(fork_of(Call::Block, &answer)?, &answer.body)
                .map_err(|e| malformed(Call::Block, e.to_string()))?
        } else {
            from_json(Call::Block, &answer.body)?
        };
        Ok(Some(Arc::new(block)))
    }

    pub(super) async fn find_committees(&self, slot: Slot) -> Result<Vec<BeaconCommittee>, BeaconError> {
        let ask = Ask {
            path: format!("eth/v1/beacon/states/{}/committees", slot.0),
            query: vec![("slot", slot.0.to_string())],
            limit: LIST,
            ..self.get(Call::Committees)
        };
        self.read(ask).await.map(|Data { data }| data)
    }
}

fn block_of(answer: &Answer) -> Result<ProposalResponse, BeaconError> {
    if answer.is_ssz() {
        block_from_ssz(Call::ProduceBlock, answer)
    } else {
        from_json(Call::ProduceBlock, &answer.body)
    }
}

/// The refusal of an answer that rests on a head which no execution client has verified.
pub(crate) fn optimistic(call: Call) -> BeaconError {
    BeaconError::Status {
        endpoint: call.endpoint(),
        status: NOT_NOW,
        message: "its execution client has not verified its head (optimistic), which must not be signed".to_owned(),
    }
}
