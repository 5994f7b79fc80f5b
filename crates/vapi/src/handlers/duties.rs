//! Duties, as the beacon node gives them, under our public shares.

use axum::response::Response;
use serde::Serialize;
use trireme_core::validatorapi::Awaited;
use trireme_eth2::{Epoch, Root, SyncDuty, ValidatorIndex};

use crate::{
    asked::{Asked, ok},
    behind::Behind,
    error::ApiError,
};

#[derive(Serialize)]
struct DutiesAnswer<T> {
    dependent_root: Root,
    data: Vec<T>,
    execution_optimistic: bool,
}

pub(super) async fn attester_duties(behind: &Behind, asked: &Asked, awaited: &Awaited) -> Result<Response, ApiError> {
    let epoch = Epoch(asked.param(0, "epoch")?);
    let indices: Vec<ValidatorIndex> = asked.json()?;
    let answer = behind.api.attester_duties(epoch, indices, awaited).await?;
    ok(&DutiesAnswer {
        dependent_root: answer.dependent_root,
        data: answer.duties,
        execution_optimistic: answer.execution_optimistic,
    })
}

pub(super) async fn proposer_duties(behind: &Behind, asked: &Asked, awaited: &Awaited) -> Result<Response, ApiError> {
    let epoch = Epoch(asked.param(0, "epoch")?);
    let answer = behind.api.proposer_duties(epoch, awaited).await?;
    ok(&DutiesAnswer {
        dependent_root: answer.dependent_root,
        data: answer.duties,
        execution_optimistic: answer.execution_optimistic,
    })
}

#[derive(Serialize)]
struct SyncDutiesAnswer {
    execution_optimistic: bool,
    data: Vec<SyncDuty>,
}

pub(super) async fn sync_duties(behind: &Behind, asked: &Asked, awaited: &Awaited) -> Result<Response, ApiError> {
    let epoch = Epoch(asked.param(0, "epoch")?);
    let indices: Vec<ValidatorIndex> = asked.json()?;
    let data = behind.api.sync_duties(epoch, indices, awaited).await?;
    ok(&SyncDutiesAnswer {
        execution_optimistic: false,
        data,
    })
}
