//! Where work of more than about 100 µs runs: a few threads with three lanes, or inline in simulations.
//!
//! Guarantees: a waiting proposal job starts before a waiting attestation job, that one before any other; at most
//! [`MAX_WAITING`] jobs wait, further callers do; a job that panics takes no thread with it.
//! Not here: what is computed.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, PoisonError},
};

use futures::future::BoxFuture;
use tokio::sync::{Semaphore, oneshot};

use crate::ports::{Compute, Lane};

/// Jobs that wait or run before callers have to wait.
pub const MAX_WAITING: usize = 4_096;

/// A job did not come to its end, because it panicked or the pool is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a computation did not come to its end; the log has the panic's message")]
pub struct Broken;

/// Runs `job` on `compute` and hands back its result.
pub async fn call<T: Send + 'static>(
    compute: &dyn Compute,
    lane: Lane,
    job: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Broken> {
    let (tx, rx) = oneshot::channel();
    let run = Box::new(move || {
        // The caller may be gone; then nobody wants the result.
        let _ = tx.send(job());
    });
    compute.run(lane, run).await;
    rx.await.map_err(|_| Broken)
}

struct Job {
    run: Box<dyn FnOnce() + Send>,
    done: oneshot::Sender<()>,
}

#[derive(Default)]
struct Lanes {
    proposal: VecDeque<Job>,
    attestation: VecDeque<Job>,
    other: VecDeque<Job>,
    closed: bool,
}

impl Lanes {
    fn lane(&mut self, lane: Lane) -> &mut VecDeque<Job> {
        match lane {
            Lane::Proposal => &mut self.proposal,
            Lane::Attestation => &mut self.attestation,
            Lane::Other => &mut self.other,
        }
    }

    fn pop(&mut self) -> Option<Job> {
        self.proposal
            .pop_front()
            .or_else(|| self.attestation.pop_front())
            .or_else(|| self.other.pop_front())
    }
}

#[derive(Default)]
struct Queue {
    lanes: Mutex<Lanes>,
    more: Condvar,
}

/// A fixed number of threads. Dropping the last handle ends them after the waiting jobs.
pub struct Pool {
    queue: Arc<Queue>,
    room: Arc<Semaphore>,
}

impl Pool {
    /// Starts `threads` threads, at least one; each calls `begin` first. Fails when the system gives none.
    pub fn start(threads: usize, begin: fn()) -> std::io::Result<Self> {
        let queue = Arc::new(Queue::default());
        for n in 0..threads.max(1) {
            let queue = Arc::clone(&queue);
            std::thread::Builder::new()
                .name(format!("compute-{n}"))
                .spawn(move || {
                    begin();
                    work(&queue);
                })?;
        }
        Ok(Self {
            queue,
            room: Arc::new(Semaphore::new(MAX_WAITING)),
        })
    }

    /// As many threads as the machine has cores.
    pub fn for_this_machine(begin: fn()) -> std::io::Result<Self> {
        Self::start(std::thread::available_parallelism().map_or(2, usize::from), begin)
    }
}

fn work(queue: &Queue) {
    loop {
        let mut lanes = queue.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let job = loop {
            if let Some(job) = lanes.pop() {
                break job;
            }
            if lanes.closed {
                return;
            }
            lanes = queue.more.wait(lanes).unwrap_or_else(PoisonError::into_inner);
        };
        drop(lanes);
        if catch_unwind(AssertUnwindSafe(job.run)).is_err() {
            tracing::error!("a computation panicked; this is a bug");
        }
        let _ = job.done.send(());
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.queue.lanes.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.queue.more.notify_all();
    }
}

impl Compute for Pool {
    fn run(&self, lane: Lane, run: Box<dyn FnOnce() + Send>) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let Ok(_room) = self.room.acquire().await else { return };
            let (done, end) = oneshot::channel();
            self.queue
                .lanes
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .lane(lane)
                .push_back(Job { run, done });
            self.queue.more.notify_one();
            let _ = end.await;
        })
    }
}

/// Runs every job at once on the calling thread; for simulations, where there are no other threads.
#[derive(Debug, Clone, Copy, Default)]
pub struct Inline;

impl Compute for Inline {
    fn run(&self, _: Lane, job: Box<dyn FnOnce() + Send>) -> BoxFuture<'_, ()> {
        Box::pin(async move { job() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waiting_proposals_run_before_waiting_attestations_and_those_before_the_rest() {
        let pool = Arc::new(Pool::start(1, || ()).unwrap());
        let order = Arc::new(Mutex::new(Vec::new()));
        let (hold, held) = std::sync::mpsc::channel::<()>();
        let note = |lane: Lane| {
            let order = Arc::clone(&order);
            move || order.lock().unwrap().push(lane)
        };
        // The only thread is kept busy until all three wait.
        let busy = call(pool.as_ref(), Lane::Other, move || held.recv().unwrap());
        let (a, b, c) = (
            call(pool.as_ref(), Lane::Other, note(Lane::Other)),
            call(pool.as_ref(), Lane::Attestation, note(Lane::Attestation)),
            call(pool.as_ref(), Lane::Proposal, note(Lane::Proposal)),
        );
        let release = async {
            tokio::task::yield_now().await;
            hold.send(()).unwrap();
        };
        let (busy, a, b, c, ()) = tokio::join!(busy, a, b, c, release);
        assert!([busy, a, b, c].iter().all(Result::is_ok));
        assert_eq!(*order.lock().unwrap(), [Lane::Proposal, Lane::Attestation, Lane::Other]);
    }

    #[tokio::test]
    async fn a_panicking_job_is_reported_and_the_thread_goes_on() {
        let pool = Pool::start(1, || ()).unwrap();
        assert_eq!(
            call::<()>(&pool, Lane::Other, || panic!("on purpose")).await,
            Err(Broken)
        );
        assert_eq!(call(&pool, Lane::Other, || 5).await, Ok(5));
    }
}
