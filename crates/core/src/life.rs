//! Tasks with a name, a place in the shutdown order and an end: the only home of `tokio::spawn`.
//!
//! Guarantees: a task is dropped when the part of life that it belongs to stops, so its future must be drop-safe; a task
//! that panics, and an essential task that ends for whatever reason, stop the whole node with a reason.
//! Not here: the order of stopping, which is the order of statements in `node`.

use std::{
    collections::BTreeMap,
    future::Future,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::FutureExt as _;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Why the node stops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopReason {
    /// Somebody asked for it, for example by a signal.
    Asked(String),
    /// An essential task ended.
    Ended {
        /// The task's name.
        task: &'static str,
        /// What it said.
        why: String,
    },
    /// A task panicked; this is a bug.
    Panicked {
        /// The task's name.
        task: &'static str,
        /// The panic's message.
        message: String,
    },
}

impl StopReason {
    /// Whether the process should end with success.
    #[must_use]
    pub const fn is_asked(&self) -> bool {
        matches!(self, Self::Asked(_))
    }
}

impl std::fmt::Display for StopReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Asked(who) => write!(f, "asked to stop: {who}"),
            Self::Ended { task, why } => write!(f, "task {task} ended: {why}"),
            Self::Panicked { task, message } => write!(f, "task {task} panicked (a bug): {message}"),
        }
    }
}

#[derive(Debug, Default)]
struct Shared {
    running: Arc<Mutex<BTreeMap<&'static str, usize>>>,
    reason: Mutex<Option<StopReason>>,
}

/// A part of the node that starts and stops together. Clones are the same part.
#[derive(Debug, Clone)]
pub struct Life {
    shared: Arc<Shared>,
    /// Cancelled by the first reason to stop; the node's main function watches it.
    node: CancellationToken,
    /// Ends the tasks of this part.
    token: CancellationToken,
    /// All tasks of this part.
    tasks: TaskTracker,
    /// Those that end by themselves.
    ending: TaskTracker,
    /// Their names.
    unfinished: Arc<Mutex<BTreeMap<&'static str, usize>>>,
}

impl Default for Life {
    fn default() -> Self {
        Self::new()
    }
}

impl Life {
    /// The whole node.
    #[must_use]
    pub fn new() -> Self {
        let token = CancellationToken::new();
        Self {
            shared: Arc::default(),
            node: CancellationToken::new(),
            token,
            tasks: TaskTracker::new(),
            ending: TaskTracker::new(),
            unfinished: Arc::default(),
        }
    }

    /// A part with tasks of its own, which can be stopped and awaited alone; stopping the parent stops it too.
    #[must_use]
    pub fn child(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            node: self.node.clone(),
            token: self.token.child_token(),
            tasks: TaskTracker::new(),
            ending: TaskTracker::new(),
            unfinished: Arc::default(),
        }
    }

    /// Cancelled when this part stops.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Runs `future` until it ends or this part of life stops; then it is dropped. Its panic stops the node.
    pub fn task(&self, name: &'static str, future: impl Future<Output = ()> + Send + 'static) {
        let counted = Counted::new(&self.unfinished, name);
        self.start(
            name,
            self.ending.track_future(async move {
                let _counted = counted;
                future.await;
                None
            }),
        );
    }

    /// As [`Life::task`], for work that never ends by itself: [`Life::finish`] does not wait for it.
    pub fn standing(&self, name: &'static str, future: impl Future<Output = ()> + Send + 'static) {
        self.start(name, async move {
            future.await;
            None
        });
    }

    /// As [`Life::task`], but its end, with whatever result, stops the node.
    pub fn essential<E: std::fmt::Display>(
        &self,
        name: &'static str,
        future: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        self.start(name, async move {
            let why = match future.await {
                Ok(()) => "it finished, which it never should".to_owned(),
                Err(e) => e.to_string(),
            };
            Some(StopReason::Ended { task: name, why })
        });
    }

    fn start(&self, name: &'static str, future: impl Future<Output = Option<StopReason>> + Send + 'static) {
        let life = self.clone();
        let counted = Counted::new(&self.shared.running, name);
        #[expect(clippy::disallowed_methods, reason = "this is the home of spawn")]
        tokio::spawn(self.tasks.track_future(async move {
            let _counted = counted;
            let run = AssertUnwindSafe(future).catch_unwind();
            let reason = tokio::select! { biased;
                () = life.token.cancelled() => None,
                end = run => end.unwrap_or_else(|panic| {
                    Some(StopReason::Panicked { task: name, message: panic_text(panic.as_ref()) })
                }),
            };
            if let Some(reason) = reason {
                life.stop_node(reason);
            }
        }));
    }

    /// Asks the node to stop; the first reason is kept. Nothing is cancelled yet: the node's main function, which waits
    /// in [`Life::stop_asked`], stops the parts in their order.
    pub fn stop_node(&self, reason: StopReason) {
        let mut kept = lock(&self.shared.reason);
        if kept.is_none() {
            *kept = Some(reason);
        }
        drop(kept);
        self.node.cancel();
    }

    /// Waits until somebody or something stops the node.
    pub async fn stop_asked(&self) -> StopReason {
        self.node.cancelled().await;
        lock(&self.shared.reason)
            .clone()
            .unwrap_or_else(|| StopReason::Asked("no reason was given".to_owned()))
    }

    /// Gives this part's tasks `grace` to end by themselves, then drops them and the standing ones, and returns when all
    /// have ended. Returns the names of the tasks, standing ones aside, that had to be dropped.
    pub async fn finish(&self, grace: Duration) -> Vec<&'static str> {
        self.ending.close();
        let ended = tokio::time::timeout(grace, self.ending.wait()).await.is_ok();
        let left = if ended {
            Vec::new()
        } else {
            lock(&self.unfinished).keys().copied().collect()
        };
        self.stop().await;
        left
    }

    /// Drops this part's tasks and returns when they have ended.
    pub async fn stop(&self) {
        self.token.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// How many tasks of each name run, in all parts.
    #[must_use]
    pub fn running(&self) -> BTreeMap<&'static str, usize> {
        lock(&self.shared.running).clone()
    }
}

/// Keeps a name in a list of running tasks.
struct Counted {
    list: Arc<Mutex<BTreeMap<&'static str, usize>>>,
    name: &'static str,
}

impl Counted {
    fn new(list: &Arc<Mutex<BTreeMap<&'static str, usize>>>, name: &'static str) -> Self {
        *lock(list).entry(name).or_default() += 1;
        Self {
            list: Arc::clone(list),
            name,
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut list = lock(&self.list);
        if let Some(n) = list.get_mut(self.name) {
            *n = n.saturating_sub(1);
            if *n == 0 {
                list.remove(self.name);
            }
        }
    }
}

fn lock<T>(m: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn stopping_a_part_drops_its_tasks_and_leaves_the_others() {
        let life = Life::new();
        let part = life.child();
        life.task("stays", std::future::pending());
        part.task("goes", std::future::pending());
        part.stop().await;
        assert_eq!(life.running(), BTreeMap::from([("stays", 1)]));
        life.stop().await;
        assert_eq!(life.running(), BTreeMap::new());
    }

    #[tokio::test(start_paused = true)]
    async fn finishing_lets_tasks_end_within_the_grace_and_names_the_ones_that_do_not() {
        let life = Life::new();
        life.task("short", tokio::time::sleep(Duration::from_secs(1)));
        assert!(life.finish(Duration::from_secs(5)).await.is_empty());
        let life = Life::new();
        life.task("long", tokio::time::sleep(Duration::from_secs(100)));
        assert_eq!(life.finish(Duration::from_secs(5)).await, ["long"]);
    }

    #[tokio::test(start_paused = true)]
    async fn finishing_waits_neither_for_standing_tasks_nor_for_other_parts() {
        let life = Life::new();
        let part = life.child();
        life.task("elsewhere", std::future::pending());
        part.standing("housekeeping", std::future::pending());
        part.task("short", tokio::time::sleep(Duration::from_secs(1)));
        let began = tokio::time::Instant::now();
        assert!(part.finish(Duration::from_secs(10)).await.is_empty());
        assert_eq!(began.elapsed().as_secs(), 1);
        assert_eq!(life.running(), BTreeMap::from([("elsewhere", 1)]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_in_any_task_stops_the_node_with_its_message() {
        let life = Life::new();
        life.child().task("bug", async { panic!("seventeen") });
        let reason = life.stop_asked().await;
        assert_eq!(
            reason,
            StopReason::Panicked {
                task: "bug",
                message: "seventeen".to_owned()
            }
        );
        assert!(!reason.is_asked());
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_an_essential_task_stops_the_node_and_the_first_reason_is_kept() {
        let life = Life::new();
        life.essential("listener", async { Err::<(), _>("port taken") });
        let first = life.stop_asked().await;
        life.stop_node(StopReason::Asked("later".to_owned()));
        assert_eq!(
            first,
            StopReason::Ended {
                task: "listener",
                why: "port taken".to_owned()
            }
        );
        assert_eq!(life.stop_asked().await, first);
    }
}
