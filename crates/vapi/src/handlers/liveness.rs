//! Liveness, which validator clients ask for before they begin to sign: is somebody else signing with my keys?
//!
//! Behind a cluster somebody else is: the other operators' shares keep the validator going while one validator client
//! restarts, and the chain shows the whole validator only. So the cluster's own validators are never said to be live; no
//! share can double another one, as every node refuses a second signature of a share. Other validators are asked about
//! at the beacon node.

use axum::response::Response;
use http::{HeaderMap, Method, header};
use serde::{Deserialize, Serialize};
use trireme_core::validatorapi::Awaited;
use trireme_eth2::ValidatorIndex;

use crate::{
    accept::Encoding,
    asked::{Asked, Data, ok},
    behind::Behind,
    error::ApiError,
    limits,
    proxy::Passed,
};

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Live {
    index: ValidatorIndex,
    is_live: bool,
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<Live>,
}

#[derive(Deserialize)]
struct Message {
    message: String,
}

pub(super) async fn liveness(behind: &Behind, asked: &Asked, awaited: &Awaited) -> Result<Response, ApiError> {
    let epoch = asked.param(0, "epoch")?;
    let indices: Vec<ValidatorIndex> = asked.json()?;
    let (mut data, mut others) = (Vec::with_capacity(indices.len()), Vec::new());
    for index in indices {
        if behind.api.is_member(index, awaited).await? {
            data.push(Live { index, is_live: false });
        } else {
            others.push(index);
        }
    }
    if !others.is_empty() {
        awaited.set(format!("the beacon node's liveness of epoch {epoch}"));
        data.extend(ask(behind, epoch, &others).await?);
    }
    ok(&Data { data })
}

async fn ask(behind: &Behind, epoch: u64, indices: &[ValidatorIndex]) -> Result<Vec<Live>, ApiError> {
    let unreadable = |why: String| ApiError::internal(format!("the beacon node's liveness of epoch {epoch}: {why}"));
    let body = serde_json::to_vec(indices).map_err(|e| ApiError::internal(e.to_string()))?;
    let passed = Passed {
        method: Method::POST,
        path_and_query: format!("/eth/v1/validator/liveness/{epoch}"),
        headers: HeaderMap::from_iter([
            (header::CONTENT_TYPE, Encoding::Json.header()),
            (header::ACCEPT, Encoding::Json.header()),
        ]),
        body: body.into(),
    };
    let answer = behind
        .proxy
        .pass(&passed)
        .await
        .map_err(|e| unreadable(e.to_string()))?;
    let status = answer.status();
    let body = axum::body::to_bytes(answer.into_body(), limits::MAX_READ_ANSWER)
        .await
        .map_err(|e| unreadable(e.to_string()))?;
    if status.is_client_error() {
        let message = serde_json::from_slice::<Message>(&body).map(|m| m.message);
        return Err(ApiError::new(
            status,
            message.unwrap_or_else(|_| "the beacon node refused".to_owned()),
        ));
    }
    let answer: Answer = serde_json::from_slice(&body).map_err(|e| unreadable(format!("({status}) {e}")))?;
    Ok(answer.data)
}
