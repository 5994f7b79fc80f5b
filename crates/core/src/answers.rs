//! Waiting questions between components, each as narrow as its use.
//!
//! Guarantees: every wait ends, with the value, with the end of the duty's time, or by being dropped.
//! Not here: the questions of the validator API (`validatorapi::questions`).

use std::sync::Arc;

use futures::future::BoxFuture;

use crate::{
    board::Board, data::SignedData, deadline::deadline, duty::Duty, ids::PubKey, ports::Clock, step::ErrorKind,
    time::SlotTiming,
};

/// Why a waiting question ended without a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// The duty's time is over; the value will not come.
    #[error("the duty has expired")]
    Expired,
    /// The node is stopping.
    #[error("the node is stopping")]
    Stopped,
}

impl NoAnswer {
    pub(crate) const fn kind(&self) -> ErrorKind {
        match self {
            Self::Expired => ErrorKind::Expired,
            Self::Stopped => ErrorKind::Stopped,
        }
    }
}

/// Waits for aggregated signatures (answered by `AggSigDb`).
pub trait AwaitAggregated: Send + Sync {
    /// The validator's aggregate for `duty` in a sync subcommittee; 0 for the duties that have no subcommittees.
    fn aggregated_in(
        &self,
        duty: Duty,
        validator: PubKey,
        subcommittee: u64,
    ) -> BoxFuture<'_, Result<Arc<SignedData>, NoAnswer>>;

    /// The validator's aggregate for `duty`, for example its randao reveal.
    fn aggregated(&self, duty: Duty, validator: PubKey) -> BoxFuture<'_, Result<Arc<SignedData>, NoAnswer>> {
        self.aggregated_in(duty, validator, 0)
    }
}

/// Waits for a board's key until the duty's time is over.
pub(crate) async fn until_deadline<K: Ord + Clone, V>(
    board: &Board<K, V>,
    key: K,
    duty: Duty,
    clock: &dyn Clock,
    timing: &SlotTiming,
) -> Result<Arc<V>, NoAnswer> {
    let over = async {
        match deadline(duty, timing) {
            Some(at) => clock.sleep_until(at).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! { biased;
        value = board.wait(key) => value.map_err(|_| NoAnswer::Expired),
        () = over => Err(NoAnswer::Expired),
    }
}
