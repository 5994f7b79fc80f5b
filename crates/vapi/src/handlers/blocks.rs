//! Blocks out, signed blocks in; full and blinded, JSON and SSZ.

use axum::response::Response;
use http::{HeaderName, HeaderValue};
use serde::{Serialize, Serializer};
use trireme_core::validatorapi::Awaited;
use trireme_eth2::{BlsSignature, Fork, Slot, VersionedProposal, VersionedSignedProposal};

use crate::{
    accept::Encoding,
    asked::{Asked, ok, ssz},
    behind::Behind,
    error::{ApiError, empty},
    params::Query,
};

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

pub(super) async fn produce_block(behind: &Behind, asked: &Asked, awaited: &Awaited) -> Result<Response, ApiError> {
    let slot = Slot(asked.param(0, "slot")?);
    // Graffiti and the boost factor are settled by the cluster; whatever the client says of them does not matter.
    let randao = BlsSignature(Query::parse(&asked.query).hex("randao_reveal")?);
    let block = behind.api.produce_block(slot, randao, awaited).await?;
    let mut response = if asked.prefers_ssz {
        ssz(block.to_ssz())
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

pub(super) async fn submit_block(
    behind: &Behind,
    asked: &Asked,
    blinded: bool,
    awaited: &Awaited,
) -> Result<Response, ApiError> {
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
    behind.api.submit_proposal(block, awaited).await?;
    Ok(empty())
}
