//! Validators by our public share or by index, filtered by status.

use std::str::FromStr as _;

use axum::response::Response;
use serde::Serialize;
use trireme_core::validatorapi::{Awaited, Ids};
use trireme_eth2::{BlsPubkey, ValidatorIndex, ValidatorInfo, ValidatorStatus};

use crate::{
    asked::{Asked, ok},
    behind::Behind,
    error::ApiError,
    params::{Query, uint},
};

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

pub(super) async fn validators(behind: &Behind, asked: &Asked, awaited: &Awaited) -> Result<Response, ApiError> {
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
    let found = behind
        .api
        .validators(asked.text(0), parse_ids(&ids)?, &parse_statuses(&statuses)?, awaited)
        .await?;
    ok(&StateAnswer {
        execution_optimistic: false,
        finalized: false,
        data: found,
    })
}

pub(super) async fn validator(behind: &Behind, asked: &Asked, awaited: &Awaited) -> Result<Response, ApiError> {
    let id = [asked.text(1).to_owned()];
    let found = behind
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

#[cfg(test)]
mod tests {
    use http::StatusCode;

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
