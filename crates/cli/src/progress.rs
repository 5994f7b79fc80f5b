//! Long steps: on all processors, with a line that says how far they are: a bar on a terminal, otherwise a log line now and
//! then.

use std::{
    io::IsTerminal as _,
    sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use trireme_cluster::Workers;

/// Nothing is said of steps that take less.
const SILENT: Duration = Duration::from_secs(1);
/// Time between log lines.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// One long step. Any thread counts.
#[derive(Debug)]
pub(crate) struct Progress {
    what: &'static str,
    bar: ProgressBar,
    terminal: bool,
    /// When the next line is due, in milliseconds after the step's begin.
    next_line: AtomicU64,
}

impl Progress {
    /// Begins a step of `total` parts. `what` as in "Encrypting keystores".
    pub(crate) fn new(what: &'static str, total: usize) -> Self {
        let total = u64::try_from(total).unwrap_or(u64::MAX);
        let terminal = std::io::stderr().is_terminal();
        let bar = if terminal {
            ProgressBar::new(total)
        } else {
            ProgressBar::hidden()
        };
        bar.set_length(total);
        if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}") {
            bar.set_style(style);
        }
        bar.set_message(what);
        Self {
            what,
            bar,
            terminal,
            next_line: AtomicU64::new(millis(SILENT)),
        }
    }

    /// One part is done.
    pub(crate) fn step(&self) {
        self.bar.inc(1);
        let now = millis(self.bar.elapsed());
        let due = self.next_line.load(Ordering::Relaxed);
        let next = now.saturating_add(millis(BETWEEN_LINES));
        let ours = |due, next| {
            let swap = self
                .next_line
                .compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed);
            swap.is_ok()
        };
        if !self.terminal && now >= due && ours(due, next) {
            let (done, total) = (self.bar.position(), self.bar.length().unwrap_or_default());
            tracing::info!(topic = "cmd", done, total, "{}", self.what);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// All processors, lent to whoever has none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cores;

impl Workers for Cores {
    fn parts(&self) -> usize {
        std::thread::available_parallelism().map_or(1, usize::from)
    }

    fn run(&self, count: usize, job: &(dyn Fn(usize) + Sync)) {
        let next = AtomicUsize::new(0);
        let work = || {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                if at >= count {
                    return;
                }
                job(at);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..self.parts().min(count) {
                scope.spawn(work);
            }
            work();
        });
    }
}

/// Does the jobs 0, 1, … `count` on all processors. After a failure no further job begins.
///
/// # Errors
/// The failure of the job with the lowest number among those that failed.
pub(crate) fn on_all_processors<T: Send>(
    what: &'static str,
    count: usize,
    job: impl Fn(usize) -> anyhow::Result<T> + Sync,
) -> anyhow::Result<Vec<T>> {
    let progress = Progress::new(what, count);
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let work = || {
        let mut done: Vec<(usize, anyhow::Result<T>)> = Vec::new();
        while !failed.load(Ordering::Relaxed) {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= count {
                break;
            }
            let result = job(at);
            failed.fetch_or(result.is_err(), Ordering::Relaxed);
            done.push((at, result));
            progress.step();
        }
        done
    };
    let threads = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(count.max(1));
    let mut all = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut all = Vec::with_capacity(count);
        for thread in running {
            all.extend(
                thread
                    .join()
                    .map_err(|_| anyhow::anyhow!("{what}: a thread panicked"))?,
            );
        }
        Ok::<_, anyhow::Error>(all)
    })?;
    all.sort_by_key(|(at, _)| *at);
    all.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_and_the_first_failure_wins() {
        let doubled = on_all_processors("Doubling", 100, |n| Ok(n * 2)).unwrap();
        assert_eq!(doubled, (0..100).map(|n| n * 2).collect::<Vec<_>>());
        let error = on_all_processors("Failing", 100, |n| match n {
            7 => Err(anyhow::anyhow!("seven")),
            n => Ok(n),
        });
        assert_eq!(error.unwrap_err().to_string(), "seven");
        assert_eq!(on_all_processors("Nothing", 0, Ok).unwrap(), Vec::<usize>::new());
    }
}
