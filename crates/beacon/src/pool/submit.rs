//! Submissions: to all beacon nodes at once; one that takes it is enough (vc-behaviours.md 1.1, VC-01, VC-15).
//!
//! Guarantees: the caller hears of the first success while the others are still being told; each failure is counted for
//! its beacon node and told with its address; a beacon node that was left out is looked at and told too; fallbacks are
//! told when no primary one has taken it in time, or at once where the operator wants so.
//! Not here: retries (`core::step`).

use std::{sync::Arc, time::Duration};

use tokio::{sync::mpsc, time::Instant};
use trireme_core::ports::BeaconError;

use super::{
    Shared, Topic,
    read::{Asking, most_telling, run},
};
use crate::{
    Status,
    calls::Call,
    endpoint::{Endpoint, Role},
};

/// The part of a slot after which fallbacks are told of what no primary beacon node has taken: 1 of 12 seconds.
const PATIENCE: u32 = 12;

/// The part of a slot for which the last look at a beacon node that was left out holds while others can be used.
const LOOK_AGAIN: u32 = 2;

type Answers = mpsc::Sender<(Role, Result<(), BeaconError>)>;

impl Shared {
    /// Tells all beacon nodes.
    pub(super) async fn to_all(
        self: &Arc<Self>,
        call: Call,
        topic: Option<Topic>,
        send: &Asking<()>,
    ) -> Result<(), BeaconError> {
        let began = Instant::now();
        let result = self.tell_all(call, topic, send).await;
        self.metrics.request(call, began.elapsed(), result.is_ok());
        result
    }

    async fn tell_all(
        self: &Arc<Self>,
        call: Call,
        topic: Option<Topic>,
        send: &Asking<()>,
    ) -> Result<(), BeaconError> {
        let (answers, mut answered) = mpsc::channel(self.endpoints.len().max(1));
        let mut open = 0_usize;
        let fallbacks_too = topic.is_some_and(|t| self.broadcast.has(t));
        let mut later = Vec::new();
        for endpoint in &self.endpoints {
            if endpoint.status() == Status::Incompatible {
                continue;
            }
            if endpoint.role == Role::Fallback && !fallbacks_too {
                later.push(Arc::clone(endpoint));
                continue;
            }
            self.tell(call, endpoint, send, &answers);
            open = open.saturating_add(1);
        }
        let patience = self
            .timing
            .slot_duration
            .checked_div(PATIENCE)
            .unwrap_or(Duration::ZERO);
        let patience = tokio::time::sleep(patience);
        tokio::pin!(patience);
        let mut failures = Vec::new();
        let mut answers = Some(answers);
        loop {
            if open == 0 && later.is_empty() {
                return Err(most_telling(call, failures));
            }
            let all_failed = open == 0;
            if all_failed || (patience.is_elapsed() && !later.is_empty()) {
                for endpoint in std::mem::take(&mut later) {
                    if let Some(answers) = &answers {
                        self.tell(call, &endpoint, send, answers);
                        open = open.saturating_add(1);
                    }
                }
            }
            if later.is_empty() {
                // Only those that are told hold the channel, so that it ends with them.
                answers = None;
            }
            tokio::select! { biased;
                answer = answered.recv() => match answer {
                    Some((role, Ok(()))) => {
                        self.metrics.using_fallback(role == Role::Fallback);
                        return Ok(());
                    }
                    Some((_, Err(failure))) => {
                        open = open.saturating_sub(1);
                        failures.push(failure);
                    }
                    None if failures.is_empty() => {
                        return Err(BeaconError::Unreachable {
                            address: "(all)".to_owned(),
                            reason: "the node stops".to_owned(),
                        });
                    }
                    None => return Err(most_telling(call, failures)),
                },
                () = &mut patience, if !later.is_empty() => {}
            }
        }
    }

    /// Tells one beacon node, to the end even if the caller has heard enough.
    fn tell(self: &Arc<Self>, call: Call, endpoint: &Arc<Endpoint>, send: &Asking<()>, answers: &Answers) {
        let (shared, endpoint, answers) = (Arc::clone(self), Arc::clone(endpoint), answers.clone());
        let run = run(send, &endpoint);
        self.life.task("submission to a beacon node", async move {
            let result = if shared.is_worth_telling(&endpoint).await {
                let result = endpoint.ask(call, run).await;
                if let Err(error) = &result {
                    let (address, what) = (endpoint.address(), call.label());
                    tracing::warn!(address, what, %error, "A beacon node did not take it");
                }
                result
            } else {
                // That it is away has been told already.
                Err(BeaconError::Unreachable {
                    address: endpoint.address().to_owned(),
                    reason: format!("it is {}", endpoint.status().name()),
                })
            };
            // Nobody listens any more once one of them has taken it.
            let _ = answers.try_send((endpoint.role, result));
        });
    }

    /// Whether it may be used. One that was left out is looked at again; if others can be used, not at every submission.
    async fn is_worth_telling(&self, endpoint: &Endpoint) -> bool {
        if endpoint.status().usable() {
            return true;
        }
        let others = self.endpoints.iter().any(|e| e.status() == Status::Ok);
        let often = self.timing.slot_duration.checked_div(LOOK_AGAIN).unwrap_or_default();
        if others && endpoint.looked_ago().is_some_and(|ago| ago < often) {
            return false;
        }
        endpoint.refresh(&self.chain, self.now()).await.usable()
    }
}
