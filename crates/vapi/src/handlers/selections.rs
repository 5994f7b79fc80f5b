//! Selection proofs: partial ones in, the cluster's whole ones out. Both wait for the other operators.

use axum::response::Response;
use trireme_core::validatorapi::Awaited;
use trireme_eth2::{BeaconCommitteeSelection, SyncCommitteeSelection};

use crate::{
    asked::{Asked, Data, ok},
    behind::Behind,
    error::ApiError,
};

pub(super) async fn beacon(behind: &Behind, asked: &Asked, awaited: &Awaited) -> Result<Response, ApiError> {
    let list: Vec<BeaconCommitteeSelection> = asked.json()?;
    behind.clients.selected();
    let limit = tokio::time::sleep_until(asked.until);
    let data = behind.api.beacon_committee_selections(list, limit, awaited).await?;
    ok(&Data { data })
}

pub(super) async fn sync(behind: &Behind, asked: &Asked, awaited: &Awaited) -> Result<Response, ApiError> {
    let list: Vec<SyncCommitteeSelection> = asked.json()?;
    behind.clients.selected();
    let limit = tokio::time::sleep_until(asked.until);
    let data = behind.api.sync_committee_selections(list, limit, awaited).await?;
    ok(&Data { data })
}
