//! Signed objects that nothing is agreed on before: sync committee messages, voluntary exits.

use axum::response::Response;
use trireme_core::validatorapi::Awaited;
use trireme_eth2::{SignedVoluntaryExit, SyncCommitteeMessage};

use crate::{
    asked::Asked,
    behind::Behind,
    error::{ApiError, empty},
};

pub(super) async fn sync_messages(behind: &Behind, asked: &Asked, awaited: &Awaited) -> Result<Response, ApiError> {
    let list: Vec<SyncCommitteeMessage> = asked.json()?;
    behind.api.submit_sync_messages(list, awaited).await?;
    Ok(empty())
}

pub(super) async fn exit(behind: &Behind, asked: &Asked, awaited: &Awaited) -> Result<Response, ApiError> {
    let exit: SignedVoluntaryExit = asked.json()?;
    behind.api.submit_exit(exit, awaited).await?;
    Ok(empty())
}
