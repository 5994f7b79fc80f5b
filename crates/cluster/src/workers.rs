//! Work that may be shared between threads. This crate starts none; whoever has some lends them.

use std::sync::OnceLock;

/// Somebody with threads.
pub trait Workers: Sync {
    /// Into how many parts work should be cut.
    fn parts(&self) -> usize;

    /// Calls `job` with every number below `count`, on any threads, and comes back when all are done.
    fn run(&self, count: usize, job: &(dyn Fn(usize) + Sync));
}

/// The caller's own thread.
#[derive(Debug, Clone, Copy)]
pub struct Alone;

impl Workers for Alone {
    fn parts(&self) -> usize {
        1
    }

    fn run(&self, count: usize, job: &(dyn Fn(usize) + Sync)) {
        (0..count).for_each(job);
    }
}

/// The results of all jobs in order. What the workers leave undone is done here.
pub(crate) fn each<T: Send + Sync>(workers: &dyn Workers, count: usize, job: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let results: Vec<OnceLock<T>> = (0..count).map(|_| OnceLock::new()).collect();
    workers.run(count, &|at| {
        if let Some(result) = results.get(at) {
            result.get_or_init(|| job(at));
        }
    });
    let all = results.into_iter().enumerate();
    all.map(|(at, result)| result.into_inner().unwrap_or_else(|| job(at)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Does every other job, and that twice.
    struct Lazy;

    impl Workers for Lazy {
        fn parts(&self) -> usize {
            3
        }

        fn run(&self, count: usize, job: &(dyn Fn(usize) + Sync)) {
            for at in (0..count).step_by(2).chain((0..count).step_by(2)) {
                job(at);
            }
            job(count);
        }
    }

    #[test]
    fn every_job_has_its_result_whatever_the_workers_do() {
        let expected: Vec<usize> = (0..7).map(|n| n * n).collect();
        assert_eq!(each(&Alone, 7, |n| n * n), expected);
        assert_eq!(each(&Lazy, 7, |n| n * n), expected);
        assert!(each(&Lazy, 0, |n| n).is_empty());
    }
}
