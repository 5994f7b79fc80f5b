//! Questions: the three passes of vc-behaviours.md 1.1, with a second beacon node asked when the first takes long.
//!
//! Guarantees: nobody is asked twice for one question; a beacon node of another chain is never asked; of several
//! failures the one that says most about the question is returned.
//! Not here: what is asked (`face`).

use std::{future::Future, sync::Arc};

use futures::future::BoxFuture;
use tokio::time::Instant;
use trireme_core::ports::BeaconError;

use super::Shared;
use crate::{
    Status,
    calls::Call,
    endpoint::{Endpoint, Role},
    hedge::{Entrant, race},
};

/// How one beacon node is asked and its answer checked.
pub(super) type Asking<T> = Arc<dyn Fn(Arc<Endpoint>) -> BoxFuture<'static, Result<T, BeaconError>> + Send + Sync>;

pub(super) fn asking<T, F>(ask: impl Fn(Arc<Endpoint>) -> F + Send + Sync + 'static) -> Asking<T>
where
    F: Future<Output = Result<T, BeaconError>> + Send + 'static,
{
    Arc::new(move |endpoint| Box::pin(ask(endpoint)))
}

impl Shared {
    /// The first good answer, or the failure that says most.
    pub(super) async fn first<T: Send + 'static>(&self, call: Call, ask: &Asking<T>) -> Result<T, BeaconError> {
        let began = Instant::now();
        let result = self.three_passes(call, ask).await;
        self.metrics.request(call, began.elapsed(), result.is_ok());
        result
    }

    async fn three_passes<T: Send + 'static>(&self, call: Call, ask: &Asking<T>) -> Result<T, BeaconError> {
        let ranked = self.ranked(call);
        let mut failures = Vec::new();
        let (mut unsynced, mut left_out) = (Vec::new(), Vec::new());
        let mut synced = (Vec::new(), Vec::new());
        for endpoint in ranked {
            match (endpoint.status(), endpoint.role) {
                (Status::Ok, Role::Primary) => synced.0.push(endpoint),
                (Status::Ok, Role::Fallback) => synced.1.push(endpoint),
                (Status::NotSynced, _) => unsynced.push(endpoint),
                (Status::Offline | Status::Uninitialized, _) => left_out.push(endpoint),
                (Status::Incompatible, _) => {}
            }
        }
        for synced in [synced.0, synced.1] {
            let entrants = synced.into_iter().map(|who| entrant(call, who, ask)).collect();
            match race(entrants).await {
                Ok((who, answer)) => return Ok(self.answered(&who, answer)),
                Err(all) => failures.extend(all),
            }
        }
        for endpoint in unsynced {
            match endpoint.ask(call, run(ask, &endpoint)).await {
                Ok(answer) => return Ok(self.answered(&endpoint, answer)),
                Err(failure) => failures.push((endpoint, failure)),
            }
        }
        for endpoint in left_out {
            let usable = endpoint.status().usable() || endpoint.refresh(&self.chain, self.now()).await.usable();
            if !usable {
                let reason = format!("it is {}", endpoint.status().name());
                let address = endpoint.address().to_owned();
                failures.push((endpoint, BeaconError::Unreachable { address, reason }));
                continue;
            }
            match endpoint.ask(call, run(ask, &endpoint)).await {
                Ok(answer) => return Ok(self.answered(&endpoint, answer)),
                Err(failure) => failures.push((endpoint, failure)),
            }
        }
        Err(most_telling(
            call,
            failures.into_iter().map(|(_, failure)| failure).collect(),
        ))
    }

    fn answered<T>(&self, by: &Endpoint, answer: T) -> T {
        self.metrics.using_fallback(by.role == Role::Fallback);
        answer
    }
}

pub(super) fn run<T: Send + 'static>(
    ask: &Asking<T>,
    endpoint: &Arc<Endpoint>,
) -> impl FnOnce(Arc<crate::Client>) -> BoxFuture<'static, Result<T, BeaconError>> + Send + use<T> {
    let (ask, endpoint) = (Arc::clone(ask), Arc::clone(endpoint));
    move |_| ask(endpoint)
}

fn entrant<'a, T: Send + 'static>(
    call: Call,
    who: Arc<Endpoint>,
    ask: &Asking<T>,
) -> Entrant<'a, Arc<Endpoint>, T, BeaconError> {
    let (asked, run) = (Arc::clone(&who), run(ask, &who));
    Entrant {
        patience: who.latencies.patience(call),
        who,
        ask: Box::new(move || Box::pin(async move { asked.ask(call, run).await })),
    }
}

/// Of several failures the one that says most about the question: a refusal of it, then another refusal, then an answer
/// that was none, then silence. Between equals the first.
pub(super) fn most_telling(call: Call, failures: Vec<BeaconError>) -> BeaconError {
    if failures.len() > 1 {
        let all: Vec<_> = failures.iter().map(ToString::to_string).collect();
        tracing::debug!(
            call = call.label(),
            failures = all.join("; "),
            "No beacon node gave a good answer"
        );
    }
    let rank = |failure: &BeaconError| match failure {
        BeaconError::Status { status: 400..500, .. } => 0,
        BeaconError::Status { .. } => 1,
        BeaconError::Malformed { .. } => 2,
        BeaconError::Timeout { .. } => 3,
        BeaconError::Unreachable { .. } => 4,
    };
    failures
        .into_iter()
        .min_by_key(rank)
        .unwrap_or_else(|| BeaconError::Unreachable {
            address: "(all)".to_owned(),
            reason: "every configured beacon node is of another chain".to_owned(),
        })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn refusal_of_the_question_says_more_than_silence() {
        let refusal = BeaconError::Status {
            endpoint: "x",
            status: 400,
            message: "too far".into(),
        };
        let broken = BeaconError::Status {
            endpoint: "x",
            status: 500,
            message: "oops".into(),
        };
        let silent = BeaconError::Timeout {
            endpoint: "x",
            after: Duration::from_secs(1),
        };
        let all = vec![silent.clone(), broken.clone(), refusal.clone()];
        assert_eq!(most_telling(Call::Syncing, all), refusal);
        assert_eq!(most_telling(Call::Syncing, vec![silent, broken.clone()]), broken);
        assert!(matches!(
            most_telling(Call::Syncing, Vec::new()),
            BeaconError::Unreachable { .. }
        ));
    }
}
