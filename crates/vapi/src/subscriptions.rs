//! Subscriptions to committees: every beacon node is to have them, since any may have to make the aggregate (VC-01).
//!
//! Guarantees: each beacon node that may be used is told once, to the end, whatever the others and the client do; one
//! that was left out is looked at first; a beacon node that does not take it is named in one warning; the client hears
//! of the first success once the others have had a second more.
//! Not here: one exchange with a beacon node (`proxy`).

use std::{collections::BTreeSet, sync::Arc};

use axum::response::Response;
use http::Method;
use tokio::{sync::mpsc, time::Instant};
use trireme_core::life::Life;

use crate::{
    limits,
    proxy::{NoneAnswered, Passed, Proxy, streamed},
};

type Answers = mpsc::Sender<(usize, Result<reqwest::Response, String>)>;

impl Passed {
    /// Whether this is a subscription to a committee.
    pub(crate) fn subscribes(&self) -> bool {
        let (path, _) = self
            .path_and_query
            .split_once('?')
            .unwrap_or((&self.path_and_query, ""));
        self.method == Method::POST && path.ends_with("_committee_subscriptions")
    }
}

impl Proxy {
    /// Tells every beacon node, each in a task of `life`. `held` is kept until the last one has been told.
    pub(crate) async fn subscribe<H: Send + Sync + 'static>(
        self: &Arc<Self>,
        request: Passed,
        life: &Life,
        held: H,
    ) -> Result<Response, NoneAnswered> {
        let (request, held) = (Arc::new(request), Arc::new(held));
        let (answers, mut answered) = mpsc::channel(self.upstreams().len().max(1));
        let usable: BTreeSet<usize> = self.standing().groups().into_iter().flatten().collect();
        for at in usable.iter().copied() {
            let (proxy, request, answers, held) = (
                Arc::clone(self),
                Arc::clone(&request),
                answers.clone(),
                Arc::clone(&held),
            );
            life.task("vapi.subscription", async move {
                proxy.tell(at, &request, &answers).await;
                drop(held);
            });
        }
        if usable.len() < self.upstreams().len() {
            let (proxy, answers) = (Arc::clone(self), answers.clone());
            life.task("vapi.subscription", async move {
                proxy.standing().look_again().await;
                let back = proxy.standing().groups().into_iter().flatten();
                let back = back.filter(|at| !usable.contains(at));
                futures::future::join_all(back.map(|at| proxy.tell(at, &request, &answers))).await;
                drop(held);
            });
        }
        // Only those that are told hold the channel, so that it ends with them.
        drop(answers);
        let (mut taken, mut refused, mut reasons, mut patience) = (None, None, Vec::new(), None);
        loop {
            let next = match patience {
                None => answered.recv().await,
                Some(until) => match tokio::time::timeout_at(until, answered.recv()).await {
                    Ok(next) => next,
                    Err(_) => break,
                },
            };
            match next {
                Some((at, Ok(answer))) if answer.status().is_success() => {
                    taken.get_or_insert((at, answer));
                    patience.get_or_insert_with(|| Instant::now() + limits::OTHERS);
                }
                Some((at, Ok(answer))) => drop(refused.get_or_insert((at, answer))),
                Some((_, Err(reason))) => reasons.push(reason),
                None => break,
            }
        }
        let (at, answer) = taken.or(refused).ok_or_else(|| NoneAnswered::of(reasons))?;
        Ok(streamed(answer, self.upstreams().get(at), Some(limits::PROXY_IDLE)))
    }

    async fn tell(&self, at: usize, request: &Passed, answers: &Answers) {
        let Some(upstream) = self.upstreams().get(at) else {
            return;
        };
        let result = match tokio::time::timeout(limits::HANDLER_DEADLINE, self.send(upstream, request)).await {
            Ok(result) => result,
            Err(_) => Err(format!(
                "{}: no answer in {} s",
                upstream.address(),
                limits::HANDLER_DEADLINE.as_secs()
            )),
        };
        let reason = match &result {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(format!("it answered {}", answer.status().as_u16())),
            Err(reason) => Some(reason.clone()),
        };
        if let Some(reason) = reason {
            tracing::warn!(topic = "vapi", beacon_node = %upstream.address(), reason,
                "A beacon node did not take a committee subscription");
        }
        // The client may have its answer already.
        let _ = answers.try_send((at, result));
    }
}
