//! How a node is told to stop, and the order in which its parts do.
//!
//! Guarantees: the order is scheduler, validator API, background steps, network, store; a second signal skips
//! everything but the store's flush.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use trireme_core::life::{Life, StopReason};
use trireme_p2p::HostHandle;

/// How long the validator API may finish what it has begun.
const REQUESTS: Duration = Duration::from_secs(5);
/// How long background steps may finish; what still runs then is dropped.
const STEPS: Duration = Duration::from_secs(10);
/// After how much of that time they are told to give up, so that the wait for a beacon node that is down ends in order.
const GIVE_UP: Duration = Duration::from_secs(5);

/// Asks a node to stop. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    signals: bool,
    asked: CancellationToken,
    at_once: CancellationToken,
}

impl Shutdown {
    /// The node stops on SIGINT and SIGTERM, and at once on a second one.
    #[must_use]
    pub fn on_signals() -> Self {
        Self {
            signals: true,
            ..Self::default()
        }
    }

    /// Only [`Shutdown::ask`] stops the node.
    #[must_use]
    pub fn manual() -> Self {
        Self::default()
    }

    /// The node stops in order; asked a second time, at once.
    pub fn ask(&self) {
        if self.asked.is_cancelled() {
            self.at_once.cancel();
        }
        self.asked.cancel();
    }

    /// Ends when the node is to stop without further waiting.
    pub(crate) async fn at_once(&self) {
        self.at_once.cancelled().await;
    }

    /// Lets the life know when somebody asks.
    pub(crate) fn watch(&self, life: &Life) {
        let (this, node) = (self.clone(), life.clone());
        life.task("shutdown", async move {
            if this.signals {
                this.follow_signals(&node).await;
            } else {
                this.asked.cancelled().await;
                node.stop_node(StopReason::Asked("by the program".to_owned()));
            }
        });
    }

    async fn follow_signals(&self, node: &Life) {
        use tokio::signal::unix::{SignalKind, signal};
        let (Ok(mut int), Ok(mut term)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) else {
            tracing::warn!("Signals cannot be received; the node can only be killed");
            return;
        };
        loop {
            let name = tokio::select! { biased;
                Some(()) = int.recv() => "SIGINT",
                Some(()) = term.recv() => "SIGTERM",
                else => return,
            };
            tracing::info!(topic = "app-stop", signal = name, "Shutdown signal detected");
            self.ask();
            node.stop_node(StopReason::Asked(name.to_owned()));
        }
    }
}

/// The parts of a running node, each with its own tasks.
pub(crate) struct Parts {
    /// Begins duties.
    pub(crate) scheduling: Life,
    /// Cancelled to close the validator API; it finishes its requests.
    pub(crate) vapi_stop: CancellationToken,
    /// The validator API's tasks.
    pub(crate) vapi: Life,
    /// Cancelled so that unfinished duties give up.
    pub(crate) duties_stop: CancellationToken,
    /// Background steps and what they use.
    pub(crate) duties: Life,
    /// The network.
    pub(crate) host: HostHandle,
}

impl Parts {
    /// Stops in order; returns the names of the tasks that did not end in time.
    pub(crate) async fn stop(self) -> Vec<&'static str> {
        self.scheduling.stop().await;
        self.vapi_stop.cancel();
        let mut late = self.vapi.finish(REQUESTS).await;
        late.extend(finish_duties(&self.duties, &self.duties_stop).await);
        self.host.shutdown().await;
        late
    }
}

/// Lets what was begun come to its end: a partial signature that the validator client has just handed in still goes to
/// the peers, an aggregate to the beacon node.
async fn finish_duties(duties: &Life, give_up: &CancellationToken) -> Vec<&'static str> {
    let late = tokio::select! { biased;
        late = duties.finish(STEPS) => late,
        () = async {
            tokio::time::sleep(GIVE_UP).await;
            give_up.cancel();
            std::future::pending().await
        } => Vec::new(),
    };
    give_up.cancel();
    late
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    };

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn steps_that_run_may_finish_before_they_are_told_to_give_up() {
        let (duties, give_up) = (Life::new(), CancellationToken::new());
        let (finished, gave_up) = (Arc::new(AtomicU8::new(0)), Arc::new(AtomicU8::new(0)));
        for seconds in [1, 4, 100] {
            let (token, finished, gave_up) = (give_up.clone(), Arc::clone(&finished), Arc::clone(&gave_up));
            duties.task("step", async move {
                tokio::select! { biased;
                    () = token.cancelled() => gave_up.fetch_add(1, Ordering::Relaxed),
                    () = tokio::time::sleep(Duration::from_secs(seconds)) => finished.fetch_add(1, Ordering::Relaxed),
                };
            });
        }
        let began = tokio::time::Instant::now();
        assert!(finish_duties(&duties, &give_up).await.is_empty());
        assert_eq!(began.elapsed(), GIVE_UP);
        assert_eq!(
            (finished.load(Ordering::Relaxed), gave_up.load(Ordering::Relaxed)),
            (2, 1)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_give_up_is_dropped_and_named() {
        let (duties, give_up) = (Life::new(), CancellationToken::new());
        duties.task("stubborn", std::future::pending());
        let began = tokio::time::Instant::now();
        assert_eq!(finish_duties(&duties, &give_up).await, ["stubborn"]);
        assert_eq!(began.elapsed(), STEPS);
    }
}
