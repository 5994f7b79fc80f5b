//! What each served endpoint does with a request: parameters, body, component, answer.
//!
//! Not here: what comes before and after every handler (`server`), the meaning of the calls (`core::validatorapi`).

use std::str::FromStr as _;

use axum::response::Response;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use serde::{Serialize, Serializer, de::DeserializeOwned};
use serde_json::value::RawValue;
use ssz::Decode as _;
use trireme_core::validatorapi::{Awaited, Ids, Refused, SingleFork, SubmittedAttestations, Told};
use trireme_eth2::{
    BlsPubkey, BlsSignature, CommitteeIndex, Epoch, Fork, ForkedAttestation, Root, SingleAttestation, Slot,
    ValidatorIndex, ValidatorInfo, ValidatorStatus, Versioned as _, VersionedProposal, VersionedSignedProposal, phase0,
};

use crate::{
    accept::Encoding,
    error::{ApiError, empty, json},
    later,
    params::{Query, uint},
    route::Endpoint,
    server::{Server, header_text},
};

/// A request whose body has been read.
pub(crate) struct Asked {
    pub(crate) endpoint: Endpoint,
    pub(crate) params: Vec<String>,
    pub(crate) query: String,
    /// `Eth-Consensus-Version`.
    pub(crate) version: Option<HeaderValue>,
    pub(crate) encoding: Encoding,
    pub(crate) prefers_ssz: bool,
    pub(crate) body: Bytes,
}

/// Answers a request of a served endpoint.
pub(crate) async fn answer(server: &Server, asked: Asked, awaited: &Awaited) -> Result<Response, ApiError> {
    match asked.endpoint {
        Endpoint::AttesterDuties => attester_duties(server, &asked, awaited).await,
        Endpoint::ProposerDuties | Endpoint::ProposerDutiesV2 => proposer_duties(server, &asked, awaited).await,
        Endpoint::AttestationData => attestation_data(server, &asked, awaited).await,
        Endpoint::SubmitAttestationsV2 => submit_attestations(server, &asked, awaited).await,
        Endpoint::GetValidators => validators(server, &asked, awaited).await,
        Endpoint::GetValidator => validator(server, &asked, awaited).await,
        Endpoint::ProposeBlockV3 => produce_block(server, &asked, awaited).await,
        Endpoint::SubmitProposalV1 | Endpoint::SubmitProposalV2 => submit_block(server, &asked, false, awaited).await,
        Endpoint::SubmitBlindedBlockV1 | Endpoint::SubmitBlindedBlockV2 => {
            submit_block(server, &asked, true, awaited).await
        }
        Endpoint::NodeVersion => ok(&Data {
            data: Version {
                version: &server.config.node_version,
            },
        }),
        Endpoint::SyncCommitteeDuties
        | Endpoint::SubmitVoluntaryExit
        | Endpoint::AggregateBeaconCommitteeSelections
        | Endpoint::AggregateAttestationV2
        | Endpoint::SubmitAggregateAndProofsV2
        | Endpoint::SubmitSyncCommitteeMessages
        | Endpoint::SyncCommitteeContribution
        | Endpoint::SubmitContributionAndProofs
        | Endpoint::AggregateSyncCommitteeSelections => later::answer(server, &asked, awaited).await,
        // The pipeline answers these itself.
        Endpoint::SubmitAttestations
        | Endpoint::ProposeBlock
        | Endpoint::ProposeBlindedBlock
        | Endpoint::SubmitValidatorRegistration
        | Endpoint::TekuProposerConfig
        | Endpoint::ProposerConfig
        | Endpoint::AggregateAttestation
        | Endpoint::SubmitAggregateAndProofs
        | Endpoint::SubmitProposalPreparations => Err(ApiError::not_found()),
    }
}

// === Duties

#[derive(Serialize)]
struct DutiesAnswer<T> {
    dependent_root: Root,
    data: Vec<T>,
    execution_optimistic: bool,
}

async fn attester_duties(server: &Server, asked: &Asked, awaited: &Awaited) -> Result<Response, ApiError> {
    let epoch = Epoch(asked.param(0, "epoch")?);
    let indices: Vec<ValidatorIndex> = asked.json()?;
    let answer = server.api.attester_duties(epoch, indices, awaited).await?;
    ok(&DutiesAnswer {
        dependent_root: answer.dependent_root,
        data: answer.duties,
        execution_optimistic: answer.execution_optimistic,
    })
}

async fn proposer_duties(server: &Server, asked: &Asked, awaited: &Awaited) -> Result<Response, ApiError> {
    let epoch = Epoch(asked.param(0, "epoch")?);
    let answer = server.api.proposer_duties(epoch, awaited).await?;
    ok(&DutiesAnswer {
        dependent_root: answer.dependent_root,
        data: answer.duties,
        execution_optimistic: answer.execution_optimistic,
    })
}

// === Attestations

async fn attestation_data(server: &Server, asked: &Asked, awaited: &Awaited) -> Result<Response, ApiError> {
    let query = Query::parse(&asked.query);
    let slot = Slot(query.uint("slot")?);
    let committee = CommitteeIndex(query.uint("committee_index")?);
    let data = server.api.attestation_data(slot, committee, awaited).await?;
    ok(&Data { data })
}

async fn submit_attestations(server: &Server, asked: &Asked, awaited: &Awaited) -> Result<Response, ApiError> {
    let fork = asked.fork()?;
    // The reference answers all of these with 500; the cause goes to the log.
    let bad = |why: String| ApiError::internal(format!("invalid {fork} attestations: {why}"));
    let submitted = match (SingleFork::of(fork), asked.encoding) {
        (Some(single), Encoding::Json) => SubmittedAttestations::Single(
            single,
            serde_json::from_slice(&asked.body).map_err(|e| bad(e.to_string()))?,
        ),
        (Some(single), Encoding::Ssz) => SubmittedAttestations::Single(
            single,
            Vec::<SingleAttestation>::from_ssz_bytes(&asked.body).map_err(|e| bad(format!("{e:?}")))?,
        ),
        (None, Encoding::Json) => {
            let raw: Vec<&RawValue> = serde_json::from_slice(&asked.body).map_err(|e| bad(e.to_string()))?;
            let all = raw
                .into_iter()
                .map(|one| ForkedAttestation::decode_json(fork, one.get()));
            SubmittedAttestations::Full(all.collect::<Result<_, _>>().map_err(|e| bad(e.to_string()))?)
        }
        (None, Encoding::Ssz) => {
            let all = Vec::<phase0::Attestation>::from_ssz_bytes(&asked.body).map_err(|e| bad(format!("{e:?}")))?;
            let wrap = |a: phase0::Attestation| match fork {
                Fork::Phase0 => Some(ForkedAttestation::Phase0(a)),
                Fork::Altair => Some(ForkedAttestation::Altair(a)),
                Fork::Bellatrix => Some(ForkedAttestation::Bellatrix(a)),
                Fork::Capella => Some(ForkedAttestation::Capella(a)),
                Fork::Deneb => Some(ForkedAttestation::Deneb(a)),
                Fork::Electra | Fork::Fulu => None,
            };
            SubmittedAttestations::Full(all.into_iter().filter_map(wrap).collect())
        }
    };
    server.api.submit_attestations(submitted, awaited).await?;
    Ok(empty())
}

// === Validators

#[derive(Serialize)]
struct StateAnswer<T> {
    execution_optimistic: bool,
    finalized: bool,
    data: T,
}

#[derive(serde::Deserialize, Default)]
struct ValidatorsBody {
    #[serde(default)]
    ids: Option<Vec<String>>,
    #[serde(default)]
    statuses: Option<Vec<String>>,
}

async fn validators(server: &Server, asked: &Asked, awaited: &Awaited) -> Result<Response, ApiError> {
    let query = Query::parse(&asked.query);
    let mut ids: Vec<String> = query.list("id").map(str::to_owned).collect();
    let mut statuses: Vec<String> = query
        .list("status")
        .chain(query.list("statuses"))
        .map(str::to_owned)
        .collect();
    if !asked.body.is_empty() {
        let body: ValidatorsBody = serde_json::from_slice(&asked.body)
            .map_err(|e| ApiError::internal(format!("getting validator ids from request body: {e}")))?;
        if ids.is_empty() {
            ids = body.ids.unwrap_or_default();
        }
        statuses.extend(body.statuses.unwrap_or_default());
    }
    let found = server
        .api
        .validators(asked.text(0), parse_ids(&ids)?, &parse_statuses(&statuses)?, awaited)
        .await?;
    ok(&StateAnswer {
        execution_optimistic: false,
        finalized: false,
        data: found,
    })
}

async fn validator(server: &Server, asked: &Asked, awaited: &Awaited) -> Result<Response, ApiError> {
    let id = [asked.text(1).to_owned()];
    let found = server
        .api
        .validators(asked.text(0), parse_ids(&id)?, &[], awaited)
        .await?;
    let mut found = found.into_iter();
    match (found.next(), found.next()) {
        (None, _) => Err(ApiError::not_found()),
        (Some(one), None) => ok(&StateAnswer::<ValidatorInfo> {
            execution_optimistic: false,
            finalized: false,
            data: one,
        }),
        (Some(_), Some(_)) => Err(ApiError::internal("expected one validator, got more")),
    }
}

/// The first identifier decides the kind of all. A foreign form is an internal error, as in the reference.
fn parse_ids(ids: &[String]) -> Result<Ids, ApiError> {
    let bad = |id: &String| ApiError::internal(format!("invalid validator id {:.100}", id));
    let Some(first) = ids.first() else { return Ok(Ids::All) };
    if first.starts_with("0x") {
        let keys = ids.iter().map(|id| BlsPubkey::from_str(id).map_err(|_| bad(id)));
        Ok(Ids::Keys(keys.collect::<Result<_, _>>()?))
    } else {
        let indices = ids
            .iter()
            .map(|id| uint("validator_id", id).map(ValidatorIndex).map_err(|_| bad(id)));
        Ok(Ids::Indices(indices.collect::<Result<_, _>>()?))
    }
}

/// Statuses by name; the beacon API also knows four names for groups of them.
fn parse_statuses(names: &[String]) -> Result<Vec<ValidatorStatus>, ApiError> {
    const ALL: [ValidatorStatus; 9] = [
        ValidatorStatus::PendingInitialized,
        ValidatorStatus::PendingQueued,
        ValidatorStatus::ActiveOngoing,
        ValidatorStatus::ActiveExiting,
        ValidatorStatus::ActiveSlashed,
        ValidatorStatus::ExitedUnslashed,
        ValidatorStatus::ExitedSlashed,
        ValidatorStatus::WithdrawalPossible,
        ValidatorStatus::WithdrawalDone,
    ];
    let mut out = Vec::new();
    for name in names {
        let name = name.to_ascii_lowercase();
        let named = |s: &ValidatorStatus| s.name() == name || s.name().split('_').next() == Some(name.as_str());
        let mut some = ALL.into_iter().filter(named).peekable();
        if some.peek().is_none() {
            return Err(ApiError::bad(format!("invalid validator status {name:.100}")));
        }
        out.extend(some);
    }
    Ok(out)
}

// === Blocks

/// What the block is said to be worth; a constant, so that the nodes of a cluster answer alike.
const VALUE: &str = "1";

#[derive(Serialize)]
struct BlockAnswer<'a> {
    execution_payload_blinded: bool,
    execution_payload_value: &'static str,
    consensus_block_value: &'static str,
    version: Fork,
    data: BlockData<'a>,
}

struct BlockData<'a>(&'a VersionedProposal);

impl Serialize for BlockData<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.0.serialize_data(s)
    }
}

async fn produce_block(server: &Server, asked: &Asked, awaited: &Awaited) -> Result<Response, ApiError> {
    let slot = Slot(asked.param(0, "slot")?);
    // Graffiti and the boost factor are settled by the cluster; whatever the client says of them does not matter.
    let randao = BlsSignature(Query::parse(&asked.query).hex("randao_reveal")?);
    let block = server.api.produce_block(slot, randao, awaited).await?;
    let mut response = if asked.prefers_ssz {
        let mut response = json(StatusCode::OK, block.to_ssz());
        response
            .headers_mut()
            .insert(http::header::CONTENT_TYPE, Encoding::Ssz.header());
        response
    } else {
        ok(&BlockAnswer {
            execution_payload_blinded: block.is_blinded(),
            execution_payload_value: VALUE,
            consensus_block_value: VALUE,
            version: block.fork(),
            data: BlockData(&block),
        })?
    };
    let headers = response.headers_mut();
    for (name, value) in [
        ("eth-consensus-version", block.fork().name()),
        (
            "eth-execution-payload-blinded",
            if block.is_blinded() { "true" } else { "false" },
        ),
        ("eth-execution-payload-value", VALUE),
        ("eth-consensus-block-value", VALUE),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    Ok(response)
}

async fn submit_block(server: &Server, asked: &Asked, blinded: bool, awaited: &Awaited) -> Result<Response, ApiError> {
    let fork = asked.fork()?;
    let block = match asked.encoding {
        Encoding::Ssz => VersionedSignedProposal::decode_ssz(fork, blinded, &asked.body).map_err(|e| e.to_string()),
        Encoding::Json => std::str::from_utf8(&asked.body)
            .map_err(|e| e.to_string())
            .and_then(|text| VersionedSignedProposal::decode_json(fork, blinded, text).map_err(|e| e.to_string())),
    };
    let block = block.map_err(|why| {
        let what = if blinded { "blinded block" } else { "block" };
        ApiError::internal(format!("invalid submitted {fork} {what}: {why}"))
    })?;
    server.api.submit_proposal(block, awaited).await?;
    Ok(empty())
}

// === Shared

#[derive(Serialize)]
pub(crate) struct Data<T> {
    pub(crate) data: T,
}

#[derive(Serialize)]
struct Version<'a> {
    version: &'a str,
}

/// 200 with a JSON body.
pub(crate) fn ok<T: Serialize>(value: &T) -> Result<Response, ApiError> {
    serde_json::to_vec(value)
        .map(|body| json(StatusCode::OK, body))
        .map_err(|e| ApiError::internal(format!("answer cannot be written as JSON: {e}")))
}

impl Asked {
    /// A path parameter as text; the route has as many as its handler asks for.
    pub(crate) fn text(&self, at: usize) -> &str {
        self.params.get(at).map_or("", String::as_str)
    }

    /// A path parameter that is a number.
    pub(crate) fn param(&self, at: usize, name: &str) -> Result<u64, ApiError> {
        uint(name, self.text(at))
    }

    /// The body as JSON, for handlers whose decoding errors reach the client.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        if self.body.is_empty() {
            return Err(ApiError::bad("empty request body"));
        }
        serde_json::from_slice(&self.body).map_err(|e| {
            let mut error = ApiError::bad("failed parsing json request body");
            error.cause = e.to_string();
            error
        })
    }

    /// The fork that the version header names. Without one the reference answers 500, where the official API has 400.
    pub(crate) fn fork(&self) -> Result<Fork, ApiError> {
        header_text(self.version.as_ref())
            .ok_or_else(|| ApiError::internal("missing consensus version header"))?
            .parse()
            .map_err(|e: trireme_eth2::UnknownFork| {
                ApiError::internal(format!("missing consensus version header: {e}"))
            })
    }
}

impl From<Refused> for ApiError {
    fn from(e: Refused) -> Self {
        match e.told() {
            Told::Beacon { status, message } => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
                Self {
                    status,
                    message,
                    cause: e.to_string(),
                }
            }
            Told::BadRequest => Self::bad(e.to_string()),
            Told::NotFound => Self::new(StatusCode::NOT_FOUND, e.to_string()),
            Told::TimedOut => Self::new(StatusCode::REQUEST_TIMEOUT, e.to_string()),
            Told::Stopping => Self::new(StatusCode::SERVICE_UNAVAILABLE, "the node is stopping"),
            Told::Internal => Self::internal(e.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_identifier_decides_the_kind_of_all() {
        let key = format!("0x{}", "ab".repeat(48));
        let ids = |list: &[&str]| parse_ids(&list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>());
        assert_eq!(ids(&[]), Ok(Ids::All));
        assert_eq!(ids(&[&key]), Ok(Ids::Keys(vec![BlsPubkey([0xab; 48])])));
        assert_eq!(
            ids(&["1", "2"]),
            Ok(Ids::Indices(vec![ValidatorIndex(1), ValidatorIndex(2)]))
        );
        for bad in [
            vec![key.as_str(), "1"],
            vec!["1", &key],
            vec!["0x12"],
            vec!["-1"],
            vec!["head"],
        ] {
            assert_eq!(
                ids(&bad).unwrap_err().status,
                StatusCode::INTERNAL_SERVER_ERROR,
                "{bad:?}"
            );
        }
    }

    #[test]
    fn statuses_are_names_or_groups() {
        let of = |list: &[&str]| parse_statuses(&list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&[]).unwrap(), []);
        assert_eq!(
            of(&["ACTIVE_slashed", "exited"]).unwrap(),
            [
                ValidatorStatus::ActiveSlashed,
                ValidatorStatus::ExitedUnslashed,
                ValidatorStatus::ExitedSlashed
            ]
        );
        assert_eq!(of(&["asleep"]).unwrap_err().status, StatusCode::BAD_REQUEST);
    }
}
